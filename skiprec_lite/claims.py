"""Executable claims: a sentence of a lesson, and the condition that backs it."""

import numpy as np
import torch


def claim(sentence: str, condition: bool | np.bool_ | torch.Tensor) -> None:
    """Print ✔ and the sentence if the condition holds; fail the notebook if it does not.

    Args:
        sentence: what the lesson claims.
        condition: a bool, a numpy.bool_ or a 0-d bool tensor, nothing else: a list or a non-zero number is "true"
            for the wrong reason.

    Raises:
        AssertionError: if the condition is False.
        TypeError: if the condition is of another type or shape.
    """
    if isinstance(condition, torch.Tensor):
        if condition.dtype != torch.bool or condition.dim() != 0:
            raise TypeError(
                f"a claim needs a single bool, got a {condition.dtype} tensor of shape {tuple(condition.shape)}"
            )
    elif not isinstance(condition, (bool, np.bool_)):
        raise TypeError(f"a claim needs a single bool, got {type(condition).__name__}")
    if not condition:
        raise AssertionError(f"✘ {sentence}")
    print(f"✔ {sentence}")

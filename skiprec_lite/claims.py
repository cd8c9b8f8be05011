"""Executable claims: a sentence of a lesson, and the condition that backs it."""

import os

import numpy as np
import torch

_exploring = False


def explore() -> None:
    """Let claims that fail print ✘ and go on, from here to the end of this process: for a reader who changes something.

    The environment variable SKIPREC_EXPLORE=1 does the same. Where the variable CI is set, claims always fail.
    """
    global _exploring
    _exploring = True


def claim(sentence: str, condition: bool | np.bool_ | torch.Tensor) -> None:
    """Print ✔ and the sentence if the condition holds; fail the notebook if it does not (see `explore`).

    Anything but a bool, a numpy.bool_ or a 0-d bool tensor is a TypeError: a list or a non-zero number is "true" for
    the wrong reason.
    """
    if isinstance(condition, torch.Tensor):
        if condition.dtype != torch.bool or condition.dim() != 0:
            raise TypeError(
                f"a claim needs a single bool, got a {condition.dtype} tensor of shape {tuple(condition.shape)}"
            )
    elif not isinstance(condition, (bool, np.bool_)):
        raise TypeError(f"a claim needs a single bool, got {type(condition).__name__}")
    if condition:
        print(f"✔ {sentence}")
    elif (_exploring or os.environ.get("SKIPREC_EXPLORE") == "1") and not os.environ.get("CI"):
        print(f"✘ {sentence}")
    else:
        raise AssertionError(f"✘ {sentence}")

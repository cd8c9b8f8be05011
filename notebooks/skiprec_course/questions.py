"""What the checks of several lessons ask of an answer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from skiprec_course.comparing import describe
from skiprec_course.engine import Trial


def honours_the_generator(trial: Trial, *arguments: object, **options: object) -> None:
    """The same generator gives the same draw, another one another; without one the global seed counts."""
    draws = [trial.call(trial.answer, *arguments, generator=_generator(s), **options) for s in (3, 3, 4)]
    trial.require(torch.equal(draws[0], draws[1]), "two draws with the same generator differ",
                  "draw all random numbers from `generator`", *arguments)  # fmt: skip
    trial.require(not torch.equal(draws[0], draws[2]), "two generators with different seeds gave the same draw",
                  "`generator` is not used: every call draws the same noise", *arguments)  # fmt: skip
    torch.manual_seed(3)
    first, second = (trial.call(trial.answer, *arguments, **options) for _ in range(2))
    trial.require(not torch.equal(first, second), "two calls without a generator gave the same draw",
                  "without a generator the global random numbers go on", *arguments)  # fmt: skip


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def is_a_tensor(trial: Trial, found: Any, *given: Any, **options: Any) -> None:
    """Fail unless the answer returned a plain tensor."""
    trial.require(type(found) is Tensor, f"found {describe(found)}, expected a tensor",
                  "is a `return` missing?" if found is None else "", *given, **options)  # fmt: skip


def is_tensor(trial: Trial, found: Any, shape: Sequence[int], cause: str = "", *given: Any, **options: Any) -> None:
    """Fail unless the answer returned a plain tensor of this shape without a NaN."""
    is_a_tensor(trial, found, *given, **options)
    trial.require(tuple(found.shape) == tuple(shape), f"found shape {tuple(found.shape)}, expected {tuple(shape)}",
                  cause, *given, **options)  # fmt: skip
    trial.require(not found.isnan().any(), f"{int(found.isnan().sum())} of {found.numel()} values are NaN",
                  "", *given, **options)  # fmt: skip

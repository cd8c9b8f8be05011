"""The hidden half of assignment a1, where it needs more than the package's checks.

Loaded by hidden cells only. Nothing of a student's notebook is used but what is handed over.
"""

import contextlib
import dataclasses
import inspect
import math
import random
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import grading
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

READY_MADE = ("torch.nn.functional.gumbel_softmax",)  # gives away half of the assignment
DRAWS = 20_000


class _NoMultinomial(TorchFunctionMode):
    """While this lasts, drawing with torch.multinomial raises, under any name and from inside torch.distributions."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") == "multinomial":
            raise RuntimeError("torch.multinomial is not allowed here: it draws the class for you")
        return func(*args, **(kwargs or {}))


def judge(part: str, answer: Any, body: Callable[[Any], None] | None = None, *, seeds: int = 3) -> None:
    """Judge an answer with a fresh check and hidden seeds, while nothing ready-made can be called.

    Args:
        part: module and name in the package.
        answer: the student's function.
        body: what is tried, in place of the check's own body.
        seeds: how many hidden seeds are tried.

    Raises:
        grading.NotPassed: with the line that the check would have printed.
    """
    with _NoMultinomial():
        grading.check(part, answer, seeds=seeds, blocked=READY_MADE, body=body)


# --- 1 to 3: the first cell of each exercise asks for less than the second ---


def sample_gumbel_1(answer: Any) -> None:
    """One long row of noise has the Gumbel distribution."""
    judge("gumbel.sample_gumbel", answer, lambda t: t.alike(lambda f: f((DRAWS,)), "the noise", (DRAWS,)), seeds=2)


def sample_gumbel_2(answer: Any) -> None:
    """Any shape and dtype, from the generator, finite at u = 0, and not cut off at the largest u below 1."""
    judge("gumbel.sample_gumbel", answer, _not_cut_off, seeds=1)
    judge("gumbel.sample_gumbel", answer)


def _not_cut_off(trial: Any) -> None:
    if (_noise_at(trial, 0.25) + math.log(math.log(4))).abs().max() < 0.001:  # else it does not come from torch.rand
        noise = _noise_at(trial, 1 - 2**-24)[0, 0]
        trial.require(
            15.5 < noise < 17,
            f"at the largest u below 1 the noise is {noise:.4g}, expected 16.64",
            "the repair of u = 0 changes other u as well",
            (2, 3),
        )


def _noise_at(trial: Any, u: float) -> Tensor:
    """The answer's noise while torch.rand returns u everywhere."""
    rand = torch.rand
    with mock.patch("torch.rand", lambda *shape, **options: rand(*shape, **options).fill_(u)):
        return trial.call(trial.answer, (2, 3)).double()


def gumbel_max_1(answer: Any) -> None:
    """Rows of the same logits are drawn with the softmax's probabilities."""

    def body(trial: Any) -> None:
        for logits in (torch.tensor([-2.0, 1.0, -2.0]), trial.normal(4, scale=2.0)):
            draw = lambda f, logits=logits: f(logits.expand(DRAWS, -1)).double()
            trial.alike(draw, "the index", logits)

    judge("gumbel.gumbel_max", answer, body, seeds=2)


def gumbel_max_2(answer: Any) -> None:
    """Any shape, from the generator; and it is the trick, not another way to draw a class."""
    right_at_all = grading.fresh("skiprec_course.checks").check_gumbel_max.body

    def body(trial: Any) -> None:  # what draws wrong ends in the first line: the second has a cause of its own
        right_at_all(trial)
        _only_the_raised_class_gains(trial)

    judge("gumbel.gumbel_max", answer)
    judge("gumbel.gumbel_max", answer, body, seeds=1)


def _only_the_raised_class_gains(trial: Any) -> None:
    """With the same noise, a higher logit can only win draws from others; walking along a CDF shifts all classes."""
    logits = trial.normal(4, dtype=torch.float64)
    for raised in range(4):
        higher = logits + torch.eye(4, dtype=torch.float64)[raised]
        before, after = (
            trial.call(trial.answer, x.expand(4_000, -1), generator=torch.Generator().manual_seed(trial.seed))
            for x in (logits, higher)
        )
        moved = before != after
        lost = (after[moved] != raised).double().mean() if bool(moved.any()) else torch.zeros(())
        trial.require(
            lost < 0.01,
            f"with the same random numbers, raising logit {raised} moved draws from one other class to another",
            "this draws right, but it is not the Gumbel-max trick: noise on each logit, then the largest",
            logits,
        )


def gumbel_softmax_1(answer: Any) -> None:
    """The shares have the right distribution at everyday temperatures."""

    def body(trial: Any) -> None:
        for tau in (0.4, 3.0):
            logits = trial.normal(3, scale=1.5)
            draw = lambda f, logits=logits, tau=tau: f(logits.expand(DRAWS, -1), tau)[:, 0]
            trial.alike(draw, "the first class's share", logits, tau)

    judge("gumbel.gumbel_softmax", answer, body, seeds=2)


def gumbel_softmax_2(answer: Any) -> None:
    """Any shape, from the generator, with its gradient, at any temperature."""
    judge("gumbel.gumbel_softmax", answer)


# --- 4: straight-through ---


def straight_through_1(answer: Any) -> None:
    """Up to rounding, the value is a one-hot choice with the right probabilities."""

    def body(trial: Any) -> None:
        logits = trial.normal(3)
        draw = lambda f: (1e4 * f(logits.expand(DRAWS, -1), 3.0, hard=True).detach()[:, 0]).round()
        trial.alike(draw, "10,000 times the first class's value", logits, 3.0, hard=True)

    judge("gumbel.gumbel_softmax", answer, body, seeds=2)


def straight_through_2(answer: Any) -> None:
    """Exactly one-hot, with the soft sample's gradient, and chosen by the same noise."""
    judge("gumbel.gumbel_softmax", answer)
    judge("gumbel.gumbel_softmax", answer, _has_hard, seeds=1)
    judge("gumbel.gumbel_softmax", answer, _one_noise, seeds=1)


def _has_hard(trial: Any) -> None:
    trial.require("hard" in inspect.signature(trial.answer).parameters, "it has no keyword argument `hard`")


def _one_noise(trial: Any) -> None:
    logits = trial.normal(300, 4)
    soft, hard = (
        trial.call(trial.answer, logits, 0.8, hard=hard, generator=torch.Generator().manual_seed(trial.seed))
        for hard in (False, True)
    )
    trial.require(
        torch.equal(soft.detach().argmax(dim=-1), hard.detach().argmax(dim=-1)),
        "the choice is not where the soft sample is largest",
        "choice and soft sample need the same noise: draw it once",
        logits, 0.8, hard=True,
    )  # fmt: skip


# --- 5 and 6: the exact gradient ---


def exact_gradient_1(answer: Any) -> None:
    """One gate, any loss."""

    def body(trial: Any) -> None:
        for logit in (-2.5, 0.7, 3.0):
            skipped, kept = trial.normal(2, dtype=torch.float64)

            def loss(z: Tensor, skipped: Tensor = skipped, kept: Tensor = kept) -> Tensor:
                return skipped + (kept - skipped) * z[:, 0] ** 2

            trial.same(torch.tensor([logit], dtype=torch.float64), loss)

    judge("estimators.exact_gradient", answer, body, seeds=2)


def exact_gradient_2(answer: Any) -> None:
    """Several gates that influence each other."""
    judge("estimators.exact_gradient", answer)


def numbers_of(user: str) -> tuple[float, float, int]:
    """The logit a, the place c and the height h of this student's problem, as the notebook makes them."""
    with grading.fresh_package() as checks:
        dice = random.Random(checks.seed_of(user))
    return round(dice.uniform(-1.7, -1.3), 3), round(dice.uniform(0.39, 0.43), 3), dice.randint(2, 5)


def my_exact(user: str, answer: Callable[[], Any]) -> None:
    """The exact gradient at the student's gate, by its formula, to 1 %."""
    a, c, h = numbers_of(user)
    keep = 1 / (1 + math.exp(-a))
    _close("my_exact", answer, keep * (1 - keep) * h * ((1 - c) ** 3 - c**3), 0.01)


def my_rest(user: str, answer: Callable[[], Any]) -> None:
    """Where the two end slopes balance, to 1 %."""
    _, c, _ = numbers_of(user)
    _close("my_rest", answer, c**2 / (c**2 + (1 - c) ** 2), 0.01)


def _close(name: str, answer: Callable[[], Any], expected: float, share: float) -> None:
    found = float(answer())
    if not abs(found - expected) <= share * abs(expected):
        raise grading.NotPassed(f"hidden test: ✘ {name}: found {found:.4g}, which is not what these numbers give.")

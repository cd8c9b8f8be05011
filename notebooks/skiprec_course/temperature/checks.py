"""Checks of what lessons 02 and 03 build of Gumbel-Softmax: the relaxed and the straight-through sample."""

import inspect

import torch
from torch import Tensor

from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.questions import honours_the_generator
from skiprec_lite.gumbel import sample_gumbel

__all__ = ["check_gumbel_softmax"]


def _gumbel_softmax(trial: Trial) -> None:
    _soft(trial)
    if "hard" in inspect.signature(trial.answer).parameters:  # lesson 03 adds it
        _hard(trial)


def _soft(trial: Trial) -> None:
    for shape, tau in (((6, 3), 0.5), ((5,), 1.0), ((2, 4, 5), 10.0)):
        logits = trial.normal(*shape)
        sample = trial.call(trial.answer, logits, tau)
        trial.require(type(sample) is Tensor, f"found a {type(sample).__name__}, expected a tensor", "", logits, tau)
        trial.require(sample.shape == shape, f"found shape {tuple(sample.shape)}, expected {shape}",
                      "a sample has one number for each logit", logits, tau)  # fmt: skip
        _sums_to_one(trial, sample, logits, tau)
    honours_the_generator(trial, trial.normal(40, 6), 2.0)
    for tau in (0.4, 1.0, 10.0):
        logits = trial.normal(3, scale=1.5)
        _first_share(trial, logits, tau)
    _first_share(trial, trial.normal(3))  # the default
    _gradient(trial)
    tiny = trial.call(trial.answer, trial.normal(50, 4), 1e-38)
    trial.require(tiny.isfinite().all(), "at a tiny temperature there are NaN",
                  "subtract each row's largest before you divide by tau: a softmax does not change", 1e-38)  # fmt: skip


def _first_share(trial: Trial, logits: Tensor, *tau: float) -> None:
    trial.alike(lambda f: f(logits.expand(DRAWS, -1), *tau)[:, 0], "the first class's share", logits, *tau)


def _sums_to_one(trial: Trial, sample: Tensor, logits: Tensor, tau: float) -> None:
    sums = sample.detach().double().sum(dim=-1)
    wrong = float(sums.reshape(-1)[(sums - 1).abs().argmax()])
    cause = ""
    if sample.dim() > 1 and torch.allclose(sample.detach().double().sum(dim=0), torch.ones((), dtype=torch.float64)):
        cause = "your softmax runs over the rows: axis 0 sums to 1, the classes are on the last axis"
    elif abs(float(sample.detach().double().sum()) - 1) < 1e-4:
        cause = "your softmax runs over everything: each row needs one of its own"
    trial.require(abs(wrong - 1) < 1e-4, f"a row sums to {wrong:.4g}, expected 1", cause, logits, tau)


def _gradient(trial: Trial) -> None:
    """The gradient of a soft sample follows from its value: d s_i / d l_j = s_i (delta_ij - s_j) / tau."""
    for tau in (0.7, 5.0):
        logits = trial.normal(20, 3).requires_grad_()
        with trial.of_the_answer(logits.detach(), tau):
            sample = trial.answer(logits, tau)
        trial.require(
            sample.requires_grad,
            "the sample has no gradient at the logits",
            "a .detach(), .item() or torch.no_grad() cuts it off",
            logits.detach(),
            tau,
        )
        (found,) = torch.autograd.grad(sample[:, 0].sum(), logits)
        s = sample.detach()
        expected = s[:, :1] * (torch.tensor([1.0, 0.0, 0.0]) - s) / tau
        trial.require(
            torch.allclose(found, expected, atol=1e-5),
            "the gradient is not that of a softmax at tau",
            "something in between is detached, or tau does not divide it all",
            logits.detach(),
            tau,
        )


def _hard(trial: Trial) -> None:
    for shape, tau in (((200, 3), 0.5), ((5,), 1.0), ((20, 4, 5), 10.0)):
        logits = trial.normal(*shape)
        sample = trial.call(trial.answer, logits, tau, hard=True)
        trial.require(type(sample) is Tensor and sample.shape == shape,
                      f"found shape {tuple(sample.shape)}, expected {shape}", "", logits, tau, hard=True)  # fmt: skip
        one_hot = ((sample == 0) | (sample == 1)).all() and (sample.sum(dim=-1) == 1).all()
        close = bool(((sample.detach() - sample.detach().round()).abs() < 1e-5).all())
        trial.require(one_hot, "a hard sample is not exactly one-hot",
                      "its value is off by a rounding error: add soft and take soft away in another order" if close
                      else "its value has to be the choice, not the soft sample", logits, tau, hard=True)  # fmt: skip
    logits = trial.normal(3, scale=1.5)
    choose = lambda f: f(logits.expand(DRAWS, -1), 3.0, hard=True).detach().argmax(dim=-1).double()
    trial.alike(choose, "the choice", logits, 3.0, hard=True)
    huge = trial.call(trial.answer, trial.normal(3).expand(DRAWS, -1), 1e9, hard=True)
    trial.require(huge.detach()[:, 1:].sum() > 0.05 * DRAWS, "at a huge temperature the first class nearly always wins",
                  "the softmax ties in float32: choose by the perturbed logits, not by the soft sample",
                  1e9, hard=True)  # fmt: skip
    for tau in (0.7, 5.0):
        logits = trial.normal(20, 3).requires_grad_()
        weight = trial.normal(20, 3)
        gradients = []
        for hard in (False, True):
            with trial.of_the_answer(logits.detach(), tau, hard=hard):
                sample = trial.answer(logits, tau, hard=hard, generator=torch.Generator().manual_seed(5))
            trial.require(sample.requires_grad, "the sample has no gradient at the logits",
                          "the hard choice alone has none: let the soft sample bring it", tau, hard=hard)  # fmt: skip
            gradients.append(torch.autograd.grad((sample * weight).sum(), logits)[0])
        trial.require(
            torch.allclose(gradients[0], gradients[1], atol=1e-5),
            "a hard sample's gradient is not the soft sample's",
            "detach the difference of hard and soft, and nothing else",
            tau,
            hard=True,
        )


def _mistaken(logits: Tensor, tau: float, **steps: object) -> Tensor:
    """Gumbel-Softmax with one step replaced."""
    noise = sample_gumbel(logits.shape, dtype=logits.dtype)
    return torch.softmax((logits + noise) / tau, dim=-1)


check_gumbel_softmax = Check(
    part="gumbel.gumbel_softmax",
    task="Perturb the logits with Gumbel noise, then take a softmax at temperature tau over the last axis. "
    "It must not overflow at a tiny tau. Lesson 03 adds a parameter: with `hard=True` the value is exactly one-hot, "
    "and the gradient is the soft sample's; a function without it is checked without it.",
    hints=(
        "Gumbel-max takes an argmax of logits + noise. Replace the argmax by something that has a slope.",
        "tau divides the *perturbed* logits, noise included. A softmax does not change if you take one number away "
        "from all entries of a row: take the largest, so that nothing overflows.",
        "For `hard` (lesson 03): you want hard's value and soft's gradient. Add to the one a difference that is a "
        "constant for autograd (`detach`). Choose by the perturbed logits: at a large tau the softmax can tie.",
    ),
    body=_gumbel_softmax,
    minutes=15,
    difficulty=2,
    mistakes={
        "tau divides the logits only: it has to divide the noise too": lambda logits, tau=10.0, **o: torch.softmax(
            logits / tau + sample_gumbel(logits.shape, dtype=logits.dtype), dim=-1
        ),
        "you multiply by tau: divide by it": lambda logits, tau=10.0, **o: _mistaken(logits, 1 / tau),
        "tau has no effect": lambda logits, tau=10.0, **o: _mistaken(logits, 1.0),
        "the noise is missing: the same sample every time": lambda logits, tau=10.0, **o: torch.softmax(
            logits / tau, dim=-1
        ),
        "a softmax (or sigmoid) comes before the noise: the noise belongs to the logits":
            lambda logits, tau=10.0, **o: _mistaken(logits.softmax(dim=-1), tau),
        "the noise is normal: it has to be Gumbel": lambda logits, tau=10.0, **o: torch.softmax(
            (logits + torch.randn_like(logits)) / tau, dim=-1
        ),
    },
)  # fmt: skip

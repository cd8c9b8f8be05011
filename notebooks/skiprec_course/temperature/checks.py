"""Checks of what lessons 02 and 03 build of Gumbel-Softmax: the relaxed and the straight-through sample."""

import inspect

import torch

from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.questions import honours_the_generator, is_a_tensor
from skiprec_course.temperature.mistakes import GUMBEL_SOFTMAX

__all__ = ["check_gumbel_softmax"]


def _gumbel_softmax(trial: Trial) -> None:
    _soft(trial)
    if "hard" in inspect.signature(trial.answer).parameters:  # lesson 03 adds it
        _hard(trial)


def _soft(trial: Trial) -> None:
    for shape, tau in (((6, 3), 0.5), ((5,), 1.0), ((2, 4, 5), 10.0)):
        logits = trial.normal(*shape)
        sample = trial.call(trial.answer, logits, tau)
        is_a_tensor(trial, sample, logits, tau)
        trial.require(sample.shape == shape, f"found shape {tuple(sample.shape)}, expected {shape}",
                      "a sample has one number for each logit", logits, tau)  # fmt: skip
        sums = sample.detach().double().sum(dim=-1).reshape(-1)
        wrong = float(sums[(sums - 1).abs().argmax()])
        trial.require(abs(wrong - 1) < 1e-4, f"a row sums to {wrong:.4g}, expected 1",
                      "the softmax runs over the last axis, where the classes are", logits, tau)  # fmt: skip
    honours_the_generator(trial, trial.normal(40, 6), 2.0)
    for options in ({"tau": 0.4}, {"tau": 1.0}, {"tau": 10.0}, {}):
        logits = trial.normal(3, scale=1.5)
        share = lambda f, logits=logits, options=options: f(logits.expand(DRAWS, -1), **options)[:, 0]
        trial.alike(share, "the first class's share", logits, **options)
    _gradient(trial)
    exact = trial.call(trial.answer, trial.normal(50, 4, dtype=torch.float64), 1.0)
    trial.require(exact.dtype == torch.float64, f"found {exact.dtype}, expected torch.float64", "",
                  trial.normal(50, 4, dtype=torch.float64), 1.0)  # fmt: skip
    tiny = trial.call(trial.answer, trial.normal(50, 4), 1e-38)
    trial.require(tiny.isfinite().all(), "at a tiny temperature there are NaN", "", 1e-38)


def _gradient(trial: Trial) -> None:
    """The gradient of a soft sample follows from its value: d s_i / d l_j = s_i (delta_ij - s_j) / tau."""
    for tau in (0.7, 5.0):
        logits = trial.normal(20, 3).requires_grad_()
        with trial.of_the_answer(logits.detach(), tau):
            sample = trial.answer(logits, tau)
        trial.require(sample.requires_grad, "the sample has no gradient at the logits", "", logits.detach(), tau)
        (found,) = torch.autograd.grad(sample[:, 0].sum(), logits)
        s = sample.detach()
        expected = s[:, :1] * (torch.tensor([1.0, 0.0, 0.0]) - s) / tau
        trial.require(torch.allclose(found, expected, atol=1e-5), "the gradient is not that of a softmax at tau",
                      "something in between is detached, or tau does not divide it all",
                      logits.detach(), tau)  # fmt: skip


def _hard(trial: Trial) -> None:
    for shape, tau in (((200, 3), 0.5), ((5,), 1.0), ((20, 4, 5), 10.0)):
        logits = trial.normal(*shape)
        sample = trial.call(trial.answer, logits, tau, hard=True)
        is_a_tensor(trial, sample, logits, tau, hard=True)
        trial.require(sample.shape == shape, f"found shape {tuple(sample.shape)}, expected {shape}", "",
                      logits, tau, hard=True)  # fmt: skip
        one_hot = ((sample == 0) | (sample == 1)).all() and (sample.sum(dim=-1) == 1).all()
        off = float((sample - sample.round()).abs().max())
        how = ", but nearly" if 0 < off < 1e-5 else ": a row is all 0" if (sample == 0).all(dim=-1).any() else ""
        trial.require(one_hot, f"a hard sample is not exactly one-hot{how}", "", logits, tau, hard=True)
    logits = trial.normal(3, scale=1.5)
    choose = lambda f: f(logits.expand(DRAWS, -1), 3.0, hard=True).detach().argmax(dim=-1).double()
    trial.alike(choose, "the choice", logits, 3.0, hard=True)
    logits = trial.normal(20, 4, 5)
    hard, soft = (
        trial.call(trial.answer, logits, 10.0, hard=h, generator=torch.Generator().manual_seed(5))
        for h in (True, False)
    )
    trial.require((hard.argmax(-1) == soft.argmax(-1)).all(), "with the same generator hard and soft differ in their "
                  "largest class", "", logits, 10.0)  # fmt: skip
    huge = trial.call(trial.answer, trial.normal(3).expand(DRAWS, -1), 1e9, hard=True)
    trial.require(huge.detach()[:, 1:].sum() > 0.05 * DRAWS, "at a huge temperature the first class nearly always wins",
                  "", 1e9, hard=True)  # fmt: skip
    for tau in (0.7, 5.0):
        logits = trial.normal(20, 3).requires_grad_()
        weight = trial.normal(20, 3)
        gradients = []
        for hard in (False, True):
            with trial.of_the_answer(logits.detach(), tau, hard=hard):
                sample = trial.answer(logits, tau, hard=hard, generator=torch.Generator().manual_seed(5))
            trial.require(sample.requires_grad, "the sample has no gradient at the logits", "", tau, hard=hard)
            gradients.append(torch.autograd.grad((sample * weight).sum(), logits)[0])
        trial.require(torch.allclose(gradients[0], gradients[1], atol=1e-5),
                      "a hard sample's gradient is not the soft sample's", "", tau, hard=True)  # fmt: skip


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
    mistakes=GUMBEL_SOFTMAX,
)

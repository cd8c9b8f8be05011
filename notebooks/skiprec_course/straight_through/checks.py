"""Checks of what lesson 03 builds: the exact gradient of an expected loss, and ways to estimate it.

The problem is the lesson's: gates z of 0 and 1, each 1 with probability pi = sigmoid(logit), and a loss of a row of
them.
"""

from typing import Any

import torch
from torch import Tensor

from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.questions import honours_the_generator, is_a_tensor
from skiprec_course.straight_through import mistakes

__all__ = [
    "check_difference", "check_exact_gradient", "check_identity_straight_through", "check_reinforce",
    "check_straight_through", "check_through_a_sample",
]  # fmt: skip


def bent_loss(gates: Tensor) -> Tensor:
    """A loss with a slope, in which the first gate and the last one influence each other."""
    weights = torch.linspace(-1, 1.5, gates.shape[1], dtype=gates.dtype)
    return ((gates * weights).sum(dim=1) - 0.45) ** 2 + torch.sin(2 * gates[:, 0] * gates[:, -1])


def stepped_loss(gates: Tensor) -> Tensor:
    """A loss without a slope: a number for each row of 0 and 1, as from a table."""
    code = ((gates.detach() > 0.5).long() * 2 ** torch.arange(gates.shape[1])).sum(dim=1)
    return (code * 5 % 7).to(gates.dtype)


def _asked(function: Any, logits: Tensor, *more: Any, **options: Any) -> Tensor:
    """The rows of gates that a function of logits and a loss asks the loss about."""
    seen: list[Tensor] = []

    def loss(gates: Tensor) -> Tensor:
        seen.append(gates.detach().clone())
        return bent_loss(gates)

    function(logits, loss, *more, **options)
    return torch.cat(seen) if seen else logits.new_zeros(0, len(logits))


def _choices_asked(trial: Trial, logits: Tensor, *more: Any, **options: Any) -> Tensor:
    """The rows that the answer asks the loss about; fail if they are not gates of 0 and 1, up to rounding."""
    given = (logits, bent_loss, *more)
    with trial.of_the_answer(*given, **options):
        rows = _asked(trial.answer, logits.clone(), *more, **options)
    trial.require(len(rows) > 0, "the loss was never asked", "call `loss` with rows of gates", *given, **options)
    inside = ((rows > -1e-5) & (rows < 1 + 1e-5)).all()
    trial.require(inside, "the loss was asked about gates below 0 or above 1", "", *given, **options)
    trial.require(((rows - rows.round()).abs() < 1e-5).all(), "the loss was asked about gates between 0 and 1",
                  "", *given, **options)  # fmt: skip
    return rows


# --- exact_gradient ---


def _exact_gradient(trial: Trial) -> None:
    logits = trial.normal(3)
    given = (logits, bent_loss)
    found = trial.call(trial.answer, *given)
    is_a_tensor(trial, found, *given)
    trial.require(found.shape == (3,), f"found shape {tuple(found.shape)}, expected (3,)", "", *given)
    trial.require(torch.equal(found, trial.call(trial.answer, *given)) or bool(found.isnan().any()),
                  "two calls with the same arguments differ", "", *given)  # fmt: skip
    rows = _choices_asked(trial, logits)
    trial.require(len(rows.unique(dim=0)) == 8, "the loss was not asked about all 8 rows of gates", "", *given)
    for gates in (2, 3, 1, 5):
        trial.same(trial.normal(gates), bent_loss)
    trial.same(trial.normal(4), stepped_loss)  # no slope to use
    logits = trial.normal(2, dtype=torch.float64)
    with trial.of_the_answer(logits, bent_loss):
        rows = _asked(trial.answer, logits)
    trial.require(not logits.requires_grad, "afterwards the logits it was given require a gradient", "",
                  logits, bent_loss)  # fmt: skip
    trial.require(rows.dtype == torch.float64, f"with logits of float64 the loss was given rows of {rows.dtype}", "",
                  logits, bent_loss)  # fmt: skip


check_exact_gradient = Check(
    part="estimators.exact_gradient",
    task="Return the gradient of the expected loss with respect to the `logits`, one number a gate, without sampling: "
    "go through all 2^n rows of gates (0.0 and 1.0, in the logits' dtype). Gate i is 1 with probability "
    "sigmoid(logits[i]), independently of the others. `loss` takes rows (row, gate) and returns one number a row.",
    hints=(
        "An expected value is a sum over all rows of gates: probability of the row times its loss. Which of the two "
        "factors depends on the logits?",
        "The probability of a row is a product with one factor a gate: pi where the gate is 1, and what where it is 0?",
        "`torch.cartesian_prod` makes the rows (with a single gate it returns a vector: give it the shape (2, 1)). "
        "`torch.where` chooses the factors.",
        "Make a copy of the logits that requires a gradient, build the sum from it, and let `torch.autograd.grad` "
        "differentiate. The losses are constants there.",
    ),
    body=_exact_gradient,
    minutes=15,
    difficulty=3,
    mistakes=mistakes.EXACT_GRADIENT,
)


# --- through_a_sample ---


class _NoisySoftmax:
    """A draw of pairs whose noise is the same for every answer, also for one that draws row after row."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, pairs: Tensor) -> Tensor:
        drawn = sum(x.numel() for x in self.seen)
        self.seen.append(pairs.detach())
        place = torch.arange(drawn, drawn + pairs.numel(), dtype=pairs.dtype).view(pairs.shape)
        return torch.softmax((pairs + 2 * torch.sin(1.7 * place)) / 3, dim=-1)


def _with_a_draw(through: Any) -> Any:
    """What a way through a sample hands to `draw`, and the gradients; each run has a draw of its own."""

    def both(logits: Tensor, samples: int) -> dict[str, Any]:
        draw = _NoisySoftmax()
        gradients = through(logits, bent_loss, samples, draw)
        pairs = torch.cat(draw.seen) if draw.seen else logits.new_zeros(0)
        return {"keep minus skip in the pairs": pairs[..., 0] - pairs[..., 1], "the gradients": gradients}

    return both


def _through_a_sample(trial: Trial) -> None:
    for gates, samples in ((3, 20), (1, 6), (4, 1)):
        trial.same_results(_with_a_draw, trial.normal(gates), samples)


check_through_a_sample = Check(
    part="estimators.through_a_sample",
    task="Return one gradient for each sample, (sample, gate): of the loss at that sample's gates, with respect to the "
    "logits. `draw` turns pairs of logits (keep, skip), shape (sample, gate, 2), into samples of the same shape; "
    "take 0 for the logit of skip. The first entry of a sample is the gate. `loss` takes rows (row, gate).",
    hints=(
        "Autograd sums over everything that a leaf was used for. To get one gradient for each sample, give each "
        "sample a leaf row of its own.",
        "`expand` the logits to (samples, gate), `clone`, and require a gradient. Stack zeros behind them on a new "
        "last axis.",
        "Rows do not influence each other: the gradient of the *sum* of the losses holds each row's gradient in its "
        "row.",
    ),
    body=_through_a_sample,
    minutes=10,
    difficulty=3,
    importance="useful",
    mistakes=mistakes.THROUGH_A_SAMPLE,
)


# --- what the estimators share ---


def _an_estimator(trial: Trial, *, drawn: bool = True, sloped: bool = True, **options: Any) -> None:
    """Of the package's law: the gates that the loss sees, and each gate's gradient; from the generator."""
    for gates, samples in ((3, 40), (1, 7), (4, 1)):
        given = (trial.normal(gates), bent_loss, samples)
        found = trial.call(trial.answer, *given, **options)
        is_a_tensor(trial, found, *given, **options)
        trial.require(found.shape == (samples, gates), f"found shape {tuple(found.shape)}, expected (sample, gate) = "
                      f"{(samples, gates)}", "", *given, **options)  # fmt: skip
        trial.require(found.isfinite().all(), "a gradient is NaN or infinite", "", *given, **options)
    _choices_asked(trial, trial.normal(8, scale=2.0), 500, **options)
    if drawn:
        _draws(trial, **options)
    for loss in (bent_loss, *(() if sloped else (stepped_loss,))):
        _distributed(trial, 3, loss, **options)
    _distributed(trial, 1, bent_loss, **options)
    many = trial.normal(200, scale=3.0)  # rounding shows at some of them
    exact = _choices_asked(trial, many, 50, **options)
    trial.require(((exact == 0) | (exact == 1)).all(), "the loss was asked about gates that miss 0 and 1 by a rounding "
                  "error", "", many, bent_loss, 50, **options)  # fmt: skip
    honours_the_generator(trial, trial.normal(4), bent_loss, 30, **options)
    if not sloped:  # then autograd has not cut it off
        logits, more = trial.normal(3), (bent_loss, 5)
        with trial.of_the_answer(logits, *more, **options):
            found = trial.answer(logits.clone().requires_grad_(), *more, **options)
        trial.require(not found.requires_grad, "the estimates hang on the graph of the logits", "",
                      logits, *more, **options)  # fmt: skip


def _draws(trial: Trial, **options: Any) -> None:
    """Each row of gates is drawn anew, and each gate for itself, 1 as often as it should be."""
    logits = _away_from_zero(trial.normal(2))
    given = (logits, bent_loss)
    rows = _choices_asked(trial, logits, 500, **options)
    trial.require(len(rows.unique(dim=0)) > 1, "every row has the same gates",
                  "each sample needs random numbers of its own", *given, 500, **options)  # fmt: skip
    asked = lambda f: _asked(f, logits, 2 * DRAWS, **options)[: 2 * DRAWS].round()
    trial.alike(lambda f: asked(f)[:, 0], "the first gate that the loss sees", *given, 2 * DRAWS, **options)
    number = lambda f: asked(f).view(-1, 4) @ torch.tensor([8.0, 4.0, 2.0, 1.0])
    trial.alike(number, "the number made of two rows' gates, in binary,", *given, 2 * DRAWS, **options)


def _away_from_zero(logits: Tensor) -> Tensor:
    """At 0 several mistakes look the same."""
    return logits + 0.5 * logits.sign()


def _distributed(trial: Trial, gates: int, loss: Any, **options: Any) -> None:
    """Each gate's gradient has the distribution of the package's."""
    logits = _away_from_zero(trial.normal(gates))
    given = (logits, loss, DRAWS)
    size = float(trial.reference(logits, loss, 500, generator=torch.Generator().manual_seed(1), **options).abs().mean())
    # A gradient often takes few values. Without some noise on top, answers that round otherwise would differ.
    blur = lambda x: x.detach().double() + 0.1 * size * torch.rand(len(x), dtype=torch.float64)
    for gate in (1, 0, 2)[:gates] if gates > 1 else (0,):  # flips that pile up, and flips of all, differ in the middle
        draw = lambda f, gate=gate: blur(f(*given, **options)[:, gate])
        trial.alike(draw, f"the gradient of gate {gate}", *given, **options)


def _straight_through(trial: Trial) -> None:
    for tau in (0.5, 4.0):
        _an_estimator(trial, tau=tau)


def _reinforce(trial: Trial) -> None:
    for baseline in (False, True):
        _an_estimator(trial, sloped=False, baseline=baseline)


# --- straight_through, identity_straight_through, reinforce, difference ---


check_straight_through = Check(
    part="estimators.straight_through",
    task="Straight-through Gumbel-Softmax, one gradient for each sample, (sample, gate): the loss sees choices of "
    "exactly 0 and 1, the gradient goes through the soft sample at `tau`. Use `through_a_sample` and "
    "`gumbel_softmax`.",
    hints=(
        "`through_a_sample` does all but one thing: it wants to be told how to draw.",
        "`gumbel_softmax(pairs, tau, hard=True, generator=…)` is that draw. `functools.partial` or a lambda makes it a "
        "function of the pairs alone.",
    ),
    body=_straight_through,
    minutes=5,
    difficulty=2,
    mistakes=mistakes.STRAIGHT_THROUGH,
)


check_identity_straight_through = Check(
    part="estimators.identity_straight_through",
    task="Identity straight-through, one gradient for each sample, (sample, gate): draw gates with `draw_gates`, let "
    "the loss see exactly these, and count dz/da as 1.",
    hints=(
        "The gradient of the loss at the gates *is* the estimate. Autograd only has to believe that gates and logits "
        "move together.",
        "Add to the gates something that is exactly 0 and has slope 1 in the logits.",
        "x - x.detach() is such a thing; put it in a bracket of its own, or rounding makes 0.9999999 of a 1.",
    ),
    body=_an_estimator,
    minutes=8,
    difficulty=2,
    importance="useful",
    mistakes=mistakes.IDENTITY_STRAIGHT_THROUGH,
)


check_reinforce = Check(
    part="estimators.reinforce",
    task="REINFORCE, one gradient for each sample, (sample, gate): the loss of drawn gates times the gradient of their "
    "log-probability, z - pi. With `baseline=True` subtract from that loss the loss of a second, independent draw. "
    "Return it detached.",
    hints=(
        "No gradient passes through the loss: it is a number that says how bad these gates were.",
        "(f(z) - b)(z - pi): a number for each row, times a number for each row and gate. `unsqueeze` lines them up.",
        "The baseline may not depend on z: call `draw_gates` and `loss` once more. The log-probability belongs to the "
        "first draw only.",
    ),
    body=_reinforce,
    minutes=10,
    difficulty=2,
    mistakes=mistakes.REINFORCE,
)


check_difference = Check(
    part="estimators.difference",
    task="The difference estimator, one gradient for each sample, (sample, gate): draw rows of gates, flip gate k "
    "alone, and take pi_k (1 - pi_k) times (the loss with gate k kept minus the loss with it skipped). No slope of "
    "the loss is used. Return it detached.",
    hints=(
        "For each gate two losses are needed: with the gate at 1 and with it at 0, the others as drawn. You have one "
        "of them already.",
        "Flip a column of a *copy*: 1 - z. Do it for one gate at a time.",
        "Loss here minus loss flipped is kept minus skipped where z_k = 1. Where z_k = 0 it is the opposite; which "
        "factor made of z_k is 1 there and -1 here?",
    ),
    body=lambda trial: _an_estimator(trial, drawn=False, sloped=False),
    minutes=12,
    difficulty=3,
    mistakes=mistakes.DIFFERENCE,
)

"""Checks of what lesson 03 builds: the exact gradient of an expected loss, and five ways to estimate it.

The problem is the lesson's: gates z of 0 and 1, each 1 with probability pi = sigmoid(logit), and a loss of a row of
them.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.questions import honours_the_generator, is_a_tensor
from skiprec_lite.estimators import Loss, draw_gates, exact_gradient
from skiprec_lite.gumbel import sample_gumbel

__all__ = [
    "check_difference",
    "check_draw_gates",
    "check_exact_gradient",
    "check_identity_straight_through",
    "check_reinforce",
    "check_relaxed",
    "check_straight_through",
    "check_through_a_sample",
]


def bent_loss(gates: Tensor) -> Tensor:
    """A loss with a slope, in which the first gate and the last one influence each other."""
    weights = torch.linspace(-1, 1.5, gates.shape[1], dtype=gates.dtype)
    return ((gates * weights).sum(dim=1) - 0.45) ** 2 + torch.sin(2 * gates[:, 0] * gates[:, -1])


def stepped_loss(gates: Tensor) -> Tensor:
    """A loss without a slope: a number for each row of 0 and 1, as from a table."""
    code = ((gates.detach() > 0.5).long() * 2 ** torch.arange(gates.shape[1])).sum(dim=1)
    return (code * 5 % 7).to(gates.dtype)


def _watched(loss: Loss) -> tuple[Loss, list[Tensor]]:
    """The loss, and a list that grows by the rows of gates that the loss is asked about."""
    seen: list[Tensor] = []

    def loss_of_gates(gates: Tensor) -> Tensor:
        seen.append(gates.detach().clone())
        return loss(gates)

    return loss_of_gates, seen


def _between(gates: Tensor) -> bool:
    """Whether a gate is neither 0 nor 1, by more than rounding."""
    return bool(((gates - gates.round()).abs() > 1e-5).any())


# --- exact_gradient ---


def _exact_gradient(trial: Trial) -> None:
    logits = trial.normal(3)
    loss, seen = _watched(bent_loss)
    found = trial.call(trial.answer, logits, loss)
    is_a_tensor(trial, found, logits, bent_loss)
    shape = tuple(found.shape)
    cause = {
        (): "this is one number, a loss perhaps: return its gradient",
        (8,): "return the gradient at the logits",
        (8, 3): "this is a gradient for each row of gates: sum over the rows",
    }
    trial.require(shape == (3,), f"found shape {shape}, expected (3,)", cause.get(shape, ""), logits, bent_loss)
    trial.require(not found.isnan().any(), f"{int(found.isnan().sum())} of 3 numbers are NaN", "", logits, bent_loss)
    again = trial.call(trial.answer, logits, bent_loss)
    trial.require(torch.equal(found, again), "two calls with the same arguments differ",
                  "do not draw gates: go through all of their rows", logits, bent_loss)  # fmt: skip
    trial.require(len(seen) > 0, "the loss was never asked", "call `loss` with rows of gates", logits, bent_loss)
    rows = torch.cat(seen)
    trial.require(not _between(rows), "the loss was asked about gates between 0 and 1",
                  "the loss at the mean gates is not the mean of the losses: ask about rows of 0 and 1 only",
                  logits, bent_loss)  # fmt: skip
    trial.require(
        bool(((rows == 0) | (rows == 1)).all()),
        "the loss was asked about gates that are neither 0 nor 1",
        "a skipped gate is 0, a kept one 1",
        logits,
        bent_loss,
    )
    trial.require(
        len(rows.unique(dim=0)) == 8,
        f"the loss was asked about {len(rows.unique(dim=0))} different rows of gates, expected all 8",
        "there are 2^n rows of n gates",
        logits,
        bent_loss,
    )
    for gates in (2, 3, 1, 5):
        trial.same(trial.normal(gates), bent_loss)
    trial.same(trial.normal(4), stepped_loss)  # no slope to use
    _leaves_as_it_was(trial)


def _leaves_as_it_was(trial: Trial) -> None:
    """The reader's logits do not start to collect gradients; the rows have the dtype of the logits."""
    logits = trial.normal(2, dtype=torch.float64)
    loss, seen = _watched(bent_loss)
    with trial.of_the_answer(logits, bent_loss):
        trial.answer(logits, loss)
    trial.require(not logits.requires_grad, "afterwards the logits it was given require a gradient",
                  "work on a detached copy of them", logits, bent_loss)  # fmt: skip
    dtype = seen[0].dtype
    trial.require(
        dtype == torch.float64,
        f"with logits of float64 the loss was given rows of {dtype}",
        "make the rows in the logits' dtype: the loss may multiply them by others of it",
        logits,
        bent_loss,
    )


def _rows(gates: int, dtype: torch.dtype) -> Tensor:
    """All 2^n rows."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=dtype)] * gates).view(-1, gates)


def _by_probability(probability: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Loss], Tensor]:
    """An exact gradient with these factors in a row's probability: (rows, logits) -> (row, gate)."""

    def exact(logits: Tensor, loss: Loss) -> Tensor:
        leaf = logits.detach().clone().requires_grad_()
        rows = _rows(len(logits), logits.dtype)
        return torch.autograd.grad((probability(rows, leaf).prod(dim=1) * loss(rows).detach()).sum(), leaf)[0]

    return exact


def _by_weight(weight: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Loss], Tensor]:
    """The sum over all rows of loss times a weight: (rows, pi) -> (row, gate)."""

    def exact(logits: Tensor, loss: Loss) -> Tensor:
        rows = _rows(len(logits), logits.dtype)
        return (loss(rows).unsqueeze(1) * weight(rows, torch.sigmoid(logits))).sum(dim=0)

    return exact


def _chance(rows: Tensor, pi: Tensor) -> Tensor:
    return torch.where(rows == 1, pi, 1 - pi).prod(dim=1, keepdim=True)


def _mean_slope(logits: Tensor, loss: Loss) -> Tensor:
    rows, pi = _rows(len(logits), logits.dtype).requires_grad_(), torch.sigmoid(logits)
    (slope,) = torch.autograd.grad(loss(rows).sum(), rows)
    return (_chance(rows.detach(), pi) * slope).sum(dim=0) * pi * (1 - pi)


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
    mistakes={
        "the probability of a row lacks the factors of its skipped gates: each of them has one too, 1 - pi":
            _by_probability(lambda rows, a: torch.where(rows == 1, torch.sigmoid(a), 1.0)),
        "keep and skip are swapped: a gate is 1 with probability sigmoid(logit)":
            _by_probability(lambda rows, a: torch.where(rows == 1, torch.sigmoid(-a), torch.sigmoid(a))),
        "the probabilities come from a softmax over the gates: each gate has a sigmoid of its own":
            _by_probability(lambda rows, a: torch.where(rows == 1, a.softmax(dim=0), 1 - a.softmax(dim=0))),
        "the logits are taken for probabilities: the sigmoid is missing":
            _by_probability(lambda rows, a: torch.where(rows == 1, a, 1 - a)),
        "this is the gradient with respect to the probabilities: go on to the logits": _by_weight(
            lambda rows, pi: _chance(rows, pi) * (rows - pi) / (pi * (1 - pi))),
        "this is the sum of log-probability gradients: weight each row by its probability": _by_weight(
            lambda rows, pi: rows - pi),
        "the sign is wrong: return the gradient, not the direction of descent": _by_weight(
            lambda rows, pi: _chance(rows, pi) * (pi - rows)),
        "this is a mean over the rows: their probabilities sum to 1 already": _by_weight(
            lambda rows, pi: _chance(rows, pi) * (rows - pi) / len(rows)),
        "this is the gradient through the loss, its slope at 0 and 1: differentiate the probabilities, the losses are "
        "constants": _mean_slope,
    },
)  # fmt: skip


# --- draw_gates ---


def _draw_gates(trial: Trial) -> None:
    for gates, samples, dtype in ((3, 40, torch.float32), (1, 6, torch.float64), (5, 1, torch.float32)):
        logits = trial.normal(gates, dtype=dtype)
        found = trial.call(trial.answer, logits, samples)
        is_a_tensor(trial, found, logits, samples)
        expected = (samples, gates)
        trial.require(
            found.shape == expected,
            f"found shape {tuple(found.shape)}, expected (sample, gate) = {expected}",
            "a row for each sample, a column for each gate",
            logits,
            samples,
        )
        trial.require(
            found.dtype == dtype,
            f"found {found.dtype}, expected {dtype}",
            "gates are numbers that a loss multiplies: give them the logits' dtype",
            logits,
            samples,
        )
        trial.require(
            bool(((found == 0) | (found == 1)).all()),
            "a gate is neither 0 nor 1",
            "draw a choice: compare a uniform number with the probability",
            logits,
            samples,
        )
    logits = torch.full((2,), 0.5)
    _each_its_own(trial, trial.call(trial.answer, logits, 2_000), logits, 2_000)
    for scale in (0.5, 2.0):
        logits = trial.normal(2, scale=scale)
        for gate in range(2):
            draw = lambda f, logits=logits, gate=gate: f(logits, DRAWS)[:, gate].double()
            trial.alike(draw, f"gate {gate}", logits, DRAWS)
    honours_the_generator(trial, trial.normal(4), 60)


def _each_its_own(trial: Trial, gates: Tensor, *given: Any, **options: Any) -> None:
    """Gates of one row, and the neighbours of a column, are alike as often as independent ones are."""
    share = gates.double().mean(dim=0)
    trial.require(bool(((share > 0) & (share < 1)).all()), "every row has the same gates",
                  "each sample needs random numbers of its own", *given, **options)  # fmt: skip
    next_row = (gates[1:] == gates[:-1]).double().mean() - (share**2 + (1 - share) ** 2).mean()
    trial.require(abs(float(next_row)) < 0.1, "rows that follow each other have the same gates too often",
                  "each sample needs random numbers of its own", *given, **options)  # fmt: skip
    same_row = (gates[:, 0] == gates[:, 1]).double().mean() - (share.prod() + (1 - share).prod())
    trial.require(abs(float(same_row)) < 0.1, "the gates of one row are alike too often",
                  "each gate needs a random number of its own", *given, **options)  # fmt: skip


def _uniform(logits: Tensor, samples: int) -> Tensor:
    return torch.rand(samples, len(logits), dtype=logits.dtype)


check_draw_gates = Check(
    part="estimators.draw_gates",
    task="Draw rows of gates, (samples, gate) in the logits' dtype: 1 with probability sigmoid(logit), else 0, all "
    "independent.",
    hints=(
        "A uniform number lies below p with probability p.",
        "One uniform number for each sample *and* gate: `torch.rand`, with `generator` and the logits' `dtype`.",
        "A comparison gives bool; turn it into numbers.",
    ),
    body=_draw_gates,
    minutes=5,
    difficulty=1,
    mistakes={
        "the comparison is the wrong way round: 1 has the probability sigmoid(logit)":
            lambda a, n, **o: (_uniform(a, n) > torch.sigmoid(a)).to(a.dtype),
        "the uniform number is compared with the logit: the sigmoid is missing":
            lambda a, n, **o: (_uniform(a, n) < a).to(a.dtype),
        "the random number is normal: `torch.rand` is uniform, `torch.randn` is not":
            lambda a, n, **o: (torch.randn(n, len(a)) < torch.sigmoid(a)).to(a.dtype),
        "normal noise at the logits: it would have to be logistic":
            lambda a, n, **o: (a + torch.randn(n, len(a)) > 0).to(a.dtype),
        "a softmax over the gates: each gate has a sigmoid of its own":
            lambda a, n, **o: (_uniform(a, n) < a.softmax(dim=0)).to(a.dtype),
        "every gate is a fair coin: the logits have no effect": lambda a, n, **o: (_uniform(a, n) < 0.5).to(a.dtype),
    },
)  # fmt: skip


# --- what the estimators share ---


def _shaped(trial: Trial, **options: Any) -> None:
    """One gradient for each sample, of any number of gates and samples."""
    for gates, samples in ((3, 40), (1, 7), (4, 1)):
        logits = trial.normal(gates)
        found = trial.call(trial.answer, logits, bent_loss, samples, **options)
        given = (logits, bent_loss, samples)
        is_a_tensor(trial, found, *given, **options)
        shape, expected = tuple(found.shape), (samples, gates)
        cause = "return a gradient for each sample, not their sum or mean" if shape in ((gates,), (1, gates)) else ""
        trial.require(shape == expected, f"found shape {shape}, expected (sample, gate) = {expected}", cause,
                      *given, **options)  # fmt: skip
        trial.require(bool(found.isfinite().all()), "a gradient is NaN or infinite", "", *given, **options)


def _asks_about(trial: Trial, *, hard: bool, drawn: bool = True, **options: Any) -> None:
    """The rows that the loss is asked about are choices (hard) or lie between, and are 1 as often as they should."""
    logits = trial.normal(8, scale=2.0)
    loss, seen = _watched(bent_loss)
    trial.call(trial.answer, logits, loss, 3_000, **options)
    given = (logits, bent_loss, 3_000)
    trial.require(len(seen) > 0, "the loss was never asked", "call `loss` with rows of gates", *given, **options)
    rows = torch.cat(seen)
    trial.require(rows.shape[1:] == (8,), f"the loss was given gates of shape {tuple(rows.shape)}",
                  "it takes rows, (row, gate)", *given, **options)  # fmt: skip
    if hard:
        trial.require(
            not _between(rows),
            "the loss was asked about gates between 0 and 1",
            "the loss has to see the choice itself, not a soft sample or a probability",
            *given,
            **options,
        )
        loss, seen = _watched(bent_loss)
        trial.call(trial.answer, 10 * trial.normal(40), loss, 50, **options)  # where rounding shows
        exact = torch.cat([rows.reshape(-1), *(x.reshape(-1) for x in seen)])
        trial.require(
            bool(((exact == 0) | (exact == 1)).all()),
            "the loss was asked about gates that miss 0 and 1 by a rounding error",
            "add a term that is exactly 0: build it in a bracket of its own",
            *given,
            **options,
        )
    else:
        trial.require(
            _between(rows),
            "the loss was asked about gates of 0 and 1 only",
            "the relaxed sample lies between: leave the hard step out",
            *given,
            **options,
        )
    if not drawn:
        return
    even = torch.full((2,), 0.5)
    loss, seen = _watched(bent_loss)
    trial.call(trial.answer, even, loss, 2_000, **options)
    _each_its_own(trial, (torch.cat(seen) > 0.5).float(), even, bent_loss, 2_000, **options)
    share, pi, tau = (rows > 0.5).float().mean(dim=0), torch.sigmoid(logits), options.get("tau", 1.0)
    causes = {
        "keep and skip are swapped": 1 - pi,
        "tau changes how often a gate is open: it has to divide the noise too": torch.sigmoid(logits / tau),
        "tau changes how often a gate is open: it has to divide the logit too": torch.sigmoid(logits * tau),
        "the logit counts twice: the gap between the logits of keep and skip is the logit itself":
            torch.sigmoid(2 * logits),
        "the sigmoid was taken twice: hand the logit on, not the probability": torch.sigmoid(pi),
    }  # fmt: skip
    far = lambda x: float((share - x).abs().max())
    worst = int((share - pi).abs().argmax())
    trial.require(
        far(pi) < 0.06,
        f"gate {worst} was open in {float(share[worst]):.0%} of the rows, expected {float(pi[worst]):.0%}",
        next((c for c, x in causes.items() if far(x) < 0.06), ""),
        *given,
        **options,
    )


def _distributed(trial: Trial, gates: int, **options: Any) -> None:
    """Each gate's gradient has the distribution of the package's."""
    logits = trial.normal(gates)
    logits = logits + 0.5 * logits.sign()  # at 0 several mistakes look the same
    size = trial.reference(logits, bent_loss, 500, generator=torch.Generator().manual_seed(1), **options).abs().mean()
    # A gradient often takes few values. Without some noise on top, answers that round otherwise would differ.
    blur = lambda x: x.detach().double() + 0.1 * float(size) * torch.rand(len(x), dtype=torch.float64)
    for gate in range(gates):
        draw = lambda f, gate=gate: blur(f(logits, bent_loss, DRAWS, **options)[:, gate])
        trial.alike(draw, f"the gradient of gate {gate}", logits, bent_loss, DRAWS, **options)


def _without_a_graph(trial: Trial, **options: Any) -> None:
    logits = trial.normal(3).requires_grad_()
    with trial.of_the_answer(logits.detach(), bent_loss, 5, **options):
        found = trial.answer(logits, bent_loss, 5, **options)
    trial.require(not found.requires_grad, "the estimates hang on the graph of the logits",
                  "an estimate is a number to use: detach it", logits.detach(), bent_loss, 5, **options)  # fmt: skip


def _unbiased(trial: Trial, **options: Any) -> None:
    """The mean of many estimates is the exact gradient, also where the loss has no slope."""
    logits = trial.normal(3)
    found = trial.call(trial.answer, logits, stepped_loss, DRAWS, **options).double()
    exact = exact_gradient(logits.double(), stepped_loss)
    error = found.std(dim=0) / len(found) ** 0.5
    away = ((found.mean(dim=0) - exact).abs() - 1e-5) / error.clamp_min(1e-9)
    gate = int(away.argmax())
    trial.require(
        away[gate] < 6,
        f"the mean gradient of gate {gate} is {float(found.mean(dim=0)[gate]):.4g}, the exact one "
        f"{float(exact[gate]):.4g}",
        "this estimator is unbiased, and it needs no slope of the loss",
        logits,
        stepped_loss,
        DRAWS,
        **options,
    )


# --- through_a_sample ---


class _NoisySoftmax:
    """A draw of pairs whose noise is the same for every answer, also for one that draws row after row."""

    __name__ = "noisy_softmax"

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, pairs: Tensor) -> Tensor:
        place = torch.arange(self.drawn, self.drawn + pairs.numel(), dtype=pairs.dtype).view(pairs.shape)
        self.drawn += pairs.numel()
        return torch.softmax((pairs + 2 * torch.sin(1.7 * place)) / 3, dim=-1)


def through_a_sample(trial: Trial) -> None:
    for gates, samples in ((3, 20), (1, 6), (4, 1)):
        logits = trial.normal(gates)
        given = (logits, bent_loss, samples, _NoisySoftmax())
        seen = _pairs_of(trial, logits, samples)
        trial.require(len(seen) > 0, "`draw` was never called", "", *given)
        wrong = [tuple(x.shape) for x in seen if x.dim() != 3 or x.shape[1:] != (gates, 2)]
        trial.require(not wrong, f"`draw` was given shape {(wrong or [()])[0]}, expected (sample, gate, 2)",
                      "two logits for each gate of each sample, on the last axis", *given)  # fmt: skip
        pairs = torch.cat(seen)
        trial.require(len(pairs) == samples, f"`draw` was given {len(pairs)} samples, expected {samples}",
                      "every sample needs a copy of the logits: each draws its own gates", *given)  # fmt: skip
        gap, pi = pairs[..., 0] - pairs[..., 1], torch.sigmoid(logits)
        causes = {
            "the skip logit comes first: the pair is (keep, skip)": -logits,
            "the gap is doubled: with the skip logit at 0 it is the logit itself": 2 * logits,
            "these are probabilities: `draw` wants logits": 2 * pi - 1,
        }
        cause = next((c for c, x in causes.items() if torch.allclose(gap, x.expand_as(gap), atol=1e-4)), "")
        trial.require(torch.allclose(gap, logits.expand_as(gap), atol=1e-4), "in the pairs, keep minus skip is not the "
                      "gate's logit", cause, *given)  # fmt: skip
    for gates, samples in ((3, 20), (1, 6), (4, 1)):
        logits = trial.normal(gates)
        found = trial.call(trial.answer, logits, bent_loss, samples, _NoisySoftmax())
        trial.require(
            type(found) is not Tensor or found.shape != (gates,),
            f"found shape {(gates,)}, expected {(samples, gates)}",
            "autograd summed over the samples: give each of them a leaf row of its own",
            logits,
            bent_loss,
            samples,
            _NoisySoftmax(),
        )
        trial.same(logits, bent_loss, samples, _NoisySoftmax())


def _pairs_of(trial: Trial, logits: Tensor, samples: int) -> list[Tensor]:
    """What the answer hands to `draw`."""
    seen: list[Tensor] = []
    softmax = _NoisySoftmax()

    def draw(pairs: Tensor) -> Tensor:
        seen.append(pairs.detach().clone())
        return softmax(pairs)

    trial.call(trial.answer, logits, bent_loss, samples, draw)
    return seen


def _through(
    gates_of: Callable[[Tensor], Tensor] = lambda sample: sample[..., 0], scale: Callable[[int], float] = lambda n: 1.0
) -> Callable[..., Tensor]:
    """The way through a sample with another step at its end."""

    def through(logits: Tensor, loss: Loss, samples: int, draw: Callable[[Tensor], Tensor]) -> Tensor:
        leaf = logits.detach().expand(samples, -1).clone().requires_grad_()
        pairs = torch.stack([leaf, torch.zeros_like(leaf)], dim=-1)
        return torch.autograd.grad(loss(gates_of(draw(pairs))).sum(), leaf)[0] * scale(samples)

    return through


def _at_the_loss(logits: Tensor, loss: Loss, samples: int, draw: Callable[[Tensor], Tensor]) -> Tensor:
    gates = draw(torch.stack([logits, torch.zeros_like(logits)], dim=-1).expand(samples, -1, -1))[..., 0]
    leaf = gates.detach().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]


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
    body=through_a_sample,
    minutes=10,
    difficulty=3,
    mistakes={
        "this is the gradient of the mean loss: each sample's gradient comes out divided by the number of samples":
            _through(scale=lambda n: 1 / n),
        "you take the second entry of a sample, the skip gate: the first one is the gate":
            _through(lambda s: s[..., 1]),
        "the sign is wrong: return the gradient, not the direction of descent": _through(scale=lambda n: -1.0),
        "this is the loss's slope at the gates: go on through the sample to the logits": _at_the_loss,
    },
)  # fmt: skip


# --- straight_through and relaxed ---


def _with_tau(trial: Trial, *, hard: bool) -> None:
    _shaped(trial, tau=1.0)
    _asks_about(trial, hard=hard, tau=0.5)
    _distributed(trial, 1, tau=0.6)
    _distributed(trial, 2, tau=4.0)
    honours_the_generator(trial, trial.normal(4), bent_loss, 30, tau=1.0)


def _mistaken_sample(soft: Callable[[Tensor, Tensor, float], Tensor], *, hard: bool, scale: float = 1.0) -> Callable:
    """An estimator with another soft sample, of (logits, logistic noise, tau)."""

    def estimate(logits: Tensor, loss: Loss, samples: int, *, tau: float = 1.0, generator: object = None) -> Tensor:
        pair = sample_gumbel((2, samples, len(logits)), dtype=logits.dtype)
        leaf, noise = logits.expand(samples, -1).clone().requires_grad_(), pair[0] - pair[1]
        y = soft(leaf, noise, tau)
        gates = (leaf + noise > 0).to(y.dtype) + (y - y.detach()) if hard else y
        return torch.autograd.grad(loss(gates).sum(), leaf)[0] * scale

    return estimate


def _tau_mistakes(*, hard: bool) -> dict[str, Callable[..., Tensor]]:
    sample = partial(_mistaken_sample, hard=hard)
    right = lambda a, noise, tau: torch.sigmoid((a + noise) / tau)
    mistakes = {
        "tau has no effect: it divides the noisy logits": sample(lambda a, noise, tau: torch.sigmoid(a + noise)),
        "you multiply by tau: divide by it": sample(lambda a, noise, tau: torch.sigmoid((a + noise) * tau)),
        "tau stands on one side only, at the logit: it has to divide the noise too":
            sample(lambda a, noise, tau: torch.sigmoid(a / tau + noise)),
        "tau stands on one side only, at the noise: it has to divide the logit too":
            sample(lambda a, noise, tau: torch.sigmoid(a + noise / tau)),
        "the sign is wrong": sample(right, scale=-1.0),
        "this is the gradient of the mean loss: each sample's gradient comes out divided by the number of samples":
            sample(right, scale=1 / DRAWS),
    }  # fmt: skip
    if hard:
        mistakes |= {
            "the division by tau is missing in the slope y(1 - y)/tau":
                sample(lambda a, noise, tau: tau * right(a, noise, tau)),
            "this is the slope of the probability, pi(1 - pi): the sample brings y(1 - y)/tau of its own":
                sample(lambda a, noise, tau: torch.sigmoid(a)),
            "dz/da counts as 1: that is identity straight-through; here the soft sample's slope belongs to it":
                sample(lambda a, noise, tau: a),
            "the noise of the slope is another draw: value and gradient belong to one sample":
                sample(lambda a, noise, tau: right(a, noise.flip(0), tau)),
        }  # fmt: skip
    return mistakes


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
    body=lambda trial: _with_tau(trial, hard=True),
    minutes=5,
    difficulty=2,
    mistakes=_tau_mistakes(hard=True),
)

check_relaxed = Check(
    part="estimators.relaxed",
    task="Gumbel-Softmax without the hard step, one gradient for each sample, (sample, gate): the loss sees soft gates "
    "between 0 and 1. Use `through_a_sample` and `gumbel_softmax`.",
    hints=(
        "What has to change in `straight_through`? One word.",
        "The same draw, but not `hard`.",
    ),
    body=lambda trial: _with_tau(trial, hard=False),
    minutes=3,
    difficulty=1,
    mistakes=_tau_mistakes(hard=False),
)


# --- identity_straight_through ---


def _identity(trial: Trial) -> None:
    _shaped(trial)
    _asks_about(trial, hard=True)
    for gates in (1, 2):
        _distributed(trial, gates)
    honours_the_generator(trial, trial.normal(4), bent_loss, 30)


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
    body=_identity,
    minutes=8,
    difficulty=2,
    mistakes={
        "a slope pi(1 - pi) comes in: here dz/da counts as 1":
            _mistaken_sample(lambda a, noise, tau: torch.sigmoid(a), hard=True),
        "the soft sample's slope y(1 - y) comes in: here dz/da counts as 1":
            _mistaken_sample(lambda a, noise, tau: torch.sigmoid(a + noise), hard=True),
        "the sign is wrong": _mistaken_sample(lambda a, noise, tau: -a, hard=True),
        "this is the gradient of the mean loss: each sample's gradient comes out divided by the number of samples":
            _mistaken_sample(lambda a, noise, tau: a / DRAWS, hard=True),
    },
)  # fmt: skip


# --- reinforce ---


def _reinforce(trial: Trial) -> None:
    for options in ({}, {"baseline": True}):
        _shaped(trial, **options)
        _asks_about(trial, hard=True, **options)
        if options:
            _has_a_second_draw(trial)
        _distributed(trial, 1, **options)
        _distributed(trial, 2, **options)
        _unbiased(trial, **options)
        _without_a_graph(trial, **options)
    for options in ({}, {"baseline": True}):
        honours_the_generator(trial, trial.normal(4), bent_loss, 30, **options)


def _has_a_second_draw(trial: Trial) -> None:
    logits, samples = trial.normal(3), 200
    loss, seen = _watched(bent_loss)
    given, options = (logits, bent_loss, samples), {"baseline": True}
    found = trial.call(trial.answer, logits, loss, samples, **options)
    trial.require(
        bool((found != 0).any()),
        "every gradient is 0",
        "the baseline is the loss of the same draw: it needs a second, independent one",
        *given,
        **options,
    )
    rows = torch.cat(seen)
    trial.require(
        len(rows) >= 2 * samples,
        f"the loss was asked about {len(rows)} rows, expected {2 * samples}",
        "the baseline is the loss of a second, independent draw: one made from the same draw depends on these gates",
        *given,
        **options,
    )
    score = rows[:samples, 0] - torch.sigmoid(logits[0])
    baseline = bent_loss(rows[:samples]) - found[:, 0] / score
    trial.require(
        baseline.std() > 1e-3 or baseline.abs().max() < 1e-3,
        "the baseline is one number for all samples",
        "take the loss of a second draw row by row",
        *given,
        **options,
    )


def _score(weigh: Callable[[Tensor, Tensor, bool], Tensor] | None = None,
           slope: Callable[[Tensor, Tensor], Tensor] | None = None) -> Callable[..., Tensor]:  # fmt: skip
    """REINFORCE with another advantage, of (losses, losses of a second draw, baseline), or another slope of log p.

    Another slope shows without a baseline already: with one it is not the cause.
    """
    right = lambda f, second, baseline: f - second if baseline else f

    def estimate(logits: Tensor, loss: Loss, samples: int, *, baseline: bool = False, generator: Any = None) -> Tensor:
        if baseline and slope:
            raise ValueError("not the cause")
        gates, others, pi = draw_gates(logits, samples), draw_gates(logits, samples), torch.sigmoid(logits)
        advantage = (weigh or right)(loss(gates), loss(others), baseline)
        return (advantage.unsqueeze(1) * (slope(gates, pi) if slope else gates - pi)).detach()

    return estimate


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
    mistakes={
        "the gradient of the log-probability has the wrong sign: it is z - pi": _score(slope=lambda z, pi: pi - z),
        "this is the gradient with respect to pi: for the logits it is z - pi":
            _score(slope=lambda z, pi: (z - pi) / (pi * (1 - pi))),
        "the log-probability of skipped gates is missing: a gate of 0 has one too":
            _score(slope=lambda z, pi: z * (1 - pi)),
        "the - pi is missing in the gradient of the log-probability": _score(slope=lambda z, pi: z),
        "the probability's gradient stands where that of its logarithm belongs: z - pi":
            _score(slope=lambda z, pi: (2 * z - 1) * pi * (1 - pi)),
        "the loss is missing: it weighs each row": _score(lambda f, second, b: torch.ones_like(f)),
        "the baseline is not used": _score(lambda f, second, b: f),
        "the baseline is added: subtract it": _score(lambda f, second, b: f + second if b else f),
        "the difference is the wrong way round: from the first draw's loss subtract the baseline":
            _score(lambda f, second, b: second - f if b else f),
        "a baseline is subtracted though baseline=False": _score(lambda f, second, b: f - second),
        "each gradient is divided by the number of samples": _score(lambda f, second, b: (
            f - second if b else f) / len(f)),
    },
)  # fmt: skip


# --- difference ---


def _difference(trial: Trial) -> None:
    _shaped(trial)
    _asks_about(trial, hard=True, drawn=False)
    for gates in (3, 1):
        _distributed(trial, gates)
    _unbiased(trial)
    honours_the_generator(trial, trial.normal(4), bent_loss, 30)
    _without_a_graph(trial)


def _flipping(
    column: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    flip: Callable[[Tensor, int], Tensor] | None = None,
) -> Callable[..., Tensor]:
    """The difference estimator with another column, of (z_k, loss here, loss flipped, pi_k), or another flip."""

    def one(gates: Tensor, gate: int) -> Tensor:
        flipped = gates.clone()
        flipped[:, gate] = 1 - flipped[:, gate]
        return flipped

    def estimate(logits: Tensor, loss: Loss, samples: int, *, generator: Any = None) -> Tensor:
        gates, pi = draw_gates(logits, samples), torch.sigmoid(logits)
        flipped = [(flip or one)(gates, gate) for gate in range(len(logits))]
        columns = [column(gates[:, k], loss(gates), loss(other), pi[k]) for k, other in enumerate(flipped)]
        return torch.stack(columns, dim=1)

    return estimate


def _by_slope(logits: Tensor, loss: Loss, samples: int, *, generator: Any = None) -> Tensor:
    gates = draw_gates(logits, samples).requires_grad_()
    return torch.autograd.grad(loss(gates).sum(), gates)[0] * torch.sigmoid(logits) * torch.sigmoid(-logits)


def _up_to(gates: Tensor, gate: int) -> Tensor:
    """Flip the gates 0 ... gate."""
    return torch.where(torch.arange(gates.shape[1]) <= gate, 1 - gates, gates)


_right_column = lambda z, here, flipped, pi: pi * (1 - pi) * (2 * z - 1) * (here - flipped)
_difference_mistakes: Mapping[str, Callable[..., Tensor]] = {
    "the factor pi(1 - pi) is missing": _flipping(lambda z, here, flipped, pi: (2 * z - 1) * (here - flipped)),
    "the sign does not turn with the gate: wanted is kept minus skipped, whichever of the two was drawn":
        _flipping(lambda z, here, flipped, pi: pi * (1 - pi) * (here - flipped)),
    "the sign is wrong: wanted is kept minus skipped":
        _flipping(lambda z, here, flipped, pi: -_right_column(z, here, flipped, pi)),
    "all gates are flipped at once: flip one at a time": _flipping(_right_column, lambda gates, k: 1 - gates),
    "the flips pile up: flip one gate of the row as it was drawn": _flipping(_right_column, _up_to),
    "the size of the difference without its sign": _flipping(
        lambda z, here, flipped, pi: pi * (1 - pi) * (here - flipped).abs()),
    "the factor is pi, it has to be pi(1 - pi)": _flipping(
        lambda z, here, flipped, pi: pi * (2 * z - 1) * (here - flipped)),
    "the factor is z - pi, as in REINFORCE: here it is pi(1 - pi), times kept minus skipped": _flipping(
        lambda z, here, flipped, pi: (z - pi) * (here - flipped)),
    "this is the loss's slope at the gate: take its difference, the loss kept minus the loss skipped": _by_slope,
    "each gradient is divided by the number of samples": _flipping(
        lambda z, here, flipped, pi: _right_column(z, here, flipped, pi) / len(z)),
}  # fmt: skip

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
    body=_difference,
    minutes=12,
    difficulty=3,
    mistakes=_difference_mistakes,
)  # fmt: skip

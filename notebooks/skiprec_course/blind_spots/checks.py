"""Checks of what lesson 10 builds: what a gate is worth, and two other ways to teach gates."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from skiprec_course.blind_spots import mistakes
from skiprec_course.comparing import difference
from skiprec_course.engine import Check, Trial
from skiprec_course.models import BLOCKS, a_backbone, a_skiprec, a_sure_skiprec, is_a_loss, learning, some_windows
from skiprec_course.questions import is_a_tensor
from skiprec_lite.enumeration import gate_differences
from skiprec_lite.gate_losses import losses_at
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

__all__ = [
    "check_SteeredCost", "check_all_patterns", "check_difference_loss", "check_gate_differences",
    "check_gate_slopes", "check_pattern_losses", "check_per_row",
]  # fmt: skip


# --- per_row ---


def _per_row(trial: Trial) -> None:
    for lengths, width in (((8, 3, 1, 8, 5), 8), ((4,), 6)):
        batch = some_windows(trial, lengths, width)
        for dtype in (torch.float32, torch.float64):
            values = trial.normal(int(batch.scored().sum()), dtype=dtype)
            is_a_tensor(trial, trial.call(trial.answer, values, batch), values, batch)
            trial.same(values, batch, gradients=True)
    targets = torch.cat([batch.targets, 0 * batch.targets, batch.targets])  # the row in the middle has none
    gap = Windows(batch.items.repeat(3, 1), targets, batch.cut.repeat(3), torch.arange(3))
    trial.same(trial.normal(int(gap.scored().sum())), gap)


check_per_row = Check(
    part="gate_losses.per_row",
    task="`values` holds one number for each scored position (`batch.scored()`), row by row, as `losses_at` returns "
    "them. Return each row's mean, (row,); NaN for a row that has no scored position.",
    hints=(
        "To which row does each number belong? `batch.scored()` knows: the numbers come in the order of its True "
        "entries.",
        "`mask.nonzero()[:, 0]` is the row of each True entry. Then add up the numbers of each row: `index_add`, or a "
        "loop over `values.split(counts)`.",
        "Divide by how many positions of the row are *scored*, not by how many there are.",
    ),
    body=_per_row,
    minutes=10,
    difficulty=2,
    importance="useful",
    mistakes=mistakes.PER_ROW,
)


# --- all_patterns ---


def _all_patterns(trial: Trial) -> None:
    for blocks in (3, 2, 1, 6):
        found = trial.call(trial.answer, blocks)
        is_a_tensor(trial, found, blocks)
        trial.require(len(found.unique(dim=0)) == len(found), "a pattern occurs twice", "", blocks)
        trial.same(blocks)


check_all_patterns = Check(
    part="enumeration.all_patterns",
    task="Return all patterns of gates, (2^blocks, blocks), as floating 0 and 1, counted up in binary: the first row "
    "keeps nothing, the last one everything, and the *last* block's gate changes fastest (00, 01, 10, 11).",
    hints=(
        "Write 0, 1, 2, 3 in binary, one below the other: these are the rows for two blocks.",
        "`number >> k & 1` is bit k of a number; `itertools.product([0, 1], repeat=blocks)` counts in the same order.",
    ),
    body=_all_patterns,
    minutes=5,
    difficulty=1,
    importance="useful",
    mistakes=mistakes.ALL_PATTERNS,
)


# --- pattern_losses, gate_slopes, gate_differences ---


def _measured(trial: Trial, tables: list[Tensor]) -> None:
    """A measurement of a network: its values under these gates, and the network left as it was."""

    def with_traces(measure: Any) -> Any:
        def run(cases: Windows, gates: Tensor) -> dict[str, Any]:
            net, evaluated = a_backbone(trial.seed, dropout=0.4, embedding_dropout=0.4), a_backbone(trial.seed).eval()
            found, again, _ = (measure(n, cases, gates) for n in (net, net, evaluated))
            left = [*net.parameters()]
            return {
                "two calls give the same": not difference(again, found),
                "the result hangs on a graph": getattr(found, "requires_grad", False),
                "a network in training mode stays in it": all(m.training for m in net.modules()),
                "a network in eval mode stays in it": not evaluated.training,
                "gradients are left at the parameters": any(p.grad is not None for p in left),
                "the parameters still require a gradient": all(p.requires_grad for p in left),
                "the result": found,
            }

        return run

    for lengths, width in (((8, 3, 1, 8, 5), 8), ((4,), 4)):
        cases = some_windows(trial, lengths, width)
        for table in tables:
            trial.same_results(with_traces, cases, table[: len(cases)] if len(table) == 5 else table)


def _for_patterns(trial: Trial) -> None:
    patterns = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 1]], dtype=torch.float64)
    _measured(trial, [patterns, patterns[2:3]])


def _at_gates(trial: Trial) -> None:
    _measured(trial, [_mixed(trial), torch.ones(5, BLOCKS).double(), torch.zeros(5, BLOCKS).double()])


def _mixed(trial: Trial) -> Tensor:
    """Gates of five rows; each block is kept by some and skipped by others."""
    gates = (torch.rand(5, BLOCKS, generator=trial.generator) < 0.5).double()
    gates[:2] = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    return gates


check_pattern_losses = Check(
    part="enumeration.pattern_losses",
    task="Return each row's mean loss under each of these patterns (pattern, block): a tensor (pattern, row). In eval "
    "mode, without a gradient; afterwards the backbone is in the mode in which it came.",
    hints=(
        "One pattern at a time: every row of the cases runs under the same gates. `expand` repeats a row.",
        "`losses_at`, then `per_row`, then stack what comes back for each pattern.",
        "`with in_eval_mode(backbone):` puts dropout to sleep and restores the mode; `@torch.no_grad()` saves the "
        "graph.",
    ),
    body=_for_patterns,
    minutes=10,
    difficulty=2,
    mistakes=mistakes.PATTERN_LOSSES,
)


check_gate_slopes = Check(
    part="enumeration.gate_slopes",
    task="Return the slope dL/dg of each row's *own* mean loss at its gates, (row, block): a gradient with respect to "
    "`gates`. In eval mode; the backbone, its mode and its parameters' `.grad` stay as they were.",
    hints=(
        "Make the gates a leaf of their own (`detach().clone().requires_grad_()`), and ask autograd for the slope "
        "there.",
        "Rows do not touch one another. So one backward pass gives all slopes, if you take the gradient of the right "
        "number: which one does not shrink a row's slope when more rows come in?",
        "`torch.autograd.grad(number, leaf)` returns the slope and writes nothing into `.grad`.",
    ),
    body=_at_gates,
    minutes=15,
    difficulty=3,
    mistakes=mistakes.GATE_SLOPES,
)


check_gate_differences = Check(
    part="enumeration.gate_differences",
    task="Return what each block is worth to each row, (row, block): the row's mean loss with this block kept minus "
    "that with it skipped, its other gates as given. Below 0 where the block helps. In eval mode, without a gradient, "
    "the backbone left as it was.",
    hints=(
        "Flip one block's gate in all rows at once, leave the others, and compare with the loss as it is.",
        "A row that keeps the block has L(kept) before the flip, a row that skips it after. So half of the signs turn "
        "round: 2g - 1 is +1 for kept and -1 for skipped.",
        "Begin each block with a fresh copy of the gates: a flipped gate has to be put back.",
    ),
    body=_at_gates,
    minutes=15,
    difficulty=3,
    mistakes=mistakes.GATE_DIFFERENCES,
)


# --- difference_loss ---


class _Given(nn.Module):
    """Stands in for a policy: a parameter of logits (row, block, keep / skip), whatever the items are."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.clone())

    def forward(self, items: Tensor) -> Tensor:
        return self.logits


def _with_logits(trial: Trial, logits: Tensor, **settings: Any) -> SkipRec:
    """A model whose policy has these logits; in training mode."""
    model = a_skiprec(SkipRec, trial.seed, tau=10.0, blocks=logits.shape[1], **settings)
    model.policy = _Given(logits)
    return model.train()


def _taught(model: SkipRec, loss: Any, *given: Any, **options: Any) -> Tensor:
    """The gradient at the logits (row, block, keep / skip)."""
    return learning(loss(model, *given, **options), model)["the gradient at policy.logits"]


def _difference_loss(trial: Trial) -> None:
    batch = some_windows(trial)
    _samples(trial, trial.answer, batch)
    _one_block(trial, batch)
    _many_blocks(trial, batch)
    _same_dropout(trial, batch)
    sure = a_sure_skiprec(SkipRec, trial.seed, batch.items, batch.cut).train()
    trial.same_results(lambda of: lambda *given: _at_the_backbone(of(sure, *given), sure), batch, 0.7)


def _at_the_backbone(loss: Tensor, model: SkipRec) -> dict[str, Tensor]:
    return {name: gradient for name, gradient in learning(loss, model).items() if "backbone" in name}


def _one_block(trial: Trial, batch: Windows) -> None:
    """With a single block there is nothing to draw but the gate, and its difference is the same for both gates."""
    logits = trial.normal(5, 1, 2, dtype=torch.float64, scale=1.5)
    name = "the gradient at the logits (row, block, keep / skip)"
    make = lambda of: lambda *given, **o: {name: _taught(_with_logits(trial, logits), of, *given, **o)}
    for options in ({"pull": 0.0}, {"exact": True}, {"exact": True, "pull": 0.3}, {"pull": 0.3}, {}):
        trial.same_results(make, batch, 0.7, **options)


def _many_blocks(trial: Trial, batch: Windows) -> None:
    """Sure gates of three blocks: in each row one block, drawn at random, gets what its flip is worth."""
    cost, gates = 0.9, _mixed(trial)
    model = _with_logits(trial, 1000 * torch.stack([gates, 1 - gates], dim=-1))
    with trial.of_the_answer(batch, cost, pull=0.0):
        found = torch.stack([_taught(model, trial.answer, batch, cost, pull=0.0)[..., 0] for _ in range(20)])
    hit = found != 0  # (call, row, block)
    trial.require((hit.sum(dim=-1) == 1).all(), f"not exactly one of {BLOCKS} blocks of each row has a gradient", "",
                  batch, cost, pull=0.0)  # fmt: skip
    trial.require((hit != hit[:, :1]).any(), "in every step all rows flip the same block", "", batch, cost)
    trial.require(hit.any(dim=1).any(dim=0).all(), "a block was never flipped", "draw among all blocks", batch, cost)
    expected = (gate_differences(model.backbone, batch, gates) + cost / BLOCKS) / 4 / len(batch)
    problem = difference(torch.where(hit.any(dim=0), found.sum(dim=0) / hit.sum(dim=0), expected), expected)
    trial.require(not problem, f"the gradient of the flipped gate's logit (row, block): {problem}", "",
                  batch, cost, pull=0.0)  # fmt: skip


def _same_dropout(trial: Trial, batch: Windows) -> None:
    """Where the blocks do nothing, a flip changes nothing, whatever the dropout drops: if it drops the same twice."""
    model = _with_logits(trial, trial.normal(5, BLOCKS, 2, dtype=torch.float64), embedding_dropout=0.5)
    for scale in (p for name, p in model.backbone.named_parameters() if name.endswith("scale")):
        nn.init.zeros_(scale)
    with trial.of_the_answer(batch, 0.0, pull=0.0):
        found = _taught(model, trial.answer, batch, 0.0, pull=0.0)
    trial.require(found.abs().max() < 1e-12, "with dropout, and blocks that change nothing, the logits still get a "
                  "gradient", "", batch, 0.0)  # fmt: skip


def _samples(trial: Trial, loss: Any, batch: Windows) -> None:
    """An undecided policy teaches the backbone now this, now that."""
    model = a_skiprec(SkipRec, trial.seed).train()
    with trial.of_the_answer(batch, 0.7):
        found = [_at_the_backbone(is_a_loss(trial, loss(model, batch, 0.7)), model) for _ in range(6)]
    trial.require(any(g.any() for g in found[0].values()), "no gradient reaches the backbone", "", batch, 0.7)
    trial.require(any(difference(one, found[0]) for one in found), "six calls with an undecided policy teach the "
                  "backbone the same", "", batch, 0.7)  # fmt: skip


check_difference_loss = Check(
    part="gate_losses.difference_loss",
    task="Sample gates (no gradient through them), flip one random gate k of each row, and let d be the row's own mean "
    "loss with the block kept minus that with it skipped. Return a number whose gradient trains the backbone by the "
    "mean loss, and gives the logit a_k (keep minus skip) (d + cost / blocks) * f, averaged over rows: f is 1/4, or pi "
    "(1 - pi) if `exact`. Not exact: add pull * mean of all a². Same dropout in both passes.",
    hints=(
        "Two forward passes: one under the sampled gates, with a gradient for the backbone; one under the flipped "
        "gates, without. What differs is one gate in each row.",
        'd is kept minus skipped. Was the gate 1 when you sampled it? Then the first pass is "kept"; else turn the '
        "sign.",
        "You want a given number g as the gradient at a_k. The gradient of g * a_k is g, if g itself has none.",
        "`torch.get_rng_state()` before the first pass and `torch.set_rng_state(…)` before the second, inside "
        "`torch.random.fork_rng(devices=[])`, drop the same numbers twice.",
    ),
    body=_difference_loss,
    minutes=35,
    difficulty=5,
    mistakes=mistakes.DIFFERENCE_LOSS,
)


# --- SteeredCost ---


def _steered_cost(trial: Trial) -> None:
    batch = some_windows(trial)
    model, worse = _sure(trial, batch)
    _begins(trial, model, batch)
    _samples(trial, lambda *given: trial.answer()(*given), batch)
    without_steering = lambda of: lambda *given: learning(of(tolerance=0.1, rate=0.0)(model, *given), model)
    trial.same_results(without_steering, batch, 0.8)
    for tolerance, rate in ((worse + 9, 0.02), (worse - 9, 0.05), (0.0, 0.3), (worse + 1e-3, 0.3), (worse - 1e-3, 0.3)):
        _steers(trial, model, batch, tolerance, rate, worse)


def _sure(trial: Trial, batch: Windows) -> tuple[SkipRec, float]:
    """A model of sure gates, and how far the loss under them is above full depth's: it is, by 0.02 at least."""
    for attempt in itertools.count():
        model = a_sure_skiprec(SkipRec, trial.seed + 1000 * attempt, batch.items, batch.cut).train()
        with torch.no_grad():
            gates = model.gates(batch.items, batch.cut, sample=False)
            loss, full = (float(losses_at(model.backbone, batch, g).mean()) for g in (gates, torch.ones_like(gates)))
        if loss > full + 0.02:
            return model, loss - full
    raise AssertionError("unreachable")


def _begins(trial: Trial, model: SkipRec, batch: Windows) -> None:
    """What a new one begins with, after another one has made a step."""
    with trial.of_the_answer():
        is_a_loss(trial, trial.answer()(model, batch, 0.5))
        steered = trial.answer()
    for name, value in (("tolerance", 0.05), ("rate", 0.02), ("factor", 1.0)):
        problem = difference(getattr(steered, name, "not there"), value)
        trial.require(
            not problem, f"a new one's {name}: {problem}", "set self.factor in __init__: others have moved on"
        )


def _steers(trial: Trial, model: SkipRec, batch: Windows, tolerance: float, rate: float, worse: float) -> None:
    """Over three steps: how much dearer the gates are. Each step may use the factor before it or after it is moved."""
    given: dict[str, Any] = {"tolerance": tolerance, "rate": rate}
    cost, moved = 0.8, 1 + rate if tolerance > worse else 1 - rate
    gates = model.gates(batch.items, batch.cut, sample=False)
    base, share = float(losses_at(model.backbone, batch, gates).mean().detach()), float(gates.mean())
    with trial.of_the_answer(**given):
        steered = trial.answer(**given)
        factors = [(float(steered(model, batch, cost).detach()) - base) / (cost * share) for _ in range(3)]
    late = abs(factors[0] - 1) < 1e-7
    for step, factor in enumerate(factors, 0 if late else 1):
        trial.require(abs(factor - moved**step) < 1e-7, f"the loss is {worse:.3f} above full depth's: in step "
                      f"{step + late} the cost is multiplied by {factor:.5g}, expected {moved**step:.5g}", "",
                      **given)  # fmt: skip


check_SteeredCost = Check(
    part="gate_losses.SteeredCost",
    task="A class whose object is called as a loss, (model, batch, cost): straight-through loss with the cost "
    "multiplied by `self.factor`, which starts at 1. At each call compare the mean loss under the sampled gates, "
    "without the cost, with full depth's on the same batch: while it is less than `tolerance` above, the factor grows "
    "by the share `rate`, else it shrinks by that share.",
    hints=(
        "An object that is called has a method `__call__`; what it has to remember from call to call lives in `self`.",
        "Two losses on the same batch: one under sampled gates, which trains; one under gates of 1, which only "
        "compares.",
        "Growing by a share of 0.02 means times 1.02, shrinking times 0.98. When does skipping do no harm?",
    ),
    body=_steered_cost,
    minutes=15,
    difficulty=3,
    importance="extra",
    mistakes=mistakes.STEERED_COST,
)

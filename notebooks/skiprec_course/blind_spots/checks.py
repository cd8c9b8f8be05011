"""Checks of what lesson 10 builds: what a gate is worth, and two other ways to teach gates."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import Check, Trial
from skiprec_course.models import (
    BLOCKS,
    a_backbone,
    a_skiprec,
    a_sure_skiprec,
    copied,
    is_a_loss,
    learning,
    reaches,
    some_windows,
    unchanged,
)
from skiprec_lite.backbones import NextItNet, in_eval_mode
from skiprec_lite.enumeration import gate_differences
from skiprec_lite.gate_losses import losses_at, per_row
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

__all__ = [
    "check_SteeredCost",
    "check_all_patterns",
    "check_difference_loss",
    "check_gate_differences",
    "check_gate_slopes",
    "check_pattern_losses",
    "check_per_row",
]


# --- per_row ---


def _per_row(trial: Trial) -> None:
    for lengths, width in (((8, 3, 1, 8, 5), 8), ((4,), 6)):
        batch = some_windows(trial, lengths, width)
        for dtype in (torch.float32, torch.float64):
            values = trial.normal(int(batch.scored().sum()), dtype=dtype)
            kept = copied(batch)
            with trial.of_the_answer(values, batch):
                means = trial.answer(values.clone(), kept)
            unchanged(trial, kept, batch)
            trial.require(type(means) is Tensor, f"found {describe(means)}, expected a tensor", "", values, batch)
            trial.require(means.shape == (len(batch),), f"found shape {tuple(means.shape)}, expected ({len(batch)},)",
                          "each row gets a mean of its own", values, batch)  # fmt: skip
            trial.same(values, batch, gradients=True)
    targets = batch.targets.clone()
    targets = torch.cat([targets, torch.zeros_like(targets), targets])
    items = batch.items.repeat(3, 1)
    gap = Windows(items, targets, batch.cut.repeat(3), torch.arange(3))  # the row in the middle has nothing to score
    values = trial.normal(int(gap.scored().sum()))
    found = trial.call(trial.answer, values, gap)
    trial.require(
        type(found) is Tensor and found.shape == (3,),
        f"found {describe(found)}, expected 3 means, one for each row",
        "a row without a scored position has a place too",
        values,
        gap,
    )
    trial.require(
        bool(found[1].isnan()),
        f"a row without a scored position has the mean {float(found[1]):.3g}, expected NaN",
        "0 / 0: there is no mean, and 0 would look like a perfect loss",
        values,
        gap,
    )
    trial.same(values, gap)


def _sums(values: Tensor, batch: Windows) -> Tensor:
    owner = batch.scored().nonzero()[:, 0]
    return torch.zeros(len(batch), dtype=values.dtype).index_add(0, owner, values)


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
    mistakes={
        "this is each row's sum: divide by its number of scored positions": _sums,
        "you divide by all positions: only scored ones count": lambda values, batch: (
            _sums(values, batch) / batch.items.shape[1]
        ),
        "you divide by the number of real items: only scored positions count": lambda values, batch: (
            _sums(values, batch) / (batch.items > 0).sum(dim=1)
        ),
        "no gradient comes back to the values: something in between is detached": lambda values, batch: per_row(
            values.detach(), batch
        ),
        "every row gets the mean over all: each has a mean of its own": lambda values, batch: values.mean().expand(
            len(batch)
        ),
        "you divide by the mean number of scored positions: each row has its own number": lambda values, batch: (
            _sums(values, batch) / batch.scored().sum(dim=1).double().mean().to(values.dtype)
        ),
        "the numbers are handed out in order of time: they come row by row": lambda values, batch: (
            torch.zeros(len(batch), dtype=values.dtype).index_add(0, batch.scored().T.nonzero()[:, 1], values)
            / batch.scored().sum(dim=1)
        ),
    },
)


# --- enumeration ---


def _all_patterns(trial: Trial) -> None:
    for blocks in (3, 2, 1, 6):
        found = trial.call(trial.answer, blocks)
        trial.require(type(found) is Tensor, f"found {describe(found)}, expected a tensor", "", blocks)
        shape = (2**blocks, blocks)
        trial.require(
            found.shape == shape,
            f"found shape {tuple(found.shape)}, expected {shape}",
            "each of the blocks is kept or skipped: 2 to the power of blocks patterns, one a row",
            blocks,
        )
        trial.require(
            len(found.unique(dim=0)) == len(found),
            f"only {len(found.unique(dim=0))} of {len(found)} rows differ",
            "each pattern occurs once",
            blocks,
        )
        trial.same(blocks)


def _bits(blocks: int) -> Tensor:
    return ((torch.arange(2**blocks).unsqueeze(1) >> torch.arange(blocks - 1, -1, -1)) & 1).float()


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
    mistakes={
        "the first block's gate changes fastest: the last one's has to": lambda blocks: _bits(blocks).flip(1),
        "the order is reversed: begin with nothing kept": lambda blocks: 1 - _bits(blocks),
        "the order is not that of counting: 00, 01, 10, 11": lambda blocks: _bits(blocks)[
            _bits(blocks).sum(dim=1).argsort(stable=True)
        ],
        "the two axes are swapped: a pattern is a row": lambda blocks: _bits(blocks).T,
        "the gates are True and False: the backbone multiplies by them, make them floating": lambda blocks: _bits(
            blocks
        ).bool(),
        "the gates are whole numbers: make them floating": lambda blocks: _bits(blocks).long(),
        "the gates are -1 and 1: skip is 0": lambda blocks: 2 * _bits(blocks) - 1,
    },
)


def _at_a_network(trial: Trial, tables: list[Tensor], shape: Callable[[Tensor, int], tuple[int, ...]]) -> None:
    """A function of backbone, cases and gates: its values in eval mode, and the network left as it was."""
    for lengths, width in (((8, 3, 1, 8, 5), 8), ((4,), 4)):
        cases = some_windows(trial, lengths, width)
        for table in tables:
            gates = table[: len(cases)] if table.shape[0] == 5 else table
            net = a_backbone(trial.seed, dropout=0.4, embedding_dropout=0.4)
            kept = copied(cases)
            with trial.of_the_answer(net, cases, gates):
                found = trial.answer(net, kept, gates.clone())
            unchanged(trial, kept, cases)
            _left_as_it_was(trial, net)
            trial.require(type(found) is Tensor, f"found {describe(found)}, expected a tensor", "", net, cases, gates)
            wanted = shape(gates, len(cases))
            if found.shape == wanted:
                trial.require(not found.isnan().any(), "there are NaN in it", "", net, cases, gates)
                with trial.of_the_answer(net, cases, gates):
                    again = trial.answer(net, copied(cases), gates.clone())
                trial.require(
                    not difference(again, found),
                    "two calls give different numbers",
                    "dropout is at work: put the network into eval mode for the while",
                    net,
                    cases,
                    gates,
                )
                trial.require(not found.requires_grad, "the result hangs on to a graph (requires_grad)",
                              "these are measurements: use torch.no_grad(), or detach", net, cases, gates)  # fmt: skip
            make = lambda of, net=net: partial(of, net)
            trial.same_results(make, cases, gates)
        evaluated = a_backbone(trial.seed).eval()
        with trial.of_the_answer(evaluated, cases, gates):
            trial.answer(evaluated, copied(cases), gates.clone())
        trial.require(not evaluated.training, "a network that was in eval mode is in training mode afterwards",
                      "put it back into the mode it was in: in_eval_mode does", evaluated, cases, gates)  # fmt: skip


def _left_as_it_was(trial: Trial, net: NextItNet) -> None:
    modes = {m.training for m in net.modules()}
    trial.require(modes == {True}, "a network that was in training mode is in eval mode afterwards",
                  "put it back into the mode it was in: in_eval_mode does")  # fmt: skip
    trial.require(all(p.grad is None for p in net.parameters()), "gradients are left on the backbone's parameters",
                  "the next training step would add to them: use torch.autograd.grad for the gates alone")  # fmt: skip
    trial.require(all(p.requires_grad for p in net.parameters()), "the backbone's parameters have lost their gradient",
                  "leave requires_grad as it was")  # fmt: skip


def _mean(backbone: NextItNet, cases: Windows, gates: Tensor) -> Tensor:
    return per_row(losses_at(backbone, cases, gates), cases)


def _pattern_losses(trial: Trial) -> None:
    patterns = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 1]], dtype=torch.float64)
    _at_a_network(trial, [patterns, patterns[2:3]], lambda patterns, rows: (len(patterns), rows))


def _for_patterns(one: Callable[[NextItNet, Windows, Tensor], Tensor]) -> Callable:
    @torch.no_grad()
    def losses(backbone: NextItNet, cases: Windows, patterns: Tensor) -> Tensor:
        with in_eval_mode(backbone):
            return torch.stack([one(backbone, cases, row.expand(len(cases), -1)) for row in patterns])

    return losses


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
    body=_pattern_losses,
    minutes=10,
    difficulty=2,
    mistakes={
        "the two axes are swapped: a pattern is a row of the result": lambda backbone, cases, patterns: (
            _for_patterns(_mean)(backbone, cases, patterns).T
        ),
        "there is one number for each pattern: users have losses of their own": lambda backbone, cases, patterns: (
            _for_patterns(_mean)(backbone, cases, patterns).mean(dim=1)
        ),
        "every user gets the mean over all: users have losses of their own": _for_patterns(
            lambda net, cases, gates: losses_at(net, cases, gates).mean().expand(len(cases))
        ),
        "there is one number for each scored position: take each row's mean": _for_patterns(losses_at),
        "the gates are inverted": _for_patterns(lambda net, cases, gates: _mean(net, cases, 1 - gates)),
        "the patterns come in reverse order": lambda backbone, cases, patterns: _for_patterns(_mean)(
            backbone, cases, patterns.flip(0)
        ),
        "the gates of a pattern come in reverse order": lambda backbone, cases, patterns: _for_patterns(_mean)(
            backbone, cases, patterns.flip(1)
        ),
        "the pattern has no effect: hand it to the backbone": _for_patterns(
            lambda net, cases, gates: _mean(net, cases, torch.ones_like(gates))
        ),
    },
)


def _some_gates(trial: Trial) -> list[Tensor]:
    mixed = (torch.rand(5, BLOCKS, generator=trial.generator) < 0.6).double()
    mixed[0], mixed[1] = torch.tensor([1.0, 0, 1]), torch.tensor([0.0, 1, 0])
    return [torch.ones(5, BLOCKS, dtype=torch.float64), mixed, torch.zeros(5, BLOCKS, dtype=torch.float64)]


def _gate_slopes(trial: Trial) -> None:
    _at_a_network(trial, _some_gates(trial), lambda gates, rows: tuple(gates.shape))


def _slopes(
    total: Callable[[Tensor, Windows], Tensor], at: Callable[[Tensor], Tensor] = lambda gates: gates
) -> Callable:
    """Slopes of some number made of the losses."""

    def slopes(backbone: NextItNet, cases: Windows, gates: Tensor) -> Tensor:
        leaf = at(gates).detach().clone().requires_grad_()
        with in_eval_mode(backbone):
            return torch.autograd.grad(total(losses_at(backbone, cases, leaf), cases), leaf)[0]

    return slopes


def _sum_of_rows(losses: Tensor, cases: Windows) -> Tensor:
    return per_row(losses, cases).sum()


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
    body=_gate_slopes,
    minutes=15,
    difficulty=3,
    mistakes={
        "this is the slope of the mean over users: each slope belongs to a row's own loss, so add the rows up": _slopes(
            lambda losses, cases: per_row(losses, cases).mean()
        ),
        "this is the slope of the mean over all positions: it belongs to a row's own mean loss": _slopes(
            lambda losses, cases: losses.mean()
        ),
        "this is the slope of each row's sum: take its mean over the scored positions": _slopes(
            lambda losses, cases: losses.sum()
        ),
        "the slopes are averaged over users: each row has its own": lambda net, cases, gates: _slopes(_sum_of_rows)(
            net, cases, gates
        ).mean(dim=0),
        "every row has the mean slope of all: each has its own": lambda net, cases, gates: (
            _slopes(_sum_of_rows)(net, cases, gates).mean(dim=0).expand_as(gates)
        ),
        "the sign is wrong: return dL/dg itself": lambda net, cases, gates: -_slopes(_sum_of_rows)(net, cases, gates),
        "these are the slopes at full depth: take them at the given gates": _slopes(_sum_of_rows, torch.ones_like),
        "these are the differences, kept minus skipped: a slope is a gradient": gate_differences,
        "the slope is multiplied by the gate": lambda net, cases, gates: (
            gates * _slopes(_sum_of_rows)(net, cases, gates)
        ),
    },
)


def _gate_differences(trial: Trial) -> None:
    _at_a_network(trial, _some_gates(trial), lambda gates, rows: tuple(gates.shape))


def _differences(
    flip: Callable[[Tensor, int], Tensor],
    sign: Callable[[Tensor], Tensor] = lambda gate: 2 * gate - 1,
    mean: Callable[[NextItNet, Windows, Tensor], Tensor] = _mean,
) -> Callable:
    """Differences with one step replaced."""

    @torch.no_grad()
    def differences(backbone: NextItNet, cases: Windows, gates: Tensor) -> Tensor:
        with in_eval_mode(backbone):
            here = mean(backbone, cases, gates)
            others = [mean(backbone, cases, flip(gates, block)) for block in range(gates.shape[1])]
        return torch.stack([sign(gates[:, b]) * (here - other) for b, other in enumerate(others)], dim=1)

    return differences


def _flip(gates: Tensor, block: int) -> Tensor:
    one = torch.eye(gates.shape[1], dtype=gates.dtype)[block]
    return (gates - one).abs()


def _flip_up_to(gates: Tensor, block: int) -> Tensor:
    return torch.where(torch.arange(gates.shape[1]) <= block, 1 - gates, gates)


def _flip_at_full_depth(gates: Tensor, block: int) -> Tensor:
    flipped = torch.ones_like(gates)
    flipped[:, block] = 1 - gates[:, block]
    return flipped


def _skip(gates: Tensor, block: int) -> Tensor:
    return gates * (torch.arange(gates.shape[1]) != block)


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
    body=_gate_differences,
    minutes=15,
    difficulty=3,
    mistakes={
        "the sign is inverted, skipped minus kept: it has to be kept minus skipped": _differences(
            _flip, lambda gate: 1 - 2 * gate
        ),
        "this is now minus flipped: for a row that skips the block the sign turns round": _differences(
            _flip, torch.ones_like
        ),
        "this is flipped minus now: the sign depends on whether the row keeps the block": _differences(
            _flip, lambda gate: -torch.ones_like(gate)
        ),
        "all gates are flipped at once: flip one, the others stay": _differences(lambda gates, block: 1 - gates),
        "flipped gates stay flipped: begin each block with a fresh copy": _differences(_flip_up_to),
        "the other gates are at 1: they stay as given": _differences(_flip_at_full_depth),
        "the block is only ever skipped: where it is skipped already there is no difference left": _differences(_skip),
        "the difference is that of the mean over all users: each row has its own": _differences(
            _flip, mean=lambda net, cases, gates: losses_at(net, cases, gates).mean().expand(len(cases))
        ),
        "the differences are averaged over users: each row has its own": lambda net, cases, gates: gate_differences(
            net, cases, gates
        ).mean(dim=0),
        "these are slopes: flip the gate and look at the loss": _slopes(_sum_of_rows),
    },
)


# --- two other losses ---


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


def _difference_loss(trial: Trial) -> None:
    batch = some_windows(trial)
    kept = copied(batch)
    undecided = _with_logits(trial, trial.normal(5, BLOCKS, 2, dtype=torch.float64))
    with trial.of_the_answer(batch, 0.7):
        value = is_a_loss(trial, trial.answer(undecided, batch, 0.7))
    unchanged(trial, batch, kept)
    trial.require(reaches(value, undecided.backbone), "no gradient reaches the backbone",
                  "it is trained under the sampled gates, by the mean loss", batch, 0.7)  # fmt: skip
    trial.require(reaches(value, undecided.policy), "no gradient reaches the policy",
                  "multiply what the flip is worth by the logit, which has a gradient", batch, 0.7)  # fmt: skip
    _one_block(trial, batch)
    _many_blocks(trial, batch)
    _same_dropout(trial)
    _backbone_too(trial, batch)


def _one_block(trial: Trial, batch: Windows) -> None:
    """With a single block there is nothing to draw but the gate, and its difference is the same for both gates."""
    logits = trial.normal(5, 1, 2, dtype=torch.float64, scale=1.5)

    def make(of: Any) -> Callable:
        def at_the_logits(batch: Windows, cost: float, **options: Any) -> Any:
            model = _with_logits(trial, logits)
            (found,) = torch.autograd.grad(of(model, batch, cost, **options), model.get_parameter("policy.logits"))
            return {"the gradient at the logits (row, block, keep / skip)": found}

        return at_the_logits

    for cost, options in (
        (0.0, {"pull": 0.0}), (0.7, {"pull": 0.0}), (0.7, {"exact": True}), (0.7, {"exact": True, "pull": 0.3}),
        (0.7, {"pull": 0.3}), (0.3, {}),
    ):  # fmt: skip
        trial.same_results(make, batch, cost, **options)


def _many_blocks(trial: Trial, batch: Windows) -> None:
    """Sure gates of three blocks: in each row one block, drawn at random, gets what its flip is worth."""
    cost = 0.9
    gates = (torch.rand(5, BLOCKS, generator=trial.generator) < 0.5).double()
    gates[0], gates[1] = torch.tensor([1.0, 0, 1]), torch.tensor([0.0, 1, 0])
    model = _with_logits(trial, 1000 * torch.stack([gates, 1 - gates], dim=-1))
    expected = (gate_differences(model.backbone, batch, gates) + cost / BLOCKS) / 4 / len(batch)
    chosen = []
    for _ in range(12):
        with trial.of_the_answer(batch, cost, pull=0.0):
            value = trial.answer(model, batch, cost, pull=0.0)
        (found,) = torch.autograd.grad(value, model.get_parameter("policy.logits"))
        found = found[..., 0]
        hit = found != 0
        trial.require(
            bool((hit.sum(dim=1) == 1).all()),
            f"in one step {int(hit.sum(dim=1).max())} of {BLOCKS} blocks of a row have a gradient, expected 1",
            "flip one random gate of each row, and teach the logit of that one only",
            batch,
            cost,
            pull=0.0,
        )
        off = difference(found[hit], expected[hit])
        trial.require(
            not off,
            f"with {BLOCKS} blocks the gradient of the flipped gate's logit is wrong: {off}",
            "are the other gates left as sampled, and is the cost that of one gate of several?",
            batch,
            cost,
            pull=0.0,
        )
        chosen.append(hit.long().argmax(dim=1))
    drawn = torch.stack(chosen)  # (call, row)
    trial.require(
        bool((drawn != drawn[:, :1]).any()),
        "in every step all rows flip the same block",
        "draw a block for each row",
        batch,
        cost,
    )
    seen = set(drawn.reshape(-1).tolist())
    missing = min(set(range(BLOCKS)) - seen, default=None)
    trial.require(
        missing is None, f"in 60 draws block {missing} was never flipped", "draw among all blocks", batch, cost
    )


def _same_dropout(trial: Trial) -> None:
    """Where the blocks do nothing, a flip changes nothing, whatever the dropout drops: if it drops the same twice."""
    batch = some_windows(trial)
    model = _with_logits(trial, trial.normal(5, BLOCKS, 2, dtype=torch.float64), embedding_dropout=0.5)
    with torch.no_grad():
        for name, p in model.backbone.named_parameters():
            if name.endswith("scale"):
                p.zero_()
    with trial.of_the_answer(batch, 0.0, pull=0.0):
        value = trial.answer(model, batch, 0.0, pull=0.0)
    (found,) = torch.autograd.grad(value, model.get_parameter("policy.logits"))
    trial.require(
        float(found.abs().max()) < 1e-12,
        "with dropout, and blocks that change nothing, the logits still get a gradient",
        "dropout drops other numbers in the second pass: set the random state back before it",
        batch,
        0.0,
    )


def _backbone_too(trial: Trial, batch: Windows) -> None:
    """The backbone learns from the mean loss under the sampled gates, and from nothing else."""

    def make(of: Any) -> Callable:
        def at_the_backbone(batch: Windows, cost: float) -> Any:
            model = a_sure_skiprec(SkipRec, trial.seed, batch.items, batch.cut).train()
            found = learning(of(model, batch, cost), model)
            return {name: g for name, g in found.items() if "backbone" in name}

        return at_the_backbone

    trial.same_results(make, batch, 0.7)


def _diff(
    *,
    sign: Callable[[Tensor], Tensor] = lambda gate: 2 * gate - 1,
    cost_of: Callable[[float, int], float] = lambda cost, blocks: cost / blocks,
    factor: Callable[[Tensor, bool], Tensor | float] = lambda keep, exact: keep * (1 - keep) if exact else 0.25,
    held: Callable[[float, bool], float] = lambda pull, exact: 0.0 if exact else pull,
    reduce: Callable[[Tensor], Tensor] = torch.mean,
    logit_of: Callable[[Tensor], Tensor] = lambda logits: logits[..., 0] - logits[..., 1],
    share: Callable[[Tensor], Tensor] = lambda worth: worth,
    detach: bool = True,
    read: Callable[[Windows], Tensor | None] = lambda batch: batch.cut,
    own: bool = True,
) -> Callable:
    """A difference loss with one step replaced."""

    def loss(model: SkipRec, batch: Windows, cost: float, *, exact: bool = False, pull: float = 0.01) -> Tensor:
        logits = model.gate_logits(batch.items, read(batch))
        gates = model.decide(logits, sample=True)
        gates = gates.detach() if detach else gates
        rows, block = torch.arange(len(gates)), torch.randint(gates.shape[1], (len(gates),))
        flipped = gates.detach().clone()
        flipped[rows, block] = 1 - flipped[rows, block]
        losses = losses_at(model.backbone, batch, gates)
        gate = gates.detach()[rows, block]
        with torch.no_grad():
            other = per_row(losses_at(model.backbone, batch, flipped), batch)
        worth = share(sign(gate) * (per_row(losses.detach(), batch) - other)) + cost_of(cost, gates.shape[1])
        logit = logit_of(logits)
        chosen = logit[rows, block]
        keep = torch.sigmoid(chosen.detach())
        main = losses.mean() if own else losses.mean().detach()
        return main + reduce(factor(keep, exact) * worth * chosen) + held(pull, exact) * logit.square().mean()

    return loss


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
    mistakes={
        "the sign is inverted, skipped minus kept: the policy would skip what helps": _diff(
            sign=lambda gate: 1 - 2 * gate
        ),
        "this is sampled minus flipped: for a gate that was 0 the sign turns round": _diff(sign=torch.ones_like),
        "the cost is missing": _diff(cost_of=lambda cost, blocks: 0.0),
        "the cost's sign is wrong: it rewards keeping": _diff(cost_of=lambda cost, blocks: -cost / blocks),
        "the factor is pi (1 - pi) throughout: without `exact` it is 1/4": _diff(
            factor=lambda keep, exact: keep * (1 - keep)
        ),
        "the factor is 1/4 throughout: with `exact` it is pi (1 - pi)": _diff(factor=lambda keep, exact: 0.25),
        "the factor is pi: it has to be pi (1 - pi)": _diff(factor=lambda keep, exact: keep if exact else 0.25),
        "the factor is missing": _diff(factor=lambda keep, exact: 1.0),
        "the exact gradient is pulled too: with `exact` there is no pull": _diff(held=lambda pull, exact: pull),
        "the pull is missing": _diff(held=lambda pull, exact: 0.0),
        "the rows are summed: take the mean": _diff(reduce=torch.sum),
        "the logit is skip minus keep: it has to be keep minus skip": _diff(
            logit_of=lambda logits: logits[..., 1] - logits[..., 0]
        ),
        "only the keep logit is taught: the logit is keep minus skip": _diff(logit_of=lambda logits: logits[..., 0]),
        "all rows get the mean difference: each row has its own": _diff(share=lambda worth: worth.mean()),
        "straight-through comes on top: detach the sampled gates": _diff(detach=False),
        "the backbone does not learn from the sampled gates' loss": _diff(own=False),
        "the policy reads the whole window: hand it the cut": _diff(read=lambda batch: None),
    },
)


def _steered_cost(trial: Trial) -> None:
    batch = some_windows(trial)
    model = a_skiprec(SkipRec, trial.seed).train()
    with trial.of_the_answer(batch, 0.7):
        values = [is_a_loss(trial, trial.answer()(model, batch, 0.7)) for _ in range(6)]
    trial.require(len({float(v.detach()) for v in values}) > 1, "six calls with an undecided policy give the same loss",
                  "the gates are greedy: in training they are sampled (sample=True)", batch, 0.7)  # fmt: skip
    trial.require(reaches(values[0], model.policy), "no gradient reaches the policy",
                  "this is straight-through with a cost of its own: do not detach the gates", batch, 0.7)  # fmt: skip
    _defaults(trial)
    model, worse = _sure(trial, batch)

    def make(of: Any) -> Callable:
        def without_steering(batch: Windows, cost: float) -> Any:
            return learning(of(tolerance=0.1, rate=0.0)(model, batch, cost), model)

        return without_steering

    trial.same_results(make, batch, 0.8)
    for tolerance, rate in ((worse + 9, 0.02), (worse - 9, 0.05), (worse + 1e-3, 0.3), (worse - 1e-3, 0.3)):
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


def _steers(trial: Trial, model: SkipRec, batch: Windows, tolerance: float, rate: float, worse: float) -> None:
    """Over three steps: how much dearer the gates are. Each step may use the factor before it or after it is moved."""
    given: dict[str, Any] = {"tolerance": tolerance, "rate": rate}
    cost, harmless = 0.8, tolerance > worse
    words = f"the loss is {worse:.3f} above full depth's: "
    gates = model.gates(batch.items, batch.cut, sample=False)
    base, share = float(losses_at(model.backbone, batch, gates).mean().detach()), float(gates.mean())
    with trial.of_the_answer(**given):
        steered = trial.answer(**given)
    moved = 1 + rate if harmless else 1 - rate
    found: list[float] = []
    for step in range(3):
        with trial.of_the_answer(**given):
            value = is_a_loss(trial, steered(model, batch, cost))
        found.append((float(value.detach()) - base) / (cost * share))
        late = abs(found[0] - 1) < 1e-7
        expected = moved ** (step if late else step + 1)
        if abs(found[step] - expected) > 1e-7:
            cause = _why(found, rate, harmless=harmless, far=abs(tolerance - worse) > 1)
            trial.fail(
                f"{words}in step {step + 1} the cost is multiplied by {found[step]:.5g}, expected {expected:.5g}",
                cause,
                **given,
            )


def _why(found: list[float], rate: float, *, harmless: bool, far: bool) -> str:
    """The likely cause of a wrong factor in the last of these steps."""
    signed = rate if harmless else -rate
    step, last = len(found) - 1, found[-1]
    if abs(found[min(step, 1)] - (1 - signed)) < 1e-7:
        if not far:
            return "what is compared with tolerance is the sampled gates' loss, without the cost, minus full depth's"
        return ("it shrinks while skipping is harmless: then it has to grow" if harmless
                else "it grows when skipping harms: then it has to shrink")  # fmt: skip
    if step and abs(last - found[step - 1]) < 1e-7:
        return ("the factor does not move from step to step: keep it in self" if abs(last - 1) < 1e-7
                else "each step begins at 1 again: move the factor that the step before has left")  # fmt: skip
    if step and abs(last - found[step - 1] - signed) < 1e-7:
        return "rate is a share of the factor as it is: multiply, do not add"
    return "growing by the share r is times 1 + r, shrinking times 1 - r"


def _defaults(trial: Trial) -> None:
    with trial.of_the_answer():
        steered = trial.answer()
    for name, value in (("tolerance", 0.05), ("rate", 0.02), ("factor", 1.0)):
        found = getattr(steered, name, None)
        trial.require(found is not None, f"there is no attribute {name}", "keep it in self: one wants to watch it")
        trial.require(
            not difference(found, value),
            f"a new one's {name} is {describe(found)}, expected {value}",
            "steps of another SteeredCost count: set self.factor in __init__" if name == "factor" else "",
        )


class _Steered:
    """The package's, with one step replaced."""

    def __init__(self, tolerance: float = 0.05, rate: float = 0.02, **steps: Any) -> None:
        self.tolerance, self.rate, self.factor, self.steps = tolerance, rate, 1.0, steps

    def __call__(self, model: SkipRec, batch: Windows, cost: float) -> Tensor:
        cut = batch.cut if self.steps.get("cut", True) else None
        gates = model.gates(batch.items, cut, sample=True)
        losses = losses_at(model.backbone, batch, gates)
        return losses.mean() + cost * self.steps.get("weigh", torch.mean)(gates)


def _steered(**steps: Any) -> Callable:
    return lambda tolerance=0.05, rate=0.02: _Steered(tolerance, rate, **steps)


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
    mistakes={
        "the policy reads the whole window: hand it the cut": _steered(cut=False),
        "the cost is missing": _steered(weigh=lambda gates: 0 * gates.sum()),
        "the cost is that of the sum of all gates: take the mean": _steered(weigh=torch.sum),
        "the cost's sign is wrong: it rewards keeping": _steered(weigh=lambda gates: -gates.mean()),
        "the gates in the cost are detached: the cost teaches the policy nothing": _steered(
            weigh=lambda gates: gates.detach().mean()
        ),
    },
)

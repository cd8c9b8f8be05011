"""Checks of what lesson 08 builds: the policy, SkipRec, the losses of joint training.

Gates are drawn at random, and another right way may draw other ones. So most checks give the answer a policy that is
all but certain: its sampled gates are the same whoever draws them. With a very large tau their gradient is known too.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.models import (
    BLOCKS,
    ITEMS,
    a_backbone,
    a_skiprec,
    a_sure_skiprec,
    copied,
    is_a_loss,
    learning,
    reaches,
    some_windows,
    the_same,
    unchanged,
    windows_from,
)
from skiprec_lite import gate_losses, metrics
from skiprec_lite.blocks import ResidualBlock
from skiprec_lite.choosing import Candidate
from skiprec_lite.gumbel import gumbel_softmax
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec, visible
from skiprec_lite.windows import Windows

__all__ = [
    "check_PolicyNetwork",
    "check_SkipRec",
    "check_choose",
    "check_draw_cut",
    "check_from_a_cut",
    "check_losses_at",
    "check_settled_loss",
    "check_straight_through_loss",
    "check_visible",
    "check_whole_window",
]

# --- PolicyNetwork ---


def _policy_network(trial: Trial) -> None:
    for blocks, size in (
        (3, {"channels": 6}),
        (2, {}),
        (1, {"channels": 5, "dilations": (2,)}),
        (4, {"channels": 6, "dilations": (1, 4), "embedding_channels": 5}),
    ):

        def make(of: Any, blocks: int = blocks, size: dict = size) -> nn.Module:
            like = trial.reference(ITEMS, blocks, **size)
            return trial.with_random_parameters(of(ITEMS, blocks, **size), like, torch.float64)

        with trial.of_the_answer(ITEMS, blocks, **size):
            _the_parameters(trial, trial.answer(ITEMS, blocks, **size), trial.reference(ITEMS, blocks, **size))
        model = trial.module(ITEMS, blocks, inputs=(trial.integers(1, ITEMS, 4, 13),), **size)
        short = trial.histories(ITEMS, [7, 4, 1], 7)
        logits = trial.call(model, short)
        for zeros in (1, 9):
            padded = F.pad(short, (zeros, 0))
            found = trial.call(model, padded)
            if difference(found, logits):
                off = float((found - logits).abs().max())
                trial.fail(f"{zeros} more zeros on the left change the logits, by up to {off:.2g}",
                           "padding gets into the mean, or into the blocks")  # fmt: skip
        both = torch.cat([F.pad(short, (2, 0)), F.pad(short, (0, 2))])  # what comes after a cut is padding on the right
        trial.same_results(make, both, gradients=True)
    _keep_bias(trial)


def _the_parameters(trial: Trial, model: Any, like: nn.Module) -> None:
    """Fail unless the module holds parameters of the same shapes, and say which is too many or missing."""
    trial.require(isinstance(model, nn.Module), f"found {describe(model)}, expected a torch.nn.Module",
                  "derive the class from nn.Module, and call super().__init__() first")  # fmt: skip
    mine, wanted = ([(name, tuple(p.shape)) for name, p in m.named_parameters()] for m in (model, like))
    for have, other, words in ((mine, wanted, "a parameter too many"), (wanted, mine, "a parameter is missing")):
        left = [shape for _, shape in other]
        for name, shape in sorted(have, key=lambda pair: pair in other, reverse=True):
            if shape not in left:
                trial.fail(f"{words}: {name}, of shape {shape}",
                           "one embedding, a linear layer without bias where the widths differ, the blocks, and one "
                           "linear layer at the end")  # fmt: skip
            left.remove(shape)


def _keep_bias(trial: Trial) -> None:
    """With all weights at 0 the logits of a fresh policy are what its bias makes them."""
    for keep_bias in (1.5, -2.0, 0.0):
        with trial.of_the_answer(ITEMS, 3, channels=5, keep_bias=keep_bias):
            model = trial.answer(ITEMS, 3, channels=5, keep_bias=keep_bias).double()
            with torch.no_grad():
                for p in model.parameters():
                    if p.dim() > 1:
                        p.zero_()
                logits = model(trial.integers(1, ITEMS, 1, 4))[0]
        gap = logits[:, 0] - logits[:, 1]
        off = gap / keep_bias if keep_bias else gap
        trial.require(
            torch.allclose(gap, torch.full_like(gap, keep_bias), atol=1e-6),
            f"a fresh policy's keep logits stand {describe(gap)} above its skip logits, expected {keep_bias} each",
            "keep_bias is on the wrong logit: the first of each pair is keep"
            if keep_bias and (off + 1).abs().max() < 1e-6
            else "keep_bias has no effect"
            if keep_bias and off.abs().max() < 1e-6
            else "keep_bias counts twice: half up for keep, half down for skip"
            if keep_bias and (off - 2).abs().max() < 1e-6
            else "the bias holds keep and skip in turn, a pair for each block"
            if keep_bias and off.std() > 0.1 and (off.abs() < 1e-6).any()
            else "the random start of the linear layer's bias comes on top: set the bias, do not add to it",
            ITEMS,
            3,
            channels=5,
            keep_bias=keep_bias,
        )


def _policy(
    read: Callable[[Tensor, Tensor], Tensor] | None = None,
    out: Callable[[Tensor], Tensor] = lambda logits: logits,
    *,
    masked: bool = True,
    dilated: bool = True,
) -> type[PolicyNetwork]:
    """A PolicyNetwork with a mistake in it."""

    class Mistaken(PolicyNetwork):
        def __init__(self, *sizes: int, **more: Any) -> None:
            super().__init__(*sizes, **more)
            if not dilated:
                channels = self.output.in_features
                self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in self.blocks)

        def forward(self, items: Tensor) -> Tensor:
            hidden, mask = self.join(self.embedding(items)), items > 0
            for block in self.blocks:
                hidden = block(hidden, mask if masked else None)
            real = mask.unsqueeze(-1)
            mean = (hidden * real).sum(dim=1) / real.sum(dim=1)
            return out(self.output(read(hidden, real) if read else mean).unflatten(-1, (-1, 2)))

    return Mistaken


check_PolicyNetwork = Check(
    part="policy.PolicyNetwork",
    task="Build the policy: `item_embedding`, a linear layer without bias where `embedding_channels` differs from "
    "`channels`, one `ResidualBlock(channels, dilation=d)` for each dilation, the mean over the real positions, one "
    "linear layer. `forward(items)` returns logits (batch, block, 2), keep first, skip second. At the start each keep "
    "logit stands `keep_bias` above its skip logit. Items of 0 are padding and must change nothing, wherever they "
    "stand.",
    hints=(
        "Follow the shapes: (batch, time) -> (batch, time, channel) -> the same after each block -> (batch, channel) "
        "-> (batch, 2 * blocks) -> (batch, block, 2).",
        "Padding can come in at two places: through the blocks, which take a mask, and through the mean, which has to "
        "leave it out above *and* below the fraction line.",
        "`unflatten(-1, (-1, 2))` makes pairs of the last axis: first block's keep, first block's skip, second block's "
        "keep, … The bias of the last layer lies in memory in just this order.",
    ),
    body=_policy_network,
    minutes=25,
    difficulty=3,
    mistakes={
        "the mean counts padding: divide by the number of real positions": _policy(
            lambda h, real: (h * real).sum(dim=1) / h.shape[1]
        ),
        "this is the mean over all positions: padding has to be left out": _policy(lambda h, real: h.mean(dim=1)),
        "padding is in the sum of the mean: set it to 0 before you add": _policy(
            lambda h, real: h.sum(dim=1) / real.sum(dim=1)
        ),
        "this is a sum: divide by the number of real positions": _policy(lambda h, real: (h * real).sum(dim=1)),
        "you take the last position: the policy takes the mean over the real ones": _policy(lambda h, real: h[:, -1]),
        "you take the largest of each channel: the policy takes the mean": _policy(lambda h, real: h.amax(dim=1)),
        "the blocks read padding: hand them the mask": _policy(masked=False),
        "the blocks read padding, and the mean counts it": _policy(lambda h, real: h.mean(dim=1), masked=False),
        "keep and skip are swapped: keep comes first": _policy(out=lambda logits: logits.flip(-1)),
        "all keep logits come first, then all skip logits: they belong in pairs, one for each block": _policy(
            out=lambda logits: logits.flatten(1).unflatten(-1, (2, -1)).transpose(1, 2)
        ),
        "a sigmoid comes after the last layer: return logits": _policy(out=torch.sigmoid),
        "a softmax comes after the last layer: return logits": _policy(out=lambda logits: logits.softmax(dim=-1)),
        "the last axis is not taken apart: (batch, 2 * blocks) has to become (batch, block, 2)": _policy(
            out=lambda logits: logits.flatten(1)
        ),
        "the two last axes are swapped: blocks first, then keep and skip": _policy(
            out=lambda logits: logits.transpose(1, 2)
        ),
        "the blocks do not get their dilations": _policy(dilated=False),
    },
)


# --- what the policy may read ---


def _visible(trial: Trial) -> None:
    for lengths, width in (([5, 4, 5, 3, 4], 5), ([8, 2, 6], 8), ([1, 1], 1)):
        items, real = trial.histories(20, lengths, width), torch.tensor(lengths)
        for cut in (width - real + (real - 1) // 2, torch.full_like(real, width - 1), width - real):
            trial.same(items, cut)
        trial.same(items, None)


def _up_to(items: Tensor, last: Tensor) -> Tensor:
    return items.masked_fill(torch.arange(items.shape[1]) > last, 0)


check_visible = Check(
    part="skiprec.visible",
    task="Return the items, (batch, time), with all that comes after each row's `cut` turned into padding (0). The "
    "item at the cut may be read. `cut` is (batch,); None means that everything may be read.",
    hints=(
        "Compare two things for each place of the (batch, time) grid: its position, and its row's cut.",
        "`torch.arange(time)` runs along time. The cut has to stand as a column, (batch, 1), beside it.",
        "`masked_fill` puts a number where a mask is True and leaves the argument as it was.",
    ),
    body=_visible,
    minutes=5,
    difficulty=1,
    mistakes={
        "you read one item past the cut: off by one": lambda items, cut: _up_to(items, cut[:, None] + 1),
        "the item at the cut is gone: it may be read": lambda items, cut: _up_to(items, cut[:, None] - 1),
        "you keep what comes after the cut and hide what may be read": lambda items, cut: items.masked_fill(
            torch.arange(items.shape[1]) <= cut[:, None], 0
        ),
        "you hide what may be read and keep the cut and what comes after": lambda items, cut: items.masked_fill(
            torch.arange(items.shape[1]) < cut[:, None], 0
        ),
        "the cut runs along time: it has to be a column, one number for each row": lambda items, cut: _up_to(
            items, cut
        ),
        "all rows have the first row's cut: each has its own": lambda items, cut: _up_to(items, cut[0]),
        "all rows have the largest cut: each has its own": lambda items, cut: _up_to(items, cut.max()),
        "the later items are cut off: they have to become 0, the shape stays": lambda items, cut: items[
            :, : int(cut.max()) + 1
        ],
        "nothing is hidden": lambda items, cut: items,
        "you count the cut from the first real item: it is an index into the row": lambda items, cut: _up_to(
            items, cut[:, None] + (items == 0).sum(dim=1, keepdim=True)
        ),
    },
)


def _legal_cuts(trial: Trial, cut: Any, items: Tensor) -> None:
    """Whole numbers, one for each row, each the index of a real item."""
    trial.require(type(cut) is Tensor, f"found {describe(cut)} for the cuts, expected a tensor", "", items)
    trial.require(cut.shape == (len(items),), f"found cuts of shape {tuple(cut.shape)}, expected ({len(items)},)",
                  "each row has one cut", items)  # fmt: skip
    trial.require(not cut.is_floating_point(), f"found {cut.dtype}, expected whole numbers",
                  "a cut is the index of a position: turn it into int64", items)  # fmt: skip
    width = items.shape[1]
    first = width - (items > 0).sum(dim=1)
    for row, c, f in zip(items, cut.tolist(), first.tolist()):
        trial.require(c < width, f"a cut at {c}, expected at most {width - 1}, the last position",
                      "off by one: positions are counted from 0", row)  # fmt: skip
        trial.require(c >= 0, f"a cut at {c}, expected at least 0", "", row)
        trial.require(c >= f, f"a cut at {c}, where padding stands; this row's items begin at {f}",
                      "padding stands on the left: draw among the real positions only", row)  # fmt: skip


def _draw_cut(trial: Trial) -> None:
    for lengths, width in (([6, 2, 1, 4], 6), ([3], 9), ([5] * 4, 5)):
        items = trial.histories(20, lengths, width)
        for _ in range(12):
            _legal_cuts(trial, trial.call(trial.answer, items), items)
    alike = trial.histories(20, [7], 9).expand(200, -1)
    cuts = [trial.call(trial.answer, alike) for _ in range(4)]
    always = {int(cut[0]) for cut in cuts} == {8}
    trial.require(len(cuts[0].unique()) > 1, f"200 rows of 7 items all have the cut {int(cuts[0][0])}",
                  "the cut is always the last position: draw it" if always
                  else "each row needs a random number of its own", alike)  # fmt: skip
    row = trial.histories(20, [5], 8)
    trial.alike(lambda f: f(row.expand(DRAWS, -1)).double(), "the cut", row[0])


def _cut(items: Tensor, low: int = 0, high: int = 0) -> Tensor:
    """Uniform over the real positions, less `low` at the beginning and `high` at the end."""
    real = (items > 0).sum(dim=1)
    return items.shape[1] - real + low + (torch.rand(len(items)) * (real - low - high).clamp_min(1)).long()


check_draw_cut = Check(
    part="gate_losses.draw_cut",
    task="Draw a cut for each row of items (batch, time): an index, int64, shape (batch,), uniform over the row's real "
    "positions, the first and the last included. Padding (0) stands on the left.",
    hints=(
        "How many real positions does a row have? At which index does the first of them stand?",
        "A uniform number in [0, 1) times n, rounded down, is uniform over 0 … n - 1.",
        "All rows at once: `torch.rand(len(items))` times the counts, `.long()`, plus the first real index of each "
        "row.",
    ),
    body=_draw_cut,
    minutes=10,
    difficulty=2,
    mistakes={
        "the last position is never drawn": lambda items: _cut(items, high=1),
        "the first real position is never drawn": lambda items: _cut(items, low=1),
        "the cut is always the last position: draw it": lambda items: torch.full((len(items),), items.shape[1] - 1),
        "the cut is always the first item: draw it": lambda items: items.shape[1] - (items > 0).sum(dim=1),
        "you draw over all positions, padding included, and push what falls there to the first item: draw over the "
        "real ones": lambda items: torch.maximum(
            items.shape[1] - (items > 0).sum(dim=1), torch.randint(items.shape[1], (len(items),))
        ),
        "you round to the nearest: the two ends get half their share": lambda items: (
            items.shape[1] - 1 - (torch.rand(len(items)) * ((items > 0).sum(dim=1) - 1)).round().long()
        ),
    },
)


def _from_a_cut(trial: Trial) -> None:
    for lengths, width in (((8, 3, 1, 8, 5), 8), ((4,), 6)):
        batch = some_windows(trial, lengths, width)
        real = batch.items > 0
        everywhere = trial.integers(1, ITEMS, *real.shape)
        gaps = everywhere.masked_fill(torch.rand(real.shape, generator=trial.generator) < 0.3, 0)
        for targets in (everywhere, gaps):
            given = replace(batch, targets=targets * real)
            for _ in range(3):
                _scored_from_the_cut(trial, windows_from(trial, given), given)
    alike = batch.rows(torch.zeros(200, dtype=torch.int64))
    found = windows_from(trial, alike)
    trial.require((found.cut != alike.cut).any(), "the cuts are those that were given", "draw new ones", alike)
    trial.require(len(found.cut.unique()) > 1, f"200 rows all have the cut {int(found.cut[0])}",
                  "draw a cut for each row", alike)  # fmt: skip
    row = batch.items[:1].expand(DRAWS, -1)
    many = Windows(row, row, torch.zeros(DRAWS, dtype=torch.int64), torch.zeros(DRAWS, dtype=torch.int64))
    trial.alike(lambda f: f(many).cut.double(), "the cut", many)


def _scored_from_the_cut(trial: Trial, found: Windows, given: Windows) -> None:
    the_same(
        trial, found, given, "items", cause="the backbone still reads everything: `visible` is for the policy alone"
    )
    the_same(trial, found, given, "users", "seen")
    _legal_cuts(trial, found.cut, given.items)
    targets = found.targets
    time = torch.arange(given.items.shape[1])
    trial.require(
        type(targets) is Tensor and targets.shape == given.targets.shape,
        f"found {describe(targets)} for the targets, expected shape {tuple(given.targets.shape)}",
    )
    before, after = time < found.cut.unsqueeze(1), time > found.cut.unsqueeze(1)
    inverted = (targets * before).any() and (given.targets * after).any() and not (targets * after).any()
    trial.require(not inverted, "the targets before the cut are scored, those after it are not",
                  "it is the other way round: the gates have read what stands before the cut", given)  # fmt: skip
    for row in range(len(given)):
        cut, words = int(found.cut[row]), f"row {row}, cut at {int(found.cut[row])}: "
        was, now = given.targets[row], targets[row]
        trial.require(not now[:cut].any(), f"{words}targets before the cut are still scored",
                      "the gates have read those items: set their targets to 0", given)  # fmt: skip
        trial.require(
            now[cut] == was[cut],
            f"{words}the target at the cut itself is {int(now[cut])}, expected {int(was[cut])}",
            "position t predicts item t + 1, which the policy has not read: score it",
            given,
        )
        trial.require(torch.equal(now[cut:], was[cut:]), f"{words}targets after the cut are not those that were given",
                      "only what stands before the cut becomes 0", given)  # fmt: skip


check_from_a_cut = Check(
    part="gate_losses.from_a_cut",
    task="Return the same `Windows` with a freshly drawn `cut` for each row, and with the targets *before* the cut set "
    "to 0, so that only the positions from the cut on are scored. All else stays; the given batch is not changed.",
    hints=(
        "Two fields change: `cut`, which your `draw_cut` draws, and `targets`.",
        "Position t predicts item t + 1. The policy has read items up to the cut. Which is the first position whose "
        "answer it has not seen?",
        "`Windows` is frozen: `dataclasses.replace(batch, cut=…, targets=…)` makes a copy with other fields.",
    ),
    body=_from_a_cut,
    minutes=10,
    difficulty=2,
    mistakes={
        "the last position is never drawn": lambda batch: replace(batch, cut=_cut(batch.items, high=1)),
        "the first real position is never drawn": lambda batch: replace(batch, cut=_cut(batch.items, low=1)),
        "the cut is always the last position": lambda batch: replace(
            batch, cut=torch.full((len(batch),), batch.items.shape[1] - 1)
        ),
    },
)


def _whole_window(trial: Trial) -> None:
    for lengths, width in (((8, 3, 1, 8, 5), 8), ((4,), 6), ((3, 3), 3)):
        batch = some_windows(trial, lengths, width)
        windows_from(trial, batch)
        trial.same(batch)


def _with_cut(batch: Windows, cut: Tensor | int) -> Windows:
    return replace(batch, cut=torch.zeros(len(batch), dtype=torch.int64) + cut)


check_whole_window = Check(
    part="gate_losses.whole_window",
    task="Return the same `Windows` with every row's `cut` at the last position, the index of the newest item: the "
    "policy reads everything, and all targets stay scored. The published way.",
    hints=(
        "Only one field changes, and it has one number for each row.",
        "A cut is an index, and rows are counted from the left, padding included. What is the last index of a row?",
    ),
    body=_whole_window,
    minutes=3,
    difficulty=1,
    mistakes={
        "off by one: the last index is the width less one": lambda batch: _with_cut(batch, batch.items.shape[1]),
        "off by one: the last item is left out": lambda batch: _with_cut(batch, batch.items.shape[1] - 2),
        "you count the real items: padding on the left has indices too": lambda batch: _with_cut(
            batch, (batch.items > 0).sum(dim=1) - 1
        ),
        "the cuts are those that were given": lambda batch: batch,
        "there is one cut for all: each row needs one, the same number for each": lambda batch: replace(
            batch, cut=torch.tensor(batch.items.shape[1] - 1)
        ),
        "the targets before the cut are gone: here all of them are scored": lambda batch: replace(
            _with_cut(batch, batch.items.shape[1] - 1),
            targets=batch.targets.masked_fill(torch.arange(batch.items.shape[1]) < batch.items.shape[1] - 1, 0),
        ),
    },
)


# --- SkipRec ---


def _skiprec(trial: Trial) -> None:
    items = trial.histories(ITEMS, [9, 4, 9, 5], 9)
    cut = torch.tensor([8, 6, 3, 7])
    _built(trial)
    undecided = lambda kind, **o: a_skiprec(kind, trial.seed, **o)
    sure = lambda kind: a_sure_skiprec(kind, trial.seed, items, cut)
    for up_to in (cut, None):
        trial.same_results(lambda kind: undecided(kind).gate_logits, items, up_to)
    _decide(trial)
    for sample, up_to in ((False, cut), (True, cut), (True, None)):
        trial.same_results(lambda kind: sure(kind).gates, items, up_to, sample=sample)
    _forward(trial, items, cut, undecided, sure)


def _built(trial: Trial) -> None:
    like = a_skiprec(trial.reference, trial.seed)
    with trial.of_the_answer():
        model = a_skiprec(trial.answer, trial.seed)
    trial.require(isinstance(model, nn.Module), f"found {describe(model)}, expected a torch.nn.Module",
                  "derive the class from nn.Module")  # fmt: skip
    trial.require(len(list(model.parameters())) == len(list(like.parameters())),
                  f"the model has {len(list(model.parameters()))} parameters, expected {len(list(like.parameters()))}: "
                  "all of backbone and policy", "make both of them attributes of the model")  # fmt: skip
    for name in ("backbone", "policy", "tau"):
        trial.require(hasattr(model, name), f"the model has no attribute {name}", "the losses of this lesson use it")
    named, wanted = ({name for name, _ in m.named_parameters()} for m in (model, like))
    if named != wanted:
        trial.fail(f"found a parameter {min(named - wanted)}, expected names like {min(wanted)}",
                   "call the two attributes backbone and policy")  # fmt: skip


def _decide(trial: Trial) -> None:
    model = lambda kind, tau=2.0: a_skiprec(kind, trial.seed, tau=tau, blocks=1)
    tied = torch.tensor([[[1.0, 1.0], [0.0, 2.0], [2.0, 0.0]], [[-3.0, -1.0], [0.5, 0.4], [0.0, 0.0]]])
    for logits in (trial.normal(6, 3, 2), tied, trial.normal(1, 5, 2, dtype=torch.float64)):
        trial.same_results(lambda kind: model(kind).decide, logits, sample=False)
    logits = torch.zeros(400, 3, 2)
    with trial.of_the_answer(logits, sample=True):
        gates = model(trial.answer).decide(logits, sample=True)
    trial.require(type(gates) is Tensor, f"found {describe(gates)}, expected a tensor", "", logits, sample=True)
    trial.require(gates.shape == (400, 3), f"found shape {tuple(gates.shape)}, expected (400, 3)",
                  "a sample holds keep and skip: the gate is its first number", logits, sample=True)  # fmt: skip
    trial.require(bool(((gates == 0) | (gates == 1)).all()), "a sampled gate is neither 0 nor 1",
                  "the gates are soft: the value has to be the choice (hard=True)", logits, sample=True)  # fmt: skip
    trial.require(len(gates.unique(dim=0)) > 1 and len(gates.T.unique(dim=0)) > 1,
                  "equal logits, and all rows (or all blocks) get the same gates",
                  "the gates are not drawn, or all share one draw", logits, sample=True)  # fmt: skip
    for gap in (2.5, -4.0, 0.3):
        logits = torch.tensor([[[gap + 1.0, 1.0]]])
        draw = lambda kind, x=logits: model(kind).decide(x.expand(DRAWS, 1, 2), sample=True)[:, 0].detach()
        trial.alike(draw, f"a gate of the logits ({gap + 1:.1f}, 1.0)", sample=True)

    def gradient(kind: Any, tau: float) -> Tensor:
        leaf = torch.tensor([0.5, 0.0]).expand(DRAWS, 1, 2).clone().requires_grad_()
        gates = model(kind, tau).decide(leaf, sample=True)
        if not gates.requires_grad:
            return torch.zeros(DRAWS)
        return tau * torch.autograd.grad(gates.sum(), leaf)[0][:, 0, 0]

    for tau in (0.7, 10.0):
        trial.alike(partial(gradient, tau=tau),
                    f"the gradient of a gate at its keep logit, times tau = {tau},", sample=True)  # fmt: skip


def _forward(trial: Trial, items: Tensor, cut: Tensor, undecided: Callable, sure: Callable) -> None:
    for training in (False, True):
        for up_to in (cut, None):
            with trial.of_the_answer(items, up_to):
                model = undecided(trial.answer).train(training)
                scores = [model(items, up_to) for _ in range(6)]
            trial.require(
                type(scores[0]) is Tensor and scores[0].shape == (4, 9, ITEMS + 1),
                f"found {describe(scores[0])}, expected scores of shape {(4, 9, ITEMS + 1)}",
                "",
                items,
                up_to,
            )
            _nan_before(trial, scores[0], up_to, items)
            values = [s.detach().nan_to_num() for s in scores]
            differ = any(not torch.equal(values[0], v) for v in values)
            if training:
                trial.require(differ, "in training mode six calls give the same scores",
                              "the gates are greedy: in training they are sampled", items, up_to)  # fmt: skip
                last = scores[0][:, -1, 1:].sum()
                trial.require(reaches(last, model.policy), "in training mode no gradient reaches the policy",
                              "straight-through gates bring it: do not detach them", items, up_to)  # fmt: skip
            else:
                trial.require(not differ, "in eval mode two calls give different scores",
                              "the gates are sampled: in eval mode they are greedy", items, up_to)  # fmt: skip
            trial.same_results(_scoring(sure, training), items, up_to)


def _scoring(build: Callable, training: bool) -> Callable:
    """What a model of sure gates scores, and what a step would teach it."""

    def make(kind: Any) -> Callable:
        def scores_and_gradients(*arguments: Tensor | None) -> Any:
            model = build(kind).train(training)
            return learning(model(*arguments), model)

        return scores_and_gradients

    return make


def _nan_before(trial: Trial, scores: Tensor, cut: Tensor | None, items: Tensor) -> None:
    first = torch.full((len(items),), items.shape[1] - 1) if cut is None else cut
    before = torch.arange(items.shape[1]) < first.unsqueeze(1)
    nan = scores.detach()[..., 1:].isnan()
    trial.require(nan[before].all(), "a position before the cut has a score, expected NaN"
                  if cut is not None else "without a cut a position before the last has a score, expected NaN",
                  "its gates have read the item to predict: nobody may use such a score", items, cut)  # fmt: skip
    trial.require(not nan[~before].any(), "a position from the cut on is NaN, expected a score",
                  "the position at the cut is honest: it predicts the item after the cut", items, cut)  # fmt: skip


class _Sampling(SkipRec):
    def decide(self, logits: Tensor, *, sample: bool) -> Tensor:
        return gumbel_softmax(logits, self.tau, hard=True)[..., 0]


class _Greedy(SkipRec):
    def decide(self, logits: Tensor, *, sample: bool) -> Tensor:
        return (logits[..., 0] > logits[..., 1]).to(logits.dtype)


def _deciding(greedy: Callable[[Tensor], Tensor], sampled: Callable[[Tensor, float], Tensor]) -> type[SkipRec]:
    class Mistaken(SkipRec):
        def decide(self, logits: Tensor, *, sample: bool) -> Tensor:
            return sampled(logits, self.tau) if sample else greedy(logits).to(logits.dtype)

    return Mistaken


def _reading(read: Callable[[Tensor, Tensor | None], Tensor]) -> type[SkipRec]:
    class Mistaken(SkipRec):
        def gate_logits(self, items: Tensor, cut: Tensor | None = None) -> Tensor:
            return self.policy(read(items, cut))

    return Mistaken


def _shifted(by: int) -> Callable[[Tensor, Tensor | None], Tensor]:
    return lambda items, cut: visible(items, None if cut is None else (cut + by).clamp(0, items.shape[1] - 1))


def _larger(logits: Tensor) -> Tensor:
    return logits[..., 0] > logits[..., 1]


def _straight_through(logits: Tensor, tau: float) -> Tensor:
    return gumbel_softmax(logits, tau, hard=True)[..., 0]


def _bernoulli(logits: Tensor, tau: float) -> Tensor:
    return torch.bernoulli(logits.softmax(dim=-1)[..., 0].detach())


def _hidden_before(scores: Tensor, items: Tensor, cut: Tensor | None) -> Tensor:
    first = items.shape[1] - 1 if cut is None else cut[:, None]
    return scores.masked_fill((torch.arange(items.shape[1]) < first).expand(items.shape)[..., None], torch.nan)


class _AllBlocks(SkipRec):
    def forward(self, items: Tensor, cut: Tensor | None = None) -> Tensor:
        return _hidden_before(self.backbone(items), items, cut)


class _NanTimes(SkipRec):
    def forward(self, items: Tensor, cut: Tensor | None = None) -> Tensor:
        scores = self.backbone(items, self.gates(items, cut, sample=self.training))
        return scores * _hidden_before(torch.ones_like(scores), items, cut)


class _OtherWayRound(SkipRec):
    def gates(self, items: Tensor, cut: Tensor | None = None, *, sample: bool) -> Tensor:
        return 1 - super().gates(items, cut, sample=sample)


class _ReadsAllInForward(SkipRec):
    def gates(self, items: Tensor, cut: Tensor | None = None, *, sample: bool) -> Tensor:
        return super().gates(items, None, sample=sample)


class _BackboneReadsToTheCut(SkipRec):
    def forward(self, items: Tensor, cut: Tensor | None = None) -> Tensor:
        gates = self.gates(items, cut, sample=self.training)
        return _hidden_before(self.backbone(visible(items, cut), gates), items, cut)


check_SkipRec = Check(
    part="skiprec.SkipRec",
    task="An nn.Module with attributes `backbone`, `policy`, `tau` and four methods. `gate_logits(items, cut)`: the "
    "policy's logits from the visible items. `decide(logits, *, sample)`: gates (batch, block), either a "
    "straight-through sample at tau or greedy, 1 iff the keep logit is larger. `gates(items, cut, *, sample)`: both. "
    "`forward(items, cut)`: scores of all items at every position, NaN before the cut (None: before the last), with "
    "gates sampled in training mode, greedy in eval mode.",
    hints=(
        "Each method is one or two lines, and uses the one before it. `self.training` tells the mode.",
        "`gumbel_softmax(logits, tau, hard=True)` returns (keep, skip) pairs; the gate is the first. Greedy: compare "
        "the two logits; a tie skips.",
        "`backbone.encode(items, gates)` walks through the gated blocks, `backbone.score(hidden)` scores. The policy "
        "reads up to the cut; the backbone reads everything.",
        "NaN: `scores.masked_fill(before, torch.nan)`, where `before` is (batch, time, 1).",
    ),
    body=_skiprec,
    minutes=30,
    difficulty=3,
    mistakes={
        "gate_logits can do it, but the policy reads past the cut: hand the cut on to it": _ReadsAllInForward,
        "the policy reads past the cut: hand it the visible items": _reading(lambda items, cut: items),
        "the policy reads one item past the cut": _reading(_shifted(1)),
        "the policy does not read the item at the cut": _reading(_shifted(-1)),
        "the greedy gate is inverted: keep iff the keep logit is larger": _deciding(
            lambda x: x[..., 0] < x[..., 1], _straight_through
        ),
        "the sampled gate is inverted: keep is the first of the pair": _deciding(
            _larger, lambda x, tau: gumbel_softmax(x, tau, hard=True)[..., 1]
        ),
        "a tie keeps: it has to skip": _deciding(lambda x: x[..., 0] >= x[..., 1], _straight_through),
        "a keep logit above 0 is not enough: it has to be larger than the skip logit": _deciding(
            lambda x: x[..., 0] > 0, _straight_through
        ),
        "this is the probability to keep: greedy gates are 0 or 1": _deciding(
            lambda x: x.softmax(dim=-1)[..., 0], _straight_through
        ),
        "a sigmoid comes before the Gumbel noise: the noise belongs to the logits": _deciding(
            _larger, lambda x, tau: _straight_through(x.sigmoid(), tau)
        ),
        "a softmax comes before the Gumbel noise: the noise belongs to the logits": _deciding(
            _larger, lambda x, tau: _straight_through(x.softmax(dim=-1), tau)
        ),
        "the logits are divided by tau before the draw: tau shapes the gradient, never the choice": _deciding(
            _larger, lambda x, tau: _straight_through(x / tau, 1.0)
        ),
        "tau is always 10: use the model's": _deciding(_larger, lambda x, tau: _straight_through(x, 10.0)),
        "tau is always 1: use the model's": _deciding(_larger, lambda x, tau: _straight_through(x, 1.0)),
        "no gradient comes back to the logits: the sample has to be a straight-through one": _deciding(
            _larger, _bernoulli
        ),
        "the gradient is that of the probability, not of the soft sample at tau": _deciding(
            _larger, lambda x, tau: (p := x.softmax(dim=-1)[..., 0]) + (torch.bernoulli(p.detach()) - p).detach()
        ),
        "the gates are greedy: sample=True draws": _Greedy,
        "the gates are sampled: sample=False takes the likelier choice": _Sampling,
        "the gates have no effect: hand them to the backbone": _AllBlocks,
        "a number times NaN has a NaN gradient, which reaches every weight: put NaN in with masked_fill": _NanTimes,
        "the gate is inverted on the way to the backbone": _OtherWayRound,
        "the backbone reads up to the cut only: that is the policy's limit, the backbone reads "
        "everything": _BackboneReadsToTheCut,
    },
)


# --- losses ---


def _losses_at(trial: Trial) -> None:
    def make(of: Any) -> Callable:
        def losses(batch: Windows, gates: Tensor) -> Any:
            both = nn.Module()
            both.gates, both.backbone = nn.Parameter(gates), a_backbone(trial.seed)
            return learning(of(both.backbone, batch, both.gates), both)

        return losses

    for lengths, width in (((8, 3, 1, 8, 5), 8), ((4,), 4)):
        batch = some_windows(trial, lengths, width)
        soft = torch.rand(len(batch), BLOCKS, generator=trial.generator, dtype=torch.float64)
        for gates in ((soft < 0.5).double(), soft, torch.ones_like(soft)):
            kept = copied(batch)
            with trial.of_the_answer(batch, gates):
                found = trial.answer(a_backbone(trial.seed), kept, gates.clone())
            unchanged(trial, kept, batch)
            trial.require(type(found) is Tensor, f"found {describe(found)}, expected a tensor", "", batch, gates)
            expected = (int(batch.scored().sum()),)
            if found.shape != expected:
                place = "take no mean: return one loss for each" if not found.dim() else (
                    "leave out the positions without a target" if found.numel() == batch.items.numel()
                    else "return the losses in a row")  # fmt: skip
                trial.fail(
                    f"found shape {tuple(found.shape)}, expected {expected}: one number for each scored position",
                    place,
                    batch,
                    gates,
                )
            trial.same_results(make, batch, gates)


def _cross_entropy(hidden: Tensor, backbone: Any, batch: Windows) -> Tensor:
    scored = batch.scored()
    return F.cross_entropy(backbone.score(hidden[scored]), batch.targets[scored], reduction="none")


check_losses_at = Check(
    part="gate_losses.losses_at",
    task="Return the cross-entropy of the target at every scored position (where `batch.targets` is above 0), row by "
    "row, as one tensor (scored,), with the backbone run under these gates (batch, block). Gates may be soft, and have "
    "a gradient. No mean is taken.",
    hints=(
        "`batch.scored()` is the mask (batch, time) of the positions that count. Use it twice: on the hidden states, "
        "and on the targets.",
        "`backbone.encode(items, gates)` -> (batch, time, channel); with the mask -> (scored, channel); "
        "`backbone.score` -> (scored, items).",
        "`cross_entropy` takes the mean if you do not ask for something else: look at `reduction`.",
    ),
    body=_losses_at,
    minutes=10,
    difficulty=2,
    mistakes={
        "the gates have no effect: hand them to encode": lambda backbone, batch, gates: (
            _cross_entropy(backbone.encode(batch.items), backbone, batch) + 0 * gates.sum()
        ),
        "no gradient reaches the gates": lambda backbone, batch, gates: _cross_entropy(
            backbone.encode(batch.items, gates.detach()), backbone, batch
        ),
        "the gates are inverted": lambda backbone, batch, gates: _cross_entropy(
            backbone.encode(batch.items, 1 - gates), backbone, batch
        ),
        "the gates stand in reverse order": lambda backbone, batch, gates: _cross_entropy(
            backbone.encode(batch.items, gates.flip(1)), backbone, batch
        ),
        "the sign is wrong: a loss is minus the log-probability": lambda backbone, batch, gates: (
            -_cross_entropy(backbone.encode(batch.items, gates), backbone, batch)
        ),
        "the targets are shifted by one position": lambda backbone, batch, gates: F.cross_entropy(
            backbone.score(backbone.encode(batch.items, gates).roll(1, dims=1)[batch.scored()]),
            batch.targets[batch.scored()],
            reduction="none",
        ),
        "the positions come column by column: go row by row": lambda backbone, batch, gates: F.cross_entropy(
            backbone.score(backbone.encode(batch.items, gates).transpose(0, 1)[batch.scored().T]),
            batch.targets.T[batch.scored().T],
            reduction="none",
        ),
    },
)


def _gate_loss(trial: Trial, batch: Windows, cost: float) -> None:
    """Value and gradients with a policy that is all but certain."""

    def make(of: Any) -> Callable:
        def loss(batch: Windows, cost: float) -> Any:
            model = a_sure_skiprec(SkipRec, trial.seed, batch.items, batch.cut).train()
            return learning(of(model, batch, cost), model)

        return loss

    trial.same_results(make, batch, cost)


def _straight_through_loss(trial: Trial) -> None:
    batch = some_windows(trial)
    kept = copied(batch)
    model = a_skiprec(SkipRec, trial.seed).train()
    with trial.of_the_answer(batch, 0.7):
        values = [is_a_loss(trial, trial.answer(model, batch, 0.7)) for _ in range(10)]
    unchanged(trial, batch, kept)
    trial.require(len({float(v.detach()) for v in values}) > 1, "ten calls with an undecided policy give the same loss",
                  "the gates are greedy: in training they are sampled (sample=True)", batch, 0.7)  # fmt: skip
    with trial.of_the_answer(batch, 0.0):
        value = trial.answer(model, batch, 0.0)
    trial.require(
        reaches(value, model.policy),
        "the recommendation loss brings no gradient to the policy",
        "the gates are detached: they have to keep their gradient on the way to the backbone",
        batch,
        0.0,
    )
    trial.require(
        reaches(value, model.backbone), "no gradient reaches the backbone", "both are trained together", batch, 0.0
    )
    sure = a_sure_skiprec(SkipRec, trial.seed, batch.items, batch.cut).train()
    with trial.of_the_answer(batch, 0.0):
        drawn = {round(float(trial.answer(sure, batch, 0.0).detach()), 7) for _ in range(5)}
    trial.require(
        len(drawn) == 1,
        "with a policy that is all but certain, five calls give different losses",
        "gates are drawn with the policy's probabilities: take them from model.gates",
        batch,
        0.0,
    )
    for cost in (0.0, 0.7):
        _gate_loss(trial, batch, cost)
    _gate_loss(trial, some_windows(trial, (4, 6), 6), 2.0)
    _rate_of_the_cost(trial)


def _rate_of_the_cost(trial: Trial) -> None:
    """Where blocks do nothing, the loss is a constant plus cost times the mean gate: how are gates drawn?"""
    rows = 200
    items = torch.ones(rows, 2, dtype=torch.int64)
    batch = Windows(items, items, torch.full((rows,), 1), torch.arange(rows))
    model = a_skiprec(SkipRec, trial.seed).train()
    with torch.no_grad():
        for name, p in model.backbone.named_parameters():
            if name.endswith("scale"):
                p.zero_()
        model.policy.output.weight.zero_()
        model.policy.output.bias.copy_(torch.tensor([2.0, 0.0]).repeat(BLOCKS))
    with trial.of_the_answer(batch, 1.0):
        gate = float(trial.answer(model, batch, 1.0).detach() - trial.answer(model, batch, 0.0).detach())
    keep = 1 / (1 + np.exp(-2.0))
    trial.require(
        abs(gate - keep) < 0.07,
        f"a policy with logits (2, 0) gives a mean gate of {gate:.3f}, expected {keep:.3f}",
        "gates are drawn with the policy's probabilities: take them from model.gates",
        batch,
        1.0,
    )


def _st_loss(
    weigh: Callable[[Tensor], Tensor] = lambda gates: gates.mean(),
    reduce: Callable[[Tensor, Windows], Tensor] = lambda losses, batch: losses.mean(),
    gates_of: Callable[[SkipRec, Windows], Tensor] = lambda m, b: m.gates(b.items, b.cut, sample=True),
) -> Callable:
    """A straight-through loss with one step replaced."""

    def loss(model: SkipRec, batch: Windows, cost: float) -> Tensor:
        gates = gates_of(model, batch)
        return reduce(gate_losses.losses_at(model.backbone, batch, gates), batch) + cost * weigh(gates)

    return loss


check_straight_through_loss = Check(
    part="gate_losses.straight_through_loss",
    task="Return the loss of one step, a single number: the mean cross-entropy over all scored positions of the batch, "
    "under sampled gates of a policy that reads up to `batch.cut`, plus cost times the mean gate. Its gradient trains "
    "backbone and policy together.",
    hints=(
        "Three steps: draw gates, compute the losses under them, add the cost.",
        "`model.gates(items, cut, sample=…)` draws; your `losses_at` does the second step. What comes back from it is "
        "one number for each scored position.",
        "The cost counts a share of blocks, between 0 and 1, whatever the number of blocks. It has to make a kept "
        "block dearer than a skipped one.",
    ),
    body=_straight_through_loss,
    minutes=10,
    difficulty=2,
    mistakes={
        "the cost's sign is wrong: it rewards keeping": _st_loss(lambda gates: -gates.mean()),
        "the cost counts skipped blocks: it has to count kept ones": _st_loss(lambda gates: (1 - gates).mean()),
        "the cost is that of the sum of all gates: take the mean": _st_loss(lambda gates: gates.sum()),
        "the cost is that of the number of blocks: take the mean over the blocks too": _st_loss(
            lambda gates: gates.sum(dim=1).mean()
        ),
        "the cost is divided by the number of blocks twice": _st_loss(lambda gates: gates.mean() / gates.shape[1]),
        "the cost is missing": _st_loss(lambda gates: 0 * gates.sum()),
        "the gates in the cost are detached: the cost teaches the policy nothing": _st_loss(
            lambda gates: gates.detach().mean()
        ),
        "each user counts once: take the mean over all scored positions": _st_loss(
            reduce=lambda losses, batch: gate_losses.per_row(losses, batch).mean()
        ),
        "the losses are summed: take the mean": _st_loss(reduce=lambda losses, batch: losses.sum()),
        "the losses are divided by all positions: only scored ones count": _st_loss(
            reduce=lambda losses, batch: losses.sum() / batch.items.numel()
        ),
        "the policy reads the whole window: hand it the cut": _st_loss(
            gates_of=lambda model, batch: model.gates(batch.items, sample=True)
        ),
        "the gates are soft, probabilities: they have to be sampled": _st_loss(
            gates_of=lambda model, batch: model.gate_logits(batch.items, batch.cut).softmax(dim=-1)[..., 0]
        ),
        "the gates are greedy": _st_loss(
            gates_of=lambda model, batch: model.gates(batch.items, batch.cut, sample=False)
        ),
        "the losses are those of the full depth: the gates have no effect on them": lambda model, batch, cost: (
            gate_losses.losses_at(model.backbone, batch, torch.ones(len(batch), BLOCKS, dtype=torch.float64)).mean()
            + cost * model.gates(batch.items, batch.cut, sample=True).mean()
        ),
    },
)


def _settled_loss(trial: Trial) -> None:
    batch = some_windows(trial)
    kept = copied(batch)
    model = a_skiprec(SkipRec, trial.seed).train()
    with trial.of_the_answer(batch, 0.7):
        values = [is_a_loss(trial, trial.answer(model, batch, 0.7)) for _ in range(10)]
    unchanged(trial, batch, kept)
    trial.require(
        len({round(float(v.detach()), 9) for v in values}) == 1,
        "two calls give different losses",
        "the gates are sampled: while the backbone settles they are greedy (sample=False)",
        batch,
        0.7,
    )
    trial.require(not reaches(values[0], model.policy), "a gradient reaches the policy, expected none",
                  "while the backbone settles the policy does not learn", batch, 0.7)  # fmt: skip
    trial.require(reaches(values[0], model.backbone), "no gradient reaches the backbone",
                  "the backbone learns: torch.no_grad() belongs around the gates only", batch, 0.7)  # fmt: skip
    _gate_loss(trial, batch, 0.7)
    _gate_loss(trial, some_windows(trial, (4, 6), 6), 0.0)


def _settled(
    gates_of: Callable[[SkipRec, Windows], Tensor] = lambda m, b: m.gates(b.items, b.cut, sample=False),
    reduce: Callable[[Tensor, Windows], Tensor] = lambda losses, batch: losses.mean(),
    weight: float = 0.0,
) -> Callable:
    """A settled loss with one step replaced."""

    def loss(model: SkipRec, batch: Windows, cost: float) -> Tensor:
        gates = gates_of(model, batch).detach()
        return reduce(gate_losses.losses_at(model.backbone, batch, gates), batch) + weight * cost * gates.mean()

    return loss


check_settled_loss = Check(
    part="gate_losses.settled_loss",
    task="Return the mean cross-entropy over all scored positions under the policy's greedy gates, for the last "
    "epochs: the backbone learns, the policy does not. `cost` is handed over, as to every loss, and not used.",
    hints=(
        "Which of the two may change in these epochs? The gradient has to reach that one, and not the other.",
        "`torch.no_grad()` around the right line. Then the losses as in `straight_through_loss`.",
    ),
    body=_settled_loss,
    minutes=5,
    difficulty=1,
    mistakes={
        "the cost is still in the loss: gates that are fixed cost nothing that could be learnt": _settled(weight=1.0),
        "the policy reads the whole window: hand it the cut": _settled(lambda m, b: m.gates(b.items, sample=False)),
        "all blocks are run: the backbone has to settle under the policy's gates": _settled(
            lambda m, b: torch.ones(len(b), BLOCKS, dtype=torch.float64)
        ),
        "the gates are inverted": _settled(lambda m, b: 1 - m.gates(b.items, b.cut, sample=False)),
        "each user counts once: take the mean over all scored positions": _settled(
            reduce=lambda losses, batch: gate_losses.per_row(losses, batch).mean()
        ),
        "the losses are summed: take the mean": _settled(reduce=lambda losses, batch: losses.sum()),
        "the gates are soft, probabilities: they have to be greedy": _settled(
            lambda m, b: m.gate_logits(b.items, b.cut).softmax(dim=-1)[..., 0]
        ),
    },
)


# --- which epoch ---


def _choose(trial: Trial) -> None:
    users = trial.normal(200, dtype=torch.float64, scale=0.1)

    def front(*epochs: tuple[float, float], users: Tensor = users) -> list[Candidate]:
        """Epochs of so many blocks, so many standard errors behind the best."""
        made = []
        for epoch, (blocks, z) in enumerate(epochs):
            luck = trial.normal(len(users), dtype=torch.float64)
            luck = (luck - luck.mean()) / luck.std() * 0.02 * (z > 0)
            behind = z * 0.02 / len(users) ** 0.5
            made.append(Candidate(epoch=epoch, blocks=blocks, ndcg=0.3 + users + luck - behind, weights={}))
        return made

    def make(of: Any) -> Callable:
        return lambda given: _named(of(given))

    alone = front((4, 0.0))
    found = trial.call(trial.answer, alone)
    trial.require(hasattr(found, "blocks"), f"found {describe(found)}, expected one of the epochs",
                  "return the epoch itself, not its place, its blocks or a list", alone)  # fmt: skip
    for given in (
        alone,
        front((1, 30.0), (2, 9.0), (3, 3.5), (5, 0.5), (4, 1.5), (6, 0.0)),
        front((6, 0.0), (3, 0.5), (1, 3.0)),
        front((1, 4.0), (2, 0.7), (5, 0.3), (6, 0.0)),
        front((6, 0.0), (5, 1.5), (2, 6.0)),
        front((2.5, 0.9), (2.25, 1.1), (7.0, 0.0)),
        front((3, 2.5), (4, 0.0)),
        front((3, 0.5), (4, 0.0), users=users[:20]),
    ):
        trial.same_results(make, given)


def _named(chosen: Any) -> str:
    if not hasattr(chosen, "blocks"):
        return describe(chosen)
    return f"the epoch of {float(chosen.blocks):g} blocks and NDCG {float(chosen.ndcg.mean()):.4f}"


def _best(front: list[Candidate]) -> Candidate:
    return max(front, key=lambda c: c.ndcg.mean())


def _level(front: list[Candidate], errors: float = 1.0) -> list[Candidate]:
    pairs = [(c, metrics.paired_difference(_best(front).ndcg, c.ndcg)) for c in front]
    return [c for c, d in pairs if d.mean <= errors * d.error]


def _fewest(front: list[Candidate]) -> Candidate:
    return min(front, key=lambda c: c.blocks)


check_choose = Check(
    part="choosing.choose",
    task="Given a list of epochs, each with `.ndcg` (one number for each validation user) and `.blocks` (mean number "
    "kept), return one of them: of those whose mean NDCG lies within one paired standard error of the best, the one "
    "with fewest blocks.",
    hints=(
        "First find the best epoch. Then ask of each epoch how far behind it is, user by user.",
        "`metrics.paired_difference(best.ndcg, c.ndcg)` has a mean and its error. Which condition on the two means "
        '"as good as the best"?',
        "The best epoch itself is 0 behind with an error of 0: it has to count as good as the best.",
    ),
    body=_choose,
    minutes=10,
    difficulty=2,
    mistakes={
        "you take the best epoch, or the most blocks of those as good: of those within one standard error take the "
        "fewest": _best,
        "you take the fewest blocks of all: only epochs within one standard error of the best may be chosen": _fewest,
        "you allow two standard errors: allow one": lambda front: _fewest(_level(front, 2.0)),
        "you allow a standard deviation: a standard error is smaller by the square root of the number of "
        "users": lambda front: _fewest(_level(front, len(front[0].ndcg) ** 0.5)),
        "the error is that of one epoch's users, not of the paired difference": lambda front: _fewest(
            [
                c
                for c in front
                if _best(front).ndcg.mean() - c.ndcg.mean() <= metrics.mean_and_error(_best(front).ndcg).error
            ]
        ),
    },
)

"""Checks of what lesson 08 builds: the policy, SkipRec, the losses of joint training.

Gates are drawn at random, and another right way may draw other ones. So most checks give the answer a policy that is
all but certain: its sampled gates are the same whoever draws them. With a very large tau their gradient is known too.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_course.comparing import describe
from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.models import (
    BLOCKS,
    FLAT,
    ITEMS,
    a_backbone,
    a_skiprec,
    a_sure_skiprec,
    calls_differ,
    is_a_loss,
    learning,
    some_windows,
    the_same,
    windows_from,
)
from skiprec_course.questions import is_tensor
from skiprec_course.skiprec import mistakes
from skiprec_lite.choosing import Candidate
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

__all__ = [
    "check_PolicyNetwork", "check_SkipRec", "check_choose", "check_draw_cut", "check_from_a_cut", "check_losses_at",
    "check_straight_through_loss", "check_visible",
]  # fmt: skip

# --- PolicyNetwork ---


def _policy_network(trial: Trial) -> None:
    for blocks, size in (
        (3, {"channels": 6}),
        (2, {}),
        (1, {"channels": 5, "dilations": (2,)}),
        (4, {"channels": 6, "dilations": (1, 4), "embedding_channels": 5}),
    ):
        items = trial.histories(ITEMS, [13, 7, 4, 1], 13)
        padded = torch.cat([F.pad(items, (2, 0)), F.pad(items, (0, 2))])  # on the right stands what comes after a cut
        trial.call(trial.module(ITEMS, blocks, inputs=(padded,), **size), padded)
    _keep_bias(trial)


def _keep_bias(trial: Trial) -> None:
    """With all weights at 0 the logits of a fresh policy are what its bias makes them."""
    items = trial.integers(1, ITEMS, 1, 4)

    def head_start(kind: Any) -> Callable:
        def of_a_fresh_policy(*, keep_bias: float) -> Tensor:
            model = kind(ITEMS, 3, channels=5, keep_bias=keep_bias)
            with torch.no_grad():
                for p in model.parameters():
                    p.mul_(p.dim() == 1)
                return -model(items).diff(dim=-1)

        return of_a_fresh_policy

    for keep_bias in (1.5, -2.0, 0.0):
        trial.same_results(head_start, keep_bias=keep_bias)


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
    mistakes=mistakes.POLICY_NETWORK,
)


# --- what the policy may read ---


def _visible(trial: Trial) -> None:
    for lengths, width in (([5, 4, 5, 2, 4], 5), ([8, 2, 6], 8), ([1, 1], 1)):
        items, real = trial.histories(20, lengths, width), torch.tensor(lengths)
        for cut in (width - real + (real - 1) // 3, torch.full_like(real, width - 1), width - real):
            trial.same(items, cut)
        trial.same(items, None)


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
    mistakes=mistakes.VISIBLE,
)


def _are_cuts(trial: Trial, cut: Any, items: Tensor) -> None:
    """Whole numbers, one for each row, each the index of a real item."""
    is_tensor(trial, cut, (len(items),), "each row has one cut", items)
    trial.require(not cut.is_floating_point(), f"found {cut.dtype}, expected whole numbers", "", items)
    width = items.shape[1]
    trial.require((cut < width).all(), "a cut lies behind the last position", "", items)
    trial.require((cut >= width - (items > 0).sum(dim=1)).all(), "a cut lies on padding, or before it", "", items)


def _draw_cut(trial: Trial) -> None:
    for lengths, width in (([6, 2, 1, 4] * 5, 6), ([3], 9), ([5] * 4, 5)):
        items = trial.histories(20, lengths, width)
        for _ in range(12):
            _are_cuts(trial, trial.call(trial.answer, items), items)
    alike = trial.histories(20, [7], 9).expand(200, -1)
    cuts = torch.stack([trial.call(trial.answer, alike) for _ in range(4)])
    trial.require(len(cuts.unique()) > 1, f"800 draws for a row of 7 items all give the cut {int(cuts[0, 0])}")
    trial.require(len(cuts[0].unique()) > 1, "200 equal rows all have the same cut", "", alike)
    row = trial.histories(20, [5], 8)
    trial.alike(lambda f: f(row.expand(DRAWS, -1)).double(), "the cut", row[0])


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
    mistakes=mistakes.DRAW_CUT,
)


def _from_a_cut(trial: Trial) -> None:
    for lengths, width in (((8, 3, 1, 8, 5) * 40, 8), ((4,), 6)):
        batch = some_windows(trial, lengths, width)
        real = batch.items > 0
        real[1:] &= torch.rand(real[1:].shape, generator=trial.generator) > 0.2
        given = replace(batch, targets=trial.integers(1, ITEMS, *real.shape) * real)
        _scored_from_the_cut(trial, windows_from(trial, given), given)
    row = batch.items[:1].expand(DRAWS, -1)
    many = Windows(row, row, torch.zeros(DRAWS, dtype=torch.int64), torch.zeros(DRAWS, dtype=torch.int64))
    trial.alike(lambda f: f(many).cut.double(), "the cut", many)


def _scored_from_the_cut(trial: Trial, found: Windows, given: Windows) -> None:
    the_same(trial, found, given, "items", "users", "seen")
    _are_cuts(trial, found.cut, given.items)
    is_tensor(trial, found.targets, given.targets.shape, "", given)
    time, cut = torch.arange(given.items.shape[1]).expand_as(given.items), found.cut.unsqueeze(1)
    expected = given.targets.masked_fill(time < cut, 0)
    if len(given) > 1:
        elsewhere = "" if torch.equal(found.targets, expected) else ", but not the targets"
        trial.require((cut.squeeze(1) != given.cut).any(), f"the cuts are those that were given{elsewhere}", "", given)
    for where, words in (
        (time > cut, "targets after the cut are not those that were given"),
        (time < cut - 1, "targets before the cut are still scored"),
        (time == cut - 1, "the target just before the cut is still scored"),
        (time == cut, "the target at the cut itself is not the one that was given"),
    ):
        trial.require(torch.equal(found.targets[where], expected[where]), words, "", given)


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
    mistakes=mistakes.FROM_A_CUT,
)


# --- SkipRec ---


def _skiprec(trial: Trial) -> None:
    items = trial.histories(ITEMS, [9, 4, 9, 5], 9)
    cut = torch.tensor([8, 6, 3, 7])
    _built(trial)
    doubtful, certain = a_skiprec(SkipRec, trial.seed), a_sure_skiprec(SkipRec, trial.seed, items, cut)
    undecided = lambda kind, tau=2.0: kind(doubtful.backbone, doubtful.policy, tau=tau)
    sure = lambda kind: kind(certain.backbone, certain.policy, tau=FLAT)
    for up_to in (cut, None):
        trial.same_results(lambda kind: undecided(kind).gate_logits, items, up_to)
    _greedy(trial, undecided)
    _sampled(trial, undecided)
    for sample in (False, True):
        drawn = calls_differ(trial, partial(undecided(trial.answer).gates, sample=sample), items, cut)
        trial.require(drawn == sample, f"six calls of gates(…, sample={sample}) {'differ' if drawn else 'agree'}")
    for sample, up_to in ((False, cut), (True, cut), (True, None)):
        trial.same_results(lambda kind: sure(kind).gates, items, up_to, sample=sample)
    for training, mode in ((False, "eval"), (True, "training")):
        drawn = calls_differ(trial, undecided(trial.answer).train(training), items, cut)
        trial.require(drawn == training, f"in {mode} mode six calls {'differ' if drawn else 'agree'}", "", items, cut)
        for up_to in (cut, None):
            trial.same_results(_scoring(sure, training), items, up_to)


def _built(trial: Trial) -> None:
    with trial.of_the_answer():
        model = a_skiprec(trial.answer, trial.seed)
    trial.require(isinstance(model, nn.Module), f"found {describe(model)}, expected a torch.nn.Module",
                  "derive the class from nn.Module")  # fmt: skip
    trial.require(hasattr(model, "tau"), "the model has no attribute tau", "the losses of this lesson use it")
    named, wanted = ({name for name, _ in m.named_parameters()} for m in (model, a_skiprec(SkipRec, trial.seed)))
    trial.require(named == wanted, f"the model has {len(named)} parameters, expected {len(wanted)} with names like "
                  f"{min(wanted)}", "make backbone and policy attributes of the model, under these names")  # fmt: skip


def _greedy(trial: Trial, undecided: Callable) -> None:
    tied = torch.tensor([[[1.0, 1.0], [0.0, 2.0], [2.0, 0.0]], [[-3.0, -1.0], [0.5, 0.4], [0.0, 0.0]]])
    for logits in (trial.normal(6, 3, 2), tied, trial.normal(1, 5, 2, dtype=torch.float64)):
        trial.same_results(lambda kind: undecided(kind).decide, logits, sample=False)


def _sampled(trial: Trial, undecided: Callable) -> None:
    logits = torch.zeros(400, 30, 2)
    gates = trial.call(undecided(trial.answer).decide, logits, sample=True)
    is_tensor(trial, gates, (400, 30), "", logits, sample=True)
    trial.require(((gates == 0) | (gates == 1)).all(), "a sampled gate is neither 0 nor 1", "", logits, sample=True)
    trial.require(len(gates.unique()) == 2, "equal logits, and all gates are the same", "", logits, sample=True)
    for axis, words in ((0, "rows"), (1, "blocks")):
        trial.require(len(gates.unique(dim=axis)) > 1, f"equal logits, and all {words} get the same gates", "",
                      logits, sample=True)  # fmt: skip
    for gap in (2.5, -4.0, 0.3):
        logits = torch.tensor([[[gap + 1.0, 1.0]]])
        draw = lambda kind, x=logits: undecided(kind).decide(x.expand(DRAWS, 1, 2), sample=True)[:, 0].detach()
        trial.alike(draw, f"a gate of the logits ({gap + 1:.1f}, 1.0)", sample=True)

    def gradient(kind: Any, tau: float) -> Tensor:
        leaf = torch.tensor([0.5, 0.0]).expand(DRAWS, 1, 2).clone().requires_grad_()
        gates = undecided(kind, tau).decide(leaf, sample=True)
        return tau * torch.autograd.grad(gates.sum(), leaf)[0][:, 0, 0] if gates.requires_grad else torch.zeros(DRAWS)

    for tau in (0.7, 10.0):
        what = f"the gradient of a gate at its keep logit, times tau = {tau},"
        trial.alike(partial(gradient, tau=tau), what, sample=True)


def _scoring(build: Callable, training: bool) -> Callable:
    """What a model of sure gates scores, and what a step would teach it."""

    def make(kind: Any) -> Callable:
        def scores_and_gradients(*arguments: Tensor | None) -> Any:
            model = build(kind).train(training)
            return learning(model(*arguments), model)

        return scores_and_gradients

    return make


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
    mistakes=mistakes.SKIPREC,
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
            found = trial.call(trial.answer, a_backbone(trial.seed), batch, gates)
            is_tensor(trial, found, (int(batch.scored().sum()),), "one number for each scored position", batch, gates)
            trial.same_results(make, batch, gates)


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
    importance="useful",
    mistakes=mistakes.LOSSES_AT,
)


def _straight_through_loss(trial: Trial) -> None:
    batch = some_windows(trial)
    model = a_skiprec(SkipRec, trial.seed).train()
    values = [is_a_loss(trial, trial.call(trial.answer, model, batch, 0.7)).detach() for _ in range(10)]
    trial.require(any(v != values[0] for v in values), "ten calls with an undecided policy all give the loss "
                  f"{float(values[0]):.6g}", "", batch, 0.7)  # fmt: skip
    sure = a_sure_skiprec(SkipRec, trial.seed, batch.items, batch.cut).train()
    drawn = {round(float(trial.call(trial.answer, sure, batch, 0.0).detach()), 7) for _ in range(5)}
    trial.require(len(drawn) == 1, "with a policy that is all but certain, five calls give different losses", "",
                  batch, 0.0)  # fmt: skip
    for given, cost in ((batch, 0.7), (batch, 0.0), (some_windows(trial, (4, 6), 6), 2.0)):
        certain = a_sure_skiprec(SkipRec, trial.seed, given.items, given.cut).train()
        trial.same_results(partial(_taught, certain), given, cost)


def _taught(model: SkipRec, of: Any) -> Callable:
    """A loss, and what it would teach a copy of the model."""

    def loss(batch: Windows, cost: float) -> Any:
        ours = copy.deepcopy(model)
        return learning(of(ours, batch, cost), ours)

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
    mistakes=mistakes.STRAIGHT_THROUGH_LOSS,
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

    for given in (
        front((4, 0.0)),
        front((1, 30.0), (2, 9.0), (3, 3.5), (5, 0.5), (4, 1.5), (6, 0.0)),
        front((6, 0.0), (3, 0.5), (1, 3.0)),
        front((1, 4.0), (2, 0.7), (5, 0.3), (6, 0.0)),
        front((6, 0.0), (5, 1.5), (2, 6.0)),
        front((2.5, 0.9), (2.25, 1.1), (7.0, 0.0)),
        front((3, 2.5), (4, 0.0)),
        front((3, 0.5), (4, 0.0), users=users[:20]),
    ):
        trial.same_results(lambda of: lambda epochs: _named(of(epochs)), given)


def _named(chosen: Any) -> str:
    if not hasattr(chosen, "blocks"):
        return describe(chosen)
    return f"the epoch of {float(chosen.blocks):g} blocks and NDCG {float(chosen.ndcg.mean()):.4f}"


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
    importance="useful",
    mistakes=mistakes.CHOOSE,
)

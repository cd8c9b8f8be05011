"""Checks of what assignment 3 asks for and no lesson builds in this form, and the course's version of each function.

Backbone, policy and model come as bare parts: what a package's method would do on its own is what is to be written.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_course.comparing import describe
from skiprec_course.engine import Check, Outcome, Trial
from skiprec_course.questions import honours_the_generator
from skiprec_lite.backbones import item_embedding
from skiprec_lite.blocks import ResidualBlock
from skiprec_lite.gumbel import gumbel_softmax
from skiprec_lite.skiprec import visible
from skiprec_lite.windows import Windows

__all__ = [
    "check_accuracy_under", "check_adaptive_output", "check_at_the_same_rate", "check_gated_encode",
    "check_gated_encode_gradient", "check_joint_loss", "check_joint_loss_gradient", "check_joint_loss_sampled",
    "check_masked_mean", "check_paired", "check_policy_logits", "check_policy_logits_cut", "check_training_step",
    "check_training_step_twice",
]  # fmt: skip

NUM_ITEMS = 7
SURE = 1e8  # logits of this size at a temperature of this size: the noise no longer counts, the slope still does


def go_on(answer: Any, *checks: Check) -> Any:
    """What later cells go on with: the answer if it passes all these checks, until then the course's version.

    An answer that takes more than a few seconds has not passed: an endless loop costs its own cells only.
    """
    try:
        with _seconds(5):
            passed = all(check.verdict(answer).outcome is Outcome.PASSED for check in checks)
    except (KeyboardInterrupt, TimeoutError):
        passed = False
    return answer if passed else checks[0].reference


@contextlib.contextmanager
def _seconds(limit: float) -> Iterator[None]:
    """Raise TimeoutError in what runs longer, where the system can (not on Windows, not in a thread)."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise TimeoutError(f"it ran for more than {limit:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit, limit)  # again and again, should one be caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- the course's versions ---


def adaptive_output(hidden_before: Tensor, hidden_after: Tensor, gates: Tensor) -> Tensor:
    """What goes on to the next block: the block's output where the gate is 1, its input where it is 0."""
    gate = gates[:, None, None]
    return gate * hidden_after + (1 - gate) * hidden_before


def gated_encode(backbone: Any, items: Tensor, gates: Tensor) -> Tensor:
    """Walk through the blocks, each behind a gate."""
    hidden, mask = backbone.embed(items), items > 0
    for index, block in enumerate(backbone.blocks):
        hidden = adaptive_output(hidden, block(hidden, mask), gates[:, index])
    return hidden


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average over the real positions; zeros where a row has none."""
    real = mask.unsqueeze(-1)
    return (hidden * real).sum(dim=1) / real.sum(dim=1).clamp_min(1)


def policy_logits(policy: Any, items: Tensor, cut: Tensor | None) -> Tensor:
    """Logits (keep, skip) of each block, from the items up to the cut."""
    read = visible(items, cut)
    hidden, mask = policy.embedding(read), read > 0
    for block in policy.blocks:
        hidden = block(hidden, mask)
    return policy.output(masked_mean(hidden, mask)).unflatten(-1, (-1, 2))


def joint_loss(model: Any, batch: Windows, cost: float) -> Tensor:
    """Cross-entropy under sampled straight-through gates, plus cost * (mean gate)."""
    return _joint_loss(model, batch, cost)


def training_step(model: Any, batch: Windows, cost: float, optimizer: torch.optim.Optimizer) -> float:
    """One step of the optimizer on the joint loss; the loss before the step."""
    optimizer.zero_grad()
    loss = joint_loss(model, batch, cost)
    loss.backward()
    optimizer.step()
    return loss.item()


def at_the_same_rate(gates: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Random gates: each is 1 with the same probability, the mean of the given ones."""
    return (torch.rand(gates.shape, generator=generator) < gates.mean()).to(gates.dtype)


@torch.no_grad()
def accuracy_under(model: Any, cases: Windows, gates: Tensor) -> Tensor:
    """The share of each row's scored positions at which the true item has the highest score."""
    scored = cases.scored()
    first = model.backbone.score(gated_encode(model.backbone, cases.items, gates)).argmax(dim=-1)
    return ((first == cases.targets) & scored).sum(dim=1) / scored.sum(dim=1)


def paired(learned: Tensor, random: Tensor) -> tuple[float, float]:
    """Mean over the users of learned - (mean of the draws), and the standard error of that mean."""
    difference = learned - random.mean(dim=0)
    return float(difference.mean()), float(difference.std() / len(difference) ** 0.5)


# --- bare parts to try the functions on ---


class _Bare(nn.Module):
    """Only to be read: nobody needs a copy. The training steps work on `copied`."""

    def __deepcopy__(self, memo: dict) -> "_Bare":
        return self


class BareBackbone(_Bare):
    """What may be used of a backbone: `embed`, `blocks`, `score`."""

    def __init__(self, num_items: int, num_blocks: int, channels: int = 5) -> None:
        super().__init__()
        self.embedding = item_embedding(num_items, channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels, dilation=1 + index % 2) for index in range(num_blocks))
        self.output = nn.Linear(channels, num_items)

    def embed(self, items: Tensor) -> Tensor:
        """Embed items; padding becomes 0."""
        return self.embedding(items)

    def score(self, hidden: Tensor) -> Tensor:
        """Score all items, column 0 (padding) at -inf."""
        return F.pad(self.output(hidden), (1, 0), value=-torch.inf)


class BarePolicy(_Bare):
    """What may be used of a policy: `embedding`, `blocks`, `output`."""

    def __init__(self, num_items: int, num_blocks: int, channels: int = 4) -> None:
        super().__init__()
        self.embedding = item_embedding(num_items, channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels, dilation=d) for d in (1, 2))
        self.output = nn.Linear(channels, 2 * num_blocks)

    def forward(self, items: Tensor) -> Tensor:
        """Not there: it is what a student writes."""
        raise RuntimeError("use policy.embedding, policy.blocks and policy.output: the forward pass is yours to write")


class BareModel(_Bare):
    """What may be used of a SkipRec: `backbone`, `policy`, `tau`."""

    def __init__(self, num_items: int, num_blocks: int) -> None:
        super().__init__()
        self.backbone = BareBackbone(num_items, num_blocks)
        self.policy = BarePolicy(num_items, num_blocks)
        self.tau = 1.0

    def copied(self) -> "BareModel":
        """Return a model of its own with the same parameters, to train."""
        twin = BareModel(NUM_ITEMS, len(self.backbone.blocks))
        twin.load_state_dict(self.state_dict())
        twin.tau = self.tau
        return twin


def _randomise(trial: Trial, module: Any) -> Any:
    """Random parameters; padding stays 0."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(trial.normal(*parameter.shape, scale=0.5))
        for part in module.modules():
            if isinstance(part, nn.Embedding):
                part.weight[0] = 0
            elif isinstance(part, nn.LayerNorm):
                part.weight.add_(1)
    return module


def _batch(trial: Trial, lengths: tuple[int, ...], width: int) -> Windows:
    """Histories padded on the left, a cut at a real item of each, targets from the cut on."""
    items = trial.histories(NUM_ITEMS, list(lengths), width)
    cut = torch.cat([trial.integers(width - length, width - 1 - (length > 2), 1) for length in lengths])
    targets = trial.integers(1, NUM_ITEMS, len(lengths), width)
    return Windows(items, targets.masked_fill(torch.arange(width) < cut[:, None], 0), cut, torch.arange(len(lengths)))


def _sure(trial: Trial) -> tuple[BareModel, Windows]:
    """A model and a batch for which no draw changes the gates: the gaps are wide, the noise is nothing beside them.

    The slope of the soft sample is as large as with logits of size 1 at temperature 1. What is read matters: without
    the cut some gate would be another.
    """
    model, batch = _randomise(trial, BareModel(NUM_ITEMS, 3)), _batch(trial, (6, 2, 4, 1), 6)
    policy, output = model.policy, model.policy.output
    policy.output = nn.Identity()  # for a look at what comes before it: (row, channel / 2, 2)
    with torch.no_grad():
        seen, whole = (policy_logits(policy, batch.items, cut).flatten(1) for cut in (batch.cut, None))
        policy.output = output
        while True:
            for parameter in output.parameters():
                parameter.copy_(trial.normal(*parameter.shape))
            gap, gap_of_whole = (-output(mean).unflatten(-1, (-1, 2)).diff(dim=-1)[..., 0] for mean in (seen, whole))
            kept, other = gap > 0, gap_of_whole > 0
            if gap.abs().min() > 0.2 and (kept != other).any() and (kept != kept[0]).any() and kept.any(dim=0).all():
                break
        for parameter in output.parameters():
            parameter.mul_(SURE)
    model.tau = SURE
    return model, batch


# --- adaptive output ---


def _adaptive_output(trial: Trial) -> None:
    for batch, time, channels in ((4, 5, 3), (1, 2, 2), (3, 3, 3)):
        before, after = (trial.normal(batch, time, channels) for _ in range(2))
        hard = trial.integers(0, 1, batch).float()
        hard[0] = trial.seed % 2
        for gates in (torch.ones(batch), torch.zeros(batch), hard):
            trial.same(before, after, gates)
        trial.same(before, after, hard, gradients=True)
        trial.same(before, after, trial.normal(batch).sigmoid(), gradients=True)


def _mixed(before: Tensor, after: Tensor, gate: Tensor) -> Tensor:
    return gate * after + (1 - gate) * before


def _rounded(before: Tensor, after: Tensor, gates: Tensor) -> Tensor:
    return torch.where(gates[:, None, None] > 0.5, after, before)


check_adaptive_output = Check(
    part="assignment_3.adaptive_output",
    course=adaptive_output,
    task="Return gate · (hidden after the block) + (1 − gate) · (hidden before it), with one gate for each row.",
    hints=(
        "Write the formula of the adaptive output as it stands. Nothing is to be decided: a gate is a number.",
        "hidden is (batch, time, channel), gates is (batch,). Broadcasting lines axes up from the right.",
        "Give the gates two more axes of length 1: `gates[:, None, None]`.",
    ),
    body=_adaptive_output,
    minutes=5,
    difficulty=1,
    mistakes={
        "before and after are swapped: gate 1 keeps the block": lambda b, a, g: _mixed(a, b, g[:, None, None]),
        "the gate is a factor on the block's output: a skipped block has to hand on what came in, not zeros":
            lambda b, a, g: g[:, None, None] * a,
        "what came in is added in either case: take (1 - gate) of it": lambda b, a, g: b + g[:, None, None] * a,
        "the gates run along the channels: there is one for each row": lambda b, a, g: _mixed(b, a, g),
        "the gates run along time: there is one for each row": lambda b, a, g: _mixed(b, a, g[:, None]),
        "the first row's gate serves all rows": lambda b, a, g: _mixed(b, a, g[0]),
        "no gradient reaches the gate: it is detached, or it only chooses (where, if, index). Write the formula":
            lambda b, a, g: _mixed(b, a, g.detach()[:, None, None]),
        "gates are rounded, or only choose (where, if, index). Write the formula, which holds for any number": _rounded,
        "the result is detached, or made without gradients": lambda b, a, g: _mixed(b, a, g[:, None, None]).detach(),
    },
)  # fmt: skip


# --- the walk through gated blocks ---


def _walk(
    backbone: Any,
    items: Tensor,
    gates: Tensor,
    *,
    mix: Callable[[Tensor, Tensor, Tensor], Tensor] = adaptive_output,
    masked: bool = True,
    reads: str = "adaptive",
    falls_back_on: str = "adaptive",
) -> Tensor:
    """The walk, with a step replaced: what a block reads, and what goes on when it is skipped."""
    mask = items > 0 if masked else None
    embedded = hidden = full = backbone.embed(items)
    for index, block in enumerate(backbone.blocks):
        full = block(full, mask)
        out = {"adaptive": block(hidden, mask), "full": full, "embedding": block(embedded, mask)}[reads]
        hidden = mix({"adaptive": hidden, "embedding": embedded}[falls_back_on], out, gates[:, index])
    return hidden


def _walks(trial: Trial) -> list[tuple[Any, Tensor, Tensor]]:
    """Backbones with items and gates: all kept, all skipped, mixed; more rows than blocks, and as many."""
    cases = []
    for num_blocks, lengths in ((3, (6, 2, 4, 1, 5)), (4, (3, 5, 1, 2))):
        backbone = _randomise(trial, BareBackbone(NUM_ITEMS, num_blocks))
        items = trial.histories(NUM_ITEMS, list(lengths), max(lengths) + 1)
        mixed = trial.integers(0, 1, len(lengths), num_blocks).float()
        mixed[0, :2], mixed[1, :2] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])  # no two rules agree
        cases += [(backbone, items, gates) for gates in (torch.ones_like(mixed), torch.zeros_like(mixed), mixed)]
    return cases


def _gated_encode(trial: Trial) -> None:
    for backbone, items, gates in _walks(trial):
        trial.same_results(lambda f: lambda *given: f(*given), backbone, items, gates)


def _gated_encode_gradient(trial: Trial) -> None:
    for backbone, items, gates in _walks(trial)[2::3]:
        trial.same_results(lambda f: lambda *given: _at_gates(trial, f, *given), backbone, items, gates)


def _at_gates(trial: Trial, f: Any, backbone: Any, items: Tensor, gates: Tensor) -> dict[str, Tensor]:
    """The gradients of a weighted sum of the hidden states."""
    leaf = gates.clone().requires_grad_()
    hidden = f(backbone, items, leaf)
    reached = type(hidden) is Tensor and hidden.requires_grad
    trial.require(reached, "the hidden states have no gradient at all", "something is detached", backbone, items, gates)
    weight = torch.linspace(-1, 2, hidden.numel(), dtype=hidden.dtype).view(hidden.shape)
    leaves = {"the gates": leaf, "the first block's scale": backbone.blocks[0].scale}
    found = torch.autograd.grad((hidden * weight).sum(), list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, found))


_GATED_HINTS = (
    "Start with `backbone.embed(items)`. Each block reads what the adaptive output of the block before it was.",
    "A block is called with the hidden states and a mask, True at real items. Its gate is one column of `gates`.",
    "Four lines: embed, then for each block its output, then your `adaptive_output` of input, output and its column.",
)
_GATED_TASK = (
    "Embed the items, then walk through `backbone.blocks`: each is called as block(hidden, mask), mask True at "
    "real items, and its adaptive output goes on to the next. Return the last one, (batch, time, channel)."
)
_GATED_MISTAKES = {
    "the blocks are called without a mask: they read what stands at padding":
        lambda b, i, g: _walk(b, i, g, masked=False),
    "every block reads the embedding: it has to read what the block before it handed on":
        lambda b, i, g: _walk(b, i, g, reads="embedding"),
    "blocks read the outputs of the full network: a block has to read the adaptive output before it":
        lambda b, i, g: _walk(b, i, g, reads="full"),
    "a skipped block hands on the embedding: it has to hand on what came in":
        lambda b, i, g: _walk(b, i, g, falls_back_on="embedding"),
    "a skipped block hands on zeros: it has to hand on what came in":
        lambda b, i, g: _walk(b, i, g, mix=lambda before, after, gate: gate[:, None, None] * after),
    "the gates are read the other way round: 1 keeps the block": lambda b, i, g: _walk(b, i, 1 - g),
    "the gates are in the wrong order: column l belongs to block l": lambda b, i, g: _walk(b, i, g.flip(1)),
    "rows and blocks of the gates are swapped": lambda b, i, g: _walk(b, i, g.T),
    "all gates count as 1": lambda b, i, g: _walk(b, i, torch.ones_like(g)),
    "the first row's gates serve all rows: each row has its own": lambda b, i, g: _walk(b, i, g[:1].expand_as(g)),
    "a gate needs its gradient, also one that is 0: run every block and let the formula weigh its output":
        lambda b, i, g: _walk(b, i, g.detach()),
}  # fmt: skip
check_gated_encode = Check(
    part="assignment_3.gated_encode",
    course=gated_encode,
    task=_GATED_TASK,
    hints=_GATED_HINTS,
    body=_gated_encode,
    minutes=10,
    difficulty=2,
    mistakes=_GATED_MISTAKES,
)
check_gated_encode_gradient = Check(
    part="assignment_3.gated_encode_gradient",
    task=_GATED_TASK,
    hints=_GATED_HINTS,
    body=_gated_encode_gradient,
    minutes=5,
    difficulty=2,
    mistakes=_GATED_MISTAKES,
    course=gated_encode,
)


# --- the policy's forward pass ---


def _masked_mean(trial: Trial) -> None:
    for lengths, width, channels in (((4, 1, 3), 4, 2), ((2,), 5, 3), ((3, 3), 3, 3)):
        mask = torch.arange(width) >= width - torch.tensor(lengths)[:, None]
        trial.same(trial.normal(len(lengths), width, channels), mask, gradients=True)
    between = trial.integers(0, 1, 5, 6).bool()  # padding anywhere
    between[:, 2], between[0, 3:] = True, False
    hidden = trial.normal(5, 6, 2)
    trial.same(hidden, between, gradients=True)
    between[1] = False  # a row without a real position
    found = trial.call(trial.answer, hidden, between)
    trial.require(not found.isnan().any(), "a row without any real position gives NaN, expected zeros",
                  "0 / 0: keep the count at 1 or above", hidden, between)  # fmt: skip
    trial.same(hidden, between)


check_masked_mean = Check(
    part="assignment_3.masked_mean",
    course=masked_mean,
    task="Average the hidden states of each row over the positions where mask is True. A row without any gives zeros.",
    hints=(
        "A mean is a sum by a count. Padding may be in neither of them.",
        "`mask.unsqueeze(-1)` has the axes of hidden. True counts as 1 in a product and in a sum.",
        "The count of an empty row is 0. `clamp_min(1)` leaves all other counts alone.",
    ),
    body=_masked_mean,
    minutes=10,
    difficulty=2,
    mistakes={
        "the sum is divided by all positions: padding counts in the mean":
            lambda h, m: (h * m.unsqueeze(-1)).mean(dim=1),
        "padding is not left out: it is in the sum and in the count": lambda h, m: h.mean(dim=1),
        "padding is in the sum: mask it before you add up":
            lambda h, m: h.sum(dim=1) / m.sum(dim=1, keepdim=True).clamp_min(1),
        "this is the sum over the real positions: divide it by their number":
            lambda h, m: (h * m.unsqueeze(-1)).sum(dim=1),
        "the sum is divided by the real positions of the whole batch: each row has a count of its own":
            lambda h, m: (h * m.unsqueeze(-1)).sum(dim=1) / m.sum().clamp_min(1),
        "this is the last position, not the mean": lambda h, m: h[:, -1],
        "1 is added to the count of every row: only an empty row needs that":
            lambda h, m: (h * m.unsqueeze(-1)).sum(dim=1) / (m.sum(dim=1, keepdim=True) + 1),
        "this is the largest value, not the mean": lambda h, m: h.masked_fill(~m.unsqueeze(-1), -torch.inf).amax(dim=1),
        "the mask is read the other way round: True is a real position":
            lambda h, m: (h * ~m.unsqueeze(-1)).sum(dim=1) / (~m).sum(dim=1, keepdim=True).clamp_min(1),
        "the result is detached: the policy needs its gradient": lambda h, m: masked_mean(h, m).detach(),
    },
)  # fmt: skip


def _logits(
    policy: Any,
    items: Tensor,
    cut: Tensor | None,
    *,
    masked: bool = True,
    pool: Callable[[Tensor, Tensor], Tensor] = masked_mean,
    real_to_blocks: str = "what is read",
    real_to_mean: str = "what is read",
) -> Tensor:
    """The forward pass, with a step replaced."""
    read = visible(items, cut)
    masks = {"what is read": read > 0, "all items": items > 0}
    hidden = policy.embedding(read)
    for block in policy.blocks:
        hidden = block(hidden, masks[real_to_blocks] if masked else None)
    return policy.output(pool(hidden, masks[real_to_mean])).unflatten(-1, (-1, 2))


def _policies(trial: Trial) -> list[tuple[Any, Tensor]]:
    cases = []
    for num_blocks, lengths in ((3, (6, 3, 4, 2)), (2, (5, 4)), (1, (4,))):
        policy = _randomise(trial, BarePolicy(NUM_ITEMS, num_blocks))
        cases.append((policy, trial.histories(NUM_ITEMS, list(lengths), max(lengths) + (num_blocks > 1))))
    return cases


def _policy_logits(trial: Trial) -> None:
    for policy, items in _policies(trial):
        last = torch.full((len(items),), items.shape[1] - 1)
        for cut in (None, last):
            logits = trial.same_results(lambda f: lambda *given: f(*given), policy, items, cut)
        padded = trial.call(trial.answer, policy, F.pad(items, (5, 0)), None)
        trial.require(torch.allclose(logits, padded, atol=1e-4), "5 more zeros on the left change the logits",
                      "padding may be read nowhere: not by the blocks, not in the mean", policy, items)  # fmt: skip
        trial.require(logits.requires_grad, "the logits have no gradient", "something is detached", policy, items)


def _policy_logits_cut(trial: Trial) -> None:
    for policy, items in _policies(trial)[:2]:
        first = (items > 0).int().argmax(dim=1)
        for cut in ((first + items.shape[1] - 1) // 2, first):
            found = trial.same_results(lambda f: lambda *given: f(*given), policy, items, cut)
            late = torch.arange(items.shape[1]) > cut[:, None]
            other = trial.call(trial.answer, policy, torch.where(late, 1 + items % NUM_ITEMS, items), cut)
            trial.require(torch.allclose(found, other, atol=1e-5), "other items after the cut change the logits",
                          "what comes after the cut is read", policy, items, cut)  # fmt: skip


_POLICY_TASK = (
    "From the items up to and including the cut: policy.embedding, each of policy.blocks as block(hidden, mask), your "
    "masked_mean, policy.output. Return logits (batch, block, 2), (keep, skip) on the last axis; the output layer "
    "gives keep and skip of block 1, then keep and skip of block 2, and so on. cut=None reads all."
)
_POLICY_HINTS = (
    "First decide what may be read: `visible`. From there on use only that; items themselves no longer occur.",
    "The mask is True where something real is read. The blocks need it, and the mean needs it.",
    "2 · L numbers a row become (L, 2): keep and skip of a block lie side by side, so `unflatten(-1, (-1, 2))`.",
)
_POLICY_MISTAKES = {
    "the mean runs over all positions: padding may not count":
        lambda p, i, c: _logits(p, i, c, pool=lambda h, m: h.mean(dim=1)),
    "padding counts in the mean: divide by the number of real positions":
        lambda p, i, c: _logits(p, i, c, pool=lambda h, m: (h * m.unsqueeze(-1)).mean(dim=1)),
    "this is a sum over the positions, not their mean":
        lambda p, i, c: _logits(p, i, c, pool=lambda h, m: (h * m.unsqueeze(-1)).sum(dim=1)),
    "you take the last position, not the mean over the real ones":
        lambda p, i, c: _logits(p, i, c, pool=lambda h, m: h[:, -1]),
    "the blocks are called without a mask: they read what stands at padding":
        lambda p, i, c: _logits(p, i, c, masked=False),
    "the policy's blocks are missing": lambda p, i, c: p.output(
        masked_mean(p.embedding(visible(i, c)), visible(i, c) > 0)).unflatten(-1, (-1, 2)),
    "these are probabilities: return the logits, before any softmax": lambda p, i, c: _logits(p, i, c).softmax(dim=-1),
    "these are squeezed by a sigmoid: return the logits": lambda p, i, c: _logits(p, i, c).sigmoid(),
    "keep and skip are swapped": lambda p, i, c: _logits(p, i, c).flip(-1),
    "keep and skip of a block lie side by side in the output: blocks on the second axis, (keep, skip) on the last":
        lambda p, i, c: _logits(p, i, c).flatten(1).unflatten(-1, (2, -1)).transpose(1, 2),
    "the cut is not used: the policy reads what comes after it": lambda p, i, c: _logits(p, i, None),
    "the item at the cut is missing: the policy reads up to and including it":
        lambda p, i, c: _logits(p, i, c - 1),
    "one item after the cut is read": lambda p, i, c: _logits(p, i, c + 1),
    "items before the cut are hidden, and those from it on are read: it is the other way round":
        lambda p, i, c: _logits(p, i * (torch.arange(i.shape[1]) >= c[:, None]), None),
    "the items after the cut count in the mean: mask what is read, not all items":
        lambda p, i, c: _logits(p, i, c, real_to_mean="all items"),
    "what comes after the cut counts as real for blocks and mean: mask what is read, not all items":
        lambda p, i, c: _logits(p, i, c, real_to_blocks="all items", real_to_mean="all items"),
    "the first row's cut serves all rows": lambda p, i, c: _logits(p, i, c[:1].expand_as(c)),
}  # fmt: skip
check_policy_logits = Check(
    part="assignment_3.policy_logits",
    course=policy_logits,
    task=_POLICY_TASK,
    hints=_POLICY_HINTS,
    body=_policy_logits,
    minutes=15,
    difficulty=3,
    mistakes=_POLICY_MISTAKES,
)
check_policy_logits_cut = Check(
    part="assignment_3.policy_logits_cut",
    task=_POLICY_TASK,
    hints=_POLICY_HINTS,
    body=_policy_logits_cut,
    minutes=5,
    difficulty=3,
    mistakes=_POLICY_MISTAKES,
    course=policy_logits,
)


# --- the joint loss ---


def _sampled(logits: Tensor, tau: float) -> Tensor:
    return gumbel_softmax(logits, tau, hard=True)[..., 0]


def _soft(logits: Tensor, tau: float) -> Tensor:
    return gumbel_softmax(logits, tau)[..., 0]


def _greedy(logits: Tensor, tau: float = 1.0) -> Tensor:
    return (logits[..., 0] > logits[..., 1]).to(logits.dtype)


def _identity(logits: Tensor, tau: float) -> Tensor:
    """Straight-through without the soft sample: the gradient of the gate goes to the logit as it is."""
    keep = logits[..., 0] - logits[..., 1]
    return _sampled(logits, tau).detach() + keep - keep.detach()


def _of_positions(model: Any, batch: Windows, gates: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy at each scored position, and the row that it belongs to."""
    where = batch.scored()
    scores = model.backbone.score(gated_encode(model.backbone, batch.items, gates)[where])
    return F.cross_entropy(scores, batch.targets[where], reduction="none"), where.nonzero()[:, 0]


def _joint_loss(
    model: Any,
    batch: Windows,
    cost: float,
    *,
    choose: Callable[[Tensor, float], Tensor] = _sampled,
    reads: str = "up to the cut",
    runs: Callable[[Tensor], Tensor] = lambda gates: gates,
    price: Callable[[Tensor], Tensor] = torch.mean,
    tau: float | None = None,
) -> Tensor:
    """The joint loss, with a step replaced: the choice, what is read, the gates that run, what they cost."""
    cut = batch.cut if reads == "up to the cut" else None
    gates = choose(policy_logits(model.policy, batch.items, cut), tau or model.tau)
    return _of_positions(model, batch, runs(gates))[0].mean() + cost * price(gates)


def _mean_of_rows(model: Any, batch: Windows, cost: float) -> Tensor:
    gates = _greedy(policy_logits(model.policy, batch.items, batch.cut))
    losses, rows = _of_positions(model, batch, gates)
    return torch.stack([losses[rows == row].mean() for row in range(len(batch))]).mean() + cost * gates.mean()


def _loss_of(trial: Trial, f: Any, model: nn.Module, batch: Windows, cost: float) -> Tensor:
    """The answer's loss, a single number that is still a tensor."""
    with trial.of_the_answer(model, batch, cost):
        loss = f(model, batch, cost)
    cause = "keep the tensor: .item() or float() cuts off the gradient" if isinstance(loss, float) else ""
    trial.require(type(loss) is Tensor, f"found {type(loss).__name__}, expected a tensor with one number",
                  "is a return missing?" if loss is None else cause, model, batch, cost)  # fmt: skip
    trial.require(loss.dim() == 0, f"found shape {tuple(loss.shape)}, expected a single number",
                  "take the mean over the scored positions", model, batch, cost)  # fmt: skip
    trial.require(loss.isfinite(), f"the loss is {float(loss)}",
                  "positions without a target (0) are scored: take batch.scored()", model, batch, cost)  # fmt: skip
    return loss


def _steady(trial: Trial, model: nn.Module, batch: Windows) -> None:
    """At logits as sure as these no draw changes a gate: the loss may not move."""
    torch.manual_seed(trial.seed)
    found = torch.stack([_loss_of(trial, trial.answer, model, batch, 1.0).detach() for _ in range(4)])
    trial.require(found.max() - found.min() < 1e-4, "four calls differ, though no draw can change a gate",
                  "the logits do not come to the noise as they are: a sigmoid, a softmax or tau comes before the noise",
                  model, batch, 1.0)  # fmt: skip


def _value(trial: Trial) -> None:
    model, batch = _sure(trial)
    _steady(trial, model, batch)
    for cost in (0.0, 0.7):
        trial.same_results(lambda f: lambda *given: _loss_of(trial, f, *given).detach(), model, batch, cost)


def _rates(trial: Trial) -> None:
    """The mean gate, read off a loss in which nothing else counts."""
    dear, calls = 1e9, 6
    for bias in (2.5, -1.0):
        model, batch = _randomise(trial, BareModel(NUM_ITEMS, 3)), _batch(trial, (6, 2, 4, 1) * 60, 6)
        model.policy.output.bias.data = torch.tensor([bias / 2, -bias / 2]).repeat(3)
        logits = policy_logits(model.policy, batch.items, batch.cut).detach()
        torch.manual_seed(trial.seed)
        found = torch.stack([_loss_of(trial, trial.answer, model, batch, dear).detach() for _ in range(calls)]) / dear
        say = (model, batch, dear)
        trial.require(found.unique().numel() > 1, "every call has the same gates",
                      "sample them: greedy gates never explore, and the policy learns nothing", *say)  # fmt: skip
        keep, kept = float(logits.softmax(dim=-1)[..., 0].mean()), float(found.mean())
        trial.require(0.01 < kept <= 1, f"the loss grows by {kept:.3g} · cost, expected {keep:.2f} · cost",
                      "the mean gate, over rows and blocks, has to be in it", *say)  # fmt: skip
        cause = "column 0 is keep, and it is keeping that costs" if abs(kept + keep - 1) < 0.03 else ""
        for squeezed, logits_then in (("sigmoid", logits.sigmoid()), ("softmax", logits.softmax(dim=-1))):
            rate = float(logits_then.softmax(dim=-1)[..., 0].mean())
            if abs(kept - rate) < 0.03:
                cause = f"a {squeezed} comes before the noise: the noise belongs to the logits"
        found_rates = f"{kept:.2f} of the gates are 1, expected {keep:.2f}, as the policy says"
        trial.require(abs(kept - keep) < 0.04, found_rates, cause, *say)
        trial.require(found.std() < 0.08, "the gates of one call are alike in all rows or blocks",
                      "each row and each block draws for itself", *say)  # fmt: skip


def _gradients(trial: Trial, f: Any, model: BareModel, batch: Windows, cost: float) -> dict[str, Tensor]:
    """The gradient of the loss at the parameters of backbone and policy, end to end."""
    loss = _loss_of(trial, f, model, batch, cost)
    trial.require(loss.requires_grad, "the loss has no gradient", "something is detached", model, batch, cost)
    parts = {"the backbone": list(model.backbone.parameters()), "the policy": list(model.policy.parameters())}
    found = [torch.autograd.grad(loss, p, materialize_grads=True, retain_graph=True) for p in parts.values()]
    return {name: torch.cat([slope.flatten() for slope in slopes]) for name, slopes in zip(parts, found)}


def _joint_loss_gradient(trial: Trial) -> None:
    model, batch = _sure(trial)
    _steady(trial, model, batch)
    for cost in (0.7, 0.0):
        found = _gradients(trial, trial.answer, model, batch, cost)
        trial.require(found["the backbone"].any(), "no gradient reaches the backbone", "", model, batch, cost)
        if not found["the policy"].any():
            mild = _randomise(trial, BareModel(NUM_ITEMS, 3))
            by_tau = _gradients(trial, trial.answer, mild, batch, 0.7)["the policy"].any()
            cause = "the gates are detached, rounded or greedy: use straight-through ones"
            if by_tau:
                cause = "the temperature is fixed: use model.tau"
            elif not cost:
                cause = "the recommendation loss never gets there: the gates that run the blocks are detached"
            trial.fail(
                f"no gradient reaches the policy (tau {model.tau:g}, logits as large)", cause, model, batch, cost
            )
        trial.same_results(lambda f: lambda *given: _gradients(trial, f, *given), model, batch, cost)


_JOINT_TASK = (
    "Sample straight-through gates at model.tau from your policy_logits up to batch.cut, run your gated_encode under "
    "them, and return the cross-entropy of model.backbone.score at the scored positions (mean over them) plus "
    "cost · (mean gate)."
)
_JOINT_HINTS = (
    "Four steps: logits, gates, hidden states, loss. The first three are functions that you have.",
    "`gumbel_softmax(logits, tau, hard=True)` gives (keep, skip) for each block, exactly one-hot. The gate is one of "
    "its two columns.",
    "`batch.scored()` is a mask: index the hidden states and batch.targets with it before you score. The mean gate is "
    "over rows and blocks.",
)
_JOINT_MISTAKES = {
    "the slope is not the soft sample's: gumbel_softmax(…, hard=True) brings it":
        lambda m, b, c: _joint_loss(m, b, c, choose=_identity),
    "the cost does not reach the policy: its gates are detached":
        lambda m, b, c: _joint_loss(m, b, c, price=lambda g: g.mean().detach()),
    "the recommendation loss does not reach the policy: the gates that run the blocks are detached":
        lambda m, b, c: _joint_loss(m, b, c, runs=torch.detach),
    "the cost is missing": lambda m, b, c: _joint_loss(m, b, 0.0),
    "the cost counts kept blocks: it is the mean gate that costs, over rows and blocks":
        lambda m, b, c: _joint_loss(m, b, c, price=lambda g: g.sum(dim=1).mean()),
    "the cost grows with all gates of the batch: take their mean":
        lambda m, b, c: _joint_loss(m, b, c, price=torch.sum),
    "the cost is on the skipped blocks: it is keeping that costs":
        lambda m, b, c: _joint_loss(m, b, c, price=lambda g: 1 - g.mean()),
    "the cost is subtracted: it is added": lambda m, b, c: _joint_loss(m, b, -c),
    "column 1 says skip: the gate is column 0":
        lambda m, b, c: _joint_loss(m, b, c, choose=lambda x, tau: 1 - _sampled(x, tau)),
    "the policy reads what comes after the cut: hand it batch.cut": lambda m, b, c: _joint_loss(m, b, c, reads="all"),
    "the blocks run under soft gates: they need hard ones": lambda m, b, c: _joint_loss(m, b, c, choose=_soft),
    "all blocks run: the gates do not reach the encoder": lambda m, b, c: _joint_loss(m, b, c, runs=torch.ones_like),
    "this is a mean of the rows' means: take one mean over all scored positions": _mean_of_rows,
    "the losses are added up: take their mean over the scored positions": lambda m, b, c: (
        _joint_loss(m, b, 0.0) * b.scored().sum() + _joint_loss(m, b, c) - _joint_loss(m, b, 0.0)),
    "the cost is on the probabilities: it is the sampled gates that cost": lambda m, b, c: _joint_loss(
        m, b, 0.0) + c * policy_logits(m.policy, b.items, b.cut).softmax(dim=-1)[..., 0].mean(),
}  # fmt: skip
check_joint_loss = Check(
    part="assignment_3.joint_loss",
    course=joint_loss,
    task=_JOINT_TASK,
    hints=_JOINT_HINTS,
    body=_value,
    minutes=15,
    difficulty=3,
    mistakes=_JOINT_MISTAKES,
)
check_joint_loss_sampled = Check(
    part="assignment_3.joint_loss_sampled",
    task=_JOINT_TASK,
    hints=_JOINT_HINTS,
    body=_rates,
    minutes=5,
    difficulty=3,
    mistakes=_JOINT_MISTAKES,
    course=joint_loss,
)
check_joint_loss_gradient = Check(
    part="assignment_3.joint_loss_gradient",
    task=_JOINT_TASK,
    hints=_JOINT_HINTS,
    body=_joint_loss_gradient,
    minutes=5,
    difficulty=3,
    mistakes=_JOINT_MISTAKES,
    course=joint_loss,
)


# --- the training step ---


def _steps(f: Any, costs: tuple[float, ...], model: BareModel, batch: Windows) -> dict[str, Any]:
    """How far backbone and policy move in a step for each cost, and what the steps return."""
    model = model.copied()
    parts = {"the backbone": list(model.backbone.parameters()), "the policy": list(model.policy.parameters())[:-2]}
    before = {name: [p.detach().clone() for p in part] for name, part in parts.items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    values = [f(model, batch, cost, optimizer) for cost in costs]
    moved = {n: torch.cat([(p.detach() - b).flatten() for p, b in zip(parts[n], before[n])]) for n in parts}
    return moved | {"what it returns": values}  # the last two, the policy's output layer, are SURE times too large


def _training_step(trial: Trial) -> None:
    model, batch = _sure(trial)
    moves = lambda f: lambda *given: {k: v for k, v in _steps(f, (0.7,), *given).items() if k != "what it returns"}
    found = trial.call(moves(trial.answer), model, batch)
    trial.require(any(x.any() for x in found.values()), "no parameter moves",
                  "a step is zero_grad, backward, step, in this order", model, batch, 0.7)  # fmt: skip
    for part, other in (tuple(found), tuple(found)[::-1]):
        trial.require(found[part].any(), f"the step reaches {other} alone: {part} does not move", "", model, batch, 0.7)
    trial.same_results(moves, model, batch)


def _training_step_twice(trial: Trial) -> None:
    model, batch = _sure(trial)
    (value,) = trial.call(lambda *given: _steps(trial.answer, (0.5,), *given)["what it returns"], model, batch)
    given = (model, batch, 0.5)
    trial.require(value is not None, "found None, expected the loss as a number", "is a return missing?", *given)
    trial.require(not isinstance(value, Tensor), "found a tensor, expected the loss as a plain number",
                  "a tensor keeps the graph of its step in memory: .item()", *given)  # fmt: skip
    trial.require(isinstance(value, float | np.floating), f"found {describe(value)}, expected a number", "", *given)
    trial.same_results(lambda f: lambda *given: _two_steps(f, *given), model, batch)


def _two_steps(f: Any, model: BareModel, batch: Windows) -> dict[str, Tensor]:
    found = _steps(f, (0.5, 1.5), model, batch)
    return found | {"what it returns": torch.tensor([float(x) for x in found["what it returns"]])}  # as float32


def _a_step(
    model: Any,
    batch: Windows,
    cost: float,
    optimizer: torch.optim.Optimizer,
    *,
    clears: bool = True,
    loss_of: Callable[..., Tensor] = joint_loss,
    afterwards: bool = False,
) -> float:
    """A step with something replaced."""
    if clears:
        optimizer.zero_grad()
    loss = loss_of(model, batch, cost)
    loss.backward()
    optimizer.step()
    return float(joint_loss(model, batch, cost) if afterwards else loss)


def _own_optimizer(kind: Any, **settings: float) -> Callable[..., float]:
    def step(model: Any, batch: Windows, cost: float, optimizer: Any) -> float:
        return _a_step(model, batch, cost, kind(model.parameters(), **settings))

    return step


_STEP_TASK = (
    "One step: clear the gradients, compute your joint_loss, go backward, let the optimizer step. Return the loss of "
    "this step as a plain number."
)
_STEP_HINTS = (
    "The loop of lesson 06 does the same four things for each batch.",
    "`backward` adds to the gradients that are there. So when must they be cleared?",
    "`loss.item()` is a plain number. A tensor would keep the whole graph of the step.",
)
_STEP_MISTAKES = {
    "gradients add up over the steps: clear them first": lambda *a: _a_step(*a, clears=False),
    "this is the loss after the step: return the one that the step went down": lambda *a: _a_step(*a, afterwards=True),
    "the cost is not handed on to joint_loss": lambda *a: _a_step(*a, loss_of=lambda m, b, c: joint_loss(m, b, 0.0)),
    "use the optimizer that is handed in": _own_optimizer(torch.optim.Adam),
    "use the optimizer that is handed in, not one of your own": _own_optimizer(torch.optim.Adam, lr=0.01),
    "use the optimizer that is handed in (this is SGD of your own)": _own_optimizer(torch.optim.SGD, lr=0.01),
    "the optimizer steps twice": lambda m, b, c, o: (_a_step(m, b, c, o), o.step())[0],
}
check_training_step = Check(
    part="assignment_3.training_step",
    course=training_step,
    task=_STEP_TASK,
    hints=_STEP_HINTS,
    body=_training_step,
    minutes=5,
    difficulty=2,
    mistakes=_STEP_MISTAKES,
)
check_training_step_twice = Check(
    part="assignment_3.training_step_twice",
    task=_STEP_TASK,
    hints=_STEP_HINTS,
    body=_training_step_twice,
    minutes=5,
    difficulty=2,
    mistakes=_STEP_MISTAKES,
    course=training_step,
)


# --- controls ---


def _at_the_same_rate(trial: Trial) -> None:
    for rows, blocks, rate in ((4, 3, 0.5), (1, 6, 0.3), (5, 5, 0.8)):
        learned = (trial.normal(rows, blocks).sigmoid() < rate).float()
        found = trial.call(trial.answer, learned)
        problem = f"found {type(found).__name__}, expected a tensor"
        trial.require(type(found) is Tensor, problem, "is a return missing?" if found is None else "", learned)
        trial.require(found.shape == learned.shape, f"found shape {tuple(found.shape)}, expected {(rows, blocks)}",
                      "there is a gate for each row and block", learned)  # fmt: skip
        trial.require(found.dtype == learned.dtype, f"found {found.dtype}, expected {learned.dtype}",
                      "the encoder multiplies with them: give them the type of the gates", learned)  # fmt: skip
        trial.require(((found == 0) | (found == 1)).all(), "there are gates that are neither 0 nor 1",
                      "a random gate is a choice too, not a rate", learned)  # fmt: skip
    honours_the_generator(trial, (trial.normal(40, 6) > 0.5).float())
    learned = torch.zeros(400, 10)  # user by user and block by block another rate
    learned[:100], learned[100:200, :4], learned[200:300, 0] = 1, 1, 1
    found = trial.call(trial.answer, learned)
    rate, kept = float(learned.mean()), float(found.mean())
    cause = "this is a fixed rate of 1/2: take the mean of the given gates" if abs(kept - 0.5) < 0.04 else ""
    cause = (
        "the comparison is the wrong way round: these are the skipped ones" if abs(kept + rate - 1) < 0.04 else cause
    )
    trial.require(abs(kept - rate) < 0.04, f"{kept:.2f} of the random gates are 1, of the given {rate:.2f}",
                  cause, learned)  # fmt: skip
    trial.require(found.unique(dim=0).shape[0] > 100, "many rows are alike", "each row draws for itself", learned)
    trial.require(found.mean(dim=1).unique().numel() > 3, "a row keeps all of its blocks or none",
                  "each block draws for itself", learned)  # fmt: skip
    trial.require((found.mean(dim=0) - rate).abs().max() < 0.13, "some blocks are kept more often than others",
                  "this keeps each block's own rate: here every gate has the same probability", learned)  # fmt: skip
    parts = torch.stack([found[:100].mean(), found[300:].mean()])
    trial.require((parts - rate).abs().max() < 0.09, "users who keep much keep much in the random gates too",
                  "this keeps each user's own number: here every gate has the same probability", learned)  # fmt: skip
    for fixed in (0.0, 1.0):
        found = trial.call(trial.answer, torch.full((6, 4), fixed))
        trial.require((found == fixed).all(), f"where all gates are {fixed:.0f}, some random ones are not",
                      "the rate is the mean of the given gates", torch.full((6, 4), fixed))  # fmt: skip


check_at_the_same_rate = Check(
    part="assignment_3.at_the_same_rate",
    course=at_the_same_rate,
    task="Draw random gates of the same shape and type: each is 1 with the same probability, the mean of the given "
    "gates over all users and blocks.",
    hints=(
        "How do you turn a uniform number into a coin that shows heads with probability p?",
        "Each gate needs a uniform number of its own, so their shape is that of the gates. Mind `generator`.",
        "A comparison gives True and False; `.to(gates.dtype)` turns them into gates.",
    ),
    body=_at_the_same_rate,
    minutes=5,
    difficulty=1,
)


def _accuracy_under(trial: Trial) -> None:
    for lengths, width in (((6, 2, 4, 1), 6), ((5, 3), 7)):
        model, cases = _randomise(trial, BareModel(NUM_ITEMS, 3)), _batch(trial, lengths * 3, width)
        gates = trial.integers(0, 1, len(cases), 3).float()
        best = model.backbone.score(gated_encode(model.backbone, cases.items, gates)).argmax(dim=-1)
        hit = cases.scored() & (trial.normal(*best.shape) > -0.3)  # about 6 of 10 are right, whatever the seed
        cases.targets[hit] = best[hit]
        found = trial.call(trial.answer, model, cases, gates)
        trial.require(not isinstance(found, Tensor) or not found.requires_grad, "the accuracy has a gradient",
                      "evaluate under torch.no_grad()", model, cases, gates)  # fmt: skip
        trial.same_results(lambda f: lambda *given: f(*given), model, cases, gates)


def _hits(model: Any, cases: Windows, gates: Tensor) -> Tensor:
    scores = model.backbone.score(gated_encode(model.backbone, cases.items, gates))
    return (scores.argmax(dim=-1) == cases.targets) & cases.scored()


check_accuracy_under = Check(
    part="assignment_3.accuracy_under",
    course=accuracy_under,
    task="Run your gated_encode under the given gates, without a gradient. For each row return the share of its scored "
    "positions at which the true item has the highest score.",
    hints=(
        "Score all positions, take the item of the highest score, compare with cases.targets. Then one mean a row.",
        "Only positions where cases.scored() is True may count, above and below the fraction bar.",
        "`(hit & scored).sum(dim=1) / scored.sum(dim=1)`, with hit of shape (row, time).",
    ),
    body=_accuracy_under,
    minutes=10,
    difficulty=2,
    mistakes={
        "positions that are not scored count as wrong: divide by the number of scored ones":
            lambda m, c, g: _hits(m, c, g).float().mean(dim=1),
        "this is one number for all: each row needs its own": lambda m, c, g: (
            _hits(m, c, g).sum() / c.scored().sum()),
        "the sum is divided by the real items: only scored positions count":
            lambda m, c, g: _hits(m, c, g).sum(dim=1) / (c.items > 0).sum(dim=1),
        "this is the number of hits: divide it by the number of scored positions":
            lambda m, c, g: _hits(m, c, g).sum(dim=1).float(),
        "the given gates are not used: this is the full network":
            lambda m, c, g: accuracy_under(m, c, torch.ones_like(g)),
        "the given gates are not used: these are the policy's own":
            lambda m, c, g: accuracy_under(m, c, _greedy(policy_logits(m.policy, c.items, c.cut))),
        "only the last position counts: all scored ones have to": lambda m, c, g: _hits(m, c, g)[:, -1].float(),
        "this compares with the items themselves: the next ones, cases.targets, are to be predicted":
            lambda m, c, g: ((m.backbone.score(gated_encode(m.backbone, c.items, g)).argmax(dim=-1) == c.items)
                             & c.scored()).sum(dim=1) / c.scored().sum(dim=1),
    },
)  # fmt: skip


def _paired(trial: Trial) -> None:
    for users, draws in ((40, 5), (7, 1), (2, 3)):
        talent = trial.normal(users, dtype=torch.float64)  # some users are easy under all gates
        learned = talent + trial.normal(users, dtype=torch.float64, scale=0.3)
        random = talent - 0.5 + trial.normal(draws, users, dtype=torch.float64, scale=0.3)
        found = trial.call(trial.answer, learned, random)
        good = isinstance(found, tuple | list) and len(found) == 2
        trial.require(good, f"found {type(found).__name__}, expected two numbers (mean, error)", "", learned, random)
        trial.same(learned, random)


def _with_error(mean: Tensor, error: Tensor) -> tuple[float, float]:
    return float(mean), float(error)


check_paired = Check(
    part="assignment_3.paired",
    course=paired,
    task="Average the draws for each user first. Return the mean over the users of (learned − random) and its standard "
    "error, s / √n, with s the standard deviation (n − 1) of the users' differences; both as plain numbers.",
    hints=(
        "Which are the n independent things here: draws, users, or both?",
        "`random.mean(dim=0)` leaves one number a user. After that it is the paired difference of lesson 04.",
        "`std()` of torch divides by n − 1 already. The error of a mean is smaller than s by √n.",
    ),
    body=_paired,
    minutes=10,
    difficulty=2,
    mistakes={
        "the draws count as users: average them for each user first, the users are the unit": lambda a, b: _with_error(
            (a - b).mean(), (a - b).std() / (a - b).numel() ** 0.5),
        "this is the error of an unpaired difference: take the deviation of each user's difference":
            lambda a, b: _with_error((a - b.mean(0)).mean(), ((a.var() + b.mean(0).var()) / len(a)) ** 0.5),
        "this is the users' standard deviation: the error of their mean is smaller by √n":
            lambda a, b: _with_error((a - b.mean(0)).mean(), (a - b.mean(0)).std()),
        "divide by √n, not by n": lambda a, b: _with_error((a - b.mean(0)).mean(), (a - b.mean(0)).std() / len(a)),
        "the standard deviation needs n - 1": lambda a, b: _with_error(
            (a - b.mean(0)).mean(), (a - b.mean(0)).std(correction=0) / len(a) ** 0.5),
        "the sign is wrong: learned minus random": lambda a, b: _with_error(
            (b.mean(0) - a).mean(), (a - b.mean(0)).std() / len(a) ** 0.5),
        "the users are averaged first: then no spread between users is left": lambda a, b: _with_error(
            (a.mean() - b.mean(1)).mean(), (a.mean() - b.mean(1)).std() / len(b) ** 0.5),
        "n is the number of users, not of draws": lambda a, b: _with_error(
            (a - b.mean(0)).mean(), (a - b.mean(0)).std() / len(b) ** 0.5),
        "only the first draw counts: average all of them": lambda a, b: _with_error(
            (a - b[0]).mean(), (a - b[0]).std() / len(a) ** 0.5),
    },
)  # fmt: skip

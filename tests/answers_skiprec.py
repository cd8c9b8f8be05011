"""Answers to the exercises of lesson 08: policy, SkipRec, joint training.

Right ones, ones that no edit of the package gives, and a few of the table's mistakes in a form of their own.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from answers import Answer, raises, right, wrong
from torch import nn
from torch.nn import functional as F

from skiprec_lite import gumbel
from skiprec_lite.backbones import item_embedding
from skiprec_lite.blocks import ResidualBlock
from skiprec_lite.gate_losses import draw_cut
from skiprec_lite.gate_losses import losses_at as losses_of
from skiprec_lite.skiprec import visible as readable
from skiprec_lite.windows import Windows

# --- PolicyNetwork ---


class Policy(nn.Module):
    """The usual one; the answers below change a method of it."""

    def __init__(
        self,
        num_items,
        num_blocks,
        *,
        channels=32,
        dilations=(1, 4),
        encoder="conv",
        keep_bias=0.0,
        embedding_channels=None,
    ):
        super().__init__()
        width = embedding_channels or channels
        self.num_blocks = num_blocks
        self.embedding = item_embedding(num_items, width)
        self.join = nn.Linear(width, channels, bias=False) if width != channels else nn.Identity()
        self.blocks = nn.ModuleList(ResidualBlock(channels, dilation=d) for d in dilations)
        self.output = nn.Linear(channels, 2 * num_blocks)
        self.start(keep_bias)

    def start(self, keep_bias):
        self.output.bias.data = torch.tensor([keep_bias / 2, -keep_bias / 2]).repeat(self.num_blocks)

    def forward(self, items):
        mask = items > 0
        hidden = self.join(self.embedding(items))
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.pairs(self.output(self.pool(hidden, mask)))

    def pool(self, hidden, mask):
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)

    def pairs(self, out):
        return out.view(len(out), self.num_blocks, 2)


class UserByUser(Policy):
    """A loop over users: each in a sequence without padding."""

    def forward(self, items):
        rows = []
        for row in items:
            hidden = self.join(self.embedding(row[row > 0][None]))
            for block in self.blocks:
                hidden = block(hidden)
            rows.append(self.output(hidden.mean(dim=1)))
        return torch.cat(rows).reshape(len(items), -1, 2)


class ByEinsum(Policy):
    """The mean as a weighted sum."""

    def pool(self, hidden, mask):
        weight = mask.to(hidden.dtype) / mask.sum(dim=1, keepdim=True)
        return torch.einsum("btc,bt->bc", hidden, weight)


class MaskByMultiplication(nn.Module):
    """Own names, a plain embedding, zeros by hand, keep_bias on the keep logit only."""

    def __init__(
        self,
        num_items,
        num_blocks,
        *,
        channels=32,
        dilations=(1, 4),
        encoder="conv",
        keep_bias=0.0,
        embedding_channels=None,
    ):
        super().__init__()
        self.items = nn.Embedding(num_items + 1, embedding_channels or channels)
        self.widen = None
        if embedding_channels not in (None, channels):
            self.widen = nn.Linear(embedding_channels, channels, bias=False)
        self.stack = nn.ModuleList([ResidualBlock(channels, 3, d) for d in dilations])
        self.last = nn.Linear(channels, 2 * num_blocks)
        with torch.no_grad():
            self.last.bias[0::2] = keep_bias
            self.last.bias[1::2] = 0

    def forward(self, items):
        real = (items != 0).to(self.last.weight.dtype).unsqueeze(2)
        h = self.items(items)
        h = h if self.widen is None else self.widen(h)
        for block in self.stack:
            h = block(h * real, items != 0) * real
        logits = self.last(h.sum(1) / real.sum(1))
        return torch.stack([logits[:, 0::2], logits[:, 1::2]], dim=-1)


class InFloat64(Policy):
    """The mean in float64."""

    def pool(self, hidden, mask):
        return torch.where(mask[..., None], hidden.double(), torch.nan).nanmean(dim=1).to(hidden.dtype)


class MaskedMeanOverTime(Policy):
    def pool(self, hidden, mask):
        return (hidden * mask[..., None]).mean(dim=1)


class AllKeepsFirst(Policy):
    def pairs(self, out):
        return torch.stack(out.chunk(2, dim=-1), dim=-1)


class BiasInHalves(Policy):
    def start(self, keep_bias):
        half = torch.full((self.num_blocks,), keep_bias / 2)
        self.output.bias.data = torch.cat([half, -half])


class NoLastBias(Policy):
    def start(self, keep_bias):
        self.output = nn.Linear(self.output.in_features, 2 * self.num_blocks, bias=False)


class NotANumber(Policy):
    def pool(self, hidden, mask):
        return super().pool(hidden, mask) / 0


class ListOfBlocks(Policy):
    def forward(self, items):
        return list(super().forward(items).unbind(1))


class WrongAxes(Policy):
    def pool(self, hidden, mask):
        return (hidden * mask).sum(dim=1)


# --- visible ---


def with_where(items, cut):
    if cut is None:
        return items
    time = torch.arange(items.shape[1]).expand_as(items)
    return torch.where(time <= cut.unsqueeze(1), items, torch.zeros_like(items))


def by_multiplication(items, cut):
    if cut is None:
        return items.clone()
    return items * (torch.arange(items.size(1))[None] - cut[:, None] < 1)


def row_by_row(items, cut):
    out = items.clone()
    for row in range(len(out) if cut is not None else 0):
        out[row, int(cut[row]) + 1 :] = 0
    return out


def cut_along_time(items, cut):
    return items if cut is None else items.masked_fill(torch.arange(items.shape[1]) > cut, 0)


def counted_from_the_first_item(items, cut):
    return readable(items, None if cut is None else (cut + (items == 0).sum(1)).clamp_max(items.shape[1] - 1))


def in_place(items, cut):
    for row, c in zip(items, cut.tolist() if cut is not None else []):
        row[c + 1 :] = 0
    return items


def never_none(items, cut):
    return items.masked_fill(torch.arange(items.shape[1]) > cut[:, None], 0)


def as_floats(items, cut):
    return items.float() if cut is None else readable(items, cut).float()


# --- draw_cut, from_a_cut ---


def cut_by_multinomial(items):
    return torch.multinomial((items > 0).float(), 1).squeeze(1)


def cut_in_a_loop(items):
    cuts = []
    for row in items:
        places = row.nonzero()[:, 0]
        cuts.append(places[torch.randint(len(places), ())])
    return torch.stack(cuts)


def cut_by_noise(items):
    return torch.where(items > 0, torch.rand(items.shape, dtype=torch.float64), -1.0).argmax(dim=1)


def cut_anywhere(items):
    return torch.randint(items.shape[1], (len(items),))


def one_number_for_all(items):
    real = (items > 0).sum(1)
    return items.shape[1] - real + (torch.rand(1) * real).long()


def rounded(items):
    real = (items > 0).sum(1)
    return items.shape[1] - real + (torch.rand(len(items)) * (real - 1)).round().long()


def from_a_cut_by_hand(batch):
    cut = cut_by_multinomial(batch.items)
    time = torch.arange(batch.items.shape[1])
    targets = batch.targets * (time[None] >= cut[:, None])
    return Windows(items=batch.items, targets=targets, cut=cut, users=batch.users, seen=batch.seen)


def from_a_cut_in_a_loop(batch):
    targets, cut = batch.targets.clone(), draw_cut(batch.items)
    for row, c in enumerate(cut):
        targets[row, :c] = 0
    return replace(batch, targets=targets, cut=cut)


def future_not_scored(batch):
    cut = draw_cut(batch.items)
    return replace(
        batch, cut=cut, targets=batch.targets.masked_fill(torch.arange(batch.items.shape[1]) > cut[:, None], 0)
    )


def always_the_last(batch):
    cut = torch.full((len(batch),), batch.items.shape[1] - 1)
    return replace(
        batch, cut=cut, targets=batch.targets.masked_fill(torch.arange(batch.items.shape[1]) < cut[:, None], 0)
    )


def spoils_the_batch(batch):
    cut = draw_cut(batch.items)
    for targets, c in zip(batch.targets, cut):
        targets[:c] = 0
    return replace(batch, cut=cut)


def a_pair(batch):
    found = from_a_cut_by_hand(batch)
    return found.targets, found.cut


def assigns(batch):
    batch.cut = draw_cut(batch.items)
    return batch


# --- SkipRec ---


class Skip(nn.Module):
    """The usual one; the answers below change a method of it."""

    def __init__(self, backbone, policy, *, tau=10.0):
        super().__init__()
        self.backbone, self.policy, self.tau = backbone, policy, tau

    def gate_logits(self, items, cut=None):
        return self.policy(readable(items, cut))

    def decide(self, logits, *, sample):
        return self.drawn(logits) if sample else self.likelier(logits)

    def drawn(self, logits):
        return gumbel.gumbel_softmax(logits, self.tau, hard=True)[..., 0]

    def likelier(self, logits):
        return (logits[..., 0] > logits[..., 1]).to(logits.dtype)

    def gates(self, items, cut=None, *, sample):
        return self.decide(self.gate_logits(items, cut), sample=sample)

    def forward(self, items, cut=None):
        gates = self.gates(items, cut, sample=self.training)
        return self.hide(self.backbone.score(self.backbone.encode(items, gates)), items, cut)

    def hide(self, scores, items, cut):
        first = items.shape[1] - 1 if cut is None else cut[:, None]
        before = (torch.arange(items.shape[1]) < first).expand(items.shape)
        return torch.where(before[..., None], torch.nan, scores)


class PolicyFirst(nn.Module):
    """Own Gumbel noise as log-odds, the walk by hand, NaN by index; policy registered first."""

    def __init__(self, backbone, policy, *, tau=10.0):
        super().__init__()
        self.policy = policy
        self.backbone = backbone
        self.tau = tau

    def gate_logits(self, items, cut=None):
        items = items.clone()
        if cut is not None:
            for row, c in zip(items, cut):
                row[c + 1 :] = 0
        return self.policy(items)

    def decide(self, logits, *, sample):
        a = logits[..., 0] - logits[..., 1]
        if not sample:
            return torch.where(a > 0, 1.0, 0.0).to(a.dtype)
        u = torch.rand(a.shape, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
        noisy = a + (u.log() - (1 - u).log()).to(a.dtype)
        soft = torch.sigmoid(noisy / self.tau)
        return (noisy > 0).to(a.dtype) - soft.detach() + soft

    def gates(self, items, cut=None, *, sample):
        return self.decide(self.gate_logits(items, cut), sample=sample)

    def forward(self, items, cut=None):
        gates = self.gates(items, cut, sample=self.training)
        hidden, mask = self.backbone.embed(items), items > 0
        for block, gate in zip(self.backbone.blocks, gates.unbind(1)):
            hidden = torch.einsum("b,btc->btc", gate, block(hidden, mask)) + (1 - gate)[:, None, None] * hidden
        scores = self.backbone.score(hidden).clone()
        for row in range(len(items)):
            scores[row, : items.shape[1] - 1 if cut is None else cut[row]] = math.nan
        return scores


class InLogProbabilities(Skip):
    """log softmax first: the same to a softmax; float64 inside."""

    def drawn(self, logits):
        log_pi = logits.double().log_softmax(dim=-1)
        keep, _skip = gumbel.gumbel_softmax(log_pi, tau=self.tau, hard=True).unbind(-1)
        return keep.to(logits.dtype)

    def likelier(self, logits):
        return logits.diff(dim=-1).squeeze(-1).lt(0).to(logits.dtype)


class ForgetsTheCut(Skip):
    def gates(self, items, cut=None, *, sample):
        return self.decide(self.gate_logits(items), sample=sample)


class InvertedWhenGreedy(Skip):
    def likelier(self, logits):
        return logits.argmax(dim=-1).to(logits.dtype)


class NanAfterTheCut(Skip):
    def hide(self, scores, items, cut):
        last = items.shape[1] - 1 if cut is None else cut[:, None]
        return scores.masked_fill((torch.arange(items.shape[1]) > last).expand(items.shape)[..., None], torch.nan)


class InAList(Skip):
    def __init__(self, backbone, policy, *, tau=10.0):
        nn.Module.__init__(self)
        self.parts, self.tau = [backbone, policy], tau

    backbone = property(lambda self: self.parts[0])
    policy = property(lambda self: self.parts[1])


class OtherNames(Skip):
    def __init__(self, backbone, policy, *, tau=10.0):
        nn.Module.__init__(self)
        self.net, self.chooser, self.tau = backbone, policy, tau


class NoDecide(nn.Module):
    def __init__(self, backbone, policy, *, tau=10.0):
        super().__init__()
        self.backbone, self.policy, self.tau = backbone, policy, tau

    gate_logits = Skip.gate_logits


class WithoutSuper(Skip):
    def __init__(self, backbone, policy, *, tau=10.0):
        self.backbone, self.policy, self.tau = backbone, policy, tau


# --- losses_at, straight_through_loss ---


def losses_from_log_softmax(backbone, batch, gates):
    log_p = backbone.score(backbone.encode(batch.items, gates)).log_softmax(dim=-1)
    picked = log_p.gather(-1, batch.targets.unsqueeze(-1)).squeeze(-1)
    return -picked[batch.targets > 0]


def losses_row_by_row(backbone, batch, gates):
    found = []
    for row, (items, targets) in enumerate(zip(batch.items, batch.targets)):
        hidden = backbone.encode(items[None], gates[row][None])[0]
        for t in targets.nonzero()[:, 0]:
            scores = backbone.score(hidden[t])
            found.append(torch.logsumexp(scores, 0) - scores[targets[t]])
    return torch.stack(found)


def losses_with_ignore_index(backbone, batch, gates):
    scores = backbone(batch.items, gates)
    losses = F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=0, reduction="none")
    return losses.view(batch.targets.shape)[batch.scored()]


def losses_everywhere(backbone, batch, gates):
    scores = backbone(batch.items, gates)
    return F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=0, reduction="none")


def losses_by_time(backbone, batch, gates):
    where = batch.scored().T
    scores = backbone.score(backbone.encode(batch.items, gates).transpose(0, 1)[where])
    return F.cross_entropy(scores, batch.targets.T[where], reduction="none")


def losses_without_gates(backbone, batch):
    return losses_of(backbone, batch, None)


def losses_as_a_list(backbone, batch, gates):
    return losses_of(backbone, batch, gates).tolist()


def joint_by_score_of_gates(model, batch, cost):
    gates = model.decide(model.gate_logits(batch.items, batch.cut), sample=True)
    scores = model.backbone(batch.items, gates).transpose(1, 2)
    total = F.cross_entropy(scores, batch.targets, ignore_index=0)
    return total + cost * gates.sum() / gates.numel()


def joint_in_a_loop(model, batch, cost):
    gates = model.gates(batch.items, batch.cut, sample=True)
    losses = losses_row_by_row(model.backbone, batch, gates)
    kept = torch.stack([row.mean() for row in gates])
    return losses.sum() / len(losses) + (cost * kept).mean()


def joint_in_float64(model, batch, cost):
    gates = model.gates(batch.items, batch.cut, sample=True)
    return torch.mean(losses_of(model.backbone, batch, gates).double()).add(torch.mean(gates.double()), alpha=cost)


def mean_of_user_means(model, batch, cost):
    gates = model.gates(batch.items, batch.cut, sample=True)
    losses = losses_of(model.backbone, batch, gates).split(batch.scored().sum(1).tolist())
    return torch.stack([row.mean() for row in losses]).mean() + cost * gates.mean()


def detached_in_the_loss(model, batch, cost):
    gates = model.gates(batch.items, batch.cut, sample=True)
    return losses_of(model.backbone, batch, gates.detach()).mean() + cost * gates.mean()


def a_number(model, batch, cost):
    return joint_in_a_loop(model, batch, cost).item()


def nan_loss(model, batch, cost):
    return joint_in_a_loop(model, batch, cost) * math.nan


def no_sample(model, batch, cost):
    gates = model.gates(batch.items, batch.cut)
    return losses_of(model.backbone, batch, gates).mean() + cost * gates.mean()


# --- choose ---


def choose_in_a_loop(front):
    best = front[0]
    for c in front:
        if float(c.ndcg.mean()) > float(best.ndcg.mean()):
            best = c
    chosen = best
    for c in front:
        gap = (best.ndcg - c.ndcg).numpy()
        if c is not best and gap.mean() > gap.std(ddof=1) / np.sqrt(len(gap)):
            continue
        if c.blocks < chosen.blocks:
            chosen = c
    return chosen


def choose_sorted(front):
    top = max(float(c.ndcg.double().mean()) for c in front)
    best = next(c for c in front if float(c.ndcg.double().mean()) == top)
    for c in sorted(front, key=lambda c: c.blocks):
        d = c.ndcg - best.ndcg
        if d.mean() + d.std() / len(d) ** 0.5 >= 0:
            return c
    return best


def standard_deviation(front):
    best = max(front, key=lambda c: c.ndcg.mean())
    return min((c for c in front if (best.ndcg - c.ndcg).mean() <= (best.ndcg - c.ndcg).std()), key=lambda c: c.blocks)


def not_paired(front):
    best = max(front, key=lambda c: c.ndcg.mean())
    error = best.ndcg.std() / len(best.ndcg) ** 0.5
    return min((c for c in front if best.ndcg.mean() - c.ndcg.mean() <= error), key=lambda c: c.blocks)


def compares_tensors(front):
    return max(front, key=lambda c: c.ndcg)


ANSWERS_SKIPREC: dict[str, list[Answer]] = {
    "policy.PolicyNetwork": [
        right(Policy), right(UserByUser), right(ByEinsum), right(MaskByMultiplication), right(InFloat64),
        wrong(MaskedMeanOverTime, "counts padding"), wrong(AllKeepsFirst, "in pairs"), wrong(BiasInHalves, "pair"),
        wrong(NoLastBias, "is missing"), wrong(NotANumber, "NaN"), wrong(ListOfBlocks, "expected a tensor"),
        raises(WrongAxes, "size of tensor"),
    ],
    "skiprec.visible": [
        right(with_where), right(by_multiplication), right(row_by_row),
        wrong(cut_along_time, "column"), wrong(counted_from_the_first_item, "first real item"),
        wrong(in_place, "changes the argument"), wrong(as_floats, "whole"), raises(never_none, "None"),
    ],
    "gate_losses.draw_cut": [
        right(cut_by_multinomial), right(cut_in_a_loop), right(cut_by_noise),
        wrong(cut_anywhere, "real positions only"), wrong(one_number_for_all, "random number of its own"),
        wrong(rounded, "round"),
    ],
    "gate_losses.from_a_cut": [
        right(from_a_cut_by_hand), right(from_a_cut_in_a_loop),
        wrong(future_not_scored, "other way round"), wrong(always_the_last, "always the last"),
        wrong(spoils_the_batch, "changes the argument"), wrong(a_pair, "Windows"),
        raises(assigns, "FrozenInstanceError"),
    ],
    "skiprec.SkipRec": [
        right(Skip), right(PolicyFirst), right(InLogProbabilities),
        wrong(ForgetsTheCut, "hand the cut on"), wrong(InvertedWhenGreedy, "greedy gate is inverted"),
        wrong(NanAfterTheCut, "other way round"),
        wrong(InAList, "attributes of the model"), wrong(OtherNames, "under these names"),
        raises(NoDecide, "decide"), raises(WithoutSuper, "__init__"),
    ],
    "gate_losses.losses_at": [
        right(losses_from_log_softmax), right(losses_row_by_row), right(losses_with_ignore_index),
        wrong(losses_everywhere, "without a target"), wrong(losses_by_time, "row by row"),
        wrong(losses_as_a_list, "tensor"), raises(losses_without_gates, "argument"),
    ],
    "gate_losses.straight_through_loss": [
        right(joint_by_score_of_gates), right(joint_in_a_loop), right(joint_in_float64),
        wrong(mean_of_user_means, "user counts once"), wrong(detached_in_the_loss, "detached in the loss"),
        wrong(a_number, "tensor"), wrong(nan_loss, "NaN"), raises(no_sample, "sample"),
    ],
    "choosing.choose": [
        right(choose_in_a_loop), right(choose_sorted),
        wrong(not_paired, "paired difference"), wrong(standard_deviation, "standard deviation"),
        raises(compares_tensors, "Boolean"),
    ],
}  # fmt: skip

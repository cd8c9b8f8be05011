"""Answers to the exercises of lesson 13."""

import torch
from answers import Answer, raises, right, wrong
from torch import nn
from torch.nn import functional as F

from skiprec_lite import backbones, gate_losses, metrics
from skiprec_lite.backbones import Backbone, in_eval_mode
from skiprec_lite.gumbel import gumbel_max, gumbel_softmax
from skiprec_lite.policy_gradient import block_drop_reward, log_probability

# --- log_probability ---


def by_bernoulli(logits, gates):
    return torch.distributions.Bernoulli(logits=logits[..., 0] - logits[..., 1]).log_prob(gates).sum(-1)


def by_cross_entropy(logits, gates):
    classes = (1 - gates).long()  # keep is class 0
    return -F.cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none").view(gates.shape).sum(dim=1)


def by_gather(logits, gates):
    log_pi = logits - logits.logsumexp(dim=-1, keepdim=True)
    both = torch.stack([gates, 1 - gates], dim=-1)
    return torch.einsum("bkc,bkc->b", log_pi, both)


def gates_as_index(logits, gates):
    log_pi = torch.log_softmax(logits, dim=-1)
    return log_pi.gather(2, gates.long().unsqueeze(2)).squeeze(2).sum(dim=1)


def the_probability(logits, gates):
    pi = logits.softmax(dim=-1)[..., 0]
    return torch.where(gates == 1, pi, 1 - pi).prod(dim=1)


def one_logit(logits, gates):
    return torch.distributions.Bernoulli(logits=logits).log_prob(gates).sum(dim=1)


# --- self_critical_loss ---


def with_ranks(model, batch, cost, *, k=10, miss=0.5):
    """Masked gates, ranks from the package, positions row by row."""
    logits = model.gate_logits(batch.items, batch.cut)
    with torch.no_grad():
        sampled, greedy = model.decide(logits, sample=True), model.decide(logits, sample=False)
    where, advantage = batch.scored(), torch.zeros(len(batch), dtype=logits.dtype)
    was = model.training
    model.eval()
    with torch.no_grad():
        for sign, gates in ((1, sampled), (-1, greedy)):
            scores = model.backbone(batch.items, gates)
            for row in range(len(batch)):
                rank = metrics.rank_of_target(scores[row][where[row]], batch.targets[row][where[row]])
                reward = block_drop_reward(rank <= k, gates[row].mean().expand(len(rank)), miss=miss)
                advantage[row] += sign * reward.mean().to(logits.dtype)
    model.train(was)
    loss = F.cross_entropy(model.backbone(batch.items, sampled)[where], batch.targets[where])
    return loss - cost * torch.dot(advantage, log_probability(logits, sampled)) / len(batch)


def draws_by_itself(model, batch, cost, *, k=10, miss=0.5):
    """The gates drawn with Gumbel-max, the rewards by score_at."""
    logits = model.policy(batch.items.masked_fill(torch.arange(batch.items.shape[1]) > batch.cut[:, None], 0))
    sampled = 1 - gumbel_max(logits.detach()).to(logits.dtype)
    greedy = (logits[..., 0] > logits[..., 1]).to(logits.dtype)

    @torch.no_grad()
    def reward(gates):
        with in_eval_mode(model):
            scores = model.score_at(batch.items, batch.scored(), batch.cut, gates)
        true = scores[torch.arange(len(scores)), batch.targets[batch.scored()]]
        hit = (scores >= true[:, None]).sum(dim=1) <= k
        used = gates.mean(dim=1, keepdim=True).expand_as(batch.items)[batch.scored()]
        return gate_losses.per_row(block_drop_reward(hit, used, miss=miss), batch)

    policy = ((reward(greedy) - reward(sampled)) * log_probability(logits, sampled)).mean()
    return gate_losses.losses_at(model.backbone, batch, sampled).mean() + cost * policy


def _self_critical(
    policy=lambda mine, greedy, log_p: -((mine - greedy) * log_p).mean(),
    gates_of=lambda model, logits: (model.decide(logits, sample=True).detach(), model.decide(logits, sample=False)),
    in_loss=lambda gates: gates,
    hits=lambda scores, true, k: (scores >= true).sum(dim=1) <= k,
):
    """In other words than the package's: no blocks are left out, and only the scores are without a gradient."""

    def self_critical_loss(model, batch, cost, *, k=10, miss=0.5):
        logits = model.gate_logits(batch.items, batch.cut)
        gates, greedy = gates_of(model, logits)
        scored, rewards = batch.scored(), []
        row = scored.nonzero()[:, 0]
        with in_eval_mode(model):
            for choice in (gates, greedy):
                with torch.no_grad():
                    scores = model.backbone.score(model.backbone.encode(batch.items, choice)[scored])
                hit = hits(scores, scores.gather(1, batch.targets[scored][:, None]), k)
                reward = block_drop_reward(hit, choice.mean(dim=1)[row], miss=miss)
                rewards.append(gate_losses.per_row(reward, batch))
        part = policy(*rewards, log_probability(logits, gates.detach()))
        return gate_losses.losses_at(model.backbone, batch, in_loss(gates)).mean() + cost * part

    return self_critical_loss


def _attached(model, logits):
    return model.decide(logits, sample=True), model.decide(logits, sample=False)


def _softened(model, logits):
    soft = gumbel_softmax(logits, tau=10.0)[..., 0].detach()
    return (torch.rand(soft.shape) < soft).to(soft.dtype), model.decide(logits, sample=False)


def _soft_baseline(model, logits):
    return model.decide(logits, sample=True).detach(), logits.softmax(dim=-1)[..., 0]


uphill = _self_critical(lambda mine, greedy, log_p: ((mine - greedy) * log_p).mean())
softened = _self_critical(gates_of=_softened)
not_detached = _self_critical(gates_of=_attached)
reward_not_detached = _self_critical(gates_of=_attached, in_loss=lambda gates: gates.detach())
baseline_with_gradient = _self_critical(gates_of=_soft_baseline)
ties_in_favour = _self_critical(hits=lambda scores, true, k: (scores > true).sum(dim=1) < k)


def a_float(model, batch, cost, *, k=10, miss=0.5):
    return float(with_ranks(model, batch, cost, k=k, miss=miss))


def rewards_of_positions(model, batch, cost, *, k=10, miss=0.5):
    """One number for each position meets one log-probability for each row."""
    logits = model.gate_logits(batch.items, batch.cut)
    gates = model.decide(logits, sample=True).detach()
    losses = gate_losses.losses_at(model.backbone, batch, gates)
    return (losses.detach() * log_probability(logits, gates)).mean() + losses.mean()


# --- AttentionBlock ---


class Fused(nn.Module):
    def __init__(self, channels, heads=1, *, dropout=0.0):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * channels)
        self.join = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.inner = nn.Linear(channels, channels)
        self.outer = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden, mask=None):
        batch, time, channels = hidden.shape
        q, k, v = self.project(self.norm1(hidden)).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if mask is None:
            mask = torch.ones(batch, time, dtype=torch.bool)
        steps = torch.arange(time)
        allowed = ((steps[:, None] >= steps) & mask[:, None, :]) | (steps[:, None] == steps)
        p = self.dropout.p if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed[:, None], dropout_p=p)
        hidden = hidden + self.dropout(self.join(out.transpose(1, 2).reshape(batch, time, channels)))
        return hidden + self.dropout(self.outer(self.dropout(self.inner(self.norm2(hidden)).clamp_min(0))))


class WithTorchs(nn.Module):
    """nn.MultiheadAttention, where True forbids; other names, the same shapes."""

    def __init__(self, channels, heads=1, *, dropout=0.0):
        super().__init__()
        self.before = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, heads, dropout=dropout, batch_first=True)
        self.between = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Dropout(dropout), nn.Linear(channels, channels)
        )
        self.heads, self.drop = heads, nn.Dropout(dropout)

    def forward(self, hidden, mask=None):
        time = hidden.shape[1]
        forbidden = torch.ones(time, time, dtype=torch.bool).triu(1).expand(len(hidden), -1, -1)
        if mask is not None:
            forbidden = (forbidden | ~mask[:, None, :]) & ~torch.eye(time, dtype=torch.bool)
        x = self.before(hidden)
        forbidden = forbidden.repeat_interleave(self.heads, dim=0)
        hidden = hidden + self.drop(self.attention(x, x, x, attn_mask=forbidden, need_weights=False)[0])
        return hidden + self.drop(self.mlp(self.between(hidden)))


class HeadByHead(Fused):
    """A loop over the heads, a large negative number in place of -inf."""

    def forward(self, hidden, mask=None):
        time, width = hidden.shape[1], hidden.shape[2] // self.heads
        q, k, v = self.project(self.norm1(hidden)).chunk(3, dim=-1)
        forbid = torch.ones(time, time).triu(1).bool()[None]
        if mask is not None:
            forbid = forbid | ~mask[:, None, :]
        results = []
        for head in range(self.heads):
            part = slice(head * width, (head + 1) * width)
            scores = torch.einsum("bqc,bkc->bqk", q[..., part], k[..., part]) / width**0.5
            weights = self.dropout(torch.where(forbid, -1e9, scores).softmax(dim=2))
            results.append(torch.einsum("bqk,bkc->bqc", weights, v[..., part]))
        hidden = hidden + self.dropout(self.join(torch.cat(results, dim=-1)))
        return hidden + self.dropout(self.outer(self.dropout(torch.relu(self.inner(self.norm2(hidden))))))


class NotCausal(WithTorchs):
    """Torch's own module reads the future unless it is told not to."""

    def forward(self, hidden, mask=None):
        x = self.before(hidden)
        forbidden = None if mask is None else ~mask
        hidden = hidden + self.drop(self.attention(x, x, x, key_padding_mask=forbidden, need_weights=False)[0])
        return hidden + self.drop(self.mlp(self.between(hidden)))


class NormAfterwards(WithTorchs):
    def forward(self, hidden, mask=None):
        future = torch.ones(hidden.shape[1], hidden.shape[1], dtype=torch.bool).triu(1)
        out = self.attention(hidden, hidden, hidden, attn_mask=future, need_weights=False)[0]
        hidden = self.before(hidden + self.drop(out))
        return self.between(hidden + self.drop(self.mlp(hidden)))


class ThreeLinears(nn.Module):
    def __init__(self, channels, heads=1, *, dropout=0.0):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))

    def forward(self, hidden, mask=None):
        return hidden


class LastOnly(Fused):
    def forward(self, hidden, mask=None):
        return super().forward(hidden, mask)[:, -1]


class NeedsAMask(Fused):
    def forward(self, hidden, mask=None):
        return super().forward(hidden, mask & True)


# --- SASRec ---


class Own(Backbone):
    """With a position embedding, the mask by masked_fill, scores by matmul."""

    def __init__(self, num_items, *, channels=64, num_blocks=2, heads=1, max_length=50, dropout=0.0):
        super().__init__()
        self.sizes = {
            "num_items": num_items, "channels": channels, "num_blocks": num_blocks, "heads": heads,
            "max_length": max_length, "dropout": dropout,
        }  # fmt: skip
        self.embedding = nn.Embedding(num_items + 1, channels, padding_idx=0)
        self.positions = nn.Parameter(torch.zeros(max_length, channels))
        self.blocks = nn.ModuleList(
            [backbones.AttentionBlock(channels, heads, dropout=dropout) for _ in range(num_blocks)]
        )
        self.norm = nn.LayerNorm(channels)
        self.output_bias = nn.Parameter(torch.zeros(num_items))
        self.drop = nn.Dropout(dropout)

    def embed(self, items):
        time, most = items.shape[1], len(self.positions)
        table = torch.cat([self.positions, self.positions[-1:].expand(max(time - most, 0), -1)])[:time].flip(0)
        return self.drop((self.embedding(items) + table).masked_fill((items == 0)[..., None], 0.0))

    def score(self, hidden):
        scores = self.norm(hidden) @ self.embedding.weight[1:].T + self.output_bias
        return torch.cat([torch.full_like(scores[..., :1], float("-inf")), scores], dim=-1)


class PaddingIsZeroAnyway(Own):
    """The position alone is masked: row 0 of the embedding is 0."""

    def embed(self, items):
        age = torch.arange(items.shape[1]).flip(0).clamp(max=len(self.positions) - 1)
        return self.drop(self.embedding(items) + self.positions[age] * (items > 0)[..., None])


class FromTheFirstItem(Own):
    def embed(self, items):
        place = ((items > 0).cumsum(dim=1) - 1).clamp(0, len(self.positions) - 1)
        return self.drop((self.embedding(items) + self.positions[place]) * (items > 0)[..., None])


class Backwards(Own):
    def embed(self, items):
        place = torch.arange(len(self.positions) - items.shape[1], len(self.positions)).clamp_min(0)
        return self.drop((self.embedding(items) + self.positions[place]) * (items > 0)[..., None])


class NoColumnForPadding(Own):
    def score(self, hidden):
        return F.linear(self.norm(hidden), self.embedding.weight[1:], self.output_bias)


class NoBias(Own):
    def score(self, hidden):
        scores = self.norm(hidden) @ self.embedding.weight.T
        return torch.cat([torch.full_like(scores[..., :1], -torch.inf), scores[..., 1:]], dim=-1)


class NoSizes(Own):
    def __init__(self, num_items, **sizes):
        super().__init__(num_items, **sizes)
        self.sizes = {"num_items": num_items}


class Untied(Own):
    def __init__(self, num_items, **sizes):
        super().__init__(num_items, **sizes)
        self.output = nn.Linear(self.positions.shape[1], num_items + 1)


ANSWERS_BEYOND: dict[str, list[Answer]] = {
    "policy_gradient.log_probability": [
        right(by_bernoulli), right(by_cross_entropy), right(by_gather),
        wrong(gates_as_index, "swapped"), wrong(the_probability, "logarithm"), raises(one_logit, "shape"),
    ],
    "policy_gradient.self_critical_loss": [
        right(with_ranks), right(draws_by_itself), right(_self_critical()),
        wrong(uphill, "sign"), wrong(ties_in_favour, "ies count against"), wrong(softened, "the value"),
        wrong(not_detached, "gradient"), wrong(reward_not_detached, "gradient"),
        wrong(baseline_with_gradient, "the value"), wrong(a_float, "tensor"), raises(rewards_of_positions, "size"),
    ],
    "backbones.AttentionBlock": [
        right(Fused), right(WithTorchs), right(HeadByHead),
        wrong(NotCausal, "reads the future"), wrong(NormAfterwards, "before each branch"),
        wrong(ThreeLinears, "project"), wrong(LastOnly, "shape"), raises(NeedsAMask, "TypeError"),
    ],
    "backbones.SASRec": [
        right(Own), right(PaddingIsZeroAnyway),
        wrong(FromTheFirstItem, "first item"), wrong(Backwards, "backwards"), wrong(NoBias, "bias is missing"),
        wrong(NoColumnForPadding, "column"), wrong(NoSizes, "sizes"), wrong(Untied, "own embedding"),
    ],
}  # fmt: skip

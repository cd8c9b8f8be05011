"""Answers to the exercises of lesson 13."""

import torch
from answers import Answer, raises, right, wrong
from torch import nn
from torch.nn import functional as F

from skiprec_lite import backbones, gate_losses, metrics
from skiprec_lite.backbones import Backbone, in_eval_mode, item_embedding
from skiprec_lite.gumbel import gumbel_max, gumbel_softmax
from skiprec_lite.policy_gradient import block_drop_reward, log_probability

# --- rewards ---


def by_arithmetic(hit, used, *, miss=0.5):
    hit = hit.to(used.dtype)
    return hit * (1 - used * used) - (1 - hit) * miss


def by_masks(hit, used, *, miss=0.5):
    reward = torch.full_like(used, -miss)
    reward[hit] = 1 - used[hit] ** 2
    return reward


def not_squared(hit, used, *, miss=0.5):
    return torch.where(hit, 1 - used, -miss)


def miss_for_free(hit, used, *, miss=0.5):
    return torch.where(hit, 1 - used**2, torch.zeros_like(used))


def miss_pays(hit, used, *, miss=0.5):
    return torch.where(hit, 1 - used**2, miss)


def rises(hit, used, *, miss=0.5):
    return torch.where(hit, 1 - (1 - used) ** 2, -miss)


def skipped_squared(hit, used, *, miss=0.5):
    return torch.where(hit, (1 - used) ** 2, -miss)


def hit_ignored(hit, used, *, miss=0.5):
    return torch.where(~hit, 1 - used**2, -miss)


def fixed_miss(hit, used, *, miss=0.5):
    return torch.where(hit, 1 - used**2, -0.5)


def with_an_if(hit, used, *, miss=0.5):
    if hit:
        return 1 - used**2
    return -miss


def of_floats(hit, used, *, miss=0.5):
    return [1 - u**2 if h else -miss for h, u in zip(hit.tolist(), used.tolist())]


def published_by_arithmetic(hit, used, *, gamma=1.0):
    skipped = 1 - used
    return hit * (1 - gamma * skipped * skipped) - gamma * ~hit


def published_in_place(hit, used, *, gamma=1.0):
    reward = 1 - used
    reward = reward.mul_(reward).mul_(-gamma).add_(1)
    return reward.masked_fill(~hit, -gamma)


def falls(hit, used, *, gamma=1.0):
    return torch.where(hit, 1 - gamma * used**2, -gamma)


def published_linear(hit, used, *, gamma=1.0):
    return torch.where(hit, 1 - gamma * (1 - used), -gamma)


def no_gamma(hit, used, *, gamma=1.0):
    return torch.where(hit, 1 - (1 - used) ** 2, -gamma)


def no_gamma_at_a_miss(hit, used, *, gamma=1.0):
    return torch.where(hit, 1 - gamma * (1 - used) ** 2, -1.0)


def published_miss_for_free(hit, used, *, gamma=1.0):
    return torch.where(hit, 1 - gamma * (1 - used) ** 2, 0.0)


def one_minus_squares(hit, used, *, gamma=1.0):
    return torch.where(hit, 1 - gamma * (1 - used**2), -gamma)


def published_transposed(hit, used, *, gamma=1.0):
    return published_by_arithmetic(hit, used, gamma=gamma).flatten()


def needs_gamma(hit, used):
    return published_by_arithmetic(hit, used)


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


def mean_of_blocks(logits, gates):
    return by_gather(logits, gates) / gates.shape[1]


def the_probability(logits, gates):
    pi = logits.softmax(dim=-1)[..., 0]
    return torch.where(gates == 1, pi, 1 - pi).prod(dim=1)


def sum_of_probabilities(logits, gates):
    pi = logits.softmax(dim=-1)[..., 0]
    return (gates * pi + (1 - gates) * (1 - pi)).sum(dim=1)


def kept_only(logits, gates):
    return (gates * logits.log_softmax(dim=-1)[..., 0]).sum(dim=1)


def of_the_logits(logits, gates):
    return (gates * logits[..., 0] + (1 - gates) * logits[..., 1]).sum(dim=1)


def over_the_blocks(logits, gates):
    log_pi = logits.log_softmax(dim=1)
    return (gates * log_pi[..., 0] + (1 - gates) * log_pi[..., 1]).sum(dim=1)


def log_of_softmax(logits, gates):
    pi = logits.softmax(dim=-1)[..., 0]
    return (gates * pi.log() + (1 - gates) * (1 - pi).log()).sum(dim=1)


def negative(logits, gates):
    return -by_gather(logits, gates)


def for_each_gate(logits, gates):
    log_pi = logits.log_softmax(dim=-1)
    return gates * log_pi[..., 0] + (1 - gates) * log_pi[..., 1]


def for_all_users(logits, gates):
    return by_gather(logits, gates).sum()


def detached(logits, gates):
    return by_gather(logits.detach(), gates)


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
    reward=block_drop_reward,
    gates_of=lambda model, logits: (model.decide(logits, sample=True).detach(), model.decide(logits, sample=False)),
    in_loss=lambda gates, greedy: gates,
    whole=lambda loss, policy, cost: loss.mean() + cost * policy,
    log_p_of=lambda gates, greedy: gates,
    hits=lambda scores, true, k: (scores >= true).sum(dim=1) <= k,
    cut=True,
    mode=in_eval_mode,
    per_row=gate_losses.per_row,
):
    def self_critical_loss(model, batch, cost, *, k=10, miss=0.5):
        logits = model.gate_logits(batch.items, batch.cut if cut else None)
        gates, greedy = gates_of(model, logits)
        scored, rewards = batch.scored(), []
        row = scored.nonzero()[:, 0]
        with mode(model):
            for choice in (gates, greedy):
                with torch.no_grad():
                    scores = model.backbone.score(model.backbone.encode(batch.items, choice)[scored])
                true = scores.gather(1, batch.targets[scored][:, None])
                rewards.append(per_row(reward(hits(scores, true, k), choice.mean(dim=1)[row], miss=miss), batch))
        part = policy(*rewards, log_probability(logits, log_p_of(gates, greedy)))
        return whole(gate_losses.losses_at(model.backbone, batch, in_loss(gates, greedy)), part, cost)

    return self_critical_loss


class _AsItIs:
    def __init__(self, model):
        self.model = model

    def __enter__(self):
        return self.model

    def __exit__(self, *error):
        return None


class _EvalForGood(_AsItIs):
    def __enter__(self):
        return self.model.eval()


def _attached(model, logits):
    return model.decide(logits, sample=True), model.decide(logits, sample=False)


def _softened(model, logits):
    soft = gumbel_softmax(logits, tau=10.0)[..., 0].detach()
    return (torch.rand(soft.shape) < soft).to(soft.dtype), model.decide(logits, sample=False)


def _both_sampled(model, logits):
    return model.decide(logits, sample=True).detach(), model.decide(logits, sample=True).detach()


def _both_greedy(model, logits):
    return model.decide(logits, sample=False), model.decide(logits, sample=False)


def _soft_baseline(model, logits):
    return model.decide(logits, sample=True).detach(), logits.softmax(dim=-1)[..., 0]


uphill = _self_critical(lambda mine, greedy, log_p: ((mine - greedy) * log_p).mean())
no_baseline = _self_critical(lambda mine, greedy, log_p: -(mine * log_p).mean())
summed = _self_critical(lambda mine, greedy, log_p: -((mine - greedy) * log_p).sum())
no_logarithm = _self_critical(lambda mine, greedy, log_p: -((mine - greedy) * log_p.exp()).mean())
of_the_greedy = _self_critical(log_p_of=lambda gates, greedy: greedy)
two_samples = _self_critical(gates_of=_both_sampled)
two_choices = _self_critical(gates_of=_both_greedy)
softened = _self_critical(gates_of=_softened)
not_detached = _self_critical(gates_of=_attached, log_p_of=lambda gates, greedy: gates.detach())
reward_not_detached = _self_critical(
    gates_of=_attached, log_p_of=lambda gates, greedy: gates.detach(), in_loss=lambda gates, greedy: gates.detach()
)
baseline_with_gradient = _self_critical(gates_of=_soft_baseline)
greedy_in_the_loss = _self_critical(in_loss=lambda gates, greedy: greedy)
full_depth_in_the_loss = _self_critical(in_loss=lambda gates, greedy: torch.ones_like(gates))
cost_everywhere = _self_critical(whole=lambda loss, policy, cost: cost * (loss.mean() + policy))
no_cost = _self_critical(whole=lambda loss, policy, cost: loss.mean() + policy)
loss_summed = _self_critical(whole=lambda loss, policy, cost: loss.sum() + cost * policy)
policy_alone = _self_critical(whole=lambda loss, policy, cost: cost * policy)
off_by_one = _self_critical(hits=lambda scores, true, k: (scores > true).sum(dim=1) <= k)
ties_in_favour = _self_critical(hits=lambda scores, true, k: (scores > true).sum(dim=1) < k)
miss_not_used = _self_critical(reward=lambda hit, used, miss: block_drop_reward(hit, used))
the_published_reward = _self_critical(reward=lambda hit, used, miss: torch.where(hit, 1 - (1 - used) ** 2, -miss))
reads_everything = _self_critical(cut=False)
with_dropout = _self_critical(mode=_AsItIs)
stays_in_eval = _self_critical(mode=_EvalForGood)
rewards_summed = _self_critical(
    per_row=lambda values, batch: gate_losses.per_row(values, batch) * batch.scored().sum(dim=1)
)
one_for_each_row = _self_critical(
    lambda mine, greedy, log_p: -((mine - greedy) * log_p), whole=lambda loss, policy, cost: loss.mean() + cost * policy
)
no_gradient = _self_critical(lambda mine, greedy, log_p: -((mine - greedy) * log_p.detach()).mean())


def a_float(model, batch, cost, *, k=10, miss=0.5):
    return float(with_ranks(model, batch, cost, k=k, miss=miss))


def rewards_of_positions(model, batch, cost, *, k=10, miss=0.5):
    """One reward for each position meets one log-probability for each row."""
    return _self_critical(per_row=lambda values, batch: values)(model, batch, cost, k=k, miss=miss)


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


class _Steps(Fused):
    """The block in steps, one of which each mistake replaces."""

    def scale(self, width):
        return width**0.5

    def allowed(self, time, mask):
        past = torch.ones(time, time, dtype=torch.bool).tril()
        return past if mask is None else (past & mask[:, None, None, :]) | torch.eye(time, dtype=torch.bool)

    def cut(self, part):
        return part.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def glue(self, out):
        return out.transpose(1, 2).flatten(2)

    def weights(self, scores, allowed):
        return scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1)

    def attend(self, x, mask):
        q, k, v = (self.cut(part) for part in self.project(x).chunk(3, dim=-1))
        weights = self.weights(q @ k.mT / self.scale(k.shape[-1]), self.allowed(x.shape[1], mask))
        return self.join(self.glue(self.dropout(weights) @ v))

    def forward(self, hidden, mask=None):
        hidden = hidden + self.dropout(self.attend(self.norm1(hidden), mask))
        return hidden + self.dropout(self.outer(self.dropout(F.relu(self.inner(self.norm2(hidden))))))


class NotCausal(_Steps):
    def allowed(self, time, mask):
        everything = torch.ones(time, time, dtype=torch.bool)
        return everything if mask is None else (everything & mask[:, None, None, :]) | torch.eye(time, dtype=torch.bool)


class CausalTheWrongWay(_Steps):
    def allowed(self, time, mask):
        future = torch.ones(time, time, dtype=torch.bool).triu()
        return future if mask is None else (future & mask[:, None, None, :]) | torch.eye(time, dtype=torch.bool)


class NotItself(_Steps):
    def allowed(self, time, mask):
        past = torch.ones(time, time, dtype=torch.bool).tril()
        return past if mask is None else past & mask[:, None, None, :]


class ReadsPadding(_Steps):
    def allowed(self, time, mask):
        return torch.ones(time, time, dtype=torch.bool).tril()


class MaskUpsideDown(_Steps):
    def allowed(self, time, mask):
        return super().allowed(time, None if mask is None else ~mask)


class MasksQueries(_Steps):
    def allowed(self, time, mask):
        past = torch.ones(time, time, dtype=torch.bool).tril()
        return past if mask is None else (past & mask[:, None, :, None]) | torch.eye(time, dtype=torch.bool)


class MasksAfterwards(_Steps):
    def weights(self, scores, allowed):
        return scores.softmax(dim=-1) * allowed


class MasksWithZero(_Steps):
    def weights(self, scores, allowed):
        return (scores * allowed).softmax(dim=-1)


class NotScaled(_Steps):
    def scale(self, width):
        return 1.0


class ScaledByAll(_Steps):
    def scale(self, width):
        return (width * self.heads) ** 0.5


class ScaledByTheWidth(_Steps):
    def scale(self, width):
        return width


class OverTheQueries(_Steps):
    def weights(self, scores, allowed):
        return scores.masked_fill(~allowed, -torch.inf).softmax(dim=-2)


class HeadsByView(_Steps):
    def cut(self, part):
        return part.reshape(part.shape[0], self.heads, part.shape[1], -1)


class HeadsInterleaved(_Steps):
    def cut(self, part):
        return part.unflatten(-1, (-1, self.heads)).permute(0, 3, 1, 2)


class GluedTooEarly(_Steps):
    def glue(self, out):
        return out.reshape(out.shape[0], out.shape[2], -1)


class NormAfterwards(_Steps):
    def forward(self, hidden, mask=None):
        hidden = self.norm1(hidden + self.dropout(self.attend(hidden, mask)))
        return self.norm2(hidden + self.dropout(self.outer(self.dropout(F.relu(self.inner(hidden))))))


class NoFirstSum(_Steps):
    def forward(self, hidden, mask=None):
        hidden = self.dropout(self.attend(self.norm1(hidden), mask))
        return hidden + self.dropout(self.outer(self.dropout(F.relu(self.inner(self.norm2(hidden))))))


class NoRelu(_Steps):
    def forward(self, hidden, mask=None):
        hidden = hidden + self.dropout(self.attend(self.norm1(hidden), mask))
        return hidden + self.dropout(self.outer(self.dropout(self.inner(self.norm2(hidden)))))


class NoDropout(_Steps):
    def __init__(self, channels, heads=1, *, dropout=0.0):
        super().__init__(channels, heads)


class ThreeLinears(nn.Module):
    def __init__(self, channels, heads=1, *, dropout=0.0):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))

    def forward(self, hidden, mask=None):
        return hidden


class LastOnly(_Steps):
    def forward(self, hidden, mask=None):
        return super().forward(hidden, mask)[:, -1]


class NeedsAMask(_Steps):
    def allowed(self, time, mask):
        return super().allowed(time, mask & True)


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


class FromTheLeft(Own):
    def embed(self, items):
        place = torch.arange(items.shape[1]).clamp_max(len(self.positions) - 1)
        return self.drop((self.embedding(items) + self.positions[place]) * (items > 0)[..., None])


class FromTheFirstItem(Own):
    def embed(self, items):
        place = ((items > 0).cumsum(dim=1) - 1).clamp(0, len(self.positions) - 1)
        return self.drop((self.embedding(items) + self.positions[place]) * (items > 0)[..., None])


class PaddingHasAPlace(Own):
    def embed(self, items):
        age = torch.arange(items.shape[1] - 1, -1, -1).clamp_max(len(self.positions) - 1)
        return self.drop(self.embedding(items) + self.positions[age])


class NoPositions(Own):
    def embed(self, items):
        return self.drop(self.embedding(items)) + 0 * self.positions.sum()


class LastIsOne(Own):
    def embed(self, items):
        age = torch.arange(items.shape[1], 0, -1).clamp_max(len(self.positions) - 1)
        return self.drop((self.embedding(items) + self.positions[age]) * (items > 0)[..., None])


class Backwards(Own):
    def embed(self, items):
        place = torch.arange(len(self.positions) - items.shape[1], len(self.positions)).clamp_min(0)
        return self.drop((self.embedding(items) + self.positions[place]) * (items > 0)[..., None])


class TooShort(Own):
    def embed(self, items):
        age = torch.arange(items.shape[1] - 1, -1, -1)
        return self.drop((self.embedding(items) + self.positions[age]) * (items > 0)[..., None])


class Scaled(Own):
    def embed(self, items):
        age = torch.arange(items.shape[1] - 1, -1, -1).clamp_max(len(self.positions) - 1)
        item = self.embedding(items) * self.positions.shape[1] ** 0.5
        return self.drop((item + self.positions[age]) * (items > 0)[..., None])


class ScoresPadding(Own):
    def score(self, hidden):
        return F.linear(self.norm(hidden), self.embedding.weight, F.pad(self.output_bias, (1, 0)))


class NoColumnForPadding(Own):
    def score(self, hidden):
        return F.linear(self.norm(hidden), self.embedding.weight[1:], self.output_bias)


class NoNorm(Own):
    def score(self, hidden):
        return F.linear(hidden, self.embedding.weight, F.pad(self.output_bias, (1, 0), value=-torch.inf))


class NoBias(Own):
    def score(self, hidden):
        scores = self.norm(hidden) @ self.embedding.weight.T
        return torch.cat([torch.full_like(scores[..., :1], -torch.inf), scores[..., 1:]], dim=-1)


class NotABackbone(nn.Module):
    def __init__(self, num_items, *, channels=64, num_blocks=2, heads=1, max_length=50, dropout=0.0):
        super().__init__()
        self.embedding = item_embedding(num_items, channels)


class NoSizes(Own):
    def __init__(self, num_items, **sizes):
        super().__init__(num_items, **sizes)
        self.sizes = {"num_items": num_items}


class OneBlock(Own):
    def __init__(self, num_items, *, channels=64, num_blocks=2, heads=1, max_length=50, dropout=0.0):
        super().__init__(
            num_items, channels=channels, num_blocks=1, heads=heads, max_length=max_length, dropout=dropout
        )


class Untied(Own):
    def __init__(self, num_items, **sizes):
        super().__init__(num_items, **sizes)
        self.output = nn.Linear(self.positions.shape[1], num_items + 1)


class OneHead(Own):
    def __init__(self, num_items, *, channels=64, num_blocks=2, heads=1, max_length=50, dropout=0.0):
        super().__init__(num_items, channels=channels, num_blocks=num_blocks, max_length=max_length, dropout=dropout)
        self.sizes["heads"] = heads


class DropsNothing(Own):
    def __init__(self, num_items, *, dropout=0.0, **sizes):
        super().__init__(num_items, **sizes)
        self.sizes["dropout"] = dropout


ANSWERS_BEYOND: dict[str, list[Answer]] = {
    "policy_gradient.block_drop_reward": [
        right(by_arithmetic), right(by_masks),
        wrong(not_squared, "not squared"), wrong(miss_for_free, "not punished"), wrong(miss_pays, "sign"),
        wrong(rises, "rises"), wrong(skipped_squared, "was skipped"), wrong(hit_ignored, "swapped"),
        wrong(fixed_miss, "not used"), raises(with_an_if, "ambiguous"), wrong(of_floats, "tensor"),
    ],
    "policy_gradient.published_reward": [
        right(published_by_arithmetic), right(published_in_place),
        wrong(falls, "falls"), wrong(published_linear, "not squared"), wrong(no_gamma, "missing in what a hit"),
        wrong(no_gamma_at_a_miss, "missing in what a miss"), wrong(published_miss_for_free, "not punished"),
        wrong(one_minus_squares, "1 - used"), wrong(published_transposed, "shape"), raises(needs_gamma, "gamma"),
    ],
    "policy_gradient.log_probability": [
        right(by_bernoulli), right(by_cross_entropy), right(by_gather),
        wrong(gates_as_index, "swapped"), wrong(mean_of_blocks, "mean over the blocks"),
        wrong(the_probability, "logarithm"), wrong(sum_of_probabilities, "logarithms first"),
        wrong(kept_only, "skipped blocks"),
        wrong(of_the_logits, "log-softmax"), wrong(over_the_blocks, "over the blocks"),
        wrong(log_of_softmax, "log_softmax"),
        wrong(negative, "negative"), wrong(for_each_gate, "shape"), wrong(for_all_users, "shape"),
        wrong(detached, "gradient"), raises(one_logit, "shape"),
    ],
    "policy_gradient.self_critical_loss": [
        right(with_ranks), right(draws_by_itself), right(_self_critical()),
        wrong(uphill, "sign"), wrong(no_baseline, "no baseline"), wrong(summed, "sum over the rows"),
        wrong(no_logarithm, "log-probabilities"), wrong(of_the_greedy, "greedy gates"),
        wrong(two_samples, "wo samples"),
        wrong(two_choices, "both sides"), wrong(softened, "fair coin"), wrong(not_detached, "not detached"),
        wrong(reward_not_detached, "reward is not detached"), wrong(baseline_with_gradient, "baseline has a gradient"),
        wrong(greedy_in_the_loss, "under the greedy gates"), wrong(full_depth_in_the_loss, "all blocks"),
        wrong(cost_everywhere, "weighs everything"), wrong(no_cost, "ost is not used"),
        wrong(loss_summed, "sum over the positions"), wrong(policy_alone, "backbone gets no gradient"),
        wrong(off_by_one, "off by one"), wrong(ties_in_favour, "ies count against"), wrong(miss_not_used, "handed on"),
        wrong(the_published_reward, "published"), wrong(reads_everything, "cut"), wrong(with_dropout, "eval mode"),
        wrong(stays_in_eval, "mode that it was in"), wrong(rewards_summed, "take their mean"),
        wrong(one_for_each_row, "one number"), wrong(no_gradient, "policy gets no gradient"), wrong(a_float, "tensor"),
        raises(rewards_of_positions, "size"),
    ],
    "backbones.AttentionBlock": [
        right(Fused), right(WithTorchs), right(HeadByHead), right(_Steps),
        wrong(NotCausal, "reads the future"), wrong(CausalTheWrongWay, "reads the future"), wrong(NotItself, "itself"),
        wrong(ReadsPadding, "padding"), wrong(MaskUpsideDown, "padding"), wrong(MasksQueries, "padding"),
        wrong(MasksAfterwards, "before the softmax"), wrong(MasksWithZero, "-inf before the softmax"),
        wrong(NotScaled, "not scaled"), wrong(ScaledByAll, "all channels"),
        wrong(ScaledByTheWidth, "take its square root"),
        wrong(OverTheQueries, "future"), wrong(HeadsByView, "way in"), wrong(HeadsInterleaved, "side by side"),
        wrong(GluedTooEarly, "way back"), wrong(NormAfterwards, "before each branch"),
        wrong(NoFirstSum, "first residual"),
        wrong(NoRelu, "ReLU"), wrong(NoDropout, "`dropout` has no effect"), wrong(ThreeLinears, "project"),
        wrong(LastOnly, "keeps the shape"), raises(NeedsAMask, "TypeError"),
    ],
    "backbones.SASRec": [
        right(Own), right(PaddingIsZeroAnyway),
        wrong(FromTheLeft, "right end"), wrong(FromTheFirstItem, "first item"),
        wrong(PaddingHasAPlace, "padding is not 0"),
        wrong(NoPositions, "for each position"), wrong(LastIsOne, "position 0"), wrong(Backwards, "backwards"),
        raises(TooShort, "out of"), wrong(Scaled, "sqrt"), wrong(ScoresPadding, "never be the next"),
        wrong(NoColumnForPadding, "column"), wrong(NoNorm, "norm before the scores"), wrong(NoBias, "bias is missing"),
        wrong(NotABackbone, "nherit"), wrong(NoSizes, "sizes"), wrong(OneBlock, "blocks"),
        wrong(Untied, "own embedding"),
        wrong(OneHead, "handed on"), wrong(DropsNothing, "`dropout` has no effect"),
    ],
}  # fmt: skip

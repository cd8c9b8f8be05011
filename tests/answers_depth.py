"""Answers to the exercises of lesson 07."""

import numpy as np
import torch
from answers import Answer, raises, right, wrong
from torch import nn
from torch.nn import functional as F

from skiprec_lite.backbones import NextItemModel, item_embedding

# --- NFM ---


class Layers(NextItemModel):
    """Everything but the pool."""

    def __init__(self, num_items, *, channels=64, hidden_layers=1, dropout=0.0):
        super().__init__()
        self.embedding = item_embedding(num_items, channels)
        with torch.no_grad():
            self.embedding.weight.mul_(channels**0.5)
        self.dropout = nn.Dropout(dropout)
        self.hidden_layers = nn.ModuleList([nn.Linear(channels, channels) for _ in range(hidden_layers)])
        self.output = nn.Linear(channels, num_items)

    def forward(self, items):
        hidden = self.dropout(self.pool(self.embedding(items), items))
        for layer in self.hidden_layers:
            hidden = self.dropout(torch.relu(layer(hidden)))
        return F.pad(self.output(hidden), (1, 0), value=-torch.inf)

    def score_at(self, items, where, cut=None):
        return self(items)[where]


class ByPairs(Layers):
    """The double sum, pair by pair, in float64."""

    def pool(self, e, items):
        e = e.double()
        pooled = []
        for t in range(items.shape[1]):
            total, real = torch.zeros_like(e[:, 0]), items[:, : t + 1] > 0
            for i in range(t + 1):
                for j in range(i):
                    total = total + e[:, i] * e[:, j]
            n = real.sum(dim=1, keepdim=True).double()
            pooled.append(torch.where(n > 1, total / (n * (n - 1) / 2).clamp(min=1), torch.zeros_like(total)))
        return torch.stack(pooled, dim=1).to(self.output.weight.dtype)


class OneStepAfterAnother(Layers):
    """A new item makes a pair with each item before it: with their sum."""

    def pool(self, e, items):
        before = F.pad(e.cumsum(dim=1)[:, :-1], (0, 0, 1, 0))
        pairs = torch.einsum("btc,btc->btc", e, before).cumsum(dim=1)
        n = torch.cumsum(items != 0, dim=1)
        count = torch.maximum(n * (n - 1) // 2, torch.ones_like(n))
        return pairs / count[..., None]


class InASequential(NextItemModel):
    """Other names, an own table, a triangle of ones for the sums, an output column that is overwritten."""

    def __init__(self, num_items, *, channels=64, hidden_layers=1, dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(num_items + 1, channels)
        with torch.no_grad():
            self.embedding.weight[0] = 0
        layers = [nn.Dropout(dropout)]
        for _ in range(hidden_layers):
            layers += [nn.Linear(channels, channels), nn.ReLU(), nn.Dropout(dropout)]
        self.mlp = nn.Sequential(*layers, nn.Linear(channels, num_items + 1))

    def forward(self, items):
        real = (items > 0).to(self.mlp[-1].weight.dtype)
        e = self.embedding(items) * real[..., None]
        upto = torch.ones(items.shape[1], items.shape[1], dtype=e.dtype).tril()
        n = (upto @ real[..., None]).clamp(min=1)
        pooled = ((upto @ e) ** 2 - upto @ e**2) / torch.where(n > 1, n * (n - 1), 1.0)
        scores = self.mlp(pooled).clone()
        scores[..., 0] = -torch.inf
        return scores

    def score_at(self, items, where, cut=None):
        return self(items)[where]


def pooling(pool):
    """An answer with this pool(e, n)."""

    class Pooling(Layers):
        def pool(self, e, items):
            return pool(e, (items > 0).cumsum(dim=1).unsqueeze(-1))

    return Pooling


divided_by_n = pooling(lambda e, n: (e.cumsum(1) ** 2 - (e**2).cumsum(1)) / n.clamp(min=1))
squares_kept = pooling(lambda e, n: e.cumsum(1) ** 2 / (n * (n - 1)).clamp(min=1))
whole_row = pooling(
    lambda e, n: ((e.sum(1, True) ** 2 - (e**2).sum(1, True)) / (n[:, -1:] * (n[:, -1:] - 1)).clamp(min=1)).expand_as(e)
)
neighbours = pooling(lambda e, n: F.pad(e[:, 1:] * e[:, :-1], (0, 0, 1, 0)).cumsum(1) / (n - 1).clamp(min=1))
whole_row_pooled = pooling(lambda e, n: (e.sum(1) ** 2 - (e**2).sum(1)) / (n[:, -1] * (n[:, -1] - 1)).clamp(min=1))


class LastPositionOnly(OneStepAfterAnother):
    def score_at(self, items, where, cut=None):
        return self(items)[:, -1]


class NoPool(Layers):
    """Calls what was never written."""


# --- draw_sequences ---


def user_by_user(rng, lags, rules, users_per_group, *, length, noise, shared_items):
    """Loops over users, groups and steps; lists inside."""
    size = rules.shape[1]
    everyone = []
    for _ in range(users_per_group):
        groups = []
        for g, lag in enumerate(lags):
            items = []
            for t in range(length):
                if t <= lag or rng.random() < noise:
                    items.append(int(rng.integers(size)))
                else:
                    items.append(int(rules[g][items[t - 1 - lag]]))
            groups.append([i + 1 + (0 if shared_items else g * size) for i in items])
        everyone.append(groups)
    return np.array(everyone, dtype=np.int64)


def all_groups_at_once(rng, lags, rules, users_per_group, *, length, noise, shared_items):
    """Time first; groups side by side."""
    groups, size = rules.shape
    lags = np.asarray(lags)
    x = rng.integers(0, size, (length, users_per_group, groups))
    noisy = rng.random((length, users_per_group, groups)) < noise
    columns = np.arange(groups)
    for t in range(1, length):
        source = np.maximum(t - 1 - lags, 0)
        ruled = rules[columns, x[source, :, columns].T]
        keep = noisy[t] | (t <= lags)
        x[t] = np.where(keep, x[t], ruled)
    return x.transpose(1, 2, 0) + 1 + (0 if shared_items else size * columns[:, None])


def with_torch(rng, lags, rules, users_per_group, *, length, noise, shared_items):
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    table, parts = torch.from_numpy(rules), []
    for g, lag in enumerate(lags):
        rows = torch.randint(rules.shape[1], (users_per_group, length), generator=generator)
        for t in range(lag + 1, length):
            follow = torch.rand(users_per_group, generator=generator) > noise
            rows[follow, t] = table[g, rows[follow, t - 1 - lag]]
        parts.append(rows + 1 + (not shared_items) * g * rules.shape[1])
    return torch.stack(parts, dim=1).numpy()


def drawing(*, rule=lambda rules, g: rules[g], start=lambda rng, *sizes: rng.integers(sizes[0], size=sizes[1:])):
    """The lesson's loop with parts that answers replace."""

    def draw_sequences(rng, lags, rules, users_per_group, *, length, noise, shared_items):
        groups, size = rules.shape
        sequences = np.empty((users_per_group, groups, length), dtype=np.int64)
        for g, lag in enumerate(lags):
            rows = start(rng, size, users_per_group, length)
            follow = rng.random(rows.shape) >= noise
            for t in range(lag + 1, length):
                rows[:, t] = np.where(follow[:, t], rule(rules, g)[rows[:, t - 1 - lag]], rows[:, t])
            sequences[:, g] = rows + 1 + (0 if shared_items else g * size)
        return sequences

    return draw_sequences


def never_the_rule(rng, lags, rules, users_per_group, *, length, noise, shared_items):
    """The noise is any item but the rule's."""
    groups, size = rules.shape
    sequences = np.empty((users_per_group, groups, length), dtype=np.int64)
    for g, lag in enumerate(lags):
        rows = rng.integers(size, size=(users_per_group, length))
        follow = rng.random(rows.shape) >= noise
        for t in range(lag + 1, length):
            ruled = rules[g][rows[:, t - 1 - lag]]
            other = (ruled + rng.integers(1, size, users_per_group)) % size
            rows[:, t] = np.where(follow[:, t], ruled, other)
        sequences[:, g] = rows + 1 + (0 if shared_items else g * size)
    return sequences


def tensors(*given, **options):
    return torch.from_numpy(drawing()(*given, **options))


def global_numbers(rng, *given, **options):
    return drawing()(np.random, *given, **options)


def changes_the_rules(rng, lags, rules, users_per_group, **options):
    sequences = drawing()(rng, lags, rules, users_per_group, **options)
    rules += 1
    return sequences


integers_of_old = drawing(start=lambda rng, size, users, length: rng.randint(size, size=(users, length)))


ANSWERS_DEPTH: dict[str, list[Answer]] = {
    "backbones.NFM": [
        right(ByPairs), right(OneStepAfterAnother), right(InASequential),
        wrong(divided_by_n, "divide by n"), wrong(squares_kept, "not taken away"), wrong(neighbours, "neighbours"),
        wrong(whole_row, "whole row"), wrong(whole_row_pooled, "shape"), wrong(LastPositionOnly, "where="),
        raises(NoPool, "pool"),
    ],
    "synthetic.draw_sequences": [
        right(user_by_user), right(all_groups_at_once), right(with_torch),
        wrong(drawing(rule=lambda rules, g: np.argsort(rules[g])), "backwards"), wrong(never_the_rule, "rule's too"),
        wrong(tensors, "array"), wrong(changes_the_rules, "argument"),
        raises(global_numbers, "integers"), raises(integers_of_old, "randint"),
    ],
}  # fmt: skip

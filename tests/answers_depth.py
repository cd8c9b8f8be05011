"""Answers to the exercises of lesson 07."""

import numpy as np
import torch
from answers import Answer, raises, right, wrong
from torch import nn
from torch.nn import functional as F

from skiprec_lite.backbones import NextItemModel, item_embedding
from skiprec_lite.synthetic import KnownDepth

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


not_divided = pooling(lambda e, n: (e.cumsum(1) ** 2 - (e**2).cumsum(1)) / 2)
twice_the_mean = pooling(lambda e, n: 2 * (e.cumsum(1) ** 2 - (e**2).cumsum(1)) / (n * (n - 1)).clamp(min=1))
divided_by_n = pooling(lambda e, n: (e.cumsum(1) ** 2 - (e**2).cumsum(1)) / n.clamp(min=1))
divided_by_n_squared = pooling(lambda e, n: (e.cumsum(1) ** 2 - (e**2).cumsum(1)) / (n * n).clamp(min=1))
squares_swapped = pooling(lambda e, n: ((e**2).cumsum(1) - e.cumsum(1) ** 2) / (n * (n - 1)).clamp(min=1))
squares_kept = pooling(lambda e, n: e.cumsum(1) ** 2 / (n * (n - 1)).clamp(min=1))
by_zero = pooling(lambda e, n: (e.cumsum(1) ** 2 - (e**2).cumsum(1)) / (n * (n - 1)))
a_mean = pooling(lambda e, n: e.cumsum(1) / n.clamp(min=1))
along_channels = pooling(lambda e, n: (e.cumsum(2) ** 2 - (e**2).cumsum(2)) / (n * (n - 1)).clamp(min=1))
whole_row = pooling(
    lambda e, n: ((e.sum(1, True) ** 2 - (e**2).sum(1, True)) / (n[:, -1:] * (n[:, -1:] - 1)).clamp(min=1)).expand_as(e)
)
n_of_the_row = pooling(lambda e, n: (e.cumsum(1) ** 2 - (e**2).cumsum(1)) / (n[:, -1:] * (n[:, -1:] - 1)).clamp(min=1))
neighbours = pooling(lambda e, n: F.pad(e[:, 1:] * e[:, :-1], (0, 0, 1, 0)).cumsum(1) / (n - 1).clamp(min=1))
whole_row_pooled = pooling(lambda e, n: (e.sum(1) ** 2 - (e**2).sum(1)) / (n[:, -1] * (n[:, -1] - 1)).clamp(min=1))


class CountsPadding(Layers):
    def pool(self, e, items):
        n = torch.arange(1, items.shape[1] + 1).view(1, -1, 1)
        return (e.cumsum(1) ** 2 - (e**2).cumsum(1)) / (n * (n - 1)).clamp(min=1)


class EmbedsPadding(OneStepAfterAnother):
    def __init__(self, num_items, *, channels=64, hidden_layers=1, dropout=0.0):
        super().__init__(num_items, channels=channels, hidden_layers=hidden_layers, dropout=dropout)
        self.embedding = nn.Embedding(num_items + 1, channels)


class SmallStart(OneStepAfterAnother):
    def __init__(self, num_items, *, channels=64, hidden_layers=1, dropout=0.0):
        super().__init__(num_items, channels=channels, hidden_layers=hidden_layers, dropout=dropout)
        self.embedding = item_embedding(num_items, channels)


class NoReLU(OneStepAfterAnother):
    def forward(self, items):
        hidden = self.dropout(self.pool(self.embedding(items), items))
        for layer in self.hidden_layers:
            hidden = self.dropout(layer(hidden))
        return F.pad(self.output(hidden), (1, 0), value=-torch.inf)


class PaddingIsScored(OneStepAfterAnother):
    def forward(self, items):
        return F.pad(super().forward(items)[..., 1:], (1, 0))


class NoColumnForPadding(OneStepAfterAnother):
    def forward(self, items):
        return super().forward(items)[..., 1:]


class NoDropout(OneStepAfterAnother):
    def __init__(self, num_items, *, channels=64, hidden_layers=1, dropout=0.0):
        super().__init__(num_items, channels=channels, hidden_layers=hidden_layers)


class PlainList(OneStepAfterAnother):
    def __init__(self, num_items, *, channels=64, hidden_layers=1, dropout=0.0):
        super().__init__(num_items, channels=channels, hidden_layers=0, dropout=dropout)
        del self.hidden_layers
        self.hidden_layers = [nn.Linear(channels, channels) for _ in range(hidden_layers)]


class AlwaysOneLayer(OneStepAfterAnother):
    def __init__(self, num_items, *, channels=64, hidden_layers=1, dropout=0.0):
        super().__init__(num_items, channels=channels, dropout=dropout)


class LastPositionOnly(OneStepAfterAnother):
    def score_at(self, items, where, cut=None):
        return self(items)[:, -1]


class RowsForItemsOnly(OneStepAfterAnother):
    def __init__(self, num_items, *, channels=64, hidden_layers=1, dropout=0.0):
        super().__init__(num_items, channels=channels, hidden_layers=hidden_layers, dropout=dropout)
        self.embedding = nn.Embedding(num_items, channels, padding_idx=0)


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


def drawing(
    *, lag=lambda lag: lag, rule=lambda rules, g: rules[g], chance=lambda draw, noise: draw >= noise, first=1,
    offset=lambda shared, g, size: 0 if shared else g * size,
    shape=lambda rng, users, length: rng.random((users, length)),
    start=lambda rng, size, users, length: rng.integers(size, size=(users, length)), late=False,
):  # fmt: skip
    """The lesson's loop with parts that answers replace."""

    def draw_sequences(rng, lags, rules, users_per_group, *, length, noise, shared_items):
        groups, size = rules.shape
        sequences = np.empty((users_per_group, groups, length), dtype=np.int64)
        for g, back in enumerate(lags):
            rows = start(rng, size, users_per_group, length)
            follow = chance(shape(rng, users_per_group, length), noise)
            for t in range(lag(back) + 1, length):
                ruled = rule(rules, g)[rows[:, t - 1 - lag(back)]]
                rows[:, t] = ruled if late else np.where(follow[:, t], ruled, rows[:, t])
            if late:
                after = np.arange(length) > back
                rows = np.where(follow | ~after, rows, rng.integers(size, size=rows.shape))
            sequences[:, g] = rows + first + offset(shared_items, g, size)
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


def groups_first(*given, **options):
    return drawing()(*given, **options).transpose(1, 0, 2)


def flat(*given, **options):
    return drawing()(*given, **options).reshape(-1, options["length"])


def floats(*given, **options):
    return drawing()(*given, **options).astype(float)


def tensors(*given, **options):
    return torch.from_numpy(drawing()(*given, **options))


def global_numbers(rng, *given, **options):
    return drawing()(np.random, *given, **options)


def own_numbers(rng, *given, **options):
    return drawing()(np.random.default_rng(0), *given, **options)


def a_copied_rng(rng, *given, **options):
    return drawing()(np.random.Generator(type(rng.bit_generator)(rng.bit_generator.seed_seq)), *given, **options)


def changes_the_rules(rng, lags, rules, users_per_group, **options):
    sequences = drawing()(rng, lags, rules, users_per_group, **options)
    rules += 1
    return sequences


def one_shape_for_all(rng, lags, rules, users_per_group, *, length, noise, shared_items):
    rows = rng.integers(rules.shape[1], size=(users_per_group, length))
    return drawing(start=lambda *_: rows)(
        rng, lags, rules, users_per_group, length=length, noise=noise, shared_items=shared_items
    )


def users_alike(rng, size, users, length):
    return np.repeat(rng.integers(size, size=(1, length)), users, axis=0)


def never_item_0(rng, size, users, length):
    return rng.integers(1, size, size=(users, length))


def constant_start(rng, size, users, length):
    return np.repeat(rng.integers(size, size=(users, 1)), length, axis=1)


integers_of_old = drawing(start=lambda rng, size, users, length: rng.randint(size, size=(users, length)))


# --- users_of_known_depth ---


def with_keywords(
    lags=(0, 6, 24), *, items_per_group=20, users_per_group=1000, length=50, noise=0.1, shared_items=False,
    curriculum_epochs=0, test_users_per_group=None, seed=0,
):  # fmt: skip
    numbers = np.random.default_rng([seed, 7])
    rules = np.empty((len(lags), items_per_group), dtype=np.int64)
    for row in rules:
        row[:] = np.arange(items_per_group)
        numbers.shuffle(row)
    return KnownDepth(
        lags=tuple(lags), rules=rules, length=length, noise=noise, shared_items=shared_items,
        users_per_group=users_per_group, seed=seed, curriculum_epochs=curriculum_epochs,
        test_users_per_group=test_users_per_group,
    )  # fmt: skip


def building(rules, *, change=lambda values: values, make=np.random.default_rng):
    """An answer with these rules(rng, groups, items)."""

    def users_of_known_depth(
        lags=(0, 6, 24), *, items_per_group=20, users_per_group=1000, length=50, noise=0.1, shared_items=False,
        curriculum_epochs=0, test_users_per_group=None, seed=0,
    ):  # fmt: skip
        values = {
            "lags": tuple(lags), "rules": rules(make(seed), len(lags), items_per_group), "length": length,
            "noise": noise, "shared_items": shared_items, "users_per_group": users_per_group, "seed": seed,
            "curriculum_epochs": curriculum_epochs, "test_users_per_group": test_users_per_group,
        }  # fmt: skip
        return KnownDepth(**change(values))

    return users_of_known_depth


def permutations(rng, groups, items):
    return np.stack([rng.permutation(items) for _ in range(groups)])


def by_argsort(rng, groups, items):
    return rng.random((groups, items)).argsort(axis=1)


def the_global_numbers(seed):
    np.random.seed(seed)  # noqa: NPY002
    return np.random


def a_dict(*given, **options):
    return vars(building(permutations)(*given, **options))


def nothing(*given, **options):
    building(permutations)(*given, **options)


def fewer_keywords(lags=(0, 6, 24), *, items_per_group=20, seed=0):
    return building(permutations)(lags, items_per_group=items_per_group, seed=seed)


ANSWERS_DEPTH: dict[str, list[Answer]] = {
    "backbones.NFM": [
        right(ByPairs), right(OneStepAfterAnother), right(InASequential),
        wrong(not_divided, "divide by their number"), wrong(twice_the_mean, "counts twice"),
        wrong(divided_by_n, "divide by n:"), wrong(divided_by_n_squared, "n squared"),
        wrong(squares_swapped, "changed places"), wrong(squares_kept, "not taken away"),
        wrong(by_zero, "single item"), wrong(a_mean, "mean of the embeddings"), wrong(along_channels, "along time"),
        wrong(whole_row, "whole row"), wrong(n_of_the_row, "whole row"), wrong(neighbours, "neighbours"),
        wrong(CountsPadding, "counted in n"), wrong(EmbedsPadding, "embedded as a vector"),
        wrong(SmallStart, "tiny"), wrong(NoReLU, "ReLU is missing"), wrong(PaddingIsScored, "column 0"),
        wrong(NoColumnForPadding, "one for padding"), wrong(NoDropout, "nn.Dropout"),
        wrong(PlainList, "nn.ModuleList"), wrong(AlwaysOneLayer, "linear layers"),
        wrong(LastPositionOnly, "`where`"), wrong(RowsForItemsOnly, "num_items + 1"),
        wrong(whole_row_pooled, "shape"), raises(NoPool, "pool"),
    ],
    "synthetic.draw_sequences": [
        right(user_by_user), right(all_groups_at_once), right(with_torch),
        wrong(drawing(lag=lambda lag: lag - 1), "one too short"),
        wrong(drawing(lag=lambda lag: lag + 1), "one too long"),
        wrong(drawing(rule=lambda rules, g: np.argsort(rules[g])), "backwards"),
        wrong(drawing(rule=lambda rules, g: rules[0]), "first group's rule"),
        wrong(drawing(rule=lambda rules, g: np.arange(rules.shape[1])), "item itself"),
        wrong(drawing(first=0), "count from 1"),
        wrong(drawing(offset=lambda shared, g, size: 0), "items of its own"),
        wrong(drawing(offset=lambda shared, g, size: g * size), "all groups have the items"),
        wrong(drawing(chance=lambda draw, noise: draw < noise), "random item, not of the rule's"),
        wrong(drawing(chance=lambda draw, noise: draw >= 0), "no noise"), wrong(drawing(late=True), "really there"),
        wrong(drawing(shape=lambda rng, users, length: rng.random((users, 1)).repeat(length, 1)), "whole users"),
        wrong(drawing(shape=lambda rng, users, length: rng.random((1, length)).repeat(users, 0)), "once for all users"),
        wrong(never_the_rule, "rule's too"), wrong(drawing(start=users_alike), "alike"),
        wrong(drawing(start=never_item_0), "evenly"), wrong(drawing(start=constant_start), "a draw of its own"),
        wrong(groups_first, "axes"), wrong(flat, "axes"), wrong(floats, "whole numbers"), wrong(tensors, "array"),
        wrong(own_numbers, "`rng` is not used"), wrong(a_copied_rng, "move on"), wrong(changes_the_rules, "rules"),
        raises(global_numbers, "integers"), raises(integers_of_old, "randint"),
    ],
    "synthetic.users_of_known_depth": [
        right(with_keywords), right(building(by_argsort)),
        right(building(permutations, make=np.random.RandomState)),
        wrong(building(lambda rng, groups, items: np.stack([rng.permutation(items)] * groups)), "of its own"),
        wrong(building(lambda rng, groups, items: rng.integers(items, size=(groups, items))), "permutation"),
        wrong(building(lambda rng, groups, items: permutations(rng, groups, items) + 1), "count from 0"),
        wrong(building(lambda rng, groups, items: np.tile(np.arange(items), (groups, 1)) + 0), "permutation"),
        wrong(building(lambda rng, groups, items: permutations(rng, groups, items).T), "One row for each group"),
        wrong(building(lambda rng, groups, items: permutations(rng, groups, items) / 1.0), "whole numbers"),
        wrong(building(permutations, make=lambda seed: np.random.default_rng(0)), "`seed` is not used"),
        wrong(building(permutations, make=lambda seed: np.random.default_rng()), "same seed"),
        wrong(building(permutations, make=the_global_numbers), "global"),
        wrong(building(permutations, change=lambda v: v | {"noise": 0.1}), "noise"),
        wrong(building(permutations, change=lambda v: v | {"curriculum_epochs": 0}), "curriculum_epochs"),
        wrong(building(permutations, change=lambda v: v | {"length": v["length"] - 1}), "length"),
        wrong(a_dict, "KnownDepth"), wrong(nothing, "return"), raises(fewer_keywords, "keyword"),
    ],
}  # fmt: skip

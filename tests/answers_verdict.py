"""Answers to the exercises of lesson 09: controls."""

from dataclasses import replace

import numpy as np
import torch
from answers import Answer, raises, right, wrong
from torch import nn

from skiprec_lite.splits import Windows


def gates_by_bernoulli(rows, blocks, keep_rate):
    return torch.bernoulli(torch.full((rows, blocks), float(keep_rate)))


def gates_from_numpy(rows, blocks, keep_rate):
    drawn = np.random.default_rng(int(torch.randint(2**31, ()))).random((rows, blocks))
    return torch.from_numpy((drawn < keep_rate).astype(np.float32))


def gates_row_by_row(rows, blocks, keep_rate):
    return torch.stack([(torch.rand(blocks, dtype=torch.float64) < keep_rate).double() for _ in range(rows)])


def rate_of_skipping(rows, blocks, keep_rate):
    return (torch.rand(rows, blocks) > keep_rate).float()


def one_pattern(rows, blocks, keep_rate):
    return (torch.rand(blocks) < keep_rate).float().repeat(rows, 1)


def all_or_none(rows, blocks, keep_rate):
    return (torch.rand(rows, 1) < keep_rate).float().repeat(1, blocks)


def so_many_each(rows, blocks, keep_rate):
    return (torch.rand(rows, blocks).argsort(1) < round(keep_rate * blocks)).float()


def a_coin(rows, blocks, keep_rate):
    return torch.randint(0, 2, (rows, blocks)).float()


def true_or_false(rows, blocks, keep_rate):
    return torch.rand(rows, blocks) < keep_rate


def the_rate_itself(rows, blocks, keep_rate):
    return torch.full((rows, blocks), float(keep_rate))


def transposed(rows, blocks, keep_rate):
    return (torch.rand(blocks, rows) < keep_rate).float()


class StochasticDepth(nn.Module):
    """The usual one; the answers below change how gates come about."""

    def __init__(self, backbone, keep_rate):
        super().__init__()
        self.backbone, self.keep_rate = backbone, keep_rate

    def score_at(self, items, where, cut=None):
        hidden = self.backbone.encode(items, self.gates(len(items), len(self.backbone.blocks)))
        return self.backbone.score(hidden[where])

    def gates(self, rows, blocks):
        return gates_by_bernoulli(rows, blocks, self.keep_rate if self.training else 1.0)


class WalksItself(nn.Module):
    def __init__(self, backbone, keep_rate):
        super().__init__()
        self.keep_rate = keep_rate
        self.backbone = backbone

    def score_at(self, items, where, cut=None):
        hidden = self.backbone.embed(items)
        for block in self.backbone.blocks:
            out = block(hidden, items > 0)
            if self.training:
                keep = torch.rand(len(items), 1, 1) < self.keep_rate
                out = torch.where(keep, out, hidden)
            hidden = out
        return torch.cat([self.backbone.score(hidden[row][where[row]]) for row in range(len(items))])


class ScoresThenPicks(StochasticDepth):
    def score_at(self, items, where, cut=None):
        if not self.training:
            return self.backbone(items)[where]
        return self.backbone(items, self.gates(len(items), len(self.backbone.blocks)).double())[where]


class RandomAlways(StochasticDepth):
    def gates(self, rows, blocks):
        return gates_by_bernoulli(rows, blocks, self.keep_rate)


class RandomOnlyAtTest(StochasticDepth):
    def gates(self, rows, blocks):
        return gates_by_bernoulli(rows, blocks, 1.0 if self.training else self.keep_rate)


class NeverRandom(StochasticDepth):
    def gates(self, rows, blocks):
        return torch.ones(rows, blocks)


class RateInverted(StochasticDepth):
    def gates(self, rows, blocks):
        return gates_by_bernoulli(rows, blocks, 1 - self.keep_rate if self.training else 1.0)


class OneForAll(StochasticDepth):
    def gates(self, rows, blocks):
        return super().gates(1, blocks).expand(rows, -1)


class AllOrNone(StochasticDepth):
    def gates(self, rows, blocks):
        return super().gates(rows, 1).expand(-1, blocks)


class ExpectedDepthAtTest(StochasticDepth):
    def gates(self, rows, blocks):
        return super().gates(rows, blocks) if self.training else torch.full((rows, blocks), self.keep_rate)


class NothingAtTest(StochasticDepth):
    def gates(self, rows, blocks):
        return super().gates(rows, blocks) if self.training else torch.zeros(rows, blocks)


class ScoresAll(StochasticDepth):
    def score_at(self, items, where, cut=None):
        return self.backbone(items, self.gates(len(items), len(self.backbone.blocks)))


class NoGradient(StochasticDepth):
    @torch.no_grad()
    def score_at(self, items, where, cut=None):
        return super().score_at(items, where, cut)


class NoScoreAt(nn.Module):
    def __init__(self, backbone, keep_rate):
        super().__init__()
        self.backbone, self.keep_rate = backbone, keep_rate


def pattern_by_counting(gates):
    counts = {}
    for row in gates.tolist():
        counts[tuple(row)] = counts.get(tuple(row), 0) + 1
    return torch.tensor([max(counts, key=counts.get)] * len(gates))


def pattern_from_numpy(gates):
    rows, counts = np.unique(gates.numpy(), axis=0, return_counts=True)
    return torch.from_numpy(np.tile(rows[counts.argmax()], (len(gates), 1)))


def pattern_pairwise(gates):
    agree = (gates[:, None] == gates[None]).all(-1).sum(1)
    return gates[agree.argmax()].expand(gates.shape)


def majority_of_each_block(gates):
    return (gates.mean(0) > 0.5).float().expand_as(gates)


def mode_of_each_block(gates):
    return gates.mode(dim=0).values.expand_as(gates)


def mean_of_each_block(gates):
    return gates.mean(0).expand_as(gates)


def rarest(gates):
    rows, counts = gates.unique(dim=0, return_counts=True)
    return rows[counts.argmin()].expand_as(gates)


def a_single_row(gates):
    rows, counts = gates.unique(dim=0, return_counts=True)
    return rows[counts.argmax()]


def unsorted_counts(gates):
    return gates.unique(dim=0)[0].expand_as(gates)


def a_tuple(gates):
    return tuple(a_single_row(gates).tolist())


def along_a_circle(gates, *, seed=0):
    order = torch.randperm(len(gates), generator=torch.Generator().manual_seed(seed)).tolist()
    out = torch.empty_like(gates)
    for place, row in enumerate(order):
        out[row] = gates[order[place - 1]]
    return out


def until_it_fits(gates, *, seed=0):
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(gates))
        if not (order == np.arange(len(gates))).any():
            return gates[torch.from_numpy(order)]


def one_by_one(gates, *, seed=0):
    """Sattolo's algorithm: swap with an earlier place only."""
    noise = torch.Generator().manual_seed(seed)
    order = list(range(len(gates)))
    for i in range(len(order) - 1, 0, -1):
        j = int(torch.randint(i, (), generator=noise))
        order[i], order[j] = order[j], order[i]
    return gates.clone()[order]


def some_keep_their_own(gates, *, seed=0):
    return gates[torch.randperm(len(gates), generator=torch.Generator().manual_seed(seed))]


def the_next_row(gates, *, seed=0):
    return gates.roll(1, dims=0)


def with_replacement(gates, *, seed=0):
    noise = torch.Generator().manual_seed(seed)
    rows = torch.arange(len(gates))
    return gates[(rows + torch.randint(1, len(gates), (len(gates),), generator=noise)) % len(gates)]


def another_draw_each_time(gates, *, seed=0):
    return along_a_circle(gates, seed=int(torch.randint(1000, ())))


def block_by_block(gates, *, seed=0):
    return torch.stack(
        [along_a_circle(column[:, None], seed=seed + b)[:, 0] for b, column in enumerate(gates.T)], dim=1
    )


def of_one_user(gates, *, seed=0):
    return gates[:1].expand_as(gates)


def the_order_alone(gates, *, seed=0):
    return torch.arange(len(gates)).roll(1)


def needs_a_seed(gates, seed):
    return along_a_circle(gates, seed=seed + 1)


def no_seed(gates):
    return gates.roll(1, dims=0)


def shuffle_row_by_row(cases, *, seed=0):
    noise = torch.Generator().manual_seed(seed)
    items = cases.items.clone()
    for row, cut in zip(items, cases.cut.tolist()):
        places = [t for t in range(cut + 1) if row[t] > 0]
        order = torch.randperm(len(places), generator=noise)
        row[places] = row[places][order]
    return replace(cases, items=items)


def shuffle_with_numpy(cases, *, seed=0):
    rng, items = np.random.default_rng(seed), cases.items.numpy().copy()
    for row, cut in enumerate(cases.cut.tolist()):
        first = int((items[row] == 0).sum())
        rng.shuffle(items[row, first : cut + 1])
    return Windows(torch.from_numpy(items), cases.targets, cases.cut, cases.users, cases.seen)


def shuffle_at_once(cases, *, seed=0):
    time = torch.arange(cases.items.shape[1])
    free = (cases.items > 0) & (time <= cases.cut[:, None])
    noise = torch.rand(cases.items.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    first = (cases.items == 0).sum(1, keepdim=True)
    key = torch.where(free, first + noise * (cases.cut[:, None] - first + 1), time.double())
    key = torch.where(free, key.clamp_max(cases.cut[:, None] + 0.5), key)
    return replace(cases, items=cases.items.gather(1, key.argsort(dim=1, stable=True)))


def shuffle(free=lambda items, time, cut: (items > 0) & (time <= cut), one_order=False, fixed=None, replaced=False):
    """A shuffle with a mistake in it."""

    def shuffled_histories(cases, *, seed=0):
        noise = torch.Generator().manual_seed(seed if fixed is None else fixed)
        items, time = cases.items.clone(), torch.arange(cases.items.shape[1])
        order_of_all = torch.rand(items.shape[1], generator=noise)
        for row, cut in zip(items, cases.cut):
            places = free(row, time, cut).nonzero()[:, 0]
            key = order_of_all[places] if one_order else torch.rand(len(places), generator=noise)
            order = torch.randint(len(places), (len(places),), generator=noise) if replaced else key.argsort()
            row[places] = row[places][order]
        return replace(cases, items=items)

    return shuffled_histories


def turned_round(cases, *, seed=0):
    items = cases.items.clone()
    shift = seed % 7
    for row, cut in zip(items, cases.cut.tolist()):
        first = int((row == 0).sum())
        row[first : cut + 1] = row[first : cut + 1].roll(shift)
    return replace(cases, items=items)


def shuffles_users(cases, *, seed=0):
    return replace(
        cases, items=cases.items[torch.randperm(len(cases.items), generator=torch.Generator().manual_seed(seed))]
    )


def shuffles_targets_too(cases, *, seed=0):
    found = shuffle_row_by_row(cases, seed=seed)
    return replace(found, targets=found.targets.flip(1))


def shuffles_the_given(cases, *, seed=0):
    for row, cut in zip(cases.items, cases.cut.tolist()):
        first = int((row == 0).sum())
        row[first : cut + 1] = row[first : cut + 1][torch.randperm(cut + 1 - first)]
    return cases


def only_items(cases, *, seed=0):
    return shuffle_row_by_row(cases, seed=seed).items


def global_numbers(cases, *, seed=0):
    return shuffle_row_by_row(cases, seed=int(torch.randint(1000, ())))


def indexes_wrongly(cases, *, seed=0):
    return replace(cases, items=cases.items[:, torch.randperm(999)])


ANSWERS_VERDICT: dict[str, list[Answer]] = {
    "controls.random_gates": [
        right(gates_by_bernoulli), right(gates_from_numpy), right(gates_row_by_row),
        wrong(rate_of_skipping, "inverted"), wrong(one_pattern, "one pattern"),
        wrong(all_or_none, "all blocks or none"),
        wrong(so_many_each, "same number of blocks"), wrong(a_coin, "rate has no effect"), wrong(true_or_false, "bool"),
        wrong(the_rate_itself, "neither 0 nor 1"), wrong(transposed, "shape"),
    ],
    "controls.RandomGates": [
        right(StochasticDepth), right(WalksItself), right(ScoresThenPicks),
        wrong(RandomAlways, "test time too"), wrong(RandomOnlyAtTest, "eval mode"), wrong(NeverRandom, "at random"),
        wrong(RateInverted, "inverted"), wrong(OneForAll, "rows get the same pattern"),
        wrong(AllOrNone, "all blocks or none"), wrong(ExpectedDepthAtTest, "keep_rate"),
        wrong(NothingAtTest, "no block is run"), wrong(ScoresAll, "`where`"), wrong(NoGradient, "no gradient"),
        raises(NoScoreAt, "score_at"),
    ],
    "controls.most_frequent_pattern": [
        right(pattern_by_counting), right(pattern_from_numpy), right(pattern_pairwise),
        wrong(majority_of_each_block, "of each block"), wrong(mode_of_each_block, "of each block"),
        wrong(mean_of_each_block, "mean gate"), wrong(rarest, "rarest"), wrong(a_single_row, "every row"),
        wrong(unsorted_counts, "first pattern in order"), wrong(a_tuple, "tensor"),
    ],
    "controls.another_users": [
        right(along_a_circle), right(until_it_fits), right(one_by_one),
        wrong(some_keep_their_own, "their own"), wrong(the_next_row, "no effect"),
        wrong(with_replacement, "without replacement"), wrong(another_draw_each_time, "generator"),
        wrong(block_by_block, "whole rows"), wrong(of_one_user, "handed out"),
        wrong(the_order_alone, "gates themselves"),
        raises(no_seed, "seed"),
    ],
    "controls.shuffled_histories": [
        right(shuffle_row_by_row), right(shuffle_with_numpy), right(shuffle_at_once), right(shuffle()),
        wrong(shuffle(lambda items, time, cut: time <= cut), "is no item"),
        wrong(shuffle(lambda items, time, cut: items > 0), "after the cut"),
        wrong(shuffle(lambda items, time, cut: (items > 0) & (time <= cut + 1)), "after the cut"),
        wrong(shuffle(lambda items, time, cut: (items > 0) & (time < cut)), "item at the cut never moves"),
        wrong(shuffle(one_order=True), "order of its own"), wrong(shuffle(fixed=1), "no effect"),
        wrong(shuffle(replaced=True), "without replacement"), wrong(turned_round, "order of its own"),
        wrong(shuffles_users, "zeros have moved"), wrong(shuffles_targets_too, "items are shuffled"),
        wrong(shuffles_the_given, "changes the items"), wrong(only_items, "Windows"),
        wrong(global_numbers, "generator"),
        wrong(shuffle(lambda items, time, cut: time < 0), "no row has another order"), raises(indexes_wrongly, "index"),
    ],
}  # fmt: skip

"""Answers to the exercises of lesson 09: controls.

Right ones, ones that no edit of the package gives, and a few of the table's mistakes in a form of their own.
"""

from dataclasses import replace

import numpy as np
import torch
from answers import Answer, raises, right, wrong
from torch import nn

from skiprec_lite.windows import Windows


def gates_by_bernoulli(rows, blocks, keep_rate):
    return torch.bernoulli(torch.full((rows, blocks), float(keep_rate)))


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


class RandomOnlyAtTest(StochasticDepth):
    def gates(self, rows, blocks):
        return gates_by_bernoulli(rows, blocks, 1.0 if self.training else self.keep_rate)


class AllOrNone(StochasticDepth):
    def gates(self, rows, blocks):
        return super().gates(rows, 1).expand(-1, blocks)


class ExpectedDepthAtTest(StochasticDepth):
    def gates(self, rows, blocks):
        return super().gates(rows, blocks) if self.training else torch.full((rows, blocks), self.keep_rate)


class NoScoreAt(nn.Module):
    def __init__(self, backbone, keep_rate):
        super().__init__()
        self.backbone, self.keep_rate = backbone, keep_rate


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


def the_next_row(gates, *, seed=0):
    return gates.roll(1, dims=0)


def with_replacement(gates, *, seed=0):
    noise = torch.Generator().manual_seed(seed)
    rows = torch.arange(len(gates))
    return gates[(rows + torch.randint(1, len(gates), (len(gates),), generator=noise)) % len(gates)]


def block_by_block(gates, *, seed=0):
    return torch.stack(
        [along_a_circle(column[:, None], seed=seed + b)[:, 0] for b, column in enumerate(gates.T)], dim=1
    )


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


def past_the_cut(cases, *, seed=0):
    one_more = (cases.cut + 1).clamp_max(cases.items.shape[1] - 1)
    return replace(cases, items=shuffle_row_by_row(replace(cases, cut=one_more), seed=seed).items)


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


def shuffles_the_given(cases, *, seed=0):
    for row, cut in zip(cases.items, cases.cut.tolist()):
        first = int((row == 0).sum())
        row[first : cut + 1] = row[first : cut + 1][torch.randperm(cut + 1 - first)]
    return cases


def global_numbers(cases, *, seed=0):
    return shuffle_row_by_row(cases, seed=int(torch.randint(1000, ())))


def indexes_wrongly(cases, *, seed=0):
    return replace(cases, items=cases.items[:, torch.randperm(999)])


ANSWERS_VERDICT: dict[str, list[Answer]] = {
    "controls.RandomGates": [
        right(StochasticDepth), right(WalksItself), right(ScoresThenPicks),
        wrong(RandomOnlyAtTest, "other way round"), wrong(AllOrNone, "all blocks or none"),
        wrong(ExpectedDepthAtTest, "keep_rate"), raises(NoScoreAt, "score_at"),
    ],
    "controls.another_users": [
        right(along_a_circle), right(until_it_fits), right(one_by_one),
        wrong(the_next_row, "no effect"), wrong(with_replacement, "without replacement"),
        wrong(block_by_block, "whole rows"), raises(no_seed, "seed"),
    ],
    "controls.shuffled_histories": [
        right(shuffle_row_by_row), right(shuffle_with_numpy), right(shuffle_at_once),
        wrong(past_the_cut, "after the cut"), wrong(turned_round, "order of its own"),
        wrong(shuffles_users, "is no item"), wrong(shuffles_the_given, "copy"),
        wrong(global_numbers, "generator"), raises(indexes_wrongly, "index"),
    ],
}  # fmt: skip

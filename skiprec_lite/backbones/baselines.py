"""Three honest baselines that only count."""

import warnings
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from skiprec_lite.backbones.scoring import NextItemModel, check_items
from skiprec_lite.promises import NotNegative, Positive, Size, together, validated
from skiprec_lite.windows import Split


def _check_counted(name: str, split: Split) -> None:
    held = np.concatenate([np.empty(0, dtype=np.int64), *split.sequences])
    if len(held) == 0:
        raise ValueError(f"{name}.sequences hold no item: there is nothing to count")
    low, high = held.min(), held.max()
    if low < 1 or high > split.num_items:
        raise ValueError(f"{name}.sequences must hold items 1 ... {split.num_items}, got {low} ... {high}")


def _check_known(self: "Popularity", items: Tensor) -> None:
    check_items(items, len(self.share) - 1)


Counted = Annotated[Split, _check_counted]


class Popularity(NextItemModel):
    """Score each item by the log of its share of the training interactions. Built in lesson 04."""

    share: Tensor

    @validated
    def __init__(self, split: Counted) -> None:
        super().__init__()
        counts = np.bincount(np.concatenate(split.sequences), minlength=split.num_items + 1)
        self.register_buffer("share", torch.from_numpy(counts / counts.sum()))

    @validated
    @together(_check_known)
    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position."""
        return self.share.log().expand(*items.shape, -1)

    @validated
    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True: what comes next depends on the present item at most."""
        present = items[where].unsqueeze(0)  # (1, scored)
        return self(present).squeeze(0)


class MarkovChain(Popularity):
    """First-order Markov chain: score the next item by what followed the present one. Built in lesson 04.

    p(j | i) = (count(i -> j) + strength * share(j)) / (count(i -> anything) + strength): the counts back off to
    popularity where they are few. Scores are log p.
    """

    counts: Tensor

    @validated
    def __init__(self, split: Split, strength: Positive = 10.0) -> None:
        super().__init__(split)  # asks whether there is something to count
        self.strength = strength
        before = np.concatenate([s[:-1] for s in split.sequences])
        after = np.concatenate([s[1:] for s in split.sequences])
        steps = torch.from_numpy(np.stack([before, after]))  # (2, step), each i -> j
        ones = torch.ones(len(before), dtype=torch.float64)
        size = (len(self.share), len(self.share))
        table = torch.sparse_coo_tensor(steps, ones, size, check_invariants=True)
        self.register_buffer("counts", table.coalesce())  # equal steps are added up, what never happened is not stored

    @validated
    @together(_check_known)
    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position."""
        rows = self.counts.index_select(0, items.flatten())  # of the present items: (batch * time, columns)
        count = rows.to_dense().unflatten(0, items.shape)  # (batch, time, columns)
        total = count.sum(dim=-1, keepdim=True)
        return ((count + self.strength * self.share) / (total + self.strength)).log()


class WindowCounter(Popularity):
    """Score the next item by what came some steps after each of the last few items. Built in lesson 04.

    c(i, j) adds up how often j came 1 ... reach steps after i, each time weighted by steps^-fade. The last items i add
    up their rows, c(i, j) / (10 + sum_j c(i, j)), each weighted by (1 + age)^-fade; what everybody watches is damped
    by (5 + count(j))^-damp. A millionth of j's share orders what was never counted.

    Source: neighbourhood methods after Ludewig & Jannach (2018); the settings are chosen on validation.
    """

    rows: Tensor

    @validated
    def __init__(
        self, split: Split, reach: Size = 20, last: Size = 10, damp: NotNegative = 0.3, fade: NotNegative = 0.5
    ) -> None:
        super().__init__(split)
        self.last, self.fade = last, fade
        shape = (len(self.share),) * 2
        pairs, nearness = [], []
        for steps in range(1, reach + 1):
            before = np.concatenate([s[:-steps] for s in split.sequences])
            after = np.concatenate([s[steps:] for s in split.sequences])
            pairs.append(np.array([before, after]))  # (2, pair), each i -> j
            nearness.append(np.full(len(before), float(steps) ** -fade))
        met, weights = torch.from_numpy(np.hstack(pairs)), torch.from_numpy(np.hstack(nearness))
        counts = torch.sparse_coo_tensor(met, weights, shape, check_invariants=True).coalesce()  # equal pairs add up
        (i, j), total = counts.indices(), counts.sum(dim=1).to_dense()
        ratings = np.bincount(np.hstack(split.sequences), minlength=len(self.share))
        damped = torch.from_numpy(5.0 + ratings) ** damp
        shares = counts.values() / (10 + total[i]) / damped[j]
        table = torch.sparse_coo_tensor(counts.indices(), shares, shape, check_invariants=True)
        self.register_buffer("rows", table.coalesce())

    @validated
    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, from the last items up to each."""
        row, position = where.nonzero(as_tuple=True)
        line = torch.arange(len(row), device=items.device)
        padded = F.pad(items, (self.last - 1, 0))  # nothing follows padding: its row of counts is empty
        read = self.share.new_zeros(len(row), len(self.share))  # (scored, columns): how much of each item's row
        for age in range(self.last):
            item = padded[row, position + self.last - 1 - age]
            read[line, item] += (1.0 + age) ** -self.fade
        rows = self.rows.to_dense() if len(self.share) <= 6_000 else self.rows  # dense: faster, 0.3 GB at most
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls the product of two sparse tables a beta
            scores = torch.sparse.mm(read.to_sparse(), rows).to_dense() + 1e-6 * self.share
        scores[:, 0] = -torch.inf
        return scores

    @validated
    @together(_check_known)
    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position."""
        return self.score_at(items, torch.ones_like(items, dtype=torch.bool)).unflatten(0, items.shape)

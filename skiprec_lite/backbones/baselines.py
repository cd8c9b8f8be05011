"""Two honest baselines that only count."""

from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from skiprec_lite.backbones.scoring import NextItemModel, check_items
from skiprec_lite.promises import Positive, together, validated
from skiprec_lite.windows import Split


def _check_counted(name: str, split: Split) -> None:
    held = [sequence for sequence in split.sequences if len(sequence)]
    if not held:
        raise ValueError(f"{name}.sequences hold no item: there is nothing to count")
    low, high = min(map(np.min, held)), max(map(np.max, held))
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

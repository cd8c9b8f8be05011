"""Two honest baselines that only count."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from skiprec_lite.backbones.scoring import NextItemModel, check_items
from skiprec_lite.promises import Positive, validated
from skiprec_lite.windows import Split


class _Counting(NextItemModel):
    """A model without a hidden state: what it scores depends on the present item at most."""

    @validated
    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row."""
        return self(items[where].unsqueeze(0)).squeeze(0)


class Popularity(_Counting):
    """Score each item by the log of its share of the training interactions. Built in lesson 04.

    Raises:
        ValueError: if the split has nothing to count.
    """

    share: Tensor

    @validated
    def __init__(self, split: Split) -> None:
        super().__init__()
        if not any(len(sequence) for sequence in split.sequences):
            raise ValueError("split.sequences hold no item: there is nothing to count")
        items = np.concatenate(split.sequences)
        if items.min() < 1 or items.max() > split.num_items:
            raise ValueError(
                f"split.sequences must hold items 1 ... {split.num_items}, got {items.min()} ... {items.max()}"
            )
        counts = np.bincount(items, minlength=split.num_items + 1)
        self.register_buffer("share", torch.from_numpy(counts / counts.sum()))

    @validated
    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position."""
        check_items(items, len(self.share) - 1)
        return self.share.log().expand(*items.shape, -1)


class MarkovChain(_Counting):
    """First-order Markov chain: score the next item by what followed the present one. Built in lesson 04.

    p(j | i) = (count(i -> j) + strength * share(j)) / (count(i -> anything) + strength): the counts back off to
    popularity where they are few. Scores are log p.

    Raises:
        ValueError: if the split has nothing to count.
    """

    next_items: Tensor
    counts: Tensor
    starts: Tensor

    @validated
    def __init__(self, split: Split, strength: Positive = 10.0) -> None:
        super().__init__()
        self.strength = strength
        self.popularity = Popularity(split)
        columns = split.num_items + 1
        pairs = np.concatenate([s[:-1] * columns + s[1:] for s in split.sequences])  # one number per transition
        pairs, counts = np.unique(pairs, return_counts=True)  # sorted by the first item
        starts = np.searchsorted(pairs, np.arange(columns + 1) * columns)
        self.register_buffer("next_items", torch.from_numpy(pairs % columns))
        self.register_buffer("counts", torch.from_numpy(counts))
        self.register_buffer("starts", torch.from_numpy(starts))

    @validated
    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position."""
        check_items(items, len(self.popularity.share) - 1)
        share: Tensor = self.popularity.share
        flat = items.reshape(-1)
        begin, length = self.starts[flat], self.starts[flat + 1] - self.starts[flat]
        row = torch.repeat_interleave(torch.arange(len(flat)), length)  # one entry per stored transition
        entry = torch.arange(len(row)) - (length.cumsum(0) - length - begin)[row]
        weight = (self.strength * share).repeat(len(flat), 1)
        weight[row, self.next_items[entry]] += self.counts[entry]
        total = torch.zeros(len(flat), dtype=share.dtype).index_add_(0, row, self.counts[entry].to(share.dtype))
        return (weight / (total + self.strength).unsqueeze(-1)).log().reshape(*items.shape, len(share))

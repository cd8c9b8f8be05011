"""What a SkipRec has to beat: the same blocks kept by chance, by habit, or for somebody else."""

from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Float, Num
from torch import Tensor

from skiprec_lite.backbones import Backbone, NextItemModel
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.promises import Count, Seed, Share, validated
from skiprec_lite.skiprec import Cut, Items, SkipRec, Where, visible
from skiprec_lite.windows import Windows


def _check_some_row(name: str, gates: Tensor) -> None:
    if len(gates) == 0:
        raise ValueError(f"{name} must have at least one row, got shape {tuple(gates.shape)}")


def _check_two_rows(name: str, gates: Tensor) -> None:
    if len(gates) < 2:
        raise ValueError(f"{name}: nobody has another user's gates among {len(gates)} rows")


class RandomGates(NextItemModel):
    """A backbone whose blocks are kept at random while it trains, and all kept after: a relative of stochastic depth.

    Each row keeps each block with probability `keep_rate`. A policy that helps must do better than this. Built in
    lesson 09.

    Source: after Huang et al. (2016), "Deep networks with stochastic depth" (there a block is dropped for a whole
    batch, deeper ones more often, and at test each block's output is multiplied by its rate; here each row has gates
    of its own, there is one rate, and nothing is scaled).
    """

    @validated
    def __init__(self, backbone: Backbone, keep_rate: Share) -> None:
        super().__init__()
        self.backbone = backbone
        self.keep_rate = keep_rate

    def as_skiprec(self) -> SkipRec:
        """Return a SkipRec, in the same mode, whose policy keeps each block with that probability for every user."""
        blocks = len(self.backbone.blocks)
        policy = PolicyNetwork(self.backbone.embedding.num_embeddings - 1, blocks, channels=1)
        with torch.no_grad():
            policy.output.weight.zero_()
            policy.output.bias.copy_(torch.tensor([self.keep_rate, 1 - self.keep_rate]).log().repeat(blocks))
        return SkipRec(self.backbone, policy).train(self.training)

    @validated
    def encode(self, items: Items) -> Float[Tensor, "batch time channel"]:
        """Walk under random gates in training mode, else at full depth."""
        gates = None
        if self.training:
            gates = random_gates(len(items), len(self.backbone.blocks), self.keep_rate)
        return self.backbone.encode(items, gates)

    @validated
    def score_at(self, items: Items, where: Where, cut: Cut = None) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row."""
        return self.backbone.score(self.encode(items)[where])  # (batch, time, channel) -> (scored, channel)


@validated
def random_gates(rows: Count, blocks: Count, keep_rate: Share) -> Float[Tensor, "row block"]:
    """Keep each block of each row with the same probability. Built in lesson 09."""
    return (torch.rand(rows, blocks) < keep_rate).float()


@validated
def most_frequent_pattern(gates: Annotated[Num[Tensor, "row block"], _check_some_row]) -> Num[Tensor, "row block"]:
    """Give every row the pattern that most rows have. Built in lesson 09."""
    patterns, counts = gates.unique(dim=0, return_counts=True)
    return patterns[counts.argmax()].expand_as(gates).clone()


@validated
def another_users(
    gates: Annotated[Num[Tensor, "row block"], _check_two_rows], *, seed: Seed = 0
) -> Num[Tensor, "row block"]:
    """Give every row the gates of another row, drawn without replacement, nobody their own. Built in lesson 09."""
    circle = torch.randperm(len(gates), generator=torch.Generator().manual_seed(seed))
    other = torch.empty_like(circle)
    other[circle] = circle.roll(1)  # everybody takes those of the one before
    return gates[other]


@validated
def shuffled_histories(cases: Windows, *, seed: Seed = 0) -> Windows:
    """Shuffle the real items that a policy may read, each row by itself; the later ones stay. Built in lesson 09."""
    items = cases.items.clone()
    free = visible(items, cases.cut) > 0  # the places whose items change
    noise = torch.rand(items.shape, generator=torch.Generator().manual_seed(seed))
    order = torch.where(free, noise, torch.inf).argsort(dim=1)  # the free places first
    for row, places, source in zip(items, free, order):
        row[places] = row[source[: places.sum()]]
    return replace(cases, items=items)

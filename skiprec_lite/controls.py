"""What a SkipRec has to beat: the same blocks kept by chance, by habit, or for somebody else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from skiprec_lite.backbones import Backbone, NextItemModel
from skiprec_lite.evaluation import gates_of
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.promises import Count, Seed, Share, Size, validated
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows


def _check_some_row(name: str, gates: Tensor) -> None:
    if len(gates) == 0:
        raise ValueError(f"{name} must have at least one row, got shape {tuple(gates.shape)}")


def _check_two_rows(name: str, gates: Tensor) -> None:
    if len(gates) < 2:
        raise ValueError(f"{name}: nobody has another user's gates among {len(gates)} rows")


class _OnABackbone(NextItemModel):
    """A backbone walked through in a way of its own; `hidden_at` says in which."""

    backbone: Backbone

    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row."""
        return self.backbone.score(self.hidden_at(items, where))


class RandomGates(_OnABackbone):
    """A backbone whose blocks are kept at random while it trains, and all kept after: a relative of stochastic depth.

    Each row keeps each block with probability `keep_rate`. A policy that helps must do better than this. Built in
    lesson 07.

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
        policy = PolicyNetwork(self.backbone.embedding.num_embeddings - 1, len(self.backbone.blocks), channels=1)
        with torch.no_grad():
            policy.output.weight.zero_()
            policy.output.bias.copy_(
                torch.tensor([self.keep_rate, 1 - self.keep_rate]).log().repeat(len(self.backbone.blocks))
            )
        return SkipRec(self.backbone, policy).train(self.training)

    @validated
    def hidden_at(
        self, items: Int[Tensor, "batch time"], where: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "scored channel"]:
        """Walk under random gates in training mode, else at full depth."""
        gates = random_gates(len(items), len(self.backbone.blocks), self.keep_rate) if self.training else None
        return self.backbone.encode(items, gates)[where]  # (batch, time, channel) -> (scored, channel)


class RandomDepth(_OnABackbone):
    """A backbone that trains at random depths: each row runs the first k blocks, k uniform, or else all of them.

    The first blocks learn to do without the later ones, so that what a group needs lies in as few blocks as training
    finds. The second half of lesson 07 starts from such nets.

    Source: the nested dropout of Rippel, Gelbart & Adams (2014), for blocks.
    """

    @validated
    def __init__(self, backbone: Backbone, full_share: Share) -> None:
        super().__init__()
        self.backbone = backbone
        self.full_share = full_share

    @validated
    def hidden_at(
        self, items: Int[Tensor, "batch time"], where: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "scored channel"]:
        """Walk to random depths in training mode, else to full depth."""
        gates = random_depths(len(items), len(self.backbone.blocks), self.full_share)  # drawn in eval mode too
        hidden = self.backbone.encode(items, gates) if self.training else self.backbone.encode(items)
        return hidden[where]  # (batch, time, channel) -> (scored, channel)


@validated
def random_depths(rows: Count, blocks: Size, full_share: Share) -> Float[Tensor, "row block"]:
    """Keep the first k blocks of each row, k uniform over 1 ... blocks, or all with probability `full_share`."""
    depth = torch.randint(1, blocks + 1, (rows, 1))
    depth = torch.where(torch.rand(rows, 1) < full_share, blocks, depth)
    return (torch.arange(blocks) < depth).to(torch.float32)


@validated
def random_gates(rows: Count, blocks: Count, keep_rate: Share) -> Float[Tensor, "row block"]:
    """Keep each block of each row with the same probability. Built in lesson 07."""
    return (torch.rand(rows, blocks) < keep_rate).float()


@validated
def most_frequent_pattern(gates: Annotated[Num[Tensor, "row block"], _check_some_row]) -> Num[Tensor, "row block"]:
    """Give every row the pattern that most rows have. Built in lesson 07."""
    patterns, counts = gates.unique(dim=0, return_counts=True)
    return patterns[counts.argmax()].expand_as(gates).clone()


@validated
def another_users(
    gates: Annotated[Num[Tensor, "row block"], _check_two_rows], *, seed: Seed = 0
) -> Num[Tensor, "row block"]:
    """Give every row the gates of another row, drawn without replacement, nobody their own. Built in lesson 07."""
    circle = torch.randperm(len(gates), generator=torch.Generator().manual_seed(seed))
    other = torch.empty_like(circle)
    other[circle] = circle.roll(1)  # everybody takes those of the one before
    return gates[other]


@validated
def shuffled_histories(cases: Windows, *, seed: Seed = 0) -> Windows:
    """Shuffle the real items that a policy may read, each row by itself; the later ones stay. Built in lesson 07."""
    generator = torch.Generator().manual_seed(seed)
    time = cases.items.shape[1]
    free = (cases.items > 0) & (torch.arange(time) <= cases.cut.unsqueeze(1))
    place = torch.arange(time).expand_as(cases.items)
    key = torch.where(free, torch.rand(cases.items.shape, generator=generator), torch.inf)
    source = key.argsort(dim=1)  # the free places of each row in random order first
    target = torch.where(free, place, time).sort(dim=1).values  # the free places in their order first
    items = cases.items.clone()
    row, column = (target < time).nonzero(as_tuple=True)
    items[row, target[row, column]] = cases.items[row, source[row, column]]
    return replace(cases, items=items)


DRAWS = 20


def _at_the_same_rate(model: SkipRec, cases: Windows) -> list[Tensor]:
    rows, blocks = (gates := gates_of(model, cases)).shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [random_gates(rows, blocks, float(gates.mean())) for _ in range(DRAWS)]


def _sampled(model: SkipRec, cases: Windows) -> list[Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [gates_of(model, cases, sample=True) for _ in range(DRAWS)]


# How a trained SkipRec's gates are chosen instead; more than one row of gates per user where chance has a part.
CONTROLS: dict[str, Callable[[SkipRec, Windows], list[Tensor]]] = {
    "full depth": lambda model, cases: [torch.ones_like(gates_of(model, cases))],
    "sampled": _sampled,
    "random, same rate": _at_the_same_rate,
    "most frequent pattern": lambda model, cases: [most_frequent_pattern(gates_of(model, cases))],
    "another user's": lambda model, cases: [another_users(gates_of(model, cases))],
    "shuffled history": lambda model, cases: [gates_of(model, shuffled_histories(cases))],
}

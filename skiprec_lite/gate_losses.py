"""What one step of joint training minimises: the recommendation loss under gates, and the way back to their logits."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from skiprec_lite.backbones import Backbone
from skiprec_lite.gumbel import gumbel_max
from skiprec_lite.inputs import check_number, check_one_per_case
from skiprec_lite.promises import Share, together, validated
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.softmax import cross_entropy
from skiprec_lite.windows import Windows

# (model, batch, cost) -> a number whose gradient trains backbone and policy; the policy reads up to batch.cut, and
# every position with a target is scored.
GateLoss = Callable[[SkipRec, Windows, float], Tensor]


def draw_cut(items: Int[Tensor, "batch time"]) -> Int[Tensor, " batch"]:
    """Draw a cut for each row, uniform over its real positions. Built in lesson 08."""
    real = (items > 0).sum(dim=1)
    first = items.shape[1] - real  # padding stands on the left
    return first + (torch.rand(len(items)) * real).long().clamp_max(real - 1)


def from_a_cut(batch: Windows) -> Windows:
    """Draw a cut for each row and score from it on: of that the policy has read nothing. Built in lesson 08."""
    cut = draw_cut(batch.items)
    before = torch.arange(batch.items.shape[1]) < cut.unsqueeze(1)
    return replace(batch, cut=cut, targets=batch.targets.masked_fill(before, 0))


def whole_window(batch: Windows) -> Windows:
    """Let the policy read everything and score everything, as published: early gates know their future.

    Built in lesson 08.
    """
    return replace(batch, cut=torch.full((len(batch),), batch.items.shape[1] - 1))


def straight_through_loss(model: SkipRec, batch: Windows, cost: float) -> Float[Tensor, ""]:
    """Cross-entropy under sampled straight-through gates, plus cost * (mean gate). Built in lesson 08.

    Source: Chen et al. (2021), "Joint training"; the cost is this course's.
    """
    gates = model.gates(batch.items, batch.cut, sample=True)
    return losses_at(model.backbone, batch, gates, reduction="mean") + cost * gates.mean()


def reinmax_gates(logits: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    """Draw gates z from finite logits (keep, skip), with the gradient dz/da = |z - pi| / 2, a = keep - skip.

    pi = sigmoid(a) is the probability of keeping. The slope f'(1) is met with probability pi and counts (1 - pi) / 2,
    f'(0) the other way round: on average pi (1 - pi) (f'(0) + f'(1)) / 2, which is exact for a loss that is quadratic
    in each gate. From the same seed come the same gates as from `SkipRec.decide`; no temperature has a part in it.

    Source: Liu et al. (2023), "Bridging discrete and backpropagation: straight-through and beyond".
    """
    gates = (gumbel_max(logits.detach()) == 0).to(logits.dtype)  # class 0 is keep
    difference = logits[..., 0] - logits[..., 1]
    slope = (gates - torch.sigmoid(difference.detach())).abs() / 2
    return gates + slope * (difference - difference.detach())  # the bracket is exactly 0, its gradient is not


def reinmax_loss(model: SkipRec, batch: Windows, cost: float) -> Float[Tensor, ""]:
    """Cross-entropy under sampled gates with ReinMax's gradient, plus cost * (mean gate); `model.tau` is not read."""
    gates = reinmax_gates(model.gate_logits(batch.items, batch.cut))
    losses = losses_at(model.backbone, batch, gates)
    return losses.mean() + cost * gates.mean()


def settled_loss(model: SkipRec, batch: Windows, cost: float) -> Float[Tensor, ""]:
    """Cross-entropy under the policy's greedy gates: the backbone learns, the policy does not.

    Gates without a gradient need no output of a skipped block: here training skips too. Built in lesson 08.
    """
    with torch.no_grad():
        gates = model.gates(batch.items, batch.cut, sample=False)
    hidden = model.skip_blocks(batch.items, gates)[batch.scored()]  # (batch, time, channel) -> (scored, channel)
    return cross_entropy(model.backbone, hidden, batch)


def difference_loss(
    model: SkipRec, batch: Windows, cost: float, *, exact: bool = False, pull: float = 0.01
) -> Float[Tensor, ""]:
    """Train the backbone under sampled gates, and the policy by what flipping a gate does. Built in lesson 10.

    One random gate k of each user is flipped; d = L|z_k=1 - L|z_k=0 is that user's own loss with and without the
    block, the other gates as sampled. The logit a_k (keep minus skip) gets the gradient (d + cost / blocks) / 4:
    what a block is worth decides, however sure the gate is. `pull` * a^2 holds the logits where nothing else does.
    One forward pass more than straight-through, and none of its bias.

    `exact` takes pi (1 - pi) in place of 1/4, and no pull: the unbiased gradient, which sleeps where a gate is sure.

    Source: the local expectation gradient of Titsias & Lázaro-Gredilla (2015); the constant factor is this course's.
    """
    logits = model.gate_logits(batch.items, batch.cut)
    gates = model.decide(logits, sample=True).detach()
    rows = torch.arange(len(gates))
    block = torch.randint(gates.shape[1], (len(gates),))
    flipped = gates.clone()
    flipped[rows, block] = 1 - flipped[rows, block]
    dropout = torch.get_rng_state()
    losses = losses_at(model.backbone, batch, gates)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.set_rng_state(dropout)  # the same dropout for both, or its noise would drown the difference
        other = per_row(losses_at(model.backbone, batch, flipped), batch)
    sign = 2 * gates[rows, block] - 1
    worth = sign * (per_row(losses.detach(), batch) - other) + cost / gates.shape[1]
    logit = logits[..., 0] - logits[..., 1]
    chosen = logit[rows, block]
    keep = torch.sigmoid(chosen.detach())
    factor = keep * (1 - keep) if exact else 0.25
    held = 0.0 if exact else pull
    return losses.mean() + (factor * worth * chosen).mean() + held * logit.square().mean()


def _check_tolerance(name: str, tolerance: float) -> None:
    if tolerance not in (math.inf, -math.inf):  # always harmless, or never
        check_number(name, tolerance)


Tolerance = Annotated[float, _check_tolerance]


class SteeredCost:
    """A cost that looks after itself: raised while skipping is harmless, cut when it is not. Built in lesson 10.

    Straight-through with a cost of its own, which starts at the given one. At each step the loss under sampled gates
    is compared with full depth's on the same batch: while it is less than `tolerance` above, the cost grows by
    `rate`, else it shrinks by as much.
    """

    @validated
    def __init__(self, tolerance: Tolerance = 0.05, rate: Share = 0.02) -> None:
        self.tolerance = tolerance
        self.rate = rate
        self.factor = 1.0

    def __call__(self, model: SkipRec, batch: Windows, cost: float) -> Float[Tensor, ""]:
        """Return the loss of this step, and steer the next one's cost."""
        gates = model.gates(batch.items, batch.cut, sample=True)
        loss = losses_at(model.backbone, batch, gates).mean()
        with torch.no_grad():
            full = losses_at(model.backbone, batch, torch.ones_like(gates)).mean()
        harmless = float(loss.detach() - full) < self.tolerance
        self.factor *= 1 + self.rate if harmless else 1 - self.rate
        return loss + self.factor * cost * gates.mean()


def losses_at(
    backbone: Backbone, batch: Windows, gates: Float[Tensor, "row block"], *, reduction: str = "none"
) -> Float[Tensor, "..."]:
    """Cross-entropy at every scored position under given gates, row by row, or its mean. Built in lesson 08."""
    hidden = backbone.encode(batch.items, gates)[batch.scored()]  # (row, time, channel) -> (scored, channel)
    return cross_entropy(backbone, hidden, batch, reduction=reduction)


@together(lambda values, batch: check_one_per_case(values, batch))
def per_row(values: Float[Tensor, " scored"], batch: Windows) -> Float[Tensor, " row"]:
    """Average a number per scored position over each row; NaN where a row has none. Built in lesson 10."""
    scored = batch.scored()
    owner = scored.nonzero(as_tuple=True)[0]
    return values.new_zeros(len(batch)).index_add_(0, owner, values) / scored.sum(dim=1)

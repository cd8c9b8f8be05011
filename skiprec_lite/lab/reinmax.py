"""ReinMax for the gates of a SkipRec: straight-through with the weights of its two end slopes put right."""

import torch
from jaxtyping import Float
from torch import Tensor

from skiprec_lite.gate_losses import losses_at
from skiprec_lite.gumbel import gumbel_max
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows


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
    return losses_at(model.backbone, batch, gates, reduction="mean") + cost * gates.mean()

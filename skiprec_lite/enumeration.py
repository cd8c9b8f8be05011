"""What a gate is worth, known exactly: by flipping it, or by trying all patterns; and what straight-through sees."""

from functools import partial
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from skiprec_lite.backbones import Backbone, in_eval_mode
from skiprec_lite.gate_losses import losses_at, per_row
from skiprec_lite.inputs import check_whole
from skiprec_lite.promises import validated
from skiprec_lite.windows import Windows

Few = Annotated[int, partial(check_whole, least=1, most=12)]  # 4,096 patterns are enough to wait for


@validated
def all_patterns(blocks: Few) -> Float[Tensor, "pattern block"]:
    """List all 2^blocks rows of gates, from none kept to all kept. Built in lesson 10."""
    bits = torch.arange(2**blocks).unsqueeze(1) >> torch.arange(blocks - 1, -1, -1)
    return (bits & 1).float()


@torch.no_grad()
@validated
def pattern_losses(
    backbone: Backbone, cases: Windows, patterns: Float[Tensor, "pattern block"]
) -> Float[Tensor, "pattern row"]:
    """Each row's mean loss under each pattern, in eval mode. Built in lesson 10."""
    with in_eval_mode(backbone):
        return torch.stack([per_row(losses_at(backbone, cases, row.expand(len(cases), -1)), cases) for row in patterns])


@validated
def gate_slopes(backbone: Backbone, cases: Windows, gates: Float[Tensor, "row block"]) -> Float[Tensor, "row block"]:
    """Slope dL/dg of each row's own mean loss at its gates: all that straight-through sees of a block.

    In eval mode. For a ReZero block the slopes of those who keep it sum to scale * dL/dscale, exactly, since
    dL/dg = scale * <dL/dhidden, branch>: once the backbone has settled they cancel. Built in lesson 10.
    """
    leaf = gates.detach().clone().requires_grad_()
    with in_eval_mode(backbone):
        total = per_row(losses_at(backbone, cases, leaf), cases).sum()  # rows do not touch one another
        (slopes,) = torch.autograd.grad(total, leaf)
    return slopes


@torch.no_grad()
@validated
def gate_differences(
    backbone: Backbone, cases: Windows, gates: Float[Tensor, "row block"]
) -> Float[Tensor, "row block"]:
    """What each block is worth: L(block kept) - L(block skipped) of each row, its other gates as they are.

    In eval mode; below 0 where the block helps. Built in lesson 10.
    """
    with in_eval_mode(backbone):
        here = per_row(losses_at(backbone, cases, gates), cases)
        columns = []
        for block in range(gates.shape[1]):
            flipped = gates.clone()
            flipped[:, block] = 1 - flipped[:, block]
            other = per_row(losses_at(backbone, cases, flipped), cases)
            columns.append((2 * gates[:, block] - 1) * (here - other))
    return torch.stack(columns, dim=1)

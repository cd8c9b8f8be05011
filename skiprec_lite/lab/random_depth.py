"""Nets that train at random depths: the solved ones that the long runs about blind spots start from."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from skiprec_lite.backbones import Backbone, NextItemModel
from skiprec_lite.promises import Count, Share, Size, validated


class RandomDepth(NextItemModel):
    """A backbone that trains at random depths: each row runs the first k blocks, k uniform, or else all of them.

    The first blocks learn to do without the later ones, so that what a group needs lies in as few blocks as training
    finds.

    Source: the nested dropout of Rippel, Gelbart & Adams (2014), for blocks.
    """

    @validated
    def __init__(self, backbone: Backbone, full_share: Share) -> None:
        super().__init__()
        self.backbone = backbone
        self.full_share = full_share

    @validated
    def encode(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Walk to random depths in training mode, else to full depth."""
        gates = random_depths(len(items), len(self.backbone.blocks), self.full_share)  # drawn in eval mode too
        return self.backbone.encode(items, gates if self.training else None)

    def score(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where columns"]:
        """Score all items, as the backbone does."""
        return self.backbone.score(hidden)


@validated
def random_depths(rows: Count, blocks: Size, full_share: Share) -> Float[Tensor, "row block"]:
    """Keep the first k blocks of each row, k uniform over 1 ... blocks, or all with probability `full_share`."""
    depth = torch.randint(1, blocks + 1, (rows, 1))
    depth = torch.where(torch.rand(rows, 1) < full_share, blocks, depth)
    return (torch.arange(blocks) < depth).to(torch.float32)

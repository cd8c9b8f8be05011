"""The policy network: one look at a user's sequence, one keep/skip choice per residual block."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from skiprec_lite.backbones import check_items, item_embedding
from skiprec_lite.blocks import ResidualBlock


class PolicyNetwork(nn.Module):
    """User sequence -> logits to keep or to skip each block. Built in lesson 07.

    Embed -> residual blocks -> mean over real positions -> linear layer.

    Args:
        num_items: size of the catalogue.
        num_blocks: blocks of the backbone to decide on.
        channels: width of the policy.
        dilations: one residual block of the policy each.
        encoder: "conv".
        keep_bias: how far the keep logit stands above the skip logit at the start.
        embedding_channels: width of the item embedding where it differs from `channels`: a linear map joins the two,
            so that two-stage training can start from a copy of the backbone's embedding.

    Source: Chen et al. (2021), section "Policy network".
    """

    def __init__(
        self,
        num_items: int,
        num_blocks: int,
        *,
        channels: int = 32,
        dilations: Sequence[int] = (1, 4),
        encoder: str = "conv",
        keep_bias: float = 0.0,
        embedding_channels: int | None = None,
    ) -> None:
        super().__init__()
        if encoder != "conv":
            raise ValueError(f"encoder must be 'conv', got {encoder!r}")
        if num_blocks < 1:
            raise ValueError(f"num_blocks must be at least 1, got {num_blocks}")
        self.sizes: dict[str, object] = {
            "num_items": num_items, "num_blocks": num_blocks, "channels": channels, "dilations": list(dilations),
            "encoder": encoder, "keep_bias": keep_bias, "embedding_channels": embedding_channels,
        }  # fmt: skip
        width = embedding_channels or channels
        self.embedding = item_embedding(num_items, width)
        self.join = nn.Linear(width, channels, bias=False) if width != channels else nn.Identity()
        self.blocks = nn.ModuleList(ResidualBlock(channels, dilation=d) for d in dilations)
        self.output = nn.Linear(channels, 2 * num_blocks)
        with torch.no_grad():  # half up, half down: the gap between keep and skip is keep_bias
            self.output.bias.copy_(torch.tensor([keep_bias / 2, -keep_bias / 2]).repeat(num_blocks))

    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch block 2"]:
        """Logits (keep, skip) of each block; positions where items is 0, wherever they are, are not read.

        Raises:
            ValueError: if a row holds no item, or an item is outside 0 ... num_items.
        """
        check_items(items, self.embedding.num_embeddings - 1)
        mask = items > 0
        if not mask.any(dim=1).all():
            raise ValueError("a row holds no item: the policy cannot choose for an empty history")
        hidden = self.join(self.embedding(items))  # (batch, time, channel)
        for block in self.blocks:
            hidden = block(hidden, mask)
        real = mask.unsqueeze(-1)
        mean = (hidden * real).sum(dim=1) / real.sum(dim=1)  # (batch, channel)
        return self.output(mean).unflatten(-1, (-1, 2))

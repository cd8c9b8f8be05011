"""The policy network: one look at a user's sequence, one keep/skip choice per residual block."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from skiprec_lite.backbones import check_items, item_embedding
from skiprec_lite.blocks import ResidualBlock
from skiprec_lite.inputs import whole_numbers
from skiprec_lite.promises import Size, like, validated


class PolicyNetwork(nn.Module):
    """User sequence -> logits to keep or to skip each block. Built in lesson 08, with a GRU in lesson 13.

    Embed -> residual blocks -> mean over real positions -> linear layer; or embed -> GRU -> its state after the
    last real item -> linear layer.

    Args:
        num_items: size of the catalogue.
        num_blocks: blocks of the backbone to decide on.
        channels: width of the policy.
        dilations: one residual block of the policy each; a GRU has none.
        encoder: "conv" or "gru".
        keep_bias: how far the keep logit stands above the skip logit at the start.
        embedding_channels: width of the item embedding where it differs from `channels`: a linear map joins the two,
            so that two-stage training can start from a copy of the backbone's embedding.

    Source: Chen et al. (2021).
    """

    check_argument = staticmethod(like("a PolicyNetwork", "sizes", "forward"))

    @validated
    def __init__(
        self,
        num_items: Size,
        num_blocks: Size,
        *,
        channels: Size = 32,
        dilations: Sequence[int] = (1, 4),
        encoder: str = "conv",
        keep_bias: float = 0.0,
        embedding_channels: Size | None = None,
    ) -> None:
        super().__init__()
        if encoder not in ("conv", "gru"):
            raise ValueError(f"encoder must be 'conv' or 'gru', got {encoder!r}")
        dilations = whole_numbers("dilations", dilations)
        self.sizes: dict[str, object] = {
            "num_items": num_items, "num_blocks": num_blocks, "channels": channels, "dilations": dilations,
            "encoder": encoder, "keep_bias": keep_bias, "embedding_channels": embedding_channels,
        }  # fmt: skip
        width = channels if embedding_channels is None else embedding_channels
        self.embedding = item_embedding(num_items, width)
        self.join = nn.Linear(width, channels, bias=False) if width != channels else nn.Identity()
        if encoder == "gru":
            self.gru = nn.GRU(channels, channels, batch_first=True)
        else:
            self.blocks = nn.ModuleList(ResidualBlock(channels, dilation=d) for d in dilations)
        self.output = nn.Linear(channels, 2 * num_blocks)
        with torch.no_grad():  # half up, half down: the gap between keep and skip is keep_bias
            self.output.bias.copy_(torch.tensor([keep_bias / 2, -keep_bias / 2]).repeat(num_blocks))

    @validated
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
        read = self._last_state if self.sizes["encoder"] == "gru" else self._mean
        return self.output(read(hidden, mask)).unflatten(-1, (-1, 2))

    def _mean(
        self, hidden: Float[Tensor, "batch time channel"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch channel"]:
        for block in self.blocks:
            hidden = block(hidden, mask)
        real = mask.unsqueeze(-1)
        return (hidden * real).sum(dim=1) / real.sum(dim=1)

    def _last_state(
        self, hidden: Float[Tensor, "batch time channel"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch channel"]:
        """Run the GRU over the real items alone: they move to the front, and the state after the last one counts."""
        front = (~mask).to(torch.int8).argsort(dim=1, stable=True)  # real items first, in their order
        states, _ = self.gru(hidden.gather(1, front.unsqueeze(-1).expand_as(hidden)))
        return states[torch.arange(len(states)), mask.sum(dim=1) - 1]

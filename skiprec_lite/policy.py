"""The policy network: one look at a user's sequence, one keep/skip choice per residual block."""

from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from skiprec_lite.backbones import item_embedding
from skiprec_lite.blocks import Dilations, ResidualBlock, receptive_field
from skiprec_lite.promises import Size, like, validated


def _check_encoder(name: str, value: str) -> None:
    if value not in ("conv", "gru"):
        raise ValueError(f"{name} must be 'conv' or 'gru', got {value!r}")


def _check_pool(name: str, value: str) -> None:
    if value not in ("mean", "inner", "last"):
        raise ValueError(f"{name} must be 'mean', 'inner' or 'last', got {value!r}")


def _check_not_empty(name: str, items: Tensor) -> None:
    if not (items > 0).any(dim=1).all():
        raise ValueError(f"a row of {name} holds no item: the policy cannot choose for an empty history")


Hidden = Float[Tensor, "batch time channel"]
Mask = Bool[Tensor, "batch time"]  # True = a real item
NotEmpty = Annotated[Int[Tensor, "batch time"], _check_not_empty]  # each row of items holds one


class PolicyNetwork(nn.Module):
    """User sequence -> logits to keep or to skip each block. Built in lesson 08, with a GRU in lesson 13.

    Embed -> residual blocks, one for each of `dilations` -> mean over real positions -> linear layer; or, with the
    encoder "gru", embed -> GRU -> its state after the last real item -> linear layer.

    The blocks' states at the first positions still feel the zeros before the start. `pool` says what the mean is over:
    all real positions ("mean", as published), those whose reach holds real items only, or the last one where there are
    none ("inner"), or the "last" one alone.

    The keep logits start `keep_bias` above the skip logits. A linear map joins an embedding of another width,
    `embedding_channels`, so that two-stage training can start from a copy of the backbone's.

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
        dilations: Dilations = (1, 4),
        encoder: Annotated[str, _check_encoder] = "conv",
        pool: Annotated[str, _check_pool] = "mean",
        keep_bias: float = 0.0,
        embedding_channels: Size | None = None,
    ) -> None:
        super().__init__()
        self.sizes: dict[str, object] = {
            "num_items": num_items, "num_blocks": num_blocks, "channels": channels,
            "dilations": [int(d) for d in dilations], "encoder": encoder, "pool": pool,
            "keep_bias": keep_bias, "embedding_channels": embedding_channels,
        }  # fmt: skip
        width = channels if embedding_channels is None else embedding_channels
        self.embedding = item_embedding(num_items, width)
        self.join = nn.Linear(width, channels, bias=False) if width != channels else nn.Identity()
        if encoder == "gru":
            self.gru = nn.GRU(channels, channels, batch_first=True)
        else:
            self.blocks = nn.ModuleList(ResidualBlock(channels, dilation=d) for d in dilations)
            self.pool, self.reach = pool, receptive_field(dilations)
        self.output = nn.Linear(channels, 2 * num_blocks)
        with torch.no_grad():  # half up, half down: the gap between keep and skip is keep_bias
            self.output.bias.copy_(torch.tensor([keep_bias / 2, -keep_bias / 2]).repeat(num_blocks))

    @validated
    def forward(self, items: NotEmpty) -> Float[Tensor, "batch block 2"]:
        """Logits (keep, skip) of each block; positions where items is 0, wherever they are, are not read."""
        mask = items > 0
        hidden = self.join(self.embedding(items))  # (batch, time, channel)
        state_of = self.last_state if self.sizes["encoder"] == "gru" else self.mean_state
        return self.output(state_of(hidden, mask)).unflatten(-1, (-1, 2))

    def mean_state(self, hidden: Hidden, mask: Mask) -> Float[Tensor, "batch channel"]:
        """Run the blocks, and take the mean over the real positions that `pool` asks for."""
        for block in self.blocks:
            hidden = block(hidden, mask)
        real = self.pooled(mask).unsqueeze(-1)
        return (hidden * real).sum(dim=1) / real.sum(dim=1)

    def pooled(self, mask: Mask) -> Mask:
        """The positions that count: of the real ones, numbered from 1, those from the first whose reach is real on."""
        nth = mask.cumsum(dim=1)
        first = {"mean": 1, "inner": self.reach, "last": mask.shape[1]}[self.pool]
        return mask & (nth >= nth[:, -1:].clamp_max(first))

    def last_state(self, hidden: Hidden, mask: Mask) -> Float[Tensor, "batch channel"]:
        """Run the GRU over the real items alone: they move to the front, and the state after the last one counts."""
        front = (~mask).to(torch.int8).argsort(dim=1, stable=True)  # real items first, in their order
        states, _ = self.gru(hidden.gather(1, front.unsqueeze(-1).expand_as(hidden)))
        return states[torch.arange(len(states)), mask.sum(dim=1) - 1]

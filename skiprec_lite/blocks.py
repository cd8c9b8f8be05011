"""The stones of deep sequence models: causal dilated convolution, self-attention, and the residual blocks around."""

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite.inputs import whole_numbers
from skiprec_lite.promises import Share, Size, like, validated

Dilations = Annotated[Sequence[int], like("a row of whole numbers, such as (1, 4)", "__len__"), whole_numbers]


class CausalConv1d(nn.Module):
    """Dilated convolution over time that reads only the present and the past. Built in lesson 06.

    y[t] = bias + sum over j of W_j x[t - j * dilation], with x = 0 before the start. The weight has nn.Conv1d's
    layout, (channels, channels, kernel_size); its last tap is the present.

    Source: van den Oord et al. (2016), WaveNet; Yuan et al. (2019), NextItNet.
    """

    @validated
    def __init__(self, channels: Size, kernel_size: Size = 3, dilation: Size = 1) -> None:
        super().__init__()
        self.dilation = dilation
        like = nn.Conv1d(channels, channels, kernel_size)  # for its first weights
        self.weight, self.bias = like.weight, like.bias

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return {"channel": len(self.weight)}

    @validated
    def forward(self, hidden: Float[Tensor, "batch time channel"]) -> Float[Tensor, "batch time channel"]:
        """Convolve; same shape in and out."""
        time = hidden.shape[1]
        out = F.linear(hidden, self.weight[:, :, -1], self.bias)  # the present
        for tap in range(1, self.weight.shape[-1]):
            shift = tap * self.dilation
            if shift >= time:  # this tap and all later ones fall before the start
                break
            out[:, shift:] += F.linear(hidden[:, : time - shift], self.weight[:, :, -1 - tap])
        return out


class Dropout(nn.Dropout):
    """nn.Dropout whose noise comes from `torch.rand`: a third of the time on a CPU, the same draws in every build.

    Each call starts a generator, on the device where the numbers are, from a seed of torch's CPU stream: whoever sets
    that stream back gets the same noise again, wherever the model is.
    """

    def forward(self, hidden: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Set each number to 0 with probability p, and divide the others by 1 - p."""
        if not self.training or self.p == 0:
            return hidden
        generator = torch.Generator(hidden.device).manual_seed(int(torch.randint(2**62, ())))
        noise = torch.rand(hidden.shape, generator=generator, dtype=hidden.dtype, device=hidden.device)
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        return hidden * noise.lt_(1 - self.p).mul_(scale)  # in place: fewer arrays, less time


class ResidualBlock(nn.Module):
    """hidden + scale * branch(hidden), branch = two causal convolutions (dilations d and 2d). Built in lesson 06.

    Each convolution is followed by LayerNorm over the channels and a ReLU. With rezero=True, scale is one
    learnable number that starts at 0, so that the block starts as the identity; else it is 1.

    Source: Yuan et al. (2019), NextItNet; Bachlechner et al. (2021), ReZero.
    """

    @validated
    def __init__(
        self, channels: Size, kernel_size: Size = 3, dilation: Size = 1, *, rezero: bool = True, dropout: Share = 0.0
    ) -> None:
        super().__init__()
        self.conv1 = CausalConv1d(channels, kernel_size, dilation)
        self.norm1 = nn.LayerNorm(channels)
        self.conv2 = CausalConv1d(channels, kernel_size, 2 * dilation)
        self.norm2 = nn.LayerNorm(channels)
        self.dropout = Dropout(dropout)
        self.scale = nn.Parameter(torch.zeros(1)) if rezero else None

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return {"channel": len(self.norm1.weight)}

    @validated
    def forward(
        self, hidden: Float[Tensor, "batch time channel"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time channel"]:
        """Apply the block; mask is True at real items, so that no convolution reads what stands at padding."""
        real: Tensor | float = 1.0 if mask is None else mask.unsqueeze(-1)  # (batch, time, 1), 0 at padding
        branch = F.relu(self.norm1(self.conv1(hidden * real)))
        branch = F.relu(self.norm2(self.conv2(branch * real)))  # again: bias, norm and ReLU have filled padding
        branch = self.dropout(branch)
        if self.scale is None:
            return hidden + branch
        return torch.addcmul(hidden, self.scale, branch)  # hidden + scale * branch, in one kernel


@validated
def receptive_field(dilations: Dilations, kernel_size: Size = 3) -> int:
    """How many positions one output of a stack of residual blocks can read, itself included. Built in lesson 06.

    A block of dilation d holds convolutions of dilations d and 2d, so it adds (kernel_size - 1) * 3d.
    """
    return 1 + (kernel_size - 1) * 3 * sum(dilations)

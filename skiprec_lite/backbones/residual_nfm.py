"""NFM with all that a NextItNet has but the order: beside it the way of reading a history is the one difference."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite.backbones.scoring import Encoder, item_embedding
from skiprec_lite.blocks import Dropout
from skiprec_lite.promises import Count, Share, Size, validated


class ResidualNFM(Encoder):
    """NFM's pool of each prefix, then residual layers, hidden + scale * dropout(relu(norm(linear(hidden)))).

    As in a NextItNet each scale starts at 0, `embedding_dropout` acts on the embedded items, `dropout` on each branch,
    and `tied` scores with the embedding's own weights.

    Source: He & Chua (2017), NFM; Bachlechner et al. (2021), ReZero; the joining of the two is this course's.
    """

    @validated
    def __init__(
        self, num_items: Size, *, channels: Size = 64, hidden_layers: Count = 1, dropout: Share = 0.0,
        embedding_dropout: Share = 0.0, tied: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embedding = item_embedding(num_items, channels)
        self.embedding_dropout = Dropout(embedding_dropout)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels), nn.ReLU(), Dropout(dropout))
            for _ in range(hidden_layers)
        )
        self.scales = nn.ParameterList(torch.zeros(1) for _ in range(hidden_layers))
        output = self.embedding if tied else item_embedding(num_items, channels)
        self.output_weight = output.weight
        self.output_bias = nn.Parameter(torch.zeros(num_items))

    @validated
    def encode(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Pool the pairs of each prefix, as NFM does, and send them through the residual layers."""
        embedded = self.embedding_dropout(self.embedding(items))  # (batch, time, channel), 0 at padding
        count = (items > 0).cumsum(dim=1).unsqueeze(-1)  # real items so far
        pairs = (count * (count - 1) / 2).clamp_min(1)  # (batch, time, 1); a single item makes none
        products = (embedded.cumsum(dim=1).square() - embedded.square().cumsum(dim=1)) / 2  # summed over the pairs
        # NFM's embedding has a standard deviation of 1. Tied weights that large would score by sqrt(channels) too
        # much, so the embedding stays small, 1 / sqrt(channels), and the pool grows instead, to the same size.
        hidden = embedded.shape[-1] * products / pairs
        for branch, scale in zip(self.branches, self.scales):
            hidden = torch.addcmul(hidden, scale, branch(hidden))  # hidden + scale * branch, in one kernel
        return hidden

    @validated
    def score(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where columns"]:
        """Score all items with one linear layer; column 0 (padding) has a bias of -inf."""
        return F.linear(hidden, self.output_weight, F.pad(self.output_bias, (1, 0), value=-torch.inf))

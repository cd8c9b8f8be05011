"""NextItNet: a stack of dilated causal residual blocks on embedded items."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite.backbones.scoring import Backbone, item_embedding
from skiprec_lite.blocks import ResidualBlock
from skiprec_lite.inputs import whole_numbers
from skiprec_lite.promises import Share, Size, validated


class NextItNet(Backbone):
    """NextItNet (plain, rezero=False) and NextItNet+ (rezero=True). Built in lesson 06.

    Args:
        num_items: size of the catalogue; item indices 1 ... num_items.
        channels: width of the embedding and of every block.
        dilations: one residual block each.
        kernel_size: taps of each convolution.
        rezero: multiply each residual branch by a learnable number that starts at 0.
        dropout: on each residual branch.
        embedding_dropout: on the embedded items.
        tied: score with the embedding's own weights.

    Source: Yuan et al. (2019), NextItNet; Chen et al. (2021), NextItNet+.
    """

    padding_score: Tensor

    @validated
    def __init__(
        self,
        num_items: Size,
        *,
        channels: Size = 64,
        dilations: Sequence[int] = (1, 4) * 4,
        kernel_size: Size = 3,
        rezero: bool = True,
        dropout: Share = 0.0,
        embedding_dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        super().__init__()
        dilations = whole_numbers("dilations", dilations)
        self.sizes = {
            "num_items": num_items, "channels": channels, "dilations": dilations, "kernel_size": kernel_size,
            "rezero": rezero, "dropout": dropout, "embedding_dropout": embedding_dropout, "tied": tied,
        }  # fmt: skip
        self.embedding = item_embedding(num_items, channels)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.blocks = nn.ModuleList(
            ResidualBlock(channels, kernel_size, d, rezero=rezero, dropout=dropout) for d in dilations
        )
        self.output_weight = self.embedding.weight if tied else nn.Parameter(torch.empty(num_items + 1, channels))
        self.output_bias = nn.Parameter(torch.zeros(num_items))
        self.register_buffer("padding_score", torch.tensor([-torch.inf]), persistent=False)
        if not tied:
            nn.init.normal_(self.output_weight, std=channels**-0.5)

    def embed(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Embed items; padding becomes 0."""
        return self.embedding_dropout(self.embedding(items))

    @validated
    def score(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where columns"]:
        """Score all items with one linear layer; column 0 (padding) has a bias of -inf."""
        return F.linear(hidden, self.output_weight, torch.cat([self.padding_score, self.output_bias]))

"""NextItNet: a stack of dilated causal residual blocks on embedded items."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite.backbones.scoring import Backbone, item_embedding
from skiprec_lite.blocks import Dilations, Dropout, ResidualBlock
from skiprec_lite.promises import Share, Size, validated


class NextItNet(Backbone):
    """NextItNet (plain, rezero=False) and NextItNet+ (rezero=True). Built in lesson 06.

    There is one residual block for each of `dilations`, of the width of the embedding. `dropout` acts on each residual
    branch, `embedding_dropout` on the embedded items; `tied` scores with the embedding's own weights.

    Source: Yuan et al. (2019), NextItNet; Chen et al. (2021), NextItNet+.
    """

    @validated
    def __init__(
        self,
        num_items: Size,
        *,
        channels: Size = 64,
        dilations: Dilations = (1, 4) * 4,
        kernel_size: Size = 3,
        rezero: bool = True,
        dropout: Share = 0.0,
        embedding_dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.sizes = {
            "num_items": num_items, "channels": channels, "dilations": [int(d) for d in dilations],
            "kernel_size": kernel_size, "rezero": rezero, "dropout": dropout, "embedding_dropout": embedding_dropout,
            "tied": tied,
        }  # fmt: skip
        self.embedding = item_embedding(num_items, channels)
        self.embedding_dropout = Dropout(embedding_dropout)
        self.blocks = nn.ModuleList(
            ResidualBlock(channels, kernel_size, d, rezero=rezero, dropout=dropout) for d in dilations
        )
        if tied:
            self.output_weight = self.embedding.weight
        else:
            self.output_weight = nn.Parameter(torch.randn(num_items + 1, channels) * channels**-0.5)
        self.output_bias = nn.Parameter(torch.zeros(num_items))

    def embed(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Embed items; padding becomes 0."""
        return self.embedding_dropout(self.embedding(items))

    @validated
    def score(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where columns"]:
        """Score all items with one linear layer; column 0 (padding) has a bias of -inf."""
        bias = F.pad(self.output_bias, (1, 0), value=-torch.inf)
        return F.linear(hidden, self.output_weight, bias)

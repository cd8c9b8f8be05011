"""NFM: what the items of a history have in common, pair by pair, and an MLP on top."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite.backbones.scoring import Encoder, item_embedding
from skiprec_lite.blocks import Dropout
from skiprec_lite.promises import Count, Share, Size, validated


class NFM(Encoder):
    """Neural factorisation machine: an MLP on what the items of a history have in common. Built in lesson 07.

    Every position is scored, each from the real items x_1 ... x_n up to it. Their embeddings are pooled by
    bi-interaction, the mean over all pairs e_i * e_j = 1/2 [(sum e)^2 - sum e^2] / (n (n - 1) / 2), which is 0 for a
    single item; then come the hidden layers and a score for each item. The order of the history is lost.

    An adaptation: the original scores one target at a time, as one more feature of the pool, takes the sum over all
    pairs, where the mean here keeps its size as the history grows, and has a batch norm.

    Between pool and scores stand `hidden_layers` linear layers, a ReLU behind each; with 0 the pool itself is scored.
    Dropout acts on the pool and on each of them.

    Source: He & Chua (2017), NFM.
    """

    @validated
    def __init__(self, num_items: Size, *, channels: Size = 64, hidden_layers: Count = 1, dropout: Share = 0.0) -> None:
        super().__init__()
        self.embedding = item_embedding(num_items, channels)
        with torch.no_grad():
            self.embedding.weight *= channels**0.5  # the product of two small numbers is tiny
        self.dropout = Dropout(dropout)
        self.hidden_layers = nn.ModuleList(nn.Linear(channels, channels) for _ in range(hidden_layers))
        self.output = nn.Linear(channels, num_items)

    @validated
    def encode(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Pool the pairs of each prefix and send them through the hidden layers."""
        embedded = self.embedding(items)  # (batch, time, channel), 0 at padding
        count = (items > 0).cumsum(dim=1).unsqueeze(-1)  # real items so far
        pairs = (count * (count - 1) / 2).clamp_min(1)  # (batch, time, 1); a single item makes none
        products = (embedded.cumsum(dim=1).square() - embedded.square().cumsum(dim=1)) / 2  # summed over the pairs
        hidden = self.dropout(products / pairs)
        for layer in self.hidden_layers:
            hidden = self.dropout(F.relu(layer(hidden)))
        return hidden

    @validated
    def score(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where columns"]:
        """Score all items with one linear layer; column 0 (padding) at -inf."""
        scores = self.output(hidden)
        padding = torch.full_like(scores[..., :1], -torch.inf)  # column 0
        return torch.cat([padding, scores], dim=-1)

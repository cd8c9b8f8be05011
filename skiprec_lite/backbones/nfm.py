"""NFM: what the items of a history have in common, pair by pair, and an MLP on top."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite.backbones.scoring import Encoder, check_items, item_embedding
from skiprec_lite.promises import Count, Share, Size, validated


class NFM(Encoder):
    """Neural factorisation machine: an MLP on what the items of a history have in common. Built in lesson 07.

    Every position is scored, each from the real items x_1 ... x_n up to it. Their embeddings are pooled by
    bi-interaction, the mean over all pairs e_i * e_j = 1/2 [(sum e)^2 - sum e^2] / (n (n - 1) / 2), which is 0 for a
    single item; then come the hidden layers and a score for each item. The order of the history is lost.

    An adaptation: the original scores one target at a time, as one more feature of the pool, takes the sum over all
    pairs, where the mean here keeps its size as the history grows, and has a batch norm.

    Args:
        num_items: size of the catalogue; item indices 1 ... num_items.
        channels: width of the embedding and of every hidden layer.
        hidden_layers: linear layers with a ReLU between pooling and scores; 0 scores the pool itself.
        dropout: on the pool and on each hidden layer.

    Source: He & Chua (2017), NFM.
    """

    padding_score: Tensor

    @validated
    def __init__(self, num_items: Size, *, channels: Size = 64, hidden_layers: Count = 1, dropout: Share = 0.0) -> None:
        super().__init__()
        self.embedding = item_embedding(num_items, channels)
        with torch.no_grad():
            self.embedding.weight *= channels**0.5  # products of small numbers are tiny: pairs need a width of 1
        self.dropout = nn.Dropout(dropout)
        self.hidden_layers = nn.ModuleList(nn.Linear(channels, channels) for _ in range(hidden_layers))
        self.output = nn.Linear(channels, num_items)
        self.register_buffer("padding_score", torch.tensor([-torch.inf]), persistent=False)

    @validated
    def encode(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Pool the pairs of each prefix and send them through the hidden layers.

        Raises:
            ValueError: if an item is outside 0 ... num_items.
        """
        check_items(items, self.embedding.num_embeddings - 1)
        embedded = self.embedding(items)  # 0 at padding
        count = (items > 0).cumsum(dim=1)
        pairs = (count * (count - 1) / 2).clamp_min(1).unsqueeze(-1)  # (batch, time, 1)
        both = (embedded.cumsum(dim=1).square() - embedded.square().cumsum(dim=1)) / 2
        hidden = self.dropout(both / pairs)
        for layer in self.hidden_layers:
            hidden = self.dropout(F.relu(layer(hidden)))
        return hidden

    @validated
    def score(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where columns"]:
        """Score all items with one linear layer; column 0 (padding) at -inf."""
        scores = self.output(hidden)
        return torch.cat([self.padding_score.expand(*scores.shape[:-1], 1), scores], dim=-1)

    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position: score(encode(items))."""
        return self.score(self.encode(items))

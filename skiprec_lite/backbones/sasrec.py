"""SASRec: self-attention blocks on items and positions."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite.backbones.scoring import Backbone, item_embedding
from skiprec_lite.blocks import Dropout
from skiprec_lite.promises import Share, Size, validated


class AttentionBlock(nn.Module):
    """Causal self-attention, then a feed-forward layer for each position, both residual. Built in lesson 13.

    hidden + attend(norm(hidden)), then the same around linear -> ReLU -> linear: one block, behind one gate.

    Source: Kang & McAuley (2018), SASRec; Vaswani et al. (2017).
    """

    @validated
    def __init__(self, channels: Size, heads: Size = 1, *, dropout: Share = 0.0) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"heads must divide channels, got {heads} and {channels}")
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * channels)  # queries, keys, values
        self.join = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.inner = nn.Linear(channels, channels)
        self.outer = nn.Linear(channels, channels)
        self.dropout = Dropout(dropout)

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return {"channel": len(self.norm1.weight)}

    @validated
    def forward(
        self, hidden: Float[Tensor, "batch time channel"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time channel"]:
        """Apply the block; mask is True at real items: others are attended to by nobody but themselves."""
        hidden = hidden + self.dropout(self.attend(self.norm1(hidden), mask))
        inner = self.dropout(F.relu(self.inner(self.norm2(hidden))))
        return hidden + self.dropout(self.outer(inner))

    def attend(
        self, hidden: Float[Tensor, "batch time channel"], mask: Bool[Tensor, "batch time"] | None
    ) -> Float[Tensor, "batch time channel"]:
        """Let each position take a weighted mean of the present and the past: softmax(q k / sqrt(width)) v."""
        time = hidden.shape[1]
        parts = self.project(hidden).chunk(3, dim=-1)  # each (batch, time, channel)
        by_head = [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts]
        queries, keys, values = by_head  # each (batch, head, time, width)
        allowed = torch.ones(time, time, dtype=torch.bool, device=hidden.device).tril()
        if mask is not None:  # a position always reads itself, so that no row of the softmax is empty
            itself = torch.eye(time, dtype=torch.bool, device=hidden.device)
            allowed = (allowed & mask[:, None, None, :]) | itself
        scores = queries @ keys.transpose(-1, -2) / keys.shape[-1] ** 0.5  # (batch, head, time, time)
        weights = self.dropout(scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1))
        return self.join((weights @ values).transpose(1, 2).flatten(2))


class SASRec(Backbone):
    """Self-attention blocks on items and positions, scored with the items' own embedding. Built in lesson 13.

    Positions are counted from the right end of a row, so that padding on the left changes nothing; what is further
    back than `max_length` shares the last place. Dropout acts on the embedded items, on the attention weights and on
    the branches of each block.

    Source: Kang & McAuley (2018).
    """

    @validated
    def __init__(
        self,
        num_items: Size,
        *,
        channels: Size = 64,
        num_blocks: Size = 2,
        heads: Size = 1,
        max_length: Size = 50,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        self.sizes = {
            "num_items": num_items, "channels": channels, "num_blocks": num_blocks, "heads": heads,
            "max_length": max_length, "dropout": dropout,
        }  # fmt: skip
        self.embedding = item_embedding(num_items, channels)
        self.positions = nn.Parameter(torch.randn(max_length, channels) * channels**-0.5)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(AttentionBlock(channels, heads, dropout=dropout) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(channels)
        self.output_bias = nn.Parameter(torch.zeros(num_items))

    def embed(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Embed items and add the place of each, counted from the right; padding becomes 0."""
        age = torch.arange(items.shape[1] - 1, -1, -1, device=items.device)  # 0 at the right end
        age = age.clamp_max(len(self.positions) - 1)
        embedded = self.embedding(items) + self.positions[age]
        return self.dropout(embedded * (items > 0).unsqueeze(-1))

    @validated
    def score(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where columns"]:
        """Score all items by their embedding; column 0 (padding) has a bias of -inf."""
        bias = F.pad(self.output_bias, (1, 0), value=-torch.inf)  # column 0, padding
        return F.linear(self.norm(hidden), self.embedding.weight, bias)

"""What every model has in common: embedded items, scores of all items, and the walk through gated blocks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from skiprec_lite.inputs import check_no_nan
from skiprec_lite.promises import Size, like, validated

Gates = Annotated[Num[Tensor, "batch block"], check_no_nan]  # 1 keeps a block, 0 passes it by


class NextItemModel(nn.Module):
    """What can be trained, evaluated and asked for recommendations: it scores all items at chosen positions.

    Most models read the history, `encode(items)` -> hidden states, of which position t has read items 0 ... t only, and
    score these, `score(hidden)` -> a column per item, column 0 (padding) at -inf. Others write their own score_at.
    """

    check_argument = staticmethod(like("a backbone, a SkipRec or a baseline", "score_at"))
    encode: Callable[..., Float[Tensor, "batch time channel"]]
    score: Callable[..., Float[Tensor, "*where columns"]]

    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position."""
        return self.score(self.encode(items))

    @validated
    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row.

        A policy may read no item behind `cut`, an index for each row; models without a policy ignore it.
        """
        return self.score(self.encode(items)[where])  # (batch, time, channel) -> (scored, channel)


class Encoder(NextItemModel):
    """A model with hidden states from an embedding: what it scores at a position depends on these alone."""

    embedding: nn.Embedding

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return {"channel": self.embedding.embedding_dim}


class Backbone(Encoder):
    """Embed -> residual blocks, each behind a gate -> scores. Built in lesson 06.

    A backbone sets `embedding`, `blocks` (each (hidden, mask) -> hidden) and the output layer in its __init__, brings
    `embed(items)`, 0 at padding, and `score(hidden)`, and inherits the one walk through the gated blocks.
    """

    check_argument = staticmethod(
        like("a backbone of residual blocks, such as a NextItNet", "embed", "blocks", "score", "encode")
    )
    embed: Callable[..., Float[Tensor, "batch time channel"]]
    blocks: nn.ModuleList
    sizes: dict[str, object]  # what it was made with: a checkpoint writes it down

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return super().axis_lengths() | {"block": len(self.blocks)}

    @validated
    def encode(
        self, items: Int[Tensor, "batch time"], gates: Gates | None = None
    ) -> Float[Tensor, "batch time channel"]:
        """Walk through the blocks: E_adaptive^l = I_l * E^l + (1 - I_l) * E_adaptive^(l-1).

        Gates may be any numbers; None keeps all blocks. Position t has read items 0 ... t only.

        Source: Chen et al. (2021), SkipRec.
        """
        mask = items > 0  # True at real items
        hidden = self.embed(items)  # (batch, time, channel)
        for index, block in enumerate(self.blocks):
            out = block(hidden, mask)
            if gates is None:
                hidden = out
            else:  # lerp is the equation in one kernel, exact at gates 0 and 1
                gate = gates[:, index, None, None].to(out)  # (batch, 1, 1)
                hidden = torch.lerp(hidden, out, gate)
        return hidden

    def forward(
        self, items: Int[Tensor, "batch time"], gates: Gates | None = None
    ) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position."""
        return self.score(self.encode(items, gates))


class ItemEmbedding(nn.Embedding):
    """An embedding of item indices 0 ... num_items that says so where an item is no such index."""

    def forward(self, items: Int[Tensor, "..."]) -> Float[Tensor, "... channel"]:
        """Look the items up."""
        check_items(items, self.num_embeddings - 1)
        return super().forward(items)


@validated
def item_embedding(num_items: Size, channels: Size) -> ItemEmbedding:
    """Embed item indices 0 ... num_items; row 0, padding, is 0 and stays 0.

    The standard deviation 1 / sqrt(channels) keeps the first scores of a tied model near 1.
    """
    embedding = ItemEmbedding(num_items + 1, channels, padding_idx=0)
    with torch.no_grad():
        embedding.weight[1:].normal_(std=channels**-0.5)
    return embedding


def check_items(items: Int[Tensor, "..."], num_items: int) -> None:
    """Raise ValueError unless every item is 0 (padding) or an index 1 ... num_items."""
    if items.numel() and (int(items.min()) < 0 or int(items.max()) > num_items):
        raise ValueError(f"items must lie in 0 ... {num_items}, got {int(items.min())} ... {int(items.max())}")


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode for the while, and back into the mode that it was in, whatever happens."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)

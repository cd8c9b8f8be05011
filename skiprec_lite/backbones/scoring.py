"""What every model has in common: embedded items, scores of all items, and the walk through gated blocks."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from skiprec_lite.inputs import check_no_nan
from skiprec_lite.promises import Size, like, validated


class NextItemModel(nn.Module):
    """What can be evaluated and asked for recommendations: it scores all items at chosen positions."""

    check_argument = staticmethod(like("a backbone, a SkipRec or a baseline", "score_at"))

    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row.

        Args:
            items: item indices, 0 = padding on the left.
            where: the positions to score.
            cut: index of the last item that a policy may read in each row; models without a policy ignore it.

        Returns:
            One row per chosen position, one column per item; column 0 (padding) at -inf.
        """
        raise NotImplementedError


class Encoder(NextItemModel):
    """A model that reads the history into hidden states: what it scores at a position depends on these alone."""

    embedding: nn.Embedding

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return {"channel": self.embedding.embedding_dim}

    def encode(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Read the history; position t has read items 0 ... t only."""
        raise NotImplementedError

    def score(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where columns"]:
        """Score all items, column 0 (padding) at -inf."""
        raise NotImplementedError

    @validated
    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row."""
        return self.score(self.encode(items)[where])  # (batch, time, channel) -> (scored, channel)


class Backbone(Encoder):
    """Embed -> residual blocks, each behind a gate -> scores. Built in lesson 06.

    A backbone sets `embedding`, `blocks` (each (hidden, mask) -> hidden) and the output layer in its __init__,
    and inherits the one walk through the gated blocks.
    """

    check_argument = staticmethod(
        like("a backbone of residual blocks, such as a NextItNet", "embed", "blocks", "score", "encode")
    )
    blocks: nn.ModuleList
    sizes: dict[str, object]

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return super().axis_lengths() | {"block": len(self.blocks)}

    def embed(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Embed items; padding becomes 0."""
        raise NotImplementedError

    @validated
    def encode(
        self, items: Int[Tensor, "batch time"], gates: Num[Tensor, "batch block"] | None = None
    ) -> Float[Tensor, "batch time channel"]:
        """Walk through the blocks: E_adaptive^l = I_l * E^l + (1 - I_l) * E_adaptive^(l-1).

        Args:
            items: item indices, 0 = padding on the left.
            gates: one number per row and block, 1 keeps the block, 0 passes it by; None keeps all.

        Returns:
            Hidden states; position t has read items 0 ... t only.

        Raises:
            ValueError: if an item is outside 0 ... num_items, or a gate is NaN.

        Source: Chen et al. (2021), SkipRec.
        """
        self.check_input(items, gates)
        mask = items > 0
        hidden = self.embed(items)  # (batch, time, channel)
        for index, block in enumerate(self.blocks):
            out = block(hidden, mask)
            if gates is None:
                hidden = out
            else:  # lerp is the equation in one kernel, exact at gates 0 and 1
                hidden = torch.lerp(hidden, out, gates[:, index, None, None].to(out.dtype))
        return hidden

    def check_input(self, items: Int[Tensor, "batch time"], gates: Num[Tensor, "batch block"] | None = None) -> None:
        """Raise ValueError unless items are 0 ... num_items and no gate, if any, is NaN."""
        check_items(items, self.embedding.num_embeddings - 1)
        if gates is not None:
            check_no_nan("gates", gates)

    def forward(
        self, items: Int[Tensor, "batch time"], gates: Num[Tensor, "batch block"] | None = None
    ) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position: score(encode(items, gates))."""
        return self.score(self.encode(items, gates))


@validated
def item_embedding(num_items: Size, channels: Size) -> nn.Embedding:
    """Embed item indices 0 ... num_items; row 0, padding, is 0 and stays 0.

    The standard deviation 1 / sqrt(channels) keeps the first scores of a tied model near 1.
    """
    embedding = nn.Embedding(num_items + 1, channels, padding_idx=0)
    with torch.no_grad():
        embedding.weight[1:].normal_(std=channels**-0.5)
    return embedding


def check_items(items: Int[Tensor, "batch time"], num_items: int) -> None:
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

"""Models that score the next item: NextItNet, SASRec, NFM, and two honest baselines that only count."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite.blocks import AttentionBlock, ResidualBlock
from skiprec_lite.inputs import check_no_nan, whole_numbers
from skiprec_lite.promises import Count, Positive, Share, Size, like, validated
from skiprec_lite.splits import Split


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

    def hidden_at(
        self, items: Int[Tensor, "batch time"], where: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "scored channel"]:
        """Return the hidden states that `score_at` would score: what a sampled softmax starts from.

        Raises:
            TypeError: if the model has none.
        """
        raise TypeError(f"a {type(self).__name__} has no hidden states that a sample of items could be scored from")


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode for the while, and back into the mode that it was in, whatever happens."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


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

    def before_output(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where channel"]:
        """Return what the output layer reads: the hidden states themselves, unless a model says otherwise."""
        return hidden

    def output_rows(
        self, items: Int[Tensor, " chosen"]
    ) -> tuple[Float[Tensor, "chosen channel"], Float[Tensor, " chosen"]]:
        """Return the output layer's weights and biases of chosen items, 1 ... num_items.

        before_output(hidden) @ weights.T + biases are these items' columns of score(hidden).

        Raises:
            TypeError: if the model cannot give them.
        """
        raise TypeError(f"a {type(self).__name__} scores all items or none: it has no output_rows")

    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row."""
        return self.score(self.hidden_at(items, where))

    @validated
    def hidden_at(
        self, items: Int[Tensor, "batch time"], where: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "scored channel"]:
        """Return the hidden states of the positions where `where` is True, row by row."""
        return self.encode(items)[where]  # (batch, time, channel) -> (scored, channel)


class Backbone(Encoder):
    """Embed -> residual blocks, each behind a gate -> scores. Built in lesson 05.

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


class NextItNet(Backbone):
    """NextItNet (plain, rezero=False) and NextItNet+ (rezero=True). Built in lesson 05.

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

    def output_rows(
        self, items: Int[Tensor, " chosen"]
    ) -> tuple[Float[Tensor, "chosen channel"], Float[Tensor, " chosen"]]:
        """Return the output layer's weights and biases of chosen items, 1 ... num_items."""
        return F.embedding(items, self.output_weight), self.output_bias[items - 1]


class SASRec(Backbone):
    """Self-attention blocks on items and positions, scored with the items' own embedding. Built in lesson 10.

    Positions are counted from the right end of a row, so that padding on the left changes nothing; what is further
    back than `max_length` shares the last place.

    Args:
        num_items: size of the catalogue; item indices 1 ... num_items.
        channels: width of the embedding and of every block.
        num_blocks: attention blocks.
        heads: attention heads of each block.
        max_length: different positions.
        dropout: on the embedded items, the attention weights and the branches of each block.

    Raises:
        ValueError: if heads do not divide channels.

    Source: Kang & McAuley (2018).
    """

    padding_score: Tensor

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
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(AttentionBlock(channels, heads, dropout=dropout) for _ in range(num_blocks))
        self.norm = nn.LayerNorm(channels)
        self.output_bias = nn.Parameter(torch.zeros(num_items))
        self.register_buffer("padding_score", torch.tensor([-torch.inf]), persistent=False)

    def embed(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time channel"]:
        """Embed items and add the place of each, counted from the right; padding becomes 0."""
        age = torch.arange(items.shape[1] - 1, -1, -1, device=items.device).clamp_max(len(self.positions) - 1)
        embedded = self.embedding(items) + self.positions[age]
        return self.dropout(embedded * (items > 0).unsqueeze(-1))

    @validated
    def score(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where columns"]:
        """Score all items by their embedding; column 0 (padding) has a bias of -inf."""
        bias = torch.cat([self.padding_score, self.output_bias])
        return F.linear(self.before_output(hidden), self.embedding.weight, bias)

    def before_output(self, hidden: Float[Tensor, "*where channel"]) -> Float[Tensor, "*where channel"]:
        """Return what the output layer reads: the normalised hidden states."""
        return self.norm(hidden)

    def output_rows(
        self, items: Int[Tensor, " chosen"]
    ) -> tuple[Float[Tensor, "chosen channel"], Float[Tensor, " chosen"]]:
        """Return the embedding and the biases of chosen items, 1 ... num_items."""
        return F.embedding(items, self.embedding.weight), self.output_bias[items - 1]


class NFM(Encoder):
    """Neural factorisation machine: an MLP on what the items of a history have in common. Built in lesson 06.

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

    def output_rows(
        self, items: Int[Tensor, " chosen"]
    ) -> tuple[Float[Tensor, "chosen channel"], Float[Tensor, " chosen"]]:
        """Return the output layer's weights and biases of chosen items, 1 ... num_items."""
        return F.embedding(items - 1, self.output.weight), self.output.bias[items - 1]

    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position: score(encode(items))."""
        return self.score(self.encode(items))


class _Counting(NextItemModel):
    """A model without a hidden state: what it scores depends on the present item at most."""

    @validated
    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row."""
        return self(items[where].unsqueeze(0)).squeeze(0)


class Popularity(_Counting):
    """Score each item by the log of its share of the training interactions. Built in lesson 04.

    Raises:
        ValueError: if the split has nothing to count.
    """

    share: Tensor

    @validated
    def __init__(self, split: Split) -> None:
        super().__init__()
        if not any(len(sequence) for sequence in split.sequences):
            raise ValueError("split.sequences hold no item: there is nothing to count")
        items = np.concatenate(split.sequences)
        if items.min() < 1 or items.max() > split.num_items:
            raise ValueError(
                f"split.sequences must hold items 1 ... {split.num_items}, got {items.min()} ... {items.max()}"
            )
        counts = np.bincount(items, minlength=split.num_items + 1)
        self.register_buffer("share", torch.from_numpy(counts / counts.sum()))

    @validated
    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position."""
        check_items(items, len(self.share) - 1)
        return self.share.log().expand(*items.shape, -1)


class MarkovChain(_Counting):
    """First-order Markov chain: score the next item by what followed the present one. Built in lesson 04.

    p(j | i) = (count(i -> j) + strength * share(j)) / (count(i -> anything) + strength): the counts back off to
    popularity where they are few. Scores are log p.

    Raises:
        ValueError: if the split has nothing to count.
    """

    next_items: Tensor
    counts: Tensor
    starts: Tensor

    @validated
    def __init__(self, split: Split, strength: Positive = 10.0) -> None:
        super().__init__()
        self.strength = strength
        self.popularity = Popularity(split)
        columns = split.num_items + 1
        pairs = np.concatenate([s[:-1] * columns + s[1:] for s in split.sequences])  # one number per transition
        pairs, counts = np.unique(pairs, return_counts=True)  # sorted by the first item
        starts = np.searchsorted(pairs, np.arange(columns + 1) * columns)
        self.register_buffer("next_items", torch.from_numpy(pairs % columns))
        self.register_buffer("counts", torch.from_numpy(counts))
        self.register_buffer("starts", torch.from_numpy(starts))

    @validated
    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position."""
        check_items(items, len(self.popularity.share) - 1)
        share: Tensor = self.popularity.share
        flat = items.reshape(-1)
        begin, length = self.starts[flat], self.starts[flat + 1] - self.starts[flat]
        row = torch.repeat_interleave(torch.arange(len(flat)), length)  # one entry per stored transition
        entry = torch.arange(len(row)) - (length.cumsum(0) - length - begin)[row]
        weight = (self.strength * share).repeat(len(flat), 1)
        weight[row, self.next_items[entry]] += self.counts[entry]
        total = torch.zeros(len(flat), dtype=share.dtype).index_add_(0, row, self.counts[entry].to(share.dtype))
        return (weight / (total + self.strength).unsqueeze(-1)).log().reshape(*items.shape, len(share))


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

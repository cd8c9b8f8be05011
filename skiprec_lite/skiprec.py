"""SkipRec: any backbone of residual blocks, and a policy that decides for each user which of them to keep."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from skiprec_lite.backbones import Backbone, NextItemModel, in_eval_mode
from skiprec_lite.gumbel import check_logits, gumbel_softmax
from skiprec_lite.inputs import item_row
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.promises import Positive, Rows, Size, like, validated
from skiprec_lite.skipping import encode_kept
from skiprec_lite.windows import last_position, pad_left

Histories = Annotated[
    Sequence[Sequence[int] | np.ndarray], like("a list of histories, such as [[3, 1, 2]]", "__len__", "__iter__")
]
AnyLogits = Annotated[Float[Tensor, "batch gate 2"], check_logits]


class SkipRec(NextItemModel):
    """User-adaptive depth: the policy's gates decide which residual blocks of the backbone a user runs.

    Gates are sampled (straight-through Gumbel-Softmax) in training mode and greedy in eval mode; the published
    code samples them in both. Built in lesson 08.

    Args:
        backbone: a model with `embed`, `blocks`, `score` and `encode`.
        policy: made for the backbone's number of blocks, and for its items.
        tau: temperature of the gates' gradient.

    Source: Chen et al. (2021).
    """

    check_argument = staticmethod(like("a SkipRec", "backbone", "policy", "gates", "score_at"))

    @validated
    def __init__(self, backbone: Backbone, policy: PolicyNetwork, *, tau: Positive = 10.0) -> None:
        super().__init__()
        for what, key, here in (
            ("blocks", "num_blocks", len(backbone.blocks)),
            ("items", "num_items", backbone.sizes["num_items"]),
        ):
            if policy.sizes[key] != here:
                raise ValueError(f"the policy is made for {policy.sizes[key]} {what}, the backbone has {here}")
        self.backbone = backbone
        self.policy = policy
        self.tau = tau

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return {"block": len(self.backbone.blocks)}

    def gate_logits(
        self, items: Int[Tensor, "batch time"], cut: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch block 2"]:
        """Return the policy's logits (keep, skip), from the items up to and including `cut` only."""
        return self.policy(visible(items, cut))

    def gates(
        self, items: Int[Tensor, "batch time"], cut: Int[Tensor, " batch"] | None = None, *, sample: bool
    ) -> Float[Tensor, "batch block"]:
        """One gate per row and block, 1 = keep.

        Args:
            items: item indices, 0 = padding on the left.
            cut: index of the last item that the policy may read in each row; None = the last one.
            sample: True draws straight-through gates (also in eval mode), False takes the likelier choice:
                keep iff the keep logit is larger.
        """
        return self.decide(self.gate_logits(items, cut), sample=sample)

    @validated
    def decide(self, logits: AnyLogits, *, sample: bool) -> Float[Tensor, "batch gate"]:
        """Turn logits (keep, skip) of any gates into gates: a straight-through sample, or keep iff keep's is larger."""
        if sample:
            return gumbel_softmax(logits, self.tau, hard=True)[..., 0]
        return (logits[..., 0] > logits[..., 1]).to(logits.dtype)

    @validated
    def forward(
        self, items: Int[Tensor, "batch time"], cut: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position from `cut` on; before it scores are NaN.

        Position t scores item t + 1. With gates that have read item `cut`, only positions >= cut are honest.
        """
        hidden = self.backbone.encode(items, self.gates(items, cut, sample=self.training))
        before = _positions(items) < _cut_column(items, cut)
        return self.backbone.score(hidden).masked_fill(before.unsqueeze(-1), torch.nan)

    @validated
    def score_at(
        self,
        items: Int[Tensor, "batch time"],
        where: Bool[Tensor, "batch time"],
        cut: Int[Tensor, " batch"] | None = None,
        gates: Num[Tensor, "batch block"] | None = None,
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row, without running skipped blocks.

        Args:
            items: item indices, 0 = padding on the left.
            where: the positions to score.
            cut: index of the last item that the policy may read in each row; None = the last one.
            gates: 0 / 1 gates to use in place of the policy's greedy ones.

        A position before `cut` is an error: the gates have read what comes there.
        """
        before = where[:, :-1] if cut is None else where & (_positions(items) < _cut_column(items, cut))
        if before.any():
            raise ValueError("a position before the cut cannot be scored: its gates have read the item to predict")
        if gates is None:
            gates = self.gates(items, cut, sample=False)
        return self.backbone.score(self.skip_blocks(items, gates)[where])

    def skip_blocks(
        self, items: Int[Tensor, "batch time"], gates: Num[Tensor, "batch block"]
    ) -> Float[Tensor, "batch time channel"]:
        """Walk through the blocks and run each only for the rows that keep it; see `encode_kept`."""
        return encode_kept(self.backbone, items, gates)


@validated
def visible(items: Rows, cut: Int[Tensor, " batch"] | None) -> Int[Tensor, "batch time"]:
    """Return what the policy may read: everything after `cut` becomes padding."""
    return items if cut is None else items.masked_fill(_positions(items) > _cut_column(items, cut), 0)


@torch.no_grad()
@validated
def recommend(
    model: NextItemModel,
    histories: Histories,
    k: Size,
    *,
    exclude_seen: bool = True,
    length: Size = 50,
    batch_size: Size = 256,
) -> tuple[Int[Tensor, "user k"], Float[Tensor, "user k"]]:
    """The k best next items for each history.

    Args:
        model: a backbone, a SkipRec (greedy gates, skipped blocks are not run) or a baseline.
        histories: lists of item indices 1 ... num_items, oldest first, of any lengths.
        k: how many to recommend.
        exclude_seen: leave out what is in the history.
        length: how many of the last items the model reads.
        batch_size: histories scored at once.

    Returns:
        items and scores, both (len(histories), k), best first.

    Raises:
        TypeError: if a history holds anything but whole numbers.
        ValueError: if k is larger than what can be recommended, a history is empty, or an item is unknown.
    """
    rows = [item_row(f"history {row}", history) for row, history in enumerate(histories)]
    for row, history in enumerate(rows):
        if len(history) == 0:
            raise ValueError(f"history {row} is empty: a next item needs at least one item before it")
        if history.min() < 1:
            raise ValueError(f"history {row} holds item {history.min()}: items are numbered from 1")
    found = [(torch.empty(0, k, dtype=torch.int64), torch.empty(0, k))]
    with in_eval_mode(model):
        for start in range(0, len(rows), batch_size):
            found.append(_best(model, rows[start : start + batch_size], k, exclude_seen, length))
    return torch.cat([items for items, _ in found]), torch.cat([scores for _, scores in found])


def _best(
    model: NextItemModel, histories: list[np.ndarray], k: int, exclude_seen: bool, length: int
) -> tuple[Int[Tensor, "user k"], Float[Tensor, "user k"]]:
    items = pad_left(histories, length)
    scores = model.score_at(items, last_position(items)).to(torch.float32, copy=True)
    for history in histories:  # all of it, also what is older than the model reads
        if history.max() >= scores.shape[1]:
            raise ValueError(f"items must lie in 1 ... {scores.shape[1] - 1}, got {history.max()}")
    if exclude_seen:
        for row, history in zip(scores, histories):
            row[torch.as_tensor(np.asarray(history, dtype=np.int64))] = -torch.inf
    left = int(torch.isfinite(scores).sum(dim=1).min())
    if k > left:
        raise ValueError(f"k must be at most {left}, the items left to recommend, got {k}")
    best = scores.topk(k, dim=1)
    return best.indices, best.values


def _positions(items: Int[Tensor, "batch time"]) -> Int[Tensor, "1 time"]:
    return torch.arange(items.shape[1], device=items.device).unsqueeze(0)


def _cut_column(items: Int[Tensor, "batch time"], cut: Int[Tensor, " batch"] | None) -> Int[Tensor, "rows 1"]:
    """`cut` as a column; None means that the policy reads all, so that only the last position is honest."""
    time = items.shape[1]
    if cut is None:
        return torch.full((1, 1), time - 1, device=items.device)
    if len(cut) and (int(cut.min()) < 0 or int(cut.max()) >= time):
        raise ValueError(f"cut must lie in 0 ... {time - 1}, got {int(cut.min())} ... {int(cut.max())}")
    return cut.unsqueeze(1)

"""SkipRec: any backbone of residual blocks, and a policy that decides for each user which of them to keep."""

from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from skiprec_lite.backbones import Backbone, NextItemModel
from skiprec_lite.gumbel import check_logits, gumbel_softmax
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.promises import Positive, Rows, like, validated
from skiprec_lite.recommending import recommend as recommend
from skiprec_lite.skipping import encode_kept

Items = Int[Tensor, "batch time"]  # 0 = padding on the left
Where = Bool[Tensor, "batch time"]
Gates = Num[Tensor, "batch block"]  # 1 = keep
Cut = Int[Tensor, " batch"] | None  # index of the last item that the policy may read in each row; None = the last one
AnyLogits = Annotated[Float[Tensor, "batch gate 2"], check_logits]


class SkipRec(NextItemModel):
    """User-adaptive depth: the policy's gates decide which residual blocks of the backbone a user runs.

    Gates are sampled (straight-through Gumbel-Softmax) in training mode and greedy in eval mode; the published
    code samples them in both. `tau` is the temperature of their gradient. Built in lesson 08.

    Source: Chen et al. (2021).
    """

    check_argument = staticmethod(like("a SkipRec", "backbone", "policy", "gates", "score_at"))

    @validated
    def __init__(self, backbone: Backbone, policy: PolicyNetwork, *, tau: Positive = 10.0) -> None:
        super().__init__()
        check_fit(backbone, policy)
        self.backbone = backbone
        self.policy = policy
        self.tau = tau

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return {"block": len(self.backbone.blocks)}

    def gate_logits(self, items: Items, cut: Cut = None) -> Float[Tensor, "batch block 2"]:
        """Return the policy's logits (keep, skip), from the items up to and including `cut` only."""
        return self.policy(visible(items, cut))

    def gates(self, items: Items, cut: Cut = None, *, sample: bool) -> Float[Tensor, "batch block"]:
        """One gate per row and block, 1 = keep: drawn, also in eval mode, or the likelier choice; see `decide`."""
        return self.decide(self.gate_logits(items, cut), sample=sample)

    @validated
    def decide(self, logits: AnyLogits, *, sample: bool) -> Float[Tensor, "batch gate"]:
        """Turn logits (keep, skip) of any gates into gates: a straight-through sample, or keep iff keep's is larger."""
        if sample:
            return gumbel_softmax(logits, self.tau, hard=True)[..., 0]
        return (logits[..., 0] > logits[..., 1]).to(logits.dtype)

    @validated
    def forward(self, items: Items, cut: Cut = None) -> Float[Tensor, "batch time columns"]:
        """Score every item at every position from `cut` on; before it scores are NaN.

        Position t scores item t + 1. With gates that have read item `cut`, only positions >= cut are honest.
        """
        hidden = self.backbone.encode(items, self.gates(items, cut, sample=self.training))
        first = items.shape[1] - 1 if cut is None else cut.unsqueeze(1)  # the first position that may be scored
        before = torch.arange(items.shape[1], device=items.device) < first
        return self.backbone.score(hidden).masked_fill(before.unsqueeze(-1), torch.nan)

    @validated
    def score_at(
        self, items: Items, where: Where, cut: Cut = None, gates: Gates | None = None
    ) -> Float[Tensor, "scored columns"]:
        """Score only the positions where `where` is True, row by row, without running skipped blocks.

        Under the policy's greedy gates, or those given. A position before `cut` is an error: the gates have read what
        comes there.
        """
        check_cut(items, cut)
        first = items.shape[1] - 1 if cut is None else cut.unsqueeze(1)
        if (where & (torch.arange(items.shape[1], device=items.device) < first)).any():
            raise ValueError("a position before the cut cannot be scored: its gates have read the item to predict")
        if gates is None:
            gates = self.gates(items, cut, sample=False)
        return self.backbone.score(self.skip_blocks(items, gates)[where])

    def skip_blocks(self, items: Items, gates: Gates) -> Float[Tensor, "batch time channel"]:
        """Walk through the blocks and run each only for the rows that keep it; see `encode_kept`."""
        return encode_kept(self.backbone, items, gates)


def check_fit(backbone: Backbone, policy: PolicyNetwork) -> None:
    """Raise ValueError unless the policy is made for so many blocks and items as the backbone has."""
    for what, here in (("blocks", len(backbone.blocks)), ("items", backbone.sizes["num_items"])):
        if (there := policy.sizes[f"num_{what}"]) != here:
            raise ValueError(f"the policy is made for {there} {what}, the backbone has {here}")


def check_cut(items: Items, cut: Cut) -> None:
    """Raise ValueError unless each cut lies in its row."""
    last = items.shape[1] - 1
    if cut is not None and len(cut) and (int(cut.min()) < 0 or int(cut.max()) > last):
        raise ValueError(f"cut must lie in 0 ... {last}, got {int(cut.min())} ... {int(cut.max())}")


@validated
def visible(items: Rows, cut: Cut) -> Int[Tensor, "batch time"]:
    """Return what the policy may read: everything after `cut` becomes padding. Built in lesson 08."""
    check_cut(items, cut)
    if cut is None:
        return items
    return items.masked_fill(torch.arange(items.shape[1], device=items.device) > cut.unsqueeze(1), 0)

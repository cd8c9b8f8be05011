"""What skipping buys: the walk that leaves blocks out, a budget of blocks, and the time that both take."""

import statistics
import time
from typing import Annotated, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from skiprec_lite.backbones.scoring import Backbone, Gates
from skiprec_lite.gumbel import check_logits
from skiprec_lite.promises import Count, Size, like, validated
from skiprec_lite.windows import last_position

# A SkipRec, whose module stands on this one.
WithGates = Annotated[Any, like("a SkipRec", "backbone", "policy", "gates", "score_at")]
KeepOrSkip = Annotated[Float[Tensor, "batch block 2"], check_logits]  # the last axis: (keep, skip)
CHUNK = 96  # rows that run a block at once: more spill the cache, fewer leave it idle


@validated
def encode_kept(
    backbone: Backbone, items: Int[Tensor, "batch time"], gates: Gates
) -> Float[Tensor, "batch time channel"]:
    """Walk through the blocks and run each only for the rows that keep it: gather, run, put back.

    Equal to backbone.encode(items, gates) to float precision, gradients of the backbone included. Built in lesson 12.
    """
    keep = gates.bool()
    if (gates != keep).any():
        raise ValueError("gates must be 0 or 1: a block cannot be half skipped")
    mask = items > 0
    hidden = backbone.embed(items).clone()  # (batch, time, channel); the walk writes into it, so it is our own
    for block, kept, number in zip(backbone.blocks, keep.T, keep.sum(dim=0).tolist()):  # so many keep it
        if number == len(items) <= CHUNK:  # nobody skips: nothing to gather
            hidden = block(hidden, mask).clone()
        elif number:
            for some in kept.nonzero().squeeze(1).split(CHUNK):  # copies: no gradient needs what is overwritten
                out = block(hidden.index_select(0, some), mask.index_select(0, some))
                hidden.index_copy_(0, some, out)
    return hidden


@validated
def within_budget(logits: KeepOrSkip, k: Count) -> Float[Tensor, "batch block"]:
    """Greedy gates with at most k blocks a user: of those that the policy would keep, the k it is surest of.

    Sure means a large gap between the keep and the skip logit. Built in lesson 12.
    """
    gap = logits[..., 0] - logits[..., 1]
    surest = gap.topk(min(k, gap.shape[1]), dim=1).indices
    return torch.zeros_like(gap).scatter(1, surest, 1.0) * (gap > 0)


@torch.no_grad()
@validated
def inference_seconds(model: WithGates, items: Int[Tensor, "batch time"], *, repeats: Size = 9) -> dict[str, float]:
    """Measure the next-item scores of one batch: all blocks run, and only the kept ones. Built in lesson 12.

    The two are timed in turn, `repeats` times each, so that a machine whose speed drifts treats them alike; the
    policy's own time counts for the second. The model has to be in eval mode.

    Returns:
        {"full": …, "skipped": …}, medians in seconds.
    """
    where = last_position(items)
    seconds: dict[str, list[float]] = {"full": [], "skipped": []}
    for _ in range(repeats + 1):
        for name, scorer in (("full", model.backbone), ("skipped", model)):
            start = time.perf_counter()
            scorer.score_at(items, where).cpu()  # a GPU is done when its numbers are here
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(found[1:]) for name, found in seconds.items()}  # the first one warms up

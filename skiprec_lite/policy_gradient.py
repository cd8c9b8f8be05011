"""The policy learnt by its own successes: no gradient passes through a gate, only rewards come back."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from skiprec_lite.backbones import in_eval_mode
from skiprec_lite.gate_losses import losses_at, per_row
from skiprec_lite.promises import Size, validated
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows


@validated
def block_drop_reward(
    hit: Bool[Tensor, "*where"], used: Float[Tensor, "*where"], *, miss: float = 0.5
) -> Float[Tensor, "*where"]:
    """A hit earns 1 - used^2, a miss costs a constant: the fewer blocks, the more a hit is worth.

    Built in lesson 13. `hit`: whether the true item was among the first ones; `used`: the share of blocks that ran.

    Source: Wu et al. (2018), BlockDrop.
    """
    return torch.where(hit, 1 - used.square(), -miss)


@validated
def published_reward(
    hit: Bool[Tensor, "*where"], used: Float[Tensor, "*where"], *, gamma: float = 1.0
) -> Float[Tensor, "*where"]:
    """The reward in the authors' code, 1 - gamma (1 - used)^2: it *falls* with skipping. A miss costs gamma.

    Built in lesson 13.
    """
    return torch.where(hit, 1 - gamma * (1 - used).square(), -gamma)


@validated
def log_probability(
    logits: Float[Tensor, "batch block 2"], gates: Float[Tensor, "batch block"]
) -> Float[Tensor, " batch"]:
    """Log-probability of each row's gates under independent choices. Built in lesson 13."""
    log_pi = F.log_softmax(logits, dim=-1)  # (batch, block, keep / skip)
    return (gates * log_pi[..., 0] + (1 - gates) * log_pi[..., 1]).sum(dim=1)


@validated
def self_critical_loss(
    model: SkipRec, batch: Windows, cost: float, *, k: Size = 10, miss: float = 0.5
) -> Float[Tensor, ""]:
    """Cross-entropy of the backbone under sampled gates, and a self-critical step for the policy.

    The reward of the sampled gates is compared with that of the greedy ones, and the log-probability of the sampled
    gates is pushed by the difference: -(R(sampled) - R(greedy)) log p(sampled). A hit is a true item among the first
    `k` of all, scored without dropout, also where a sampled softmax shortens the cross-entropy; a row's reward is the
    mean over its scored positions. `miss` sets what skipping may cost: a hit at full depth stands miss above a miss,
    one without any block 1 + miss. Fits `skiprec_stages(..., gate_loss=self_critical_loss)`, where `cost` is the
    weight of the policy's part; Adam divides it out again, since nothing else moves the policy. Built in lesson 13.

    Source: Rennie et al. (2017); Wu et al. (2018), BlockDrop.
    """
    logits = model.gate_logits(batch.items, batch.cut)
    gates = model.decide(logits, sample=True).detach()
    greedy = model.decide(logits, sample=False)
    scored = batch.scored()
    row = scored.nonzero(as_tuple=True)[0]  # the row of each scored position
    rewards = []
    with torch.no_grad(), in_eval_mode(model):  # dropout would be noise in the difference
        for choice in (gates, greedy):
            scores = model.backbone.score(model.skip_blocks(batch.items, choice)[scored])
            true = scores.gather(1, batch.targets[scored].unsqueeze(1))
            hits = (scores >= true).sum(dim=1) <= k  # ties count against the target, as in metrics
            used = choice.mean(dim=1)
            rewards.append(per_row(block_drop_reward(hits, used[row], miss=miss), batch))
    advantage = rewards[0] - rewards[1]
    policy = -(advantage * log_probability(logits, gates)).mean()
    return losses_at(model.backbone, batch, gates).mean() + cost * policy

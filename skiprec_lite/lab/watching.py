"""What the gates of synthetic users do, and what they are worth to them, epoch by epoch."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from skiprec_lite.enumeration import gate_differences, gate_slopes
from skiprec_lite.evaluation import mean_per_user, rank_cases
from skiprec_lite.gate_losses import straight_through_loss
from skiprec_lite.lab.stand_ins import kept_above
from skiprec_lite.metrics import hit_rate
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.synthetic import KnownDepth
from skiprec_lite.windows import Windows

USERS = 50  # of each group that are looked at, epoch by epoch
DRAWS = 4


def watch_groups(known: KnownDepth, model: SkipRec, cases: Windows) -> list[dict[str, Any]]:
    """One row per group: its accuracy, its greedy gates, what straight-through sees of them and what is true.

    Args:
        known: the groups.
        model: the SkipRec, in eval mode.
        cases: users of all groups in turn; the first of them are looked at.

    Returns:
        For each group lag, accuracy, blocks, keep (share of users that keep a block), probability (mean probability to
        keep it), slope (mean -dL/dgate at the greedy gates, above 0 = straight-through would keep the block),
        difference (mean L(skipped) - L(kept), above 0 = the block helps), each of the last four as one string of a
        number per block; signal and noise of the straight-through gradient that reaches the logits; accuracy under
        sampled gates, accuracy and blocks where a probability above .2 is enough to keep.
    """
    few = cases.rows(slice(0, USERS * len(known.lags)))
    logits = model.gate_logits(few.items, few.cut).detach()
    probability = logits.softmax(dim=-1)[..., 0]
    gates, lower = model.decide(logits, sample=False), kept_above(logits)
    correct, of_lower = _correct(model, few, gates), _correct(model, few, lower)
    slopes, worth = -gate_slopes(model.backbone, few, gates), -gate_differences(model.backbone, few, gates)
    draws = torch.stack([logit_gradient(model, few) for _ in range(DRAWS)])  # (draw, row, block)
    sampled = [_correct(model, few, model.decide(logits, sample=True)) for _ in range(DRAWS)]
    of_sampled = torch.stack(sampled).mean(dim=0)
    rows = []
    for group, lag in enumerate(known.lags):
        here = known.group_of(few) == group
        rows.append({
            "lag": lag,
            "accuracy": round(float(correct[here].mean()), 4),
            "blocks": round(float(gates[here].sum(dim=1).mean()), 3),
            "keep": _joined(gates[here].mean(dim=0)),
            "probability": _joined(probability[here].mean(dim=0)),
            "slope": _joined(slopes[here].mean(dim=0)),
            "difference": _joined(worth[here].mean(dim=0)),
            "signal": f"{float(draws[:, here].mean(dim=0).mean(dim=0).abs().mean()):.3g}",
            "noise": f"{float(draws[:, here].std(dim=0).mean()):.3g}",
            "accuracy, sampled": round(float(of_sampled[here].mean()), 4),
            "accuracy, above .2": round(float(of_lower[here].mean()), 4),
            "blocks, above .2": round(float(lower[here].sum(dim=1).mean()), 3),
        })  # fmt: skip
    return rows


def _correct(model: SkipRec, cases: Windows, gates: Float[Tensor, "row block"]) -> Float[Tensor, " row"]:
    """Share of each user's next items that are ranked first."""
    return mean_per_user(hit_rate(rank_cases(model, cases, gates=gates, exclude_seen=False), 1), cases)


def logit_gradient(model: SkipRec, cases: Windows) -> Float[Tensor, "row block"]:
    """Gradient of each row's loss with respect to its logits (keep minus skip), through one draw of gates.

    The model stays in eval mode: there is no dropout, the gates are the only chance.
    """
    logits = model.gate_logits(cases.items, cases.cut).detach().requires_grad_()
    held = _WithLogits(model, logits)
    (gradient,) = torch.autograd.grad(straight_through_loss(held, cases, 0.0) * len(cases), logits)
    return gradient[..., 0]


class _WithLogits(SkipRec):
    """A SkipRec whose policy's logits are given."""

    def __init__(self, model: SkipRec, logits: Float[Tensor, "row block 2"]) -> None:
        super().__init__(model.backbone, model.policy, tau=model.tau)
        self._logits = logits

    def gate_logits(self, items: Tensor, cut: Tensor | None = None) -> Tensor:
        return self._logits


def _joined(numbers: Float[Tensor, " block"]) -> str:
    return " ".join(f"{number:.3f}" for number in numbers.tolist())

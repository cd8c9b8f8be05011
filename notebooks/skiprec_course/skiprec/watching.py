"""Instruments of lesson 08: what the loss tells the gates, and what groups of known need do with theirs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skiprec_lite.backbones import NextItemModel
from skiprec_lite.evaluation import gates_of, mean_per_user, rank_cases
from skiprec_lite.gate_losses import from_a_cut, losses_at, whole_window
from skiprec_lite.metrics import hit_rate
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.synthetic import KnownDepth
from skiprec_lite.training import Stage, fit
from skiprec_lite.windows import Windows

__all__ = ["by_group", "patterns", "slopes_in_training"]


def slopes_in_training(
    model: SkipRec, world: KnownDepth, epochs: int, cost: float
) -> tuple[dict, np.ndarray, list[float]]:
    """Train on fresh users, and write down what the loss of the next item tells the gates.

    With cost 0 it is a warm-up: all gates are 1, every position is scored. Else gates are sampled, from a cut.

    Returns:
        Lines of a figure over the steps, name -> (step, value): mean size of a user's slope at a gate (of that user's
        own loss), and of the slopes' mean over the batch. Share of gates kept at each step. What all blocks together
        are worth after each epoch: the loss of 150 users without any of them, minus that with all.
    """
    heard: list[tuple[float, float, float]] = []
    worth: list[float] = []

    def loss(model: SkipRec, batch: Windows, cost: float) -> Tensor:
        gates = model.gates(batch.items, batch.cut, sample=True)
        if not cost:
            gates = torch.ones_like(gates).requires_grad_()
        mean = losses_at(model.backbone, batch, gates, reduction="mean")
        (slope,) = torch.autograd.grad(mean, gates, retain_graph=True)
        slope *= len(gates)  # of the row's own loss
        heard.append((float(slope.abs().mean()), float(slope.mean(dim=0).abs().mean()), float(gates.detach().mean())))
        return mean + cost * gates.mean()

    @torch.no_grad()
    def weigh(epoch: int, _: NextItemModel) -> None:
        gates = torch.ones(len(few), len(model.backbone.blocks))
        none, every = (losses_at(model.backbone, few, kept * gates, reduction="mean") for kept in (0, 1))
        worth.append(float(none - every))

    split = world.split()
    few = split.validation.rows(slice(0, 150))
    stage = Stage(epochs, loss, from_a_cut if cost else whole_window, cost)
    fit(model, replace(split, validation=few), stages=[stage], patience=epochs, learning_rate=5e-3,
        fresh=world.fresh, after_epoch=weigh, exclude_seen=False, progress=False)  # fmt: skip
    (single, common, kept), steps = np.array(heard).T, np.arange(len(heard))
    return {"a user's slope, mean size": (steps, single), "common part, mean size": (steps, common)}, kept, worth


def by_group(
    model: SkipRec, world: KnownDepth, cases: Windows, *, full_depth: bool = False, hand_on: int = 0
) -> pd.DataFrame:
    """Each group's accuracy, blocks, share that keeps each block, commonest pattern, under greedy gates.

    Args:
        model: whose gates they are.
        world: the groups.
        cases: users of the groups in turn.
        full_depth: all gates are 1, whatever the policy says.
        hand_on: so many users further each row of gates is handed: by 1, the second group gets those of the first.
    """
    gates = gates_of(model, cases).roll(hand_on, dims=0)
    if full_depth:
        gates = torch.ones_like(gates)
    ranks = rank_cases(model, cases, gates=gates, exclude_seen=False)  # items come again, so all are ranked
    right, rows = mean_per_user(hit_rate(ranks, 1), cases), []
    for group, lag in enumerate(world.lags):
        of_group = world.group_of(cases) == group
        keep = gates[of_group].mean(dim=0)
        rows.append({
            "lag": lag, "accuracy": round(float(right[of_group].mean()), 3), "blocks": round(float(keep.sum()), 2),
            "keep": keep.numpy(), "commonest pattern": patterns(gates[of_group]).index[0],
        })  # fmt: skip
    return pd.DataFrame(rows)


def patterns(gates: Tensor) -> pd.Series:
    """How many users have each row of gates, the commonest first: ■ is kept, · is skipped."""
    return pd.Series(["".join("■" if gate > 0.5 else "·" for gate in row) for row in gates.tolist()]).value_counts()

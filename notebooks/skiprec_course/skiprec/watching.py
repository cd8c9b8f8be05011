"""Instruments of lesson 08: what the loss tells the gates, and what groups of known need do with theirs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skiprec_lite.backbones import NextItemModel
from skiprec_lite.checkpoints import load
from skiprec_lite.controls import most_frequent_pattern
from skiprec_lite.evaluation import gates_of, mean_per_user, rank_cases
from skiprec_lite.gate_losses import from_a_cut, losses_at
from skiprec_lite.metrics import hit_rate
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.synthetic import KnownDepth
from skiprec_lite.windows import Windows

__all__ = [
    "Groups", "by_group", "keep_by_block", "keep_by_position", "noticed", "pattern", "slopes_in_training",
]  # fmt: skip


def slopes_in_training(model: SkipRec, world: KnownDepth, epochs: int, cost: float) -> tuple[np.ndarray, list[float]]:
    """Train with Adam on fresh users, and write down what the loss of the next item tells the gates.

    With cost 0 it is a warm-up: all gates are 1, every position is scored. Else gates are sampled, from a cut.

    Returns:
        (3, step): mean size of a user's slope at a gate (of that user's own loss), mean size of the slopes' mean over
        the batch, share of the gates that keep. And at the end of each epoch what all blocks together are worth: the
        loss of 150 users without any of them, minus that with all.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    seen, worth = [], []
    for epoch in range(epochs):
        users = world.fresh(epoch)
        for rows in torch.randperm(len(users)).split(32):
            batch = users.rows(rows)
            gates = torch.ones(len(rows), len(model.backbone.blocks), requires_grad=True)
            if cost:
                batch = from_a_cut(batch)
                gates = model.gates(batch.items, batch.cut, sample=True)
            loss = losses_at(model.backbone, batch, gates).mean()
            (slope,) = torch.autograd.grad(loss, gates, retain_graph=True)
            optimizer.zero_grad()
            (loss + cost * gates.mean()).backward()
            optimizer.step()
            slope = len(rows) * slope  # of the row's own loss
            common = slope.mean(dim=0).abs().mean()
            seen.append((float(slope.abs().mean()), float(common), float(gates.detach().mean())))
        some = users.rows(slice(0, 150))
        gates = torch.ones(len(some), len(model.backbone.blocks))
        with torch.no_grad():
            none, every = (losses_at(model.backbone, some, kept * gates).mean() for kept in (0, 1))
        worth.append(float(none - every))
    return np.array(seen).T, worth


@dataclass
class Groups:
    """Watch a training: handed to `fit` as `after_epoch`, it keeps each group's gates and accuracy.

    Attributes:
        world: the groups.
        cases: users of all groups, who are looked at.
        warm_up: epochs at the beginning in which all gates are 1, whatever the policy says.
        gates: after each epoch, for each group the share that keeps each block.
        accuracy: after each epoch, each group's share of next items that are ranked first.
    """

    world: KnownDepth
    cases: Windows
    warm_up: int
    gates: list[list[list[float]]] = field(default_factory=list)
    accuracy: list[list[float]] = field(default_factory=list)

    def __call__(self, epoch: int, model: NextItemModel) -> None:
        """Look at the model after an epoch."""
        assert isinstance(model, SkipRec)
        gates = gates_of(model, self.cases)
        if epoch < self.warm_up:
            gates = torch.ones_like(gates)
        right = _right(model, self.cases, gates)
        members = [self.world.group_of(self.cases) == group for group in range(len(self.world.lags))]
        self.gates.append([gates[of].mean(dim=0).tolist() for of in members])
        self.accuracy.append([float(right[of].mean()) for of in members])

    def maps(self) -> dict[str, np.ndarray]:
        """Each group's gates, (block, epoch), by its lag."""
        of_groups = np.moveaxis(np.array(self.gates), 0, -1)
        return {f"lag {lag}": gates for lag, gates in zip(self.world.lags, of_groups)}

    def lines(self) -> np.ndarray:
        """Accuracy, (group, epoch)."""
        return np.array(self.accuracy).T


def by_group(model: SkipRec, world: KnownDepth, cases: Windows, *, hand_on: int = 0) -> pd.DataFrame:
    """Each group's accuracy, blocks and commonest pattern, under greedy gates: its own, or those of groups before."""
    gates = gates_of(model, cases).roll(hand_on, dims=0)  # users of the groups come in turn
    right, rows = _right(model, cases, gates), {}
    for group, lag in enumerate(world.lags):
        of_group = world.group_of(cases) == group
        commonest = most_frequent_pattern(gates[of_group])[0]
        rows[f"lag {lag}"] = {
            "accuracy": round(float(right[of_group].mean()), 3),
            "blocks": round(float(gates[of_group].sum(dim=1).mean()), 2),
            "commonest pattern": pattern(commonest.tolist()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def pattern(gates: Sequence[float]) -> str:
    """A row of gates in letters: ■ is kept, · is skipped."""
    return "".join("■" if gate > 0.5 else "·" for gate in gates)


@torch.no_grad()
def keep_by_position(model: SkipRec, items: Tensor) -> Tensor:
    """Probability to keep, (user, time, block), if the policy read the state at each position alone."""
    policy = model.policy
    hidden = policy.join(policy.embedding(items))
    for block in policy.blocks:
        hidden = block(hidden, items > 0)
    return policy.output(hidden).unflatten(-1, (-1, 2)).softmax(dim=-1)[..., 0]


@torch.no_grad()
def noticed(model: SkipRec, items: Tensor, cut: Tensor | None, others: Tensor) -> np.ndarray:
    """For each position, how far the keep probabilities move when its item gives way to that of `others`."""
    before = model.gate_logits(items, cut).softmax(dim=-1)
    changes = []
    for position in range(items.shape[1]):
        changed = items.clone()
        changed[:, position] = others[:, position]
        after = model.gate_logits(changed, cut).softmax(dim=-1)
        changes.append(float((after - before).abs().mean()))
    return np.array(changes)


def keep_by_block(files: Sequence[Path], cases: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Of each trained SkipRec, mean and standard deviation over users of each block's probability to keep.

    Returns:
        Two arrays of shape (file, block).
    """
    means, spreads = [], []
    for file in files:
        model = load(file)
        assert isinstance(model, SkipRec)
        keep = model.gate_logits(cases.items, cases.cut).detach().double().softmax(dim=-1)[..., 0]
        means.append(keep.mean(dim=0).numpy())
        spreads.append(keep.std(dim=0).numpy())
    return np.stack(means), np.stack(spreads)


def _right(model: SkipRec, cases: Windows, gates: Tensor) -> Tensor:
    """Each user's share of next items that are ranked first; items come again, so all are ranked."""
    return mean_per_user(hit_rate(rank_cases(model, cases, gates=gates, exclude_seen=False), 1), cases)

"""The best next items for a few histories: what a trained model is for."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from skiprec_lite.backbones import Device, NextItemModel, in_eval_mode, on_device
from skiprec_lite.inputs import item_row
from skiprec_lite.promises import Size, like, validated
from skiprec_lite.windows import last_position, pad_left

Histories = Annotated[
    Sequence[Sequence[int] | np.ndarray], like("a list of histories, such as [[3, 1, 2]]", "__len__", "__iter__")
]


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
    device: Device = "auto",
) -> tuple[Int[Tensor, "user k"], Float[Tensor, "user k"]]:
    """The k best next items for each history and their scores, best first; a SkipRec's gates are greedy.

    Histories are lists of item indices 1 ... num_items, oldest first, of any lengths. `exclude_seen` leaves out what
    they hold. The model reads the last `length` items of each, and scores `batch_size` histories at once, on
    `device` (see `chosen_device`).
    """
    rows = [item_row(f"history {row}", history) for row, history in enumerate(histories)]
    for row, history in enumerate(rows):
        if len(history) == 0:
            raise ValueError(f"history {row} is empty: a next item needs at least one item before it")
        if history.min() < 1:
            raise ValueError(f"history {row} holds item {history.min()}: items are numbered from 1")
    found = [(torch.empty(0, k, dtype=torch.int64), torch.empty(0, k))]
    with in_eval_mode(model), on_device(model, device) as there:
        for start in range(0, len(rows), batch_size):
            found.append(_best(model, rows[start : start + batch_size], k, exclude_seen, length, there))
    return torch.cat([items for items, _ in found]), torch.cat([scores for _, scores in found])


def _best(
    model: NextItemModel, histories: list[np.ndarray], k: int, exclude_seen: bool, length: int, device: torch.device
) -> tuple[Int[Tensor, "user k"], Float[Tensor, "user k"]]:
    items = pad_left(histories, length).to(device)
    scores = model.score_at(items, last_position(items)).to("cpu", torch.float32, copy=True)
    for row, history in zip(scores, histories):  # all of it, also what is older than the model reads
        if history.max() >= len(row):
            raise ValueError(f"items must lie in 1 ... {len(row) - 1}, got {history.max()}")
        if exclude_seen:
            row[torch.from_numpy(history)] = -torch.inf
    left = int(torch.isfinite(scores).sum(dim=1).min())
    if k > left:
        raise ValueError(f"k must be at most {left}, the items left to recommend, got {k}")
    best = scores.topk(k, dim=1)
    return best.indices, best.values

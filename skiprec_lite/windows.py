"""Rows of item histories, padded on the left, and position by position the item that came next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from skiprec_lite.inputs import check_item_rows, check_windows
from skiprec_lite.promises import Rows, Size, like, validated

Sequences = Annotated[Sequence[np.ndarray | Sequence[int]], check_item_rows]


@dataclass(frozen=True)
class Windows:
    """Rows of item histories and, position by position, the item that came next. Built in lesson 04.

    Attributes:
        items: (row, time) int64, 0 = padding, on the left.
        targets: (row, time) int64, the item to predict at each position, 0 = nothing is scored there.
        cut: (row,) int64, index of the last item that a policy may read; nothing before it is scored in a test case.
        users: (row,) int64, index of the user a row belongs to (a position in Interactions.user_ids).
        seen: for each row the items that came before its window, oldest first.
    """

    check_argument = staticmethod(check_windows)
    items: Int[Tensor, "row time"]
    targets: Int[Tensor, "row time"]
    cut: Int[Tensor, " row"]
    users: Int[Tensor, " row"]
    seen: tuple[np.ndarray, ...] = ()

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return {"row": len(self.items)}

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.items)

    def scored(self) -> Bool[Tensor, "row time"]:
        """Return where a prediction is scored."""
        return self.targets > 0

    def past(self) -> Int[Tensor, "scored met"]:
        """Return, for each scored position, all that its user has met up to there, the present item included.

        Row by row, oldest first; 0 where there is nothing.
        """
        row, position = self.scored().nonzero(as_tuple=True)
        later = torch.arange(self.items.shape[1], device=position.device) > position.unsqueeze(1)
        window = self.items[row].masked_fill(later, 0)  # (scored, time)
        if not self.seen:
            return window
        before = pad_left(self.seen, max(1, *map(len, self.seen))).to(window)  # (row, longest)
        return torch.cat([before[row], window], dim=1)

    def to(self, device: torch.device | str) -> "Windows":
        """Return the rows with their tensors on a device; what was seen before stays where it is."""
        moved: dict[str, Any] = {name: part.to(device) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, **moved)

    def rows(self, index: Int[Tensor, " chosen"] | slice) -> "Windows":
        """Return the chosen rows."""
        chosen = range(len(self))[index] if isinstance(index, slice) else index.tolist()
        seen = tuple(self.seen[i] for i in chosen) if self.seen else ()
        return replace(
            self, items=self.items[index], targets=self.targets[index], cut=self.cut[index], users=self.users[index],
            seen=seen,
        )  # fmt: skip


@dataclass(frozen=True)
class Split:
    """What a model is trained, chosen and judged on. Built in lesson 04.

    Attributes:
        train: windows whose every position is scored.
        validation: cases to choose settings and epochs on.
        test: cases to report.
        num_items: number of different items in the whole file, indices 1 ... num_items.
        sequences: the training items of each user (or session), oldest first: what the baselines count.
        left_out: users without a validation row, because nothing stands before their validation items.
    """

    check_argument = staticmethod(
        like("a Split, such as leave_one_out gives", "train", "validation", "sequences", "num_items")
    )
    train: Windows
    validation: Windows
    test: Windows
    num_items: int
    sequences: tuple[np.ndarray, ...]
    left_out: int = 0


@validated
def pad_left(sequences: Sequences, length: Size) -> Int[Tensor, "row time"]:
    """Stack sequences of any lengths, each cut to its last `length` items and padded with 0 on the left.

    Why the left: the newest item is then always at position -1, where a prediction is read. Built in lesson 04.
    """
    rows = np.zeros((len(sequences), length), dtype=np.int64)
    for row, sequence in zip(rows, sequences):
        newest = np.asarray(sequence)[-length:]
        row[length - len(newest) :] = newest
    return torch.from_numpy(rows)


@validated
def last_position(items: Rows) -> Bool[Tensor, "batch time"]:
    """Return where the next item is scored: the last position of each row."""
    where = torch.zeros_like(items, dtype=torch.bool)
    where[:, -1] = True
    return where

"""Rows of item histories, padded on the left, and position by position the item that came next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from skiprec_lite.inputs import check_has, check_tensor, item_row
from skiprec_lite.promises import Rows, Size, like, validated

Sequences = Annotated[
    Sequence[np.ndarray | Sequence[int]],
    like("a list of rows of whole numbers, such as [[3, 1, 2]]", "__len__", "__iter__"),
]


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

    items: Int[Tensor, "row time"]
    targets: Int[Tensor, "row time"]
    cut: Int[Tensor, " row"]
    users: Int[Tensor, " row"]
    seen: tuple[np.ndarray, ...] = ()

    @staticmethod
    def check_argument(name: str, value: "Windows") -> None:
        """Raise unless the parts of an argument that should be Windows fit together; `validated` calls it."""
        check_windows(name, value)

    def axis_lengths(self) -> dict[str, int]:
        """Say how long the axes are that are named so in a signature."""
        return {"row": len(self.items)}

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.items)

    def scored(self) -> Bool[Tensor, "row time"]:
        """Return where a prediction is scored."""
        return self.targets > 0

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

    train: Windows
    validation: Windows
    test: Windows
    num_items: int
    sequences: tuple[np.ndarray, ...]
    left_out: int = 0

    @staticmethod
    def check_argument(name: str, value: object) -> None:
        """Raise unless the argument is what the protocols give; `validated` calls it."""
        check_has(name, value, "a Split, such as leave_one_out gives", "train", "validation", "sequences", "num_items")


@validated
def pad_left(sequences: Sequences, length: Size) -> Int[Tensor, "row time"]:
    """Stack sequences of any lengths, each cut to its last `length` items and padded with 0 on the left.

    Why the left: the newest item is then always at position -1, where a prediction is read. Built in lesson 04.

    Raises:
        TypeError: if a sequence holds anything but whole numbers.
    """
    sequences = [item_row(f"sequence {row}", sequence) for row, sequence in enumerate(sequences)]
    rows = torch.zeros(len(sequences), length, dtype=torch.int64)
    for row, sequence in zip(rows, sequences):
        tail = sequence[-length:]
        if len(tail):
            row[length - len(tail) :] = torch.as_tensor(tail, dtype=torch.int64)
    return rows


@validated
def last_position(items: Rows) -> Bool[Tensor, "batch time"]:
    """Return where the next item is scored: the last position of each row."""
    where = torch.zeros_like(items, dtype=torch.bool)
    where[:, -1] = True
    return where


def check_windows(name: str, windows: Windows, num_items: int | None = None) -> None:
    """Raise unless the parts of Windows fit together and, where num_items is given, hold no other items.

    Raises:
        TypeError: if they are no Windows, or a part is no tensor of whole numbers.
        ValueError: if a part has another shape than the items ask for, or an item is above num_items.
    """
    check_has(name, windows, "Windows, such as split.test", "items", "targets", "cut", "users", "scored")
    check_tensor(f"{name}.items", windows.items, "whole numbers", "row", "time")
    check_tensor(f"{name}.targets", windows.targets, "whole numbers", *windows.items.shape)
    check_tensor(f"{name}.cut", windows.cut, "whole numbers", len(windows.items))
    check_tensor(f"{name}.users", windows.users, "whole numbers", len(windows.items))
    if num_items is not None and windows.items.numel():
        for part, held in (("items", windows.items), ("targets", windows.targets)):
            low, high = int(held.min()), int(held.max())
            if low < 0 or high > num_items:
                raise ValueError(f"{name}.{part} must lie in 0 ... {num_items}, got {low} ... {high}")

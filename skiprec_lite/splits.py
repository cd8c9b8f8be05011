"""From a log of interactions to training windows, validation and test cases, without leaks."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import numpy as np
import torch

from skiprec_lite.datasets import Interactions
from skiprec_lite.inputs import check_whole
from skiprec_lite.promises import Size, validated
from skiprec_lite.windows import Split, Windows, pad_left

SessionLength = Annotated[int, partial(check_whole, least=3)]  # two items to read and one to predict


@validated
def user_sequences(interactions: Interactions) -> list[np.ndarray]:
    """Each user's items, oldest first; tied timestamps stay in file order. Built in lesson 04.

    Returns:
        One int64 array of item indices per user, in the order of interactions.user_ids.

    Raises:
        TypeError: if a column of the table holds something else than numbers.
        ValueError: if a column is missing or holds a number that is out of range.
    """
    _check_table(interactions)
    table = interactions.table.sort_values(["user", "timestamp"], kind="stable")
    items = table["item"].to_numpy(dtype=np.int64, copy=True)
    starts = np.searchsorted(table["user"].to_numpy(), np.arange(1, len(interactions.user_ids)))
    return np.split(items, starts)


@validated
def leave_one_out(interactions: Interactions, length: Size = 50) -> Split:
    """Last item = test, the one before = validation, the rest = training. Built in lesson 04.

    A user with two items is tested but left out of validation; one with a single item only counts as popularity.
    """
    return last_n(interactions, n=1, length=length)


@validated
def last_n(interactions: Interactions, n: Size = 10, length: Size = 50) -> Split:
    """Each user's last n items = test, the n before = validation, the rest = training. Built in lesson 04.

    Histories are fed as they were: the test history of an item holds all that came before it. The policy reads
    only what came before the n items (`cut`), so that one row of gates serves all n. Each of the n is scored
    with at least `length` items of context where the user has them: a row is length + n - 1 wide.

    Raises:
        ValueError: if no user has enough items.
    """
    sequences = user_sequences(interactions)
    width = length + n - 1
    train = [s[: -2 * n] if len(s) > 2 * n else s[:0] if len(s) > n else s for s in sequences]
    long = [u for u, s in enumerate(sequences) if len(s) > n]
    longer = [u for u in long if len(sequences[u]) > 2 * n]
    if not longer:
        raise ValueError(f"no user has more than {2 * n} items: nothing is left to train on after two times {n}")
    return Split(
        train=training_windows(train, range(len(train)), length=length),
        validation=last_positions([sequences[u][:-n] for u in longer], longer, n=n, width=width),
        test=last_positions([sequences[u] for u in long], long, n=n, width=width),
        num_items=interactions.num_items,
        sequences=tuple(s for s in train if len(s)),
        left_out=len(long) - len(longer),
    )


@validated
def sessions(interactions: Interactions, length: SessionLength = 20) -> Split:
    """Histories cut into sessions; the last is test, the one before validation. Built in lesson 04.

    Sessions are cut from the end backwards without overlap; a first remainder of 3 or more items is kept. The last
    item of a test or validation session is predicted from the session's other items. So does the code published
    with Chen et al. (2021), but there a random tenth of all sessions is held out, and nothing is for validation.

    Raises:
        ValueError: if no user has three sessions.
    """
    pieces: dict[str, list[tuple[int, int, np.ndarray]]] = {"train": [], "validation": [], "test": []}
    sequences = user_sequences(interactions)
    for user, sequence in enumerate(sequences):
        bounds = [(max(0, end - length), end) for end in range(len(sequence), 0, -length)]
        bounds = [(start, end) for start, end in bounds if end - start >= 3]
        for part, (start, end) in zip(("test", "validation", *["train"] * len(bounds)), bounds):
            pieces[part].append((user, start, sequence[start:end]))
    if not pieces["train"]:
        raise ValueError(f"no user has three sessions of {length} (a first one of 3 items would do)")
    pieces["train"].sort(key=lambda piece: piece[:2])  # users in order, each one's sessions oldest first

    def parts(name: str) -> tuple[list[np.ndarray], list[int], list[np.ndarray]]:
        users = [user for user, _, _ in pieces[name]]
        return [s for _, _, s in pieces[name]], users, [sequences[user][:start] for user, start, _ in pieces[name]]

    train = parts("train")
    return Split(
        train=training_windows(*train, length=length - 1),
        validation=last_positions(*parts("validation"), n=1, width=length - 1),
        test=last_positions(*parts("test"), n=1, width=length - 1),
        num_items=interactions.num_items,
        sequences=tuple(train[0]),
    )


def training_windows(
    sequences: Sequence[np.ndarray], users: Sequence[int], earlier: Sequence[np.ndarray] | None = None, *, length: int
) -> Windows:
    """Cut (input, next item) pairs from the end backwards, so that each item is a target once.

    `earlier` holds what a user met before each sequence began, nothing if it is None.
    """
    inputs, targets, owners, seen = [], [], [], []
    for row, (user, sequence) in enumerate(zip(users, sequences)):
        for end in range(len(sequence) - 1, 0, -length):
            start = max(0, end - length)
            inputs.append(sequence[start:end])
            targets.append(sequence[start + 1 : end + 1])
            seen.append(sequence[:start] if earlier is None else np.concatenate([earlier[row], sequence[:start]]))
            owners.append(user)
    cut = torch.full((len(inputs),), length - 1)
    return Windows(
        pad_left(inputs, length), pad_left(targets, length), cut, torch.tensor(owners, dtype=torch.int64), tuple(seen)
    )


def last_positions(
    sequences: Sequence[np.ndarray],
    users: Sequence[int],
    earlier: Sequence[np.ndarray] | None = None,
    *,
    n: int,
    width: int,
) -> Windows:
    """One row per sequence whose last n items are to be predicted, from gates that have read none of them."""
    items = pad_left([s[:-1] for s in sequences], width)
    targets = torch.zeros_like(items)
    targets[:, width - n :] = torch.as_tensor(np.stack([s[-n:] for s in sequences]))
    seen = tuple(s[: max(0, len(s) - 1 - width)] for s in sequences)
    if earlier is not None:
        seen = tuple(np.concatenate(both) for both in zip(earlier, seen))
    return Windows(items, targets, torch.full((len(items),), width - n), torch.tensor(users), seen)


def _check_table(interactions: Interactions) -> None:
    table, users = interactions.table, len(interactions.user_ids)
    if missing := [column for column in ("user", "item", "timestamp") if list(table).count(column) != 1]:
        found = ", ".join(map(str, table))
        raise ValueError(f"interactions.table needs one column {' and one '.join(missing)}; found {found}")
    for column, least, most in (("user", 0, users - 1), ("item", 1, interactions.num_items)):
        if table[column].dtype.kind not in "iu":
            raise TypeError(f"column {column} must hold whole numbers {least} ... {most}, got {table[column].dtype}")
        if len(table) and not (least <= table[column].min() and table[column].max() <= most):
            low, high = table[column].min(), table[column].max()
            raise ValueError(f"column {column} must lie in {least} ... {most}, got {low} ... {high}")
    if table["timestamp"].dtype.kind not in "iufM":  # a text would be sorted by its letters
        raise TypeError(f"column timestamp must hold numbers or dates, got {table['timestamp'].dtype}")
    if table["timestamp"].isna().any():
        raise ValueError(f"column timestamp must not hold NaN, got {table['timestamp'].isna().sum()} of {len(table)}")

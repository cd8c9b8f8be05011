"""From a log of interactions to training windows, validation and test cases, without leaks."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

import numpy as np
import torch

from skiprec_lite.datasets import Interactions
from skiprec_lite.inputs import check_whole
from skiprec_lite.promises import Seed, Share, Size, validated
from skiprec_lite.windows import Split, Windows, pad_left

Histories = Sequence[np.ndarray]
SessionLength = Annotated[int, partial(check_whole, least=3)]  # two items to read and one to predict


@validated
def user_sequences(interactions: Interactions) -> list[np.ndarray]:
    """Each user's items, oldest first, in the order of interactions.user_ids. Built in lesson 04."""
    table = interactions.table.sort_values(["user", "timestamp"], kind="stable")  # ties stay in file order
    items = table["item"].to_numpy(dtype=np.int64, copy=True)
    starts = np.searchsorted(table["user"], np.arange(1, len(interactions.user_ids)))  # of all users but the first
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
    """
    sequences = user_sequences(interactions)
    width = length + n - 1
    train = [s[: -2 * n] if len(s) > n else s for s in sequences]
    long = [u for u, s in enumerate(sequences) if len(s) > n]
    longer = [u for u in long if len(sequences[u]) > 2 * n]
    if not longer:
        raise ValueError(f"no user has more than {2 * n} items: nothing is left to train on")
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
    """
    parts: dict[str, tuple[list, list, list]] = {name: ([], [], []) for name in ("train", "validation", "test")}
    for user, sequence in enumerate(user_sequences(interactions)):
        ends = range(len(sequence), 2, -length)  # from the last one back; a remainder of 3 or more is kept
        names = ["test", "validation", *["train"] * len(ends)]
        for end, name in reversed(list(zip(ends, names))):  # oldest first
            start = max(0, end - length)
            pieces, users, earlier = parts[name]
            pieces.append(sequence[start:end])
            users.append(user)
            earlier.append(sequence[:start])
    train, validation, test = parts.values()
    if not train[0]:
        raise ValueError(f"no user has three sessions of {length} (3 items do for the first)")
    return Split(
        train=training_windows(*train, length=length - 1),
        validation=last_positions(*validation, n=1, width=length - 1),
        test=last_positions(*test, n=1, width=length - 1),
        num_items=interactions.num_items,
        sequences=tuple(train[0]),
    )


def training_windows(
    sequences: Histories, users: Sequence[int], earlier: Histories | None = None, *, length: int
) -> Windows:
    """Cut (input, next item) pairs from the end backwards, so that each item is a target once. Built in lesson 04.

    `earlier` holds what a user met before each sequence began, nothing if it is None.
    """
    inputs, targets, owners, seen = [], [], [], []
    for row, (user, sequence) in enumerate(zip(users, sequences)):
        for end in range(len(sequence) - 1, 0, -length):
            start = max(0, end - length)
            inputs.append(sequence[start:end])
            targets.append(sequence[start + 1 : end + 1])
            owners.append(user)
            before = sequence[:start]
            seen.append(before if earlier is None else np.concatenate([earlier[row], before]))
    return Windows(
        items=pad_left(inputs, length),
        targets=pad_left(targets, length),
        cut=torch.full((len(inputs),), length - 1),
        users=torch.tensor(owners, dtype=torch.int64),
        seen=tuple(seen),
    )


def last_positions(
    sequences: Histories, users: Sequence[int], earlier: Histories | None = None, *, n: int, width: int
) -> Windows:
    """One row per sequence, its last n items to predict, by gates that have read none of them. Built in lesson 04."""
    items = pad_left([s[:-1] for s in sequences], width)
    targets = pad_left([s[-n:] for s in sequences], width)
    seen = [s[: max(0, len(s) - 1 - width)] for s in sequences]
    if earlier is not None:
        seen = [np.concatenate(both) for both in zip(earlier, seen)]
    cut = torch.full((len(items),), width - n)
    return Windows(items, targets, cut, torch.tensor(users), tuple(seen))


@validated
def fewer_users(split: Split, share: Share, *, seed: Seed = 0) -> Split:
    """Leave a random share of the users to train on; validation and test stay whole."""
    with_windows = [sequence for sequence in split.sequences if len(sequence) > 1]  # one item makes none
    users = split.train.users.unique()  # in the same order
    chosen = np.sort(np.random.default_rng(seed).permutation(len(users))[: round(share * len(users))])
    rows = torch.isin(split.train.users, users[chosen]).nonzero()[:, 0]
    return replace(split, train=split.train.rows(rows), sequences=tuple(with_windows[i] for i in chosen))

"""Checks of what lesson 04 builds: splits without a leak, metrics, evaluation, two baselines that count."""

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skiprec_course.comparing import NUMBERS, describe, difference
from skiprec_course.engine import Check, Trial
from skiprec_lite import backbones, evaluation, metrics, splits
from skiprec_lite.datasets import Interactions
from skiprec_lite.metrics import Estimate
from skiprec_lite.windows import Split, Windows, pad_left

__all__ = [
    "check_MarkovChain", "check_Popularity", "check_evaluate", "check_hit_rate", "check_last_n",
    "check_last_positions", "check_leave_one_out", "check_mean_and_error", "check_mean_per_user", "check_mrr",
    "check_ndcg", "check_ndcg_per_user", "check_pad_left", "check_paired_difference", "check_rank_cases",
    "check_rank_of_target", "check_sessions", "check_summarise", "check_training_windows", "check_user_sequences",
]  # fmt: skip

PARTS = ("train", "validation", "test")


# --- made-up logs ---


def _log(rows: Sequence[tuple[int, int, int]], lengths: Sequence[int], num_items: int, trial: Trial) -> Interactions:
    """A log of these (user, item, timestamp), in file order; its class has the words by which a message names it."""
    words = f"{len(lengths)} users" if len(lengths) > 1 else "one user"
    words += f" with {', '.join(map(str, lengths))} items" if len(lengths) <= 6 else ""
    names = tuple(str(i) for i in range(1, num_items + 1))
    labels = torch.randperm(len(rows), generator=trial.generator).numpy()  # file order is not the order of the index
    table = pd.DataFrame(list(rows), columns=["user", "item", "timestamp"], index=labels)
    of_this_name = type(f"log of {words}", (Interactions,), {})
    return of_this_name(table, tuple(f"u{u}" for u in range(len(lengths))), names, names)


def _ascending(trial: Trial, *lengths: int) -> Interactions:
    """User 0 met items 1, 2, …, user 1 the ones after those: an item tells whose it is, and its place in time.

    The rows of the file are shuffled, the newest ones stand first, and there are more items than anybody met.
    """
    owners = np.repeat(np.arange(len(lengths)), lengths).tolist()
    rows = [(user, item, 100 + 7 * item) for item, user in enumerate(owners, start=1)]
    newest = set(np.cumsum(lengths).tolist())
    order = torch.randperm(len(rows), generator=trial.generator).tolist()
    order.sort(key=lambda i: i + 1 not in newest)
    return _log([rows[i] for i in order], lengths, len(rows) + 3, trial)


def _tied(trial: Trial, *lengths: int) -> Interactions:
    """Users mixed, few different timestamps, each item once: ties everywhere."""
    owners = np.repeat(np.arange(len(lengths)), lengths)
    owners = owners[torch.randperm(len(owners), generator=trial.generator).numpy()]
    items = (torch.randperm(len(owners), generator=trial.generator) + 1).tolist()
    times = trial.integers(0, 3, len(owners)).tolist()
    return _log([*zip(owners.tolist(), items, times)], lengths, len(owners), trial)


class _Case:
    """One call of the answer; what is found wrong with its result is told with the arguments."""

    def __init__(self, trial: Trial, *arguments: Any, **options: Any) -> None:
        self.trial, self.arguments, self.options = trial, arguments, options
        self.right: Any = None

    def found(self) -> Any:
        """Run the answer on copies, and see that these stay as they were, tables and lists of arrays too."""
        given = copy.deepcopy(self.arguments)
        with self.trial.of_the_answer(*self.arguments, **self.options):
            found = self.trial.answer(*given, **self.options)
        for before, after in zip(self.arguments, given):
            if isinstance(before, Interactions):
                self.require(after.table.equals(before.table), "it changes the log's table", "sort a copy of the table")
            elif isinstance(before, list) and difference(after, before):
                self.fail("it changes the sequences it was given", "work on copies")
        return found

    def expected(self) -> Any:
        """What the package returns."""
        if self.right is None:
            self.right = self.trial.reference(*copy.deepcopy(self.arguments), **self.options)
        return self.right

    def fail(self, found: str, cause: str = "") -> None:
        """End the check: what was found, and the likely cause."""
        self.trial.fail(found, cause, *self.arguments, **self.options)

    def require(self, condition: bool, found: str, cause: str = "") -> None:
        """Fail unless the condition holds."""
        if not condition:
            self.fail(found, cause)

    def same(self) -> None:
        """Fail unless the answer returns what the package does."""
        self.trial.same(*self.arguments, **self.options)


def _cause(trial: Trial, found: Any, *arguments: Any, **options: Any) -> str:
    """The mistake that gives just what was found, if one does."""
    for cause, mistaken in trial.twins:
        with suppress(Exception):
            if not difference(found, mistaken(*copy.deepcopy(arguments), **options)):
                return cause
    return ""


def _in_float32(found: Any) -> Any:
    """Numbers and floating tensors in float32, so that it does not matter in which precision they were computed."""
    if isinstance(found, dict):
        return {name: _in_float32(value) for name, value in found.items()}
    if type(found) is Estimate:
        return {name: _in_float32(value) for name, value in found._asdict().items()}
    if type(found) in NUMBERS:
        return torch.tensor(float(found), dtype=torch.float32)
    return found.float() if type(found) is Tensor and found.is_floating_point() else found


def _same_numbers(trial: Trial, *arguments: Any, **options: Any) -> None:
    """Like trial.same, to the precision of float32."""

    def rounded(of: Any) -> Callable[..., Any]:
        return lambda *a, **o: _in_float32(of(*a, **o))

    trial.same_results(rounded, *arguments, **options)


# --- user_sequences ---


def _user_sequences(trial: Trial) -> None:
    in_order = _log([(0, 4, 1), (0, 2, 5), (0, 7, 6), (1, 3, 1), (1, 6, 2)], (3, 2), 7, trial)
    not_sorted = [(0, 3, 20), (1, 6, 7), (0, 1, 10), (0, 2, 30), (1, 5, 6), (1, 7, 9)]
    by_hand = [(1, 4, 7), (0, 9, 5), (0, 2, 5), (1, 1, 3), (0, 5, 1), (0, 3, 5), (1, 8, 7), (1, 2, 7)]
    with_a_gap = [(0, 3, 1), (2, 4, 9), (2, 6, 2)]
    for log in (
        in_order,
        _log(not_sorted, (3, 3), 7, trial),
        _log(by_hand, (4, 4), 9, trial),
        _log(with_a_gap, (1, 0, 2, 0), 6, trial),
        _tied(trial, 30, 5, 60, 1),
    ):
        case = _Case(trial, log)
        found = case.found()
        case.require(isinstance(found, list | tuple), f"found {describe(found)}, expected a list of arrays",
                     "a return seems to be missing" if found is None else "return one array for each user")  # fmt: skip
        case.require(len(found) == len(log.user_ids), f"found {len(found)} sequences, expected {len(log.user_ids)}",
                     "a user without events gets an empty array: users come in the order of `user_ids`")  # fmt: skip
        expected = splits.user_sequences(log)
        if problem := difference(found, expected, "user"):
            case.fail(problem, _cause_of_the_order(log, found, expected))


def _cause_of_the_order(log: Interactions, found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> str:
    """Why each user's items are not in the order in which they should be."""
    for user, (mine, right) in enumerate(zip(found, expected)):
        rows = log.table[log.table["user"] == user]
        in_file, time_of = rows["item"].tolist(), dict(zip(rows["item"], rows["timestamp"]))
        mine, right = [x.tolist() if isinstance(x, np.ndarray) else None for x in (mine, right)]
        if mine == right:
            continue
        if mine is None:
            return "each user's items are one NumPy array"
        if sorted(mine) != sorted(right):
            return "these are not this user's items"
        times = [time_of[item] for item in mine]
        if times != sorted(times):
            if times == sorted(times, reverse=True):
                return "the newest stands first: a sequence is oldest first"
            if mine == in_file:
                return "the rows stand as in the file: sort each user's rows by timestamp"
            return "the items are sorted, not the times" if mine == sorted(mine) else "these are not in order of time"
        if mine == sorted(mine, key=lambda item: (time_of[item], item)):
            return "ties are broken by the item's number: events of the same second keep the order of the file"
        backwards = in_file[::-1]
        if mine == sorted(backwards, key=lambda item: time_of[item]):
            return "ties stand in reverse: events of the same second keep the order of the file"
        return "the sort is not stable: events of the same second have to keep the order of the file"
    return ""


check_user_sequences = Check(
    part="splits.user_sequences",
    task="`interactions.table` is a data frame with columns user (0, 1, …), item and timestamp, one row per event, in "
    "file order. Return a list with one int64 array of items for each of `interactions.user_ids`, oldest first, events "
    "of the same second in file order; a user without events gets an empty array.",
    hints=(
        "Sort first, then cut the sorted table at the users' borders.",
        "A sort is stable if rows that are equal keep their order. In pandas: `sort_values(..., kind=\"stable\")`.",
        "Sort by user *and* timestamp and take the column of items as an array. `np.searchsorted` says where a user's "
        "rows begin, also if the table holds none; `np.split` cuts there.",
    ),
    body=_user_sequences,
    minutes=10,
    difficulty=1,
)  # fmt: skip


# --- pad_left ---


def _pad_left(trial: Trial) -> None:
    histories = [np.array([4, 2, 7]), np.array([5, 1]), np.array([3])]
    trial.same(histories, 3)
    trial.same(histories[:2], 5)
    trial.same([np.arange(1, 6), np.array([9, 8])], 3)
    trial.same([[3, 9], [1, 2, 3, 4]], 2)  # lists are sequences too
    trial.same([np.arange(1, 6)], 1)
    trial.same([np.array([4]), np.array([], dtype=np.int64)], 2)
    trial.same([], 4)
    many = [trial.integers(1, 99, int(n)).numpy() for n in trial.integers(0, 12, 20)]
    trial.same(many, 7)
    _Case(trial, many, 7).found()


def _padded(place: Callable[[Tensor, Any], None]) -> Callable[[Sequence[Any], int], Tensor]:
    """A pad_left in which `place` writes a sequence into its row."""

    def pad(sequences: Sequence[Any], length: int) -> Tensor:
        rows = torch.zeros(len(sequences), length, dtype=torch.int64)
        for row, sequence in zip(rows, sequences):
            place(row, torch.as_tensor(np.array(sequence, dtype=np.int64)))
        return rows

    return pad


def _right_oldest(row: Tensor, sequence: Tensor) -> None:
    row[: len(sequence)] = sequence[: len(row)]


def _right_newest(row: Tensor, sequence: Tensor) -> None:
    row[: len(sequence)] = sequence[-len(row) :]


def _left_oldest(row: Tensor, sequence: Tensor) -> None:
    row[max(0, len(row) - len(sequence)) :] = sequence[: len(row)]


def _left_reversed(row: Tensor, sequence: Tensor) -> None:
    row[max(0, len(row) - len(sequence)) :] = sequence[-len(row) :].flip(0)


check_pad_left = Check(
    part="windows.pad_left",
    task="Stack the sequences (arrays or lists of items, of any lengths, also none at all) into an int64 tensor (row, "
    "length): each cut to its newest `length` items, and filled up with 0 on the left.",
    hints=(
        "Begin with a tensor of zeros, then write each sequence into its row.",
        "The newest items are a sequence's last ones: a negative index counts from the end.",
        "A sequence of m kept items begins at column length − m. What does your slice do if m is 0?",
    ),
    body=_pad_left,
    minutes=5,
    difficulty=1,
    mistakes={
        "padding belongs on the left: the newest item has to stand at position -1": _padded(_right_newest),
        "padding belongs on the left, and of a long sequence the newest items are kept": _padded(_right_oldest),
        "you keep the oldest items: keep the newest, a sequence's last ones": _padded(_left_oldest),
        "the items stand in reverse: the newest belongs on the right": _padded(_left_reversed),
        "all rows have the same width, `length`, however long the longest sequence is": lambda sequences, length: (
            pad_left(sequences, max(map(len, sequences)))
        ),
        "item indices are whole numbers: dtype=torch.int64": lambda *a: pad_left(*a).float(),
    },
)  # fmt: skip


# --- what Windows can have wrong ---


def _well_formed(case: _Case, windows: Any, name: str, width: int, cause: str) -> None:
    """Fail unless these are Windows of this width, of whole numbers."""
    at = f"{name}." if name else ""
    a_windows = type(windows).__name__ == "Windows"  # by name: grading imports the package afresh
    case.require(a_windows, f"{name}{': ' * bool(name)}found {describe(windows)}, expected a Windows",
                 "a return seems to be missing" if windows is None else "")  # fmt: skip
    for field in ("items", "targets", "cut", "users"):
        value = getattr(windows, field)
        case.require(type(value) is Tensor, f"{at}{field}: found {describe(value)}, expected a tensor")
        whole = not value.is_floating_point() and value.dtype != torch.bool
        case.require(whole, f"{at}{field}: found {value.dtype}, expected whole numbers",
                     "a tensor of an empty list is floating: say dtype=torch.int64")  # fmt: skip
    shape = tuple(windows.items.shape)
    right_width = len(shape) == 2 and shape[1] == width
    case.require(right_width, f"{at}items: found shape {shape}, expected (rows, {width})", cause)
    for field, expected in (("targets", shape), ("cut", shape[:1]), ("users", shape[:1])):
        found = tuple(getattr(windows, field).shape)
        case.require(found == expected, f"{at}{field}: found shape {found}, expected {expected}")
    case.require(len(windows.seen) == shape[0], f"{at}seen: found {len(windows.seen)} of them, expected {shape[0]}",
                 "`seen` holds one array for each row, empty where nothing came before")  # fmt: skip


def _padded_on_the_left(case: _Case, windows: Windows, name: str) -> None:
    """Fail if a row ends with padding."""
    at = f"{name}." if name else ""
    for row, items in enumerate(windows.items.tolist()):
        case.require(bool(items[-1]) or not any(items), f"{at}items: row {row} ends with padding",
                     "padding belongs on the left: a prediction is read at position -1")  # fmt: skip


def _next_stands_there(case: _Case, windows: Windows, name: str, sequences: Sequence[np.ndarray]) -> None:
    """Fail if a target is not the item that came right after the item of its position."""
    at = f"{name}: " if name else ""
    after = {a: b for s in sequences for a, b in zip(s.tolist(), s.tolist()[1:])}
    before = {b: a for a, b in after.items()}
    for row, (items, targets) in enumerate(zip(windows.items.tolist(), windows.targets.tolist())):
        for t, (item, target) in enumerate(zip(items, targets)):
            if not target or after.get(item) == target:
                continue
            cause = ""
            if item == target:
                cause = "the target of a position is the *next* item: shift the targets by one step"
            elif item == 0:
                cause = "a position of padding has no target: items and targets are shifted against each other"
            elif before.get(item) == target:
                cause = "your targets look back: at a position stands the item that came *after* it"
            elif item in after:
                cause = "the item of a position is the one right before its target: something is missing in between"
            wanted = f", expected {after[item]}" if item in after else ""
            case.fail(f"{at}at [{row}, {t}] item {item} has target {target}{wanted}", cause)


def _each_is_a_target_once(case: _Case, windows: Windows, name: str, sequences: Sequence[np.ndarray]) -> None:
    """Fail if windows overlap, or leave an item out."""
    at = f"{name}: " if name else ""
    times = Counter(windows.targets[windows.targets > 0].tolist())
    for item, count in sorted(times.items()):
        case.require(count == 1, f"{at}item {item} is a target {count} times, expected once",
                     "your windows overlap: the targets of one have to end where those of the next begin")  # fmt: skip
    for sequence in sequences:
        missing = [item for item in sequence.tolist()[1:] if item not in times]
        cause = "the last input of a window has a target too: the item after them all"
        if len(missing) == len(sequence) - 1:
            cause = "a short sequence is trained on as well, as one padded window"
        elif missing == sequence.tolist()[1 : 1 + len(missing)]:
            cause = "what is left at the start is a window too, a shorter one"
        case.require(not missing, f"{at}item {_first(missing)} is never a target", cause)


def _first(items: Sequence[int]) -> int:
    return next(iter(items), 0)


def _rows(windows: Windows) -> list[tuple]:
    """The rows as plain numbers, in an order that does not depend on theirs."""
    columns = (windows.users, windows.items, windows.targets, windows.cut)
    return sorted(zip(*[x.tolist() for x in columns], [s.tolist() for s in windows.seen], strict=True))


# --- training_windows ---


def _distinct(trial: Trial, *lengths: int) -> list[np.ndarray]:
    """Histories in which no item occurs twice."""
    items = (torch.randperm(sum(lengths), generator=trial.generator) + 1).numpy()
    return np.split(items, np.cumsum(lengths)[:-1])


def training_windows(trial: Trial) -> None:
    many = _distinct(trial, 0, 1, 2, 5, 6, 7, 25)
    for sequences, users, length in (
        ([np.arange(1, 7)], [0], 2),
        ([np.arange(1, 6), np.arange(6, 9)], [3, 5], 4),
        ([np.arange(1, 7), np.arange(7, 9), np.array([9])], [0, 1, 2], 3),
        ([np.array([5]), np.array([], dtype=np.int64)], [0, 1], 3),
        (many, [3, 4, 5, 5, 6, 9, 11], 6),
        (many, range(7), 1),
        (many, range(7), 40),
    ):
        case = _Case(trial, sequences, users, length=length)
        found, expected = case.found(), case.expected()
        _well_formed(case, found, "", length, "a row has `length` columns")
        _padded_on_the_left(case, found, "")
        _next_stands_there(case, found, "", sequences)
        _each_is_a_target_once(case, found, "", sequences)
        if difference(found, expected) and _rows(found) == _rows(expected):
            case.fail("the windows are right, but not in order",
                      "a sequence's last window comes first: cut from the end backwards")  # fmt: skip
        case.same()
    sequences, earlier = [np.arange(1, 6), np.arange(6, 8)], [np.array([8, 9]), np.array([], dtype=np.int64)]
    for case in (
        _Case(trial, sequences, [0, 1], earlier, length=2),
        _Case(trial, many, range(7), many[::-1], length=5),
    ):
        case.found()
        case.same()


def _from_the_start(
    sequences: Sequence[np.ndarray], users: Sequence[int], earlier: Any = None, *, length: int
) -> Windows:
    rows = [(u, s, a) for u, s in zip(users, sequences) for a in range(0, len(s) - 1, length)]
    return Windows(
        pad_left([s[a : a + length][: len(s) - 1 - a] for _, s, a in rows], length),
        pad_left([s[a + 1 : a + 1 + length] for _, s, a in rows], length),
        torch.full((len(rows),), length - 1), torch.tensor([u for u, _, _ in rows], dtype=torch.int64),
        tuple(s[:a] for _, s, a in rows),
    )  # fmt: skip


def _changed(part: Callable[..., Windows], **changes: Callable[[Windows], Any]) -> Callable[..., Windows]:
    """A mistaken version: the package's windows with some fields replaced."""

    def mistaken(*arguments: Any, **options: Any) -> Windows:
        right = part(*arguments, **options)
        return replace(right, **{name: change(right) for name, change in changes.items()})

    return mistaken


def _without_earlier(part: Callable[..., Windows]) -> Callable[..., Windows]:
    return lambda sequences, users, earlier=None, **options: part(sequences, users, **options)


check_training_windows = Check(
    part="splits.training_windows",
    task="Return a `Windows` for training. Cut each sequence into windows of `length` inputs, `items`, with `targets` "
    "one step later, from the end backwards (a sequence's last window is its first row), so that each item but the "
    "first is a target once; what is left at the start is a shorter window, padded. `cut` is length - 1, `users` says "
    "whose sequence it is, `seen` holds earlier[row] (nothing if it is None) and then what came before the window.",
    hints=(
        "Write down the windows of 1 2 3 4 5 6 at length 2 first: inputs 4 5 with targets 5 6, then 2 3 with 3 4, "
        "then 1 with 2.",
        "The last item is never an input. Let `end` run from len(sequence) − 1 downwards in steps of `length`; inputs "
        "end before `end`, targets one later.",
        "start = max(0, end − length). `pad_left` takes the lists of inputs and of targets. `seen` is "
        "sequence[:start], behind what `earlier` has for this row (`np.concatenate`).",
        "A tensor made of an empty list is floating: give `users` its dtype.",
    ),
    body=training_windows,
    minutes=20,
    difficulty=3,
    mistakes={
        "cut from the end backwards: the shorter window is the oldest one": _from_the_start,
        "`seen` lacks what `earlier` holds": _without_earlier(splits.training_windows),
        "`seen` holds only what came *before* the window, not its own items": _changed(
            splits.training_windows,
            seen=lambda w: tuple(np.concatenate([s, r[r > 0].numpy()]) for s, r in zip(w.seen, w.items)),
        ),
        "`seen` is empty: it holds what came before the window": _changed(
            splits.training_windows, seen=lambda w: tuple(s[:0] for s in w.seen)
        ),
        "`cut` is an index: the last one of a row is length - 1": _changed(
            splits.training_windows, cut=lambda w: w.cut + 1
        ),
        "`users` are the numbers of the users, as given, not those of the rows": _changed(
            splits.training_windows, users=lambda w: torch.arange(len(w))
        ),
        "`users` are the numbers of the users, as given, not the places of their sequences":
            lambda sequences, users, earlier=None, *, length: splits.training_windows(
                sequences, range(len(sequences)), earlier, length=length
            ),
    },
)  # fmt: skip


# --- last_positions ---


def last_positions(trial: Trial) -> None:
    many, earlier = _distinct(trial, 4, 6, 9, 25), _distinct(trial, 3, 0, 7, 1)
    for sequences, users, n, width in (
        ([np.arange(1, 5)], [0], 1, 3),
        ([np.arange(1, 4), np.arange(4, 10)], [3, 5], 1, 4),
        ([np.arange(1, 7)], [0], 2, 4),
        (many, [2, 3, 5, 8], 1, 8),
        (many, [2, 3, 5, 8], 3, 8),
        (many, [2, 3, 5, 8], 3, 40),
        (many, [2, 3, 5, 8], 1, 1),
    ):
        case = _Case(trial, sequences, users, n=n, width=width)
        found = case.found()
        _well_formed(case, found, "", width, "a row has `width` columns")
        who = "`users` are the numbers of the users, as given, not those of the rows"
        _held_out(case, found, "", dict(zip(users, sequences)), n, who)
        case.same()
    few, before = [np.arange(1, 5), np.arange(5, 8)], [np.array([8, 9]), np.array([], dtype=np.int64)]
    for case in (
        _Case(trial, few, [0, 1], before, n=1, width=2),
        _Case(trial, many, [2, 3, 5, 8], earlier, n=3, width=8),
    ):
        case.found()
        case.same()


def _held_out(
    case: _Case, windows: Windows, name: str, wholes: Mapping[int, np.ndarray], n: int, cause_of_users: str
) -> None:
    """Fail if the last n items of each user's history are not what is predicted, or if a row knows too much.

    Args:
        case: the case.
        windows: the rows; one per user of `wholes`, in this order.
        name: of the windows, for messages.
        wholes: each user's history up to the last item to predict; no item occurs twice.
        n: how many are predicted.
        cause_of_users: the likely cause if there are rows of other users.
    """
    at, dot = (f"{name}: ", f"{name}.") if name else ("", "")
    found, wanted = _few(windows.users.tolist()), _few(list(wholes))
    users = windows.users.tolist() == list(wholes)
    case.require(users, f"{dot}users: found {found}, expected {wanted}", cause_of_users)
    for row, (user, whole) in enumerate(wholes.items()):
        items = [i for i in windows.items[row].tolist() if i]
        targets = [i for i in windows.targets[row].tolist() if i]
        whose, due = f"{at}row {row}, user {user}", whole[-n:].tolist()
        read_it = due[-1] in items and targets == due
        case.require(not read_it, f"{whose}: item {due[-1]}, the last one to predict, stands among the inputs",
                     "the model would read the answer: the last item is only ever a target")  # fmt: skip
        if targets != due:
            cause = ""
            if sorted(targets) == sorted(due):
                cause = "they are in the wrong order: the newest comes last"
            elif not targets:
                cause = "nothing is scored: a target above 0 says what is"
            elif targets == whole[-2 * n : -n].tolist():
                cause = "these are the items before: the newest are to be predicted"
            elif targets == due[-1:]:
                cause = "all of the last n are predicted, not only the newest"
            elif len(targets) > len(due):
                cause = "only the last n are predicted, from the positions before them"
            case.fail(f"{whose}: found the targets {_few(targets)}, expected {_few(due)}", cause)
    _padded_on_the_left(case, windows, name)
    _next_stands_there(case, windows, name, [*wholes.values()])


def _few(numbers: Sequence[int]) -> str:
    return f"[{', '.join(map(str, numbers[:6]))}{', …' * (len(numbers) > 6)}]"


check_last_positions = Check(
    part="splits.last_positions",
    task="Return a `Windows` of cases, one row for each sequence: `items` (row, width) is the history without its last "
    "item, padded; `targets` has the last n items in the last n columns, each at the position before it, and 0 "
    "elsewhere. `cut` is width - n, the last item before those to predict; `users` as given; `seen` holds earlier[row] "
    "(nothing if None), then what stands before the row.",
    hints=(
        "The history of 1 2 3 4 with n = 1 is 1 2 3, and 4 is the target at the last position.",
        "`pad_left` builds `items`. The targets of the last n positions are the last n items, in order.",
        "`items` has the newest `width` of len(s) − 1 inputs: `seen` is what is left at the start. What does a slice "
        "up to a negative number give? Use max(0, …).",
    ),
    body=last_positions,
    minutes=15,
    difficulty=2,
    mistakes={
        "`cut` lets a policy read items that are to be predicted: the last it may read stands at width - n": _changed(
            splits.last_positions, cut=lambda w: torch.full_like(w.cut, w.items.shape[1] - 1)
        ),
        "`cut` is one too early: the item at width - n has been met before the first target": _changed(
            splits.last_positions, cut=lambda w: w.cut - 1
        ),
        "`cut` is one too late: it is an index, and the item there is not to be predicted": _changed(
            splits.last_positions, cut=lambda w: w.cut + 1
        ),
        "`seen` lacks what `earlier` holds": _without_earlier(splits.last_positions),
        "`seen` is empty: it holds what stands before the row": _changed(
            splits.last_positions, seen=lambda w: tuple(s[:0] for s in w.seen)
        ),
        "`seen`: a negative end of a slice counts from the end, use max(0, …)":
            lambda sequences, users, earlier=None, *, n, width: replace(
                splits.last_positions(sequences, users, earlier, n=n, width=width),
                seen=tuple(s[: len(s) - 1 - width] for s in sequences),
            ),
        "`seen` holds what stands *before* the row, not the row's own items":
            lambda sequences, users, earlier=None, *, n, width: replace(
                splits.last_positions(sequences, users, earlier, n=n, width=width),
                seen=tuple(s[:-1] for s in sequences),
            ),
        "`seen` is off by one: the row begins one item earlier, since the last item is not in it":
            lambda sequences, users, earlier=None, *, n, width: replace(
                splits.last_positions(sequences, users, earlier, n=n, width=width),
                seen=tuple(s[: max(0, len(s) - width)] for s in sequences),
            ),
    },
)  # fmt: skip


# --- last_n and leave_one_out ---


def _last_n(trial: Trial) -> None:
    many = (25, 3, 7, 12, 1, 2, 6)
    for lengths, n, length in (((8, 6), 2, 3), ((8, 3, 2), 2, 3), ((9,), 1, 4), (many, 2, 5), ((25, 9, 40), 4, 50)):
        _split(_Case(trial, _ascending(trial, *lengths), n=n, length=length), n, length)
    _split(_Case(trial, _ascending(trial, 30, 15, 80)))  # the defaults
    _ties(_Case(trial, _tied(trial, 40, 9, 70, 33, 18), n=3, length=5), 3)


def _leave_one_out(trial: Trial) -> None:
    for lengths, length in (((7, 5, 6), 4), ((7, 2, 1), 2), ((25, 3, 7, 12, 1, 2, 6), 5)):
        _split(_Case(trial, _ascending(trial, *lengths), length=length), 1, length)
    _split(_Case(trial, _ascending(trial, 6, 80)), 1)  # the default
    _ties(_Case(trial, _tied(trial, 40, 9, 70, 33, 18), length=5), 1)


def _split(case: _Case, n: int = 10, length: int = 50) -> None:
    """Look for the leaks and slips that a split can have, each with its own message; then for any difference."""
    found, histories = case.found(), splits.user_sequences(case.arguments[0])
    width = length + n - 1
    widths = "a training row has `length` columns, a case length + n - 1: so each of the n has `length` before it"
    _is_a_split(case, found, {"train": length, "validation": width, "test": width}, widths)
    _not_swapped(case, found)
    _newest_are_tested(case, found, histories, n)
    test = {u: h for u, h in enumerate(histories) if len(h) > n}
    validation = {u: h[:-n] for u, h in test.items() if len(h) > 2 * n}
    ahead = {item: ("test", u) for u, h in test.items() for item in h[-n:].tolist()}
    held = ahead | {item: ("validation", u) for u, h in validation.items() for item in h[-n:].tolist()}
    _no_leak(case, found, held)
    for row, user in enumerate(found.validation.users.tolist()):
        known = {*found.validation.items[row].tolist(), *found.validation.targets[row].tolist()}
        early = sorted(known & ahead.keys())
        case.require(not early, f"the validation row of user {user} holds item {_first(early)}, a test item",
                     "this is a leak: take the test items away before you build the validation rows")  # fmt: skip
    for row, user in enumerate(found.test.users.tolist()):
        due = {i for i, (part, u) in held.items() if part == "validation" and u == user}
        lost = sorted(due - {*found.test.items[row].tolist(), *found.test.seen[row].tolist()})
        case.require(not lost, f"the test history of user {user} lacks item {_first(lost)}, a validation item",
                     "by then the user has met it: a test history holds all that came before")  # fmt: skip
    who = f"whoever has more than {n} items is tested, whoever has more than {2 * n} has a validation row too"
    _held_out(case, found.test, "test", test, n, who)
    _held_out(case, found.validation, "validation", validation, n, who)
    _trained_on(case, found)


def _is_a_split(case: _Case, found: Any, widths: Mapping[str, int], cause: str) -> None:
    case.require(type(found).__name__ == "Split", f"found {describe(found)}, expected a Split",
                 "a return seems to be missing" if found is None else "")  # fmt: skip
    for name, width in widths.items():
        _well_formed(case, getattr(found, name), name, width, cause)
    arrays = isinstance(found.sequences, list | tuple) and all(isinstance(s, np.ndarray) for s in found.sequences)
    case.require(arrays, "sequences: expected a tuple of arrays", "one array for each user")


def _not_swapped(case: _Case, found: Split) -> None:
    expected = case.expected()
    swapped = not difference([found.test, found.validation], [expected.validation, expected.test])
    case.require(not swapped, "test and validation have changed places", "test is what came last")


def _newest_are_tested(case: _Case, found: Split, histories: list[np.ndarray], n: int) -> None:
    """Fail if the order of the histories is wrong: before that nothing else can be right."""
    table, rows = case.arguments[0].table, []
    for user, targets in zip(found.test.users.tolist(), found.test.targets[:, -n:].tolist()):
        if 0 <= user < len(histories) and {*targets} <= {*histories[user].tolist()}:
            rows.append((targets, histories[user].tolist(), table["item"][table["user"] == user].tolist()))
    as_in_file = all(items == in_file[-n:] for items, _, in_file in rows)
    for targets, history, _ in rows:
        place = history.index(targets[0])
        in_order = targets == history[place : place + n] and (n > 1 or place >= len(history) - 2)
        if targets == history[-n:] or (in_order and not as_in_file):  # the n before the last are another mistake
            continue
        cause = "sort by user and timestamp: then the newest items are the last ones"
        if as_in_file:
            cause = "the rows stand as in the file: sort them by timestamp first"
        elif all({*items} == {*right[:n]} for items, right, _ in rows):
            cause = "these are the oldest items: the newest are held out"
        case.fail(f"the test items of a user are {_few(targets)}, expected {_few(history[-n:])}", cause)


def _no_leak(case: _Case, found: Split, held: Mapping[int, tuple[str, int]]) -> None:
    """Fail if an item that is held out (item -> part, user) was trained on or counted."""
    trained = {*found.train.items.flatten().tolist(), *found.train.targets.flatten().tolist()}
    for item in sorted(trained & held.keys()):
        part, user = held[item]
        case.fail(f"a training window of user {user} holds item {item}, a {part} item",
                  "this is a leak: take what is held out away *before* you cut windows")  # fmt: skip
    for item in sorted({i for s in found.sequences for i in s.tolist()} & held.keys()):
        part, user = held[item]
        case.fail(f"`sequences` holds item {item}, a {part} item of user {user}",
                  "this is a leak: the baselines count what stands there, so only training items may")  # fmt: skip


def _trained_on(case: _Case, found: Split) -> None:
    """Fail if the training windows, or anything else, differ from the package's."""
    expected, items = case.expected(), case.arguments[0].num_items
    _padded_on_the_left(case, found.train, "train")
    _next_stands_there(case, found.train, "train", expected.sequences)
    _each_is_a_target_once(case, found.train, "train", expected.sequences)
    if difference(found.train, expected.train) and _rows(found.train) == _rows(expected.train):
        case.fail("the training windows are right, but not in order",
                  "users in order, and what `training_windows` returns for each as it is")  # fmt: skip
    case.require(found.num_items == items, f"num_items: found {found.num_items}, expected {items}",
                 "it counts the items of the whole file, also those that nobody was trained on")  # fmt: skip
    case.same()


def _ties(case: _Case, n: int) -> None:
    """Fail if events of the same second do not keep the order of the file; all else has been seen to."""
    found, expected, table = case.found(), case.expected(), case.arguments[0].table
    cause = "events of the same second have to keep the order of the file: sort with a stable sort"
    users = expected.test.users.tolist()
    mine, right = (s.test.targets[:, -n:].tolist() for s in (found, expected))
    if n == 1 and found.test.users.tolist() == users and _by_number(mine, users, table):
        cause = "ties are broken by the item's number: events of the same second keep the order of the file"
    for user, a, b in zip(users, mine, right):
        what = f"user {user} has the test item{'s' * (n > 1)} {_few(a)}, expected {_few(b)}"
        case.require(a == b, f"{what}, among events of the same second", cause)
    if problem := difference(found, expected):
        case.fail(f"many events have the same timestamp, {problem}", cause)


def _by_number(targets: list[list[int]], users: list[int], table: pd.DataFrame) -> bool:
    """Whether each user's last item is the one with the highest number, or the lowest, of those of the last second."""
    extremes = []
    for user, (target,) in zip(users, targets):
        rows = table[table["user"] == user]
        tied = rows[rows["timestamp"] == rows["timestamp"].max()]["item"]
        extremes.append((target == tied.max(), target == tied.min()))
    return any(all(column) for column in zip(*extremes))


def _mistaken_last_n(
    interactions: Interactions, n: int = 10, length: int = 50, *, single: bool = True, read_on: bool = False,
    width: int | None = None, left_out: bool = True,
) -> Split:  # fmt: skip
    """last_n with one step replaced."""
    right = splits.last_n(interactions, n=n, length=length)
    sequences, width = splits.user_sequences(interactions), width or length + n - 1
    train = [s[: -2 * n] if len(s) > 2 * n else s[:0] if len(s) > n else s for s in sequences]
    if read_on:
        train = [s[:-n] if n < len(s) <= 2 * n else t for s, t in zip(sequences, train)]
    if not single:
        train = [t if len(s) > n else s[:0] for s, t in zip(sequences, train)]
    return replace(
        right, train=splits.training_windows(train, range(len(train)), length=length),
        sequences=tuple(s for s in train if len(s)), left_out=right.left_out if left_out else 0,
    )  # fmt: skip


def _of_both(changed: Callable[[Windows], Windows]) -> Callable[..., Split]:
    """A mistaken split whose validation and test rows are changed."""

    def mistaken(interactions: Interactions, n: int | None = None, length: int = 50) -> Split:
        right = splits.last_n(interactions, n=n or 1, length=length)
        return replace(right, validation=changed(right.validation), test=changed(right.test))

    return mistaken


def _one(mistaken: Callable[..., Split], **step: bool) -> Callable[..., Split]:
    return lambda interactions, length=50: mistaken(interactions, n=1, length=length, **step)


_CUT_AT_THE_END = "`cut` lets a policy read items that are to be predicted: the last it may read stands at width - n"
_SEEN_IS_EMPTY = "`seen` holds what stands before a row, also for test and validation"


def _last_cut(windows: Windows) -> Windows:
    return replace(windows, cut=torch.full_like(windows.cut, windows.items.shape[1] - 1))


def _nothing_seen(windows: Windows) -> Windows:
    return replace(windows, seen=tuple(s[:0] for s in windows.seen))


check_last_n = Check(
    part="splits.last_n",
    task="Return a `Split`: each user's last n items are test, the n before them validation, the rest training "
    "windows. A test history holds the validation items. Rows of cases are length + n - 1 wide, one for each user with "
    "more than n (test) or 2n items (validation), in order. Of a user with n + 1 to 2n items nothing is trained on; "
    "one with n or fewer is only trained on. `sequences`: the training items, one array for each user who has any; "
    "`left_out`: how many are tested without a validation row. Your `user_sequences`, `training_windows` and "
    "`last_positions` do most of it.",
    hints=(
        "Three lists of sequences, one for each part: what is trained on, the histories up to the last validation "
        "item, the whole histories.",
        "Cut off what is held out first, then make windows. The validation sequence is s[:-n], the test sequence is s.",
        "Training has s[: -2 * n] of a long history, nothing of one with n + 1 to 2n items, all of a shorter one: "
        "s[: -2 * n] alone gets the short ones wrong, or leaks.",
        "Hand the indices of the chosen users on, so that `users` says whose row it is.",
    ),
    body=_last_n,
    minutes=20,
    difficulty=3,
    mistakes={
        _CUT_AT_THE_END: _of_both(_last_cut),
        _SEEN_IS_EMPTY: _of_both(_nothing_seen),
        "of a user with n + 1 to 2n items nothing is trained on": lambda log, n=10, length=50: _mistaken_last_n(
            log, n, length, read_on=True
        ),
        "a user with n items or fewer is still trained on": lambda log, n=10, length=50: _mistaken_last_n(
            log, n, length, single=False
        ),
        "`left_out` counts the users who are tested but have no validation row": lambda log, n=10, length=50: (
            _mistaken_last_n(log, n, length, left_out=False)
        ),
    },
)  # fmt: skip
check_leave_one_out = Check(
    part="splits.leave_one_out",
    task="Return a `Split`: each user's last item is test, the one before it validation, the rest training windows "
    "(as `last_n` with n = 1; `length` inputs a row). Events of the same second keep the order of the file. A test "
    "history holds the validation item. A user with two items is tested, has no validation row (count those in "
    "`left_out`) and is not trained on; one with a single item stands in `sequences` only.",
    hints=(
        "What is the last item in a special case of what you have built already?",
        "Whatever way you take: cut off what is held out first, then make windows of the rest.",
        "Which of a user's items does the test row read? All that the user had met by then.",
    ),
    body=_leave_one_out,
    minutes=5,
    difficulty=2,
    mistakes={
        _CUT_AT_THE_END: _of_both(_last_cut),
        _SEEN_IS_EMPTY: _of_both(_nothing_seen),
        "a user with two items is tested, nothing of theirs is trained on": _one(_mistaken_last_n, read_on=True),
        "a user with a single item still counts for popularity: keep it in `sequences`": _one(
            _mistaken_last_n, single=False
        ),
        "`left_out` counts the users who are tested but have no validation row": _one(_mistaken_last_n, left_out=False),
    },
)  # fmt: skip


# --- sessions ---


def _sessions(trial: Trial) -> None:
    many = (40, 25, 3, 33, 17, 9, 22)
    for lengths, length in (((13,), 4), ((11, 10, 4, 15, 2, 1), 4), ((12, 5, 6, 8), 3), (many, 7)):
        _of_sessions(_Case(trial, _ascending(trial, *lengths), length=length), length)
    _of_sessions(_Case(trial, _ascending(trial, 65, 45)), 20)  # the default
    _Case(trial, _tied(trial, 40, 9, 70, 33, 18), length=5).same()


def _of_sessions(case: _Case, length: int) -> None:
    found, expected = case.found(), case.expected()
    width = "a session of `length` items has length - 1 inputs"
    _is_a_split(case, found, dict.fromkeys(PARTS, length - 1), width)
    _not_swapped(case, found)
    if cause := _cause(case.trial, found, *case.arguments, **case.options):
        case.require(not difference(found, expected), difference(found, expected), cause)
    whole: dict[str, dict[int, np.ndarray]] = {}
    held: dict[int, tuple[str, int]] = {}
    for name in ("test", "validation"):
        cases = getattr(expected, name)
        rows = torch.cat([cases.items, cases.targets[:, -1:]], dim=1)  # the sessions themselves, padded
        whole[name] = {u: row[row > 0].numpy() for u, row in zip(cases.users.tolist(), rows)}
        held |= {item: (f"{name} session's", u) for u, session in whole[name].items() for item in session.tolist()}
    _no_leak(case, found, held)
    who = "a session needs 3 items; a user's last one is test, the one before it validation"
    for name, sessions in whole.items():
        windows = getattr(found, name)
        most = max(windows.scored().sum(dim=1).tolist(), default=0)
        last = "only a session's last item is predicted"
        case.require(most <= 1, f"{name}: {most} positions of a row are scored", last)
        _held_out(case, windows, name, sessions, 1, who)
    _trained_on(case, found)


def _mistaken_sessions(
    interactions: Interactions, length: int = 20, *, least: int = 3, forwards: bool = False, seen: bool = True,
    newest_first: bool = False,
) -> Split:  # fmt: skip
    """`sessions` with one step replaced."""
    parts: dict[str, list[tuple]] = {name: [] for name in PARTS}
    for user, sequence in enumerate(splits.user_sequences(interactions)):
        bounds = [(max(0, end - length), end) for end in range(len(sequence), 0, -length)]
        if forwards:
            bounds = [(a, min(a + length, len(sequence))) for a in range(0, len(sequence), length)][::-1]
        bounds = [(a, b) for a, b in bounds if b - a >= least]
        named = [*zip(bounds, ("test", "validation", *["train"] * len(bounds)))]
        for (a, b), name in named if newest_first else reversed(named):
            parts[name].append((sequence[a:b], user, sequence[:a] if seen else sequence[:0]))
    train, validation, test = ([list(column) for column in zip(*rows)] for rows in parts.values())
    return Split(
        train=splits.training_windows(*train, length=length - 1),
        validation=splits.last_positions(*validation, n=1, width=length - 1),
        test=splits.last_positions(*test, n=1, width=length - 1),
        num_items=interactions.num_items,
        sequences=tuple(train[0]),
    )


def _with(step: dict[str, Any]) -> Callable[..., Split]:
    return lambda interactions, length=20: _mistaken_sessions(interactions, length, **step)


_SESSION_MISTAKES: dict[str, dict[str, Any]] = {
    "cut from the end backwards: the short session is a user's first one": {"forwards": True},
    "a remainder of 3 or more items at the start is a session too": {"least": 4},
    "a remainder of fewer than 3 items is no session": {"least": 2},
    "a remainder of fewer than 3 items is no session: drop it": {"least": 1},
    "`seen` holds the user's earlier sessions": {"seen": False},
    "a user's sessions come oldest first": {"newest_first": True},
}
check_sessions = Check(
    part="splits.sessions",
    task="Return a `Split` of sessions: cut each history into pieces of `length` items, from the end backwards; a "
    "first remainder of 3 or more items is kept as a session, a shorter one dropped. A user's last session is test, "
    "the one before it validation, and in both only the last item is predicted; the others are training. `sequences` "
    "holds the training sessions, users in order, each one's sessions oldest first. Rows are length - 1 wide; `seen` "
    "begins with the user's earlier sessions and what came before them.",
    hints=(
        "Where do the sessions of a history of 11 items end, at length 4? Count from the end: 11, 7 and 3.",
        "The first end you meet is test, the second validation, all later ones training. Which ends leave a piece of "
        "at least 3?",
        "Collect (items, user, what came before) for each part. They are the three arguments of `training_windows` "
        "and `last_positions`.",
        "A session of `length` items has length − 1 inputs and as many targets: that is the width of the rows.",
    ),
    body=_sessions,
    minutes=20,
    difficulty=4,
    mistakes={cause: _with(step) for cause, step in _SESSION_MISTAKES.items()},
)  # fmt: skip


# --- rank_of_target ---

# Scores of one case, the target, its rank. Column 0 is padding. One slip shows in each.
_CASES = (
    ([0.0, 5.0, 1.0, 4.0, 3.0, 2.0], 3, 2),
    ([9.0, 5.0, 1.0, 4.0, 3.0, 2.0], 3, 2),  # padding with the best score of all
    ([0.0, 3.0, 3.0, 3.0, 4.0, 3.0], 2, 5),
    ([0.0, 2.0, 2.0, 2.0, 2.0, 2.0], 2, 5),  # a constant model
    ([-math.inf, -math.inf, 2.0, 1.0, -math.inf, 3.0], 1, 5),  # a target that is ruled out
)


def _rank_of_target(trial: Trial) -> None:
    for row, target, rank in _CASES:
        given = torch.tensor(row), target
        scores, targets = torch.tensor([row]), torch.tensor([target])
        with trial.of_the_answer(*given):
            found = trial.answer(scores.clone(), targets.clone())
        if problem := difference(found, torch.tensor([rank])):
            trial.fail(f"scores and target of one row: {problem}", _cause(trial, found, scores, targets), *given)
    for shape in ((6,), (3, 4), (0,)):
        distinct = trial.normal(*shape, 9)
        trial.same(distinct, trial.integers(1, 8, *shape))
    for shape, dtype in (((200,), torch.float32), ((5, 7), torch.float64)):
        scores = trial.normal(*shape, 21, dtype=dtype).round(decimals=1)  # ties
        targets = trial.integers(1, 20, *shape)
        trial.same(scores, targets)
        trial.same(scores.masked_fill(scores < 0, -math.inf), targets)
        trial.same(torch.zeros_like(scores), targets)
    trial.same(trial.integers(0, 5, 40, 9), trial.integers(1, 8, 40))  # whole numbers are scores as well
    # A NaN compares with nothing: the lesson's version returns 0, others 1, better ones raise an error. All of that is
    # noticed; a rank in between is not.
    broken, rank = torch.tensor([0.0, 5.0, math.nan, -1.0, -2.0, -3.0]), 0
    with suppress(Exception):
        rank = int(trial.answer(broken[None].clone(), torch.tensor([2])))
    trial.require(not 2 <= rank < 5, f"the true item's score is NaN, and its rank is {rank}", _NAN, broken, 2)


def _own(scores: Tensor, targets: Tensor) -> Tensor:
    return scores.gather(-1, targets.unsqueeze(-1))


def _below_the_target(scores: Tensor, targets: Tensor) -> Tensor:
    return (scores[..., 1:] > _own(scores, targets)).sum(dim=-1)


def _place_in_a_sort(scores: Tensor, targets: Tensor) -> Tensor:
    order = scores[..., 1:].argsort(dim=-1, descending=True, stable=True) + 1
    return (order == targets.unsqueeze(-1)).int().argmax(dim=-1) + 1


_NAN = "a broken model must not look like a working one: leave NaN as it is, or raise a ValueError"
_IN_FAVOUR = "ties count in favour of the target, so that a constant model is perfect: they have to count against it"
_FROM_ZERO = "your ranks start at 0: the best item has rank 1"
check_rank_of_target = Check(
    part="metrics.rank_of_target",
    task="`scores` is (…, columns), one column for each item, column 0 is padding and never counted; `targets` is (…), "
    "the true item of each row. Return its rank among all items, whole numbers, 1 = best. A tie counts against the "
    "target: a constant model gets the worst rank.",
    hints=(
        "No sort is needed: the rank is a count of items. Which items do you count?",
        "The target's own score: `scores.gather(-1, …)` with the targets as a last axis of size 1.",
        "Count the items, without column 0, whose score is at least the target's. The target itself is one of them: "
        "that makes the best rank 1.",
    ),
    body=_rank_of_target,
    minutes=10,
    difficulty=2,
    mistakes={
        _IN_FAVOUR: lambda s, t: _below_the_target(s, t) + 1,
        _FROM_ZERO: _below_the_target,
        f"{_FROM_ZERO}, it counts itself": lambda s, t: metrics.rank_of_target(s, t) - 1,
        "the padding column is ranked too: leave column 0 out": lambda s, t: (s >= _own(s, t)).sum(dim=-1),
        "column 0 is ranked too, and ties count in favour of the target": lambda s, t: (s > _own(s, t)).sum(dim=-1) + 1,
        "you count from the worst: the highest score has rank 1": lambda s, t: (s[..., 1:] <= _own(s, t)).sum(dim=-1),
        "you count from the worst, and ties in favour": lambda s, t: (s[..., 1:] < _own(s, t)).sum(dim=-1) + 1,
        "the score of item i stands in column i, column 0 is padding: you look one column too far left":
            lambda s, t: (s[..., 1:] >= _own(s, t - 1)).sum(dim=-1),
        "the target counts twice: it is among the items whose score is at least its own":
            lambda s, t: metrics.rank_of_target(s, t) + 1,
        "tied items stand in the order of their columns: the item's number decides. Ties count against the target":
            _place_in_a_sort,
        "a rank is a whole number": lambda s, t: metrics.rank_of_target(s, t).float(),
        "tied items share the mean of their ranks: here ties count against the target":
            lambda s, t: (_below_the_target(s, t) + 1 + metrics.rank_of_target(s, t)).double() / 2,
    },
)  # fmt: skip


# --- hit_rate, mrr, ndcg ---


def _of_ranks(trial: Trial) -> None:
    case = _Case(trial, torch.tensor([1, 2, 3, 5, 6, 20]), 5)
    found = case.found()
    kind = "a return seems to be missing" if found is None else "return a tensor, one number for each rank"
    if isinstance(found, float) or (type(found) is Tensor and found.dim() == 0):
        kind = "one number for each rank: the mean comes later"
    case.require(type(found) is Tensor and found.shape == (6,), f"found {describe(found)}, expected six numbers", kind)
    case.require(found.is_floating_point(), f"found {found.dtype}, expected floating numbers",
                 "a mean is not defined for whole numbers or True and False: turn them into floating ones")  # fmt: skip
    _same_numbers(trial, *case.arguments)
    many = trial.integers(1, 30, 400)
    for k in (1, 2, 10, 40):
        _same_numbers(trial, many, k)
        _same_numbers(trial, many.view(20, 20), k)
    _same_numbers(trial, many[:0], 5)


def _within(ranks: Tensor, k: int, gain: Tensor) -> Tensor:
    return torch.where(ranks <= k, gain.double(), 0.0)


_NOT_CUT = "the cut-off is missing: beyond rank k there is no gain"
_OFF_BY_ONE = "a rank of exactly k is still within the first k"
check_hit_rate = Check(
    part="metrics.hit_rate",
    task="Return, for each rank (whole numbers of any shape, 1 = best), 1.0 if the true item is among the first k, "
    "else 0.0. The mean is taken later.",
    hints=("Ranks start at 1. Which ranks are within the first k?", "A comparison gives True and False: `.double()`."),
    body=_of_ranks,
    minutes=2,
    difficulty=1,
    mistakes={
        _OFF_BY_ONE: lambda r, k: (r < k).double(),
        "this is the precision at k: a hit counts 1, not 1 / k": lambda r, k: (r <= k).double() / k,
        "these are the misses": lambda r, k: (r > k).double(),
        "only a rank of exactly k counts here": lambda r, k: (r == k).double(),
        "ranks start at 1: one rank too many counts": lambda r, k: (r - 1 <= k).double(),
    },
)
check_mrr = Check(
    part="metrics.mrr",
    task="Return, for each rank (whole numbers of any shape, 1 = best), 1 / rank if it is within the first k, else 0. "
    "The mean is taken later.",
    hints=(
        "Two factors: is the rank within the first k, and what does it earn?",
        "Multiplying by a comparison sets a number to 0 where it is False.",
    ),
    body=_of_ranks,
    minutes=3,
    difficulty=1,
    mistakes={
        _NOT_CUT: lambda r, k: 1 / r.double(),
        _OFF_BY_ONE: lambda r, k: _within(r, k - 1, 1 / r),
        "ranks start at 1: 1 / rank, without adding 1": lambda r, k: _within(r, k, 1 / (r + 1)),
        "this is the hit rate: a hit earns 1 / rank": lambda r, k: _within(r, k, torch.ones_like(r)),
        "ranks beyond k are clipped to k: they earn nothing": lambda r, k: 1 / r.clamp(max=k).double(),
        "this is NDCG: here the gain is 1 / rank": metrics.ndcg,
    },
)
check_ndcg = Check(
    part="metrics.ndcg",
    task="Return, for each rank (whole numbers of any shape, 1 = best), 1 / log2(rank + 1) if it is within the first "
    "k, else 0. The mean is taken later.",
    hints=(
        "What does rank 1 earn? Put it into your formula first.",
        "The base of the logarithm matters: rank 1 has to earn 1, rank 3 a half. With one true item the best possible "
        "gain is 1, so there is nothing else to divide by.",
        "Multiply by a comparison, so that ranks beyond k earn 0.",
    ),
    body=_of_ranks,
    minutes=5,
    difficulty=1,
    mistakes={
        "this is the natural logarithm: NDCG takes base 2": lambda r, k: _within(r, k, 1 / torch.log(r.double() + 1)),
        "this is the logarithm of base 10: NDCG takes base 2": lambda r, k: _within(
            r, k, 1 / torch.log10(r.double() + 1)
        ),
        "at rank 1, log2(rank) is 0: divide by log2(rank + 1)": lambda r, k: _within(r, k, 1 / torch.log2(r.double())),
        "at rank 1, log2(rank) is 0: divide by log2(rank + 1), then rank 1 needs no exception":
            lambda r, k: _within(r, k, 1 / torch.log2(r.double().clamp_min(2))),
        "divide by log2(rank + 1), not by 1 + log2(rank)":
            lambda r, k: _within(r, k, 1 / (1 + torch.log2(r.double()))),
        "you divide by log2(rank + 2), which is for ranks that start at 0: here they start at 1":
            lambda r, k: _within(r, k, 1 / torch.log2(r.double() + 2)),
        _NOT_CUT: lambda r, k: 1 / torch.log2(r.double() + 1),
        "the cut-off is missing, and the logarithm is the natural one": lambda r, k: 1 / torch.log(r.double() + 1),
        _OFF_BY_ONE: lambda r, k: _within(r, k - 1, 1 / torch.log2(r.double() + 1)),
        "with a single true item the ideal gain is 1: do not divide by that of k items": lambda r, k: metrics.ndcg(r, k)
            / sum(1 / math.log2(i + 1) for i in range(1, k + 1)),
        "this is the hit rate: the discount is missing": lambda r, k: _within(r, k, torch.ones_like(r)),
        "this is MRR: the discount of NDCG is a logarithm": metrics.mrr,
        "this is the discount itself: a gain is divided by it": lambda r, k: _within(r, k, torch.log2(r.double() + 1)),
    },
)  # fmt: skip


# --- mean_and_error, paired_difference ---


def _estimate_of(case: _Case) -> None:
    found = case.found()
    cause = "a return seems to be missing" if found is None else "later cells ask it for .mean and .error"
    wanted = "expected a metrics.Estimate(mean, error)"
    case.require(type(found) is Estimate, f"found {describe(found)}, {wanted}", cause)
    _same_numbers(case.trial, *case.arguments)


def _mean_and_error(trial: Trial) -> None:
    _estimate_of(_Case(trial, torch.tensor([0.1, 0.5, 0.3, 0.3], dtype=torch.float64)))
    for users in (2, 3, 7, 500):
        _same_numbers(trial, trial.normal(users, dtype=torch.float64) + 3)
    _same_numbers(trial, trial.normal(30) + 3)


def _paired_difference(trial: Trial) -> None:
    _estimate_of(_Case(trial, *torch.tensor([[0.9, 0.5, 0.1], [0.7, 0.4, 0.0]], dtype=torch.float64)))
    for users in (2, 5, 400):
        shared = 3 * trial.normal(users, dtype=torch.float64)
        _same_numbers(trial, shared + trial.normal(users, dtype=torch.float64), shared - 1)
    _same_numbers(trial, trial.normal(30) + 3, trial.normal(30))


def _estimate(values: Tensor, error: Tensor | float) -> Estimate:
    return Estimate(float(values.mean()), float(error))


def _of_errors(combine: Callable[[float, float], float]) -> Callable[[Tensor, Tensor], Estimate]:
    """A mistaken paired difference whose error is made of the two means' own errors."""
    return lambda a, b: _estimate(a - b, combine(metrics.mean_and_error(a).error, metrics.mean_and_error(b).error))


_UNPAIRED = "this is the error of two separate groups of users: here they are the same, so subtract user by user first"
check_mean_and_error = Check(
    part="metrics.mean_and_error",
    task="Given one number for each user, return `metrics.Estimate(mean, error)`, two floats: the mean and its "
    "standard error s / sqrt(n), where s is the standard deviation (with n - 1) over the n users.",
    hints=(
        "The standard error of a mean is smaller than the standard deviation: by which factor?",
        "torch's `.std()` divides by n − 1 already. A number to the power of a half is a root.",
    ),
    body=_mean_and_error,
    minutes=5,
    difficulty=1,
    mistakes={
        "this is the standard deviation: the error of a mean is s / sqrt(n)": lambda v: _estimate(v, v.std()),
        "you divide by n: divide by its square root": lambda v: _estimate(v, v.std() / len(v)),
        "this is the variance over n: the square root is missing": lambda v: _estimate(v, v.var() / len(v)),
        "this is the variance over sqrt(n): s is the root of the variance": lambda v: _estimate(
            v, v.var() / len(v) ** 0.5
        ),
        "this is the variance: the error of a mean is s / sqrt(n)": lambda v: _estimate(v, v.var()),
        "a standard deviation divides by n - 1, yours by n: NumPy's default is n, torch's n - 1": lambda v: _estimate(
            v, v.std(correction=0) / len(v) ** 0.5
        ),
        "you divide by sqrt(n - 1), and s has n - 1 in it already": lambda v: _estimate(
            v, v.std() / (len(v) - 1) ** 0.5
        ),
        "this is two standard errors: return one": lambda v: _estimate(v, 2 * v.std() / len(v) ** 0.5),
        "this is 1.96 standard errors: return one": lambda v: _estimate(v, 1.96 * v.std() / len(v) ** 0.5),
        "this is the sum, not the mean": lambda v: Estimate(float(v.sum()), float(v.std() / len(v) ** 0.5)),
        "the order is mean, then error": lambda v: Estimate(*reversed(metrics.mean_and_error(v))),
    },
)  # fmt: skip
check_paired_difference = Check(
    part="metrics.paired_difference",
    task="Given the numbers of two models, user by user, return the mean of first - second with the standard error of "
    "that difference over users, as `metrics.Estimate(mean, error)`.",
    hints=(
        "What makes a user easy or hard for both models cancels, if you subtract at the right moment.",
        "Make one number for each user of the two. Then it is a case for `mean_and_error`.",
    ),
    body=_paired_difference,
    minutes=3,
    difficulty=1,
    mistakes={
        _UNPAIRED: _of_errors(math.hypot),
        f"{_UNPAIRED} (and two errors do not add up)": _of_errors(lambda a, b: a + b),
        "a difference of two errors is not the error of a difference: subtract user by user first": _of_errors(
            lambda a, b: a - b
        ),
        "a difference of two errors, made positive, is not the error of a difference: subtract user by user first":
            _of_errors(lambda a, b: abs(a - b)),
        f"{_UNPAIRED} (this is the mean of the two errors)": _of_errors(lambda a, b: (a + b) / 2),
        f"{_UNPAIRED} (this is the first one's error)": _of_errors(lambda a, b: a),
        "the sign is wrong: it is first - second": lambda a, b: metrics.mean_and_error(b - a),
        "the differences keep their sign: no absolute value": lambda a, b: metrics.mean_and_error((a - b).abs()),
        "this is a standard deviation: the error of a mean is s / sqrt(n)": lambda a, b: _estimate(
            a - b, (a - b).std()
        ),
        "you divide by n: divide by its square root": lambda a, b: _estimate(a - b, (a - b).std() / len(a)),
        "a standard deviation divides by n - 1, yours by n": lambda a, b: _estimate(
            a - b, (a - b).std(correction=0) / len(a) ** 0.5
        ),
    },
)  # fmt: skip


# --- summarise ---


def _summarise(trial: Trial) -> None:
    ranks = torch.tensor([1, 2, 4, 7, 30])
    _same_numbers(trial, ranks, (1, 5))
    _same_numbers(trial, torch.tensor([3]), (5,))
    many = trial.integers(1, 30, 400)
    _same_numbers(trial, many)
    _same_numbers(trial, many, ks=(3, 40, 1))


def _summary(ranks: Tensor, ks: Sequence[int] = (5, 10, 20), **changed: Callable) -> dict[str, float]:
    """A summary with some metrics replaced."""
    named = {"hr": metrics.hit_rate, "mrr": metrics.mrr, "ndcg": metrics.ndcg} | changed
    return {f"{name}@{k}": float(torch.as_tensor(f(ranks, k)).mean()) for k in ks for name, f in named.items()}


def _over_hits(metric: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor, int], Tensor]:
    return lambda ranks, k: metric(ranks[ranks <= k], k)


check_summarise = Check(
    part="evaluation.summarise",
    task="Return a dict of floats, {\"hr@5\": …, \"mrr@5\": …, \"ndcg@5\": …, …}: for each k of `ks` the means of hit "
    "rate, MRR and NDCG over all ranks.",
    hints=(
        "Two loops: over the cut-offs, over the three metrics.",
        "A dict from name to function saves writing each line three times. A key is f\"{name}@{k}\".",
    ),
    body=_summarise,
    minutes=5,
    difficulty=1,
    mistakes={
        "these are sums: the number of cases must not matter": lambda ranks, ks=(5, 10, 20): {
            name: len(ranks) * value for name, value in _summary(ranks, ks).items()
        },
        "the mean runs over the hits only: a miss counts as 0": lambda ranks, ks=(5, 10, 20): _summary(
            ranks, ks, mrr=_over_hits(metrics.mrr), ndcg=_over_hits(metrics.ndcg)
        ),
        "MRR is cut off at k, too": lambda ranks, ks=(5, 10, 20): _summary(ranks, ks, mrr=lambda r, k: 1 / r.double()),
        "`ks` is ignored: the cut-offs are the caller's": lambda ranks, ks=(5, 10, 20): _summary(ranks),
        "MRR is the mean of 1 / rank, not 1 over the mean rank": lambda ranks, ks=(5, 10, 20): _summary(
            ranks, ks, mrr=lambda r, k: 1 / r.double().mean()
        ),
        "these are percentages: return shares of 1": lambda ranks, ks=(5, 10, 20): {
            name: 100 * value for name, value in _summary(ranks, ks).items()
        },
    },
)  # fmt: skip


# --- rank_cases ---


class TableOfScores(backbones.NextItemModel):
    """Scores by the present item, from a table; in training mode they are worthless, as under a heavy dropout."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)
        self.met: list[tuple[int, bool, bool]] = []  # of each call: rows, was a cut given, were gradients recorded

    table: Tensor

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        """Score only the positions where `where` is True, row by row."""
        self.met.append((len(items), cut is not None and len(cut) == len(items), torch.is_grad_enabled()))
        scores = self.table[items[where]]
        return -scores if self.training else scores


class SharedScores(TableOfScores):
    """Scores all positions alike, in rows that share their memory."""

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        """Score only the positions where `where` is True, row by row."""
        return self.table[0].expand(int(where.sum()), -1)


def _model(trial: Trial, num_items: int, kind: type[TableOfScores] = TableOfScores) -> TableOfScores:
    table = trial.normal(num_items + 1, num_items + 1)
    table[:, 0] = -math.inf
    return kind(table)


def _cases(trial: Trial, n: int = 2, length: int = 4) -> Split:
    """A split in which some users meet an item twice, and many have a past before their row."""
    lengths = [*trial.integers(2, 25, 14).tolist(), 5, 30]
    rows = [(u, int(trial.integers(1, 20, 1)), t) for u, m in enumerate(lengths) for t in range(m)]
    return splits.last_n(_log(rows, lengths, 22, trial), n=n, length=length)


def _rank_cases(trial: Trial) -> None:
    split = _cases(trial)
    model = _model(trial, split.num_items)
    trial.same(model.eval(), split.test)
    model.train()  # as after an epoch of training
    trial.same(model, split.test)
    for part in (split.test, split.validation, split.train):
        trial.same(model, part, batch_size=5)
    trial.same(model, split.test.rows(slice(0, 4)), batch_size=1)
    _kept(trial, model, split.test)
    trial.same(_SEVEN_ITEMS, _ONE_ROW, exclude_seen=True)
    for part in (split.test, split.train, replace(split.test, seen=())):
        trial.same(model, part, exclude_seen=True)
        trial.same(model, part, exclude_seen=True, batch_size=5)
    shared = _model(trial, split.num_items, SharedScores)
    trial.same(shared, split.test)
    trial.same(shared, split.test, exclude_seen=True)
    before = model.table.clone()
    with trial.of_the_answer(model, split.test, exclude_seen=True):
        trial.answer(shared, split.test, exclude_seen=True)
        trial.answer(model, split.test, exclude_seen=True)
    trial.require(torch.equal(before, model.table), "it changes the model", "work on a copy of the scores",
                  model, split.test, exclude_seen=True)  # fmt: skip
    trial.same(model, split.test.rows(slice(0, 0)))
    broken = TableOfScores(model.table.clone())
    broken.table[:, 1::2] = math.nan
    hit = split.test.targets[split.test.scored()] % 2 == 1
    ranks = torch.zeros(0)
    with suppress(Exception):
        ranks = trial.answer(broken, split.test)[hit]
    hidden = int(((ranks >= 2) & (ranks < split.num_items)).sum())
    trial.require(hidden == 0, f"the scores of {len(ranks)} true items are NaN, and {hidden} of these have a rank in "
                  "between", _NAN)  # fmt: skip


def _kept(trial: Trial, model: TableOfScores, cases: Windows) -> None:
    """Fail unless mode, batches, cut and gradients are handled well."""
    case = _Case(trial, model, cases, batch_size=3)
    for training in (True, False):
        model.train(training)
        model.met.clear()
        with trial.of_the_answer(model, cases, batch_size=3):
            trial.answer(model, cases, batch_size=3)  # the model itself: it notes how it is called
        mode = "training" if training else "eval"
        case.require(model.training == training, f"a model in {mode} mode comes back in the other one",
                     "`in_eval_mode(model)` puts the mode back")  # fmt: skip
    sizes, cuts, gradients = zip(*model.met)
    case.require(max(sizes) <= 3, f"{max(sizes)} rows were scored at once, expected 3 at most",
                 "walk through the cases in batches: all at once may not fit into memory")  # fmt: skip
    case.require(all(cuts), "`score_at` got no `cut`, or one of another batch",
                 "hand `batch.cut` on: a SkipRec's policy reads no further")  # fmt: skip
    case.require(not any(gradients), "gradients are recorded while cases are ranked",
                 "nothing is learnt here: torch.no_grad() saves memory and time")  # fmt: skip


class SevenItems(TableOfScores):
    """Always the same order: item 1 before 2, before 3, …, before 7."""

    def __init__(self) -> None:
        super().__init__(torch.tensor([-math.inf, *range(7, 0, -1)]).expand(8, -1).clone())


def _ranks(
    model: Any, cases: Windows, *, exclude_seen: bool = False, batch_size: int = 128, present: int = 1,
    later: bool = False, window: bool = True, seen: bool = True, of_first: bool = False, drop: int = 0,
    last_only: bool = False, train: bool = False, spare_target: bool = False, shared: bool = False,
    past: bool | None = None,
) -> Tensor:  # fmt: skip
    """rank_cases with one step replaced; `past` says whether seen items are taken out, whatever is asked for."""
    ranks = [torch.empty(0, dtype=torch.int64)]
    model = copy.deepcopy(model).train(train)
    for start in range(0, len(cases), batch_size):
        batch = cases.rows(slice(start, start + batch_size))
        if len(batch) < batch_size and (drop == 2 or (drop and start)):
            break
        where = batch.scored()
        if last_only:
            where = where & (torch.arange(where.shape[1]) == where.shape[1] - 1)
        scores, targets = model.score_at(batch.items, where, batch.cut), batch.targets[where]
        scores = scores if shared else scores.clone()
        for line, (row, t) in enumerate(where.nonzero().tolist() if (exclude_seen if past is None else past) else []):
            own = scores[line, targets[line]].clone()
            if window:
                scores[line, batch.items[row] if later else batch.items[row, : t + present]] = -math.inf
            if seen and cases.seen:
                scores[line, torch.from_numpy((cases if of_first else batch).seen[row])] = -math.inf
            if spare_target:
                scores[line, targets[line]] = own
        ranks.append(metrics.rank_of_target(scores, targets))
    return torch.cat(ranks)


def _ranked(**step: Any) -> Callable[..., Tensor]:
    return lambda model, cases, **options: _ranks(model, cases, **options, **step)


# A user met 4 and 5, then 1, 2, 3 (the row), and then 7. Of these 6 is the only one that stands before 7.
_SEVEN_ITEMS = SevenItems().eval()
_ONE_ROW = Windows(
    items=torch.tensor([[0, 1, 2, 3]]),
    targets=torch.tensor([[0, 0, 0, 7]]),
    cut=torch.tensor([3]),
    users=torch.tensor([0]),
    seen=(np.array([4, 5]),),
)
_RANK_MISTAKES: dict[str, dict[str, Any]] = {
    "dropout is on: put the model in eval mode for the while": {"train": True},
    "only the last position of a row is ranked: rank all that `batch.scored()` names": {"last_only": True},
    "an incomplete last batch is dropped": {"drop": 1},
    "an incomplete batch is dropped, even if it is the only one": {"drop": 2},
    "`exclude_seen` has no effect: the user's own past stays in the ranking": {"past": False},
    "the user's past is taken out although nobody asked for it": {"past": True},
    "what stands before the row, in `seen`, is the user's past too": {"seen": False},
    "the items of the row are the user's past too, not only `seen`": {"window": False},
    "the present item is part of the past: up to position t, t included": {"present": 0},
    "items *after* a position are taken out as well, and the target with them: only those up to it are the past":
        {"later": True},
    "`seen` of another row: row 0 of a batch is not row 0 of all cases": {"of_first": True},
    "a target that the user has met before is taken out like any other item: it gets the worst rank":
        {"spare_target": True},
    "rows of scores may share their memory, and what is written into one is written into all: write into a clone":
        {"shared": True},
}  # fmt: skip
check_rank_cases = Check(
    part="evaluation.rank_cases",
    task="Return the rank of the true item at every scored position of `cases`, row by row, one int64 tensor. Go "
    "through the cases batch by batch (`cases.rows(rows)` for `rows` in `batches(cases, batch_size)`), ask "
    "`model.score_at(items, where, cut)`, in eval mode (put back afterwards: `in_eval_mode`) and without gradients. "
    "With `exclude_seen` the items that the user met up to the position (row and `seen`) get −inf. Models may share "
    "their memory: change copies. `gates`, if any, hold a row for each case: hand on the batch's (lesson 08).",
    hints=(
        "`batch.scored()` is the mask `where`. `score_at` returns one row for each True, in the order of "
        "`batch.targets[where]`.",
        "`where.nonzero()` gives (row, t) for each line of the scores: which items had the user met by then?",
        "`batch.past(row, t)` says it: items[row, : t + 1], and `seen[row]` of the same batch.",
        "Collect the ranks in a list, begun with an empty int64 tensor, and concatenate. `.clone()` the scores before "
        "you write into them.",
    ),
    body=_rank_cases,
    minutes=20,
    difficulty=3,
    mistakes={cause: _ranked(**step) for cause, step in _RANK_MISTAKES.items()},
)


# --- evaluate ---


def _evaluate(trial: Trial) -> None:
    split = _cases(trial, n=3)
    for model in (_model(trial, split.num_items), backbones.MarkovChain(split)):
        _same_numbers(trial, model, split.test)
        _same_numbers(trial, model, split.validation, (1, 4))
        _same_numbers(trial, model, split.test, exclude_seen=True)
        _same_numbers(trial, model, split.train, ks=(2,), exclude_seen=True)


def _of_rows(model: Any, cases: Windows, ks: Sequence[int] = (5, 10, 20), *, exclude_seen: bool = False) -> dict:
    """Evaluate with users weighed alike, not predictions."""
    ranks, named = evaluation.rank_cases(model, cases, exclude_seen=exclude_seen), ("hit_rate", "mrr", "ndcg")
    by_user = {
        f"{name.replace('hit_rate', 'hr')}@{k}": evaluation.mean_per_user(getattr(metrics, name)(ranks, k), cases)
        for k in ks for name in named
    }  # fmt: skip
    return {name: float(values.mean()) for name, values in by_user.items()}


_CHOICE_IS_LOST = "`exclude_seen` has no effect: hand it on"
check_evaluate = Check(
    part="evaluation.evaluate",
    task="Rank the cases with `rank_cases`, then return what `summarise` makes of the ranks, for these `ks`. "
    "`exclude_seen` says whether the user's own past is taken out.",
    hints=(
        "You have built both steps.",
        "Hand on what you were given: `exclude_seen` and `gates` to the one, `ks` to the other.",
    ),
    body=_evaluate,
    minutes=2,
    difficulty=1,
    mistakes={
        _CHOICE_IS_LOST: lambda model, cases, ks=(5, 10, 20), *, exclude_seen=False: evaluation.evaluate(
            model, cases, ks
        ),
        "seen items are taken out although nobody asked for it": lambda model, cases, ks=(5, 10, 20), **o: (
            evaluation.evaluate(model, cases, ks, exclude_seen=True)
        ),
        "`ks` is ignored: the cut-offs are the caller's": lambda model, cases, ks=(), **o: evaluation.evaluate(
            model, cases, **o
        ),
        "dropout is on: `rank_cases` puts the model in eval mode": lambda model, cases, ks=(5, 10, 20), **o: (
            evaluation.summarise(_ranks(model, cases, **o, train=True), ks)
        ),
        "all predictions weigh alike here: the mean runs over cases, not over users' means": _of_rows,
    },
)  # fmt: skip


# --- mean_per_user, ndcg_per_user ---

_TWO_USERS = Windows(
    torch.tensor([[0, 5, 1], [0, 2, 3], [1, 2, 4]]), torch.tensor([[0, 0, 2], [0, 3, 1], [0, 4, 5]]),
    torch.tensor([2, 1, 1]), torch.tensor([4, 1, 4]),
)  # user 4 has one prediction in row 0 and two in row 2, user 1 has two in row 1  # fmt: skip


def _mean_per_user(trial: Trial) -> None:
    _same_numbers(trial, torch.tensor([0.0, 0.5, 0.7, 0.9, 0.3], dtype=torch.float64), _TWO_USERS)
    split = _cases(trial, n=3)
    for part in (split.test, split.validation, split.train):
        for cases in (part, part.rows(torch.arange(len(part)).flip(0))):
            for dtype in (torch.float64, torch.float32):
                _same_numbers(trial, trial.normal(int(cases.scored().sum()), dtype=dtype) + 2, cases)


def _owners(cases: Windows) -> Tensor:
    return cases.users[cases.scored().nonzero()[:, 0]]


def _means_of(values: Tensor, owners: Tensor, *, divide: Callable[[Tensor], Tensor] = lambda count: count) -> Tensor:
    """The mean of the values of each owner, owners in order."""
    _, position = owners.unique(return_inverse=True)
    count = torch.bincount(position)
    return torch.zeros(len(count), dtype=values.dtype).index_add_(0, position, values) / divide(count)


def _in_order_of_rows(values: Tensor, cases: Windows) -> Tensor:
    owners = _owners(cases).tolist()
    return torch.stack([values[[o == user for o in owners]].mean() for user in dict.fromkeys(owners)])


def _with_gaps(values: Tensor, cases: Windows) -> Tensor:
    owners = _owners(cases)
    return torch.bincount(owners, weights=values) / torch.bincount(owners).clamp_min(1)


_BY_USER: dict[str, Callable[[Tensor, Windows], Any]] = {
    "each row has a mean of its own here: a user may have several rows, and is the unit": lambda v, c: _means_of(
        v, c.scored().nonzero()[:, 0]
    ),
    "this is one mean over all predictions: average within each user": lambda v, c: v.mean(),
    "this is one mean over users: return one number for each": lambda v, c: _means_of(v, _owners(c)).mean(),
    "there is no average: all predictions of a user become one number": lambda v, c: v,
    "these are sums: divide by how many predictions each user has": lambda v, c: _means_of(
        v, _owners(c), divide=torch.ones_like
    ),
    "users have different numbers of predictions: divide by each user's own": lambda v, c: _means_of(
        v, _owners(c), divide=lambda count: count.max()
    ),
    "the users stand in the order of their rows: they belong in the order of their index": _in_order_of_rows,
    "users without a case have no place in the result: it has one number for each user of the cases": _with_gaps,
    "this is the mean of the rows' means: each prediction of a user weighs alike": lambda v, c: _means_of(
        _means_of(v, c.scored().nonzero()[:, 0]), c.users[c.scored().any(1)]
    ),
}
check_mean_per_user = Check(
    part="evaluation.mean_per_user",
    task="`values` has one number for each scored position of `cases`, row by row. Return the mean of each user's "
    "numbers, users in the order of their index (only those of the cases). A user may have several rows, and rows "
    "different numbers of scored positions.",
    hints=(
        "First find out whose each value is: `cases.scored().nonzero()` gives the row of each, `cases.users` the user "
        "of each row.",
        "`unique(return_inverse=True)` numbers the users 0, 1, … in order.",
        "A mean is a sum over a count: `torch.bincount` gives both, with `weights` and without.",
    ),
    body=_mean_per_user,
    minutes=10,
    difficulty=3,
    mistakes=_BY_USER,
)


def _ndcg_per_user(trial: Trial) -> None:
    split = _cases(trial, n=3)
    for model in (_model(trial, split.num_items), backbones.MarkovChain(split)):
        _same_numbers(trial, model, split.test)
        _same_numbers(trial, model, split.validation, 3)
        _same_numbers(trial, model, split.test, exclude_seen=True)
        _same_numbers(trial, model, split.train, k=5, exclude_seen=True)


def _ndcg_by(mean: Callable[[Tensor, Windows], Any], metric: Callable = metrics.ndcg, **o: Any) -> Callable[..., Any]:
    """ndcg_per_user with another way to average, another metric, or other options for the ranks."""

    def mistaken(model: Any, cases: Windows, k: int = 10, *, exclude_seen: bool = False) -> Any:
        ranks = _ranks(model, cases, **({"exclude_seen": exclude_seen} | o))
        return mean(metric(ranks, k), cases)

    return mistaken


check_ndcg_per_user = Check(
    part="evaluation.ndcg_per_user",
    task="Return the NDCG@k of each user: rank the cases, turn ranks into NDCG, average over each user's predictions. "
    "`exclude_seen` says whether the user's own past is taken out.",
    hints=(
        "Three steps, all built: `rank_cases`, `ndcg`, `mean_per_user`.",
        "Why not one mean over all cases? The ten predictions of one user are not independent: the user is the unit.",
    ),
    body=_ndcg_per_user,
    minutes=3,
    difficulty=1,
    mistakes={
        **{cause: _ndcg_by(mean) for cause, mean in _BY_USER.items()},
        _CHOICE_IS_LOST: _ndcg_by(evaluation.mean_per_user, exclude_seen=False),
        "seen items are taken out although nobody asked for it": _ndcg_by(evaluation.mean_per_user, exclude_seen=True),
        "`k` is ignored: the cut-off is the caller's": _ndcg_by(
            evaluation.mean_per_user, lambda ranks, k: metrics.ndcg(ranks, 10)
        ),
        "this is the hit rate, not NDCG": _ndcg_by(evaluation.mean_per_user, metrics.hit_rate),
        "this is MRR, not NDCG": _ndcg_by(evaluation.mean_per_user, metrics.mrr),
    },
)  # fmt: skip


# --- Popularity, MarkovChain ---

# Training items, then one for validation and one for test; nobody is trained on item 5.
_THREE_USERS = ((1, 2, 1, 2, 3, 4, 5), (2, 3, 1, 5), (4, 5, 3))


def _baseline(trial: Trial, *options: dict[str, float]) -> None:
    rows = [(u, item, t) for u, history in enumerate(_THREE_USERS) for t, item in enumerate(history)]
    a_few, many = splits.leave_one_out(_log(rows, [*map(len, _THREE_USERS)], 5, trial), length=4), _cases(trial)
    histories = trial.histories(22, [0, 1, 4, 6], 6)
    for split, items in ((a_few, torch.tensor([[0, 1, 2, 3, 4]])), (many, histories)):
        for settings in options:
            with trial.of_the_answer(split, **settings):
                model = trial.answer(split, **settings)
            trial.require(isinstance(model, backbones.NextItemModel), "the class is no backbones.NextItemModel",
                          "let it inherit from that one, so that it can be evaluated")  # fmt: skip
            _same_of_the_model(trial, split, partial(_scores, items=items), "forward(items)", settings)
            for where in (items > 0, torch.ones_like(items, dtype=torch.bool)):
                for more in ((), (torch.zeros(len(items), dtype=torch.int64),)):
                    ask = partial(_scores_at, items=items, where=where, more=more)
                    _same_of_the_model(trial, split, ask, "score_at(items, where)", settings)


def _scores(model: backbones.NextItemModel, items: Tensor) -> Tensor:
    return model(items)


def _scores_at(model: backbones.NextItemModel, items: Tensor, where: Tensor, more: tuple) -> Tensor:
    return model.score_at(items, where, *more)


def _same_of_the_model(
    trial: Trial, split: Split, ask: Callable[[Any], Any], what: str, settings: dict[str, float]
) -> None:
    """Fail unless the model that the answer makes of the split says the same as the package's."""
    expected = _in_float32(ask(trial.reference(split, **settings)))
    with trial.of_the_answer(split, **settings):
        found = _in_float32(ask(trial.answer(split, **settings)))
    problem = difference(found, expected)
    if not problem:
        return
    likely = ""
    for cause, mistaken in trial.twins:
        with suppress(Exception):
            if not difference(found, _in_float32(ask(mistaken(split, **settings)))):
                likely = cause
                break
    few = "" if len(split.sequences) > 3 else f", sequences {describe(list(split.sequences))}"
    strength = "".join(f", {name}={value}" for name, value in settings.items())
    trial.fail(f"given a Split of {split.num_items} items{few}{strength}: {what} {problem}", likely)


class _Scores(backbones.NextItemModel):
    """A mistaken baseline: `of_item` turns counts into the scores after each item."""

    def __init__(self, of_item: Callable[[], Tensor]) -> None:
        super().__init__()
        self.scores = of_item()  # (item, column), or (column,)

    def forward(self, items: Tensor) -> Tensor:
        if self.scores.dim() == 1:
            return self.scores.expand(*items.shape, -1)
        return self.scores[items]

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        return self(items[where])


def _occurrences(split: Split, sequences: Sequence[np.ndarray] | None = None) -> Tensor:
    events = np.concatenate(split.sequences if sequences is None else sequences)
    return torch.from_numpy(np.bincount(events, minlength=split.num_items + 1)).double()


def _popularity(of_counts: Callable[[Tensor], Tensor]) -> Callable[[Split], _Scores]:
    """A mistaken Popularity that makes these scores of the counts."""
    return lambda split: _Scores(lambda: of_counts(_occurrences(split)))


def _of_windows(split: Split) -> _Scores:
    counts = torch.bincount(split.train.targets.flatten(), minlength=split.num_items + 1).double()
    counts[0] = 0
    return _Scores(lambda: (counts / counts.sum()).log())


def _of_everything(split: Split) -> _Scores:
    held_out = [t[t > 0].numpy() for w in (split.validation, split.test) for t in w.targets]
    counts = _occurrences(split, [*split.sequences, *held_out])
    return _Scores(lambda: (counts / counts.sum()).log())


check_Popularity = Check(
    part="backbones.Popularity",
    task="A class that inherits from `backbones.NextItemModel`. `__init__(self, split)` counts the items of "
    "`split.sequences`; `forward(items)` returns the log of each item's share of these events at every position, "
    "(batch, time, num_items + 1); `score_at(items, where, cut=None)` the same at the positions `where`, (scored, "
    "num_items + 1). Column 0, padding, and items without an event have −inf.",
    hints=(
        "The scores do not depend on the history at all: count once, in __init__.",
        "`np.bincount(..., minlength=…)` counts items, those that nobody had as well. How many columns are there?",
        "`expand` repeats a row over batch and time without copying. For `score_at`: items[where] has one entry for "
        "each row to return.",
    ),
    body=lambda trial: _baseline(trial, {}),
    minutes=10,
    difficulty=2,
    mistakes={
        "these are counts: the score is the log of the share": _popularity(lambda c: c),
        "these are shares: the score is the logarithm": _popularity(lambda c: c / c.sum()),
        "these are logs of counts: divide by their sum, so that they are shares": _popularity(torch.log),
        "every item got one more count: popularity is not smoothed": _popularity(
            lambda c: ((c + 1) / (c + 1).sum()).log()
        ),
        "padding and items without an event belong at -inf: nothing is added to their count": _popularity(
            lambda c: (c / c.sum() + 1e-8).log()
        ),
        "a softmax over counts is no share: divide by the sum": _popularity(lambda c: c.log_softmax(-1)),
        "you count the targets of the training windows: a user's first item is missing, count `split.sequences`":
            _of_windows,
        "you count validation or test items as well: this is a leak, `split.sequences` holds what may be counted":
            _of_everything,
        "column 0 is padding: there are num_items + 1 columns": _popularity(lambda c: (c / c.sum()).log()[1:]),
    },
)  # fmt: skip


def _transitions(
    split: Split, *, one_sequence: bool = False, once: bool = False, any_later: bool = False,
    leak: bool = False,
) -> Tensor:  # fmt: skip
    """How often item j came right after item i, or a mistaken version of it."""
    counts = torch.zeros(split.num_items + 1, split.num_items + 1, dtype=torch.float64)
    for s in [np.concatenate(split.sequences)] if one_sequence else split.sequences:
        pairs = zip(s[:-1].tolist(), s[1:].tolist())
        if any_later:
            pairs = ((a, b) for i, a in enumerate(s.tolist()) for b in s[i + 1 :].tolist())  # type: ignore[assignment]
        for i, j in {*pairs} if once else pairs:
            counts[i, j] += 1
    for cases in (split.validation, split.test) if leak else ():
        where = cases.scored()
        counts.index_put_((cases.items[where], cases.targets[where]), torch.ones(()).double(), accumulate=True)
    return counts


def _chain(
    of: Callable[[Tensor, Tensor, float], Tensor] | None = None, *, transposed: bool = False, **how: bool
) -> Callable[..., _Scores]:
    """A mistaken MarkovChain: other counts, or another formula of (counts, share, strength)."""

    def right(counts: Tensor, share: Tensor, s: float) -> Tensor:
        return ((counts + s * share) / (counts.sum(-1, keepdim=True) + s)).log()

    def mistaken(split: Split, strength: float = 10.0) -> _Scores:
        counts, share = _transitions(split, **how), _occurrences(split)
        counts = counts.T if transposed else counts
        return _Scores(lambda: (of or right)(counts, share / share.sum(), strength))

    return mistaken


def _total(counts: Tensor) -> Tensor:
    return counts.sum(-1, keepdim=True)


def _without_smoothing(counts: Tensor, share: Tensor, s: float) -> Tensor:
    return (counts / _total(counts)).log()


def _evenly(counts: Tensor, share: Tensor, s: float) -> Tensor:
    even = torch.ones_like(share) / (len(share) - 1)
    return ((counts + s * even) / (_total(counts) + s)).log().index_fill(-1, torch.tensor([0]), -math.inf)


def _add_s(counts: Tensor, share: Tensor, s: float) -> Tensor:
    return ((counts + s) / (_total(counts) + s * len(share))).log()


def _by_occurrence(split: Split, strength: float = 10.0) -> _Scores:
    counts, of_item = _transitions(split), _occurrences(split)
    share = of_item / of_item.sum()
    return _Scores(lambda: ((counts + strength * share) / (of_item[:, None] + strength)).log())


check_MarkovChain = Check(
    part="backbones.MarkovChain",
    task="A class like `Popularity` (you may inherit from it), `__init__(self, split, strength=10.0)`. The score of "
    "item j after item i is log p(j | i), with p(j | i) = (count(i → j) + strength · share(j)) / (count(i → anything) "
    "+ strength). Steps i → j are counted within each of `split.sequences`; share(j) is popularity's. At a position "
    "the present item counts, and after padding popularity is left. `forward` and `score_at` as there.",
    hints=(
        "Fill a table of counts, (num_items + 1, num_items + 1), from pairs of neighbours: s[:-1] and s[1:].",
        "`table[i, j] += 1` with arrays i and j counts a pair once, however often it comes. `np.add.at` does not, nor "
        "a sparse tensor, which needs less memory: `torch.sparse_coo_tensor(pairs, ones, size).coalesce()`.",
        "A row of the table for each present item: table[items], or `index_select` and `to_dense()` if it is sparse. "
        "Add strength · share, divide by the row's sum + strength, take the logarithm.",
    ),
    body=lambda trial: _baseline(trial, {}, {"strength": 0.5}, {"strength": 200.0}),
    minutes=15,
    difficulty=3,
    mistakes={
        "steps from one user's last item to the next user's first are counted: stay within each sequence": _chain(
            one_sequence=True
        ),
        "a step that occurs again is counted once only: with arrays as indices, `+= 1` adds 1 to a place once": _chain(
            once=True
        ),
        "steps to validation or test items are counted as well: this is a leak, `split.sequences` may be counted":
            _chain(leak=True),
        "the steps are counted backwards: what came *before* the present item": _chain(transposed=True),
        "all later items are counted: only the one right after counts": _chain(any_later=True),
        "smoothing is missing: where nothing was counted, popularity has to step in": _chain(_without_smoothing),
        "smoothing is missing: where nothing was counted, popularity has to step in, with `strength`": _chain(
            lambda c, share, s: torch.where(_total(c) > 0, c / _total(c), share).log()
        ),
        "smoothing goes by popularity, not evenly over all items": _chain(_evenly),
        "smoothing goes by popularity, strength · share(j), not the same for each item": _chain(_add_s),
        "`strength` is missing below the line": _chain(lambda c, share, s: ((c + s * share) / _total(c)).log()),
        "`strength` is missing below the line, and 0 is avoided": _chain(
            lambda c, share, s: ((c + s * share) / _total(c).clamp_min(1)).log()
        ),
        "`strength` has no effect: it is always 10": _chain(
            lambda c, share, s: ((c + 10 * share) / (_total(c) + 10)).log()
        ),
        "these are probabilities: the score is the logarithm": _chain(
            lambda c, share, s: (c + s * share) / (_total(c) + s)
        ),
        "this is popularity: the present item has no effect": _chain(
            lambda c, share, s: share.log().expand(len(share), -1)
        ),
        "below the line stands how often i was *followed* by something, not how often it occurs": _by_occurrence,
    },
)  # fmt: skip

"""Checks of what lesson 04 builds: splits without a leak, metrics, evaluation, three models that count."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import Check, Trial
from skiprec_course.next_item import mistakes
from skiprec_lite import backbones, splits
from skiprec_lite.datasets import Interactions
from skiprec_lite.windows import Split, Windows

__all__ = [
    "check_MarkovChain", "check_Popularity", "check_WindowCounter", "check_last_n", "check_last_positions",
    "check_leave_one_out", "check_mean_and_error", "check_mean_per_user", "check_ndcg", "check_pad_left",
    "check_rank_cases", "check_rank_of_target", "check_sessions", "check_training_windows", "check_user_sequences",
]  # fmt: skip


# --- made-up logs and histories ---


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

    In the file each user's newest row stands first, then the second newest and the two oldest, the others behind
    them: the last rows of the file are no user's newest or oldest. And there are more items than anybody met.
    """
    places = [(user, place) for user, length in enumerate(lengths) for place in range(length)]
    rows = [(user, item, 100 + 7 * item) for item, (user, _) in enumerate(places, start=1)]
    order = torch.randperm(len(rows), generator=trial.generator).tolist()
    behind = [lengths[user] - 1 - place for user, place in places]
    order.sort(key=lambda i: (behind[i] > 0, behind[i] > 1 and places[i][1] > 1))
    return _log([rows[i] for i in order], lengths, len(rows) + 3, trial)


def _tied(trial: Trial, *lengths: int) -> Interactions:
    """Users mixed, few different timestamps, each item once: ties everywhere."""
    owners = np.repeat(np.arange(len(lengths)), lengths)
    owners = owners[torch.randperm(len(owners), generator=trial.generator).numpy()]
    items = (torch.randperm(len(owners), generator=trial.generator) + 1).tolist()
    times = trial.integers(0, 3, len(owners)).tolist()
    return _log([*zip(owners.tolist(), items, times)], lengths, len(owners), trial)


def _distinct(trial: Trial, *lengths: int) -> list[np.ndarray]:
    """Histories in which no item occurs twice."""
    items = (torch.randperm(sum(lengths), generator=trial.generator) + 1).numpy()
    return np.split(items, np.cumsum(lengths)[:-1])


# --- what is asked of all that is made of histories ---


def _found(trial: Trial, *arguments: Any, **options: Any) -> Any:
    """What the answer returns; the log or the sequences that it is given have to stay as they were."""
    given = copy.deepcopy(arguments)
    with trial.of_the_answer(*arguments, **options):
        found = trial.answer(*given, **options)
    for before, after in zip(arguments, given):
        was, is_now = (x.table.reset_index().to_numpy() if isinstance(x, Interactions) else x for x in (before, after))
        changed = isinstance(was, list | np.ndarray) and difference(is_now, was)
        trial.require(not changed, "it changes what it was given", "work on a copy", *arguments, **options)
    return found


def _same(trial: Trial, *arguments: Any, cause: str = "", **options: Any) -> None:
    """Fail unless the answer returns what the package does; the cause is said where no row of the table fits."""
    found, expected = _found(trial, *arguments, **options), trial.reference(*copy.deepcopy(arguments), **options)
    problem = difference(found, expected, strict=trial.strict)
    trial.require(not problem, problem, cause, *arguments, **options)


# --- user_sequences ---


def _user_sequences(trial: Trial) -> None:
    in_order = [(0, 4, 1), (0, 2, 5), (0, 7, 6), (1, 3, 1), (1, 6, 2)]
    not_sorted = [(0, 3, 20), (1, 6, 7), (0, 1, 10), (0, 2, 30), (1, 5, 6), (1, 7, 9)]
    with_a_gap = [(0, 3, 1), (2, 4, 9), (2, 6, 2)]
    ties = [(1, 4, 7), (0, 9, 5), (0, 2, 5), (1, 1, 3), (0, 5, 1), (0, 3, 5), (1, 8, 7), (1, 2, 7)]
    _same(trial, _log(in_order, (3, 2), 7, trial))
    _same(trial, _log(not_sorted, (3, 3), 7, trial))
    _same(trial, _log(with_a_gap, (1, 0, 2, 0), 6, trial))
    for log in (_log(ties, (4, 4), 9, trial), _tied(trial, 30, 5, 60, 1)):
        _same(trial, log, cause=mistakes.NOT_STABLE)


check_user_sequences = Check(
    part="splits.user_sequences",
    task="`interactions.table` is a data frame with columns user (0, 1, …), item and timestamp, one row per event, in "
    "file order. Return a list with one int64 array of items for each of `interactions.user_ids`, oldest first, events "
    "of the same second in file order; a user without events gets an empty array.",
    hints=(
        "Sort first, then cut the sorted table at the users' borders.",
        'A sort is stable if rows that are equal keep their order. In pandas: `sort_values(..., kind="stable")`.',
        "Sort by user *and* timestamp and take the column of items as an array. `np.searchsorted` says where a user's "
        "rows begin, also if the table holds none; `np.split` cuts there.",
    ),
    body=_user_sequences,
    minutes=10,
    difficulty=1,
    mistakes=mistakes.USER_SEQUENCES,
)


# --- pad_left ---


def _pad_left(trial: Trial) -> None:
    histories = [np.array([4, 2, 7, 6]), np.array([5, 1]), np.array([3])]
    many = [trial.integers(1, 99, int(n)).numpy() for n in trial.integers(0, 12, 20)]
    for sequences, length in (
        (histories, 3),
        (histories, 5),
        ([np.arange(1, 6), np.array([9, 8])], 3),
        ([[3, 9], [1, 2, 3, 4]], 2),  # lists are sequences too
        ([np.arange(1, 6)], 1),
        ([np.array([4]), np.array([], dtype=np.int64)], 2),
        ([], 4),
        (many, 7),
    ):
        _same(trial, sequences, length)


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
    mistakes=mistakes.PAD_LEFT,
)


# --- training_windows and last_positions ---


def _training_windows(trial: Trial) -> None:
    many, nothing = _distinct(trial, 0, 1, 2, 5, 6, 7, 25), np.array([], dtype=np.int64)
    for sequences, users, length in (
        ([np.arange(1, 7)], [0], 2),
        ([np.arange(1, 6), np.arange(6, 9)], [3, 5], 4),
        ([np.arange(1, 7), np.arange(7, 9), np.array([9])], [0, 1, 2], 3),
        ([np.array([5]), nothing], [0, 1], 3),
        (many, [3, 4, 5, 5, 6, 9, 11], 6),
        (many, range(7), 1),
        (many, range(7), 40),
    ):
        _same(trial, sequences, users, length=length)
    _same(trial, [np.arange(1, 6), np.arange(6, 8)], [0, 1], [np.array([8, 9]), nothing], length=2)
    _same(trial, many, range(7), many[::-1], length=5)


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
    body=_training_windows,
    minutes=20,
    difficulty=3,
    mistakes=mistakes.TRAINING_WINDOWS,
)


def _last_positions(trial: Trial) -> None:
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
        _same(trial, sequences, users, n=n, width=width)
    few, before = [np.arange(1, 5), np.arange(5, 8)], [np.array([8, 9]), np.array([], dtype=np.int64)]
    _same(trial, few, [0, 1], before, n=1, width=2)
    _same(trial, many, [2, 3, 5, 8], earlier, n=3, width=8)


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
    body=_last_positions,
    minutes=15,
    difficulty=2,
    mistakes=mistakes.LAST_POSITIONS,
)


# --- last_n, leave_one_out, sessions ---


def _last_n(trial: Trial) -> None:
    many = (25, 3, 7, 12, 1, 2, 6)
    for lengths, n, length in (((8, 6), 2, 3), ((8, 4, 2), 2, 3), ((9,), 1, 4), (many, 2, 5), ((25, 9, 40), 4, 50)):
        _split(trial, _ascending(trial, *lengths), n=n, length=length)
    _split(trial, _ascending(trial, 30, 15, 80))  # the defaults
    _same(trial, _tied(trial, 40, 9, 70, 33, 18), cause=mistakes.NOT_STABLE, n=3, length=5)


def _leave_one_out(trial: Trial) -> None:
    for lengths, length in (((7, 5, 6), 4), ((7, 2, 1, 0), 2), ((25, 3, 7, 12, 1, 2, 6), 5)):
        _split(trial, _ascending(trial, *lengths), length=length)
    _split(trial, _ascending(trial, 6, 80))  # the default
    _same(trial, _tied(trial, 40, 9, 70, 33, 18), cause=mistakes.NOT_STABLE, length=5)


def _sessions(trial: Trial) -> None:
    many = (40, 25, 3, 33, 17, 9, 22)
    for lengths, length in (((13,), 4), ((11, 10, 4, 15, 2, 1), 4), ((12, 5, 6, 8), 3), (many, 7)):
        _split(trial, _ascending(trial, *lengths), whole=True, length=length)
    _split(trial, _ascending(trial, 65, 45), whole=True)  # the default
    _same(trial, _tied(trial, 40, 9, 70, 33, 18), cause=mistakes.NOT_STABLE, length=5)


def _split(trial: Trial, log: Interactions, whole: bool = False, **options: int) -> None:
    """Look at what is tested, then for leaks (whole: all items of a row are held out), then for any difference."""
    found, expected = _found(trial, log, **options), trial.reference(log, **options)

    def require(condition: bool, words: str, cause: str = "") -> None:
        trial.require(condition, words, cause, log, **options)

    require(type(found).__name__ == "Split", f"found {describe(found)}, expected a Split",
            "is a `return` missing?" if found is None else "")  # fmt: skip
    last = [of.test.targets[:, -1] for of in (found, expected)]
    require(not difference(*last), f"the last items to predict are {describe(last[0])}, expected {describe(last[1])}",
            "in order of time the newest items are the last ones")  # fmt: skip
    trained, counted = _items(found.train), {item for s in found.sequences for item in np.asarray(s).tolist()}
    for name, cases in (("test", expected.test), ("validation", expected.validation)):
        held_out = _items(cases) if whole else set(cases.targets.flatten().tolist()) - {0}
        for where, items in (("trained on", trained), ("counted in `sequences`", counted)):
            leaked = min(held_out & items, default=0)
            require(not leaked, f"a leak: item {leaked} is held out for {name}, and {where}")
    ahead = min(_items(found.validation) & set(expected.test.targets.flatten().tolist()) - {0}, default=0)
    require(not ahead, f"a leak: item {ahead} is held out for test, and stands in a row of validation")
    problem = difference(found, expected, strict=trial.strict)
    require(not problem, problem)


def _items(windows: Windows) -> set[int]:
    """All that is read or predicted in these rows."""
    return {*windows.items.flatten().tolist(), *windows.targets.flatten().tolist()} - {0}


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
    mistakes=mistakes.LAST_N,
)
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
    mistakes=mistakes.LEAVE_ONE_OUT,
)
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
    importance="extra",
    mistakes=mistakes.SESSIONS,
)


# --- rank_of_target ---

# Scores of one case, the target, its rank. Column 0 is padding. One slip shows in each.
_CASES = (
    ([0.0, 5.0, 1.0, 4.0, 3.0, 2.0], 3, 2),
    ([9.0, 3.0, 3.0, 3.0, 4.0, 3.0], 3, 5),  # ties, and padding with the best score of all
    ([0.0, 2.0, 2.0, 2.0, 2.0, 2.0], 2, 5),  # a constant model
    ([-math.inf, -math.inf, 2.0, 1.0, -math.inf, 3.0], 1, 5),  # a target that is ruled out
)


def _rank_of_target(trial: Trial) -> None:
    for row, target, rank in _CASES:
        with trial.of_the_answer(torch.tensor(row), target):
            found = trial.answer(torch.tensor([row]), torch.tensor([target]))
        problem = difference(found, torch.tensor([rank]))
        trial.require(not problem, f"scores and target of one row: {problem}", "", torch.tensor(row), target)
    for shape in ((6,), (3, 4), (0,)):
        trial.same(trial.normal(*shape, 9), trial.integers(1, 8, *shape))
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


_NAN = "a broken model must not look like a working one: leave NaN as it is, or raise a ValueError"
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
    mistakes=mistakes.RANK_OF_TARGET,
)


# --- ndcg, mean_and_error ---


def _ndcg(trial: Trial) -> None:
    trial.same(torch.tensor([1, 3, 2, 5, 6, 20]), 5)
    many = trial.integers(1, 30, 400)
    for k in (1, 2, 10, 40):
        trial.same(many, k)
        trial.same(many.view(20, 20), k)
    trial.same(many[:0], 5)


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
    body=_ndcg,
    minutes=5,
    difficulty=1,
    mistakes=mistakes.NDCG,
)


def _mean_and_error(trial: Trial) -> None:
    values = torch.tensor([0.1, 0.5, 0.3, 0.3, 0.9], dtype=torch.float64)
    found = trial.call(trial.answer, values)
    trial.require(type(found).__name__ == "Estimate", f"found {describe(found)}, expected a metrics.Estimate",
                  "is a `return` missing?" if found is None else "", values)  # fmt: skip
    trial.same_results(_rounded, values)
    for users in (2, 3, 7, 500):
        trial.same_results(_rounded, trial.normal(users, dtype=torch.float64) + 3)
    trial.same_results(_rounded, trial.normal(30) + 3)


def _rounded(of: Callable[[Tensor], tuple[float, float]]) -> Callable[[Tensor], dict[str, Tensor]]:
    """In float32: it does not matter in which precision they were computed."""
    return lambda values: {name: torch.tensor(float(x)) for name, x in zip(("mean", "error"), of(values), strict=True)}


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
    importance="useful",
    mistakes=mistakes.MEAN_AND_ERROR,
)


# --- rank_cases ---


class TableOfScores(backbones.NextItemModel):
    """Scores by the present item, from a table; in training mode they are worthless, as under a heavy dropout."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)
        self.met: list[tuple[int, list[int] | None, bool]] = []  # of each call: rows, their cuts, were gradients on

    table: Tensor

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        """Score only the positions where `where` is True, row by row."""
        self.met.append((len(items), None if cut is None else cut.tolist(), torch.is_grad_enabled()))
        scores = self.table[items[where]]
        return -scores if self.training else scores


class SharedScores(TableOfScores):
    """Scores all positions alike, in rows that share their memory."""

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        """Score only the positions where `where` is True, row by row."""
        return self.table[0].expand(int(where.sum()), -1)


def _cases(trial: Trial, n: int = 2, length: int = 4) -> Split:
    """A split in which some users meet an item twice, and many have a past before their row."""
    lengths = [*trial.integers(2, 25, 14).tolist(), 5, 30]
    rows = [(u, int(trial.integers(1, 20, 1)), t) for u, m in enumerate(lengths) for t in range(m)]
    return splits.last_n(_log(rows, lengths, 22, trial), n=n, length=length)


def _rank_cases(trial: Trial) -> None:
    split = _cases(trial)
    table = trial.normal(split.num_items + 1, split.num_items + 1)
    table[:, 0] = -math.inf
    model, shared = TableOfScores(table), SharedScores(table.clone())
    trial.same(model.eval(), split.test, exclude_seen=False)
    model.train()  # as after an epoch of training
    trial.same(model, split.test, exclude_seen=False)
    for part in (split.test, split.validation, split.train):
        trial.same(model, part, exclude_seen=False, batch_size=5)
    trial.same(model, split.test.rows(slice(0, 4)), exclude_seen=False, batch_size=1)
    _kept(trial, model, split.test)
    # A user met 4 and 5, then 1, 2, 3 (the row), and then 7. Of these 6 is the only one that stands before 7.
    row, target = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[0, 0, 0, 7]])
    one_row = Windows(row, target, torch.tensor([3]), torch.tensor([0]), (np.array([4, 5]),))
    in_order = torch.tensor([-math.inf, *range(7, 0, -1)]).expand(8, -1)  # item 1 before 2, before 3, …, before 7
    trial.same(TableOfScores(in_order.clone()), one_row, exclude_seen=True)
    for part in (split.test, split.train, replace(split.test, seen=())):
        trial.same(model, part, exclude_seen=True)
        trial.same(model, part, exclude_seen=True, batch_size=5)
    trial.same(model, split.test)
    trial.same(shared, split.test, exclude_seen=False)
    trial.same(shared, split.test, exclude_seen=True)
    for used in (shared, model):
        with trial.of_the_answer(used, split.test, exclude_seen=True):
            trial.answer(used, split.test, exclude_seen=True)
        trial.require(torch.equal(used.table, table), "it changes the model", "work on a copy of the scores",
                      used, split.test, exclude_seen=True)  # fmt: skip
    trial.same(model, split.test.rows(slice(0, 0)))
    broken = TableOfScores(table.clone())
    broken.table[:, 1::2] = math.nan
    hit = split.test.targets[split.test.scored()] % 2 == 1
    ranks = torch.zeros(0)
    with suppress(Exception):
        ranks = trial.answer(broken, split.test, exclude_seen=False)[hit]
    hidden = int(((ranks >= 2) & (ranks < split.num_items)).sum())
    trial.require(hidden == 0, f"the scores of {len(ranks)} true items are NaN, and {hidden} of these have a rank in "
                  "between", _NAN)  # fmt: skip


def _kept(trial: Trial, model: TableOfScores, cases: Windows) -> None:
    """Fail unless mode, batches, cut and gradients are handled well."""
    cases = replace(cases, cut=torch.arange(len(cases)) % 5)

    def require(condition: bool, words: str, cause: str = "") -> None:
        trial.require(condition, words, cause, model, cases, batch_size=3)

    for training in (True, False):
        model.train(training)
        model.met.clear()
        with trial.of_the_answer(model, cases, batch_size=3):
            trial.answer(model, cases, batch_size=3)  # the model itself: it notes how it is called
        mode = "training" if training else "eval"
        require(model.training == training, f"a model in {mode} mode comes back in the other one")
    sizes, cuts, gradients = zip(*model.met)
    require(max(sizes) <= 3, f"{max(sizes)} rows were scored at once, expected 3 at most")
    right = [c for cut in cuts for c in cut or ()] == cases.cut.tolist()
    require(right, "`score_at` got no `cut`, or one of another batch", mistakes.ANOTHER_CUT)
    require(not any(gradients), "gradients are recorded while cases are ranked")


check_rank_cases = Check(
    part="evaluation.rank_cases",
    task="Return the rank of the true item at every scored position of `cases`, row by row, one int64 tensor. Go "
    "through the cases batch by batch (`cases.rows(rows)` for `rows` in `batches(cases, batch_size)`), ask "
    "`model.score_at(items, where, cut)`, in eval mode (put back afterwards: `in_eval_mode`) and without gradients. "
    "With `exclude_seen`, as by default, what the user met up to the position (row and `seen`) gets −inf. Models may "
    "share their memory: change copies. `gates`, if any, hold a row for each case: hand on the batch's (lesson 08).",
    hints=(
        "`batch.scored()` is the mask `where`. `score_at` returns one row for each True, in the order of "
        "`batch.targets[where]`.",
        "Each line of the scores belongs to a row and a position t of it: which items had the user met by then?",
        "`batch.past()` says it, line by line: items[row, : t + 1], and `seen[row]` of the same batch; 0 fills up.",
        "Collect the ranks in a list, begun with an empty int64 tensor, and concatenate. `scatter` writes into "
        "a copy of the scores, `scatter_` into themselves.",
    ),
    body=_rank_cases,
    minutes=20,
    difficulty=3,
    mistakes=mistakes.RANK_CASES,
)


# --- mean_per_user ---

_TWO_USERS = Windows(
    torch.tensor([[0, 5, 1], [0, 2, 3], [1, 2, 4]]), torch.tensor([[0, 0, 2], [0, 3, 1], [0, 4, 5]]),
    torch.tensor([2, 1, 1]), torch.tensor([6, 1, 6]),
)  # user 6 has one prediction in row 0 and two in row 2, user 1 has two in row 1  # fmt: skip


def _mean_per_user(trial: Trial) -> None:
    values = torch.tensor([0.0, 0.5, 0.7, 0.9, 0.3], dtype=torch.float64)
    found = trial.call(trial.answer, values, _TWO_USERS)
    if type(found) is Tensor and not found.dim():
        trial.fail(f"found one number, {describe(float(found))}, expected one for each user", "", values, _TWO_USERS)
    trial.same(values, _TWO_USERS)
    split = _cases(trial, n=3)
    for part in (split.test, split.validation, split.train):
        for cases in (part, part.rows(torch.arange(len(part)).flip(0))):
            for dtype in (torch.float64, torch.float32):
                trial.same(trial.normal(int(cases.scored().sum()), dtype=dtype) + 2, cases)


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
    importance="useful",
    mistakes=mistakes.MEAN_PER_USER,
)


# --- Popularity, MarkovChain, WindowCounter ---

# Training items, then one for validation and one for test; nobody is trained on item 5.
_THREE_USERS = ((1, 2, 1, 2, 3, 4, 5), (2, 3, 1, 5), (4, 5, 3))


def _baseline(trial: Trial, *options: dict[str, float]) -> None:
    rows = [(u, item, t) for u, history in enumerate(_THREE_USERS) for t, item in enumerate(history)]
    a_few, many = splits.leave_one_out(_log(rows, [*map(len, _THREE_USERS)], 5, trial), length=4), _cases(trial)
    histories = trial.histories(22, [0, 1, 4, 6], 6)
    for split, items in ((a_few, torch.tensor([[0, 1, 2, 3, 4, 2]])), (many, histories)):
        for settings in options:
            few = "" if len(split.sequences) > 3 else f", sequences {describe(list(split.sequences))}"
            strength = "".join(f", {name}={value}" for name, value in settings.items())
            with trial.of_the_answer(split, **settings):
                model = trial.answer(copy.deepcopy(split), **settings)
                trial.require(isinstance(model, backbones.NextItemModel), "the class is no backbones.NextItemModel",
                              "let it inherit from that one, so that it can be evaluated")  # fmt: skip
                right = _asked(trial.reference(split, **settings), items)
                for (what, found), (_, expected) in zip(_asked(model, items), right):
                    problem = difference(found, expected, strict=trial.strict)
                    trial.require(not problem, f"given a Split of {split.num_items} items{few}{strength}: "
                                  f"{what} {problem}")  # fmt: skip


def _asked(model: backbones.NextItemModel, items: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What a model says of these items, one call after the other."""
    yield "forward(items)", model(items)
    for where in (items > 0, torch.ones_like(items, dtype=torch.bool)):
        yield "score_at(items, where)", model.score_at(items, where)
        yield "score_at(items, where, cut)", model.score_at(items, where, torch.zeros(len(items), dtype=torch.int64))


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
    mistakes=mistakes.POPULARITY,
)
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
    mistakes=mistakes.MARKOV_CHAIN,
)
check_WindowCounter = Check(
    part="backbones.WindowCounter",
    task="A class like `Popularity`, `__init__(self, split, reach=20, last=10, damp=0.3, fade=0.5)`. C(i, j) adds up "
    "how often j came 1 … reach steps after i within one of `split.sequences`, each time steps^−fade. j scores the "
    "sum, over the `last` items up to the position, of (1 + age)^−fade · C(i, j) / (10 + sum of row i) / (5 + ratings "
    "of j)^damp, plus a millionth of j's share. The present item has age 0, padding adds nothing, column 0 has −∞.",
    hints=(
        "First the table: for each number of steps the pairs are s[:-steps] and s[steps:]. Equal ones add up.",
        "Row and position of each True: `where.nonzero()`. Pad on the left, then look `age` places back.",
    ),
    body=lambda trial: _baseline(trial, {}, {"reach": 2, "last": 3, "damp": 0.0, "fade": 1.0}),
    minutes=30,
    difficulty=5,
    importance="extra",
    mistakes=mistakes.WINDOW_COUNTER,
)

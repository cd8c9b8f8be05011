import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from helpers import histories_log, interactions

from skiprec_lite.datasets import Interactions, load_movielens
from skiprec_lite.splits import (
    fewer_users,
    last_n,
    last_positions,
    leave_one_out,
    sessions,
    training_windows,
    user_sequences,
)
from skiprec_lite.windows import Split, Windows, pad_left


def ascending(*lengths: int) -> Interactions:
    """User 0 met items 1, 2, …, user 1 the ones after those, and so on: an item tells whose it is, and its place."""
    ends = np.cumsum(lengths).tolist()
    return histories_log([range(end - n + 1, end + 1) for n, end in zip(lengths, ends)], ends[-1])


def random_log(lengths: Sequence[int], *, seed: int = 0) -> tuple[Interactions, list[list[int]]]:
    """As `ascending`, but in a file whose rows are shuffled, with the true histories."""
    data = ascending(*lengths)
    shuffled = data.table.sample(frac=1, random_state=seed)
    starts = np.cumsum([0, *lengths])
    histories = [list(range(a + 1, b + 1)) for a, b in itertools.pairwise(starts)]
    return dataclasses.replace(data, table=shuffled), histories


def rows_of(windows: Windows) -> list[tuple[int, list[int], list[int], int]]:
    """User, items, targets and cut of each row."""
    return list(
        zip(windows.users.tolist(), windows.items.tolist(), windows.targets.tolist(), windows.cut.tolist(), strict=True)
    )


def seen_of(windows: Windows) -> list[list[int]]:
    return [s.tolist() for s in windows.seen]


def assert_same(first: Windows, second: Windows) -> None:
    assert rows_of(first) == rows_of(second)
    assert seen_of(first) == seen_of(second)


# --- worked by hand ---


def test_last_two_worked_by_hand() -> None:
    """Users with eight items, with three (tested only) and with two (trained on only)."""
    data = histories_log([[1, 2, 3, 4, 5, 6, 7, 8], [9, 5, 2], [7, 1]], 9)
    split = last_n(data, n=2, length=3)
    assert split.num_items == 9
    assert split.left_out == 1
    assert [s.tolist() for s in split.sequences] == [[1, 2, 3, 4], [7, 1]]
    assert rows_of(split.train) == [(0, [1, 2, 3], [2, 3, 4], 2), (2, [0, 0, 7], [0, 0, 1], 2)]
    assert seen_of(split.train) == [[], []]
    assert rows_of(split.validation) == [(0, [2, 3, 4, 5], [0, 0, 5, 6], 2)]
    assert seen_of(split.validation) == [[1]]
    assert rows_of(split.test) == [(0, [4, 5, 6, 7], [0, 0, 7, 8], 2), (1, [0, 0, 9, 5], [0, 0, 5, 2], 2)]
    assert seen_of(split.test) == [[1, 2, 3], []]


def test_leave_one_out_worked_by_hand() -> None:
    """Users with seven items (two training windows), with two (no validation) and with one (counted only)."""
    data = histories_log([[1, 2, 3, 4, 5, 6, 7], [8, 2], [8]], 8)
    split = leave_one_out(data, length=2)
    assert split.left_out == 1
    assert [s.tolist() for s in split.sequences] == [[1, 2, 3, 4, 5], [8]]
    assert sorted(rows_of(split.train)) == [(0, [1, 2], [2, 3], 1), (0, [3, 4], [4, 5], 1)]
    assert sorted(seen_of(split.train)) == [[], [1, 2]]
    assert rows_of(split.validation) == [(0, [4, 5], [0, 6], 1)]
    assert rows_of(split.test) == [(0, [5, 6], [0, 7], 1), (1, [0, 8], [0, 2], 1)]
    assert seen_of(split.test) == [[1, 2, 3, 4], []]


def test_a_first_training_window_holds_the_rest() -> None:
    split = leave_one_out(ascending(8), length=4)
    assert sorted(rows_of(split.train)) == [(0, [0, 0, 0, 1], [0, 0, 0, 2], 3), (0, [2, 3, 4, 5], [3, 4, 5, 6], 3)]


def test_sessions_worked_by_hand() -> None:
    """Eleven items: a remainder of three is a session. Ten: one of two is dropped. Four: a test session only."""
    data = histories_log([range(1, 12), range(1, 11), range(1, 5), range(1, 16), range(1, 3)], 15)
    split = sessions(data, length=4)
    assert rows_of(split.test) == [
        (0, [8, 9, 10], [0, 0, 11], 2),
        (1, [7, 8, 9], [0, 0, 10], 2),
        (2, [1, 2, 3], [0, 0, 4], 2),
        (3, [12, 13, 14], [0, 0, 15], 2),
    ]
    assert rows_of(split.validation) == [
        (0, [4, 5, 6], [0, 0, 7], 2),
        (1, [3, 4, 5], [0, 0, 6], 2),
        (3, [8, 9, 10], [0, 0, 11], 2),
    ]
    assert rows_of(split.train) == [
        (0, [0, 1, 2], [0, 2, 3], 2),
        (3, [0, 1, 2], [0, 2, 3], 2),
        (3, [4, 5, 6], [5, 6, 7], 2),
    ]
    assert [s.tolist() for s in split.sequences] == [[1, 2, 3], [1, 2, 3], [4, 5, 6, 7]]
    assert split.num_items == 15


def test_windows_stand_newest_first_and_the_earlier_past_comes_first() -> None:
    earlier = [np.array([8, 9]), np.array([], dtype=np.int64)]
    found = training_windows([np.arange(1, 6), np.arange(6, 8)], [4, 2], earlier, length=2)
    assert rows_of(found) == [(4, [3, 4], [4, 5], 1), (4, [1, 2], [2, 3], 1), (2, [0, 6], [0, 7], 1)]
    assert seen_of(found) == [[8, 9, 1, 2], [8, 9], []]
    case = last_positions([np.arange(1, 6)], [3], [np.array([8, 9])], n=1, width=2)
    assert rows_of(case) == [(3, [3, 4], [0, 5], 1)]
    assert seen_of(case) == [[8, 9, 1, 2]]


def test_pad_left_worked_by_hand() -> None:
    rows = pad_left([[1, 2], [], [3, 4, 5, 6], np.array([7, 8, 9])], 3)
    assert rows.dtype == torch.int64
    assert rows.tolist() == [[0, 1, 2], [0, 0, 0], [4, 5, 6], [7, 8, 9]]
    assert pad_left([], 3).shape == (0, 3)


# --- order ---


def test_histories_are_sorted_by_time_and_ties_stay_in_file_order() -> None:
    rows = [(1, 4, 7), (0, 9, 5), (0, 2, 5), (1, 1, 3), (0, 5, 1), (0, 3, 5), (1, 8, 7), (1, 2, 7), (0, 1, 5)]
    found = user_sequences(interactions(rows, num_users=2, num_items=9))
    assert [s.tolist() for s in found] == [[5, 9, 2, 3, 1], [1, 4, 8, 2]]


@pytest.mark.parametrize("seed", range(3))
def test_shuffling_the_file_between_users_changes_nothing(seed: int) -> None:
    """With all timestamps tied, a user's history is the order of that user's rows, whatever stands between them."""
    rng = np.random.default_rng(seed)
    histories = [rng.integers(1, 30, size=n).tolist() for n in (14, 5, 9)]
    owners = rng.permutation(np.repeat([0, 1, 2], [14, 5, 9])).tolist()
    left = [iter(h) for h in histories]
    shuffled = interactions([(u, next(left[u]), 100) for u in owners], num_users=3, num_items=30)
    in_blocks = interactions([(u, i, 100) for u, h in enumerate(histories) for i in h], num_users=3, num_items=30)
    assert [s.tolist() for s in user_sequences(shuffled)] == histories
    for part in ("train", "validation", "test"):
        assert_same(getattr(last_n(shuffled, 2, 3), part), getattr(last_n(in_blocks, 2, 3), part))


def test_the_log_stays_as_it_is() -> None:
    data, _ = random_log((4, 3))
    before = data.table.copy()
    user_sequences(data)
    assert data.table.equals(before)


def test_a_user_without_interactions_has_an_empty_history() -> None:
    found = user_sequences(interactions([(0, 3, 1), (2, 4, 1)], num_users=4, num_items=5))
    assert [s.tolist() for s in found] == [[3], [], [4], []]


# --- no leak ---

PROTOCOLS: tuple[tuple[Callable[[Interactions], Split], int], ...] = (
    (lambda data: leave_one_out(data, length=5), 1),
    (lambda data: last_n(data, 3, length=4), 3),
    (lambda data: last_n(data, 2, length=50), 2),
)
LENGTHS = (25, 3, 7, 12, 1, 2, 6, 40)


@pytest.mark.parametrize(("make", "n"), PROTOCOLS)
def test_nothing_that_is_trained_on_stands_at_or_after_the_validation_items(
    make: Callable[[Interactions], Split], n: int
) -> None:
    data, histories = random_log(LENGTHS)
    split = make(data)
    assert len(split.train) > 5
    for user, items, targets, _ in rows_of(split.train):
        history = histories[user]
        allowed = set(history[: -2 * n] if len(history) > 2 * n else history if len(history) <= n else [])
        assert (set(items) | set(targets)) - {0} <= allowed


@pytest.mark.parametrize(("make", "n"), PROTOCOLS)
def test_validation_and_test_score_the_items_that_they_should(make: Callable[[Interactions], Split], n: int) -> None:
    data, histories = random_log(LENGTHS)
    split = make(data)
    for windows, held_back in ((split.test, 0), (split.validation, n)):
        found = {user: [t for t in targets if t] for user, _, targets, _ in rows_of(windows)}
        whole = {u: h[: len(h) - held_back] for u, h in enumerate(histories)}
        assert found == {u: h[-n:] for u, h in whole.items() if len(h) > n and len(histories[u]) > n + held_back}
        assert len(found) == len(windows)


@pytest.mark.parametrize(("make", "n"), PROTOCOLS)
def test_a_case_scores_n_positions_and_a_training_row_all_of_its_items(
    make: Callable[[Interactions], Split], n: int
) -> None:
    split = make(random_log(LENGTHS)[0])
    for windows in (split.validation, split.test):
        assert windows.scored().sum(dim=1).tolist() == [n] * len(windows)
    assert torch.equal(split.train.scored(), split.train.items > 0)


@pytest.mark.parametrize(("make", "n"), PROTOCOLS)
def test_a_position_scores_the_item_that_comes_next_in_the_history(
    make: Callable[[Interactions], Split], n: int
) -> None:
    data, histories = random_log(LENGTHS)
    split = make(data)
    for windows in (split.train, split.validation, split.test):
        for user, items, targets, _ in rows_of(windows):
            history = histories[user]
            for t, target in enumerate(targets):
                if target:
                    place = history.index(target)
                    context = [i for i in items[: t + 1] if i]
                    assert context == history[place - len(context) : place]


@pytest.mark.parametrize(("make", "n"), PROTOCOLS)
def test_the_test_history_contains_the_validation_items(make: Callable[[Interactions], Split], n: int) -> None:
    split = make(random_log(LENGTHS)[0])
    of_user = {user: items for user, items, _, _ in rows_of(split.test)}
    for user, _, targets, _ in rows_of(split.validation):
        assert {t for t in targets if t} <= set(of_user[user])


@pytest.mark.parametrize(("make", "n"), PROTOCOLS)
def test_the_cut_is_the_last_item_before_those_to_predict(make: Callable[[Interactions], Split], n: int) -> None:
    data, histories = random_log(LENGTHS)
    split = make(data)
    for windows in (split.validation, split.test):
        for user, items, targets, cut in rows_of(windows):
            first = next(t for t, target in enumerate(targets) if target)
            history = histories[user]
            assert cut == first
            assert items[cut] == history[history.index(targets[first]) - 1]
            assert not set(targets) - {0} & set(items[: cut + 1])


@pytest.mark.parametrize(("make", "n"), PROTOCOLS)
def test_each_training_item_but_a_history_s_first_is_a_target_once(
    make: Callable[[Interactions], Split], n: int
) -> None:
    split = make(random_log(LENGTHS)[0])
    targets = split.train.targets[split.train.scored()].tolist()
    assert sorted(targets) == sorted(item for s in split.sequences for item in s[1:].tolist())
    assert len(targets) == len(set(targets)) > 20


@pytest.mark.parametrize("make", [*(make for make, _ in PROTOCOLS), lambda data: sessions(data, length=4)])
def test_seen_and_window_together_are_the_whole_past(make: Callable[[Interactions], Split]) -> None:
    data, histories = random_log(LENGTHS)
    split = make(data)
    assert all(max(map(len, windows.seen)) > 2 for windows in (split.train, split.validation, split.test)) or (
        split.train.items.shape[1] > max(LENGTHS)
    )
    for windows in (split.train, split.validation, split.test):
        for (user, items, _, _), seen in zip(rows_of(windows), seen_of(windows), strict=True):
            past = seen + [i for i in items if i]
            assert past == histories[user][: len(past)]


@pytest.mark.parametrize("make", [*(make for make, _ in PROTOCOLS), lambda data: sessions(data, length=4)])
def test_the_past_up_to_a_position_is_all_that_came_before_its_target(make: Callable[[Interactions], Split]) -> None:
    data, histories = random_log(LENGTHS)
    split = make(data)
    for windows in (split.train, split.validation, split.test):
        without_the_rest = dataclasses.replace(windows, seen=())
        scored = windows.scored().nonzero().tolist()
        for (row, position), past, rest in zip(scored, windows.past(), without_the_rest.past(), strict=True):
            history = histories[int(windows.users[row])]
            before = history[: history.index(int(windows.targets[row, position]))]
            assert [i for i in past.tolist() if i] == before
            in_the_row = [i for i in windows.items[row, : position + 1].tolist() if i]
            assert [i for i in rest.tolist() if i] == in_the_row


def test_no_two_sessions_share_an_item() -> None:
    data, histories = random_log((25, 3, 7, 12, 1, 2, 6, 40))
    split = sessions(data, length=5)
    found: list[int] = []
    for windows in (split.train, split.validation, split.test):
        for user, items, targets, _ in rows_of(windows):
            session = [i for i in items if i] + [t for t in targets if t][-1:]
            place = histories[user].index(session[0])
            assert session == histories[user][place : place + len(session)]
            assert 3 <= len(session) <= 5
            found += session
    assert len(found) == len(set(found)) > 70
    newest = {user: max(targets) for user, _, targets, _ in rows_of(split.train)}
    for user, items, _, _ in rows_of(split.validation):
        assert newest.get(user, 0) < min(i for i in items if i)


@pytest.mark.parametrize("make", [last_n, leave_one_out, sessions])
def test_shapes_and_types(make: Callable[[Interactions], Split]) -> None:
    split = make(random_log((90, 70, 25, 64))[0])
    for windows in (split.train, split.validation, split.test):
        assert len(windows) > 1
        assert windows.items.shape == windows.targets.shape
        assert windows.cut.shape == windows.users.shape == (len(windows),)
        assert len(windows.seen) == len(windows)
        for tensor in (windows.items, windows.targets, windows.cut, windows.users):
            assert tensor.dtype == torch.int64
        assert (windows.items[windows.scored()] > 0).all()


def test_the_ten_to_predict_have_the_whole_context_each() -> None:
    windows = last_n(random_log((90, 70, 12))[0], 10, length=20).test
    for _, items, targets, _ in rows_of(windows)[:2]:
        for t, target in enumerate(targets):
            if target:
                assert all(items[t - 19 : t + 1])


# --- rows ---


def test_chosen_rows_keep_together_what_belongs_together() -> None:
    windows = last_n(random_log(LENGTHS)[0], 2, length=4).test
    for index in (slice(1, 4), torch.tensor([1, 2, 3])):
        chosen = windows.rows(index)
        assert len(chosen) == 3
        assert rows_of(chosen) == rows_of(windows)[1:4]
        assert seen_of(chosen) == seen_of(windows)[1:4]
    assert rows_of(windows.rows(torch.tensor([3, 0]))) == [rows_of(windows)[3], rows_of(windows)[0]]


# --- MovieLens-100K ---


def test_last_ten_of_movielens() -> None:
    split = last_n(load_movielens(), 10)
    assert len(split.test) == 943
    assert len(split.validation) == 911
    assert split.left_out == 32
    assert split.num_items == 1682
    assert int(split.test.scored().sum()) == 9430
    assert sum(map(len, split.sequences)) == 100_000 - 9430 - 9110 - sum(map(len, short_histories()))


def short_histories() -> list[np.ndarray]:
    """What the 32 users without validation have before their last ten: it is neither trained nor scored."""
    return [s[:-10] for s in user_sequences(load_movielens()) if len(s) <= 20]


# --- errors ---


def test_sizes_without_a_meaning_are_refused() -> None:
    data = ascending(30)
    for wrong in ({"n": 0}, {"length": 0}, {"n": -1}):
        with pytest.raises(ValueError, match="at least 1"):
            last_n(data, **wrong)
    with pytest.raises(ValueError, match="at least 1"):
        leave_one_out(data, length=0)
    with pytest.raises(ValueError, match="at least 3"):
        sessions(data, length=2)
    with pytest.raises(ValueError, match="at least 1"):
        pad_left([[1]], 0)


def test_data_without_a_long_enough_history_is_refused() -> None:
    with pytest.raises(ValueError, match="20 items"):
        last_n(ascending(20, 12), 10)
    with pytest.raises(ValueError, match="2 items"):
        leave_one_out(ascending(2, 2))
    with pytest.raises(ValueError, match="three sessions"):
        sessions(ascending(10, 9), length=4)


def test_a_split_of_histories_of_three_has_nothing_to_train_on_but_its_popularity() -> None:
    """One training item each: a sequence without a transition, so no window."""
    split = leave_one_out(ascending(3, 3))
    assert len(split.train) == 0
    assert split.train.users.dtype == torch.int64
    assert len(split.validation) == len(split.test) == 2
    assert sum(map(len, split.sequences)) == 2


# --- fewer users to train on ---


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
def test_fewer_users_train_and_the_same_ones_are_tested(share: float) -> None:
    lengths = [7 + i % 9 for i in range(40)] + [
        5,
        4,
        2,
    ]  # the last but two train on one item: no window, nobody to draw
    split = last_n(histories_log([[1 + (i + t) % 30 for t in range(n)] for i, n in enumerate(lengths)], 30), 2, 4)
    fewer = fewer_users(split, share, seed=3)
    assert_same(fewer.validation, split.validation)
    assert_same(fewer.test, split.test)
    users = fewer.train.users.unique()
    trained = split.train.users.unique()
    assert len(users) == len(fewer.sequences) == round(share * len(trained))
    rows = [row for row in rows_of(split.train) if row[0] in users]
    assert rows_of(fewer.train) == rows
    for user, sequence in zip(users, fewer.sequences):  # what they hold is what the windows are cut from
        of_user = fewer.train.users == user
        held = {*fewer.train.items[of_user].flatten().tolist(), *fewer.train.targets[of_user].flatten().tolist()} - {0}
        assert held == set(sequence.tolist())


def test_which_users_are_left_is_a_matter_of_the_seed() -> None:
    split = last_n(histories_log([[1 + (i + t) % 30 for t in range(12)] for i in range(40)], 30), 2, 4)
    first, again, other = (fewer_users(split, 0.5, seed=seed).train.users.unique().tolist() for seed in (0, 0, 1))
    assert first == again != other

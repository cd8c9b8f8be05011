"""Synthetic users follow their rule, as often as promised, and need the blocks that are claimed."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from skiprec_lite import blocks, synthetic


def followed(world: synthetic.KnownDepth, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Whether each next item from the largest lag on obeys the rule, and the group of each row."""
    windows = world.draw(seed)
    items = torch.cat([windows.items, windows.targets[:, -1:]], dim=1).numpy() - 1
    groups = world.group_of(windows).numpy()
    size = world.rules.shape[1]
    obeys = np.zeros((len(items), world.length - max(world.lags)), dtype=bool)
    for row, group in enumerate(groups):
        inside = items[row] - (0 if world.shared_items else group * size)
        assert inside.min() >= 0
        assert inside.max() < size, "an item of another group"
        for column, t in enumerate(range(max(world.lags), world.length)):
            obeys[row, column] = world.rules[group][inside[t - world.lags[group]]] == inside[t + 1]
    return obeys, groups


@pytest.mark.parametrize("shared", [False, True])
def test_the_next_item_follows_from_the_item_lag_steps_back(shared: bool) -> None:
    world = synthetic.users_of_known_depth((0, 3, 7), users_per_group=20, length=20, noise=0.0, shared_items=shared)
    obeys, _ = followed(world)
    assert obeys.all()


def test_noise_breaks_the_rule_as_often_as_promised() -> None:
    world = synthetic.users_of_known_depth((0, 6, 24), users_per_group=300, noise=0.1)
    obeys, groups = followed(world)
    for group in range(3):
        here = obeys[groups == group]
        error = math.sqrt(world.best_accuracy * (1 - world.best_accuracy) / here.size)
        assert abs(here.mean() - world.best_accuracy) < 4 * error
    assert world.best_accuracy == pytest.approx(0.9 + 0.1 / 20)


def test_a_second_draw_goes_on_with_the_random_numbers() -> None:
    rng, rules = np.random.default_rng(2), np.arange(9)[None]
    first, second = (
        synthetic.draw_sequences(rng, (1,), rules, 5, length=8, noise=0.5, shared_items=True) for _ in range(2)
    )
    assert not np.array_equal(first, second)


def test_rules_are_permutations_and_differ_between_groups() -> None:
    world = synthetic.users_of_known_depth((0, 1), items_per_group=12)
    for rule in world.rules:
        assert sorted(rule) == list(range(12))
    assert not np.array_equal(*world.rules)


def test_the_same_seed_gives_the_same_users_and_epochs_give_fresh_ones() -> None:
    world, same = (synthetic.users_of_known_depth(users_per_group=10, seed=3) for _ in range(2))
    assert torch.equal(world.fresh(0).items, same.fresh(0).items)
    assert not torch.equal(world.fresh(0).items, world.fresh(1).items)
    split = world.split()
    parts = [split.train.items, split.validation.items, split.test.items, world.fresh(0).items, world.fresh(1).items]
    rows = torch.cat(parts)
    assert len(rows.unique(dim=0)) == len(rows)


def test_another_seed_gives_other_rules_and_other_users() -> None:
    worlds = [synthetic.users_of_known_depth(users_per_group=10, seed=seed) for seed in (3, 4)]
    assert not np.array_equal(worlds[0].rules, worlds[1].rules)
    alike = dataclasses.replace(worlds[1], rules=worlds[0].rules)
    assert not torch.equal(alike.draw(0).items[:, 0], worlds[0].draw(0).items[:, 0])


def test_as_many_users_are_drawn_as_asked_for() -> None:
    world = synthetic.users_of_known_depth((0, 1), users_per_group=3)
    assert [len(world.draw(0)), len(world.draw(0, 5)), len(world.fresh(2)), len(world.split().test)] == [6, 10, 6, 6]


def test_first_items_and_noise_are_uniform_and_noise_strikes_each_item_alone() -> None:
    """Lag 0, the rule i -> i: where an item differs from the one before, there was noise."""
    size, noise, users, length = 5, 0.4, 4000, 9
    still = np.arange(size)[None]
    (rows,) = synthetic.draw_sequences(
        np.random.default_rng(0), [0], still, users, length=length, noise=noise, shared_items=True
    ).swapaxes(0, 1)
    moved = rows[:, 1:] != rows[:, :-1]
    for counts in (np.bincount(rows[:, 0] - 1, minlength=size), np.bincount(rows[:, 1:][moved] - 1, minlength=size)):
        expected = counts.sum() / size
        assert np.abs(counts - expected).max() < 4 * math.sqrt(expected)
    share = noise * (1 - 1 / size)
    how_often = moved.sum(axis=1)  # binomial: the variance tells independent noise from a user's own
    spread = (length - 1) * share * (1 - share)
    assert abs(how_often.mean() - (length - 1) * share) < 4 * math.sqrt(spread / users)
    assert how_often.var() == pytest.approx(spread, rel=4 * math.sqrt(2 / users))


@pytest.mark.parametrize(("lags", "length", "cut"), [((0, 3), 20, 10), ((0, 15), 20, 15), ((0, 3), 9, 4), ((4,), 9, 4)])
def test_the_cut_is_the_largest_lag_or_the_window_s_middle(lags: tuple[int, ...], length: int, cut: int) -> None:
    world = synthetic.users_of_known_depth(lags, users_per_group=2, length=length)
    assert set(world.draw(0).cut.tolist()) == {cut}


def test_the_baselines_count_what_is_trained_on() -> None:
    split = synthetic.users_of_known_depth((0, 2), users_per_group=4, length=12).split()
    for row, sequence in enumerate(split.sequences):
        assert sequence[:-1].tolist() == split.train.items[row].tolist()
        assert sequence[1:].tolist() == split.train.targets[row].tolist()


def test_cases_are_scored_from_the_cut_on_and_keep_their_items() -> None:
    split = synthetic.users_of_known_depth((0, 24), users_per_group=5).split()
    for cases in (split.validation, split.test):
        assert torch.equal(cases.cut, torch.full((10,), 25))
        assert not cases.targets[:, :25].any()
        assert (cases.targets[:, 25:] > 0).all()
        assert (cases.items > 0).all(), "hiding a target must not hide an item"
        assert torch.equal(cases.targets[:, 25:-1], cases.items[:, 26:])
    assert (split.train.targets > 0).all()
    assert [len(s) for s in split.sequences] == [51] * 10


def test_groups_have_items_of_their_own_unless_shared() -> None:
    world = synthetic.users_of_known_depth((0, 1, 2), items_per_group=5, users_per_group=30)
    windows = world.draw(0)
    own = [set(windows.items[world.group_of(windows) == g].unique().tolist()) for g in range(3)]
    assert own == [set(range(1, 6)), set(range(6, 11)), set(range(11, 16))]
    assert world.num_items == 15
    shared = synthetic.users_of_known_depth((0, 1, 2), items_per_group=5, users_per_group=30, shared_items=True)
    assert shared.num_items == 5
    assert set(shared.draw(0).items.unique().tolist()) == set(range(1, 6))


@pytest.mark.parametrize("lag", [0, 1, 5, 6, 7, 12, 17, 24])
def test_blocks_of_dilation_one_needed_for_a_lag(lag: int) -> None:
    needed = math.ceil(lag / 6)
    assert blocks.receptive_field([1] * needed) >= lag + 1
    if needed:
        assert blocks.receptive_field([1] * (needed - 1)) < lag + 1


# --- the curriculum ---


def lags_followed(world: synthetic.KnownDepth, epoch: int) -> list[int]:
    """The lag that each group of an epoch's training users follows: the one at which its rule always holds."""
    windows = world.fresh(epoch)
    size, found = world.rules.shape[1], []
    for group in range(len(world.lags)):
        here = windows.users % len(world.lags) == group
        inside = (windows.items[here] - 1).numpy() - (0 if world.shared_items else group * size)
        following = (windows.targets[here] - 1).numpy() - (0 if world.shared_items else group * size)
        assert inside.min() >= 0
        assert inside.max() < size
        holds = []
        for lag in range(max(world.lags) + 1):
            predicted = world.rules[group][inside[:, : inside.shape[1] - lag]]
            after = following[:, lag:]
            start = max(world.lags) - lag  # the first items of a user are random
            if (predicted[:, start:] == after[:, start:]).all():
                holds.append(lag)
        assert len(holds) == 1, (group, holds)
        found += holds
    return found


@pytest.mark.parametrize("shared", [False, True])
def test_lags_grow_from_nothing_to_their_own_while_the_curriculum_lasts(shared: bool) -> None:
    """The bound grows evenly to the largest lag: 12 steps in 8 epochs."""
    world = synthetic.users_of_known_depth(
        (0, 5, 12), users_per_group=15, length=30, noise=0.0, curriculum_epochs=8, shared_items=shared
    )
    bounds = [0, 1, 3, 4, 6, 7, 9, 10, 12, 12]
    expected = [[0, min(5, bound), bound] for bound in bounds]
    assert [lags_followed(world, epoch) for epoch in range(10)] == expected


def test_without_a_curriculum_the_lags_are_their_own_from_the_first_epoch() -> None:
    world = synthetic.users_of_known_depth((0, 5, 12), users_per_group=15, length=30, noise=0.0)
    assert [lags_followed(world, epoch) for epoch in (0, 1)] == [[0, 5, 12]] * 2


def test_a_curriculum_changes_neither_the_rules_nor_those_to_be_judged_nor_the_epochs_after_it() -> None:
    options = {"lags": (0, 4), "users_per_group": 10, "length": 20, "seed": 2}
    plain, taught = (synthetic.users_of_known_depth(**options, curriculum_epochs=n) for n in (0, 3))
    assert np.array_equal(plain.rules, taught.rules)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(plain.split(), part).items, getattr(taught.split(), part).items)
    for epoch in (3, 4, 9):
        assert torch.equal(plain.fresh(epoch).items, taught.fresh(epoch).items)
    epochs = [taught.fresh(epoch) for epoch in range(4)]
    assert not torch.equal(epochs[1].items, plain.fresh(1).items)
    assert len(torch.cat([windows.items[:, 0] for windows in epochs]).view(4, -1).unique(dim=0)) == 4
    assert all(torch.equal(windows.users, epochs[0].users) for windows in epochs)


@pytest.mark.parametrize("users", [None, 2, 25])
def test_the_test_part_may_have_users_of_its_own_number(users: int | None) -> None:
    world = synthetic.users_of_known_depth((0, 3), users_per_group=6, length=12, test_users_per_group=users)
    split = world.split()
    assert [len(split.train), len(split.validation)] == [12, 12]
    assert len(split.test) == 2 * (users or 6)
    assert torch.bincount(world.group_of(split.test)).tolist() == [users or 6] * 2
    assert len(world.fresh(0)) == 12
    assert not split.test.targets[:, : int(split.test.cut[0])].any()


@pytest.mark.parametrize(
    "wrong", [{"curriculum_epochs": -1}, {"test_users_per_group": 0}, {"test_users_per_group": -1}]
)
def test_impossible_curricula_and_test_users_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        synthetic.users_of_known_depth(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"lags": (49,)}, {"lags": (-1,)}, {"lags": ()}, {"noise": 1.5}, {"items_per_group": 1}, {"users_per_group": 0}],
)
def test_impossible_worlds_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"lags|noise|at least"):
        synthetic.users_of_known_depth(**wrong)

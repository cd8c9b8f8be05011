"""Synthetic users follow their rule, as often as promised, and need the blocks that are claimed."""

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


@pytest.mark.parametrize(
    "wrong",
    [{"lags": (49,)}, {"lags": (-1,)}, {"lags": ()}, {"noise": 1.5}, {"items_per_group": 1}, {"users_per_group": 0}],
)
def test_impossible_worlds_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"lags|noise|at least"):
        synthetic.users_of_known_depth(**wrong)

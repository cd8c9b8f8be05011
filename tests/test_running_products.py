"""Running products: the targets are the order that a swap and a turn have made, counted from the last marker."""

import math

import pytest
import torch

from skiprec_lite.lab import running_products


def moved(item: int, things: list[str]) -> list[str]:
    """What an item does to three things in a row, by its name in the docstring."""
    first, second, third = things
    return {1: ["x", "y", "z"], 2: [second, first, third], 3: [second, third, first]}[item]


def test_the_target_names_the_order_of_three_things_moved_one_by_one() -> None:
    windows = running_products.RunningProducts(length=12, marker=0.2, users=200).draw(0)
    order_of: dict[int, tuple[str, ...]] = {}
    for items, targets in zip(windows.items.tolist(), windows.targets.tolist()):
        things: list[str] = []
        for item, target in zip(items, targets):
            things = moved(item, things or ["x", "y", "z"])
            assert order_of.setdefault(target, tuple(things)) == tuple(things)
    assert sorted(order_of) == [4, 5, 6, 7, 8, 9]
    assert len(set(order_of.values())) == 6


def test_rows_begin_with_a_marker_and_have_as_many_as_promised() -> None:
    windows = running_products.RunningProducts(length=20, marker=0.1, users=2000).draw(0)
    assert (windows.items[:, 0] == 1).all()
    later = (windows.items[:, 1:] == 1).double()
    assert abs(float(later.mean()) - 0.1) < 4 * math.sqrt(0.1 * 0.9 / later.numel())
    swaps, turns = (int((windows.items == item).sum()) for item in (2, 3))
    assert abs(swaps - turns) < 4 * math.sqrt(swaps + turns)
    assert windows.scored().all()


def test_steps_are_counted_from_the_last_marker() -> None:
    items = torch.tensor([[1, 2, 3, 1, 1, 2], [1, 3, 3, 3, 3, 3]])
    expected = torch.tensor([[0, 1, 2, 0, 0, 1], [0, 1, 2, 3, 4, 5]])
    assert torch.equal(running_products.steps_since_marker(items), expected)


def test_the_parts_and_epochs_of_running_products_are_all_fresh_and_of_one_seed() -> None:
    world, same = (running_products.RunningProducts(length=40, users=20) for _ in range(2))
    assert torch.equal(world.draw(3).items, same.draw(3).items)
    split = world.split()
    rows = torch.cat(
        [split.train.items, split.validation.items, split.test.items, world.fresh(0).items, world.fresh(1).items]
    )
    assert len(rows.unique(dim=0)) == len(rows)
    assert split.num_items == 9


@pytest.mark.parametrize("wrong", [{"marker": -0.1}, {"marker": 1.1}, {"length": 0}, {"users": 0}])
def test_impossible_products_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        running_products.RunningProducts(**wrong)

"""How the parts that lesson 09 builds are compared with the package's."""

from collections.abc import Callable

import torch
from comparing import Comparison, assert_same, assert_same_signature, random_logits
from comparisons_nextitnet import NUM_ITEMS, items_of
from comparisons_skiprec import CUTS, batch, drawn, same_drawn, same_windows, skiprec
from helpers import generator, tiny_split
from torch import nn

from skiprec_lite.skiprec import SkipRec


def same_random_gates(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for rows, blocks, rate in ((5, 3, 0.3), (0, 3, 0.3), (4, 6, 0.0), (4, 6, 1.0), (300, 8, 0.8)):
        same_drawn(lesson, package, rows, blocks, rate)


def same_stochastic_depth(lesson: type[nn.Module], package: type[nn.Module]) -> None:
    assert_same_signature(lesson, package)
    assert_same_signature(lesson.score_at, package.score_at)
    where = items_of() > 0
    for training in (True, False):
        for rate in (0.0, 0.4):
            found = []
            for kind in (lesson, package):
                model = kind(skiprec(SkipRec, torch.float64).backbone, rate).train(training)
                scores, left = drawn(9, model.score_at, items_of(), where, CUTS)
                weight = random_logits(*scores[:, 1:].shape, dtype=scores.dtype)
                gradients = torch.autograd.grad((scores[:, 1:] * weight).sum(), list(model.parameters()))
                found.append([scores[:, 1:], left, *gradients])
            for one, other in zip(*found, strict=True):
                assert_same(one, other)


def same_pattern(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for seed in range(5):
        gates = (torch.rand(40, 3, generator=generator(seed)) < 0.6).float()
        ours = lesson(gates)
        assert_same(ours, package(gates))
        ours[0] = 1 - ours[0]  # no two rows share their memory
        assert_same(ours[1:], package(gates)[1:])


def same_swap(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for rows in (2, 3, 50):
        gates = torch.rand(rows, 3, generator=generator(rows))  # all rows differ
        for options in ({}, {"seed": 4}):
            assert_same(lesson(gates, **options), package(gates, **options))


def same_shuffle(lesson: Callable, package: Callable) -> None:
    """With padding, and with items after the cut, which stay where they are; what was given is as it was."""
    assert_same_signature(lesson, package)
    for cases in (tiny_split(num_items=NUM_ITEMS).test, batch()):
        kept = cases.items.clone()
        for options in ({}, {"seed": 4}):
            same_windows(lesson(cases, **options), package(cases, **options))
        assert_same(cases.items, kept)


COMPARISONS_VERDICT: dict[str, Comparison] = {
    "controls.random_gates": same_random_gates,
    "controls.RandomGates": same_stochastic_depth,
    "controls.most_frequent_pattern": same_pattern,
    "controls.another_users": same_swap,
    "controls.shuffled_histories": same_shuffle,
}

"""How the parts that lesson 12 builds are compared with the package's."""

import time
from collections.abc import Callable
from unittest import mock

import torch
from comparing import DTYPES, Comparison, assert_same, assert_same_signature, random_logits
from helpers import generator, random_items, randomise
from torch import Tensor

from skiprec_lite.backbones import Backbone, NextItNet, SASRec
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skipping import CHUNK
from skiprec_lite.skiprec import SkipRec

NUM_ITEMS = 15


def backbones() -> list[Backbone]:
    return [
        randomise(NextItNet(NUM_ITEMS, channels=6, dilations=(1, 4, 2))),
        randomise(SASRec(NUM_ITEMS, channels=6, num_blocks=3, max_length=9)),
    ]


def same_walk(lesson: Callable, package: Callable) -> None:
    """Values, and gradients of the backbone, for mixed gates, all, none, a block for all; padding; many rows, none."""
    assert_same_signature(lesson, package)
    for rows in (0, 1, 7, CHUNK, 2 * CHUNK + 9):
        items = random_items([i % 10 for i in range(rows)], 9, NUM_ITEMS)
        mixed = (torch.rand(rows, 3, generator=generator(4)) < 0.5).float()
        one_for_all = mixed.clone()
        one_for_all[:, 1], one_for_all[:, 2] = 1, 0
        for gates in (mixed, one_for_all, torch.ones(rows, 3), torch.zeros(rows, 3)):
            for backbone in backbones():
                for dtype in DTYPES:
                    backbone.to(dtype)
                    found = [walk(backbone, items, gates.to(dtype)) for walk in (lesson, package)]
                    weight = random_logits(*found[1].shape, dtype=dtype)
                    slopes = [
                        torch.autograd.grad((hidden * weight).sum(), list(backbone.parameters()), allow_unused=True)
                        for hidden in found
                    ]
                    assert_same(*found)
                    for ours, theirs in zip(*slopes, strict=True):
                        both = [torch.zeros(1, dtype=dtype) if slope is None else slope for slope in (ours, theirs)]
                        size = both[1].abs().max().clamp_min(1) * max(1, rows)
                        assert_same(*(slope.expand_as(both[1]) / size for slope in both))


def same_budget(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for dtype in DTYPES:
        logits = random_logits(200, 6, 2, dtype=dtype)
        logits[0] = 0  # a tie is a skip
        logits.requires_grad_()
        for k in (0, 1, 3, 6, 9):
            assert_same(lesson(logits, k), package(logits, k))


class Scored:
    """Who scored what, and a clock that moves on by another amount with each call."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.clock = 0.0

    def by(self, who: str) -> Callable:
        def score_at(items: Tensor, where: Tensor) -> None:
            self.calls.append((who, items.tolist(), where.tolist(), torch.is_grad_enabled()))
            self.clock += (90, 70, 4, 1, 13, 2, 7, 5, 3, 17, 6)[len(self.calls) % 11]

        return score_at


def same_stopwatch(lesson: Callable, package: Callable) -> None:
    """By a clock that only scoring moves on, each call by another amount."""
    assert_same_signature(lesson, package)
    backbone = backbones()[0]
    model = SkipRec(backbone, PolicyNetwork(NUM_ITEMS, 3, channels=4)).eval()
    items = random_items((9, 4), 9, NUM_ITEMS)
    for options in ({}, {"repeats": 1}, {"repeats": 4}):
        results = []
        for stopwatch in (lesson, package):
            scored = Scored()
            with (
                mock.patch.object(backbone, "score_at", scored.by("backbone")),
                mock.patch.object(model, "score_at", scored.by("model")),
                mock.patch.object(time, "perf_counter", lambda scored=scored: scored.clock),
            ):
                results.append((stopwatch(model, items, **options), scored.calls))
        assert results[0] == results[1]
        assert set(results[1][0]) == {"full", "skipped"}


COMPARISONS_SPEED: dict[str, Comparison] = {
    "skipping.encode_kept": same_walk,
    "skipping.within_budget": same_budget,
    "skipping.inference_seconds": same_stopwatch,
}

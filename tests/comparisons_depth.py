"""How each part that lesson 07 builds is compared with the package's."""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from comparing import DTYPES, Comparison, assert_same, assert_same_signature, random_logits
from helpers import random_items, randomise
from torch import Tensor

from skiprec_lite.backbones import NextItemModel
from skiprec_lite.synthetic import KnownDepth

NUM_ITEMS = 12
LENGTHS = (0, 1, 2, 3, 7, 8)  # nothing but padding, a single item, a single pair, …


# --- NFM ---


def same_nfm(lesson: Callable, package: Callable) -> None:
    """First weights from the same seed; scores and gradients with all parameters random, padding in; dropout."""
    assert_same_signature(lesson, package)
    items = random_items(LENGTHS, 8, NUM_ITEMS)
    items[4, -2:] = items[4, -3]  # the same item three times: a pair of equal items counts
    for sizes in ({}, {"channels": 6, "hidden_layers": 0}, {"channels": 6, "hidden_layers": 3, "dropout": 0.4}):
        ours, theirs = (drawn_from_a_seed(kind, **sizes) for kind in (lesson, package))
        assert isinstance(ours, NextItemModel)
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        for name, weights in theirs.state_dict().items():
            assert_same(ours.state_dict()[name], weights)
        for dtype in DTYPES:
            theirs = randomise(package(NUM_ITEMS, **sizes)).to(dtype)
            ours = lesson(NUM_ITEMS, **sizes).to(dtype)
            ours.load_state_dict(theirs.state_dict())
            for training in (False, True):
                for where in (None, items > 0, torch.ones_like(items, dtype=torch.bool)):
                    results = [scores_and_gradients(m.train(training), items, where) for m in (ours, theirs)]
                    for a, b in zip(*results, strict=True):
                        assert b.abs().max() > 0
                        assert_same(a / b.detach().abs().max(), b / b.detach().abs().max())


def drawn_from_a_seed(kind: Callable, **sizes: Any) -> NextItemModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return kind(NUM_ITEMS, **sizes)


def scores_and_gradients(model: NextItemModel, items: Tensor, where: Tensor | None) -> list[Tensor]:
    """Column 0 is at -inf; the rest, and the gradient of a random weighting of it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)  # of the dropout
        if where is None:
            scores = model(items)
        else:
            scores = model.score_at(items, where, torch.zeros(len(items), dtype=torch.int64))
    assert (scores[..., 0] == -math.inf).all()
    scores = scores[..., 1:]
    weight = random_logits(*scores.shape, dtype=scores.dtype)
    return [scores, *torch.autograd.grad((scores * weight).sum(), list(model.parameters()))]


# --- synthetic users ---


def same_sequences_drawn(lesson: Callable, package: Callable) -> None:
    """Equal arrays, and equal randomness left behind; noise at its ends, one group, lags out of order, shared items."""
    assert_same_signature(lesson, package)
    for lags in ((0,), (3, 0, 5)):
        rules = np.stack([np.random.default_rng(7).permutation(9) for _ in lags])
        rules[0] = np.roll(np.arange(9), 1)
        for noise in (0.0, 0.3, 1.0):
            for shared in (False, True):
                results = []
                for draw in (lesson, package):
                    rng = np.random.default_rng(4)
                    drawn = draw(rng, lags, rules, 5, length=11, noise=noise, shared_items=shared)
                    results.append((drawn, rng.random(3)))
                assert_same_arrays(*results)


def assert_same_arrays(lesson: tuple[np.ndarray, ...], package: tuple[np.ndarray, ...]) -> None:
    for ours, theirs in zip(lesson, package, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()


def same_world(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    several: list[dict[str, Any]] = [
        {},
        {"lags": [0, 4], "seed": 5},
        {"lags": (2,), "items_per_group": 2, "users_per_group": 1, "length": 4, "noise": 0.0},
        {"lags": (1, 3), "items_per_group": 7, "length": 9, "noise": 0.5, "shared_items": True, "seed": 1},
        {"lags": (0, 5), "users_per_group": 4, "length": 9, "curriculum_epochs": 3, "test_users_per_group": 2},
    ]
    for options in several:
        ours, theirs = lesson(**options), package(**options)
        assert isinstance(ours, KnownDepth)
        for field in fields(KnownDepth):
            one, other = getattr(ours, field.name), getattr(theirs, field.name)
            assert type(one) is type(other), field.name
            if isinstance(other, np.ndarray):
                assert_same_arrays((one,), (other,))
            else:
                assert one == other, field.name
        assert_same(ours.draw(3, 2).items, theirs.draw(3, 2).items)
        assert_same(ours.fresh(1).items, theirs.fresh(1).items)
        assert_same(ours.split().test.items, theirs.split().test.items)


COMPARISONS_DEPTH: dict[str, Comparison] = {
    "backbones.NFM": same_nfm,
    "synthetic.draw_sequences": same_sequences_drawn,
    "synthetic.users_of_known_depth": same_world,
}

"""How each part that lesson 04 builds is compared with the package's."""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial

import numpy as np
import torch
from comparing import DTYPES, Comparison, assert_same, assert_same_signature, random_logits
from helpers import generator, histories_log, interactions, random_items, randomise
from torch import Tensor

from skiprec_lite.backbones import MarkovChain, NextItemModel, NextItNet, Popularity
from skiprec_lite.datasets import Interactions
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.splits import last_n
from skiprec_lite.windows import Split, Windows

NUM_ITEMS = 40


# --- made-up data ---


def random_histories(lengths: Sequence[int], *, seed: int = 0) -> list[np.ndarray]:
    """Different items in each history, so that an item's place in it is known."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(NUM_ITEMS)[:n] + 1 for n in lengths]


def logs() -> list[Interactions]:
    """A log with many tied timestamps and users mixed, one with a user who has nothing, one in plain order."""
    rng = np.random.default_rng(1)
    owners = rng.permutation(np.repeat(np.arange(9), [25, 3, 7, 12, 1, 2, 6, 40, 20])).tolist()
    left = [iter(h.tolist()) for h in random_histories([owners.count(u) for u in range(9)])]
    mixed = [(u, next(left[u]), int(rng.integers(0, 8))) for u in owners]
    gap = [(u, i, t) for u, i, t in mixed if u != 4]
    return [
        interactions(mixed, num_users=9, num_items=NUM_ITEMS),
        interactions(gap, num_users=9, num_items=NUM_ITEMS),
        histories_log(random_histories((30, 22, 5, 40), seed=2), NUM_ITEMS),
    ]


def made_up_split(n: int = 2, length: int = 4) -> Split:
    return last_n(histories_log(random_histories(range(3, 33), seed=3), NUM_ITEMS), n=n, length=length)


def random_net() -> NextItNet:
    return randomise(NextItNet(NUM_ITEMS, channels=8, dilations=(1, 2), dropout=0.5))


# --- equality ---


def assert_same_arrays(lesson: Sequence[np.ndarray], package: Sequence[np.ndarray]) -> None:
    assert len(lesson) == len(package)
    for ours, theirs in zip(lesson, package, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()


def assert_same_windows(lesson: Windows, package: Windows) -> None:
    assert isinstance(lesson, Windows)
    for field in fields(Windows):
        ours, theirs = getattr(lesson, field.name), getattr(package, field.name)
        assert type(ours) is type(theirs), field.name
        if isinstance(theirs, Tensor):
            assert_same(ours, theirs)
        elif theirs is not None:  # a batch's negatives
            assert_same_arrays(ours, theirs)


def assert_same_split(lesson: Split, package: Split) -> None:
    assert isinstance(lesson, Split)
    for part in ("train", "validation", "test"):
        assert_same_windows(getattr(lesson, part), getattr(package, part))
    assert (lesson.num_items, lesson.left_out) == (package.num_items, package.left_out)
    assert isinstance(lesson.sequences, tuple)
    assert_same_arrays(lesson.sequences, package.sequences)


# --- splits ---


def same_sequences(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for log in logs():
        found = lesson(log)
        assert_same_arrays(found, package(log))
        assert all(s.flags.writeable for s in found)  # an array's own memory: torch warns of a read-only one
        before = log.table.copy()
        for sequence in found:
            sequence[:] = 0
        assert log.table.equals(before)


def same_padding(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    rows = [*random_histories((0, 1, 4, 5, 6, 30)), [3, 9], []]
    for length in (1, 5, 40):
        assert_same(lesson(rows, length), package(rows, length))
    assert_same(lesson([], 3), package([], 3))


def same_training_windows(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    sequences, users = random_histories((0, 1, 2, 5, 6, 7, 25)), [3, 4, 5, 5, 6, 9, 11]
    earlier = random_histories((2, 0, 4, 1, 0, 3, 9), seed=5)
    for length in (1, 5, 6, 40):
        assert_same_windows(*(f(sequences, users, length=length) for f in (lesson, package)))
        assert_same_windows(*(f(sequences, users, earlier, length=length) for f in (lesson, package)))
    assert_same_windows(*(f(sequences[:2], users[:2], length=5) for f in (lesson, package)))  # nothing to predict


def same_last_positions(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    sequences, users, earlier = random_histories((4, 6, 9, 25)), [2, 3, 5, 8], random_histories((3, 0, 7, 1), seed=5)
    for n, width in ((1, 1), (1, 8), (3, 8), (3, 40)):
        assert_same_windows(*(f(sequences, users, n=n, width=width) for f in (lesson, package)))
        assert_same_windows(*(f(sequences, users, earlier, n=n, width=width) for f in (lesson, package)))


def same_split(**settings: Sequence[int]) -> Comparison:
    """A comparison of rules for a split, at each of these settings, and at the defaults."""

    def comparison(lesson: Callable, package: Callable) -> None:
        assert_same_signature(lesson, package)
        values = [dict(zip(settings, chosen)) for chosen in zip(*settings.values())]
        for log in logs():
            for options in ({}, *values):
                if not options and "n" in settings and max(log.table["user"].value_counts()) <= 20:
                    continue  # nobody has enough for the default n
                if not options and "n" not in settings and package.__name__ == "sessions":
                    continue  # nobody has three sessions of the default length
                assert_same_split(lesson(log, **options), package(log, **options))

    return comparison


# --- metrics ---


def same_ranks(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for dtype in DTYPES:
        for shape in ((200,), (6, 7), (0,)):
            scores = random_logits(*shape, NUM_ITEMS + 1, dtype=dtype).round(decimals=1)  # many ties
            targets = torch.randint(1, NUM_ITEMS + 1, shape, generator=generator(4))
            assert_same(lesson(scores, targets), package(scores, targets))
            ruled_out = scores.masked_fill(scores < 0, -math.inf)
            assert_same(lesson(ruled_out, targets), package(ruled_out, targets))
            assert_same(lesson(torch.zeros_like(scores), targets), package(torch.zeros_like(scores), targets))


def same_metric(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    ranks = torch.randint(1, 30, (400,), generator=generator(4))
    for k in (1, 2, 10, 40):
        assert package(ranks, k).count_nonzero() > 0
        assert_same(lesson(ranks, k), package(ranks, k))
        assert_same(lesson(ranks.view(20, 20), k), package(ranks.view(20, 20), k))
    assert_same(lesson(ranks[:0], 5), package(ranks[:0], 5))


def same_estimate(inputs: int) -> Comparison:
    """A comparison of means with errors; equal types too: an Estimate of two floats."""

    def comparison(lesson: Callable, package: Callable) -> None:
        assert_same_signature(lesson, package)
        for users in (2, 3, 500):
            values = random_logits(inputs, users, dtype=torch.float64)
            ours, theirs = lesson(*values), package(*values)
            assert type(ours) is type(theirs)
            assert ours.mean != 0
            assert all(type(number) is float for number in ours)
            assert_same(torch.tensor(ours, dtype=torch.float64), torch.tensor(theirs, dtype=torch.float64))

    return comparison


# --- evaluation ---


def same_summary(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    ranks = torch.randint(1, 30, (400,), generator=generator(4))
    for options in ({}, {"ks": (1, 3)}):
        assert lesson(ranks, **options) == package(ranks, **options)
        assert list(lesson(ranks, **options)) == list(package(ranks, **options))


def same_user_means(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for cases in (made_up_split().test, made_up_split(n=3).validation, made_up_split().train):
        backwards = cases.rows(torch.arange(len(cases)).flip(0))  # means come in the order of the user's index
        for windows in (cases, backwards):
            for dtype in DTYPES:
                values = random_logits(int(windows.scored().sum()), dtype=dtype)
                assert_same(lesson(values, windows), package(values, windows))


def same_evaluation(lesson: Callable, package: Callable) -> None:
    """Of a network in training mode and of both baselines, seen items in and removed, on all parts of a split.

    And of a SkipRec under its own gates and under others.
    """
    assert_same_signature(lesson, package)
    split = made_up_split()
    skiprec = SkipRec(random_net(), randomise(PolicyNetwork(NUM_ITEMS, 2, channels=8), seed=1))
    others = (torch.arange(2 * len(split.test)).view(-1, 2) % 3 > 0).float()  # which depend on the row
    for gates in (None, others):
        assert_equal(lesson(skiprec, split.test, gates=gates), package(skiprec, split.test, gates=gates))
    for model in (random_net().train(), MarkovChain(split), Popularity(split)):
        for cases in (split.test, split.validation, split.train, replace(split.test, seen=())):
            for options in ({}, {"exclude_seen": True}, *({"k": 3}, {"batch_size": 5}, {"ks": (1, 4)})):
                if options.keys() <= inspect.signature(package).parameters.keys():
                    training = model.training
                    assert_equal(lesson(model, cases, **options), package(model, cases, **options))
                    assert model.training == training
        apart = (package(model, split.test), package(model, split.test, exclude_seen=True))
        assert not torch.equal(*apart) if isinstance(apart[0], Tensor) else apart[0] != apart[1]


def same_ranks_of_cases(lesson: Callable, package: Callable) -> None:
    same_evaluation(lesson, package)
    split = made_up_split()
    nothing = split.test.rows(slice(0, 0))
    assert_same(lesson(Popularity(split), nothing), package(Popularity(split), nothing))
    weight = torch.ones(NUM_ITEMS + 1, requires_grad=True)

    class Learning(NextItemModel):
        def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
            assert not torch.is_grad_enabled()
            return weight.expand(int(where.sum()), -1)  # rows that share their memory

    for seen in (False, True):
        assert_same(*(f(Learning(), split.test, exclude_seen=seen) for f in (lesson, package)))


def assert_equal(lesson: Tensor | dict[str, float], package: Tensor | dict[str, float]) -> None:
    if isinstance(package, Tensor):
        assert_same(lesson, package)
    else:
        assert lesson == package


# --- baselines ---


def same_baseline(lesson: Callable, package: Callable, *, strengths: Sequence[float] = ()) -> None:
    """Scores of every item at every position, padding in, on users with one item and items that nobody has."""
    assert_same_signature(lesson, package)
    one_each = replace(made_up_split(), sequences=(np.array([3]), np.array([5, 5, 7])))
    for split in (made_up_split(), made_up_split(n=1, length=50), one_each):
        items = random_items((0, 1, 4, 9), 9, NUM_ITEMS)
        for options in ({}, *({"strength": s} for s in strengths)):
            ours, theirs = lesson(split, **options), package(split, **options)
            assert isinstance(ours, NextItemModel)
            assert_same(ours(items).exp(), theirs(items).exp())
            assert torch.equal(ours(items).isneginf(), theirs(items).isneginf())
            for where in (items > 0, torch.ones_like(items, dtype=torch.bool)):
                assert_same(ours.score_at(items, where).exp(), theirs.score_at(items, where).exp())
                assert_same(
                    *(m.score_at(items, where, torch.zeros(4, dtype=torch.int64)).exp() for m in (ours, theirs))
                )


COMPARISONS_NEXT_ITEM: dict[str, Comparison] = {
    "splits.user_sequences": same_sequences,
    "windows.pad_left": same_padding,
    "splits.training_windows": same_training_windows,
    "splits.last_positions": same_last_positions,
    "splits.last_n": same_split(n=(1, 2, 4), length=(5, 50, 3)),
    "splits.leave_one_out": same_split(length=(1, 5, 50)),
    "splits.sessions": same_split(length=(3, 4, 5, 7)),
    "metrics.rank_of_target": same_ranks,
    "metrics.hit_rate": same_metric,
    "metrics.mrr": same_metric,
    "metrics.ndcg": same_metric,
    "metrics.mean_and_error": same_estimate(1),
    "metrics.paired_difference": same_estimate(2),
    "evaluation.rank_cases": same_ranks_of_cases,
    "evaluation.summarise": same_summary,
    "evaluation.evaluate": same_evaluation,
    "evaluation.mean_per_user": same_user_means,
    "evaluation.ndcg_per_user": same_evaluation,
    "backbones.Popularity": same_baseline,
    "backbones.MarkovChain": partial(same_baseline, strengths=(0.01, 3.0, 500.0)),
}

"""Checks of the five adapters that connect a student's own experiment (assignment 4) to what can be tested.

They ask for what every honest experiment has, whatever model and data it is about: a split without a leak, models
that a seed decides, a training that never looks at the test cases, scores that depend on a user's own history only.
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from skiprec_course.engine import Check, Trial
from skiprec_lite.backbones import NextItemModel, NextItNet
from skiprec_lite.datasets import Interactions
from skiprec_lite.evaluation import evaluate
from skiprec_lite.splits import last_n
from skiprec_lite.training import fit
from skiprec_lite.windows import Split, Windows, last_position

__all__ = ["check_load_data", "check_make_model", "check_make_split", "check_next_scores", "check_train_model"]

NUM_ITEMS = 30


# --- a small log, and the course's adapters for it ---


def log_of(generator: torch.Generator, users: int = 24, *, learnable: bool = False) -> Interactions:
    """A log in which half of the timestamps are tied; nobody meets an item twice, so an item tells its place."""
    rows = []
    for user in range(users):
        length = int(torch.randint(14, 23, (1,), generator=generator))
        items = torch.randperm(NUM_ITEMS, generator=generator)[:length].tolist()
        if learnable:  # each item calls for the one after it
            items = [(items[0] + step) % NUM_ITEMS for step in range(length)]
        times = torch.randint(0, 2, (length,), generator=generator).cumsum(dim=0).tolist()
        rows += [(user, item + 1, float(time)) for item, time in zip(items, times)]
    table = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    names = tuple(str(i) for i in range(1, NUM_ITEMS + 1))
    return Interactions(table, user_ids=tuple(str(u) for u in range(users)), item_ids=names, titles=names, genres=())


def load_data() -> Interactions:
    """A small made-up log: what the next cells go on with until there is another."""
    return log_of(torch.Generator().manual_seed(0))


def make_split(data: Interactions) -> Split:
    """The last three items of each user are the test, the three before them validation."""
    return last_n(data, n=3, length=12)


def make_model(split: Split, seed: int, *, control: bool = False) -> nn.Module:
    """Two blocks; the control has one."""
    torch.manual_seed(seed)
    return NextItNet(split.num_items, channels=8, dilations=(1,) if control else (1, 1))


def train_model(model: Any, split: Split, seed: int) -> None:
    """A few epochs, in place."""
    fit(model, split, seed=seed, epochs=20, learning_rate=1e-2, progress=False)


def next_scores(model: Any, items: Tensor) -> Tensor:
    """Scores of all items after the last one of each row."""
    model.eval()
    with torch.no_grad():
        return model.score_at(items, last_position(items))


# --- load_data ---


def _load_data(trial: Trial) -> None:
    data = trial.call(trial.answer)
    trial.require(
        isinstance(data, Interactions) or type(data).__name__ == "Interactions",
        f"found a {type(data).__name__}, expected Interactions",
        "`datasets.load_movielens()` and `datasets.read_interactions(path)` return such a log",
    )
    table = data.table
    trial.require(
        len(data.user_ids) >= 20,
        f"found {len(data.user_ids)} users, expected at least 20",
        "too few to compare anything by user",
    )
    lengths = table.groupby("user").size()
    trial.require(
        (lengths >= 5).sum() >= 20,
        f"only {int((lengths >= 5).sum())} users have 5 interactions or more",
        "without a history there is nothing to predict from",
    )
    times = pd.to_numeric(table["timestamp"], errors="coerce")
    trial.require(bool(np.isfinite(times).all()), "some timestamps are not numbers", "convert them before you sort")
    again = trial.call(trial.answer)
    trial.require(
        table.reset_index(drop=True).equals(again.table.reset_index(drop=True)),
        "two calls gave two different logs",
        "draw subsets with a fixed seed",
    )


check_load_data = Check(
    part="assignment_4.load_data",
    task="Return your log as `Interactions`: MovieLens, or your own file through `datasets.read_interactions`.",
    hints=("A subset of users is fine while you develop; draw it with a fixed seed.",),
    body=_load_data,
    course=load_data,
    minutes=10,
    difficulty=1,
)


# --- make_split ---


def _targets(windows: Windows) -> dict[int, set[int]]:
    """Each user's items that are to be predicted."""
    found: dict[int, set[int]] = {}
    for user, targets in zip(windows.users.tolist(), windows.targets):
        found.setdefault(user, set()).update(targets[targets > 0].tolist())
    return found


def _read(windows: Windows) -> dict[int, set[int]]:
    """Each user's items that a model sees in training, as input or as target."""
    found = _targets(windows)
    for user, items in zip(windows.users.tolist(), windows.items):
        found.setdefault(user, set()).update(items[items > 0].tolist())
    return found


def _make_split(trial: Trial) -> None:
    data = log_of(trial.generator)
    split = trial.call(trial.answer, data)
    trial.require(
        type(split).__name__ == "Split",
        f"found a {type(split).__name__}, expected a Split",
        "`splits` has three ways to make one; your own may differ, but returns the same container",
    )
    trial.require(
        split.num_items == data.num_items,
        f"num_items is {split.num_items}, expected {data.num_items}",
        "items that only the test has must have a column, too",
    )
    for name in ("train", "validation", "test"):
        trial.require(len(getattr(split, name)) > 0, f"{name} is empty", "the log has users with 14 to 22 items")
    ordered = data.table.sort_values(["user", "timestamp"], kind="stable")
    place = {(int(u), int(i)): n for n, (u, i) in enumerate(zip(ordered["user"], ordered["item"]))}
    train, validation, test = _read(split.train), _targets(split.validation), _targets(split.test)
    for user, items in test.items():
        leaked = items & train.get(user, set())
        trial.require(
            not leaked,
            f"user {user}: {len(leaked)} test items are in the training windows",
            "a leak: the model has been trained on what it is asked",
        )
        both = items & validation.get(user, set())
        trial.require(
            not both,
            f"user {user}: {len(both)} items are test and validation at once",
            "what chooses the epoch cannot judge it as well",
        )
    for earlier, later, names in (
        (train, validation, "training and validation"),
        (validation, test, "validation and test"),
        (train, test, "training and test"),
    ):
        for user in earlier.keys() & later.keys():
            last = max(place[user, i] for i in earlier[user])
            first = min(place[user, i] for i in later[user])
            trial.require(
                last < first,
                f"user {user}: {names} overlap in time",
                "split each user's sequence by time, ties in file order (a stable sort)",
            )
    for row in range(len(split.test)):
        user = int(split.test.users[row])
        for t in split.test.scored()[row].nonzero().flatten().tolist():
            read, target = int(split.test.items[row, t]), int(split.test.targets[row, t])
            gap = place[user, target] - place.get((user, read), -(10**6))
            trial.require(
                gap == 1,
                f"user {user}: the last item read is {gap} steps before the test item, expected 1",
                "the history of a test case goes on to the item before it, validation items included",
            )


check_make_split = Check(
    part="assignment_4.make_split",
    task="Return a `Split` of your log: training windows, validation and test cases, later in time, without a leak.",
    hints=("`splits.last_n`, `leave_one_out` and `sessions` do it; say in your plan why yours fits your question.",),
    body=_make_split,
    course=make_split,
    minutes=10,
    difficulty=2,
)


# --- make_model ---


def _weights(model: Any) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def _make_model(trial: Trial) -> None:
    split = make_split(log_of(trial.generator))
    for control in (False, True):
        models = [trial.call(trial.answer, split, seed, control=control) for seed in (1, 1, 2)]
        for model in models:
            trial.require(isinstance(model, nn.Module), f"found a {type(model).__name__}, expected a torch.nn.Module")
        first, again, other = map(_weights, models)
        trial.require(len(first) > 0, "the model has no parameters", "", control=control)
        trial.require(
            all(torch.equal(a, b) for a, b in zip(first, again, strict=True)),
            "the same seed gave two different models",
            "call torch.manual_seed(seed) first",
            control=control,
        )
        trial.require(
            any(not torch.equal(a, b) for a, b in zip(first, other, strict=True)),
            "two seeds gave the same model",
            "the seed is not used: seeds are your repetitions",
            control=control,
        )


check_make_model = Check(
    part="assignment_4.make_model",
    task="Return your untrained model for this split, or with `control=True` what you compare it with. "
    "The seed decides its weights.",
    hints=("`torch.manual_seed(seed)`, then build it for `split.num_items`.",),
    body=_make_model,
    course=make_model,
    minutes=15,
    difficulty=2,
)


# --- train_model ---


class _NotForTraining:
    """Stands in for the test cases while a model is trained."""

    def __getattribute__(self, name: str) -> Any:
        raise LookupError("the training looks at the test cases")


def train_check(make: Any, score: Any) -> Check:
    """The check of `train_model`, for a student's own make_model and next_scores."""

    def body(trial: Trial) -> None:
        split = make_split(log_of(trial.generator, learnable=True))
        model = make(split, 1)
        before, start = _quality(model, split, score), _weights(model)
        try:
            trial.answer(model, replace(split, test=cast(Any, _NotForTraining())), 1)
        except LookupError:
            trial.fail("it looks at split.test", "the test is for the verdict; validation chooses epochs and settings")
        moved = any(not torch.equal(a, b) for a, b in zip(start, _weights(model), strict=True))
        trial.require(moved, "no weight of the model has changed", "train the model that you are given, in place")
        after = _quality(model, split, score)
        trial.require(
            after > before + 0.1,
            f"NDCG@10 went from {before:.3f} to {after:.3f}, and each item calls for the next",
            "it has learnt next to nothing: more epochs, or another learning rate?",
        )

    return replace(check_train_model, body=body)


def _quality(model: Any, split: Split, score: Any) -> float:
    """NDCG@10 at the first scored position of each test case."""

    class Adapted(NextItemModel):
        def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:  # one row, one position
            return torch.stack([score(model, items[r : r + 1, : t + 1])[0] for r, t in where.nonzero().tolist()])

    return evaluate(Adapted(), split.test, (10,), exclude_seen=False)["ndcg@10"]


check_train_model = Check(
    part="assignment_4.train_model",
    task="Train a model in place on `split.train`; choose epochs by `split.validation`; never look at `split.test`.",
    hints=("`training.fit` does all of it.",),
    body=lambda trial: train_check(make_model, next_scores).body(trial),
    course=train_model,
    minutes=20,
    difficulty=2,
)


# --- next_scores ---


def score_check(make: Any) -> Check:
    """The check of `next_scores`, for a student's own make_model."""

    def body(trial: Trial) -> None:
        split = make_split(log_of(trial.generator))
        model = make(split, 3)
        drawn = torch.Generator().manual_seed(trial.seed)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.3 * torch.randn(p.shape, generator=drawn))
        items = trial.histories(split.num_items, [12, 5, 1, 9], 12)
        scores = trial.call(trial.answer, model, items)
        trial.require(type(scores) is Tensor, f"found a {type(scores).__name__}, expected a tensor", "", items)
        wanted = (4, split.num_items + 1)
        trial.require(
            scores.shape == wanted,
            f"found shape {tuple(scores.shape)}, expected {wanted}",
            "one row of scores per user, for what comes after the last item; column 0 is padding",
            items,
        )
        trial.require(
            not scores[:, 1:].isnan().any(),
            "some scores are NaN",
            "a model with gates scores from its cut on: let it read all items",
            items,
        )
        trial.require(
            (scores[:, 0] == -torch.inf).all(), "padding (column 0) could be recommended", "set it to -inf", items
        )
        again = trial.call(trial.answer, model, items)
        trial.require(
            torch.equal(scores, again),
            "two calls gave different scores",
            "dropout or sampled gates are on: model.eval()",
            items,
        )
        longer = torch.cat([torch.zeros(4, 3, dtype=torch.int64), items], dim=1)
        trial.require(
            _close(trial.call(trial.answer, model, longer), scores),
            "more padding changed the scores",
            "padding is read like an item",
            longer,
        )
        trial.require(
            _close(trial.call(trial.answer, model, items[1:2]), scores[1:2]),
            "a user's scores depend on who else is in the batch",
            "the batch is mixed somewhere",
            items,
        )
        changed = items.clone()
        changed[:, -1] = changed[:, -1] % split.num_items + 1
        trial.require(
            not _close(trial.call(trial.answer, model, changed), scores),
            "the last item does not matter",
            "these are the scores of an earlier position",
            items,
        )

    return replace(check_next_scores, body=body)


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a[:, 1:], b[:, 1:], atol=1e-4)


check_next_scores = Check(
    part="assignment_4.next_scores",
    task="Score all items as the next one after each row of items (padding on the left): (batch, num_items + 1).",
    hints=("`model.score_at(items, windows.last_position(items))` in eval mode, without gradients.",),
    body=lambda trial: score_check(make_model).body(trial),
    course=next_scores,
    minutes=15,
    difficulty=2,
)

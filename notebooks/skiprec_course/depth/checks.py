"""Checks of what lesson 07 builds: the factorisation machine that has lost the order, and users of known depth."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from skiprec_course.comparing import describe, difference
from skiprec_course.depth.mistakes import DRAW_SEQUENCES
from skiprec_course.depth.mistakes import NFM as NFM_MISTAKES
from skiprec_course.engine import Check, Trial
from skiprec_course.parameters import fill, same_module

__all__ = ["check_NFM", "check_draw_sequences"]

ITEMS = 11  # different from all other sizes, so that each parameter is known by its shape


# --- NFM ---


def _nfm(trial: Trial) -> None:
    score_at = lambda of: lambda items, *cut, where, **sizes: _net(trial, of, **sizes).score_at(items, where, *cut)
    training = lambda of: lambda items, **sizes: {"in training mode": _net(trial, of, **sizes).train()(items)}
    for layers, least in ((2, 4), (2, 1), (0, 1), (1, 1)):  # of four and more items no two ways to count pairs agree
        sizes: Any = {"channels": 4, "hidden_layers": layers, "dropout": 0.3}
        items = trial.histories(ITEMS, [7, 1, 4, 2], 7)
        items[0, 3] = items[0, 2]  # the same item twice is a pair as well
        real = (items > 0) & ((items > 0).cumsum(dim=1) >= least)
        same_module(trial, (ITEMS,), items, num_items=ITEMS, real=real, **sizes)
        where = (items > 0) & (torch.rand(items.shape, generator=trial.generator) < 0.5)
        where[0, 5] = True
        for cut in ((), (torch.zeros(len(items), dtype=torch.int64),)):
            trial.same_results(score_at, items, *cut, where=where, **sizes)
        trial.same_results(training, items, **sizes | {"dropout": 1.0})  # drops all
    row = torch.arange(1, 7).unsqueeze(0)
    with trial.of_the_answer(row):
        fresh = trial.answer(300, channels=16).double().eval()
        problem = difference(fresh(F.pad(row, (3, 0)))[:, 3:], fresh(row))
        spread = float(fresh.embedding.weight[1:].std())
    trial.require(not problem, "three zeros in front of a row change its scores", "", row)
    trial.require(abs(spread - 1) < 0.2, "a fresh embedding's standard deviation is not 1", "", channels=16)


def _net(trial: Trial, of: Any, **sizes: Any) -> Any:
    return fill(trial, of(ITEMS, **sizes), trial.reference(ITEMS, **sizes), ITEMS, **sizes)


check_NFM = Check(
    part="backbones.NFM",
    task="A NextItemModel with `embedding` (item_embedding, its rows scaled up to standard deviation 1), "
    "`hidden_layers` (linear, channels to channels, a ReLU behind each) and `output` (linear, channels to num_items). "
    "At each position encode pools the items up to it: the mean of e_i * e_j over all pairs, 0 for a single item; the "
    "hidden layers follow. Dropout is behind the pool and behind each of them. score(hidden) has -inf in column 0. "
    "NextItemModel brings forward and score_at.",
    hints=(
        "The formula has two sums: of the embeddings and of their squares. `cumsum` along time gives both at every "
        "position in one go.",
        "n is the number of real items so far: padding does not count. Its embedding is 0, so the sums need no mask.",
        "Where n is 0 or 1 there is no pair, and n (n - 1) is 0: see to it that nothing is divided by 0. `F.pad` puts "
        "a column in front of the scores.",
    ),
    body=_nfm,
    minutes=20,
    difficulty=3,
    importance="extra",
    mistakes=NFM_MISTAKES,
)


# --- draw_sequences ---


def _draw_sequences(trial: Trial) -> None:
    rules = _rules(trial, 3, 7)
    for shared in (False, True):
        sequences = _drawn(trial, (3, 0, 5), rules, 40, length=12, noise=0.0, shared_items=shared)
        trial.require(len(np.unique(sequences[:, 0], axis=0)) > 4, "all users of a group are alike", "", noise=0.0)
        for group in range(3):
            first = 1 if shared else 1 + group * 7
            low, high = int(sequences[:, group].min()), int(sequences[:, group].max())
            trial.require((low, high) == (first, first + 6), f"group {group} has the items {low} ... {high}, expected "
                          f"{first} ... {first + 6}", "", shared_items=shared, noise=0.0)  # fmt: skip
            _follows_the_rule(trial, sequences[:, group] - first, (3, 0, 5)[group], rules[group], group)
    for lags, size, length, users in (((2,), 5, 4, 1), ((4, 0), 3, 6, 3)):  # as short as can be
        few = _rules(trial, len(lags), size)
        drawn = _drawn(trial, lags, few, users, length=length, noise=0.0, shared_items=True)
        for group, lag in enumerate(lags):
            _follows_the_rule(trial, drawn[:, group] - 1, lag, few[group], group)
    _is_random(trial)
    _has_the_right_noise(trial)


def _rules(trial: Trial, groups: int, size: int) -> np.ndarray:
    """Permutations, no two of which are alike and none its own inverse."""
    rng = np.random.default_rng([trial.seed, groups, size])
    while True:
        rules = np.stack([rng.permutation(size) for _ in range(groups)]).astype(np.int64)
        own_inverse = any(np.array_equal(rule, np.argsort(rule)) for rule in rules)
        if not own_inverse and len(np.unique(rules, axis=0)) == groups:
            return rules


def _drawn(
    trial: Trial, lags: tuple[int, ...], rules: np.ndarray, users: int, *, rng: int = 0, **options: Any
) -> np.ndarray:
    """The answer's sequences, with the right type and shape; the rules have to stay as they were."""
    found = trial.call(trial.answer, np.random.default_rng([trial.seed, rng]), lags, rules, users, **options)
    given = {"lags": lags, "users_per_group": users, **options}
    trial.require(type(found) is np.ndarray, f"found {describe(found)}, expected an array",
                  "a return seems to be missing" if found is None else "return a numpy array", **given)  # fmt: skip
    problem = difference(found * 0, np.zeros((users, len(lags), options["length"]), dtype=np.int64))
    trial.require(not problem, problem, "", **given)
    return found


def _follows_the_rule(trial: Trial, rows: np.ndarray, lag: int, rule: np.ndarray, group: int) -> None:
    """Without noise the rule, and nothing else, says what comes lag + 1 steps after an item."""
    back, length = lag + 1, rows.shape[1]
    where = {"group": group, "lag": lag, "noise": 0.0}
    later = [t for t in range(back, length) if (rows[:, t] != rule[rows[:, t - back]]).any()]
    if not later:
        return
    after = [set(rows[:, back:][rows[:, :-back] == item].tolist()) for item in range(len(rule))]
    if all(len(items) == 1 for items in after):
        item, (other,) = next((i, tuple(items)) for i, items in enumerate(after) if items != {rule[i]})
        trial.fail(f"{back} steps after the group's item {item} comes item {other}, expected {rule[item]}", "", **where)
    for other in range(1, length):
        pairs = {(t, n) for t, n in zip(rows[:, :-other].flat, rows[:, other:].flat)}
        if len(pairs) == len(rule):
            trial.fail(f"an item follows from that {other} steps before, expected {back}", "", **where)
    trial.fail(f"the item at t = {later[0]} does not follow from that at t = {later[0] - back}"
               + ", nor does any later one" * (later == [*range(back, length)]), "", **where)  # fmt: skip


def _is_random(trial: Trial) -> None:
    """All random numbers come from rng, which moves on; each user draws items of its own, evenly."""
    rules = _rules(trial, 2, 6)
    options: dict[str, Any] = {"length": 9, "noise": 0.3, "shared_items": True}
    draws = [_drawn(trial, (0, 2), rules, 30, rng=seed, **options) for seed in (1, 1, 2)]
    must = lambda holds, found: trial.require(holds, found, "", lags=(0, 2))
    must(np.array_equal(draws[0], draws[1]), "two draws from the same rng differ")
    must(not np.array_equal(draws[0], draws[2]), "two rngs with different seeds gave the same users")
    rng = np.random.default_rng(trial.seed)
    with trial.of_the_answer(noise=0.3):
        first, second = (trial.answer(rng, (0, 2), rules, 30, **options) for _ in range(2))
    must(not np.array_equal(first, second), "two calls with one rng gave the same users")
    many = _drawn(trial, (0, 4), rules, 1200, rng=3, length=8, noise=0.0, shared_items=True)
    must(np.mean(many[:, 1, 0] == many[:, 1, 1]) < 0.3, "the first two items of a user are too often the same")
    must(np.mean(many[:, 0, 0] == many[:, 1, 0]) < 0.3, "the groups' first items of a user are too often the same")
    starts = np.stack([np.bincount(many[:, 1, t], minlength=7)[1:] / 1200 for t in range(5)])
    must(starts.min() > 0.1 and starts.max() < 0.24, "some of the group's items come first more often than others")


def _has_the_right_noise(trial: Trial) -> None:
    """An item follows the rule, from what was really there, with probability 1 - noise (+ what chance gives)."""
    size, rules = 6, _rules(trial, 2, 6)
    for noise in (1.0, 0.3):
        drawn = _drawn(trial, (0, 2), rules, 600, rng=5, length=24, noise=noise, shared_items=True)
        for group, lag in enumerate((0, 2)):
            rows = drawn[:, group] - 1
            follows = rows[:, lag + 1 :] == rules[group][rows[:, : -1 - lag]]
            share, expected = float(follows.mean()), 1 - noise + noise / size
            must = lambda holds, found, noise=noise: trial.require(holds, found, "", lags=(0, 2), noise=noise)
            must(noise == 1 or follows.mean(axis=1).std() < 0.2, "a user has noise all the time or never")
            must(noise == 1 or follows.mean(axis=0).std() < 0.2, "all users have noise at the same time")
            must(0 < share < 1, f"{'every' if share else 'no'} item is what the rule says")
            how = "many" if share > expected else "few"
            must(abs(share - expected) < 0.03, f"too {how} of the items are what the rule says")


check_draw_sequences = Check(
    part="synthetic.draw_sequences",
    task="Return an int64 array (users_per_group, group, length) of items that count from 1. In group g the first "
    "lag + 1 items of a user are random; then x[t + 1] = rules[g][x[t - lag]], items counted from 0 within the group, "
    "or, with probability `noise`, a random item of the group. shared_items: all groups have the items "
    "1 ... items_per_group, else each its own range. All random numbers come from `rng`.",
    hints=(
        "Draw a whole array of random items for a group first. Then overwrite, step by step, those of the rule.",
        "All users of a group can be done at once: the column at t comes from the column lag + 1 steps before it, "
        "`rules[group][…]`. The loop over t cannot be avoided, since each step reads earlier ones.",
        "`np.where(follow, rule's item, random item)`, with follow drawn for each user and step. Add 1, and the "
        "group's offset, only at the end.",
    ),
    body=_draw_sequences,
    minutes=20,
    difficulty=3,
    importance="useful",
    mistakes=DRAW_SEQUENCES,
)

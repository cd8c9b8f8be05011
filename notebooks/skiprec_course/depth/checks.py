"""Checks of what lesson 07 builds: the factorisation machine that has lost the order, and users of known depth."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import Check, Trial
from skiprec_course.parameters import fill, is_tensor, same_parameter_gradients
from skiprec_lite.backbones import NFM
from skiprec_lite.synthetic import KnownDepth

__all__ = ["check_NFM", "check_draw_sequences", "check_users_of_known_depth"]

ITEMS = 11  # different from all other sizes, so that each parameter is known by its shape


# --- NFM ---


def _nfm(trial: Trial) -> None:
    for sizes in ({"channels": 4, "hidden_layers": 0}, {"channels": 4}, {"channels": 4, "hidden_layers": 3}):
        items = trial.histories(ITEMS, [7, 1, 4, 2], 7)
        items[0, 3] = items[0, 2]  # the same item twice is a pair as well
        _scores(trial, items, **sizes)
    _reads_the_past_without_its_order(trial)
    _starts_as_it_should(trial)
    _drops(trial)


def _net(trial: Trial, of: Any, **sizes: Any) -> Any:
    causes = {
        "linear weight": "as many linear layers, (channels, channels), as hidden_layers says, in an nn.ModuleList: a "
        "plain list hides its parameters, and one layer used twice is one layer",
        "embedding": "self.embedding embeds num_items + 1 rows, the first one for padding",
        "embedding's shape": "one row for each item and one for padding: num_items + 1, each of `channels` numbers",
        "output weight": "after the hidden layers one linear layer scores the items",
        "output bias": "the output layer has a bias, one number for each item",
    }
    return fill(trial, of(ITEMS, **sizes), NFM(ITEMS, **sizes), ITEMS, causes, **sizes)


def _scores(trial: Trial, items: Tensor, **sizes: Any) -> None:
    """One size: shape, column 0, no NaN, values at real positions, gradients."""
    with trial.of_the_answer(items, **sizes):
        model = _net(trial, trial.answer, **sizes)
    scores = trial.call(model, items)
    _no_division_by_zero(trial, scores, items, **sizes)
    is_tensor(trial, scores, (*items.shape, ITEMS + 1), "a column for each item and, before them, one for padding",
              items, **sizes)  # fmt: skip
    first = scores.detach()[..., 0]
    trial.require((first == -torch.inf).all(), f"column 0 has the score {float(first[0, 0]):.4g}, expected -inf",
                  "padding could be recommended: put a column of -inf in front", **sizes)  # fmt: skip
    real = items > 0
    _does_not_look_ahead(trial, model, items, **sizes)
    trial.same_results(lambda of: lambda x, **given: _net(trial, of, **given)(x)[real], items, **sizes)
    where = real & (torch.rand(items.shape, generator=trial.generator) < 0.5)
    where[0, 5] = True
    with trial.of_the_answer(items, where, **sizes):
        found = model.score_at(items, where)
        with_cut = model.score_at(items, where, torch.zeros(len(items), dtype=torch.int64))
    is_tensor(trial, found, (int(where.sum()), ITEMS + 1), "for each True of `where` score_at returns one row",
              items, where, **sizes)  # fmt: skip
    problem = difference(found, scores[where]) or difference(with_cut, found)
    trial.require(not problem, f"score_at: {problem}", "the rows follow `where`, row by row; `cut` has no effect here",
                  items, where, **sizes)  # fmt: skip
    modules = model, _net(trial, trial.reference, **sizes)
    same_parameter_gradients(trial, lambda m: m(items)[real], modules, ITEMS)


def _no_division_by_zero(trial: Trial, scores: Any, items: Tensor, **sizes: Any) -> None:
    if type(scores) is not Tensor or scores.shape[:2] != items.shape:
        return  # `is_tensor` will say so
    numbers = scores.detach()[..., 1:]
    broken = (numbers.isnan() | numbers.isinf()).any(dim=-1)
    if not broken.any():
        return
    n = int((items > 0).cumsum(dim=1)[broken].max())
    cause = "with fewer than two items n (n - 1) is 0: a single item has no pair, and the pool is 0 there"
    trial.fail(f"scores are NaN or infinite where {n} items were read", cause if n < 2 else "", items, **sizes)


def _does_not_look_ahead(trial: Trial, model: Any, items: Tensor, **sizes: Any) -> None:
    """Without its last items a row gets the same scores before them."""
    with trial.of_the_answer(items, **sizes):
        before, after = model(items)[:, :-2], model(items[:, :-2])
    real = items[:, :-2] > 0
    trial.require(not difference(after[real], before[real]), "without its last two items a row has other scores before",
                  "sums, or n, run over the whole row: a position may count the items up to it only, as a cumsum does",
                  items, **sizes)  # fmt: skip


def _reads_the_past_without_its_order(trial: Trial) -> None:
    """Padding in front, or the past in another order, leaves the last scores as they are; fresh weights."""
    row = torch.randperm(ITEMS, generator=trial.generator)[:6].unsqueeze(0) + 1
    with trial.of_the_answer(row):
        fresh = trial.answer(ITEMS, channels=4).double().eval()
        alone, shuffled = fresh(row), fresh(row.flip(1))
        padded = fresh(F.pad(row, (3, 0)))
    trial.require(not difference(padded[:, 3:], alone), "three zeros in front of a row change its scores",
                  "padding is embedded as a vector of its own, or counted in n: it is 0 and no item", row)  # fmt: skip
    trial.require(not difference(shuffled[:, -1], alone[:, -1]), "the past in reverse order changes the last scores",
                  "the pool is a sum over pairs: it has no order", row)  # fmt: skip


def _starts_as_it_should(trial: Trial) -> None:
    with trial.of_the_answer(300, channels=16):
        weight = trial.answer(300, channels=16).embedding.weight.detach()
    spread = float(weight[1:].std())
    trial.require(abs(spread - 1) < 0.2, f"a fresh embedding has the standard deviation {spread:.3g}, expected 1",
                  "products of two small numbers are tiny: scale item_embedding's rows up", channels=16)  # fmt: skip


def _drops(trial: Trial) -> None:
    """On the pool (seen without hidden layers) and on each hidden layer."""
    items = trial.histories(ITEMS, [7, 7], 7)
    for layers in (0, 1):
        given = {"hidden_layers": layers, "dropout": 0.5}
        with trial.of_the_answer(items, **given):
            model = _net(trial, trial.answer, channels=4, **given)
            plain, dropped = model(items).detach(), model.train()(items).detach()
        trial.require(bool(difference(dropped, plain)), "in training mode dropout=0.5 drops nothing",
                      "put nn.Dropout(dropout) on the pool and on each hidden layer", items, **given)  # fmt: skip


def _mistaken_nfm(
    pool: Callable[[Tensor, Tensor], Tensor] | None = None, layers: Callable | None = None
) -> type[nn.Module]:
    """An NFM with this pool(embedded, n) or these layers(model, pool)."""

    class MistakenNFM(NFM):
        def forward(self, items: Tensor) -> Tensor:
            embedded, count = (
                self.embedding(items),
                (items > 0).cumsum(dim=1).unsqueeze(-1).to(self.embedding.weight.dtype),
            )
            pooled = (pool or _mean_of_pairs)(embedded, count)
            if layers is not None:
                pooled = layers(self, pooled)
            else:
                for layer in self.hidden_layers:
                    pooled = layer(pooled).relu()
            return self.score(pooled)

    return MistakenNFM


def _mean_of_pairs(e: Tensor, n: Tensor) -> Tensor:
    return (e.cumsum(1).square() - e.square().cumsum(1)) / (n * (n - 1)).clamp_min(1)


def _without_relu(model: NFM, hidden: Tensor) -> Tensor:
    for layer in model.hidden_layers:
        hidden = layer(hidden)
    return hidden


def _relu_before(model: NFM, hidden: Tensor) -> Tensor:
    for layer in model.hidden_layers:
        hidden = layer(hidden.relu())
    return hidden


def _residual(model: NFM, hidden: Tensor) -> Tensor:
    for layer in model.hidden_layers:
        hidden = hidden + layer(hidden).relu()
    return hidden


def _only_one(model: NFM, hidden: Tensor) -> Tensor:
    for layer in model.hidden_layers[:1]:
        hidden = layer(hidden).relu()
    return hidden


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
    mistakes={
        "this is the sum over all pairs: divide by their number for the mean":
            _mistaken_nfm(lambda e, n: (e.cumsum(1).square() - e.square().cumsum(1)) / 2),
        "this is twice the sum over all pairs: divide by n (n - 1) for the mean":
            _mistaken_nfm(lambda e, n: e.cumsum(1).square() - e.square().cumsum(1)),
        "a factor of 2 is wrong: each pair counts once, and there are n (n - 1) / 2":
            _mistaken_nfm(lambda e, n: _mean_of_pairs(e, n) / 2),
        "a factor of 2 is wrong: each pair counts twice in the square of the sum":
            _mistaken_nfm(lambda e, n: 2 * _mean_of_pairs(e, n)),
        "you divide by n: there are n (n - 1) / 2 pairs":
            _mistaken_nfm(lambda e, n: (e.cumsum(1).square() - e.square().cumsum(1)) / n.clamp_min(1)),
        "you divide by n, and each pair is counted twice: there are n (n - 1) / 2 pairs":
            _mistaken_nfm(lambda e, n: (e.cumsum(1).square() - e.square().cumsum(1)) / 2 / n.clamp_min(1)),
        "you divide by n squared: an item makes no pair with itself, so there are n (n - 1)":
            _mistaken_nfm(lambda e, n: (e.cumsum(1).square() - e.square().cumsum(1)) / n.square().clamp_min(1)),
        "square of the sum and sum of the squares have changed places":
            _mistaken_nfm(lambda e, n: -_mean_of_pairs(e, n)),
        "the sum of the squares is not taken away: an item makes no pair with itself":
            _mistaken_nfm(lambda e, n: e.cumsum(1).square() / (n * (n - 1)).clamp_min(1)),
        "the square of the sum is missing: these are squares of single items only":
            _mistaken_nfm(lambda e, n: e.square().cumsum(1) / (n * (n - 1)).clamp_min(1)),
        "this is the mean of the embeddings: pairs are multiplied":
            _mistaken_nfm(lambda e, n: e.cumsum(1) / n.clamp_min(1)),
        "the pool is a number for each position: the channels are not summed up":
            _mistaken_nfm(lambda e, n: _mean_of_pairs(e, n).sum(-1, keepdim=True).expand_as(e)),
        "the sums run along the channels: they run along time":
            _mistaken_nfm(lambda e, n: (e.cumsum(2).square() - e.square().cumsum(2)) / (n * (n - 1)).clamp_min(1)),
        "padding is counted in n: it is the number of real items so far": _mistaken_nfm(
            lambda e, n: _mean_of_pairs(e, torch.arange(1, e.shape[1] + 1, dtype=e.dtype)[:, None])
        ),
        "only neighbours make pairs: all pairs of items so far count": _mistaken_nfm(
            lambda e, n: F.pad(e[:, 1:] * e[:, :-1], (0, 0, 1, 0)).cumsum(1) / (n - 1).clamp_min(1)
        ),
        "there is a ReLU on the pool": _mistaken_nfm(lambda e, n: _mean_of_pairs(e, n).relu()),
        "the ReLU is missing behind the hidden layers": _mistaken_nfm(layers=_without_relu),
        "the ReLU stands before the hidden layers: it belongs behind each": _mistaken_nfm(layers=_relu_before),
        "the hidden layers are added to their input: there is no residual here": _mistaken_nfm(layers=_residual),
        "only the first hidden layer is used": _mistaken_nfm(layers=_only_one),
        "the hidden layers are not used": _mistaken_nfm(layers=lambda model, hidden: hidden),
    },
)  # fmt: skip


# --- draw_sequences ---


def _draw_sequences(trial: Trial) -> None:
    rules = _rules(trial, 3, 7)
    for shared in (False, True):
        sequences = _drawn(trial, (3, 0, 5), rules, 40, length=12, noise=0.0, shared_items=shared)
        _holds_the_groups_items(trial, sequences, 7, shared)
        _follows_the_rules(trial, sequences, (3, 0, 5), rules, shared)
    for lags, size, length, users in (((2,), 5, 4, 1), ((4, 0), 3, 6, 3)):  # as short as can be
        few = _rules(trial, len(lags), size)
        drawn = _drawn(trial, lags, few, users, length=length, noise=0.0, shared_items=True)
        _follows_the_rules(trial, drawn, lags, few, True)
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
    given = {"lags": lags, "users_per_group": users, **options}
    generator, before = np.random.default_rng([trial.seed, rng]), rules.copy()
    with trial.of_the_answer(**given):
        found = trial.answer(generator, lags, rules, users, **options)
    trial.require(np.array_equal(rules, before), "it changes the rules it was given", "work on a copy", **given)
    if type(found) is not np.ndarray:
        cause = "a return seems to be missing" if found is None else "return a numpy array"
        trial.fail(f"found {describe(found)}, expected an array", cause, **given)
    shape = (users, len(lags), options["length"])
    cause = "the axes are (user, group, time)"
    trial.require(found.shape == shape, f"found shape {found.shape}, expected {shape}", cause, **given)
    trial.require(np.issubdtype(found.dtype, np.integer), f"found {found.dtype}, expected whole numbers",
                  "items are indices: make an int64 array", **given)  # fmt: skip
    return found


def _holds_the_groups_items(trial: Trial, sequences: np.ndarray, size: int, shared: bool) -> None:
    """Items 1 ... size, of each group its own or of all the same."""
    groups = sequences.shape[1]
    for group in range(groups):
        first = 1 if shared else 1 + group * size
        low, high = int(sequences[:, group].min()), int(sequences[:, group].max())
        if first <= low and high < first + size:
            continue
        cause = ""
        if low == first - 1:
            cause = "items count from 1: 0 is padding"
        elif group and not shared and low == 1:
            cause = "without shared_items each group has items of its own, one range after the other"
        elif group and shared and low == 1 + group * size:
            cause = "with shared_items all groups have the items 1 ... items_per_group"
        trial.fail(f"group {group} has the items {low} ... {high}, expected {first} ... {first + size - 1}", cause,
                   shared_items=shared, noise=0.0)  # fmt: skip


def _follows_the_rules(
    trial: Trial, sequences: np.ndarray, lags: tuple[int, ...], rules: np.ndarray, shared: bool
) -> None:
    """Without noise every item from lag + 1 on is the rule's."""
    size = rules.shape[1]
    given = {"lags": lags, "noise": 0.0, "shared_items": shared}
    for group, lag in enumerate(lags):
        rows = sequences[:, group] - 1 - (0 if shared else group * size)
        if _share(rows, lag, rules[group]) == 1:
            continue
        inverse = np.argsort(rules[group])
        others = {
            "the lag is one too short: x[t + 1] follows x[t - lag], so x[t] follows x[t - lag - 1]": (
                lag - 1,
                rules[group],
            ),
            "the lag is one too long: x[t + 1] follows x[t - lag], so x[t] follows x[t - lag - 1]": (
                lag + 1,
                rules[group],
            ),
            "the rule is read backwards: rules[g][i] is the item that follows i": (lag, inverse),
            "every group has the first group's rule": (lag, rules[0]),
            "every group has the first group's lag": (lags[0], rules[group]),
            "the rule has no effect: the item itself comes again": (lag, np.arange(size)),
        }
        found = [
            c
            for c, (other, rule) in others.items()
            if 0 <= other < rows.shape[1] - 1 and _share(rows, other, rule) == 1
        ]
        share = _share(rows, lag, rules[group])
        cause = found[0] if found else ""
        if not found and share > 0.5 and (rows[:, lag + 2 :] == rules[group][rows[:, 1 : -1 - lag]]).all():
            cause = "the items from lag + 1 on follow the rule, the very first of them too"
        elif not found and abs(share - 1 / size) < 0.1:
            cause = "the rule seems never to apply: noise is the probability of a random item, not of the rule's"
        trial.fail(
            f"of group {group} (lag {lag}) {share:.0%} of the items follow the rule, expected all", cause, **given
        )


def _share(rows: np.ndarray, lag: int, rule: np.ndarray) -> float:
    """The share of items from lag + 1 on that the rule gives."""
    if lag + 1 >= rows.shape[1]:
        return 1.0
    return float((rows[:, lag + 1 :] == rule[rows[:, : -1 - lag]]).mean())


def _is_random(trial: Trial) -> None:
    """All random numbers come from rng, which moves on; each user draws items of its own, evenly."""
    rules = _rules(trial, 2, 6)
    options: dict[str, Any] = {"length": 9, "noise": 0.3, "shared_items": True}
    draws = [_drawn(trial, (0, 2), rules, 30, rng=seed, **options) for seed in (1, 1, 2)]
    trial.require(np.array_equal(draws[0], draws[1]), "two draws from the same rng differ",
                  "draw all random numbers from `rng`", noise=0.3)  # fmt: skip
    trial.require(not np.array_equal(draws[0], draws[2]), "two rngs with different seeds gave the same users",
                  "`rng` is not used: draw all random numbers from it", noise=0.3)  # fmt: skip
    rng = np.random.default_rng(trial.seed)
    with trial.of_the_answer(noise=0.3):
        first, second = (trial.answer(rng, (0, 2), rules, 30, **options) for _ in range(2))
    trial.require(not np.array_equal(first, second), "two calls with one rng gave the same users",
                  "`rng` has to move on: draw from it, not from a copy", noise=0.3)  # fmt: skip
    many = _drawn(trial, (0, 4), rules, 1200, rng=3, length=8, noise=0.0, shared_items=True)
    trial.require(len(np.unique(many[:, 0], axis=0)) > 4, "all users of a group are alike",
                  "each user draws first items of its own", lags=(0, 4), noise=0.0)  # fmt: skip
    starts = np.stack([np.bincount(many[:, 1, t], minlength=7)[1:] / 1200 for t in range(5)])
    trial.require(starts.min() > 0.1 and starts.max() < 0.24, f"of the first items of a user one has the share "
                  f"{starts.max():.2f}, another {starts.min():.2f}, expected 1/6 each",
                  "the first lag + 1 items are drawn evenly from all items of the group", lags=(0, 4))  # fmt: skip
    both = np.mean(many[:, 1, 0] == many[:, 1, 1])
    trial.require(both < 0.3, f"the first two items of a user are the same in {both:.0%} of the cases, expected 17%",
                  "each of the first lag + 1 items is a draw of its own", lags=(0, 4))  # fmt: skip


def _has_the_right_noise(trial: Trial) -> None:
    """An item follows the rule, from what was really there, with probability 1 - noise (+ what chance gives)."""
    size, users, length = 6, 600, 24
    rules = _rules(trial, 2, size)
    for noise in (0.3, 1.0):
        drawn = _drawn(trial, (0, 2), rules, users, rng=5, length=length, noise=noise, shared_items=True)
        for group, lag in enumerate((0, 2)):
            rows = drawn[:, group] - 1
            follows = rows[:, lag + 1 :] == rules[group][rows[:, : -1 - lag]]
            share, expected = float(follows.mean()), 1 - noise + noise / size
            given = {"lags": (0, 2), "noise": noise}
            if noise < 1:
                _noise_is_drawn_for_each_item(trial, follows, **given)
            if abs(share - expected) > 0.03:
                wrong = {
                    "noise is the probability of a random item, not of the rule's": noise + (1 - noise) / size,
                    "there is no noise": 1.0,
                    "the rule reads the sequence before the noise: x[t] follows the item that is really there":
                        _of_clean_sequences(noise, size),
                    "a random item is any of the group's, the rule's too": 1 - noise,
                }  # fmt: skip
                cause = min(wrong, key=lambda c: abs(wrong[c] - share))
                trial.fail(f"{share:.3f} of the items follow the rule, expected {expected:.3f}",
                           cause if abs(wrong[cause] - share) < 0.05 else "", **given)  # fmt: skip


def _of_clean_sequences(noise: float, size: int) -> float:
    """How often the rule seems to hold if a clean sequence is made first and noise is put on it later."""
    kept = (1 - noise) ** 2
    return kept + (1 - kept) / size


def _noise_is_drawn_for_each_item(trial: Trial, follows: np.ndarray, **given: Any) -> None:
    by_user, by_time = follows.mean(axis=1).std(), follows.mean(axis=0).std()
    cause = ("noise is drawn for whole users: draw it for each item" if by_user > by_time
             else "noise is drawn once for all users: draw it for each item")  # fmt: skip
    trial.require(by_user < 0.2 and by_time < 0.2, "the noise comes in blocks", cause, **given)


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
    mistakes={},
)  # fmt: skip


# --- users_of_known_depth ---


def _users_of_known_depth(trial: Trial) -> None:
    several: tuple[dict[str, Any], ...] = (
        {},
        {"lags": (1, 3), "items_per_group": 7, "users_per_group": 5, "length": 9, "noise": 0.5, "shared_items": True},
        {"lags": [0, 4, 2], "users_per_group": 3, "seed": trial.seed + 5, "length": 12},
        {"lags": (0, 5), "users_per_group": 4, "length": 9, "curriculum_epochs": 3, "test_users_per_group": 2},
    )
    for given in several:
        world = _world(trial, **given)
        expected = trial.reference(**given)
        for name in (f.name for f in dataclasses.fields(KnownDepth) if f.name != "rules"):
            problem = difference(getattr(world, name), getattr(expected, name), name)
            trial.require(not problem, problem, "each argument is handed on to KnownDepth, in its place", **given)
        _rules_are_permutations(trial, world.rules, expected.rules.shape, **given)
        with trial.of_the_answer(**given):
            drawn = world.draw(3, 2).items
        shape = (2 * len(expected.lags), expected.length)
        trial.require(tuple(drawn.shape) == shape, f"its users have the shape {tuple(drawn.shape)}, expected {shape}",
                      "", **given)  # fmt: skip
    _come_from_the_seed(trial)


def _world(trial: Trial, **given: Any) -> KnownDepth:
    state = np.random.get_state()  # noqa: NPY002
    with trial.of_the_answer(**given):
        world = trial.answer(**copy.deepcopy(given))
    if type(world) is not KnownDepth:
        cause = "a return seems to be missing" if world is None else "return what KnownDepth(…) makes"
        trial.fail(f"found {describe(world)}, expected a KnownDepth", cause, **given)
    same = all(np.array_equal(a, b) for a, b in zip(state, np.random.get_state()))  # noqa: NPY002
    trial.require(same, "numpy's global random numbers are changed by it",
                  "draw from a generator of its own, np.random.default_rng(seed)", **given)  # fmt: skip
    return world


def _rules_are_permutations(trial: Trial, rules: Any, shape: tuple[int, ...], **given: Any) -> None:
    if type(rules) is not np.ndarray:
        trial.fail(
            f"rules: found {describe(rules)}, expected an array",
            "make one of the list, with np.stack for example",
            **given,
        )
    trial.require(rules.shape == shape, f"rules: found shape {rules.shape}, expected {shape}",
                  "one row for each group, one column for each item", **given)  # fmt: skip
    trial.require(np.issubdtype(rules.dtype, np.integer), f"rules: found {rules.dtype}, expected whole numbers",
                  "a rule holds items", **given)  # fmt: skip
    wrong = next((row for row in rules if sorted(row.tolist()) != list(range(shape[1]))), None)
    if wrong is not None:
        cause = ("within a group items count from 0" if sorted(wrong.tolist()) == list(range(1, shape[1] + 1))
                 else "some item follows two others, and some none: draw permutations")  # fmt: skip
        trial.fail(f"rules: {describe(wrong[:6])} is not the beginning of a permutation of 0 ... {shape[1] - 1}"
                   if len(wrong) > 6 else f"rules: {describe(wrong)} is no permutation of 0 ... {shape[1] - 1}",
                   cause, **given)  # fmt: skip
    if shape[1] >= 20:  # by chance it happens once in 20!
        alike = len({tuple(row) for row in rules.tolist()}) < len(rules)
        trial.require(
            not alike, "rules: all groups have the same", "each group draws a permutation of its own", **given
        )
        still = any(row.tolist() == sorted(row.tolist()) for row in rules)
        trial.require(
            not still, "rules: each item is followed by itself", "the permutations have to be random", **given
        )


def _come_from_the_seed(trial: Trial) -> None:
    np.random.seed(trial.seed)  # noqa: NPY002
    rules = [_world(trial, seed=seed).rules.tolist() for seed in (3, 3, 4)]
    trial.require(rules[0] == rules[1], "two calls with the same seed gave different rules",
                  "draw the rules from np.random.default_rng(seed)", seed=3)  # fmt: skip
    trial.require(rules[0] != rules[2], "the seeds 3 and 4 gave the same rules", "`seed` is not used", seed=4)


check_users_of_known_depth = Check(
    part="synthetic.users_of_known_depth",
    task="Return a KnownDepth. Draw one random permutation of 0 ... items_per_group - 1 for each lag, from a generator "
    "made of seed; stacked they are the rules, (group, items_per_group). All other arguments are only handed on.",
    hints=(
        "`np.random.default_rng(seed)` makes the generator; it has a method `permutation`.",
        "`np.stack` turns the list of permutations into one array. Look at KnownDepth's fields for their order.",
    ),
    body=_users_of_known_depth,
    minutes=5,
    difficulty=1,
    mistakes={},
)  # fmt: skip

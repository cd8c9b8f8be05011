"""Checks of what lesson 09 builds: gates that do not come from a policy."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.models import ITEMS, a_backbone, calls_differ, reaches, some_windows, the_same, windows_from
from skiprec_course.questions import is_tensor
from skiprec_course.verdict.mistakes import ANOTHER_USERS, RANDOM_GATES, SHUFFLED_HISTORIES
from skiprec_lite.windows import Windows

__all__ = ["check_RandomGates", "check_another_users", "check_shuffled_histories"]


def _random_gates_model(trial: Trial) -> None:
    def scoring(rate: float, *, training: bool) -> Callable[[Any], Callable]:
        return lambda kind: kind(a_backbone(trial.seed), rate).train(training).score_at

    items = trial.histories(ITEMS, [7, 3, 1, 7], 7)
    where, cut = (items > 0) & (trial.integers(0, 2, 4, 7) > 0), torch.tensor([5, 6, 6, 4])
    where[:, -1] = True
    with trial.of_the_answer(keep_rate=0.4):
        model = trial.answer(a_backbone(trial.seed), 0.4)
        trial.require(isinstance(model, nn.Module), f"found {describe(model)}, expected a torch.nn.Module")
        parameters, expected = (len(list(m.parameters())) for m in (model, a_backbone(0)))
    trial.require(parameters == expected, f"the model has {parameters} parameters, expected the backbone's {expected}",
                  "make the backbone an attribute of the model")  # fmt: skip
    score_at = {mode: scoring(0.4, training=mode == "training")(trial.answer) for mode in ("training", "eval")}
    for given in ((items, where), (items, where, cut)):
        is_tensor(trial, trial.call(score_at["eval"], *given), (int(where.sum()), ITEMS + 1), "", *given)
        drawn = [mode for mode, call in score_at.items() if calls_differ(trial, call, *given)]
        trial.require(drawn == ["training"], f"six calls of score_at differ in these modes: "
                      f"{', '.join(drawn) or 'none'}; expected: training", "", *given)  # fmt: skip
        trial.same_results(scoring(0.4, training=False), *given)
    one, net = torch.full((DRAWS, 1), 4), a_backbone(trial.seed, dilations=(1, 1))
    score = lambda kind: kind(net, 0.3).train().score_at(one, one > 0)[:, 5].detach().round(decimals=6)
    trial.alike(score, "in training mode the score of an item after one of two blocks at the rate 0.3", one)
    with trial.of_the_answer(items, where):
        learnt = model.train().score_at(items, where)[:, 1:]
    trial.require(reaches(learnt, model), "no gradient reaches the backbone", "", items, where)
    for rate in (0.0, 1.0):
        trial.same_results(scoring(rate, training=True), items, where)


check_RandomGates = Check(
    part="controls.RandomGates",
    task="A model (nn.Module with `backbone` and `keep_rate`) with a method `score_at(items, where, cut=None)` that "
    "scores all items at the positions where the mask `where` is True, (scored, items + 1). In training mode each row "
    "runs under random gates at that rate; in eval mode all blocks are kept. `cut` is not used.",
    hints=(
        "`self.training` tells the mode. What does `backbone.encode(items, gates)` do with gates of None?",
        "`random_gates` needs two numbers from here: how many rows, how many blocks.",
        "First the hidden states, then the mask, then `backbone.score`.",
    ),
    body=_random_gates_model,
    minutes=10,
    difficulty=2,
    mistakes=RANDOM_GATES,
)


def _follows_the_seed(trial: Trial, draw: partial) -> None:
    """The same seed gives the same draw, whatever the global random numbers are, and leaves these alone."""
    first = draw(seed=3)
    torch.manual_seed(trial.seed + 9)
    before = torch.get_rng_state()
    again = draw(seed=3)
    trial.require(not difference(again, first), "the same seed gives another draw")
    trial.require(torch.equal(before, torch.get_rng_state()), "it draws from, or sets, the global random numbers")
    trial.require(any(difference(draw(seed=s), first) for s in (4, 5, 6)), "seeds 3 to 6 all give the same draw")


def _another_users(trial: Trial) -> None:
    rules = (
        "a row holds gates that no user has",
        "50 rows all get the gates of one of them",
        "some row's gates are handed out more than once",
        "50 rows all have their own gates",
        "some rows have their own gates",
    )
    broken: set[str] = set()
    for rows in (2, 3, 4, 7, 50):
        gates = torch.arange(rows).unsqueeze(1) + torch.tensor([[0.0, 0.25, 0.5]])  # all rows differ
        for seed in range(6):
            found = trial.call(trial.answer, gates, seed=seed)
            is_tensor(trial, found, gates.shape, "", gates, seed=seed)
            owner = found[:, 0].long().clamp(0, rows - 1)
            owners, own = len(owner.unique()), owner == torch.arange(rows)
            facts = (
                not torch.equal(found, gates[owner]),
                rows == 50 and owners == 1,
                owners < rows,
                rows == 50 and own.all(),
                own.any(),
            )
            broken |= {rule for rule, fact in zip(rules, facts) if fact}
    for rule in rules:
        trial.require(rule not in broken, rule, "", gates)
    _follows_the_seed(trial, partial(trial.call, trial.answer, gates))
    default, zero = trial.call(trial.answer, gates), trial.call(trial.answer, gates, seed=0)
    trial.require(torch.equal(default, zero), "without a seed the exchange is not that of seed 0",
                  "the default of seed is 0", gates)  # fmt: skip


check_another_users = Check(
    part="controls.another_users",
    task="Return the rows of gates (row, block) handed on at random: every row gets the gates of *another* row, each "
    "row's gates go to exactly one other row, nobody keeps their own. The same `seed` gives the same exchange; the "
    "global random numbers are not used.",
    hints=(
        "A random permutation leaves somebody in their place two times in three. What arrangement of people lets "
        "everybody hand something on, and nobody to themselves?",
        "A circle: draw a random order of the rows, let each take from the one before it, the first from the last.",
        "`torch.randperm(n, generator=…)` draws the order, `roll(1)` turns it by one place. Mind which is index and "
        "which is value.",
    ),
    body=_another_users,
    minutes=15,
    difficulty=3,
    mistakes=ANOTHER_USERS,
)


def _shuffled_histories(trial: Trial) -> None:
    lengths, width = (10, 4, 1, 10, 7, 2), 10
    items = torch.stack([torch.randperm(20, generator=trial.generator)[:width] + 1 for _ in lengths])
    for row, length in zip(items, lengths):
        row[: width - length] = 0
    cut = torch.tensor([9, 8, 9, 5, 6, 8])
    cases = replace(some_windows(trial, lengths, width), items=items, cut=cut)
    later, moved = torch.arange(width) > cut.unsqueeze(1), torch.zeros_like(items, dtype=torch.bool)
    for seed in range(8):
        found = windows_from(trial, cases, seed=seed)
        the_same(trial, found, cases, "targets", "cut", "users", "seen")
        is_tensor(trial, found.items, items.shape, "", cases, seed=seed)
        for kept, words in (
            (torch.equal(found.items == 0, items == 0), "zeros have moved"),
            (torch.equal(found.items[later], items[later]), "an item after the cut has moved"),
            (
                torch.equal(found.items.sort().values, items.sort().values),
                "a row does not hold the same items as before",
            ),
        ):
            trial.require(kept, words, "", cases, seed=seed)
        moved |= found.items != items
    trial.require(moved.any(), "eight seeds, and no row has another order", "", cases)
    trial.require(moved[torch.arange(len(items)), cut].any(), "eight seeds, and the item at the cut never moves", "",
                  cases)  # fmt: skip
    _follows_the_seed(trial, partial(windows_from, trial, cases))
    rows = 900  # three readable items have six orders, all equally likely, whatever stands around them
    items = torch.tensor([0, 7, 8, 9, 5]).repeat(rows, 1)
    alike = Windows(items, items, torch.full((rows,), 3), torch.arange(rows))
    orders, counts = windows_from(trial, alike, seed=trial.seed).items.unique(dim=0, return_counts=True)
    trial.require(len(orders) > 1, "900 equal rows all get the same order", "", alike)
    trial.require(len(orders) == 6 and counts.min() > 80 and counts.max() < 230,
                  "of the six orders of three items some come up too rarely, or never", "", alike)  # fmt: skip


check_shuffled_histories = Check(
    part="controls.shuffled_histories",
    task="Return the same `Windows` with each row's readable items in random order: real items (not 0) at positions up "
    "to and including the row's `cut`. Padding and later items stay where they are. Each row has an order of its own, "
    "drawn from `seed`; the given cases are not changed.",
    hints=(
        "Which places of the (row, time) grid are free to be shuffled? Two conditions make a mask.",
        "Row by row: take the items at the free places, put them back in a random order.",
        "All rows at once: sort random numbers, with infinity where a place is not free, and the free places come "
        "first.",
    ),
    body=_shuffled_histories,
    minutes=20,
    difficulty=3,
    importance="useful",
    mistakes=SHUFFLED_HISTORIES,
)

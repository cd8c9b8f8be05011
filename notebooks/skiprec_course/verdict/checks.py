"""Checks of what lesson 09 builds: gates that do not come from a policy."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.models import ITEMS, a_backbone, reaches, some_windows, the_same, windows_from
from skiprec_lite import controls
from skiprec_lite.splits import Windows

__all__ = [
    "check_RandomGates",
    "check_another_users",
    "check_most_frequent_pattern",
    "check_random_gates",
    "check_shuffled_histories",
]


def _random_gates(trial: Trial) -> None:
    for rows, blocks, rate in ((5, 3, 0.3), (1, 1, 0.5), (4, 6, 0.0), (4, 6, 1.0)):
        gates = trial.call(trial.answer, rows, blocks, rate)
        given = (rows, blocks, rate)
        trial.require(type(gates) is Tensor, f"found {describe(gates)}, expected a tensor", "", *given)
        trial.require(gates.shape == (rows, blocks), f"found shape {tuple(gates.shape)}, expected {(rows, blocks)}",
                      "a gate for each row and block", *given)  # fmt: skip
        trial.require(gates.is_floating_point(), f"found {gates.dtype}, expected floating numbers",
                      "the backbone multiplies by gates: make them 0.0 and 1.0", *given)  # fmt: skip
        trial.require(bool(((gates == 0) | (gates == 1)).all()), "a gate is neither 0 nor 1",
                      "a gate keeps (1) or skips (0): compare the random number with the rate", *given)  # fmt: skip
        if rate in (0.0, 1.0):
            cause = (
                "the rate is inverted: it is that of keeping" if (gates == 1 - rate).all() else "the rate has no effect"
            )
            trial.require(
                bool((gates == rate).all()),
                f"found a mean gate of {float(gates.mean()):.2f}, expected {rate:.0f}",
                cause,
                *given,
            )
    trial.alike(lambda f: _agree(f(DRAWS, 3, 0.3)), "whether two rows keep the same blocks", DRAWS, 3, 0.3)
    for blocks, rate in ((3, 0.3), (4, 0.75)):
        count = lambda f, blocks=blocks, rate=rate: f(DRAWS, blocks, rate).sum(dim=1)
        trial.alike(count, "the number of blocks that a row keeps", DRAWS, blocks, rate)


def _agree(gates: Tensor) -> Tensor:
    return (gates[1:] == gates[:-1]).all(dim=1).double()


check_random_gates = Check(
    part="controls.random_gates",
    task="Return gates (rows, blocks) of 0.0 and 1.0: each row keeps each block with probability `keep_rate`, all "
    "independent of one another.",
    hints=(
        "`torch.rand` gives numbers in [0, 1). Which share of them lies below `keep_rate`?",
        "One random number for each row *and* block; the comparison gives True and False, gates are floating numbers.",
    ),
    body=_random_gates,
    minutes=3,
    difficulty=1,
    mistakes={
        "the rate is inverted: it is that of keeping": lambda r, b, rate: (torch.rand(r, b) > rate).float(),
        "all users get one pattern: each row needs random numbers of its own": lambda r, b, rate: (
            (torch.rand(1, b) < rate).float().expand(r, b)
        ),
        "a row keeps all blocks or none: each block needs a random number of its own": lambda r, b, rate: (
            (torch.rand(r, 1) < rate).float().expand(r, b)
        ),
        "each row keeps the same number of blocks: the draws have to be independent": lambda r, b, rate: (
            torch.rand(r, b).argsort(dim=1) < round(rate * b)
        ).float(),
        "the rate has no effect: blocks are kept with probability 1/2": lambda r, b, rate: torch.randint(
            2, (r, b)
        ).float(),
        "the numbers are normal: draw uniform ones": lambda r, b, rate: (torch.randn(r, b) < rate).float(),
        "the gates are all the same": lambda r, b, rate: torch.full((r, b), float(rate > 0.5)),
        "the first blocks are kept, not random ones": lambda r, b, rate: (
            (torch.arange(b) < rate * b).float().expand(r, b)
        ),
    },
)


def _random_gates_model(trial: Trial) -> None:
    items = trial.histories(ITEMS, [7, 3, 1, 7], 7)
    where, cut = (items > 0) & (trial.integers(0, 2, 4, 7) > 0), torch.tensor([5, 6, 6, 4])
    where[:, -1] = True
    build = lambda kind, rate: kind(a_backbone(trial.seed), rate)
    with trial.of_the_answer(keep_rate=0.4):
        model = build(trial.answer, 0.4)
        trial.require(isinstance(model, nn.Module), f"found {describe(model)}, expected a torch.nn.Module")
        parameters, expected = (len(list(m.parameters())) for m in (model, a_backbone(0)))
    trial.require(parameters == expected, f"the model has {parameters} parameters, expected the backbone's {expected}",
                  "make the backbone an attribute of the model")  # fmt: skip
    for up_to in ((), (cut,)):
        given = (items, where, *up_to)
        with trial.of_the_answer(*given):
            model = build(trial.answer, 0.4).eval()
            scores = [model.score_at(*given) for _ in range(12)]
        shape = (int(where.sum()), ITEMS + 1)
        trial.require(type(scores[0]) is Tensor and scores[0].shape == shape,
                      f"found {describe(scores[0])}, expected scores of shape {shape}",
                      "score the positions where `where` is True, and no others", *given)  # fmt: skip
        trial.require(all(torch.equal(scores[0], s) for s in scores), "in eval mode two calls give different scores",
                      "the gates are random at test time too: after training all blocks are kept", *given)  # fmt: skip
        trial.same_results(lambda kind: build(kind, 0.4).eval().score_at, *given)
        with trial.of_the_answer(*given):
            model = build(trial.answer, 0.4).train()
            scores = [model.score_at(*given) for _ in range(12)]
        trial.require(
            any(not torch.equal(scores[0], s) for s in scores),
            "in training mode twelve calls give the same scores",
            "while it trains, blocks are kept at random: draw gates in training mode",
            *given,
        )
        trial.require(reaches(scores[0][:, 1:], model),
                      "no gradient reaches the backbone", "it is trained like this", *given)  # fmt: skip
        for rate in (0.0, 1.0):
            training = lambda kind, rate=rate: build(kind, rate).train().score_at
            trial.same_results(training, *given)
    _each_row_draws(trial)


def _each_row_draws(trial: Trial) -> None:
    """Of two blocks there are four patterns, each with a score of its own: count them."""
    rows, rate = 3000, 0.3
    one = torch.full((rows, 1), 4)
    all_four = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    for attempt in itertools.count(100 * trial.seed):
        net = a_backbone(attempt, dilations=(1, 1))
        with torch.no_grad():
            known = net(one[:4], all_four)[:, 0, 5]
        if float((known[:, None] - known + torch.eye(4)).abs().min()) > 1e-3:
            break
    with trial.of_the_answer(one):
        with torch.no_grad():
            scores = trial.answer(net, rate).train().score_at(one, one > 0)[:, 5]
        nearest = (scores[:, None] - known).abs().min(dim=1)
    trial.require(
        float(nearest.values.max()) < 1e-4,
        "in training mode a score belongs to none of the 4 patterns of 2 blocks",
        "a gate is 0 or 1 while it trains",
        one,
    )
    share = nearest.indices.bincount(minlength=4) / rows
    wanted = torch.tensor([0.49, 0.21, 0.21, 0.09])
    cause = ("all rows get the same pattern: each needs gates of its own" if float(share.max()) > 0.99
             else "a row keeps all blocks or none: each block needs a draw of its own" if float(share[1:3].max()) < 0.01
             else "each row keeps each block with probability keep_rate, independent of the others")  # fmt: skip
    trial.require(float((share - wanted).abs().max()) < 0.06,
                  f"in training mode, keep_rate {rate}, none, the second, the first, both of two blocks are kept by "
                  f"{', '.join(f'{x:.0%}' for x in share.tolist())} of the rows, expected 49%, 21%, 21%, 9%",
                  cause, one)  # fmt: skip


def _stochastic(gates: Callable[[Any, Tensor], Tensor | None]) -> type:
    class Mistaken(controls.RandomGates):
        def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
            return self.backbone.score(self.backbone.encode(items, gates(self, items))[where])

    return Mistaken


def _gates_for(model: Any, rows: int, rate: float | None = None) -> Tensor:
    keep = model.keep_rate if rate is None else rate
    return controls.random_gates(rows, len(model.backbone.blocks), keep).double()


check_RandomGates = Check(
    part="controls.RandomGates",
    task="A model (nn.Module with `backbone` and `keep_rate`) with a method `score_at(items, where, cut=None)` that "
    "scores all items at the positions where the mask `where` is True, (scored, items + 1). In training mode each row "
    "runs under random gates at that rate; in eval mode all blocks are kept. `cut` is not used.",
    hints=(
        "`self.training` tells the mode. What does `backbone.encode(items, gates)` do with gates of None?",
        "Your `random_gates` needs two numbers from here: how many rows, how many blocks.",
        "First the hidden states, then the mask, then `backbone.score`.",
    ),
    body=_random_gates_model,
    minutes=10,
    difficulty=2,
    mistakes={
        "the rate is inverted: it is that of keeping": _stochastic(
            lambda m, x: _gates_for(m, len(x), 1 - m.keep_rate) if m.training else None
        ),
        "at test time the gates are keep_rate: here all blocks are kept, gates of 1": _stochastic(
            lambda m, x: (
                _gates_for(m, len(x))
                if m.training
                else torch.full((len(x), len(m.backbone.blocks)), m.keep_rate, dtype=torch.float64)
            )
        ),
        "at test time no block is run: all are kept": _stochastic(
            lambda m, x: (
                _gates_for(m, len(x))
                if m.training
                else torch.zeros(len(x), len(m.backbone.blocks), dtype=torch.float64)
            )
        ),
        "the gates are random at test time, and all blocks are kept in training": _stochastic(
            lambda m, x: None if m.training else _gates_for(m, len(x))
        ),
    },
)


def _most_frequent_pattern(trial: Trial) -> None:
    patterns = torch.tensor([[1.0, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0]])
    counts = (5, 4, 4, 2, 3, 1)  # the majority of each block would be another pattern, [1, 1, 1]
    rows = patterns.repeat_interleave(torch.tensor(counts), dim=0)
    trial.same(rows[torch.randperm(len(rows), generator=trial.generator)])
    for shape, rate in (((41, 3), 0.6), ((60, 2), 0.3), ((1, 4), 0.5), ((7, 1), 0.4)):
        for _ in range(3):
            gates = (torch.rand(shape, generator=trial.generator) < rate).float()
            found = trial.call(trial.answer, gates)
            expected = trial.reference(gates)
            _, which, number = gates.unique(dim=0, return_inverse=True, return_counts=True)
            if (number == number.max()).sum() == 1:
                trial.same(gates)
            elif not difference(found, expected) or type(found) is not Tensor or found.shape != gates.shape:
                trial.same(gates)  # of several most frequent patterns any will do
            else:
                most = number[which] == number.max()
                fits = (gates[most][:, None] == found[None]).all(dim=-1).any(dim=0).all()
                trial.require(fits and len(found.unique(dim=0)) == 1,
                              "found a pattern that is not among the most frequent", "", gates)  # fmt: skip


def _for_all(pattern: Tensor, gates: Tensor) -> Tensor:
    return pattern.to(gates.dtype).expand_as(gates).clone()


check_most_frequent_pattern = Check(
    part="controls.most_frequent_pattern",
    task="Return gates of the same shape, (row, block), in which every row has the pattern that most rows have: the "
    "most frequent *row*, not the most frequent gate of each block. Of several equally frequent ones take any.",
    hints=(
        "Two blocks, three users: 1 0, 1 0, 0 1 … count whole rows. Which row occurs most often?",
        "`gates.unique(dim=0, return_counts=True)` returns the different rows and how often each occurs.",
    ),
    body=_most_frequent_pattern,
    minutes=5,
    difficulty=1,
    mistakes={
        "this is the most frequent gate of each block: a pattern that perhaps nobody has. Count whole rows": lambda g: (
            _for_all(g.mean(dim=0) > 0.5, g)
        ),
        "this is the mean gate of each block: return a pattern of 0 and 1": lambda g: _for_all(g.mean(dim=0), g),
        "this is the rarest pattern": lambda g: _for_all(
            (u := g.unique(dim=0, return_counts=True))[0][u[1].argmin()], g
        ),
        "this is one row: give it to every row": lambda g: (u := g.unique(dim=0, return_counts=True))[0][u[1].argmax()],
        "this is how often it occurs, not the pattern": lambda g: g.unique(dim=0, return_counts=True)[1].max(),
        "this is the first row's pattern": lambda g: _for_all(g[0], g),
        "this is the first pattern in order, not the most frequent": lambda g: _for_all(g.unique(dim=0)[0], g),
        "the rows are as they were": lambda g: g,
        "this is the pattern with most blocks": lambda g: _for_all(g[g.sum(dim=1).argmax()], g),
    },
)


def _another_users(trial: Trial) -> None:
    for rows in (2, 3, 4, 7, 50):
        gates = torch.arange(rows).unsqueeze(1) + torch.tensor([[0.0, 0.25, 0.5]])  # all rows differ
        for seed in range(6):
            found = trial.call(trial.answer, gates, seed=seed)
            given: dict[str, Any] = {"seed": seed}
            trial.require(type(found) is Tensor, f"found {describe(found)}, expected a tensor", "", gates, **given)
            trial.require(
                found.shape == gates.shape,
                f"found shape {tuple(found.shape)}, expected {tuple(gates.shape)}",
                "return the gates themselves, a row for each user",
                gates,
                **given,
            )
            owner = found[:, 0].long()
            whole = bool((owner >= 0).all() and (owner < rows).all()) and torch.equal(
                found, gates[owner.clamp(0, rows - 1)]
            )
            trial.require(whole, "a row holds gates that no user has",
                          "hand on whole rows: the blocks of a row belong together", gates, **given)  # fmt: skip
            twice = owner.bincount(minlength=rows).argmax()
            trial.require(len(owner.unique()) == rows,
                          f"row {int(twice)}'s gates are handed out {int((owner == twice).sum())} times, expected once",
                          "draw without replacement: each row's gates go to one other row", gates, **given)  # fmt: skip
            own = (owner == torch.arange(rows)).nonzero()[:, 0].tolist()
            trial.require(
                not own,
                f"{len(own)} of {rows} rows have their own gates, row {own[0] if own else 0} for one",
                "a shuffle leaves some where they are: nobody may keep their own",
                gates,
                **given,
            )
    drawn = [trial.call(trial.answer, gates, seed=s) for s in (*range(5), 0)]
    torch.manual_seed(trial.seed + 9)
    torch.rand(5)
    again = trial.call(trial.answer, gates, seed=0)
    trial.require(
        torch.equal(drawn[0], drawn[5]) and torch.equal(drawn[0], again),
        "the same seed gives another exchange",
        "draw from a generator of your own: torch.Generator().manual_seed(seed)",
        gates,
        seed=0,
    )
    trial.require(
        any(not torch.equal(drawn[0], d) for d in drawn[1:5]),
        "seeds 0 to 4 all give the same exchange",
        "`seed` has no effect: the exchange has to be drawn",
        gates,
    )
    default = trial.call(trial.answer, gates)
    trial.require(torch.equal(default, drawn[0]), "without a seed the exchange is not that of seed 0",
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
)


def _shuffled_histories(trial: Trial) -> None:
    lengths, width = (10, 4, 1, 10, 7, 2), 10
    items = torch.stack([torch.randperm(20, generator=trial.generator)[:width] + 1 for _ in lengths])
    for row, length in zip(items, lengths):
        row[: width - length] = 0
    cases = replace(some_windows(trial, lengths, width), items=items, cut=torch.tensor([9, 8, 9, 5, 6, 8]))
    moved_at_the_cut = moved = False
    for seed in range(8):
        found = windows_from(trial, cases, seed=seed)
        the_same(trial, found, cases, "targets", "cut", "users", "seen", cause="only the items are shuffled")
        _only_the_readable(trial, found.items, cases)
        at = torch.arange(len(items)), cases.cut
        moved |= not torch.equal(found.items, items)
        moved_at_the_cut |= bool((found.items[at] != items[at]).any())
    trial.require(moved, "eight seeds, and no row has another order", "shuffle the items", cases)
    trial.require(moved_at_the_cut, "eight seeds, and the item at the cut never moves",
                  "the policy reads up to and including the cut: that item is shuffled too", cases)  # fmt: skip
    torch.manual_seed(trial.seed + 5)
    first = windows_from(trial, cases, seed=3)
    torch.manual_seed(trial.seed + 6)
    again = windows_from(trial, cases, seed=3)
    trial.require(torch.equal(first.items, again.items), "the same seed gives another order",
                  "draw from a generator of your own: torch.Generator().manual_seed(seed)", cases, seed=3)  # fmt: skip
    others = [windows_from(trial, cases, seed=s).items for s in (4, 5, 6)]
    trial.require(any(not torch.equal(first.items, o) for o in others), "seeds 3 to 6 all give the same order",
                  "`seed` has no effect", cases)  # fmt: skip
    _all_orders(trial)


def _only_the_readable(trial: Trial, found: Any, cases: Windows) -> None:
    items, cut = cases.items, cases.cut
    trial.require(type(found) is Tensor and found.shape == items.shape,
                  f"found {describe(found)} for the items, expected shape {tuple(items.shape)}", "", cases)  # fmt: skip
    trial.require(torch.equal(found == 0, items == 0), "zeros have moved",
                  "padding is no item: it stays where it is, shuffle the real items only", cases)  # fmt: skip
    for row in range(len(items)):
        was, now, c = items[row], found[row], int(cut[row])
        trial.require(
            torch.equal(was[c + 1 :], now[c + 1 :]),
            f"row {row}, cut at {c}: an item after the cut has moved",
            "the policy may not read those: they stay where they are",
            cases,
        )
        trial.require(
            torch.equal(was.sort().values, now.sort().values),
            f"row {row} does not hold the same items as before",
            "shuffle without replacement, and each row by itself",
            cases,
        )


def _all_orders(trial: Trial) -> None:
    """Three readable items have six orders, all equally likely, whatever stands around them."""
    rows = 900
    items = torch.tensor([0, 7, 8, 9, 5]).repeat(rows, 1)
    cases = Windows(items, items, torch.full((rows,), 3), torch.arange(rows))
    found = windows_from(trial, cases, seed=trial.seed).items[:, 1:4]
    orders, counts = found.unique(dim=0, return_counts=True)
    trial.require(len(orders) > 1, "900 equal rows all get the same order", "each row needs an order of its own", cases)
    trial.require(
        len(orders) == 6 and int(counts.min()) > 80 and int(counts.max()) < 230,
        f"of 6 orders of three items {len(orders)} occur, {int(counts.min())} to {int(counts.max())} times in "
        "900, expected 150 each",
        "each order has to be equally likely: draw a random permutation",
        cases,
    )


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
)

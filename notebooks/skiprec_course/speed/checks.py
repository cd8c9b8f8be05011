"""Checks of what lesson 12 builds: the walk that skips, the stopwatch, the budget."""

import contextlib
import inspect
import itertools
import numbers
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from skiprec_course.engine import Check, Trial
from skiprec_course.questions import is_a_tensor
from skiprec_lite.backbones import Backbone, NextItNet, SASRec

__all__ = ["check_encode_kept", "check_inference_seconds", "check_within_budget"]

NUM_ITEMS = 9
TIME = 6


# --- encode_kept ---


class _Book:
    """What the blocks of a `TinyBackbone` saw: whom each ran, and the first thing that was wrong about it."""

    def __init__(self, items: Tensor, gates: Tensor) -> None:
        self.mask, self.gates = items > 0, gates
        self.runs = torch.zeros(gates.shape, dtype=torch.int64)
        self.problem: tuple[str, str] | None = None

    def visit(self, block: int, hidden: Tensor, mask: Any) -> None:
        """Enter a call of a block."""
        users = hidden[:, 0, 0].round().long()
        self.problem = self.problem or self._problem(block, users.tolist(), mask)
        if mask is not None and len(users) and int(users.min()) >= 0 and int(users.max()) < len(self.runs):
            self.runs[:, block] += torch.bincount(users, minlength=len(self.runs))

    def _problem(self, block: int, users: list[int], mask: Any) -> tuple[str, str] | None:
        if mask is None:
            return f"block {block} was called without a mask", "a block wants hidden states and their mask"
        if len(mask) != len(users):
            return (
                f"block {block} was given the hidden states of {len(users)} users and the mask of {len(mask)}",
                "gather the mask's rows along with the users'",
            )
        if mask.dtype != torch.bool:
            return f"block {block} was given a mask of {mask.dtype}", "the mask is True at real items"
        skippers = [user for user in users if not self.gates[user, block]]
        everybody = len(users) == len(self.gates)
        if skippers and len(skippers) == len(users) and not everybody:
            return f"block {block} ran users {_some(users)}, whose gate for it is 0", "the gate is inverted: 1 keeps"
        if skippers and everybody:
            return (
                f"block {block} ran all {len(users)} users, {len(skippers)} of whom skip it",
                "gather those who keep it first: a result that is masked away has been computed all the same",
            )
        if skippers:
            return f"block {block} ran user {skippers[0]}, whose gate for it is 0", "gates[:, block] says who keeps it"
        if not torch.equal(mask, self.mask[users]):
            return f"block {block} was given the mask of other users", "gather the mask by the same rows"
        return None

    def at_the_end(self) -> tuple[str, str] | None:
        """What can be said only after the walk."""
        for user, block in (self.runs < self.gates).nonzero().tolist()[:1]:
            return f"user {user} keeps block {block}, which did not run for them", "run every block for all who keep it"
        for user, block in (self.runs > self.gates).nonzero().tolist()[:1]:
            times = int(self.runs[user, block])
            return f"block {block} ran {times} times for user {user}", "once for each user who keeps it"
        return None


def _some(users: list[int]) -> str:
    return ", ".join(map(str, users[:4])) + (", …" if len(users) > 4 else "")


class _BookedBlock(nn.Module):
    """Adds a little to every channel but the first, which holds the number of the user."""

    def __init__(self, place: int, book: _Book) -> None:
        super().__init__()
        self.place, self.book = place, book

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        self.book.visit(self.place, hidden, mask)
        branch = torch.tanh(hidden.cumsum(dim=1) * (self.place + 1) / 7)
        branch[..., 0] = 0
        return hidden + branch


class TinyBackbone(Backbone):
    """A backbone that keeps a book; its embedding is a tensor of its own, the same one in each call."""

    def __init__(self, items: Tensor, gates: Tensor) -> None:
        super().__init__()
        self.book = _Book(items, gates)
        self.embedding = nn.Embedding(NUM_ITEMS + 1, 3)
        self.blocks = nn.ModuleList(_BookedBlock(place, self.book) for place in range(gates.shape[1]))
        self.sizes = {"num_items": NUM_ITEMS}
        self.items = items
        self.embedded = torch.stack(
            [torch.ones_like(items) * torch.arange(len(items)).unsqueeze(1), items, items**2], -1
        )
        self.embedded = self.embedded.float()

    def embed(self, items: Tensor) -> Tensor:
        if items.shape == self.items.shape and torch.equal(items, self.items):
            return self.embedded
        user = (items.unsqueeze(1) == self.items).all(dim=-1).float().argmax(dim=1)  # some of the rows
        return self.embedded[user]

    def score(self, hidden: Tensor) -> Tensor:
        raise AssertionError("a walk through the blocks scores nothing")


class _Walk(nn.Module):
    """A walk and the backbone it walks through, whose parameters get gradients."""

    def __init__(self, walk: Callable, backbone: Backbone, gates: Tensor) -> None:
        super().__init__()
        self.walk, self.backbone, self.gates = walk, backbone, gates

    def forward(self, items: Tensor) -> Tensor:
        return self.walk(self.backbone, items, self.gates)


def _encode_kept(trial: Trial) -> None:
    _walk_by_the_book(trial, 7, 1)
    items, gates = _items(trial, 5), _mixed(trial, 5, 3)
    hidden = trial.call(trial.answer, _net(), items, gates)
    trial.require(hidden.requires_grad, "the result has no gradient",
                  "a torch.no_grad() or .detach() cuts it off: the last epochs of training use this walk too",
                  items, gates)  # fmt: skip
    one_for_all = torch.tensor([0.0, 1.0, 0.0]).repeat(7, 1)
    for gates in (_mixed(trial, 7, 3), one_for_all, torch.ones(7, 3), torch.zeros(7, 3), _mixed(trial, 40, 3)):
        trial.same_results(_through(_net(), gates), _items(trial, len(gates)), gradients=True)
    for gates in (_mixed(trial, 7, 3), _mixed(trial, 1, 3)):
        trial.same_results(_through(_attention(), gates), _items(trial, len(gates)), gradients=True)
    for users, blocks in ((7, 3), (1, 2), (75, 2)):
        _walk_by_the_book(trial, users, blocks)
    gates = _mixed(trial, 3, 3).double()
    trial.same_results(_through(_net().double(), gates), _items(trial, 3), gradients=True)


def _through(backbone: Backbone, gates: Tensor) -> Callable[[Callable], nn.Module]:
    return lambda walk: _Walk(walk, backbone, gates.clone())


def _walk_by_the_book(trial: Trial, users: int, blocks: int) -> None:
    items, gates = _items(trial, users), _mixed(trial, users, blocks)
    body = TinyBackbone(items, gates)
    given = (body, items, gates)
    with trial.of_the_answer(*given):
        found = trial.answer(body, items.clone(), gates.clone())
    is_a_tensor(trial, found, *given)
    trial.require(
        found.shape == body.embedded.shape,
        f"found shape {tuple(found.shape)}, expected (batch, time, channel) = {tuple(body.embedded.shape)}",
        "all users come back, also those who skip",
        *given,
    )
    numbers = torch.arange(users)
    order = found[:, 0, 0].nan_to_num().round().long()
    row = int((order != numbers).long().argmax())
    # Only in a walk of one block: else the later blocks have run the wrong users already.
    if blocks == 1 and body.book.problem is None and torch.equal(order.sort().values, numbers):
        trial.require(torch.equal(order, numbers), f"row {row} of the result holds user {int(order[row])}",
                      "put the results back into the rows that they came from", *given)  # fmt: skip
    trial.require(torch.equal(body.embedded, TinyBackbone(items, gates).embedded), "it writes into the tensor that "
                  "`backbone.embed` returned, which may not be yours", "work on a clone", *given)  # fmt: skip
    for problem in (body.book.problem, body.book.at_the_end()):
        if problem:
            trial.fail(*problem, *given)


def _items(trial: Trial, users: int) -> Tensor:
    """Rows that all differ, of several lengths."""
    items = trial.histories(NUM_ITEMS, [TIME - i % (TIME - 1) for i in range(users)], TIME)
    user = torch.arange(users)
    items[:, -2:] = 1 + torch.stack([user // NUM_ITEMS % NUM_ITEMS, user % NUM_ITEMS], dim=1)
    return items


def _mixed(trial: Trial, users: int, blocks: int) -> Tensor:
    """Random gates; each block is kept by somebody and skipped by somebody, if there are two."""
    gates = (trial.integers(0, 2, users, blocks) > 0).float()
    place = torch.arange(blocks)
    gates[place % users, place], gates[(place + 1) % users, place] = 0, 1
    return gates


def _net() -> Backbone:
    return _random(NextItNet(NUM_ITEMS, channels=4, dilations=(1, 2, 1)))


def _attention() -> Backbone:
    return _random(SASRec(NUM_ITEMS, channels=4, num_blocks=3, max_length=TIME))


def _random(backbone: Backbone) -> Backbone:
    """Random parameters, the same in each call: where ReZero starts, every walk gives the same."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator) + 0.3 * (parameter.numel() == 1))
        backbone.embedding.weight[0] = 0
    return backbone.eval()


def _mistaken_walk(
    run: Callable[[nn.Module, Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Callable[[Backbone, Tensor, Tensor], Tensor]:
    """A walk with another step, of (block, hidden, mask, gates of all blocks so far, embedding): the next hidden."""

    def walk(backbone: Backbone, items: Tensor, gates: Tensor) -> Tensor:
        start = hidden = backbone.embed(items)
        for place, block in enumerate(backbone.blocks):
            hidden = run(block, hidden, items > 0, gates[:, : place + 1], start)
        return hidden

    return walk


def _kept(gate: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(gate[:, None, None].bool(), new, old)


def _reordered(block: nn.Module, hidden: Tensor, mask: Tensor, gates: Tensor, start: Tensor) -> Tensor:
    keep = gates[:, -1].bool()
    return torch.cat([block(hidden[keep], mask[keep]), hidden[~keep]])


check_encode_kept = Check(
    part="skipping.encode_kept",
    task="Walk through `backbone.blocks` and run each of them only for the users (rows) whose gate is 1: gather their "
    "hidden states and masks (`items > 0`), call `block(hidden, mask)`, put the result back into their rows. Start "
    "from a copy of `backbone.embed(items)`. `gates` is (batch, block); return (batch, time, channel), with "
    "gradients. The lesson runs at most 32 users at once, for speed; that is up to you.",
    hints=(
        "A loop over the blocks. In each turn: who keeps this block? Their row numbers are all you need.",
        "`gate.nonzero().squeeze(1)` gives the row numbers of a column of gates; `split(32)` cuts them into chunks.",
        "Index with them on both sides: read hidden[rows] and mask[rows], write to hidden[rows]. A chunk without rows "
        "needs no block.",
        "The walk overwrites rows, so hidden has to be your own: clone what `embed` returns.",
    ),
    body=_encode_kept,
    minutes=12,
    difficulty=3,
    mistakes={
        "what a block returned is not put back": _mistaken_walk(lambda block, hidden, mask, gates, start: hidden),
        "every block reads the embedding: it has to read what the blocks before it made": _mistaken_walk(
            lambda block, hidden, mask, gates, start: _kept(gates[:, -1], block(start, mask), hidden)),
        "the block's result is added to its input: the sum is inside the block already": _mistaken_walk(
            lambda block, hidden, mask, gates, start: _kept(gates[:, -1], hidden + block(hidden, mask), hidden)),
        "who skips one block is left out from then on: each gate stands for its own block": _mistaken_walk(
            lambda block, hidden, mask, gates, start: _kept(gates.prod(dim=1), block(hidden, mask), hidden)),
        "the gate is inverted: 1 keeps": _mistaken_walk(
            lambda block, hidden, mask, gates, start: _kept(1 - gates[:, -1], block(hidden, mask), hidden)),
        "the rows of those who skip become 0: they pass as they are": _mistaken_walk(
            lambda block, hidden, mask, gates, start: _kept(gates[:, -1], block(hidden, mask), hidden * 0)),
        "the users come out in another order": _mistaken_walk(_reordered),
    },
)  # fmt: skip


# --- inference_seconds ---


def _readings(all_times: list[float], all_others: list[float], rounds: int) -> dict[str, float]:
    """What one reads off if a mistake is made, from all that one scorer's runs and the other's took."""
    times, others = all_times[-rounds:], all_others[-rounds:]
    expected = statistics.median(times)
    return {
        "the first run counts: throw it away, it fills caches": statistics.median(all_times),
        "this is the mean: the median does not mind a run that was disturbed": statistics.mean(times),
        "this is the mean, with the first run in it: take the median of the others": statistics.mean(all_times),
        "this is the time of all runs together": sum(times),
        "this is the time of all runs together, the first one too": sum(all_times),
        "this is the fastest run: take the median": min(times),
        "this is the last run: take the median of all but the first": times[-1],
        "full and skipped are swapped": statistics.median(others),
        "this is processor time: a user waits by the wall clock (time.perf_counter)": expected / 2,
        "this is the time of both: start the clock anew for each": statistics.median(
            [a + b for a, b in zip(times, others)]
        ),
        "these are nanoseconds": expected * 1e9,
        "these are milliseconds": expected * 1e3,
        "": expected,
    }


class _Watch:
    """A clock that scoring moves on, by another amount in each call, and who scored what."""

    def __init__(self, trial: Trial) -> None:
        self.passed, self.read, self.real = 0.0, 0, False
        self.took: dict[str, list[float]] = {}
        apart = False
        while not apart:  # until the mistakes can be told from each other in ten calls, the first of which warms up
            full, skipped = (trial.integers(3, 60, 60).tolist() for _ in range(2))
            self.took = {"full": [900, *full], "skipped": [700, *skipped]}
            read = [
                sorted(_readings(a[:10], b[:10], 9).values()) for a, b in itertools.permutations(self.took.values())
            ]
            apart = min(y - x for values in read for x, y in itertools.pairwise(values)) > 0.7
        self.calls: list[tuple[str, Tensor | None, Any, bool]] = []

    def scores(self, who: str, where: Any, items: Any) -> None:
        """Enter a call, and let the time go by that it takes."""
        turn = sum(call[0] == who for call in self.calls)
        self.calls.append((who, where, items, torch.is_grad_enabled()))
        seconds = self.took[who][turn % 60]
        if self.real:
            start = time.perf_counter()
            time.sleep(seconds / 5_000)
            self.took[who][turn % 60] = 5_000 * (time.perf_counter() - start)  # a busy machine sleeps longer
        self.passed += seconds

    def times(self, who: str) -> list[float]:
        """How long each call of one of the two took."""
        return [float(x) for x in self.took[who][: sum(call[0] == who for call in self.calls)]]

    @contextlib.contextmanager
    def instead_of_time(self, answer: Any) -> Iterator[None]:
        """Let the answer's clocks run ahead of the real ones by what has passed."""
        wall, wall_ns, of_day, processor = time.perf_counter, time.perf_counter_ns, time.time, time.process_time

        def ahead(clock: Callable[[], float], factor: float) -> Callable[[], float]:
            def read() -> float:
                self.read += 1
                return clock() + type(clock())(factor * self.passed)

            return read

        clocks = {wall: ahead(wall, 1), wall_ns: ahead(wall_ns, 1e9), of_day: ahead(of_day, 1)}
        clocks[processor] = ahead(processor, 0.5)
        with contextlib.ExitStack() as stack:
            for clock, other in clocks.items():
                stack.enter_context(mock.patch.object(time, clock.__name__, other))
            names = getattr(inspect.unwrap(answer), "__globals__", {})
            own = {name: clocks[x] for name, x in names.items() if callable(x) and _hashable(x) and x in clocks}
            stack.enter_context(mock.patch.dict(names, own) if own else contextlib.nullcontext())
            yield


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


class TinyModel(nn.Module):
    policy = gates = None  # a SkipRec has them; the stopwatch asks for neither

    def __init__(self, who: str, watch: _Watch) -> None:
        super().__init__()
        self.who, self.watch = who, watch

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        self.watch.scores(self.who, where, items)
        return torch.zeros(int(where.sum()), NUM_ITEMS + 1)

    def forward(self, items: Tensor, *more: Any, **options: Any) -> Tensor:
        self.watch.scores(self.who, None, items)
        return torch.zeros(*items.shape, NUM_ITEMS + 1)


def _stopwatch(trial: Trial) -> None:
    for options in ({}, {"repeats": 1}, {"repeats": 5}):
        items = trial.histories(NUM_ITEMS, [TIME, 2], TIME)
        watch, found = _timed(trial, items, options, real=False)
        if not watch.read:  # it goes by a clock that cannot be moved: let it wait
            watch, found = _timed(trial, items, options, real=True)
        repeats = options.get("repeats", 9)
        given = (_model(watch), items)
        if not isinstance(found, dict):
            trial.fail(
                "it returned something that is not a dict",
                "" if found is not None else "is a `return` missing?",
                *given,
                **options,
            )
        trial.require(
            set(found) == {"full", "skipped"},
            f"found the keys {sorted(map(str, found))}, expected 'full' and 'skipped'",
            "",
            *given,
            **options,
        )
        _looks_at_the_calls(trial, watch, items, repeats, *given, **options)
        for who in ("full", "skipped"):
            _takes_the_median(trial, watch, who, found, repeats, *given, **options)


def _model(watch: _Watch) -> nn.Module:
    model = TinyModel("skipped", watch)
    model.backbone = TinyModel("full", watch)
    return model.eval()


def _timed(trial: Trial, items: Tensor, options: dict[str, int], *, real: bool) -> tuple[_Watch, Any]:
    watch = _Watch(trial)
    watch.real = real
    model = _model(watch)
    clocks = contextlib.nullcontext() if real else watch.instead_of_time(trial.answer)
    with trial.of_the_answer(model, items, **options), clocks:
        return watch, trial.answer(model, items, **options)


def _looks_at_the_calls(trial: Trial, watch: _Watch, items: Tensor, rounds: int, *given: Any, **options: Any) -> None:
    last = torch.zeros_like(items, dtype=torch.bool)
    last[:, -1] = True
    calls = watch.calls
    count = {who: len(watch.times(who)) for who in ("full", "skipped")}
    for who, name in (("full", "model.backbone"), ("skipped", "model")):
        trial.require(count[who] > 0, f"`{name}` was never asked for scores", "", *given, **options)
        trial.require(count[who] > rounds, f"`{name}` was asked {count[who]} times, expected {rounds + 1}",
                      "one run more than the repeats: the first one only warms up", *given, **options)  # fmt: skip
    trial.require(all(where is not None and torch.equal(where, last) for _, where, _, _ in calls),
                  "it scores other positions than each row's last one",
                  "time what a user waits for: score_at(items, where), with where = last_position(items)",
                  *given, **options)  # fmt: skip
    trial.require(not any(grad for *_, grad in calls), "autograd was on while the time was taken",
                  "inference needs no graph: use torch.no_grad()", *given, **options)  # fmt: skip
    turns = [who for who, *_ in calls]
    pairs = [set(turns[i : i + 2]) for i in range(0, len(turns), 2)]
    trial.require(
        all(len(pair) == 2 for pair in pairs),
        f"the runs were {', '.join(turns[:5])}, …",
        "take turns: a machine that gets slow halfway has to treat both alike",
        *given,
        **options,
    )


def _takes_the_median(
    trial: Trial, watch: _Watch, who: str, found: dict[str, Any], rounds: int, *given: Any, **options: Any
) -> None:
    all_times, number = watch.times(who), found[who]
    times = all_times[-rounds:]
    expected, unit = statistics.median(times), 1.0
    if type(number) is Tensor and number.numel() == 1:
        number = number.item()
    trial.require(isinstance(number, numbers.Real), f"found[{who!r}] is not a number", "", *given, **options)
    if watch.real:
        unit = 1 / 5_000
    near = lambda x: abs(number / unit - x) < (0.3 if not watch.real else 0.15 * x + 8)
    if near(expected):
        return
    causes = _readings(all_times, watch.times("full" if who == "skipped" else "skipped"), rounds)
    close = lambda x: near(x) or abs(number / unit / x - 1) < 1e-3
    trial.fail(
        f"its runs took {_some([int(x) for x in times])} seconds; found[{who!r}] is {number / unit:.4g}, expected "
        f"{expected:.4g}",
        next((cause for cause, x in causes.items() if close(x)), ""),
        *given,
        **options,
    )


check_inference_seconds = Check(
    part="skipping.inference_seconds",
    task="Time the next-item scores of one batch at each row's last position, `score_at(items, where)`, without "
    "autograd: of `model.backbone` (full) and of `model` (skipped), in turn, `repeats` times after a first round that "
    'is thrown away. Return {"full": …, "skipped": …}, the median seconds by the wall clock.',
    hints=(
        "Two scorers, one loop around both: full, skipped, full, skipped. Keep a list of seconds for each.",
        "`last_position(items)` says where to score. `time.perf_counter()` before and after; the difference is one "
        "entry.",
        "One round more than the repeats; slice the first entry off before you take `statistics.median`.",
    ),
    body=_stopwatch,
    minutes=10,
    difficulty=2,
)


# --- within_budget ---


def _within_budget(trial: Trial) -> None:
    for users, blocks in ((6, 4), (1, 3), (30, 8)):
        logits = trial.normal(users, blocks, 2)
        for k in (1, 2, 0, blocks, blocks + 3):
            trial.same(logits, k)
    logits = trial.normal(3, 4, 2)
    logits[1] = 0.7  # a tie is a skip, as in the greedy choice
    for k in (4, 2):
        trial.same(logits, k)


def _budget(choose: Callable[[Tensor, Tensor, int], Tensor]) -> Callable[[Tensor, int], Tensor]:
    """A mistaken budget: (gap, logits, k at most the number of blocks) -> bool gates."""

    def within(logits: Tensor, k: int) -> Tensor:
        gap = logits[..., 0] - logits[..., 1]
        return choose(gap, logits, min(k, gap.shape[1])).to(logits.dtype)

    return within


def _top(of: Tensor, k: int) -> Tensor:
    """Where the k largest of each row are."""
    return of.argsort(dim=1, descending=True).argsort(dim=1) < k


def _least_sure(gap: Tensor, logits: Tensor, k: int) -> Tensor:
    return _top(torch.where(gap > 0, -gap, -torch.inf), k) & (gap > 0)


check_within_budget = Check(
    part="skipping.within_budget",
    task="Turn logits (batch, block, 2), keep and skip, into gates (batch, block) of 0 and 1 in the logits' dtype: of "
    "the blocks that a user's policy would keep, the `k` with the largest gap keep - skip. A user who would keep "
    "fewer gets fewer; a k above the number of blocks changes nothing.",
    hints=(
        "How sure is the policy to keep a block? One number for each user and block, from the two logits.",
        "`topk` finds the k largest of each row. It complains if k is larger than the row.",
        "`scatter` writes ones at the indices that `topk` returns. Then take away those that the policy would skip.",
    ),
    body=_within_budget,
    minutes=8,
    difficulty=2,
    mistakes={
        "a tie of keep and skip is a skip": _budget(lambda gap, logits, k: _top(gap, k) & (gap >= 0)),
        "blocks that the policy would skip are kept, to use the budget up: keep only those with a positive gap":
            _budget(lambda gap, logits, k: _top(gap, k)),
        "these are the blocks it is least sure of: take the largest gaps": _budget(_least_sure),
        "these are the first blocks that it would keep: take those with the largest gaps":
            _budget(lambda gap, logits, k: (gap > 0) & ((gap > 0).cumsum(dim=1) <= k)),
        "you rank by the keep logit alone: what counts is how far it stands above the skip logit":
            _budget(lambda gap, logits, k: _top(logits[..., 0], k) & (gap > 0)),
        "you rank by the size of the gap, whichever side it is on: a sure skip uses the budget up":
            _budget(lambda gap, logits, k: _top(gap.abs(), k) & (gap > 0)),
        "keep and skip are swapped: the keep logit comes first":
            _budget(lambda gap, logits, k: _top(-gap, k) & (gap < 0)),
        "the budget counts users for each block: it has to count blocks for each user":
            _budget(lambda gap, logits, k: (gap.argsort(0, descending=True).argsort(0) < k) & (gap > 0)),
        "the budget has no effect: this is the greedy choice": _budget(lambda gap, logits, k: gap > 0),
        "argsort gives the order, not each block's rank in it": _budget(
            lambda gap, logits, k: (gap.argsort(dim=1, descending=True) < k) & (gap > 0)),
    },
)  # fmt: skip

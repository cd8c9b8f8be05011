"""Checks of what lesson 12 builds: the walk that skips, the stopwatch, the budget."""

import contextlib
import inspect
import itertools
import time
import timeit
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from skiprec_course.engine import Check, Trial
from skiprec_course.speed.mistakes import ENCODE_KEPT, INFERENCE_SECONDS, WITHIN_BUDGET
from skiprec_lite.backbones import Backbone, NextItNet, SASRec

__all__ = ["check_encode_kept", "check_inference_seconds", "check_within_budget"]

NUM_ITEMS = 15
TIME = 6


# --- encode_kept ---


def _encode_kept(trial: Trial) -> None:
    _leaves_the_embedding_alone(trial, _items(trial, 7), _mixed(trial, 7))
    one_for_all = torch.tensor([0.0, 1.0, 0.0]).repeat(7, 1)
    all_or_none = (torch.ones(7, 3), torch.zeros(7, 3))
    some = (1 - _mixed(trial, 7, 1), _mixed(trial, 7), one_for_all, *all_or_none, _mixed(trial, 1), _mixed(trial, 190))
    for gates in some:
        items, net = _items(trial, len(gates)), _net(gates.shape[1])
        hidden = trial.call(trial.answer, net, items, gates)
        no_gradient = isinstance(hidden, Tensor) and not hidden.requires_grad
        trial.require(not no_gradient, "the result has no gradient", "", items, gates)
        trial.same_results(_through(net, gates), items)
        _runs_who_keeps(trial, net, items, gates)
    for gates in some:
        for kind in (_net, _attention):
            trial.same_results(_through(kind(gates.shape[1]), gates), _items(trial, len(gates)), gradients=True)


class _Walk(nn.Module):
    """A walk and the backbone it walks through, whose parameters get gradients."""

    def __init__(self, walk: Callable, backbone: Backbone, gates: Tensor) -> None:
        super().__init__()
        self.walk, self.backbone, self.gates = walk, backbone, gates

    def forward(self, items: Tensor) -> Tensor:
        return self.walk(self.backbone, items, self.gates)


def _through(backbone: Backbone, gates: Tensor) -> Callable[[Callable], nn.Module]:
    return lambda walk: _Walk(walk, backbone, gates.clone())


def _runs_who_keeps(trial: Trial, backbone: Backbone, items: Tensor, gates: Tensor) -> None:
    ran = [0] * gates.shape[1]
    for place, block in enumerate(backbone.blocks):
        block.register_forward_hook(
            lambda block, given, out, place=place: ran.__setitem__(place, ran[place] + len(out))
        )
    with trial.of_the_answer(items, gates):
        trial.answer(backbone, items, gates)
    for place, keep in enumerate(gates.sum(dim=0).int().tolist()):
        trial.require(ran[place] == keep, f"block {place} ran {ran[place]} users, but {keep} of {len(items)} keep it",
                      "", items, gates)  # fmt: skip


def _leaves_the_embedding_alone(trial: Trial, items: Tensor, gates: Tensor) -> None:
    """An embedding may hand out a tensor of its own, the same one in each call."""
    backbone = _net()
    lent, embed = backbone.embed(items).detach(), backbone.embed
    before = lent.clone()
    backbone.embed = lambda given: lent if given.shape == items.shape else embed(given)
    with torch.no_grad(), trial.of_the_answer(items, gates):
        trial.answer(backbone, items, gates)
    trial.require(torch.equal(lent, before), "it writes into the tensor that `backbone.embed` returned, which may not "
                  "be yours", "", items, gates)  # fmt: skip


def _items(trial: Trial, users: int) -> Tensor:
    """Rows of several lengths; no two are alike."""
    items = trial.histories(NUM_ITEMS, [TIME - i % (TIME - 1) for i in range(users)], TIME)
    user = torch.arange(users)
    items[:, -2:] = 1 + torch.stack([user // NUM_ITEMS % NUM_ITEMS, user % NUM_ITEMS], dim=1)
    return items


def _mixed(trial: Trial, users: int, blocks: int = 3) -> Tensor:
    """Random gates; each block is kept by somebody and skipped by somebody, if there are two."""
    gates = (trial.integers(0, 2, users, blocks) > 0).float()
    place = torch.arange(blocks)
    gates[place % users, place], gates[(place + 1) % users, place] = 0, 1
    return gates


def _net(blocks: int = 3) -> Backbone:
    return _random(NextItNet(NUM_ITEMS, channels=4, dilations=(1, 2, 1)[:blocks]))


def _attention(blocks: int) -> Backbone:
    return _random(SASRec(NUM_ITEMS, channels=4, num_blocks=blocks, max_length=TIME))


def _random(backbone: Backbone) -> Backbone:
    """Random parameters, the same in each call: where ReZero starts, every walk gives the same."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in backbone.double().parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator) + 0.3 * (parameter.numel() == 1))
        backbone.embedding.weight[0] = 0
    return backbone.eval()


check_encode_kept = Check(
    part="skipping.encode_kept",
    task="Walk through `backbone.blocks` and run each of them only for the users (rows) whose gate is 1: gather their "
    "hidden states and masks (`items > 0`), call `block(hidden, mask)`, put the result back into their rows. Start "
    "from a copy of `backbone.embed(items)`. `gates` is (batch, block); return (batch, time, channel), with "
    "gradients. The lesson runs at most 96 users at once; that is up to you.",
    hints=(
        "A loop over the blocks. In each turn: who keeps this block? Their row numbers are all you need.",
        "`gate.nonzero().squeeze(1)` gives the row numbers of a column of gates; `split(96)` cuts them into chunks.",
        "Index with them on both sides: read hidden[rows] and mask[rows], write to hidden[rows]. A chunk without rows "
        "needs no block.",
        "The walk overwrites rows, so hidden has to be your own: clone what `embed` returns.",
    ),
    body=_encode_kept,
    minutes=12,
    difficulty=3,
    mistakes=ENCODE_KEPT,
)


# --- inference_seconds ---


TOOK = {  # by each run; median, mean, smallest and last of all but the first are far apart
    "full": (900, 17, 11, 40, 23, 61, 13, 31, 29, 19),
    "skipped": (700, 5, 8, 3, 21, 9, 6, 14, 7, 10),
}


class _Watch:
    """Two scorers whose calls let time go by, by another whole number of seconds each, and what they were asked."""

    def __init__(self, items: Tensor, unit: int) -> None:
        self.now, self.unit, self.items = 0, unit, items
        self.left = {who: itertools.cycle(seconds) for who, seconds in TOOK.items()}
        self.turns: list[str] = []
        self.found: dict[str, bool] = {"only last positions are scored": True, "autograd is off": True}

    def scores(self, who: str, where: Tensor | None) -> None:
        """Enter a call."""
        self.turns.append(who)
        self.now += self.unit * next(self.left[who])
        last = torch.arange(self.items.shape[1]).expand(self.items.shape) == self.items.shape[1] - 1
        self.found["only last positions are scored"] &= where is not None and torch.equal(where, last)
        self.found["autograd is off"] &= not torch.is_grad_enabled()

    def rounds(self) -> list[str]:
        """Who was asked in each round of two calls; who comes first is all one."""
        return [" and ".join(sorted(self.turns[i : i + 2])) for i in range(0, len(self.turns), 2)]

    @contextlib.contextmanager
    def in_place_of_time(self, answer: Any) -> Iterator[None]:
        """Let every clock that the answer may read show what the calls have taken; a processor's runs half as fast."""
        clocks: dict[Any, Callable[[], float]] = {
            time.perf_counter: lambda: float(self.now), time.perf_counter_ns: lambda: self.now * 10**9,
            time.time: lambda: float(self.now), time.process_time: lambda: self.now / 2,
        }  # fmt: skip
        names = getattr(inspect.unwrap(answer), "__globals__", {})  # a clock may have been imported by its name
        own = {name: clocks[x] for name, x in names.items() if inspect.isbuiltin(x) and x in clocks}
        with contextlib.ExitStack() as stack:
            for clock, other in clocks.items():
                stack.enter_context(mock.patch.object(time, clock.__name__, other))
            stack.enter_context(mock.patch.dict(names, own) if own else contextlib.nullcontext())
            defaults = tuple(clocks.get(x, x) if callable(x) else x for x in timeit.timeit.__defaults__ or ())
            stack.enter_context(mock.patch.object(timeit.timeit, "__defaults__", defaults))
            yield


class _Scorer(nn.Module):
    policy = gates = None  # a SkipRec has them; the stopwatch asks for neither

    def __init__(self, who: str, watch: _Watch) -> None:
        super().__init__()
        self.who, self.watch = who, watch

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        self.watch.scores(self.who, where)
        return torch.zeros(int(where.sum()), NUM_ITEMS + 1)

    def forward(self, items: Tensor, *more: Any, **options: Any) -> Tensor:
        self.watch.scores(self.who, None)
        return torch.zeros(*items.shape, NUM_ITEMS + 1)


def _stopwatch(trial: Trial) -> None:
    asked: tuple[dict[str, Any], ...] = ({}, {"repeats": 1}, {"repeats": 5})
    for options in asked:
        items = trial.histories(NUM_ITEMS, [TIME, 2], TIME)
        unit = int(trial.integers(2, 20))
        trial.same_results(partial(partial, _timed, unit), items, **options)


def _timed(unit: int, f: Callable, items: Tensor, **options: int) -> dict[str, Any]:
    """What the stopwatch asks of the scorers, then what it reads."""
    watch = _Watch(items, unit)
    model = _Scorer("skipped", watch)
    model.backbone = _Scorer("full", watch)
    with watch.in_place_of_time(f):
        read = f(model.eval(), items, **options)
    return {"the calls, round by round": watch.rounds()} | watch.found | {"what it returned": read}


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
    importance="useful",
    mistakes=INFERENCE_SECONDS,
)


# --- within_budget ---


def _within_budget(trial: Trial) -> None:
    for users, blocks in ((30, 8), (6, 4), (1, 3)):
        logits = trial.normal(users, blocks, 2)
        for k in (1, 2, 0, blocks, blocks + 3):
            trial.same(logits, k)
    logits = trial.normal(3, 4, 2)
    logits[1] = 0.7  # a tie is a skip, as in the greedy choice
    for k in (4, 2):
        trial.same(logits, k)


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
    importance="useful",
    mistakes=WITHIN_BUDGET,
)

"""Made-up sequences whose next item is a function of *all* items since a marker: a product of moves, running on."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from skiprec_lite.inputs import check_number, check_whole
from skiprec_lite.promises import Rows, Seed, validated
from skiprec_lite.windows import Split, Windows


@dataclass(frozen=True)
class RunningProducts:
    """Sequences of a marker, a swap and a turn of three things; the target is the order that they are in by now.

    Item 1 is the marker, which puts the three back; item 2 swaps the first two, item 3 turns all three by one place.
    The targets 4 ... 9 are the six orders. Swaps and turns do not commute, so it takes each item since the marker, in
    order. Every stack of blocks that reads the whole window has what it needs: trained until they stop, two blocks
    learn what eight do, in more epochs and no more time (data/results/README.md, "products").

    Attributes:
        length: items in a window.
        marker: probability of the marker at each step; the first item is always one.
        users: rows in each part of `split`.
        seed: of everything.
    """

    length: int = 20
    marker: float = 0.05
    users: int = 3000
    seed: int = 0

    num_items = 9

    def __post_init__(self) -> None:
        check_number("marker", self.marker, least=0, most=1)
        check_whole("length", self.length)
        check_whole("users", self.users)
        check_whole("seed", self.seed, least=0, most=2**63 - 1)

    @validated
    def draw(self, seed: Seed) -> Windows:
        """Draw fresh rows. The seed is joined to the data's own."""
        rng = np.random.default_rng([self.seed, seed])
        steps = rng.integers(2, 4, size=(self.users, self.length))
        items = np.where(rng.random(steps.shape) < self.marker, 1, steps)
        items[:, 0] = 1
        orders = np.empty((self.users, self.length), dtype=np.int64)
        state = np.zeros(self.users, dtype=np.int64)
        for t in range(self.length):
            state = np.where(items[:, t] == 1, 0, _AFTER[state, items[:, t] - 2])
            orders[:, t] = state
        cut = torch.full((self.users,), self.length - 1)
        return Windows(torch.from_numpy(items), torch.from_numpy(4 + orders), cut, torch.arange(self.users))

    def fresh(self, epoch: int) -> Windows:
        """Draw the training rows of an epoch: what `fit` takes as its argument of that name."""
        return self.draw(1000 + epoch)

    def split(self) -> Split:
        """Return training, validation and test rows; every position is scored."""
        train, validation, test = (self.draw(part) for part in range(3))
        return Split(train, validation, test, num_items=self.num_items, sequences=tuple(train.items.numpy()))


@validated
def steps_since_marker(items: Rows) -> Int[Tensor, "batch time"]:
    """How many items came after the last marker (item 1), 0 at a marker; each row has to begin with one."""
    if not (items[:, 0] == 1).all():
        raise ValueError(f"each row must begin with a marker, item 1, got {items[items[:, 0] != 1, 0].tolist()[:3]}")
    place = torch.arange(items.shape[1])
    return place - torch.where(items == 1, place, 0).cummax(dim=1).values


_ORDERS = list(itertools.permutations(range(3)))
_MOVES = ((1, 0, 2), (1, 2, 0))  # the swap and the turn: which place each of the three comes from
_AFTER = np.array([[_ORDERS.index(tuple(order[i] for i in move)) for move in _MOVES] for order in _ORDERS])

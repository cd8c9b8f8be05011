"""Made-up users: the next item is a fixed function of the item some steps back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from skiprec_lite.inputs import check_whole, described, whole_numbers
from skiprec_lite.promises import Count, Seed, Share, Size, like, together, validated
from skiprec_lite.windows import Split, Windows


def _check_lags(name: str, lags: Sequence[int]) -> None:
    if not whole_numbers(name, lags, least=0):
        raise ValueError(f"{name} must hold at least one number of steps back, got {tuple(lags)}")


Lags = Annotated[Sequence[int], like("a row of whole numbers, such as (0, 6)", "__len__"), _check_lags]


@dataclass(frozen=True)
class KnownDepth:
    """Groups of synthetic users, each with its own lag and its own rule. Built in lesson 07.

    Attributes:
        lags: how many steps back the item stands that decides the next one, a number per group (0 = the present item).
        rules: (group, items_per_group) int64; rules[g][i] is the item that follows item i of group g (both counted
            from 0 within the group).
        length: inputs in a window; a user has one item more.
        noise: probability that the next item is a random one of the group instead.
        shared_items: whether all groups use the same items, so that only the rule tells them apart.
        users_per_group: users in each part of `split`.
        seed: of rules and users; the same seed gives the same ones.
        curriculum_epochs: epochs over which the lags of `fresh` users grow from 0 to their own.
        test_users_per_group: users in the test part, where there should be more of them than in the others.
    """

    lags: tuple[int, ...]
    rules: np.ndarray
    length: int
    noise: float
    shared_items: bool
    users_per_group: int
    seed: int
    curriculum_epochs: int = 0
    test_users_per_group: int | None = None

    def __post_init__(self) -> None:
        if max(self.lags) >= self.length - 1:
            raise ValueError(f"lags must lie in 0 ... {self.length - 2} for windows of {self.length}, got {self.lags}")

    @property
    def num_items(self) -> int:
        """Return the number of items of all groups."""
        groups, items = self.rules.shape
        return items if self.shared_items else groups * items

    @property
    def best_accuracy(self) -> float:
        """Return the share of next items that who knows lag and rule gets right."""
        return 1 - self.noise + self.noise / self.rules.shape[1]

    def group_of(self, windows: Windows) -> Int[Tensor, " row"]:
        """Return the group of each row."""
        return windows.users % len(self.lags)

    @validated
    def draw(self, seed: Seed, users_per_group: Size | None = None) -> Windows:
        """Draw fresh users of the same groups. The seed is joined to the data's own.

        From the position `cut` on every next item follows the rule: `cut` is the largest lag or the window's middle.
        """
        sequences = draw_sequences(
            np.random.default_rng([self.seed, seed]), self.lags, self.rules, users_per_group or self.users_per_group,
            length=self.length + 1, noise=self.noise, shared_items=self.shared_items,
        )  # fmt: skip
        flat = torch.from_numpy(sequences.reshape(-1, self.length + 1))
        cut = torch.full((len(flat),), max(max(self.lags), self.length // 2))
        return Windows(flat[:, :-1].clone(), flat[:, 1:].clone(), cut, torch.arange(len(flat)))

    @validated
    def fresh(self, epoch: Count) -> Windows:
        """Draw the training users of an epoch: what `fit` takes as its argument of that name.

        While the curriculum lasts no lag is longer than a bound that grows evenly to the largest of them: a net that
        has learnt to look 12 steps back has one step more to learn for 13, where 13 from nothing may never be found.
        """
        if epoch >= self.curriculum_epochs:
            return self.draw(1000 + epoch)
        bound = max(self.lags) * epoch // self.curriculum_epochs
        return replace(self, lags=tuple(min(lag, bound) for lag in self.lags)).draw(1000 + epoch)

    def split(self) -> Split:
        """Return training, validation and test users; the latter two are scored from `cut` on."""
        train, validation, test = self.draw(0), self.draw(1), self.draw(2, self.test_users_per_group)
        for part in (validation, test):
            part.targets[:, : int(part.cut[0])] = 0  # items and targets share no memory: draw copies them
        sequences = [np.append(items, last) for items, last in zip(train.items.numpy(), train.targets[:, -1:].numpy())]
        return Split(train, validation, test, num_items=self.num_items, sequences=tuple(sequences))


def _check_rules(lags: Sequence[int], rules: np.ndarray) -> None:
    if rules.ndim != 2 or len(rules) != len(lags) or rules.dtype.kind not in "iu":
        raise ValueError(f"rules must be whole numbers of shape ({len(lags)}, items_per_group), got {described(rules)}")


@validated
@together(_check_rules)
def draw_sequences(
    rng: np.random.Generator,
    lags: Lags,
    rules: np.ndarray,
    users_per_group: Size,
    *,
    length: Size,
    noise: Share,
    shared_items: bool,
) -> np.ndarray:
    """Draw users whose next item follows their group's rule from the item `lag` steps back. Built in lesson 07.

    Lags, rules and noise are those of a KnownDepth. A user has `length` items, the first lag + 1 of them random; groups
    that share no items have a range of their own each.

    Returns:
        (users_per_group, group, length) int64 items, counted from 1.
    """
    groups, size = rules.shape
    sequences = np.empty((users_per_group, groups, length), dtype=np.int64)
    for group, lag in enumerate(lags):
        rows = rng.integers(size, size=(users_per_group, length))  # the first items, and the noise
        follow = rng.random(rows.shape) >= noise
        for t in range(lag + 1, length):
            rows[:, t] = np.where(follow[:, t], rules[group][rows[:, t - 1 - lag]], rows[:, t])
        sequences[:, group] = rows + 1 + (0 if shared_items else group * size)
    return sequences


@validated
def users_of_known_depth(
    lags: Lags = (0, 6, 24),
    *,
    items_per_group: Annotated[int, partial(check_whole, least=2)] = 20,
    users_per_group: Size = 1000,
    length: Size = 50,
    noise: Share = 0.1,
    shared_items: bool = False,
    curriculum_epochs: Count = 0,
    test_users_per_group: Size | None = None,
    seed: Seed = 0,
) -> KnownDepth:
    """Groups of users whose next item is a fixed function of the item `lag` steps back. Built in lesson 07.

    A backbone whose blocks all have dilation 1 needs ceil(lag / 6) of them for a lag: each adds 6 steps of reach.
    Each lag makes a group of `items_per_group` items; the rest goes to the KnownDepth as it is.
    """
    rng = np.random.default_rng(seed)
    rules = np.stack([rng.permutation(items_per_group) for _ in lags])
    return KnownDepth(
        tuple(lags), rules, length, noise, shared_items, users_per_group, seed, curriculum_epochs, test_users_per_group
    )

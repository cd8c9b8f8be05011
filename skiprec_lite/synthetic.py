"""Made-up users: the next item is a fixed function of the item some steps back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from skiprec_lite.inputs import (
    check_whole,
    described,
    whole_numbers,
)
from skiprec_lite.promises import Count, Seed, Share, Size, validated
from skiprec_lite.windows import Split, Windows


@dataclass(frozen=True)
class KnownDepth:
    """Groups of synthetic users, each with its own lag and its own rule. Built in lesson 07.

    Attributes:
        lags: how many steps back the item stands that decides the next one, a number per group (0 = the present item).
        rules: (group, items_per_group) int64; rules[g][i] is the item that follows item i of group g (both counted
            from 0 within the group).
        length: inputs in a window.
        noise: probability that the next item is a random one of the group instead.
        shared_items: whether all groups use the same items.
        users_per_group: users in each part of `split`.
        seed: of rules and users.
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
        cut = max(max(self.lags), self.length // 2)
        return Windows(
            flat[:, :-1].clone(), flat[:, 1:].clone(), torch.full((len(flat),), cut), torch.arange(len(flat))
        )

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


@validated
def draw_sequences(
    rng: np.random.Generator,
    lags: Sequence[int],
    rules: np.ndarray,
    users_per_group: Size,
    *,
    length: Size,
    noise: Share,
    shared_items: bool,
) -> np.ndarray:
    """Draw users whose next item follows their group's rule from the item `lag` steps back. Built in lesson 07.

    Args:
        rng: source of randomness.
        lags: steps back, a number per group.
        rules: (group, items_per_group) int64; rules[g][i] follows item i of group g.
        users_per_group: users to draw.
        length: items of a user; the first lag + 1 of them are random.
        noise: probability that an item is a random one of the group instead.
        shared_items: whether all groups use the items 1 ... items_per_group, or each its own.

    Returns:
        (users_per_group, group, length) int64 items, counted from 1.

    Raises:
        ValueError: if rules and lags differ in their number of groups.
    """
    lags = whole_numbers("lags", lags, least=0)
    if rules.ndim != 2 or len(rules) != len(lags) or rules.dtype.kind not in "iu":
        raise ValueError(f"rules must be whole numbers of shape ({len(lags)}, items_per_group), got {described(rules)}")
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
    lags: Sequence[int] = (0, 6, 24),
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

    Args:
        lags: one group each.
        items_per_group: size of a group's catalogue.
        users_per_group: users in each of training, validation and test.
        length: inputs in a window; a user has one item more.
        noise: probability that the next item is a random one of the group instead.
        shared_items: let all groups use the same items, so that only the rule tells them apart.
        curriculum_epochs: let the lags of training users grow from 0 within so many epochs.
        test_users_per_group: users in test, None = as many as in the others.
        seed: of everything; the same seed gives the same users.

    Raises:
        ValueError: if a lag does not fit into the window.
    """
    lags = whole_numbers("lags", lags, least=0)
    if not lags or max(lags) >= length - 1:
        raise ValueError(f"lags must lie in 0 ... {length - 2} for windows of {length}, got {tuple(lags)}")
    rng = np.random.default_rng(seed)
    rules = np.stack([rng.permutation(items_per_group) for _ in lags])
    return KnownDepth(
        tuple(lags), rules, length, noise, shared_items, users_per_group, seed, curriculum_epochs, test_users_per_group
    )

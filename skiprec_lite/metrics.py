"""From scores to ranks, from ranks to numbers, from two models' numbers to a difference with its error."""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from skiprec_lite.inputs import check_no_nan
from skiprec_lite.promises import Size, together, validated


def _check_rankable(name: str, scores: Tensor) -> None:
    if torch.isnan(scores).any():
        raise ValueError(f"{name} hold NaN: a position before the cut, or a model that diverged, cannot be ranked")


def _check_targets(scores: Tensor, targets: Tensor) -> None:
    num_items = scores.shape[-1] - 1
    if targets.numel() and (int(targets.min()) < 1 or int(targets.max()) > num_items):
        raise ValueError(f"targets must lie in 1 ... {num_items}, got {int(targets.min())} ... {int(targets.max())}")


def _check_from_one(name: str, ranks: Tensor) -> None:
    if ranks.numel() and int(ranks.min()) < 1:
        raise ValueError(f"{name} start at 1, got {int(ranks.min())}")


def _check_two(name: str, per_user: Tensor) -> None:
    if len(per_user) < 2:
        raise ValueError(f"{name}: a standard error needs at least two users, got {len(per_user)}")


Scores = Annotated[Num[Tensor, "*batch columns"], _check_rankable]
Ranks = Annotated[Int[Tensor, "*batch"], _check_from_one]
PerUser = Annotated[Float[Tensor, " users"], check_no_nan, _check_two]


@validated
@together(_check_targets)
def rank_of_target(scores: Scores, targets: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """Rank of the true item among all items, 1 = best; ties count against it. Built in lesson 04.

    Column 0 of the scores is padding and never counted. A constant model gets the worst rank.
    """
    return (scores[..., 1:] >= scores.gather(-1, targets.unsqueeze(-1))).sum(dim=-1)


@validated
def hit_rate(ranks: Ranks, k: Size) -> Float[Tensor, "*batch"]:
    """1 where the true item is among the first k, else 0. Built in lesson 04."""
    return (ranks <= k).double()


@validated
def mrr(ranks: Ranks, k: Size) -> Float[Tensor, "*batch"]:
    """Reciprocal rank, 1 / rank within the first k, else 0 (its mean is the MRR). Built in lesson 04."""
    return (ranks <= k) / ranks.double()


@validated
def ndcg(ranks: Ranks, k: Size) -> Float[Tensor, "*batch"]:
    """Gain of one relevant item, 1 / log2(rank + 1) within the first k, else 0. Built in lesson 04.

    Source: Järvelin & Kekäläinen (2002), with a single relevant item, so the ideal gain is 1.
    """
    return (ranks <= k) / torch.log2(ranks.double() + 1)


class Estimate(NamedTuple):
    """A mean over users and its standard error."""

    mean: float
    error: float


@validated
def mean_and_error(per_user: PerUser) -> Estimate:
    """Mean over users, two or more, with its standard error, s / sqrt(n). Built in lesson 04."""
    return Estimate(float(per_user.mean()), float(per_user.std() / len(per_user) ** 0.5))


@validated
def paired_difference(first: PerUser, second: PerUser) -> Estimate:
    """Mean of first - second over the same users, with the standard error of that difference. Built in lesson 04."""
    return mean_and_error(first - second)

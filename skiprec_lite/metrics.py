"""From scores to ranks, from ranks to numbers, from two models' numbers to a difference with its error."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from skiprec_lite.inputs import check_no_nan, check_tensor, check_whole


def rank_of_target(scores: Float[Tensor, "*batch columns"], targets: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """Rank of the true item among all items, 1 = best; ties count against it. Built in lesson 04.

    Args:
        scores: one column per item, column 0 is padding and never counted.
        targets: the true item of each row, 1 ... columns - 1.

    Returns:
        Ranks, 1 ... columns - 1. A constant model gets the worst one.

    Raises:
        TypeError: if scores are no tensor of numbers, or targets none of whole numbers.
        ValueError: if a score is NaN, a target is not an item, or the shapes do not fit.
    """
    check_tensor("scores", scores, "numbers", "...", "columns")
    check_tensor("targets", targets, "whole numbers")
    if scores.shape[:-1] != targets.shape:
        raise ValueError(f"scores of shape {tuple(scores.shape)} do not fit targets of shape {tuple(targets.shape)}")
    if torch.isnan(scores).any():
        raise ValueError("scores hold NaN: a position before the cut, or a model that diverged, cannot be ranked")
    num_items = scores.shape[-1] - 1
    if targets.numel() and (int(targets.min()) < 1 or int(targets.max()) > num_items):
        raise ValueError(f"targets must lie in 1 ... {num_items}, got {int(targets.min())} ... {int(targets.max())}")
    of_target = scores.gather(-1, targets.unsqueeze(-1))
    return (scores[..., 1:] >= of_target).sum(dim=-1)


def hit_rate(ranks: Int[Tensor, "*batch"], k: int) -> Float[Tensor, "*batch"]:
    """1 where the true item is among the first k, else 0. Built in lesson 04.

    Raises:
        TypeError: if ranks are no tensor of whole numbers, or k is none; so for `mrr` and `ndcg`.
        ValueError: if a rank or k is below 1.
    """
    return _within(ranks, k).to(torch.float64)


def mrr(ranks: Int[Tensor, "*batch"], k: int) -> Float[Tensor, "*batch"]:
    """Reciprocal rank, 1 / rank within the first k, else 0 (its mean is the MRR). Built in lesson 04."""
    return _within(ranks, k) / ranks.to(torch.float64)


def ndcg(ranks: Int[Tensor, "*batch"], k: int) -> Float[Tensor, "*batch"]:
    """Gain of one relevant item, 1 / log2(rank + 1) within the first k, else 0. Built in lesson 04.

    Source: Järvelin & Kekäläinen (2002), with a single relevant item, so the ideal gain is 1.
    """
    return _within(ranks, k) / torch.log2(ranks.to(torch.float64) + 1)


class Estimate(NamedTuple):
    """A mean over users and its standard error."""

    mean: float
    error: float


def mean_and_error(per_user: Float[Tensor, " users"]) -> Estimate:
    """Mean over users with its standard error, s / sqrt(n). Built in lesson 04.

    Raises:
        TypeError: if the numbers are no tensor of floating point numbers.
        ValueError: if there are fewer than two users, or a number is NaN.
    """
    check_tensor("per_user", per_user, "floating point numbers", "users")
    check_no_nan("per_user", per_user)
    if len(per_user) < 2:
        raise ValueError(f"a standard error needs at least two users, got {len(per_user)}")
    return Estimate(float(per_user.mean()), float(per_user.std() / len(per_user) ** 0.5))


def paired_difference(first: Float[Tensor, " users"], second: Float[Tensor, " users"]) -> Estimate:
    """Mean of first - second over the same users, with the standard error of that difference. Built in lesson 04.

    Raises:
        ValueError: if the two hold different numbers of users, or fewer than two.
    """
    for name, value in (("first", first), ("second", second)):
        check_tensor(name, value, "floating point numbers", "users")
    if first.shape != second.shape:
        raise ValueError(f"a paired difference needs the same users, got {len(first)} and {len(second)}")
    return mean_and_error(first - second)


def _within(ranks: Int[Tensor, "*batch"], k: int) -> Tensor:
    check_tensor("ranks", ranks, "whole numbers")
    check_whole("k", k)
    if ranks.numel() and int(ranks.min()) < 1:
        raise ValueError(f"ranks start at 1, got {int(ranks.min())}")
    return ranks <= k

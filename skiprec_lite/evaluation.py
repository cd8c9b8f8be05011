"""Scores under a protocol: every case of a split is ranked among all items."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from skiprec_lite import metrics
from skiprec_lite.backbones import NextItemModel, in_eval_mode
from skiprec_lite.inputs import check_tensor, whole_numbers
from skiprec_lite.promises import Size, validated
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

SCORES_AT_ONCE = 2**25  # 128 MiB of float32; a catalogue of 100,000 items would ask for half a gigabyte and more


def _check_some_case(name: str, value: Tensor | Windows) -> None:
    if len(value) == 0:
        raise ValueError(f"there is no case: {name} hold nothing")


@torch.no_grad()
@validated
def rank_cases(
    model: NextItemModel,
    cases: Windows,
    *,
    exclude_seen: bool = False,
    gates: Num[Tensor, "row block"] | None = None,
    batch_size: Size = 128,
) -> Int[Tensor, " scored"]:
    """Rank of the true item at every scored position of the cases, row by row. Built in lesson 04.

    Args:
        model: a backbone, a SkipRec (greedy gates) or a baseline; it is put in eval mode for the while.
        cases: what to predict.
        exclude_seen: take the items of a user's own past out of the ranking; a target met before gets the worst rank.
        gates: for a SkipRec, 0 / 1 gates to use in place of the policy's (random ones, another user's, …).
        batch_size: rows scored at once; fewer where their scores would be more than SCORES_AT_ONCE numbers.

    Returns:
        One rank per scored position, 1 = best.

    Raises:
        ValueError: if a score is NaN, or an item is unknown to the model.
        TypeError: if gates are given for a model that has none.
    """
    if gates is not None and not isinstance(model, SkipRec):
        raise TypeError(f"only a SkipRec takes gates, got a {type(model).__name__}")
    ranks = [torch.empty(0, dtype=torch.int64)]
    with in_eval_mode(model):
        for batch, index in _batches(cases, _rows_at_once(cases, batch_size)):
            where = batch.scored()
            if gates is not None and isinstance(model, SkipRec):
                scores = model.score_at(batch.items, where, batch.cut, gates[index])
            else:
                scores = model.score_at(batch.items, where, batch.cut)
            if exclude_seen:
                scores = _without_the_past(scores, batch)
            ranks.append(metrics.rank_of_target(scores, batch.targets[where]))
    return torch.cat(ranks)


def evaluate(
    model: NextItemModel,
    cases: Windows,
    ks: Sequence[int] = (5, 10, 20),
    *,
    exclude_seen: bool = False,
    gates: Num[Tensor, "row block"] | None = None,
) -> dict[str, float]:
    """Hit rate, MRR and NDCG at each k, means over the scored positions. Built in lesson 04.

    Args:
        model: a backbone, a SkipRec (greedy gates) or a baseline.
        cases: what to predict, such as split.test.
        ks: the cut-offs.
        exclude_seen: take the items of a user's own past out of the ranking.
        gates: for a SkipRec, 0 / 1 gates to use in place of the policy's.

    Returns:
        {"hr@5": …, "mrr@5": …, "ndcg@5": …, …}
    """
    ks = _cut_offs(ks)  # before the long part
    return summarise(rank_cases(model, cases, exclude_seen=exclude_seen, gates=gates), ks)


@validated
def summarise(
    ranks: Annotated[Int[Tensor, " scored"], _check_some_case], ks: Sequence[int] = (5, 10, 20)
) -> dict[str, float]:
    """Turn ranks into what `evaluate` returns; for those who need the ranks of `rank_cases` for more than that."""
    ks = _cut_offs(ks)
    named = {"hr": metrics.hit_rate, "mrr": metrics.mrr, "ndcg": metrics.ndcg}
    return {f"{name}@{k}": float(metric(ranks, k).mean()) for k in ks for name, metric in named.items()}


@validated
def mean_per_user(
    values: Annotated[Float[Tensor, " scored"], _check_some_case], cases: Windows
) -> Float[Tensor, " user"]:
    """Average a number per scored position over each user of the cases, users in the order of their index.

    The user is the unit of every standard error: the ten predictions for one user are not independent.
    """
    check_tensor("values", values, "floating point numbers", int(cases.scored().sum()))
    owners = cases.users.unsqueeze(1).expand_as(cases.targets)[cases.scored()]
    _, position = owners.unique(return_inverse=True)
    total = torch.zeros(int(position.max()) + 1, dtype=values.dtype).index_add_(0, position, values)
    return total / torch.bincount(position)


@validated
def ndcg_per_user(
    model: NextItemModel,
    cases: Windows,
    k: Size = 10,
    *,
    exclude_seen: bool = False,
    gates: Num[Tensor, "row block"] | None = None,
) -> Float[Tensor, " user"]:
    """NDCG@k of each user, all items ranked, their own past ruled out or not. Built in lesson 04."""
    return mean_per_user(metrics.ndcg(rank_cases(model, cases, exclude_seen=exclude_seen, gates=gates), k), cases)


@torch.no_grad()
@validated
def gates_of(
    model: SkipRec, cases: Annotated[Windows, _check_some_case], *, sample: bool = False
) -> Float[Tensor, "row block"]:
    """Return the policy's gates for each row: greedy, or one sample."""
    batches = [model.gates(batch.items, batch.cut, sample=sample) for batch, _ in _batches(cases, 512)]
    return torch.cat(batches)


def _rows_at_once(cases: Windows, at_most: int) -> int:
    """Return how many rows may be scored at once; the largest item met tells the size of the catalogue."""
    if len(cases) == 0:
        return at_most
    columns = 1 + max(int(cases.items.max()), int(cases.targets.max()))
    scores_per_row = columns * int(cases.scored().sum(dim=1).max())
    return min(at_most, max(1, SCORES_AT_ONCE // max(1, scores_per_row)))


def _cut_offs(ks: Sequence[int]) -> list[int]:
    if not (found := whole_numbers("ks", ks, each="k")):
        raise ValueError("ks must hold at least one cut-off, such as (5, 10, 20), got none")
    return found


def _batches(cases: Windows, size: int) -> Iterator[tuple[Windows, slice]]:
    for start in range(0, len(cases), size):
        index = slice(start, start + size)
        yield cases.rows(index), index


def _without_the_past(scores: Float[Tensor, "scored columns"], batch: Windows) -> Float[Tensor, "scored columns"]:
    """Return the scores with -inf for all that a user has met up to each scored position."""
    scores = scores.clone()  # rows of a model that ignores the history may share their memory
    row, position = batch.scored().nonzero(as_tuple=True)
    for line, (r, t) in enumerate(zip(row.tolist(), position.tolist())):
        scores[line, batch.items[r, : t + 1]] = -torch.inf
        if batch.seen:
            scores[line, torch.from_numpy(batch.seen[r])] = -torch.inf
    return scores

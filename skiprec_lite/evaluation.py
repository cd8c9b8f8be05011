"""Scores under a protocol: each target is ranked among what its user has not met, or among all items."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from skiprec_lite.backbones import Device, NextItemModel, device_of, in_eval_mode, on_device
from skiprec_lite.inputs import check_one_per_case, whole_numbers
from skiprec_lite.metrics import hit_rate, mrr, ndcg, rank_of_target
from skiprec_lite.promises import Size, together, validated
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

SCORES_AT_ONCE = 2**25  # 128 MiB of float32; a catalogue of 100,000 items would ask for half a gigabyte and more


def _check_some_case(name: str, value: Tensor | Windows) -> None:
    if len(value) == 0:
        raise ValueError(f"there is no case: {name} hold nothing")


def _check_cut_offs(name: str, ks: Sequence[int]) -> None:
    if not isinstance(ks, Iterator) and not whole_numbers(name, ks, each="k"):  # an iterator is read once: by its user
        raise ValueError(f"{name} must hold at least one cut-off, such as (5, 10, 20), got none")


def _check_gates(model: NextItemModel, gates: Tensor | None) -> None:
    if gates is not None and not isinstance(model, SkipRec):
        raise TypeError(f"only a SkipRec takes gates, got a {type(model).__name__}")


Gates = Num[Tensor, "row block"] | None  # 0 / 1, a SkipRec's
CutOffs = Annotated[Sequence[int], _check_cut_offs]


@torch.no_grad()
@validated
@together(_check_gates)
def rank_cases(
    model: NextItemModel,
    cases: Windows,
    *,
    exclude_seen: bool = True,
    gates: Gates = None,
    batch_size: Size = 128,
    device: Device = "auto",
) -> Int[Tensor, " scored"]:
    """Rank of the true item at every scored position of the cases, row by row, 1 = best. Built in lesson 04.

    With `exclude_seen` a user's own past leaves the ranking, and a target met before gets the worst rank: not for items
    that come back. `gates` stand in for those of a SkipRec's policy (its greedy ones): random ones, another user's.
    `batch_size` is the most rows scored at once; the model is in eval mode meanwhile, on `device` (`chosen_device`).
    """
    ranks = [torch.empty(0, dtype=torch.int64)]
    with in_eval_mode(model), on_device(model, device) as there:
        for rows in batches(cases, batch_size):
            batch = cases.rows(rows).to(there)
            where = batch.scored()
            given = {} if gates is None else {"gates": gates[rows].to(there)}
            scores = model.score_at(batch.items, where, batch.cut, **given)  # (scored, columns)
            if exclude_seen:
                scores = scores.scatter(1, batch.past(), -torch.inf)  # a copy: a model's rows may share their memory
            ranks.append(rank_of_target(scores, batch.targets[where]).cpu())
    return torch.cat(ranks)


def batches(cases: Windows, batch_size: int) -> Iterator[slice]:
    """Yield which rows to score at once: as many as asked for, fewer where their scores would take too much memory."""
    if len(cases):
        columns = 1 + max(int(cases.items.max()), int(cases.targets.max()))  # the largest item met tells how many
        scores_per_row = columns * int(cases.scored().sum(dim=1).max())
        batch_size = min(batch_size, max(1, SCORES_AT_ONCE // max(1, scores_per_row)))
    for start in range(0, len(cases), batch_size):
        yield slice(start, start + batch_size)


@validated
def evaluate(
    model: NextItemModel,
    cases: Windows,
    ks: CutOffs = (5, 10, 20),
    *,
    exclude_seen: bool = True,
    gates: Gates = None,
    device: Device = "auto",
) -> dict[str, float]:
    """Hit rate, MRR and NDCG at each k, {"hr@5": …, "mrr@5": …, …}, as `rank_cases` ranks. Built in lesson 04."""
    ranks = rank_cases(model, cases, exclude_seen=exclude_seen, gates=gates, device=device)
    return summarise(ranks, ks)


@validated
def summarise(
    ranks: Annotated[Int[Tensor, " scored"], _check_some_case], ks: CutOffs = (5, 10, 20)
) -> dict[str, float]:
    """Means over the ranks: what `evaluate` returns. Built in lesson 04."""
    found = {}
    for k in ks:
        found[f"hr@{k}"] = float(hit_rate(ranks, k).mean())
        found[f"mrr@{k}"] = float(mrr(ranks, k).mean())
        found[f"ndcg@{k}"] = float(ndcg(ranks, k).mean())
    return found


@validated
@together(lambda values, cases: check_one_per_case(values, cases))
def mean_per_user(
    values: Annotated[Float[Tensor, " scored"], _check_some_case], cases: Windows
) -> Float[Tensor, " user"]:
    """Average a number per scored position over each user of the cases, users in the order of their index.

    The user is the unit of every standard error: the ten predictions for one user are not independent. Built in
    lesson 04.
    """
    row, _ = cases.scored().nonzero(as_tuple=True)
    _, user = cases.users[row].unique(return_inverse=True)  # whose number each is, counted from 0
    return torch.bincount(user, weights=values) / torch.bincount(user)


@validated
def ndcg_per_user(
    model: NextItemModel, cases: Windows, k: Size = 10, *, exclude_seen: bool = True, gates: Gates = None
) -> Float[Tensor, " user"]:
    """NDCG@k of each user, as `rank_cases` ranks. Built in lesson 04."""
    ranks = rank_cases(model, cases, exclude_seen=exclude_seen, gates=gates)
    return mean_per_user(ndcg(ranks, k), cases)


@torch.no_grad()
@validated
def gates_of(
    model: SkipRec, cases: Annotated[Windows, _check_some_case], *, sample: bool = False
) -> Float[Tensor, "row block"]:
    """Return the policy's gates for each row: greedy, or one sample."""
    chunks = [cases.rows(slice(start, start + 512)).to(device_of(model)) for start in range(0, len(cases), 512)]
    return torch.cat([model.gates(chunk.items, chunk.cut, sample=sample) for chunk in chunks]).cpu()

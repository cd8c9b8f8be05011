"""What a run is judged by: ranks of each user, of each group, by steps, and digits that stand for bits."""

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from skiprec_lite.backbones import Backbone, MarkovChain, NextItemModel, WindowCounter, device_of
from skiprec_lite.controls import RandomGates
from skiprec_lite.evaluation import evaluate, gates_of, mean_per_user, ndcg_per_user, rank_cases, summarise
from skiprec_lite.lab.random_depth import RandomDepth
from skiprec_lite.lab.running_products import RunningProducts, steps_since_marker
from skiprec_lite.metrics import hit_rate, mean_and_error, mrr, ndcg, paired_difference
from skiprec_lite.skipping import inference_seconds
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.synthetic import KnownDepth
from skiprec_lite.windows import Split, Windows

World = KnownDepth | RunningProducts  # synthetic users
RANKINGS = {"unseen": True, "all": False}  # is what a user has met taken out? The course's first column, then all items
COUNTED_AT_MOST = 2_000_000  # training items: a window counter makes 20 pairs of each, some 90 bytes a pair


def quality(model: NextItemModel, split: Split) -> dict[str, Any]:
    """Test quality under both rankings ("ndcg@10 unseen", …), beside what only counts; blocks kept, speed gained."""
    drawn = gates_of(model, split.test, sample=True) if isinstance(model, SkipRec) else None
    rivals: dict[str, NextItemModel] = {"Markov chain": MarkovChain(split)}
    if sum(map(len, split.sequences)) <= COUNTED_AT_MOST:
        rivals["window counter"] = WindowCounter(split)
    found: dict[str, Any] = {}
    for ranking, exclude_seen in RANKINGS.items():
        ranks = rank_cases(model, split.test, exclude_seen=exclude_seen)
        judged: dict[str, float] = dict(summarise(ranks))
        if len(split.test) > 1:
            per_user = mean_per_user(ndcg(ranks, 10), split.test)
            judged["ndcg@10 error"] = mean_and_error(per_user).error
            for name, rival in rivals.items():
                of_rival = ndcg_per_user(rival, split.test, exclude_seen=exclude_seen)
                judged[f"{name} ndcg@10"] = float(of_rival.mean())
                judged[f"minus {name}"], judged[f"minus {name} error"] = paired_difference(per_user, of_rival)
        if drawn is not None:
            given = evaluate(model, split.test, (10,), exclude_seen=exclude_seen, gates=drawn)
            judged["sampled ndcg@10"] = given["ndcg@10"]
        found |= {f"{name} {ranking}": value for name, value in judged.items()}
    if isinstance(model, SkipRec):
        gates = gates_of(model, split.test)
        found |= {"blocks": float(gates.sum(dim=1).mean()), "of": gates.shape[1], "patterns": len(gates.unique(dim=0))}
        seconds = inference_seconds(model, split.test.items[:256].to(device_of(model)))
        found["speed-up"] = seconds["full"] / seconds["skipped"]
    return found


def in_world(world: World, model: NextItemModel, cases: Windows, *, watch: bool) -> dict[str, Any]:
    """What a row says of synthetic users; `watch` adds how well the gates tell the groups apart."""
    if isinstance(world, RunningProducts):
        return per_steps(model, cases)
    gates = gates_of(model, cases) if isinstance(model, SkipRec) else None
    row = per_group(world, model, cases, gates)
    if watch:
        row |= _no_depth(world) if gates is None else depth_of_groups(world, model, cases, gates)
    return row


def on_movielens(
    model: NextItemModel, cases: Windows, gates: Sequence[Tensor] | None = None
) -> tuple[dict[str, float], dict[str, Float[Tensor, " user"]]]:
    """What a row says of MovieLens, under both rankings, and each user's NDCG@10 and MRR@5.

    Several rows of gates a user give means over them; without any the model's own are taken.
    """
    choices: Sequence[Tensor | None] = gates or [None]
    row: dict[str, float] = {}
    per_user: dict[str, Float[Tensor, " user"]] = {}
    for ranking, exclude_seen in RANKINGS.items():
        ranks = [rank_cases(model, cases, gates=choice, exclude_seen=exclude_seen) for choice in choices]
        found = summarise(torch.cat(ranks), (5, 10))
        row |= {f"{name} {ranking}": round(found[name], 5) for name in ("ndcg@10", "mrr@5", "hr@10", "mrr@10")}
        for name, metric, k in (("ndcg@10", ndcg, 10), ("mrr@5", mrr, 5)):
            values = [mean_per_user(metric(found, k), cases) for found in ranks]
            per_user[f"{name} {ranking}"] = torch.stack(values).mean(dim=0)
    return row, per_user


def blocks_kept(model: NextItemModel, cases: Windows, choices: Sequence[Tensor] | None) -> dict[str, Any]:
    """How many blocks run for a user, on average, and how many patterns of them there are; "" where none are."""
    if isinstance(model, SkipRec):
        gates = torch.cat(list(choices or [gates_of(model, cases)]))
        return {"blocks": round(float(gates.sum(dim=1).mean()), 3), "patterns": len(gates.unique(dim=0))}
    if isinstance(model, RandomGates | RandomDepth):
        model = model.backbone
    if isinstance(model, Backbone):
        return {"blocks": len(model.blocks), "patterns": 1}
    return {"blocks": "", "patterns": ""}


def per_group(
    known: KnownDepth, model: NextItemModel, cases: Windows, gates: Float[Tensor, "row block"] | None = None
) -> dict[str, Any]:
    """Accuracy (share of next items ranked first) of each group, and the pattern that most of its users have."""
    correct = mean_per_user(hit_rate(rank_cases(model, cases, gates=gates, exclude_seen=False), 1), cases)
    row: dict[str, Any] = {"best possible": round(known.best_accuracy, 4)}
    for group, lag in enumerate(known.lags):
        here = known.group_of(cases) == group
        row[f"accuracy, lag {lag}"] = round(float(correct[here].mean()), 4)
        row |= {f"pattern, lag {lag}": "", f"share, lag {lag}": ""}
        if gates is not None:
            patterns, counts = gates[here].unique(dim=0, return_counts=True)
            row[f"pattern, lag {lag}"] = "".join("■" if gate else "·" for gate in patterns[counts.argmax()])
            row[f"share, lag {lag}"] = round(float(counts.max() / counts.sum()), 4)
    return row


def _no_depth(known: KnownDepth) -> dict[str, Any]:
    pairs = itertools.pairwise(known.lags)
    names = [f"blocks, lag {lag}" for lag in known.lags]
    names += [f"accuracy, lag {lag} with gates of lag {shallow}" for shallow, lag in pairs]
    return dict.fromkeys([*names, "count auc"], "")


def depth_of_groups(
    known: KnownDepth, model: NextItemModel, cases: Windows, gates: Float[Tensor, "row block"]
) -> dict[str, Any]:
    """Blocks kept by each group, what a shallower group's gates cost, and how well the count tells groups apart."""
    groups = [known.group_of(cases) == group for group in range(len(known.lags))]
    row: dict[str, Any] = {}
    for lag, here in zip(known.lags, groups):
        row[f"blocks, lag {lag}"] = round(float(gates[here].sum(dim=1).mean()), 3)
    for (shallow, there), (lag, here) in itertools.pairwise(zip(known.lags, groups)):
        borrowed = gates.clone()
        borrowed[here] = gates[there]  # groups are of one size
        correct = mean_per_user(hit_rate(rank_cases(model, cases, gates=borrowed, exclude_seen=False), 1), cases)
        row[f"accuracy, lag {lag} with gates of lag {shallow}"] = round(float(correct[here].mean()), 4)
    first, last = (gates[here].sum(dim=1) for here in (groups[0], groups[-1]))
    above = (last.unsqueeze(1) > first).double() + (last.unsqueeze(1) == first).double() / 2
    row["count auc"] = round(float(above.mean()), 4)
    return row


def per_steps(model: NextItemModel, cases: Windows) -> dict[str, Any]:
    """Accuracy by the number of items since the marker, five numbers together."""
    correct = (rank_cases(model, cases, exclude_seen=False) == 1).to(torch.float64)
    steps = steps_since_marker(cases.items).flatten()
    row: dict[str, Any] = {"accuracy": round(float(correct.mean()), 4)}
    for first in range(0, cases.items.shape[1], 5):
        here = (steps >= first) & (steps < first + 5)
        row[f"accuracy, {first}-{first + 4} steps"] = round(float(correct[here].mean()), 4)
    return row


def fingerprint(model: NextItemModel, gates: Sequence[Tensor] | None = None) -> str:
    """Return twelve hex digits that stand for all of a model's tensors, and for the gates it is judged under.

    Equal only if these are, bit by bit.
    """
    digest = hashlib.sha256()
    more = {f"gates {i}": choice for i, choice in enumerate(gates or [])}
    for name, tensor in sorted((model.state_dict() | more).items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        for part in (tensor.indices(), tensor.values()) if tensor.is_sparse else (tensor,):
            digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def trained_on(split: Split) -> str:
    """Return twelve hex digits that stand for the training items of a split, user by user and in order."""
    digest = hashlib.sha256(f"{split.num_items} items".encode())
    for sequence in split.sequences:
        digest.update(f"; {len(sequence)}: ".encode())
        digest.update(np.ascontiguousarray(sequence, dtype="<i8").tobytes())
    return digest.hexdigest()[:12]

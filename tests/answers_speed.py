"""Answers to the exercises of lesson 12."""

import statistics
import time
import timeit
from time import perf_counter

import numpy as np
import torch
from answers import Answer, raises, right, wrong

from skiprec_lite.windows import last_position

# --- encode_kept ---


def with_bool_rows(backbone, items, gates):
    hidden = backbone.embed(items).clone()
    for number, block in enumerate(backbone.blocks):
        keep = gates[:, number] == 1
        if keep.any():
            hidden[keep] = block(hidden[keep], (items != 0)[keep])
    return hidden


def out_of_place(backbone, items, gates):
    hidden, mask = backbone.embed(items), items > 0
    for block, gate in zip(backbone.blocks, gates.unbind(dim=1)):
        rows = torch.where(gate > 0.5)[0]
        for part in torch.split(rows, 32):
            out = block(hidden.index_select(0, part), mask.index_select(0, part))
            hidden = hidden.index_copy(0, part, out)
    return hidden


def user_by_user(backbone, items, gates):
    users = []
    for i in range(len(items)):
        hidden = backbone.embed(items[i : i + 1])
        for block, gate in zip(backbone.blocks, gates[i].tolist()):
            if gate:
                hidden = block(hidden, items[i : i + 1] > 0)
        users.append(hidden)
    return torch.cat(users)


def row_numbers_from_numpy(backbone, items, gates):
    mask, hidden = items > 0, backbone.embed(items) + 0.0
    for k in range(gates.shape[1]):
        rows = torch.from_numpy(np.flatnonzero(gates[:, k].numpy()))
        if rows.numel() > 0:
            new = torch.zeros_like(hidden)
            new[rows] = backbone.blocks[k](hidden[rows], mask[rows])
            hidden = torch.where(gates[:, k].bool().view(-1, 1, 1), new, hidden)
    return hidden


def masked(backbone, items, gates):
    hidden, mask = backbone.embed(items), items > 0
    for k, block in enumerate(backbone.blocks):
        g = gates[:, k, None, None]
        hidden = g * block(hidden, mask) + (1 - g) * hidden
    return hidden


def kept_then_skipped(backbone, items, gates):
    hidden, mask = backbone.embed(items), items > 0
    for block, gate in zip(backbone.blocks, gates.T):
        keep = gate.bool()
        hidden = torch.cat([block(hidden[keep], mask[keep]), hidden[~keep]])
    return hidden


def early_exit(backbone, items, gates):
    hidden, mask = backbone.embed(items).clone(), items > 0
    still_in = torch.ones(len(items), dtype=torch.bool)
    for block, gate in zip(backbone.blocks, gates.T):
        still_in = still_in & gate.bool()
        if still_in.any():
            hidden[still_in] = block(hidden[still_in], mask[still_in])
    return hidden


def all_blocks_at_the_end(backbone, items, gates):
    return backbone.encode(items, gates)


def gates_by_row(backbone, items, gates):
    hidden, mask = backbone.embed(items).clone(), items > 0
    for block, gate in zip(backbone.blocks, gates):
        keep = gate.bool()
        hidden[keep] = block(hidden[keep], mask[keep])
    return hidden


def scores_instead(backbone, items, gates):
    return with_bool_rows(backbone, items, gates)[:, -1]


def nan_where_skipped(backbone, items, gates):
    hidden, mask = torch.full_like(backbone.embed(items), torch.nan), items > 0
    return torch.where(
        gates.bool().all(dim=1)[:, None, None], with_bool_rows(backbone, items, gates), hidden * mask[..., None]
    )


# --- inference_seconds ---


@torch.inference_mode()
def with_numpy(model, items, *, repeats=9):
    where = torch.zeros(items.shape, dtype=torch.bool)
    where[:, -1] = True
    seconds = np.zeros((repeats + 1, 2))
    for i in range(repeats + 1):
        for j, scorer in enumerate((model, model.backbone)):
            begin = perf_counter()
            scorer.score_at(items, where)
            seconds[i, j] = perf_counter() - begin
    skipped, full = np.median(seconds[1:], axis=0)
    return {"full": full, "skipped": skipped}


def in_nanoseconds_first(model, items, *, repeats=9):
    def run(scorer):
        begin = time.perf_counter_ns()
        with torch.no_grad():
            scorer.score_at(items, last_position(items), None)
        return (time.perf_counter_ns() - begin) / 1e9

    full, skipped = [], []
    run(model.backbone), run(model)
    for _ in range(repeats):
        full.append(run(model.backbone))
        skipped.append(run(model))
    return {"skipped": float(np.median(skipped)), "full": float(np.median(full))}


def by_timeit(model, items, *, repeats=9):
    where, found = last_position(items), {"full": [], "skipped": []}
    with torch.no_grad():
        for _ in range(repeats + 1):
            found["full"].append(timeit.timeit(lambda: model.backbone.score_at(items, where), number=1))
            found["skipped"].append(timeit.timeit(lambda: model.score_at(items, where), number=1))
    return {name: torch.tensor(seconds[1:]).median() for name, seconds in found.items()}


def _measures(
    rounds=lambda repeats: repeats + 1, summary=lambda x: statistics.median(x[1:]), clock=lambda: time.perf_counter()
):
    @torch.no_grad()
    def inference_seconds(model, items, *, repeats=9):
        where = last_position(items)
        seconds = {"full": [], "skipped": []}
        for _ in range(rounds(repeats)):
            for name, scorer in (("full", model.backbone), ("skipped", model)):
                start = clock()
                scorer.score_at(items, where)
                seconds[name].append(clock() - start)
        return {name: summary(found) for name, found in seconds.items()}

    return inference_seconds


def only_one_number(model, items, *, repeats=9):
    found = in_nanoseconds_first(model, items, repeats=repeats)
    return found["full"] / found["skipped"]


def all_the_seconds(model, items, *, repeats=9):
    found = in_nanoseconds_first(model, items, repeats=repeats)
    return {name: [seconds] * repeats for name, seconds in found.items()}


def no_where(model, items, *, repeats=9):
    start = time.perf_counter()
    model.backbone.score_at(items)
    return {"full": time.perf_counter() - start, "skipped": 0.0}


# --- within_budget ---


def by_sorting(logits, k):
    gap = logits[:, :, 0] - logits[:, :, 1]
    rank = gap.argsort(dim=1, descending=True).argsort(dim=1)
    return ((rank < k) & (gap > 0)).to(logits.dtype)


def by_loop(logits, k):
    gates = torch.zeros(logits.shape[:2], dtype=logits.dtype)
    for user, row in enumerate(logits.tolist()):
        wanted = [(keep - skip, block) for block, (keep, skip) in enumerate(row) if keep > skip]
        for _, block in sorted(wanted, reverse=True)[:k]:
            gates[user, block] = 1
    return gates


def with_minus_infinity(logits, k):
    p = logits.double().softmax(dim=-1)[..., 0]
    p = p.masked_fill(logits[..., 0] <= logits[..., 1], -torch.inf)
    best = p.topk(min(k, p.shape[-1]), dim=-1)
    gates = torch.zeros_like(logits[..., 0])
    gates.scatter_(1, best.indices, (best.values > 0).to(gates.dtype))
    return gates


def first_ones(logits, k):
    keep = logits[..., 0] > logits[..., 1]
    return (keep & (keep.cumsum(dim=1) <= k)).float()


def order_for_rank(logits, k):
    gap = logits[..., 0] - logits[..., 1]
    return ((gap.argsort(dim=1, descending=True) < k) & (gap > 0)).float()


def bools(logits, k):
    return by_sorting(logits, k).bool()


def the_indices(logits, k):
    gap = logits[..., 0] - logits[..., 1]
    return gap.topk(min(k, gap.shape[1]), dim=1).indices


ANSWERS_SPEED: dict[str, list[Answer]] = {
    "skipping.encode_kept": [
        right(with_bool_rows), right(out_of_place), right(user_by_user), right(row_numbers_from_numpy),
        wrong(masked, "masked away"), wrong(all_blocks_at_the_end, "masked away"),
        wrong(kept_then_skipped, "rows that they came from"), wrong(early_exit, "left out"),
        raises(gates_by_row, "shape"), wrong(scores_instead, "shape"), wrong(nan_where_skipped, "NaN"),
    ],
    "skipping.inference_seconds": [
        right(_measures()), right(with_numpy), right(in_nanoseconds_first), right(by_timeit),
        wrong(_measures(lambda repeats: repeats, statistics.median), "warms up"),
        wrong(_measures(clock=lambda: time.process_time()), "wall clock"),
        wrong(_measures(summary=lambda x: sum(x[1:]) / (len(x) - 1)), "mean"),
        wrong(only_one_number, "dict"), wrong(all_the_seconds, "number"), raises(no_where, "where"),
    ],
    "skipping.within_budget": [
        right(by_sorting), right(by_loop), right(with_minus_infinity),
        wrong(first_ones, "first blocks"), wrong(order_for_rank, "rank"), wrong(bools, "bool"),
        wrong(the_indices, "shape"),
    ],
}  # fmt: skip

"""How long an epoch of training takes, and inference with all blocks against the kept ones."""

import statistics
import time
from typing import Any

import torch
from torch import Tensor

from skiprec_lite.backbones import NextItNet, device_of
from skiprec_lite.skipping import inference_seconds
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.stages import next_item_loss
from skiprec_lite.windows import Split

BATCHES = (1, 32, 256)


def bench(model: SkipRec, split: Split, *, threads: int, repeats: int) -> dict[str, Any]:
    """Time an epoch and, for each size of a batch, inference; torch may use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found: dict[str, Any] = {"threads": threads, "epoch seconds": _epoch_seconds(split, device_of(model))}
        for batch in BATCHES:
            found[f"batch {batch}"] = _inference(model, split.test.items.to(device_of(model)), batch, repeats)
        return found
    finally:
        torch.set_num_threads(before)


def _epoch_seconds(split: Split, device: torch.device) -> float:
    net = NextItNet(split.num_items, dropout=0.5).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    start = time.perf_counter()
    for rows in torch.arange(len(split.train)).split(32):
        optimizer.zero_grad()
        loss = next_item_loss(net, split.train.rows(rows).to(device))
        loss.item()  # as `fit` does: a GPU is waited for
        loss.backward()
        optimizer.step()
    return round(time.perf_counter() - start, 2)


def _inference(model: SkipRec, items: Tensor, batch: int, repeats: int) -> dict[str, float]:
    """Milliseconds for so many rows, with all blocks and those kept: the middle of three batches, their range."""
    timed = [inference_seconds(model, items[i : i + batch], repeats=repeats) for i in range(3)]
    full, skipped = (1e3 * statistics.median(t[name] for t in timed) for name in ("full", "skipped"))
    low, middle, high = sorted(t["full"] / t["skipped"] for t in timed)
    return {"full ms": full, "skipped ms": skipped, "speed-up": middle, "low": low, "high": high}

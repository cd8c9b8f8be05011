"""Lesson 06 asks what it costs to make each prefix a row of its own: the training that answers."""

import time
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import torch

from skiprec_lite import backbones, evaluation, metrics, splits, training
from skiprec_lite.datasets import Interactions
from skiprec_lite.windows import Split, Windows, pad_left

EPOCHS = 10


def measure(films: Interactions, every_prefix: Callable[[Windows], Windows], *, seed: int = 0) -> pd.DataFrame:
    """Train the same net on windows, on their prefixes and on whole pasts: data/results/prefixes.csv, in minutes.

    Two blocks of 32 channels on a quarter of the users; a step holds as many questions whatever its rows are.

    Returns:
        A row for each way: rows of an epoch, questions, the processor's seconds, and NDCG@10 on the test films under
        both rankings with its difference to the windows', paired by user, and one standard error of that.
    """
    split = splits.fewer_users(splits.last_n(films), 0.25, seed=seed)
    ways = {
        "windows": (split.train, 16),
        "prefixes": (every_prefix(split.train), 608),
        "whole pasts": (_whole_pasts(split), 608),
    }
    rows: dict[str, dict[str, float]] = {}
    first: dict[str, torch.Tensor] = {}
    for way, (windows, batch_size) in ways.items():
        net, seconds = _trained(replace(split, train=windows), batch_size, seed)
        rows[way] = {"rows": len(windows), "questions": int(windows.scored().sum()), "seconds": round(seconds)}
        for ranking, exclude_seen in {"unseen": True, "all": False}.items():
            of_users = evaluation.ndcg_per_user(net, split.test, exclude_seen=exclude_seen)
            more = metrics.paired_difference(of_users, first.setdefault(ranking, of_users))
            names = (f"ndcg@10 {ranking}", f"minus windows, {ranking}", f"error, {ranking}")
            rows[way] |= dict(zip(names, (round(float(x), 4) for x in (of_users.mean(), *more))))
    return pd.DataFrame(rows).T.rename_axis("way")


def _trained(split: Split, batch_size: int, seed: int) -> tuple[backbones.NextItNet, float]:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = backbones.NextItNet(
            split.num_items, channels=32, dilations=(1, 4), dropout=0.5, embedding_dropout=0.4, tied=True
        )
    start = time.process_time()
    training.fit(
        net, split, seed=seed, epochs=EPOCHS, patience=EPOCHS, batch_size=batch_size, learning_rate=3e-3,
        weight_decay=0.1, anneal=True, progress=False,
    )  # fmt: skip
    return net, time.process_time() - start


def _whole_pasts(split: Split, width: int = 50) -> Windows:
    """Make a row of all that a user rated before each film of the training, the newest `width` of it."""
    ends = [(sequence, end) for sequence in split.sequences for end in range(1, len(sequence))]
    items = pad_left([sequence[:end] for sequence, end in ends], width)
    targets = torch.zeros_like(items)
    targets[:, -1] = torch.tensor([int(sequence[end]) for sequence, end in ends])
    return Windows(items, targets, torch.full((len(items),), width - 1), torch.arange(len(items)))

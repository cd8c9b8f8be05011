"""Lesson 06 asks what it costs to make each prefix a row of its own: the training that answers, and its answer."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from skiprec_lite import backbones, evaluation, splits, training
from skiprec_lite.datasets import Interactions
from skiprec_lite.windows import Split, Windows, pad_left

EPOCHS = 10


def train(
    films: Interactions, rows_of: Callable[[Split], Windows], batch_size: int, *, seed: int = 0
) -> dict[str, Any]:
    """Train two blocks of 32 channels on a quarter of the users, whose histories are turned into rows as asked.

    Returns:
        The number of rows, the processor's seconds, and NDCG@10 of each user on the test films under both rankings.
    """
    split = splits.fewer_users(splits.last_n(films), 0.25, seed=seed)
    split = replace(split, train=rows_of(split))
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = backbones.NextItNet(
            films.num_items, channels=32, dilations=(1, 4), dropout=0.5, embedding_dropout=0.4, tied=True
        )
    start = time.process_time()
    training.fit(
        net, split, seed=seed, epochs=EPOCHS, patience=EPOCHS, batch_size=batch_size, learning_rate=3e-3,
        weight_decay=0.1, anneal=True, progress=False,
    )  # fmt: skip
    found: dict[str, Any] = {"rows": len(split.train), "seconds": time.process_time() - start}
    for ranking, exclude_seen in {"unseen": True, "all": False}.items():
        found[ranking] = evaluation.ndcg_per_user(net, split.test, exclude_seen=exclude_seen)
    return found


def whole_pasts(split: Split, width: int = 50) -> Windows:
    """Make a row of all that a user rated before each film of the training, the newest `width` of it."""
    ends = [(sequence, end) for sequence in split.sequences for end in range(1, len(sequence))]
    items = pad_left([sequence[:end] for sequence, end in ends], width)
    targets = torch.zeros_like(items)
    targets[:, -1] = torch.tensor([int(sequence[end]) for sequence, end in ends])
    return Windows(items, targets, torch.full((len(items),), width - 1), torch.arange(len(items)))


# Made by `train(films, ROWS, BATCH)`: with `lambda split: split.train` and batches of 16, with the lesson's
# `lambda split: every_prefix(split.train)` and with `whole_pasts`, both in batches of 608; a 2-core machine that did
# other work. In brackets: minus the first column, paired by user, with one standard error.
MEASURED: dict[str, dict[str, str]] = {
    "rows of an epoch": {"windows": "525", "prefixes": "19,975", "whole pasts": "19,975"},
    "questions": {"windows": "19,975", "prefixes": "19,975", "whole pasts": "19,975"},
    "seconds": {"windows": "16", "prefixes": "82", "whole pasts": "74"},
    "NDCG@10 unseen": {
        "windows": ".0711", "prefixes": ".0718 (+.0007 ± .0010)", "whole pasts": ".0705 (−.0007 ± .0011)",
    },
    "NDCG@10 all": {
        "windows": ".0364", "prefixes": ".0362 (−.0002 ± .0007)", "whole pasts": ".0345 (−.0019 ± .0009)",
    },
}  # fmt: skip

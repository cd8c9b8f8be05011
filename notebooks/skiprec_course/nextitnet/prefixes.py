"""Lesson 06 asks what it costs to make each prefix a row of its own: the training that answers, and its answer."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from skiprec_lite import backbones, evaluation, splits, training
from skiprec_lite.datasets import Interactions
from skiprec_lite.windows import Windows

RANKINGS = {"unseen": True, "all": False}
SHAPE = {"channels": 32, "dilations": (1, 4), "dropout": 0.5, "embedding_dropout": 0.4, "tied": True}
EPOCHS = 10


def train(films: Interactions, rows_of: Callable[[Windows], Windows], batch_size: int, *, seed: int = 0) -> dict:
    """Train two blocks on a quarter of the users, the windows turned into rows as asked.

    Returns:
        The rows, the processor's seconds, and NDCG@10 of each user on the test films under both rankings.
    """
    split = splits.fewer_users(splits.last_n(films), 0.25, seed=seed)
    split = replace(split, train=rows_of(split.train))
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = backbones.NextItNet(films.num_items, **SHAPE)
    start = time.process_time()
    settings = {"batch_size": batch_size, "learning_rate": 3e-3, "weight_decay": 0.1, "anneal": True}
    training.fit(net, split, seed=seed, epochs=EPOCHS, patience=EPOCHS, progress=False, **settings)
    found = {"rows": len(split.train), "seconds": time.process_time() - start}
    for ranking, exclude_seen in RANKINGS.items():
        found[ranking] = evaluation.ndcg_per_user(net, split.test, exclude_seen=exclude_seen)
    return found


MEASURED: dict[str, dict[str, str]] = {}

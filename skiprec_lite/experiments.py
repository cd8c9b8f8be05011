"""The long runs behind the figures that a reader does not want to wait for, each one command."""

import csv
import datetime
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from skiprec_lite import checkpoints
from skiprec_lite.backbones import MarkovChain, NextItemModel, NextItNet, Popularity
from skiprec_lite.datasets import Interactions, load_movielens
from skiprec_lite.evaluation import gates_of, mean_per_user, ndcg_per_user, rank_cases, summarise
from skiprec_lite.metrics import hit_rate, ndcg
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.splits import Split, Windows, last_n, leave_one_out
from skiprec_lite.synthetic import KnownDepth, users_of_known_depth
from skiprec_lite.training import History, fit

DATA = Path(__file__).resolve().parent.parent / "data"
RESULTS = DATA / "results"
COURSE_WEIGHTS = DATA / "weights" / "skiprec_ml100k.safetensors"
PROTOCOLS: dict[str, Callable[[Interactions], Split]] = {"last_n": last_n, "leave_one_out": leave_one_out}


@dataclass(frozen=True)
class Run:
    """One row of a result table: a model, its settings, a protocol and a seed."""

    name: str
    model: str
    protocol: str = "last_n"
    seed: int = 0
    backbone: dict = field(default_factory=dict)
    policy: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)

    def settings(self) -> str:
        """Return all settings as one line of JSON."""
        return json.dumps({"backbone": self.backbone, "policy": self.policy, "training": self.training}, sort_keys=True)


# Chosen on validation: data/results/search.csv holds every trial, data/results/README.md says how they were read.
CHOSEN_BACKBONE: dict = {"dropout": 0.5, "embedding_dropout": 0.4, "tied": True}
CHOSEN_POLICY: dict = {"keep_bias": 1.0}
CHOSEN_TRAINING: dict = {
    "epochs": 46, "learning_rate": 2e-3, "anneal": True, "patience": 46,
    "cost": 0.5, "warmup_epochs": 16, "ramp_epochs": 6, "settle_epochs": 10,
}  # fmt: skip
STATIC_BLOCKS = (2, 3)  # the mean number that SkipRec keeps, rounded down and up


def chosen_run(
    *,
    name: str = "train",
    full_depth: bool = False,
    blocks: int = 8,
    channels: int = 64,
    protocol: str = "last_n",
    seed: int = 0,
    **training: object,
) -> Run:
    """Describe a run with the settings chosen on validation, but for what is given.

    Raises:
        ValueError: if there is not at least one block.
    """
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1, got {blocks}")
    backbone = CHOSEN_BACKBONE | {"channels": channels, "dilations": [(1, 4)[i % 2] for i in range(blocks)]}
    settings = CHOSEN_TRAINING | training
    if full_depth:  # a cut scores about half of the positions: half as many epochs after the warm-up are as much effort
        warmup = min(settings["warmup_epochs"], settings["epochs"])
        epochs = warmup + (settings["epochs"] - warmup) // 2
        kept = {key: settings[key] for key in ("learning_rate", "anneal", "patience")}
        return Run(name, "nextitnet", protocol, seed, backbone, {}, kept | {"epochs": epochs})
    return Run(name, "skiprec", protocol, seed, backbone, CHOSEN_POLICY, settings)


def _search() -> list[Run]:
    """At most 20 trials, judged on validation only: first the backbone at full depth, then the policy on the best."""
    tied = {"tied": True, "dropout": 0.5, "embedding_dropout": 0.2}
    full: list[tuple[dict, dict]] = [
        ({"dropout": 0.3}, {}),
        ({"dropout": 0.5}, {}),
        ({"dropout": 0.3, "tied": True}, {}),
        ({"dropout": 0.5, "tied": True}, {}),
        (tied, {}),
        (tied | {"embedding_dropout": 0.4}, {}),
        (tied | {"dropout": 0.3}, {}),
        (tied, {"learning_rate": 2e-3}),
        (tied, {"learning_rate": 5e-4}),
        (tied, {"weight_decay": 0.1}),
    ]
    full.append((tied | {"embedding_dropout": 0.4}, {"learning_rate": 2e-3}))
    annealed = {"learning_rate": 2e-3, "anneal": True}
    full.append((tied | {"embedding_dropout": 0.4}, annealed | {"epochs": 25, "patience": 25}))
    schedule = {"warmup_epochs": 10, "ramp_epochs": 6}
    long = annealed | {"epochs": 40, "patience": 40}
    skip: list[tuple[dict, dict]] = [
        ({"keep_bias": 1.0}, {"learning_rate": 2e-3, "cost": 0.5, "epochs": 50}),
        ({"keep_bias": 1.0}, {"learning_rate": 2e-3, "cost": 0.2, "epochs": 50}),
        ({"keep_bias": 1.0}, long | {"cost": 0.5}),
        ({"keep_bias": 2.0}, long | {"cost": 0.3, "epochs": 48, "warmup_epochs": 16}),
        ({"keep_bias": 1.0}, long | {"cost": 0.5, "epochs": 46, "warmup_epochs": 16}),
        ({"keep_bias": 2.0}, long | {"cost": 0.5, "epochs": 46, "warmup_epochs": 16}),
        ({"keep_bias": 1.0}, long | {"cost": 0.3, "epochs": 46, "warmup_epochs": 16}),
        ({"keep_bias": 2.0}, long | {"cost": 1.0, "epochs": 46, "warmup_epochs": 16}),
        ({"keep_bias": 2.0}, long | {"cost": 0.5, "epochs": 46, "warmup_epochs": 16, "settle_epochs": 10}),
        ({"keep_bias": 1.0}, long | {"cost": 0.5, "epochs": 46, "warmup_epochs": 24, "settle_epochs": 8}),
    ]
    best = tied | {"embedding_dropout": 0.4}
    return [
        Run(f"full {i}", "nextitnet", backbone=backbone, training={"epochs": 40, **training})
        for i, (backbone, training) in enumerate(full)
    ] + [
        Run(f"skip {i}", "skiprec", backbone=best, policy=policy, training={**schedule, **training})
        for i, (policy, training) in enumerate(skip)
    ]


def _quality() -> list[Run]:
    """Models of the same data and effort: counting, full depth, static shallow nets, SkipRec; three seeds each."""
    runs = [Run(name, name) for name in ("popularity", "markov")]
    runs += [chosen_run(name=f"full depth, seed {seed}", full_depth=True, seed=seed) for seed in range(3)]
    runs += [
        chosen_run(name=f"{n} blocks, seed {seed}", full_depth=True, blocks=n, seed=seed)
        for n in STATIC_BLOCKS
        for seed in range(3)
    ]
    runs += [chosen_run(name=f"SkipRec, seed {seed}", seed=seed) for seed in range(3)]
    runs += [Run(f"{name}, leave one out", name, "leave_one_out") for name in ("popularity", "markov")]
    runs += [
        chosen_run(name="full depth, leave one out", full_depth=True, protocol="leave_one_out"),
        chosen_run(name="SkipRec, leave one out", protocol="leave_one_out"),
    ]
    return runs


def _synthetic() -> list[Run]:
    """Users whose needed blocks are known: full depth and SkipRec, three seeds each."""
    backbone = {"channels": 32, "dilations": [1, 2, 4] * 2}
    training = {"epochs": 24, "batch_size": 64, "learning_rate": 3e-3, "patience": 24}
    gated = training | {"cost": 1.0, "warmup_epochs": 8, "ramp_epochs": 4}
    return [
        run
        for seed in range(3)
        for run in (
            Run(f"full depth, seed {seed}", "nextitnet", "known depth", seed, backbone, {}, training),
            Run(f"SkipRec, seed {seed}", "skiprec", "known depth", seed, backbone, {"keep_bias": 2.0}, gated),
        )
    ]


EXPERIMENTS: dict[str, Callable[[], list[Run]]] = {"search": _search, "quality": _quality, "synthetic": _synthetic}


def build(run: Run, split: Split) -> NextItemModel:
    """Make the model that a run describes."""
    if run.model == "popularity":
        return Popularity(split)
    if run.model == "markov":
        return MarkovChain(split)
    return build_network(run, split.num_items)


def build_network(run: Run, num_items: int, *, tau: float = 10.0) -> NextItNet | SkipRec:
    """Make the backbone or the SkipRec that a run describes, its weights drawn from the run's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        backbone = NextItNet(num_items, **run.backbone)
        if run.model == "nextitnet":
            return backbone
        return SkipRec(backbone, PolicyNetwork(num_items, len(backbone.blocks), **run.policy), tau=tau)


def run_experiment(name: str, *, folder: Path = RESULTS, progress: bool = True) -> pd.DataFrame:
    """Run what is missing of an experiment; each row is on disk as soon as it is finished.

    Args:
        name: one of EXPERIMENTS.
        folder: where NAME.csv (and NAME_users.csv, each user's NDCG@10) are kept.
        progress: show progress bars.

    Returns:
        The whole table.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}: choose from {', '.join(EXPERIMENTS)}")
    table, users = folder / f"{name}.csv", folder / f"{name}_users.csv"
    done = set(pd.read_csv(table)["run"]) if table.exists() else set()
    weights = folder.parent / "runs" / name
    for run in EXPERIMENTS[name]():
        if run.name in done:
            continue
        row, per_user, model = execute(run, test=name != "search", progress=progress)
        if isinstance(model, NextItNet | SkipRec) and name != "search":
            weights.mkdir(parents=True, exist_ok=True)
            command = f"python -m skiprec_lite experiment {name}"
            checkpoints.save(model, weights / f"{run.name}.safetensors", command=command, **row)
        if per_user is not None:
            _append(users, {"run": run.name} | {f"user {i}": round(v, 6) for i, v in enumerate(per_user.tolist())})
        _append(table, {"experiment": name} | row)
    return pd.read_csv(table)


def check(name: str, *, folder: Path = RESULTS) -> dict[str, Any]:
    """Run the smallest row of a table again and compare its NDCG@10.

    Raises:
        ValueError: if the table has no such row, or the two differ by more than 0.001.
    """
    smallest = {"search": "full 0", "quality": "markov", "synthetic": "full depth, seed 0"}[name]
    (run,) = (r for r in EXPERIMENTS[name]() if r.name == smallest)
    column = "ndcg@10" if name == "quality" else "validation ndcg@10"
    table = pd.read_csv(folder / f"{name}.csv").set_index("run")
    if smallest not in table.index:
        raise ValueError(f"{name}.csv has no row {smallest!r} yet")
    row, _, _ = execute(run, test=name != "search")
    found = {"run": smallest, "found": row[column], "in the table": float(table[column][smallest])}
    if abs(found["found"] - found["in the table"]) > 1e-3:
        raise ValueError(f"{name}, row {smallest!r}: found {found['found']}, the table says {found['in the table']}")
    return found


def execute(
    run: Run, *, test: bool = True, progress: bool = True
) -> tuple[dict[str, Any], torch.Tensor | None, NextItemModel]:
    """Train and judge one run; `test=False` looks at validation only, as a search for settings must.

    Returns:
        the row of the result table, each user's NDCG@10 on the test cases (None where the row says it all), the model.
    """
    known = users_of_known_depth() if run.protocol == "known depth" else None
    split = known.split() if known else PROTOCOLS[run.protocol](load_movielens())
    start = time.perf_counter()
    model, history = build(run, split), History()
    if isinstance(model, NextItNet | SkipRec):
        fresh = known.fresh if known else None
        history = fit(model, split, seed=run.seed, progress=progress, fresh=fresh, **run.training)
    row: dict[str, Any] = {
        "run": run.name, "model": run.model, "dataset": "synthetic" if known else "ml-100k", "protocol": run.protocol,
        "seed": run.seed, "settings": run.settings(),
        "validation ndcg@10": round(float(ndcg_per_user(model, split.validation).mean()), 5),
    }  # fmt: skip
    per_user = None
    if known:
        row |= _per_group(known, model, split.test)
    else:
        found: dict[str, float] = {}
        if test:
            ranks = rank_cases(model, split.test)
            found, per_user = summarise(ranks), mean_per_user(ndcg(ranks, 10), split.test)
        row |= {key: round(found[key], 5) if test else "" for key in ("ndcg@10", "hr@10", "mrr@5")}
        row |= _blocks(model, split.test if test else split.validation)
    row |= {
        "epochs": len(history.epochs), "chosen": history.chosen, "stopped": history.stopped,
        "seconds": round(time.perf_counter() - start, 1), "threads": torch.get_num_threads(), "version": _commit(),
        "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    return row, per_user, model


def _blocks(model: NextItemModel, cases: Windows) -> dict[str, Any]:
    if isinstance(model, SkipRec):
        gates = gates_of(model, cases)
        return {"blocks": round(float(gates.sum(dim=1).mean()), 3), "patterns": len(gates.unique(dim=0))}
    return (
        {"blocks": len(model.blocks), "patterns": 1} if isinstance(model, NextItNet) else {"blocks": "", "patterns": ""}
    )


def _per_group(known: KnownDepth, model: NextItemModel, cases: Windows) -> dict[str, Any]:
    """Accuracy (share of next items ranked first) of each group, and the pattern that most of its users have."""
    correct = mean_per_user(hit_rate(rank_cases(model, cases), 1), cases)
    gates = gates_of(model, cases) if isinstance(model, SkipRec) else None
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


def _append(path: Path, row: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row.keys(), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def _commit() -> str:
    command = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty", "--abbrev=9"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

"""The long runs behind the figures that a reader does not want to wait for, each one command."""

import csv
import datetime
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from skiprec_lite import checkpoints
from skiprec_lite.backbones import MarkovChain, NextItNet, Popularity
from skiprec_lite.datasets import Interactions, load_movielens
from skiprec_lite.evaluation import evaluate, gates_of, ndcg_per_user
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.splits import Split, last_n, leave_one_out
from skiprec_lite.training import History, fit

RESULTS = Path(__file__).resolve().parent.parent / "data" / "results"
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


TIED = {"tied": True, "dropout": 0.5, "embedding_dropout": 0.2}


def _search() -> list[Run]:
    """At most 20 trials, judged on validation only: first the backbone at full depth, then the policy on the best."""
    full = [
        ({"dropout": 0.3}, {}),
        ({"dropout": 0.5}, {}),
        ({"dropout": 0.3, "tied": True}, {}),
        ({"dropout": 0.5, "tied": True}, {}),
        (TIED, {}),
        (TIED | {"embedding_dropout": 0.4}, {}),
        (TIED | {"dropout": 0.3}, {}),
        (TIED, {"learning_rate": 2e-3}),
        (TIED, {"learning_rate": 5e-4}),
        (TIED, {"weight_decay": 0.1}),
    ]
    return [
        Run(f"full {i}", "nextitnet", backbone=backbone, training={"epochs": 40, **training})
        for i, (backbone, training) in enumerate(full)
    ]


EXPERIMENTS: dict[str, Callable[[], list[Run]]] = {"search": _search}


def build(run: Run, split: Split) -> nn.Module:
    """Make the model that a run describes, its weights drawn from the run's seed."""
    if run.model == "popularity":
        return Popularity(split)
    if run.model == "markov":
        return MarkovChain(split)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        backbone = NextItNet(split.num_items, **run.backbone)
        if run.model == "nextitnet":
            return backbone
        return SkipRec(backbone, PolicyNetwork(split.num_items, len(backbone.blocks), **run.policy))


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
    data = load_movielens()
    splits = {protocol: make(data) for protocol, make in PROTOCOLS.items()}
    for run in EXPERIMENTS[name]():
        if run.name in done:
            continue
        split = splits[run.protocol]
        row, per_user, model = execute(run, split, test=name != "search", progress=progress)
        if per_user is not None:
            checkpoints_folder = folder.parent / "runs" / name
            checkpoints_folder.mkdir(parents=True, exist_ok=True)
            if isinstance(model, NextItNet | SkipRec):
                checkpoints.save(model, checkpoints_folder / f"{run.name}.safetensors", **row)
            _append(users, {"run": run.name} | {f"user {i}": round(v, 6) for i, v in enumerate(per_user.tolist())})
        _append(table, {"experiment": name} | row)
    return pd.read_csv(table)


def execute(
    run: Run, split: Split, *, test: bool = True, progress: bool = True
) -> tuple[dict[str, object], torch.Tensor | None, nn.Module]:
    """Train and judge one run; `test=False` looks at validation only, as a search for settings must."""
    start = time.perf_counter()
    model, history = build(run, split), History()
    if isinstance(model, NextItNet | SkipRec):
        history = fit(model, split, seed=run.seed, progress=progress, **run.training)
    seconds = time.perf_counter() - start
    row: dict[str, object] = {
        "run": run.name, "model": run.model, "dataset": "ml-100k", "protocol": run.protocol, "seed": run.seed,
        "settings": run.settings(),
        "validation ndcg@10": round(float(ndcg_per_user(model, split.validation).mean()), 5),
    }  # fmt: skip
    cases = split.test if test else split.validation
    found = evaluate(model, cases) if test else {}
    row |= {key: round(found[key], 5) if test else "" for key in ("ndcg@10", "hr@10", "mrr@5")}
    row |= {"blocks": "", "patterns": ""}
    if isinstance(model, SkipRec):
        gates = gates_of(model, cases)
        row |= {"blocks": round(float(gates.sum(dim=1).mean()), 3), "patterns": len(gates.unique(dim=0))}
    elif isinstance(model, NextItNet):
        row |= {"blocks": len(model.blocks), "patterns": 1}
    row |= {
        "epochs": len(history.epochs), "chosen": history.chosen, "stopped": history.stopped, "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(), "version": _commit(), "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    return row, ndcg_per_user(model, split.test) if test else None, model


def _append(path: Path, row: dict[str, object]) -> None:
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

"""Which runs of a plan are missing: an experiment is stopped and started again as one likes, each row made once."""

import csv
import os
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from skiprec_lite import checkpoints
from skiprec_lite.backbones import Backbone
from skiprec_lite.controls import RandomGates
from skiprec_lite.datasets import Interactions
from skiprec_lite.lab.plans import EXPERIMENTS, Experiment
from skiprec_lite.lab.random_depth import RandomDepth
from skiprec_lite.lab.runs import COUNTING, Outcome, Run, execute
from skiprec_lite.lab.runs import check as check_run
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.tables import RESULTS, read_table

PACKAGE = Path(__file__).resolve().parent.parent
ROUNDING = 1e-3  # what a machine's own rounding may do to a validation NDCG@10
ONE_SEED = 3e-3  # a row of one seed has no spread of its own: twice the largest of the first edition's models


def run_experiment(
    name: str,
    *,
    folder: Path = RESULTS,
    data: Interactions | None = None,
    uncommitted: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Run what is missing of an experiment; each row is on disk as soon as it is finished.

    Args:
        name: one of EXPERIMENTS.
        folder: where NAME.csv is kept, and beside it NAME_users.csv (each user's NDCG@10 and MRR@5 on the test
            items, under both rankings) and
            NAME_epochs.csv (loss and validation NDCG@10 of each epoch), NAME_groups.csv (each synthetic group's gates
            after each epoch, where the experiment watches them).
        data: what to train and judge on; MovieLens-100K if None. Other data needs a folder of its own.
        uncommitted: run although the package has changes that are in no commit.
        progress: show progress bars.

    Returns:
        The whole table.

    Raises:
        ValueError: for an unknown name or setting, for uncommitted changes, for a row in the table that was made
            with other settings or data, and for a setting that changed nothing.
    """
    experiment = _find(name)
    if data and folder.resolve() == RESULTS.resolve():
        raise ValueError(f"{folder} holds the course's tables: choose another folder for runs on {data.name}")
    runs = experiment.runs()
    for run in runs:
        check_run(run)
    version = commit(uncommitted=uncommitted)
    table, users, epochs, groups = (folder / f"{name}{part}.csv" for part in ("", "_users", "_epochs", "_groups"))
    stored = folder.parent / "runs"
    done = _finished(table, runs, data)
    for side_table in (users, epochs, groups):  # a run that was killed may have left rows there, but none in the table
        if side_table.exists():
            keep_rows(side_table, done)
    for run in runs:
        if run.name in done:
            continue
        outcome = execute(
            run, test=experiment.test, version=version, progress=progress, watch=experiment.watch, stored=stored,
            data=data,
        )  # fmt: skip
        _refuse_a_setting_without_effect(outcome.row, table)
        _save_weights(outcome, stored / name, command=f"python -m skiprec_lite experiment {name}")
        if outcome.per_user:
            append_rows(users, [_of_users(run, measure, values) for measure, values in outcome.per_user.items()])
        if outcome.history.epochs:
            append_rows(epochs, [{"run": run.name} | _epoch(record) for record in outcome.history.epochs])
        if outcome.groups:
            append_rows(groups, [{"run": run.name} | record for record in outcome.groups])
        append_rows(table, [{"experiment": name} | outcome.row])
    return read_table(table)


def check(name: str, *, folder: Path = RESULTS, progress: bool = True) -> dict[str, Any]:
    """Run the smallest row of a table again: is its validation NDCG@10 level with the table's?

    Raises:
        ValueError: if the table has no such row, or the two are not level.
        FileNotFoundError: if the row starts from the weights of an earlier run that are not there.
    """
    experiment = _find(name)
    (run,) = (r for r in experiment.runs() if r.name == experiment.smallest)
    table = read_table(folder / f"{name}.csv")
    compared = _compared(table)
    in_rows: dict[str, float] = dict(zip(table["run"], table[compared]))
    if run.name not in in_rows:
        raise ValueError(f"{name}.csv has no row {run.name!r} yet")
    in_table = in_rows[run.name]
    allowed, why = allowance(run, table)
    row = execute(run, test=False, stored=folder.parent / "runs", progress=progress).row
    found = row[compared]
    if abs(found - in_table) > allowed:
        raise ValueError(
            f"{name}, row {run.name!r}: found {found}, the table says {in_table}, "
            f"further apart than {allowed:.4f} ({why})"
        )
    return {"run": run.name, "found": found, "in the table": in_table, "allowance": allowed, "why": why}


def allowance(run: Run, table: pd.DataFrame) -> tuple[float, str]:
    """How far from its row in the table a run may end on a machine that rounds otherwise, and why so far."""
    if run.model in COUNTING:
        return ROUNDING, "it counts: nothing is drawn"
    mine = _but_for_the_seed(run.settings(), run.seed)
    twins = [
        (model, protocol, _but_for_the_seed(settings, seed)) == (run.model, run.protocol, mine)
        for model, protocol, settings, seed in zip(table["model"], table["protocol"], table["settings"], table["seed"])
    ]
    if sum(twins) < 2:
        return ONE_SEED, "one seed in the table: twice the largest spread of the first edition's models"
    spread = float(table[_compared(table)][twins].std())
    return max(ROUNDING, 2 * spread), f"twice the spread over {sum(twins)} seeds, at least {ROUNDING}"


def _compared(table: pd.DataFrame) -> str:
    """The column that epochs were chosen by."""
    return "validation ndcg@10 unseen" if "validation ndcg@10 unseen" in table else "validation ndcg@10 all"


def _but_for_the_seed(settings: str, seed: int) -> str:
    return settings.replace(f", seed {seed}", "")


def _find(name: str) -> Experiment:
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}: choose from {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def _finished(path: Path, runs: list[Run], data: Interactions | None) -> set[str]:
    """Names of the runs that the table holds; each must have been made with today's settings and on this data."""
    if not path.exists():
        return set()
    wanted = {run.name: run for run in runs}
    table = read_table(path)
    for row in table.itertuples():
        run = wanted.get(str(row.run))
        if run is None or run.settings() != row.settings or run.seed != row.seed:
            raise ValueError(
                f"{path.name}, row {row.run!r}, was made with other settings than today's: delete that row"
            )
        if row.dataset not in ("synthetic", data.name if data else "ml-100k"):
            raise ValueError(f"{path.name}, row {row.run!r}, was made on {row.dataset}: choose another folder")
    return set(table["run"])


def _refuse_a_setting_without_effect(row: dict[str, Any], path: Path) -> None:
    """Two runs that end with the same bits: what was varied between them is not read by anything."""
    if not path.exists() or not row["epochs"]:  # not trained: two ways to read counts or to choose gates may agree
        return
    table = read_table(path)
    for twin in table[table["weights"] == row["weights"]].to_dict("records"):
        varied = [key for key in ("model", "protocol", "seed", "settings") if str(twin[key]) != str(row[key])]
        what = "; ".join(f"{key}: {twin[key]} and {row[key]}" for key in varied) or "nothing"
        raise ValueError(f"runs {twin['run']!r} and {row['run']!r} end with the same weights; they differ in {what}")


def _save_weights(outcome: Outcome, folder: Path, *, command: str) -> None:
    model = outcome.model
    if isinstance(model, RandomGates | RandomDepth):
        model = model.as_skiprec() if isinstance(model, RandomGates) else model.backbone
    if isinstance(model, Backbone | SkipRec) and outcome.history.epochs:  # and not an earlier run, judged again
        folder.mkdir(parents=True, exist_ok=True)
        notes = outcome.row | {"command": command, "trained on": outcome.trained_on}
        checkpoints.save(model, folder / f"{outcome.row['run']}.safetensors", **notes)


def _of_users(run: Run, measure: str, values: Tensor) -> dict[str, str]:
    short = [f"{round(value, 4):g}".removeprefix("0") or "0" for value in values.tolist()]  # half as large a file
    return {"run": run.name, "measure": measure} | {f"user {i}": value for i, value in enumerate(short)}


def _epoch(record: dict[str, float | int | bool]) -> dict[str, Any]:
    names = ("epoch", "loss", "ndcg", "ndcg_sampled", "keep_probability", "keep_rate", "cost")
    return {name: round(record[name], 5) if name in record else "" for name in names}


def commit(*, uncommitted: bool = False) -> str:
    """Name the commit that the package is at, so that a row says which code made it; "unknown" outside a repository.

    With changes in no commit the name ends in -dirty; unless `uncommitted` allows them they are a ValueError.
    """
    try:
        name = _git("rev-parse", "--short=9", "HEAD")
        changes = _git("status", "--porcelain", "--", str(PACKAGE))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    if changes and not uncommitted:
        raise ValueError(
            "the package has changes that are in no commit, so that nobody could run the same again: commit them, "
            f"or allow them with --uncommitted:\n{changes}"
        )
    return f"{name}-dirty" if changes else name


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()


def append_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Add rows to a table, all of them in one write; the first ones bring the header.

    Raises:
        ValueError: if the table has other columns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    if not new and (columns := list(read_table(path).columns)) != list(rows[0]):
        raise ValueError(f"{path.name} has the columns {columns}, the new row {list(rows[0])}")
    with path.open("a", newline="", encoding="utf-8", buffering=1 << 24) as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def keep_rows(path: Path, names: Collection[str]) -> None:
    """Drop the rows of all other runs from a table, as a whole or not at all."""
    table = read_table(path)
    if table["run"].isin(names).all():
        return
    part = path.with_suffix(".part")
    table[table["run"].isin(names)].to_csv(part, index=False, lineterminator="\n")
    os.replace(part, path)

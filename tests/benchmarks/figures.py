"""What the benchmarks found, in one table: python tests/benchmarks/figures.py --recbole-python RECBOLE/bin/python.

Runs them one after the other, on an idle machine a quarter of an hour, and writes data/results/bench.csv: one row a
figure, with its spread over the rounds of the run (quartiles), what was wanted, and the command that measures it alone.
Every figure is a ratio of two things that took turns, or CPU seconds. Without `--recbole-python` the row about RecBole
stays as it is; its environment is described in recbole_epoch.py.
"""

import argparse
import csv
import datetime
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "data" / "results" / "bench.csv"


class Spread(NamedTuple):
    """A median and the quartiles around it."""

    middle: float
    low: float
    high: float


class Figure(NamedTuple):
    """One row of the table."""

    what: str
    found: Spread
    wanted: str
    note: str
    script: str

    def __str__(self) -> str:
        """Say it on one line."""
        middle, low, high = self.found
        return f"{self.what}: {middle:.3g} ({low:.3g} to {high:.3g}), wanted {self.wanted}; {self.note}"


def spread_of(numbers: Iterable[float]) -> Spread:
    """Take the median and the quartiles."""
    held = list(numbers)
    low, middle, high = statistics.quantiles(held, n=4, method="inclusive") if len(held) > 1 else held * 3
    return Spread(middle, low, high)


def in_turn(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Time all ways in turn, so that a machine whose speed drifts treats them alike; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: found[1:] for name, found in seconds.items()}


def processor() -> str:
    """Name the CPU, as well as the system knows it."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line] if info.is_file() else []
    return names[0].split(":")[1].strip() if names else platform.processor() or platform.machine()


def write(figures: Iterable[Figure]) -> None:
    """Put these rows into the table, in place of older ones of the same name."""
    version = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    columns = ("figure", "found", "low", "high", "wanted", "note", "command", "cpu", "torch", "version", "date")
    rows = {}
    if TABLE.is_file():
        with TABLE.open(encoding="utf-8", newline="") as file:
            rows = {row["figure"]: row for row in csv.DictReader(file)}
    for figure in figures:
        numbers = [f"{number:.3f}" for number in figure.found]
        made = (f"python tests/benchmarks/{figure.script}", processor(), torch.__version__, version.strip())
        row = (figure.what, *numbers, figure.wanted, figure.note, *made, datetime.date.today().isoformat())
        rows[figure.what] = dict(zip(columns, row))
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def main() -> None:
    """Run all benchmarks that give a figure."""
    import recbole_epoch
    import skip_blocks
    import starting
    import step
    import train_seconds

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recbole-python", type=Path, help="Python of an environment with RecBole 1.2.1")
    recbole_python = parser.parse_args().recbole_python
    for measure in (starting.measure, step.measure, skip_blocks.measure, train_seconds.measure):
        found = measure()
        print(*found, sep="\n", flush=True)
        write(found)
    if recbole_python:
        for dropout in (0.0, 0.5):
            row = recbole_epoch.measure(str(recbole_python), 10, dropout=dropout)
            note = f"{row['recbole_seconds']} s and {row['ours_seconds']} s; low and high: the extreme rounds"
            ratio = Spread(row["ratio"], row["low"], row["high"])
            found = [Figure(row["what"], ratio, ">= 28", note, f"recbole_epoch.py{row['command'].split('.py', 1)[1]}")]
            print(*found, sep="\n", flush=True)
            write(found)


if __name__ == "__main__":
    main()

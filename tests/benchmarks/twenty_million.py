"""From a file of twenty million rows to a split: seconds and peak memory.

    python tests/benchmarks/twenty_million.py [FOLDER]

writes a CSV of MovieLens-20M's shape (138,493 users with 20 items or more, 26,744 items, 20,000,263 rows in no order
of time) into FOLDER, a temporary one by default, then reads it and splits it in a process of its own, each step timed.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from skiprec_lite.datasets import read_interactions
from skiprec_lite.splits import last_n, leave_one_out

USERS, ITEMS, ROWS = 138_493, 26_744, 20_000_263


def write(path: Path) -> None:
    """Users of 20 to some thousands of items, items as popular as Zipf has it, ids with gaps."""
    rng = np.random.default_rng(0)
    share = rng.lognormal(0, 1.1, USERS)
    more = rng.multinomial(ROWS - 20 * USERS, share / share.sum())
    users = np.repeat(np.arange(1, USERS + 1), 20 + more)
    popularity = 1 / np.arange(10, ITEMS + 10)
    items = rng.choice(ITEMS, ROWS, p=popularity / popularity.sum())
    items[:ITEMS] = np.arange(ITEMS)
    ids = np.sort(rng.choice(131_262, ITEMS, replace=False)) + 1
    table = pd.DataFrame({
        "userId": users, "movieId": ids[items], "rating": rng.integers(1, 11, ROWS) / 2,
        "timestamp": rng.integers(789_652_009, 1_427_784_002, ROWS),
    })  # fmt: skip
    with path.open("w") as file:
        file.write("userId,movieId,rating,timestamp\n")
        for part in np.array_split(np.arange(ROWS), 40):  # a table of text is twenty times as large
            table.iloc[part[0] : part[-1] + 1].to_csv(file, index=False, header=False)


def peak() -> float:
    """Memory of this process so far, at its highest, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(path: Path) -> None:
    """Read and split in two ways."""
    start = time.perf_counter()
    data = read_interactions(path)
    print(f"read_interactions {time.perf_counter() - start:6.1f} s, peak {peak():.2f} GB: {len(data.table):,} rows, "
          f"{len(data.user_ids):,} users, {data.num_items:,} items")  # fmt: skip
    for split_by in (leave_one_out, last_n):
        start = time.perf_counter()
        split = split_by(data)
        print(f"{split_by.__name__:<17} {time.perf_counter() - start:6.1f} s, peak {peak():.2f} GB: "
              f"{len(split.train):,} windows, {len(split.test):,} test cases")  # fmt: skip
        del split


def main(folder: Path) -> None:
    path = folder / "twenty_million.csv"
    if not path.exists():
        write(path)
    print(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB")
    process = multiprocessing.get_context("spawn").Process(target=measure, args=(path,))  # its peak is not the writer's
    process.start()
    process.join()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))

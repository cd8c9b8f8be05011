"""What does `train` cost, against an older version of the package? python tests/benchmarks/train_seconds.py.

`python -m skiprec_lite train` with its defaults, in two processes that take turns: this version and the one of
`--against` (the last commit with the first edition's settings). CPU seconds, start and judging included, and the test
NDCG@10 of this version's weights minus that of the older one's, among the films that a user has not met, paired by
user, each with the seed of its round. On 2 cores a round is 5 minutes. The machine must be idle: two threads that
wait for each other beside other work burn minutes.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from figures import ROOT, Figure, spread_of
from starting import cpu_seconds

from skiprec_lite import checkpoints
from skiprec_lite.datasets import load_movielens
from skiprec_lite.downloads import data_folder
from skiprec_lite.evaluation import ndcg_per_user
from skiprec_lite.metrics import paired_difference
from skiprec_lite.splits import last_n

BEFORE = "12959ed"


def measure(rounds: int = 3, against: str = BEFORE) -> list[Figure]:
    """New / old CPU seconds, and the paired difference in quality."""
    test = last_n(load_movielens()).test
    ratios, seconds, differences = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        subprocess.run(["git", "worktree", "add", "--detach", str(old), against], cwd=ROOT, check=True)
        try:
            for seed in range(rounds):
                found, quality = {}, {}
                for name, where in (("old", old), ("new", ROOT)):
                    weights = Path(folder) / f"{name}.safetensors"
                    environment = os.environ | {"PYTHONPATH": str(where), "SKIPREC_DATA": str(data_folder())}
                    told = ("-m", "skiprec_lite", "train", "--json", "--seed", str(seed), "--output", str(weights))
                    found[name] = cpu_seconds(*told, folder=where, environment=environment)
                    quality[name] = ndcg_per_user(checkpoints.load(weights), test)
                seconds.append(found)
                ratios.append(found["new"] / found["old"])
                differences.append(paired_difference(quality["new"], quality["old"]))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(old)], cwd=ROOT, check=True)
    old_and_new = [statistics.median(found[name] for found in seconds) for name in ("old", "new")]
    level = ", ".join(f"{d.mean:+.4f} ± {d.error:.4f}" for d in differences)
    note = "{:.0f} and {:.0f} CPU seconds; ".format(*old_and_new)
    note += f"test NDCG@10, unseen, {level} (paired by user), a difference a seed; {os.cpu_count()} cores"
    return [Figure("CPU seconds of train, new / old", spread_of(ratios), "<= 0.50", note, "train_seconds.py")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", default=BEFORE)
    options = parser.parse_args()
    print(*measure(options.rounds, options.against), sep="\n")

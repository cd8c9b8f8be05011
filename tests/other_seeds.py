"""Do the lessons' claims hold with other seeds? Run by hand: python tests/other_seeds.py [LESSON …] (not a part of CI).

Outputs may differ from the committed ones, so --nbval-lax looks at errors only; a claim that fails is one.
"""

import os
import subprocess
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SEEDS = range(1, 6)


def main(lessons: list[str]) -> int:
    """Run each lesson (all of them if none is named) with each seed; return how many runs failed."""
    failed = 0
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        if lessons and not any(path.name.startswith(lesson) for lesson in lessons):
            continue
        for seed in SEEDS:
            options = [
                "-q",
                "-n",
                "0",
                "-p",
                "no:cacheprovider",
                "-o",
                "addopts=",
                "--nbval-lax",
                "--nbval-current-env",
            ]
            run = subprocess.run(
                [sys.executable, "-m", "pytest", *options, str(path)],
                env=os.environ | {"SKIPREC_SEED": str(seed)},
                capture_output=True,
                text=True,
                check=False,
            )
            failed += run.returncode != 0
            print(f"{path.name}, seed {seed}: {run.stdout.strip().splitlines()[-1]}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How soon does the command line answer? Run it with: python tests/benchmarks/starting.py.

CPU seconds (user and system, children included) of `python -m skiprec_lite --help`, in a process of its own.
"""

import os
import subprocess
import sys

from figures import ROOT, Figure, spread_of


def cpu_seconds(*arguments: str, folder: os.PathLike = ROOT, environment: dict[str, str] | None = None) -> float:
    """Run Python with these arguments; CPU seconds of the process and its children. Not on Windows."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(rounds: int = 9) -> list[Figure]:
    """CPU seconds of --help."""
    found = [cpu_seconds("-m", "skiprec_lite", "--help") for _ in range(rounds)]
    return [Figure("CPU seconds of --help", spread_of(found), "<= 0.4", f"{rounds} runs", "starting.py")]


if __name__ == "__main__":
    print(*measure(), sep="\n")

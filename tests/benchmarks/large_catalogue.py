"""Does a large catalogue train, and a very deep net? Run it with: python tests/benchmarks/large_catalogue.py.

Catalogues: a training step (draw, loss, gradient, AdamW) of a NextItNet with 8 blocks of 64 channels, batch 64,
windows of 50, every position scored: 1,682 items with the full softmax, and 100,000 with a sampled and with the full
one. Depth: an epoch of `fit` with 128 blocks, batch 32, on 1,000 windows of 50. One thread; every case has a process of
its own, so that its peak memory is its own, too (the largest resident set, in which Python and torch alone are some 250
MB); times are wall-clock, and a machine that does something else meanwhile adds to them.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from skiprec_lite.backbones import NextItNet
from skiprec_lite.softmax import sampled
from skiprec_lite.stages import Stage, next_item_loss
from skiprec_lite.synthetic import users_of_known_depth
from skiprec_lite.training import fit
from skiprec_lite.windows import Windows

# name: size of the catalogue, items that a step is trained against
CATALOGUES: dict[str, tuple[int, int | None]] = {
    "1,682 items, full softmax": (1_682, None),
    "1,682 items, 1,000 sampled": (1_682, 1_000),
    "100,000 items, 2,000 sampled": (100_000, 2_000),
    "100,000 items, full softmax": (100_000, None),
}
DEPTH = "128 blocks"


def peak() -> str:
    """Return this process's largest resident set so far (Linux counts in KB, macOS in bytes)."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"peak memory {largest / (2**30 if sys.platform == 'darwin' else 2**20):.2f} GB"


def steps(num_items: int, negatives: int | None, repeats: int) -> str:
    """Time training steps on random windows; the first two warm up."""
    items = torch.randint(1, num_items + 1, (64, 51))
    batch = Windows(items[:, :-1], items[:, 1:], torch.full((64,), 49), torch.arange(64))
    model = NextItNet(num_items, channels=64, dilations=(1, 4) * 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    stages = [Stage(1)]
    (stage,) = stages if negatives is None else sampled(stages, num_items, negatives)
    seconds: dict[str, list[float]] = {"step": [], "of which AdamW": []}
    for _ in range(repeats + 2):
        start = time.perf_counter()
        optimizer.zero_grad()
        stage.minimises(model, batch, 0.0).backward()
        before = time.perf_counter()
        optimizer.step()
        seconds["step"].append(time.perf_counter() - start)
        seconds["of which AdamW"].append(time.perf_counter() - before)
    found = [
        f"{name} {1e3 * statistics.median(times[2:]):.0f} ms (fastest {1e3 * min(times[2:]):.0f})"
        for name, times in seconds.items()
    ]
    return ", ".join([*found, peak()])


def depth(blocks: int = 128) -> str:
    """Train a deep NextItNet for one epoch on synthetic users, whose loss at the start is that of chance."""
    world = users_of_known_depth((0, 3), users_per_group=500)
    split = world.split()
    split = replace(split, validation=split.validation.rows(slice(0, 64)))
    model = NextItNet(world.num_items, channels=64, dilations=(1, 4) * (blocks // 2))
    batches = [split.train.rows(slice(start, start + 32)) for start in range(0, 320, 32)]
    with torch.no_grad():
        at_start = statistics.mean(float(next_item_loss(model, batch)) for batch in batches)
    start = time.perf_counter()
    history = fit(model, split, epochs=1, batch_size=32, progress=False)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        at_end = statistics.mean(float(next_item_loss(model, batch)) for batch in batches)
    return (
        f"{len(split.train)} windows of {world.length}, loss {at_start:.3f} before, {history.epochs[0]['loss']:.3f} on "
        f"average, {at_end:.3f} after, epoch {seconds:.0f} s, {peak()}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="steps timed for each catalogue")
    parser.add_argument("--case", choices=[*CATALOGUES, DEPTH], help="measure this one only, in this process")
    options = parser.parse_args(arguments)
    if options.case is None:
        for case in (*CATALOGUES, DEPTH):
            command = [sys.executable, __file__, "--repeats", str(options.repeats), "--case", case]
            found = subprocess.run(command, check=False)
            if found.returncode:
                print(f"{case}: did not finish (exit status {found.returncode}: not enough memory?)", flush=True)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    line = depth() if options.case == DEPTH else steps(*CATALOGUES[options.case], options.repeats)
    print(f"{options.case}: {line}", flush=True)


if __name__ == "__main__":
    main()

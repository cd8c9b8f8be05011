"""How close does skipping come to the ideal? Run it with: python tests/benchmarks/skip_blocks.py.

32 blocks of 64 channels, windows of 50, each block kept by each user with probability 0.3, gates given (no policy),
one thread. The ideal is the share of kept blocks times the best time of full depth over chunk sizes: a large batch at
once spills the cache, which is no merit of skipping.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from skiprec_lite.backbones import NextItNet
from skiprec_lite.skipping import encode_kept

CHUNKS = (8, 16, 32, 64, 128, 256)


def in_turn(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Time all ways in turn, so that a machine whose speed drifts treats them alike; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: found[1:] for name, found in seconds.items()}


def measure(batch: int, *, keep_rate: float = 0.3, blocks: int = 32, repeats: int = 15) -> None:
    """Print the time of full depth for each chunk size, of skipping, and ideal / measured."""
    generator = torch.Generator().manual_seed(0)
    net = NextItNet(1682, channels=64, dilations=(1, 4) * (blocks // 2)).eval()
    items = torch.randint(1, 1683, (batch, 50), generator=generator)
    gates = (torch.rand(batch, blocks, generator=generator) < keep_rate).float()

    def at_full_depth(size: int) -> list[Tensor]:
        return [net.encode(part) for part in items.split(size)]

    ways: dict[str, Callable[[], object]] = {
        f"all blocks, {size} users at once": lambda size=size: at_full_depth(size) for size in CHUNKS if size <= batch
    }
    ways["kept blocks"] = lambda: encode_kept(net, items, gates)
    seconds, share = in_turn(ways, repeats), float(gates.mean())
    print(f"batch {batch}, {blocks} blocks, share kept {share:.3f}")
    for how, of in (("median", statistics.median), ("fastest", min)):
        found = {name: of(times) for name, times in seconds.items()}
        kept = found.pop("kept blocks")
        best = min(found, key=found.__getitem__)
        print(
            f"  {how:>7}: {best} {1e3 * found[best]:.1f} ms, kept blocks {1e3 * kept:.1f} ms, "
            f"speed-up {found[best] / kept:.2f}, ideal / measured {share * found[best] / kept:.2f}"
        )


def main() -> None:
    """Measure at batch 256 and 32."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 32])
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for batch in options.batches:
            measure(batch, repeats=options.repeats)


if __name__ == "__main__":
    main()

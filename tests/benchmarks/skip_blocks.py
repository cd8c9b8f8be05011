"""How close does skipping come to the ideal? Run it with: python tests/benchmarks/skip_blocks.py.

32 blocks of 64 channels, windows of 50, each block kept by each user with probability 0.3, gates given (no policy),
one thread. The ideal is the share of kept blocks times the best time of full depth over chunk sizes: a large batch at
once spills the cache, which is no merit of skipping. And one user alone, as an answer to a request: the policy decides,
the kept blocks run, all items are scored, against the same at full depth.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from figures import Figure, in_turn, spread_of
from torch import Tensor

from skiprec_lite.backbones import NextItNet
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skipping import encode_kept
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import last_position

CHUNKS = (8, 16, 32, 64, 128, 256)
KEEP_RATE, BLOCKS, NUM_ITEMS = 0.3, 32, 1682


def a_net() -> NextItNet:
    """Make the backbone that all of this is about."""
    return NextItNet(NUM_ITEMS, channels=64, dilations=(1, 4) * (BLOCKS // 2)).eval()


def batch_against_ideal(batch: int, repeats: int) -> Figure:
    """Ideal / measured of one batch, round by round."""
    generator = torch.Generator().manual_seed(0)
    net = a_net()
    items = torch.randint(1, NUM_ITEMS + 1, (batch, 50), generator=generator)
    gates = (torch.rand(batch, BLOCKS, generator=generator) < KEEP_RATE).float()

    def at_full_depth(size: int) -> list[Tensor]:
        return [net.encode(part) for part in items.split(size)]

    ways: dict[str, Callable[[], object]] = {
        f"{size} users at once": lambda size=size: at_full_depth(size) for size in CHUNKS if size <= batch
    }
    ways["kept blocks"] = lambda: encode_kept(net, items, gates)
    seconds, share = in_turn(ways, repeats), float(gates.mean())
    kept = seconds.pop("kept blocks")
    best = min(seconds, key=lambda name: statistics.median(seconds[name]))
    ratios = [share * full / skipped for full, skipped in zip(seconds[best], kept)]
    full_ms, kept_ms = (1e3 * statistics.median(times) for times in (seconds[best], kept))
    note = f"all blocks {full_ms:.1f} ms ({best}), kept ones {kept_ms:.1f} ms, share kept {share:.3f}"
    wanted = {256: ">= 0.85", 32: ">= 0.75"}.get(batch, "-")
    return Figure(f"skip_blocks: ideal / measured, batch {batch}", spread_of(ratios), wanted, note, "skip_blocks.py")


def one_user(repeats: int) -> Figure:
    """Full depth / policy and kept blocks, user by user."""
    generator = torch.Generator().manual_seed(0)
    net = a_net()
    model = SkipRec(net, PolicyNetwork(NUM_ITEMS, BLOCKS)).eval()
    ratios, times = [], []
    for _ in range(repeats):
        items = torch.randint(1, NUM_ITEMS + 1, (1, 50), generator=generator)
        gates = (torch.rand(1, BLOCKS, generator=generator).argsort() < round(KEEP_RATE * BLOCKS)).float()
        where = last_position(items)

        def with_policy() -> None:
            model.gates(items, sample=False)  # noqa: B023 - its cost; which blocks are kept is given
            model.score_at(items, where, gates=gates)  # noqa: B023

        seconds = in_turn({"full": lambda: net.score_at(items, where), "kept": with_policy}, 5)  # noqa: B023
        full, kept = (statistics.median(seconds[name]) for name in ("full", "kept"))
        ratios.append(full / kept)
        times.append((full, kept))
    full_ms, kept_ms = (1e3 * statistics.median(found) for found in zip(*times))
    note = f"{full_ms:.1f} ms and {kept_ms:.1f} ms, {BLOCKS} blocks, {round(KEEP_RATE * BLOCKS)} kept, policy included"
    return Figure("one user: all blocks / policy and kept ones", spread_of(ratios), ">= 2.2", note, "skip_blocks.py")


@torch.no_grad()
def measure(repeats: int = 25, batches: tuple[int, ...] = (256, 32)) -> list[Figure]:
    """Measure batches and one user on one thread."""
    torch.set_num_threads(1)
    return [*(batch_against_ideal(batch, repeats) for batch in batches), one_user(repeats)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 32])
    options = parser.parse_args()
    print(*measure(options.repeats, tuple(options.batches)), sep="\n")

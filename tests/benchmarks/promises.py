"""What it costs to keep a promise: microseconds a call of a guarded function that does nothing else.

Run with: python tests/benchmarks/promises.py
"""

import timeit

import torch
from jaxtyping import Float, Int
from torch import Tensor

from skiprec_lite.promises import Positive, Size, validated

LOGITS, PAIRS, GATES, ITEMS = torch.zeros(64, 8), torch.zeros(64, 8, 2), torch.ones(64, 8), torch.ones(64, 50).long()
SOURCE = torch.Generator()


@validated
def sampler(
    logits: Float[Tensor, "*batch classes"],
    tau: Positive = 10.0,
    *,
    hard: bool = False,
    generator: torch.Generator | None = None,
) -> None:
    """Take what a sampler takes."""


@validated
def walk(items: Int[Tensor, "batch time"], gates: Float[Tensor, "batch block"], k: Size) -> None:
    """Take what a walk through gated blocks takes."""


CALLS = {
    "sampler(LOGITS)": "a tensor",
    "sampler(LOGITS, 1.0, hard=True, generator=SOURCE)": "a tensor, a number, a flag, a generator",
    "walk(ITEMS, GATES, 3)": "two tensors with an axis in common, a size",
    "walk.__wrapped__(ITEMS, GATES, 3)": "the same without guards",
}

if __name__ == "__main__":
    for call, what in CALLS.items():
        seconds = min(timeit.repeat(call, globals=globals(), number=20_000, repeat=7)) / 20_000
        print(f"{seconds * 1e6:5.2f} µs  {what}: {call}")

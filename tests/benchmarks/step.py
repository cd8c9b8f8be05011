"""How much of a joint training step are its matrix products? Run it with: python tests/benchmarks/step.py.

The step that `train` takes between warm-up and settling: 8 blocks of 64 channels, 32 windows of MovieLens-100K, sampled
gates, both dropouts, AdamW; one thread. The products are all matrix products of one such step, forward and backward,
done again alone. The two take turns, so that a machine whose speed drifts treats them alike.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from figures import Figure, in_turn, spread_of
from torch.utils._python_dispatch import TorchDispatchMode

from skiprec_lite.datasets import load_movielens
from skiprec_lite.lab import plans, runs
from skiprec_lite.splits import last_n

PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default)


class Recorder(TorchDispatchMode):
    """Keep every matrix product that runs, with what it multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[Callable[[], object]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in PRODUCTS:
            self.products.append(lambda: function(*args, **kwargs))
        return function(*args, **kwargs)


def a_step() -> Callable[[], None]:
    """Make the joint step of the default training, on one batch."""
    split = last_n(load_movielens())
    run = plans.chosen_run()
    model = runs.build(run, split).train()
    joint = runs.stages_of(run, split.num_items)[1]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    batch = split.train.rows(torch.randperm(len(split.train))[:32])

    def step() -> None:
        optimizer.zero_grad()
        loss = joint.minimises(model, batch, joint.cost)
        loss.item()
        loss.backward()
        optimizer.step()

    return step


def measure(rounds: int = 40) -> list[Figure]:
    """Step / products, round by round, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    step = a_step()
    for _ in range(3):
        step()
    with Recorder() as recorder:
        step()

    def products() -> None:
        with torch.no_grad():
            for product in recorder.products:
                product()

    seconds = in_turn({"step": step, "products": products}, rounds)
    ratios = [whole / part for whole, part in zip(seconds["step"], seconds["products"])]
    both = "; ".join(f"{name} {1e3 * spread_of(times).middle:.1f} ms" for name, times in seconds.items())
    return [Figure("joint step / its matrix products", spread_of(ratios), "<= 2.0", f"{both}; one thread", "step.py")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    for figure in measure(parser.parse_args().rounds):
        print(figure)

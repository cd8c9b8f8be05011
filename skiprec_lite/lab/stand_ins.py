"""Gates of a trained SkipRec that its policy did not choose: what it is judged under for comparison."""

from collections.abc import Callable

import torch
from torch import Tensor

from skiprec_lite.controls import another_users, most_frequent_pattern, random_gates, shuffled_histories
from skiprec_lite.evaluation import gates_of
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

DRAWS = 20
LOWER = 0.2  # a threshold below the greedy one: who is undecided keeps


def _at_the_same_rate(model: SkipRec, cases: Windows) -> list[Tensor]:
    rows, blocks = (gates := gates_of(model, cases)).shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [random_gates(rows, blocks, float(gates.mean())) for _ in range(DRAWS)]


def _sampled(model: SkipRec, cases: Windows) -> list[Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [gates_of(model, cases, sample=True) for _ in range(DRAWS)]


def kept_above(logits: Tensor, threshold: float = LOWER) -> Tensor:
    """Keep what the policy keeps with more than this probability; one half gives the greedy gates."""
    return (logits.softmax(dim=-1)[..., 0] > threshold).to(logits.dtype)


@torch.no_grad()
def _undecided_keep(model: SkipRec, cases: Windows) -> list[Tensor]:
    return [kept_above(model.gate_logits(cases.items, cases.cut))]


# How a trained SkipRec's gates are chosen instead; more than one row of gates per user where chance has a part.
CONTROLS: dict[str, Callable[[SkipRec, Windows], list[Tensor]]] = {
    "full depth": lambda model, cases: [torch.ones_like(gates_of(model, cases))],
    "sampled": _sampled,
    "random, same rate": _at_the_same_rate,
    "most frequent pattern": lambda model, cases: [most_frequent_pattern(gates_of(model, cases))],
    "another user's": lambda model, cases: [another_users(gates_of(model, cases))],
    f"threshold {LOWER}": _undecided_keep,
    "shuffled history": lambda model, cases: [gates_of(model, shuffled_histories(cases))],
}

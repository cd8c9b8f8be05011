"""What happened in a training, and which of its epochs is kept. Built in lessons 06 and 08."""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from skiprec_lite.metrics import Estimate, paired_difference


@dataclass
class History:
    """What happened in a training run. Built in lessons 06 and 08.

    Attributes:
        epochs: one dict per epoch: epoch, loss, ndcg (validation NDCG@10, greedy gates), and for a SkipRec also
            ndcg_sampled, keep_probability (mean of the policy's), keep_rate (share of greedy gates that keep),
            cost (weight of the gates at the end of the epoch); candidate says whether the epoch could be chosen.
        chosen: the epoch whose weights the model holds at the end; -1 if not even the first was finished.
        stopped: "all epochs run", "no better for N epochs" or "interrupted".
        note: why `chosen` is not the outcome of the usual rule, else empty.
        behind_best: for each candidate epoch, how far its NDCG lies below the best one's and the standard error of
            that paired difference.
    """

    epochs: list[dict[str, float | int | bool]] = field(default_factory=list)
    chosen: int = 0
    stopped: str = "all epochs run"
    note: str = ""
    behind_best: dict[int, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """An epoch that may be chosen: mean number of blocks, each user's validation NDCG@10, the weights."""

    epoch: int
    blocks: float
    ndcg: Float[Tensor, " user"]
    weights: dict[str, Tensor]


def best_of(candidates: list[Candidate]) -> Candidate:
    """The one with the largest mean NDCG, however many blocks it needs."""
    return max(candidates, key=lambda c: c.ndcg.mean())


def choose(front: list[Candidate]) -> Candidate:
    """Among those within one paired standard error of the best NDCG, the one with fewest blocks. Built in lesson 08."""
    best = best_of(front)
    as_good = []
    for candidate in front:
        behind, error = paired_difference(best.ndcg, candidate.ndcg)
        if behind <= error:
            as_good.append(candidate)
    return min(as_good, key=lambda c: (c.blocks, -c.ndcg.mean()))


def keep_the_front(front: list[Candidate], new: Candidate) -> list[Candidate]:
    """Candidates that no other one beats or equals in both quality and blocks.

    Only these are kept in memory and can be chosen: who is beaten in both has no claim, even where the paired error
    of its beater happens to be smaller than its own.
    """

    def beats(a: Candidate, b: Candidate) -> bool:
        return bool(a.ndcg.mean() >= b.ndcg.mean()) and a.blocks <= b.blocks

    if any(beats(old, new) for old in front):
        return front
    return [old for old in front if not beats(new, old)] + [new]


@dataclass
class Choice:
    """The epochs of a training that may be chosen, as far as it has come."""

    front: list[Candidate] = field(default_factory=list)
    ndcg_of: dict[int, Float[Tensor, " user"]] = field(default_factory=dict)

    def add(self, epoch: int, model: nn.Module, ndcg: Float[Tensor, " user"], blocks: float) -> None:
        """Take an epoch in, with a copy of the model's weights."""
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.front = keep_the_front(self.front, Candidate(epoch, blocks, ndcg, weights))
        self.ndcg_of[epoch] = ndcg

    def no_better_since(self, epoch: int) -> int:
        """How many epochs ago the best one was."""
        return epoch - best_of(self.front).epoch

    def keep(self, model: nn.Module, history: History) -> None:
        """Leave the model in eval mode with the weights of the chosen epoch, and note which one that is."""
        model.eval()
        if not self.front:
            history.chosen = len(history.epochs) - 1
            history.note = "stopped before any epoch could be chosen: the last weights are kept"
            return
        chosen, best = choose(self.front), best_of(self.front)
        model.load_state_dict(chosen.weights)
        history.chosen = chosen.epoch
        history.behind_best = {e: paired_difference(best.ndcg, ndcg) for e, ndcg in self.ndcg_of.items()}

"""How the parts that lesson 08 builds are compared with the package's.

The lesson's policy has no GRU (lesson 13 adds it), its SkipRec no `score_at` and no `skip_blocks` (lesson 12).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from comparing import DTYPES, Comparison, assert_same, assert_same_signature, random_logits, same_module
from comparisons_nextitnet import NUM_ITEMS, items_of, same_start, several
from helpers import generator, random_items, randomise, tiny_split
from torch import Tensor, nn

from skiprec_lite.backbones import NextItNet
from skiprec_lite.choosing import Candidate
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

CUTS = torch.tensor([8, 5, 8, 2])  # of items_of(): the last item, the first real one, the only one, the first real one


def drawn(seed: int, function: Callable, *args: Any, **options: Any) -> Any:
    """What a function gives with this seed, and a number that shows what it left of the stream."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function(*args, **options), torch.rand(3)


def same_drawn(lesson: Callable, package: Callable, *args: Any, **options: Any) -> None:
    for ours, theirs in zip(*(drawn(7, f, *args, **options) for f in (lesson, package)), strict=True):
        assert_same(ours, theirs)


# --- policy ---

SIZES: tuple[dict[str, Any], ...] = (
    {"num_blocks": 3},
    {"num_blocks": 1, "channels": 6, "dilations": (2,), "keep_bias": 1.5},
    {"num_blocks": 4, "channels": 6, "dilations": [1, 2, 4], "embedding_channels": 5, "keep_bias": -2.0},
)

same_policy = several(
    same_start(*({"num_items": NUM_ITEMS} | size for size in SIZES)),
    *(same_module(items_of(), num_items=NUM_ITEMS, **size) for size in SIZES),
)


def same_where_padding_is(lesson: type[nn.Module], package: type[nn.Module]) -> None:
    """On the left, on the right and between; with an embedding of padding that is not 0."""
    items = random_items((9, 6, 1), 9, NUM_ITEMS)
    items[0, 4] = items[1, -2:] = 0
    theirs = randomise(package(NUM_ITEMS, 3, channels=6).double())
    theirs.embedding.weight.data[0] = 1.0
    ours = lesson(NUM_ITEMS, 3, channels=6).double()
    ours.load_state_dict(theirs.state_dict())
    assert_same(ours(items), theirs(items))


# --- SkipRec ---


def skiprec(kind: type[nn.Module], dtype: torch.dtype = torch.float32, **settings: Any) -> Any:
    """All parameters random, the policy's such that both choices occur."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        backbone = NextItNet(NUM_ITEMS, channels=8, dilations=(1, 2, 4))
        policy = PolicyNetwork(NUM_ITEMS, 3, channels=6)
    randomise(policy, seed=3)
    policy.output.weight.data *= 0.2
    return kind(randomise(backbone), policy, **settings).to(dtype)


def same_visible(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for cut in (None, CUTS, torch.zeros(4, dtype=torch.int64), torch.full((4,), 7)):
        assert_same(lesson(items_of(), cut), package(items_of(), cut))


def same_skiprec(lesson: type[nn.Module], package: type[nn.Module]) -> None:
    """Logits, gates, scores and gradients; greedy and sampled, with a cut and without; ties are skipped."""
    assert_same_signature(lesson, package)
    for method in ("gate_logits", "gates", "decide", "forward"):
        assert_same_signature(getattr(lesson, method), getattr(package, method))
    tied = torch.tensor([[[1.0, 1.0], [0.0, 2.0], [2.0, 0.0]]])
    for settings in ({}, {"tau": 0.7}):
        for dtype in DTYPES:
            ours, theirs = (skiprec(kind, dtype, **settings) for kind in (lesson, package))
            assert ours.tau == theirs.tau
            assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
            assert_same(ours.decide(tied.to(dtype), sample=False), theirs.decide(tied.to(dtype), sample=False))
            for cut in (None, CUTS):
                assert_same(ours.gate_logits(items_of(), cut), theirs.gate_logits(items_of(), cut))
                greedy = theirs.gates(items_of(), cut, sample=False)
                assert 0 < greedy.mean() < 1
                assert_same(ours.gates(items_of(), cut, sample=False), greedy)
                for training in (False, True):
                    kinds = [model.train(training) for model in (ours, theirs)]
                    for one, other in zip(*(sampled_and_scored(model, cut) for model in kinds), strict=True):
                        size = float(other.detach().abs().max()) or 1.0  # who is skipped by all has no gradient
                        assert_same(one / size, other / size)


def sampled_and_scored(model: Any, cut: Tensor | None) -> list[Tensor]:
    """Sampled gates, scores where there are any, and the gradients of both; the others must be NaN."""
    gates, _ = drawn(5, model.gates, items_of(), cut, sample=True)
    scores, _ = drawn(6, model, items_of(), cut)
    scored = torch.arange(9) >= (8 if cut is None else cut.unsqueeze(1))
    scored = scored.expand(4, 9)
    assert scores[~scored].isnan().all()
    assert (scores[scored][:, 0] == -math.inf).all()
    scores = scores[scored][:, 1:]
    policy, backbone = list(model.policy.parameters()), list(model.backbone.parameters())
    of_gates = torch.autograd.grad((gates * random_logits(*gates.shape, dtype=gates.dtype)).sum(), policy)
    weight = random_logits(*scores.shape, dtype=scores.dtype)
    wanted = policy + backbone if model.training else backbone
    of_scores = torch.autograd.grad((scores * weight).sum(), wanted)
    return [gates, scores, *of_gates, *of_scores]


# --- cuts and losses ---


def batch() -> Windows:
    """Rows with padding, without it, and with a single item."""
    train = tiny_split(num_items=NUM_ITEMS).train
    items, targets = train.items[:12].clone(), train.targets[:12].clone()
    items[0, :-1] = targets[0, :-1] = 0
    items[1, :4] = targets[1, :4] = 0
    return Windows(items, targets, train.cut[:12], train.users[:12], train.seen[:12])


def same_windows(lesson: Windows, package: Windows) -> None:
    for name in ("items", "targets", "cut", "users"):
        assert_same(getattr(lesson, name), getattr(package, name))
    assert len(lesson.seen) == len(package.seen)
    assert all(a.tolist() == b.tolist() for a, b in zip(lesson.seen, package.seen, strict=True))


def same_cut(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for items in (items_of(), batch().items, batch().items.repeat(50, 1)):
        same_drawn(lesson, package, items)


def same_reading(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    given, kept = batch(), batch()
    (ours, left), (theirs, left_by_theirs) = (drawn(7, f, given) for f in (lesson, package))
    same_windows(ours, theirs)
    assert_same(left, left_by_theirs)
    same_windows(given, kept)  # what was given is as it was


def same_gate_loss(lesson: Callable, package: Callable) -> None:
    """Values and gradients with the same gates; a skipped block's gradient may be missing or 0."""
    assert_same_signature(lesson, package)
    for cost in (0.0, 0.7):
        found = []
        for loss in (lesson, package):
            model = skiprec(SkipRec, torch.float64)
            value, left = drawn(9, loss, model, batch(), cost)
            found.append([value, left, *torch.autograd.grad(value, list(model.parameters()), materialize_grads=True)])
        for one, other in zip(*found, strict=True):
            assert_same(one, other)


def same_losses(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for gates in (torch.ones(12, 3), torch.rand(12, 3, generator=generator(4))):
        found = []
        for losses in (lesson, package):
            backbone, leaf = skiprec(SkipRec, torch.float64).backbone, gates.double().requires_grad_()
            values = losses(backbone, batch(), leaf)
            weight = random_logits(*values.shape, dtype=values.dtype)
            found.append([values, *torch.autograd.grad((values * weight).sum(), [leaf, *backbone.parameters()])])
        for one, other in zip(*found, strict=True):
            assert_same(one, other)


def same_choice(lesson: Callable, package: Callable) -> None:
    """Fronts of one to six epochs, some level and some not, with equal numbers of blocks among them."""
    assert_same_signature(lesson, package)
    chosen = []
    for seed in range(60):
        noise = generator(seed)
        users = 0.1 * torch.rand(80, generator=noise)
        front = [
            Candidate(
                epoch=epoch,
                blocks=float(torch.randint(1, 5, (), generator=noise)),
                ndcg=users + 0.004 * torch.randn(1, generator=noise) + 0.02 * torch.randn(80, generator=noise),
                weights={},
            )
            for epoch in range(1 + seed % 6)
        ]
        assert lesson(front) is package(front)
        best = max(front, key=lambda c: c.ndcg.mean())
        chosen.append((package(front) is best, package(front).blocks == min(c.blocks for c in front)))
    assert len(set(chosen)) > 2, "the rule must have had something to decide"


COMPARISONS_SKIPREC: dict[str, Comparison] = {
    "policy.PolicyNetwork": several(same_policy, same_where_padding_is),
    "skiprec.visible": same_visible,
    "skiprec.SkipRec": same_skiprec,
    "gate_losses.draw_cut": same_cut,
    "gate_losses.from_a_cut": same_reading,
    "gate_losses.whole_window": same_reading,
    "gate_losses.losses_at": same_losses,
    "gate_losses.straight_through_loss": same_gate_loss,
    "gate_losses.settled_loss": same_gate_loss,
    "choosing.choose": same_choice,
}

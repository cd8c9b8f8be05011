"""How the parts that lesson 10 builds are compared with the package's."""

from collections.abc import Callable
from typing import Any

import torch
from comparing import DTYPES, Comparison, assert_same, assert_same_signature, random_logits
from helpers import generator, random_items, randomise
from torch import Tensor

from skiprec_lite.backbones import NextItNet
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

NUM_ITEMS, BLOCKS, TIME = 9, 3, 8


def cases(lengths: tuple[int, ...] = (8, 3, 1, 8, 5)) -> Windows:
    """Rows with padding, of which only some positions are scored, one row's a single one; cuts anywhere."""
    items, targets = (random_items(lengths, TIME, NUM_ITEMS, seed=seed) for seed in (0, 1))
    first = TIME - torch.tensor(lengths)
    unscored = torch.rand(targets.shape, generator=generator(2)) < 0.4
    unscored[:, -1] = False
    unscored[0, :-1] = True
    targets = targets.masked_fill(unscored | (items == 0), 0)
    cut = first + (torch.rand(len(lengths), generator=generator(3)) * torch.tensor(lengths)).long()
    return Windows(items, targets, cut, torch.arange(len(lengths)))


def backbone(dtype: torch.dtype, *, rezero: bool = True) -> NextItNet:
    """All parameters random, in training mode, with dropout: who asks for numbers in eval mode must say so."""
    net = NextItNet(NUM_ITEMS, channels=4, dilations=(1, 2, 1), rezero=rezero, dropout=0.3)
    return randomise(net).to(dtype).train()


def skiprec() -> SkipRec:
    model = SkipRec(backbone(torch.float32), PolicyNetwork(NUM_ITEMS, BLOCKS, channels=4), tau=2.0)
    randomise(model.policy, seed=1)
    return model.train()


def some_gates(rows: int, dtype: torch.dtype) -> Tensor:
    return (torch.rand(rows, BLOCKS, generator=generator(4)) < 0.6).to(dtype)


def scaled(values: Tensor, by: Tensor) -> Tensor:
    return values / by.detach().abs().max()


# --- the parts ---


def same_patterns(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for blocks in (1, 2, 3, 6):
        assert_same(lesson(blocks), package(blocks))


def same_losses(lesson: Callable, package: Callable) -> None:
    """Values, and gradients with respect to the gates and to all weights; soft gates too; dropout left as it is."""
    assert_same_signature(lesson, package)
    batch = cases()
    for dtype in DTYPES:
        for gates in (some_gates(len(batch), dtype), torch.rand(len(batch), BLOCKS, generator=generator(5)).to(dtype)):
            for training in (False, True):
                results = []
                for function in (lesson, package):
                    net, leaf = backbone(dtype).train(training), gates.clone().requires_grad_()
                    with torch.random.fork_rng(devices=[]):
                        torch.manual_seed(6)
                        losses = function(net, batch, leaf)
                    weight = random_logits(*losses.shape, dtype=dtype)
                    results.append([losses, *torch.autograd.grad((losses * weight).sum(), [leaf, *net.parameters()])])
                for ours, theirs in zip(*results, strict=True):
                    assert theirs.abs().max() > 0
                    assert_same(scaled(ours, theirs), scaled(theirs, theirs))


def same_row_means(lesson: Callable, package: Callable) -> None:
    """Also for a batch whose last row has nothing to score, and with a gradient."""
    assert_same_signature(lesson, package)
    batch = cases()
    empty = batch.targets.clone()
    empty[-1] = 0
    for windows in (batch, Windows(batch.items, empty, batch.cut, batch.users)):
        for dtype in DTYPES:
            values = random_logits(int(windows.scored().sum()), dtype=dtype)
            results = []
            for function in (lesson, package):
                leaf = values.clone().requires_grad_()
                means = function(leaf, windows)
                means.nan_to_num().square().sum().backward()
                assert leaf.grad is not None
                results.append((means.isnan(), means.nan_to_num(), leaf.grad.nan_to_num()))
            for ours, theirs in zip(*results, strict=True):
                assert_same(ours, theirs)


def same_pattern_losses(lesson: Callable, package: Callable) -> None:
    _same_numbers(lesson, package, [(torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 1], [0, 1, 0]]),)])


def same_at_gates(lesson: Callable, package: Callable) -> None:
    """Some kept, all kept, none kept."""
    rows = len(cases())
    _same_numbers(
        lesson, package, [(some_gates(rows, torch.float32),), (torch.ones(rows, 3),), (torch.zeros(rows, 3),)]
    )


def _same_numbers(lesson: Callable, package: Callable, several: list[tuple[Tensor, ...]]) -> None:
    """Of a network in training mode with dropout: in eval mode for the while, then as it was, without a gradient."""
    assert_same_signature(lesson, package)
    batch = cases()
    for dtype in DTYPES:
        for gates in several:
            results = []
            for function in (lesson, package):
                net = backbone(dtype)
                found = function(net, batch, *(g.to(dtype) for g in gates))
                assert net.training
                assert all(parameter.grad is None for parameter in net.parameters())
                results.append(found)
            assert results[1].abs().max() > 0
            assert_same(*(scaled(found, results[1]) for found in results))


def same_gate_loss(lesson: Callable, package: Callable) -> None:
    """The same numbers are drawn, and the same are left; the gradient of every weight of backbone and policy."""
    assert_same_signature(lesson, package)
    for options in ({}, {"exact": True}, {"pull": 0.3}, {"exact": True, "pull": 0.3}):
        for cost in (0.0, 0.7):
            results = [_loss_and_gradients(function, cost, options) for function in (lesson, package)]
            for ours, theirs in zip(*results, strict=True):
                assert_same(ours, theirs)


def same_steered_cost(lesson: Callable, package: Callable) -> None:
    """The factor after several steps, harmless ones and harmful ones, and the loss of each step."""
    assert_same_signature(lesson, package)
    for options in ({}, {"tolerance": -1.0}, {"tolerance": 9.0, "rate": 0.3}, {"tolerance": 0.0}):
        ours, theirs = lesson(**options), package(**options)
        assert (ours.tolerance, ours.rate, ours.factor) == (theirs.tolerance, theirs.rate, theirs.factor)
        for step in range(4):
            results = [_loss_and_gradients(steered, 0.5, {}, seed=step) for steered in (ours, theirs)]
            assert ours.factor == theirs.factor != 1
            for a, b in zip(*results, strict=True):
                assert_same(a, b)


def _loss_and_gradients(function: Callable, cost: float, options: dict[str, Any], *, seed: int = 0) -> list[Tensor]:
    model = skiprec()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loss = function(model, cases(), cost, **options)
        gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        after = torch.rand(3)
    assert any(g is not None and g.abs().max() > 0 for g in gradients)
    return [loss, after, *(torch.zeros(1) if g is None else g for g in gradients)]


COMPARISONS_BLIND_SPOTS: dict[str, Comparison] = {
    "enumeration.all_patterns": same_patterns,
    "enumeration.pattern_losses": same_pattern_losses,
    "enumeration.gate_slopes": same_at_gates,
    "enumeration.gate_differences": same_at_gates,
    "gate_losses.losses_at": same_losses,
    "gate_losses.per_row": same_row_means,
    "gate_losses.difference_loss": same_gate_loss,
    "gate_losses.SteeredCost": same_steered_cost,
}

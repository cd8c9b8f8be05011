"""Small models and rows that the checks of several lessons hand to an answer, and what they ask of a loss."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import Trial
from skiprec_course.questions import is_a_tensor
from skiprec_lite.backbones import NextItNet
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.splits import Windows

ITEMS, BLOCKS = 9, 3
SURE = 100.0  # the smallest gap between a sure policy's two logits: Gumbel noise does not bridge it
FLAT = 1e8  # at this tau the gradient of a sure gate is known, to eleven digits


def some_windows(trial: Trial, lengths: tuple[int, ...] = (8, 3, 1, 8, 5), width: int = 8) -> Windows:
    """Rows with padding on the left, cuts anywhere; some positions from the cut on are not scored, the last one is."""
    items = trial.histories(ITEMS, list(lengths), width)
    real = torch.tensor(lengths)
    cut = width - real + (torch.rand(len(lengths), generator=trial.generator) * real).long().clamp_max(real - 1)
    cut[0], cut[-1] = width - real[0] + 2, width - real[-1] + 1  # something to read, and something to score
    unscored = torch.rand(items.shape, generator=trial.generator) < 0.3
    unscored[:, -1] = False
    unscored[0] = False
    before = torch.arange(width) < cut.unsqueeze(1)
    targets = trial.integers(1, ITEMS, *items.shape).masked_fill(unscored | before | (items == 0), 0)
    seen = tuple(np.arange(1, 1 + row % 3) for row in range(len(lengths)))
    return Windows(items, targets, cut, torch.arange(len(lengths)) + 10, seen)


def with_random_numbers(module: nn.Module, seed: int) -> nn.Module:
    """Random parameters in float64: at the values that a model starts from mistakes cancel. Padding's stays 0."""
    numbers = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(
                0.5 * torch.randn(p.shape, generator=numbers, dtype=p.dtype) if p.numel() > 1 else torch.tensor(0.7)
            )
        for part in module.modules():
            if isinstance(part, nn.Embedding):
                part.weight[0] = 0
    return module


def a_backbone(seed: int, *, dilations: tuple[int, ...] = (1, 2, 1), **settings: float) -> NextItNet:
    """A small NextItNet+, all numbers random, in float64 and training mode."""
    backbone = NextItNet(ITEMS, channels=5, dilations=dilations, **settings)  # type: ignore[arg-type]
    with_random_numbers(backbone, seed)
    return backbone


def a_skiprec(kind: Any, seed: int, *, tau: float = 2.0, blocks: int = BLOCKS, **settings: float) -> Any:
    """A small model whose policy is undecided, in training mode."""
    backbone = a_backbone(seed, dilations=(1, 2, 1)[:blocks], **settings)
    policy = PolicyNetwork(ITEMS, blocks, channels=4, dilations=(1,))
    with_random_numbers(policy, seed + 1)
    with torch.no_grad():
        policy.output.weight.mul_(0.3)
        policy.output.bias.zero_()
    return kind(backbone, policy, tau=tau)


def a_sure_skiprec(kind: Any, seed: int, items: Tensor, cut: Tensor, *, blocks: int = BLOCKS) -> Any:
    """A small model whose policy is all but certain, and decides otherwise if it reads past the cut.

    Every block is kept by some rows and skipped by others.
    """
    for attempt in itertools.count(100 * seed):
        model = a_skiprec(SkipRec, attempt, tau=FLAT, blocks=blocks)
        with torch.no_grad():
            gap = model.gate_logits(items, cut).diff(dim=-1).squeeze(-1)  # skip minus keep
            middle = (gap.amax(dim=0) + gap.amin(dim=0)) / 2
            model.policy.output.bias.copy_(torch.stack([middle, torch.zeros_like(middle)], dim=1).reshape(-1))
            nearest = float((gap - middle).abs().min())
            if nearest < 1e-5 * SURE:  # some row cannot be made sure
                continue
            factor = SURE / nearest
            model.policy.output.weight.mul_(factor)
            model.policy.output.bias.mul_(factor)
            whole = model.gate_logits(items).diff(dim=-1).squeeze(-1)
            other = ((whole < 0) != (gap < middle)).any()
            if other and float(whole.abs().min()) > SURE / 2:
                return model if kind is SkipRec else kind(model.backbone, model.policy, tau=FLAT)
    raise AssertionError("unreachable")


def learning(value: Any, model: nn.Module) -> Any:
    """A loss, and the gradient at each of the model's parameters, 0 where there is none."""
    if type(value) is not Tensor:
        return value
    parameters = dict(model.named_parameters())
    weight = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view(value.shape) if value.dim() else 1
    total = (torch.where(value.isfinite(), value, 0) * weight).sum()
    found: Any = [None] * len(parameters)
    if value.requires_grad:
        found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    gradients = [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters.values())]
    return {"the value": value.detach()} | {f"the gradient at {n}": g for n, g in zip(parameters, gradients)}


def reaches(value: Tensor, part: nn.Module) -> bool:
    """Whether a gradient other than 0 comes back to some parameter of this part."""
    if not value.requires_grad:
        return False
    found = torch.autograd.grad(value.sum(), list(part.parameters()), allow_unused=True, retain_graph=True)
    return any(g is not None and bool(g.abs().max() > 0) for g in found)


def calls_differ(trial: Trial, call: Callable, *given: Tensor) -> bool:
    """Whether six calls differ, as those of a drawn thing do."""
    with torch.no_grad():
        values = [trial.call(call, *given) for _ in range(6)]
    is_a_tensor(trial, values[0], *given)
    return any(not torch.equal(values[0].nan_to_num(), v.nan_to_num()) for v in values)


def is_a_loss(trial: Trial, value: Any) -> Tensor:
    """Fail unless a single number with a gradient came back."""
    trial.require(type(value) is Tensor, f"found {describe(value)}, expected a tensor that holds one number")
    trial.require(value.dim() == 0, f"found shape {tuple(value.shape)}, expected a single number, of shape ()",
                  "take the mean over all scored positions")  # fmt: skip
    trial.require(not value.isnan(), "the loss is NaN")
    trial.require(
        value.requires_grad, "the loss has no gradient", "a .detach(), .item() or torch.no_grad() cuts it off"
    )
    return value


def windows_from(trial: Trial, given: Windows, **options: object) -> Windows:
    """What the answer makes of these rows: other rows, the given ones as they were."""
    found = trial.call(trial.answer, given, **options)
    trial.require(type(found).__name__ == "Windows", f"found {describe(found)}, expected Windows",
                  "`dataclasses.replace` makes a copy with some fields exchanged", given, **options)  # fmt: skip
    return found


def the_same(trial: Trial, found: Windows, given: Windows, *names: str) -> None:
    """Fail unless these fields are those of the given rows."""
    for name in names:
        kept = not difference(getattr(found, name), getattr(given, name))
        trial.require(kept, f"the {name} are not those that were given", "", given)

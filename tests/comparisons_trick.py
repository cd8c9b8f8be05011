"""How each part that lessons 01 to 03 build is compared with the package's."""

import inspect
import itertools
import math
from collections.abc import Callable

import torch
from comparing import (
    DTYPES,
    Comparison,
    assert_same,
    assert_same_draws,
    assert_same_signature,
    random_logits,
)
from helpers import generator
from torch import Tensor


def same_noise(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for shape, dtype in itertools.product([(2_000,), (30, 5), torch.Size([4, 3, 2])], DTYPES):
        assert_same_draws(lesson, package, shape, dtype=dtype)
    assert lesson((3,)).dtype == torch.float32


def same_choice(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for shape, dtype in itertools.product([(2_000, 2), (40, 6, 5)], DTYPES):
        logits = random_logits(*shape, dtype=dtype)
        assert_same_draws(lesson, package, logits)
        logits[..., 0] = -math.inf
        assert_same(*(f(logits, generator=generator(6)) for f in (lesson, package)))


def same_sample(lesson: Callable, package: Callable) -> None:
    """Values and gradients; the straight-through sample where the lesson has one."""
    assert_same_signature(lesson, package)
    hards = (False, True) if "hard" in inspect.signature(lesson).parameters else (False,)
    for shape, dtype, tau, hard in itertools.product([(500, 2), (20, 6, 5)], DTYPES, (0.3, 1.0, 10.0), hards):
        logits, weight = random_logits(*shape, dtype=dtype), random_logits(*shape, dtype=dtype).flip(0)
        assert_same_draws(lesson, package, logits, tau, hard=hard)
        gradients: list[Tensor] = []
        for f in (lesson, package):
            leaf = logits.clone().requires_grad_()
            sample = f(leaf, tau, generator=generator(7), **({"hard": True} if hard else {}))
            assert sample.requires_grad
            gradients += torch.autograd.grad((sample * weight).sum() * tau, leaf)
        assert gradients[1].abs().max() > 0.1
        assert_same(*gradients)
        if hard:
            samples = [f(logits, tau, hard=True, generator=generator(9)) for f in (lesson, package)]
            assert torch.equal(*samples)  # one-hot to the last bit


def bent(z: Tensor) -> Tensor:
    """A loss of any number of gates."""
    weights = torch.linspace(-1, 1.5, z.shape[1], dtype=z.dtype)
    return ((z * weights).sum(dim=1) - 0.45) ** 2 + torch.sin(2 * z[:, 0] * z[:, -1])


def same_exact_gradient(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for gates, dtype in itertools.product((1, 2, 7), DTYPES):
        logits = random_logits(gates, dtype=dtype)
        assert package(logits, bent).abs().min() > 0
        assert_same(lesson(logits, bent), package(logits, bent))


def same_gates(lesson: Callable, package: Callable) -> None:
    assert_same_signature(lesson, package)
    for gates, dtype in itertools.product((1, 5), DTYPES):
        assert_same_draws(lesson, package, random_logits(gates, dtype=dtype), 500)


def same_estimates(**settings: tuple) -> Comparison:
    """A comparison of estimators, at every combination of these settings."""

    def comparison(lesson: Callable, package: Callable) -> None:
        assert_same_signature(lesson, package)
        for gates, dtype, *values in itertools.product((1, 4), DTYPES, *settings.values()):
            options = dict(zip(settings, values, strict=True))
            logits = random_logits(gates, dtype=dtype)
            if gates > 1 or package.__name__ != "difference":  # one gate's difference is the same in every draw
                assert_same_draws(lesson, package, logits, bent, 300, **options)
            assert_same(*(f(logits, bent, 300, generator=generator(8), **options) for f in (lesson, package)))

    return comparison


def same_way_through(lesson: Callable, package: Callable) -> None:
    """What straight-through and the relaxed estimator share, with a draw that is handed to it."""
    assert_same_signature(lesson, package)
    for dtype in DTYPES:
        logits = random_logits(4, dtype=dtype)
        gradients = [f(logits, bent, 300, lambda pairs: torch.softmax(pairs / 3, dim=-1)) for f in (lesson, package)]
        assert gradients[1].abs().min() > 0
        assert_same(*gradients)


COMPARISONS_TRICK: dict[str, Comparison] = {
    "gumbel.sample_gumbel": same_noise,
    "gumbel.gumbel_max": same_choice,
    "gumbel.gumbel_softmax": same_sample,
    "estimators.exact_gradient": same_exact_gradient,
    "estimators.draw_gates": same_gates,
    "estimators.through_a_sample": same_way_through,
    "estimators.straight_through": same_estimates(tau=(0.3, 1.0, 10.0)),
    "estimators.relaxed": same_estimates(tau=(0.3, 1.0, 10.0)),
    "estimators.identity_straight_through": same_estimates(),
    "estimators.reinforce": same_estimates(baseline=(False, True)),
    "estimators.difference": same_estimates(),
}

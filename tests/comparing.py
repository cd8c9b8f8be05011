"""Ways to compare what a lesson builds with what the package holds: values, gradients, dtypes, random stream."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from helpers import generator, randomise
from torch import Tensor, nn

DTYPES = (torch.float32, torch.float64)
MAY_BE_LEFT_OUT = {"dtype", "device", "hard"}  # parameters that a lesson need not have

Comparison = Callable[[Any, Any], None]


def assert_same(lesson: Tensor | None, package: Tensor | None) -> None:
    """To float precision; integers exactly."""
    assert (lesson is None) == (package is None)
    if lesson is None or package is None:
        return
    assert lesson.shape == package.shape
    assert lesson.dtype == package.dtype
    assert lesson.requires_grad == package.requires_grad
    precision = torch.finfo(package.dtype).eps if package.is_floating_point() else 0
    torch.testing.assert_close(lesson.detach(), package.detach(), rtol=100 * precision, atol=20 * precision)


def assert_same_signature(lesson: Callable, package: Callable) -> None:
    """The same parameters with the same defaults in the same order, but for what a lesson may leave out."""
    ours, theirs = (inspect.signature(f).parameters for f in (lesson, package))
    kept = [name for name in theirs if name in ours or name not in MAY_BE_LEFT_OUT]
    assert list(ours) == kept
    for name in kept:
        assert (ours[name].kind, ours[name].default) == (theirs[name].kind, theirs[name].default), name


def assert_same_draws(lesson: Callable, package: Callable, *args: Any, **options: Any) -> None:
    """Equal for the same generator, for the same global seed, and not the same number again and again."""
    options = {name: v for name, v in options.items() if name in inspect.signature(lesson).parameters}
    assert_same(*(f(*args, generator=generator(3), **options) for f in (lesson, package)))
    first, second = (lesson(*args, generator=generator(s), **options) for s in (3, 4))
    assert not torch.equal(first, second)
    with torch.random.fork_rng(devices=[]):
        drawn = []
        for f in (lesson, package):
            torch.manual_seed(5)
            drawn.append(f(*args, **options))
    assert_same(*drawn)


def random_logits(*shape: int, dtype: torch.dtype) -> Tensor:
    return (2 * torch.randn(shape, generator=generator(1), dtype=torch.float64)).to(dtype)


def same_module(*inputs: Tensor, **sizes: Any) -> Comparison:
    """A comparison of nn.Modules of these sizes on these inputs: weights copied, all parameters random."""

    def comparison(lesson: type[nn.Module], package: type[nn.Module]) -> None:
        for dtype in DTYPES:
            theirs = randomise(package(**sizes)).to(dtype).eval()
            ours = lesson(**sizes).to(dtype).eval()
            ours.load_state_dict(theirs.state_dict())
            results = []
            for module in (ours, theirs):
                leaves = [x.to(dtype).requires_grad_() if x.is_floating_point() else x for x in inputs]
                output = module(*leaves)
                weight = random_logits(*output.shape, dtype=dtype)
                wanted = [*module.parameters(), *(x for x in leaves if x.requires_grad)]
                gradients = torch.autograd.grad((output * weight).sum(), wanted)
                results.append([output, *gradients])
            for a, b in zip(*results, strict=True):
                assert b.abs().max() > 0
                assert_same(a / b.detach().abs().max(), b / b.detach().abs().max())

    return comparison

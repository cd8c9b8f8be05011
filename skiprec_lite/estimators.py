"""Rival estimators of the gradient through a choice, on a problem small enough to know the exact one.

The problem: n independent gates z_i in {0, 1}, z_i = 1 with probability pi_i = sigmoid(a_i), and a loss f(z). Wanted is
the gradient of the expected loss E f(z) with respect to the logits a. Every estimator returns one gradient per sample,
so that its bias and its variance can be looked at; their mean over the rows is what an optimiser would use.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Annotated, Concatenate, ParamSpec

import torch
from jaxtyping import Float
from torch import Tensor

from skiprec_lite.gumbel import gumbel_softmax
from skiprec_lite.inputs import described
from skiprec_lite.promises import Positive, Size, validated

P = ParamSpec("P")
Loss = Callable[[Tensor], Tensor]  # gates (row, gate), also between 0 and 1 -> one loss per row
Estimator = Callable[Concatenate[Tensor, Loss, P], Tensor]


def _check_gates(name: str, logits: Tensor) -> None:
    if len(logits) == 0 or torch.isnan(logits).any():
        raise ValueError(f"{name} must hold at least one gate and no NaN, got {logits.tolist()}")


def _check_few(name: str, logits: Tensor) -> None:
    if len(logits) > 16:
        raise ValueError(f"at most 16 gates can be enumerated, {name} hold {len(logits)}")


Logits = Annotated[Float[Tensor, " gate"], _check_gates]


def _per_row(estimator: Estimator[P]) -> Estimator[P]:
    """Hand on a loss that raises where it does not give one number per row: another shape would be broadcast."""

    @wraps(estimator)
    def with_a_loss_per_row(logits: Tensor, loss: Loss, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        def one_per_row(gates: Tensor) -> Tensor:
            found, rows = loss(gates), len(gates)
            if not isinstance(found, Tensor) or found.shape != (rows,):
                raise ValueError(f"loss must give one number per row, a tensor of ({rows},), got {described(found)}")
            return found

        return estimator(logits, one_per_row, *args, **kwargs)

    return with_a_loss_per_row


@validated
@_per_row
def exact_gradient(logits: Annotated[Logits, _check_few], loss: Loss) -> Float[Tensor, " gate"]:
    """Gradient of the expected loss, by enumerating all 2^n choices of at most 16 gates. Built in lesson 03."""
    leaf = logits.detach().clone().requires_grad_()
    bits = [torch.tensor([0.0, 1.0], dtype=logits.dtype)] * len(logits)
    choices = torch.cartesian_prod(*bits).view(-1, len(logits))
    keep = torch.sigmoid(leaf)
    probability = torch.where(choices == 1, keep, 1 - keep).prod(dim=1)  # (choice,)
    (gradient,) = torch.autograd.grad((probability * loss(choices).detach()).sum(), leaf)
    return gradient


@validated
def straight_through(
    logits: Logits, loss: Loss, samples: Size, *, tau: Positive, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Straight-through Gumbel-Softmax: f'(z) at the hard sample, times the soft sample's slope y(1 - y) / tau.

    Built in lesson 03. Biased three times: the factor, the weights of the two end slopes, a slope for a difference.
    One forward and one backward pass a sample.

    Source: Jang et al. (2017).
    """
    draw = partial(gumbel_softmax, tau=tau, hard=True, generator=generator)
    return through_a_sample(logits, loss, samples, draw)


@validated
def relaxed(
    logits: Logits, loss: Loss, samples: Size, *, tau: Positive, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Gumbel-Softmax without the hard step: the exact gradient of another objective, E f(y) at soft gates y.

    Built in lesson 03. One forward and one backward pass a sample; f must make sense between 0 and 1.

    Source: Maddison et al. (2017); Jang et al. (2017).
    """
    return through_a_sample(logits, loss, samples, partial(gumbel_softmax, tau=tau, generator=generator))


@validated
@_per_row
def identity_straight_through(
    logits: Logits, loss: Loss, samples: Size, *, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Identity straight-through: f'(z) at the hard sample, as if dz/da were 1. Built in lesson 03.

    Source: Bengio et al. (2013); Hinton's lectures (2012).
    """
    leaf = logits.detach().expand(samples, -1).clone().requires_grad_()
    gates = draw_gates(logits, samples, generator=generator)
    # The bracket is exactly 0: without it the value would be off by an ulp, and by more for large logits.
    (gradient,) = torch.autograd.grad(loss(gates + (leaf - leaf.detach())).sum(), leaf)
    return gradient


@validated
@_per_row
def reinforce(
    logits: Logits, loss: Loss, samples: Size, *, baseline: bool = False, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """REINFORCE: (f(z) - b) * d log p(z) / da = (f(z) - b)(z - pi). Unbiased. Built in lesson 03.

    The baseline b is the loss of a second, independent sample: one that depended on z itself would bias the gradient.
    Two forward passes in place of one.

    Source: Williams (1992).
    """
    gates = draw_gates(logits, samples, generator=generator)
    advantage = loss(gates)
    if baseline:
        advantage = advantage - loss(draw_gates(logits, samples, generator=generator))
    return (advantage.unsqueeze(1) * (gates - torch.sigmoid(logits))).detach()


@validated
@_per_row
def difference(
    logits: Logits, loss: Loss, samples: Size, *, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Flip each gate in turn, the others sampled: pi_k (1 - pi_k) (f | z_k = 1  -  f | z_k = 0). Unbiased.

    Built in lesson 03. n + 1 forward passes a sample for n gates, no backward pass.

    Source: the local expectation gradient of Titsias & Lázaro-Gredilla (2015), for independent gates.
    """
    gates = draw_gates(logits, samples, generator=generator)
    slope = torch.sigmoid(logits) * torch.sigmoid(-logits)  # pi (1 - pi)
    here, columns = loss(gates), []
    for gate in range(len(logits)):
        flipped = gates.clone()
        flipped[:, gate] = 1 - flipped[:, gate]
        kept_minus_skipped = (2 * gates[:, gate] - 1) * (here - loss(flipped))
        columns.append(slope[gate] * kept_minus_skipped)
    return torch.stack(columns, dim=1).detach()


@validated
def draw_gates(
    logits: Logits, samples: Size, *, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Independent gates, 1 with probability sigmoid(logit). Built in lesson 03."""
    u = torch.rand(samples, len(logits), generator=generator, dtype=logits.dtype)
    return (u < torch.sigmoid(logits)).to(logits.dtype)


@_per_row
def through_a_sample(
    logits: Float[Tensor, " gate"], loss: Loss, samples: int, draw: Callable[[Tensor], Tensor]
) -> Float[Tensor, "sample gate"]:
    """Gradient through each of so many draws of the gates, made by `draw` from the logits. Built in lesson 03."""
    leaf = logits.detach().expand(samples, -1).clone().requires_grad_()
    pairs = torch.stack([leaf, torch.zeros_like(leaf)], dim=-1)  # logits (keep, skip) of each gate
    (gradient,) = torch.autograd.grad(loss(draw(pairs)[..., 0]).sum(), leaf)
    return gradient

"""Rival estimators of the gradient through a choice, on a problem small enough to know the exact one.

The problem: n independent gates z_i in {0, 1}, z_i = 1 with probability pi_i = sigmoid(a_i), and a loss f(z). Wanted is
the gradient of the expected loss E f(z) with respect to the logits a. Every estimator returns one gradient per sample,
so that its bias and its variance can be looked at; their mean over the rows is what an optimiser would use.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from skiprec_lite.gumbel import gumbel_softmax
from skiprec_lite.inputs import check_callable, check_generator, check_sizes, check_tensor, described

Loss = Callable[[Tensor], Tensor]  # gates (row, gate), also between 0 and 1 -> one loss per row


def exact_gradient(logits: Float[Tensor, " gate"], loss: Loss) -> Float[Tensor, " gate"]:
    """Gradient of the expected loss, by enumerating all 2^n choices. Built in lesson 03.

    Args:
        logits: a_i of each gate; at most 16 gates.
        loss: gates (row, gate) -> one loss per row.

    Raises:
        TypeError: if the logits are no tensor of floating point numbers, or loss is no function of gates.
        ValueError: if loss does not return one number per row,
            there are more than 16 gates (65,536 choices are enough to wait for), none, or a logit is NaN.
    """
    loss = _checked(logits, loss)
    if len(logits) > 16:
        raise ValueError(f"at most 16 gates can be enumerated, got {len(logits)}")
    leaf = logits.detach().clone().requires_grad_()
    choices = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=logits.dtype)] * len(logits)).view(-1, len(logits))
    keep = torch.sigmoid(leaf)
    probability = torch.where(choices == 1, keep, 1 - keep).prod(dim=1)  # (choice,)
    (gradient,) = torch.autograd.grad((probability * loss(choices).detach()).sum(), leaf)
    return gradient


def straight_through(
    logits: Float[Tensor, " gate"], loss: Loss, samples: int, *, tau: float, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Straight-through Gumbel-Softmax: f'(z) at the hard sample, times the soft sample's slope y(1 - y) / tau.

    Built in lesson 03. Biased three times: the factor, the weights of the two end slopes, a slope for a difference.
    One forward and one backward pass a sample.

    Source: Jang et al. (2017).
    """
    return _through_a_sample(
        logits, loss, samples, lambda pairs: gumbel_softmax(pairs, tau, hard=True, generator=generator)
    )


def relaxed(
    logits: Float[Tensor, " gate"], loss: Loss, samples: int, *, tau: float, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Gumbel-Softmax without the hard step: the exact gradient of another objective, E f(y) at soft gates y.

    Built in lesson 03. One forward and one backward pass a sample; f must make sense between 0 and 1.

    Source: Maddison et al. (2017); Jang et al. (2017).
    """
    return _through_a_sample(logits, loss, samples, lambda pairs: gumbel_softmax(pairs, tau, generator=generator))


def identity_straight_through(
    logits: Float[Tensor, " gate"], loss: Loss, samples: int, *, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Identity straight-through: f'(z) at the hard sample, as if dz/da were 1. Built in lesson 03.

    Source: Bengio et al. (2013); Hinton's lectures (2012).
    """
    loss = _checked(logits, loss, samples)
    leaf = logits.detach().expand(samples, -1).clone().requires_grad_()
    gates = draw_gates(logits, samples, generator=generator)
    # The bracket is exactly 0: without it the value would be off by an ulp, and by more for large logits.
    (gradient,) = torch.autograd.grad(loss(gates + (leaf - leaf.detach())).sum(), leaf)
    return gradient


def reinforce(
    logits: Float[Tensor, " gate"],
    loss: Loss,
    samples: int,
    *,
    baseline: bool = False,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "sample gate"]:
    """REINFORCE: (f(z) - b) * d log p(z) / da = (f(z) - b)(z - pi). Unbiased. Built in lesson 03.

    Args:
        logits: a_i of each gate.
        loss: gates (row, gate) -> one loss per row.
        samples: how many gradients to draw.
        baseline: subtract the loss of a second, independent sample; a baseline that depended on z itself would
            bias the gradient. Two forward passes in place of one.
        generator: source of the randomness.

    Source: Williams (1992).
    """
    loss = _checked(logits, loss, samples)
    gates = draw_gates(logits, samples, generator=generator)
    advantage = loss(gates)
    if baseline:
        advantage = advantage - loss(draw_gates(logits, samples, generator=generator))
    return (advantage.unsqueeze(1) * (gates - torch.sigmoid(logits))).detach()


def difference(
    logits: Float[Tensor, " gate"], loss: Loss, samples: int, *, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Flip each gate in turn, the others sampled: pi_k (1 - pi_k) (f | z_k = 1  -  f | z_k = 0). Unbiased.

    Built in lesson 03. n + 1 forward passes a sample for n gates, no backward pass.

    Source: the local expectation gradient of Titsias & Lázaro-Gredilla (2015), for independent gates.
    """
    loss = _checked(logits, loss, samples)
    gates = draw_gates(logits, samples, generator=generator)
    slope = torch.sigmoid(logits) * torch.sigmoid(-logits)  # pi (1 - pi)
    here, columns = loss(gates), []
    for gate in range(len(logits)):
        flipped = gates.clone()
        flipped[:, gate] = 1 - flipped[:, gate]
        kept_minus_skipped = (2 * gates[:, gate] - 1) * (here - loss(flipped))
        columns.append(slope[gate] * kept_minus_skipped)
    return torch.stack(columns, dim=1).detach()


def draw_gates(
    logits: Float[Tensor, " gate"], samples: int, *, generator: torch.Generator | None = None
) -> Float[Tensor, "sample gate"]:
    """Independent gates, 1 with probability sigmoid(logit). Built in lesson 03.

    Raises:
        TypeError: if the logits are no tensor of floating point numbers, or samples is no whole number.
        ValueError: if there is no gate, a logit is NaN, or samples is below 1.
    """
    _check(logits, samples)
    check_generator(generator)
    u = torch.rand(samples, len(logits), generator=generator, dtype=logits.dtype)
    return (u < torch.sigmoid(logits)).to(logits.dtype)


def _through_a_sample(
    logits: Float[Tensor, " gate"], loss: Loss, samples: int, draw: Callable[[Tensor], Tensor]
) -> Float[Tensor, "sample gate"]:
    loss = _checked(logits, loss, samples)
    leaf = logits.detach().expand(samples, -1).clone().requires_grad_()
    pairs = torch.stack([leaf, torch.zeros_like(leaf)], dim=-1)  # logits (keep, skip) of each gate
    (gradient,) = torch.autograd.grad(loss(draw(pairs)[..., 0]).sum(), leaf)
    return gradient


def _check(logits: Float[Tensor, " gate"], samples: int = 1) -> None:
    check_tensor("logits", logits, "floating point numbers", "gate")
    check_sizes(samples=samples)
    if len(logits) == 0 or torch.isnan(logits).any():
        raise ValueError(f"logits must hold at least one gate and no NaN, got {logits.tolist()}")


def _checked(logits: Float[Tensor, " gate"], loss: Loss, samples: int = 1) -> Loss:
    """The same loss, which raises where it does not give one number per row: another shape would be broadcast."""
    _check(logits, samples)
    check_callable("loss", loss, "a function of gates (row, gate)")

    def per_row(gates: Tensor) -> Tensor:
        losses = loss(gates)
        if not isinstance(losses, Tensor) or losses.shape != (len(gates),):
            raise ValueError(f"loss must give one number per row, a tensor of ({len(gates)},), got {described(losses)}")
        return losses

    return per_row

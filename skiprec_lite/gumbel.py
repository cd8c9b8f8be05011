"""Drawing from a categorical distribution with Gumbel noise, exactly and in a form that has a gradient."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from skiprec_lite.inputs import check_flag, check_generator, check_number, check_tensor, described, whole_numbers


def sample_gumbel(
    shape: tuple[int, ...] | list[int] | torch.Size,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Float[Tensor, "..."]:
    """Standard Gumbel noise, g = -log(-log u) with u ~ Uniform(0, 1). Built in lesson 01.

    Args:
        shape: shape of the noise.
        generator: source of the randomness; torch's global one if None.
        dtype: a floating point type.
        device: where to draw.

    Returns:
        Noise of that shape with mean 0.5772 (Euler-Mascheroni) and variance pi^2 / 6.

    Raises:
        TypeError: if dtype is not a floating point type, or shape not a row of whole numbers.
        ValueError: if an axis is below 0.

    Source: Gumbel (1954); inverse CDF of F(x) = exp(-exp(-x)).
    """
    check_generator(generator)
    shape = whole_numbers("shape", shape, least=0)
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype must be a torch.dtype such as torch.float32, got {described(dtype)}")
    if not dtype.is_floating_point:
        raise TypeError(f"Gumbel noise needs a floating point dtype, got {dtype}")
    u = torch.rand(tuple(shape), generator=generator, dtype=dtype, device=device)
    # rand can return 0, whose noise would be -inf; it never returns 1.
    return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)))


def gumbel_max(
    logits: Float[Tensor, "*batch classes"], *, generator: torch.Generator | None = None
) -> Int[Tensor, "*batch"]:
    """Exact draws from Categorical(softmax(logits)): argmax(logits + Gumbel noise). Built in lesson 01.

    Args:
        logits: unnormalised log-probabilities, classes on the last axis; -inf rules a class out.
        generator: source of the randomness; torch's global one if None.

    Returns:
        One class index per row, shape (*batch,).

    Raises:
        TypeError: if logits are no tensor of floating point numbers.
        ValueError: if a logit is NaN or +inf, or a row has only -inf.

    Source: Gumbel (1954); Maddison et al. (2014), "A* sampling".
    """
    return _perturb(logits, generator).argmax(dim=-1)


def gumbel_softmax(
    logits: Float[Tensor, "*batch classes"],
    tau: float = 10.0,
    *,
    hard: bool = False,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "*batch classes"]:
    """A relaxed or a straight-through sample of Categorical(softmax(logits)). Built in lessons 02 and 03.

    Args:
        logits: unnormalised log-probabilities, classes on the last axis; -inf rules a class out.
        tau: temperature, finite and positive. It changes the soft sample and the gradient, never the hard choice.
        hard: if True, the value is exactly one-hot and the gradient is the soft sample's (straight-through).
        generator: source of the randomness; torch's global one if None.

    Returns:
        Samples of the logits' shape; each row sums to 1.

    Raises:
        TypeError: if logits are no tensor of floating point numbers, or tau is no number.
        ValueError: if tau is not finite and positive, a logit is NaN or +inf, or a row has only -inf.

    Source: Jang et al. (2017); Maddison et al. (2017); Chen et al. (2021), SkipRec (tau = 10).
    """
    check_temperature(tau)
    check_flag("hard", hard)
    perturbed = _perturb(logits, generator)
    # The largest becomes 0 before the division: a tiny tau could otherwise overflow.
    soft = torch.softmax((perturbed - perturbed.detach().amax(dim=-1, keepdim=True)) / tau, dim=-1)
    if not hard:
        return soft
    # The choice is the argmax of the perturbed logits: at large tau the softmax can tie in float32.
    one_hot = torch.zeros_like(soft).scatter_(-1, perturbed.argmax(dim=-1, keepdim=True), 1.0)
    return soft + (one_hot - soft).detach()


def check_temperature(tau: float) -> None:
    """Raise ValueError unless tau is a finite positive number, TypeError if it is none."""
    check_number("tau", tau, above=0)


def check_logits(logits: Float[Tensor, "*batch classes"]) -> None:
    """Raise ValueError if a logit is NaN or +inf, or a row has no other than -inf; TypeError if they are no logits."""
    check_tensor("logits", logits, "floating point numbers", "...", "classes")
    if torch.isnan(logits).any() or (logits == math.inf).any():
        raise ValueError("logits must not hold NaN or +inf")
    if (logits == -math.inf).all(dim=-1).any():
        raise ValueError("a row of logits holds only -inf: it leaves no class to draw")


def _perturb(
    logits: Float[Tensor, "*batch classes"], generator: torch.Generator | None
) -> Float[Tensor, "*batch classes"]:
    check_logits(logits)
    return logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device)

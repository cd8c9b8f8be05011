"""Drawing from a categorical distribution with Gumbel noise, exactly and in a form that has a gradient."""

import math
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from skiprec_lite.inputs import check_floating
from skiprec_lite.promises import Positive, Shape, validated


def check_logits(name: str, logits: Tensor) -> None:
    """Raise ValueError if a logit is NaN or +inf, or a row has only -inf: it leaves no class to draw."""
    if torch.isnan(logits).any() or (logits == math.inf).any():
        raise ValueError(f"{name} must not hold NaN or +inf")
    if (logits == -math.inf).all(dim=-1).any():
        raise ValueError(f"a row of {name} holds only -inf: it leaves no class to draw")


Logits = Annotated[Float[Tensor, "*batch classes"], check_logits]


@validated
def sample_gumbel(
    shape: Shape,
    *,
    generator: torch.Generator | None = None,
    dtype: Annotated[torch.dtype, check_floating] = torch.float32,
    device: torch.device | str | None = None,
) -> Float[Tensor, "..."]:
    """Standard Gumbel noise, g = -log(-log u) with u ~ Uniform(0, 1). Built in lesson 01.

    Its mean is 0.5772 (Euler-Mascheroni), its variance pi^2 / 6. Without a generator torch's global one draws.

    Source: Gumbel (1954); inverse CDF of F(x) = exp(-exp(-x)).
    """
    u = torch.rand(shape, generator=generator, dtype=dtype, device=device)
    # rand can return 0, whose noise would be -inf; it never returns 1.
    return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)))


@validated
def gumbel_max(logits: Logits, *, generator: torch.Generator | None = None) -> Int[Tensor, "*batch"]:
    """Exact draws from Categorical(softmax(logits)): argmax(logits + Gumbel noise). Built in lesson 01.

    Classes lie on the last axis; a logit of -inf rules one out.

    Source: Gumbel (1954); Maddison et al. (2014), "A* sampling".
    """
    noise = sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype).to(logits.device)
    return (logits + noise).argmax(dim=-1)


@validated
def gumbel_softmax(
    logits: Logits, tau: Positive = 10.0, *, hard: bool = False, generator: torch.Generator | None = None
) -> Float[Tensor, "*batch classes"]:
    """A relaxed or a straight-through sample of Categorical(softmax(logits)). Built in lessons 02 and 03.

    Args:
        logits: unnormalised log-probabilities, classes on the last axis; -inf rules a class out, but not all of a row.
        tau: temperature. It changes the soft sample and the gradient, never the hard choice.
        hard: if True, the value is exactly one-hot and the gradient is the soft sample's (straight-through).
        generator: source of the randomness, on the CPU; torch's global one if None.

    Source: Jang et al. (2017); Maddison et al. (2017); Chen et al. (2021), SkipRec (tau = 10).
    """
    noise = sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype).to(logits.device)
    perturbed = logits + noise
    largest = perturbed.detach().amax(dim=-1, keepdim=True)  # becomes 0: a tiny tau must not overflow
    soft = torch.softmax((perturbed - largest) / tau, dim=-1)
    if not hard:
        return soft
    choice = perturbed.argmax(dim=-1, keepdim=True)  # not soft's argmax: at large tau that can tie in float32
    one_hot = torch.zeros_like(soft).scatter_(-1, choice, 1.0)
    return soft + (one_hot - soft).detach()

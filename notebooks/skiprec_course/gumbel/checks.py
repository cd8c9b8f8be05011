"""Checks of what lesson 01 builds: Gumbel noise and the Gumbel-max trick."""

import math

import torch
from torch import Tensor

from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.gumbel.mistakes import GUMBEL_MAX, SAMPLE_GUMBEL
from skiprec_course.questions import honours_the_generator, is_a_tensor

__all__ = ["check_gumbel_max", "check_sample_gumbel"]


# --- sample_gumbel ---


def _sample_gumbel(trial: Trial) -> None:
    for shape in ((7,), (3, 4, 2), torch.Size([5, 1])):
        noise = trial.call(trial.answer, shape)
        is_a_tensor(trial, noise, shape)
        trial.require(noise.shape == tuple(shape), f"found shape {tuple(noise.shape)}, expected {tuple(shape)}",
                      "the noise has the shape that is asked for", shape)  # fmt: skip
        trial.require(not noise.isnan().any(), f"{int(noise.isnan().sum())} of {noise.numel()} numbers are NaN",
                      "", shape)  # fmt: skip
    for dtype in (torch.float32, torch.float64):
        noise = trial.call(trial.answer, (20_000,), dtype=dtype)
        trial.require(noise.dtype == dtype, f"found {noise.dtype}, expected {dtype}", "", (20_000,), dtype=dtype)
        different = len(noise.unique())
        trial.require(different > (19_999 if dtype == torch.float64 else 15_000),
                      f"only {different} different values in 20,000", "", (20_000,), dtype=dtype)  # fmt: skip
    honours_the_generator(trial, (6, 2))
    trial.alike(lambda f: f((DRAWS,)), "the noise", (DRAWS,))
    noise = _where_rand_returns(0.0, trial)
    trial.require(noise.isfinite().all(), "where torch.rand returns exactly 0 the noise is infinite", "", (3,))
    if abs(_where_rand_returns(0.25, trial)[0] + math.log(math.log(4))) < 1e-3:  # else it does not come from torch.rand
        for u in (1e-4, 1 - 1e-4):
            noise, expected = float(_where_rand_returns(u, trial)[0]), -math.log(-math.log(u))
            trial.require(abs(noise - expected) < 0.01,
                          f"where torch.rand returns {u} the noise is {noise:.4g}, expected {expected:.4g}",
                          "the repair of u = 0 changes other u as well", (3,))  # fmt: skip


def _where_rand_returns(u: float, trial: Trial) -> Tensor:
    """The answer's noise while torch.rand returns u everywhere."""
    rand = torch.rand
    torch.rand = lambda *shape, **options: rand(*shape, **options).fill_(u)
    try:
        return trial.call(trial.answer, (3,))
    finally:
        torch.rand = rand


check_sample_gumbel = Check(
    part="gumbel.sample_gumbel",
    task="Return standard Gumbel noise of this shape: turn uniform numbers into Gumbel ones with the inverse of the "
    "distribution function. The result is finite even where `torch.rand` returns 0.",
    hints=(
        "If F is the distribution function and u is uniform, the inverse of F at u has the distribution F. "
        "Here F(x) = exp(-exp(-x)): solve F(x) = u for x.",
        "Two logarithms, two minus signs. Draw u with `torch.rand`, and hand it `generator`, `dtype` and `device`.",
        "log(0) is -inf. The smallest positive number of a dtype is `torch.finfo(dtype).tiny`; a tensor has "
        "`clamp_min`.",
    ),
    body=_sample_gumbel,
    minutes=10,
    difficulty=1,
    mistakes=SAMPLE_GUMBEL,
)


# --- gumbel_max ---


def _gumbel_max(trial: Trial) -> None:
    for shape in ((5, 3), (4,), (2, 3, 6)):
        logits = trial.normal(*shape)
        found = trial.call(trial.answer, logits)
        is_a_tensor(trial, found, logits)
        trial.require(found.shape == shape[:-1], f"found shape {tuple(found.shape)}, expected {shape[:-1]}",
                      "one index for each row: the classes are on the last axis", logits)  # fmt: skip
        trial.require(not found.is_floating_point(), f"found {found.dtype}, expected whole numbers", "", logits)
        trial.require(bool((found >= 0).all() and (found < shape[-1]).all()),
                      f"an index is outside 0 ... {shape[-1] - 1}", "", logits)  # fmt: skip
    honours_the_generator(trial, trial.normal(40, 6))
    rows = trial.call(trial.answer, torch.zeros(2_000, 2))
    trial.require(bool((rows[:-1] != rows[1:]).double().mean() > 0.3), "the rows of one call choose alike", "",
                  torch.zeros(2_000, 2))  # fmt: skip
    for scale in (0.5, 1.5, 4.0):
        logits = trial.normal(5, scale=scale)
        draw = lambda f, logits=logits: f(logits.expand(DRAWS, -1)).to(torch.float64)
        trial.alike(draw, "the index", logits)
    one = torch.tensor([0.0, -math.inf, 0.0])
    found = trial.call(trial.answer, one.expand(300, -1))
    trial.require((found != 1).all(), "a class of logit -inf was drawn", "-inf rules a class out", one)


check_gumbel_max = Check(
    part="gumbel.gumbel_max",
    task="Draw one class for each row of `logits`, with the probabilities softmax(logits): perturb the logits with "
    "Gumbel noise, take the largest. Use your `sample_gumbel`.",
    hints=(
        "The trick has two steps: add noise to each logit, then look which one is largest.",
        "Each row *and* each class needs a number of its own. Which shape does the noise have to have?",
        "`argmax(dim=-1)`: the classes are on the last axis, whatever comes before it.",
    ),
    body=_gumbel_max,
    minutes=5,
    difficulty=1,
    mistakes=GUMBEL_MAX,
)

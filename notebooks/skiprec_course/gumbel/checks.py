"""Checks of what lesson 01 builds: Gumbel noise and the Gumbel-max trick."""

import math

import torch
from torch import Tensor

from skiprec_course.engine import DRAWS, Check, Trial
from skiprec_course.questions import honours_the_generator

__all__ = ["check_gumbel_max", "check_sample_gumbel"]


def _uniform(shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    return torch.rand(tuple(shape), generator=generator).clamp_min(1e-30)


# --- sample_gumbel ---


def _sample_gumbel(trial: Trial) -> None:
    for shape in ((7,), (3, 4, 2), torch.Size([5, 1])):
        noise = trial.call(trial.answer, shape)
        trial.require(type(noise) is Tensor, f"found a {type(noise).__name__}, expected a tensor", "", shape)
        trial.require(noise.shape == tuple(shape), f"found shape {tuple(noise.shape)}, expected {tuple(shape)}",
                      "the noise has the shape that is asked for", shape)  # fmt: skip
        trial.require(not noise.isnan().any(), f"{int(noise.isnan().sum())} of {noise.numel()} numbers are NaN",
                      "a negative number has no logarithm: mind the two minus signs", shape)  # fmt: skip
    for dtype in (torch.float32, torch.float64):
        noise = trial.call(trial.answer, (4,), dtype=dtype)
        trial.require(noise.dtype == dtype, f"found {noise.dtype}, expected {dtype}",
                      "hand `dtype` on to torch.rand", (4,), dtype=dtype)  # fmt: skip
    honours_the_generator(trial, (6, 2))
    noise = trial.call(trial.answer, (50, 400))
    trial.require(len(noise.unique()) > 15_000, f"only {len(noise.unique())} different values in 20,000",
                  "each number needs a draw of its own", (50, 400))  # fmt: skip
    trial.alike(lambda f: f((DRAWS,)), "the noise", (DRAWS,))
    zeros = _with_rand_of_zero(trial)
    trial.require(zeros.isfinite().all(), "where torch.rand returns exactly 0 the noise is infinite",
                  "keep u above 0 before you take its logarithm", (3,))  # fmt: skip


def _with_rand_of_zero(trial: Trial) -> Tensor:
    """The answer's noise while torch.rand returns 0 everywhere."""
    rand = torch.rand
    torch.rand = lambda *shape, **options: rand(*shape, **options).zero_()
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
    mistakes={
        "a sign is wrong: this is the noise upside down, with mean -0.577":
            lambda shape, **o: torch.log(-torch.log(_uniform(shape))),
        "one logarithm is missing: this is exponential noise": lambda shape, **o: -torch.log(_uniform(shape)),
        "these are uniform numbers: the two logarithms are missing": lambda shape, **o: _uniform(shape),
        "this is normal noise: Gumbel noise is not symmetric": lambda shape, **o: torch.randn(tuple(shape)),
        "this is normal noise in place of uniform inside the logarithms":
            lambda shape, **o: -torch.log(-torch.log(torch.randn(tuple(shape)).clamp(1e-6, 1 - 1e-6))),
    },
)  # fmt: skip


# --- gumbel_max ---


def _gumbel_max(trial: Trial) -> None:
    for shape in ((5, 3), (4,), (2, 3, 6)):
        logits = trial.normal(*shape)
        found = trial.call(trial.answer, logits)
        trial.require(type(found) is Tensor, f"found a {type(found).__name__}, expected a tensor", "", logits)
        trial.require(found.shape == shape[:-1], f"found shape {tuple(found.shape)}, expected {shape[:-1]}",
                      "one index for each row: the classes are on the last axis", logits)  # fmt: skip
        trial.require(not found.is_floating_point(), f"found {found.dtype}, expected whole numbers",
                      "return the index of the largest, not its value", logits)  # fmt: skip
        trial.require(bool((found >= 0).all() and (found < shape[-1]).all()),
                      f"an index is outside 0 ... {shape[-1] - 1}", "", logits)  # fmt: skip
    honours_the_generator(trial, trial.normal(40, 6))
    rows = trial.call(trial.answer, torch.zeros(2_000, 2))
    both = torch.stack([rows[:-1], rows[1:]])
    trial.require(bool((both[0] != both[1]).double().mean() > 0.3), "the rows of one call choose alike",
                  "each row needs noise of its own: the noise has the shape of the logits", (2_000, 2))  # fmt: skip
    for scale in (0.5, 1.5, 4.0):
        logits = trial.normal(5, scale=scale)
        draw = lambda f, logits=logits: f(logits.expand(DRAWS, -1)).to(torch.float64)
        trial.alike(draw, "the index", logits)
    one = torch.tensor([0.0, -math.inf, 0.0])
    found = trial.call(trial.answer, one.expand(300, -1))
    trial.require((found != 1).all(), "a class of logit -inf was drawn", "-inf rules a class out", one)


def _gumbel(shape: tuple[int, ...]) -> Tensor:
    return -torch.log(-torch.log(_uniform(shape)))


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
    mistakes={
        "the noise is missing: the largest logit wins every time": lambda logits, **o: logits.argmax(dim=-1),
        "you add the noise to the probabilities: it belongs to the logits":
            lambda logits, **o: (logits.softmax(dim=-1) + _gumbel(logits.shape)).argmax(dim=-1),
        "this is uniform noise: only Gumbel noise gives softmax probabilities":
            lambda logits, **o: (logits + _uniform(logits.shape)).argmax(dim=-1),
        "this is normal noise: only Gumbel noise gives softmax probabilities":
            lambda logits, **o: (logits + torch.randn(logits.shape)).argmax(dim=-1),
        "the noise is subtracted, or upside down": lambda logits, **o: (logits - _gumbel(logits.shape)).argmax(dim=-1),
        "you take the smallest, not the largest": lambda logits, **o: (logits + _gumbel(logits.shape)).argmin(dim=-1),
    },
)  # fmt: skip

"""Answers to the exercises of lessons 01 and 02."""

import torch
from answers import Answer, raises, right, wrong
from torch import Tensor

from skiprec_lite.gumbel import sample_gumbel as noise_of

Generator = torch.Generator | None


# --- sample_gumbel ---


def from_exponential_noise(shape, *, generator: Generator = None, dtype=torch.float32, device=None) -> Tensor:
    return -torch.empty(tuple(shape), dtype=dtype).exponential_(generator=generator).clamp_min(1e-37).log()


def in_place(shape, *, generator: Generator = None, dtype=torch.float32, device=None) -> Tensor:
    u = torch.rand(tuple(shape), generator=generator, dtype=dtype).clamp_(min=1e-30)
    return u.log_().neg_().log_().neg_()


def inside_in_float64(shape, *, generator: Generator = None, dtype=torch.float32, device=None) -> Tensor:
    u = torch.rand(tuple(shape), generator=generator, dtype=torch.float64)
    return (-(-(u + 1e-20).log()).log()).to(dtype)


def no_clamp(shape, *, generator: Generator = None, dtype=torch.float32, device=None) -> Tensor:
    return -torch.log(-torch.log(torch.rand(tuple(shape), generator=generator, dtype=dtype)))


def no_generator(shape, *, generator: Generator = None, dtype=torch.float32, device=None) -> Tensor:
    return from_exponential_noise(shape, dtype=dtype)


def a_list(shape, *, generator: Generator = None, dtype=torch.float32, device=None) -> list:
    return in_place(shape, generator=generator, dtype=dtype).tolist()


def not_a_number(shape, *, generator: Generator = None, dtype=torch.float32, device=None) -> Tensor:
    return in_place(shape, generator=generator, dtype=dtype) * torch.nan


def no_dtype(shape, *, generator: Generator = None) -> Tensor:
    return in_place(shape, generator=generator)


# --- gumbel_max ---


def by_multinomial(logits: Tensor, *, generator: Generator = None) -> Tensor:
    """Not the trick, but the same distribution: a check of behaviour lets it pass, a1's hidden test does not."""
    rows = logits.softmax(dim=-1).reshape(-1, logits.shape[-1])
    return torch.multinomial(rows, 1, generator=generator).reshape(logits.shape[:-1])


def by_max(logits: Tensor, *, generator: Generator = None) -> Tensor:
    return (noise_of(logits.shape, generator=generator) + logits).max(dim=logits.dim() - 1).indices


def of_probabilities(logits: Tensor, *, generator: Generator = None) -> Tensor:
    return (logits.softmax(dim=-1) + noise_of(logits.shape, generator=generator)).argmax(dim=-1)


def one_noise_for_all_rows(logits: Tensor, *, generator: Generator = None) -> Tensor:
    return (logits + noise_of(logits.shape[-1:], generator=generator)).argmax(dim=-1)


def in_two_dimensions(logits: Tensor, *, generator: Generator = None) -> Tensor:
    rows, classes = logits.shape
    return (logits + noise_of((rows, classes), generator=generator)).argmax(dim=-1)


# --- gumbel_softmax ---


def softmax_by_hand(logits: Tensor, tau: float = 10.0, *, generator: Generator = None) -> Tensor:
    z = logits.double() + noise_of(logits.shape, generator=generator, dtype=torch.float64)
    e = ((z - z.max(-1, keepdim=True).values.detach()) / tau).exp()
    return (e / e.sum(-1, keepdim=True)).to(logits.dtype)


def straight_through(logits: Tensor, tau: float = 10.0, *, hard: bool = False, generator: Generator = None) -> Tensor:
    z = logits + noise_of(logits.shape, generator=generator, dtype=logits.dtype)
    soft = torch.softmax((z - z.detach().amax(-1, keepdim=True)) / tau, dim=-1)
    one_hot = torch.nn.functional.one_hot(z.argmax(-1), logits.shape[-1]).to(soft.dtype)
    return one_hot - soft.detach() + soft if hard else soft


def tau_at_logits(logits: Tensor, tau: float = 10.0, *, generator: Generator = None) -> Tensor:
    return torch.softmax(logits / tau + noise_of(logits.shape, generator=generator), dim=-1)


def an_ulp_off(logits: Tensor, tau: float = 10.0, *, hard: bool = False, generator: Generator = None) -> Tensor:
    soft = softmax_by_hand(logits, tau, generator=generator)
    one_hot = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return one_hot + soft - soft.detach() if hard else soft


def no_way_through(logits: Tensor, tau: float = 10.0, *, hard: bool = False, generator: Generator = None) -> Tensor:
    sample = straight_through(logits, tau, hard=hard, generator=generator)
    return sample.detach() if hard else sample


ANSWERS_GUMBEL: dict[str, list[Answer]] = {
    "gumbel.sample_gumbel": [
        right(from_exponential_noise), right(in_place), right(inside_in_float64),
        wrong(no_clamp, "above 0"), wrong(no_generator, "generator"),
        wrong(a_list, "tensor"), wrong(not_a_number, "NaN"), raises(no_dtype, "dtype"),
    ],
    "gumbel.gumbel_max": [
        right(by_multinomial), right(by_max),
        wrong(of_probabilities, "probabilities"), wrong(one_noise_for_all_rows, "row"),
        raises(in_two_dimensions, "unpack"),
    ],
    "gumbel.gumbel_softmax": [
        right(softmax_by_hand), right(straight_through),
        wrong(tau_at_logits, "noise too"), wrong(an_ulp_off, "rounding"), wrong(no_way_through, "gradient"),
    ],
}  # fmt: skip

"""Answers to the exercises of lesson 03, but for gumbel_softmax."""

import itertools
import math

import numpy as np
import torch
from answers import Answer, raises, right, wrong

from skiprec_lite.gumbel import gumbel_softmax, sample_gumbel

Generator = torch.Generator | None


# --- exact_gradient ---


def row_by_row(logits, loss):
    leaf = logits.clone().requires_grad_(True)
    pi = torch.sigmoid(leaf)
    expected = 0
    for row in itertools.product((0.0, 1.0), repeat=len(logits)):
        probability = 1
        for p, z in zip(pi, row):
            probability = probability * (p if z == 1 else 1 - p)
        expected = expected + probability * loss(torch.tensor([row], dtype=logits.dtype))[0]
    expected.backward()
    return leaf.grad


def without_autograd(logits, loss):
    """pi(1 - pi) times the difference of the two conditional means."""
    n, pi = len(logits), logits.sigmoid()
    z = torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=logits.dtype)
    chance = pi**z * (1 - pi) ** (1 - z)
    f = loss(z)
    columns = []
    for k in range(n):
        others = chance[:, [i for i in range(n) if i != k]].prod(dim=1)
        columns.append(pi[k] * (1 - pi[k]) * torch.einsum("r,r,r->", 2 * z[:, k] - 1, others, f))
    return torch.stack(columns)


def by_logarithms(logits, loss):
    a = logits.detach().double().requires_grad_()
    bits = (torch.arange(2 ** len(a)).unsqueeze(1) >> torch.arange(len(a))) & 1
    z = bits.to(logits.dtype)
    log_p = z.double() @ torch.nn.functional.logsigmoid(a) + (1 - z.double()) @ torch.nn.functional.logsigmoid(-a)
    return torch.autograd.grad(log_p.exp() @ loss(z).double(), a)[0].to(logits.dtype)


def in_numpy(logits, loss):
    pi = 1 / (1 + np.exp(-logits.numpy()))
    z = np.array(list(itertools.product([0, 1], repeat=len(pi))), dtype=pi.dtype)
    chance = np.where(z == 1, pi, 1 - pi).prod(axis=1)
    f = loss(torch.from_numpy(z)).numpy()
    return torch.from_numpy(((chance * f)[:, None] * (z - pi)).sum(axis=0))


def _rows(logits):
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(logits))), dtype=logits.dtype)


def kept_gates_only(logits, loss):
    a, z = logits.clone().requires_grad_(), _rows(logits)
    probability = (torch.sigmoid(a) ** z).prod(dim=1)
    return torch.autograd.grad((probability * loss(z)).sum(), a)[0]


def by_sampling(logits, loss):
    z = (torch.rand(100_000, len(logits)) < torch.sigmoid(logits)).to(logits.dtype)
    return (loss(z)[:, None] * (z - torch.sigmoid(logits))).mean(dim=0)


def one_gate_on_at_a_time(logits, loss):
    z, pi = torch.eye(len(logits)), torch.sigmoid(logits)
    return pi * (1 - pi) * (loss(z) - loss(torch.zeros(1, len(logits))))


def no_gate_alone(logits, loss):
    a = logits.clone().requires_grad_()
    z = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=logits.dtype)] * len(logits))
    probability = torch.where(z == 1, torch.sigmoid(a), 1 - torch.sigmoid(a)).prod(dim=1)
    return torch.autograd.grad((probability * loss(z)).sum(), a)[0]


def prints_it(logits, loss):
    gradient = row_by_row(logits, loss)
    assert gradient is not None


def a_list(logits, loss):
    return row_by_row(logits, loss).tolist()


def not_a_number(logits, loss):
    return row_by_row(logits, loss) / 0 * 0


# --- drawing gates ---


def by_bernoulli(logits, samples, *, generator: Generator = None):
    return torch.bernoulli(torch.sigmoid(logits).expand(samples, -1), generator=generator)


def gate_by_gate(logits, samples, *, generator: Generator = None):
    gates = torch.zeros(samples, len(logits), dtype=logits.dtype)
    for k, a in enumerate(logits.tolist()):
        gates[torch.rand(samples, generator=generator) <= 1 / (1 + math.exp(-a)), k] = 1
    return gates


# --- through_a_sample ---


def by_backward(logits, loss, samples, draw):
    a = logits.repeat(samples, 1).requires_grad_()
    skip = torch.zeros(samples, len(logits), 1, dtype=logits.dtype)
    gates = draw(torch.cat([a[..., None], skip], dim=-1)).select(-1, 0)
    loss(gates).backward(torch.ones(samples, dtype=logits.dtype))
    return a.grad


def sample_by_sample(logits, loss, samples, draw):
    rows = []
    for _ in range(samples):
        a = logits.clone().requires_grad_()
        sample = draw(torch.stack([a, torch.zeros_like(a)], dim=1)[None])
        rows += torch.autograd.grad(loss(sample[:, :, 0]).squeeze(), a)
    return torch.stack(rows)


def with_log_probabilities(logits, loss, samples, draw):
    a = logits.expand(samples, -1).clone().requires_grad_()
    pairs = torch.nn.functional.logsigmoid(torch.stack([a, -a], dim=-1))
    return torch.autograd.grad(loss(draw(pairs)[..., 0]).sum(), a)[0]


def one_leaf(logits, loss, samples, draw):
    a = logits.clone().requires_grad_()
    pairs = torch.stack([a, torch.zeros_like(a)], dim=-1).expand(samples, -1, -1)
    return torch.autograd.grad(loss(draw(pairs)[..., 0]).sum(), a)[0]


def slope_of_the_loss(logits, loss, samples, draw):
    a = logits.expand(samples, -1)
    gates = draw(torch.stack([a, torch.zeros_like(a)], dim=-1))[..., 0].detach().requires_grad_()
    return torch.autograd.grad(loss(gates).sum(), gates)[0]


def no_leaf(logits, loss, samples, draw):
    a = logits.expand(samples, -1)
    gates = draw(torch.stack([a, torch.zeros_like(a)], dim=-1))[..., 0]
    return torch.autograd.grad(loss(gates).sum(), a)[0]


# --- straight_through and relaxed ---


def package_through(logits, loss, samples, *, tau, generator: Generator = None):
    draw = lambda pairs: gumbel_softmax(pairs, tau, hard=True, generator=generator)
    return by_backward(logits, loss, samples, draw)


def by_formula(logits, loss, samples, *, tau, generator: Generator = None):
    """f'(z) y(1 - y) / tau with one logistic number in place of two Gumbel ones."""
    u = torch.rand(samples, len(logits), generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    noisy = logits.double() + u.log() - (1 - u).log()
    z = (noisy > 0).to(logits.dtype).requires_grad_()
    (slope,) = torch.autograd.grad(loss(z).sum(), z)
    y = torch.sigmoid(noisy / tau)
    return slope * (y * (1 - y) / tau).to(slope.dtype)


def _own(soft_of, hard_of=lambda a, noise: (a + noise > 0).float(), slope=None):
    """Straight-through from a soft sample of (logit, logistic noise, tau)."""

    def estimate(logits, loss, samples, *, tau, generator: Generator = None):
        a = logits.repeat(samples, 1).requires_grad_()
        g = sample_gumbel((2, *a.shape), generator=generator)
        soft = soft_of(a, g[0] - g[1], tau)
        z = hard_of(a, g[0] - g[1])
        return torch.autograd.grad(loss(z.detach() + (soft - soft.detach())).sum(), a)[0]

    return estimate


tau_at_the_noise = _own(lambda a, noise, tau: torch.sigmoid(a + noise / tau))
another_noise = _own(lambda a, noise, tau: torch.sigmoid((a + noise.flip(0)) / tau))
choice_at_tau = _own(
    lambda a, noise, tau: torch.sigmoid((a + noise) / tau), lambda a, noise: (a / 0.5 + noise > 0).float()
)


def with_rounding(logits, loss, samples, *, tau, generator: Generator = None):
    a = logits.repeat(samples, 1).requires_grad_()
    g = sample_gumbel((2, *a.shape), generator=generator)
    soft = torch.sigmoid((a + g[0] - g[1]) / tau)
    return torch.autograd.grad(loss((soft > 0.5).float() + soft - soft.detach()).sum(), a)[0]


def raises_without_tau(logits, loss, samples, *, generator: Generator = None):
    return package_through(logits, loss, samples, tau=1.0, generator=generator)


# --- identity_straight_through ---


def at_a_leaf(logits, loss, samples, *, generator: Generator = None):
    z = by_bernoulli(logits, samples, generator=generator).requires_grad_()
    return torch.autograd.grad(loss(z).sum(), z)[0]


def with_a_bracket(logits, loss, samples, *, generator: Generator = None):
    a = logits.repeat(samples, 1).requires_grad_()
    z = gate_by_gate(logits, samples, generator=generator)
    loss((a - a.detach()) + z).sum().backward()
    return a.grad


def without_a_bracket(logits, loss, samples, *, generator: Generator = None):
    a = logits.repeat(samples, 1).requires_grad_()
    z = by_bernoulli(logits, samples, generator=generator)
    return torch.autograd.grad(loss(z + a - a.detach()).sum(), a)[0]


def by_gumbel_softmax(logits, loss, samples, *, generator: Generator = None):
    return package_through(logits, loss, samples, tau=1.0, generator=generator)


def thresholded(logits, loss, samples, *, generator: Generator = None):
    z = (logits > 0).to(logits.dtype).repeat(samples, 1).requires_grad_()
    return torch.autograd.grad(loss(z).sum(), z)[0]


def no_way_back(logits, loss, samples, *, generator: Generator = None):
    a = logits.repeat(samples, 1).requires_grad_()
    z = (torch.rand(a.shape, generator=generator) < torch.sigmoid(a)).to(a.dtype)
    return torch.autograd.grad(loss(z).sum(), a)[0]


# --- reinforce ---


def by_autograd(logits, loss, samples, *, baseline=False, generator: Generator = None):
    a = logits.detach().repeat(samples, 1).requires_grad_()
    z = by_bernoulli(logits.detach(), samples, generator=generator)
    log_p = torch.distributions.Bernoulli(logits=a).log_prob(z).sum(dim=1)
    f = loss(z)
    if baseline:
        f = f - loss(by_bernoulli(logits.detach(), samples, generator=generator))
    return torch.autograd.grad((f.detach() * log_p).sum(), a)[0]


@torch.no_grad()
def both_drawn_at_once(logits, loss, samples, *, baseline=False, generator: Generator = None):
    z = by_bernoulli(logits, 2 * samples, generator=generator)
    f = loss(z)
    weight = f[:samples] - f[samples:] if baseline else f[:samples]
    return torch.einsum("s,sg->sg", weight, z[:samples] - logits.sigmoid())


def _reinforce(advantage, score=lambda z, pi: z - pi):
    def estimate(logits, loss, samples, *, baseline=False, generator: Generator = None):
        z = by_bernoulli(logits, samples, generator=generator)
        second = lambda: loss(by_bernoulli(logits, samples, generator=generator))
        weight = advantage(loss(z), second) if baseline else loss(z)
        return (weight[:, None] * score(z, torch.sigmoid(logits))).detach()

    return estimate


fair = lambda f, second: f - second()
same_draw = _reinforce(lambda f, second: f - f)
mean_of_the_same_draw = _reinforce(lambda f, second: f - f.mean())
of_pi = _reinforce(fair, lambda z, pi: z / pi - (1 - z) / (1 - pi))


def summed(logits, loss, samples, *, baseline=False, generator: Generator = None):
    return both_drawn_at_once(logits, loss, samples, baseline=baseline, generator=generator).sum(dim=0)


def no_unsqueeze(logits, loss, samples, *, baseline=False, generator: Generator = None):
    z = by_bernoulli(logits, samples, generator=generator)
    return loss(z) * (z - torch.sigmoid(logits))


# --- difference ---


@torch.no_grad()
def set_to_one_and_zero(logits, loss, samples, *, generator: Generator = None):
    pi = torch.sigmoid(logits)
    gates = by_bernoulli(logits, samples, generator=generator)
    gradient = torch.empty_like(gates)
    for k in range(len(logits)):
        kept, skipped = gates.clone(), gates.clone()
        kept[:, k], skipped[:, k] = 1, 0
        gradient[:, k] = (loss(kept) - loss(skipped)) * pi[k] * (1 - pi[k])
    return gradient


@torch.no_grad()
def all_flips_in_one_call(logits, loss, samples, *, generator: Generator = None):
    n = len(logits)
    z = by_bernoulli(logits.double(), samples, generator=generator)
    flips = (z.unsqueeze(1) - torch.eye(n, dtype=z.dtype)).abs()  # (sample, which, gate)
    f = loss(flips.view(-1, n)).view(samples, n)
    pi = logits.double().sigmoid()
    return ((2 * z - 1) * (loss(z).unsqueeze(1) - f) * pi * (1 - pi)).to(logits.dtype)


def flips_pile_up(logits, loss, samples, *, generator: Generator = None):
    z, pi = by_bernoulli(logits, samples, generator=generator), torch.sigmoid(logits)
    here, other, columns = loss(z), z.clone(), []
    for k in range(len(logits)):
        other[:, k] = 1 - other[:, k]
        columns.append(pi[k] * (1 - pi[k]) * (2 * z[:, k] - 1) * (here - loss(other)))
    return torch.stack(columns, dim=1)


def hangs_on_the_graph(logits, loss, samples, *, generator: Generator = None):
    pi = torch.sigmoid(logits)
    return set_to_one_and_zero(logits, loss, samples, generator=generator) / (pi * (1 - pi)).detach() * pi * (1 - pi)


def flips_the_drawn_ones(logits, loss, samples, *, generator: Generator = None):
    """Flips in place, so that the row it compares with is flipped as well."""
    z, pi = by_bernoulli(logits, samples, generator=generator), torch.sigmoid(logits)
    here, columns = loss(z), []
    for k in range(len(logits)):
        z[:, k] = 1 - z[:, k]
        columns.append(pi[k] * (1 - pi[k]) * (2 * z[:, k] - 1) * (here - loss(z)))
    return torch.stack(columns, dim=1)


ANSWERS_STRAIGHT_THROUGH: dict[str, list[Answer]] = {
    "estimators.exact_gradient": [
        right(row_by_row), right(without_autograd), right(by_logarithms), right(in_numpy),
        wrong(kept_gates_only, "skipped gates"), wrong(by_sampling, "o not draw"),
        wrong(one_gate_on_at_a_time, "2^n"),
        wrong(prints_it, "return"), wrong(a_list, "tensor"), wrong(not_a_number, "NaN"),
        raises(no_gate_alone, "given ["),
    ],
    "estimators.through_a_sample": [
        right(by_backward), right(sample_by_sample), right(with_log_probabilities),
        wrong(one_leaf, "summed over the samples"), wrong(slope_of_the_loss, "go on through the sample"),
        raises(no_leaf, "require grad"),
    ],
    "estimators.straight_through": [
        right(package_through), right(by_formula),
        wrong(tau_at_the_noise, "one side only"), wrong(another_noise, "another draw"),
        wrong(choice_at_tau, "changes how often"), wrong(with_rounding, "rounding"), raises(raises_without_tau, "tau"),
    ],
    "estimators.identity_straight_through": [
        right(at_a_leaf), right(with_a_bracket),
        wrong(without_a_bracket, "rounding"), wrong(by_gumbel_softmax, "y(1 - y)"),
        wrong(thresholded, "random numbers of its own"), raises(no_way_back, "grad"),
    ],
    "estimators.reinforce": [
        right(by_autograd), right(both_drawn_at_once),
        wrong(same_draw, "same draw"), wrong(mean_of_the_same_draw, "one number for all"),
        wrong(of_pi, "respect to pi"),
        raises(no_unsqueeze, "size"),
    ],
    "estimators.difference": [
        right(set_to_one_and_zero), right(all_flips_in_one_call),
        wrong(flips_pile_up, "pile up"), wrong(flips_the_drawn_ones, "after the flip"),
        wrong(hangs_on_the_graph, "detach"),
    ],
}  # fmt: skip

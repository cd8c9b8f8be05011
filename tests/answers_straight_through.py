"""Answers to the exercises of lesson 03, but for gumbel_softmax."""

import itertools
import math
from functools import partial

import numpy as np
import torch
from answers import Answer, raises, right, wrong

from skiprec_lite import estimators
from skiprec_lite.gumbel import gumbel_max, gumbel_softmax, sample_gumbel

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


def at_the_mean_gates(logits, loss):
    a = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(torch.sigmoid(a)[None]).sum(), a)[0]


def through_the_loss(logits, loss):
    pi = torch.sigmoid(logits)
    z = _rows(logits).requires_grad_()
    probability = torch.where(z.detach() == 1, pi, 1 - pi).prod(dim=1)
    (slope,) = torch.autograd.grad((probability * loss(z)).sum(), z)
    return slope.sum(dim=0) * pi * (1 - pi)


def kept_gates_only(logits, loss):
    a, z = logits.clone().requires_grad_(), _rows(logits)
    probability = (torch.sigmoid(a) ** z).prod(dim=1)
    return torch.autograd.grad((probability * loss(z)).sum(), a)[0]


def keep_is_zero(logits, loss):
    a, z = logits.clone().requires_grad_(), _rows(logits)
    probability = torch.where(z == 0, torch.sigmoid(a), 1 - torch.sigmoid(a)).prod(dim=1)
    return torch.autograd.grad((probability * loss(z)).sum(), a)[0]


def of_the_probabilities(logits, loss):
    pi, z = torch.sigmoid(logits).requires_grad_(), _rows(logits)
    probability = torch.where(z == 1, pi, 1 - pi).prod(dim=1)
    return torch.autograd.grad((probability * loss(z)).sum(), pi)[0]


def downhill(logits, loss):
    return -without_autograd(logits, loss)


def mean_over_rows(logits, loss):
    return without_autograd(logits, loss) / 2 ** len(logits)


def softmax_of_gates(logits, loss):
    a, z = logits.clone().requires_grad_(), _rows(logits)
    pi = torch.softmax(a, dim=0)
    return torch.autograd.grad((torch.where(z == 1, pi, 1 - pi).prod(dim=1) * loss(z)).sum(), a)[0]


def all_rows_alike(logits, loss):
    z = _rows(logits)
    return (loss(z)[:, None] * (z - torch.sigmoid(logits))).sum(dim=0)


def by_sampling(logits, loss):
    z = (torch.rand(100_000, len(logits)) < torch.sigmoid(logits)).to(logits.dtype)
    return (loss(z)[:, None] * (z - torch.sigmoid(logits))).mean(dim=0)


def one_gate_on_at_a_time(logits, loss):
    z, pi = torch.eye(len(logits)), torch.sigmoid(logits)
    return pi * (1 - pi) * (loss(z) - loss(torch.zeros(1, len(logits))))


def expected_loss(logits, loss):
    z, pi = _rows(logits), torch.sigmoid(logits)
    return (torch.where(z == 1, pi, 1 - pi).prod(dim=1) * loss(z)).sum()


def of_each_row(logits, loss):
    z, pi = _rows(logits), torch.sigmoid(logits)
    return (torch.where(z == 1, pi, 1 - pi).prod(dim=1) * loss(z))[:, None] * (z - pi)


def on_the_logits_themselves(logits, loss):
    logits.requires_grad_()
    z, pi = _rows(logits), torch.sigmoid(logits)
    expected = (torch.where(z == 1, pi, 1 - pi).prod(dim=1) * loss(z)).sum()
    return torch.autograd.grad(expected, logits)[0]


def rows_of_float32(logits, loss):
    return row_by_row(logits, lambda z: loss(z.float()))


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


# --- draw_gates ---


def by_bernoulli(logits, samples, *, generator: Generator = None):
    return torch.bernoulli(torch.sigmoid(logits).expand(samples, -1), generator=generator)


def by_gumbel_max(logits, samples, *, generator: Generator = None):
    pairs = torch.stack([torch.zeros_like(logits), logits], dim=-1)
    return gumbel_max(pairs.expand(samples, -1, -1), generator=generator).to(logits.dtype)


def gate_by_gate(logits, samples, *, generator: Generator = None):
    gates = torch.zeros(samples, len(logits), dtype=logits.dtype)
    for k, a in enumerate(logits.tolist()):
        gates[torch.rand(samples, generator=generator) <= 1 / (1 + math.exp(-a)), k] = 1
    return gates


def inverted(logits, samples, *, generator: Generator = None):
    return (torch.rand(samples, len(logits), generator=generator) > torch.sigmoid(logits)).to(logits.dtype)


def no_sigmoid(logits, samples, *, generator: Generator = None):
    return (torch.rand(samples, len(logits), generator=generator) < logits).to(logits.dtype)


def normal_noise(logits, samples, *, generator: Generator = None):
    return (torch.randn(samples, len(logits), generator=generator) < torch.sigmoid(logits)).to(logits.dtype)


def softmaxed(logits, samples, *, generator: Generator = None):
    return (torch.rand(samples, len(logits), generator=generator) < torch.softmax(logits, 0)).to(logits.dtype)


def one_number_a_row(logits, samples, *, generator: Generator = None):
    return (torch.rand(samples, 1, generator=generator) < torch.sigmoid(logits)).to(logits.dtype)


def one_row_for_all(logits, samples, *, generator: Generator = None):
    u = torch.rand(len(logits), generator=generator)
    return (u < torch.sigmoid(logits)).to(logits.dtype).repeat(samples, 1)


def likelier(logits, samples, *, generator: Generator = None):
    return torch.sigmoid(logits).round().repeat(samples, 1)


def probabilities(logits, samples, *, generator: Generator = None):
    return torch.sigmoid(logits).repeat(samples, 1)


def bools(logits, samples, *, generator: Generator = None):
    return torch.rand(samples, len(logits), generator=generator) < torch.sigmoid(logits)


def global_numbers(logits, samples, *, generator: Generator = None):
    return by_bernoulli(logits, samples)


def gates_first(logits, samples, *, generator: Generator = None):
    return by_bernoulli(logits, samples, generator=generator).T


def size_of_a_tuple(logits, samples, *, generator: Generator = None):
    return (torch.rand((samples, logits), generator=generator) < torch.sigmoid(logits)).float()


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


def of_the_mean(logits, loss, samples, draw):
    return by_backward(logits, loss, samples, draw) / samples


def second_entry(logits, loss, samples, draw):
    a = logits.expand(samples, -1).clone().requires_grad_()
    sample = draw(torch.stack([a, torch.zeros_like(a)], dim=-1))
    return torch.autograd.grad(loss(sample[..., 1]).sum(), a)[0]


def _with_pairs(pairs_of):
    def through(logits, loss, samples, draw):
        a = logits.expand(samples, -1).clone().requires_grad_()
        return torch.autograd.grad(loss(draw(pairs_of(a))[..., 0]).sum(), a)[0]

    return through


skip_first = _with_pairs(lambda a: torch.stack([torch.zeros_like(a), a], dim=-1))
both_ways = _with_pairs(lambda a: torch.stack([a, -a], dim=-1))
as_probabilities = _with_pairs(lambda a: torch.stack([a.sigmoid(), 1 - a.sigmoid()], dim=-1))
on_the_first_axis = _with_pairs(lambda a: torch.stack([a, torch.zeros_like(a)]))


def one_leaf(logits, loss, samples, draw):
    a = logits.clone().requires_grad_()
    pairs = torch.stack([a, torch.zeros_like(a)], dim=-1).expand(samples, -1, -1)
    return torch.autograd.grad(loss(draw(pairs)[..., 0]).sum(), a)[0]


def one_draw(logits, loss, samples, draw):
    a = logits.clone().requires_grad_()
    gates = draw(torch.stack([a, torch.zeros_like(a)], dim=-1)[None])[..., 0]
    return torch.autograd.grad(loss(gates).sum(), a)[0].expand(samples, -1)


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


def soft_by_formula(logits, loss, samples, *, tau, generator: Generator = None):
    a = logits.repeat(samples, 1).requires_grad_()
    g = sample_gumbel((2, *a.shape), generator=generator)
    return torch.autograd.grad(loss(torch.sigmoid((a + g[0] - g[1]) / tau)).sum(), a)[0]


def package_relaxed(logits, loss, samples, *, tau, generator: Generator = None):
    return (
        sample_by_sample(logits, loss, samples, lambda pairs: gumbel_softmax(pairs, tau, generator=generator))
        if samples < 100
        else soft_by_formula(logits, loss, samples, tau=tau, generator=generator)
    )


def _own(soft_of, hard_of=lambda a, noise: (a + noise > 0).float(), slope=None):
    """Straight-through from a soft sample of (logit, logistic noise, tau)."""

    def estimate(logits, loss, samples, *, tau, generator: Generator = None):
        a = logits.repeat(samples, 1).requires_grad_()
        g = sample_gumbel((2, *a.shape), generator=generator)
        soft = soft_of(a, g[0] - g[1], tau)
        z = hard_of(a, g[0] - g[1])
        return torch.autograd.grad(loss(z.detach() + (soft - soft.detach())).sum(), a)[0]

    return estimate


tau_at_the_logit = _own(lambda a, noise, tau: torch.sigmoid(a / tau + noise))
tau_at_the_noise = _own(lambda a, noise, tau: torch.sigmoid(a + noise / tau))
no_tau = _own(lambda a, noise, tau: torch.sigmoid(a + noise))
no_division = _own(lambda a, noise, tau: tau * torch.sigmoid((a + noise) / tau))
slope_of_pi = _own(lambda a, noise, tau: torch.sigmoid(a))
identity = _own(lambda a, noise, tau: a)
another_noise = _own(lambda a, noise, tau: torch.sigmoid((a + noise.flip(0)) / tau))
choice_at_tau = _own(
    lambda a, noise, tau: torch.sigmoid((a + noise) / tau), lambda a, noise: (a / 0.5 + noise > 0).float()
)


def with_rounding(logits, loss, samples, *, tau, generator: Generator = None):
    a = logits.repeat(samples, 1).requires_grad_()
    g = sample_gumbel((2, *a.shape), generator=generator)
    soft = torch.sigmoid((a + g[0] - g[1]) / tau)
    return torch.autograd.grad(loss((soft > 0.5).float() + soft - soft.detach()).sum(), a)[0]


def soft_forward(logits, loss, samples, *, tau, generator: Generator = None):
    return estimators.relaxed(logits, loss, samples, tau=tau, generator=generator)


def hard_forward(logits, loss, samples, *, tau, generator: Generator = None):
    return estimators.straight_through(logits, loss, samples, tau=tau, generator=generator)


def the_mean(logits, loss, samples, *, tau, generator: Generator = None):
    return package_through(logits, loss, samples, tau=tau, generator=generator).mean(dim=0)


def divided(logits, loss, samples, *, tau, generator: Generator = None):
    return package_through(logits, loss, samples, tau=tau, generator=generator) / samples


def soft_divided(logits, loss, samples, *, tau, generator: Generator = None):
    return soft_by_formula(logits, loss, samples, tau=tau, generator=generator) / samples


def no_generator(logits, loss, samples, *, tau, generator: Generator = None):
    return package_through(logits, loss, samples, tau=tau)


def the_skip_gate(logits, loss, samples, *, tau, generator: Generator = None):
    return second_entry(logits, loss, samples, partial(gumbel_softmax, tau=tau, hard=True, generator=generator))


def relaxed_skip_gate(logits, loss, samples, *, tau, generator: Generator = None):
    return second_entry(logits, loss, samples, partial(gumbel_softmax, tau=tau, generator=generator))


def pi_first(logits, loss, samples, *, tau, generator: Generator = None):
    return package_through(torch.sigmoid(logits), loss, samples, tau=tau, generator=generator)


def relaxed_probability(logits, loss, samples, *, tau, generator: Generator = None):
    a = logits.repeat(samples, 1).requires_grad_()
    return torch.autograd.grad(loss(torch.sigmoid(a / tau)).sum(), a)[0]


def _soft(soft_of):
    def estimate(logits, loss, samples, *, tau, generator: Generator = None):
        a = logits.repeat(samples, 1).requires_grad_()
        g = sample_gumbel((2, *a.shape), generator=generator)
        return torch.autograd.grad(loss(soft_of(a, g[0] - g[1], tau)).sum(), a)[0]

    return estimate


soft_tau_at_the_logit = _soft(lambda a, noise, tau: torch.sigmoid(a / tau + noise))
soft_no_tau = _soft(lambda a, noise, tau: torch.sigmoid(a + noise))
soft_times_tau = _soft(lambda a, noise, tau: torch.sigmoid((a + noise) * tau))
soft_no_noise_slope = _soft(lambda a, noise, tau: torch.sigmoid((a + noise) / tau).detach() * (1 + 0 * a))


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


def slope_of_the_sigmoid(logits, loss, samples, *, generator: Generator = None):
    a = logits.repeat(samples, 1).requires_grad_()
    z, pi = by_bernoulli(logits, samples, generator=generator), torch.sigmoid(a)
    return torch.autograd.grad(loss(z + (pi - pi.detach())).sum(), a)[0]


def by_gumbel_softmax(logits, loss, samples, *, generator: Generator = None):
    return package_through(logits, loss, samples, tau=1.0, generator=generator)


def at_the_probabilities(logits, loss, samples, *, generator: Generator = None):
    pi = torch.sigmoid(logits).repeat(samples, 1).requires_grad_()
    return torch.autograd.grad(loss(pi).sum(), pi)[0]


def thresholded(logits, loss, samples, *, generator: Generator = None):
    z = (logits > 0).to(logits.dtype).repeat(samples, 1).requires_grad_()
    return torch.autograd.grad(loss(z).sum(), z)[0]


def drawn_upside_down(logits, loss, samples, *, generator: Generator = None):
    return at_a_leaf(-logits, loss, samples, generator=generator)


def mean_of_losses(logits, loss, samples, *, generator: Generator = None):
    return at_a_leaf(logits, loss, samples, generator=generator) / samples


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
mean_of_the_second = _reinforce(lambda f, second: f - second().mean())
no_baseline = _reinforce(lambda f, second: f)
added = _reinforce(lambda f, second: f + second())
turned_round = _reinforce(lambda f, second: second() - f)
wrong_sign = _reinforce(fair, lambda z, pi: pi - z)
of_pi = _reinforce(fair, lambda z, pi: z / pi - (1 - z) / (1 - pi))
kept_only = _reinforce(fair, lambda z, pi: z * (1 - pi))
just_z = _reinforce(fair, lambda z, pi: z)


def with_the_graph(logits, loss, samples, *, baseline=False, generator: Generator = None):
    z = by_bernoulli(logits, samples, generator=generator)
    f = loss(z)
    if baseline:
        f = f - loss(by_bernoulli(logits, samples, generator=generator))
    return f[:, None] * (z - torch.sigmoid(logits))


def of_probabilities(logits, loss, samples, *, baseline=False, generator: Generator = None):
    z, pi = torch.sigmoid(logits).repeat(samples, 1), torch.sigmoid(logits)
    return loss(z)[:, None] * (z - pi)


def summed(logits, loss, samples, *, baseline=False, generator: Generator = None):
    return both_drawn_at_once(logits, loss, samples, baseline=baseline, generator=generator).sum(dim=0)


def no_unsqueeze(logits, loss, samples, *, baseline=False, generator: Generator = None):
    z = by_bernoulli(logits, samples, generator=generator)
    return loss(z) * (z - torch.sigmoid(logits))


def drawn_inverted(logits, loss, samples, *, baseline=False, generator: Generator = None):
    z = 1 - by_bernoulli(logits, samples, generator=generator)
    return loss(z)[:, None] * (z - torch.sigmoid(logits))


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


def _flips(column, flip=None):
    def one(z, k):
        other = z.clone()
        other[:, k] = 1 - other[:, k]
        return other

    def estimate(logits, loss, samples, *, generator: Generator = None):
        z, pi = by_bernoulli(logits, samples, generator=generator), torch.sigmoid(logits)
        columns = [column(z[:, k], loss(z), loss((flip or one)(z, k)), pi[k]) for k in range(len(logits))]
        return torch.stack(columns, dim=1).detach()

    return estimate


no_factor = _flips(lambda z, f, other, pi: (2 * z - 1) * (f - other))
no_sign = _flips(lambda z, f, other, pi: pi * (1 - pi) * (f - other))
skipped_minus_kept = _flips(lambda z, f, other, pi: pi * (1 - pi) * (1 - 2 * z) * (f - other))
all_at_once = _flips(lambda z, f, other, pi: pi * (1 - pi) * (2 * z - 1) * (f - other), lambda z, k: 1 - z)
factor_of_the_score = _flips(lambda z, f, other, pi: (z - pi) * (f - other))


def flips_pile_up(logits, loss, samples, *, generator: Generator = None):
    z, pi = by_bernoulli(logits, samples, generator=generator), torch.sigmoid(logits)
    here, other, columns = loss(z), z.clone(), []
    for k in range(len(logits)):
        other[:, k] = 1 - other[:, k]
        columns.append(pi[k] * (1 - pi[k]) * (2 * z[:, k] - 1) * (here - loss(other)))
    return torch.stack(columns, dim=1)


def others_at_their_mean(logits, loss, samples, *, generator: Generator = None):
    pi = torch.sigmoid(logits)
    columns = []
    for k in range(len(logits)):
        kept, skipped = pi.repeat(samples, 1), pi.repeat(samples, 1)
        kept[:, k], skipped[:, k] = 1, 0
        columns.append(pi[k] * (1 - pi[k]) * (loss(kept) - loss(skipped)))
    return torch.stack(columns, dim=1)


def by_its_slope(logits, loss, samples, *, generator: Generator = None):
    return at_a_leaf(logits, loss, samples, generator=generator) * torch.sigmoid(logits) * torch.sigmoid(-logits)


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


def gates_in_the_wrong_place(logits, loss, samples, *, generator: Generator = None):
    return set_to_one_and_zero(logits, loss, samples, generator=generator).T


ANSWERS_STRAIGHT_THROUGH: dict[str, list[Answer]] = {
    "estimators.exact_gradient": [
        right(row_by_row), right(without_autograd), right(by_logarithms), right(in_numpy),
        wrong(at_the_mean_gates, "mean gates"), wrong(through_the_loss, "through the loss"),
        wrong(kept_gates_only, "skipped gates"), wrong(keep_is_zero, "swapped"),
        wrong(of_the_probabilities, "go on to the logits"), wrong(downhill, "sign"),
        wrong(mean_over_rows, "mean over the rows"), wrong(softmax_of_gates, "softmax"),
        wrong(all_rows_alike, "weight each row"), wrong(by_sampling, "o not draw"),
        wrong(one_gate_on_at_a_time, "2^n"), wrong(expected_loss, "a loss perhaps"),
        wrong(of_each_row, "sum over the rows"),
        wrong(on_the_logits_themselves, "detached copy"), wrong(rows_of_float32, "dtype"),
        wrong(prints_it, "return"), wrong(a_list, "tensor"), wrong(not_a_number, "NaN"),
        raises(no_gate_alone, "given ["),
    ],
    "estimators.draw_gates": [
        right(by_bernoulli), right(by_gumbel_max), right(gate_by_gate),
        wrong(inverted, "wrong way round"), wrong(no_sigmoid, "sigmoid is missing"), wrong(normal_noise, "normal"),
        wrong(softmaxed, "softmax"), wrong(one_number_a_row, "ach gate"), wrong(one_row_for_all, "ach sample"),
        wrong(likelier, "random numbers of its own"), wrong(probabilities, "neither 0 nor 1"), wrong(bools, "dtype"),
        wrong(global_numbers, "generator"), wrong(gates_first, "column for each gate"),
        raises(size_of_a_tuple, "TypeError"),
    ],
    "estimators.through_a_sample": [
        right(by_backward), right(sample_by_sample), right(with_log_probabilities),
        wrong(of_the_mean, "mean loss"), wrong(second_entry, "second entry"), wrong(skip_first, "first"),
        wrong(both_ways, "doubled"), wrong(as_probabilities, "wants logits"), wrong(on_the_first_axis, "last axis"),
        wrong(one_leaf, "summed over the samples"), wrong(one_draw, "very sample"),
        wrong(slope_of_the_loss, "go on through the sample"), raises(no_leaf, "require grad"),
    ],
    "estimators.straight_through": [
        right(package_through), right(by_formula),
        wrong(soft_forward, "the choice itself"), wrong(tau_at_the_logit, "one side only"),
        wrong(tau_at_the_noise, "one side only"), wrong(no_tau, "no effect"), wrong(no_division, "division by tau"),
        wrong(slope_of_pi, "slope of the probability"), wrong(identity, "identity"),
        wrong(another_noise, "another draw"),
        wrong(choice_at_tau, "changes how often"), wrong(with_rounding, "rounding"), wrong(the_mean, "for each sample"),
        wrong(divided, "mean loss"), wrong(no_generator, "generator"), wrong(the_skip_gate, "swapped"),
        wrong(pi_first, "sigmoid was taken twice"), raises(raises_without_tau, "tau"),
    ],
    "estimators.relaxed": [
        right(soft_by_formula), right(package_relaxed),
        wrong(hard_forward, "hard step"), wrong(relaxed_skip_gate, "swapped"),
        wrong(soft_tau_at_the_logit, "divide the noise"), wrong(soft_no_tau, "no effect"),
        wrong(soft_times_tau, "multiply by tau"), wrong(relaxed_probability, "random numbers of its own"),
        wrong(soft_divided, "mean loss"),
        raises(raises_without_tau, "tau"),
    ],
    "estimators.identity_straight_through": [
        right(at_a_leaf), right(with_a_bracket),
        wrong(without_a_bracket, "rounding"), wrong(slope_of_the_sigmoid, "pi(1 - pi)"),
        wrong(by_gumbel_softmax, "y(1 - y)"),
        wrong(at_the_probabilities, "the choice itself"), wrong(thresholded, "random numbers of its own"),
        wrong(drawn_upside_down, "swapped"), wrong(mean_of_losses, "mean loss"), raises(no_way_back, "grad"),
    ],
    "estimators.reinforce": [
        right(by_autograd), right(both_drawn_at_once),
        wrong(same_draw, "same draw"), wrong(mean_of_the_same_draw, "from the same draw"),
        wrong(mean_of_the_second, "row by row"),
        wrong(no_baseline, "second, independent draw"), wrong(added, "baseline is added"),
        wrong(turned_round, "wrong way round"),
        wrong(wrong_sign, "wrong sign"), wrong(of_pi, "respect to pi"), wrong(kept_only, "skipped gates"),
        wrong(just_z, "- pi is missing"), wrong(with_the_graph, "detach"), wrong(of_probabilities, "the choice itself"),
        wrong(summed, "for each sample"), wrong(drawn_inverted, "swapped"), raises(no_unsqueeze, "size"),
    ],
    "estimators.difference": [
        right(set_to_one_and_zero), right(all_flips_in_one_call),
        wrong(no_factor, "pi(1 - pi) is missing"), wrong(no_sign, "does not turn"),
        wrong(skipped_minus_kept, "sign is wrong"),
        wrong(all_at_once, "flipped at once"), wrong(factor_of_the_score, "REINFORCE"),
        wrong(flips_pile_up, "pile up"), wrong(flips_the_drawn_ones, "sign"),
        wrong(others_at_their_mean, "the choice itself"),
        wrong(by_its_slope, "slope"), wrong(hangs_on_the_graph, "detach"), wrong(gates_in_the_wrong_place, "shape"),
    ],
}  # fmt: skip

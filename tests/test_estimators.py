import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from helpers import generator
from scipy.integrate import quad
from scipy.special import expit as sigmoid
from torch import Tensor

from skiprec_lite import estimators
from skiprec_lite.estimators import (
    difference,
    draw_gates,
    exact_gradient,
    identity_straight_through,
    reinforce,
    relaxed,
    straight_through,
)
from skiprec_lite.gumbel import sample_gumbel

DRAWS = 200_000
LOGITS = (0.4, -1.1, 0.9, -0.3)
WEIGHTS = torch.tensor([1.0, -0.7, 0.4, 1.6], dtype=torch.float64)

Loss = Callable[[Tensor], Tensor]
Estimator = Callable[..., Tensor]
UNBIASED: dict[str, Estimator] = {
    "reinforce": reinforce,
    "reinforce with baseline": partial(reinforce, baseline=True),
    "difference": difference,
}
HARD: dict[str, Estimator] = {
    **UNBIASED,
    "straight-through": partial(straight_through, tau=0.7),
    "identity straight-through": identity_straight_through,
}
ALL: dict[str, Estimator] = {**HARD, "relaxed": partial(relaxed, tau=0.7)}
each_hard_estimator = pytest.mark.parametrize("name", HARD)
each_estimator = pytest.mark.parametrize("name", ALL)


def logits(*values: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values or LOGITS, dtype=dtype)


# --- losses, one number a row: nothing in them is linear, and no two gates are alike ---


def weighted(z: Tensor) -> Tensor:
    return (z * WEIGHTS[: z.shape[1]].to(z.dtype)).sum(dim=1)


def square(z: Tensor) -> Tensor:
    return (weighted(z) - 0.45) ** 2


def exponential(z: Tensor) -> Tensor:
    return torch.exp(weighted(z))


def entangled(z: Tensor) -> Tensor:
    return torch.sin(2 * z[:, 0] * z[:, 1]) - 1.5 * z[:, 2] * z[:, 3] + z[:, 0] * torch.cos(3 * z[:, 3]) - z[:, 1]


LOSSES: dict[str, Loss] = {"square": square, "exponential": exponential, "entangled": entangled}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


# --- oracles ---


def choices(gates: int) -> Iterator[tuple[int, ...]]:
    return itertools.product((0, 1), repeat=gates)


def value(loss: Loss, *rows: tuple[float, ...]) -> float:
    """The loss of one row of gates, given in parts."""
    return loss(torch.tensor([list(itertools.chain(*rows))], dtype=torch.float64)).item()


def probability(a: list[float], z: tuple[int, ...]) -> float:
    return math.prod(sigmoid(x) if gate else sigmoid(-x) for x, gate in zip(a, z, strict=True))


def expected_loss(a: list[float], loss: Loss) -> float:
    return sum(probability(a, z) * value(loss, z) for z in choices(len(a)))


def slope_of_expected_loss(a: list[float], loss: Loss, step: float = 1e-5) -> Tensor:
    """Central differences in each logit."""
    slopes = []
    for k in range(len(a)):
        up, down = ([x + sign * step * (i == k) for i, x in enumerate(a)] for sign in (1, -1))
        slopes.append((expected_loss(up, loss) - expected_loss(down, loss)) / (2 * step))
    return torch.tensor(slopes, dtype=torch.float64)


def mean_over_logistic_noise(a: float, tau: float, of: Callable[[bool, float], float]) -> float:
    """E of(z, y) for one gate, z = [a + noise > 0] and y = sigmoid((a + noise) / tau), by quadrature."""
    scale = min(tau, 1.0)  # the width of what is integrated

    def integrand(t: float) -> float:
        tail = math.exp(-abs(t * scale - a))
        return scale * tail / (1 + tail) ** 2 * of(t > 0, sigmoid(t * scale / tau))

    ends = (-60 / scale, -45, 0, 45, 60 / scale)  # z jumps at 0, beyond 45 y is 0 or 1
    return sum(quad(integrand, *piece, epsabs=1e-13, epsrel=1e-11, limit=200)[0] for piece in itertools.pairwise(ends))


def straight_through_mean(a: float, tau: float, slope: Callable[[float], float]) -> float:
    return mean_over_logistic_noise(a, tau, lambda z, y: slope(float(z)) * y * (1 - y) / tau)


def standard_error(gradients: Tensor) -> Tensor:
    return gradients.std(dim=0) / len(gradients) ** 0.5


def assert_mean(gradients: Tensor, expected: Tensor | float) -> None:
    """Each gate's mean lies within 4 standard errors of what is expected, which is far from 0 at that scale."""
    expected = torch.as_tensor(expected, dtype=torch.float64).reshape(-1)
    error = standard_error(gradients)
    assert gradients.shape == (len(gradients), len(expected))
    assert (expected.abs() > 8 * error).all()  # so that 0, or another gate's mean, would fail
    assert ((gradients.mean(dim=0) - expected).abs() < 4 * error).all()


# --- the exact gradient ---


@pytest.mark.parametrize("a", [-6.0, -1.0, 0.0, 0.3, 4.0])
def test_of_one_gate_the_exact_gradient_is_the_difference_times_pi_1_minus_pi(a: float) -> None:
    expected = sigmoid(a) * sigmoid(-a) * (value(square, (1,)) - value(square, (0,)))
    gradient = exact_gradient(logits(a), square)
    assert gradient.shape == (1,)
    torch.testing.assert_close(gradient, logits(expected), rtol=1e-13, atol=0)


@each_loss
def test_the_exact_gradient_is_the_slope_of_the_enumerated_expectation(loss: Loss) -> None:
    gradient = exact_gradient(logits(), loss)
    assert gradient.shape == (4,)
    assert gradient.abs().min() > 0.01
    torch.testing.assert_close(gradient, slope_of_expected_loss(list(LOGITS), loss), rtol=0, atol=1e-9)


@pytest.mark.parametrize("gates", [1, 2, 4, 16])
def test_the_exact_gradient_of_a_loss_that_factorises(gates: int) -> None:
    """E exp(w . z) is the product of 1 - pi + pi exp(w), so its gradient is known without any enumeration."""
    a, w = np.linspace(-2, 1.5, gates), np.linspace(0.9, -0.8, gates)
    pi = 1 / (1 + np.exp(-a))
    factor = 1 - pi + pi * np.exp(w)
    expected = factor.prod() / factor * pi * (1 - pi) * np.expm1(w)
    gradient = exact_gradient(torch.from_numpy(a), lambda z: torch.exp(z @ torch.from_numpy(w)))
    torch.testing.assert_close(gradient, torch.from_numpy(expected), rtol=1e-12, atol=1e-14)


def test_the_exact_gradient_needs_no_slope_of_the_loss() -> None:
    table = torch.tensor([3.0, -1.0, 0.5, 2.0], dtype=torch.float64)  # a loss that is only looked up
    keep = torch.sigmoid(logits(0.3, -0.8))
    expected = keep * (1 - keep)
    expected = expected * torch.stack([
        (1 - keep[1]) * (table[2] - table[0]) + keep[1] * (table[3] - table[1]),
        (1 - keep[0]) * (table[1] - table[0]) + keep[0] * (table[3] - table[2]),
    ])  # fmt: skip
    gradient = exact_gradient(logits(0.3, -0.8), lambda z: table[(2 * z[:, 0] + z[:, 1]).long()])
    torch.testing.assert_close(gradient, expected, rtol=1e-13, atol=0)


def test_more_gates_than_can_be_enumerated_are_refused() -> None:
    with pytest.raises(ValueError, match="16"):
        exact_gradient(torch.zeros(17), lambda z: z.sum(dim=1))


# --- the gates ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gates_are_kept_as_often_as_their_probability(dtype: torch.dtype) -> None:
    a = logits(-5.0, -0.7, 0.0, 1.2, 4.0, dtype=dtype)
    gates = draw_gates(a, DRAWS, generator=generator(1))
    expected = torch.sigmoid(a)
    assert gates.shape == (DRAWS, 5)
    assert gates.dtype == dtype
    assert ((gates == 0) | (gates == 1)).all()
    assert ((gates.mean(dim=0) - expected).abs() < 4 * (expected * (1 - expected) / DRAWS).sqrt()).all()


def test_gates_are_drawn_independently() -> None:
    gates = draw_gates(torch.zeros(3, dtype=torch.float64), 20_000, generator=generator())
    columns = torch.cat([gates[:-1], gates[1:]], dim=1)  # a row's three gates beside the next row's three
    correlation = torch.corrcoef(columns.T) - torch.eye(6, dtype=torch.float64)
    assert correlation.abs().max() < 4.5 / len(columns) ** 0.5


def test_certain_gates_are_certain() -> None:
    gates = draw_gates(logits(-math.inf, math.inf), 1_000, generator=generator())
    assert torch.equal(gates, logits(0.0, 1.0).expand(1_000, -1))


# --- what the unbiased ones promise ---


@each_loss
@pytest.mark.parametrize("name", UNBIASED)
def test_the_mean_of_an_unbiased_estimator_is_the_exact_gradient(name: str, loss: Loss) -> None:
    gradients = UNBIASED[name](logits(), loss, DRAWS, generator=generator(2))
    assert_mean(gradients, slope_of_expected_loss(list(LOGITS), loss))


def second_moment(name: str, a: list[float], loss: Loss, gate: int) -> float:
    """E (gradient of one gate)^2 by enumeration."""
    total, pi = 0.0, sigmoid(a[gate])
    for z in choices(len(a)):
        score = z[gate] - pi  # d log p(z) / da
        if name == "reinforce":
            moment = (value(loss, z) * score) ** 2
        elif name == "reinforce with baseline":
            rival = [probability(a, other) * (value(loss, z) - value(loss, other)) ** 2 for other in choices(len(a))]
            moment = sum(rival) * score**2
        else:
            on, off = (value(loss, z[:gate], (state,), z[gate + 1 :]) for state in (1, 0))
            moment = (pi * (1 - pi) * (on - off)) ** 2
        total += probability(a, z) * moment
    return total


def lifted(z: Tensor) -> Tensor:
    return 10 + entangled(z)


@pytest.mark.parametrize("loss", [lifted, exponential])
def test_the_variances_are_those_of_the_theory(loss: Loss) -> None:
    """A baseline calms a loss with a large constant; the difference is calmer than REINFORCE for every loss."""
    exact = slope_of_expected_loss(list(LOGITS), loss)
    variances = {}
    for name, estimator in UNBIASED.items():
        expected = (
            torch.tensor([second_moment(name, list(LOGITS), loss, k) for k in range(4)], dtype=torch.float64) - exact**2
        )
        squares = (estimator(logits(), loss, DRAWS, generator=generator(3)) - exact) ** 2
        assert squares.shape == (DRAWS, 4)
        assert (expected > 20 * standard_error(squares)).all()
        assert ((squares.mean(dim=0) - expected).abs() < 4 * standard_error(squares)).all()
        variances[name] = squares.mean(dim=0)
    assert (variances["difference"] < variances["reinforce"]).all()
    if loss is lifted:
        assert (variances["reinforce with baseline"] < variances["reinforce"] / 5).all()


def test_of_one_gate_the_difference_is_exact_in_every_draw() -> None:
    gradients = difference(logits(0.8), square, 500, generator=generator())
    expected = sigmoid(0.8) * sigmoid(-0.8) * (value(square, (1,)) - value(square, (0,)))
    torch.testing.assert_close(gradients, logits(expected).expand(500, 1), rtol=1e-12, atol=0)


def test_the_difference_flips_one_gate_and_holds_the_others() -> None:
    gates = draw_gates(logits(), 64, generator=generator(4))
    gradients = difference(logits(), entangled, 64, generator=generator(4))
    assert gradients.shape == (64, 4)
    for k, a in enumerate(LOGITS):
        on, off = gates.clone(), gates.clone()
        on[:, k], off[:, k] = 1, 0
        expected = sigmoid(a) * sigmoid(-a) * (entangled(on) - entangled(off))
        torch.testing.assert_close(gradients[:, k], expected, rtol=0, atol=1e-14)


def test_reinforce_is_the_loss_times_the_slope_of_the_log_probability() -> None:
    gates = draw_gates(logits(), 64, generator=generator(4))
    leaf = logits().expand(64, -1).clone().requires_grad_()
    log_probability = torch.distributions.Bernoulli(logits=leaf).log_prob(gates).sum()
    (score,) = torch.autograd.grad(log_probability, leaf)
    gradients = reinforce(logits(), entangled, 64, generator=generator(4))
    torch.testing.assert_close(gradients, entangled(gates).unsqueeze(1) * score, rtol=0, atol=1e-13)


def test_a_constant_loss_has_no_gradient_once_a_baseline_is_taken_off() -> None:
    gradients = [
        reinforce(logits(), lambda z: torch.full((len(z),), 7.0), 100, baseline=b, generator=generator())
        for b in (True, False)
    ]
    assert (gradients[0] == 0).all()
    assert (gradients[1] != 0).all()


# --- what straight-through and its relatives really compute ---


def test_each_straight_through_gradient_is_the_slope_at_the_hard_gates_times_the_soft_slope() -> None:
    noise = sample_gumbel((500, 4, 2), generator=generator(5), dtype=torch.float64)
    logit = logits() + noise[..., 0] - noise[..., 1]  # keep minus skip
    for tau in (0.1, 1.0, 10.0):
        soft = torch.sigmoid(logit / tau)
        for estimator, gates in ((straight_through, (logit > 0).double()), (relaxed, soft)):
            through = weighted(gates).exp().unsqueeze(1) * WEIGHTS * soft * (1 - soft) / tau
            gradients = estimator(logits(), exponential, 500, tau=tau, generator=generator(5))
            torch.testing.assert_close(gradients, through, rtol=1e-11, atol=1e-12)


def curved_slope(z: float) -> float:
    return math.exp(z) - 0.6 * math.cos(2 * z)


def curved(z: Tensor) -> Tensor:
    return (z.exp() - 0.3 * torch.sin(2 * z)).sum(dim=1)


@pytest.mark.parametrize("tau", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("a", [-1.0, 0.7])
def test_the_mean_of_straight_through_by_quadrature(a: float, tau: float) -> None:
    gradients = straight_through(logits(a), curved, DRAWS, tau=tau, generator=generator(6))
    assert_mean(gradients, straight_through_mean(a, tau, curved_slope))


@pytest.mark.parametrize("a", [-1.0, 0.7])
def test_straight_through_at_a_low_temperature_takes_the_mean_of_both_slopes(a: float) -> None:
    limit = sigmoid(a) * sigmoid(-a) * (curved_slope(0) + curved_slope(1)) / 2
    assert abs(straight_through_mean(a, 1e-4, curved_slope) - limit) < 1e-4 * limit
    assert_mean(straight_through(logits(a), curved, DRAWS, tau=2e-3, generator=generator(7)), limit)


@pytest.mark.parametrize("a", [-1.0, 0.7])
def test_straight_through_at_a_high_temperature_is_a_quarter_of_identity_straight_through(a: float) -> None:
    limit = (sigmoid(a) * curved_slope(1) + sigmoid(-a) * curved_slope(0)) / 4
    assert abs(1e4 * straight_through_mean(a, 1e4, curved_slope) - limit) < 1e-6 * limit
    assert_mean(1e4 * straight_through(logits(a), curved, DRAWS, tau=1e4, generator=generator(8)), limit)


def test_straight_through_is_exact_for_every_quadratic_at_a_low_temperature() -> None:
    exact = exact_gradient(logits(0.7), square).item()
    assert abs(straight_through_mean(0.7, 1e-4, lambda z: 2 * (z - 0.45)) - exact) < 1e-3 * exact


@pytest.mark.parametrize(("tau", "right"), [(0.02, True), (0.5, False), (1.0, False), (10.0, False)])
def test_straight_through_turns_the_wrong_way_as_the_temperature_rises(tau: float, right: bool) -> None:
    exact = exact_gradient(logits(-1.0), square)
    gradients = straight_through(logits(-1.0), square, 2 * DRAWS, tau=tau, generator=generator(9))
    assert_mean(gradients, straight_through_mean(-1.0, tau, lambda z: 2 * (z - 0.45)))
    assert (gradients.mean() * exact > 0).item() == right


def test_where_both_slopes_oppose_the_difference_no_temperature_is_right() -> None:
    def descending(z: Tensor) -> Tensor:
        return (0.5 * torch.sin(2 * math.pi * z) - z).sum(dim=1)

    assert exact_gradient(logits(-1.0), descending) < -0.1
    for tau in (0.02, 0.1, 1.0, 10.0, 100.0):
        gradients = straight_through(logits(-1.0), descending, 10_000, tau=tau, generator=generator())
        assert (gradients >= 0).all()
        assert gradients.mean() > 4 * standard_error(gradients)


@pytest.mark.parametrize("tau", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("a", [-1.0, 0.7])
def test_the_relaxed_objective_has_its_own_exact_gradient(a: float, tau: float) -> None:
    """The slope of E f(y), a central difference of two quadratures."""
    step = 1e-4
    up, down = (
        mean_over_logistic_noise(a + s * step, tau, lambda z, y: math.exp(y) - 0.3 * math.sin(2 * y)) for s in (1, -1)
    )
    gradients = relaxed(logits(a), curved, DRAWS, tau=tau, generator=generator(10))
    assert_mean(gradients, (up - down) / (2 * step))


def test_identity_straight_through_is_the_slope_at_the_drawn_gates() -> None:
    gates = draw_gates(logits(), 500, generator=generator(11))
    gradients = identity_straight_through(logits(), exponential, 500, generator=generator(11))
    torch.testing.assert_close(gradients, exponential(gates).unsqueeze(1) * WEIGHTS, rtol=1e-12, atol=0)


def test_the_mean_of_identity_straight_through_is_the_mean_slope() -> None:
    gradients = identity_straight_through(logits(), exponential, DRAWS, generator=generator(13))
    assert_mean(gradients, expected_loss(list(LOGITS), exponential) * WEIGHTS)


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("estimator", [straight_through, relaxed])
def test_a_temperature_that_is_not_finite_and_positive_is_refused(estimator: Estimator, tau: float) -> None:
    with pytest.raises(ValueError, match="tau"):
        estimator(logits(), square, 3, tau=tau)


# --- what all of them keep to ---


def seen_by(estimator: Estimator, a: Tensor, samples: int) -> list[Tensor]:
    """Run the estimator and return every batch of gates that it hands to the loss."""
    seen = []

    def loss(z: Tensor) -> Tensor:
        seen.append(z.detach().clone())
        return square(z)

    estimator(a, loss, samples, generator=generator())
    return seen


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each_hard_estimator
def test_the_loss_sees_gates_that_are_exactly_0_or_1(name: str, dtype: torch.dtype) -> None:
    seen = seen_by(HARD[name], logits(0.3, -0.9, 1e17, 0.0, dtype=dtype), 2_000)
    assert {batch.shape for batch in seen} == {(2_000, 4)}
    assert {batch.dtype for batch in seen} == {dtype}
    gates = torch.cat(seen)
    assert ((gates == 0) | (gates == 1)).all()
    assert (gates.amax(dim=0) == 1).all()


def test_the_relaxed_gates_lie_between() -> None:
    (batch,) = seen_by(ALL["relaxed"], logits(), 500)
    assert batch.shape == (500, 4)
    assert ((batch > 0) & (batch < 1)).all()


@each_estimator
def test_the_forward_passes_are_as_many_as_promised(name: str) -> None:
    rows = sum(len(batch) for batch in seen_by(ALL[name], logits(), 50))
    assert rows == 50 * {"reinforce with baseline": 2, "difference": 5}.get(name, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each_estimator
def test_one_gradient_a_sample_of_the_logits_type(name: str, dtype: torch.dtype) -> None:
    gradients = ALL[name](logits(dtype=dtype), entangled, 300, generator=generator())
    assert gradients.shape == (300, 4)
    assert gradients.dtype == dtype
    assert torch.isfinite(gradients).all()
    assert len(gradients.unique(dim=0)) > (1 if name != "relaxed" else 299)
    assert exact_gradient(logits(dtype=dtype), entangled).dtype == dtype


@each_estimator
def test_a_row_s_gradient_depends_on_no_other_row_s_noise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rand: Callable[..., Tensor] = torch.rand

    def with_another_row_3(*size: int | tuple[int, ...], **options: object) -> Tensor:
        u = rand(*size, **options)
        u[3] = 1 - u[3]
        return u

    gradients = ALL[name](logits(), exponential, 8, generator=generator(12))
    monkeypatch.setattr(torch, "rand", with_another_row_3)
    changed = ALL[name](logits(), exponential, 8, generator=generator(12))
    same = (changed == gradients).all(dim=1)
    assert same.tolist() == [row != 3 for row in range(8)]


@each_estimator
def test_a_generator_reproduces_the_gradients_and_leaves_the_global_stream_alone(name: str) -> None:
    before = torch.get_rng_state()
    first, second, other = (ALL[name](logits(), exponential, 40, generator=generator(s)) for s in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@each_estimator
def test_without_a_generator_the_gradients_come_from_the_global_stream(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first, following = ALL[name](logits(), exponential, 40), ALL[name](logits(), exponential, 40)
        torch.manual_seed(5)
        again = ALL[name](logits(), exponential, 40)
    assert torch.equal(first, again)
    assert not torch.equal(first, following)


@pytest.mark.parametrize("learnable", [False, True])
@pytest.mark.parametrize("name", [*ALL, "exact"])
def test_the_logits_are_only_read(name: str, learnable: bool) -> None:
    a = logits().requires_grad_(learnable)
    before = a.detach().clone()
    gradients = exact_gradient(a, square) if name == "exact" else ALL[name](a, square, 20, generator=generator())
    assert torch.equal(a.detach(), before)
    assert a.grad is None
    assert a.requires_grad == learnable
    assert not gradients.requires_grad


@pytest.mark.parametrize("name", ["reinforce", "difference", "identity_straight_through", "straight_through"])
def test_a_nan_logit_is_an_error_everywhere(name: str) -> None:
    settings = {"tau": 1.0} if name == "straight_through" else {}
    with pytest.raises(ValueError, match="NaN"):
        getattr(estimators, name)(logits(0.0, float("nan")), lambda gates: gates.sum(dim=1), 3, **settings)


@pytest.mark.parametrize("wrong", [torch.empty(0), torch.tensor([0.0, float("nan")])])
def test_no_gate_or_a_nan_cannot_be_enumerated_or_drawn(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="at least one gate and no NaN"):
        estimators.exact_gradient(wrong, lambda gates: gates.sum(dim=1))
    with pytest.raises(ValueError, match="at least one gate and no NaN"):
        estimators.draw_gates(wrong, 3)

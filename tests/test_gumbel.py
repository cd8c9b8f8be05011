import math
from collections.abc import Callable

import pytest
import scipy.stats
import torch
from helpers import generator
from torch import Tensor
from torch.nn import functional as F

from skiprec_lite.gumbel import gumbel_max, gumbel_softmax, sample_gumbel

DRAWS = 200_000
EULER_MASCHERONI = 0.5772156649015329
TAUS = (0.1, 1.0, 10.0, 1e6)
INF = math.inf


def random_logits(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    return (2 * torch.randn(shape, generator=generator(seed), dtype=torch.float64)).to(dtype)


def assert_frequency(hits: Tensor, probability: float) -> None:
    """The share of hits lies within 4 standard errors of the probability."""
    error = math.sqrt(probability * (1 - probability) / len(hits))
    assert abs(hits.double().mean().item() - probability) < 4 * error


# --- the noise ---


def test_noise_has_the_mean_and_the_variance_of_the_gumbel_distribution() -> None:
    noise = sample_gumbel((DRAWS,), generator=generator(), dtype=torch.float64)
    squares = (noise - EULER_MASCHERONI) ** 2
    assert noise.shape == (DRAWS,)
    assert abs(noise.mean() - EULER_MASCHERONI) < 4 * noise.std() / DRAWS**0.5
    assert abs(squares.mean() - math.pi**2 / 6) < 4 * squares.std() / DRAWS**0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_follows_the_gumbel_distribution(dtype: torch.dtype) -> None:
    noise = sample_gumbel((DRAWS,), generator=generator(2), dtype=dtype)
    assert noise.dtype == dtype
    assert scipy.stats.kstest(noise.double().numpy(), scipy.stats.gumbel_r.cdf).pvalue > 1e-3


def always(u: float) -> Callable[..., Tensor]:
    """A stand-in for torch.rand."""

    def rand(size: tuple[int, ...], *, dtype: torch.dtype, generator: object = None, device: object = None) -> Tensor:
        return torch.full(size, u, dtype=dtype)

    return rand


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_noise_is_finite_at_both_ends_of_the_uniform_draw(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    # rand draws from [0, 1): 0 happens, and 1 - eps / 2 is the largest number below 1.
    noise = []
    for u in (0.0, 1 - torch.finfo(dtype).eps / 2):
        monkeypatch.setattr(torch, "rand", always(u))
        noise.append(sample_gumbel((3, 2), dtype=dtype))
        assert noise[-1].shape == (3, 2)
        assert noise[-1].dtype == dtype
        assert torch.isfinite(noise[-1]).all()
    assert (noise[0] < -1.5).all()
    assert (noise[1] > 4).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_no_draw_above_0_is_cut_off(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    smallest = torch.finfo(dtype).eps / 2  # rand's step
    for u in (smallest, 2 * smallest, 0.5):
        monkeypatch.setattr(torch, "rand", always(u))
        expected = torch.full((3,), -math.log(-math.log(u)), dtype=dtype)
        torch.testing.assert_close(sample_gumbel((3,), dtype=dtype), expected, rtol=4 * smallest, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_noise_of_few_bits_is_finite_in_a_million_draws(dtype: torch.dtype) -> None:
    assert torch.isfinite(sample_gumbel((1_000_000,), generator=generator(), dtype=dtype)).all()


def test_a_generator_reproduces_the_noise_and_leaves_the_global_stream_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (sample_gumbel((50,), generator=generator(s)) for s in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_the_noise_comes_from_the_global_stream() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first, next_one = sample_gumbel((50,)), sample_gumbel((50,))
        torch.manual_seed(5)
        again = sample_gumbel([50])
    assert torch.equal(first, again)
    assert not torch.equal(first, next_one)


def test_noise_is_independent_across_rows_and_classes() -> None:
    noise = sample_gumbel((20_000, 5), generator=generator(), dtype=torch.float64)
    columns = torch.cat([noise[:-1], noise[1:]], dim=1)  # a row's five classes beside the next row's five
    correlation = torch.corrcoef(columns.T) - torch.eye(10, dtype=torch.float64)
    assert noise.unique().numel() == noise.numel()
    assert correlation.abs().max() < 4.5 / len(columns) ** 0.5  # the largest of 45 correlations


def test_noise_of_an_integer_type_is_refused() -> None:
    with pytest.raises(TypeError):
        sample_gumbel((3,), dtype=torch.int64)


# --- exact draws ---


@pytest.mark.parametrize("pi", [(0.5, 0.5), (0.1, 0.2, 0.3, 0.4), (0.997, 0.001, 0.0015, 0.0005)])
def test_gumbel_max_draws_each_class_as_often_as_its_probability(pi: tuple[float, ...]) -> None:
    logits = torch.tensor(pi, dtype=torch.float64).log() + 1.7  # unnormalised on purpose
    drawn = gumbel_max(logits.expand(DRAWS, -1), generator=generator())
    assert drawn.shape == (DRAWS,)
    assert drawn.dtype == torch.int64
    for k, probability in enumerate(pi):
        assert_frequency(drawn == k, probability)


def test_a_single_class_is_always_drawn() -> None:
    assert (gumbel_max(torch.zeros(100, 1), generator=generator()) == 0).all()


def test_gumbel_max_never_draws_what_is_ruled_out() -> None:
    drawn = gumbel_max(torch.tensor([-INF, 0.0, -INF, -40.0, 1.0]).expand(DRAWS, -1), generator=generator())
    assert set(drawn.tolist()) == {1, 4}
    assert_frequency(drawn == 4, torch.sigmoid(torch.tensor(1.0)).item())


@pytest.mark.parametrize("difference", [-4.0, -1.0, 0.0, 0.5, 3.0])
def test_two_classes_are_a_logistic_threshold(difference: float) -> None:
    """Keep iff logit + Logistic(0, 1) noise > 0, so P(keep) = sigmoid(logit difference)."""
    logits = torch.tensor([0.3 + difference, 0.3], dtype=torch.float64).expand(DRAWS, -1)
    noise = sample_gumbel((DRAWS, 2), generator=generator(7), dtype=torch.float64)
    logistic = noise[:, 0] - noise[:, 1]
    keep = gumbel_max(logits, generator=generator(7)) == 0
    assert scipy.stats.kstest(logistic.numpy(), scipy.stats.logistic.cdf).pvalue > 1e-3
    assert torch.equal(keep, difference + logistic > 0)
    assert_frequency(keep, 1 / (1 + math.exp(-difference)))


def test_rows_are_drawn_independently() -> None:
    drawn = gumbel_max(torch.zeros(DRAWS, 2, 2), generator=generator())
    assert drawn.shape == (DRAWS, 2)
    assert_frequency(drawn[:, 0] == drawn[:, 1], 0.5)
    assert_frequency(drawn[1:, 0] == drawn[:-1, 0], 0.5)


def test_a_constant_added_to_the_logits_changes_nothing() -> None:
    logits = random_logits(5_000, 4)
    for shift in (-300.0, 12.5):
        exact = [gumbel_max(x, generator=generator()) for x in (logits, logits + shift)]
        soft = [gumbel_softmax(x, 0.7, generator=generator()) for x in (logits, logits + shift)]
        assert torch.equal(*exact)
        torch.testing.assert_close(*soft, rtol=0, atol=1e-11)


def test_normalised_and_raw_logits_give_the_same_sample() -> None:
    logits = random_logits(5_000, 3) + 5
    log_pi = logits - logits.logsumexp(dim=-1, keepdim=True)
    assert torch.equal(gumbel_max(logits, generator=generator()), gumbel_max(log_pi, generator=generator()))
    soft = [gumbel_softmax(x, 2.0, generator=generator()) for x in (logits, log_pi)]
    torch.testing.assert_close(*soft, rtol=0, atol=1e-12)


# --- relaxed samples ---


@pytest.mark.parametrize("tau", TAUS)
def test_the_soft_sample_is_the_softmax_of_the_perturbed_logits(tau: float) -> None:
    logits = random_logits(200, 5)
    noise = sample_gumbel(logits.shape, generator=generator(9), dtype=torch.float64)
    expected = ((logits + noise) / tau).exp()
    expected = expected / expected.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(gumbel_softmax(logits, tau, generator=generator(9)), expected, rtol=1e-12, atol=0)


def test_the_default_is_a_soft_sample_at_tau_10() -> None:
    logits = random_logits(20, 3)
    default, at_10 = gumbel_softmax(logits, generator=generator()), gumbel_softmax(logits, 10.0, generator=generator())
    assert torch.equal(default, at_10)
    assert ((default > 0) & (default < 1)).all()


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("tau", TAUS)
def test_rows_sum_to_one(tau: float, hard: bool) -> None:
    sample = gumbel_softmax(random_logits(3_000, 4), tau, hard=hard, generator=generator())
    assert sample.shape == (3_000, 4)
    torch.testing.assert_close(sample.sum(dim=-1), torch.ones(3_000, dtype=torch.float64), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("tau", TAUS)
def test_the_straight_through_sample_is_exactly_one_hot(tau: float, dtype: torch.dtype) -> None:
    for shape in ((2,), (20_000, 2), (3, 7, 5), (2, 3, 4, 1), (0, 2)):
        sample = gumbel_softmax(random_logits(*shape, dtype=dtype), tau, hard=True, generator=generator())
        assert sample.shape == shape
        assert sample.dtype == dtype
        if sample.numel():
            assert torch.equal(sample, F.one_hot(sample.argmax(dim=-1), shape[-1]).to(dtype))


@pytest.mark.parametrize("tau", TAUS)
def test_the_straight_through_gradient_is_the_soft_sample_s(tau: float) -> None:
    weight = random_logits(50, 3, seed=5)
    gradients = []
    for hard in (True, False):
        logits = random_logits(50, 3).requires_grad_()
        (gumbel_softmax(logits, tau, hard=hard, generator=generator(6)) * weight).sum().backward()
        gradients.append(logits.grad)
    assert gradients[0].abs().max() * tau > 0.1
    assert torch.equal(*gradients)


def test_the_soft_gradient_is_the_derivative_of_the_sample() -> None:
    """Against finite differences, with the noise held."""
    logits = random_logits(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gumbel_softmax(x, 0.8, generator=generator(3)), (logits,))


@pytest.mark.parametrize("classes", [2, 5])
def test_the_hard_choice_is_the_same_at_every_tau(classes: int) -> None:
    logits = random_logits(200_000, classes, dtype=torch.float32)
    exact = gumbel_max(logits, generator=generator(8))
    soft = gumbel_softmax(logits, 1e6, generator=generator(8)).topk(2).values
    assert (soft[:, 0] == soft[:, 1]).any()  # what the choice must not be read from
    for tau in (1e-3, *TAUS):
        assert torch.equal(gumbel_softmax(logits, tau, hard=True, generator=generator(8)).argmax(dim=-1), exact)


@pytest.mark.parametrize("hard", [False, True])
def test_a_ruled_out_class_gets_nothing_and_keeps_the_gradient_finite(hard: bool) -> None:
    logits = torch.tensor([[0.5, -INF, 1.0], [-INF, -INF, 2.0]], dtype=torch.float64).repeat(100, 1).requires_grad_()
    sample = gumbel_softmax(logits, 2.0, hard=hard, generator=generator())
    (sample * torch.tensor([1.0, 5.0, -2.0])).sum().backward()
    ruled_out = torch.isinf(logits.detach())
    assert (sample[ruled_out] == 0).all()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[ruled_out] == 0).all()
    assert (logits.grad[::2, ::2] != 0).all()


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, INF])
@pytest.mark.parametrize("hard", [False, True])
def test_a_temperature_that_is_not_finite_and_positive_is_refused(tau: float, hard: bool) -> None:
    with pytest.raises(ValueError, match="tau"):
        gumbel_softmax(torch.zeros(2, 2), tau, hard=hard)


@pytest.mark.parametrize("row", [(0.0, math.nan), (INF, 0.0), (-INF, -INF), (-INF, math.nan)])
def test_logits_without_a_distribution_are_refused(row: tuple[float, float]) -> None:
    logits = torch.tensor([(0.0, 1.0), row])
    for draw in (gumbel_max, gumbel_softmax):
        with pytest.raises(ValueError, match="logits"):
            draw(logits)

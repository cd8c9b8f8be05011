"""ReinMax for gates: what goes forward, what comes back, and where its mean is right."""

from collections.abc import Callable

import pytest
import torch
from helpers import (
    losses_by_loop,
    random_items,
    random_logits,
    random_skiprec,
    tiny_split,
    windows_with_cuts,
    with_given_logits,
)
from torch import Tensor

from skiprec_lite.backbones import NextItNet
from skiprec_lite.estimators import exact_gradient, straight_through
from skiprec_lite.gate_losses import reinmax_gates, reinmax_loss, straight_through_loss
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.training import fit, skiprec_stages
from skiprec_lite.windows import Windows

NUM_ITEMS = 11
BLOCKS = 3
DRAWS = 200_000
LOGITS = torch.tensor([0.4, -1.1, 1.6, -0.3], dtype=torch.float64)
WEIGHTS = torch.tensor([1.0, -0.7, 0.4, 1.6], dtype=torch.float64)


def cut_windows() -> Windows:
    return windows_with_cuts((7, 3, 5, 1, 7, 2), (2, 5, 6, 6, 0, 5), NUM_ITEMS)


def quadratic(gates: Tensor) -> Tensor:
    """Quadratic in each gate, entangled in all of them."""
    return ((gates * WEIGHTS).sum(dim=-1) - 0.45) ** 2


def cubic(gates: Tensor) -> Tensor:
    return (gates * WEIGHTS).sum(dim=-1) ** 3


def reinmax(loss: Callable[[Tensor], Tensor], *, draws: int = DRAWS, seed: int = 0) -> Tensor:
    """One gradient a draw with respect to the logits of keeping, those of skipping at 0."""
    leaf = LOGITS.expand(draws, -1).clone().requires_grad_()
    torch.manual_seed(seed)
    gates = reinmax_gates(torch.stack([leaf, torch.zeros_like(leaf)], dim=-1))
    (gradients,) = torch.autograd.grad(loss(gates).sum(), leaf)
    return gradients


def errors_of(gradients: Tensor, wanted: Tensor) -> Tensor:
    """How many standard errors the mean gradient of each gate lies off."""
    return (gradients.mean(dim=0) - wanted).abs() / (gradients.std(dim=0) / len(gradients) ** 0.5)


# --- the gates ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gates_are_exactly_0_or_1_and_those_that_a_skiprec_draws(dtype: torch.dtype) -> None:
    logits = (30 * random_logits(500, 8)).to(dtype)  # some are all but sure
    model = random_skiprec(NUM_ITEMS)
    torch.manual_seed(3)
    found = reinmax_gates(logits.clone().requires_grad_()).detach()
    torch.manual_seed(3)
    decided = model.decide(logits, sample=True)
    assert found.dtype == dtype
    assert ((found == 0) | (found == 1)).all()
    assert torch.equal(found, decided.round())
    assert 0.3 < found.mean() < 0.7


def test_a_gate_is_kept_as_often_as_its_logits_say() -> None:
    torch.manual_seed(1)
    pairs = torch.stack([LOGITS + 2.0, torch.full_like(LOGITS, 2.0)], dim=-1).expand(DRAWS, -1, -1)
    pi = torch.sigmoid(LOGITS)
    error = (pi * (1 - pi) / DRAWS) ** 0.5
    assert ((reinmax_gates(pairs).mean(dim=0) - pi).abs() < 4.5 * error).all()


def test_the_gradient_of_given_gates_is_half_of_how_unlikely_they_were() -> None:
    """By hand: with pi = 3/4 a kept gate has dz/da = 1/8, a skipped one 3/8; with pi = 1/2 both have 1/4."""
    logits = torch.tensor([3.0, 1.0], dtype=torch.float64).log()
    pairs = torch.stack([logits + 0.7, torch.full_like(logits, 0.7)], dim=-1).repeat(40, 1, 1).requires_grad_()
    gates = reinmax_gates(pairs)
    slope_of_the_loss = 1.0 + torch.arange(80.0, dtype=torch.float64).view(40, 2)
    (found,) = torch.autograd.grad((gates * slope_of_the_loss).sum(), pairs)
    by_hand = torch.tensor([[3 / 8, 1 / 8], [1 / 4, 1 / 4]], dtype=torch.float64)  # (gate, skipped or kept)
    for row, gate in torch.cartesian_prod(torch.arange(40), torch.arange(2)).tolist():
        expected = float(by_hand[gate, int(gates[row, gate])]) * float(slope_of_the_loss[row, gate])
        assert found[row, gate].tolist() == pytest.approx([expected, -expected], rel=1e-12)
    assert 0 < gates[:, 0].mean() < 1


def test_on_average_it_is_right_for_a_loss_quadratic_in_each_gate_where_straight_through_is_not() -> None:
    wanted = exact_gradient(LOGITS, quadratic)
    assert wanted.abs().min() > 0.02
    assert errors_of(reinmax(quadratic), wanted).max() < 4.5
    plain = straight_through(LOGITS, quadratic, DRAWS, tau=10.0, generator=torch.Generator().manual_seed(0))
    assert errors_of(plain, wanted).min() > 20
    rescaled = plain * (wanted @ plain.mean(dim=0)) / plain.mean(dim=0).square().sum()
    assert errors_of(rescaled, wanted).max() > 20  # no factor mends it


def test_a_slope_for_a_difference_stays_a_bias_where_the_loss_is_cubic() -> None:
    assert errors_of(reinmax(cubic), exact_gradient(LOGITS, cubic)).max() > 20


# --- the loss ---


@pytest.mark.parametrize("cost", [0.0, 0.7])
def test_the_loss_is_straight_through_s_and_the_gradient_reinmax_s(cost: float) -> None:
    logits, batch = random_logits(6, BLOCKS), cut_windows()
    model = with_given_logits(random_skiprec(NUM_ITEMS), logits)
    torch.manual_seed(5)
    gates = model.gates(batch.items, batch.cut, sample=True).detach().round().requires_grad_()
    loss = torch.cat(losses_by_loop(model.backbone, batch, gates)).mean() + cost * gates.sum() / (6 * BLOCKS)
    weights = list(model.backbone.parameters())
    slope, *of_weights = torch.autograd.grad(loss, [gates, *weights])
    expected = slope * (gates.detach() - torch.sigmoid(logits[..., 0] - logits[..., 1])).abs() / 2
    torch.manual_seed(5)
    ours = reinmax_loss(model, batch, cost)
    assert ours.shape == ()
    found, *ours_of_weights = torch.autograd.grad(ours, [model.policy.logits, *weights])
    torch.testing.assert_close(found, torch.stack([expected, -expected], dim=-1), rtol=0, atol=1e-12)
    for mine, theirs in zip(ours_of_weights, of_weights, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
    assert (found != 0).all()
    torch.manual_seed(5)
    plain = straight_through_loss(model, batch, cost)
    assert ours.item() == pytest.approx(loss.item(), rel=1e-12) == pytest.approx(plain.item(), rel=1e-12)


def test_the_cost_of_the_mean_gate_is_felt_as_its_exact_gradient_on_average() -> None:
    """Blocks that do nothing leave the cost alone: pi (1 - pi) of it for each of 18 gates."""
    pairs = torch.stack([LOGITS, torch.zeros_like(LOGITS)], dim=-1)[:BLOCKS].expand(6, -1, -1)
    model, batch = with_given_logits(random_skiprec(NUM_ITEMS, scale=0.0), pairs), cut_windows()
    torch.manual_seed(0)
    draws = torch.stack(
        [torch.autograd.grad(reinmax_loss(model, batch, 0.9), model.policy.logits)[0][..., 0] for _ in range(100)]
    )
    keep = torch.sigmoid(LOGITS[:BLOCKS])
    wanted = 0.9 * keep * (1 - keep) / (6 * BLOCKS)
    assert (draws > 0).all()
    assert errors_of(draws.flatten(0, 1), wanted).max() < 4.5


def test_the_policy_reads_nothing_after_the_cut() -> None:
    model, batch, read = random_skiprec(NUM_ITEMS), cut_windows(), []
    after = torch.arange(7) > batch.cut.unsqueeze(1)
    other = torch.where(after, random_items((7,) * 6, 7, NUM_ITEMS, seed=9), batch.items)
    model.policy.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    for items in (batch.items, other):
        reinmax_loss(model, Windows(items, batch.targets, batch.cut, batch.users), 0.1)
    assert torch.equal(*read)


def test_it_trains_through_fit_as_a_gate_loss() -> None:
    split = tiny_split()
    torch.manual_seed(0)
    backbone = NextItNet(split.num_items, channels=8, dilations=(1, 2), tied=True)
    model = SkipRec(backbone, PolicyNetwork(split.num_items, 2, channels=8, keep_bias=1.0))
    start = {name: weight.clone() for name, weight in model.policy.state_dict().items()}
    stages = skiprec_stages(20, cost=0.05, warmup_epochs=5, ramp_epochs=5, gate_loss=reinmax_loss)
    history = fit(model, split, stages=stages, learning_rate=1e-2, patience=20, progress=False)
    assert len(history.epochs) == 20
    assert history.epochs[-1]["loss"] < history.epochs[5]["loss"] < history.epochs[0]["loss"]
    assert all(not torch.equal(weight, start[name]) for name, weight in model.policy.named_parameters())

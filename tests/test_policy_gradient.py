"""Rewards, log-probabilities and the self-critical step: by loops, by enumeration, by torch's distributions."""

import math

import pytest
import torch
from helpers import (
    fitted,
    losses_by_loop,
    random_logits,
    random_skiprec,
    random_windows,
    tiny_split,
    windows_with_cuts,
    with_given_logits,
)
from torch import Tensor
from torch.distributions import Bernoulli, Independent

from skiprec_lite.backbones import NextItNet
from skiprec_lite.enumeration import all_patterns
from skiprec_lite.estimators import exact_gradient
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.policy_gradient import block_drop_reward, log_probability, published_reward, self_critical_loss
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

NUM_ITEMS = 11
BLOCKS = 3
LENGTHS = (7, 3, 5, 1, 7, 2)


def cut_windows() -> Windows:
    return windows_with_cuts(LENGTHS, (2, 5, 4, 6, 0, 5), NUM_ITEMS)


# --- rewards ---

USED = torch.tensor([0.0, 0.25, 0.5, 1.0])


def test_a_hit_earns_more_the_fewer_blocks_it_took_and_a_miss_costs_the_same() -> None:
    hit, miss = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    torch.testing.assert_close(block_drop_reward(hit, USED), torch.tensor([1.0, 0.9375, 0.75, 0.0]))
    torch.testing.assert_close(block_drop_reward(miss, USED), torch.full((4,), -0.5))
    torch.testing.assert_close(block_drop_reward(miss, USED, miss=2.0), torch.full((4,), -2.0))
    torch.testing.assert_close(block_drop_reward(hit, USED, miss=2.0), block_drop_reward(hit, USED))
    mixed = block_drop_reward(torch.tensor([[True, False], [False, True]]), torch.full((2, 2), 0.5))
    assert mixed.tolist() == [[0.75, -0.5], [-0.5, 0.75]]


def test_the_published_reward_falls_with_skipping() -> None:
    hit, miss = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    torch.testing.assert_close(published_reward(hit, USED), torch.tensor([0.0, 0.4375, 0.75, 1.0]))
    torch.testing.assert_close(published_reward(hit, USED, gamma=0.5), torch.tensor([0.5, 0.71875, 0.875, 1.0]))
    torch.testing.assert_close(published_reward(miss, USED), torch.full((4,), -1.0))
    torch.testing.assert_close(published_reward(miss, USED, gamma=0.5), torch.full((4,), -0.5))


# --- log-probabilities ---


def test_log_probability_is_that_of_independent_coins() -> None:
    logits = random_logits(6, BLOCKS)
    gates = (torch.rand(6, BLOCKS) < 0.5).double()
    coins = Independent(Bernoulli(logits=logits[..., 0] - logits[..., 1]), 1)
    found = log_probability(logits, gates)
    assert found.shape == (6,)
    torch.testing.assert_close(found, coins.log_prob(gates), rtol=1e-12, atol=0)


def test_the_probabilities_of_all_patterns_sum_to_one() -> None:
    logits = random_logits(1, BLOCKS).expand(8, -1, -1)
    assert float(log_probability(logits, all_patterns(BLOCKS).double()).exp().sum()) == pytest.approx(1, rel=1e-12)


def test_the_gradient_of_a_log_probability_is_gate_minus_pi() -> None:
    logits, gates = random_logits(6, BLOCKS).requires_grad_(), (torch.rand(6, BLOCKS) < 0.5).double()
    (gradient,) = torch.autograd.grad(log_probability(logits, gates).sum(), logits)
    keep = logits.detach().softmax(dim=-1)[..., 0]
    torch.testing.assert_close(gradient[..., 0], gates - keep, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient[..., 1], keep - gates, rtol=0, atol=1e-12)


def test_a_log_probability_stays_finite_where_the_policy_is_all_but_sure() -> None:
    sure = torch.tensor([[[60.0, -60.0], [-60.0, 60.0]]])
    assert log_probability(sure, torch.tensor([[0.0, 1.0]])).item() == -240
    assert log_probability(sure, torch.tensor([[1.0, 0.0]])).item() == 0


# --- the self-critical step ---


def ranks_by_loop(model: SkipRec, batch: Windows, gates: Tensor) -> list[list[int]]:
    """Rank of each true item, position by position: how many items score at least as high, itself included."""
    scores = model.backbone(batch.items, gates).detach()
    return [
        [sum(s >= scores[row, t, target] for s in scores[row, t, 1:]) for t, target in enumerate(targets) if target]
        for row, targets in enumerate(batch.targets.tolist())
    ]


def reward_by_loop(model: SkipRec, batch: Windows, gates: Tensor, k: int, miss: float = 0.5) -> Tensor:
    """Mean over a row's positions of 1 - (used / L)^2 for a hit and -miss for a miss."""
    rewards = []
    for row, ranks in enumerate(ranks_by_loop(model, batch, gates)):
        used = float(gates[row].sum()) / BLOCKS
        rewards.append(sum(1 - used**2 if rank <= k else -miss for rank in ranks) / len(ranks))
    return torch.tensor(rewards, dtype=torch.float64)


@pytest.mark.parametrize(("k", "miss"), [(1, None), (4, None), (None, None), (4, 2.0)])
def test_a_step_is_cross_entropy_and_the_push_of_the_sampled_gates_by_their_advantage(
    k: int | None, miss: float | None
) -> None:
    cost, batch = 0.7, cut_windows()
    model = random_skiprec(NUM_ITEMS)
    options = {name: value for name, value in (("k", k), ("miss", miss)) if value is not None}
    names = [name for name, _ in model.named_parameters()]
    pushed = []
    for seed in range(4):
        torch.manual_seed(seed)
        logits = model.gate_logits(batch.items, batch.cut)
        gates = model.decide(logits, sample=True).detach()
        greedy = (logits[..., 0] > logits[..., 1]).double()
        rewards = [reward_by_loop(model, batch, choice, k or 10, miss or 0.5) for choice in (gates, greedy)]
        advantage = rewards[0] - rewards[1]
        pi = logits.softmax(dim=-1)
        log_p = torch.where(gates == 1, pi[..., 0], pi[..., 1]).log().sum(dim=1)
        cross_entropy = torch.cat(losses_by_loop(model.backbone, batch, gates)).mean()
        expected = cross_entropy - cost * (advantage * log_p).sum() / 6
        torch.manual_seed(seed)
        found = self_critical_loss(model, batch, cost, **options)
        assert found.shape == ()
        assert found.item() == pytest.approx(expected.item(), rel=1e-12)
        both = [torch.autograd.grad(loss, list(model.parameters())) for loss in (found, expected)]
        for name, ours, theirs in zip(names, *both, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12, msg=name)
        pushed.append(advantage)
        if k == 4:
            assert any(4 in row for row in ranks_by_loop(model, batch, gates)), (
                "a rank of exactly k puts the bound to the test"
            )
    assert (torch.stack(pushed) != 0).sum() >= 5
    assert torch.stack(pushed).min() < 0 < torch.stack(pushed).max()


def test_the_push_of_the_policy_is_the_gradient_of_the_expected_reward() -> None:
    """One row 8,000 times over; the exact gradient enumerates the 8 patterns."""
    samples, k = 8_000, 4
    logits = 0.5 * random_logits(1, BLOCKS)
    alone = random_windows((5,), 5, NUM_ITEMS, seed=2)
    skiprec = random_skiprec(NUM_ITEMS, scale=1.5)

    def negative_reward(gates: Tensor) -> Tensor:
        return -reward_by_loop(skiprec, alone.rows(torch.zeros(len(gates), dtype=torch.int64)), gates, k)

    expected = exact_gradient(logits[0, :, 0] - logits[0, :, 1], negative_reward)
    model = with_given_logits(skiprec, logits.expand(samples, -1, -1))
    batch = alone.rows(torch.zeros(samples, dtype=torch.int64))
    cost = 3.0
    (gradient,) = torch.autograd.grad(self_critical_loss(model, batch, cost, k=k), [model.policy.logits])
    found = samples * gradient[..., 0]
    error = found.std(dim=0) / samples**0.5
    assert (cost * expected.abs() > 10 * error).sum() >= 2
    assert ((found.mean(dim=0) - cost * expected).abs() < 4 * error).all()


def test_without_a_weight_the_policy_is_not_pushed() -> None:
    model = with_given_logits(random_skiprec(NUM_ITEMS), random_logits(6, BLOCKS))
    for cost, moved in ((0.0, False), (0.5, True)):
        loss = self_critical_loss(model, cut_windows(), cost)
        (gradient,) = torch.autograd.grad(loss, [model.policy.logits])
        assert bool((gradient != 0).any()) == moved


def test_hits_are_counted_without_dropout_which_the_backbone_s_part_has() -> None:
    """Blocks that do nothing make no hit more or less likely: what is left of the advantage is what was used."""
    logits = random_logits(6, BLOCKS)
    model = with_given_logits(random_skiprec(NUM_ITEMS, dropout=0.5, scale=0.0), logits).train()
    batch = random_windows((7,) * 6, 7, NUM_ITEMS)
    pushes = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        gates = model.decide(logits, sample=True)
        torch.manual_seed(seed)
        (gradient,) = torch.autograd.grad(self_critical_loss(model, batch, 1.0), [model.policy.logits])
        assert all(part.training for part in model.modules())
        greedy = (logits[..., 0] > logits[..., 1]).double()
        ranks = ranks_by_loop(model.eval(), batch, greedy)
        model.train()
        hits = torch.tensor([sum(int(rank) <= 10 for rank in row) / 7 for row in ranks], dtype=torch.float64)
        advantage = hits * (greedy.mean(dim=1).square() - gates.mean(dim=1).square())
        expected = -advantage.unsqueeze(1) * (gates - torch.sigmoid(logits[..., 0] - logits[..., 1])) / 6
        torch.testing.assert_close(gradient[..., 0], expected, rtol=0, atol=1e-12)
        pushes.append(gradient)
    assert pushes[0].abs().max() > 1e-3
    torch.manual_seed(0)
    losses = [float(self_critical_loss(model, batch, 0.0).detach()) for _ in range(2)]
    assert abs(losses[0] - losses[1]) > 1e-3


def test_who_samples_the_greedy_gates_learns_nothing_from_them() -> None:
    sure = torch.tensor([[40.0, -40.0], [-40.0, 40.0], [40.0, -40.0]], dtype=torch.float64).expand(6, -1, -1)
    model = with_given_logits(random_skiprec(NUM_ITEMS), sure)
    batch = cut_windows()
    loss = self_critical_loss(model, batch, 0.5)
    gates = torch.tensor([1.0, 0, 1]).double().expand(6, -1)
    expected = torch.cat(losses_by_loop(model.backbone, batch, gates)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(("k", "hits"), [(NUM_ITEMS - 1, False), (NUM_ITEMS, True)])
def test_ties_count_against_the_target(k: int, hits: bool) -> None:
    """All items score alike: the true one has the last rank. A miss earns the same under all gates."""
    model = with_given_logits(random_skiprec(NUM_ITEMS), random_logits(6, BLOCKS))
    with torch.no_grad():
        model.backbone.embedding.weight.zero_()
        model.backbone.output_bias.zero_()
    (gradient,) = torch.autograd.grad(self_critical_loss(model, cut_windows(), 1.0, k=k), [model.policy.logits])
    assert bool((gradient != 0).any()) == hits


def test_the_step_can_be_given_to_fit() -> None:
    torch.manual_seed(0)
    model = SkipRec(NextItNet(15, channels=8, dilations=(1, 2)), PolicyNetwork(15, 2, channels=8))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    history = fitted(
        model, tiny_split(), epochs=6, batch_size=8, learning_rate=0.01, warmup_epochs=1, ramp_epochs=1, cost=1.0,
        gate_loss=self_critical_loss,
    )  # fmt: skip
    assert all(math.isfinite(record["loss"]) for record in history.epochs)
    assert all((tensor != before[name]).any() for name, tensor in model.state_dict().items() if "padding" not in name)

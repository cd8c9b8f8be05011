"""What a step of joint training minimises: the values and gradients that are claimed, of each of its parts."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from helpers import (
    generator,
    losses_by_loop,
    random_items,
    random_logits,
    random_skiprec,
    random_windows,
    windows_with_cuts,
    with_given_logits,
)
from torch import Tensor

from skiprec_lite.estimators import exact_gradient
from skiprec_lite.gate_losses import (
    SteeredCost,
    difference_loss,
    draw_cut,
    from_a_cut,
    losses_at,
    per_row,
    settled_loss,
    straight_through_loss,
    whole_window,
)
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

NUM_ITEMS = 11
BLOCKS = 3
LENGTHS = (7, 3, 5, 1, 7, 2)
Gradients = dict[str, Tensor]


def cut_windows() -> Windows:
    return windows_with_cuts(LENGTHS, (2, 5, 6, 6, 0, 5), NUM_ITEMS)


def gradients_of(loss: Tensor, model: SkipRec) -> Gradients:
    """Of every parameter; what the loss does not reach has the gradient 0."""
    names, parameters = zip(*model.named_parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return {n: torch.zeros_like(p) if g is None else g for n, p, g in zip(names, parameters, found)}


def seeded(function: Callable[..., Tensor], *arguments: object, seed: int = 5, **options: object) -> Tensor:
    torch.manual_seed(seed)
    return function(*arguments, **options)


def assert_same_loss(model: SkipRec, ours: Tensor, expected: Tensor) -> None:
    assert ours.shape == ()
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)
    for (name, found), wanted in zip(
        gradients_of(ours, model).items(), gradients_of(expected, model).values(), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12, msg=name)


# --- cuts ---


def test_a_cut_is_uniform_over_the_real_positions() -> None:
    lengths, draws = (1, 3, 6, 10), 20_000
    items = random_items(lengths, 10, NUM_ITEMS).repeat(draws, 1)
    cuts = draw_cut(items).view(draws, len(lengths))
    for length, drawn in zip(lengths, cuts.T):
        counts = torch.bincount(drawn, minlength=10).double()
        expected, error = draws / length, (draws / length * (1 - 1 / length)) ** 0.5
        assert (counts[: 10 - length] == 0).all()  # padding
        assert ((counts[10 - length :] - expected).abs() <= 4 * error).all()


def test_cuts_of_different_rows_are_drawn_independently() -> None:
    cuts = draw_cut(random_items((10, 10), 10, NUM_ITEMS).repeat(5_000, 1)).view(-1, 2).double()
    assert torch.corrcoef(cuts.T)[0, 1].abs() < 4 / 5_000**0.5


def test_a_batch_from_a_cut_is_scored_from_there_on_and_the_policy_is_told() -> None:
    batch = random_windows((9, 1, 4, 6) * 30, 9, NUM_ITEMS)
    targets = batch.targets.clone()
    found = from_a_cut(batch)
    assert found.cut.shape == (120,)
    assert len(found.cut.unique()) == 9
    for row in range(120):
        assert batch.items[row, found.cut[row]] > 0
        assert not found.targets[row, : found.cut[row]].any()
        assert torch.equal(found.targets[row, found.cut[row] :], targets[row, found.cut[row] :])
    assert (found.scored().sum(dim=1) >= 1).all()
    assert torch.equal(found.items, batch.items)
    assert torch.equal(found.users, batch.users)
    assert torch.equal(batch.targets, targets)


def test_rows_of_equal_length_get_cuts_of_their_own() -> None:
    assert len(from_a_cut(random_windows((9,) * 50, 9, NUM_ITEMS)).cut.unique()) > 4


def test_a_batch_of_whole_windows_is_scored_everywhere_and_read_to_its_end() -> None:
    batch = replace(random_windows((9, 1, 4), 9, NUM_ITEMS), cut=torch.tensor([0, 8, 5]))
    found = whole_window(batch)
    assert found.cut.tolist() == [8, 8, 8]
    assert torch.equal(found.targets, batch.targets)
    assert torch.equal(found.items, batch.items)


# --- losses and their means ---


def test_losses_are_cross_entropies_row_by_row_under_the_gates() -> None:
    model, batch = random_skiprec(NUM_ITEMS), cut_windows()
    for gates in (torch.ones(6, BLOCKS), (torch.rand(6, BLOCKS) < 0.5).float(), torch.rand(6, BLOCKS)):
        expected = losses_by_loop(model.backbone, batch, gates)
        found = losses_at(model.backbone, batch, gates)
        assert found.shape == (int(batch.scored().sum()),)
        torch.testing.assert_close(found, torch.cat(expected), rtol=0, atol=1e-12)
        means = torch.stack([row.mean() for row in expected])
        torch.testing.assert_close(per_row(found, batch), means, rtol=0, atol=1e-12)
        assert means.std() > 0.1


def test_a_row_without_a_scored_position_has_no_mean() -> None:
    batch = random_windows((3, 2), 3, NUM_ITEMS)
    batch.targets[0] = 0
    assert batch.scored().sum(dim=1).tolist() == [0, 2]
    found = per_row(torch.tensor([1.0, 4.0]), batch)
    assert math.isnan(found[0])
    assert found[1] == 2.5


def test_a_number_has_its_share_in_the_mean_of_its_row() -> None:
    batch = cut_windows()
    counts = batch.scored().sum(dim=1)
    values = torch.rand(int(counts.sum()), dtype=torch.float64, requires_grad=True)
    weights = torch.arange(1.0, 7.0, dtype=torch.float64)
    (shares,) = torch.autograd.grad((weights * per_row(values, batch)).sum(), values)
    torch.testing.assert_close(shares, (weights / counts).repeat_interleave(counts), rtol=1e-12, atol=0)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_gates_times_slopes_sum_to_the_slope_of_the_scale(soft: bool, training: bool) -> None:
    """Sum over users of g dL/dg = scale dL/dscale, exactly, for every ReZero block, under one and the same dropout."""
    model, batch = random_skiprec(NUM_ITEMS, dropout=0.3).train(training), cut_windows()
    gates = torch.rand(6, BLOCKS, generator=generator(3), dtype=torch.float64)
    gates = (gates if soft else (gates < 0.6).double()).requires_grad_()
    scales = [block.scale for block in model.backbone.blocks]
    loss = losses_at(model.backbone, batch, gates).mean()
    of_gates, *of_scales = torch.autograd.grad(loss, [gates, *scales])
    for block in range(BLOCKS):
        expected = float(scales[block].detach() * of_scales[block])
        assert abs(expected) > 1e-3
        assert float((gates[:, block].detach() * of_gates[:, block]).sum()) == pytest.approx(expected, rel=1e-9)


# --- straight-through ---


@pytest.mark.parametrize("cost", [0.0, 0.7])
def test_straight_through_is_cross_entropy_under_sampled_gates_plus_the_cost_of_the_mean_gate(cost: float) -> None:
    model, batch = random_skiprec(NUM_ITEMS), cut_windows()
    gates = seeded(model.gates, batch.items, batch.cut, sample=True)
    assert 0 < gates.detach().mean() < 1
    expected = torch.cat(losses_by_loop(model.backbone, batch, gates)).mean() + cost * gates.sum() / (6 * BLOCKS)
    ours = seeded(straight_through_loss, model, batch, cost)
    assert_same_loss(model, ours, expected)
    gradients = gradients_of(seeded(straight_through_loss, model, batch, cost), model)
    assert all(gradients[name].abs().max() > 1e-6 for name in gradients)


def test_where_blocks_do_nothing_the_cost_alone_pushes_every_gate_shut() -> None:
    logits = random_logits(6, BLOCKS)
    model = with_given_logits(random_skiprec(NUM_ITEMS, scale=0.0), logits)
    (gradient,) = torch.autograd.grad(straight_through_loss(model, cut_windows(), 0.9), [model.policy.logits])
    assert (gradient[..., 0] > 0).all()
    torch.testing.assert_close(gradient[..., 1], -gradient[..., 0], rtol=0, atol=1e-15)
    (free,) = torch.autograd.grad(straight_through_loss(model, cut_windows(), 0.0), [model.policy.logits])
    assert (free == 0).all()


def test_the_policy_learns_from_nothing_after_the_cut() -> None:
    """In training too: a batch whose later items differ is gated alike."""
    model, batch = random_skiprec(NUM_ITEMS), cut_windows()
    after = torch.arange(7) > batch.cut.unsqueeze(1)
    other = replace(batch, items=torch.where(after, random_items((7,) * 6, 7, NUM_ITEMS, seed=9), batch.items))
    read: list[Tensor] = []
    model.policy.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    for loss in (straight_through_loss, settled_loss, difference_loss, SteeredCost()):
        read.clear()
        loss(model, batch, 0.1)
        loss(model, other, 0.1)
        assert len(read) == 2
        assert torch.equal(read[0], read[1])
        assert torch.equal(read[0], batch.items.masked_fill(after, 0))


# --- settled ---


def test_settled_is_cross_entropy_under_greedy_gates_and_leaves_the_policy_alone() -> None:
    model, batch = random_skiprec(NUM_ITEMS), cut_windows()
    gates = model.gates(batch.items, batch.cut, sample=False).detach()
    assert 0 < gates.mean() < 1
    expected = torch.cat(losses_by_loop(model.backbone, batch, gates)).mean()
    for seed in range(3):
        ours = seeded(settled_loss, model, batch, 0.7, seed=seed)
        assert_same_loss(model, ours, expected)
    gradients = gradients_of(settled_loss(model, batch, 0.7), model)
    assert all((gradients[n] == 0).all() for n in gradients if n.startswith("policy."))
    assert max(gradients[n].abs().max() for n in gradients if n.startswith("backbone.")) > 1e-3


def test_settled_does_not_run_a_block_that_all_skip() -> None:
    logits = torch.zeros(6, BLOCKS, 2, dtype=torch.float64)
    logits[:, 1, 1], logits[:, (0, 2), 0] = 9.0, 9.0
    model = with_given_logits(random_skiprec(NUM_ITEMS), logits)
    ran = []
    for index, block in enumerate(model.backbone.blocks):
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
    settled_loss(model, cut_windows(), 0.0)
    assert ran == [0, 2]


# --- the difference ---


def worth_of_blocks(model: SkipRec, batch: Windows, gates: Tensor) -> Tensor:
    """L(kept) - L(skipped) of each row's own mean loss, for every block, by trying both."""
    columns = []
    for block in range(gates.shape[1]):
        tried = []
        for value in (1.0, 0.0):
            choice = gates.clone()
            choice[:, block] = value
            tried.append(torch.stack([row.mean() for row in losses_by_loop(model.backbone, batch, choice)]))
        columns.append(tried[0] - tried[1])
    return torch.stack(columns, dim=1).detach()


def pushed(gradient: Tensor) -> Tensor:
    """The block of each row whose logits have a gradient: exactly one."""
    moved = (gradient != 0).any(dim=2)
    assert (moved.sum(dim=1) == 1).all()
    return moved.int().argmax(dim=1)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("cost", [0.0, 0.8])
def test_one_gate_of_each_row_is_pushed_by_what_flipping_it_does(cost: float, exact: bool) -> None:
    """By pi (1 - pi) or 1/4, times its own difference plus its part of the cost; the mean over the rows."""
    logits = random_logits(6, BLOCKS)
    model, batch, rows = (
        with_given_logits(random_skiprec(NUM_ITEMS), logits),
        cut_windows(),
        torch.arange(6),
    )
    keep = torch.sigmoid(logits[..., 0] - logits[..., 1])
    for seed in range(12):
        gates = seeded(model.decide, logits, sample=True, seed=seed)
        loss = seeded(difference_loss, model, batch, cost, exact=exact, pull=0.0, seed=seed)
        (gradient,) = torch.autograd.grad(loss, [model.policy.logits])
        block = pushed(gradient)
        worth = worth_of_blocks(model, batch, gates)[rows, block] + cost / BLOCKS
        factor = (keep * (1 - keep))[rows, block] if exact else 0.25
        found = gradient[rows, block]
        torch.testing.assert_close(found[:, 0], factor * worth / 6, rtol=0, atol=1e-12)
        torch.testing.assert_close(found[:, 1], -found[:, 0], rtol=0, atol=1e-15)
        assert found[:, 0].abs().max() > 1e-3


def test_every_block_of_every_row_has_its_turn() -> None:
    model = with_given_logits(random_skiprec(NUM_ITEMS), random_logits(1, BLOCKS).repeat(600, 1, 1))
    batch = random_windows((3,) * 600, 3, NUM_ITEMS)
    (gradient,) = torch.autograd.grad(difference_loss(model, batch, 0.1, exact=True), [model.policy.logits])
    counts = torch.bincount(pushed(gradient), minlength=BLOCKS).double()
    assert ((counts - 200).abs() < 4 * (600 * 1 / 3 * 2 / 3) ** 0.5).all()


def test_the_exact_difference_is_the_gradient_of_the_expected_loss() -> None:
    """One row 20,000 times over; the exact gradient enumerates the 8 patterns. One of 3 blocks is tried: a third."""
    samples, cost = 20_000, 0.6
    logits = random_logits(1, BLOCKS)
    alone = random_windows((4,), 4, NUM_ITEMS)
    batch = alone.rows(torch.zeros(samples, dtype=torch.int64))
    skiprec = random_skiprec(NUM_ITEMS, scale=1.0)

    def expected_loss(gates: Tensor) -> Tensor:
        rows = alone.rows(torch.zeros(len(gates), dtype=torch.int64))
        return per_row(losses_at(skiprec.backbone, rows, gates), rows) + cost * gates.mean(dim=1)

    expected = exact_gradient(logits[0, :, 0] - logits[0, :, 1], expected_loss) / BLOCKS
    model = with_given_logits(skiprec, logits.expand(samples, -1, -1))
    (gradient,) = torch.autograd.grad(difference_loss(model, batch, cost, exact=True), [model.policy.logits])
    found = samples * gradient[..., 0]
    error = found.std(dim=0) / samples**0.5
    assert (expected.abs() > 12 * error).sum() >= 2
    assert ((found.mean(dim=0) - expected).abs() < 4 * error).all()


@pytest.mark.parametrize("pull", [None, 0.3])
def test_logits_are_held_by_their_squares_unless_exact(pull: float | None) -> None:
    logits = random_logits(6, BLOCKS)
    model, batch = with_given_logits(random_skiprec(NUM_ITEMS), logits), cut_windows()
    given = {} if pull is None else {"pull": pull}
    found = []
    for options in (given, {"pull": 0.0}, {"exact": True, **given}, {"exact": True, "pull": 0.0}):
        loss = seeded(difference_loss, model, batch, 0.4, **options)
        found.append(torch.autograd.grad(loss, [model.policy.logits])[0])
    logit = logits[..., 0] - logits[..., 1]
    expected = 2 * (0.01 if pull is None else pull) * logit / logit.numel()
    torch.testing.assert_close((found[0] - found[1])[..., 0], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close((found[0] - found[1])[..., 1], -expected, rtol=0, atol=1e-12)
    assert torch.equal(found[2], found[3])


def test_the_backbone_learns_from_the_sampled_gates_alone() -> None:
    model, batch = random_skiprec(NUM_ITEMS), cut_windows()
    gates = seeded(model.gates, batch.items, batch.cut, sample=True).detach()
    expected = gradients_of(torch.cat(losses_by_loop(model.backbone, batch, gates)).mean(), model)
    for exact in (True, False):
        found = gradients_of(seeded(difference_loss, model, batch, 0.8, exact=exact), model)
        for name in expected:
            if name.startswith("backbone."):
                torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-12, msg=name)
            else:
                assert found[name].abs().max() > 0, name


def test_a_flipped_gate_meets_the_same_dropout() -> None:
    """Blocks that do nothing make no difference, to the last bit, though half of the embedding is dropped."""
    cost, logits = 0.9, random_logits(6, BLOCKS)
    model = with_given_logits(random_skiprec(NUM_ITEMS, dropout=0.5, scale=0.0), logits).train()
    first, second = (difference_loss(model, cut_windows(), cost, pull=0.0) for _ in range(2))
    assert abs(float(first.detach() - second.detach())) > 1e-3  # the dropout of two steps is not the same
    (gradient,) = torch.autograd.grad(first, [model.policy.logits])
    found = gradient[torch.arange(6), pushed(gradient), 0]
    torch.testing.assert_close(found, torch.full((6,), cost / BLOCKS / 4 / 6, dtype=torch.float64), rtol=1e-12, atol=0)


def test_the_difference_leaves_the_stream_where_one_pass_would_have() -> None:
    """Gates, blocks to flip and one pass with dropout are drawn: the second pass repeats, and takes nothing more."""
    model, batch = random_skiprec(NUM_ITEMS, dropout=0.5).train(), cut_windows()
    seeded(difference_loss, model, batch, 0.1)
    after = torch.get_rng_state()
    logits = model.gate_logits(batch.items, batch.cut)
    gates = seeded(model.decide, logits, sample=True)
    torch.randint(BLOCKS, (6,))
    losses_at(model.backbone, batch, gates)
    assert torch.equal(torch.get_rng_state(), after)


# --- the steered cost ---


@pytest.mark.parametrize(("rate", "above"), [(0.02, True), (0.02, False), (0.5, True), (0.5, False)])
def test_a_steered_cost_grows_while_skipping_is_harmless_and_shrinks_when_not(rate: float, above: bool) -> None:
    batch = cut_windows()
    skip_all = torch.tensor([-60.0, 60.0], dtype=torch.float64).expand(6, BLOCKS, 2)
    model = with_given_logits(random_skiprec(NUM_ITEMS), skip_all)
    losses = [torch.cat(losses_by_loop(model.backbone, batch, torch.full((6, BLOCKS), g))).mean() for g in (0.0, 1.0)]
    harm = float((losses[0] - losses[1]).detach())
    assert abs(harm) > 0.05
    steered = SteeredCost(tolerance=harm + (1e-6 if above else -1e-6), rate=rate)
    assert steered.factor == 1
    for step in range(1, 5):
        steered(model, batch, 0.3)
        assert steered.factor == pytest.approx((1 + rate if above else 1 - rate) ** step, rel=1e-12)


def test_who_keeps_all_pays_more_with_every_step_by_the_defaults() -> None:
    keep_all = torch.tensor([60.0, -60.0], dtype=torch.float64).expand(6, BLOCKS, 2)
    model, batch, steered = with_given_logits(random_skiprec(NUM_ITEMS), keep_all), cut_windows(), SteeredCost()
    assert (steered.tolerance, steered.rate) == (0.05, 0.02)
    free = float(straight_through_loss(model, batch, 0.0).detach())
    paid = [float(steered(model, batch, 0.3).detach()) - free for _ in range(3)]
    assert paid == pytest.approx([0.3 * 1.02**step for step in (1, 2, 3)], rel=1e-9)


def test_a_steered_step_is_straight_through_with_the_cost_of_the_moment() -> None:
    model, batch = random_skiprec(NUM_ITEMS), cut_windows()
    for tolerance, factor in ((math.inf, 1.5), (-math.inf, 0.5)):
        expected = seeded(straight_through_loss, model, batch, 0.8 * factor)
        assert_same_loss(model, seeded(SteeredCost(tolerance, 0.5), model, batch, 0.8), expected)


def test_the_tolerance_is_an_amount_of_loss_not_a_share() -> None:
    """Between amount and share of a loss well above 1."""
    batch = cut_windows()
    skip_all = torch.tensor([-60.0, 60.0], dtype=torch.float64).expand(6, BLOCKS, 2)
    model = with_given_logits(random_skiprec(NUM_ITEMS), skip_all)
    losses = [torch.cat(losses_by_loop(model.backbone, batch, torch.full((6, BLOCKS), g))).mean() for g in (0.0, 1.0)]
    harm, share = float((losses[0] - losses[1]).detach()), float(losses[0] / losses[1] - 1)
    assert abs(harm - share) > 0.02
    steered = SteeredCost(tolerance=(harm + share) / 2)
    steered(model, batch, 0.3)
    assert (steered.factor > 1) == (harm < share)


def test_each_loss_can_be_given_to_fit() -> None:
    for loss in (straight_through_loss, settled_loss, difference_loss, SteeredCost()):
        value = loss(random_skiprec(NUM_ITEMS), cut_windows(), 0.1)
        assert value.shape == ()
        assert math.isfinite(value)

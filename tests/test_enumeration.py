"""What a gate is worth, by trying everything: patterns, slopes, differences, and how they hang together."""

import itertools
from collections.abc import Callable

import pytest
import torch
from helpers import generator, losses_by_loop, random_skiprec, random_windows
from torch import Tensor

from skiprec_lite.backbones import Backbone
from skiprec_lite.enumeration import all_patterns, gate_differences, gate_slopes, pattern_losses
from skiprec_lite.windows import Windows

NUM_ITEMS = 11
BLOCKS = 3
LENGTHS = (7, 3, 5, 1, 7, 2)


def random_backbone(*, dropout: float = 0.0) -> Backbone:
    return random_skiprec(NUM_ITEMS, dropout=dropout).backbone


def cases() -> Windows:
    """Rows of several lengths; of the longer ones only the last positions are scored."""
    windows = random_windows(LENGTHS, 7, NUM_ITEMS)
    windows.targets[:, :4] = 0
    windows.targets[:, 6] = windows.targets[:, 6].clamp_min(1)
    return windows


def coin_gates(*, seed: int = 3) -> Tensor:
    return (torch.rand(len(LENGTHS), BLOCKS, generator=generator(seed)) < 0.5).double()


def row_means(backbone: Backbone, gates: Tensor) -> Tensor:
    return torch.stack([row.mean() for row in losses_by_loop(backbone, cases(), gates)]).detach()


# --- all patterns ---


@pytest.mark.parametrize("blocks", [1, 2, 5, 12])
def test_all_patterns_are_the_binary_numbers_in_order(blocks: int) -> None:
    found = all_patterns(blocks)
    assert found.shape == (2**blocks, blocks)
    assert found.dtype == torch.float32
    assert found.tolist() == [list(row) for row in itertools.product((0.0, 1.0), repeat=blocks)]


@pytest.mark.parametrize("blocks", [-1, 0, 13, 64])
def test_too_many_blocks_or_none_are_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match="blocks"):
        all_patterns(blocks)


def test_the_loss_of_each_row_under_each_pattern() -> None:
    backbone, patterns = random_backbone(), all_patterns(BLOCKS)[[0, 3, 5, 7, 6]]
    found = pattern_losses(backbone, cases(), patterns)
    assert found.shape == (5, len(LENGTHS))
    for pattern, losses in zip(patterns, found):
        torch.testing.assert_close(losses, row_means(backbone, pattern.expand(6, -1)), rtol=0, atol=1e-12)
    assert not found.requires_grad
    assert found.std(dim=0).min() > 0.01


# --- slopes ---


@pytest.mark.parametrize("soft", [False, True])
def test_slopes_are_those_of_a_finite_difference(soft: bool) -> None:
    backbone, step = random_backbone(), 1e-5
    gates = torch.rand(6, BLOCKS, generator=generator(4), dtype=torch.float64) if soft else coin_gates()
    expected = torch.zeros(6, BLOCKS, dtype=torch.float64)
    for block in range(BLOCKS):
        nudge = step * torch.eye(BLOCKS, dtype=torch.float64)[block]
        expected[:, block] = (row_means(backbone, gates + nudge) - row_means(backbone, gates - nudge)) / (2 * step)
    found = gate_slopes(backbone, cases(), gates)
    assert found.shape == (6, BLOCKS)
    assert (expected.abs() > 1e-3).sum() > 12
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


def test_the_slopes_of_those_who_keep_a_block_sum_to_the_slope_of_its_scale() -> None:
    backbone, gates = random_backbone(), coin_gates()
    slopes = gate_slopes(backbone, cases(), gates)
    total = torch.stack([row.mean() for row in losses_by_loop(backbone, cases(), gates)]).sum()
    scales = [block.scale for block in backbone.blocks]
    for block, gradient in enumerate(torch.autograd.grad(total, scales)):
        keepers = gates[:, block] == 1
        assert 0 < keepers.sum() < 6
        expected = float(scales[block].detach() * gradient)
        assert abs(expected) > 1e-3
        assert float(slopes[keepers, block].sum()) == pytest.approx(expected, rel=1e-9)


def test_slopes_of_a_row_are_its_own() -> None:
    backbone, gates, all_cases = random_backbone(), coin_gates(), cases()
    together = gate_slopes(backbone, all_cases, gates)
    for row in range(6):
        one = slice(row, row + 1)
        alone = gate_slopes(backbone, all_cases.rows(one), gates[one])
        torch.testing.assert_close(alone, together[one], rtol=0, atol=1e-12)


# --- differences ---


def test_differences_are_found_among_all_patterns() -> None:
    """Kept minus skipped, the other gates as they are, for all 8 choices of all gates at once."""
    backbone, patterns = random_backbone(), all_patterns(BLOCKS)
    losses = pattern_losses(backbone, cases(), patterns)
    number = {tuple(pattern): i for i, pattern in enumerate(patterns.int().tolist())}
    for pattern in patterns:
        found = gate_differences(backbone, cases(), pattern.double().expand(6, -1).clone())
        assert found.shape == (6, BLOCKS)
        for block in range(BLOCKS):
            kept, skipped = (pattern.int().tolist() for _ in range(2))
            kept[block], skipped[block] = 1, 0
            expected = losses[number[tuple(kept)]] - losses[number[tuple(skipped)]]
            assert expected.abs().max() > 0.01
            torch.testing.assert_close(found[:, block], expected, rtol=0, atol=1e-12)


def test_differences_of_rows_with_different_gates() -> None:
    backbone, gates = random_backbone(), coin_gates()
    found = gate_differences(backbone, cases(), gates)
    for block in range(BLOCKS):
        kept, skipped = gates.clone(), gates.clone()
        kept[:, block], skipped[:, block] = 1, 0
        expected = row_means(backbone, kept) - row_means(backbone, skipped)
        torch.testing.assert_close(found[:, block], expected, rtol=0, atol=1e-12)


# --- all of them ---

QUESTIONS: dict[str, Callable[[Backbone, Tensor], Tensor]] = {
    "losses": lambda backbone, gates: pattern_losses(backbone, cases(), gates),
    "slopes": lambda backbone, gates: gate_slopes(backbone, cases(), gates),
    "differences": lambda backbone, gates: gate_differences(backbone, cases(), gates),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("question", QUESTIONS)
def test_asking_is_without_dropout_and_without_a_trace(question: str, training: bool) -> None:
    ask, gates = QUESTIONS[question], coin_gates()
    expected = ask(random_backbone(), gates)
    backbone, before, stream = random_backbone(dropout=0.5).train(training), gates.clone(), torch.get_rng_state()
    found = ask(backbone, gates)
    assert torch.equal(found, expected)
    assert found.abs().max() > 0.01
    assert not found.requires_grad
    assert all(part.training == training for part in backbone.modules())
    assert all(p.grad is None for p in backbone.parameters())
    assert torch.equal(gates, before)
    assert gates.requires_grad is False
    assert torch.equal(torch.get_rng_state(), stream)

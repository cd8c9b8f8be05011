"""The rivals of a learnt choice: random gates, a habit, another user's gates, a shuffled history."""

import itertools
import math
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from helpers import random_skiprec, random_windows, randomise, tiny_split
from torch import Tensor

from skiprec_lite import checkpoints
from skiprec_lite.backbones import NextItNet
from skiprec_lite.controls import (
    RandomGates,
    another_users,
    most_frequent_pattern,
    random_gates,
    shuffled_histories,
)
from skiprec_lite.evaluation import gates_of
from skiprec_lite.lab.random_depth import RandomDepth, random_depths
from skiprec_lite.lab.stand_ins import CONTROLS, DRAWS
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.training import fit
from skiprec_lite.windows import Windows, last_position

NUM_ITEMS = 15
LENGTHS = (9, 1, 4, 6, 9, 9)


def backbone(*, dropout: float = 0.0) -> NextItNet:
    return randomise(NextItNet(NUM_ITEMS, channels=6, dilations=(1, 2, 1, 2), dropout=dropout))


def cases(rows: int = 60, *, seed: int = 0) -> Windows:
    """Histories of 1 to 9 items, of which the policy may read all but the last one or two."""
    windows = random_windows([2 + i % 8 for i in range(rows)], 9, NUM_ITEMS, seed=seed)
    return replace(windows, cut=7 - torch.arange(rows) % 8 // 4)


# --- random gates ---


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_each_gate_is_kept_at_the_rate_and_by_itself(rate: float) -> None:
    rows, blocks = 20_000, 3
    gates = random_gates(rows, blocks, rate)
    assert gates.shape == (rows, blocks)
    assert gates.dtype == torch.float32
    assert set(gates.unique().tolist()) == {0.0, 1.0}
    assert ((gates.mean(dim=0) - rate).abs() < 4 * (rate * (1 - rate) / rows) ** 0.5).all()
    between_blocks = torch.corrcoef(gates.T) - torch.eye(blocks)
    assert between_blocks.abs().max() < 4 / rows**0.5
    assert torch.corrcoef(torch.stack([gates[:-1, 0], gates[1:, 0]]))[0, 1].abs() < 4 / rows**0.5


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rates_of_nothing_and_all(rate: float) -> None:
    assert (random_gates(1000, 4, rate) == rate).all()


def test_random_gates_train_a_row_s_blocks_at_random_and_judge_at_full_depth() -> None:
    net = backbone()
    model, windows = RandomGates(net, 0.5), random_windows(LENGTHS, 9, NUM_ITEMS)
    where = windows.scored()
    torch.manual_seed(3)
    gates = random_gates(6, 4, 0.5)
    assert len(gates.unique(dim=0)) > 3
    torch.manual_seed(3)
    assert torch.equal(model.train().score_at(windows.items, where), net(windows.items, gates)[where])
    assert not torch.equal(model.score_at(windows.items, where), model.score_at(windows.items, where))
    full = net(windows.items)[where]
    assert not torch.allclose(model.score_at(windows.items, where), full)
    for cut in (None, windows.cut, windows.cut // 2):
        assert torch.equal(model.eval().score_at(windows.items, where, cut), full)


@pytest.mark.parametrize(("rate", "depth"), [(1.0, 1.0), (0.0, 0.0)])
def test_random_gates_of_rate_one_are_full_depth_and_of_rate_zero_none(rate: float, depth: float) -> None:
    net, windows = backbone(), random_windows(LENGTHS, 9, NUM_ITEMS)
    where = windows.scored()
    expected = net(windows.items, torch.full((6, 4), depth))[where]
    assert torch.equal(RandomGates(net, rate).train().score_at(windows.items, where), expected)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, math.inf])
def test_a_rate_that_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="keep_rate"):
        RandomGates(backbone(), rate)


def test_random_gates_can_be_trained() -> None:
    torch.manual_seed(0)
    model = RandomGates(NextItNet(NUM_ITEMS, channels=8, dilations=(1, 2)), 0.5)
    history = fit(model, tiny_split(), epochs=12, batch_size=8, learning_rate=0.01, exclude_seen=False, progress=False)
    assert history.epochs[-1]["loss"] < 0.8 * history.epochs[0]["loss"]
    assert history.epochs[-1]["ndcg"] > history.epochs[0]["ndcg"] + 0.05
    assert not model.training


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_as_a_skiprec_every_user_s_gates_are_kept_at_the_rate(rate: float) -> None:
    net = backbone()
    skiprec = RandomGates(net, rate).as_skiprec()
    items = random_windows(LENGTHS, 9, NUM_ITEMS).items
    keep = skiprec.gate_logits(items).softmax(dim=-1)[..., 0]
    torch.testing.assert_close(keep, torch.full((6, 4), rate), rtol=0, atol=1e-6)
    draws = skiprec.gates(items.repeat(2000, 1), sample=True).detach().view(2000, 6, 4)
    error = (rate * (1 - rate) / 2000) ** 0.5
    assert ((draws.mean(dim=0) - rate).abs() < 4.5 * error).all()  # 24 gates
    assert (skiprec.gates(items, sample=False) == float(rate > 0.5)).all()
    assert skiprec.backbone is net


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_as_a_skiprec_of_rate_nothing_or_all(rate: float) -> None:
    skiprec, items = RandomGates(backbone(), rate).as_skiprec(), random_windows(LENGTHS, 9, NUM_ITEMS).items
    for sample in (True, False):
        assert (skiprec.gates(items, sample=sample) == rate).all()


@pytest.mark.parametrize("training", [True, False])
def test_as_a_skiprec_it_is_in_the_mode_that_it_was_in(training: bool) -> None:
    """A SkipRec in training mode around a backbone in eval mode would put that back into training mode when judged."""
    skiprec = RandomGates(backbone(), 0.5).train(training).as_skiprec()
    assert all(part.training == training for part in skiprec.modules())


def test_as_a_skiprec_it_can_be_stored(tmp_path: Path) -> None:
    skiprec, items = RandomGates(backbone(), 0.3).as_skiprec(), random_windows(LENGTHS, 9, NUM_ITEMS).items
    checkpoints.save(skiprec, tmp_path / "a.safetensors")
    loaded = checkpoints.load(tmp_path / "a.safetensors")
    assert isinstance(loaded, SkipRec)
    assert torch.equal(loaded.gate_logits(items), skiprec.gate_logits(items))
    where = last_position(items)
    assert torch.equal(loaded.score_at(items, where), skiprec.score_at(items, where))


def test_judging_takes_nothing_from_the_stream_that_random_gates_train_by() -> None:
    model, windows = RandomGates(backbone(), 0.5).eval(), random_windows(LENGTHS, 9, NUM_ITEMS)
    stream = torch.get_rng_state()
    model.score_at(windows.items, windows.scored())
    assert torch.equal(torch.get_rng_state(), stream)


# --- random depths ---


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_random_depth_is_uniform_or_full_and_runs_the_first_blocks(share: float) -> None:
    rows, blocks = 12_000, 4
    gates = random_depths(rows, blocks, share)
    assert gates.shape == (rows, blocks)
    assert gates.dtype == torch.float32
    assert (gates[:, 0] == 1).all()
    assert (gates.diff(dim=1) <= 0).all()
    depth = gates.sum(dim=1).long()
    expected = torch.full((blocks,), (1 - share) / blocks)
    expected[-1] += share
    counts = torch.bincount(depth, minlength=blocks + 1)[1:]
    assert ((counts / rows - expected).abs() <= 4 * (expected * (1 - expected) / rows).sqrt()).all()
    if share < 1:
        neighbours = torch.stack([depth[:-1], depth[1:]]).float()
        assert torch.corrcoef(neighbours)[0, 1].abs() < 4 / rows**0.5


def test_random_depths_train_each_row_at_its_own_and_judge_at_full_depth() -> None:
    net = backbone()
    model, windows = RandomDepth(net, 0.2), random_windows(LENGTHS, 9, NUM_ITEMS)
    where = windows.scored()
    torch.manual_seed(3)
    gates = random_depths(6, 4, 0.2)
    assert len(gates.unique(dim=0)) > 2
    torch.manual_seed(3)
    assert torch.equal(model.train().score_at(windows.items, where), net(windows.items, gates)[where])
    assert not torch.equal(model.score_at(windows.items, where), model.score_at(windows.items, where))
    for cut in (None, windows.cut):
        assert torch.equal(model.eval().score_at(windows.items, where, cut), net(windows.items)[where])


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_that_is_no_probability_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="full_share"):
        RandomDepth(backbone(), share)


# --- habit ---


def test_the_most_frequent_pattern_is_not_the_majority_of_each_block() -> None:
    gates = torch.tensor([[1.0, 0, 0]] * 3 + [[0, 1, 1]] * 2 + [[0, 1, 0]] * 2 + [[0, 0, 1]] * 2)[
        [4, 0, 7, 1, 5, 2, 8, 3, 6]
    ]
    assert (gates.mean(dim=0) > 0.5).tolist() == [False, False, False]
    found = most_frequent_pattern(gates)
    assert found.tolist() == [[1.0, 0, 0]] * 9
    found[0] = 7  # memory of its own, row by row
    assert found[1].tolist() == [1.0, 0, 0]
    assert gates.max() == 1


# --- another user's ---


@pytest.mark.parametrize("rows", [2, 3, 4, 7, 50])
@pytest.mark.parametrize("seed", range(3))
def test_everybody_gets_the_gates_of_one_other_user(rows: int, seed: int) -> None:
    gates = torch.arange(float(rows)).unsqueeze(1).repeat(1, 2)
    found = another_users(gates, seed=seed)
    assert found.shape == gates.shape
    assert (found != gates).all()
    assert sorted(found[:, 0].tolist()) == gates[:, 0].tolist()


def test_whose_gates_is_a_matter_of_chance_and_of_the_seed() -> None:
    gates = torch.arange(50.0).unsqueeze(1)
    first, again, other = (another_users(gates, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(another_users(gates), first)
    assert len(((first - gates) % 50).unique()) > 20
    partners = {int(another_users(gates[:4], seed=seed)[0, 0]) for seed in range(30)}
    assert partners == {1, 2, 3}


@pytest.mark.parametrize("rows", [0, 1])
def test_nobody_else_is_an_error(rows: int) -> None:
    with pytest.raises(ValueError, match="another user"):
        another_users(torch.ones(rows, 3))


# --- a shuffled history ---


def test_only_what_the_policy_may_read_is_shuffled() -> None:
    before = cases()
    items = before.items.clone()
    after = shuffled_histories(before)
    readable = torch.arange(9) <= before.cut.unsqueeze(1)
    assert torch.equal(before.items, items)
    assert after.items.dtype == torch.int64
    assert torch.equal(after.items[~readable], items[~readable])
    assert torch.equal(after.items == 0, items == 0)
    for row in range(60):
        assert Counter(after.items[row].tolist()) == Counter(items[row].tolist())
    assert (after.items != items).any(dim=1).sum() > 35
    at_the_cut = torch.arange(9) == before.cut.unsqueeze(1)
    assert (after.items != items)[at_the_cut].sum() > 25
    for field in fields(Windows):
        if field.name != "items":
            assert getattr(after, field.name) is getattr(before, field.name)


def test_every_order_is_equally_likely_and_rows_are_shuffled_each_by_itself() -> None:
    rows = 6000
    before = Windows(
        torch.tensor([[0, 0, 3, 5, 8, 9]]).repeat(rows, 1),
        torch.tensor([[0, 0, 0, 0, 9, 1]]).repeat(rows, 1),
        torch.full((rows,), 4),
        torch.arange(rows),
    )
    counts = Counter(tuple(row) for row in shuffled_histories(before).items.tolist())
    assert set(counts) == {(0, 0, *order, 9) for order in itertools.permutations((3, 5, 8))}
    error = (rows * 1 / 6 * 5 / 6) ** 0.5
    assert max(abs(count - rows / 6) for count in counts.values()) < 4 * error


def test_the_seed_says_how_it_is_shuffled() -> None:
    stream = torch.get_rng_state()
    first, again, other = (shuffled_histories(cases(), seed=seed).items for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(shuffled_histories(cases()).items, first)
    assert torch.equal(torch.get_rng_state(), stream)


# --- the table of controls ---


def trained() -> SkipRec:
    """Whose gates depend on the user and on the order, and are kept more often than not."""
    model, windows = random_skiprec(NUM_ITEMS), cases()
    logits = model.gate_logits(windows.items, windows.cut).detach()
    gap = logits[..., 0] - logits[..., 1]
    with torch.no_grad():
        up = (0.6 * gap.std(dim=0) - gap.mean(dim=0)) / 2
        model.policy.output.bias += torch.stack([up, -up], dim=1).flatten()
    return model


def found_by(control: str) -> tuple[Tensor, list[Tensor]]:
    """The policy's own gates, and the control's."""
    model, before, stream = trained(), cases(), torch.get_rng_state()
    own, found = gates_of(model, before), CONTROLS[control](model, before)
    assert torch.equal(torch.get_rng_state(), stream)
    again = CONTROLS[control](model, before)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    assert all(gates.shape == (60, 3) and set(gates.unique().tolist()) <= {0.0, 1.0} for gates in found)
    return own, found


def test_the_controls_are_those_that_are_named() -> None:
    names = ["full depth", "sampled", "random, same rate", "most frequent pattern", "another user's"]
    assert sorted(CONTROLS) == sorted([*names, "shuffled history", "threshold 0.2"])
    own = found_by("full depth")[0]
    assert len(own.unique(dim=0)) > 3
    assert 0.55 < own.mean() < 0.9


def test_a_lower_threshold_keeps_what_is_kept_with_more_than_that_probability() -> None:
    model, windows = trained(), cases()
    with torch.no_grad():
        model.policy.output.weight *= 20  # some gates are sure to be shut
    (gates,) = CONTROLS["threshold 0.2"](model, windows)
    keep = model.gate_logits(windows.items, windows.cut).softmax(dim=-1)[..., 0]
    assert torch.equal(gates, (keep > 0.2).to(gates.dtype))
    assert (keep > 0.5).sum() < gates.sum() < gates.numel()


def test_full_depth_keeps_all() -> None:
    (gates,) = found_by("full depth")[1]
    assert (gates == 1).all()


def test_sampled_gates_are_drawn_anew_from_the_policy() -> None:
    found = found_by("sampled")[1]
    model, before = trained(), cases()
    keep = model.gate_logits(before.items, before.cut).softmax(dim=-1)[..., 0].detach()
    assert len(found) == DRAWS
    assert len(torch.stack(found).unique(dim=0)) == DRAWS
    error = (keep * (1 - keep) / DRAWS).sqrt().clamp_min(0.02)
    assert ((torch.stack(found).mean(dim=0) - keep).abs() < 5 * error).all()


def test_random_gates_have_the_rate_of_the_policy_s() -> None:
    own, found = found_by("random, same rate")
    rate, draws = float(own.mean()), torch.stack(found)
    error = (rate * (1 - rate) / draws[:, :, 0].numel()) ** 0.5
    assert draws.shape == (DRAWS, 60, 3)
    assert abs(rate - 0.5) > 8 * error
    assert ((draws.mean(dim=(0, 1)) - rate).abs() < 4 * error).all()
    assert len(draws.unique(dim=0)) == DRAWS


def test_the_other_controls_hand_the_policy_s_gates_round() -> None:
    own, (habit,) = found_by("most frequent pattern")
    assert torch.equal(habit, most_frequent_pattern(own))
    own, (others,) = found_by("another user's")
    assert torch.equal(others, another_users(own))
    assert not torch.equal(others, own)
    own, (shuffled,) = found_by("shuffled history")
    assert torch.equal(shuffled, gates_of(trained(), shuffled_histories(cases())))
    assert not torch.equal(shuffled, own)

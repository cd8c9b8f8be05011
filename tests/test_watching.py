"""What is recorded of synthetic groups after each epoch is what their gates do and what these are worth."""

import numpy as np
import pytest
import torch
from helpers import losses_by_loop, random_skiprec, random_windows
from torch import Tensor

from skiprec_lite.gumbel import gumbel_softmax
from skiprec_lite.lab import watching
from skiprec_lite.lab.watching import logit_gradient, watch_groups
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.synthetic import KnownDepth, users_of_known_depth
from skiprec_lite.windows import Windows

FEW, DRAWS, BLOCKS = 6, 5, 3
UNDER_OTHER_GATES = ("accuracy, sampled", "accuracy, above .2", "blocks, above .2")


def world() -> KnownDepth:
    return users_of_known_depth((3, 0, 1), items_per_group=4, users_per_group=FEW + 3, length=9, noise=0.2)


def model_of(known: KnownDepth, *, dropout: float = 0.0) -> SkipRec:
    """Gates that differ between users, in eval mode."""
    model, cases = random_skiprec(known.num_items, dropout=dropout, scale=1.5), known.split().validation
    logits = model.gate_logits(cases.items, cases.cut).detach()
    gap = (logits[..., 0] - logits[..., 1]).mean(dim=0) / 2
    with torch.no_grad():
        model.policy.output.bias += torch.stack([-gap, gap], dim=1).flatten()
    return model.eval()


def numbers(text: str) -> list[float]:
    assert len(text.split(" ")) == BLOCKS
    return [float(number) for number in text.split(" ")]


def watched(monkeypatch: pytest.MonkeyPatch, model: SkipRec, known: KnownDepth, cases: Windows) -> list[dict]:
    monkeypatch.setattr(watching, "USERS", FEW)
    monkeypatch.setattr(watching, "DRAWS", DRAWS)
    torch.manual_seed(1)
    return watch_groups(known, model, cases)


def row_means(model: SkipRec, cases: Windows, gates: Tensor) -> Tensor:
    return torch.stack([row.mean() for row in losses_by_loop(model.backbone, cases, gates)])


def test_one_row_for_each_group_with_numbers_for_each_block(monkeypatch: pytest.MonkeyPatch) -> None:
    known = world()
    rows = watched(monkeypatch, model_of(known), known, known.split().validation)
    assert [row["lag"] for row in rows] == [3, 0, 1]
    names = ["lag", "accuracy", "blocks", "keep", "probability", "slope", "difference", "signal", "noise"]
    assert all(list(row) == [*names, *UNDER_OTHER_GATES] for row in rows)
    assert len({row["keep"] for row in rows}) == len({row["slope"] for row in rows}) == 3
    for row in rows:
        assert row["blocks"] == pytest.approx(sum(numbers(row["keep"])), abs=2e-3)


def test_accuracy_gates_slopes_and_differences_are_those_of_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    known = world()
    model, cases = model_of(known), known.split().validation
    rows = watched(monkeypatch, model, known, cases)
    few = cases.rows(slice(0, FEW * 3))
    gates = model.gates(few.items, few.cut, sample=False).detach()
    leaf = gates.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(row_means(model, few, leaf).sum(), leaf)
    best = model.backbone(few.items, gates)[..., 1:].argmax(dim=-1) + 1
    full = model.backbone(few.items)[..., 1:].argmax(dim=-1) + 1
    assert 0 < gates.mean() < 1
    seen, accuracies, at_full_depth = [], [], []
    for group, row in enumerate(rows):
        here = torch.arange(FEW * 3) % 3 == group
        scored = few.targets[here] > 0
        correct = (best[here] == few.targets[here])[scored].double().mean()
        assert row["accuracy"] == pytest.approx(float(correct), abs=1e-4)
        assert row["blocks"] == pytest.approx(float(gates[here].sum(dim=1).mean()), abs=1e-3)
        assert numbers(row["keep"]) == pytest.approx(gates[here].mean(dim=0).tolist(), abs=1e-3)
        assert numbers(row["slope"]) == pytest.approx((-slopes[here].mean(dim=0)).tolist(), abs=1e-3)
        for block, found in enumerate(numbers(row["difference"])):
            kept, skipped = gates.clone(), gates.clone()
            kept[:, block], skipped[:, block] = 1, 0
            worth = (row_means(model, few, skipped) - row_means(model, few, kept))[here].mean()
            assert found == pytest.approx(float(worth.detach()), abs=1e-3)
            seen.append((found, numbers(row["slope"])[block]))
        at_full_depth.append(float((full[here] == few.targets[here])[scored].double().mean()))
        accuracies.append(float(correct))
    assert 0 < sum(accuracies) < 3
    assert max(abs(row["accuracy"] - other) for row, other in zip(rows, at_full_depth)) > 0.01
    assert min(max(abs(column)) for column in np.array(seen).T) > 0.05


def test_only_the_first_users_of_each_group_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    known = world()
    model, cases = model_of(known), known.split().validation
    expected = watched(monkeypatch, model, known, cases)
    others = random_windows((9,) * len(cases), 9, known.num_items, seed=8)
    cases.items[FEW * 3 :], cases.targets[FEW * 3 :] = others.items[FEW * 3 :], others.targets[FEW * 3 :]
    assert watched(monkeypatch, model, known, cases) == expected


def test_signal_is_the_size_of_the_mean_gradient_and_noise_its_spread_over_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = world()
    model, cases = model_of(known), known.split().validation
    rows = watched(monkeypatch, model, known, cases)
    few = cases.rows(slice(0, FEW * 3))
    torch.manual_seed(1)
    draws = np.stack([logit_gradient(model, few).numpy() for _ in range(DRAWS)])
    for group, row in enumerate(rows):
        here = draws[:, group::3]
        assert here.shape == (DRAWS, FEW, BLOCKS)
        assert float(row["signal"]) == pytest.approx(np.abs(here.mean(axis=(0, 1))).mean(), rel=6e-3)
        assert float(row["noise"]) == pytest.approx(here.std(axis=0, ddof=1).mean(), rel=6e-3)
    assert len({row["noise"] for row in rows}) == 3


@pytest.mark.parametrize("tau", [0.5, 3.0])
def test_the_gradient_at_the_logits_is_that_of_each_row_s_own_loss(tau: float) -> None:
    known = world()
    model, cases = model_of(known), known.split().validation
    model.tau = tau
    leaf = model.gate_logits(cases.items, cases.cut).detach().requires_grad_()
    torch.manual_seed(2)
    gates = gumbel_softmax(leaf, tau, hard=True)[..., 0]
    (expected,) = torch.autograd.grad(row_means(model, cases, gates).sum(), leaf)
    torch.manual_seed(2)
    found = logit_gradient(model, cases)
    assert found.shape == (len(cases), BLOCKS)
    assert found.abs().max() > 1e-3
    torch.testing.assert_close(found, expected[..., 0], rtol=0, atol=1e-12)


def test_watching_changes_nothing_and_is_without_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    known = world()
    cases = known.split().validation
    found = []
    for dropout in (0.0, 0.5):
        model = model_of(known, dropout=dropout)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        found.append(watched(monkeypatch, model, known, cases))
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())
        assert not any(part.training for part in model.modules())
        assert type(model) is SkipRec
    assert found[0] == found[1]


def test_sampled_gates_and_a_lower_threshold_are_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    known = world()
    model, cases = model_of(known), known.split().validation
    rows = watched(monkeypatch, model, known, cases)
    few = cases.rows(slice(0, FEW * 3))
    keep = model.gate_logits(few.items, few.cut).detach().softmax(dim=-1)[..., 0]
    lower = (keep > 0.2).float()
    assert not torch.equal(lower, (keep > 0.5).float())
    best = model.backbone(few.items, lower)[..., 1:].argmax(dim=-1) + 1
    for group, row in enumerate(rows):
        here = torch.arange(FEW * 3) % 3 == group
        correct = (best[here] == few.targets[here])[few.targets[here] > 0].double().mean()
        assert row["accuracy, above .2"] == pytest.approx(float(correct), abs=1e-4)
        assert row["blocks, above .2"] == pytest.approx(float(lower[here].sum(dim=1).mean()), abs=1e-3)
        assert numbers(row["probability"]) == pytest.approx(keep[here].mean(dim=0).tolist(), abs=1e-3)
        assert 0 < row["accuracy, sampled"] < 1
    sure = SkipRec(model.backbone, model.policy)
    with torch.no_grad():  # gates that are all but sure to be kept: a sample is full depth
        sure.policy.output.weight.zero_()
        sure.policy.output.bias.copy_(torch.tensor([40.0, -40.0]).repeat(BLOCKS))
    for row in watched(monkeypatch, sure.eval(), known, cases):
        assert row["accuracy, sampled"] == row["accuracy"] == row["accuracy, above .2"]

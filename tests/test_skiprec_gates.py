"""A SkipRec around another backbone, or with another policy: nothing of it has to change."""

import math
from collections.abc import Callable

import pytest
import torch
from helpers import fitted, generator, random_items, random_skiprec, randomise, tiny_split, zeros_before

from skiprec_lite.backbones import SASRec
from skiprec_lite.enumeration import all_patterns
from skiprec_lite.evaluation import gates_of, rank_cases
from skiprec_lite.gumbel import sample_gumbel
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec, recommend
from skiprec_lite.windows import last_position

NUM_ITEMS = 15
LENGTHS = (9, 1, 4, 6, 9, 9, 3, 2)


def on_sasrec() -> SkipRec:
    return random_skiprec(NUM_ITEMS, backbone=SASRec(NUM_ITEMS, channels=6, num_blocks=3, heads=2, max_length=7))


def with_a_gru() -> SkipRec:
    policy = PolicyNetwork(NUM_ITEMS, 3, channels=5, encoder="gru")
    return SkipRec(random_skiprec(NUM_ITEMS).backbone, randomise(policy.double(), seed=1))


KINDS: dict[str, Callable[[], SkipRec]] = {"on SASRec": on_sasrec, "with a GRU": with_a_gru}


@pytest.mark.parametrize("kind", KINDS)
def test_skipped_blocks_are_not_needed(kind: str) -> None:
    """All 8 patterns, one a row; then rows that all keep and all skip."""
    model, items = KINDS[kind]().eval(), random_items(LENGTHS, 9, NUM_ITEMS)
    for gates in (all_patterns(3).double(), torch.ones(8, 3).double(), torch.zeros(8, 3).double()):
        expected = model.backbone.encode(items, gates)
        assert expected.shape == (8, 9, 6)
        torch.testing.assert_close(model.skip_blocks(items, gates), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_choose_each_block_of_each_row(kind: str) -> None:
    model, items = KINDS[kind]().eval(), random_items((9,) * 8, 9, NUM_ITEMS, seed=3)
    hidden = model.backbone.encode(items[:1].expand(8, -1), all_patterns(3).double())[:, -1]
    assert torch.cdist(hidden, hidden).add(torch.eye(8) * 9).min() > 1e-3


@pytest.mark.parametrize("pads", [1, 7, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_neither_a_gate_nor_a_score(kind: str, pads: int) -> None:
    model, items = KINDS[kind]().eval(), random_items(LENGTHS, 9, NUM_ITEMS)
    cut = torch.full((8,), 8)
    before, after = model(items, cut)[:, -1, 1:], model(zeros_before(items, pads), cut + pads)[:, -1, 1:]
    torch.testing.assert_close(after, before, rtol=0, atol=1e-10)
    logits = model.gate_logits(items, cut)
    torch.testing.assert_close(model.gate_logits(zeros_before(items, pads), cut + pads), logits, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_after_the_cut_reaches_a_gate(kind: str) -> None:
    model, items = KINDS[kind]().eval(), random_items((9,) * 8, 9, NUM_ITEMS)
    cut = torch.tensor([0, 8, 6, 4, 7, 3, 1, 2])
    after = torch.arange(9) > cut.unsqueeze(1)
    changed = torch.where(after, random_items((9,) * 8, 9, NUM_ITEMS, seed=1), items)
    assert torch.equal(model.gate_logits(changed, cut), model.gate_logits(items, cut))
    at_the_cut = torch.arange(9) == cut.unsqueeze(1)
    changed = torch.where(at_the_cut, items % NUM_ITEMS + 1, items)
    assert (model.gate_logits(changed, cut) != model.gate_logits(items, cut)).flatten(1).any(dim=1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_recommendations_with_blocks_masked_and_with_blocks_left_out(kind: str) -> None:
    model = KINDS[kind]().eval()
    histories = [torch.randint(1, NUM_ITEMS + 1, (n,), generator=generator(n)).tolist() for n in (3, 9, 1, 5)]
    items, scores = recommend(model, histories, 4, exclude_seen=False, length=9)
    padded = torch.tensor([[0] * (9 - len(h)) + h for h in histories])
    expected = model(padded)[:, -1].topk(4, dim=1)
    assert torch.equal(items, expected.indices)
    torch.testing.assert_close(scores, expected.values.float(), rtol=1e-6, atol=0)
    where = last_position(padded)
    torch.testing.assert_close(model.score_at(padded, where)[:, 1:], model(padded)[:, -1, 1:], rtol=0, atol=1e-12)


def test_whom_keep_and_skip_are_alike_to_the_greedy_choice_skips() -> None:
    model = on_sasrec()
    logits = torch.tensor([[[1.5, 1.5], [0.0, 0.0], [0.1, 0.0]], [[-2.0, -2.0], [0.0, 0.1], [-1.0, -1.1]]])
    assert model.decide(logits, sample=False).tolist() == [[0, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize("tau", [0.3, 2.0, 10.0])
def test_the_temperature_scales_the_gradient_of_a_gate_and_not_the_gate(tau: float) -> None:
    """The slope of a gate is y (1 - y) / tau, y the soft sample of the same noise."""
    model, logits = random_skiprec(NUM_ITEMS, tau=tau), torch.randn(50, 3, 2, dtype=torch.float64, requires_grad=True)
    stream = torch.get_rng_state()
    noise = sample_gumbel(logits.shape, dtype=torch.float64)
    perturbed = logits.detach() + noise
    torch.set_rng_state(stream)
    gates = model.decide(logits, sample=True)
    assert torch.equal(gates.detach(), (perturbed[..., 0] > perturbed[..., 1]).double())
    soft = torch.sigmoid((perturbed[..., 0] - perturbed[..., 1]) / tau)
    (gradient,) = torch.autograd.grad(gates.sum(), logits)
    torch.testing.assert_close(gradient[..., 0], soft * (1 - soft) / tau, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("num_blocks", "num_items"), [(2, NUM_ITEMS), (4, NUM_ITEMS), (3, NUM_ITEMS - 1), (3, 99)])
def test_a_policy_made_for_another_backbone_is_refused(num_blocks: int, num_items: int) -> None:
    with pytest.raises(ValueError, match=r"the policy is made for (2|4|14|99) (blocks|items), the backbone has"):
        SkipRec(on_sasrec().backbone, PolicyNetwork(num_items, num_blocks))


@pytest.mark.parametrize("kind", ["sasrec", "gru"])
def test_it_is_trained_like_any_other(kind: str) -> None:
    """Warm-up, gates with a cost, holding, settling: the loss falls, everything moves, the ranking gets better."""
    split = tiny_split()
    torch.manual_seed(0)
    backbone = SASRec(NUM_ITEMS, channels=8, max_length=8) if kind == "sasrec" else random_skiprec(NUM_ITEMS).backbone
    encoder = "conv" if kind == "sasrec" else "gru"
    model = SkipRec(backbone.float(), PolicyNetwork(NUM_ITEMS, len(backbone.blocks), channels=8, encoder=encoder))
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    history = fitted(
        model, split, epochs=12, batch_size=8, learning_rate=0.01, warmup_epochs=6, ramp_epochs=1, cost=0.5,
        hold_epochs=2, settle_epochs=2,
    )  # fmt: skip
    assert all(math.isfinite(record["loss"]) for record in history.epochs)
    assert history.epochs[5]["loss"] < 0.8 * history.epochs[0]["loss"]
    assert history.epochs[history.chosen]["ndcg"] > history.epochs[0]["ndcg"] + 0.05
    assert all((tensor != start[name]).any() for name, tensor in model.state_dict().items() if "padding" not in name)
    ranks = rank_cases(model, split.test, gates=gates_of(model, split.test), exclude_seen=False)
    assert torch.equal(ranks, rank_cases(model, split.test, exclude_seen=False))

"""Cross-entropy against a sample of the items: what it is, what it is on average, and that `fit` trains with it."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import fitted, generator, random_skiprec, random_windows, randomise, tiny_split
from torch import Tensor, nn

from skiprec_lite import softmax, training
from skiprec_lite.backbones import NFM, Encoder, NextItemModel, NextItNet, Popularity, SASRec
from skiprec_lite.controls import RandomGates
from skiprec_lite.evaluation import ndcg_per_user
from skiprec_lite.gate_losses import SteeredCost, difference_loss, losses_at, settled_loss, straight_through_loss
from skiprec_lite.lab.random_depth import RandomDepth
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.policy_gradient import self_critical_loss
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.softmax import (
    WithNegatives,
    before_output,
    cross_entropy,
    draw_negatives,
    output_rows,
    sampled_cross_entropy,
    sampled_next_item_loss,
)
from skiprec_lite.stages import next_item_loss
from skiprec_lite.windows import Split, Windows

NUM_ITEMS = 11
ALL = tuple(range(1, NUM_ITEMS + 1))
LENGTHS = (7, 3, 5, 1, 7, 2)
ENCODERS: dict[str, Callable[[], Encoder]] = {
    "NextItNet": lambda: NextItNet(NUM_ITEMS, channels=6, dilations=(1, 2)),
    "NextItNet, tied": lambda: NextItNet(NUM_ITEMS, channels=6, dilations=(1, 2), tied=True),
    "SASRec": lambda: SASRec(NUM_ITEMS, channels=6, max_length=7),
    "NFM": lambda: NFM(NUM_ITEMS, channels=6),
}
ON_A_BACKBONE: dict[str, Callable[[], NextItemModel]] = {
    "random gates": lambda: RandomGates(ENCODERS["NextItNet"](), 0.5),
    "random depth": lambda: RandomDepth(ENCODERS["NextItNet"](), 0.5),
}
GATE_LOSSES: dict[str, Callable[[SkipRec, Windows], Tensor]] = {
    "straight-through": lambda model, batch: straight_through_loss(model, batch, 0.3),
    "settled": lambda model, batch: settled_loss(model, batch, 0.3),
    "difference": lambda model, batch: difference_loss(model, batch, 0.3),
    "steered cost": lambda model, batch: SteeredCost()(model, batch, 0.3),
    "policy gradient": lambda model, batch: self_critical_loss(model, batch, 0.3, k=2),
    "each position": lambda model, batch: (
        losses_at(model.backbone, batch, model.gates(batch.items, batch.cut, sample=True)).square().sum()
    ),
}


def made(make: Callable[[], Any]) -> Any:
    return randomise(make().double()).train()


def windows() -> Windows:
    return random_windows(LENGTHS, 7, NUM_ITEMS)


def against(negatives: Tensor | None, batch: Windows | None = None) -> WithNegatives:
    return WithNegatives(**vars(windows() if batch is None else batch), negatives=negatives)


def shuffled_catalogue() -> Tensor:
    return 1 + torch.randperm(NUM_ITEMS, generator=generator(3))


def states(encoder: Encoder) -> tuple[Tensor, Tensor]:
    """Hidden states of a few positions, and their targets."""
    batch = windows()
    return encoder.encode(batch.items)[batch.scored()].detach(), batch.targets[batch.scored()]


def assert_same_loss(model: nn.Module, ours: Tensor, expected: Tensor) -> None:
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)
    names, parameters = zip(*model.named_parameters())
    found, wanted = (
        torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True) for loss in (ours, expected)
    )
    assert any(gradient is not None and gradient.abs().max() > 1e-3 for gradient in wanted)
    for name, a, b in zip(names, found, wanted):
        if b is None:
            assert a is None, name
        else:
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12, msg=name)


# --- all items drawn: the full softmax ---


@pytest.mark.parametrize("kind", [*ENCODERS, *ON_A_BACKBONE])
def test_with_all_items_drawn_it_is_the_full_softmax_with_its_gradients(kind: str) -> None:
    model, losses = made((ENCODERS | ON_A_BACKBONE)[kind]), []
    for negatives in (shuffled_catalogue(), None):
        torch.manual_seed(5)  # random gates and depths
        loss = next_item_loss if negatives is None else sampled_next_item_loss
        losses.append(loss(model, against(negatives)))
    assert_same_loss(model, *losses)


@pytest.mark.parametrize("backbone", ["NextItNet", "NextItNet, tied", "SASRec"])
@pytest.mark.parametrize("kind", GATE_LOSSES)
def test_with_all_items_drawn_every_gate_loss_is_that_of_the_full_softmax(kind: str, backbone: str) -> None:
    model, losses = random_skiprec(NUM_ITEMS, backbone=ENCODERS[backbone]()).train(), []
    for negatives in (shuffled_catalogue(), None):
        torch.manual_seed(5)  # the same gates, the same flip
        losses.append(GATE_LOSSES[kind](model, against(negatives)))
    assert_same_loss(model, *losses)


@pytest.mark.parametrize("kind", GATE_LOSSES)
def test_every_gate_loss_changes_with_the_draw(kind: str) -> None:
    model, losses = random_skiprec(NUM_ITEMS).train(), []
    for negatives in (torch.tensor([1, 2, 3]), torch.tensor([1, 2, 4]), None):
        torch.manual_seed(5)
        losses.append(GATE_LOSSES[kind](model, against(negatives)).item())
    assert len(set(losses)) == 3


def test_the_reward_of_a_policy_gradient_is_a_rank_among_all_items() -> None:
    """Without what the sample does to the cross-entropy nothing is left of it."""
    model, rest, batch = random_skiprec(NUM_ITEMS).train(), [], windows()
    for negatives in (torch.tensor([4]), None):
        sampled = against(negatives, batch)
        torch.manual_seed(5)
        loss = self_critical_loss(model, sampled, 0.3, k=2)
        torch.manual_seed(5)
        gates = model.gates(batch.items, batch.cut, sample=True).detach()
        rest.append((loss - losses_at(model.backbone, sampled, gates).mean()).item())
    assert rest[0] == pytest.approx(rest[1], abs=1e-12)
    assert abs(rest[0]) > 1e-3


# --- a sample: what is computed ---


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_rows_of_the_output_layer_give_the_scores_of_their_items(kind: str) -> None:
    encoder, items = made(ENCODERS[kind]), torch.tensor([3, 11, 1, 3])
    hidden, _ = states(encoder)
    weight, bias = output_rows(encoder, items)
    scores = before_output(encoder, hidden) @ weight.T + bias
    torch.testing.assert_close(scores, encoder.score(hidden)[:, items], rtol=0, atol=1e-12)


@pytest.mark.parametrize("negatives", [(2, 5, 9), (7,), ALL[:10], ALL], ids=str)
@pytest.mark.parametrize("kind", ENCODERS)
def test_a_loss_is_that_of_a_loop_over_the_items(kind: str, negatives: tuple[int, ...]) -> None:
    encoder = made(ENCODERS[kind])
    hidden, targets = states(encoder)
    expected = []
    for scores, target in zip(encoder.score(hidden).tolist(), targets.tolist()):
        others = sum(math.exp(scores[j]) for j in negatives if j != target)
        total = math.exp(scores[target]) + NUM_ITEMS / len(negatives) * others
        expected.append(math.log(total) - scores[target])
    drawn = torch.tensor(negatives)
    found = sampled_cross_entropy(encoder, hidden, targets, drawn, reduction="none")
    assert found.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert sampled_cross_entropy(encoder, hidden, targets, drawn).item() == pytest.approx(sum(expected) / len(expected))


def test_a_batch_without_negatives_has_the_loss_over_all_items() -> None:
    encoder, batch = made(ENCODERS["SASRec"]), windows()
    hidden, targets = states(encoder)
    expected = encoder.score(hidden).logsumexp(dim=1) - encoder.score(hidden).gather(1, targets.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(cross_entropy(encoder, hidden, batch, reduction="none"), expected)
    torch.testing.assert_close(cross_entropy(encoder, hidden, batch), expected.mean())


def test_where_only_the_target_is_drawn_there_is_nothing_to_learn() -> None:
    encoder = made(ENCODERS["NextItNet"])
    hidden, _ = states(encoder)
    hidden.requires_grad_()
    loss = sampled_cross_entropy(encoder, hidden, torch.full((len(hidden),), 4), torch.tensor([4]))
    assert loss.item() == 0
    assert (torch.autograd.grad(loss, hidden)[0] == 0).all()


# --- a sample: what it is on average ---


def sums(encoder: Encoder, hidden: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """What stands in the logarithm, as a multiple of the target's part: exp(loss)."""
    return sampled_cross_entropy(encoder, hidden, targets, negatives, reduction="none").detach().exp()


@pytest.mark.parametrize("number", [1, 2, 4, 9])
def test_the_sum_over_the_items_is_unbiased(number: int) -> None:
    """The mean over all samples of this size, each as likely as any other, is the full sum: not only within an error.

    A target that counted twice where it is drawn, or a sum without N / n, is off by more than a tenth.
    """
    encoder = made(ENCODERS["NextItNet"])
    hidden, targets = states(encoder)
    full = sums(encoder, hidden, targets, torch.tensor(ALL))
    every = [sums(encoder, hidden, targets, torch.tensor(drawn)) for drawn in itertools.combinations(ALL, number)]
    torch.testing.assert_close(torch.stack(every).mean(dim=0), full, rtol=1e-12, atol=0)


def test_the_mean_over_drawn_samples_is_the_full_sum_within_its_error() -> None:
    encoder, draws = made(ENCODERS["NextItNet"]), 1_000
    hidden, targets = states(encoder)
    full = sums(encoder, hidden, targets, torch.tensor(ALL))
    found = torch.stack([sums(encoder, hidden, targets, draw_negatives(NUM_ITEMS, 4)) for _ in range(draws)])
    assert ((found.mean(dim=0) - full).abs() < 4 * found.std(dim=0) / draws**0.5).all()


def test_the_loss_falls_short_of_the_full_one_by_less_the_more_is_drawn() -> None:
    """Jensen: about var / (2 mean^2) of the sum."""
    encoder = made(ENCODERS["NextItNet"])
    with torch.no_grad():
        encoder.output_weight *= 0.2  # a small variance, for which the rule of thumb is right
    hidden, targets = states(encoder)
    full = sums(encoder, hidden, targets, torch.tensor(ALL)).log()
    short = []
    for number in (2, 5, 9):
        found = torch.stack(
            [sums(encoder, hidden, targets, torch.tensor(drawn)) for drawn in itertools.combinations(ALL, number)]
        )
        gap = full - found.log().mean(dim=0)
        rule = found.var(dim=0, unbiased=False) / (2 * found.mean(dim=0).square())
        assert (gap > 0).all()
        torch.testing.assert_close(gap.mean(), rule.mean(), rtol=0.25, atol=0)
        short.append(gap)
    assert (short[0] > short[1]).all()
    assert (short[1] > short[2]).all()


# --- the draw ---


def test_different_items_are_drawn_each_as_likely_as_any_other() -> None:
    draws, number = 5_000, 4
    drawn = torch.stack([draw_negatives(NUM_ITEMS, number) for _ in range(draws)])
    assert drawn.shape == (draws, number)
    assert (drawn.sort(dim=1).values.diff(dim=1) > 0).all()
    chosen = torch.zeros(draws, NUM_ITEMS + 1, dtype=torch.float64).scatter(1, drawn, 1.0)
    assert chosen[:, 0].sum() == 0
    p = number / NUM_ITEMS
    assert ((chosen[:, 1:].mean(dim=0) - p).abs() < 4 * (p * (1 - p) / draws) ** 0.5).all()
    both = p * (number - 1) / (NUM_ITEMS - 1)
    pairs = (chosen.T @ chosen / draws)[1:, 1:][~torch.eye(NUM_ITEMS, dtype=torch.bool)]
    assert ((pairs - both).abs() < 4.5 * (both * (1 - both) / draws) ** 0.5).all()


@pytest.mark.parametrize("number", [NUM_ITEMS, NUM_ITEMS + 1, 2_000])
def test_a_catalogue_that_has_no_more_items_is_drawn_whole(number: int) -> None:
    assert sorted(draw_negatives(NUM_ITEMS, number).tolist()) == list(ALL)


def test_rows_of_a_batch_keep_its_negatives() -> None:
    batch = against(torch.tensor([5, 2]))
    assert batch.rows(slice(0, 2)).negatives.tolist() == [5, 2]
    assert batch.rows(torch.tensor([1])).negatives.tolist() == [5, 2]


# --- fit ---

MANY = 200
SPLIT = tiny_split(users=300, num_items=MANY)


def small_net(*, dropout: float = 0.0, seed: int = 0) -> NextItNet:
    torch.manual_seed(seed)
    return NextItNet(MANY, channels=16, dilations=(1,), dropout=dropout)


def small_skiprec() -> SkipRec:
    backbone = small_net()
    return SkipRec(backbone, PolicyNetwork(MANY, 1, channels=4, dilations=(1,), keep_bias=1.0))


def train(model: NextItemModel, split: Split = SPLIT, **settings: Any) -> list[float]:
    usual = {"epochs": 2, "batch_size": 64, "learning_rate": 0.01, "warmup_epochs": 1, "ramp_epochs": 0, "patience": 99}
    return [float(record["loss"]) for record in fitted(model, split, **(usual | settings)).epochs]


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def few(rows: int = 64) -> Split:
    return replace(SPLIT, train=SPLIT.train.rows(slice(0, rows)), validation=SPLIT.validation.rows(slice(0, 16)))


def test_a_tenth_of_the_items_trains_about_as_well_as_all_of_them() -> None:
    found = {}
    for name, negatives in (("full", None), ("sampled", 20)):
        model = small_net()
        train(model, epochs=12, batch_size=32, negatives=negatives)
        found[name] = float(ndcg_per_user(model, SPLIT.test, exclude_seen=False).mean())
    chance = sum(1 / math.log2(rank + 1) for rank in range(1, 11)) / MANY
    assert found["full"] > 30 * chance
    assert found["sampled"] > 30 * chance
    assert abs(found["sampled"] - found["full"]) < 0.05


def test_a_default_draw_that_holds_the_whole_catalogue_trains_as_the_full_softmax_does() -> None:
    """In float64, all windows in one batch: nothing else is drawn that the draws of items could have moved."""
    full, sampled = small_net().double(), small_net().double()
    settings = {"epochs": 3, "batch_size": 1_000}
    assert train(full, few(), **settings) == pytest.approx(train(sampled, few(), negatives=2_000, **settings))
    for name, tensor in full.state_dict().items():
        torch.testing.assert_close(sampled.state_dict()[name], tensor, rtol=0, atol=1e-9, msg=name)


def test_each_step_draws_anew_in_every_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warm-up, straight-through, held and settled epochs, two steps each: no loss is without a draw."""
    drawn: list[Tensor] = []

    def watched(num_items: int, number: int) -> Tensor:
        drawn.append(draw_negatives(num_items, number))
        return drawn[-1]

    def refuse(*_: object) -> Tensor:
        raise AssertionError("all items were scored")

    monkeypatch.setattr(softmax, "draw_negatives", watched)
    model = small_skiprec()
    monkeypatch.setattr(training, "_validate", lambda *_: (torch.zeros(2), 1.0, {"ndcg": 0.0}))
    monkeypatch.setattr(NextItNet, "score", refuse)
    settings = {"epochs": 4, "batch_size": 32, "hold_epochs": 1, "settle_epochs": 1}
    train(model, few(), negatives=7, **settings)
    assert [len(draw) for draw in drawn] == [7] * 8
    assert len({tuple(draw.tolist()) for draw in drawn}) == 8


def test_the_draw_follows_the_seed() -> None:
    models = []
    for seed in (0, 0, 1):  # one batch without dropout: only the draws are left to chance
        models.append(small_net())
        train(models[-1], few(), batch_size=1_000, negatives=5, seed=seed)
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


def test_a_number_of_items_that_is_drawn_changes_the_training() -> None:
    losses = [train(small_net(), few(), negatives=number, epochs=1) for number in (5, 50)]
    assert losses[0] != losses[1]


# --- errors ---


def test_a_draw_of_nothing_is_refused() -> None:
    for wrong in (0, -3):
        with pytest.raises(ValueError, match=f"negatives must be at least 1, got {wrong}"):
            train(small_net(), negatives=wrong)
        with pytest.raises(ValueError, match=f"number must be at least 1, got {wrong}"):
            draw_negatives(MANY, wrong)


class OnlyScores(NextItemModel):
    """A model that can be trained, but has no hidden states."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(MANY + 1, MANY + 1))

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        return self.table[items[where]]


class WithoutRows(Encoder):
    """A model with hidden states whose output layer nobody has told of."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(MANY + 1, 4)

    def encode(self, items: Tensor) -> Tensor:
        return self.embedding(items)

    def score(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embedding.weight.T


def test_a_model_without_hidden_states_or_output_rows_is_refused() -> None:
    train(OnlyScores(), few(), epochs=1)
    with pytest.raises(TypeError, match="a OnlyScores does not have"):
        train(OnlyScores(), few(), negatives=9)
    train(WithoutRows(), few(), epochs=1)
    with pytest.raises(TypeError, match="a WithoutRows scores all items or none"):
        train(WithoutRows(), few(), negatives=9)
    with pytest.raises(TypeError, match="a Popularity does not have"):
        sampled_next_item_loss(Popularity(SPLIT), against(torch.tensor([1, 2]), SPLIT.train))


def test_a_model_of_one_s_own_can_say_what_its_output_rows_are() -> None:
    class Own(WithoutRows):
        pass

    output_rows.register(Own, lambda model, items: (model.embedding(items), torch.zeros(len(items))))
    model = Own()
    hidden, targets = model.encode(SPLIT.train.items)[SPLIT.train.scored()], SPLIT.train.targets[SPLIT.train.scored()]
    everything = torch.arange(1, MANY + 1)
    found = sampled_cross_entropy(model, hidden, targets, everything)
    scores = model.score(hidden).index_fill(1, torch.tensor([0]), -torch.inf)
    torch.testing.assert_close(found, nn.functional.cross_entropy(scores, targets))

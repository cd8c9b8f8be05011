import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers import fitted, generator, histories_log, randomise, tiny_split
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite import gate_losses
from skiprec_lite.backbones import NFM, NextItNet, SASRec
from skiprec_lite.choosing import Candidate, History, choose
from skiprec_lite.evaluation import gates_of, ndcg_per_user
from skiprec_lite.lab import runs
from skiprec_lite.metrics import paired_difference
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.splits import last_n
from skiprec_lite.stages import Stage, next_item_loss, skiprec_stages
from skiprec_lite.training import fit
from skiprec_lite.windows import Split, Windows

NUM_ITEMS = 15
SPLIT = tiny_split(users=30, num_items=NUM_ITEMS)
STEPS = 8  # of 8 windows an epoch: 30 users with two windows each
Weights = dict[str, Tensor]


def net(*, channels: int = 8, seed: int = 0, dropout: float = 0.1) -> NextItNet:
    torch.manual_seed(seed)
    return NextItNet(NUM_ITEMS, channels=channels, dilations=(1, 2), dropout=dropout)


def skiprec(*, dropout: float = 0.1, embedding_channels: int | None = None, keep_bias: float = 1.0) -> SkipRec:
    backbone = net(dropout=dropout)
    policy = PolicyNetwork(
        NUM_ITEMS, 2, channels=8, dilations=(1,), keep_bias=keep_bias, embedding_channels=embedding_channels
    )
    return SkipRec(backbone, policy)


def train(model: NextItNet | SkipRec, split: Split = SPLIT, **settings: object) -> History:
    """A short run; what a test is about it says itself."""
    usual = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "warmup_epochs": 1, "ramp_epochs": 1, "patience": 100}
    return fitted(model, split, **(usual | settings))


def weights_of(model: nn.Module) -> Weights:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: Weights, second: Weights) -> bool:
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def only(weights: Weights, part: str) -> Weights:
    return {name.removeprefix(part): tensor for name, tensor in weights.items() if name.startswith(part)}


class Watched:
    """Calls a function at each training step, by a hook on the backbone's first block."""

    def __init__(self, model: NextItNet | SkipRec, at_step: Callable[[int], None]) -> None:
        self.steps = 0
        block = (model.backbone if isinstance(model, SkipRec) else model).blocks[0]

        def hook(module: nn.Module, _: tuple[Tensor, ...], __: Tensor) -> None:
            if module.training:
                at_step(self.steps)
                self.steps += 1

        block.register_forward_hook(hook)


# --- learning ---


@pytest.mark.parametrize("make", [net, skiprec])
def test_training_lowers_the_loss_and_lifts_the_validation_score(make: Callable[[], NextItNet | SkipRec]) -> None:
    model = make()
    history = train(model, epochs=25)
    losses = [record["loss"] for record in history.epochs]
    assert len(losses) == 25
    assert losses[0] == pytest.approx(math.log(NUM_ITEMS), rel=0.2)
    assert losses[-1] < 0.7 * losses[0]
    assert history.epochs[-1]["ndcg"] > history.epochs[0]["ndcg"] + 0.1
    assert not model.training


def test_the_loss_is_the_mean_cross_entropy_of_the_scored_positions() -> None:
    model, batch = net().eval(), SPLIT.train
    scores = model(batch.items)
    terms = [
        scores[row, t].logsumexp(dim=-1) - scores[row, t, target]
        for row, targets in enumerate(batch.targets.tolist())
        for t, target in enumerate(targets)
        if target
    ]
    assert (batch.targets == 0).any()
    assert next_item_loss(model, batch).item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-5)


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.3}, {"anneal": True}, {"learning_rate": 0.003}], ids=str)
def test_training_equals_a_loop_in_plain_torch(settings: dict[str, float]) -> None:
    """All windows in one batch, in float64: then their order has no say, and each epoch is one step."""
    batch, epochs = SPLIT.train, 4
    usual = {"learning_rate": 0.01, "weight_decay": 0.0, "anneal": False} | settings
    model, ours = (net(dropout=0.0).double() for _ in range(2))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=usual["weight_decay"])
    losses, weights = [], []
    for epoch in range(epochs):
        height = (1 + math.cos(math.pi * epoch / epochs)) / 2 if usual["anneal"] else 1.0
        optimizer.param_groups[0]["lr"] = height * usual["learning_rate"]
        model.zero_grad()
        terms = []
        for scores, targets in zip(model(batch.items).log_softmax(dim=-1), batch.targets):
            terms += [-scores[t, target] for t, target in enumerate(targets.tolist()) if target]
        loss = torch.stack(terms).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        weights.append(weights_of(model))
    history = train(ours, epochs=epochs, batch_size=1000, **usual)
    assert [record["loss"] for record in history.epochs] == pytest.approx(losses, rel=1e-9)
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, weights[history.chosen][name], rtol=0, atol=1e-9, msg=name)


def test_the_loss_of_an_epoch_is_the_mean_over_its_batches() -> None:
    """60 windows in batches of 40 and 20, each of which counts as much as the other."""
    found: list[tuple[int, float]] = []

    def watched(model: NextItNet, batch: Windows) -> Tensor:
        loss = next_item_loss(model, batch)
        found.append((len(batch), loss.item()))
        return loss

    history = fit(net(), SPLIT, stages=[Stage(1, watched)], batch_size=40, progress=False)
    assert [rows for rows, _ in found] == [40, 20]
    assert abs(found[0][1] - found[1][1]) > 1e-3
    assert history.epochs[0]["loss"] == pytest.approx((found[0][1] + found[1][1]) / 2, rel=1e-9)


def test_a_model_without_blocks_is_trained_but_takes_no_pretrained_backbone() -> None:
    torch.manual_seed(0)
    model = NFM(NUM_ITEMS, channels=8)
    history = train(model, epochs=10)
    ndcg = [record["ndcg"] for record in history.epochs]
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    assert ndcg[history.chosen] == max(ndcg) > ndcg[0]
    assert set(history.epochs[0]) == {"epoch", "loss", "candidate", "ndcg"}
    with pytest.raises(ValueError, match="does not fit into a NFM"):
        train(NFM(NUM_ITEMS, channels=8), pretrained=net())


def test_positions_before_the_cut_are_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their gates have read the item to predict: with a late cut only the last few positions make up the loss."""
    expected = skiprec(dropout=0.0).backbone
    for cut in (7, 5):
        monkeypatch.setattr(gate_losses, "draw_cut", lambda items, cut=cut: torch.full((len(items),), cut))
        settings = {"warmup_epochs": 0, "learning_rate": 1e-30, "batch_size": 1000, "epochs": 1}
        history = train(skiprec(keep_bias=60.0, dropout=0.0), **settings)
        scored = SPLIT.train.scored() & (torch.arange(8) >= cut)
        loss = F.cross_entropy(expected.score_at(SPLIT.train.items, scored), SPLIT.train.targets[scored])
        assert history.epochs[0]["loss"] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("make", [net, skiprec])
def test_an_epoch_that_spoils_the_model_is_not_kept(make: Callable[[], NextItNet | SkipRec]) -> None:
    """In the last epoch every next item is said to be item 1."""
    wrong = dataclasses.replace(SPLIT.train, targets=SPLIT.train.scored().long())
    model = make()
    settings = {"epochs": 3, "warmup_epochs": 0, "ramp_epochs": 0, "learning_rate": 0.03}
    history = train(model, fresh=lambda epoch: wrong if epoch == 2 else SPLIT.train, **settings)
    ndcg = [record["ndcg"] for record in history.epochs]
    assert history.chosen < 2
    assert ndcg[2] < ndcg[history.chosen] - 0.1
    assert float(ndcg_per_user(model, SPLIT.validation, exclude_seen=False).mean()) == pytest.approx(
        ndcg[history.chosen], rel=1e-9
    )


def test_the_model_holds_the_weights_of_the_chosen_epoch() -> None:
    """A run that ends with the chosen epoch ends with these weights."""
    model, again = net(), net()
    history = train(model, epochs=12, learning_rate=0.05)
    ndcg = [record["ndcg"] for record in history.epochs]
    assert history.chosen == max(range(12), key=lambda epoch: ndcg[epoch]) < 11
    assert float(ndcg_per_user(model, SPLIT.validation, exclude_seen=False).mean()) == pytest.approx(
        ndcg[history.chosen], rel=1e-9
    )
    train(again, epochs=history.chosen + 1, learning_rate=0.05)
    assert same(weights_of(model), weights_of(again))


def test_the_history_says_how_it_went() -> None:
    history = train(skiprec(), epochs=5, warmup_epochs=2, ramp_epochs=2)
    assert [record["epoch"] for record in history.epochs] == [0, 1, 2, 3, 4]
    assert [bool(record["candidate"]) for record in history.epochs] == [False] * 4 + [True]
    assert all(math.isfinite(record["loss"]) and 0 <= record["ndcg"] <= 1 for record in history.epochs)
    for record in history.epochs[2:]:
        assert 0 < record["keep_probability"] < 1
        assert 0 <= record["keep_rate"] <= 1
        assert 0 <= record["ndcg_sampled"] <= 1
    assert history.stopped == "all epochs run"
    assert history.note == ""


def test_the_history_of_a_skiprec_holds_the_weight_of_the_cost() -> None:
    history = train(skiprec(), epochs=5, warmup_epochs=1, ramp_epochs=2, cost=0.6)
    assert [record["cost"] for record in history.epochs[1:]] == pytest.approx([0.3, 0.6, 0.6, 0.6])


def test_the_recorded_keep_rates_are_the_policy_s() -> None:
    model = skiprec()
    history = train(model, epochs=3)
    last = history.epochs[history.chosen]
    assert history.chosen == 2
    assert last["keep_rate"] == pytest.approx(float(gates_of(model, SPLIT.validation).mean()), abs=1e-6)
    logits = model.gate_logits(SPLIT.validation.items, SPLIT.validation.cut).detach()
    assert last["keep_probability"] == pytest.approx(float(logits.softmax(dim=-1)[..., 0].mean()), abs=1e-6)


def test_an_epoch_trains_on_every_window_once_in_an_order_of_its_own() -> None:
    model, rows = net(), []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if module.training:
            rows.extend(inputs[0].tolist())

    model.embedding.register_forward_pre_hook(remember)
    train(model, epochs=2)
    n = len(SPLIT.train)
    first, second = rows[:n], rows[n:]
    assert sorted(first) == sorted(second) == sorted(SPLIT.train.items.tolist())
    assert first != second
    assert first != SPLIT.train.items.tolist()


# --- reproducible, and without a trace ---


@pytest.mark.parametrize("make", [net, skiprec])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    make: Callable[[], NextItNet | SkipRec],
) -> None:
    found = []
    for seed in (0, 0, 1):
        model = make()
        torch.manual_seed(len(found))  # the state outside must not matter
        history = train(model, seed=seed)
        found.append((weights_of(model), [record["loss"] for record in history.epochs]))
    assert same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert found[0][1] != found[2][1]
    assert not same(found[0][0], found[2][0])


def test_the_global_stream_is_left_alone() -> None:
    model = skiprec()
    before = torch.get_rng_state()
    train(model)
    assert torch.equal(torch.get_rng_state(), before)

    def interrupt(step: int) -> None:
        raise KeyboardInterrupt

    Watched(model, interrupt)
    train(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_test_cases_are_never_looked_at() -> None:
    sealed = object.__new__(Windows)  # it holds nothing: whoever looks gets an AttributeError
    with pytest.raises(AttributeError):
        len(sealed)
    for make in (net, skiprec):
        model, blind = make(), make()
        train(model)
        train(blind, dataclasses.replace(SPLIT, test=sealed))
        assert same(weights_of(model), weights_of(blind))


def test_nothing_of_a_window_but_its_items_and_targets_is_trained_on() -> None:
    """The cuts are drawn: those of the windows, their users and what was seen before have no say."""
    other = dataclasses.replace(
        SPLIT.train, cut=torch.zeros_like(SPLIT.train.cut), users=torch.zeros_like(SPLIT.train.users), seen=()
    )
    model, blind = skiprec(), skiprec()
    train(model)
    train(blind, dataclasses.replace(SPLIT, train=other))
    assert same(weights_of(model), weights_of(blind))


# --- warm-up, ramp, cost ---


def test_the_warm_up_is_training_at_full_depth_without_the_policy() -> None:
    model, alone = skiprec(), net()
    policy, start = weights_of(model.policy), weights_of(alone)
    found: list[Weights] = []
    for watched, backbone in ((model, model.backbone), (alone, alone)):
        history = weights_in_the_last_step(watched, backbone, found)
        assert len(history.epochs) == 3
    assert same(weights_of(model.policy), policy)
    assert same(*found)
    assert not same(found[0], start)


def weights_in_the_last_step(model: NextItNet | SkipRec, backbone: NextItNet, found: list[Weights]) -> History:
    Watched(model, lambda step: found.append(weights_of(backbone)) if step == 3 * STEPS - 1 else None)
    return train(model, epochs=3, warmup_epochs=3, cost=5.0, weight_decay=0.1)


def test_the_policy_is_trained_after_the_warm_up() -> None:
    model = skiprec()
    policy = weights_of(model.policy)
    train(model, epochs=2, warmup_epochs=1, ramp_epochs=0)
    after = weights_of(model.policy)
    assert all(not torch.equal(after[name], policy[name]) for name in policy)


@pytest.mark.parametrize(("warmup", "ramp"), [(2, 2), (0, 3), (3, 0), (0, 0)])
def test_no_epoch_before_the_ramp_s_end_is_chosen(warmup: int, ramp: int) -> None:
    history = train(skiprec(), epochs=warmup + ramp + 2, warmup_epochs=warmup, ramp_epochs=ramp)
    candidates = [record["epoch"] for record in history.epochs if record["candidate"]]
    assert candidates == [warmup + ramp, warmup + ramp + 1]
    assert history.chosen in candidates
    assert set(history.behind_best) == set(candidates)


def test_a_backbone_has_no_warm_up_and_no_ramp() -> None:
    history = train(net(), epochs=3, warmup_epochs=2, ramp_epochs=5)
    assert all(record["candidate"] for record in history.epochs)
    assert history.note == ""


def test_a_cost_closes_gates() -> None:
    keep = {}
    for cost in (0.0, 5.0):
        history = train(skiprec(), epochs=12, warmup_epochs=2, ramp_epochs=3, cost=cost, learning_rate=0.02)
        keep[cost] = history.epochs[-1]["keep_probability"]
    assert keep[5.0] < keep[0.0] - 0.2


def costs_paid(keep_bias: float, **settings: object) -> list[float]:
    """What a cost of 0.6 adds to the loss of each epoch, with a policy that is sure and weights that stand still."""
    losses, settings = [], {"epochs": 6} | settings
    for cost in (0.6, 0.0):
        history = train(skiprec(keep_bias=keep_bias), cost=cost, learning_rate=1e-30, **settings)
        losses.append([record["loss"] for record in history.epochs])
    return [paid - free for paid, free in zip(*losses, strict=True)]


@pytest.mark.parametrize(("keep_bias", "expected"), [(60.0, 0.6), (-60.0, 0.0)])
def test_the_cost_is_its_weight_times_the_share_of_kept_blocks(keep_bias: float, expected: float) -> None:
    paid = costs_paid(keep_bias, epochs=1, warmup_epochs=0, ramp_epochs=0, batch_size=1000)
    assert paid == pytest.approx([expected], abs=1e-6)


def test_the_cost_of_the_mean_gate_grows_over_the_ramp() -> None:
    paid = costs_paid(keep_bias=60.0, warmup_epochs=2, ramp_epochs=2)
    assert paid[:2] == [0, 0]
    assert 0.05 < paid[2] < paid[3] - 0.05 < 0.5
    assert paid[4:] == pytest.approx([0.6, 0.6], abs=1e-5)


def test_without_a_ramp_the_whole_cost_is_paid_at_once() -> None:
    paid = costs_paid(keep_bias=60.0, warmup_epochs=1, ramp_epochs=0)
    assert paid == pytest.approx([0.0] + [0.6] * 5, abs=1e-5)


def test_who_skips_every_block_pays_nothing() -> None:
    assert costs_paid(keep_bias=-60.0, warmup_epochs=1, ramp_epochs=1) == [0] * 6


# --- which epoch ---


def candidate(epoch: int, blocks: float, ndcg: Tensor) -> Candidate:
    return Candidate(epoch=epoch, blocks=blocks, ndcg=ndcg, weights={})


def behind(best: Tensor, errors: float, *, seed: int) -> Tensor:
    """Scores of the same users, worse by so many standard errors of the paired difference."""
    noise = torch.randn(len(best), generator=generator(seed), dtype=torch.float64) * 0.01
    noise = noise - noise.mean()
    error = noise.std() / len(best) ** 0.5
    return best - errors * error - noise


def test_the_fewest_blocks_within_one_paired_standard_error_win() -> None:
    # Users differ much more among themselves than two epochs do: an unpaired error would let all of these pass.
    best = torch.rand(60, generator=generator(), dtype=torch.float64)
    front = [
        candidate(10, 8.0, best),
        candidate(11, 6.0, behind(best, 0.3, seed=1)),
        candidate(12, 4.0, behind(best, 0.9, seed=2)),
        candidate(13, 3.0, behind(best, 1.1, seed=3)),
        candidate(14, 1.0, behind(best, 5.0, seed=4)),
    ]
    assert paired_difference(best, front[3].ndcg).mean < best.std() / 60**0.5
    for order in (front, front[::-1]):
        assert choose(order).epoch == 12


def test_the_best_wins_where_it_has_the_fewest_blocks() -> None:
    best = torch.rand(60, generator=generator(), dtype=torch.float64)
    front = [candidate(1, 4.0, behind(best, 0.5, seed=1)), candidate(2, 2.0, best)]
    assert choose(front).epoch == 2
    assert choose(front[1:]).epoch == 2


def test_of_equally_few_blocks_the_better_wins() -> None:
    best = torch.rand(60, generator=generator(), dtype=torch.float64)
    front = [
        candidate(1, 4.0, best),
        candidate(2, 2.0, behind(best, 0.8, seed=1)),
        candidate(3, 2.0, behind(best, 0.2, seed=2)),
    ]
    assert choose(front).epoch == 3


def test_the_history_tells_how_far_each_candidate_lies_behind_the_best() -> None:
    history = train(net(), epochs=6)
    ndcg = [record["ndcg"] for record in history.epochs]
    assert set(history.behind_best) == set(range(6))
    for epoch, (difference, error) in history.behind_best.items():
        assert difference == pytest.approx(max(ndcg) - ndcg[epoch], abs=1e-9)
        assert error >= 0
    assert history.behind_best[ndcg.index(max(ndcg))] == (0, 0)


@pytest.mark.parametrize("seed", [2, 3, 4])  # others may choose the same epoch both ways
def test_the_epoch_is_chosen_without_what_was_met_unless_all_items_are_asked_for(seed: int) -> None:
    """Nobody meets an item twice here; each epoch begins with another net, and changes next to nothing."""
    rows = np.random.default_rng(seed).permuted(np.tile(np.arange(1, NUM_ITEMS + 1), (30, 1)), axis=1)[:, :12]
    split = last_n(histories_log(rows.tolist(), NUM_ITEMS), n=2, length=8)
    nets = [randomise(net(dropout=0.0), seed=100 * seed + epoch) for epoch in range(12)]
    found = {}
    for exclude_seen in (True, False):
        found[exclude_seen] = [
            float(ndcg_per_user(other, split.validation, exclude_seen=exclude_seen).mean()) for other in nets
        ]
    assert np.argmax(found[True]) != np.argmax(found[False])
    for told, exclude_seen in (({}, True), ({"exclude_seen": True}, True), ({"exclude_seen": False}, False)):
        model = net(dropout=0.0)

        def another_net(epoch: int, model: NextItNet = model) -> Windows:
            model.load_state_dict(nets[epoch].state_dict())
            return split.train

        settings = {"epochs": 12, "patience": 12, "learning_rate": 1e-30, "progress": False}
        history = fit(model, split, fresh=another_net, **settings, **told)
        assert [record["ndcg"] for record in history.epochs] == pytest.approx(found[exclude_seen], rel=1e-9)
        assert history.chosen == np.argmax(found[exclude_seen])
        assert same(weights_of(model), weights_of(nets[history.chosen]))


@pytest.mark.parametrize("seed", range(4))
def test_fit_chooses_by_the_rule_among_all_candidates(seed: int) -> None:
    """As good as the best within one paired standard error, then the fewest blocks, retraced from the history."""
    model = skiprec()
    randomise(model.backbone, seed=seed, scale=0.03)  # its blocks matter a little

    def another_policy(epoch: int) -> Windows:
        randomise(model.policy, seed=100 * seed + epoch)
        return SPLIT.train

    history = train(model, epochs=30, batch_size=1000, learning_rate=1e-30, fresh=another_policy)
    records = {record["epoch"]: record for record in history.epochs if record["candidate"]}
    best = max(records, key=lambda epoch: records[epoch]["ndcg"])
    as_good = [epoch for epoch, (difference, error) in history.behind_best.items() if difference <= error]
    assert len(records) == 28
    assert 2 < len(as_good) < 28
    assert history.chosen == min(as_good, key=lambda epoch: (records[epoch]["keep_rate"], -records[epoch]["ndcg"]))
    assert history.chosen != best
    chosen = records[history.chosen]
    assert float(gates_of(model, SPLIT.validation).mean()) == pytest.approx(chosen["keep_rate"])
    assert float(ndcg_per_user(model, SPLIT.validation, exclude_seen=False).mean()) == pytest.approx(
        chosen["ndcg"], rel=1e-9
    )
    assert sum(record["ndcg"] != record["ndcg_sampled"] for record in records.values()) > 5


# --- stopping ---


def test_training_stops_when_no_epoch_is_better() -> None:
    history = train(net(), epochs=50, learning_rate=1e-12, patience=3)
    assert len(history.epochs) == 4
    assert history.chosen == 0
    assert history.stopped == "no better for 3 epochs"


def test_patience_counts_from_the_first_candidate() -> None:
    history = train(skiprec(), epochs=50, learning_rate=1e-12, patience=3, warmup_epochs=4, ramp_epochs=2)
    assert len(history.epochs) == 10
    assert history.chosen == 6


def interrupted_in(model: NextItNet | SkipRec, epoch: int, **settings: object) -> tuple[History, Weights]:
    """Ctrl-C in the third step of an epoch; the weights at that moment are returned too."""
    at_that_moment: Weights = {}

    def interrupt(step: int) -> None:
        if step == epoch * STEPS + 2:
            at_that_moment.update(weights_of(model))
            raise KeyboardInterrupt

    Watched(model, interrupt)
    history = train(model, epochs=20, **settings)
    assert at_that_moment
    return history, at_that_moment


def test_the_step_count_of_these_tests() -> None:
    model = net()
    watched = Watched(model, lambda step: None)
    train(model, epochs=2)
    assert watched.steps == 2 * STEPS


@pytest.mark.parametrize("make", [net, skiprec])
def test_ctrl_c_keeps_the_best_weights_so_far(make: Callable[[], NextItNet | SkipRec]) -> None:
    stopped, whole = make(), make()
    history, at_that_moment = interrupted_in(stopped, 6)
    expected = train(whole, epochs=6)
    assert history.stopped == "interrupted"
    assert history.note == ""
    assert len(history.epochs) == 6
    assert history.chosen == expected.chosen
    assert same(weights_of(stopped), weights_of(whole))
    assert not same(weights_of(stopped), at_that_moment)
    assert not stopped.training


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_before_the_ramp_s_end_keeps_the_last_weights_and_says_so(epoch: int) -> None:
    model = skiprec()
    history, at_that_moment = interrupted_in(model, epoch, warmup_epochs=2, ramp_epochs=2)
    assert history.stopped == "interrupted"
    assert "before any epoch could be chosen" in history.note
    assert history.chosen == len(history.epochs) - 1 == epoch - 1
    assert same(weights_of(model), at_that_moment)
    assert not model.training


def test_a_run_that_ends_before_the_ramp_says_so() -> None:
    history = train(skiprec(), epochs=2, warmup_epochs=2, ramp_epochs=2)
    assert history.stopped == "all epochs run"
    assert "before any epoch could be chosen" in history.note
    assert history.chosen == 1


# --- what the policy reads ---


def read_by_the_policy(model: SkipRec) -> list[Tensor]:
    """What the policy is given in training, batch by batch."""
    read: list[Tensor] = []

    def remember(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if module.training:
            read.append(inputs[0])

    model.policy.register_forward_pre_hook(remember)
    return read


def test_in_training_the_policy_reads_up_to_a_cut_or_all_of_the_window() -> None:
    windows = {tuple(row) for row in SPLIT.train.items.tolist()}
    weights = {}
    for reads in (gate_losses.from_a_cut, gate_losses.whole_window):
        model = skiprec()
        read = read_by_the_policy(model)
        train(model, epochs=3, reads=reads)
        rows = torch.cat(read)
        assert len(rows) == 2 * len(SPLIT.train)  # none in the warm-up
        whole = sum(tuple(row) in windows for row in rows.tolist())
        assert whole == len(rows) if reads is gate_losses.whole_window else 0 < whole < len(rows) / 2
        weights[reads] = weights_of(model)
    assert not same(weights[gate_losses.from_a_cut], weights[gate_losses.whole_window])


# --- where to start from, and what to train on ---


def test_a_pretrained_backbone_is_copied_and_its_embedding_given_to_the_policy() -> None:
    pretrained, model = net(seed=5), skiprec()
    trained = weights_of(pretrained)
    train(pretrained, epochs=2)
    history = train(model, epochs=1, warmup_epochs=1, learning_rate=1e-30, pretrained=pretrained)
    assert len(history.epochs) == 1
    assert torch.equal(model.policy.embedding.weight, pretrained.embedding.weight)
    assert model.policy.embedding.weight is not model.backbone.embedding.weight
    for name, tensor in pretrained.state_dict().items():
        torch.testing.assert_close(model.backbone.state_dict()[name], tensor, rtol=0, atol=1e-20)
    assert not same(weights_of(pretrained), trained)


def test_training_leaves_the_pretrained_backbone_as_it_was() -> None:
    pretrained, model = net(seed=5), skiprec()
    before = weights_of(pretrained)
    train(model, pretrained=pretrained)
    assert same(weights_of(pretrained), before)


def test_a_policy_of_another_width_keeps_its_own_embedding() -> None:
    pretrained, model = net(seed=5), skiprec(embedding_channels=5)
    embedding = model.policy.embedding.weight.clone()
    train(model, epochs=1, warmup_epochs=1, pretrained=pretrained)
    assert torch.equal(model.policy.embedding.weight, embedding)


def test_a_backbone_can_start_from_a_pretrained_one() -> None:
    pretrained, model = net(seed=5), net()
    train(model, epochs=1, learning_rate=1e-30, pretrained=pretrained)
    torch.testing.assert_close(model.embedding.weight, pretrained.embedding.weight, rtol=0, atol=1e-20)


@pytest.mark.parametrize("make", [net, skiprec])
def test_a_pretrained_backbone_of_other_sizes_is_refused(make: Callable[[], NextItNet | SkipRec]) -> None:
    for wrong in (net(channels=4), NextItNet(NUM_ITEMS, channels=8, dilations=(1, 2, 1))):
        with pytest.raises(ValueError, match="sizes"):
            train(make(), pretrained=wrong)


def test_fresh_windows_are_asked_for_once_an_epoch_and_trained_on() -> None:
    """Only items of the fresh windows move in the input embedding."""
    asked: list[int] = []

    def fresh(epoch: int) -> Windows:
        asked.append(epoch)
        items = torch.tensor([[0, 2, 4, 6]] if epoch < 2 else [[0, 0, 0, 9]])
        targets = torch.tensor([[0, 4, 6, 8]] if epoch < 2 else [[0, 0, 0, 1]])
        return Windows(items, targets, torch.tensor([3]), torch.tensor([0]), (items[0, :0].numpy(),))

    model = net()
    before = model.embedding.weight.clone()
    history = train(model, epochs=2, fresh=fresh)
    moved = (model.embedding.weight != before).any(dim=1).nonzero().flatten().tolist()
    assert moved == [2, 4, 6]
    assert asked == [0, 1]
    asked.clear()
    history = train(model, epochs=4, fresh=fresh, seed=1)
    assert asked == [0, 1, 2, 3]
    assert len(history.epochs) == 4


# --- errors ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"patience": 0},
        {"cost": -0.1},
        {"cost": math.nan},
        {"cost": math.inf},
        {"warmup_epochs": -1},
        {"ramp_epochs": -1},
        {"hold_epochs": -1},
        {"settle_epochs": -1},
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"weight_decay": -0.1},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_before_anything_is_trained(wrong: dict[str, object]) -> None:
    model = skiprec()
    before = weights_of(model)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        train(model, **wrong)
    assert same(weights_of(model), before)


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    model = net()
    with torch.no_grad():
        model.output_bias[3] = math.nan
    with pytest.raises(FloatingPointError, match="learning_rate"):
        train(model)


def test_training_windows_without_a_row_are_refused() -> None:
    empty = dataclasses.replace(SPLIT, train=SPLIT.train.rows(slice(0, 0)))
    with pytest.raises(ValueError):
        train(net(), empty)


def test_a_progress_bar_is_shown_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    fit(net(), SPLIT, epochs=1, batch_size=8)
    assert "NDCG@10" in capsys.readouterr().err
    train(net(), epochs=1)
    assert capsys.readouterr() == ("", "")


# --- settling ---


def test_settling_leaves_the_policy_alone_and_goes_on_with_the_backbone() -> None:
    """The same run, stopped when settling begins: the policy is the one of that moment, the backbone is not."""
    longer, shorter = skiprec(), skiprec()
    train(longer, epochs=6, settle_epochs=3, cost=0.5)
    train(shorter, epochs=3, cost=0.5)
    last = {"epochs": 4, "warmup_epochs": 1, "ramp_epochs": 1}
    settled = skiprec()
    train(settled, **last, settle_epochs=1, cost=0.5)
    assert same(only(weights_of(settled), "policy."), only(weights_of(shorter), "policy."))
    assert not same(only(weights_of(settled), "backbone."), only(weights_of(shorter), "backbone."))
    assert same(only(weights_of(longer), "policy."), only(weights_of(shorter), "policy."))


def test_only_settled_epochs_are_candidates() -> None:
    history = train(skiprec(), epochs=7, settle_epochs=2)
    assert [record["epoch"] for record in history.epochs if record["candidate"]] == [5, 6]
    assert history.chosen in (5, 6)


def test_settled_training_uses_the_greedy_gates_and_runs_no_skipped_block(monkeypatch: pytest.MonkeyPatch) -> None:
    model = skiprec()
    drawn: list[tuple[int, bool]] = []
    gates = SkipRec.gates

    def watched(self: SkipRec, *arguments: object, sample: bool) -> Tensor:
        drawn.append((self.backbone.blocks[0].training, sample))
        return gates(self, *arguments, sample=sample)

    monkeypatch.setattr(SkipRec, "gates", watched)
    train(model, epochs=4, warmup_epochs=1, ramp_epochs=1, settle_epochs=1)
    in_training = [sample for training_mode, sample in drawn if training_mode]
    assert in_training == [True] * (2 * STEPS) + [False] * STEPS


def test_annealing_ends_with_steps_that_change_little() -> None:
    def last_step(anneal: bool) -> float:
        before = net()
        train(before, epochs=5, anneal=anneal, patience=99)
        seen: list[Weights] = []
        model = net()
        Watched(model, lambda _: seen.append(weights_of(model)))
        train(model, epochs=5, anneal=anneal, patience=99)
        first, last = seen[-2], seen[-1]
        return max(float((first[name] - last[name]).abs().max()) for name in first)

    assert last_step(anneal=True) < 0.05 * last_step(anneal=False)


# --- which loss in which epoch ---


LETTERS = {
    next_item_loss: "f",
    gate_losses.straight_through_loss: "g",
    gate_losses.difference_loss: "h",
    gate_losses.settled_loss: "s",
}


def seen_in_stages(model: NextItNet | SkipRec, stages: list[Stage]) -> tuple[str, History]:
    """One letter per epoch: full depth, gate loss, held or settled; each epoch is one step."""
    seen: list[str] = []

    def named(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def watched(*arguments: object) -> Tensor:
            seen.append(LETTERS[loss])
            return loss(*arguments)

        return watched

    watched = [dataclasses.replace(stage, loss=named(stage.loss)) for stage in stages]
    history = fit(model, SPLIT, stages=watched, batch_size=1000, learning_rate=0.01, patience=100, progress=False)
    return "".join(seen), history


@pytest.mark.parametrize(
    ("settings", "letters", "candidates"),
    [
        ({"warmup_epochs": 2, "ramp_epochs": 3}, "ffggggggg", [5, 6, 7, 8]),
        ({"warmup_epochs": 0, "ramp_epochs": 0}, "ggggggggg", list(range(9))),
        ({"warmup_epochs": 2, "ramp_epochs": 3, "hold_epochs": 2}, "ffggggghh", [7, 8]),
        ({"warmup_epochs": 2, "ramp_epochs": 3, "settle_epochs": 2}, "ffgggggss", [7, 8]),
        ({"warmup_epochs": 2, "ramp_epochs": 1, "hold_epochs": 3, "settle_epochs": 2}, "ffgghhhss", [7, 8]),
        ({"warmup_epochs": 2, "ramp_epochs": 5, "hold_epochs": 4}, "ffggghhhh", [7, 8]),
        ({"warmup_epochs": 3, "ramp_epochs": 0, "hold_epochs": 99}, "fffhhhhhh", list(range(3, 9))),
        ({"warmup_epochs": 3, "ramp_epochs": 0, "hold_epochs": 1, "settle_epochs": 99}, "fffssssss", list(range(3, 9))),
        ({"warmup_epochs": 99, "ramp_epochs": 0, "hold_epochs": 1, "settle_epochs": 1}, "fffffffff", []),
    ],
    ids=str,
)
def test_each_stage_has_its_epochs_and_only_the_last_are_candidates(
    settings: dict[str, int], letters: str, candidates: list[int]
) -> None:
    found, history = seen_in_stages(skiprec(), skiprec_stages(9, **settings))
    assert found == letters
    assert [record["epoch"] for record in history.epochs if record["candidate"]] == candidates
    assert history.chosen in (candidates or [8])


def test_epochs_alone_are_one_stage_or_a_skiprec_s() -> None:
    """Each epoch of a backbone is a candidate; a SkipRec has its stages; thirty epochs where nothing is said."""
    usual = {"batch_size": 1000, "progress": False, "patience": 100}
    history = fit(net(), SPLIT, epochs=9, **usual)
    assert [record["candidate"] for record in history.epochs] == [True] * 9
    history = fit(skiprec(), SPLIT, epochs=12, **usual)
    assert ["cost" in record for record in history.epochs] == [False] * 5 + [True] * 7
    assert [record["candidate"] for record in history.epochs] == [False] * 10 + [True] * 2
    assert len(fit(net(), SPLIT, **usual).epochs) == 30


def test_a_ramp_goes_on_from_stage_to_stage() -> None:
    """Its epochs are counted from the first one with gates, and an ungated stage between them does not count."""
    gated = Stage(2, gate_losses.straight_through_loss, gate_losses.from_a_cut, cost=0.8, ramp=4)
    history = fit(skiprec(), SPLIT, stages=[gated, Stage(1), gated, gated], batch_size=1000, progress=False)
    assert [record.get("cost") for record in history.epochs] == pytest.approx([0.2, 0.4, None, 0.6, 0.8, 0.8, 0.8])
    assert [record["candidate"] for record in history.epochs] == [False, False, True, False, False, True, True]


def test_patience_counts_from_the_first_held_epoch() -> None:
    history = train(skiprec(), epochs=30, learning_rate=1e-12, patience=3, hold_epochs=20)
    assert len(history.epochs) == 14
    assert history.chosen == 10


def test_another_gate_loss_is_given_the_model_the_cut_batch_and_the_cost_of_the_moment() -> None:
    model, costs = skiprec(), []

    def gate_loss(given: SkipRec, batch: Windows, cost: float) -> Tensor:
        assert given is model
        assert given.training
        before = torch.arange(8) < batch.cut.unsqueeze(1)
        assert not batch.targets[before].any()
        costs.append(cost)
        return next_item_loss(model.backbone, batch)

    policy = weights_of(model.policy)
    train(model, epochs=4, warmup_epochs=1, ramp_epochs=2, cost=0.6, batch_size=20, gate_loss=gate_loss)
    assert costs == pytest.approx([0.6 * min(1, step / 6) for step in range(1, 10)])
    assert same(weights_of(model.policy), policy)


@pytest.mark.parametrize("loss", ["straight-through", "difference", "exact difference", "steered cost"])
def test_every_gate_loss_teaches_the_policy_from_the_same_seed_alike(loss: str) -> None:
    make = runs.GATE_LOSSES[loss]
    found = []
    for _ in range(2):
        model = skiprec()
        before = weights_of(model)
        train(model, epochs=3, cost=0.5, gate_loss=make())
        after = weights_of(model)
        assert all(not torch.equal(after[name], before[name]) for name in only_parameters(model))
        found.append(after)
    assert same(*found)


def only_parameters(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_parameters()]


def test_held_gates_are_pushed_by_differences() -> None:
    """Blocks that do nothing earn nothing: under a cost each logit falls, however sure the policy is to keep.

    Straight-through would do so too; but at a policy this sure its push is the smaller by far, so Adam's first steps
    are compared with `difference_loss` run by hand.
    """
    model, by_hand = skiprec(dropout=0.0), skiprec(dropout=0.0)
    settings = {"epochs": 1, "warmup_epochs": 0, "ramp_epochs": 0, "cost": 0.5, "batch_size": 1000}
    train(model, hold_epochs=1, **settings)
    train(by_hand, gate_loss=gate_losses.difference_loss, **settings)
    assert same(weights_of(model), weights_of(by_hand))
    other = skiprec(dropout=0.0)
    train(other, **settings)
    assert not same(weights_of(model), weights_of(other))


# --- who watches ---


@pytest.mark.parametrize("make", [net, skiprec])
def test_who_watches_leaves_the_training_as_it_is(make: Callable[[], NextItNet | SkipRec]) -> None:
    """Though random numbers are drawn, and many."""
    settings = {"epochs": 6, "warmup_epochs": 2, "hold_epochs": 1, "settle_epochs": 1}
    alone, watched = make(), make()
    first = train(alone, **settings)
    second = train(watched, after_epoch=lambda epoch, _: torch.rand(1000 * (epoch + 1)), **settings)
    assert same(weights_of(alone), weights_of(watched))
    assert first.epochs == second.epochs


@pytest.mark.parametrize("make", [net, skiprec])
def test_who_watches_sees_the_model_in_eval_mode_after_each_epoch(make: Callable[[], NextItNet | SkipRec]) -> None:
    model, seen = make(), []
    weights: list[Weights] = []

    def after_epoch(epoch: int, given: NextItNet | SkipRec) -> None:
        assert given is model
        assert not any(part.training for part in given.modules())
        seen.append(epoch)
        weights.append(weights_of(given))

    train(model, epochs=5, warmup_epochs=2, patience=100, after_epoch=after_epoch)
    assert seen == [0, 1, 2, 3, 4]
    assert not any(same(a, b) for a, b in itertools.pairwise(weights))
    again = make()
    history = train(again, epochs=5, warmup_epochs=2)
    assert same(weights_of(again), weights[history.chosen])


def test_who_watches_sees_the_epoch_that_patience_ends_with() -> None:
    seen = []
    train(net(), epochs=50, learning_rate=1e-12, patience=3, after_epoch=lambda epoch, _: seen.append(epoch))
    assert seen == [0, 1, 2, 3]


def test_two_stages_of_sasrec() -> None:
    """A pre-trained backbone of another kind fits as well: it is copied, and its embedding given to the policy."""
    torch.manual_seed(1)
    pretrained = SASRec(NUM_ITEMS, channels=8, num_blocks=2)
    model = SkipRec(SASRec(NUM_ITEMS, channels=8, num_blocks=2), PolicyNetwork(NUM_ITEMS, 2, channels=8))
    train(model, epochs=1, warmup_epochs=0, learning_rate=1e-30, pretrained=pretrained)
    assert torch.equal(model.policy.embedding.weight, pretrained.embedding.weight)
    for name, tensor in pretrained.state_dict().items():
        torch.testing.assert_close(model.backbone.state_dict()[name], tensor, rtol=0, atol=1e-20)
    with pytest.raises(ValueError, match="sizes"):
        train(skiprec(), pretrained=pretrained)

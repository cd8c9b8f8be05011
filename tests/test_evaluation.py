import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import histories_log, random_items, randomise, tiny_split
from torch import Tensor, nn

from skiprec_lite import evaluation, skipping
from skiprec_lite.backbones import MarkovChain, NextItNet, Popularity, WindowCounter
from skiprec_lite.evaluation import evaluate, gates_of, mean_per_user, ndcg_per_user, rank_cases
from skiprec_lite.metrics import ndcg
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skipping import inference_seconds
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.splits import last_n
from skiprec_lite.windows import Split, Windows

NUM_ITEMS = 25


def histories() -> list[list[int]]:
    """Fourteen users of 3 to 16 different items, longer than a window of 4 and the 2 to predict."""
    rng = np.random.default_rng(0)
    return [(rng.permutation(NUM_ITEMS)[: 3 + u] + 1).tolist() for u in range(14)]


def split_of() -> Split:
    return last_n(histories_log(histories(), NUM_ITEMS), n=2, length=4)


def random_net(*, dropout: float = 0.0) -> NextItNet:
    return randomise(NextItNet(NUM_ITEMS, channels=8, dilations=(1, 2, 1), dropout=dropout))


def random_skiprec() -> SkipRec:
    return SkipRec(random_net(), randomise(PolicyNetwork(NUM_ITEMS, 3, channels=8), seed=1))


def make(kind: str) -> nn.Module:
    split = split_of()
    models = {"net": random_net, "popularity": lambda: Popularity(split), "markov": lambda: MarkovChain(split)}
    models["counter"] = lambda: WindowCounter(split)
    return models[kind]()


def ranks_by_loops(model: nn.Module, cases: Windows, exclude_seen: bool) -> list[int]:
    """Score every position of each row on its own; the past is looked up in the users' whole histories."""
    model.eval()
    ranks = []
    for user, items, targets in zip(cases.users.tolist(), cases.items, cases.targets.tolist()):
        with torch.no_grad():
            scores = model(items.unsqueeze(0))[0].tolist()
        history = histories()[user]
        for t, target in enumerate(targets):
            if target:
                past = set(history[: history.index(target)]) if exclude_seen else set()
                rivals = set(range(1, NUM_ITEMS + 1)) - past - {target}
                ranks.append(1 + sum(scores[t][item] >= scores[t][target] for item in rivals))
    return ranks


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("kind", ["net", "popularity", "markov", "counter"])
@pytest.mark.parametrize("part", ["validation", "test", "train"])
def test_ranks_equal_a_loop_over_users_positions_and_items(part: str, kind: str, exclude_seen: bool) -> None:
    cases, model = getattr(split_of(), part), make(kind)
    ranks = rank_cases(model, cases, exclude_seen=exclude_seen)
    assert ranks.shape == (int(cases.scored().sum()),)
    assert ranks.tolist() == ranks_by_loops(model, cases, exclude_seen)
    assert len(set(ranks.tolist())) >= 5


def test_a_target_met_before_has_the_worst_rank_where_the_past_is_ruled_out() -> None:
    """Item 2 comes back, item 5 does not: one stands behind all others, the other only behind what is left."""
    cases = Windows(
        torch.tensor([[1, 2, 3], [0, 1, 4]]), torch.tensor([[0, 0, 2], [0, 0, 5]]), torch.tensor([2, 2]),
        torch.tensor([0, 1]), (np.array([], dtype=np.int64), np.array([6, 7])),
    )  # fmt: skip
    model = Popularity(split_of())
    with torch.no_grad():
        model.share.copy_(torch.arange(NUM_ITEMS + 1) / NUM_ITEMS)  # item 25 is the best, item 1 the worst
    assert rank_cases(model, cases, exclude_seen=False).tolist() == [24, 21]
    assert rank_cases(model, cases, exclude_seen=True).tolist() == [NUM_ITEMS, 21 - 2]


def test_what_was_seen_before_the_window_leaves_the_ranking_too() -> None:
    cases, model = split_of().test, random_net()
    whole = rank_cases(model, cases, exclude_seen=True)
    short = rank_cases(model, dataclasses.replace(cases, seen=()), exclude_seen=True)
    assert (whole <= short).all()
    assert (whole < short).any()


@pytest.mark.parametrize("exclude_seen", [False, True])
def test_evaluate_is_the_mean_of_each_metric_over_the_ranks(exclude_seen: bool) -> None:
    cases, model = split_of().test, random_net()
    ranks = np.array(ranks_by_loops(model, cases, exclude_seen))
    found = evaluate(model, cases, (3, 8), exclude_seen=exclude_seen)
    expected = {}
    for k in (3, 8):
        expected[f"hr@{k}"] = (ranks <= k).mean()
        expected[f"mrr@{k}"] = np.where(ranks <= k, 1 / ranks, 0).mean()
        expected[f"ndcg@{k}"] = np.where(ranks <= k, 1 / np.log2(ranks + 1), 0).mean()
    assert found == pytest.approx(expected, rel=1e-12)
    assert all(type(value) is float and value > 0 for value in found.values())


def test_evaluate_reports_at_5_10_and_20_unless_told() -> None:
    found = evaluate(random_net(), split_of().test)
    assert set(found) == {f"{metric}@{k}" for metric in ("hr", "mrr", "ndcg") for k in (5, 10, 20)}


def test_what_was_met_is_left_out_unless_all_items_are_asked_for() -> None:
    cases, model = split_of().test, random_net()
    unseen = ranks_by_loops(model, cases, exclude_seen=True)
    assert unseen != ranks_by_loops(model, cases, exclude_seen=False)
    assert rank_cases(model, cases).tolist() == unseen
    assert (
        evaluate(model, cases)
        == evaluate(model, cases, exclude_seen=True)
        != evaluate(model, cases, exclude_seen=False)
    )
    assert torch.equal(ndcg_per_user(model, cases), ndcg_per_user(model, cases, exclude_seen=True))
    assert not torch.equal(ndcg_per_user(model, cases), ndcg_per_user(model, cases, exclude_seen=False))


@pytest.mark.parametrize("kind", ["net", "popularity", "markov", "counter"])
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_the_size_of_a_batch_does_not_matter(kind: str, exclude_seen: bool) -> None:
    cases, model = split_of().test, make(kind)
    one, five, all_at_once = (rank_cases(model, cases, exclude_seen=exclude_seen, batch_size=b) for b in (1, 5, 1000))
    assert torch.equal(one, five)
    assert torch.equal(one, all_at_once)


def test_each_batch_is_scored_with_its_own_cut_and_without_gradients() -> None:
    met: list[tuple[list[int], bool]] = []

    class Noting(NextItNet):
        def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
            assert cut is not None
            met.append((cut.tolist(), torch.is_grad_enabled()))
            return super().score_at(items, where)

    cases = split_of().test
    cases = dataclasses.replace(cases, cut=torch.arange(len(cases)) % cases.items.shape[1])
    rank_cases(Noting(NUM_ITEMS, channels=4, dilations=(1,)), cases, batch_size=3)
    assert [c for cut, _ in met for c in cut] == cases.cut.tolist()
    assert len(met) > 2
    assert not any(gradients for _, gradients in met)


# --- SkipRec ---


def test_given_gates_take_the_place_of_the_policy_s() -> None:
    cases, model = split_of().test, random_skiprec()
    ones, zeros = torch.ones(len(cases), 3), torch.zeros(len(cases), 3)
    full_depth = rank_cases(model.backbone, cases, exclude_seen=False)
    assert torch.equal(rank_cases(model, cases, gates=ones, exclude_seen=False), full_depth)
    no_block = ranks_with_gates(model.backbone, cases, zeros)
    assert torch.equal(rank_cases(model, cases, gates=zeros, exclude_seen=False), no_block)
    assert not torch.equal(full_depth, no_block)
    assert evaluate(model, cases, (5,), gates=ones) == evaluate(model.backbone, cases, (5,))
    assert torch.equal(ndcg_per_user(model, cases, gates=ones), ndcg_per_user(model.backbone, cases))


def ranks_with_gates(backbone: NextItNet, cases: Windows, gates: Tensor) -> Tensor:
    with torch.no_grad():
        scores = backbone(cases.items, gates)[cases.scored()]
    target = scores.gather(1, cases.targets[cases.scored()].unsqueeze(1))
    return (scores[:, 1:] >= target).sum(dim=1)


@pytest.mark.parametrize("batch_size", [3, 100])
def test_gates_belong_to_rows_in_every_batch(batch_size: int) -> None:
    cases, model = split_of().test, random_skiprec()
    gates = (torch.arange(len(cases) * 3).view(-1, 3) * 7 % 5 < 2).float()
    expected = ranks_with_gates(model.backbone, cases, gates)
    assert torch.equal(rank_cases(model, cases, gates=gates, exclude_seen=False, batch_size=batch_size), expected)


def test_without_gates_the_policy_s_greedy_ones_are_used() -> None:
    cases, model = split_of().test, random_skiprec()
    greedy = gates_of(model, cases)
    assert greedy.shape == (len(cases), 3)
    assert torch.equal(greedy, model.gates(cases.items, cases.cut, sample=False))
    assert torch.equal(rank_cases(model, cases), rank_cases(model, cases, gates=greedy))
    assert 0 < greedy.mean() < 1


def test_the_policy_has_not_read_what_is_to_be_predicted() -> None:
    cases, model = split_of().test, random_skiprec()
    past = torch.arange(cases.items.shape[1]) <= cases.cut.unsqueeze(1)
    others = random_items((5,) * len(cases), 5, NUM_ITEMS, seed=3)
    changed = dataclasses.replace(cases, items=torch.where(past, cases.items, others))
    assert not torch.equal(changed.items, cases.items)
    assert torch.equal(gates_of(model, changed), gates_of(model, cases))


def test_sampled_gates_differ_from_draw_to_draw() -> None:
    cases, model = split_of().test, random_skiprec()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = gates_of(model, cases, sample=True), gates_of(model, cases, sample=True)
    assert not torch.equal(first, second)
    assert set(first.unique().tolist()) == {0, 1}
    assert not first.requires_grad


def test_gates_for_a_model_without_a_policy_are_refused() -> None:
    cases = split_of().test
    with pytest.raises(TypeError):
        rank_cases(random_net(), cases, gates=torch.ones(len(cases), 3))


def test_times_are_medians_without_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only scoring moves on: the first run of each is slow, and one of the four after it."""
    model, clock = random_skiprec().eval(), [0.0]
    for scorer, runs in ((model.backbone, [90.0, 4.0, 5.0, 60.0, 6.0]), (model, [70.0, 1.0, 2.0, 50.0, 2.0])):

        def score_at(*_: Tensor, left: list[float] = runs) -> Tensor:
            clock[0] += left.pop(0)
            return torch.zeros(1)

        monkeypatch.setattr(scorer, "score_at", score_at)
    monkeypatch.setattr(skipping.time, "perf_counter", lambda: clock[0])
    assert inference_seconds(model, split_of().test.items, repeats=4) == {"full": 5.5, "skipped": 2.0}


def test_full_depth_and_skipping_are_both_timed() -> None:
    model = random_skiprec().eval()
    seconds = inference_seconds(model, split_of().test.items, repeats=2)
    assert set(seconds) == {"full", "skipped"}
    assert all(found > 0 for found in seconds.values())


# --- the model is left as it was ---


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_restored_and_dropout_off_meanwhile(training: bool) -> None:
    cases, model = split_of().test, random_net(dropout=0.9).train(training)
    found = evaluate(model, cases)
    assert model.training == model.blocks[0].training == training
    assert found == evaluate(random_net(), cases)
    assert all(p.grad is None for p in model.parameters())


# --- per user ---


def uneven_cases() -> Windows:
    """Users 7, 0, 3 and 7 again, with 2, 1, 3 and 1 scored positions."""
    targets = torch.tensor([[0, 4, 5], [0, 0, 2], [1, 2, 3], [0, 6, 0]])
    return Windows(torch.ones_like(targets), targets, torch.zeros(4, dtype=torch.int64), torch.tensor([7, 0, 3, 7]))


def test_the_mean_per_user_equals_pandas() -> None:
    values = torch.tensor([1.0, 2.0, 30.0, 4.0, 5.0, 9.0, 600.0], dtype=torch.float64)
    expected = pd.Series(values.numpy()).groupby([7, 7, 0, 3, 3, 3, 7]).mean()
    found = mean_per_user(values, uneven_cases())
    assert found.shape == (3,)
    assert found.tolist() == pytest.approx(expected.sort_index().tolist(), rel=1e-12)


def test_ndcg_per_user_averages_over_a_user_s_positions() -> None:
    cases, model = split_of().test, random_net()
    gain = ndcg(rank_cases(model, cases), 10).view(len(cases), 2)
    assert ndcg_per_user(model, cases).tolist() == pytest.approx(gain.mean(dim=1).tolist(), rel=1e-12)
    assert not torch.equal(ndcg_per_user(model, cases, 3), ndcg_per_user(model, cases))
    with_the_past = ndcg(rank_cases(model, cases, exclude_seen=False), 10).view(len(cases), 2).mean(dim=1)
    assert ndcg_per_user(model, cases, exclude_seen=False).tolist() == pytest.approx(with_the_past.tolist(), rel=1e-12)


# --- memory ---


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("at_once", [1, 2 * (NUM_ITEMS + 1), 5 * (NUM_ITEMS + 1), 6 * (NUM_ITEMS + 1)])
def test_fewer_rows_are_scored_at_once_where_the_scores_would_not_fit(
    at_once: int, exclude_seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two positions a row: their scores fit for no row, one, two and three of them."""
    cases, model = split_of().test, random_skiprec()
    assert max(int(cases.items.max()), int(cases.targets.max())) == NUM_ITEMS
    gates = gates_of(model, cases).flip(0)
    expected = rank_cases(model, cases, exclude_seen=exclude_seen, gates=gates)
    rows: list[int] = []
    score_at = SkipRec.score_at

    def watched(self: SkipRec, items: Tensor, *others: Tensor, **named: Tensor) -> Tensor:
        rows.append(len(items))
        return score_at(self, items, *others, **named)

    monkeypatch.setattr(SkipRec, "score_at", watched)
    monkeypatch.setattr(evaluation, "SCORES_AT_ONCE", at_once)
    assert torch.equal(rank_cases(model, cases, exclude_seen=exclude_seen, gates=gates), expected)
    fit = max(1, at_once // (2 * (NUM_ITEMS + 1)))
    assert rows == [min(fit, len(cases) - start) for start in range(0, len(cases), fit)]


def test_a_catalogue_of_ordinary_size_is_scored_in_batches_of_128_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten positions a row and 1,682 items, as in MovieLens-100K, and all fifty of a training window."""
    items = torch.ones(300, 50, dtype=torch.int64)
    items[7, 3] = 1682
    rows: list[int] = []

    class Constant(NextItNet):
        def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
            rows.append(len(items))
            return torch.zeros(1, 1).expand(int(where.sum()), 1683)

    for first in (40, 0):
        targets = items.masked_fill(torch.arange(50) < first, 0)
        cases = Windows(items, targets, torch.full((300,), first), torch.arange(300))
        rank_cases(Constant(1682, channels=1, dilations=(1,)), cases)
    assert rows == [128, 128, 44] * 2


# --- errors ---


def test_no_case_is_an_error() -> None:
    with pytest.raises(ValueError, match="no case"):
        evaluate(random_net(), split_of().test.rows(slice(0, 0)))


def test_a_model_that_diverged_is_an_error() -> None:
    model = random_net()
    with torch.no_grad():
        model.output_bias[3] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        evaluate(model, split_of().test)


def test_k_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="k must"):
        evaluate(random_net(), split_of().test, (0,))


def test_a_case_that_asks_for_a_position_before_the_cut_is_an_error() -> None:
    cases = tiny_split().train
    model = SkipRec(NextItNet(15, channels=4, dilations=(1,)), PolicyNetwork(15, 1, channels=4))
    with pytest.raises(ValueError, match="before the cut"):
        evaluate(model, cases)

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import torch
from helpers import generator
from torch import Tensor

from skiprec_lite.metrics import hit_rate, mean_and_error, mrr, ndcg, paired_difference, rank_of_target

METRICS = (hit_rate, mrr, ndcg)


def random_scores(rows: int, num_items: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scores without ties, and a target for each row."""
    noise = generator(seed)
    scores = torch.randn(rows, num_items + 1, generator=noise, dtype=torch.float64)
    return scores, torch.randint(1, num_items + 1, (rows,), generator=noise)


def five_users() -> tuple[Tensor, Tensor]:
    """Four items: first, second, second by a tie, last by a tie of all, third."""
    scores = torch.tensor(
        [
            [9.0, 0.9, 0.1, 0.2, 0.3],
            [9.0, 0.5, 0.4, 0.3, 0.2],
            [9.0, 0.1, 0.7, 0.7, 0.2],
            [9.0, 0.3, 0.3, 0.3, 0.3],
            [9.0, 0.2, 0.3, 0.4, 0.1],
        ]
    )
    return scores, torch.tensor([1, 2, 3, 4, 1])


def test_five_users_worked_by_hand() -> None:
    ranks = rank_of_target(*five_users())
    assert ranks.tolist() == [1, 2, 2, 4, 3]
    assert hit_rate(ranks, 2).tolist() == [1, 1, 1, 0, 0]
    assert mrr(ranks, 3).tolist() == pytest.approx([1, 1 / 2, 1 / 2, 0, 1 / 3], rel=1e-12)
    assert ndcg(ranks, 3).tolist() == pytest.approx([1, 1 / math.log2(3), 1 / math.log2(3), 0, 1 / 2], rel=1e-12)


@pytest.mark.parametrize("k", [1, 5, 10, 30])
def test_ndcg_equals_sklearn_s(k: int) -> None:
    scores, targets = random_scores(200, 30)
    relevant = torch.nn.functional.one_hot(targets, 31)[:, 1:].numpy()
    ours = ndcg(rank_of_target(scores, targets), k)
    assert ours.shape == (200,)
    for row in range(200):
        theirs = sklearn.metrics.ndcg_score(relevant[[row]], scores[[row], 1:].numpy(), k=k)
        assert ours[row].item() == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("k", [1, 5, 10, 29])
def test_the_hit_rate_equals_sklearn_s_top_k_accuracy(k: int) -> None:
    scores, targets = random_scores(200, 30)
    theirs = sklearn.metrics.top_k_accuracy_score(
        targets.numpy(), scores[:, 1:].numpy(), k=k, labels=list(range(1, 31))
    )
    ours = hit_rate(rank_of_target(scores, targets), k)
    assert 0 < theirs < 1
    assert ours.mean().item() == pytest.approx(theirs, abs=1e-12)


def test_mrr_equals_sklearn_s_label_ranking_precision() -> None:
    scores, targets = random_scores(100, 12)
    relevant = torch.nn.functional.one_hot(targets, 13)[:, 1:].numpy()
    theirs = sklearn.metrics.label_ranking_average_precision_score(relevant, scores[:, 1:].numpy())
    assert mrr(rank_of_target(scores, targets), 12).mean().item() == pytest.approx(theirs, abs=1e-12)


def test_ranks_equal_a_sort() -> None:
    scores, targets = random_scores(100, 12)
    for row, target, rank in zip(scores, targets, rank_of_target(scores, targets)):
        best_first = sorted(range(1, 13), key=lambda item: -row[item])
        assert best_first.index(int(target)) + 1 == rank


def test_ranks_keep_the_shape_of_the_batch() -> None:
    scores, targets = random_scores(12, 9)
    ranks = rank_of_target(scores.view(3, 4, 10), targets.view(3, 4))
    assert ranks.shape == (3, 4)
    assert torch.equal(ranks.flatten(), rank_of_target(scores, targets))
    for metric in METRICS:
        assert torch.equal(metric(ranks, 5).flatten(), metric(ranks.flatten(), 5))


def test_a_constant_model_has_the_worst_rank() -> None:
    ranks = rank_of_target(torch.zeros(6, 7), torch.arange(1, 7))
    assert ranks.tolist() == [6] * 6


def test_each_tie_costs_one_rank() -> None:
    scores = torch.tensor([[0.0, 5.0, 2.0, 2.0, 2.0, 1.0]])
    assert [rank_of_target(scores, torch.tensor([t])).item() for t in range(1, 6)] == [1, 4, 4, 4, 5]


@pytest.mark.parametrize("padding_score", [-math.inf, 0.0, 1e9, math.inf])
def test_the_padding_column_is_never_counted(padding_score: float) -> None:
    scores, targets = random_scores(50, 9)
    expected = rank_of_target(scores, targets)
    scores[:, 0] = padding_score
    assert torch.equal(rank_of_target(scores, targets), expected)


@pytest.mark.parametrize("transform", [torch.exp, lambda s: 3 * s - 100, torch.arctan, lambda s: s**3])
def test_a_monotone_transformation_leaves_ranks_alone(transform: Callable[[Tensor], Tensor]) -> None:
    scores, targets = random_scores(50, 9)
    assert torch.equal(rank_of_target(transform(scores), targets), rank_of_target(scores, targets))


def test_renaming_the_items_leaves_ranks_alone() -> None:
    scores, targets = random_scores(50, 9)
    order = torch.randperm(9, generator=generator(1)) + 1  # the new item i is the old item order[i - 1]
    renamed = torch.cat([scores[:, :1], scores[:, order]], dim=1)
    new_name = order.argsort() + 1
    assert torch.equal(rank_of_target(renamed, new_name[targets - 1]), rank_of_target(scores, targets))


def test_an_item_ruled_out_of_the_ranking_stands_below_all_others() -> None:
    scores = torch.tensor([[0.0, 3.0, 2.0, 1.0]])
    scores[0, 1] = -math.inf
    assert rank_of_target(scores, torch.tensor([3])).item() == 2
    assert rank_of_target(scores, torch.tensor([1])).item() == 3


def test_a_rank_just_inside_and_just_outside_k() -> None:
    ranks = torch.tensor([5, 6])
    assert hit_rate(ranks, 5).tolist() == [1, 0]
    assert mrr(ranks, 5).tolist() == [0.2, 0]
    assert ndcg(ranks, 5).tolist() == pytest.approx([1 / math.log2(6), 0], rel=1e-12)


def test_scores_that_hold_nan_are_refused() -> None:
    scores, targets = random_scores(3, 4)
    scores[1, 2] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        rank_of_target(scores, targets)


@pytest.mark.parametrize("target", [0, -1, 5])
def test_a_target_that_is_no_item_is_refused(target: int) -> None:
    scores, _ = random_scores(2, 4)
    with pytest.raises(ValueError, match="targets"):
        rank_of_target(scores, torch.tensor([1, target]))


def test_targets_that_do_not_fit_the_scores_are_refused() -> None:
    scores, _ = random_scores(3, 4)
    with pytest.raises((ValueError, TypeError)):
        rank_of_target(scores, torch.tensor([1, 2]))


@pytest.mark.parametrize("metric", METRICS)
def test_k_and_ranks_below_one_are_refused(metric: Callable[[Tensor, int], Tensor]) -> None:
    with pytest.raises(ValueError, match="k must"):
        metric(torch.tensor([1, 2]), 0)
    with pytest.raises(ValueError, match="ranks"):
        metric(torch.tensor([1, 0]), 5)


def test_the_standard_error_equals_scipy_s() -> None:
    values = torch.randn(37, generator=generator(), dtype=torch.float64) ** 2
    mean, error = mean_and_error(values)
    assert mean == pytest.approx(values.numpy().mean(), rel=1e-12)
    assert error == pytest.approx(scipy.stats.sem(values.numpy()), rel=1e-12)


def test_a_paired_difference_equals_scipy_s_and_cancels_what_the_users_share() -> None:
    rng = np.random.default_rng(0)
    users = rng.normal(0, 1, 200)
    first, second = users + rng.normal(0.02, 0.05, 200), users + rng.normal(0, 0.05, 200)
    difference = paired_difference(torch.from_numpy(first), torch.from_numpy(second))
    test = scipy.stats.ttest_rel(first, second)
    assert difference.mean == pytest.approx((first - second).mean(), rel=1e-12)
    assert difference.mean / difference.error == pytest.approx(test.statistic, rel=1e-9)
    assert difference.error < mean_and_error(torch.from_numpy(first)).error / 5


def test_an_error_needs_two_users_and_a_pair_the_same_users() -> None:
    with pytest.raises(ValueError, match="two users"):
        mean_and_error(torch.ones(1))
    with pytest.raises(ValueError, match="two users"):
        paired_difference(torch.ones(1), torch.ones(1))
    with pytest.raises((ValueError, TypeError)):
        paired_difference(torch.ones(3), torch.ones(4))

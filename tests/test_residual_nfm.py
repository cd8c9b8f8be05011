"""NFM with residual layers: what it reads, what its layers add, and what it shares."""

import itertools
import math

import pytest
import torch
from helpers import (
    assert_reads_a_bag,
    assert_scores_at_are_the_scores,
    generator,
    random_items,
    randomise,
    tiny_split,
    zeros_before,
)
from torch import Tensor

from skiprec_lite.backbones import NFM, NextItNet, Popularity, ResidualNFM
from skiprec_lite.evaluation import evaluate
from skiprec_lite.training import fit

NUM_ITEMS = 20
each_depth = pytest.mark.parametrize("hidden_layers", [0, 1, 3])
tied_or_not = pytest.mark.parametrize("tied", [False, True])


def random_net(hidden_layers: int = 2, *, tied: bool = True, scale: float = 0.3) -> ResidualNFM:
    """Random parameters, also where a net starts from 0 or 1; the scales are the only ones of one number."""
    net = ResidualNFM(NUM_ITEMS, channels=6, hidden_layers=hidden_layers, tied=tied)
    return randomise(net.double(), scale=scale)


def items_of(lengths: tuple[int, ...] = (9, 1, 4, 6, 9)) -> Tensor:
    return random_items(lengths, 9, NUM_ITEMS)


def by_loops(net: ResidualNFM, items: Tensor) -> Tensor:
    """Scores of all items, position by position and pair by pair; LayerNorm written out."""
    scores = []
    for row in items.tolist():
        for t in range(len(row)):
            embedded = [net.embedding.weight[item] for item in row[: t + 1] if item]
            pairs = [6 * a * b for a, b in itertools.combinations(embedded, 2)]
            hidden = sum(pairs) / len(pairs) if pairs else torch.zeros(6, dtype=torch.float64)
            for (linear, norm, *_), scale in zip(net.branches, net.scales, strict=True):
                wide = linear.weight @ hidden + linear.bias
                centred = wide - wide.mean()
                normed = centred / (centred.square().mean() + 1e-5).sqrt()
                hidden = hidden + scale * (normed * norm.weight + norm.bias).clamp_min(0)
            scores.append(net.output_weight[1:] @ hidden + net.output_bias)
    return torch.stack(scores).view(*items.shape, NUM_ITEMS)


@tied_or_not
@each_depth
def test_it_equals_a_loop_over_pairs_and_layers(hidden_layers: int, tied: bool) -> None:
    net, items = random_net(hidden_layers, tied=tied), items_of()
    assert len(net.branches) == len(net.scales) == hidden_layers
    weighted = torch.randn(5, 9, NUM_ITEMS, generator=generator(4), dtype=torch.float64)
    results = []
    for scores in (net(items)[..., 1:], by_loops(net, items)):
        gradients = torch.autograd.grad((scores * weighted).sum(), list(net.parameters()))
        results.append((scores.detach(), *gradients))
    for ours, theirs in zip(*results, strict=True):
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    assert (net(items)[..., 0] == -math.inf).all()


def test_its_pool_is_that_of_an_nfm_whose_embedding_has_nfm_s_size() -> None:
    """Of 9 channels: an NFM's embedding is 3 times as large, and each product 9 times."""
    ours = randomise(ResidualNFM(NUM_ITEMS, channels=9, hidden_layers=0).double())
    nfm = NFM(NUM_ITEMS, channels=9, hidden_layers=0).double()
    with torch.no_grad():
        nfm.embedding.weight.copy_(3 * ours.embedding.weight)
    torch.testing.assert_close(ours.encode(items_of()), nfm.encode(items_of()), rtol=0, atol=1e-12)


def test_it_reads_the_past_as_a_bag_and_the_future_not_at_all() -> None:
    assert_reads_a_bag(random_net(), items_of((9,) * 6), NUM_ITEMS)


@tied_or_not
@pytest.mark.parametrize("pads", [1, 7, 40])
def test_padding_never_changes_a_prediction(pads: int, tied: bool) -> None:
    net, items = random_net(tied=tied), items_of()
    after = net(zeros_before(items, pads))[:, pads:]
    torch.testing.assert_close(after, net(items), rtol=0, atol=1e-11)


def test_score_at_equals_the_scores_at_those_positions() -> None:
    assert_scores_at_are_the_scores(random_net(), items_of())


def test_layers_whose_scale_is_0_change_nothing_and_a_new_net_s_are_0() -> None:
    items = items_of()
    still, moved = random_net(scale=0.0), random_net(scale=0.3)
    pool = random_net(0)
    for net in (still, moved):
        pool.embedding.load_state_dict(net.embedding.state_dict())
        assert torch.equal(net.encode(items), pool.encode(items)) is (net is still)
    assert [scale.item() for scale in ResidualNFM(NUM_ITEMS, hidden_layers=3).scales] == [0, 0, 0]


def test_only_a_tied_net_scores_with_its_embedding() -> None:
    tied, untied = (ResidualNFM(NUM_ITEMS, channels=6, tied=tied) for tied in (True, False))
    assert tied.output_weight is tied.embedding.weight
    assert untied.output_weight is not untied.embedding.weight
    assert ResidualNFM(NUM_ITEMS).output_weight.shape == (NUM_ITEMS + 1, 64)


@tied_or_not
@each_depth
def test_it_has_a_next_it_net_s_parameters_but_for_the_inside_of_a_layer(hidden_layers: int, tied: bool) -> None:
    count = lambda net: sum(weight.numel() for weight in net.parameters())  # noqa: E731
    table, channels = (NUM_ITEMS + 1) * 6, 6
    layer = channels * channels + channels + 2 * channels + 1  # linear, norm, scale
    found = count(ResidualNFM(NUM_ITEMS, channels=channels, hidden_layers=hidden_layers, tied=tied))
    assert found == table * (1 if tied else 2) + NUM_ITEMS + hidden_layers * layer
    assert found == count(NextItNet(NUM_ITEMS, channels=6, dilations=(), tied=tied)) + hidden_layers * layer


@pytest.mark.parametrize("place", ["embedding_dropout", "dropout"])
def test_each_dropout_acts_in_its_place_and_in_training_only(place: str) -> None:
    """With a dropout of 1 on the embedding nothing is left of the pool, on the branches nothing of the layers."""
    shape = {"channels": 6, "hidden_layers": 2}
    whole, dropped = ResidualNFM(NUM_ITEMS, **shape), ResidualNFM(NUM_ITEMS, **shape, **{place: 1.0})
    for net in (whole, dropped):
        randomise(net.train())
    items = items_of()
    expected = torch.zeros_like(items, dtype=torch.float32).unsqueeze(-1).expand(-1, -1, 6)
    if place == "embedding_dropout":
        for branch, scale in zip(whole.branches, whole.scales):
            expected = expected + scale * branch(expected)
    else:
        pool = ResidualNFM(NUM_ITEMS, channels=6, hidden_layers=0)
        pool.embedding.load_state_dict(whole.embedding.state_dict())
        expected = pool.encode(items)
    torch.testing.assert_close(dropped.encode(items), expected)
    assert (dropped.encode(items) - whole.encode(items)).abs().max() > 0.1
    assert torch.equal(dropped.eval()(items), whole.eval()(items))


@pytest.mark.parametrize("channels", [16, 64, 256])
def test_the_first_scores_are_no_larger_than_one_whatever_the_width(channels: int) -> None:
    """Their spread is largest after two items: a single product of about unit size per channel."""
    torch.manual_seed(0)
    scores = ResidualNFM(500, channels=channels)(random_items((2,) * 200, 2, 500))[:, -1, 1:]
    assert scores.std().item() == pytest.approx(1, rel=0.15)


def test_it_learns_and_takes_no_negative_depth() -> None:
    split = tiny_split()
    torch.manual_seed(0)
    net = ResidualNFM(split.num_items, channels=16, hidden_layers=2, dropout=0.1, embedding_dropout=0.1)
    history = fit(net, split, epochs=30, learning_rate=1e-2, patience=30, progress=False)
    assert all(scale.abs() > 1e-3 for scale in net.scales)
    losses = [epoch["loss"] for epoch in history.epochs]
    assert losses[-1] < 0.8 * losses[0]
    assert evaluate(net, split.validation)["ndcg@10"] > 1.2 * evaluate(Popularity(split), split.validation)["ndcg@10"]
    with pytest.raises(ValueError, match="hidden_layers"):
        ResidualNFM(NUM_ITEMS, hidden_layers=-1)
    with pytest.raises(ValueError, match="items must lie"):
        net(torch.tensor([[1, split.num_items + 1]]))

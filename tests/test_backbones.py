import dataclasses
import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import (
    assert_reads_a_bag,
    assert_scores_at_are_the_scores,
    generator,
    histories_log,
    plain_copy,
    random_items,
    randomise,
    tiny_split,
    zeros_before,
)
from torch import Tensor, nn

from skiprec_lite.backbones import NFM, MarkovChain, NextItNet, Popularity, SASRec, WindowCounter, in_eval_mode
from skiprec_lite.datasets import Interactions, load_movielens
from skiprec_lite.downloads import data_folder
from skiprec_lite.evaluation import evaluate
from skiprec_lite.splits import last_n, leave_one_out
from skiprec_lite.windows import Split

NUM_ITEMS = 20
LENGTHS = (9, 1, 4, 6, 9)


def random_net(*, tied: bool = False, rezero: bool = True, dilations: tuple[int, ...] = (1, 4, 2)) -> NextItNet:
    net = NextItNet(NUM_ITEMS, channels=8, dilations=dilations, tied=tied, rezero=rezero)
    return randomise(net.double())


def items_of(lengths: tuple[int, ...] = LENGTHS, time: int = 9) -> Tensor:
    return random_items(lengths, time, NUM_ITEMS)


def random_gates(*shape: int) -> Tensor:
    return torch.rand(shape, generator=generator(5), dtype=torch.float64)


# --- NextItNet ---


@pytest.mark.parametrize("rezero", [True, False])
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_a_net_equals_one_made_of_torch_s_layers(kernel_size: int, rezero: bool) -> None:
    dilations, items = (1, 4, 2), items_of()
    net = randomise(
        NextItNet(NUM_ITEMS, channels=8, dilations=dilations, kernel_size=kernel_size, rezero=rezero).double()
    )
    hidden = nn.functional.embedding(items, net.embedding.weight)
    for block, dilation in zip(net.blocks, dilations, strict=True):
        hidden = plain_copy(block, dilation, kernel_size)(hidden, items > 0)
    expected = hidden @ net.output_weight.T[:, 1:] + net.output_bias
    torch.testing.assert_close(net(items)[..., 1:], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("pads", [1, 7, 40])
def test_padding_never_changes_a_prediction(pads: int, tied: bool) -> None:
    net, items = random_net(tied=tied), items_of()
    for gates in (None, random_gates(len(items), 3)):
        real = items > 0
        before = net(items, gates)[real]
        after = net(zeros_before(items, pads), gates)[:, pads:][real]
        torch.testing.assert_close(after, before, rtol=0, atol=1e-11)


def test_a_row_alone_scores_as_in_the_batch() -> None:
    net, items = random_net(), items_of()
    for row, (length, scores) in enumerate(zip(LENGTHS, net(items))):
        alone = net(items[row : row + 1, 9 - length :])[0]
        torch.testing.assert_close(alone, scores[9 - length :], rtol=0, atol=1e-11)


@pytest.mark.parametrize("t", [0, 3, 8])
def test_a_prediction_reads_the_present_and_the_past_only(t: int) -> None:
    net, items = random_net(), items_of((9,) * 6)
    changed = items.clone()
    changed[:, t] = changed[:, t] % NUM_ITEMS + 1
    before, after = net(items), net(changed)
    assert torch.equal(after[:, :t], before[:, :t])
    assert (after[:, t] != before[:, t]).any(dim=-1).all()


def test_the_last_prediction_depends_on_every_item_in_reach() -> None:
    net, items = random_net(dilations=(1, 2)), items_of((9,) * 6)
    before = net(items)[:, -1]
    for t in range(9):
        changed = items.clone()
        changed[:, t] = changed[:, t] % NUM_ITEMS + 1
        assert (net(changed)[:, -1] != before).any()


@pytest.mark.parametrize("tied", [False, True])
def test_shapes_and_the_padding_column(tied: bool) -> None:
    net, items = random_net(tied=tied), items_of()
    hidden, scores = net.encode(items), net(items)
    assert hidden.shape == (5, 9, 8)
    assert scores.shape == (5, 9, NUM_ITEMS + 1)
    assert (scores[..., 0] == -math.inf).all()
    assert torch.isfinite(scores[..., 1:]).all()
    torch.testing.assert_close(net.score(hidden), scores, rtol=0, atol=1e-12)


def test_score_at_equals_the_scores_at_those_positions() -> None:
    net, items = random_net(), items_of()
    where = (torch.rand(items.shape, generator=generator(2)) < 0.4) & (items > 0)
    found = net.score_at(items, where)
    assert found.shape == (int(where.sum()), NUM_ITEMS + 1)
    torch.testing.assert_close(found, net(items)[where], rtol=0, atol=1e-12)


def test_tied_weights_score_with_the_embedding_itself() -> None:
    tied, untied = random_net(tied=True), random_net()
    fewer = sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters())
    assert fewer == (NUM_ITEMS + 1) * 8
    hidden = torch.randn(4, 8, generator=generator(), dtype=torch.float64)
    per_item = tied.score(hidden)[:, 1:] - tied.score(torch.zeros_like(hidden))[:, 1:]
    torch.testing.assert_close(per_item, hidden @ tied.embedding.weight[1:].T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_padding_is_embedded_as_zero_and_stays_zero_in_training(tied: bool) -> None:
    net, items = NextItNet(NUM_ITEMS, channels=8, dilations=(1, 4, 2), tied=tied), items_of()
    assert (net.embed(items)[items == 0] == 0).all()
    assert (net.embed(items)[items > 0] != 0).all()
    real = items > 0
    nn.functional.cross_entropy(net(items)[real], items[real]).backward()
    assert (net.embedding.weight.grad[0] == 0).all()
    assert (net.embedding.weight.grad[items[real].unique()].abs().sum(dim=-1) > 0).all()


def test_a_rezero_net_starts_with_scores_that_no_block_has_touched() -> None:
    items, off = items_of(), torch.zeros(5, 3)
    rezero = NextItNet(NUM_ITEMS, channels=8, dilations=(1, 4, 2))
    plain = NextItNet(NUM_ITEMS, channels=8, dilations=(1, 4, 2), rezero=False)
    assert torch.equal(rezero(items), rezero(items, off))
    assert (plain(items) - plain(items, off))[..., 1:].abs().max() > 0.1


def test_dropout_is_for_training_only() -> None:
    net = NextItNet(NUM_ITEMS, channels=8, dilations=(1, 2), dropout=0.5, embedding_dropout=0.5)
    items = items_of()
    assert torch.equal(net.eval()(items), net(items))
    net.train()
    assert not torch.equal(net(items), net(items))


def test_dropout_falls_where_it_was_asked_for() -> None:
    items = items_of()
    on_blocks = NextItNet(NUM_ITEMS, channels=8, dilations=(1, 2), rezero=False, dropout=0.5)
    assert torch.equal(on_blocks.embed(items), on_blocks.embed(items))
    assert not torch.equal(on_blocks.encode(items), on_blocks.encode(items))
    on_embedding = NextItNet(NUM_ITEMS, channels=8, dilations=(1, 2), rezero=False, embedding_dropout=0.5)
    assert not torch.equal(on_embedding.embed(items), on_embedding.embed(items))
    hidden = torch.randn(5, 9, 8, generator=generator())
    for block in on_embedding.blocks:
        assert torch.equal(block(hidden), block(hidden))


@pytest.mark.parametrize("training", [True, False])
def test_eval_mode_is_for_the_while_whatever_happens(training: bool) -> None:
    net = random_net().train(training)

    def fail_inside() -> None:
        with in_eval_mode(net):
            assert not any(part.training for part in net.modules())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_inside()
    assert {part.training for part in net.modules()} == {training}
    with in_eval_mode(net):
        assert not net.training
    assert {part.training for part in net.modules()} == {training}


# --- gates ---


def test_no_gates_are_gates_at_one() -> None:
    net, items = random_net(), items_of()
    walked = net.embed(items)
    for block in net.blocks:
        walked = block(walked, items > 0)
    ones = torch.ones(5, 3, dtype=torch.float64)
    assert torch.equal(net.encode(items), walked)
    assert torch.equal(net.encode(items, ones), walked)
    assert torch.equal(net(items, ones), net(items))


def test_gates_at_zero_pass_the_embedding_straight_to_the_scores() -> None:
    net, items = random_net(), items_of()
    zeros = torch.zeros(5, 3)
    assert torch.equal(net.encode(items, zeros), net.embed(items))
    assert torch.equal(net(items, zeros), net.score(net.embed(items)))
    assert not torch.equal(net(items, zeros), net(items))


def test_each_row_and_block_has_its_own_gate() -> None:
    """E_adaptive^l = I_l * E^l + (1 - I_l) * E_adaptive^(l-1), row by row, for gates between 0 and 1 too."""
    net, items, gates = random_net(), items_of(), random_gates(5, 3)
    found = net.encode(items, gates)
    for row in range(5):
        hidden, mask = net.embed(items[row : row + 1]), items[row : row + 1] > 0
        for block, gate in zip(net.blocks, gates[row]):
            hidden = gate * block(hidden, mask) + (1 - gate) * hidden
        torch.testing.assert_close(found[row], hidden[0], rtol=0, atol=1e-11)


def test_gates_have_the_right_gradient() -> None:
    """Against finite differences."""
    net, items = random_net(), items_of((3, 2), 3)
    gates = random_gates(2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda g: net.encode(items, g), (gates,))


def test_float64_gates_get_a_float64_gradient_from_a_float32_net() -> None:
    net, items = random_net(), items_of()
    gradients = []
    for model in (net, random_net().float()):
        gates = random_gates(5, 3).requires_grad_()
        out = model.encode(items, gates)
        assert out.dtype == model.embedding.weight.dtype
        (out**2).sum().backward()
        gradients.append(gates.grad)
    assert gradients[1].dtype == torch.float64
    assert gradients[0].abs().min() > 0.01
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(5, 2), (5, 4), (4, 3)])
def test_gates_of_another_shape_are_refused(shape: tuple[int, int]) -> None:
    # A wrong number of rows is a matter for the type checker where one is on.
    with pytest.raises((ValueError, TypeError)):
        random_net()(items_of(), torch.ones(shape))


# --- SASRec ---


def random_sasrec(
    *, max_length: int = 7, heads: int = 2, num_blocks: int = 3, channels: int = 8, dropout: float = 0.0
) -> SASRec:
    sizes = {"max_length": max_length, "heads": heads, "num_blocks": num_blocks, "channels": channels}
    return randomise(SASRec(NUM_ITEMS, dropout=dropout, **sizes).double())


def torch_layer(block: nn.Module) -> nn.Module:
    """The attention block as torch's own layer, the norm first, with its weights."""
    width, ours = block.join.weight.shape[0], block.state_dict()
    layer = nn.TransformerEncoderLayer(
        width, block.heads, width, dropout=0.0, batch_first=True, norm_first=True
    ).double()
    names = {"norm1": "norm1", "norm2": "norm2", "self_attn.out_proj": "join", "linear1": "inner", "linear2": "outer"}
    weights = {
        f"{theirs}.{kind}": ours[f"{name}.{kind}"] for theirs, name in names.items() for kind in ("weight", "bias")
    }
    layer.load_state_dict(
        weights | {f"self_attn.in_proj_{kind}": ours[f"project.{kind}"] for kind in ("weight", "bias")}
    )
    return layer


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("max_length", [1, 4, 9, 30])
def test_sasrec_equals_torch_s_layers_on_each_row_alone(max_length: int, heads: int) -> None:
    """Position p from the right, the last place for all that is further back; the items' own embedding scores."""
    net, items = random_sasrec(max_length=max_length, heads=heads), items_of()
    found = net(items)
    for row, length in enumerate(LENGTHS):
        real = items[row, 9 - length :]
        age = [min(length - 1 - t, max_length - 1) for t in range(length)]
        hidden = (net.embedding.weight[real] + net.positions[age]).unsqueeze(0)
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        for block in net.blocks:
            hidden = torch_layer(block)(hidden, src_mask=future)
        hidden = nn.functional.layer_norm(hidden[0], (8,), net.norm.weight, net.norm.bias)
        expected = hidden @ net.embedding.weight[1:].T + net.output_bias
        assert expected.std() > 0.1
        torch.testing.assert_close(found[row, 9 - length :, 1:], expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("max_length", [4, 60])
@pytest.mark.parametrize("pads", [1, 7, 40])
def test_padding_never_changes_a_prediction_of_sasrec(pads: int, max_length: int) -> None:
    net, items = random_sasrec(max_length=max_length), items_of()
    for gates in (None, random_gates(len(items), 3)):
        real = items > 0
        before = net(items, gates)[real]
        after = net(zeros_before(items, pads), gates)[:, pads:][real]
        torch.testing.assert_close(after, before, rtol=0, atol=1e-11)


@pytest.mark.parametrize("t", [0, 3, 8])
def test_a_prediction_of_sasrec_reads_the_present_and_the_past_only(t: int) -> None:
    net, items = random_sasrec(max_length=9), items_of((9,) * 6)
    changed = items.clone()
    changed[:, t] = changed[:, t] % NUM_ITEMS + 1
    before, after = net(items), net(changed)
    assert torch.equal(after[:, :t], before[:, :t])
    assert (after[:, t:] != before[:, t:]).any(dim=-1).all()


def test_sasrec_knows_the_order_of_its_items() -> None:
    net = random_sasrec(max_length=5)
    one, other = (net(torch.tensor([order]))[0, -1, 1:] for order in ([3, 9, 1, 5], [9, 1, 3, 5]))
    assert (one - other).abs().max() > 1e-2


def test_sasrec_embeds_padding_as_zero_and_adds_a_place_to_each_item() -> None:
    net, items = random_sasrec(max_length=4), items_of()
    embedded = net.embed(items)
    assert embedded.shape == (5, 9, 8)
    assert (embedded[items == 0] == 0).all()
    for row in range(5):
        for t in range(9):
            if items[row, t]:
                expected = net.embedding.weight[items[row, t]] + net.positions[min(8 - t, 3)]
                torch.testing.assert_close(embedded[row, t], expected, rtol=0, atol=1e-15)


def test_shapes_the_padding_column_and_score_at_of_sasrec() -> None:
    net, items = random_sasrec(), items_of()
    hidden, scores = net.encode(items), net(items)
    assert hidden.shape == (5, 9, 8)
    assert scores.shape == (5, 9, NUM_ITEMS + 1)
    assert (scores[..., 0] == -math.inf).all()
    assert torch.isfinite(scores[..., 1:]).all()
    where = (torch.rand(items.shape, generator=generator(2)) < 0.4) & (items > 0)
    torch.testing.assert_close(net.score_at(items, where)[:, 1:], scores[where][:, 1:], rtol=0, atol=1e-12)


def test_gates_pass_sasrec_s_blocks_by() -> None:
    net, items = random_sasrec(), items_of()
    torch.testing.assert_close(net(items, torch.ones(5, 3)), net(items), rtol=0, atol=1e-12)
    torch.testing.assert_close(net.encode(items, torch.zeros(5, 3)), net.embed(items), rtol=0, atol=0)
    gates = random_gates(5, 3)
    hidden, mask = net.embed(items), items > 0
    for index, block in enumerate(net.blocks):
        gate = gates[:, index, None, None]
        hidden = gate * block(hidden, mask) + (1 - gate) * hidden
    torch.testing.assert_close(net.encode(items, gates), hidden, rtol=0, atol=1e-12)


def test_sasrec_says_what_it_was_made_with() -> None:
    sizes = {"num_items": 9, "channels": 4, "num_blocks": 3, "heads": 2, "max_length": 6, "dropout": 0.2}
    assert SASRec(**sizes).sizes == sizes


def test_every_parameter_of_sasrec_has_a_gradient_and_padding_none() -> None:
    net, items = random_sasrec(), items_of()
    real = items > 0
    nn.functional.cross_entropy(net(items)[real], items[real]).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    assert (net.positions.grad.abs().amax(dim=1) > 0).all()
    assert (net.embedding.weight.grad[0] == 0).all()


def test_sasrec_drops_out_in_training_only_on_the_items_and_in_every_block() -> None:
    net, items = random_sasrec(dropout=0.4), items_of()
    assert [block.dropout.p for block in net.blocks] == [0.4] * 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        embedded = net.train().embed(items)
        whole = random_sasrec().embed(items)
        dropped = (embedded == 0) & (whole != 0)
        torch.testing.assert_close(embedded[~dropped], whole[~dropped] / 0.6, rtol=1e-12, atol=0)
        real = (items > 0).sum() * 8
        assert abs(dropped.sum() / real - 0.4) < 4 * (0.24 / real) ** 0.5
        assert not torch.equal(net(items), net(items))
    assert torch.equal(net.eval()(items), random_sasrec()(items))


@pytest.mark.parametrize("wrong", [{"max_length": 0}, {"max_length": -1}, {"heads": 3}, {"heads": 0}])
def test_impossible_sizes_of_sasrec_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        random_sasrec(**wrong)


@pytest.mark.parametrize("item", [-1, NUM_ITEMS + 1])
def test_an_item_outside_the_catalogue_is_refused_by_sasrec(item: int) -> None:
    with pytest.raises(ValueError, match="items"):
        random_sasrec()(torch.tensor([[1, item]]))


# --- NFM ---


def random_nfm(hidden_layers: int = 2) -> NFM:
    return randomise(NFM(NUM_ITEMS, channels=6, hidden_layers=hidden_layers).double())


def nfm_by_loops(net: NFM, items: Tensor) -> Tensor:
    """The mean product over all pairs of real items up to each position, one pair after the other."""
    rows = []
    for row in items.tolist():
        for t in range(len(row)):
            embedded = [net.embedding.weight[item] for item in row[: t + 1] if item]
            pairs = [a * b for a, b in itertools.combinations(embedded, 2)]
            hidden = torch.stack(pairs).mean(dim=0) if pairs else torch.zeros(6, dtype=torch.float64)
            for layer in net.hidden_layers:
                hidden = (layer.weight @ hidden + layer.bias).clamp_min(0)
            rows.append(net.output.weight @ hidden + net.output.bias)
    return torch.stack(rows).view(*items.shape, NUM_ITEMS)


@pytest.mark.parametrize("hidden_layers", [0, 1, 3])
def test_nfm_equals_a_loop_over_pairs(hidden_layers: int) -> None:
    net, items = random_nfm(hidden_layers), items_of()
    assert len(net.hidden_layers) == hidden_layers
    weighted = torch.randn(5, 9, NUM_ITEMS, generator=generator(4), dtype=torch.float64)
    results = []
    for scores in (net(items)[..., 1:], nfm_by_loops(net, items)):
        gradients = torch.autograd.grad((scores * weighted).sum(), list(net.parameters()))
        results.append((scores.detach(), *gradients))
    for ours, theirs in zip(*results, strict=True):
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


def test_nfm_reads_the_past_as_a_bag_and_the_future_not_at_all() -> None:
    assert_reads_a_bag(random_nfm(), items_of((9,) * 6), NUM_ITEMS)


@pytest.mark.parametrize("pads", [1, 40])
def test_padding_never_changes_a_prediction_of_nfm(pads: int) -> None:
    net, items = random_nfm(), items_of()
    after = net(zeros_before(items, pads))[:, pads:]
    torch.testing.assert_close(after, net(items), rtol=0, atol=1e-11)
    assert (after[..., 0] == -math.inf).all()


def test_nfm_s_score_at_equals_its_scores_at_those_positions() -> None:
    assert_scores_at_are_the_scores(random_nfm(), items_of())


def test_nfm_drops_out_in_training_only_and_takes_no_negative_depth() -> None:
    net, items = NFM(NUM_ITEMS, channels=8, dropout=0.5), items_of()
    assert not torch.equal(net(items), net(items))
    net.eval()
    assert torch.equal(net(items), net(items))
    with pytest.raises(ValueError, match="hidden_layers"):
        NFM(NUM_ITEMS, hidden_layers=-1)
    for wrong in (-1, NUM_ITEMS + 1):
        with pytest.raises(ValueError, match="items must lie"):
            net(torch.tensor([[1, wrong]]))


@pytest.mark.parametrize("hidden_layers", [0, 2])
def test_nfm_drops_its_pool_and_each_hidden_layer(hidden_layers: int) -> None:
    """With a dropout of 1 nothing is left but the bias of the scores."""
    net = randomise(NFM(NUM_ITEMS, channels=6, hidden_layers=hidden_layers, dropout=1.0)).train()
    scores = net(items_of())[..., 1:]
    torch.testing.assert_close(scores, net.output.bias.expand_as(scores))


def test_nfm_s_embeddings_start_with_a_standard_deviation_of_one() -> None:
    """A pair of two standard normal numbers is about 1 in size."""
    assert NFM(500, channels=64).embedding.weight[1:].std().item() == pytest.approx(1, rel=0.05)


# --- two baselines ---

HISTORIES = ([1, 2, 3, 1, 2, 5, 4, 3], [2, 3, 2, 3, 4, 1, 1, 2], [5, 1, 6, 2, 4], [7])


def small_split() -> Split:
    return leave_one_out(histories_log(HISTORIES, num_items=8), length=8)


def training_items() -> list[list[int]]:
    """All but the last two of those who have three: item 8 is nobody's, 7 is a history of one item."""
    return [h[:-2] if len(h) > 2 else h for h in HISTORIES]


def popularity_by_hand() -> dict[int, float]:
    counts = Counter(item for history in training_items() for item in history)
    return {item: counts[item] / counts.total() for item in range(9)}


def markov_by_hand(strength: float) -> dict[int, list[float]]:
    followed: dict[int, Counter] = defaultdict(Counter)
    for history in training_items():
        for item, following in itertools.pairwise(history):
            followed[item][following] += 1
    share = popularity_by_hand()
    return {
        i: [(followed[i][j] + strength * share[j]) / (followed[i].total() + strength) for j in range(9)]
        for i in range(9)
    }


def test_popularity_is_the_share_of_the_training_items() -> None:
    items = torch.tensor([[0, 1, 5], [3, 2, 8]])
    scores = Popularity(small_split())(items)
    expected = torch.tensor([popularity_by_hand()[item] for item in range(9)], dtype=torch.float64)
    assert scores.shape == (2, 3, 9)
    assert expected[7] > 0 == expected[8]
    torch.testing.assert_close(scores.exp(), expected.expand(2, 3, 9), rtol=1e-12, atol=0)


@pytest.mark.parametrize("strength", [10.0, 0.5])
def test_the_markov_chain_equals_counting_in_dicts(strength: float) -> None:
    model = MarkovChain(small_split(), strength=strength)
    items = torch.arange(9).view(3, 3)
    expected = torch.tensor([markov_by_hand(strength)[i] for i in range(9)], dtype=torch.float64).view(3, 3, 9)
    assert (expected.std(dim=(0, 1))[1:5] > 0.01).all()
    torch.testing.assert_close(model(items).exp(), expected, rtol=1e-12, atol=1e-15)


def test_the_markov_chain_reads_the_last_item_only() -> None:
    model = MarkovChain(small_split())
    first, second = model(torch.tensor([[1, 4, 2], [5, 5, 2]]))
    assert torch.equal(first[-1], second[-1])
    assert not torch.equal(first[0], second[0])


def test_the_markov_chain_backs_off_to_popularity_where_it_has_counted_nothing() -> None:
    split = small_split()
    nothing_followed = torch.tensor([[0, 7, 8]])
    torch.testing.assert_close(
        MarkovChain(split)(nothing_followed), Popularity(split)(nothing_followed), rtol=0, atol=1e-12
    )


def window_by_hand(history: list[int], reach: int, last: int, damp: float, fade: float) -> list[float]:
    """Scores after a history: pairs counted one by one, rows added one by one."""
    counted: dict[tuple[int, int], float] = defaultdict(float)
    for sequence in training_items():
        for place, item in enumerate(sequence):
            for steps in range(1, reach + 1):
                if place + steps < len(sequence):
                    counted[item, sequence[place + steps]] += 1 / steps**fade
    ratings, share = Counter(itertools.chain(*training_items())), popularity_by_hand()
    scores = [1e-6 * share[j] for j in range(9)]
    for age, item in enumerate(reversed(history[-last:])):
        total = sum(count for (i, _), count in counted.items() if i == item)
        for j in range(9):
            scores[j] += counted[item, j] / (total + 10) / (ratings[j] + 5) ** damp / (age + 1) ** fade
    return [-math.inf, *scores[1:]]


@pytest.mark.parametrize(
    "settings", [(20, 10, 0.3, 0.5), (1, 1, 0.0, 0.5), (2, 3, 0.0, 0.0), (3, 2, 1.0, 2.0), (4, 1, 0.3, 0.0)], ids=str
)
def test_the_window_counter_equals_counting_pair_by_pair(settings: tuple[int, int, float, float]) -> None:
    model, histories = WindowCounter(small_split(), *settings), [[1, 2, 3, 4], [5, 5, 2, 1], [7, 8, 8, 3]]
    expected = [[window_by_hand(history[: t + 1], *settings) for t in range(4)] for history in histories]
    found = model(torch.tensor(histories))
    assert found.shape == (3, 4, 9)
    assert len({tuple(row) for rows in expected for row in rows}) > 4
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("length", [1, 7, 40])
def test_padding_on_the_left_changes_nothing_that_the_window_counter_says(length: int) -> None:
    model, items = WindowCounter(small_split(), last=3), torch.tensor([[1, 4, 2], [5, 3, 2]])
    padded = torch.cat([torch.zeros(2, length, dtype=torch.int64), items], dim=1)
    torch.testing.assert_close(model(padded)[:, length:], model(items), rtol=0, atol=0)


def test_the_window_counter_reads_its_last_items_and_no_later_one() -> None:
    model = WindowCounter(small_split(), last=2)
    first, second = model(torch.tensor([[1, 4, 2, 3], [5, 4, 2, 1]]))
    assert torch.equal(first[2], second[2])  # the last two are the same
    assert not torch.equal(first[1], second[1])


@pytest.mark.parametrize("kind", [Popularity, MarkovChain])
def test_a_baseline_s_probabilities_sum_to_one_and_padding_has_none(kind: type) -> None:
    scores = kind(tiny_split())(torch.arange(16).view(1, 16))
    torch.testing.assert_close(scores.exp().sum(dim=-1), torch.ones(1, 16, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (scores[..., 0] == -math.inf).all()
    assert torch.isfinite(scores[..., 1:]).all()


@pytest.mark.parametrize("kind", [Popularity, MarkovChain, WindowCounter])
def test_a_baseline_s_score_at_equals_its_scores_at_those_positions(kind: type) -> None:
    model, items = kind(tiny_split()), random_items((6, 3, 5), 6, 15)
    where = torch.tensor([[0, 0, 1, 0, 1, 1], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]]).bool()
    found = model.score_at(items, where)
    assert found.shape == (4, 16)
    assert torch.equal(found, model(items)[where])
    assert model.score_at(items, torch.zeros_like(where)).shape == (0, 16)


# --- MovieLens-100K: the tie order is pinned by what it does to the counts ---


@pytest.fixture(scope="module")
def movielens() -> Interactions:
    return load_movielens()


@pytest.fixture(scope="module")
def one_out(movielens: Interactions) -> Split:
    return leave_one_out(movielens)


@pytest.fixture(scope="module")
def last_ten(movielens: Interactions) -> Split:
    return last_n(movielens, 10)


def ties_by_descending_item(data: Interactions) -> Interactions:
    table = data.table.sort_values(["user", "timestamp", "item"], ascending=[True, True, False])
    return dataclasses.replace(data, table=table)


def ndcg_at_10(model: nn.Module, split: Split, *, exclude_seen: bool = False) -> float:
    return evaluate(model, split.test, (10,), exclude_seen=exclude_seen)["ndcg@10"]


def markov_by_pandas(ties_by_descending_item: bool, exclude_seen: bool, strength: float = 10.0) -> float:
    """NDCG@10 of the last item of each user, from the file of ratings alone: nothing of the package is called."""
    log = pd.read_csv(data_folder() / "ml-100k" / "ratings.csv")
    if ties_by_descending_item:
        log = log.sort_values(["user", "timestamp", "item"], ascending=[True, True, False])
    else:
        log = log.reset_index(names="line").sort_values(["user", "timestamp", "line"])
    log["left"] = log.groupby("user").cumcount(ascending=False)  # 0 = test, 1 = validation
    training = log[log["left"] >= 2].copy()
    training["next"] = training.groupby("user")["item"].shift(-1)
    followed = training.dropna().astype({"next": int}).groupby(["item", "next"]).size()
    items = pd.Index(sorted(log["item"].unique()))
    share = training["item"].value_counts(normalize=True).reindex(items, fill_value=0.0)
    gains = []
    for _, history in log.groupby("user"):
        *past, last, target = history["item"]
        scores = strength * share
        if last in followed.index:
            scores = scores.add(followed[last], fill_value=0)
        if exclude_seen:
            scores = scores.drop([*past, last])
        rank = (scores >= scores[target]).sum()
        gains.append(1 / math.log2(rank + 1) if rank <= 10 else 0.0)
    return sum(gains) / len(gains)


@pytest.mark.parametrize(
    ("descending", "exclude_seen", "expected"),
    [(False, False, 0.0552), (False, True, 0.0766), (True, False, 0.0937), (True, True, 0.1239)],
)
def test_the_markov_chain_on_movielens_equals_a_computation_in_pandas(
    movielens: Interactions, descending: bool, exclude_seen: bool, expected: float
) -> None:
    """Leave-one-out, with ties in file order or by descending item id, what was seen in the ranking or not."""
    split = leave_one_out(ties_by_descending_item(movielens) if descending else movielens)
    found = ndcg_at_10(MarkovChain(split), split, exclude_seen=exclude_seen)
    assert found == pytest.approx(expected, abs=5.1e-5)
    assert found == pytest.approx(markov_by_pandas(descending, exclude_seen), rel=1e-9)


@pytest.mark.parametrize(("exclude_seen", "expected"), [(False, 0.02197), (True, 0.04321)])
def test_popularity_on_movielens_leave_one_out(one_out: Split, exclude_seen: bool, expected: float) -> None:
    assert ndcg_at_10(Popularity(one_out), one_out, exclude_seen=exclude_seen) == pytest.approx(expected, abs=5e-5)


def test_markov_chain_on_movielens_last_ten(last_ten: Split) -> None:
    assert ndcg_at_10(MarkovChain(last_ten), last_ten) == pytest.approx(0.05596, abs=5e-5)


@pytest.mark.parametrize(("exclude_seen", "expected"), [(False, 0.0800), (True, 0.1130)])
def test_the_window_counter_on_movielens_last_ten(last_ten: Split, exclude_seen: bool, expected: float) -> None:
    """As a dense table of counts found it before this class was."""
    assert ndcg_at_10(WindowCounter(last_ten), last_ten, exclude_seen=exclude_seen) == pytest.approx(expected, abs=5e-5)


def test_ordering_ties_by_item_id_alone_lifts_the_markov_chain(
    movielens: Interactions, one_out: Split, last_ten: Split
) -> None:
    """Why ties stay in file order: half of the ratings are tied, and sorting those by id shows what comes next."""
    other = ties_by_descending_item(movielens)
    for honest, split in ((one_out, leave_one_out(other)), (last_ten, last_n(other, 10))):
        found = ndcg_at_10(MarkovChain(split), split)
        assert found > ndcg_at_10(MarkovChain(honest), honest) + 0.02


# --- errors ---


@pytest.mark.parametrize("item", [-1, NUM_ITEMS + 1])
def test_an_item_outside_the_catalogue_is_refused(item: int) -> None:
    net = NextItNet(15, channels=4, dilations=(1,))
    split = tiny_split()
    wrong = torch.tensor([[1, item if item < 0 else 16, 2]])
    for model in (net, Popularity(split), MarkovChain(split)):
        with pytest.raises(ValueError, match=r"items must lie in 0 \.\.\. 15"):
            model(wrong)


def test_a_catalogue_without_items_is_refused() -> None:
    with pytest.raises(ValueError, match="num_items"):
        NextItNet(0)


def test_the_first_scores_have_a_spread_of_one_by_the_root_of_the_width() -> None:
    """With ReZero the embeddings meet the output weights directly: their scale decides how training starts."""
    for tied in (False, True):
        scores = NextItNet(500, channels=64, tied=tied)(torch.arange(1, 501).view(10, 50))[..., 1:]
        others = scores[~torch.eye(500, dtype=torch.bool).view(10, 50, 500)]
        assert others.std().item() == pytest.approx(64**-0.5, rel=0.1)


def test_made_up_users_are_learnable() -> None:
    """The walk that other tests train on: the baseline that counts finds it."""
    split = tiny_split()
    markov, popularity = (
        evaluate(kind(split), split.test, (1,), exclude_seen=False)["hr@1"] for kind in (MarkovChain, Popularity)
    )
    assert markov > 3 * popularity
    assert np.concatenate(split.sequences).max() == 15

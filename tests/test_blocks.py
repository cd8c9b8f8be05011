import pytest
import torch
from helpers import generator, plain_copy, random_items, randomise
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_lite.backbones import AttentionBlock, NextItNet
from skiprec_lite.blocks import CausalConv1d, Dropout, ResidualBlock, receptive_field

KERNELS_AND_DILATIONS = [(1, 1), (2, 1), (3, 1), (3, 2), (3, 4), (5, 3), (3, 11), (3, 12), (3, 50)]


def random_hidden(batch: int = 3, time: int = 12, channels: int = 6, *, seed: int = 3) -> Tensor:
    return torch.randn(batch, time, channels, generator=generator(seed), dtype=torch.float64)


def random_conv(channels: int, kernel_size: int, dilation: int) -> CausalConv1d:
    return randomise(CausalConv1d(channels, kernel_size, dilation).double())


def random_block(dilation: int = 1, *, rezero: bool = True, kernel_size: int = 3, channels: int = 6) -> ResidualBlock:
    return randomise(ResidualBlock(channels, kernel_size, dilation, rezero=rezero).double())


def torch_convolution(hidden: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Causal by hand: torch's own convolution after (kernel - 1) * dilation zeros on the left."""
    padded = F.pad(hidden.transpose(1, 2), ((weight.shape[-1] - 1) * dilation, 0))
    return F.conv1d(padded, weight, bias, dilation=dilation).transpose(1, 2)


# --- the convolution ---


@pytest.mark.parametrize(("kernel_size", "dilation"), KERNELS_AND_DILATIONS)
def test_the_convolution_equals_torch_s_after_left_padding(kernel_size: int, dilation: int) -> None:
    conv = random_conv(6, kernel_size, dilation)
    results = []
    for function in (conv, lambda h: torch_convolution(h, conv.weight, conv.bias, dilation)):
        hidden = random_hidden().requires_grad_()
        out = function(hidden)
        gradients = torch.autograd.grad((out * random_hidden(seed=4)).sum(), [hidden, conv.weight, conv.bias])
        results.append((out.detach(), *gradients))
    for ours, theirs in zip(*results):
        assert ours.shape == theirs.shape
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kernel_size", "dilation"), [(3, 1), (2, 2), (3, 4)])
def test_the_convolution_equals_its_specification(kernel_size: int, dilation: int) -> None:
    """y[t] = bias + sum over j of W_j x[t - j * dilation], last tap of the weight = the present."""
    conv, hidden = random_conv(4, kernel_size, dilation), random_hidden(2, 6, 4)
    expected = torch.zeros_like(hidden)
    for row in range(2):
        for t in range(6):
            expected[row, t] = conv.bias.detach()
            for j in range(kernel_size):
                if t - j * dilation >= 0:
                    expected[row, t] += conv.weight.detach()[:, :, kernel_size - 1 - j] @ hidden[row, t - j * dilation]
    torch.testing.assert_close(conv(hidden).detach(), expected, rtol=0, atol=1e-12)


def test_the_weight_has_conv1d_s_layout_under_a_name_that_ends_in_weight() -> None:
    conv, like = CausalConv1d(4, 5, 2), nn.Conv1d(4, 4, 5)
    shapes = {name: p.shape for name, p in conv.named_parameters()}
    assert len(shapes) == 2
    assert [shape for name, shape in shapes.items() if name.endswith("weight")] == [like.weight.shape]
    assert like.bias.shape in shapes.values()


def test_the_convolution_starts_at_conv1d_s_scale() -> None:
    conv = CausalConv1d(64, 3)
    bound = (64 * 3) ** -0.5
    for parameter in conv.parameters():
        assert 0.8 * bound < parameter.abs().max() <= bound


@pytest.mark.parametrize("time", [1, 2, 5])
def test_a_sequence_shorter_than_the_reach_is_convolved(time: int) -> None:
    conv, hidden = random_conv(4, 3, 4), random_hidden(2, time, 4)
    torch.testing.assert_close(conv(hidden), torch_convolution(hidden, conv.weight, conv.bias, 4), rtol=0, atol=1e-12)


# --- the residual block ---


@pytest.mark.parametrize("rezero", [True, False])
@pytest.mark.parametrize("with_mask", [True, False])
@pytest.mark.parametrize(("kernel_size", "dilation"), [(3, 1), (3, 4), (2, 3), (3, 9)])
def test_a_block_equals_one_made_of_torch_s_layers(
    kernel_size: int, dilation: int, with_mask: bool, rezero: bool
) -> None:
    block = random_block(dilation, rezero=rezero, kernel_size=kernel_size)
    mask = torch.arange(12) >= torch.tensor([[0], [5], [11]]) if with_mask else None
    results = []
    for model in (block, plain_copy(block, dilation, kernel_size)):
        hidden = random_hidden().requires_grad_()
        out = model(hidden, mask)
        names, parameters = zip(*sorted(model.named_parameters()))
        gradients = torch.autograd.grad((out * random_hidden(seed=4)).sum(), [hidden, *parameters])
        results.append((out.detach(), *gradients))
    assert len(names) == 8 + rezero
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        assert theirs.abs().max() > 1e-3
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_a_rezero_block_starts_as_the_identity_and_a_plain_one_does_not() -> None:
    hidden = random_hidden().float()
    assert torch.equal(ResidualBlock(6)(hidden), hidden)
    assert (ResidualBlock(6, rezero=False)(hidden) - hidden).abs().mean() > 0.1


def test_a_rezero_block_at_its_start_has_a_gradient_for_its_scalar_only() -> None:
    block = ResidualBlock(6).double()
    (block(random_hidden()) * random_hidden(seed=4)).sum().backward()
    for name, parameter in block.named_parameters():
        assert (parameter.grad.abs().max() > 0) == (parameter.numel() == 1), name


@pytest.mark.parametrize("rezero", [True, False])
def test_what_stands_at_padding_is_not_read(rezero: bool) -> None:
    block, hidden = random_block(2, rezero=rezero), random_hidden()
    mask = torch.arange(12) >= torch.tensor([[0], [5], [11]])
    garbage = torch.where(mask.unsqueeze(-1), hidden, 1e3 * random_hidden(seed=8))
    assert torch.equal(block(garbage, mask)[mask], block(hidden, mask)[mask])


def test_dropout_falls_on_the_branch_in_training_only() -> None:
    block = randomise(ResidualBlock(6, dropout=0.5, dilation=2).double())
    hidden = random_hidden()
    whole = plain_copy(block, 2)(hidden) - hidden
    torch.testing.assert_close(block.eval()(hidden) - hidden, whole, rtol=0, atol=1e-12)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dropped = block.train()(hidden) - hidden
    zero = dropped.abs() < 1e-12
    torch.testing.assert_close(dropped[~zero], 2 * whole[~zero], rtol=0, atol=1e-12)
    assert 0.3 < zero[whole.abs() > 1e-12].double().mean() < 0.7


# --- who reads whom ---


@pytest.mark.parametrize("t", [0, 5, 11])
def test_a_convolution_reads_the_present_and_the_past_only(t: int) -> None:
    conv, hidden = random_conv(6, 3, 2), random_hidden()
    changed = hidden.clone()
    changed[:, t] += 1
    before, after = conv(hidden), conv(changed)
    assert torch.equal(after[:, :t], before[:, :t])
    differs = (after != before).any(dim=-1).all(dim=0).nonzero().flatten().tolist()
    assert differs == [s for s in (t, t + 2, t + 4) if s < 12]


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("t", [0, 4, 29])
def test_a_block_reads_the_present_and_the_past_only(t: int, dilation: int) -> None:
    block, hidden = random_block(dilation, channels=16), random_hidden(4, 30, 16)
    changed = hidden.clone()
    changed[:, t] += torch.randn(16, generator=generator(1), dtype=torch.float64)
    before, after = block(hidden), block(changed)
    assert torch.equal(after[:, :t], before[:, :t])
    differs = (after != before).any(dim=-1).any(dim=0).nonzero().flatten().tolist()
    assert differs == [t + j * dilation for j in range(7) if t + j * dilation < 30]


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize("dilations", [(1,), (2, 1), (1, 4), (1, 2, 4), (5,)])
def test_the_receptive_field_is_where_the_gradient_reaches(dilations: tuple[int, ...], kernel_size: int) -> None:
    reach = receptive_field(dilations, kernel_size)
    blocks = [
        randomise(ResidualBlock(16, kernel_size, d, rezero=False).double(), seed=s) for s, d in enumerate(dilations)
    ]
    inputs = random_hidden(4, reach + 5, 16).requires_grad_()
    hidden = inputs
    for block in blocks:
        hidden = block(hidden)
    (hidden[:, -1] * random_hidden(4, 1, 16, seed=5)[:, 0]).sum().backward()
    read = (inputs.grad != 0).any(dim=-1).any(dim=0).nonzero().flatten()
    assert inputs.shape[1] - int(read.min()) == reach


@pytest.mark.parametrize("dilations", [(1,), (1, 4), (1, 2, 2)])
def test_the_receptive_field_of_a_whole_net(dilations: tuple[int, ...]) -> None:
    """Changing the oldest item in reach changes the last output, changing the one before it does not."""
    reach = receptive_field(dilations)
    net = randomise(NextItNet(40, channels=16, dilations=dilations).double())
    items = torch.randint(1, 41, (8, reach + 3), generator=generator())
    before = net.encode(items)[:, -1]
    for back, read in ((reach, False), (reach - 1, True), (0, True)):  # how far before the last position
        changed = items.clone()
        changed[:, -1 - back] = changed[:, -1 - back] % 40 + 1
        assert bool((net.encode(changed)[:, -1] != before).any()) == read


def test_receptive_fields_worked_by_hand() -> None:
    assert receptive_field([]) == 1
    assert receptive_field((1,)) == 7
    assert receptive_field((1, 4)) == 31
    assert receptive_field((1, 4) * 2) == 61
    assert receptive_field((1, 2), kernel_size=1) == 1


def test_the_only_single_numbers_of_a_nextitnet_are_one_rezero_scalar_a_block() -> None:
    dilations = (1, 4, 1, 2)
    net = NextItNet(9, channels=8, dilations=dilations)
    single = [p for p in net.parameters() if p.numel() == 1]
    assert [p.item() for p in single] == [0.0] * len(dilations)
    for block in net.blocks:
        assert sum(p.numel() == 1 for p in block.parameters()) == 1
    assert not [p for p in NextItNet(9, channels=8, rezero=False).parameters() if p.numel() == 1]


@pytest.mark.parametrize("sizes", [(0, 3, 1), (4, 0, 1), (4, 3, 0), (4, 3, -2)])
def test_sizes_below_one_are_refused(sizes: tuple[int, int, int]) -> None:
    for kind in (CausalConv1d, ResidualBlock):
        with pytest.raises(ValueError, match="at least 1"):
            kind(*sizes)
    if sizes[0]:
        with pytest.raises(ValueError, match="at least 1"):
            receptive_field((1, sizes[2]), sizes[1])


# --- the attention block ---

HEADS = (1, 2, 3)


def random_attention(heads: int = 2, *, dropout: float = 0.0) -> AttentionBlock:
    return randomise(AttentionBlock(6, heads, dropout=dropout).double())


def padded_mask() -> Tensor:
    """Three rows of 12, 7 and 1 real items."""
    return random_items((12, 7, 1), 12, 5) > 0


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("with_mask", [False, True])
def test_attention_equals_torch_s_scaled_dot_product(heads: int, with_mask: bool) -> None:
    """At every position, padding included: there a position reads itself, and what is real before it."""
    block, mask = random_attention(heads), padded_mask() if with_mask else None
    may_read = torch.ones(12, 12, dtype=torch.bool).tril().expand(3, 12, 12)
    if mask is not None:
        may_read = (may_read & mask.unsqueeze(1)) | torch.eye(12, dtype=torch.bool)
    results = []
    for ours in (True, False):
        hidden = random_hidden().requires_grad_()
        if ours:
            out = block.attend(hidden, mask)
        else:
            width = 6 // heads
            parts = hidden @ block.project.weight.T + block.project.bias
            q, k, v = (parts[..., 6 * i : 6 * i + 6].view(3, 12, heads, width).transpose(1, 2) for i in range(3))
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=may_read.unsqueeze(1))
            out = out.transpose(1, 2).reshape(3, 12, 6) @ block.join.weight.T + block.join.bias
        weights = [hidden, *block.project.parameters(), *block.join.parameters()]
        results.append((out, *torch.autograd.grad((out * random_hidden(seed=4)).sum(), weights)))
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("heads", HEADS)
def test_attention_equals_torch_s_module_of_the_same_weights(heads: int) -> None:
    """nn.MultiheadAttention has no say at padded positions: whoever has nothing to read gets NaN there."""
    block, mask, hidden = random_attention(heads), padded_mask(), random_hidden()
    theirs = nn.MultiheadAttention(6, heads, batch_first=True).double()
    named = {"in_proj_weight": block.project.weight, "in_proj_bias": block.project.bias}
    theirs.load_state_dict(named | {"out_proj.weight": block.join.weight, "out_proj.bias": block.join.bias})
    future = torch.ones(12, 12, dtype=torch.bool).triu(1)
    expected, _ = theirs(hidden, hidden, hidden, attn_mask=future, key_padding_mask=~mask, need_weights=False)
    torch.testing.assert_close(block.attend(hidden, mask)[mask], expected[mask], rtol=0, atol=1e-12)


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("with_mask", [False, True])
def test_an_attention_block_equals_torch_s_layer_of_the_same_weights(heads: int, with_mask: bool) -> None:
    """nn.TransformerEncoderLayer with the norm first."""
    block, hidden = random_attention(heads), random_hidden()
    mask = padded_mask() if with_mask else torch.ones(3, 12, dtype=torch.bool)
    layer = nn.TransformerEncoderLayer(6, heads, dim_feedforward=6, dropout=0.0, batch_first=True, norm_first=True)
    layer = layer.double()
    names = {
        "norm1": "norm1", "norm2": "norm2", "self_attn.out_proj": "join", "linear1": "inner", "linear2": "outer",
    }  # fmt: skip
    ours = block.state_dict()
    weights = {
        f"{theirs}.{kind}": ours[f"{name}.{kind}"] for theirs, name in names.items() for kind in ("weight", "bias")
    }
    weights |= {f"self_attn.in_proj_{kind}": ours[f"project.{kind}"] for kind in ("weight", "bias")}
    layer.load_state_dict(weights)
    future = torch.ones(12, 12, dtype=torch.bool).triu(1)
    expected = layer(hidden, src_mask=future, src_key_padding_mask=~mask)
    found = block(hidden, mask if with_mask else None)
    assert found.shape == (3, 12, 6)
    torch.testing.assert_close(found[mask], expected[mask], rtol=0, atol=1e-12)


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("t", [0, 5, 11])
def test_attention_reads_the_present_and_the_past_only(t: int, with_mask: bool) -> None:
    block, hidden = random_attention(), random_hidden()
    mask = torch.ones(3, 12, dtype=torch.bool) if with_mask else None
    changed = hidden.clone()
    changed[:, t] += 1.0
    changed[:, t, 0] -= 3.0  # a shift of all channels alone would be undone by the norm
    before, after = block(hidden, mask), block(changed, mask)
    assert torch.equal(after[:, :t], before[:, :t])
    assert ((after - before)[:, t:].abs().amax(dim=-1) > 1e-6).all()


@pytest.mark.parametrize("heads", HEADS)
def test_what_stands_at_padding_is_attended_to_by_nobody(heads: int) -> None:
    block, mask, hidden = random_attention(heads), padded_mask(), random_hidden()
    other = torch.where(mask.unsqueeze(-1), hidden, 100 * random_hidden(seed=9))
    assert torch.equal(block(other, mask)[mask], block(hidden, mask)[mask])
    assert not torch.equal(block(other)[mask], block(hidden)[mask])
    for row, length in enumerate((12, 7, 1)):
        alone = block(hidden[row : row + 1, 12 - length :])
        torch.testing.assert_close(block(hidden, mask)[row : row + 1, 12 - length :], alone, rtol=0, atol=1e-12)


def test_a_row_of_padding_alone_stays_finite_forwards_and_backwards() -> None:
    block, hidden = random_attention(), random_hidden().requires_grad_()
    out = block(hidden, torch.zeros(3, 12, dtype=torch.bool))
    assert torch.isfinite(out).all()
    assert torch.isfinite(torch.autograd.grad(out.sum(), hidden)[0]).all()


def test_every_parameter_of_an_attention_block_has_a_gradient() -> None:
    block = random_attention()
    (block(random_hidden(), padded_mask()) * random_hidden(seed=4)).sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad.abs().max() > 1e-6, name


def test_an_attention_block_drops_weights_both_branches_and_what_is_between_the_layers() -> None:
    block, shapes = random_attention(heads=2, dropout=0.4), []
    block.dropout.register_forward_hook(lambda _, inputs, out: shapes.append((tuple(out.shape), inputs[0], out)))
    hidden = random_hidden()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(block.train()(hidden), block(hidden))
        assert [shape for shape, _, _ in shapes[:4]] == [(3, 2, 12, 12), *[(3, 12, 6)] * 3]
        weights, attended, inner, outer = (before for _, before, _ in shapes[:4])
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2, 12).double(), rtol=0, atol=1e-12)
        assert (inner >= 0).all()
        assert attended.min() < 0
        assert outer.min() < 0
        shapes.clear()
        assert torch.equal(block.eval()(hidden), random_attention(heads=2)(hidden))
        assert all(torch.equal(before, after) for _, before, after in shapes)


@pytest.mark.parametrize("heads", [0, -1, 4, 12])
def test_heads_that_cannot_share_the_channels_are_refused(heads: int) -> None:
    with pytest.raises(ValueError, match="heads"):
        AttentionBlock(6, heads)


# --- dropout ---


def test_dropout_keeps_a_share_of_the_numbers_and_their_mean() -> None:
    torch.manual_seed(0)
    hidden = torch.full((200, 50, 20), 3.0)
    out = Dropout(0.3)(hidden)
    assert out.shape == hidden.shape
    kept = out != 0
    assert torch.allclose(out[kept], torch.tensor(3.0 / 0.7))
    error = (0.3 * 0.7 / kept.numel()) ** 0.5
    assert abs(float(kept.double().mean()) - 0.7) < 5 * error
    neighbours = (kept[:, 1:] & kept[:, :-1]).double().mean()  # independent from one position to the next
    assert abs(float(neighbours) - 0.49) < 10 * error


def test_the_gradient_of_dropout_passes_where_a_number_was_kept() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(40, 50, requires_grad=True)
    out = Dropout(0.4)(hidden)
    (gradient,) = torch.autograd.grad(out.sum(), hidden)
    assert torch.equal(gradient, torch.where(out == 0, 0.0, 1 / (1 - 0.4)).to(gradient.dtype))
    assert 0 < int((out == 0).sum()) < out.numel()


def test_dropout_leaves_everything_in_eval_mode_and_at_0_and_nothing_at_1() -> None:
    hidden = torch.randn(3, 5)
    assert Dropout(0.5).eval()(hidden) is hidden
    assert Dropout(0.0)(hidden) is hidden
    assert torch.equal(Dropout(1.0)(hidden), torch.zeros(3, 5))


def test_dropout_hangs_on_the_global_stream_alone() -> None:
    hidden, dropout = torch.randn(4, 30), Dropout(0.5)
    state = torch.get_rng_state()
    first, second = dropout(hidden), dropout(hidden)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(dropout(hidden), first)
    assert dropout(hidden.double()).dtype == torch.float64

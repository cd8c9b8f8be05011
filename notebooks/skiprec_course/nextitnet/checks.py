"""Checks of what lesson 06 builds: the causal convolution, the residual block, NextItNet and how it is trained."""

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import Check, Trial
from skiprec_course.parameters import by_kind, fill, is_tensor, same_parameter_gradients
from skiprec_lite.backbones import Backbone, NextItemModel, NextItNet
from skiprec_lite.blocks import CausalConv1d, ResidualBlock
from skiprec_lite.choosing import History
from skiprec_lite.metrics import ndcg, rank_of_target
from skiprec_lite.windows import Split, Windows

__all__ = [
    "check_Backbone",
    "check_CausalConv1d",
    "check_NextItNet",
    "check_ResidualBlock",
    "check_fit",
    "check_next_item_loss",
    "check_receptive_field",
]


def who_reads_whom(module: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    """[t, s]: whether output t depends on input s, by the gradient. A shape that is not as it should be: nobody."""
    leaf = hidden.clone().requires_grad_()
    out = module(leaf)
    each = out.pow(2).sum(dim=(0, 2))
    rows = [torch.autograd.grad(one, leaf, retain_graph=True, allow_unused=True)[0] for one in each]
    nothing = torch.zeros_like(hidden)
    return torch.stack([((nothing if row is None else row).abs() > 1e-12).any(dim=2).any(dim=0) for row in rows])


def steps_back(reads: Tensor) -> list[int]:
    """How far back the last output reads."""
    last = len(reads) - 1
    return [last - s for s in range(last, -1, -1) if reads[last, s]]


# --- CausalConv1d ---


def _causal_conv1d(trial: Trial) -> None:
    with trial.of_the_answer(4):
        default, fresh = trial.answer(4), trial.answer(4, 3, 2)
    _starts_at_random(trial, fresh)
    sizes = ((2, 9, 4, 3, 2), (1, 6, 3, 2, 1), (3, 5, 2, 1, 3), (1, 1, 4, 3, 1), (2, 4, 3, 3, 5), (2, 6, 5, 3, 1))
    for *shape, kernel_size, dilation in sizes:
        hidden = trial.normal(*shape, dtype=torch.float64)
        _convolves(trial, hidden, kernel_size=kernel_size, dilation=dilation)
    hidden = trial.normal(2, 6, 4)
    found = trial.call(default, hidden)
    trial.require(found.dtype == torch.float32, f"given float32 it returned {found.dtype}", "convert the result back")
    _reads_the_right_steps(trial, default.double(), hidden.double())


def _convolves(trial: Trial, hidden: Tensor, **given: int) -> None:
    """One size: shape, who reads whom, values, gradients."""
    channels = hidden.shape[-1]
    with trial.of_the_answer(hidden, **given):
        module = _conv(trial, trial.answer, channels, **given)
    is_tensor(trial, trial.call(module, hidden), hidden.shape,
              "as many positions out as in: (kernel_size - 1) * dilation zeros go to the left",
              hidden, **given)  # fmt: skip
    if hidden.shape[1] > 1:
        _reads_the_right_steps(trial, module, hidden, **given)
    make = lambda of: lambda x, **sizes: _conv(trial, of, channels, **sizes)(x)
    trial.same_results(make, hidden, gradients=True, **given)
    modules = module, _conv(trial, trial.reference, channels, **given)
    same_parameter_gradients(trial, lambda m: m(hidden), modules)


def _conv(trial: Trial, of: Any, channels: int, **sizes: int) -> nn.Module:
    layout = "use nn.Conv1d's layout: (channels out, channels in, tap)"
    causes = {
        "convolution weight": "keep all taps in one weight of shape (channels, channels, kernel_size)",
        "convolution weight's shape": layout, "bias": "one bias for each channel",
        "linear weight": "keep all taps in one weight of shape (channels, channels, kernel_size)",
    }  # fmt: skip
    return fill(trial, of(channels, **sizes), CausalConv1d(channels, **sizes), causes=causes, **sizes)


def _reads_the_right_steps(trial: Trial, module: nn.Module, hidden: Tensor, **given: int) -> None:
    """Nobody reads the future, and the last output reads 0, d, 2 d, … steps back."""
    kernel_size, dilation = given.get("kernel_size", 3), given.get("dilation", 1)
    with trial.of_the_answer(hidden, **given):
        reads = who_reads_whom(module, hidden)
    time = len(reads)
    future = reads.triu(1).nonzero().tolist()
    if future:
        t, s = future[0]
        around = not reads.triu(1)[(kernel_size - 1) * dilation :].any() and reads[-1, -1]
        cause = ("the end of the row came round to its beginning: shift with zeros, not with torch.roll" if around
                 else "zeros on both sides, or a flipped shift: put all zeros on the left")  # fmt: skip
        trial.fail(f"output {t} reads input {s}: it sees the future", cause, hidden, **given)
    expected = [j * dilation for j in range(kernel_size) if j * dilation < time]
    found = steps_back(reads)
    if found == expected:
        return
    cause = ""
    if found == [j for j in range(kernel_size) if j < time]:
        cause = "the dilation has no effect: tap j reads j * dilation steps back"
    elif found == [j * (dilation + 1) for j in range(kernel_size) if j * (dilation + 1) < time]:
        cause = "the gaps are one too wide: dilation 1 leaves no gap, tap j reads j * dilation steps back"
    elif found and found[0] > 0:
        cause = "the shift is off: the present itself is not read"
    elif len(found) < len(expected):
        cause = "a tap is missing"
    elif len(found) > len(expected):
        cause = "more is read than kernel_size taps"
    trial.fail(f"the last output reads {', '.join(map(str, found)) or 'no'} steps back, expected "
               f"{', '.join(map(str, expected))}", cause, hidden, **given)  # fmt: skip


def _starts_at_random(trial: Trial, module: Any) -> None:
    if not isinstance(module, nn.Module):
        return  # `fill` will say so
    for weight in by_kind(module).get("convolution weight", []):
        fine = bool(weight.isfinite().all()) and 0 < float(weight.detach().std()) < 10
        trial.require(fine, "the fresh weight is constant or not finite",
                      "start from small random numbers, those of nn.Conv1d for example")  # fmt: skip


def _mistaken_conv(forward: Callable[[Tensor, Tensor, Any, int], Tensor]) -> type[nn.Module]:
    """A convolution with the right parameters and this forward(hidden, weight, bias, dilation)."""

    class Mistaken(CausalConv1d):
        def forward(self, hidden: Tensor) -> Tensor:
            return forward(hidden, self.weight, self.bias, self.dilation)

    return Mistaken


def _padded(hidden: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """The right convolution, from torch's."""
    left = (weight.shape[-1] - 1) * dilation
    return F.conv1d(F.pad(hidden.mT, (left, 0)), weight, bias, dilation=dilation).mT


def _padded_later(hidden: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    out = F.conv1d(hidden.mT, weight, bias, dilation=dilation)
    return F.pad(out, (hidden.shape[1] - out.shape[-1], 0)).mT


def _bias_with_each_tap(hidden: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    out = torch.zeros_like(hidden)
    for tap in range(weight.shape[-1]):
        shift = min(tap * dilation, hidden.shape[1])
        past = F.linear(hidden[:, : hidden.shape[1] - shift], weight[:, :, -1 - tap], bias)
        out = out + F.pad(past, (0, 0, shift, 0))
    return out


check_CausalConv1d = Check(
    part="blocks.CausalConv1d",
    task="A module with the parameters `weight`, (channels, channels, kernel_size), in the layout of nn.Conv1d, and "
    "`bias`, (channels,): later cells use these names. Its forward takes hidden, (batch, time, channel), and returns "
    "the same shape: y[t] = bias + sum over j of W_j x[t - j * dilation], with x = 0 before the start. The last "
    "tap of the weight is the present.",
    hints=(
        "For one tap, all positions at once are one linear map of the sequence, moved to the right. Add up the taps.",
        "Tap j moves j * dilation steps to the right, with zeros in the gap; the weight of tap j is "
        "`weight[:, :, -1 - j]`. What is moved beyond the end is lost: cut it off before the linear map.",
        "Or let torch do it: nn.Conv1d wants (batch, channel, time), and `F.pad` with zeros on the left only, "
        "(kernel_size - 1) * dilation of them, makes it causal.",
    ),
    body=_causal_conv1d,
    minutes=20,
    difficulty=3,
    mistakes={
        "the taps are reversed: the last tap of the weight is the present":
            _mistaken_conv(lambda x, w, b, d: _padded(x, w.flip(-1), b, d)),
        "the weight is transposed: its first axis is the channels that come out":
            _mistaken_conv(lambda x, w, b, d: _padded(x, w.transpose(0, 1), b, d)),
        "the taps are reversed and the weight is transposed":
            _mistaken_conv(lambda x, w, b, d: _padded(x, w.transpose(0, 1).flip(-1), b, d)),
        "the bias is added with each tap: it belongs to the sum, once":
            _mistaken_conv(lambda x, w, b, d: _padded(x, w, w.shape[-1] * b, d)),
        "the bias is added with each tap: it belongs to the sum, once, where a tap falls before the start too":
            _mistaken_conv(_bias_with_each_tap),
        "the bias is missing": _mistaken_conv(lambda x, w, b, d: _padded(x, w, None, d)),
        "the zeros stand before the output: they belong before the input, and the first outputs read what there is":
            _mistaken_conv(_padded_later),
        "each channel reads itself only: a tap is a whole matrix":
            _mistaken_conv(lambda x, w, b, d: _padded(x, w * torch.eye(len(b), dtype=x.dtype)[..., None], b, d)),
        "there is a ReLU behind it: the block adds that": _mistaken_conv(lambda x, w, b, d: _padded(x, w, b, d).relu()),
    },
)  # fmt: skip


# --- ResidualBlock ---


def _residual_block(trial: Trial) -> None:
    hidden = trial.normal(3, 8, 6, dtype=torch.float64)
    mask = torch.arange(8) >= torch.tensor([[0], [3], [7]])
    _one_number_more(trial)
    for kernel_size, dilation, rezero in ((3, 1, True), (2, 3, False), (3, 2, True), (1, 2, True)):
        _adds_its_branch(trial, hidden, mask, kernel_size=kernel_size, dilation=dilation, rezero=rezero)
    _starts_as_the_identity(trial, hidden)
    _drops_the_branch(trial, hidden)
    with trial.of_the_answer(6):
        default = trial.answer(6)
        found = default(hidden.float(), mask)
    trial.require(found.dtype == torch.float32, f"given float32 it returned {found.dtype}", "convert the result back")
    fill(trial, default, trial.reference(6), causes=_CAUSES)


def _adds_its_branch(trial: Trial, hidden: Tensor, mask: Tensor, **given: Any) -> None:
    """One size: shape, who reads whom, values and gradients, with and without a mask.

    With a mask only real positions count: what stands at padding is not read there, and nobody reads it later.
    """
    with trial.of_the_answer(hidden, **given):
        module = _block(trial, trial.answer, 6, **given)
    is_tensor(trial, trial.call(module, hidden), hidden.shape, "same shape in and out", hidden, **given)
    if given["dilation"] == 1:
        _reads_as_a_block(trial, module, **given)
    plain = lambda of: lambda x, **sizes: _block(trial, of, 6, **sizes)(x)
    trial.same_results(plain, hidden, gradients=True, **given)
    is_tensor(trial, trial.call(module, hidden, mask), hidden.shape, "same shape in and out", hidden, mask, **given)
    masked = lambda of: lambda x, mask, **sizes: _block(trial, of, 6, **sizes)(x, mask)[mask]
    trial.same_results(masked, hidden, mask, gradients=True, **given)
    modules = module, _block(trial, trial.reference, 6, **given)
    same_parameter_gradients(trial, lambda m: m(hidden, mask)[mask], modules)


_CAUSES = {
    "scale": "with rezero=True one parameter of one number, with rezero=False none",
    "convolution weight": "two convolutions, conv1 and conv2",
    "LayerNorm weight": "two of nn.LayerNorm(channels), one behind each convolution",
    "LayerNorm weight's shape": "nn.LayerNorm(channels): it normalises the channels of one position",
}


def _block(trial: Trial, of: Any, channels: int, **sizes: Any) -> nn.Module:
    return fill(trial, of(channels, **sizes), ResidualBlock(channels, **sizes), causes=_CAUSES, **sizes)


def _one_number_more(trial: Trial) -> None:
    """ReZero's scale is one number of its own."""
    numbers = {}
    for rezero in (True, False):
        with trial.of_the_answer(6, rezero=rezero):
            block = trial.answer(6, rezero=rezero)
        if not isinstance(block, nn.Module):
            trial.fail(f"found {describe(block)}, expected a torch.nn.Module", "", 6, rezero=rezero)
        numbers[rezero] = sum(p.numel() for p in block.parameters())
    more = numbers[True] - numbers[False]
    trial.require(more != 0, "rezero=True and False have the same number of parameters",
                  "ReZero's scale is missing, or no nn.Parameter: one number that starts at 0")  # fmt: skip
    trial.require(more == 1, f"rezero=True adds {more} numbers to the parameters, expected 1",
                  "the scale is one number for the whole block, not one per channel")  # fmt: skip


def _starts_as_the_identity(trial: Trial, hidden: Tensor) -> None:
    found = {}
    for rezero in (True, False):
        with trial.of_the_answer(hidden, rezero=rezero):
            block = trial.answer(6, rezero=rezero).double().eval()
        found[rezero] = trial.call(block, hidden)
    trial.require(not difference(found[True], hidden), "a fresh block with rezero=True is not the identity",
                  "the scale has to start at 0, so that nothing is added at first", hidden, rezero=True)  # fmt: skip
    trial.require(bool(difference(found[False], hidden)), "a fresh block with rezero=False is the identity",
                  "without ReZero the branch is added as it is", hidden, rezero=False)  # fmt: skip


def _reads_as_a_block(trial: Trial, module: nn.Module, **given: Any) -> None:
    """Nobody reads the future, and the steps back that are read are those of two convolutions, d and 2 d."""
    hidden = trial.normal(8, 13, 6, dtype=torch.float64)
    with trial.of_the_answer(hidden, **given):
        found = who_reads_whom(module, hidden)
    expected = who_reads_whom(_block(trial, trial.reference, 6, **given), hidden)
    future = found.triu(1).nonzero().tolist()
    if future:
        t, s = future[0]
        over_time = bool(found[0].all())
        cause = ("a norm over time (or over whole rows) reads all positions: normalise the channels of one position"
                 if over_time else "a convolution has zeros on both sides: put all of them on the left")  # fmt: skip
        trial.fail(f"output {t} reads input {s}: it sees the future", cause, hidden, **given)
    back, wanted = steps_back(found), steps_back(expected)
    if back == wanted:
        return
    dilation, taps = given["dilation"], range(given["kernel_size"])
    causes = {
        tuple(sorted({i * dilation + j * dilation for i in taps for j in taps})): "both convolutions have the dilation "
        "d: the second one has 2 d",
        tuple(i * dilation for i in taps): "only the first convolution counts: the second one, of dilation 2 d, reads "
        "what the first one made",
        tuple(2 * i * dilation for i in taps): "only the second convolution counts",
        (0,): "no convolution counts",
    }
    trial.fail(f"the last output reads {', '.join(map(str, back)) or 'no'} steps back, expected 0 to {wanted[-1]}",
               causes.get(tuple(back), ""), hidden, **given)  # fmt: skip


def _drops_the_branch(trial: Trial, hidden: Tensor) -> None:
    given = {"rezero": False, "dropout": 0.5}
    with trial.of_the_answer(hidden, **given):
        module = _block(trial, trial.answer, 6, **given)
    branch = trial.call(module, hidden) - hidden
    with trial.of_the_answer(hidden, **given):
        added = module.train()(hidden) - hidden
    near = lambda a, b: (a - b).abs() < 1e-9
    trial.require(not near(added, branch).all(), "in training mode dropout=0.5 drops nothing",
                  "put nn.Dropout(dropout) on the branch", hidden, **given)  # fmt: skip
    right = (near(added, 0) | near(added, 2 * branch)).all()
    on_all = (near(added + hidden, 0) | near(added + hidden, 2 * (hidden + branch))).all()
    trial.require(right, "in training mode what is added is not the branch with some of its numbers dropped",
                  "the dropout hits the sum: hidden itself must come through" if on_all
                  else "the dropout belongs to the end of the branch", hidden, **given)  # fmt: skip


def _mistaken_block(what: str) -> type[nn.Module]:
    """A block with the right parameters and one thing wrong."""

    class Mistaken(ResidualBlock):
        def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
            one = hidden.new_ones(1)
            real = one if mask is None else mask.unsqueeze(-1).to(hidden.dtype)
            real = 1 - real if what == "inverted" and mask is not None else real
            at = {"first": (1, 0), "second": (0, 1), "none": (0, 0)}
            before1, before2 = (real if on else one for on in at.get(what, (1, 1)))
            norms: list[nn.Module] = [self.norm2, self.norm1] if what == "swapped" else [self.norm1, self.norm2]
            norm1, norm2 = [nn.Identity(), nn.Identity()] if what == "no norms" else norms
            if what == "norm after":
                branch = norm1(self.conv1(hidden * before1).relu())
                branch = norm2(self.conv2(branch * before2).relu())
            elif what == "norm first":
                branch = self.conv1(norm1(hidden * before1).relu() * before1)
                branch = self.conv2(norm2(branch).relu() * before2)
            else:
                branch = norm1(self.conv1(hidden * before1))
                branch = branch if what == "one relu" else branch.relu()
                if what == "residual twice":
                    branch = branch + hidden
                branch = norm2(self.conv2(branch * before2))
                branch = branch if what in ("relu of the sum", "no last relu") else branch.relu()
            scale = one if self.scale is None or what == "no scale" else self.scale
            if what == "relu of the sum":
                return (hidden + scale * branch).relu()
            if what == "no residual":
                return scale * branch
            if what == "residual doubled":
                return 2 * hidden + scale * branch
            if what == "all scaled":
                return scale * (hidden + branch)
            if what == "between":
                return (1 - scale) * hidden + scale * branch
            return hidden + scale * branch

    return Mistaken


check_ResidualBlock = Check(
    part="blocks.ResidualBlock",
    task="A module with the parts conv1, norm1, conv2, norm2 (later cells use these names): causal convolutions of "
    "dilations d and 2 d, nn.LayerNorm over the channels. forward(hidden, mask=None) returns hidden + scale * branch, "
    "the branch being conv, norm, ReLU, conv, norm, ReLU, dropout. rezero=True: scale is a parameter of shape (1,) "
    "that starts at 0; False: there is none. mask is True at real items: no convolution may read what stands at "
    "padding.",
    hints=(
        "Write the branch without mask and dropout first: six steps, two of them convolutions. Then add it to hidden.",
        "`nn.LayerNorm(channels)` works on the last axis, which is the channels: no transpose is needed. ReZero's "
        "number is `nn.Parameter(torch.zeros(1))`.",
        "After the first bias, norm and ReLU a padded position is not 0 any more. So there are two places where the "
        "mask, as (batch, time, 1), has to be multiplied in.",
    ),
    body=_residual_block,
    minutes=20,
    difficulty=3,
    mistakes={
        "the mask is missing before the second convolution: bias, norm and ReLU fill padding again, so that one on "
        "input and output is not enough": _mistaken_block("first"),
        "the mask is missing before the first convolution": _mistaken_block("second"),
        "the mask has no effect, or comes too late, on the output: multiply it in before each convolution":
            _mistaken_block("none"),
        "the mask is inverted: it is True at real items": _mistaken_block("inverted"),
        "the residual is missing: hidden itself has to be added": _mistaken_block("no residual"),
        "the residual is added twice": _mistaken_block("residual doubled"),
        "the residual is added inside the branch too: only once, at the end": _mistaken_block("residual twice"),
        "the scale multiplies the sum: it belongs to the branch only": _mistaken_block("all scaled"),
        "the scale mixes hidden and branch: hidden is added as it is": _mistaken_block("between"),
        "the scale has no effect: multiply the branch by it": _mistaken_block("no scale"),
        "the norm stands behind the ReLU: conv, norm, ReLU is the order": _mistaken_block("norm after"),
        "the norm stands before the convolution: conv, norm, ReLU is the order": _mistaken_block("norm first"),
        "the norms are missing": _mistaken_block("no norms"),
        "the two norms are swapped": _mistaken_block("swapped"),
        "the ReLU behind the first norm is missing": _mistaken_block("one relu"),
        "the ReLU behind the second norm is missing": _mistaken_block("no last relu"),
        "the last ReLU is taken of the sum: it belongs to the branch": _mistaken_block("relu of the sum"),
    },
)  # fmt: skip


# --- receptive_field ---


def _receptive_field(trial: Trial) -> None:
    for dilations in ([2, 8, 5], (1, 4), [1, 2, 4, 8], (3, 3, 3), (1, 4) * 4, [1], ()):
        trial.same(dilations)
        for kernel_size in (5, 2, 1):
            trial.same(dilations, kernel_size)
    trial.same([2, 7], kernel_size=4)


check_receptive_field = Check(
    part="blocks.receptive_field",
    task="How many positions, itself included, one output of a stack of residual blocks can read. Each block has two "
    "convolutions of kernel_size taps, of dilations d and 2 d. Return a whole number.",
    hints=(
        "How many steps back does one convolution of dilation d read? And two, one behind the other?",
        "Steps add up along the stack. Count the present position too.",
        "One block: (k - 1) d steps from its first convolution and (k - 1) 2 d from its second. Sum over the blocks.",
    ),
    body=_receptive_field,
    minutes=5,
    difficulty=1,
    mistakes={
        "the second convolution of each block is forgotten: it adds (kernel_size - 1) * 2 d":
            lambda dilations, kernel_size=3: 1 + (kernel_size - 1) * sum(dilations),
        "the second convolution has the dilation 2 d, not d":
            lambda dilations, kernel_size=3: 1 + (kernel_size - 1) * 2 * sum(dilations),
        "off by one: these are the steps back, the position itself is one more":
            lambda dilations, kernel_size=3: (kernel_size - 1) * 3 * sum(dilations),
        "off by one: k taps reach k - 1 steps back, since the first one is the present":
            lambda dilations, kernel_size=3: 1 + kernel_size * 3 * sum(dilations),
        "the present is counted once more for each block": lambda dilations, kernel_size=3: sum(
            1 + (kernel_size - 1) * 3 * d for d in dilations
        ),
        "you multiply along the stack: paths multiply, steps back add up":
            lambda dilations, kernel_size=3: math.prod(1 + (kernel_size - 1) * 3 * d for d in dilations),
        "you multiply along the stack: taps multiply as paths, steps back add up":
            lambda dilations, kernel_size=3: kernel_size ** len(dilations),
        "you multiply along the stack: taps multiply as paths, and steps back add up":
            lambda dilations, kernel_size=3: kernel_size ** (2 * len(dilations)),
        "this is the reach of the longest dilation only: each block adds to it":
            lambda dilations, kernel_size=3: 1 + (kernel_size - 1) * 3 * max(dilations),
        "the kernel size is taken to be 3": lambda dilations, kernel_size=3: 1 + 6 * sum(dilations),
        "the dilations have no effect": lambda dilations, kernel_size=3: 1 + (kernel_size - 1) * 2 * len(dilations),
        "the dilations have no effect: a block adds (kernel_size - 1) * 3 d":
            lambda dilations, kernel_size=3: 1 + (kernel_size - 1) * 3 * len(dilations),
    },
)  # fmt: skip


# --- Backbone ---

ITEMS = 11  # different from all other sizes, so that each parameter is known by its shape


def _backbone(trial: Trial) -> None:
    if not issubclass(trial.answer, nn.Module):
        trial.fail("the class is not a torch.nn.Module", "derive it from nn.Module")
    parts = nn.ModuleList([nn.Embedding(ITEMS + 1, 4), *(ResidualBlock(4, dilation=d) for d in (1, 2, 1))])
    small = _small(fill(trial, parts, parts, ITEMS))
    walk = lambda of: lambda items, **gates: small(of).encode(items, *gates.values())[items > 0]
    gates_first = lambda of: lambda gates, items: small(of).encode(items, gates)[items > 0]  # to compare their gradient
    for lengths, width in (([3, 2, 1], 3), ([6, 1, 4, 5], 6), ([2], 2)):
        items, rows = trial.histories(ITEMS, lengths, width), len(lengths)
        gates = torch.rand(rows, 3, generator=trial.generator, dtype=torch.float64)
        with trial.of_the_answer(items):
            hidden = small(trial.answer).encode(items)
        is_tensor(trial, hidden, (*items.shape, 4), "one hidden state for each position", items)
        trial.same_results(walk, items)
        for some in (gates, torch.zeros_like(gates), (gates > 0.5).double()):
            trial.same_results(walk, items, gates=some)
        trial.same_results(gates_first, gates, gradients=True, items=items)
        _forward_and_score_at(trial, small, items, gates)


def _small(parts: Any) -> Callable[[Any], Any]:
    """Makes a small backbone on a base: it embeds, has three blocks and scores. Only real positions are compared."""

    def small(base: Any) -> Any:
        class Small(base):
            def __init__(self) -> None:
                super().__init__()
                own = copy.deepcopy(parts)
                self.embedding: nn.Embedding = own[0]
                self.blocks: nn.ModuleList = own[1:]
                self.sizes: dict[str, object] = {}

            def embed(self, items: Tensor) -> Tensor:
                return self.embedding(items)

            def score(self, hidden: Tensor) -> Tensor:
                return F.pad(hidden @ self.embedding.weight[1:].T, (1, 0), value=-torch.inf)

        return Small().eval()

    return small


def _forward_and_score_at(trial: Trial, small: Callable[[Any], Any], items: Tensor, gates: Tensor) -> None:
    with trial.of_the_answer(items, gates):
        model = small(trial.answer)
        every, some = model(items), model(items, gates)
    is_tensor(trial, every, (*items.shape, ITEMS + 1), "at each position forward scores all items", items)
    expected = small(trial.reference)
    real = items > 0
    for found, theirs, what in (
        (every, expected(items), "forward(items)"),
        (some, expected(items, gates), "forward(items, gates)"),
    ):
        problem = difference(found[real], theirs[real])
        cause = "score what encode returned for the same items and gates"
        if problem and not difference(found[real], expected(items)[real]):
            cause = "the gates are not handed on from forward to encode"
        trial.require(not problem, f"{what}: {problem}", cause, items)
    where = real & (torch.rand(items.shape, generator=trial.generator) < 0.6)
    where[0, -1] = True
    if len(items) > 1:
        where[1, -1] = False  # neither all rows nor the last position only
    with trial.of_the_answer(items, where):
        found = model.score_at(items, where)
        with_cut = model.score_at(items, where, torch.zeros(len(items), dtype=torch.int64))
    is_tensor(trial, found, (int(where.sum()), ITEMS + 1), "for each True of `where` score_at returns one row",
              items, where)  # fmt: skip
    problem = difference(found, expected(items)[where]) or difference(with_cut, found)
    trial.require(not problem, f"score_at: {problem}", "the rows follow `where`, row by row; `cut` has no effect here",
                  items, where)  # fmt: skip


def _mistaken_walk(step: Callable) -> type[nn.Module]:
    """A backbone whose walk does this at each block: step(hidden, out, gates, index, first)."""

    class Mistaken(Backbone):
        def encode(self, items: Tensor, gates: Tensor | None = None) -> Tensor:
            first = hidden = self.embed(items)
            for index, block in enumerate(self.blocks):
                out = block(hidden, items > 0)
                hidden = out if gates is None else step(hidden, out, gates, index, first)
            return hidden

    return Mistaken


def _mistaken_mask(mask: Callable[[Tensor], Tensor | None]) -> type[nn.Module]:
    class Mistaken(Backbone):
        def encode(self, items: Tensor, gates: Tensor | None = None) -> Tensor:
            hidden = self.embed(items)
            for index, block in enumerate(self.blocks):
                out = block(hidden, mask(items))
                hidden = out if gates is None else torch.lerp(hidden, out, gates[:, index, None, None])
            return hidden

    return Mistaken


def _mistaken_blocks(chosen: slice, *, same_input: bool = False) -> type[nn.Module]:
    class Mistaken(Backbone):
        def encode(self, items: Tensor, gates: Tensor | None = None) -> Tensor:
            first = hidden = self.embed(items)
            for index, block in list(enumerate(self.blocks))[chosen]:
                out = block(first if same_input else hidden, items > 0)
                hidden = out if gates is None else torch.lerp(hidden, out, gates[:, index, None, None])
            return hidden

    return Mistaken


def _mix(hidden: Tensor, out: Tensor, gate: Tensor) -> Tensor:
    return gate * out + (1 - gate) * hidden


check_Backbone = Check(
    part="backbones.Backbone",
    task="A base class: whoever derives from it brings `embed`, `blocks` and `score`. encode(items, gates=None) walks "
    "through the blocks, each called as block(hidden, mask), mask True at real items; with gates, (batch, block), "
    "each block's output is mixed with what went in: I * out + (1 - I) * hidden. forward(items, gates=None) scores "
    "what encode returns. NextItemModel brings score_at, which scores the chosen positions of what encode returns.",
    hints=(
        "Without gates encode is four lines: embed, make the mask, send hidden through each block, return it.",
        "A gate is one number for a row and a block: `gates[:, index]`, with two more axes so that it fits "
        "(batch, time, channel).",
        "Gate 1 takes the block's output, gate 0 the block's input, which is the hidden state so far. "
        "`torch.lerp(hidden, out, gate)` is that mixture.",
    ),
    body=_backbone,
    minutes=15,
    difficulty=2,
    mistakes={
        "the mask is not handed to the blocks": _mistaken_mask(lambda items: None),
        "the mask is inverted: it is True at real items": _mistaken_mask(lambda items: items == 0),
        "the last block is left out": _mistaken_blocks(slice(0, -1)),
        "the first block is left out": _mistaken_blocks(slice(1, None)),
        "the blocks come in reverse order": _mistaken_blocks(slice(None, None, -1)),
        "each block reads the embedding: it has to read what the block before it made":
            _mistaken_blocks(slice(None), same_input=True),
        "the gate is inverted: 1 takes the block's output, 0 passes its input on":
            _mistaken_walk(lambda h, out, gates, i, first: _mix(out, h, gates[:, i, None, None])),
        "the gate multiplies the block's whole output: at 0 nothing is left, where hidden should go on":
            _mistaken_walk(lambda h, out, gates, i, first: gates[:, i, None, None] * out),
        "to the whole of hidden gate * out is added: hidden has the weight 1 - gate":
            _mistaken_walk(lambda h, out, gates, i, first: h + gates[:, i, None, None] * out),
        "at gate 0 the embedding comes back: it should be the hidden state so far":
            _mistaken_walk(lambda h, out, gates, i, first: _mix(first, out, gates[:, i, None, None])),
        "the gates have no effect, or an if asks whether they are 0: numbers between 0 and 1 have to mix":
            _mistaken_walk(lambda h, out, gates, i, first: out),
        "a gate is taken by time instead of by block":
            _mistaken_walk(lambda h, out, gates, i, first: _mix(h, out, gates[:, :, None])),
        "a gate is taken by row instead of by block: index the second axis of gates":
            _mistaken_walk(lambda h, out, gates, i, first: _mix(h, out, gates[i][:, None, None])),
        "every row gets the first row's gates":
            _mistaken_walk(lambda h, out, gates, i, first: _mix(h, out, gates[0, i])),
        "every block gets the first block's gate":
            _mistaken_walk(lambda h, out, gates, i, first: _mix(h, out, gates[:, :1, None])),
        "the gates are taken in reverse order":
            _mistaken_walk(lambda h, out, gates, i, first: _mix(h, out, gates[:, -1 - i, None, None])),
        "the gates are rounded (or asked by an if): numbers between 0 and 1 have to mix, and to get a gradient":
            _mistaken_walk(lambda h, out, gates, i, first: _mix(h, out, (gates[:, i, None, None] > 0.5).to(out.dtype))),
        "no gradient reaches the gates: something detaches them":
            _mistaken_walk(lambda h, out, gates, i, first: _mix(h, out, gates.detach()[:, i, None, None])),
        "only half of the gate's gradient arrives: one of gate and 1 - gate is detached":
            _mistaken_walk(lambda h, out, gates, i, first: gates[:, i, None, None] * out
                           + (1 - gates.detach()[:, i, None, None]) * h),
    },
)  # fmt: skip


# --- NextItNet ---


def _next_it_net(trial: Trial) -> None:
    several: tuple[dict[str, Any], ...] = (
        {"channels": 4, "dilations": (2, 1)},
        {"channels": 4, "dilations": (2, 1, 4), "kernel_size": 2, "rezero": False},
        {"channels": 4, "dilations": [3, 1], "tied": True},
    )
    for sizes in several:
        items = trial.histories(ITEMS, [7, 2, 5], 7)
        gates = torch.rand(3, len(sizes["dilations"]), generator=trial.generator, dtype=torch.float64)
        _scores(trial, items, gates, **sizes)
    with trial.of_the_answer(ITEMS):
        _net(trial, trial.answer)  # the default sizes
    _starts_as_it_should(trial)
    _drops(trial)


def _scores(trial: Trial, items: Tensor, gates: Tensor, **sizes: Any) -> None:
    """One size: shape, column 0, values with and without gates at real positions, gradients."""
    with trial.of_the_answer(ITEMS, **sizes):
        model = _net(trial, trial.answer, **sizes)
    scores = trial.call(model, items)
    is_tensor(
        trial, scores, (*items.shape, ITEMS + 1), "a column for each item and, before them, one for padding", items
    )
    _padding_is_ruled_out(trial, scores, **sizes)
    real = items > 0
    trial.same_results(lambda of: lambda x, **given: _net(trial, of, **given)(x)[real], items, **sizes)
    gated = lambda of: lambda gates, **given: _net(trial, of, **given)(items, gates)[real]
    trial.same_results(gated, gates, gradients=True, **sizes)
    where = torch.zeros_like(real)
    where[[0, 0, 2], [1, 6, 4]] = True
    with trial.of_the_answer(items, where, **sizes):
        found = model.score_at(items, where)
    problem = difference(found, scores[where])
    trial.require(not problem, f"score_at: {problem}", "score has to take (scored, channels) as well", items, **sizes)
    modules = model, _net(trial, trial.reference, **sizes)
    same_parameter_gradients(trial, lambda m: m(items)[real], modules, ITEMS)


def _net(trial: Trial, of: Any, **sizes: Any) -> Any:
    causes = {
        "convolution weight": "one ResidualBlock for each dilation, in an nn.ModuleList: a plain list hides its "
        "parameters, and one block used twice is one block",
        "convolution weight's shape": "hand channels and kernel_size on to the blocks",
        "scale": "hand rezero on to the blocks",
        "embedding": "self.embedding is an nn.Embedding(num_items + 1, channels)",
        "embedding's shape": "one row for each item and one for padding: num_items + 1, each of `channels` numbers",
        "output weight": "with tied=True the embedding's own weight scores, no copy of it and no other; with "
        "tied=False a parameter of (num_items + 1, channels) does",
        "output bias": "self.output_bias, (num_items,): one number for each item",
    }
    return fill(trial, of(ITEMS, **sizes), NextItNet(ITEMS, **sizes), ITEMS, causes, **sizes)


def _padding_is_ruled_out(trial: Trial, scores: Tensor, **given: Any) -> None:
    first, rest = scores.detach()[..., 0], scores.detach()[..., 1:]
    cause = ("the -inf is in another column: pad the bias on the left" if rest.isinf().any()
             else "padding could be recommended: give column 0 the bias -inf")  # fmt: skip
    trial.require((first == -torch.inf).all(), f"column 0 has the score {float(first.flatten()[0]):.4g}, expected -inf",
                  cause, **given)  # fmt: skip


def _starts_as_it_should(trial: Trial) -> None:
    """Padding embeds to 0; items with the standard deviation that keeps the first scores of a tied net small."""
    with trial.of_the_answer(300, channels=16, dilations=[1]):
        fresh = trial.answer(300, channels=16, dilations=[1])
        embedded = fresh.embed(torch.tensor([[0, 0], *([i, i + 1] for i in range(1, 300))])).detach()
    is_tensor(trial, embedded, (300, 2, 16), "what embed returns is (batch, time, channel)")
    trial.require((embedded[0] == 0).all(), "embed does not turn padding into a vector of zeros",
                  "use padding_idx=0 of nn.Embedding, and initialise the other rows only")  # fmt: skip
    spread = float(embedded[1:, 0].std())
    trial.require(abs(spread / 0.25 - 1) < 0.2, f"with 16 channels a fresh embedding has the standard deviation "
                  f"{spread:.3g}, expected 0.25", "draw the items' rows with channels**-0.5")  # fmt: skip


def _drops(trial: Trial) -> None:
    """Both kinds of dropout reach what they are for, in training mode only."""
    items = trial.histories(ITEMS, [7, 7], 7)
    sizes: dict[str, Any] = {"channels": 4, "dilations": (1, 2), "rezero": False}
    with trial.of_the_answer(items, embedding_dropout=0.5):
        model = _net(trial, trial.answer, **sizes, embedding_dropout=0.5)
        plain, dropped = model.embed(items).detach(), model.train().embed(items).detach()
    trial.require(bool(difference(dropped, plain)), "in training mode embedding_dropout=0.5 drops nothing",
                  "let embed drop numbers of the embedded items: nn.Dropout(embedding_dropout)", items)  # fmt: skip
    with trial.of_the_answer(items, dropout=0.5):
        model = _net(trial, trial.answer, **sizes, dropout=0.5)
        plain, dropped = model.encode(items).detach(), model.train().encode(items).detach()
        embedded = difference(model.embed(items).detach(), model.eval().embed(items).detach())
    trial.require(bool(difference(dropped, plain)), "in training mode dropout=0.5 drops nothing",
                  "hand dropout on to the blocks", items)  # fmt: skip
    trial.require(not embedded, "dropout=0.5 drops numbers of the embedding",
                  "dropout is for the blocks, embedding_dropout for the embedding", items)  # fmt: skip


def _mistaken_net(score: Callable[[NextItNet, Tensor], Tensor] | None = None, **changed: Callable) -> type[nn.Module]:
    """A NextItNet with this score, or with sizes changed before they are used."""

    class Mistaken(NextItNet):
        def __init__(self, num_items: int, **sizes: Any) -> None:
            super().__init__(
                num_items, **{name: changed[name](v) if name in changed else v for name, v in sizes.items()}
            )

        def score(self, hidden: Tensor) -> Tensor:
            return super().score(hidden) if score is None else score(self, hidden)

    return Mistaken


def _linear(net: NextItNet, hidden: Tensor, bias: Tensor | None) -> Tensor:
    scores = hidden @ net.output_weight[1:].T
    return F.pad(scores if bias is None else scores + bias, (1, 0), value=-torch.inf)


check_NextItNet = Check(
    part="backbones.NextItNet",
    task="Derive from Backbone; the parts are `embedding` (num_items + 1 rows: row 0 is padding and stays 0, the "
    "others start with standard deviation channels**-0.5), `embedding_dropout`, `blocks` (a ResidualBlock for each "
    "dilation), "
    "`output_weight` (num_items + 1, channels; with tied=True the embedding's own) and `output_bias` (num_items). "
    "embed embeds and drops; score is one linear map, with column 0, padding, at -inf.",
    hints=(
        "`item_embedding(num_items, channels)` is the embedding, and `nn.ModuleList` makes a list of blocks known to "
        "`parameters()`.",
        "score: `F.linear` takes (…, channels), a weight of (columns, channels) and a bias of (columns,). Where can "
        "the -inf of column 0 come from?",
        "The bias has one number for each item; padded on the left with -inf it has one for each column. Tied: let "
        "output_weight be the embedding's weight itself.",
    ),
    body=_next_it_net,
    minutes=20,
    difficulty=3,
    mistakes={
        "the output bias is missing in the scores": _mistaken_net(lambda n, h: _linear(n, h, None)),
        "the output bias belongs to the next item's column": _mistaken_net(
            lambda n, h: _linear(n, h, n.output_bias.roll(1))
        ),
        "there is a softmax on the scores: the loss takes it later": _mistaken_net(
            lambda n, h: F.pad(_linear(n, h, n.output_bias)[..., 1:].softmax(-1), (1, 0), value=-torch.inf)
        ),
        "there is a log-softmax on the scores: the loss takes it later": _mistaken_net(
            lambda n, h: _linear(n, h, n.output_bias).log_softmax(-1)
        ),
        "there is a ReLU on the last hidden states": _mistaken_net(lambda n, h: _linear(n, h.relu(), n.output_bias)),
        "the dilations have no effect: each block takes its own": _mistaken_net(dilations=lambda d: (1,) * len(d)),
        "every block has the first dilation: each takes its own": _mistaken_net(dilations=lambda d: (d[0],) * len(d)),
        "the dilations come in reverse order": _mistaken_net(dilations=lambda d: tuple(d)[::-1]),
        "the embedding scores although tied=False": _mistaken_net(
            lambda n, h: F.pad(h @ n.embedding.weight[1:].T + n.output_bias, (1, 0), value=-torch.inf)
        ),
    },
)  # fmt: skip


# --- next_item_loss ---


class _Sums(NextItemModel):
    """Scores are sums of a table's rows over the history so far: causal, and all of it hangs on one tensor."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table
        self.blocks = nn.ModuleList()

    def encode(self, items: Tensor) -> Tensor:
        return (self.table[items] * (items > 0).unsqueeze(-1)).cumsum(dim=1)

    def score(self, hidden: Tensor) -> Tensor:
        return F.pad(hidden[..., 1:], (1, 0), value=-torch.inf)

    def forward(self, items: Tensor) -> Tensor:
        return self.score(self.encode(items))

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        return self(items)[where]


def _batch(trial: Trial, lengths: list[int], width: int, scored: int | None = None, num_items: int = 9) -> Windows:
    """Windows of these lengths whose every real position is scored, or only the last few."""
    both = trial.histories(num_items, [n + 1 for n in lengths], width + 1)
    items, targets = both[:, :-1].clone(), both[:, 1:].masked_fill(both[:, :-1] == 0, 0)
    if scored is not None:
        targets[:, : width - scored] = 0
    return Windows(items, targets, torch.full((len(items),), width - 1), torch.arange(len(items)))


def _next_item_loss(trial: Trial) -> None:
    several = (([3, 3], 3, None), ([5, 1, 3], 6, None), ([4, 2, 4], 4, 2), ([2], 2, 1))
    for lengths, width, scored in several:
        batch = _batch(trial, lengths, width, scored)
        table = trial.normal(10, 10, dtype=torch.float64)
        what: dict[str, Any] = {"items": batch.items, "targets": batch.targets}
        with trial.of_the_answer(**what):
            loss = trial.answer(_Sums(table.clone().requires_grad_()), batch)
        if type(loss) is float or (type(loss) is Tensor and not loss.requires_grad):
            trial.fail("the loss has no gradient", "return the tensor itself: no .item(), .detach() or torch.no_grad()")
        is_tensor(trial, loss, (), "one number: the mean over all scored positions", **what)
        trial.same_results(_loss_of(table), **what)
        trial.same_results(_gradient_of, table, gradients=True, **what)


def _loss_of(table: Tensor) -> Callable[[Callable], Callable]:
    return lambda of: lambda **given: _gradient_of(of)(table, **given)


def _gradient_of(of: Callable) -> Callable:
    """The same with the model's table as an argument, so that the gradients at it are compared."""

    def loss(table: Tensor, *, items: Tensor, targets: Tensor) -> Tensor:
        rows = len(items)
        return of(_Sums(table), Windows(items, targets, torch.full((rows,), items.shape[1] - 1), torch.arange(rows)))

    return loss


def _each(model: Any, batch: Windows, scored: Tensor | None = None, targets: Tensor | None = None) -> Tensor:
    """The loss of each scored position."""
    scored = batch.scored() if scored is None else scored
    targets = batch.targets if targets is None else targets
    return F.cross_entropy(model(batch.items)[scored], targets[scored], reduction="none")


def _by_row(model: Any, batch: Windows) -> Tensor:
    rows = [_each(model, batch.rows(slice(i, i + 1))) for i in range(len(batch))]
    return torch.stack([row.mean() for row in rows if len(row)]).mean()


def _padding_counted_as_zero(model: Any, batch: Windows) -> Tensor:
    return _each(model, batch).sum() / batch.targets.numel()


def _last_only(model: Any, batch: Windows) -> Tensor:
    last = torch.zeros_like(batch.items, dtype=torch.bool)
    last[:, -1] = True
    return _each(model, batch, last).mean()


def _shifted(model: Any, batch: Windows) -> Tensor:
    scores, targets = model(batch.items)[:, :-1], batch.targets[:, 1:]
    return F.cross_entropy(scores[targets > 0], targets[targets > 0])


def _reading_targets(model: Any, batch: Windows) -> Tensor:
    return F.cross_entropy(model(batch.targets)[batch.scored()], batch.targets[batch.scored()])


def _of_chances(model: Any, batch: Windows) -> Tensor:
    return F.cross_entropy(model(batch.items)[batch.scored()].softmax(dim=-1), batch.targets[batch.scored()])


def _squashed(model: Any, batch: Windows) -> Tensor:
    chances = model(batch.items)[batch.scored()].softmax(dim=-1)
    return -chances.gather(1, batch.targets[batch.scored()].unsqueeze(1)).mean()


check_next_item_loss = Check(
    part="stages.next_item_loss",
    task="The cross-entropy of the next item over all items, as one number with a gradient: the mean over every scored "
    "position of the batch, `batch.scored()`. The model scores by `model.score_at(items, where)`.",
    hints=(
        "`F.cross_entropy` takes scores, one row for each prediction, and the indices of the true items, and averages.",
        "Where batch.targets is 0 there is nothing to predict: neither scores nor targets there may count.",
        "`score_at` with `batch.scored()` gives the rows; the same mask picks the targets, in the same order.",
    ),
    body=_next_item_loss,
    minutes=5,
    difficulty=1,
    mistakes={
        "positions are taken by their items: a real item without a target is not scored":
            lambda model, batch: _each(model, batch, batch.items > 0).mean(),
        "padding is counted: where the target is 0 there is nothing to predict":
            lambda model, batch: F.cross_entropy(model(batch.items).flatten(0, 1), batch.targets.flatten()),
        "padding is counted as a loss of 0: divide by the number of scored positions": _padding_counted_as_zero,
        "you average per row first: the mean is over all scored positions, whoever they belong to": _by_row,
        "this is the sum, not the mean": lambda model, batch: _each(model, batch).sum(),
        "you divide the sum by the number of rows: divide by the number of scored positions":
            lambda model, batch: _each(model, batch).sum() / len(batch),
        "only the last position of each row is scored": _last_only,
        "the item itself is taken as its target: use batch.targets":
            lambda model, batch: _each(model, batch, targets=batch.items).mean(),
        "the targets are shifted once more: batch.targets holds the next item already": _shifted,
        "the model reads the targets: it has to read batch.items": _reading_targets,
        "there is a softmax before the cross-entropy: F.cross_entropy takes the scores as they are": _of_chances,
        "the logarithm is missing: these are probabilities": _squashed,
        "the sign is wrong": lambda model, batch: -_each(model, batch).mean(),
    },
)  # fmt: skip


# --- fit ---


class _Tiny(NextItemModel):
    """A model of one linear layer on the present item that keeps a log of what it was given, and how."""

    def __init__(self, generator: torch.Generator, *, dropout: float = 0.0) -> None:
        super().__init__()
        drawn = lambda *shape: nn.Parameter(0.5 * torch.randn(shape, generator=generator, dtype=torch.float64))
        self.table, self.weight, self.bias = drawn(_ROWS + 1, 5), drawn(_ROWS, 5), drawn(_ROWS)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList()
        self.log: list[tuple[bool, bool, list[int]]] = []  # training mode, gradient, the last item of each row

    def encode(self, items: Tensor) -> Tensor:
        self.log.append((self.training, torch.is_grad_enabled(), items[:, -1].tolist()))
        return self.dropout(self.table[items])

    def score(self, hidden: Tensor) -> Tensor:
        return F.pad(F.linear(hidden, self.weight, self.bias), (1, 0), value=-torch.inf)

    def forward(self, items: Tensor) -> Tensor:
        return self.score(self.encode(items))

    def score_at(self, items: Tensor, where: Tensor, cut: Tensor | None = None) -> Tensor:
        return self.score(self.encode(items)[where])


_ROWS = 21  # items of the little split: the last item of a row tells which row it is
_TRAIN = list(range(1, 12))


def _split(trial: Trial) -> Split:
    """11 training rows, 5 of validation, 5 of test; the last item of each is its number. All next items differ.

    Training asks for items 1 ... 11 and validation for 12 ... 16, so that the more is trained, the worse it gets.
    """

    def part(first: int, last: int) -> Windows:
        rows = last - first + 1
        items = trial.integers(1, _ROWS, rows, 4)
        items[:, -1] = torch.arange(first, last + 1)
        if first == 1:
            items[: rows // 2, 0] = 0
        targets = trial.integers(first, last, rows, 4)
        targets[items == 0] = 0
        return Windows(items, targets, torch.full((rows,), 3), torch.arange(rows))

    train, validation, test = part(1, 11), part(12, 16), part(17, 21)
    return Split(train, validation, test, _ROWS, tuple(row.numpy() for row in train.items))


def _fit(trial: Trial) -> None:
    split = _split(trial)
    steps_and_losses = _sees_the_right_rows(trial, split)
    _takes_adam_s_steps(trial, split)
    _averages(trial, split, *steps_and_losses)
    _comes_from_the_seed(trial, split)


def _trained(trial: Trial, model: nn.Module, split: Split, **settings: Any) -> Any:
    """Run the answer's fit; the package's takes two settings more."""
    names = inspect.signature(trial.answer).parameters
    more: dict[str, Any] = {"progress": False} if "progress" in names else {}
    more |= {"patience": settings["epochs"]} if "patience" in names else {}
    before = [t.clone() for part in (split.train, split.validation) for t in (part.items, part.targets)]
    with trial.of_the_answer(**settings):
        result = trial.answer(model, split, **settings, **more)
    after = [t for part in (split.train, split.validation) for t in (part.items, part.targets)]
    trial.require(not difference(after, before), "it changes the split it was given", "work on a copy", **settings)
    return result


def _losses(trial: Trial, result: Any, epochs: int, **given: Any) -> list[float]:
    """The loss of each epoch, from what fit returned: a list as in the lesson, or the package's History."""
    kept: Any = [e["loss"] for e in result.epochs] if type(result) is History else result
    if isinstance(kept, Tensor | np.ndarray):
        kept = kept.tolist()
    if type(kept) not in (list, tuple):
        cause = "a return seems to be missing" if kept is None else "return one mean loss for each epoch"
        trial.fail(f"found {describe(kept)}, expected a list of {epochs} losses", cause, epochs=epochs, **given)
    trial.require(len(kept) == epochs, f"found {len(kept)} losses, expected {epochs}", "one mean loss for each epoch",
                  epochs=epochs, **given)  # fmt: skip
    return [float(loss) for loss in kept]


def _sees_the_right_rows(trial: Trial, split: Split) -> tuple[_Tiny, list[list[int]], list[float]]:
    """Each epoch sees each training row once, in batches, shuffled anew, in training mode, and no other row.

    Returns:
        The model, which a tiny learning rate left as it was, the rows of each step and the losses that were returned.
    """
    settings = {"seed": 3, "epochs": 3, "batch_size": 4, "learning_rate": 1e-9}
    model = _Tiny(trial.generator, dropout=0.0).eval()
    losses = _losses(trial, _trained(trial, model, split, **settings), 3)
    given = {"epochs": 3, "batch_size": 4}
    seen = {row for _, _, rows in model.log for row in rows}
    trial.require(not seen & set(range(17, 22)), "it looks at test rows", "test is for the report only", **given)
    steps = [(training, rows) for training, gradient, rows in model.log if gradient and set(rows) & set(_TRAIN)]
    asked = [row for _, rows in steps for row in rows]
    others = [rows for training, gradient, rows in model.log if gradient and training and set(rows) - set(_TRAIN)]
    trial.require(not others, "validation rows go through the model in training mode, with a gradient",
                  "validation is not trained on: it only chooses", **given)  # fmt: skip
    chunks = [sorted(asked[i : i + 11]) for i in range(0, len(asked), 11)]
    if len(asked) != 33 or any(chunk != _TRAIN for chunk in chunks):
        counts = [asked.count(row) for row in _TRAIN]
        cause = "each epoch takes every row of split.train once"
        if max(counts) <= 3 and len(asked) == 24:
            cause = "the last, smaller batch of each epoch is left out"
        elif len(asked) == 11:
            cause = "there is only one epoch"
        elif len(asked) == 12:
            cause = "there is only one batch in each epoch"
        elif len(asked) == 33:
            cause = "rows are drawn with replacement: shuffle them, so that each comes once"
        trial.fail(f"11 rows were seen {min(counts)} to {max(counts)} times in 3 epochs, expected 3", cause, **given)
    sizes = [len(rows) for _, rows in steps]
    first_sizes = ", ".join(map(str, sizes[:4]))
    trial.require(sizes == [4, 4, 3] * 3, f"the first batches have {first_sizes} rows, expected 4, 4, 3, 4",
                  "each step takes batch_size rows, the last one of an epoch what is left", **given)  # fmt: skip
    first, second = asked[:11], asked[11:22]
    trial.require(first != _TRAIN, "the rows come in the order of the file", "shuffle them in each epoch", **given)
    trial.require(first != second, "each epoch has the same order", "shuffle the rows anew in each epoch", **given)
    for number, (training, _) in enumerate(steps):
        cause = ("after a look at validation go back to model.train()" if steps[0][0]
                 else "call model.train() first: dropout is off in eval mode")  # fmt: skip
        trial.require(training, f"in epoch {number // 3} the model is in eval mode while it is trained", cause, **given)
    return model, [rows for _, rows in steps], losses


def _averages(trial: Trial, split: Split, model: _Tiny, steps: list[list[int]], losses: list[float]) -> None:
    """An epoch's loss is the mean over its steps; over its rows or its predictions is right, too."""
    given = {"epochs": 3, "batch_size": 4}
    for epoch, loss in enumerate(losses):
        batches = [split.train.rows(torch.tensor(rows) - 1) for rows in steps[3 * epoch : 3 * epoch + 3]]
        each = [float(_each(model, batch).mean()) for batch in batches]
        rows, scored = [len(b) for b in batches], [int(b.scored().sum()) for b in batches]
        allowed = [float(np.average(each, weights=w)) for w in (None, rows, scored)]
        if any(abs(loss - a) < 1e-6 for a in allowed):
            continue
        cause = "next_item_loss may be wrong"
        if abs(loss - sum(each)) < 1e-6:
            cause = "this is the sum of the steps' losses: divide by their number"
        elif abs(loss - each[-1]) < 1e-6 or abs(loss - each[0]) < 1e-6:
            cause = "this is the loss of a single step: average over the epoch's steps"
        elif epoch and abs(loss / (epoch + 1) - allowed[0]) < 1e-2:
            cause = "losses of earlier epochs are still in the sum"
        trial.fail(f"the loss of epoch {epoch} is {loss:.4g}, expected {allowed[0]:.4g}", cause, **given)


def _comes_from_the_seed(trial: Trial, split: Split) -> None:
    start = _Tiny(trial.generator, dropout=0.5)
    runs: list[list[Tensor]] = []
    for seed, outside in ((3, 1), (3, 2), (4, 1)):
        model = _Tiny(trial.generator, dropout=0.5)
        model.load_state_dict(start.state_dict())
        torch.manual_seed(outside)
        state = torch.get_rng_state()
        _trained(trial, model, split, seed=seed, epochs=2, batch_size=4, learning_rate=0.05)
        if not runs:
            trial.require(torch.equal(torch.get_rng_state(), state), "torch's global random numbers are changed by it",
                          "set the seed inside torch.random.fork_rng(devices=[])", seed=seed)  # fmt: skip
        runs.append([p.detach().clone() for p in model.parameters()])
    trial.require(not difference(runs[0], runs[1]), "two runs with the same seed ended with different weights",
                  "the order of the rows and the dropout have to come from seed", seed=3)  # fmt: skip
    trial.require(bool(difference(runs[0], runs[2])), "runs with the seeds 3 and 4 ended with the same weights",
                  "seed has no effect, or nothing is random", epochs=2)  # fmt: skip


def _takes_adam_s_steps(trial: Trial, split: Split) -> None:
    """With all rows in one batch their order has no effect: losses and weights can be told beforehand."""
    settings = {"epochs": 5, "batch_size": 50, "learning_rate": 0.3}
    start = _Tiny(trial.generator)
    with torch.no_grad():
        start.bias[11:16] += 3.0  # at first the validation's items are in front
    model = _copy(start)
    result = _trained(trial, model, split, seed=1, **settings)
    losses = _losses(trial, result, 5)
    expected, states = _plain_training(_copy(start), split.train)
    final = {name: p.detach().clone() for name, p in model.named_parameters()}
    if problem := difference(torch.tensor(losses), expected):
        causes = {cause: _plain_training(_copy(start), split.train, twist)[0] for twist, cause in _TWISTS.items()}
        found = [cause for cause, theirs in causes.items() if not difference(torch.tensor(losses), theirs)]
        first = difference(torch.tensor(losses[:1]), expected[:1])
        cause = found[0] if found else "next_item_loss may be wrong" if first else ""
        trial.fail(f"the epochs' losses: {problem}", cause, **settings)
    _keeps_the_right_weights(trial, result, final, states, split, start, **settings)


_TWISTS = {
    "no step": "the weights do not change: after loss.backward() the optimizer has to step",
    "no zero": "gradients add up from step to step: optimizer.zero_grad() is missing",
    "sgd": "this is plain gradient descent: use torch.optim.Adam",
    "rate": "the argument learning_rate has no effect: this is Adam's default",
    "decay": "the weights are pulled to 0: torch.optim.AdamW has a weight decay unless you set it to 0",
    "new": "a new optimizer in each epoch forgets its averages: make one before the first",
    "up": "the loss climbs: a sign is wrong",
}


def _plain_training(model: nn.Module, train: Windows, twist: str = "") -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Five full steps of Adam: the loss before and the weights after each."""
    rate = 1e-3 if twist == "rate" else 0.3
    make: Any = {"sgd": torch.optim.SGD, "decay": torch.optim.AdamW}.get(twist, torch.optim.Adam)
    optimizer = make(model.parameters(), lr=rate)
    losses, states = [], []
    for _ in range(5):
        loss = _each(model, train).mean()
        if twist != "no zero":
            optimizer.zero_grad()
        (-loss if twist == "up" else loss).backward()
        if twist == "new":
            optimizer = make(model.parameters(), lr=rate)
        if twist != "no step":
            optimizer.step()
        losses.append(float(loss.detach()))
        states.append({name: p.detach().clone() for name, p in model.named_parameters()})
    return torch.tensor(losses), states


def _copy(model: _Tiny) -> _Tiny:
    other = _Tiny(torch.Generator())
    other.load_state_dict(model.state_dict())
    return other


def _keeps_the_right_weights(
    trial: Trial, result: Any, final: dict[str, Tensor], states: list[dict[str, Tensor]], split: Split, start: _Tiny,
    **given: Any
) -> None:  # fmt: skip
    """The lesson's loop ends with the last weights, the package's with those of its best epoch on validation."""
    best = _best_epoch(start, states, split.validation)
    is_last, is_best = not difference(final, states[-1]), not difference(final, states[best])
    if type(result) is not History:
        trial.require(is_last or is_best, "the losses are right, the weights are not those of the last epoch",
                      "train the model itself, in place: no copy of it", **given)  # fmt: skip
        return
    trial.require(not difference(result.chosen, best), f"history.chosen is {result.chosen}, expected {best}",
                  "the best validation NDCG@10 chooses, not the last epoch or the lowest loss", **given)  # fmt: skip
    cause = "copy the weights when they are best (clone each tensor: a state_dict is a view), load them at the end"
    trial.require(is_best, f"the model does not hold the weights of the best epoch, {best}"
                  + (", but the last epoch's" if is_last else ""), cause, **given)  # fmt: skip


def _best_epoch(start: _Tiny, states: list[dict[str, Tensor]], cases: Windows) -> int:
    quality = []
    model = _copy(start).eval()
    for state in states:
        model.load_state_dict(state)
        with torch.no_grad():
            scores = model(cases.items)[cases.scored()]
        quality.append(float(ndcg(rank_of_target(scores, cases.targets[cases.scored()]), 10).mean()))
    return int(np.argmax(quality))


check_fit = Check(
    part="training.fit",
    task="Train the model in place on split.train with torch.optim.Adam (no weight decay): in each epoch shuffle the "
    "rows, take batches of batch_size (the last may be smaller), one step each on next_item_loss, in training mode. "
    "Order and dropout come from seed, inside torch.random.fork_rng(devices=[]). Return the list of the epochs' "
    "losses, each the mean over its steps.",
    hints=(
        "One optimizer before the first epoch; two loops, epochs and batches; four lines inside: loss, zero_grad, "
        "backward, step.",
        "`torch.randperm(len(split.train)).split(batch_size)` gives the row numbers of each batch, and "
        "`split.train.rows(…)` the batch.",
        "Keep `loss.item()` of each step; `model.train()` switches dropout on. Seed with `torch.manual_seed(seed)` "
        "inside the fork.",
    ),
    body=_fit,
    minutes=20,
    difficulty=3,
)

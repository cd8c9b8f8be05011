"""Checks of what lesson 06 builds: the causal convolution, the residual block, NextItNet and how it is trained."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_course.comparing import describe, difference
from skiprec_course.engine import Check, Trial
from skiprec_course.models import is_a_loss, learning, some_windows
from skiprec_course.nextitnet import mistakes
from skiprec_course.parameters import by_kind, fill, only_real, same_module
from skiprec_course.questions import is_tensor
from skiprec_lite.backbones import NextItemModel
from skiprec_lite.blocks import ResidualBlock
from skiprec_lite.stages import next_item_loss
from skiprec_lite.windows import Split, Windows

__all__ = [
    "check_Backbone", "check_CausalConv1d", "check_NextItNet", "check_ResidualBlock", "check_fit",
    "check_next_item_loss", "check_receptive_field",
]  # fmt: skip


def who_reads_whom(module: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    """[t, s]: whether output t depends on input s, by the gradient."""
    slopes = torch.autograd.functional.jacobian(lambda x: module(x).pow(2).sum(dim=(0, 2)), hidden)
    return (slopes.abs() > 1e-12).any(dim=3).any(dim=1)


def _reads_the_right_inputs(trial: Trial, hidden: Tensor, **sizes: Any) -> None:
    """Of a convolution or a block: nobody reads the future, everybody reads just what it should of the past."""
    build = lambda of: fill(trial, of(hidden.shape[-1], **sizes), trial.reference(hidden.shape[-1], **sizes), **sizes)
    with trial.of_the_answer(hidden, **sizes):
        out = build(trial.answer)(hidden)
    is_tensor(trial, out, hidden.shape, "same shape in and out", hidden, **sizes)
    found, expected = (who_reads_whom(build(of), hidden) for of in (trial.answer, trial.reference))
    future, wrong = found.triu(1).any(dim=1).nonzero(), (found != expected).any(dim=1).nonzero()
    if len(wrong):
        t = int(future[0] if len(future) else wrong[-1])
        read, right = (", ".join(map(str, reads[t].nonzero().flatten().tolist())) for reads in (found, expected))
        trial.fail(f"output {t} reads {f'the inputs {read}' if read else 'nothing'}, expected {right}"
                   + ": it sees the future" * bool(len(future)),
                   "put all zeros on the left" if len(future) else "", hidden, **sizes)  # fmt: skip


# --- CausalConv1d ---


def _causal_conv1d(trial: Trial) -> None:
    _reads_the_right_inputs(trial, trial.normal(2, 9, 4, dtype=torch.float64), kernel_size=3, dilation=2)
    for *shape, kernel_size, dilation in ((2, 5, 4, 3, 2), (1, 6, 3, 2, 1), (3, 5, 2, 1, 3), (2, 4, 3, 3, 5)):
        hidden = trial.normal(*shape, dtype=torch.float64)
        same_module(trial, (shape[-1],), hidden, kernel_size=kernel_size, dilation=dilation)
    same_module(trial, (4,), trial.normal(2, 6, 4, dtype=torch.float64))
    with trial.of_the_answer(4):
        (weight,) = by_kind(trial.answer(4))["convolution weight"]
    trial.require(weight.isfinite().all() and 0 < float(weight.detach().std()) < 10,
                  "the fresh weight is constant or not finite")  # fmt: skip


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
    mistakes=mistakes.CAUSAL_CONV,
)


# --- ResidualBlock ---


def _residual_block(trial: Trial) -> None:
    hidden = trial.normal(3, 8, 6, dtype=torch.float64)
    mask = torch.arange(8) >= torch.tensor([[0], [3], [7]])
    numbers = lambda of: lambda **sizes: {"parameters": sum(p.numel() for p in of(6, **sizes).parameters())}
    trial.same_results(numbers, rezero=True)
    trial.same_results(numbers, rezero=False)
    _reads_the_right_inputs(trial, trial.normal(8, 14, 6, dtype=torch.float64), kernel_size=3, dilation=2)
    for kernel_size, dilation, rezero in ((3, 1, True), (2, 3, False), (1, 2, True)):
        for inputs, real in (((hidden,), None), ((hidden, mask), mask)):
            sizes: Any = {"kernel_size": kernel_size, "dilation": dilation, "rezero": rezero, "dropout": 0.4}
            same_module(trial, (6,), *inputs, real=real, **sizes)
    same_module(trial, (6,), hidden)
    with trial.of_the_answer(6):
        fresh = trial.answer(6).double()(hidden)
    trial.require(not difference(fresh, hidden), "a fresh block with rezero=True is not the identity", "", hidden)
    _drops_the_branch(trial, hidden)


def _drops_the_branch(trial: Trial, hidden: Tensor) -> None:
    given: dict[str, Any] = {"rezero": False, "dropout": 0.5}
    with trial.of_the_answer(hidden, **given):
        module = fill(trial, trial.answer(6, **given), trial.reference(6, **given), **given)
        branch = module(hidden) - hidden
        dropped = module.train()(hidden)
    some = lambda what, whole: bool(((what.abs() < 1e-9) | ((what - 2 * whole).abs() < 1e-9)).all())
    must = lambda holds, found: trial.require(holds, f"in training mode {found}", "", hidden, **given)
    must(difference(dropped, hidden + branch), "nothing is dropped")
    must(not some(dropped, hidden + branch) and not some(dropped - branch, hidden), "hidden itself is dropped")
    must(some(dropped - hidden, branch), "what is added is not the branch with some of its numbers dropped")


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
    mistakes=mistakes.RESIDUAL_BLOCK,
)


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
    importance="useful",
    mistakes=mistakes.RECEPTIVE_FIELD,
)


# --- Backbone ---

ITEMS = 11  # different from all other sizes, so that each parameter is known by its shape


def _backbone(trial: Trial) -> None:
    trial.require(issubclass(trial.answer, nn.Module), "the class is not a torch.nn.Module", "derive it from nn.Module")
    parts = nn.ModuleList([nn.Embedding(ITEMS + 1, 4), *(ResidualBlock(4, dilation=d) for d in (1, 2, 1))])
    small = lambda of: _small(of, fill(trial, parts, parts, ITEMS))
    encode = lambda of: lambda items, **g: only_real(small(of).encode(items, *g.values()), items > 0)
    forward = lambda of: lambda items, **g: only_real(small(of)(items, *g.values()), items > 0)
    gates_first = lambda of: lambda gates, items: encode(of)(items, gates=gates)  # to compare their gradient
    score_at = lambda of: lambda items, **given: small(of).score_at(items, **given)
    single = lambda of: lambda items, gates: small(of).float().encode(items, gates)
    for lengths, width in (([3, 2, 1], 3), ([6, 1, 4, 5], 6), ([2], 2)):
        items = trial.histories(ITEMS, lengths, width)
        items[0, -2 if width > 2 else 0] = 1
        gates = torch.rand(len(items), 3, generator=trial.generator, dtype=torch.float64)
        for some in (gates, torch.zeros_like(gates), (gates > 0.5).double()):
            trial.same_results(encode, items, gates=some)
        trial.same_results(encode, items)
        trial.same_results(gates_first, gates, gradients=True, items=items)
        trial.same_results(forward, items)
        trial.same_results(forward, items, gates=gates)
        where = (items > 0) & (torch.rand(items.shape, generator=trial.generator) < 0.6)
        where[0], where[-1, -1] = items[0] > 0, len(items) == 1  # neither all rows nor the last position only
        for cut in (None, torch.zeros(len(items), dtype=torch.int64)):
            trial.same_results(score_at, items, where=where, cut=cut)
        if trial.strict:
            trial.same_results(single, items, gates=gates)


def _small(base: Any, parts: Any) -> Any:
    """A small backbone on a base: it embeds, has three blocks and scores."""

    class Small(base):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, *blocks = copy.deepcopy(parts)
            self.blocks = nn.ModuleList(blocks)

        def embed(self, items: Tensor) -> Tensor:
            return self.embedding(items)

        def score(self, hidden: Tensor) -> Tensor:
            return F.pad(hidden @ self.embedding.weight[1:].T, (1, 0), value=-torch.inf)

    return Small().eval()


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
    mistakes=mistakes.BACKBONE,
)


# --- NextItNet ---


def _next_it_net(trial: Trial) -> None:
    several: tuple[dict[str, Any], ...] = (
        {"channels": 4, "dilations": (2, 1)},
        {"channels": 4, "dilations": (2, 1, 4), "kernel_size": 2, "rezero": False, "dropout": 0.3},
        {"channels": 4, "dilations": [3, 1], "tied": True, "embedding_dropout": 0.3},
    )
    gated = lambda of: lambda gates, items, **given: only_real(_net(trial, of, **given)(items, gates), items > 0)
    score_at = lambda of: lambda items, where, **given: _net(trial, of, **given).score_at(items, where)
    for sizes in several:
        items = trial.histories(ITEMS, [7, 2, 5], 7)
        same_module(trial, (ITEMS,), items, num_items=ITEMS, real=items > 0, **sizes)
        gates = torch.rand(3, len(sizes["dilations"]), generator=trial.generator, dtype=torch.float64)
        trial.same_results(gated, gates, gradients=True, items=items, **sizes)
        where = torch.zeros_like(items, dtype=torch.bool)
        where[[0, 0, 2], [1, 6, 4]] = True
        trial.same_results(score_at, items, where, **sizes)
    with trial.of_the_answer(ITEMS):
        _net(trial, trial.answer)  # the default sizes
    _starts_as_it_should(trial)
    training = lambda of: lambda items, what, **given: getattr(_net(trial, of, **given).train(), what)(items)
    for dropout, what in (("dropout", "encode"), ("dropout", "embed"), ("embedding_dropout", "embed")):
        sizes = {"channels": 4, "dilations": (1, 2), "rezero": False, dropout: 1.0}  # drops all
        trial.same_results(training, items, what, **sizes)


def _net(trial: Trial, of: Any, **sizes: Any) -> Any:
    return fill(trial, of(ITEMS, **sizes), trial.reference(ITEMS, **sizes), ITEMS, **sizes)


def _starts_as_it_should(trial: Trial) -> None:
    """Padding embeds to 0; items with the standard deviation that keeps the first scores of a tied net small."""
    with trial.of_the_answer(300, channels=16, dilations=[1]):
        fresh = trial.answer(300, channels=16, dilations=[1])
        embedded = fresh.embed(torch.tensor([[0, 0], *([i, i + 1] for i in range(1, 300))])).detach()
    is_tensor(trial, embedded, (300, 2, 16), "what embed returns is (batch, time, channel)")
    trial.require((embedded[0] == 0).all(), "embed does not turn padding into a vector of zeros")
    trial.require(abs(embedded[1:, 0].std() / 0.25 - 1) < 0.2, "with 16 channels a fresh embedding's standard deviation"
                  f" is {'larger' if embedded.std() > 0.25 else 'smaller'} than 0.25")  # fmt: skip


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
    mistakes=mistakes.NEXT_IT_NET,
)


# --- next_item_loss ---

_ROWS = 21  # items of the little split: the last item of a row tells which row it is


class _Tiny(NextItemModel):
    """A linear layer on the sum of the items so far that keeps a log of what it was given, and how."""

    def __init__(self, generator: torch.Generator, *, dropout: float = 0.0) -> None:
        super().__init__()
        drawn = lambda *shape: nn.Parameter(0.5 * torch.randn(shape, generator=generator, dtype=torch.float64))
        self.table, self.weight, self.bias = drawn(_ROWS + 1, 5), drawn(_ROWS, 5), drawn(_ROWS)
        self.dropout = nn.Dropout(dropout)
        self.log: list[tuple[bool, bool, list[int]]] = []  # training mode, gradient, the last item of each row

    def encode(self, items: Tensor) -> Tensor:
        self.log.append((self.training, torch.is_grad_enabled(), items[:, -1].tolist()))
        return self.dropout(self.table[items].cumsum(dim=1))

    def score(self, hidden: Tensor) -> Tensor:
        return F.pad(F.linear(hidden, self.weight, self.bias), (1, 0), value=-torch.inf)


def _next_item_loss(trial: Trial) -> None:
    model = _Tiny(trial.generator)
    learnt = lambda of: lambda batch: learning(of(model, batch), model)
    for lengths, width in (((8, 3, 1, 8, 5), 8), ((3, 6), 6)):
        batch = some_windows(trial, lengths, width)
        with trial.of_the_answer(batch):
            is_a_loss(trial, trial.answer(model, batch))
        trial.same_results(learnt, batch)


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
    mistakes=mistakes.NEXT_ITEM_LOSS,
)


# --- fit ---


def _split(trial: Trial) -> Split:
    """11 training rows, 5 of validation, 5 of test; the last item of each is its number.

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
    seen = _sees_the_right_rows(trial, split)
    _learns_what_the_package_learns(trial, split)
    _averages(trial, split, *seen)
    _comes_from_the_seed(trial, split)


def _trained(trial: Trial, model: nn.Module, split: Split, **settings: Any) -> tuple[list[float], Any]:
    """Run the answer's fit (the package's takes two settings more): each epoch's loss, and all that was returned."""
    names = inspect.signature(trial.answer).parameters
    epochs = settings.get("epochs", 30)
    more = {name: value for name, value in (("progress", False), ("patience", epochs)) if name in names}
    given = copy.deepcopy(split)
    with trial.of_the_answer(**settings):
        result = trial.answer(model, given, **settings, **more)
    trial.require(not difference(given, split), "it changes the split it was given", "work on a copy", **settings)
    losses = [e["loss"] for e in result.epochs] if hasattr(result, "epochs") else result
    losses = losses.tolist() if isinstance(losses, Tensor | np.ndarray) else losses
    trial.require(type(losses) in (list, tuple), f"found {describe(losses)}, expected a list of {epochs} losses",
                  "a return seems to be missing" if losses is None else "", **settings)  # fmt: skip
    trial.require(len(losses) == epochs, f"found {len(losses)} losses, expected {epochs}",
                  "one mean loss for each epoch", **settings)  # fmt: skip
    return [float(loss) for loss in losses], result


def _sees_the_right_rows(trial: Trial, split: Split) -> tuple[_Tiny, list[list[int]], list[float]]:
    """Each epoch sees each training row once, in batches, shuffled anew, in training mode, and no other row.

    Returns:
        The model, which a tiny learning rate left as it was, the rows of each step and the losses that were returned.
    """
    model, must = _Tiny(trial.generator).eval(), partial(trial.require, cause="", epochs=3, batch_size=4)
    losses, _ = _trained(trial, model, split, seed=3, learning_rate=1e-9, epochs=3, batch_size=4)
    train, validation, test = ({*part.items[:, -1].tolist()} for part in (split.train, split.validation, split.test))
    must(not any(test & {*rows} for *_, rows in model.log), "it looks at test rows")
    must(not any(training and gradient and validation & {*rows} for training, gradient, rows in model.log),
         "validation rows go through the model in training mode, with a gradient")  # fmt: skip
    steps = [(training, rows) for training, gradient, rows in model.log if gradient and train & {*rows}]
    asked = [row for _, rows in steps for row in rows]
    must(len(asked) == 33, f"{len(asked)} rows went through training, expected 3 times 11")
    epochs = [asked[:11], asked[11:22], asked[22:]]
    must(all({*rows} == train for rows in epochs), "in an epoch some rows come twice, others never")
    sizes = [len(rows) for _, rows in steps]
    must(sizes == [4, 4, 3] * 3, f"the batches of the first steps have {sizes[:4]} rows, expected [4, 4, 3, 4]")
    must(epochs[0] != sorted(train), "the rows come in the order of the file")
    must(epochs[0] != epochs[1], "each epoch has the same order")
    for step, (training, _) in enumerate(steps):
        must(training, f"in epoch {step // 3} the model is in eval mode while it is trained")
    return model, [rows for _, rows in steps], losses


def _learns_what_the_package_learns(trial: Trial, split: Split) -> None:
    """With all rows alike their order has no say: losses and weights are the package's (of its last or best epoch)."""
    alike = replace(split, train=split.train.rows(torch.full((64,), 7)))
    start = _Tiny(trial.generator)
    with torch.no_grad():
        start.bias[11:16] += 3.0  # at first the validation's items are in front
    for settings in ({"seed": 1, "epochs": 5, "batch_size": 16, "learning_rate": 0.1}, {}):
        states: list[dict[str, Tensor]] = []
        keep = lambda _, model, states=states: states.append(copy.deepcopy(model.state_dict()))
        usual: dict[str, Any] = {"patience": 30, "progress": False, "after_epoch": keep}
        history = trial.reference(copy.deepcopy(start), alike, **settings, **usual)
        model = copy.deepcopy(start)
        losses, result = _trained(trial, model, alike, **settings)
        problem = difference(torch.tensor(losses), torch.tensor([e["loss"] for e in history.epochs]))
        trial.require(not problem, f"the epochs' losses: {problem}", "", **settings)
        expected, cause = states[-1], "train the model itself, in place: no copy of it"
        if hasattr(result, "chosen"):
            expected, cause = states[history.chosen], "keep the best epoch's weights, not the last one's: clone them"
        problem = difference(dict(model.state_dict()), expected)
        trial.require(not problem, f"the losses are right, but not the weights: {problem}", cause, **settings)


def _averages(trial: Trial, split: Split, model: _Tiny, steps: list[list[int]], losses: list[float]) -> None:
    """An epoch's loss is the mean over its steps; over its rows or its predictions is right, too."""
    for epoch, loss in enumerate(losses):
        batches = [split.train.rows(torch.tensor(rows) - 1) for rows in steps[3 * epoch : 3 * epoch + 3]]
        each = [float(next_item_loss(model, batch).detach()) for batch in batches]
        weights = None, [len(b) for b in batches], [int(b.scored().sum()) for b in batches]
        right = any(abs(loss - np.average(each, weights=w)) < 1e-6 for w in weights)
        trial.require(right, "an epoch's loss is not the mean over its steps, the last of which has fewer rows")


def _comes_from_the_seed(trial: Trial, split: Split) -> None:
    start, runs = _Tiny(trial.generator, dropout=0.5), []
    for seed, outside in ((3, 1), (3, 2), (4, 1)):
        model = copy.deepcopy(start)
        torch.manual_seed(outside)
        state = torch.get_rng_state()
        _trained(trial, model, split, seed=seed, epochs=2, batch_size=4, learning_rate=0.05)
        trial.require(torch.equal(torch.get_rng_state(), state), "torch's global random numbers are changed by it")
        runs.append(dict(model.state_dict()))
    trial.require(
        not difference(runs[0], runs[1]), "two runs with the same seed ended with different weights", "", seed=3
    )
    trial.require(bool(difference(runs[0], runs[2])), "runs with the seeds 3 and 4 ended with the same weights")


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
    mistakes=mistakes.FIT,
)

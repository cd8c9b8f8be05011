"""Checks of what lesson 13 builds: a policy that learns by its rewards, self-attention and SASRec."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skiprec_course.beyond.mistakes import ATTENTION_BLOCK, LOG_PROBABILITY, SASREC, SELF_CRITICAL_LOSS
from skiprec_course.engine import Check, Trial
from skiprec_course.models import a_skiprec, is_a_loss, learning, some_windows
from skiprec_course.questions import is_a_tensor
from skiprec_lite.backbones import AttentionBlock, Backbone, SASRec
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows

__all__ = ["check_AttentionBlock", "check_SASRec", "check_log_probability", "check_self_critical_loss"]

NUM_ITEMS = 12


# --- log_probability ---


def _log_probability(trial: Trial) -> None:
    for users, blocks in ((3, 4), (1, 2), (5, 1), (20, 6)):
        logits, gates = trial.normal(users, blocks, 2, scale=1.5), trial.integers(0, 1, users, blocks).float()
        is_a_tensor(trial, trial.call(trial.answer, logits, gates), logits, gates)
        trial.same_results(_of_logits(gates), logits, gradients=True)
    sure = torch.tensor([[[60.0, -60.0], [-60.0, 60.0]]])
    for gates in (torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])):
        found = trial.call(trial.answer, sure, gates)
        trial.require(found.isfinite().all(), f"where the policy is very sure, the result is {float(found):.3g}", "",
                      sure.flatten(), gates)  # fmt: skip
        trial.same(sure, gates)


def _of_logits(gates: Tensor) -> Callable[[Callable], Callable]:
    """Gates that are given: only the logits are to have a gradient."""
    return lambda f: lambda logits: f(logits, gates.clone())


check_log_probability = Check(
    part="policy_gradient.log_probability",
    task="Return the log-probability of each row's gates (1 = keep) when every block is chosen independently. "
    "`logits` is (batch, block, 2): keep, skip; `gates` is (batch, block); return (batch,). It has to stay finite "
    "where the policy is very sure.",
    hints=(
        "Independent choices: the probability of a row is a product, so its logarithm is a sum over the blocks.",
        "`log_softmax` over the last axis gives log pi of keep and of skip. Which of the two counts where a gate is 0?",
        "z log pi + (1 - z) log(1 - pi), summed over the blocks.",
    ),
    body=_log_probability,
    minutes=6,
    difficulty=2,
    importance="useful",
    mistakes=LOG_PROBABILITY,
)


# --- self_critical_loss ---


def _self_critical(trial: Trial) -> None:
    batch = replace(some_windows(trial, (8, 3, 1, 8, 5) * 4), seen=())
    learns = lambda f: partial(_learns, trial, f)
    asked: tuple[dict[str, Any], ...] = ({"k": 4, "miss": 2.0}, {})
    for options in asked:
        trial.same_results(learns, a_skiprec(SkipRec, trial.seed), batch, 0.7, **options)
    alike = a_skiprec(SkipRec, trial.seed)
    with torch.no_grad():
        for parameter in (alike.backbone.embedding.weight, alike.backbone.output_bias):
            parameter.zero_()  # now all items have the same score
    trial.same_results(learns, alike, batch, 0.7, k=3)
    _scores_without_dropout(trial, batch)


def _learns(trial: Trial, f: Callable, model: SkipRec, batch: Windows, cost: float, **options: Any) -> Any:
    return learning(is_a_loss(trial, f(model, batch, cost, **options)), model)


def _scores_without_dropout(trial: Trial, batch: Windows) -> None:
    model = a_skiprec(SkipRec, trial.seed, dropout=0.5)
    modes: set[bool] = set()
    for block in model.backbone.blocks:
        block.register_forward_hook(lambda block, *_: modes.add(block.training))
    with trial.of_the_answer(model, batch, 1.0):
        trial.answer(model, batch, 1.0)
    trial.require(all(part.training for part in model.modules()), "afterwards the model is not in training mode")
    trial.require(False in modes, "the rewards are scored with dropout")
    trial.require(True in modes, "the backbone's own loss is taken without dropout")


check_self_critical_loss = Check(
    part="policy_gradient.self_critical_loss",
    task="Return the loss of one step, one number: the mean cross-entropy of the backbone under *sampled* gates "
    "(detached), plus cost times the policy's part, the mean over rows of -(R(sampled) - R(greedy)) log p(sampled). R "
    "is `block_drop_reward`, averaged over a row's scored positions (`per_row`); a hit is a true item among the first "
    "`k`, ties against it. Rewards have no gradient and are scored in eval mode. Use model.gate_logits(items, cut), "
    "model.decide for both gates, model.skip_blocks, `losses_at`.",
    hints=(
        "Three stages: gates from the logits (one sample, one greedy choice); a reward for either; the two losses.",
        "Gates are numbers here: detach the sample. The only road to the policy is `log_probability(logits, gates)`.",
        "Rewards: with torch.no_grad() and in_eval_mode(model), score the scored positions under each of the two "
        "gates. The rank of the true item is how many scores are at least as large as its own.",
        "Each scored position belongs to a row: `scored.nonzero(as_tuple=True)[0]` says to which; the share of blocks "
        "of that row goes into its reward.",
    ),
    body=_self_critical,
    minutes=25,
    difficulty=5,
    importance="useful",
    mistakes=SELF_CRITICAL_LOSS,
)


# --- AttentionBlock ---


class _AtReal(nn.Module):
    """A module whose output counts at real positions only: what stands at padding is nobody's business, but for NaN."""

    def __init__(self, inner: nn.Module, real: Tensor | None, *more: Any) -> None:
        super().__init__()
        self.inner, self.real, self.more = inner, real, more

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.inner(inputs, *self.more)
        return out if self.real is None else out * self.real.unsqueeze(-1)


def _attention_block(trial: Trial) -> None:
    sizes = ((6, 2, 7, False), (6, 2, 7, True), (4, 1, 5, False), (4, 1, 5, True), (6, 3, 1, False), (6, 3, 4, True))
    for channels, heads, time, padded in sizes:
        mask = torch.arange(time) >= torch.tensor([[0], [time // 2], [time - 1]]) if padded else None

        def make(of: Any, mask: Tensor | None = mask, given: tuple[int, int] = (channels, heads)) -> nn.Module:
            torch.manual_seed(trial.seed)
            return _AtReal(_random(trial, of(*given), AttentionBlock(*given)), mask, *([] if mask is None else [mask]))

        trial.same_results(make, trial.normal(3, time, channels).double(), gradients=True)
    _drops_out(trial, lambda of, p: of(6, 2, dropout=p), trial.normal(2, 5, 6))


def _random(trial: Trial, module: nn.Module, like: nn.Module) -> Any:
    """Random parameters, large enough that each one tells."""
    trial.with_random_parameters(module, like, torch.float64)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(3)
    return module


def _drops_out(trial: Trial, build: Callable[[Any, float], nn.Module], *inputs: Tensor) -> None:
    """In training mode two calls differ if dropout is above 0; in eval mode, or at 0, they do not.

    Strict: the same numbers are dropped at the same places.
    """
    if trial.strict:
        trial.same_results(lambda of: build(of, 0.5).train(), *inputs)
    for p, training, differs in ((0.5, True, True), (0.5, False, False), (0.0, True, False)):
        with trial.of_the_answer(dropout=p):
            module = build(trial.answer, p).train(training)
            first, second = module(*inputs), module(*inputs)
        mode = "training" if training else "eval"
        alike = torch.equal(first, second)
        trial.require(
            alike != differs,
            f"in {mode} mode two calls {'agree' if alike else 'differ'}",
            "`dropout` has no effect" if differs else "numbers are dropped that must not be",
            dropout=p,
        )


check_AttentionBlock = Check(
    part="backbones.AttentionBlock",
    task="A block of causal self-attention and a small MLP, both residual, with LayerNorm *before* each: "
    "hidden + attend(norm1(hidden)), then + outer(ReLU(inner(norm2(hidden)))). Layers: norm1; project, one linear to "
    "3 · channels (queries, keys, values, in this order, each cut into `heads` pieces that lie side by side); join; "
    "norm2; inner; outer; dropout on the weights, behind ReLU and on both branches. forward(hidden, mask=None): hidden "
    "(batch, time, channel); the mask is True at real items: nobody attends to padding, but everybody may read itself.",
    hints=(
        "Bring the three parts to (batch, head, time, width): cut the last axis into heads and widths, swap time and "
        "head.",
        "q @ k over the width gives scores (batch, head, query, key). Divide by the square root of a head's *width*. "
        "The softmax runs over the keys.",
        "Which pairs are allowed? Key not after query (`tril`), and key real, or key and query the same. All others "
        "get -inf before the softmax.",
        "On the way back: swap time and head again *before* you flatten heads and widths. Then join, then add to the "
        "hidden state that came in, not to its norm.",
    ),
    body=_attention_block,
    minutes=25,
    difficulty=4,
    importance="extra",
    mistakes=ATTENTION_BLOCK,
)


# --- SASRec ---


def _sasrec(trial: Trial) -> None:
    trial.same_results(lambda of: lambda *a, **o: _layout(of(*a, **o)), NUM_ITEMS, channels=4, num_blocks=3, heads=2,
                       max_length=6, dropout=0.2)  # fmt: skip
    for width in (4, 9):  # shorter and longer than max_length
        items = trial.histories(NUM_ITEMS, [width, 2, 1], width)
        trial.same_results(lambda of: _random_sasrec(trial, of).embed, items)
    trial.same_results(lambda of: _random_sasrec(trial, of).score, trial.normal(2, 3, 4, dtype=torch.float64))
    items = trial.histories(NUM_ITEMS, [7, 3, 1, 5], 7)
    for gates in (None, trial.integers(0, 1, 4, 2).double()):
        for heads, max_length in ((2, 6), (1, 9)):
            make = partial(_random_sasrec, trial, heads=heads, max_length=max_length)
            hidden = lambda of, make=make, gates=gates: _AtReal(_Scores(make(of), gates), items > 0)
            trial.same_results(hidden, items, gradients=True)
    _drops_out(trial, lambda of, p: _Scores(of(NUM_ITEMS, channels=4, dropout=p)), items)


def _layout(model: Any) -> dict[str, Any]:
    """What can be told of a model that has run on nothing yet."""
    return {
        "it is a Backbone": isinstance(model, Backbone),
        "the number of blocks": len(getattr(model, "blocks", ())),
        "sizes": getattr(model, "sizes", None),
        "how many parameters of each shape": dict(Counter(str(tuple(p.shape)) for p in model.parameters())),
    }


class _Scores(nn.Module):
    """The scores of the items; column 0, padding, is -inf."""

    def __init__(self, model: nn.Module, gates: Tensor | None = None) -> None:
        super().__init__()
        self.model, self.gates = model, gates

    def forward(self, items: Tensor) -> Tensor:
        return self.model(items, self.gates)[..., 1:]


def _random_sasrec(trial: Trial, of: Any, **sizes: Any) -> Any:
    torch.manual_seed(trial.seed)
    sizes = {"channels": 4, "num_blocks": 2, "heads": 2, "max_length": 6} | sizes
    model = _random(trial, of(NUM_ITEMS, **sizes), SASRec(NUM_ITEMS, **sizes))
    with torch.no_grad():
        model.embedding.weight[0] = 0  # a constant: padding_idx
    return model


check_SASRec = Check(
    part="backbones.SASRec",
    task="A Backbone on self-attention: SASRec(num_items, *, channels=64, num_blocks=2, heads=1, max_length=50, "
    "dropout=0.0). It sets `sizes` (all arguments by name), `embedding` (item_embedding), `positions` (a parameter, "
    "(max_length, channels)), `blocks` (AttentionBlock, in an nn.ModuleList), `norm`, `output_bias` (num_items). "
    "embed(items): item plus position, counted from the right end (0 = last; further back than max_length shares the "
    "last place), 0 at padding, dropout. score(hidden): norm, then the items' own embedding and the bias; column 0 is "
    "-inf.",
    hints=(
        "`Backbone` walks through the blocks; you write __init__, embed and score.",
        "arange down from time - 1 to 0 numbers the positions from the right. `clamp_max` keeps it inside `positions`.",
        "Add item and position first, then multiply by `items > 0`: padding has a position, too.",
        "Scores are one linear layer whose weight is `embedding.weight`. `F.pad` puts -inf in front of the bias.",
    ),
    body=_sasrec,
    minutes=20,
    difficulty=4,
    importance="extra",
    mistakes=SASREC,
)

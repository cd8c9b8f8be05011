"""Cross-entropy over all items or, for a catalogue whose scores do not fit into memory, over a sample of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from skiprec_lite.backbones import NFM, Encoder, NextItemModel, NextItNet, SASRec
from skiprec_lite.promises import Size, validated
from skiprec_lite.windows import Windows

Rows = tuple[Float[Tensor, "chosen channel"], Float[Tensor, " chosen"]]


@dataclass(frozen=True)
class WithNegatives(Windows):
    """A training batch whose positions are all scored against one sample of different items."""

    negatives: Int[Tensor, " drawn"] | None = None


@validated
def sampled(stages: Sequence[Any], num_items: Size, negatives: Size = 2000) -> list[Any]:
    """Stages of training (`training.Stage`) whose losses score the target and a draw of items that a batch shares.

    So many negatives are drawn a step, all items of a catalogue that has no more. The bias of the draw is corrected
    (`sampled_cross_entropy`). Stages without gates minimise the next-item loss. Validation ranks all items either way.
    """

    def drawn(batch: Windows) -> Windows:
        return WithNegatives(**vars(batch), negatives=draw_negatives(num_items, negatives).to(batch.items))

    def alone(stage: Any) -> Any:
        if stage.reads is None:
            return replace(stage, loss=lambda model, batch: sampled_next_item_loss(model, drawn(batch)))
        return replace(stage, reads=lambda batch: stage.reads(drawn(batch)))

    return [alone(stage) for stage in stages]


@validated
def draw_negatives(num_items: Size, number: Size) -> Int[Tensor, " drawn"]:
    """Draw different items of 1 ... num_items, each as likely as any other; all, where there are no more."""
    return 1 + torch.randperm(num_items)[:number]


def sampled_next_item_loss(model: NextItemModel, batch: Windows) -> Float[Tensor, ""]:
    """Cross-entropy at every scored position of a batch against its negatives, its mean."""
    part, encode = getattr(model, "backbone", model), getattr(model, "encode", None)
    if not isinstance(part, Encoder) or encode is None:
        raise TypeError(
            f"a sampled softmax needs hidden states and an output layer, which a {type(model).__name__} does not have"
        )
    return cross_entropy(part, encode(batch.items)[batch.scored()], batch)


def cross_entropy(
    model: Encoder, hidden: Float[Tensor, "scored channel"], batch: Windows, *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """Cross-entropy at the scored positions of a batch: over all items, or against the batch's negatives if it has any.

    `hidden` holds the states at batch.scored(), row by row; reduction "mean" gives one number, "none" one for each.
    """
    targets = batch.targets[batch.scored()]  # (batch, time) -> (scored,)
    if isinstance(batch, WithNegatives) and batch.negatives is not None:
        return sampled_cross_entropy(model, hidden, targets, batch.negatives, reduction=reduction)
    return F.cross_entropy(model.score(hidden), targets, reduction=reduction)


def sampled_cross_entropy(
    model: Encoder,
    hidden: Float[Tensor, "scored channel"],
    targets: Int[Tensor, " scored"],
    negatives: Int[Tensor, " drawn"],
    *,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Estimate the cross-entropy over all N items from each position's target and n items drawn for the whole batch.

    The full loss is -s_t + log(exp s_t + sum of exp s_j over all j other than t). Here the sum runs over the drawn j
    other than t and is multiplied by N / n, which adds log(N / n) to each of their scores. Every item is drawn with
    probability n / N, so the sum is right on average, and exactly right at n = N. A target among the drawn items is
    left out of the sum: it is there already.

    What stays biased is the logarithm: on average it falls short of the logarithm of the average (Jensen), by about
    var / (2 mean^2) of the whole, which falls as 1 / n.

    Source: Bengio & Senécal (2008) and Jean et al. (2015), who correct the scores of any proposal; uniform draws are
    the simplest. The code of NextItNet's authors draws 20 % of the items a step, and so does the code published with
    SkipRec, so a full softmax departs from it; a number that does not grow with the catalogue is this course's.
    """
    read = before_output(model, hidden)
    weight, bias = output_rows(model, targets)
    of_target = (read * weight).sum(dim=1) + bias  # (scored, channel) -> (scored,)
    weight, bias = output_rows(model, negatives)
    correction = math.log((model.embedding.num_embeddings - 1) / len(negatives))
    of_drawn = F.linear(read, weight, bias + correction)  # (scored, channel) -> (scored, drawn)
    is_target = targets.unsqueeze(1) == negatives  # (scored, drawn)
    of_drawn = of_drawn.masked_fill(is_target, -torch.inf)
    scores = torch.cat([of_target.unsqueeze(1), of_drawn], dim=1)  # (scored, 1 + drawn)
    return F.cross_entropy(scores, torch.zeros_like(targets), reduction=reduction)  # the target stands first


@singledispatch
def before_output(model: Encoder, hidden: Float[Tensor, "scored channel"]) -> Float[Tensor, "scored channel"]:
    """What the output layer reads: the hidden states themselves, unless `@before_output.register` says otherwise."""
    return hidden


before_output.register(SASRec, lambda model, hidden: model.norm(hidden))


@singledispatch
def output_rows(model: Encoder, items: Int[Tensor, " chosen"]) -> Rows:
    """Weights and biases of chosen items in the output layer; for a model of your own: `@output_rows.register`."""
    raise TypeError(f"a {type(model).__name__} scores all items or none: nothing says what its output_rows are")


output_rows.register(NextItNet, lambda net, items: (F.embedding(items, net.output_weight), net.output_bias[items - 1]))
output_rows.register(SASRec, lambda net, items: (F.embedding(items, net.embedding.weight), net.output_bias[items - 1]))
output_rows.register(NFM, lambda net, items: (F.embedding(items - 1, net.output.weight), net.output.bias[items - 1]))

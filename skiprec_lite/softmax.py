"""Cross-entropy over all items or, for a catalogue whose scores do not fit into memory, over a sample of them."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from skiprec_lite.backbones import Encoder, NextItemModel
from skiprec_lite.promises import Size, validated
from skiprec_lite.windows import Windows


def cross_entropy(
    model: Encoder, hidden: Float[Tensor, "scored channel"], batch: Windows, *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """Cross-entropy at the scored positions of a batch: over all items, or against the batch's negatives if it has any.

    Args:
        model: scores from hidden states.
        hidden: the states at batch.scored(), row by row.
        batch: its targets and, for a sampled softmax, its negatives.
        reduction: "mean" gives one number, "none" one for each scored position.
    """
    targets = batch.targets[batch.scored()]  # (batch, time) -> (scored,)
    if batch.negatives is None:
        return F.cross_entropy(model.score(hidden), targets, reduction=reduction)
    return sampled_cross_entropy(model, hidden, targets, batch.negatives, reduction=reduction)


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

    Args:
        model: gives the rows of its output layer for the items that are scored.
        hidden: what to score from.
        targets: the true item of each row, 1 ... num_items.
        negatives: different items, drawn uniformly without replacement (`draw_negatives`).
        reduction: "mean" or "none".

    Raises:
        TypeError: if the model has no output rows.

    Source: Bengio & Senécal (2008) and Jean et al. (2015), who correct the scores of any proposal; uniform draws are
    the simplest. The code of NextItNet's authors draws 20 % of the items a step, and so does the code published with
    SkipRec, so a full softmax departs from it; a number that does not grow with the catalogue is this course's.
    """
    read = model.before_output(hidden)
    weight, bias = model.output_rows(targets)
    of_target = (read * weight).sum(dim=1) + bias  # (scored, channel) -> (scored,)
    weight, bias = model.output_rows(negatives)
    correction = math.log(_num_items(model) / len(negatives))
    of_drawn = F.linear(read, weight, bias + correction)  # (scored, channel) -> (scored, drawn)
    is_target = targets.unsqueeze(1) == negatives  # (scored, drawn)
    of_drawn = of_drawn.masked_fill(is_target, -torch.inf)
    scores = torch.cat([of_target.unsqueeze(1), of_drawn], dim=1)  # (scored, 1 + drawn)
    return F.cross_entropy(scores, torch.zeros_like(targets), reduction=reduction)  # the target stands first


@validated
def draw_negatives(model: NextItemModel, number: Size) -> Int[Tensor, " drawn"]:
    """Draw different items of the model's catalogue, each as likely as any other; all, where there are no more.

    Raises:
        TypeError: if the model has no hidden states and output layer.
    """
    return 1 + torch.randperm(_num_items(with_output_layer(model)))[:number]


def with_output_layer(model: NextItemModel) -> Encoder:
    """Return the part of a model that scores from hidden states: itself, or the backbone that it walks through.

    Raises:
        TypeError: if there is none.
    """
    part = getattr(model, "backbone", model)
    if not isinstance(part, Encoder):
        raise TypeError(
            f"a sampled softmax needs hidden states and an output layer, which a {type(model).__name__} does not have"
        )
    return part


def _num_items(model: Encoder) -> int:
    return model.embedding.num_embeddings - 1

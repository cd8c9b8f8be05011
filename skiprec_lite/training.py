"""One fit loop for every model: a backbone alone, or a SkipRec with warm-up, gates and a cost."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from skiprec_lite.backbones import Backbone, NextItemModel
from skiprec_lite.evaluation import ndcg_per_user
from skiprec_lite.gate_losses import (
    GateLoss,
    difference_loss,
    from_a_cut,
    settled_loss,
    straight_through_loss,
    whole_window,
)
from skiprec_lite.metrics import Estimate, paired_difference
from skiprec_lite.promises import Count, NotNegative, Positive, Seed, Size, validated
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.softmax import cross_entropy, draw_negatives, with_output_layer
from skiprec_lite.windows import Split, Windows, check_windows


@dataclass
class History:
    """What happened in a training run. Built in lessons 05 and 07.

    Attributes:
        epochs: one dict per epoch: epoch, loss, ndcg (validation NDCG@10, greedy gates), and for a SkipRec also
            ndcg_sampled, keep_probability (mean of the policy's), keep_rate (share of greedy gates that keep),
            cost (weight of the gates at the end of the epoch); candidate says whether the epoch could be chosen.
        chosen: the epoch whose weights the model holds at the end; -1 if not even the first was finished.
        stopped: "all epochs run", "no better for N epochs" or "interrupted".
        note: why `chosen` is not the outcome of the usual rule, else empty.
        behind_best: for each candidate epoch, how far its NDCG lies below the best one's and the standard error of
            that paired difference.
    """

    epochs: list[dict[str, float | int | bool]] = field(default_factory=list)
    chosen: int = 0
    stopped: str = "all epochs run"
    note: str = ""
    behind_best: dict[int, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """An epoch that may be chosen: mean number of blocks, each user's NDCG@10, the weights. Built in lesson 07."""

    epoch: int
    blocks: float
    ndcg: Float[Tensor, " user"]
    weights: dict[str, Tensor]


@validated
def fit(
    model: NextItemModel,
    split: Split,
    *,
    seed: Seed = 0,
    epochs: Size = 30,
    batch_size: Size = 32,
    learning_rate: Positive = 1e-3,
    weight_decay: NotNegative = 0.0,
    anneal: bool = False,
    softmax: str = "full",
    negatives: Size = 2000,
    cost: NotNegative = 0.0,
    warmup_epochs: Count = 5,
    ramp_epochs: Count = 5,
    hold_epochs: Count = 0,
    settle_epochs: Count = 0,
    patience: Size = 5,
    pretrained: Backbone | None = None,
    policy_reads: str = "up to a cut",
    gate_loss: GateLoss = straight_through_loss,
    fresh: Callable[[int], Windows] | None = None,
    after_epoch: Callable[[int, NextItemModel], None] | None = None,
    progress: bool = True,
) -> History:
    """Train a model in place and leave it, in eval mode, with the weights of the chosen epoch.

    Every position of a window is a prediction (one pass trains T of them). For a SkipRec the first `warmup_epochs`
    run at full depth and leave the policy alone; then gates are sampled, a `cut` is drawn for each row, the policy
    reads what stands before it, and the positions from it on are scored; cost * (mean gate) is added to the loss
    and grows to its full size within `ramp_epochs`. Of the epochs after the ramp, those within one paired standard
    error of the best validation NDCG@10 are as good as the best, and the one with fewest blocks is chosen.
    Ctrl-C stops the training and keeps the choice made so far. Built in lessons 05 and 07.

    Args:
        model: a backbone, an NFM or a SkipRec.
        split: train is trained on, validation chooses the epoch; test is not looked at.
        seed: of the order of the rows, the dropout, the cuts and the gates. Same seed, same machine: same result.
        epochs: at most so many.
        batch_size: windows a step.
        learning_rate: of Adam.
        weight_decay: decoupled, of AdamW.
        anneal: let the learning rate fall to 0 along half a cosine over `epochs`.
        softmax: "full" scores all items at every position; "sampled" the target and a draw of items that a batch
            shares, its bias corrected (`sampled_cross_entropy`): for catalogues whose scores do not fit into memory.
            Validation ranks all items either way.
        negatives: for a sampled softmax, so many items a step; all of them in a catalogue that has no more.
        cost: weight of the mean gate in the loss; 0 does not reward skipping.
        warmup_epochs: for a SkipRec, epochs at full depth first.
        ramp_epochs: for a SkipRec, epochs over which the cost grows.
        hold_epochs: for a SkipRec, so many epochs before those move the policy by what flipping a gate does
            (`difference_loss`) in place of `gate_loss`: explore first, then hold what is worth holding. With them,
            only they and the settling epochs are candidates.
        settle_epochs: for a SkipRec, so many of the last epochs train the backbone alone, under the policy's greedy
            gates: a gate that wavers around 1/2 is noise to the blocks until then. With them, only they are candidates.
        patience: stop after so many candidate epochs without a better validation NDCG@10.
        pretrained: two-stage training: a trained backbone of the same sizes, copied before the start; a policy
            whose embedding has the backbone's width gets a copy of that too.
        policy_reads: "up to a cut", or "the whole window" as in the published scheme, where the gates of early
            positions have read the items to predict.
        gate_loss: what a step after the warm-up minimises: `straight_through_loss`, or another way to teach gates.
        fresh: gives new training windows for each epoch (0, 1, …) in place of split.train.
        after_epoch: is called with the epoch and the model, in eval mode, after each of them: to watch, not to change.
        progress: show a progress bar.

    Raises:
        TypeError: if a model has nothing to train, or a sampled softmax is asked of one without hidden states and an
            output layer.
        ValueError: if model and split are made for different numbers of items, `pretrained` does not fit, or the
            validation cases are of fewer than two users (the choice needs a standard error).
        FloatingPointError: if the loss stops being finite.
    """
    _check_model_and_split(model, split)
    readings = {"up to a cut": from_a_cut, "the whole window": whole_window}
    if policy_reads not in readings:
        raise ValueError(f"policy_reads must be 'up to a cut' or 'the whole window', got {policy_reads!r}")
    if softmax not in ("full", "sampled"):
        raise ValueError(f"softmax must be 'full' or 'sampled', got {softmax!r}")
    if softmax == "sampled":
        with_output_layer(model)
    if pretrained is not None:
        _copy_backbone(pretrained, model)
    backbone, policy_model = (model.backbone, model) if isinstance(model, SkipRec) else (model, None)
    settle_from = epochs - settle_epochs
    hold_from = settle_from - hold_epochs
    first_candidate = warmup_epochs + ramp_epochs if policy_model else 0
    if policy_model and settle_epochs:
        first_candidate = max(first_candidate, settle_from)
    elif policy_model and hold_epochs:
        first_candidate = max(first_candidate, hold_from)
    history, front, ndcgs = History(), [], {}  # type: History, list[Candidate], dict[int, Tensor]
    train = split.train if fresh is None else _checked(fresh(0), split)
    if len(train) == 0:
        raise ValueError("there is no window to train on")
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    total = epochs * math.ceil(len(train) / batch_size)  # steps
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total) if anneal else None
    bar = tqdm(total=total, unit="step", disable=not progress)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for epoch in range(epochs):
                if fresh is not None and epoch > 0:
                    train = _checked(fresh(epoch), split)
                steps = math.ceil(len(train) / batch_size)
                losses = []
                model.train()
                for step, rows in enumerate(torch.randperm(len(train)).split(batch_size)):
                    since = (epoch - warmup_epochs) + (step + 1) / steps
                    weight = cost * min(1.0, since / ramp_epochs) if ramp_epochs else cost
                    optimizer.zero_grad()
                    batch = train.rows(rows)
                    if softmax == "sampled":
                        batch = replace(batch, negatives=draw_negatives(backbone, negatives))
                    if policy_model and epoch >= warmup_epochs:
                        stage = (
                            settled_loss if epoch >= settle_from
                            else difference_loss if epoch >= hold_from
                            else gate_loss
                        )  # fmt: skip
                        loss = stage(policy_model, readings[policy_reads](batch), weight)
                    else:
                        loss = next_item_loss(backbone, batch)
                    losses.append(loss.item())
                    if not math.isfinite(losses[-1]):
                        raise FloatingPointError(f"the loss became {losses[-1]} in epoch {epoch}: lower learning_rate")
                    loss.backward()
                    optimizer.step()
                    if decay:
                        decay.step()
                    bar.update()
                record = {"epoch": epoch, "loss": sum(losses) / len(losses), "candidate": epoch >= first_candidate}
                warming_up = epoch < warmup_epochs
                model.eval()
                ndcg, blocks, more = _validate(backbone if warming_up else model, split.validation)
                if policy_model and not warming_up:
                    more["cost"] = weight
                history.epochs.append(record | {"ndcg": float(ndcg.mean())} | more)
                if after_epoch is not None:
                    with torch.random.fork_rng(devices=[]):  # who watches leaves the training as it is
                        after_epoch(epoch, model)
                bar.set_postfix_str(f"epoch {epoch}, validation NDCG@10 {ndcg.mean():.4f}, blocks {blocks:.1f}")
                if epoch >= first_candidate:
                    ndcgs[epoch] = ndcg
                    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
                    front = _keep_the_front(front, Candidate(epoch, blocks, ndcg, weights))
                    if epoch - _best(front).epoch >= patience:
                        history.stopped = f"no better for {patience} epochs"
                        break
    except KeyboardInterrupt:
        history.stopped = "interrupted"
    finally:
        bar.close()
    model.eval()
    if front:
        chosen = choose(front)
        model.load_state_dict(chosen.weights)
        history.chosen = chosen.epoch
        best = _best(front)
        history.behind_best = {e: paired_difference(best.ndcg, n) for e, n in ndcgs.items()}
    else:
        history.chosen = len(history.epochs) - 1
        what = "the ramp" if policy_model else "the first epoch"
        history.note = f"stopped before {what} ended: no epoch could be chosen, the last weights are kept"
    return history


def next_item_loss(model: NextItemModel, batch: Windows) -> Float[Tensor, ""]:
    """Cross-entropy over all items, mean over every scored position of the batch. Built in lesson 05.

    A batch that holds negatives is trained against these alone.

    Source: Yuan et al. (2019), with the full softmax.
    """
    scored = batch.scored()
    if batch.negatives is not None:
        return cross_entropy(with_output_layer(model), model.hidden_at(batch.items, scored), batch)
    return F.cross_entropy(model.score_at(batch.items, scored), batch.targets[scored])


@torch.no_grad()
def _validate(model: NextItemModel, cases: Windows) -> tuple[Float[Tensor, " user"], float, dict[str, float]]:
    """NDCG@10 per user, the mean number of blocks that a user runs, and what only a SkipRec has to record."""
    if not isinstance(model, SkipRec):
        return ndcg_per_user(model, cases), float(len(model.blocks) if isinstance(model, Backbone) else 0), {}
    logits = model.gate_logits(cases.items, cases.cut)
    greedy, sampled = model.decide(logits, sample=False), model.decide(logits, sample=True)
    keep = torch.softmax(logits, dim=-1)[..., 0]
    more: dict[str, float] = {
        "ndcg_sampled": float(ndcg_per_user(model, cases, gates=sampled).mean()),
        "keep_probability": float(keep.mean()),
        "keep_rate": float(greedy.mean()),
    }
    return ndcg_per_user(model, cases, gates=greedy), float(greedy.sum(dim=1).mean()), more


def _keep_the_front(front: list[Candidate], new: Candidate) -> list[Candidate]:
    """Candidates that no other one beats or equals in both quality and blocks.

    Only these are kept in memory and can be chosen: who is beaten in both has no claim, even where the paired error
    of its beater happens to be smaller than its own.
    """

    def beats(a: Candidate, b: Candidate) -> bool:
        return bool(a.ndcg.mean() >= b.ndcg.mean()) and a.blocks <= b.blocks

    if any(beats(old, new) for old in front):
        return front
    return [old for old in front if not beats(new, old)] + [new]


def _best(front: list[Candidate]) -> Candidate:
    return max(front, key=lambda c: c.ndcg.mean())


def choose(front: list[Candidate]) -> Candidate:
    """Among those within one paired standard error of the best NDCG, the one with fewest blocks."""
    best = _best(front)

    def as_good(c: Candidate) -> bool:
        behind, error = paired_difference(best.ndcg, c.ndcg)
        return behind <= error

    return min((c for c in front if as_good(c)), key=lambda c: (c.blocks, -c.ndcg.mean()))


def _check_model_and_split(model: NextItemModel, split: Split) -> None:
    if not any(True for _ in model.parameters()):
        raise TypeError(f"model must have parameters to train, a {type(model).__name__} only counts")
    embedding = getattr(getattr(model, "backbone", model), "embedding", None)
    if embedding is not None and embedding.num_embeddings - 1 != split.num_items:
        raise ValueError(f"the model is made for {embedding.num_embeddings - 1} items, the split has {split.num_items}")
    check_windows("split.train", split.train, split.num_items)
    check_windows("split.validation", split.validation, split.num_items)
    if (users := len(split.validation.users.unique())) < 2:
        raise ValueError(f"split.validation must hold at least two users to choose an epoch by, got {users}")


def _checked(windows: Windows, split: Split) -> Windows:
    check_windows("what fresh gives", windows, split.num_items)
    return windows


def _copy_backbone(pretrained: Backbone, model: NextItemModel) -> None:
    target = model.backbone if isinstance(model, SkipRec) else model
    if not isinstance(target, Backbone):
        raise ValueError(f"a pre-trained backbone does not fit into a {type(model).__name__}")
    try:
        target.load_state_dict(pretrained.state_dict())
    except RuntimeError as error:
        raise ValueError(f"the pre-trained backbone has sizes {pretrained.sizes}, the model {target.sizes}") from error
    if isinstance(model, SkipRec) and model.policy.embedding.weight.shape == pretrained.embedding.weight.shape:
        model.policy.embedding.load_state_dict(pretrained.embedding.state_dict())

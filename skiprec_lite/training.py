"""One training loop for every model: epoch by epoch, each in a stage that says what its steps minimise."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from skiprec_lite.backbones import Backbone, Device, NextItemModel, device_of, on_device
from skiprec_lite.choosing import Choice, History
from skiprec_lite.evaluation import ndcg_per_user
from skiprec_lite.promises import NotNegative, Positive, Seed, Size, validated
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.stages import Stage as Stage
from skiprec_lite.stages import Stages
from skiprec_lite.stages import next_item_loss as next_item_loss
from skiprec_lite.stages import skiprec_stages as skiprec_stages
from skiprec_lite.windows import Split, Windows, check_windows


@validated
def fit(
    model: NextItemModel,
    split: Split,
    *,
    seed: Seed = 0,
    epochs: Size | None = None,
    stages: Stages | None = None,
    batch_size: Size = 32,
    learning_rate: Positive = 1e-3,
    weight_decay: NotNegative = 0.0,
    anneal: bool = False,
    patience: Size = 5,
    fresh: Callable[[int], Windows] | None = None,
    after_epoch: Callable[[int, NextItemModel], None] | None = None,
    progress: bool = True,
    exclude_seen: bool = True,
    device: Device = "auto",
) -> History:
    """Train a model in place and leave it, in eval mode, with the weights of the chosen epoch.

    Every position of a window is a prediction (one pass trains T of them). Of the epochs that may be chosen, those
    within one paired standard error of the best validation NDCG@10 are as good as the best, and the one with fewest
    blocks is kept. Ctrl-C stops the training and keeps the choice made so far. Built in lessons 06 and 08.

    Validation users, two at least, choose the epoch, with or without what each has met (`exclude_seen`); test is not
    looked at. From `seed` come the order of the rows, the dropout, the cuts and the gates: same seed, same machine,
    same result, and the same orders, cuts and noise of the gates on every `device` (see `chosen_device`). `stages` say
    what is minimised, and for how long; in place of them `epochs` (30 if neither is given) are those of one stage or,
    for a SkipRec, of `skiprec_stages`. The optimiser is AdamW; with `anneal` its learning rate falls to 0 along half a
    cosine over all epochs. After `patience` candidate epochs without a better validation NDCG@10 the training stops.
    `fresh` gives new training windows for each epoch (0, 1, …) in place of split.train. `after_epoch` is called with
    the epoch and the model, in eval mode, after each of them: to watch, not to change.

    Raises:
        FloatingPointError: if the loss stops being finite.
    """
    _check_model_and_split(model, split)
    plan = _epoch_by_epoch(model, epochs, stages)
    train = _training_windows(split, fresh, 0)
    steps = math.ceil(len(train) / batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(plan) * steps) if anneal else None
    bar = tqdm(total=len(plan) * steps, unit="step", disable=not progress)
    history, choice = History(), Choice()
    try:
        with on_device(model, device), torch.random.fork_rng(devices=[]), bar:
            torch.manual_seed(seed)
            for epoch, (stage, gated) in enumerate(plan):
                train = _training_windows(split, fresh, epoch) if epoch else train
                batches = torch.randperm(len(train)).split(batch_size)
                losses = []
                model.train()
                for step, rows in enumerate(batches):
                    cost = stage.cost_after(gated + (step + 1) / len(batches))
                    optimizer.zero_grad()
                    loss = stage.minimises(model, train.rows(rows), cost)
                    losses.append(_finite(loss.item(), epoch))
                    loss.backward()
                    optimizer.step()
                    if decay:
                        decay.step()
                    bar.update()
                model.eval()
                ndcg, blocks, record = _validate(stage.part_of(model), split.validation, cost, exclude_seen)
                candidate = stage.candidate and gated >= stage.ramp
                mean = sum(losses) / len(losses)
                history.epochs.append({"epoch": epoch, "loss": mean, "candidate": candidate, **record})
                _show(after_epoch, epoch, model)
                bar.set_postfix_str(f"epoch {epoch}, validation NDCG@10 {ndcg.mean():.4f}, blocks {blocks:.1f}")
                if candidate:
                    choice.add(epoch, model, ndcg, blocks)
                    if choice.no_better_since(epoch) >= patience:
                        history.stopped = f"no better for {patience} epochs"
                        break
    except KeyboardInterrupt:
        history.stopped = "interrupted"
    choice.keep(model, history)
    return history


@validated
def start_from(model: NextItemModel, pretrained: Backbone) -> None:
    """Two-stage training: copy a trained backbone into a backbone or a SkipRec of the same sizes. Built in lesson 08.

    A policy whose embedding has the backbone's width gets a copy of that too.
    """
    target = model.backbone if isinstance(model, SkipRec) else model
    if not isinstance(target, Backbone):
        raise ValueError(f"a pre-trained backbone does not fit into a {type(model).__name__}")
    try:
        target.load_state_dict(pretrained.state_dict())
    except RuntimeError as error:
        raise ValueError(f"the pre-trained backbone has sizes {pretrained.sizes}, the model {target.sizes}") from error
    if isinstance(model, SkipRec) and model.policy.embedding.weight.shape == pretrained.embedding.weight.shape:
        model.policy.embedding.load_state_dict(pretrained.embedding.state_dict())


def _epoch_by_epoch(
    model: NextItemModel, epochs: int | None, stages: Sequence[Stage] | None
) -> list[tuple[Stage, int]]:
    """The stage of each epoch, and how many epochs with gates have been before it."""
    if epochs is not None and stages is not None:
        raise ValueError(f"give epochs or stages, not both, got {epochs} and {len(stages)} stages")
    if stages is None:
        epochs = 30 if epochs is None else epochs
        stages = skiprec_stages(epochs) if isinstance(model, SkipRec) else [Stage(epochs)]
    plan: list[tuple[Stage, int]] = []
    gated = 0
    for stage in stages:
        for _ in range(stage.epochs):
            plan.append((stage, gated))
            gated += stage.reads is not None
    return plan


@torch.no_grad()
def _validate(
    model: NextItemModel, cases: Windows, cost: float, exclude_seen: bool
) -> tuple[Float[Tensor, " user"], float, dict[str, float]]:
    """NDCG@10 per user, the mean number of blocks that a user runs, and what is recorded of an epoch."""
    if not isinstance(model, SkipRec):
        ndcg = ndcg_per_user(model, cases, exclude_seen=exclude_seen)
        return ndcg, float(len(model.blocks) if isinstance(model, Backbone) else 0), {"ndcg": float(ndcg.mean())}
    here = cases.to(device_of(model))
    logits = model.gate_logits(here.items, here.cut).cpu()
    greedy, sampled = model.decide(logits, sample=False), model.decide(logits, sample=True)
    ndcg = ndcg_per_user(model, cases, gates=greedy, exclude_seen=exclude_seen)
    record: dict[str, float] = {
        "ndcg": float(ndcg.mean()),
        "ndcg_sampled": float(ndcg_per_user(model, cases, gates=sampled, exclude_seen=exclude_seen).mean()),
        "keep_probability": float(torch.softmax(logits, dim=-1)[..., 0].mean()),
        "keep_rate": float(greedy.mean()),
        "cost": cost,
    }
    return ndcg, float(greedy.sum(dim=1).mean()), record


def _show(after_epoch: Callable[[int, NextItemModel], None] | None, epoch: int, model: NextItemModel) -> None:
    if after_epoch is not None:
        with torch.random.fork_rng(devices=[]):  # who watches leaves the training as it is
            after_epoch(epoch, model)


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss became {loss} in epoch {epoch}: lower learning_rate")
    return loss


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


def _training_windows(split: Split, fresh: Callable[[int], Windows] | None, epoch: int) -> Windows:
    if fresh is None:
        windows = split.train
    else:
        windows = fresh(epoch)
        check_windows("what fresh gives", windows, split.num_items)
    if len(windows) == 0:
        raise ValueError("there is no window to train on")
    return windows

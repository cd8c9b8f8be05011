"""Checks of what lesson 13 builds: two rewards, a policy that learns by them, self-attention and SASRec."""

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_course.engine import Check, Trial
from skiprec_course.questions import is_a_tensor
from skiprec_lite.backbones import AttentionBlock, Backbone, NextItNet, SASRec, in_eval_mode
from skiprec_lite.gate_losses import losses_at, per_row
from skiprec_lite.policy_gradient import block_drop_reward, log_probability
from skiprec_lite.skiprec import SkipRec, visible
from skiprec_lite.windows import Windows

__all__ = [
    "check_AttentionBlock",
    "check_SASRec",
    "check_block_drop_reward",
    "check_log_probability",
    "check_published_reward",
    "check_self_critical_loss",
]


# --- rewards ---


def _reward(trial: Trial, name: str) -> None:
    """Hits and misses, no block, some and all; numbers of any shape."""
    hit = torch.tensor([True, True, True, False, False, True])
    used = torch.tensor([0.0, 0.25, 1.0, 0.0, 0.75, 0.5])
    is_a_tensor(trial, trial.call(trial.answer, hit, used), hit, used)
    values: list[dict[str, Any]] = [{}, {name: 2.0}, {name: 0.3}, {name: 0.0}]
    for options in values:
        trial.same(hit, used, **options)
    for shape in ((), (40,), (3, 5)):
        trial.same(trial.normal(*shape) > 0, trial.integers(0, 8, *shape) / 8)
    trial.same(torch.tensor([True, False]), torch.tensor([0.25, 0.5], dtype=torch.float64), **values[1])


check_block_drop_reward = Check(
    part="policy_gradient.block_drop_reward",
    task="Return BlockDrop's reward for each entry: a hit earns 1 - used², a miss costs `miss`. `hit` is a bool "
    "tensor, `used` the share of blocks that ran, of the same shape (any).",
    hints=(
        "Two formulas, and a bool that says which one counts, entry by entry: no `if`.",
        "`torch.where(condition, this, that)`. A miss is a loss: mind its sign.",
    ),
    body=lambda trial: _reward(trial, "miss"),
    minutes=3,
    difficulty=1,
    mistakes={
        "the share is not squared": lambda hit, used, miss=0.5: torch.where(hit, 1 - used, -miss),
        "a miss is not punished: it costs `miss`": lambda hit, used, miss=0.5: torch.where(hit, 1 - used**2, 0.0),
        "a miss earns something: its sign is wrong": lambda hit, used, miss=0.5: torch.where(hit, 1 - used**2, miss),
        "this reward rises with the blocks that ran: that is the published one":
            lambda hit, used, miss=0.5: torch.where(hit, 1 - (1 - used) ** 2, -miss),
        "this reward rises with the blocks that ran: take the square from 1":
            lambda hit, used, miss=0.5: torch.where(hit, used**2, -miss),
        "the square is of the share that was skipped: it is 1 - used²":
            lambda hit, used, miss=0.5: torch.where(hit, (1 - used) ** 2, -miss),
        "a miss pays for its blocks as well: it costs a constant":
            lambda hit, used, miss=0.5: torch.where(hit, 1 - used**2, -miss - used**2),
        "hit and miss are swapped": lambda hit, used, miss=0.5: torch.where(hit, -miss, 1 - used**2),
        "`miss` is not used": lambda hit, used, miss=0.5: torch.where(hit, 1 - used**2, -0.5),
        "`miss` weighs the square: it is what a miss costs":
            lambda hit, used, miss=0.5: torch.where(hit, 1 - miss * used**2, -miss),
    },
)  # fmt: skip

check_published_reward = Check(
    part="policy_gradient.published_reward",
    task="Return the reward of the published code for each entry: a hit earns 1 - gamma (1 - used)², a miss costs "
    "gamma. `hit` is a bool tensor, `used` the share of blocks that ran, of the same shape (any).",
    hints=(
        "As in `block_drop_reward`, with other formulas on both sides.",
        "gamma stands in both: it weighs the square of what was *skipped*, and it is what a miss costs.",
    ),
    body=lambda trial: _reward(trial, "gamma"),
    minutes=3,
    difficulty=1,
    mistakes={
        "this reward falls with the blocks that ran: here the share that was skipped is squared":
            lambda hit, used, gamma=1.0: torch.where(hit, 1 - gamma * used**2, -gamma),
        "the share that was skipped is not squared":
            lambda hit, used, gamma=1.0: torch.where(hit, 1 - gamma * (1 - used), -gamma),
        "gamma is missing in what a hit earns":
            lambda hit, used, gamma=1.0: torch.where(hit, 1 - (1 - used) ** 2, -gamma),
        "gamma is missing in what a miss costs":
            lambda hit, used, gamma=1.0: torch.where(hit, 1 - gamma * (1 - used) ** 2, -1.0),
        "a miss is not punished: it costs gamma":
            lambda hit, used, gamma=1.0: torch.where(hit, 1 - gamma * (1 - used) ** 2, 0.0),
        "a miss earns something: its sign is wrong":
            lambda hit, used, gamma=1.0: torch.where(hit, 1 - gamma * (1 - used) ** 2, gamma),
        "gamma is inside the square":
            lambda hit, used, gamma=1.0: torch.where(hit, 1 - (gamma * (1 - used)) ** 2, -gamma),
        "this is 1 - (1 - used²): square the share that was skipped, 1 - used":
            lambda hit, used, gamma=1.0: torch.where(hit, 1 - gamma * (1 - used**2), -gamma),
        "hit and miss are swapped": lambda hit, used, gamma=1.0: torch.where(hit, -gamma, 1 - gamma * (1 - used) ** 2),
    },
)  # fmt: skip


# --- log_probability ---


def _log_probability(trial: Trial) -> None:
    for users, blocks in ((3, 4), (1, 2), (5, 1), (20, 6)):
        logits, gates = trial.normal(users, blocks, 2, scale=1.5), trial.integers(0, 1, users, blocks).float()
        is_a_tensor(trial, trial.call(trial.answer, logits, gates), logits, gates)
        trial.same_results(_of_logits(gates), logits, gradients=True)
    sure = torch.tensor([[[60.0, -60.0], [-60.0, 60.0]]])
    for gates in (torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])):
        found = trial.call(trial.answer, sure, gates)
        trial.require(found.isfinite().all(), f"where the policy is very sure, the result is {float(found):.3g}",
                      "a probability rounds to 0, and its logarithm is infinite: take both at once (log_softmax)",
                      sure.flatten(), gates)  # fmt: skip
        trial.same(sure, gates)


def _of_logits(gates: Tensor) -> Callable[[Callable], Callable]:
    """Gates that are given: only the logits are to have a gradient."""
    return lambda f: lambda logits: f(logits, gates.clone())


def _of_log_pi(combine: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A mistaken combination of (gates, log pi of keep, log pi of skip)."""
    return lambda logits, gates: combine(gates, *logits.log_softmax(dim=-1).unbind(dim=-1))


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
    mistakes={
        "keep and skip are swapped: the keep logit comes first, and a gate of 1 keeps":
            _of_log_pi(lambda z, keep, skip: ((1 - z) * keep + z * skip).sum(dim=1)),
        "this is the mean over the blocks: independent choices multiply, so logarithms add up":
            _of_log_pi(lambda z, keep, skip: (z * keep + (1 - z) * skip).mean(dim=1)),
        "this is the probability: its logarithm is asked for":
            _of_log_pi(lambda z, keep, skip: (z * keep + (1 - z) * skip).sum(dim=1).exp()),
        "probabilities are added up: take their logarithms first":
            _of_log_pi(lambda z, keep, skip: (z * keep.exp() + (1 - z) * skip.exp()).sum(dim=1)),
        "the skipped blocks are missing: a gate of 0 has a log-probability too":
            _of_log_pi(lambda z, keep, skip: (z * keep).sum(dim=1)),
        "the logits are added up as they are: they need a log-softmax first":
            lambda logits, gates: (gates * logits[..., 0] + (1 - gates) * logits[..., 1]).sum(dim=1),
        "the softmax runs over the blocks: it runs over keep and skip": lambda logits, gates: (
            gates * logits.log_softmax(dim=1)[..., 0] + (1 - gates) * logits.log_softmax(dim=1)[..., 1]).sum(dim=1),
        "this is the negative log-probability: a loss, not what is asked for":
            _of_log_pi(lambda z, keep, skip: -(z * keep + (1 - z) * skip).sum(dim=1)),
        "the sum runs over the users: one number for each of them is asked for, summed over the blocks":
            _of_log_pi(lambda z, keep, skip: (z * keep + (1 - z) * skip).sum(dim=0)),
        "this is one number for each gate: sum over the blocks":
            _of_log_pi(lambda z, keep, skip: z * keep + (1 - z) * skip),
        "this is one number for all users: sum over the blocks only":
            _of_log_pi(lambda z, keep, skip: (z * keep + (1 - z) * skip).sum()),
    },
)  # fmt: skip


# --- self_critical_loss ---


NUM_ITEMS = 12


class TinyPolicy(nn.Module):
    """Logits for each user, whatever they have read, and the last thing that they have read."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.sizes = {"num_items": NUM_ITEMS, "num_blocks": logits.shape[1]}
        self.logits = nn.Parameter(logits.clone())
        self.read = torch.empty(0)

    def forward(self, items: Tensor) -> Tensor:
        self.read = items.clone()
        return self.logits


def _windows(trial: Trial, lengths: list[int], width: int = 5) -> Windows:
    """Histories with a cut each; the positions from it on are scored, one of them in the first row."""
    items = trial.histories(NUM_ITEMS, lengths, width)
    cut = torch.tensor([width - 1 if i % 3 == 0 else width - min(4, n) for i, n in enumerate(lengths)])
    targets = trial.integers(1, NUM_ITEMS, len(lengths), width)
    targets = targets.masked_fill(torch.arange(width) < cut.unsqueeze(1), 0)
    return Windows(items, targets, cut, torch.arange(len(lengths)))


def _model(trial: Trial, logits: Tensor, dropout: float = 0.0) -> SkipRec:
    """Random parameters in float64, in training mode."""
    blocks = logits.shape[1]
    backbone = NextItNet(NUM_ITEMS, channels=3, dilations=[1] * blocks, dropout=dropout).double()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.copy_(trial.normal(*parameter.shape, dtype=torch.float64) + 1.5 * (parameter.numel() == 1))
        backbone.embedding.weight[0] = 0
    model = SkipRec(backbone, TinyPolicy(logits.double()))  # type: ignore[arg-type]
    return model.train()


def _self_critical(trial: Trial) -> None:
    _is_a_loss(trial)
    for options in ({"k": 6, "miss": 2.0}, {}):
        _is_the_loss(trial, **options)
    _samples_one_side(trial)
    _counts_ties_against(trial)
    _scores_without_dropout(trial)


def _is_a_loss(trial: Trial) -> None:
    batch, model = _windows(trial, [5, 2, 4]), _model(trial, trial.normal(3, 2, 2))
    given = (model, batch, 0.7)
    with trial.of_the_answer(*given):
        loss = trial.answer(*given)
    is_a_tensor(trial, loss, *given)
    trial.require(loss.shape == (), f"found shape {tuple(loss.shape)}, expected one number",
                  "take the mean over rows and positions", *given)  # fmt: skip
    trial.require(loss.isfinite(), f"the loss is {float(loss)}", "", *given)
    trial.require(loss.requires_grad, "the loss has no gradient", "something is detached that must not be", *given)
    policy, *of_backbone = torch.autograd.grad(loss, _parameters(model), allow_unused=True)
    trial.require(
        policy is not None,
        "the policy gets no gradient",
        "the log-probability of the sampled gates brings it: do not detach that",
        *given,
    )
    trial.require(
        of_backbone[-1] is not None,
        "the backbone gets no gradient",
        "its cross-entropy under the sampled gates belongs into the loss",
        *given,
    )
    trial.require(all(part.training for part in model.modules()), "afterwards the model is not in training mode",
                  "put it back into the mode that it was in", *given)  # fmt: skip
    trial.require(
        torch.equal(cast(TinyPolicy, model.policy).read, visible(batch.items, batch.cut)),
        "the policy read other items than those up to the cut",
        "hand `batch.cut` to gate_logits",
        *given,
    )


def _samples_one_side(trial: Trial) -> None:
    """Everybody hits, and a row has no gradient where the sampled gates are the greedy ones."""
    users, pi = 400, 0.12
    logits = torch.tensor([pi, 1 - pi]).log().expand(users, 1, 2)
    batch, model = _windows(trial, [4] * users), _model(trial, logits)
    given, options = (model, batch, 1.0), {"k": NUM_ITEMS}
    with trial.of_the_answer(*given, **options):
        (slope,) = torch.autograd.grad(trial.answer(*given, **options), list(model.policy.parameters()))
    share = float((slope.abs().sum(dim=(1, 2)) > 1e-9).double().mean())
    causes = {
        "the greedy gates stand on both sides: sample one of them": (0.0, 0.01),
        "two samples are compared: the baseline is the reward of the greedy gates": (0.185, 0.26),
        "the gates are tosses of a fair coin, as from a softened sample: sample them from the policy": (0.35, 0.6),
        "there is no baseline, or keep and skip are swapped": (0.8, 0.95),
    }
    cause = next((cause for cause, (low, high) in causes.items() if low <= share <= high), "")
    trial.require(
        abs(share - pi) < 0.075,
        f"the policy keeps with probability {pi}, everybody hits: {share:.0%} of the rows "
        f"get a gradient, expected about {pi:.0%} (where sampled and greedy gates differ)",
        cause,
        *given,
        **options,
    )


def _is_the_loss(trial: Trial, **options: Any) -> None:
    """With 2 users and 2 blocks 16 samples are possible. The check says which is drawn, unless the answer draws."""
    gap = trial.normal(2, 2).abs() * torch.tensor([[1, -1], [-1, 1]])  # greedy gates: one block each, not the same
    logits = torch.stack([gap, torch.zeros(2, 2)], dim=-1)
    model, batch = _decided_by_gates(trial, logits, (gap <= 0).double(), options.get("k", 10))
    given, turned = (model, batch, 0.7), (gap <= 0).double()
    flip = torch.tensor([[[0, 0], [0, 0]], [[0, 1], [1, 1]], [[1, 0], [0, 1]], [[1, 1], [1, 1]]]).double()
    every = [torch.tensor(z).view(2, 2).double() for z in _patterns(4)]
    turns, two_samples = [], False  # of each turn: what was found, and the samples that it may come from
    for turn, gates in enumerate((turned - flip).abs()):
        script = _Script(model, gates)
        torch.manual_seed(100 * trial.seed + turn)
        with trial.of_the_answer(*given, **options):
            found = _print(trial.answer, script.model, batch, 0.7, options)
        turns.append((found, [gates] if script.samples else every))
        two_samples |= script.samples > 1 and not script.choices
    of_every = _prints(trial.reference, given, options, every) if any(s is every for _, s in turns) else []
    expected = [of_every if s is every else _prints(trial.reference, given, options, s) for _, s in turns]
    wrong = [i for i, (found, _) in enumerate(turns) if not _is_among(found, expected[i])]
    if not wrong:
        return
    makes_all = lambda mistaken: all(_is_among(f, _prints(mistaken, given, options, s)) for f, s in turns)
    cause = next((name for name, mistaken in trial.twins if makes_all(mistaken)), "")
    if two_samples:
        cause = "two samples are compared: the baseline is the reward of the greedy gates"
    found, losses = turns[wrong[0]][0], torch.stack(expected[wrong[0]])[:, 0]
    nearest = float(losses[(losses - found[0]).abs().argmin()])
    what = f"the loss is {float(found[0]):.5g}, expected {nearest:.5g}"
    if abs(nearest - float(found[0])) < 1e-6 * max(1, abs(nearest)):
        what = "the loss is right, its gradient is not"
    trial.fail(what, cause, *given, **options)


def _patterns(gates: int) -> Iterable[tuple[float, ...]]:
    return itertools.product((0.0, 1.0), repeat=gates)


def _is_among(found: Tensor, prints: list[Tensor]) -> bool:
    return any(torch.allclose(found, other, rtol=1e-6, atol=1e-8) for other in prints)


class _Script:
    """A copy of a model whose sample is given, and how often it was asked for."""

    def __init__(self, model: SkipRec, gates: Tensor) -> None:
        self.model, self.gates = copy.deepcopy(model), gates
        self.samples = self.choices = 0
        self.model.decide = self.decide  # type: ignore[method-assign]

    def decide(self, logits: Tensor, *, sample: bool) -> Tensor:
        """Stand in for SkipRec.decide."""
        if not sample:
            self.choices += 1
            return (logits[..., 0] > logits[..., 1]).to(logits.dtype)
        self.samples += 1
        soft = logits.softmax(dim=-1)[..., 0]  # who does not detach the gates gets some gradient
        return self.gates + (soft - soft.detach())


def _decided_by_gates(trial: Trial, logits: Tensor, turned: Tensor, k: int) -> tuple[SkipRec, Windows]:
    """Two users whose hits the turned gates change: the first one's only, and one of the other's, but not the first."""
    batch = _windows(trial, [5, 5])
    for turn in range(500):
        if turn % 20 == 0:
            model = _model(trial, logits)
            with torch.no_grad():
                scores = [model.backbone(batch.items, gates) for gates in (turned, 1 - turned)]
            first_miss = scores[0][1, 1].argsort(descending=True)[k]  # who is off by one takes it for a hit
        targets = trial.integers(1, NUM_ITEMS, *batch.targets.shape).where(batch.scored(), 0)
        targets[1, 1] = first_miss
        true = [x.gather(2, targets.unsqueeze(2)) for x in scores]
        hits = [(x >= y).sum(dim=2) <= k for x, y in zip(scores, true)]
        changed = (hits[0] != hits[1]) & batch.scored()
        if changed[0, -1] and changed[1, 2:].any():
            break
    return model, replace(batch, targets=targets)


def _parameters(model: SkipRec) -> list[Tensor]:
    return [*model.policy.parameters(), *model.backbone.parameters()]


def _print(loss_of: Callable, model: SkipRec, batch: Windows, cost: float, options: dict[str, Any]) -> Tensor:
    """A loss and its gradients, in one row."""
    wanted = _parameters(model)
    loss = loss_of(model, batch, cost, **options)
    slopes = torch.autograd.grad(loss, wanted, allow_unused=True)
    parts = [torch.zeros_like(x) if g is None else g for g, x in zip(slopes, wanted)]
    return torch.cat([loss.detach().reshape(1), *(part.reshape(-1) for part in parts)])


def _prints(
    loss_of: Callable, given: tuple[SkipRec, Windows, float], options: dict[str, Any], samples: list[Tensor]
) -> list[Tensor]:
    """What a loss and its gradients are for each of these samples."""
    return [_print(loss_of, _Script(given[0], gates).model, given[1], given[2], options) for gates in samples]


def _counts_ties_against(trial: Trial) -> None:
    batch, model = _windows(trial, [5, 4, 3, 5]), _model(trial, trial.normal(4, 2, 2))
    with torch.no_grad():
        for name, parameter in model.backbone.named_parameters():
            if name.startswith("output"):
                parameter.zero_()
    given, options = (model, batch, 1.0), {"k": 3}
    for turn in range(6):
        torch.manual_seed(turn)
        with trial.of_the_answer(*given, **options):
            (slope,) = torch.autograd.grad(trial.answer(*given, **options), list(model.policy.parameters()))
        trial.require(
            not slope.any(),
            "where all items have the same score, somebody hits",
            "ties count against the true item: with all scores equal it comes last",
            *given,
            **options,
        )


def _scores_without_dropout(trial: Trial) -> None:
    batch = _windows(trial, [5] * 30)
    model = _model(trial, trial.normal(30, 2, 2), dropout=0.5)
    modes: set[bool] = set()
    for block in model.backbone.blocks:
        block.register_forward_hook(lambda block, *_: modes.add(block.training))
    given = (model, batch, 1.0)
    with trial.of_the_answer(*given):
        trial.answer(*given)
    trial.require(False in modes, "the rewards are scored with dropout",
                  "it is noise in their difference: score them in eval mode", *given)  # fmt: skip
    trial.require(True in modes, "the backbone's own loss is taken without dropout",
                  "only the rewards are scored in eval mode", *given)  # fmt: skip
    trial.require(all(part.training for part in model.modules()), "afterwards the model is not in training mode",
                  "put it back into the mode that it was in", *given)  # fmt: skip


def _mistaken_loss(
    *,
    policy: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor] = lambda mine, greedy, logits, gates, z: (
        -((mine - greedy) * log_probability(logits, gates)).mean()
    ),
    reward: Callable[[Tensor, Tensor, float], Tensor] = lambda hit, used, miss: block_drop_reward(hit, used, miss=miss),
    average: Callable[[Tensor, Windows], Tensor] = per_row,
    whole: Callable[[Tensor, Tensor, float], Tensor] = lambda loss, policy, cost: loss.mean() + cost * policy,
    attached: bool = False,
    baseline: Callable[[Tensor, Tensor], Tensor] = lambda greedy, logits: greedy,
    loss_gates: Callable[[Tensor, Tensor], Tensor] = lambda gates, greedy: gates,
    hits_of: Callable[[Tensor, Tensor, int], Tensor] = lambda scores, true, k: (scores >= true).sum(dim=1) <= k,
) -> Callable[..., Tensor]:
    """A self-critical loss with one step replaced."""

    def loss(model: SkipRec, batch: Windows, cost: float, *, k: int = 10, miss: float = 0.5) -> Tensor:
        logits, scored = model.gate_logits(batch.items, batch.cut), batch.scored()
        sample = model.decide(logits, sample=True)
        gates, greedy, rewards = sample.detach(), baseline(model.decide(logits, sample=False), logits), []
        row = scored.nonzero(as_tuple=True)[0]
        with in_eval_mode(model):
            for choice in (sample if attached else gates, greedy):
                with torch.no_grad():
                    scores = model.backbone.score(model.backbone.encode(batch.items, choice)[scored])
                hit = hits_of(scores, scores.gather(1, batch.targets[scored].unsqueeze(1)), k)
                rewards.append(average(reward(hit, choice.mean(dim=1)[row], miss), batch))
        of_policy = policy(rewards[0], rewards[1], logits, gates, greedy)
        used = loss_gates(sample if attached else gates, greedy)
        return whole(losses_at(model.backbone, batch, used), of_policy, cost)

    return loss


def _of_the_first(values: Tensor, batch: Windows) -> Tensor:
    row = batch.scored().nonzero(as_tuple=True)[0]
    return torch.stack([values[row == r][0] for r in range(len(batch))])


def _over_all_positions(mine: Tensor, greedy: Tensor, logits: Tensor, gates: Tensor, z: Tensor) -> Tensor:
    return -((mine.mean() - greedy.mean()) * log_probability(logits, gates)).mean()


check_self_critical_loss = Check(
    part="policy_gradient.self_critical_loss",
    task="Return the loss of one step, one number: the mean cross-entropy of the backbone under *sampled* gates "
    "(detached), plus cost times the policy's part, the mean over rows of -(R(sampled) - R(greedy)) log p(sampled). R "
    "is `block_drop_reward`, averaged over a row's scored positions (`per_row`); a hit is a true item among the first "
    "`k`, ties against it. Rewards have no gradient and are scored in eval mode. Use model.gate_logits(items, cut), "
    "model.decide, model.skip_blocks, `losses_at`.",
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
    mistakes={
        "the sign of the policy's part is wrong: the loss has to fall where better gates get likelier": _mistaken_loss(
            policy=lambda mine, greedy, logits, gates, z: ((mine - greedy) * log_probability(logits, gates)).mean()),
        "there is no baseline: subtract the reward of the greedy gates": _mistaken_loss(
            policy=lambda mine, greedy, logits, gates, z: -(mine * log_probability(logits, gates)).mean()),
        "the log-probability is that of the greedy gates: take the sampled ones'": _mistaken_loss(
            policy=lambda mine, greedy, logits, gates, z: -((mine - greedy) * log_probability(logits, z)).mean()),
        "the policy's part is a sum over the rows: take the mean": _mistaken_loss(
            policy=lambda mine, greedy, logits, gates, z: -((mine - greedy) * log_probability(logits, gates)).sum()),
        "the log-probability is a mean over the blocks: take their sum": _mistaken_loss(
            policy=lambda mine, greedy, logits, gates, z: -(
                (mine - greedy) * log_probability(logits, gates) / gates.shape[1]).mean()),
        "probabilities stand where log-probabilities belong": _mistaken_loss(
            policy=lambda mine, greedy, logits, gates, z: -(
                (mine - greedy) * log_probability(logits, gates).exp()).mean()),
        "one advantage for the whole batch: each row has its own": _mistaken_loss(policy=_over_all_positions),
        "the gates are not detached: straight-through's gradient comes into the policy": _mistaken_loss(attached=True),
        "the reward is not detached: through the share of blocks it has a gradient at the gates": _mistaken_loss(
            attached=True, loss_gates=lambda gates, greedy: gates.detach()),
        "the baseline has a gradient: the greedy gates are 0 or 1, not probabilities": _mistaken_loss(
            baseline=lambda greedy, logits: logits.softmax(dim=-1)[..., 0]),
        "the cross-entropy is that under the greedy gates: take the sampled ones": _mistaken_loss(
            loss_gates=lambda gates, greedy: greedy),
        "the cross-entropy is that of all blocks: take the sampled gates": _mistaken_loss(
            loss_gates=lambda gates, greedy: torch.ones_like(gates)),
        "cost is not used: it weighs the policy's part": _mistaken_loss(
            whole=lambda loss, policy, cost: loss.mean() + policy),
        "cost weighs everything: it weighs the policy's part only": _mistaken_loss(
            whole=lambda loss, policy, cost: cost * (loss.mean() + policy)),
        "cost weighs the cross-entropy: it weighs the policy's part": _mistaken_loss(
            whole=lambda loss, policy, cost: cost * loss.mean() + policy),
        "the cross-entropy is a sum over the positions: take the mean": _mistaken_loss(
            whole=lambda loss, policy, cost: loss.sum() + cost * policy),
        "the reward is that of the first scored position: take the mean over all of a row": _mistaken_loss(
            average=_of_the_first),
        "the rewards of a row are added up: take their mean": _mistaken_loss(
            average=lambda values, batch: per_row(values, batch) * batch.scored().sum(dim=1)),
        "`miss` is not handed on to the reward": _mistaken_loss(
            reward=lambda hit, used, miss: block_drop_reward(hit, used)),
        "a miss is not punished": _mistaken_loss(reward=lambda hit, used, miss: block_drop_reward(hit, used, miss=0.0)),
        "the share is not squared in the reward": _mistaken_loss(
            reward=lambda hit, used, miss: torch.where(hit, 1 - used, -miss)),
        "this is the published reward, which rises with the blocks that ran": _mistaken_loss(
            reward=lambda hit, used, miss: torch.where(hit, 1 - (1 - used).square(), -miss)),
        "a hit is off by one: the true item itself counts among the first k": _mistaken_loss(
            hits_of=lambda scores, true, k: (scores > true).sum(dim=1) <= k),
        "a hit means first place: it has to be among the first k": _mistaken_loss(
            hits_of=lambda scores, true, k: (scores >= true).sum(dim=1) <= 1),
        "hit and miss are swapped": _mistaken_loss(hits_of=lambda scores, true, k: (scores >= true).sum(dim=1) > k),
    },
)  # fmt: skip


# --- AttentionBlock ---


class _AtReal(nn.Module):
    """A module whose output counts at real positions only: what stands at padding is nobody's business."""

    def __init__(self, inner: nn.Module, real: Callable[..., Tensor | None], *more: Any) -> None:
        super().__init__()
        self.inner, self.real, self.more = inner, real, more

    def forward(self, *inputs: Tensor) -> Tensor:
        out, real = self.inner(*inputs, *self.more), self.real(*inputs, *self.more)
        return out if real is None else out.masked_fill(~real.unsqueeze(-1), 0.0)


def _attention_block(trial: Trial) -> None:
    _attends_where_it_may(trial, 4, 1)
    for channels, heads, time, padded in ((4, 1, 5, 0), (4, 1, 5, 1), (6, 2, 7, 1), (6, 3, 1, 0), (6, 3, 4, 1)):
        mask = torch.arange(time) >= torch.tensor([[0], [time // 2], [time - 1]])
        make = partial(_block_at_real, trial, channels, heads, mask if padded else None)
        trial.same_results(make, trial.normal(3, time, channels).double(), gradients=True)
    _attends_where_it_may(trial, 6, 3)
    _drops_out(trial, lambda p: trial.answer(6, 2, dropout=p), trial.normal(2, 5, 6))


def _attends_where_it_may(trial: Trial, *given: int) -> None:
    with trial.of_the_answer(*given):
        block = _block_of(trial, trial.answer, *given)
    hidden, mask = trial.normal(3, 6, given[0], dtype=torch.float64), torch.arange(6) >= torch.tensor([[0], [3], [6]])
    out = trial.call(block, hidden, mask)
    is_a_tensor(trial, out, *given)
    trial.require(out.shape == hidden.shape, f"from {tuple(hidden.shape)} it made {tuple(out.shape)}",
                  "a block keeps the shape, or it could not be skipped", *given)  # fmt: skip
    trial.require(out.isfinite().all(), "rows with padding give NaN",
                  "a softmax over nothing but -inf is NaN: let every position read itself", *given)  # fmt: skip
    _is_causal(trial, block, hidden, *given)
    other = torch.where(mask.unsqueeze(-1), hidden, trial.normal(*hidden.shape, dtype=torch.float64))
    same = torch.isclose(trial.call(block, other, mask), out).all(dim=-1)
    trial.require(bool(same[mask].all()), "what stands at padding changes the output at real items",
                  "nobody may attend to padding: mask the scores of its keys (True = real)", *given)  # fmt: skip


def _first(hidden: Tensor, mask: Tensor | None) -> Tensor | None:
    return mask


def _block_of(trial: Trial, of: Any, channels: int, heads: int) -> nn.Module:
    torch.manual_seed(trial.seed)
    return trial.with_random_parameters(of(channels, heads), AttentionBlock(channels, heads), torch.float64)


def _block_at_real(trial: Trial, channels: int, heads: int, mask: Tensor | None, of: Any) -> nn.Module:
    return _AtReal(_block_of(trial, of, channels, heads), _first, mask)


def _is_causal(trial: Trial, block: nn.Module, hidden: Tensor, *given: Any) -> None:
    later = hidden.clone()
    later[:, 3:] = trial.normal(*hidden[:, 3:].shape, dtype=torch.float64)
    for mask in (None, torch.ones(hidden.shape[:2], dtype=torch.bool)):
        before, after = (trial.call(block, x, *([] if mask is None else [mask])) for x in (hidden, later))
        trial.require(
            torch.allclose(before[:, :3], after[:, :3]),
            "another item at position 3 changes the output before it" + (" (without a mask)" if mask is None else ""),
            "a position reads the future: give the scores of later keys -inf before the softmax",
            *given,
        )


def _drops_out(trial: Trial, build: Callable[[float], nn.Module], *inputs: Tensor) -> None:
    """In training mode two calls differ if dropout is above 0; in eval mode, or at 0, they do not."""
    for p, training, differs in ((0.5, True, True), (0.5, False, False), (0.0, True, False)):
        with trial.of_the_answer(dropout=p):
            module = build(p).train(training)
            first, second = module(*inputs), module(*inputs)
        mode = "training" if training else "eval"
        alike = torch.equal(first, second)
        trial.require(
            alike != differs,
            f"in {mode} mode two calls {'agree' if alike else 'differ'}",
            "`dropout` has no effect" if differs else "numbers are dropped that must not be",
            dropout=p,
        )


class _Mistaken(AttentionBlock):
    """An attention block with steps to replace."""

    scale = staticmethod(lambda width, channels: width**0.5)
    axis = -1
    order = (0, 1, 2)  # of queries, keys, values

    def split(self, part: Tensor) -> Tensor:
        return part.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def merge(self, out: Tensor) -> Tensor:
        return out.transpose(1, 2).flatten(2)

    def attend(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        time = hidden.shape[1]
        parts = self.project(hidden).chunk(3, dim=-1)
        queries, keys, values = (self.split(parts[i]) for i in self.order)
        allowed = torch.ones(time, time, dtype=torch.bool).tril()
        if mask is not None:
            allowed = (allowed & mask[:, None, None, :]) | torch.eye(time, dtype=torch.bool)
        scores = queries @ keys.transpose(-1, -2) / self.scale(keys.shape[-1], hidden.shape[-1])
        weights = scores.masked_fill(~allowed, -torch.inf).softmax(dim=self.axis)
        return self.mix(self.merge(weights @ values))

    def mix(self, out: Tensor) -> Tensor:
        return self.join(out)


def _with(**steps: Any) -> type[_Mistaken]:
    return type("With", (_Mistaken,), steps)


def _forward(formula: Callable[[Any, Tensor, Tensor | None], Tensor]) -> type[_Mistaken]:
    return _with(forward=lambda self, hidden, mask=None: formula(self, hidden, mask))


def _feed(block: Any, hidden: Tensor) -> Tensor:
    return block.outer(F.relu(block.inner(hidden)))


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
    mistakes={
        "the scores are not scaled: divide them by the square root of a head's width":
            _with(scale=staticmethod(lambda width, channels: 1.0)),
        "the scores are divided by the width itself: take its square root":
            _with(scale=staticmethod(lambda width, channels: float(width))),
        "the scores are divided by the square root of all channels: a head has channels / heads of them":
            _with(scale=staticmethod(lambda width, channels: channels**0.5)),
        "the scores are multiplied by the square root of the width: divide":
            _with(scale=staticmethod(lambda width, channels: width**-0.5)),
        "the heads are mixed up on the way in: cut the channels into heads first, then swap time and head":
            _with(split=lambda self, part: part.reshape(len(part), self.heads, part.shape[1], -1)),
        "the heads are mixed up on the way in: a head's channels lie side by side":
            _with(split=lambda self, part: part.unflatten(-1, (-1, self.heads)).permute(0, 3, 1, 2)),
        "the heads are mixed up on the way back: swap time and head before you flatten":
            _with(merge=lambda self, out: out.reshape(len(out), out.shape[2], -1)),
        "queries and keys are swapped": _with(order=(1, 0, 2)),
        "keys and values are swapped": _with(order=(0, 2, 1)),
        "the order of the three parts is another: queries, keys, values": _with(order=(2, 1, 0)),
        "`heads` has no effect: there is one head": _with(
            split=lambda self, part: part.unsqueeze(1), merge=lambda self, out: out.squeeze(1)),
        "norm1 is not used": _forward(
            lambda b, h, m: (x := h + b.attend(h, m)) + _feed(b, b.norm2(x))),
        "norm2 is not used": _forward(
            lambda b, h, m: (x := h + b.attend(b.norm1(h), m)) + _feed(b, x)),
        "join is not used: it mixes the heads' results": _with(mix=lambda self, out: out),
        "the ReLU between inner and outer is missing": _forward(
            lambda b, h, m: (x := h + b.attend(b.norm1(h), m)) + b.outer(b.inner(b.norm2(x)))),
        "outer is not used": _forward(
            lambda b, h, m: (x := h + b.attend(b.norm1(h), m)) + F.relu(b.inner(b.norm2(x)))),
        "the norm comes after the sum: here it comes before each branch": _forward(
            lambda b, h, m: b.norm2((x := b.norm1(h + b.attend(h, m))) + _feed(b, x))),
        "the branch is added to the normalised state: add it to the one that came in": _forward(
            lambda b, h, m: (y := b.norm2((x := b.norm1(h)) + b.attend(x, m))) + _feed(b, y)),
        "the first residual sum is missing": _forward(
            lambda b, h, m: (x := b.attend(b.norm1(h), m)) + _feed(b, b.norm2(x))),
        "the second residual sum is missing": _forward(
            lambda b, h, m: _feed(b, b.norm2(h + b.attend(b.norm1(h), m)))),
        "no residual sum at all: a block adds to its input": _forward(
            lambda b, h, m: _feed(b, b.norm2(b.attend(b.norm1(h), m)))),
        "the MLP reads what came in, not what attention made of it": _forward(
            lambda b, h, m: h + b.attend(b.norm1(h), m) + _feed(b, b.norm2(h))),
        "the MLP is missing": _forward(lambda b, h, m: h + b.attend(b.norm1(h), m)),
    },
)  # fmt: skip


# --- SASRec ---


SIZES = {"channels": 4, "num_blocks": 2, "heads": 2, "max_length": 6}


def _sasrec(trial: Trial) -> None:
    given: dict[str, Any] = {"channels": 4, "num_blocks": 3, "heads": 2, "max_length": 6, "dropout": 0.2}
    with trial.of_the_answer(NUM_ITEMS, **given):
        model = trial.answer(NUM_ITEMS, **given)
    trial.require(
        isinstance(model, Backbone),
        "it is no Backbone",
        "inherit from Backbone: it holds the walk through the gated blocks",
        NUM_ITEMS,
        **given,
    )
    trial.require(
        len(getattr(model, "blocks", ())) == 3,
        f"it has {len(getattr(model, 'blocks', ()))} blocks, expected 3",
        "self.blocks is an nn.ModuleList",
        NUM_ITEMS,
        **given,
    )
    sizes = getattr(model, "sizes", None)
    trial.require(
        sizes == {"num_items": NUM_ITEMS, **given},
        "`sizes` does not hold all arguments by their names",
        "SkipRec and the checkpoints read it",
        NUM_ITEMS,
        **given,
    )
    _has_the_parameters(trial, model, SASRec(NUM_ITEMS, **given), NUM_ITEMS, **given)
    _embeds(trial)
    _scores(trial)
    items = trial.histories(NUM_ITEMS, [7, 3, 1, 5], 7)  # longer than max_length
    for gates in (None, trial.integers(0, 1, 4, 2).double()):
        for more in ({}, {"heads": 1, "max_length": 9, "num_blocks": 2}):
            make = lambda of, g=gates, more=more: _AtReal(_random_sasrec(trial, of, **more), _real, g)
            trial.same_results(make, items, gradients=True)
    _drops_out(trial, lambda p: _Score(trial.answer(NUM_ITEMS, channels=4, dropout=p)), items)


def _has_the_parameters(trial: Trial, model: nn.Module, like: nn.Module, *given: Any, **options: Any) -> None:
    mine, expected = (Counter(tuple(p.shape) for p in m.parameters()) for m in (model, like))
    names = {tuple(p.shape): name for name, p in like.named_parameters()}
    for shape in mine - expected:
        trial.fail(f"it has a parameter of shape {shape} too much", "scores use the items' own embedding: they have no "
                   "other weight" if NUM_ITEMS + 1 in shape else "", *given, **options)  # fmt: skip
    for shape in expected - mine:
        trial.fail(f"a parameter of shape {shape} is missing, such as {names[shape]}", "", *given, **options)


class _Score(nn.Module):
    """The scores of the real items: those of padding are -inf, or nobody's business."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, items: Tensor) -> Tensor:
        return self.model(items)[:, -1, 1:]


def _real(items: Tensor, gates: Tensor | None) -> Tensor:
    return items > 0


def _random_sasrec(trial: Trial, of: Any, **sizes: Any) -> Any:
    torch.manual_seed(trial.seed)
    sizes = SIZES | sizes
    model = trial.with_random_parameters(of(NUM_ITEMS, **sizes), SASRec(NUM_ITEMS, **sizes), torch.float64)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.Embedding) and part.num_embeddings == NUM_ITEMS + 1:
                part.weight[0] = 0  # a constant: padding_idx
    return model


def _embeds(trial: Trial) -> None:
    with trial.of_the_answer(NUM_ITEMS, **SIZES):
        model = _random_sasrec(trial, trial.answer)
    items = trial.histories(NUM_ITEMS, [4, 2, 1], 4)
    hidden = trial.call(model.embed, items)
    is_a_tensor(trial, hidden, items)
    trial.require(hidden.shape == (3, 4, 4), f"embed made shape {tuple(hidden.shape)}, expected (3, 4, 4)", "", items)
    trial.require(not hidden[items == 0].any(), "embed: what stands at padding is not 0",
                  "the position's vector was added there: multiply by items > 0 after the sum", items)  # fmt: skip
    padded = trial.call(model.embed, F.pad(items, (2, 0)))
    trial.require(torch.allclose(padded[:, 2:], hidden), "embed: two more zeros on the left change the items' vectors",
                  "positions count from the left: count them from the right end", items)  # fmt: skip
    twice = trial.call(model.embed, torch.full((1, 4), 5))
    trial.require(not torch.allclose(twice[0, 0], twice[0, 1]), "embed: the same item has one vector at all positions",
                  "add a vector for each position", torch.full((1, 4), 5))  # fmt: skip
    trial.same_results(lambda of: _random_sasrec(trial, of).embed, items)
    long = trial.histories(NUM_ITEMS, [9, 3], 9)
    trial.same_results(lambda of: _random_sasrec(trial, of).embed, long)


def _scores(trial: Trial) -> None:
    with trial.of_the_answer(NUM_ITEMS, **SIZES):
        model = _random_sasrec(trial, trial.answer)
    hidden = trial.normal(2, 3, 4, dtype=torch.float64)
    scores = trial.call(model.score, hidden)
    is_a_tensor(trial, scores, hidden)
    trial.require(scores.shape == (2, 3, NUM_ITEMS + 1), f"score made shape {tuple(scores.shape)}, expected "
                  f"(2, 3, {NUM_ITEMS + 1})", "a column for each item, and column 0 for padding", hidden)  # fmt: skip
    trial.require(
        bool((scores[..., 0] == -torch.inf).all()),
        f"score: padding (column 0) has the score {float(scores[0, 0, 0]):.3g}, expected -inf",
        "padding can never be the next item",
        hidden,
    )
    trial.require(scores[..., 1:].isfinite().all(), "score: an item has no finite score", "", hidden)
    trial.same_results(lambda of: _random_sasrec(trial, of).score, hidden)


class _Other(SASRec):
    """A SASRec with steps to replace."""

    def age(self, items: Tensor) -> Tensor:
        """Return each item's place in the table of positions; one row may stand for all."""
        return self.clamped(torch.arange(items.shape[1] - 1, -1, -1))

    def clamped(self, place: Tensor) -> Tensor:
        return place.clamp(0, len(self.positions) - 1)

    def embed(self, items: Tensor) -> Tensor:
        return self.dropout((self.embedding(items) + self.positions[self.age(items)]) * (items > 0).unsqueeze(-1))


def _sasrec_with(**steps: Any) -> type[_Other]:
    return type("With", (_Other,), steps)


def _with_padding(bias: Tensor) -> Tensor:
    return F.pad(bias, (1, 0), value=-torch.inf)


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
    mistakes={
        "positions count from the left: count them from the right end": _sasrec_with(
            age=lambda self, items: self.clamped(torch.arange(items.shape[1]))),
        "positions count from the first item: count them from the right end": _sasrec_with(
            age=lambda self, items: self.clamped((items > 0).cumsum(dim=1) - 1)),
        "the last item is position 1: it is position 0": _sasrec_with(
            age=lambda self, items: self.clamped(torch.arange(items.shape[1], 0, -1))),
        "the table of positions is read backwards: the last item has positions[0]": _sasrec_with(
            age=lambda self, items: len(self.positions) - 1 - _Other.age(self, items)),
        "positions further back than max_length begin anew: they share the last place": _sasrec_with(
            age=lambda self, items: torch.arange(items.shape[1] - 1, -1, -1) % len(self.positions)),
        "the embedding is scaled by sqrt(channels): add it as it is": _sasrec_with(
            embed=lambda self, items: (self.embedding(items) * self.positions.shape[1] ** 0.5
                                       + self.positions[self.age(items)]) * (items > 0).unsqueeze(-1)),
        "the norm before the scores is missing": _sasrec_with(
            score=lambda self, hidden: F.linear(hidden, self.embedding.weight, _with_padding(self.output_bias))),
        "the bias is missing in the scores": _sasrec_with(score=lambda self, hidden: F.linear(
            self.norm(hidden), self.embedding.weight, _with_padding(0 * self.output_bias))),
        "`heads` is not handed on to the blocks": _sasrec_with(
            __init__=lambda self, num_items, heads=1, **sizes: SASRec.__init__(self, num_items, **sizes)),
        "the norm comes after the embedding: it belongs before the scores": _sasrec_with(
            embed=lambda self, items: self.norm(_Other.embed(self, items)) * (items > 0).unsqueeze(-1),
            score=lambda self, hidden: F.linear(hidden, self.embedding.weight, _with_padding(self.output_bias))),
    },
)  # fmt: skip

"""Checks of what assignment 3 asks for and no lesson builds in this form.

Backbone, policy and model come as bare parts: what a package's method would do on its own is what is to be written.
The checks put bare parts back together and run the package's own; no answer to copy stands here.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_course.comparing import describe
from skiprec_course.engine import Check, Trial, standing_in
from skiprec_course.mistakes import Mistake, onto
from skiprec_course.questions import honours_the_generator, is_tensor
from skiprec_lite.backbones import Backbone, item_embedding
from skiprec_lite.blocks import ResidualBlock
from skiprec_lite.controls import random_gates
from skiprec_lite.evaluation import rank_cases
from skiprec_lite.gate_losses import per_row, straight_through_loss
from skiprec_lite.metrics import paired_difference
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec, visible
from skiprec_lite.windows import Windows

__all__ = [
    "check_accuracy_under", "check_adaptive_output", "check_at_the_same_rate", "check_gated_encode",
    "check_gated_encode_gradient", "check_joint_loss", "check_joint_loss_gradient", "check_joint_loss_sampled",
    "check_masked_mean", "check_paired", "check_policy_logits", "check_policy_logits_cut", "check_training_step",
    "check_training_step_twice",
]  # fmt: skip

NUM_ITEMS = 7
SURE = 1e8  # logits of this size at a temperature of this size: the noise no longer counts, the slope still does


def go_on(answer: Any, *checks: Check) -> Any:
    """What later cells go on with: the answer if it passes all these checks, until then one that runs the package.

    An answer that takes more than a few seconds has not passed: an endless loop costs its own cells only.
    """
    try:
        with _seconds(5):
            passed = all(check.passes(answer) for check in checks)
    except (KeyboardInterrupt, TimeoutError):
        passed = False
    if passed:
        return answer
    return standing_in(checks[0].reference) if checks[0].course else checks[0].reference


@contextlib.contextmanager
def _seconds(limit: float) -> Iterator[None]:
    """Raise TimeoutError in what runs longer, where the system can (not on Windows, not in a thread)."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise TimeoutError(f"it ran for more than {limit:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit, limit)  # again and again, should one be caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# --- bare parts to try the functions on ---


class _Bare(nn.Module):
    """Only to be read: nobody needs a copy. The training steps work on `copied`."""

    def __deepcopy__(self, memo: dict) -> "_Bare":
        return self


class BareBackbone(_Bare):
    """What may be used of a backbone: `embed`, `blocks`, `score`."""

    def __init__(self, num_items: int, num_blocks: int, channels: int = 5) -> None:
        super().__init__()
        self.embedding = item_embedding(num_items, channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels, dilation=1 + index % 2) for index in range(num_blocks))
        self.output = nn.Linear(channels, num_items)

    def embed(self, items: Tensor) -> Tensor:
        """Embed items; padding becomes 0."""
        return self.embedding(items)

    def score(self, hidden: Tensor) -> Tensor:
        """Score all items, column 0 (padding) at -inf."""
        return F.pad(self.output(hidden), (1, 0), value=-torch.inf)


class BarePolicy(_Bare):
    """What may be used of a policy: `embedding`, `blocks`, `output`."""

    def __init__(self, num_items: int, num_blocks: int, channels: int = 4) -> None:
        super().__init__()
        self.embedding = item_embedding(num_items, channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels, dilation=d) for d in (1, 2))
        self.output = nn.Linear(channels, 2 * num_blocks)

    def forward(self, items: Tensor) -> Tensor:
        """Not there: it is what a student writes."""
        raise RuntimeError("use policy.embedding, policy.blocks and policy.output: the forward pass is yours to write")


class BareModel(_Bare):
    """What may be used of a SkipRec: `backbone`, `policy`, `tau`."""

    def __init__(self, num_items: int, num_blocks: int) -> None:
        super().__init__()
        self.backbone = BareBackbone(num_items, num_blocks)
        self.policy = BarePolicy(num_items, num_blocks)
        self.tau = 1.0

    def copied(self) -> "BareModel":
        """Return a model of its own with the same parameters, to train."""
        twin = BareModel(NUM_ITEMS, len(self.backbone.blocks))
        twin.load_state_dict(self.state_dict())
        twin.tau = self.tau
        return twin


# --- the package's parts in the form that the assignment asks for ---


def _made(kind: Any, **parts: Any) -> Any:
    """An object of the package's kind that holds these parts, and shares them."""
    made = kind.__new__(kind)
    nn.Module.__init__(made)
    for name, part in parts.items():
        setattr(made, name, part)
    return made


def _whole_backbone(kind: type, bare: Any) -> Any:
    return _made(kind, embedding=bare.embedding, blocks=bare.blocks, embed=bare.embed, score=bare.score)


def _whole_policy(kind: type, bare: Any) -> Any:
    encoder = {"sizes": {"encoder": "conv"}, "join": nn.Identity(), "pool": "mean", "reach": 1}
    return _made(kind, embedding=bare.embedding, blocks=bare.blocks, output=bare.output, **encoder)


def _whole_model(model: Any) -> Any:
    policy = _whole_policy(PolicyNetwork, model.policy)
    whole = _made(SkipRec, backbone=_whole_backbone(Backbone, model.backbone), policy=policy, tau=model.tau)
    whole.training = model.training
    return whole


@onto(Backbone)
def adaptive_output(kind: type) -> Callable:
    """A walk through the one block between the two states."""

    def run(before: Tensor, after: Tensor, gates: Tensor) -> Tensor:
        parts = {"embed": lambda items: before, "blocks": [lambda hidden, mask: after]}
        one = _made(kind, embedding=SimpleNamespace(embedding_dim=before.shape[2]), **parts)
        return one.encode(torch.ones(before.shape[:2], dtype=torch.int64), gates.unsqueeze(1))

    return run


@onto(Backbone)
def gated_encode(kind: type) -> Callable:
    """The package's walk."""
    return lambda backbone, items, gates: _whole_backbone(kind, backbone).encode(items, gates)


@onto(PolicyNetwork)
def masked_mean(kind: Any) -> Callable:
    """What a policy without blocks makes of the hidden states; zeros where it finds nothing to read."""
    policy = SimpleNamespace(blocks=(), pooled=lambda mask: mask)
    return lambda hidden, mask: kind.mean_state(policy, hidden, mask).where(mask.any(dim=1, keepdim=True), 0.0)


@onto(PolicyNetwork)
def policy_logits(kind: type) -> Callable:
    """A policy, which reads what is visible."""
    return lambda policy, items, cut: _whole_policy(kind, policy)(visible(items, cut))


@onto(visible)
def _logits_up_to(see: Callable) -> Callable:
    return lambda policy, items, cut: _whole_policy(PolicyNetwork, policy)(see(items, cut))


_logits_up_to.__name__ = "policy_logits"  # the same function; its mistakes are about the cut


@onto(straight_through_loss)
def joint_loss(loss: Callable) -> Callable:
    """The package's loss of a whole model."""
    return lambda model, batch, cost: loss(_whole_model(model), batch, cost)


def training_step(model: Any, batch: Windows, cost: float, optimizer: torch.optim.Optimizer) -> float:
    """A step by a closure, which some optimizers call more than once."""

    def loss_and_gradients() -> Tensor:
        loss, parameters = joint_loss(model, batch, cost), list(model.parameters())
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True)):
            parameter.grad = slope
        return loss.detach()

    return float(optimizer.step(loss_and_gradients))  # type: ignore[arg-type]


def at_the_same_rate(gates: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The package's random gates; a generator says where they start."""
    with torch.random.fork_rng(devices=[], enabled=generator is not None):
        if generator is not None:
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        return random_gates(len(gates), gates.shape[1], float(gates.mean())).to(gates.dtype)


@onto(per_row)
def accuracy_under(mean: Callable) -> Callable:
    """How often the true item has rank 1."""
    return lambda model, cases, gates: mean(
        (rank_cases(_whole_model(model), cases, gates=gates, exclude_seen=False) == 1).float(), cases
    )


@onto(paired_difference)
def paired(difference: Callable) -> Callable:
    """The package's difference, from the mean draw of each user."""
    return lambda learned, random: tuple(difference(learned, random.mean(dim=0)))


def _randomise(trial: Trial, module: Any) -> Any:
    """Random parameters; padding stays 0."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(trial.normal(*parameter.shape, scale=0.5))
        for part in module.modules():
            if isinstance(part, nn.Embedding):
                part.weight[0] = 0
            elif isinstance(part, nn.LayerNorm):
                part.weight.add_(1)
    return module


def _batch(trial: Trial, lengths: tuple[int, ...], width: int) -> Windows:
    """Histories padded on the left, a cut at a real item of each, targets from the cut on."""
    items = trial.histories(NUM_ITEMS, list(lengths), width)
    cut = torch.cat([trial.integers(width - length, width - 1 - (length > 2), 1) for length in lengths])
    targets = trial.integers(1, NUM_ITEMS, len(lengths), width)
    return Windows(items, targets.masked_fill(torch.arange(width) < cut[:, None], 0), cut, torch.arange(len(lengths)))


def _sure(trial: Trial) -> tuple[BareModel, Windows]:
    """A model and a batch for which no draw changes the gates: the gaps are wide, the noise is nothing beside them.

    The slope of the soft sample is as large as with logits of size 1 at temperature 1. What is read matters: without
    the cut some gate would be another.
    """
    model, batch = _randomise(trial, BareModel(NUM_ITEMS, 3)), _batch(trial, (6, 2, 4, 1), 6)
    policy, output = model.policy, model.policy.output
    policy.output = nn.Identity()  # for a look at what comes before it: (row, channel / 2, 2)
    with torch.no_grad():
        seen, whole = (policy_logits(policy, batch.items, cut).flatten(1) for cut in (batch.cut, None))
        policy.output = output
        while True:
            for parameter in output.parameters():
                parameter.copy_(trial.normal(*parameter.shape))
            gap, gap_of_whole = (-output(mean).unflatten(-1, (-1, 2)).diff(dim=-1)[..., 0] for mean in (seen, whole))
            kept, other = gap > 0, gap_of_whole > 0
            if gap.abs().min() > 0.2 and (kept != other).any() and (kept != kept[0]).any() and kept.any(dim=0).all():
                break
        for parameter in output.parameters():
            parameter.mul_(SURE)
    model.tau = SURE
    return model, batch


# --- the walk through gated blocks ---

GATE = "gate = gates[:, index, None, None].to(out)"
MIX = "hidden = torch.lerp(hidden, out, gate)"
RUN = "out = block(hidden, mask)"

ADAPTIVE_OUTPUT = (
    Mistake("before and after are swapped: gate 1 keeps the block", MIX, "hidden = torch.lerp(out, hidden, gate)"),
    Mistake("the gate is a factor on the block's output: a skipped block has to hand on what came in, not zeros",
            MIX, "hidden = gate * out"),
    Mistake("what came in is added in either case: take (1 - gate) of it", MIX, "hidden = hidden + gate * out"),
    Mistake("the gates run along the channels: there is one for each row", GATE, GATE.replace(", None, None", "")),
    Mistake("the gates run along time: there is one for each row", GATE, GATE.replace(", None, None", ", None")),
    Mistake("the first row's gate serves all rows", GATE, GATE.replace("[:,", "[:1,")),
    Mistake("no gradient reaches the gate: it is detached, or it only chooses (where, if, index). Write the formula",
            MIX, "hidden = torch.lerp(hidden, out, gate.detach())"),
    Mistake("the result is detached, or made without gradients", MIX, f"{MIX}.detach()"),
)  # fmt: skip
GATED_ENCODE = (
    Mistake("a gate needs its gradient, also one that is 0: run every block and let the formula weigh its output",
            MIX, "hidden = torch.lerp(hidden, out, gate.detach())"),
    Mistake("the blocks are called without a mask: they read what stands at padding", RUN, "out = block(hidden)"),
    Mistake("every block reads the embedding: it has to read what the block before it handed on",
            RUN, "out = block(self.embed(items), mask)"),
    Mistake("blocks read the outputs of the full network: a block has to read the adaptive output before it",
            RUN, "full = out = block(full if index else hidden, mask)"),
    Mistake("a skipped block hands on the embedding: it has to hand on what came in",
            MIX, "hidden = torch.lerp(self.embed(items), out, gate)"),
    Mistake("a skipped block hands on zeros: it has to hand on what came in", MIX, "hidden = gate * out"),
    Mistake("the gates are read the other way round: 1 keeps the block",
            MIX, "hidden = torch.lerp(hidden, out, 1 - gate)"),
    Mistake("the gates are in the wrong order: column l belongs to block l", GATE, GATE.replace("index", "-1 - index")),
    Mistake("rows and blocks of the gates are swapped", GATE, "gate = gates[index, :, None, None].to(out)"),
    Mistake("all gates count as 1", MIX, "hidden = out"),
    Mistake("the first row's gates serve all rows: each row has its own", GATE, GATE.replace("[:,", "[:1,")),
)  # fmt: skip


def _adaptive_output(trial: Trial) -> None:
    for batch, time, channels in ((4, 5, 3), (1, 2, 2), (3, 3, 3)):
        before, after = (trial.normal(batch, time, channels) for _ in range(2))
        hard = trial.integers(0, 1, batch).float()
        hard[0] = trial.seed % 2
        for gates in (torch.ones(batch), torch.zeros(batch), hard):
            trial.same(before, after, gates)
        trial.same(before, after, hard, gradients=True)
        trial.same(before, after, trial.normal(batch).sigmoid(), gradients=True)


check_adaptive_output = Check(
    part="assignment_3.adaptive_output",
    course=adaptive_output,
    task="Return gate · (hidden after the block) + (1 − gate) · (hidden before it), with one gate for each row.",
    hints=(
        "Write the formula of the adaptive output as it stands. Nothing is to be decided: a gate is a number.",
        "hidden is (batch, time, channel), gates is (batch,). Broadcasting lines axes up from the right.",
        "Give the gates two more axes of length 1: `gates[:, None, None]`.",
    ),
    body=_adaptive_output,
    minutes=5,
    difficulty=1,
    mistakes=ADAPTIVE_OUTPUT,
)


def _walks(trial: Trial) -> list[tuple[Any, Tensor, Tensor]]:
    """Backbones with items and gates: all kept, all skipped, mixed; more rows than blocks, and as many."""
    cases = []
    for num_blocks, lengths in ((3, (6, 2, 4, 1, 5)), (4, (3, 5, 1, 2))):
        backbone = _randomise(trial, BareBackbone(NUM_ITEMS, num_blocks))
        items = trial.histories(NUM_ITEMS, list(lengths), max(lengths) + 1)
        mixed = trial.integers(0, 1, len(lengths), num_blocks).float()
        mixed[0, :2], mixed[1, :2] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])  # no two rules agree
        cases += [(backbone, items, gates) for gates in (torch.ones_like(mixed), torch.zeros_like(mixed), mixed)]
    return cases


def _gated_encode(trial: Trial) -> None:
    for backbone, items, gates in _walks(trial):
        trial.same(backbone, items, gates)


def _gated_encode_gradient(trial: Trial) -> None:
    for backbone, items, gates in _walks(trial)[2::3]:
        trial.same_results(lambda f: lambda *given: _at_gates(trial, f, *given), backbone, items, gates)


def _at_gates(trial: Trial, f: Any, backbone: Any, items: Tensor, gates: Tensor) -> dict[str, Tensor]:
    """The gradients of a weighted sum of the hidden states."""
    leaf = gates.clone().requires_grad_()
    hidden = f(backbone, items, leaf)
    reached = type(hidden) is Tensor and hidden.requires_grad
    trial.require(reached, "the hidden states have no gradient at all", "something is detached", backbone, items, gates)
    weight = torch.linspace(-1, 2, hidden.numel(), dtype=hidden.dtype).view(hidden.shape)
    leaves = {"the gates": leaf, "the first block's scale": backbone.blocks[0].scale}
    found = torch.autograd.grad((hidden * weight).sum(), list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, found))


check_gated_encode = Check(
    part="assignment_3.gated_encode",
    course=gated_encode,
    task="Embed the items, then walk through `backbone.blocks`: each is called as block(hidden, mask), mask True at "
    "real items, and its adaptive output goes on to the next. Return the last one, (batch, time, channel).",
    hints=(
        "Start with `backbone.embed(items)`. Each block reads what the adaptive output of the block before it was.",
        "A block is called with the hidden states and a mask, True at real items. Its gate is one column of `gates`.",
        "Four lines: embed, then for each block its output, then your `adaptive_output` of input, output and its "
        "column.",
    ),
    body=_gated_encode,
    minutes=10,
    difficulty=2,
    mistakes=GATED_ENCODE,
)
check_gated_encode_gradient = replace(
    check_gated_encode, part="assignment_3.gated_encode_gradient", body=_gated_encode_gradient, minutes=5
)


# --- the policy's forward pass ---

POOL = "return (hidden * real).sum(dim=1) / real.sum(dim=1)"
LOGITS = "return self.output(state_of(hidden, mask)).unflatten(-1, (-1, 2))"
SEEN = "items.masked_fill(torch.arange(items.shape[1], device=items.device) > cut.unsqueeze(1), 0)"

MASKED_MEAN = (
    Mistake("the sum is divided by all positions: padding counts in the mean",
            POOL, "return (hidden * real).mean(dim=1)"),
    Mistake("padding is not left out: it is in the sum and in the count", POOL, "return hidden.mean(dim=1)"),
    Mistake("padding is in the sum: mask it before you add up", "(hidden * real).sum", "hidden.sum"),
    Mistake("this is the sum over the real positions: divide it by their number", " / real.sum(dim=1)", ""),
    Mistake("the sum is divided by the real positions of the whole batch: each row has a count of its own",
            " / real.sum(dim=1)", " / real.sum()"),
    Mistake("this is the last position, not the mean over the real ones", POOL, "return hidden[:, -1]"),
    Mistake("1 is added to the count of every row: only an empty row needs that",
            " / real.sum(dim=1)", " / (real.sum(dim=1) + 1)"),
    Mistake("this is the largest value, not the mean",
            POOL, "return hidden.masked_fill(~real, -torch.inf).amax(dim=1)"),
    Mistake("the mask is read the other way round: True is a real position",
            "real = self.pooled(mask).unsqueeze(-1)", "real = ~self.pooled(mask).unsqueeze(-1)"),
    Mistake("the result is detached: the policy needs its gradient",
            "(hidden * real).sum", "(hidden.detach() * real).sum"),
)  # fmt: skip
POLICY_LOGITS = (
    *MASKED_MEAN[:-1],
    Mistake("the blocks are called without a mask: they read what stands at padding",
            "hidden = block(hidden, mask)", "hidden = block(hidden)"),
    Mistake("the policy's blocks are missing", "for block in self.blocks:", "for block in ():"),
    Mistake("these are probabilities: return the logits, before any softmax", LOGITS, f"{LOGITS}.softmax(dim=-1)"),
    Mistake("these are squeezed by a sigmoid: return the logits", LOGITS, f"{LOGITS}.sigmoid()"),
    Mistake("keep and skip are swapped", LOGITS, f"{LOGITS}.flip(-1)"),
    Mistake("keep and skip of a block lie side by side in the output: blocks on the second axis, each pair on the last",
            ".unflatten(-1, (-1, 2))", ".unflatten(-1, (2, -1)).transpose(1, 2)"),
)  # fmt: skip
UP_TO_THE_CUT = (
    Mistake("the cut is not used: the policy reads what comes after it", SEEN, "items"),
    Mistake("the item at the cut is missing: the policy reads up to and including it", SEEN, SEEN.replace(">", ">=")),
    Mistake("one item after the cut is read", SEEN, SEEN.replace("> cut", "> 1 + cut")),
    Mistake("items before the cut are hidden, and those from it on are read: it is the other way round",
            SEEN, SEEN.replace("> cut", "< cut")),
    Mistake("the first row's cut serves all rows", SEEN, SEEN.replace("cut.unsqueeze(1)", "cut[0]")),
)  # fmt: skip


def _masked_mean(trial: Trial) -> None:
    for lengths, width, channels in (((6, 1, 3), 6, 4), ((2,), 5, 3), ((3, 3), 3, 3)):
        mask = torch.arange(width) >= width - torch.tensor(lengths)[:, None]
        trial.same(trial.normal(len(lengths), width, channels), mask, gradients=True)
    between = trial.integers(0, 1, 5, 6).bool()  # padding anywhere
    between[:, 2], between[0, 3:] = True, False
    hidden = trial.normal(5, 6, 2)
    trial.same(hidden, between, gradients=True)
    between[1] = False  # a row without a real position
    found = trial.call(trial.answer, hidden, between)
    trial.require(not found.isnan().any(), "a row without any real position gives NaN, expected zeros",
                  "0 / 0: keep the count at 1 or above", hidden, between)  # fmt: skip
    trial.same(hidden, between)


check_masked_mean = Check(
    part="assignment_3.masked_mean",
    course=masked_mean,
    task="Average the hidden states of each row over the positions where mask is True. A row without any gives zeros.",
    hints=(
        "A mean is a sum by a count. Padding may be in neither of them.",
        "`mask.unsqueeze(-1)` has the axes of hidden. True counts as 1 in a product and in a sum.",
        "The count of an empty row is 0. `clamp_min(1)` leaves all other counts alone.",
    ),
    body=_masked_mean,
    minutes=10,
    difficulty=2,
    mistakes=MASKED_MEAN,
)


def _policies(trial: Trial) -> list[tuple[Any, Tensor]]:
    cases = []
    for num_blocks, lengths in ((3, (6, 9, 7, 4)), (2, (4, 5)), (1, (4,))):
        policy = _randomise(trial, BarePolicy(NUM_ITEMS, num_blocks))
        cases.append((policy, trial.histories(NUM_ITEMS, list(lengths), max(lengths) + 2 * (num_blocks > 1))))
    return cases


def _policy_logits(trial: Trial) -> None:
    for policy, items in _policies(trial):
        for cut in (None, torch.full((len(items),), items.shape[1] - 1)):
            logits = trial.same(policy, items, cut)
        trial.require(logits.requires_grad, "the logits have no gradient", "", policy, items)
        trial.same(policy, F.pad(items, (5, 0)), None)


def _policy_logits_cut(trial: Trial) -> None:
    for policy, items in _policies(trial)[:2]:
        first = (items > 0).int().argmax(dim=1)
        for cut in ((first + items.shape[1]) // 2, first):
            late, given = torch.arange(items.shape[1]) > cut[:, None], (policy, items, cut)
            found, others, nothing = (
                trial.call(trial.answer, policy, torch.where(late, later, items), cut)
                for later in (items, 1 + items % NUM_ITEMS, 0)
            )
            if torch.allclose(found, others, atol=1e-5) and not torch.allclose(found, nothing, atol=1e-5):
                trial.fail("padding in place of what comes after the cut changes the logits, another item does not",
                           "what comes after the cut counts as real for blocks or mean: mask what is read, not all "
                           "items", *given)  # fmt: skip
            trial.same(*given)


check_policy_logits = Check(
    part="assignment_3.policy_logits",
    course=policy_logits,
    task="From the items up to and including the cut: policy.embedding, each of policy.blocks as block(hidden, mask), "
    "your "
    "masked_mean, policy.output. Return logits (batch, block, 2), (keep, skip) on the last axis; the output layer "
    "gives keep and skip of block 1, then keep and skip of block 2, and so on. cut=None reads all.",
    hints=(
        "First decide what may be read: `visible`. From there on use only that; items themselves no longer occur.",
        "The mask is True where something real is read. The blocks need it, and the mean needs it.",
        "2 · L numbers a row become (L, 2): keep and skip of a block lie side by side, so `unflatten(-1, (-1, 2))`.",
    ),
    body=_policy_logits,
    minutes=15,
    difficulty=3,
    mistakes=POLICY_LOGITS,
)
check_policy_logits_cut = replace(
    check_policy_logits,
    part="assignment_3.policy_logits_cut",
    body=_policy_logits_cut,
    minutes=5,
    course=_logits_up_to,
    mistakes=UP_TO_THE_CUT,
)


# --- the joint loss ---

SAMPLE = "gates = model.gates(batch.items, batch.cut, sample=True)\n    return losses_at"
TOTAL = 'return losses_at(model.backbone, batch, gates, reduction="mean") + cost * gates.mean()'
LOGITS_OF = "model.gate_logits(batch.items, batch.cut)"
BEFORE_THE_NOISE = "a sigmoid or a softmax comes before the noise: the noise belongs to the logits"
ONE_HOT = "model.gates(batch.items, batch.cut, sample=True)"

JOINT_LOSS = (
    Mistake("the gates are detached: use straight-through ones",
            SAMPLE, SAMPLE.replace(ONE_HOT, f"{ONE_HOT}.detach()")),
    Mistake(BEFORE_THE_NOISE, SAMPLE, SAMPLE.replace(ONE_HOT, f"model.decide({LOGITS_OF}.sigmoid(), sample=True)")),
    Mistake(BEFORE_THE_NOISE, SAMPLE, SAMPLE.replace(ONE_HOT, f"model.decide({LOGITS_OF}.softmax(-1), sample=True)")),
    Mistake("the gates are greedy: sample them, or the policy never explores", SAMPLE, SAMPLE.replace("True", "False")),
    Mistake("the temperature is fixed: use model.tau", SAMPLE, "model.tau = 10.0\n    " + SAMPLE),
    Mistake("the slope is not the soft sample's: gumbel_softmax(…, hard=True) brings it", SAMPLE,
            f"gap = {LOGITS_OF}.diff(dim=-1)[..., 0]\n    "
            + SAMPLE.replace(ONE_HOT, f"{ONE_HOT}.detach() - gap + gap.detach()")),
    Mistake("the cost does not reach the policy: its gates are detached", TOTAL, TOTAL + ".detach()"),
    Mistake("the recommendation loss does not reach the policy: the gates that run the blocks are detached",
            TOTAL, TOTAL.replace("gates, red", "gates.detach(), red")),
    Mistake("the cost is missing", TOTAL, TOTAL.replace(" + cost * gates.mean()", "")),
    Mistake("the cost counts kept blocks: it is the mean gate that costs, over rows and blocks",
            TOTAL, TOTAL.replace("gates.mean()", "gates.sum(dim=1).mean()")),
    Mistake("the cost grows with all gates of the batch: take their mean",
            TOTAL, TOTAL.replace("gates.mean()", "gates.sum()")),
    Mistake("the cost is on the skipped blocks: it is keeping that costs",
            TOTAL, TOTAL.replace("gates.mean()", "(1 - gates).mean()")),
    Mistake("the cost is subtracted: it is added", TOTAL, TOTAL.replace("+ cost", "- cost")),
    Mistake("column 1 says skip: the gate is column 0", SAMPLE, SAMPLE.replace("model.gates", "1 - model.gates")),
    Mistake("the policy reads what comes after the cut: hand it batch.cut", SAMPLE, SAMPLE.replace(", batch.cut", "")),
    Mistake("the blocks run under soft gates: they need hard ones", SAMPLE,
            "from skiprec_lite.gumbel import gumbel_softmax\n\n    "
            + SAMPLE.replace(ONE_HOT, f"gumbel_softmax({LOGITS_OF}, model.tau)[..., 0]")),
    Mistake("all blocks run: the gates do not reach the encoder",
            TOTAL, TOTAL.replace("gates, red", "torch.ones_like(gates), red")),
    Mistake("this is a mean of the rows' means: take one mean over all scored positions", TOTAL,
            "return per_row(losses_at(model.backbone, batch, gates), batch).mean() + cost * gates.mean()"),
    Mistake("the losses are added up: take their mean over the scored positions",
            TOTAL, TOTAL.replace('"mean"', '"sum"')),
    Mistake("take the mean over the scored positions: the loss is a single number",
            TOTAL, TOTAL.replace('"mean"', '"none"')),
    Mistake("the cost is on the probabilities: it is the sampled gates that cost",
            TOTAL, TOTAL.replace("gates.mean()", f"{LOGITS_OF}.softmax(dim=-1)[..., 0].mean()")),
)  # fmt: skip


def _loss_of(trial: Trial, f: Any, model: nn.Module, batch: Windows, cost: float) -> Tensor:
    """The answer's loss, a single number that is still a tensor."""
    with trial.of_the_answer(model, batch, cost):
        loss = f(model, batch, cost)
    cause = "keep the tensor: .item() or float() cuts off the gradient" if isinstance(loss, float) else ""
    trial.require(type(loss) is Tensor, f"found {type(loss).__name__}, expected a tensor with one number",
                  "is a return missing?" if loss is None else cause, model, batch, cost)  # fmt: skip
    trial.require(loss.dim() == 0, f"found shape {tuple(loss.shape)}, expected a single number",
                  "take the mean over the scored positions", model, batch, cost)  # fmt: skip
    trial.require(loss.isfinite(), f"the loss is {float(loss)}",
                  "positions without a target (0) are scored: take batch.scored()", model, batch, cost)  # fmt: skip
    return loss


def _steady(trial: Trial, model: nn.Module, batch: Windows) -> None:
    """At logits as sure as these no draw changes a gate: the loss may not move."""
    torch.manual_seed(trial.seed)
    found = torch.stack([_loss_of(trial, trial.answer, model, batch, 1.0).detach() for _ in range(4)])
    trial.require(found.max() - found.min() < 1e-4, "four calls differ, though no draw can change a gate",
                  "", model, batch, 1.0)  # fmt: skip


def _value(trial: Trial) -> None:
    model, batch = _sure(trial)
    _steady(trial, model, batch)
    for cost in (0.0, 0.7):
        trial.same_results(lambda f: lambda *given: _loss_of(trial, f, *given).detach(), model, batch, cost)


def _rates(trial: Trial) -> None:
    """The mean gate, read off a loss in which nothing else counts."""
    dear, calls = 1e9, 6
    for bias in (2.5, -1.0):
        model, batch = _randomise(trial, BareModel(NUM_ITEMS, 3)), _batch(trial, (6, 2, 4, 1) * 60, 6)
        model.policy.output.bias.data = torch.tensor([bias / 2, -bias / 2]).repeat(3)
        keep = float(policy_logits(model.policy, batch.items, batch.cut).softmax(dim=-1)[..., 0].mean())
        torch.manual_seed(trial.seed)
        found = torch.stack([_loss_of(trial, trial.answer, model, batch, dear).detach() for _ in range(calls)]) / dear
        kept, say = float(found.mean()), (model, batch, dear)
        trial.require(found.unique().numel() > 1, f"every call has the same gates, {kept:.3g} of them 1", "", *say)
        trial.require(0.01 < kept <= 1, f"the loss grows by {kept:.3g} · cost, expected {keep:.2f} · cost",
                      "the mean gate, over rows and blocks, has to be in it", *say)  # fmt: skip
        trial.require(abs(kept - keep) < 0.04, f"{kept:.2f} of the gates are 1, expected {keep:.2f}, as the policy "
                      "says", "sample them from the logits as they are; column 0 is keep", *say)  # fmt: skip
        trial.require(found.std() < 0.08, "the gates of one call are alike in all rows or blocks",
                      "each row and each block draws for itself", *say)  # fmt: skip


def _gradients(trial: Trial, f: Any, model: BareModel, batch: Windows, cost: float) -> dict[str, Tensor]:
    """The gradient of the loss at the parameters of backbone and policy, end to end."""
    loss = _loss_of(trial, f, model, batch, cost)
    trial.require(loss.requires_grad, "the loss has no gradient", "something is detached", model, batch, cost)
    parts = {"the backbone": list(model.backbone.parameters()), "the policy": list(model.policy.parameters())}
    found = [torch.autograd.grad(loss, p, materialize_grads=True, retain_graph=True) for p in parts.values()]
    return {name: torch.cat([slope.flatten() for slope in slopes]) for name, slopes in zip(parts, found)}


def _joint_loss_gradient(trial: Trial) -> None:
    model, batch = _sure(trial)
    _steady(trial, model, batch)
    for cost in (0.7, 0.0):
        found = _gradients(trial, trial.answer, model, batch, cost)
        trial.require(found["the backbone"].any(), "no gradient reaches the backbone", "", model, batch, cost)
        if not found["the policy"].any():
            mild = _randomise(trial, BareModel(NUM_ITEMS, 3))
            there = _gradients(trial, trial.answer, mild, batch, 0.7)["the policy"].any()
            but = ", but one does at a tau of 1" if there and cost else ""
            trial.fail(f"no gradient reaches the policy (tau {model.tau:g}, logits as large){but}", "",
                       model, batch, cost)  # fmt: skip
        trial.same_results(lambda f: lambda *given: _gradients(trial, f, *given), model, batch, cost)


check_joint_loss = Check(
    part="assignment_3.joint_loss",
    course=joint_loss,
    task="Sample straight-through gates at model.tau from your policy_logits up to batch.cut, run your gated_encode "
    "under "
    "them, and return the cross-entropy of model.backbone.score at the scored positions (mean over them) plus "
    "cost · (mean gate).",
    hints=(
        "Four steps: logits, gates, hidden states, loss. The first three are functions that you have.",
        "`gumbel_softmax(logits, tau, hard=True)` gives (keep, skip) for each block, exactly one-hot. The gate is one "
        "of "
        "its two columns.",
        "`batch.scored()` is a mask: index the hidden states and batch.targets with it before you score. The mean "
        "gate is "
        "over rows and blocks.",
    ),
    body=_value,
    minutes=15,
    difficulty=3,
    mistakes=JOINT_LOSS,
)
check_joint_loss_sampled = replace(check_joint_loss, part="assignment_3.joint_loss_sampled", body=_rates, minutes=5)
check_joint_loss_gradient = replace(
    check_joint_loss, part="assignment_3.joint_loss_gradient", body=_joint_loss_gradient, minutes=5
)


# --- the training step ---


def _steps(f: Any, costs: tuple[float, ...], model: BareModel, batch: Windows, *, rate: float = 0.2) -> dict[str, Any]:
    """How far backbone and policy move in a step for each cost, and what the steps return."""
    model = model.copied()
    parts = {"the backbone": list(model.backbone.parameters()), "the policy": list(model.policy.parameters())[:-2]}
    before = {name: [p.detach().clone() for p in part] for name, part in parts.items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    values = [f(model, batch, cost, optimizer) for cost in costs]
    moved = {n: torch.cat([(p.detach() - b).flatten() for p, b in zip(parts[n], before[n])]) for n in parts}
    return moved | {"what it returns": values}  # the last two, the policy's output layer, are SURE times too large


def _training_step(trial: Trial) -> None:
    model, batch = _sure(trial)
    given = (model, batch, 0.7)
    moves = lambda f: lambda *given: {k: v for k, v in _steps(f, (0.7,), *given).items() if k != "what it returns"}
    found = trial.call(moves(trial.answer), model, batch)
    trial.require(any(x.any() for x in found.values()), "no parameter moves",
                  "a step is zero_grad, backward, step, in this order", *given)  # fmt: skip
    for part, other in (tuple(found), tuple(found)[::-1]):
        trial.require(found[part].any(), f"the step reaches {other} alone: {part} does not move", "", *given)
    still = trial.call(lambda *given: _steps(trial.answer, (0.7,), *given, rate=0.0), model, batch)
    trial.require(not any(still[part].any() for part in found), "with an optimizer of learning rate 0 they move",
                  "use the optimizer that is handed in", *given)  # fmt: skip
    trial.same_results(moves, model, batch)


def _training_step_twice(trial: Trial) -> None:
    model, batch = _sure(trial)
    (value,) = trial.call(lambda *given: _steps(trial.answer, (0.5,), *given)["what it returns"], model, batch)
    given = (model, batch, 0.5)
    trial.require(value is not None, "found None, expected the loss as a number", "is a return missing?", *given)
    trial.require(not isinstance(value, Tensor), "found a tensor, expected the loss as a plain number",
                  "a tensor keeps the graph of its step in memory: .item()", *given)  # fmt: skip
    trial.require(isinstance(value, float | np.floating), f"found {describe(value)}, expected a number", "", *given)
    found, expected = (trial.call(partial(_steps, f, (0.5, 1.5)), model, batch) for f in (trial.answer, training_step))
    losses, wanted = (steps.pop("what it returns") for steps in (found, expected))
    says = [f"step {i} returned {x:.4g}, expected {y:.4g}" for i, (x, y) in enumerate(zip(losses, wanted), 1)]
    why = "return the loss that the step went down, at the cost that is handed in, not the one after the step"
    trial.require(abs(losses[0] - wanted[0]) < 1e-4 * wanted[0], says[0], why, *given)
    alike = all(torch.allclose(found[part], expected[part], rtol=1e-3, atol=1e-5) for part in expected)
    trial.require(alike, "after two steps the parameters are elsewhere", "gradients add up over the steps: clear them "
                  "first", *given)  # fmt: skip
    trial.require(abs(losses[1] - wanted[1]) < 1e-3 * wanted[1], says[1], why, *given)


check_training_step = Check(
    part="assignment_3.training_step",
    course=training_step,
    task="One step: clear the gradients, compute your joint_loss, go backward, let the optimizer step. Return the "
    "loss of this step as a plain number.",
    hints=(
        "The loop of lesson 06 does the same four things for each batch.",
        "`backward` adds to the gradients that are there. So when must they be cleared?",
        "`loss.item()` is a plain number. A tensor would keep the whole graph of the step.",
    ),
    body=_training_step,
    minutes=5,
    difficulty=2,
)
check_training_step_twice = replace(
    check_training_step, part="assignment_3.training_step_twice", body=_training_step_twice, minutes=5
)


# --- controls ---


def _at_the_same_rate(trial: Trial) -> None:
    for rows, blocks, rate in ((4, 3, 0.5), (1, 6, 0.3), (5, 5, 0.8)):
        learned = (trial.normal(rows, blocks).sigmoid() < rate).float()
        found = trial.call(trial.answer, learned)
        is_tensor(trial, found, learned.shape, "there is a gate for each row and block", learned)
        trial.require(found.dtype == learned.dtype, f"found {found.dtype}, expected {learned.dtype}",
                      "the encoder multiplies with them: give them the type of the gates", learned)  # fmt: skip
        trial.require(((found == 0) | (found == 1)).all(), "there are gates that are neither 0 nor 1",
                      "a random gate is a choice too, not a rate", learned)  # fmt: skip
    honours_the_generator(trial, (trial.normal(40, 6) > 0.5).float())
    learned = torch.zeros(400, 10)  # user by user and block by block another rate
    learned[:100], learned[100:200, :4], learned[200:300, 0] = 1, 1, 1
    found = trial.call(trial.answer, learned)
    rate, kept = float(learned.mean()), float(found.mean())
    causes = {
        0.5: "this is a fixed rate of 1/2: take the mean of the given gates",
        1 - rate: "the comparison is the wrong way round: these are the skipped ones",
    }
    cause = next((says for wrong, says in causes.items() if abs(kept - wrong) < 0.04), "")
    trial.require(abs(kept - rate) < 0.04, f"{kept:.2f} of the random gates are 1, of the given {rate:.2f}",
                  cause, learned)  # fmt: skip
    trial.require(found.unique(dim=0).shape[0] > 100, "many rows are alike", "each row draws for itself", learned)
    trial.require(found.mean(dim=1).unique().numel() > 3, "a row keeps all of its blocks or none",
                  "each block draws for itself", learned)  # fmt: skip
    trial.require((found.mean(dim=0) - rate).abs().max() < 0.13, "some blocks are kept more often than others",
                  "this keeps each block's own rate: here every gate has the same probability", learned)  # fmt: skip
    parts = torch.stack([found[:100].mean(), found[300:].mean()])
    trial.require((parts - rate).abs().max() < 0.09, "users who keep much keep much in the random gates too",
                  "this keeps each user's own number: here every gate has the same probability", learned)  # fmt: skip
    for fixed in (0.0, 1.0):
        found = trial.call(trial.answer, torch.full((6, 4), fixed))
        trial.require((found == fixed).all(), f"where all gates are {fixed:.0f}, some random ones are not",
                      "the rate is the mean of the given gates", torch.full((6, 4), fixed))  # fmt: skip


check_at_the_same_rate = Check(
    part="assignment_3.at_the_same_rate",
    course=at_the_same_rate,
    task="Draw random gates of the same shape and type: each is 1 with the same probability, the mean of the given "
    "gates over all users and blocks.",
    hints=(
        "How do you turn a uniform number into a coin that shows heads with probability p?",
        "Each gate needs a uniform number of its own, so their shape is that of the gates. Mind `generator`.",
        "A comparison gives True and False; `.to(gates.dtype)` turns them into gates.",
    ),
    body=_at_the_same_rate,
    minutes=5,
    difficulty=1,
)


COUNT = " / scored.sum(dim=1)"
SUM = "values.new_zeros(len(batch)).index_add_(0, owner, values)"

ACCURACY_UNDER = (
    Mistake("positions that are not scored count as wrong: divide by the number of scored ones",
            COUNT, " / scored.shape[1]"),
    Mistake("the sum is divided by the real items: only scored positions count",
            COUNT, " / (batch.items > 0).sum(dim=1)"),
    Mistake("this is the number of hits: divide it by the number of scored positions", COUNT, ""),
    Mistake("this is one number for all: each row needs its own", f"return {SUM}{COUNT}", "return values.mean()"),
    Mistake("only the last position counts: all scored ones have to",
            f"return {SUM}{COUNT}", "return values[scored.sum(dim=1).cumsum(dim=0) - 1]"),
)  # fmt: skip


def _accuracy_under(trial: Trial) -> None:
    for lengths, width in (((6, 2, 4, 1), 6), ((5, 3), 7)):
        model, cases = BareModel(NUM_ITEMS, 3), _batch(trial, lengths * 5, width)
        gates, tell = trial.integers(0, 1, len(cases), 3).float(), 0.0
        while tell < 0.3:  # until the gates have a say in what is best
            body = _randomise(trial, model).backbone
            best, other = (body.score(gated_encode(body, cases.items, g)).argmax(dim=-1) for g in (gates, 1 - gates))
            tell = float((best != other)[cases.scored()].double().mean())
        hit = cases.scored() & (trial.normal(*best.shape) > -0.3)  # about 6 of 10 are right, whatever the seed
        cases.targets[hit] = best[hit]
        given = (model, cases, gates)
        found, others = trial.call(trial.answer, *given), trial.call(trial.answer, model, cases, 1 - gates)
        trial.require(not isinstance(found, Tensor) or not found.requires_grad, "the accuracy has a gradient",
                      "evaluate under torch.no_grad()", *given)  # fmt: skip
        trial.require(not isinstance(found, Tensor) or not torch.equal(found, others), "other gates change nothing",
                      "the given gates are not used", *given)  # fmt: skip
        trial.same(*given)


check_accuracy_under = Check(
    part="assignment_3.accuracy_under",
    course=accuracy_under,
    task="Run your gated_encode under the given gates, without a gradient. For each row return the share of its scored "
    "positions at which the true item has the highest score.",
    hints=(
        "Score all positions, take the item of the highest score, compare with cases.targets. Then one mean a row.",
        "Only positions where cases.scored() is True may count, above and below the fraction bar.",
        "`(hit & scored).sum(dim=1) / scored.sum(dim=1)`, with hit of shape (row, time).",
    ),
    body=_accuracy_under,
    minutes=10,
    difficulty=2,
    mistakes=ACCURACY_UNDER,
)


EACH = "return mean_and_error(first - second)"
ERROR = "per_user.std() / len(per_user) ** 0.5"

PAIRED = (
    Mistake("this is the error of an unpaired difference: take the deviation of each user's difference", EACH,
            f"{EACH}._replace(error=float(((first.var() + second.var()) / len(first)) ** 0.5))"),
    Mistake("this is the users' standard deviation: the error of their mean is smaller by √n", ERROR, "per_user.std()"),
    Mistake("divide by √n, not by n", ERROR, "per_user.std() / len(per_user)"),
    Mistake("the standard deviation needs n - 1", ERROR, ERROR.replace("std()", "std(correction=0)")),
    Mistake("the sign is wrong: learned minus random", EACH, "return mean_and_error(second - first)"),
)  # fmt: skip


def _paired(trial: Trial) -> None:
    for users, draws in ((40, 5), (7, 1), (2, 3)):
        talent = trial.normal(users, dtype=torch.float64)  # some users are easy under all gates
        learned = talent + trial.normal(users, dtype=torch.float64, scale=0.3)
        random = talent - 0.5 + trial.normal(draws, users, dtype=torch.float64, scale=0.3)
        found = trial.call(trial.answer, learned, random)
        good = isinstance(found, tuple | list) and len(found) == 2
        trial.require(good, f"found {type(found).__name__}, expected two numbers (mean, error)", "", learned, random)
        twice, turned = (trial.call(trial.answer, learned, x) for x in (random.repeat(2, 1), random.flip(0)))
        trial.require(abs(float(turned[0]) - float(found[0])) < 1e-6, "the draws in another order give another mean",
                      "only the first draw counts: average all of them", learned, random)  # fmt: skip
        trial.require(abs(float(twice[1]) - float(found[1])) < 1e-6, "the same draws twice give another error",
                      "the draws count as users: average them for each user first, the users are the unit",
                      learned, random)  # fmt: skip
        trial.same(learned, random)


check_paired = Check(
    part="assignment_3.paired",
    course=paired,
    task="Average the draws for each user first. Return the mean over the users of (learned − random) and its standard "
    "error, s / √n, with s the standard deviation (n − 1) of the users' differences; both as plain numbers.",
    hints=(
        "Which are the n independent things here: draws, users, or both?",
        "`random.mean(dim=0)` leaves one number a user. After that it is the paired difference of lesson 04.",
        "`std()` of torch divides by n − 1 already. The error of a mean is smaller than s by √n.",
    ),
    body=_paired,
    minutes=10,
    difficulty=2,
    mistakes=PAIRED,
)

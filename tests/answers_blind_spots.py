"""Answers to the exercises of lesson 10: what a gate is worth, and two other ways to teach gates."""

import itertools

import numpy as np
import torch
from answers import Answer, raises, right, wrong
from torch.nn import functional as F

from skiprec_lite.backbones import in_eval_mode
from skiprec_lite.gate_losses import losses_at as losses_of
from skiprec_lite.gate_losses import per_row as mean_of_rows

# --- per_row ---


def by_splitting(values, batch):
    return torch.stack([part.mean() for part in values.split(batch.scored().sum(1).tolist())])


def on_the_grid(values, batch):
    grid = torch.zeros(batch.targets.shape, dtype=values.dtype).masked_scatter(batch.scored(), values)
    return grid.sum(1) / batch.scored().sum(1)


def by_einsum(values, batch):
    owner = F.one_hot(batch.scored().nonzero()[:, 0], len(batch)).double()
    return (torch.einsum("s,sr->r", values.double(), owner) / owner.sum(0)).to(values.dtype)


def zero_where_there_is_none(values, batch):
    return on_the_grid(values, batch).nan_to_num()


def as_numbers(values, batch):
    return [float(part.mean()) for part in values.split(batch.scored().sum(1).tolist())]


def view_of_rows(values, batch):
    return values.view(len(batch), -1).mean(1)


# --- all_patterns ---


def from_product(blocks):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=blocks)))


def from_strings(blocks):
    return torch.tensor([[float(bit) for bit in f"{number:0{blocks}b}"] for number in range(2**blocks)])


def doubled(blocks):
    found = torch.zeros(1, 0, dtype=torch.float64)
    for _ in range(blocks):
        found = torch.cat([torch.cat([found, b * torch.ones(len(found), 1).double()], 1) for b in (0, 1)])
        found = found[torch.arange(len(found)).reshape(2, -1).T.reshape(-1)]
    return found


def first_is_fastest(blocks):
    return (torch.arange(2**blocks)[:, None] >> torch.arange(blocks) & 1).float()


def drawn(blocks):
    return torch.randint(0, 2, (2**blocks, blocks)).float()


def plain_list(blocks):
    return from_product(blocks).tolist()


# --- pattern_losses, gate_slopes, gate_differences ---


def mean_loss(backbone, cases, gates):
    return mean_of_rows(losses_of(backbone, cases, gates), cases)


def patterns_in_a_loop(backbone, cases, patterns):
    was, found = backbone.training, torch.empty(len(patterns), len(cases), dtype=torch.float64)
    backbone.eval()
    for p, pattern in enumerate(patterns):
        with torch.no_grad():
            found[p] = mean_loss(backbone, cases, pattern.repeat(len(cases), 1))
    backbone.train(was)
    return found


@torch.no_grad()
def patterns_all_at_once(backbone, cases, patterns):
    rows, number = len(cases), len(patterns)
    with in_eval_mode(backbone):
        scores = backbone(cases.items.repeat(number, 1), patterns.repeat_interleave(rows, dim=0))
        losses = F.cross_entropy(
            scores.flatten(0, 1), cases.targets.repeat(number, 1).flatten(), ignore_index=0, reduction="none"
        ).view(number, rows, -1)
    return losses.sum(-1) / (cases.targets > 0).sum(1)


def patterns_with_dropout(backbone, cases, patterns):
    with torch.no_grad():
        return torch.stack([mean_loss(backbone, cases, row.expand(len(cases), -1)) for row in patterns])


def patterns_left_in_training(backbone, cases, patterns):
    found = patterns_with_dropout(backbone.eval(), cases, patterns)
    backbone.train()
    return found


def patterns_by_column(backbone, cases, patterns):
    with torch.no_grad(), in_eval_mode(backbone):
        return torch.stack([mean_loss(backbone, cases, row.expand(len(cases), -1)) for row in patterns.T])


def slopes_row_by_row(backbone, cases, gates):
    leaf = gates.clone().requires_grad_(True)
    with in_eval_mode(backbone):
        losses = mean_loss(backbone, cases, leaf)
        rows = [torch.autograd.grad(loss, leaf, retain_graph=True)[0][i] for i, loss in enumerate(losses)]
    return torch.stack(rows)


def slopes_by_backward(backbone, cases, gates):
    leaf = gates.detach().clone()
    leaf.requires_grad = True
    for p in backbone.parameters():
        p.requires_grad_(False)
    with in_eval_mode(backbone):
        (mean_loss(backbone, cases, leaf).mean() * len(cases)).backward()
    for p in backbone.parameters():
        p.requires_grad_(True)
    return leaf.grad


def slopes(backbone, cases, gates):
    leaf = gates.detach().clone().requires_grad_()
    with in_eval_mode(backbone):
        return torch.autograd.grad(mean_loss(backbone, cases, leaf).sum(), leaf)[0]


def slopes_that_leave_gradients(backbone, cases, gates):
    leaf = gates.detach().clone().requires_grad_()
    with in_eval_mode(backbone):
        mean_loss(backbone, cases, leaf).sum().backward()
    return leaf.grad


def slopes_without_a_leaf(backbone, cases, gates):
    with in_eval_mode(backbone):
        return torch.autograd.grad(mean_loss(backbone, cases, gates).sum(), gates)[0]


@torch.no_grad()
def differences_in_a_loop(backbone, cases, gates):
    found = torch.zeros(gates.shape, dtype=torch.float64)
    with in_eval_mode(backbone):
        for block in range(gates.shape[1]):
            kept, skipped = gates.clone(), gates.clone()
            kept[:, block], skipped[:, block] = 1, 0
            found[:, block] = mean_loss(backbone, cases, kept) - mean_loss(backbone, cases, skipped)
    return found


def differences_of_one_batch(backbone, cases, gates):
    rows, blocks = gates.shape
    both = torch.stack([gates.repeat(blocks, 1), gates.repeat(blocks, 1)])
    for block in range(blocks):
        both[0, block * rows : (block + 1) * rows, block] = 1
        both[1, block * rows : (block + 1) * rows, block] = 0
    index = torch.arange(rows).repeat(blocks)
    many = cases.rows(index)
    with torch.no_grad(), in_eval_mode(backbone):
        kept, skipped = (mean_loss(backbone, many, g) for g in both)
    return (kept - skipped).view(blocks, rows).T.contiguous()


def differences_over_users(backbone, cases, gates):
    return differences_in_a_loop(backbone, cases, gates).mean(0)


def flips_what_was_given(backbone, cases, gates):
    found = differences_in_a_loop(backbone, cases, gates)
    gates[:, -1] = 1 - gates[:, -1]
    return found


# --- difference_loss ---


def teaches_by_a_constant(model, batch, cost, *, exact=False, pull=0.01):
    """Kept and skipped computed as such, the surrogate 0 in value."""
    logits = model.gate_logits(batch.items, batch.cut)
    a = logits[..., 0] - logits[..., 1]
    with torch.no_grad():
        gates = model.decide(logits, sample=True)
    k = torch.randint(gates.shape[1], (len(gates), 1))
    state = torch.get_rng_state()
    loss = losses_of(model.backbone, batch, gates).mean()
    after = torch.get_rng_state()
    row_losses = []
    with torch.no_grad():
        for value in (1.0, 0.0):
            torch.set_rng_state(state)
            row_losses.append(mean_loss(model.backbone, batch, gates.scatter(1, k, value)))
    torch.set_rng_state(after)
    a_k = a.gather(1, k)[:, 0]
    pi = torch.sigmoid(a_k).detach()
    g = (row_losses[0] - row_losses[1] + cost / gates.shape[1]) * (pi - pi**2 if exact else 1 / 4)
    surrogate = torch.dot(g, a_k - a_k.detach()) / len(g)
    return loss + surrogate + (0 if exact else pull * (a**2).sum() / a.numel())


def teaches_in_a_loop(model, batch, cost, *, exact=False, pull=0.01):
    logits = model.gate_logits(batch.items, batch.cut)
    gates = model.decide(logits, sample=True).detach()
    flipped, blocks = gates.clone(), []
    for row in range(len(gates)):
        blocks.append(int(torch.randint(gates.shape[1], ())))
        flipped[row, blocks[row]] = 1 - gates[row, blocks[row]]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        other = mean_loss(model.backbone, batch, flipped)
    losses = losses_of(model.backbone, batch, gates)
    total = losses.mean()
    here = by_splitting(losses.detach(), batch)
    for row, k in enumerate(blocks):
        a = logits[row, k, 0] - logits[row, k, 1]
        d = here[row] - other[row] if gates[row, k] else other[row] - here[row]
        keep = float(torch.sigmoid(a))
        total = total + (keep * (1 - keep) if exact else 0.25) * (d + cost / gates.shape[1]) * a / len(gates)
    return total if exact else total + pull * (logits[..., 0] - logits[..., 1]).pow(2).mean()


def teaches(draw=lambda rows, blocks: torch.randint(blocks, (rows,)), through=False, same_noise=True):
    """A difference loss with a step replaced."""

    def difference_loss(model, batch, cost, *, exact=False, pull=0.01):
        logits = model.gate_logits(batch.items, batch.cut)
        sampled, logit = model.decide(logits, sample=True), logits[..., 0] - logits[..., 1]
        gates = sampled.detach()
        block = draw(*gates.shape).unsqueeze(1)
        flipped = gates.scatter(1, block, 1 - gates.gather(1, block))
        state = torch.get_rng_state()
        losses = losses_of(model.backbone, batch, sampled if through else gates)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.set_rng_state(state if same_noise else torch.get_rng_state())
            other = mean_loss(model.backbone, batch, flipped)
        d = (2 * gates.gather(1, block)[:, 0] - 1) * (mean_of_rows(losses.detach(), batch) - other)
        chosen = logit.gather(1, block)[:, 0]
        keep = torch.sigmoid(chosen.detach())
        factor, held = (keep * (1 - keep), 0.0) if exact else (0.25, pull)
        return losses.mean() + (factor * (d + cost / gates.shape[1]) * chosen).mean() + held * logit.square().mean()

    return difference_loss


def policy_alone(model, batch, cost, *, exact=False, pull=0.01):
    with torch.no_grad():
        value = losses_of(model.backbone, batch, model.gates(batch.items, batch.cut, sample=True)).mean()
    return value + model.gate_logits(batch.items, batch.cut).mean()


def one_a_row(model, batch, cost, *, exact=False, pull=0.01):
    return mean_loss(model.backbone, batch, model.gates(batch.items, batch.cut, sample=True))


def no_keywords(model, batch, cost):
    return teaches()(model, batch, cost)


# --- SteeredCost ---


class InLogs:
    """The factor as an exponent, full depth by gates of None; steers after it has used the factor."""

    def __init__(self, tolerance=0.05, rate=0.02):
        self.tolerance, self.rate = tolerance, rate
        self.log_factor = 0.0

    @property
    def factor(self):
        return float(np.exp(self.log_factor))

    def __call__(self, model, batch, cost):
        gates = model.decide(model.gate_logits(batch.items, batch.cut), sample=True)
        loss = losses_of(model.backbone, batch, gates).mean()
        total = loss + cost * self.factor * gates.sum() / gates.numel()
        with torch.no_grad():
            full = F.cross_entropy(model.backbone(batch.items)[batch.scored()], batch.targets[batch.scored()])
        harm = loss.item() - full.item()
        self.log_factor += float(np.log1p(self.rate if harm < self.tolerance else -self.rate))
        return total


class Steers:
    """The usual one; the answers below change a method of it."""

    def __init__(self, tolerance=0.05, rate=0.02):
        self.tolerance, self.rate, self.factor = tolerance, rate, 1.0

    def __call__(self, model, batch, cost):
        gates = model.gates(batch.items, batch.cut, sample=True)
        loss = losses_of(model.backbone, batch, gates).mean()
        with torch.no_grad():
            full = losses_of(model.backbone, batch, torch.ones_like(gates)).mean()
        self.steer(self.rate if float(loss - full) < self.tolerance else -self.rate)
        return loss + self.factor * cost * gates.mean()

    def steer(self, change):
        self.factor *= 1 + change


class Adds(Steers):
    def steer(self, change):
        self.factor += change


class SharedByAll(Steers):
    factor = 1.0

    def __init__(self, tolerance=0.05, rate=0.02):
        self.tolerance, self.rate = tolerance, rate

    def steer(self, change):
        type(self).factor *= 1 + change


class NoLoss(Steers):
    def __call__(self, model, batch, cost):
        super().__call__(model, batch, cost)


class NotCalled(Steers):
    __call__ = None


ANSWERS_BLIND_SPOTS: dict[str, list[Answer]] = {
    "gate_losses.per_row": [
        right(by_splitting), right(on_the_grid), right(by_einsum),
        wrong(zero_where_there_is_none, "perfect loss"), wrong(as_numbers, "expected a tensor"),
        raises(view_of_rows, "shape"),
    ],
    "enumeration.all_patterns": [
        right(from_product), right(from_strings), right(doubled),
        wrong(first_is_fastest, "changes fastest"), wrong(drawn, "pattern occurs once"),
        wrong(plain_list, "expected a tensor"),
    ],
    "enumeration.pattern_losses": [
        right(patterns_in_a_loop), right(patterns_all_at_once),
        wrong(patterns_with_dropout, "eval mode for the while"),
        wrong(patterns_left_in_training, "back into the mode"), raises(patterns_by_column, "gates"),
    ],
    "enumeration.gate_slopes": [
        right(slopes_row_by_row), right(slopes_by_backward), right(slopes),
        wrong(slopes_that_leave_gradients, "left in .grad"), wrong(differences_in_a_loop, "a slope is a gradient"),
        raises(slopes_without_a_leaf, "grad"),
    ],
    "enumeration.gate_differences": [
        right(differences_in_a_loop), right(differences_of_one_batch),
        wrong(flips_what_was_given, "changes the argument"), wrong(slopes, "flip the gate"),
        wrong(differences_over_users, "each row has its own"),
    ],
    "gate_losses.difference_loss": [
        right(teaches_by_a_constant), right(teaches_in_a_loop), right(teaches()),
        wrong(teaches(draw=lambda rows, blocks: torch.randint(1, max(blocks, 2), (rows,)) % blocks), "all blocks"),
        wrong(teaches(through=True), "gradient at the logits"), wrong(teaches(same_noise=False), "drops other numbers"),
        wrong(policy_alone, "no gradient reaches the backbone"), wrong(one_a_row, "single number"),
        raises(no_keywords, "unexpected keyword"),
    ],
    "gate_losses.SteeredCost": [
        right(Steers), right(InLogs),
        wrong(Adds, "multiply, do not add"), wrong(SharedByAll, "self.factor in __init__"),
        wrong(NoLoss, "None"), raises(NotCalled, "not callable"),
    ],
}  # fmt: skip

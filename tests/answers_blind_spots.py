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


def sums_of_rows(values, batch):
    return torch.zeros(len(batch), dtype=values.dtype).index_add(0, batch.scored().nonzero()[:, 0], values)


def over_the_width(values, batch):
    return sums_of_rows(values, batch) / batch.items.shape[1]


def over_real_items(values, batch):
    return sums_of_rows(values, batch) / (batch.items > 0).sum(1)


def mean_over_all(values, batch):
    return values.mean()


def mean_over_all_for_each(values, batch):
    return values.mean().expand(len(batch))


def column_by_column(values, batch):
    owner = batch.scored().T.nonzero()[:, 1]
    return torch.zeros(len(batch), dtype=values.dtype).index_add(0, owner, values) / batch.scored().sum(1)


def zero_where_there_is_none(values, batch):
    return sums_of_rows(values, batch) / batch.scored().sum(1).clamp_min(1)


def only_rows_with_some(values, batch):
    found = on_the_grid(values, batch)
    return found[~found.isnan()]


def as_numbers(values, batch):
    return [float(part.mean()) for part in values.split(batch.scored().sum(1).tolist())]


def without_gradient(values, batch):
    return by_splitting(values.detach(), batch)


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


def without_the_last(blocks):
    return from_product(blocks)[:-1]


def from_all_to_none(blocks):
    return from_product(blocks).flip(0)


def by_number_kept(blocks):
    found = from_product(blocks)
    return found[found.sum(1).argsort(stable=True)]


def one_block_each(blocks):
    return torch.eye(blocks)


def true_and_false(blocks):
    return from_product(blocks).bool()


def columns_for_rows(blocks):
    return from_product(blocks).T


def drawn(blocks):
    return torch.randint(0, 2, (2**blocks, blocks)).float()


def plain_list(blocks):
    return from_product(blocks).tolist()


# --- pattern_losses, gate_slopes, gate_differences ---


def mean_loss(backbone, cases, gates):
    return mean_of_rows(losses_of(backbone, cases, gates), cases)


def of_all_users(backbone, cases, gates):
    return losses_of(backbone, cases, gates).mean().expand(len(cases))


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


def patterns(one=mean_loss, mode=in_eval_mode):
    """Losses of patterns with a step replaced."""

    @torch.no_grad()
    def pattern_losses(backbone, cases, patterns):
        with mode(backbone):
            return torch.stack([one(backbone, cases, row.expand(len(cases), -1)) for row in patterns])

    return pattern_losses


def patterns_with_dropout(backbone, cases, patterns):
    with torch.no_grad():
        return torch.stack([mean_loss(backbone, cases, row.expand(len(cases), -1)) for row in patterns])


def patterns_left_in_eval(backbone, cases, patterns):
    backbone.eval()
    return patterns_with_dropout(backbone, cases, patterns)


def patterns_left_in_training(backbone, cases, patterns):
    found = patterns_left_in_eval(backbone, cases, patterns)
    backbone.train()
    return found


def patterns_with_a_graph(backbone, cases, patterns):
    with in_eval_mode(backbone):
        return torch.stack([mean_loss(backbone, cases, row.expand(len(cases), -1)) for row in patterns])


def patterns_as_columns(backbone, cases, patterns):
    return patterns_in_a_loop(backbone, cases, patterns).T


def patterns_over_users(backbone, cases, patterns):
    return patterns_in_a_loop(backbone, cases, patterns).mean(1)


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


def slopes(total=lambda losses, cases: mean_of_rows(losses, cases).sum(), after=lambda s: s, at=lambda g: g):
    """Slopes with a step replaced."""

    def gate_slopes(backbone, cases, gates):
        leaf = at(gates).detach().clone().requires_grad_()
        with in_eval_mode(backbone):
            return after(torch.autograd.grad(total(losses_of(backbone, cases, leaf), cases), leaf)[0])

    return gate_slopes


def slopes_with_dropout(backbone, cases, gates):
    leaf = gates.detach().clone().requires_grad_()
    return torch.autograd.grad(mean_loss(backbone, cases, leaf).sum(), leaf)[0]


def slopes_that_leave_gradients(backbone, cases, gates):
    leaf = gates.detach().clone().requires_grad_()
    with in_eval_mode(backbone):
        mean_loss(backbone, cases, leaf).sum().backward()
    return leaf.grad


def slopes_by_a_small_step(backbone, cases, gates):
    return differences_in_a_loop(backbone, cases, gates)


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


def differences(flip, sign=lambda g: 2 * g - 1, mean=mean_loss):
    """Differences with a step replaced."""

    @torch.no_grad()
    def gate_differences(backbone, cases, gates):
        with in_eval_mode(backbone):
            here = mean(backbone, cases, gates)
            there = torch.stack([mean(backbone, cases, flip(gates, b)) for b in range(gates.shape[1])], 1)
        return sign(gates) * (here[:, None] - there)

    return gate_differences


def flip_one(gates, block):
    flipped = gates.clone()
    flipped[:, block] = 1 - flipped[:, block]
    return flipped


def flip_so_far(gates, block):
    flipped = gates.clone()
    flipped[:, : block + 1] = 1 - flipped[:, : block + 1]
    return flipped


def shut_one(gates, block):
    shut = gates.clone()
    shut[:, block] = 0
    return shut


def from_full_depth(gates, block):
    flipped = torch.ones_like(gates)
    flipped[:, block] = 1 - gates[:, block]
    return flipped


@torch.no_grad()
def flips_what_was_given(backbone, cases, gates):
    found = []
    with in_eval_mode(backbone):
        for block in range(gates.shape[1]):
            gates[:, block] = 1
            kept = mean_loss(backbone, cases, gates)
            gates[:, block] = 0
            found.append(kept - mean_loss(backbone, cases, gates))
    return torch.stack(found, 1)


@torch.no_grad()
def differences_with_dropout(backbone, cases, gates):
    here = mean_loss(backbone, cases, gates)
    there = torch.stack([mean_loss(backbone, cases, flip_one(gates, b)) for b in range(gates.shape[1])], 1)
    return (2 * gates - 1) * (here[:, None] - there)


def differences_over_users(backbone, cases, gates):
    return differences_in_a_loop(backbone, cases, gates).mean(0)


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


def teaches(
    sign=lambda g: 2 * g - 1,
    share=lambda cost, blocks: cost / blocks,
    factor=lambda keep, exact: keep * (1 - keep) if exact else 0.25,
    held=lambda pull, exact: 0.0 if exact else pull,
    flip=None,
    draw=lambda rows, blocks: torch.randint(blocks, (rows,)),
    through=False,
    same_noise=True,
    reduce=torch.mean,
):
    """A difference loss with a step replaced."""

    def difference_loss(model, batch, cost, *, exact=False, pull=0.01):
        logits = model.gate_logits(batch.items, batch.cut)
        sampled, logit = model.decide(logits, sample=True), logits[..., 0] - logits[..., 1]
        gates = sampled.detach()
        rows, block = torch.arange(len(gates)), draw(*gates.shape)
        flipped = flip(gates) if flip else gates.clone()
        if not flip:
            flipped[rows, block] = 1 - flipped[rows, block]
        state = torch.get_rng_state()
        losses = losses_of(model.backbone, batch, sampled if through else gates)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            if same_noise:
                torch.set_rng_state(state)
            other = mean_loss(model.backbone, batch, flipped)
        worth = sign(gates[rows, block]) * (mean_of_rows(losses.detach(), batch) - other) + share(cost, gates.shape[1])
        chosen = logit[rows, block]
        keep = torch.sigmoid(chosen.detach())
        return losses.mean() + reduce(factor(keep, exact) * worth * chosen) + held(pull, exact) * logit.square().mean()

    return difference_loss


def all_blocks_in_turn(model, batch, cost, *, exact=False, pull=0.01):
    logits = model.gate_logits(batch.items, batch.cut)
    gates = model.decide(logits, sample=True).detach()
    a = logits[..., 0] - logits[..., 1]
    d = differences_in_a_loop(model.backbone, batch, gates)
    keep = torch.sigmoid(a.detach())
    factor, held = (keep * (1 - keep), 0.0) if exact else (0.25, pull)
    taught = (factor * (d + cost / gates.shape[1]) * a).sum(1).mean()
    return losses_of(model.backbone, batch, gates).mean() + taught + held * a.square().mean()


def policy_alone(model, batch, cost, *, exact=False, pull=0.01):
    with torch.no_grad():
        value = losses_of(model.backbone, batch, model.gates(batch.items, batch.cut, sample=True)).mean()
    return value + model.gate_logits(batch.items, batch.cut).mean()


def backbone_alone(model, batch, cost, *, exact=False, pull=0.01):
    return losses_of(model.backbone, batch, model.gates(batch.items, batch.cut, sample=True).detach()).mean()


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

    sample = True

    def __init__(self, tolerance=0.05, rate=0.02):
        self.tolerance, self.rate, self.factor = tolerance, rate, 1.0

    def __call__(self, model, batch, cost):
        gates = self.gates(model, batch)
        loss = losses_of(model.backbone, batch, gates).mean()
        with torch.no_grad():
            full = losses_of(model.backbone, batch, torch.ones_like(gates)).mean()
        self.steer(float(loss.detach()), float(full), cost * float(gates.detach().mean()))
        return loss + self.factor * cost * gates.mean()

    def gates(self, model, batch):
        return model.gates(batch.items, batch.cut, sample=self.sample)

    def steer(self, loss, full, extra):
        self.factor *= 1 + self.rate if loss - full < self.tolerance else 1 - self.rate


class GrowsWhenItHarms(Steers):
    def steer(self, loss, full, extra):
        self.factor *= 1 - self.rate if loss - full < self.tolerance else 1 + self.rate


class FullMinusSampled(Steers):
    def steer(self, loss, full, extra):
        self.factor *= 1 + self.rate if full - loss < self.tolerance else 1 - self.rate


class Adds(Steers):
    def steer(self, loss, full, extra):
        self.factor += self.rate if loss - full < self.tolerance else -self.rate


class NeverMoves(Steers):
    def steer(self, loss, full, extra):
        pass


class ForgetsTheFactor(Steers):
    def steer(self, loss, full, extra):
        self.factor = 1 + self.rate if loss - full < self.tolerance else 1 - self.rate


class WithTheCost(Steers):
    def steer(self, loss, full, extra):
        super().steer(loss + self.factor * extra, full, extra)


class SharedByAll(Steers):
    factor = 1.0

    def __init__(self, tolerance=0.05, rate=0.02):
        self.tolerance, self.rate = tolerance, rate

    def steer(self, loss, full, extra):
        type(self).factor *= 1 + self.rate if loss - full < self.tolerance else 1 - self.rate


class GreedyGates(Steers):
    sample = False


class DetachedGates(Steers):
    def gates(self, model, batch):
        return super().gates(model, batch).detach()


class ReadsTheWholeWindow(Steers):
    def gates(self, model, batch):
        return model.gates(batch.items, sample=True)


class NoCost(Steers):
    def __call__(self, model, batch, cost):
        return super().__call__(model, batch, 0.0)


class OtherDefaults(Steers):
    def __init__(self, tolerance=0.5, rate=0.02):
        super().__init__(tolerance, rate)


class NoLoss(Steers):
    def __call__(self, model, batch, cost):
        super().__call__(model, batch, cost)


class NotCalled(Steers):
    __call__ = None


ANSWERS_BLIND_SPOTS: dict[str, list[Answer]] = {
    "gate_losses.per_row": [
        right(by_splitting), right(on_the_grid), right(by_einsum),
        wrong(sums_of_rows, "each row's sum"), wrong(over_the_width, "all positions"),
        wrong(over_real_items, "real items"), wrong(mean_over_all, "mean of its own"),
        wrong(mean_over_all_for_each, "mean over all"), wrong(column_by_column, "row by row"),
        wrong(zero_where_there_is_none, "expected NaN"), wrong(only_rows_with_some, "has a place too"),
        wrong(as_numbers, "expected a tensor"), wrong(without_gradient, "detached"), raises(view_of_rows, "shape"),
    ],
    "enumeration.all_patterns": [
        right(from_product), right(from_strings), right(doubled),
        wrong(first_is_fastest, "changes fastest"), wrong(without_the_last, "2 to the power"),
        wrong(from_all_to_none, "reversed"), wrong(by_number_kept, "counting"), wrong(one_block_each, "2 to the power"),
        wrong(true_and_false, "True and False"), wrong(columns_for_rows, "a row"), wrong(drawn, "pattern occurs once"),
        wrong(plain_list, "expected a tensor"),
    ],
    "enumeration.pattern_losses": [
        right(patterns_in_a_loop), right(patterns_all_at_once),
        wrong(patterns_with_dropout, "eval mode for the while"),
        wrong(patterns_left_in_eval, "in eval mode afterwards"),
        wrong(patterns_left_in_training, "in training mode afterwards"), wrong(patterns_with_a_graph, "graph"),
        wrong(patterns_as_columns, "axes are swapped"), wrong(patterns_over_users, "losses of their own"),
        wrong(patterns(of_all_users), "mean over all"),
        wrong(patterns(losses_of), "scored position"),
        wrong(patterns(lambda n, c, g: mean_loss(n, c, 1 - g)), "inverted"),
        wrong(patterns(lambda n, c, g: mean_loss(n, c, g.flip(1))), "reverse order"),
        raises(patterns_by_column, "gates"),
    ],
    "enumeration.gate_slopes": [
        right(slopes_row_by_row), right(slopes_by_backward), right(slopes()),
        wrong(slopes(lambda x, c: mean_of_rows(x, c).mean()), "mean over users"),
        wrong(slopes(lambda x, c: x.mean()), "mean over all positions"),
        wrong(slopes(lambda x, c: x.sum()), "row's sum"),
        wrong(slopes(after=lambda s: s.mean(0)), "averaged over users"),
        wrong(slopes(after=lambda s: s.mean(0).expand_as(s)), "mean slope of all"),
        wrong(slopes(after=torch.neg), "sign is wrong"), wrong(slopes(at=torch.ones_like), "full depth"),
        wrong(slopes_with_dropout, "eval mode for the while"),
        wrong(slopes_that_leave_gradients, "left on the backbone"),
        wrong(slopes_by_a_small_step, "a slope is a gradient"), raises(slopes_without_a_leaf, "grad"),
    ],
    "enumeration.gate_differences": [
        right(differences_in_a_loop), right(differences_of_one_batch),
        wrong(differences(flip_one, lambda g: 1 - 2 * g), "skipped minus kept"),
        wrong(differences(flip_one, torch.ones_like), "now minus flipped"),
        wrong(differences(flip_one, lambda g: -torch.ones_like(g)), "skipped minus kept"),
        wrong(differences(lambda g, block: 1 - g), "flipped at once"), wrong(differences(flip_so_far), "stay flipped"),
        wrong(differences(shut_one), "only ever skipped"), wrong(differences(from_full_depth), "other gates are at 1"),
        wrong(differences(flip_one, mean=of_all_users), "mean over all users"),
        wrong(flips_what_was_given, "changes the argument"), wrong(differences_with_dropout, "eval mode for the while"),
        wrong(differences_over_users, "averaged over users"), wrong(slopes(), "flip the gate"),
    ],
    "gate_losses.difference_loss": [
        right(teaches_by_a_constant), right(teaches_in_a_loop), right(teaches()),
        wrong(teaches(lambda g: 1 - 2 * g), "skipped minus kept"),
        wrong(teaches(torch.ones_like), "sampled minus flipped"),
        wrong(teaches(share=lambda cost, blocks: cost), "cost that of one gate"),
        wrong(teaches(share=lambda cost, blocks: 0), "cost is missing"),
        wrong(teaches(share=lambda cost, blocks: -cost / blocks), "rewards keeping"),
        wrong(teaches(factor=lambda keep, exact: keep * (1 - keep)), "it is 1/4"),
        wrong(teaches(factor=lambda keep, exact: 0.25), "it is pi (1 - pi)"),
        wrong(teaches(factor=lambda keep, exact: keep if exact else 0.25), "has to be pi (1 - pi)"),
        wrong(teaches(held=lambda pull, exact: pull), "pulled too"),
        wrong(teaches(held=lambda pull, exact: 0.0), "pull is missing"),
        wrong(teaches(flip=lambda g: 1 - g), "other gates"), wrong(teaches(reduce=torch.sum), "rows are summed"),
        wrong(teaches(draw=lambda rows, blocks: torch.randint(blocks, (1,)).expand(rows)), "same block"),
        wrong(teaches(draw=lambda rows, blocks: torch.randint(1, max(blocks, 2), (rows,)) % blocks), "never flipped"),
        wrong(teaches(through=True), "detach the sampled gates"),
        wrong(teaches(same_noise=False), "drops other numbers"),
        wrong(all_blocks_in_turn, "one random gate"), wrong(policy_alone, "no gradient reaches the backbone"),
        wrong(backbone_alone, "no gradient reaches the policy"), wrong(one_a_row, "single number"),
        raises(no_keywords, "unexpected keyword"),
    ],
    "gate_losses.SteeredCost": [
        right(Steers), right(InLogs),
        wrong(GrowsWhenItHarms, "while skipping is harmless"), wrong(FullMinusSampled, "minus full depth"),
        wrong(Adds, "multiply, do not add"), wrong(NeverMoves, "does not move"),
        wrong(ForgetsTheFactor, "begins at 1 again"),
        wrong(WithTheCost, "without the cost"), wrong(SharedByAll, "another SteeredCost"), wrong(GreedyGates, "greedy"),
        wrong(DetachedGates, "do not detach"), wrong(ReadsTheWholeWindow, "whole window"),
        wrong(NoCost, "cost is missing"),
        wrong(OtherDefaults, "new one's tolerance"), wrong(NoLoss, "None"), raises(NotCalled, "not callable"),
    ],
}  # fmt: skip

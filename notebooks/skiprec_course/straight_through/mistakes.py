"""What goes wrong in lesson 03 on the way to a gradient through a choice: edits of `estimators.py`."""

from skiprec_course.mistakes import Mistake

MEAN_LOSS = "this is the gradient of the mean loss: each sample's gradient comes out divided by the number of samples"
EACH_SAMPLE = "return a gradient for each sample, not their sum or mean"
ITSELF = "the loss has to see the choice itself, not a soft sample or a probability"
NO_GENERATOR = "draw all random numbers from `generator`: hand it on"
SWAPPED = "keep and skip are swapped: a gate is 1 with probability sigmoid(logit)"
DETACH = "an estimate is a number to use: detach it"

WEIGHED = "(gradient,) = torch.autograd.grad((probability * loss(choices).detach()).sum(), leaf)"
KEEP = "keep = torch.sigmoid(leaf)\n"
BITS = "bits = [torch.tensor([0.0, 1.0], dtype=logits.dtype)]"
CHOICES = "choices = torch.cartesian_prod(*bits).view(-1, len(logits))"
EXACT_GRADIENT = (
    Mistake("the probability of a row lacks the factors of its skipped gates: each of them has one too, 1 - pi",
            "torch.where(choices == 1, keep, 1 - keep)", "torch.where(choices == 1, keep, torch.ones_like(keep))"),
    Mistake(SWAPPED, "torch.where(choices == 1, keep", "torch.where(choices == 0, keep"),
    Mistake("the probability of a row is a product: multiply the factors of its gates",
            ".prod(dim=1)  # (choice,)", ".sum(dim=1)  # (choice,)"),
    Mistake("the probabilities come from a softmax over the gates: each gate has a sigmoid of its own",
            KEEP, "keep = torch.softmax(leaf, dim=0)\n"),
    Mistake("the logits are taken for probabilities: the sigmoid is missing", KEEP, "keep = leaf\n"),
    Mistake("this is the gradient with respect to the probabilities: go on to the logits",
            WEIGHED, WEIGHED.replace("leaf", "keep")),
    Mistake("this is the sum of log-probability gradients: weight each row by its probability",
            WEIGHED, WEIGHED.replace("probability", "probability.log()")),
    Mistake("the sign is wrong: return the gradient, not the direction of descent",
            WEIGHED, WEIGHED.replace("(probability", "(-probability")),
    Mistake("this is a mean over the rows: their probabilities sum to 1 already",
            "(probability * loss(choices).detach()).sum()", "(probability * loss(choices).detach()).mean()"),
    Mistake("this is the gradient through the loss, its slope at 0 and 1: differentiate the probabilities, the losses "
            "are constants", WEIGHED,
            "choices.requires_grad_()\n"
            "    (slope,) = torch.autograd.grad((probability.detach() * loss(choices)).sum(), choices)\n"
            "    gradient = slope.sum(dim=0) * (keep * (1 - keep)).detach()"),
    Mistake("the loss at the mean gates is not the mean of the losses: ask about rows of 0 and 1 only",
            "(probability * loss(choices).detach()).sum()", "loss(keep.unsqueeze(0)).sum()"),
    Mistake("a skipped gate is 0, a kept one 1", BITS, BITS.replace("0.0", "-1.0")),
    Mistake("there are 2^n rows of n gates: go through all of them",
            CHOICES, "choices = torch.eye(len(logits), dtype=logits.dtype)"),
    Mistake("do not draw gates: go through all of their rows",
            CHOICES, "choices = (torch.rand(1_000, len(logits)) < torch.sigmoid(logits)).to(logits.dtype)"),
    Mistake("this is one number, a loss perhaps: return its gradient",
            WEIGHED, "gradient = (probability * loss(choices)).sum().detach()"),
    Mistake("this is a number for each row of gates: return the gradient at the logits",
            WEIGHED, "gradient = (probability * loss(choices)).detach()"),
    Mistake("this is a gradient for each row of gates: sum over the rows",
            WEIGHED, "gradient = (probability * loss(choices)).detach()[:, None] * (choices - keep.detach())"),
    Mistake("work on a detached copy of the logits",
            "leaf = logits.detach().clone().requires_grad_()", "leaf = logits.requires_grad_()"),
    Mistake("make the rows in the logits' dtype: the loss may multiply them by others of it",
            BITS, "bits = [torch.tensor([0.0, 1.0])]"),
)  # fmt: skip

LEAF_OF_PAIRS = "leaf = logits.detach().expand(samples, -1).clone().requires_grad_()\n    pairs"
PAIRS = "torch.stack([leaf, torch.zeros_like(leaf)], dim=-1)"
THROUGH = "(gradient,) = torch.autograd.grad(loss(draw(pairs)[..., 0]).sum(), leaf)"
THROUGH_A_SAMPLE = (
    Mistake(MEAN_LOSS, "draw(pairs)[..., 0]).sum()", "draw(pairs)[..., 0]).mean()"),
    Mistake("you take the second entry of a sample, the skip gate: the first one is the gate",
            "draw(pairs)[..., 0]", "draw(pairs)[..., 1]"),
    Mistake("the sign is wrong: return the gradient, not the direction of descent",
            THROUGH, THROUGH.replace("loss(draw", "-loss(draw")),
    Mistake("this is the loss's slope at the gates: go on through the sample to the logits",
            THROUGH, "gates = draw(pairs)[..., 0].detach().requires_grad_()\n"
            "    (gradient,) = torch.autograd.grad(loss(gates).sum(), gates)"),
    Mistake("the skip logit comes first: the pair is (keep, skip)",
            "torch.stack([leaf, torch.zeros_like(leaf)]", "torch.stack([torch.zeros_like(leaf), leaf]"),
    Mistake("the gap is doubled: with the skip logit at 0 it is the logit itself",
            PAIRS, "torch.stack([leaf, -leaf], dim=-1)"),
    Mistake("the skip logit is 0", "torch.zeros_like(leaf)", "torch.ones_like(leaf)"),
    Mistake("these are probabilities: `draw` wants logits",
            PAIRS, "torch.stack([leaf.sigmoid(), 1 - leaf.sigmoid()], dim=-1)"),
    Mistake("the two logits of a gate belong on a new last axis: (sample, gate, 2)",
            PAIRS, "torch.stack([leaf, torch.zeros_like(leaf)], dim=0)"),
    Mistake("autograd summed over the samples: give each of them a leaf row of its own",
            LEAF_OF_PAIRS + " = " + PAIRS, "leaf = logits.detach().clone().requires_grad_()\n"
            f"    pairs = {PAIRS}.expand(samples, -1, -1)"),
    Mistake("every sample needs a copy of the logits: each draws its own gates",
            "draw(pairs)[..., 0]", "draw(pairs[:1])[..., 0]"),
)  # fmt: skip

NO_TAU = "tau has no effect: it divides the noisy logits"
PARTIAL = "partial(gumbel_softmax, tau=tau, hard=True, generator"
DRAW = "draw = partial(gumbel_softmax, tau=tau, hard=True, generator=generator)"
DRAWN = "return through_a_sample(logits, loss, samples, draw)"


def _with(soft: str) -> str:
    """A draw written by hand, with the right choice and this soft sample."""
    return f"""from skiprec_lite.gumbel import sample_gumbel

    def draw(pairs: Tensor) -> Tensor:
        noise = sample_gumbel(pairs.shape, generator=generator, dtype=pairs.dtype)
        choice = torch.zeros_like(pairs).scatter_(-1, (pairs + noise).argmax(dim=-1, keepdim=True), 1.0)
        soft = {soft}
        return choice + (soft - soft.detach())
"""


STRAIGHT_THROUGH = (
    Mistake(ITSELF, PARTIAL, "partial(gumbel_softmax, tau=tau, generator"),
    Mistake(NO_TAU, PARTIAL, "partial(gumbel_softmax, tau=10.0, hard=True, generator"),
    Mistake(NO_TAU, PARTIAL, "partial(gumbel_softmax, tau=1.0, hard=True, generator"),
    Mistake("you multiply by tau: divide by it", DRAW, DRAW.replace("tau=tau", "tau=1 / tau")),
    Mistake("tau changes how often a gate is open: the soft sample alone is divided by it",
            DRAWN, DRAWN.replace("(logits", "(logits / tau")),
    Mistake("the sigmoid was taken twice: hand the logit on, not the probability",
            DRAWN, DRAWN.replace("(logits", "(torch.sigmoid(logits)")),
    Mistake(SWAPPED, DRAWN, DRAWN.replace("(logits", "(-logits")),
    Mistake("the sign is wrong", DRAWN, DRAWN.replace("through_a", "-through_a")),
    Mistake(MEAN_LOSS, DRAWN, DRAWN + " / samples"),
    Mistake(EACH_SAMPLE, DRAWN, DRAWN + ".mean(dim=0)"),
    Mistake(NO_GENERATOR, DRAW, DRAW.replace(", generator=generator", "")),
    Mistake("tau stands on one side only, at the logit: it has to divide the noise too",
            DRAW, _with("torch.softmax(pairs / tau + noise, dim=-1)")),
    Mistake("tau stands on one side only, at the noise: it has to divide the logit too",
            DRAW, _with("torch.softmax(pairs + noise / tau, dim=-1)")),
    Mistake("the division by tau is missing in the slope y(1 - y)/tau",
            DRAW, _with("tau * torch.softmax((pairs + noise) / tau, dim=-1)")),
    Mistake("this is the slope of the probability, pi(1 - pi): the sample brings y(1 - y)/tau of its own",
            DRAW, _with("torch.softmax(pairs, dim=-1)")),
    Mistake("dz/da counts as 1: that is identity straight-through; here the soft sample's slope belongs to it",
            DRAW, _with("pairs")),
    Mistake("the noise of the slope is another draw: value and gradient belong to one sample",
            DRAW, _with("torch.softmax((pairs + noise.flip(0)) / tau, dim=-1)")),
)  # fmt: skip

IDENTITY_GATES = "gates = draw_gates(logits, samples, generator=generator)\n    # The bracket"
IDENTITY_LEAF = "leaf = logits.detach().expand(samples, -1).clone().requires_grad_()\n    gates"
ASKED = "loss(gates + (leaf - leaf.detach()))"
IDENTITY_STRAIGHT_THROUGH = (
    Mistake("a slope pi(1 - pi) comes in: here dz/da counts as 1",
            ASKED, "loss(gates + torch.sigmoid(leaf) - torch.sigmoid(leaf).detach())"),
    Mistake("the soft sample's slope y(1 - y) comes in: here dz/da counts as 1",
            f"(gradient,) = torch.autograd.grad({ASKED}.sum(), leaf)",
            "gradient = straight_through(logits, loss, samples, tau=1.0, generator=generator)"),
    Mistake("the sign is wrong", ASKED, "loss(gates - (leaf - leaf.detach()))"),
    Mistake(MEAN_LOSS, f"{ASKED}.sum()", f"{ASKED}.mean()"),
    Mistake("add a term that is exactly 0: build it in a bracket of its own",
            ASKED, "loss(gates + leaf - leaf.detach())"),
    Mistake("the logit is added to the gate: take the same number away, detached, so that the value stays",
            ASKED, "loss(gates + leaf)"),
    Mistake(ITSELF, ASKED, "loss(torch.sigmoid(leaf.detach()) + (leaf - leaf.detach()))"),
    Mistake("these are the likelier gates: draw them, each sample with random numbers of its own",
            IDENTITY_GATES, "gates = (leaf.detach() > 0).to(leaf.dtype)\n    # The bracket"),
    Mistake(SWAPPED, IDENTITY_GATES, IDENTITY_GATES.replace("(logits", "(-logits")),
    Mistake(NO_GENERATOR, IDENTITY_GATES, IDENTITY_GATES.replace(", generator=generator", "")),
    Mistake(EACH_SAMPLE, IDENTITY_LEAF, "leaf = logits.detach().clone().requires_grad_()\n    gates"),
)  # fmt: skip

REINFORCE_GATES = "gates = draw_gates(logits, samples, generator=generator)\n    advantage"
ADVANTAGE = "advantage = loss(gates)\n"
BASELINE = "loss(draw_gates(logits, samples, generator=generator))"
SUBTRACTED = f"advantage = advantage - {BASELINE}"
SCORE = "(gates - torch.sigmoid(logits))"
ESTIMATE = f"return (advantage.unsqueeze(1) * {SCORE}).detach()"
ONE_BASELINE = "the baseline is one number for all samples: take the loss of a second, independent draw, row by row"
REINFORCE = (
    Mistake("the gradient of the log-probability has the wrong sign: it is z - pi",
            SCORE, "(torch.sigmoid(logits) - gates)"),
    Mistake("this is the gradient with respect to pi: for the logits it is z - pi",
            SCORE, f"{SCORE} / (torch.sigmoid(logits) * torch.sigmoid(-logits))"),
    Mistake("the log-probability of skipped gates is missing: a gate of 0 has one too",
            SCORE, "gates * torch.sigmoid(-logits)"),
    Mistake("the - pi is missing in the gradient of the log-probability", SCORE, "gates"),
    Mistake("each gate has a pi of its own in z - pi: it is one half for a logit of 0 only", SCORE, "(gates - 0.5)"),
    Mistake("the probability's gradient stands where that of its logarithm belongs: z - pi",
            SCORE, "(2 * gates - 1) * torch.sigmoid(logits) * torch.sigmoid(-logits)"),
    Mistake("the loss is missing: it weighs each row", ADVANTAGE, "advantage = loss(gates) * 0 + 1\n"),
    Mistake("each row is weighed by its own loss, not by the mean of all",
            "advantage.unsqueeze(1) *", "advantage.mean() *"),
    Mistake("each gradient is divided by the number of samples", ESTIMATE, ESTIMATE + " / samples"),
    Mistake(EACH_SAMPLE, ESTIMATE, ESTIMATE + ".sum(dim=0)"),
    Mistake(ITSELF, ADVANTAGE, "advantage = loss(torch.sigmoid(logits).expand(samples, -1))\n"),
    Mistake(SWAPPED, REINFORCE_GATES, REINFORCE_GATES.replace("(logits", "(-logits")),
    Mistake(NO_GENERATOR, REINFORCE_GATES, REINFORCE_GATES.replace(", generator=generator", "")),
    Mistake(DETACH, "(gates - torch.sigmoid(logits))).detach()", "(gates - torch.sigmoid(logits)))"),
    Mistake("a baseline is subtracted though baseline=False", "    if baseline:", "    if not baseline or baseline:"),
    Mistake("the baseline is not used", SUBTRACTED, "pass"),
    Mistake("the baseline is added: subtract it", "advantage = advantage - loss(draw_gates",
            "advantage = advantage + loss(draw_gates"),
    Mistake("the difference is the wrong way round: from the first draw's loss subtract the baseline",
            SUBTRACTED, f"advantage = {BASELINE} - advantage"),
    Mistake("the baseline is the loss of the same draw: it needs a second, independent one", BASELINE, "loss(gates)"),
    Mistake("the baseline is made from the gates themselves: it needs a second, independent draw",
            BASELINE, "loss(1 - gates)"),
    Mistake(ONE_BASELINE, SUBTRACTED, "advantage = advantage - advantage.mean()"),
    Mistake(ONE_BASELINE, SUBTRACTED, SUBTRACTED + ".mean()"),
    Mistake(NO_GENERATOR, BASELINE, "loss(draw_gates(logits, samples))"),
)  # fmt: skip

DIFFERENCE_GATES = "gates = draw_gates(logits, samples, generator=generator)\n    slope"
SIGNED = "(2 * gates[:, gate] - 1) * (here - loss(flipped))"
FLIP = "flipped[:, gate] = 1 - flipped[:, gate]"
SLOPE = "slope = torch.sigmoid(logits) * torch.sigmoid(-logits)"
COLUMN = "columns.append(slope[gate] * kept_minus_skipped)"
STACKED = "return torch.stack(columns, dim=1).detach()"
DIFFERENCE = (
    Mistake("the factor pi(1 - pi) is missing", COLUMN, "columns.append(kept_minus_skipped)"),
    Mistake("the factor is pi, it has to be pi(1 - pi)", SLOPE, "slope = torch.sigmoid(logits)"),
    Mistake("the factor is the same for every gate: pi(1 - pi) is 1/4 for a logit of 0 only",
            SLOPE, "slope = torch.full_like(logits, 0.25)"),
    Mistake("each gate has a pi(1 - pi) of its own", "columns.append(slope[gate] *", "columns.append(slope[0] *"),
    Mistake("the factor is z - pi, as in REINFORCE: here it is pi(1 - pi), times kept minus skipped",
            COLUMN, "columns.append((gates[:, gate] - torch.sigmoid(logits[gate])) * (here - loss(flipped)))"),
    Mistake("the sign does not turn with the gate: wanted is kept minus skipped, whichever of the two was drawn",
            "(2 * gates[:, gate] - 1) * (here", "(here"),
    Mistake("the sign is wrong: wanted is kept minus skipped",
            "(2 * gates[:, gate] - 1) * (here", "(1 - 2 * gates[:, gate]) * (here"),
    Mistake("this is the size of the difference, without its sign", SIGNED, "(here - loss(flipped)).abs()"),
    Mistake("all gates are flipped at once: flip one at a time", FLIP, "flipped = 1 - flipped"),
    Mistake("the flips pile up: flip one gate of the row as it was drawn",
            FLIP, "flipped[:, : gate + 1] = 1 - flipped[:, : gate + 1]"),
    Mistake("the gate is switched on: flip it, or there is no difference where it is on already",
            FLIP, "flipped[:, gate] = 1"),
    Mistake("the drawn gates themselves are flipped: earlier gates stay flipped, and the sign is read after the flip",
            "flipped = gates.clone()", "flipped = gates"),
    Mistake("this is the loss's slope at the gate: take its difference, the loss kept minus the loss skipped",
            SIGNED, "torch.autograd.grad(loss(gates.requires_grad_()).sum(), gates)[0][:, gate]"),
    Mistake("each gradient is divided by the number of samples", STACKED, STACKED + " / samples"),
    Mistake("a row for each sample, a column for each gate", STACKED, STACKED.replace("1", "0")),
    Mistake(ITSELF, DIFFERENCE_GATES, "gates = torch.sigmoid(logits).expand(samples, -1)\n    slope"),
    Mistake(SWAPPED, DIFFERENCE_GATES, DIFFERENCE_GATES.replace("(logits", "(-logits")),
    Mistake(NO_GENERATOR, DIFFERENCE_GATES, DIFFERENCE_GATES.replace(", generator=generator", "")),
    Mistake(DETACH, STACKED, "return torch.stack(columns, dim=1)"),
)  # fmt: skip

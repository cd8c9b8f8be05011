"""What goes wrong in lesson 10: edits of `gate_losses.py` and `enumeration.py`."""

from skiprec_course.mistakes import Mistake

OWN_MEAN = "each row gets a mean of its own"
DROPOUT = "dropout is at work: put the network into eval mode for the while"
MODE = "put the network back into the mode it was in: in_eval_mode does"
GRAPH = "these are measurements: use torch.no_grad(), or detach"
EVAL = "with in_eval_mode(backbone):\n        "  # of each of the three
OWN_NUMBERS = "the numbers are averaged over users: each row has its own"

DIV = "/ scored.sum(dim=1)"
MEANS = ".index_add_(0, owner, values) / scored.sum(dim=1)"
RETURN_MEANS = f"return values.new_zeros(len(batch)){MEANS}"
PER_ROW = (
    Mistake("this is each row's sum: divide by its number of scored positions", MEANS, ".index_add_(0, owner, values)"),
    Mistake("you divide by all positions: only scored ones count", DIV, "/ scored.shape[1]"),
    Mistake("you divide by the number of real items: only scored positions count",
            DIV, "/ (batch.items > 0).sum(dim=1)"),
    Mistake("you divide by the mean number of scored positions: each row has its own number",
            DIV, DIV + ".float().mean()"),
    Mistake("a row without a scored position has no mean, 0 / 0 is NaN: 0 would look like a perfect loss",
            DIV, DIV + ".clamp_min(1)"),
    Mistake("a row without a scored position has a place too: NaN",
            RETURN_MEANS, f"means = {RETURN_MEANS[7:]}\n    return means[scored.any(dim=1)]"),
    Mistake(OWN_MEAN, RETURN_MEANS, "return values.mean()"),
    Mistake("every row gets the mean over all: " + OWN_MEAN, RETURN_MEANS, "return values.mean().expand(len(batch))"),
    Mistake("the numbers are handed out in order of time: they come row by row",
            "scored.nonzero(as_tuple=True)[0]", "scored.T.nonzero(as_tuple=True)[1]"),
    Mistake("no gradient comes back to the values: something in between is detached",
            "(0, owner, values)", "(0, owner, values.detach())"),
)  # fmt: skip

BITS = "return (bits & 1).float()"
NUMBER = "2 to the power of blocks patterns, one a row: each block is kept or skipped, whatever the others are"
ALL_PATTERNS = (
    Mistake("the first block's gate changes fastest: the last one's has to",
            "torch.arange(blocks - 1, -1, -1)", "torch.arange(blocks)"),
    Mistake("the order is reversed: begin with nothing kept", BITS, "return 1 - (bits & 1).float()"),
    Mistake("the order is not that of counting: 00, 01, 10, 11",
            BITS, "return (bits & 1).float()[(bits & 1).sum(dim=1).argsort(stable=True)]"),
    Mistake("the two axes are swapped: a pattern is a row", BITS, BITS + ".T"),
    Mistake("the gates are True and False: the backbone multiplies by them, make them floating",
            BITS, "return (bits & 1).bool()"),
    Mistake("the gates are whole numbers: make them floating", BITS, "return bits & 1"),
    Mistake("the gates are -1 and 1: skip is 0", BITS, "return 2 * (bits & 1).float() - 1"),
    Mistake("one pattern is missing: " + NUMBER, "torch.arange(2**blocks)", "torch.arange(2**blocks - 1)"),
    Mistake("this is one block at a time: " + NUMBER, BITS, "return torch.eye(blocks)"),
    Mistake("each pattern occurs once: count, do not draw", BITS, "return torch.randint(2, bits.shape).float()"),
)  # fmt: skip

ONE_LOSS = "per_row(losses_at(backbone, cases, row.expand(len(cases), -1)), cases)"
LOSSES = f"torch.stack([{ONE_LOSS} for row in patterns])"
EXPANDED = "row.expand(len(cases), -1)"
PATTERN_LOSSES = (
    Mistake("the two axes are swapped: a pattern is a row of the result", LOSSES, LOSSES + ".T"),
    Mistake("there is one number for each pattern: users have losses of their own", LOSSES, LOSSES + ".mean(dim=1)"),
    Mistake("every user gets the mean over all: users have losses of their own",
            ONE_LOSS, f"losses_at(backbone, cases, {EXPANDED}).mean().expand(len(cases))"),
    Mistake("there is one number for each scored position: take each row's mean",
            ONE_LOSS, f"losses_at(backbone, cases, {EXPANDED})"),
    Mistake("the gates are inverted", EXPANDED, "1 - " + EXPANDED),
    Mistake("the patterns come in reverse order", "for row in patterns]", "for row in patterns.flip(0)]"),
    Mistake("the gates of a pattern come in reverse order", EXPANDED, "row.flip(0).expand(len(cases), -1)"),
    Mistake("the pattern has no effect: hand it to the backbone", EXPANDED, "torch.ones(len(cases), len(row))"),
    Mistake(DROPOUT, EVAL + "return torch.stack", "if True:\n        return torch.stack"),
    Mistake(MODE, EVAL + "return torch.stack", "if backbone.eval():\n        return torch.stack"),
    Mistake(MODE, f"{EVAL}return {LOSSES}",
            f"backbone.eval()\n    found = {LOSSES}\n    backbone.train()\n    return found"),
    Mistake(GRAPH, "@torch.no_grad()\n@validated\ndef pattern_losses", "@validated\ndef pattern_losses"),
)  # fmt: skip

TOTAL = "total = per_row(losses_at(backbone, cases, leaf), cases).sum()"
SLOPES = "(slopes,) = torch.autograd.grad(total, leaf)"
GATE_SLOPES = (
    Mistake("this is the slope of the mean over users: each slope belongs to a row's own loss, so add the rows up",
            "cases).sum()  # rows", "cases).mean()  # rows"),
    Mistake("this is the slope of the mean over all positions: it belongs to a row's own mean loss",
            TOTAL, "total = losses_at(backbone, cases, leaf).mean()"),
    Mistake("this is the slope of each row's sum: take its mean over the scored positions",
            TOTAL, "total = losses_at(backbone, cases, leaf).sum()"),
    Mistake(OWN_NUMBERS, "return slopes", "return slopes.mean(dim=0)"),
    Mistake("every row has the mean slope of all: each has its own",
            "return slopes", "return slopes.mean(dim=0).expand_as(slopes)"),
    Mistake("the sign is wrong: return dL/dg itself", "return slopes", "return -slopes"),
    Mistake("these are the slopes at full depth: take them at the given gates",
            "leaf = gates.detach().clone()", "leaf = torch.ones_like(gates)"),
    Mistake("these are the differences, kept minus skipped: a slope is a gradient",
            "return slopes", "return gate_differences(backbone, cases, gates)"),
    Mistake("the slope is multiplied by the gate", "return slopes", "return gates * slopes"),
    Mistake("the next training step would add to what is left in .grad: use torch.autograd.grad for the gates alone",
            SLOPES, "total.backward()\n        slopes = leaf.grad"),
    Mistake(DROPOUT, EVAL + "total", "if True:\n        total"),
    Mistake(MODE, EVAL + "total", "if backbone.eval():\n        total"),
)  # fmt: skip

AT_ONE = "the other gates are at 1: they stay as given"
COPY = "flipped = gates.clone()"
SIGNED = "(2 * gates[:, block] - 1) * (here - other)"
FLIP = "flipped[:, block] = 1 - flipped[:, block]"
STACKED = "return torch.stack(columns, dim=1)"
GATE_DIFFERENCES = (
    Mistake("the sign is inverted, skipped minus kept: it has to be kept minus skipped",
            "(2 * gates[:, block] - 1)", "(1 - 2 * gates[:, block])"),
    Mistake("this is now minus flipped: for a row that skips the block the sign turns round", SIGNED, "here - other"),
    Mistake("this is flipped minus now: the sign depends on whether the row keeps the block", SIGNED, "other - here"),
    Mistake("all gates are flipped at once: flip one, the others stay", FLIP, "flipped = 1 - flipped"),
    Mistake("flipped gates stay flipped: begin each block with a fresh copy",
            "        for block in range(gates.shape[1]):\n            flipped = gates.clone()\n",
            "        flipped = gates.clone()\n        for block in range(gates.shape[1]):\n"),
    Mistake("the gates that came in are flipped: work on a copy", COPY, "flipped = gates"),
    Mistake(AT_ONE, COPY, "flipped = torch.ones_like(gates)"),
    Mistake(AT_ONE, FLIP, "flipped = 1 - flipped * torch.eye(gates.shape[1])[block]"),
    Mistake("the block is only ever skipped: where it is skipped already there is no difference left",
            FLIP, "flipped[:, block] = 0"),
    Mistake("the difference is that of the mean over all users: each row has its own", SIGNED, SIGNED + ".mean()"),
    Mistake(OWN_NUMBERS, STACKED, STACKED + ".mean(dim=0)"),
    Mistake("these are slopes: flip the gate and look at the loss",
            STACKED, "with torch.enable_grad():\n        return gate_slopes(backbone, cases, gates)"),
    Mistake(DROPOUT, EVAL + "here", "if True:\n        here"),
    Mistake(MODE, EVAL + "here", "if backbone.eval():\n        here"),
    Mistake(GRAPH, "@torch.no_grad()\n@validated\ndef gate_differences", "@validated\ndef gate_differences"),
)  # fmt: skip

SIGN = "sign = 2 * gates[rows, block] - 1"
FACTOR = "keep * (1 - keep) if exact else 0.25"
HELD = "held = 0.0 if exact else pull"
LOGIT = "logit = logits[..., 0] - logits[..., 1]"
BLOCK = "torch.randint(gates.shape[1], (len(gates),))"
FLIPPED = "flipped[rows, block] = 1 - flipped[rows, block]"
TAUGHT = "(factor * worth * chosen).mean()"
DECIDED = "gates = model.decide(logits, sample=True).detach()"
COST = "+ cost / gates.shape[1]"
CHOSEN = "chosen = logit[rows, block]"
WORTH = "(per_row(losses.detach(), batch) - other)"
WHOLE = "the policy reads the whole window: hand it the cut"
GREEDY = "the gates are greedy: in training they are sampled (sample=True)"
SAME_DROPOUT = "dropout drops other numbers in the second pass: set the random state back before it"
DIFFERENCE_LOSS = (
    Mistake("the sign is inverted, skipped minus kept: it would skip what helps",
            SIGN, "sign = 1 - 2 * gates[rows, block]"),
    Mistake("this is sampled minus flipped: for a gate that was 0 the sign turns round",
            SIGN, "sign = torch.ones(len(gates))"),
    Mistake("the cost is missing", COST, ""),
    Mistake("the cost is that of all gates, and one is flipped: divide it by the number of blocks", COST, "+ cost"),
    Mistake("the cost's sign is wrong: it rewards keeping", COST, COST.replace("+", "-")),
    Mistake("the factor is pi (1 - pi) throughout: without `exact` it is 1/4", FACTOR, "keep * (1 - keep)"),
    Mistake("the factor is 1/4 throughout: with `exact` it is pi (1 - pi)", FACTOR, "0.25"),
    Mistake("the factor is pi: it has to be pi (1 - pi)", FACTOR, "keep if exact else 0.25"),
    Mistake("the factor is missing: without `exact` it is 1/4", FACTOR, "keep * (1 - keep) if exact else 1.0"),
    Mistake("the factor is a number: detach the logit in it",
            "torch.sigmoid(chosen.detach())", "torch.sigmoid(chosen)"),
    Mistake("the exact gradient is pulled too: with `exact` there is no pull", HELD, "held = pull"),
    Mistake("the pull is missing", HELD, "held = 0.0"),
    Mistake("the rows are summed: take the mean", TAUGHT, TAUGHT.replace("mean", "sum")),
    Mistake("this is skip minus keep: the logit is keep minus skip", LOGIT, "logit = logits[..., 1] - logits[..., 0]"),
    Mistake("only the keep logit is taught: the logit is keep minus skip", LOGIT, "logit = logits[..., 0]"),
    Mistake("flip one random gate of each row, and teach its logit only", CHOSEN, "chosen = logit.sum(dim=1)"),
    Mistake("no gradient reaches the policy: multiply what the flip is worth by the logit, which has a gradient",
            CHOSEN, CHOSEN + ".detach()"),
    Mistake("all rows get the mean difference: each row has its own", WORTH, WORTH + ".mean()"),
    Mistake("all gates are flipped: the other gates stay as sampled", FLIPPED, "flipped = 1 - flipped"),
    Mistake("the gate is only ever skipped: flip it, it may have been 0", FLIPPED, "flipped[rows, block] = 0"),
    Mistake("draw a block for each row", BLOCK, "torch.randint(gates.shape[1], (1,)).expand(len(gates))"),
    Mistake("draw among all blocks", BLOCK, "torch.randint(1, gates.shape[1], (len(gates),))"),
    Mistake(SAME_DROPOUT, "torch.set_rng_state(dropout)", "pass"),
    Mistake(SAME_DROPOUT, "dropout = torch.get_rng_state()\n    losses = losses_at(model.backbone, batch, gates)",
            "losses = losses_at(model.backbone, batch, gates)\n    dropout = torch.get_rng_state()"),
    Mistake("the backbone does not learn from the sampled gates' loss",
            "return losses.mean() + (factor", "return losses.mean().detach() + (factor"),
    Mistake("what the flip is worth is a number: detach the loss in it, or the backbone learns from it too",
            WORTH, WORTH.replace(".detach()", "")),
    Mistake("straight-through comes on top: detach the sampled gates", DECIDED, DECIDED.replace(".detach()", "")),
    Mistake(GREEDY, DECIDED, DECIDED.replace("True", "False")),
    Mistake(WHOLE, "logits = model.gate_logits(batch.items, batch.cut)", "logits = model.gate_logits(batch.items)"),
)  # fmt: skip

GATES = "gates = model.gates(batch.items, batch.cut, sample=True)\n        loss"
HARMLESS = "float(loss.detach() - full) < self.tolerance"
MOVED = "self.factor *= 1 + self.rate if harmless else 1 - self.rate"
PRICED = "self.factor * cost * gates.mean()"
COMPARED = "what is compared with tolerance is the sampled gates' loss, without the cost, minus full depth's"
STANDS_STILL = "the cost of a step is multiplied by the factor, which moves from step to step: keep it in self"
STEERED_COST = (
    Mistake(WHOLE, GATES, GATES.replace(" batch.cut,", "")),
    Mistake(GREEDY, GATES, GATES.replace("True", "False")),
    Mistake("no gradient reaches the policy: do not detach the gates, this is straight-through with a cost of its own",
            GATES, GATES.replace("=True)", "=True).detach()")),
    Mistake("the cost is missing", " + " + PRICED, ""),
    Mistake("the cost that is given does not count", PRICED, "self.factor * gates.mean()"),
    Mistake("the cost is that of the sum of all gates: take the mean", PRICED, PRICED.replace("mean", "sum")),
    Mistake("the cost's sign is wrong: it rewards keeping", "+ " + PRICED, "- " + PRICED),
    Mistake("the gates in the cost are detached: the cost teaches the policy nothing",
            PRICED, "self.factor * cost * gates.detach().mean()"),
    Mistake("it has to grow while skipping is harmless", "- full) < self.tolerance", "- full) > self.tolerance"),
    Mistake("it has to shrink when skipping harms", "1 + self.rate if harmless else 1 - self.rate", "1 + self.rate"),
    Mistake(COMPARED, HARMLESS, "float(full - loss.detach()) < self.tolerance"),
    Mistake(COMPARED, HARMLESS, "float(loss.detach() / full - 1) < self.tolerance"),
    Mistake(COMPARED, HARMLESS, f"float(loss.detach() + {PRICED} - full) < self.tolerance"),
    Mistake(COMPARED, "torch.ones_like(gates)", "torch.zeros_like(gates)"),
    Mistake(STANDS_STILL, PRICED, "cost * gates.mean()"),
    Mistake(STANDS_STILL, MOVED, "pass"),
    Mistake("each step begins at 1 again: move the factor that the step before has left",
            MOVED, MOVED.replace("*=", "=")),
    Mistake("rate is a share of the factor as it is: multiply, do not add",
            MOVED, "self.factor += self.rate if harmless else -self.rate"),
    Mistake("growing by the share r is times 1 + r, shrinking times 1 - r",
            MOVED, MOVED.replace("1 - self.rate", "1 / (1 + self.rate)")),
    Mistake("without an argument tolerance is 0.05", "tolerance: Tolerance = 0.05", "tolerance: Tolerance = 0.5"),
    Mistake("without an argument rate is 0.02", "rate: Share = 0.02", "rate: Share = 0.2"),
)  # fmt: skip

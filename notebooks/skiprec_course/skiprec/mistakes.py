"""What goes wrong in lesson 08: edits of `policy.py`, `skiprec.py`, `gate_losses.py` and `choosing.py`."""

from skiprec_course.mistakes import Mistake

# --- policy.py ---

BIAS = "[keep_bias / 2, -keep_bias / 2]"
MEAN = "return (hidden * real).sum(dim=1) / real.sum(dim=1)"
PAIRS = ".unflatten(-1, (-1, 2))"

POLICY_NETWORK = (
    Mistake("the embedding has `embedding_channels` channels, where they are given",
            "width = channels if embedding_channels is None else embedding_channels", "width = channels"),
    Mistake("the linear layer that joins the two widths has no bias", "channels, bias=False)", "channels)"),
    Mistake("keep_bias is on the wrong logit: the first of each pair is keep", BIAS, "[-keep_bias / 2, keep_bias / 2]"),
    Mistake("keep_bias counts twice: half up for keep, half down for skip", BIAS, "[keep_bias, -keep_bias]"),
    Mistake("keep_bias has no effect", BIAS, "[0.0, 0.0]"),
    Mistake("the bias holds keep and skip in turn, a pair for each block",
            ".repeat(num_blocks))", ".repeat_interleave(num_blocks))"),
    Mistake("the random start of the linear layer's bias is still in it: set the bias, do not add to it",
            "self.output.bias.copy_(", "self.output.bias.add_("),
    Mistake("the mean counts padding: divide by the number of real positions", "/ real.sum(dim=1)", "/ mask.shape[1]"),
    Mistake("this is the mean over all positions: padding has to be left out", MEAN, "return hidden.mean(dim=1)"),
    Mistake("padding is in the sum of the mean: set it to 0 before you add",
            "(hidden * real).sum(dim=1)", "hidden.sum(dim=1)"),
    Mistake("this is a sum: divide by the number of real positions",
            "(hidden * real).sum(dim=1) / real.sum(dim=1)", "(hidden * real).sum(dim=1)"),
    Mistake("you take the last position: the policy takes the mean over the real ones", MEAN, "return hidden[:, -1]"),
    Mistake("the blocks read padding: hand them the mask", "hidden = block(hidden, mask)", "hidden = block(hidden)"),
    Mistake("the blocks do not get their dilations", "ResidualBlock(channels, dilation=d)", "ResidualBlock(channels)"),
    Mistake("keep and skip are swapped: keep comes first", PAIRS, PAIRS + ".flip(-1)"),
    Mistake("all keep logits come first, then all skip logits: they belong in pairs, one for each block",
            PAIRS, ".unflatten(-1, (2, -1)).transpose(1, 2)"),
    Mistake("a sigmoid comes after the last layer: return logits", PAIRS, ".sigmoid().unflatten(-1, (-1, 2))"),
    Mistake("the last axis is not taken apart: (batch, 2 * blocks) has to become (batch, block, 2)", PAIRS, ""),
    Mistake("the two last axes are swapped: blocks first, then keep and skip", PAIRS, PAIRS + ".transpose(1, 2)"),
)  # fmt: skip

# --- skiprec.py ---

HIDE = "return items.masked_fill(torch.arange(items.shape[1], device=items.device) > cut.unsqueeze(1), 0)"
LATER = "> cut.unsqueeze(1), 0)"

VISIBLE = (
    Mistake("you read one item past the cut: off by one", LATER, "> cut.unsqueeze(1) + 1, 0)"),
    Mistake("the item at the cut is gone: it may be read", LATER, ">= cut.unsqueeze(1), 0)"),
    Mistake("you keep what comes after the cut and hide what may be read", LATER, "<= cut.unsqueeze(1), 0)"),
    Mistake("the cut runs along time: it has to be a column, one number for each row", LATER, "> cut, 0)"),
    Mistake("all rows have the first row's cut: each has its own", LATER, "> cut[0], 0)"),
    Mistake("the later items are cut off: they have to become 0, the shape stays",
            HIDE, "return items[:, : int(cut.max()) + 1]"),
    Mistake("nothing is hidden", HIDE, "return items"),
    Mistake("a cut of None means that everything may be read", "    if cut is None:\n        return items\n", ""),
    Mistake("you count the cut from the first real item: it is an index into the row",
            LATER, "> cut.unsqueeze(1) + (items == 0).sum(dim=1, keepdim=True), 0)"),
)  # fmt: skip

READS = "self.policy(visible(items, cut))"
SHIFTED = "self.policy(visible(items, None if cut is None else (cut {}).clamp(0, items.shape[1] - 1)))"
LIKELIER = "(logits[..., 0] > logits[..., 1])"
GREEDY = LIKELIER + ".to(logits.dtype)"
DRAWN = "gumbel_softmax(logits, self.tau, hard=True)[..., 0]"
DECIDED = "return self.decide(self.gate_logits(items, cut), sample=sample)"
ENCODED = "hidden = self.backbone.encode(items, self.gates(items, cut, sample=self.training))"
HIDDEN = ".masked_fill(before.unsqueeze(-1), torch.nan)"
FIRST = "first = items.shape[1] - 1 if cut is None else cut.unsqueeze(1)  # the first"

SKIPREC = (
    Mistake("the policy reads past the cut: hand it the visible items", READS, "self.policy(items)"),
    Mistake("the policy reads one item past the cut", READS, SHIFTED.format("+ 1")),
    Mistake("the greedy gate is inverted: keep iff the keep logit is larger",
            LIKELIER, "(logits[..., 0] < logits[..., 1])"),
    Mistake("a tie keeps: it has to skip", LIKELIER, "(logits[..., 0] >= logits[..., 1])"),
    Mistake("this is the probability to keep: greedy gates are 0 or 1", GREEDY, "logits.softmax(dim=-1)[..., 0]"),
    Mistake("the backbone multiplies by gates: turn True and False into numbers of the logits' kind", GREEDY, LIKELIER),
    Mistake("sample=False takes the likelier choice: you draw", "if sample:", "if True:"),
    Mistake("sample=True draws: you take the likelier choice", "if sample:", "if False:"),
    Mistake("a sample holds keep and skip: the gate is its first number",
            DRAWN, "gumbel_softmax(logits, self.tau, hard=True)"),
    Mistake("the gates are soft: the value has to be the choice (hard=True)",
            "self.tau, hard=True)", "self.tau, hard=False)"),
    Mistake("the sampled gate is inverted: keep is the first of the pair", "hard=True)[..., 0]", "hard=True)[..., 1]"),
    Mistake("a sigmoid comes before the Gumbel noise: the noise belongs to the logits",
            DRAWN, "gumbel_softmax(logits.sigmoid(), self.tau, hard=True)[..., 0]"),
    Mistake("the logits are divided by tau before the draw: tau shapes the gradient, never the choice",
            DRAWN, "gumbel_softmax(logits / self.tau, 1.0, hard=True)[..., 0]"),
    Mistake("tau is always 10: use the model's",
            "gumbel_softmax(logits, self.tau, hard=True)", "gumbel_softmax(logits, hard=True)"),
    Mistake("no gradient comes back to the logits: the sample has to be a straight-through one",
            DRAWN, "torch.bernoulli(logits.softmax(dim=-1)[..., 0].detach())"),
    Mistake("gate_logits can do it, but the policy reads past the cut: hand the cut on to it",
            DECIDED, "return self.decide(self.gate_logits(items), sample=sample)"),
    Mistake("the gates are greedy: in training mode they are sampled", "sample=self.training)", "sample=False)"),
    Mistake("the gates are sampled: in eval mode they are greedy", "sample=self.training)", "sample=True)"),
    Mistake("the gates have no effect: hand them to the backbone", ENCODED, "hidden = self.backbone.encode(items)"),
    Mistake("the gates are detached: straight-through gates bring the policy's gradient",
            "self.gates(items, cut, sample=self.training))", "self.gates(items, cut, sample=self.training).detach())"),
    Mistake("the backbone reads up to the cut only: that is the policy's limit, the backbone reads everything",
            "self.backbone.encode(items, self.gates", "self.backbone.encode(visible(items, cut), self.gates"),
    Mistake("forward's gates read past the cut: hand it on",
            "self.gates(items, cut, sample=self.training)", "self.gates(items, sample=self.training)"),
    Mistake("before the cut scores have to be NaN: the gates have read the item to predict", HIDDEN, ""),
    Mistake("the position at the cut is honest: it predicts the item after the cut, which nobody has read",
            "device=items.device) < first\n        return", "device=items.device) <= first\n        return"),
    Mistake("without a cut the policy has read everything: only the last position has a score",
            FIRST, FIRST.replace("items.shape[1] - 1", "0")),
    Mistake("a number times NaN has a NaN gradient, which reaches every weight: put NaN in with masked_fill",
            HIDDEN, " * torch.where(before, torch.nan, 1.0).unsqueeze(-1)"),
    Mistake("it is the other way round: NaN stands before the cut",
            "device=items.device) < first\n        return", "device=items.device) > first\n        return"),
)  # fmt: skip

# --- gate_losses.py ---

ON_PADDING = "padding stands on the left: draw among the real positions only"
CUT = "return first + (torch.rand(len(items)) * real).long().clamp_max(real - 1)"
SHARE = "(torch.rand(len(items)) * real).long()"
LAST_NEVER = Mistake("the last position is never drawn", SHARE, "(torch.rand(len(items)) * (real - 1)).long()")
FIRST_NEVER = Mistake("the first real position is never drawn",
                      SHARE, "(1 + torch.rand(len(items)) * (real - 1)).long()")  # fmt: skip

DRAW_CUT = (
    Mistake("a cut is the index of a position: turn it into int64", SHARE, "(torch.rand(len(items)) * real)"),
    Mistake("off by one: positions are counted from 0, so the last one is at the width less one",
            CUT, "return first + (torch.rand(len(items)) * (real + 1)).long()"),
    Mistake(ON_PADDING, CUT, "return (torch.rand(len(items)) * items.shape[1]).long()"),
    Mistake("the cut is always the last position: draw it", SHARE, "real"),
    Mistake("each row needs a random number of its own", "torch.rand(len(items)) * real", "torch.rand(1) * real"),
    LAST_NEVER,
    FIRST_NEVER,
    Mistake("you round to the nearest: the two ends get half their share",
            SHARE, "(torch.rand(len(items)) * (real - 1)).round().long()"),
)  # fmt: skip

BEFORE_CUT = "torch.arange(batch.items.shape[1]) < cut.unsqueeze(1)"
NEW_CUT = "cut = draw_cut(batch.items)"

FROM_A_CUT = (
    Mistake("the backbone still reads everything: `visible` is for the policy alone",
            "return replace(batch, cut=cut,", "return replace(batch, items=batch.items.masked_fill("
            "torch.arange(batch.items.shape[1]) > cut.unsqueeze(1), 0), cut=cut,"),
    Mistake("hand on the cut that you drew: the policy has to know it",
            "replace(batch, cut=cut, targets", "replace(batch, targets"),
    Mistake("the cuts are those that were given: draw new ones", NEW_CUT, "cut = batch.cut"),
    Mistake(ON_PADDING, NEW_CUT, "cut = torch.randint(batch.items.shape[1], (len(batch),))"),
    Mistake("the gates have read what comes before the cut: set those targets to 0",
            "targets=batch.targets.masked_fill(before, 0)", "targets=batch.targets"),
    Mistake("position t predicts item t + 1: before the cut the policy has read it, one position more is 0",
            BEFORE_CUT, "torch.arange(batch.items.shape[1]) < cut.unsqueeze(1) - 1"),
    Mistake("the target at the cut itself counts: position t predicts item t + 1, which the policy has not read",
            BEFORE_CUT, "torch.arange(batch.items.shape[1]) <= cut.unsqueeze(1)"),
    Mistake("it is the other way round: the gates have read what stands before the cut",
            BEFORE_CUT, BEFORE_CUT.replace("<", ">")),
    Mistake("the cut is always the last position: draw it",
            NEW_CUT, "cut = torch.full((len(batch),), batch.items.shape[1] - 1)"),
)  # fmt: skip

STATES = "hidden = backbone.encode(batch.items, gates)[batch.scored()]  # (row"
CROSS = "return cross_entropy(backbone, hidden, batch, reduction=reduction)"
AT = "torch.nn.functional.cross_entropy(backbone.score({}), {}, reduction=reduction{})"

LOSSES_AT = (
    Mistake("take no mean: return one loss for each scored position", CROSS, f"{CROSS}.mean()"),
    Mistake("leave out the positions without a target",
            CROSS, "return " + AT.format("backbone.encode(batch.items, gates).flatten(0, 1)", "batch.targets.flatten()",
                                         ", ignore_index=0")),
    Mistake("the gates have no effect: hand them to encode",
            STATES, "hidden = (backbone.encode(batch.items) + 0 * gates.sum())[batch.scored()]  # (row"),
    Mistake("no gradient reaches the gates: do not detach them",
            "encode(batch.items, gates)[", "encode(batch.items, gates.detach())["),
    Mistake("the gates are inverted", "encode(batch.items, gates)[", "encode(batch.items, 1 - gates)["),
    Mistake("the positions come column by column: go row by row",
            CROSS, "late = batch.scored().T\n    return "
            + AT.format("backbone.encode(batch.items, gates).transpose(0, 1)[late]", "batch.targets.T[late]", "")),
)  # fmt: skip

GATES = "gates = model.gates(batch.items, batch.cut, sample=True)\n    return"
LOSS = 'losses_at(model.backbone, batch, gates, reduction="mean") + cost'
COST = 'reduction="mean") + cost * gates.mean()'
SOFT = "model.gate_logits(batch.items, batch.cut).softmax(dim=-1)[..., 0]"

STRAIGHT_THROUGH_LOSS = (
    Mistake("take the mean over all scored positions: a loss is a single number",
            LOSS, "losses_at(model.backbone, batch, gates) + cost"),
    Mistake("the gates are greedy: in training they are sampled (sample=True)",
            GATES, "gates = model.gates(batch.items, batch.cut, sample=False)\n    return"),
    Mistake("the gates are soft, probabilities: they have to be sampled", GATES, f"gates = {SOFT}\n    return"),
    Mistake("the gates are detached: they have to keep their gradient",
            GATES, "gates = model.gates(batch.items, batch.cut, sample=True).detach()\n    return"),
    Mistake("the gates in the cost are detached: the cost teaches the policy nothing",
            COST, 'reduction="mean") + cost * gates.detach().mean()'),
    Mistake("the cost's sign is wrong: it rewards keeping", COST, 'reduction="mean") - cost * gates.mean()'),
    Mistake("the cost counts skipped blocks: it has to count kept ones",
            COST, 'reduction="mean") + cost * (1 - gates).mean()'),
    Mistake("the cost is that of the sum of all gates: take the mean", COST, 'reduction="mean") + cost * gates.sum()'),
    Mistake("the cost is missing", COST, 'reduction="mean")'),
    Mistake("each user counts once: take the mean over all scored positions",
            LOSS, "per_row(losses_at(model.backbone, batch, gates), batch).mean() + cost"),
    Mistake("the policy reads the whole window: hand it the cut",
            GATES, "gates = model.gates(batch.items, sample=True)\n    return"),
    Mistake("the losses are those of the full depth: the gates have no effect on them",
            LOSS, LOSS.replace("gates", "torch.ones_like(gates)")),
    Mistake("the gates are detached in the loss: they have to keep their gradient on the way to the backbone",
            LOSS, LOSS.replace("gates", "gates.detach()")),
)  # fmt: skip

# --- choosing.py ---

THE_BEST = (
    "you take the best epoch, or the most blocks of those that are as good: of those within one standard error take "
    "the fewest"
)
LEVEL = "if behind <= error"
FEWEST = "return min(as_good, key=lambda c: (c.blocks, -c.ndcg.mean()))"

CHOOSE = (
    Mistake("the best epoch itself is 0 behind with an error of 0: it has to count as good as the best",
            LEVEL, "if behind < error"),
    Mistake("return the epoch itself, not its blocks", FEWEST, "return min(c.blocks for c in as_good)"),
    Mistake(THE_BEST, FEWEST, "return best"),
    Mistake(THE_BEST, "key=lambda c: (c.blocks, ", "key=lambda c: (-c.blocks, "),
    Mistake("you take the fewest blocks of all: only epochs within one standard error of the best may be chosen",
            LEVEL, "if True"),
    Mistake("you allow two standard errors: allow one", LEVEL, "if behind <= 2 * error"),
    Mistake("the error is that of one epoch's users, not of the paired difference",
            "behind, error = paired_difference(best.ndcg, candidate.ndcg)",
            "behind, error = best.ndcg.mean() - candidate.ndcg.mean(), best.ndcg.std() / len(best.ndcg) ** 0.5"),
    Mistake("you allow a standard deviation: a standard error is smaller by the square root of the number of users",
            LEVEL, "if behind <= error * len(front[0].ndcg) ** 0.5"),
)  # fmt: skip

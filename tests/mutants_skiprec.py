"""Deliberate errors in what lessons 08 to 13 build: the policy, SkipRec, how it is taught, and self-attention."""

from mutants import Mutant

MUTATED = (
    "policy",
    "skiprec",
    "softmax",
    "gate_losses",
    "training",
    "controls",
    "enumeration",
    "lab.watching",
    "policy_gradient",
    "backbones",
    "synthetic",
)

# Drawn up blind: from the source alone, before any test of these parts was read or written.
BLIND = (
    # --- policy ---
    Mutant(
        "policy",
        "keep and skip change places in the bias",
        "[keep_bias / 2, -keep_bias / 2]",
        "[-keep_bias / 2, keep_bias / 2]",
    ),
    Mutant("policy", "the gap is twice the keep bias", "[keep_bias / 2, -keep_bias / 2]", "[keep_bias, -keep_bias]"),
    Mutant("policy", "the mean counts padding", "/ real.sum(dim=1)", "/ mask.shape[1]"),
    Mutant("policy", "what stands at padding is in the mean", "(hidden * real).sum(dim=1)", "hidden.sum(dim=1)"),
    Mutant(
        "policy",
        "a sum in place of the mean",
        "(hidden * real).sum(dim=1) / real.sum(dim=1)",
        "(hidden * real).sum(dim=1)",
    ),
    Mutant("policy", "the policy's blocks have no mask", "hidden = block(hidden, mask)", "hidden = block(hidden)"),
    Mutant(
        "policy",
        "first all keep logits, then all skip logits",
        ".unflatten(-1, (-1, 2))",
        ".unflatten(-1, (2, -1)).transpose(1, 2)",
    ),
    Mutant(
        "policy",
        "logits through a sigmoid, as published",
        ".unflatten(-1, (-1, 2))",
        ".sigmoid().unflatten(-1, (-1, 2))",
    ),
    Mutant("policy", "the GRU's state after the first item", "mask.sum(dim=1) - 1]", "0]"),
    Mutant(
        "policy",
        "the GRU's state after the padding",
        "states[torch.arange(len(states)), mask.sum(dim=1) - 1]",
        "states[:, -1]",
    ),
    Mutant(
        "policy", "the GRU's state before the last item", "mask.sum(dim=1) - 1]", "(mask.sum(dim=1) - 2).clamp_min(0)]"
    ),
    Mutant(
        "policy", "the GRU reads the padding first", "hidden.gather(1, front.unsqueeze(-1).expand_as(hidden))", "hidden"
    ),
    Mutant(
        "policy",
        "the GRU reads from the newest item to the oldest",
        "(~mask).to(torch.int8).argsort(dim=1, stable=True)",
        "mask.shape[1] - 1 - (~mask).to(torch.int8).flip(1).argsort(dim=1, stable=True)",
    ),
    Mutant("policy", "padding moves to the front", "(~mask).to(torch.int8)", "mask.to(torch.int8)"),
    Mutant("policy", "the GRU takes users for time", "batch_first=True", "batch_first=False"),
    Mutant("policy", "item 1 is taken for padding", "mask = items > 0", "mask = items > 1"),
    Mutant(
        "policy",
        "all blocks of the policy have dilation 1",
        "ResidualBlock(channels, dilation=d)",
        "ResidualBlock(channels)",
    ),
    Mutant(
        "policy", "an empty history among others is let through", "(items > 0).any(dim=1).all()", "(items > 0).any()"
    ),
    Mutant(
        "policy",
        "the embedding has the policy's width whatever is asked for",
        "width = channels if embedding_channels is None else embedding_channels",
        "width = channels",
    ),
    # --- skiprec ---
    Mutant(
        "skiprec",
        "the greedy gate is inverted",
        "(logits[..., 0] > logits[..., 1])",
        "(logits[..., 0] < logits[..., 1])",
    ),
    Mutant("skiprec", "a tie keeps", "(logits[..., 0] > logits[..., 1])", "(logits[..., 0] >= logits[..., 1])"),
    Mutant("skiprec", "the sampled gate is inverted", "hard=True)[..., 0]", "hard=True)[..., 1]"),
    Mutant("skiprec", "sampled gates are soft", "self.tau, hard=True)", "self.tau, hard=False)"),
    Mutant(
        "skiprec",
        "the temperature is always 10",
        "gumbel_softmax(logits, self.tau, hard=True)",
        "gumbel_softmax(logits, hard=True)",
    ),
    Mutant("skiprec", "gates are sampled in eval mode too, as published", "sample=self.training)", "sample=True)"),
    Mutant("skiprec", "gates are greedy in training too", "sample=self.training)", "sample=False)"),
    Mutant(
        "skiprec",
        "the policy reads one item past the cut",
        "> cut.unsqueeze(1), 0)",
        "> cut.unsqueeze(1) + 1, 0)",
    ),
    Mutant("skiprec", "the policy reads everything", "self.policy(visible(items, cut))", "self.policy(items)"),
    Mutant(
        "skiprec",
        "the policy does not read the item at the cut",
        "> cut.unsqueeze(1), 0)",
        ">= cut.unsqueeze(1), 0)",
    ),
    Mutant(
        "skiprec",
        "no score at the cut itself",
        "device=items.device) < first\n        return",
        "device=items.device) <= first\n        return",
    ),
    Mutant("skiprec", "scores before the cut are handed out", ".masked_fill(before.unsqueeze(-1), torch.nan)", ""),
    Mutant(
        "skiprec", "positions before the cut may be asked for", "if (where & (torch", "if False and (where & (torch"
    ),
    Mutant(
        "skiprec",
        "the cut itself may not be asked for",
        "device=items.device) < first)).any()",
        "device=items.device) <= first)).any()",
    ),
    Mutant(
        "skiprec", "given gates are not used", "if gates is None:\n            gates", "if True:\n            gates"
    ),
    Mutant(
        "skiprec",
        "score_at's policy reads past the cut",
        "gates = self.gates(items, cut, sample=False)",
        "gates = self.gates(items, sample=False)",
    ),
    Mutant(
        "skiprec",
        "score_at samples",
        "gates = self.gates(items, cut, sample=False)",
        "gates = self.gates(items, cut, sample=True)",
    ),
    Mutant(
        "skipping",
        "the residual is added twice where blocks are skipped",
        "hidden.index_copy_(0, some, out)",
        "hidden.index_add_(0, some, out)",
    ),
    Mutant("skipping", "rows that keep a block get others' masks", "mask.index_select(0, some)", "mask[: len(some)]"),
    Mutant(
        "skipping",
        "only those who skip a block run it",
        "kept.nonzero().squeeze(1)",
        "(~kept).nonzero().squeeze(1)",
    ),
    Mutant(
        "skipping",
        "the last gate belongs to the first block",
        "zip(backbone.blocks, keep.T)",
        "zip(backbone.blocks, keep.T.flip(0))",
    ),
    Mutant("skipping", "half a gate is a whole one", "if (gates != keep).any():", "if False:"),
    Mutant(
        "skipping",
        "who keeps a block runs it without a mask",
        "block(hidden.index_select(0, some), mask.index_select(0, some))",
        "block(hidden.index_select(0, some))",
    ),
    Mutant(
        "skiprec",
        "a policy for fewer blocks is let through",
        'policy.sizes[f"num_{what}"]) != here',
        'policy.sizes[f"num_{what}"]) > here',
    ),
    Mutant(
        "recommending",
        "what was seen before the window may be recommended",
        "torch.from_numpy(history)",
        "torch.from_numpy(history[-length:])",
    ),
    Mutant("windows", "the last but one position is scored", "where[:, -1] = True", "where[:, -2] = True"),
    Mutant("skiprec", "a cut behind the last position", "int(cut.max()) > last", "int(cut.max()) > last + 1"),
    Mutant("recommending", "the worst come first", "scores.topk(k, dim=1)", "scores.topk(k, dim=1, largest=False)"),
    # --- gate_losses ---
    Mutant(
        "gate_losses",
        "a cut may fall on padding",
        "return first + (torch.rand(len(items)) * real).long().clamp_max(real - 1)",
        "return (torch.rand(len(items)) * items.shape[1]).long()",
    ),
    Mutant(
        "gate_losses",
        "the last position is never a cut",
        "(torch.rand(len(items)) * real).long()",
        "(torch.rand(len(items)) * (real - 1)).long()",
    ),
    Mutant(
        "gate_losses",
        "the cut is always the first item",
        "(torch.rand(len(items)) * real).long()",
        "(torch.rand(len(items)) * 0).long()",
    ),
    Mutant("gate_losses", "cuts are counted from the left", "return first + (torch", "return (torch"),
    Mutant(
        "gate_losses",
        "all rows have one share of their items before the cut",
        "torch.rand(len(items)) * real",
        "torch.rand(1) * real",
    ),
    Mutant(
        "gate_losses",
        "the cut itself is not scored",
        "torch.arange(batch.items.shape[1]) < cut.unsqueeze(1)",
        "torch.arange(batch.items.shape[1]) <= cut.unsqueeze(1)",
    ),
    Mutant(
        "gate_losses",
        "what stands before the cut is scored",
        "targets=batch.targets.masked_fill(before, 0)",
        "targets=batch.targets",
    ),
    Mutant(
        "gate_losses", "the policy is not told the cut", "replace(batch, cut=cut, targets", "replace(batch, targets"
    ),
    Mutant(
        "gate_losses", "the whole window but its last item", "batch.items.shape[1] - 1)", "batch.items.shape[1] - 2)"
    ),
    Mutant(
        "gate_losses",
        "straight-through: the cost rewards keeping",
        'reduction="mean") + cost * gates.mean()',
        'reduction="mean") - cost * gates.mean()',
    ),
    Mutant(
        "gate_losses",
        "straight-through: the cost is one of a sum over blocks",
        'reduction="mean") + cost * gates.mean()',
        'reduction="mean") + cost * gates.sum(dim=1).mean()',
    ),
    Mutant(
        "gate_losses",
        "straight-through: the cost is divided twice",
        'reduction="mean") + cost * gates.mean()',
        'reduction="mean") + cost * gates.mean() / gates.shape[1]',
    ),
    Mutant("gate_losses", "straight-through: no cost", 'reduction="mean") + cost * gates.mean()', 'reduction="mean")'),
    Mutant(
        "gate_losses",
        "straight-through: nothing comes back to the policy",
        "gates = model.gates(batch.items, batch.cut, sample=True)\n    return",
        "gates = model.gates(batch.items, batch.cut, sample=True).detach()\n    return",
    ),
    Mutant(
        "gate_losses",
        "straight-through: the policy reads the whole window",
        "gates = model.gates(batch.items, batch.cut, sample=True)\n    return",
        "gates = model.gates(batch.items, sample=True)\n    return",
    ),
    Mutant(
        "gate_losses",
        "straight-through: greedy gates",
        "gates = model.gates(batch.items, batch.cut, sample=True)\n    return",
        "gates = model.gates(batch.items, batch.cut, sample=False)\n    return",
    ),
    Mutant(
        "gate_losses",
        "settled: gates are sampled",
        "gates = model.gates(batch.items, batch.cut, sample=False)",
        "gates = model.gates(batch.items, batch.cut, sample=True)",
    ),
    Mutant(
        "gate_losses",
        "settled: the policy reads the whole window",
        "gates = model.gates(batch.items, batch.cut, sample=False)",
        "gates = model.gates(batch.items, sample=False)",
    ),
    Mutant(
        "gate_losses",
        "settled: full depth",
        "model.skip_blocks(batch.items, gates)",
        "model.backbone.encode(batch.items)",
    ),
    Mutant(
        "gate_losses",
        "difference: the wrong sign",
        "sign = 2 * gates[rows, block] - 1",
        "sign = 1 - 2 * gates[rows, block]",
    ),
    Mutant("gate_losses", "difference: no sign", "sign = 2 * gates[rows, block] - 1", "sign = torch.ones(len(gates))"),
    Mutant("gate_losses", "difference: another dropout for the flipped gates", "torch.set_rng_state(dropout)", "pass"),
    Mutant(
        "gate_losses",
        "difference: the dropout to repeat is that of the step after",
        "dropout = torch.get_rng_state()\n    losses = losses_at(model.backbone, batch, gates)",
        "losses = losses_at(model.backbone, batch, gates)\n    dropout = torch.get_rng_state()",
    ),
    Mutant("gate_losses", "difference: each gate costs as much as all", "+ cost / gates.shape[1]", "+ cost"),
    Mutant("gate_losses", "difference: the cost rewards keeping", "+ cost / gates.shape[1]", "- cost / gates.shape[1]"),
    Mutant(
        "gate_losses",
        "difference: the cost is divided twice",
        "+ cost / gates.shape[1]",
        "+ cost / gates.shape[1] ** 2",
    ),
    Mutant(
        "gate_losses",
        "difference: the exact factor where a constant is meant",
        "keep * (1 - keep) if exact else 0.25",
        "keep * (1 - keep)",
    ),
    Mutant(
        "gate_losses",
        "difference: a constant where the exact factor is meant",
        "keep * (1 - keep) if exact else 0.25",
        "0.25",
    ),
    Mutant(
        "gate_losses",
        "difference: pi in place of pi (1 - pi)",
        "keep * (1 - keep) if exact else 0.25",
        "keep if exact else 0.25",
    ),
    Mutant(
        "gate_losses",
        "difference: a constant of 1",
        "keep * (1 - keep) if exact else 0.25",
        "keep * (1 - keep) if exact else 1.0",
    ),
    Mutant(
        "gate_losses", "difference: the exact gradient is pulled too", "held = 0.0 if exact else pull", "held = pull"
    ),
    Mutant("gate_losses", "difference: nothing holds the logits", "held = 0.0 if exact else pull", "held = 0.0"),
    Mutant(
        "gate_losses",
        "difference: the factor has a gradient",
        "torch.sigmoid(chosen.detach())",
        "torch.sigmoid(chosen)",
    ),
    Mutant(
        "gate_losses",
        "difference: one and the same block for all users",
        "torch.randint(gates.shape[1], (len(gates),))",
        "torch.randint(gates.shape[1], (1,)).expand(len(gates))",
    ),
    Mutant(
        "gate_losses",
        "difference: the first block is never flipped",
        "torch.randint(gates.shape[1], (len(gates),))",
        "torch.randint(1, gates.shape[1], (len(gates),))",
    ),
    Mutant(
        "gate_losses",
        "difference: all gates are flipped",
        "flipped[rows, block] = 1 - flipped[rows, block]",
        "flipped = 1 - flipped",
    ),
    Mutant(
        "gate_losses",
        "difference: the flipped gate is always a skip",
        "flipped[rows, block] = 1 - flipped[rows, block]",
        "flipped[rows, block] = 0",
    ),
    Mutant(
        "gate_losses",
        "difference: the loss of all users for each",
        "(per_row(losses.detach(), batch) - other)",
        "(per_row(losses.detach(), batch) - other).mean()",
    ),
    Mutant(
        "gate_losses",
        "difference: a sum over the batch",
        "(factor * worth * chosen).mean()",
        "(factor * worth * chosen).sum()",
    ),
    Mutant(
        "gate_losses",
        "difference: the logit is skip minus keep",
        "logit = logits[..., 0] - logits[..., 1]",
        "logit = logits[..., 1] - logits[..., 0]",
    ),
    Mutant(
        "gate_losses",
        "difference: only the keep logit is held and pushed",
        "logit = logits[..., 0] - logits[..., 1]",
        "logit = logits[..., 0]",
    ),
    Mutant(
        "gate_losses",
        "difference: the backbone learns nothing",
        "return losses.mean() + (factor",
        "return losses.mean().detach() + (factor",
    ),
    Mutant(
        "gate_losses",
        "difference: straight-through comes on top",
        "gates = model.decide(logits, sample=True).detach()",
        "gates = model.decide(logits, sample=True)",
    ),
    Mutant(
        "gate_losses",
        "difference: greedy gates are flipped",
        "gates = model.decide(logits, sample=True).detach()",
        "gates = model.decide(logits, sample=False).detach()",
    ),
    Mutant(
        "gate_losses",
        "difference: the logits are pulled by their size, not its square",
        "logit.square().mean()",
        "logit.abs().mean()",
    ),
    Mutant(
        "gate_losses",
        "steered: the cost grows while skipping harms",
        "- full) < self.tolerance",
        "- full) > self.tolerance",
    ),
    Mutant(
        "gate_losses", "steered: the cost only grows", "1 + self.rate if harmless else 1 - self.rate", "1 + self.rate"
    ),
    Mutant(
        "gate_losses", "steered: the cost is not steered", "self.factor * cost * gates.mean()", "cost * gates.mean()"
    ),
    Mutant(
        "gate_losses",
        "steered: the cost given does not count",
        "self.factor * cost * gates.mean()",
        "self.factor * gates.mean()",
    ),
    Mutant("gate_losses", "steered: compared with depth 0", "torch.ones_like(gates)", "torch.zeros_like(gates)"),
    Mutant(
        "gate_losses",
        "steered: tolerance is a share of the loss",
        "float(loss.detach() - full) < self.tolerance",
        "float(loss.detach() / full - 1) < self.tolerance",
    ),
    Mutant(
        "gate_losses", "a row's mean counts positions that are not scored", "/ scored.sum(dim=1)", "/ scored.shape[1]"
    ),
    Mutant(
        "gate_losses",
        "a row's sum in place of its mean",
        ".index_add_(0, owner, values) / scored.sum(dim=1)",
        ".index_add_(0, owner, values)",
    ),
    Mutant(
        "gate_losses",
        "losses at full depth whatever the gates",
        "backbone.encode(batch.items, gates)[batch.scored()]",
        "backbone.encode(batch.items)[batch.scored()]",
    ),
    # --- policy_gradient ---
    Mutant(
        "policy_gradient",
        "the reward falls with skipping",
        "torch.where(hit, 1 - used.square(), -miss)",
        "torch.where(hit, used.square(), -miss)",
    ),
    Mutant("policy_gradient", "the share is not squared", "1 - used.square()", "1 - used"),
    Mutant("policy_gradient", "a miss is rewarded", "1 - used.square(), -miss", "1 - used.square(), miss"),
    Mutant(
        "policy_gradient",
        "a miss costs more the more blocks it ran",
        "1 - used.square(), -miss",
        "1 - used.square(), -miss * used",
    ),
    Mutant(
        "policy_gradient",
        "the published reward rises with skipping",
        "gamma * (1 - used).square(), -gamma",
        "gamma * used.square(), -gamma",
    ),
    Mutant(
        "policy_gradient",
        "the published reward: gamma weighs the whole",
        "1 - gamma * (1 - used).square()",
        "gamma * (1 - (1 - used).square())",
    ),
    Mutant(
        "policy_gradient",
        "log-probability of keep only",
        "gates * log_pi[..., 0] + (1 - gates) * log_pi[..., 1]",
        "gates * log_pi[..., 0]",
    ),
    Mutant(
        "policy_gradient",
        "keep and skip change places in the log-probability",
        "gates * log_pi[..., 0] + (1 - gates) * log_pi[..., 1]",
        "gates * log_pi[..., 1] + (1 - gates) * log_pi[..., 0]",
    ),
    Mutant(
        "policy_gradient",
        "log-probability: a mean over blocks",
        "log_pi[..., 1]).sum(dim=1)",
        "log_pi[..., 1]).mean(dim=1)",
    ),
    Mutant(
        "policy_gradient",
        "log-probability: blocks compete with one another",
        "F.log_softmax(logits, dim=-1)",
        "F.log_softmax(logits, dim=1)",
    ),
    Mutant("policy_gradient", "log-probability: logits for log pi", "F.log_softmax(logits, dim=-1)", "logits"),
    Mutant(
        "policy_gradient",
        "the greedy reward is not subtracted",
        "advantage = rewards[0] - rewards[1]",
        "advantage = rewards[0]",
    ),
    Mutant(
        "policy_gradient",
        "the advantage is that of the greedy gates",
        "advantage = rewards[0] - rewards[1]",
        "advantage = rewards[1] - rewards[0]",
    ),
    Mutant("policy_gradient", "success makes gates less likely", "policy = -(advantage", "policy = (advantage"),
    Mutant(
        "policy_gradient",
        "a sum over the batch",
        "log_probability(logits, gates)).mean()",
        "log_probability(logits, gates)).sum()",
    ),
    Mutant(
        "policy_gradient",
        "the batch's advantage for everybody",
        "policy = -(advantage *",
        "policy = -(advantage.mean() *",
    ),
    Mutant(
        "policy_gradient",
        "cost weighs the backbone's part",
        "gates).mean() + cost * policy",
        "gates).mean() * cost + policy",
    ),
    Mutant(
        "policy_gradient",
        "cost does not weigh the policy's part",
        "gates).mean() + cost * policy",
        "gates).mean() + policy",
    ),
    Mutant(
        "policy_gradient",
        "the backbone learns under greedy gates",
        "losses_at(model.backbone, batch, gates).mean()",
        "losses_at(model.backbone, batch, greedy).mean()",
    ),
    Mutant(
        "policy_gradient",
        "compared with a second sample",
        "greedy = model.decide(logits, sample=False)",
        "greedy = model.decide(logits, sample=True).detach()",
    ),
    Mutant(
        "policy_gradient",
        "the log-probability of the greedy gates is pushed",
        "log_probability(logits, gates)).mean()",
        "log_probability(logits, greedy)).mean()",
    ),
    Mutant("policy_gradient", "ties count for the target", "(scores >= true)", "(scores > true)"),
    Mutant("policy_gradient", "k - 1 places count as a hit", "<= k  #", "< k  #"),
    Mutant("policy_gradient", "k is always 10", "<= k  #", "<= 10  #"),
    Mutant(
        "policy_gradient",
        "the number of blocks for their share",
        "used = choice.mean(dim=1)",
        "used = choice.sum(dim=1)",
    ),
    Mutant(
        "policy_gradient",
        "the share of blocks of all users for each",
        "used[row]",
        "used.mean().expand(len(hits))",
    ),
    Mutant(
        "policy_gradient",
        "straight-through comes on top",
        "gates = model.decide(logits, sample=True).detach()",
        "gates = model.decide(logits, sample=True)",
    ),
    Mutant(
        "policy_gradient",
        "hits at full depth",
        "model.skip_blocks(batch.items, choice)[scored]",
        "model.backbone.encode(batch.items)[scored]",
    ),
    Mutant(
        "policy_gradient",
        "the policy reads the whole window",
        "model.gate_logits(batch.items, batch.cut)",
        "model.gate_logits(batch.items)",
    ),
    # --- controls ---
    Mutant("controls", "random gates in eval mode too", "if self.training:", "if True:"),
    Mutant("controls", "random gates in eval mode only", "if self.training:", "if not self.training:"),
    Mutant(
        "controls",
        "one draw for the whole batch",
        "random_gates(len(items), len(self.backbone.blocks), self.keep_rate)",
        "random_gates(1, len(self.backbone.blocks), self.keep_rate).expand(len(items), -1)",
    ),
    Mutant(
        "controls",
        "a row keeps all blocks or none",
        "torch.rand(rows, blocks) < keep_rate",
        "torch.rand(rows, 1).expand(-1, blocks) < keep_rate",
    ),
    Mutant(
        "controls",
        "the rate is that of skipping",
        "torch.rand(rows, blocks) < keep_rate",
        "torch.rand(rows, blocks) > keep_rate",
    ),
    Mutant(
        "controls",
        "as a SkipRec: the rate is that of skipping",
        "[self.keep_rate, 1 - self.keep_rate]",
        "[1 - self.keep_rate, self.keep_rate]",
    ),
    Mutant(
        "controls",
        "as a SkipRec: probabilities for logits",
        "[self.keep_rate, 1 - self.keep_rate]).log()",
        "[self.keep_rate, 1 - self.keep_rate])",
    ),
    Mutant("controls", "as a SkipRec: the policy reads the user", "policy.output.weight.zero_()", "pass"),
    Mutant(
        "controls",
        "a rate above 1 is let through",
        "keep_rate: Share) -> None",
        "keep_rate: float) -> None",
    ),
    Mutant("controls", "the rarest pattern", "counts.argmax()", "counts.argmin()"),
    Mutant(
        "controls",
        "the majority of each block for the most frequent pattern",
        "patterns[counts.argmax()]",
        "(gates.mean(dim=0) > 0.5).to(gates.dtype)",
    ),
    Mutant("controls", "another user's gates may be one's own", "other[circle] = circle.roll(1)", "other = circle"),
    Mutant(
        "controls",
        "another user's gates are the next row's",
        "torch.randperm(len(gates), generator=torch.Generator().manual_seed(seed))",
        "torch.arange(len(gates))",
    ),
    Mutant(
        "controls",
        "everybody gets the gates of one user",
        "return gates[other]",
        "return gates[other[:1]].expand_as(gates)",
    ),
    Mutant("controls", "gates of a single user are given back to them", "if len(gates) < 2:", "if len(gates) < 1:"),
    Mutant(
        "controls",
        "the shuffle moves padding",
        "free = visible(items, cases.cut) > 0",
        "free = (visible(items, cases.cut) > 0) | (items == 0)",
    ),
    Mutant(
        "controls",
        "the shuffle moves items after the cut",
        "free = visible(items, cases.cut) > 0",
        "free = items > 0",
    ),
    Mutant(
        "controls",
        "the item at the cut stays",
        "free = visible(items, cases.cut) > 0",
        "free = visible(items, (cases.cut - 1).clamp_min(0)) > 0",
    ),
    Mutant(
        "controls",
        "one order for all rows",
        "torch.rand(items.shape, generator",
        "torch.rand(1, items.shape[1], generator",
    ),
    Mutant(
        "controls",
        "the shuffle has one seed",
        "torch.rand(items.shape, generator=torch.Generator().manual_seed(seed))",
        "torch.rand(items.shape, generator=torch.Generator().manual_seed(0))",
    ),
    Mutant(
        "controls",
        "nothing is shuffled",
        "row[source[: places.sum()]]",
        "row[places]",
    ),
    Mutant(
        "controls",
        "items are drawn with replacement",
        "row[source[: places.sum()]]",
        "row[source[torch.arange(int(places.sum())) // 2]]",
    ),
    Mutant(
        "controls", "the shuffle changes the cases themselves", "items = cases.items.clone()", "items = cases.items"
    ),
    Mutant(
        "lab.stand_ins",
        "the same rate is one half",
        "random_gates(rows, blocks, float(gates.mean()))",
        "random_gates(rows, blocks, 0.5)",
    ),
    Mutant(
        "lab.stand_ins",
        "full depth runs nothing",
        "torch.ones_like(gates_of(model, cases))",
        "torch.zeros_like(gates_of(model, cases))",
    ),
    Mutant(
        "lab.stand_ins",
        "sampled gates are greedy",
        "gates_of(model, cases, sample=True)",
        "gates_of(model, cases, sample=False)",
    ),
    Mutant(
        "lab.stand_ins",
        "the shuffled history is not shuffled",
        "gates_of(model, shuffled_histories(cases))",
        "gates_of(model, cases)",
    ),
    # --- enumeration ---
    Mutant(
        "enumeration", "the last block's gate stands first", "torch.arange(blocks - 1, -1, -1)", "torch.arange(blocks)"
    ),
    Mutant(
        "enumeration", "the pattern of all blocks is missing", "torch.arange(2**blocks)", "torch.arange(2**blocks - 1)"
    ),
    Mutant("enumeration", "no blocks is a number of blocks", "least=1, most=12", "least=0, most=12"),
    Mutant(
        "enumeration",
        "patterns are tried with dropout",
        "with in_eval_mode(backbone):\n        return torch.stack",
        "if True:\n        return torch.stack",
    ),
    Mutant(
        "enumeration",
        "patterns are tried in the opposite order",
        "for row in patterns]",
        "for row in patterns.flip(0)]",
    ),
    Mutant(
        "enumeration", "slopes with dropout", "with in_eval_mode(backbone):\n        total", "if True:\n        total"
    ),
    Mutant("enumeration", "slopes of the batch's mean", "cases).sum()  # rows", "cases).mean()  # rows"),
    Mutant("enumeration", "slopes at full depth", "leaf = gates.detach().clone()", "leaf = torch.ones_like(gates)"),
    Mutant(
        "enumeration",
        "differences with dropout",
        "with in_eval_mode(backbone):\n        here",
        "if True:\n        here",
    ),
    Mutant(
        "enumeration", "a difference is skipped minus kept", "(2 * gates[:, block] - 1)", "(1 - 2 * gates[:, block])"
    ),
    Mutant(
        "enumeration",
        "a difference is here minus flipped",
        "(2 * gates[:, block] - 1) * (here - other)",
        "here - other",
    ),
    Mutant("enumeration", "the other gates at 1", "flipped = gates.clone()", "flipped = torch.ones_like(gates)"),
    Mutant(
        "enumeration",
        "flipped gates stay flipped",
        "        for block in range(gates.shape[1]):\n            flipped = gates.clone()\n",
        "        flipped = gates.clone()\n        for block in range(gates.shape[1]):\n",
    ),
    Mutant("enumeration", "the gates that came in are changed", "flipped = gates.clone()", "flipped = gates"),
    # --- watching ---
    Mutant(
        "lab.watching",
        "slopes: above 0 where straight-through would skip",
        "-gate_slopes(model.backbone, few, gates)",
        "gate_slopes(model.backbone, few, gates)",
    ),
    Mutant(
        "lab.watching",
        "differences: above 0 where a block harms",
        "-gate_differences(model.backbone, few, gates)",
        "gate_differences(model.backbone, few, gates)",
    ),
    Mutant(
        "lab.watching",
        "all users for a group",
        "here = known.group_of(few) == group",
        "here = known.group_of(few) >= 0",
    ),
    Mutant("lab.watching", "gates are sampled", "sample=False).detach()", "sample=True).detach()"),
    Mutant(
        "lab.watching",
        "accuracy at full depth",
        "rank_cases(model, few, gates=gates)",
        "rank_cases(model, few, gates=torch.ones_like(gates))",
    ),
    Mutant("lab.watching", "accuracy is a hit among ten", "gates=gates), 1), few)", "gates=gates), 10), few)"),
    Mutant(
        "lab.watching",
        "the signal is the mean size of single gradients",
        "draws[:, here].mean(dim=0).mean(dim=0).abs().mean()",
        "draws[:, here].abs().mean()",
    ),
    Mutant(
        "lab.watching",
        "the noise is that between users",
        "draws[:, here].std(dim=0).mean()",
        "draws[:, here].std(dim=1).mean()",
    ),
    Mutant("lab.watching", "the gradient of skip", "return gradient[..., 0]", "return gradient[..., 1]"),
    Mutant(
        "lab.watching",
        "a row's gradient is divided by the batch",
        "straight_through_loss(held, cases, 0.0) * len(cases)",
        "straight_through_loss(held, cases, 0.0)",
    ),
    Mutant("lab.watching", "another temperature", "model.policy, tau=model.tau)", "model.policy)"),
    Mutant("lab.watching", "shares of blocks for their number", "gates[here].sum(dim=1).mean()", "gates[here].mean()"),
    # --- training ---
    Mutant("stages", "the holding epochs do not hold", "loss=difference_loss, ", ""),
    Mutant(
        "stages",
        "holding begins one epoch late",
        "hold = min(hold_epochs, epochs",
        "hold = min(max(0, hold_epochs - 1), epochs",
    ),
    Mutant(
        "stages",
        "settling begins one epoch late",
        "settle = min(settle_epochs, epochs",
        "settle = min(max(0, settle_epochs - 1), epochs",
    ),
    Mutant(
        "stages",
        "the holding epochs are the settling ones",
        "replace(joint, epochs=settle, loss=settled_loss)",
        "replace(joint, epochs=settle, loss=difference_loss)",
    ),
    Mutant(
        "stages", "epochs before the holding are candidates", "candidate=not (hold or settle)", "candidate=not settle"
    ),
    Mutant(
        "stages",
        "the holding epochs are candidates beside the settling ones",
        "loss=difference_loss, candidate=not settle",
        "loss=difference_loss",
    ),
    Mutant(
        "stages",
        "the best epoch may be one of the warm-up",
        "Stage(warmup, next_item_loss, candidate=False)",
        "Stage(warmup, next_item_loss)",
    ),
    Mutant(
        "stages",
        "another loss for the gates is not used",
        "- hold, gate_loss, reads",
        "- hold, straight_through_loss, reads",
    ),
    Mutant(
        "stages", "what the policy reads is not a choice", "- hold, gate_loss, reads", "- hold, gate_loss, from_a_cut"
    ),
    Mutant(
        "stages", "the cost is all there from the first step", "if self.ramp else self.cost", "if False else self.cost"
    ),
    Mutant("stages", "no warm-up", "warmup = min(warmup_epochs, epochs)", "warmup = 0"),
    Mutant(
        "training",
        "who watches changes the training",
        "with torch.random.fork_rng(devices=[]):  # who watches leaves the training as it is",
        "if True:",
    ),
    Mutant(
        "training", "who watches is told the next epoch", "after_epoch(epoch, model)", "after_epoch(epoch + 1, model)"
    ),
    Mutant(
        "training",
        "who watches sees the model in training mode",
        "after_epoch(epoch, model)",
        "after_epoch(epoch, model.train())",
    ),
    Mutant(
        "training",
        "who watches sees only the warm-up",
        "if after_epoch is not None:",
        "if after_epoch is not None and warming_up:",
    ),
    Mutant(
        "training",
        "the keep rate is one of samples",
        '"keep_rate": float(greedy.mean())',
        '"keep_rate": float(sampled.mean())',
    ),
    Mutant(
        "training",
        "the keep probability is that of skipping",
        "torch.softmax(logits, dim=-1)[..., 0]",
        "torch.softmax(logits, dim=-1)[..., 1]",
    ),
    Mutant("training", "the sampled NDCG is the greedy one", "gates=sampled).mean()", "gates=greedy).mean()"),
    Mutant(
        "training",
        "the policy reads past the cut in validation",
        "model.gate_logits(cases.items, cases.cut)",
        "model.gate_logits(cases.items)",
    ),
    Mutant(
        "training",
        "two stages: the policy's embedding stays its own",
        "model.policy.embedding.load_state_dict(pretrained.embedding.state_dict())",
        "pass",
    ),
    Mutant("training", "two stages: the backbone stays new", "target.load_state_dict(pretrained.state_dict())", "pass"),
    Mutant("stages", "who holds is a negative number of epochs", "hold_epochs: Count = 0", "hold_epochs: int = 0"),
    # --- blocks ---
    Mutant(
        "backbones.sasrec",
        "attention: the mask is on queries in place of keys",
        "mask[:, None, None, :]",
        "mask[:, None, :, None]",
    ),
    Mutant(
        "backbones.sasrec", "attention: the future is read", "device=hidden.device).tril()", "device=hidden.device)"
    ),
    Mutant("backbones.sasrec", "attention: only the future is read", ".tril()", ".triu()"),
    Mutant("backbones.sasrec", "attention: the present is not read", ".tril()", ".tril(-1)"),
    Mutant("backbones.sasrec", "attention: no scaling", " / keys.shape[-1] ** 0.5", ""),
    Mutant(
        "backbones.sasrec", "attention: scaled by all heads' width", "keys.shape[-1] ** 0.5", "hidden.shape[-1] ** 0.5"
    ),
    Mutant(
        "backbones.sasrec", "attention: scaled by the width, not its root", "keys.shape[-1] ** 0.5", "keys.shape[-1]"
    ),
    Mutant(
        "backbones.sasrec",
        "attention: the heads' channels are interleaved",
        "part.unflatten(-1, (self.heads, -1)).transpose(1, 2)",
        "part.unflatten(-1, (-1, self.heads)).permute(0, 3, 1, 2)",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: queries and keys change places",
        "queries, keys, values = by_head",
        "keys, queries, values = by_head",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: values are keys",
        "queries, keys, values = by_head",
        "queries, values, keys = by_head",
    ),
    Mutant("backbones.sasrec", "attention: the softmax runs over queries", ".softmax(dim=-1)", ".softmax(dim=-2)"),
    Mutant(
        "backbones.sasrec",
        "attention: not residual",
        "hidden = hidden + self.dropout(self.attend(",
        "hidden = self.dropout(self.attend(",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: added twice",
        "hidden = hidden + self.dropout(self.attend(",
        "hidden = 2 * hidden + self.dropout(self.attend(",
    ),
    Mutant(
        "backbones.sasrec",
        "feed-forward: not residual",
        "return hidden + self.dropout(self.outer(inner))",
        "return self.dropout(self.outer(inner))",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: normalised after, not before",
        "self.attend(self.norm1(hidden), mask)",
        "self.norm1(self.attend(hidden, mask))",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: not normalised",
        "self.attend(self.norm1(hidden), mask)",
        "self.attend(hidden, mask)",
    ),
    Mutant("backbones.sasrec", "feed-forward: not normalised", "self.inner(self.norm2(hidden))", "self.inner(hidden)"),
    Mutant(
        "backbones.sasrec",
        "feed-forward: the other norm",
        "self.inner(self.norm2(hidden))",
        "self.inner(self.norm1(hidden))",
    ),
    Mutant(
        "backbones.sasrec",
        "feed-forward: no ReLU",
        "F.relu(self.inner(self.norm2(hidden)))",
        "self.inner(self.norm2(hidden))",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: no dropout on the weights",
        "weights = self.dropout(scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1))",
        "weights = scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1)",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: an empty softmax at padding",
        "(allowed & mask[:, None, None, :]) | itself",
        "allowed & mask[:, None, None, :]",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: the heads are not joined",
        "return self.join((weights @ values).transpose(1, 2).flatten(2))",
        "return (weights @ values).transpose(1, 2).flatten(2)",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: heads and time are mixed up",
        "(weights @ values).transpose(1, 2).flatten(2)",
        "(weights @ values).reshape(hidden.shape)",
    ),
    Mutant(
        "backbones.sasrec",
        "attention: the mask is not used",
        "if mask is not None:  # a position always",
        "if mask is None and False:  # a position always",
    ),
    Mutant("backbones.sasrec", "attention: any number of heads", "if channels % heads:", "if channels % heads < 0:"),
    # --- backbones ---
    Mutant(
        "backbones.sasrec",
        "SASRec: positions are counted from the left",
        "torch.arange(items.shape[1] - 1, -1, -1, device=items.device)",
        "torch.arange(items.shape[1], device=items.device)",
    ),
    Mutant(
        "backbones.sasrec",
        "SASRec: positions begin anew further back",
        ".clamp_max(len(self.positions) - 1)",
        " % len(self.positions)",
    ),
    Mutant(
        "backbones.sasrec",
        "SASRec: the last position is not used",
        ".clamp_max(len(self.positions) - 1)",
        ".clamp_max(max(0, len(self.positions) - 2))",
    ),
    Mutant(
        "backbones.sasrec",
        "SASRec: no positions",
        "self.embedding(items) + self.positions[age]",
        "self.embedding(items)",
    ),
    Mutant("backbones.sasrec", "SASRec: padding has a position", "embedded * (items > 0).unsqueeze(-1)", "embedded"),
    Mutant(
        "backbones.sasrec",
        "SASRec: no norm before the scores",
        "F.linear(self.norm(hidden), self",
        "F.linear(hidden, self",
    ),
    Mutant(
        "backbones.sasrec",
        "SASRec: the last item is ruled out for padding",
        "F.pad(self.output_bias, (1, 0), value=-torch.inf)",
        "F.pad(self.output_bias, (0, 1), value=-torch.inf)",
    ),
    Mutant(
        "backbones.sasrec",
        "SASRec: always one head",
        "AttentionBlock(channels, heads, dropout=dropout)",
        "AttentionBlock(channels, dropout=dropout)",
    ),
    Mutant(
        "backbones.sasrec",
        "SASRec: no dropout in the blocks",
        "AttentionBlock(channels, heads, dropout=dropout)",
        "AttentionBlock(channels, heads)",
    ),
    Mutant(
        "backbones.sasrec", "SASRec: no dropout on the items", "return self.dropout(embedded * ", "return (embedded * "
    ),
    Mutant(
        "backbones.sasrec",
        "SASRec: no place for any item",
        "max_length: Size = 50",
        "max_length: int = 50",
    ),
)

# Drawn up together with the tests.
OWN = (
    # --- softmax ---
    Mutant(
        "softmax",
        "a drawn target counts twice",
        "of_drawn = of_drawn.masked_fill(is_target, -torch.inf)",
        "_ = is_target",
    ),
    Mutant(
        "softmax",
        "a drawn target is drawn away from all rows",
        "targets.unsqueeze(1) == negatives",
        "torch.isin(negatives, targets).expand(len(targets), -1)",
    ),
    Mutant("softmax", "no correction", "bias + correction", "bias"),
    Mutant(
        "softmax",
        "the correction is upside down",
        "math.log((model.embedding.num_embeddings - 1) / len(negatives))",
        "-math.log((model.embedding.num_embeddings - 1) / len(negatives))",
    ),
    Mutant(
        "softmax",
        "the correction leaves out the target, which may be drawn",
        "(model.embedding.num_embeddings - 1) /",
        "(model.embedding.num_embeddings - 2) /",
    ),
    Mutant(
        "softmax",
        "the target is corrected, too",
        "of_target.unsqueeze(1), of_drawn",
        "of_target.unsqueeze(1) + correction, of_drawn",
    ),
    Mutant("softmax", "the target has no bias", "(read * weight).sum(dim=1) + bias", "(read * weight).sum(dim=1)"),
    Mutant(
        "softmax",
        "no norm before the output layer",
        "lambda model, hidden: model.norm(hidden)",
        "lambda model, hidden: hidden",
    ),
    Mutant(
        "softmax",
        "all items are scored",
        "if isinstance(batch, WithNegatives) and batch.negatives is not None:",
        "if False:",
    ),
    Mutant(
        "softmax",
        "only means under a sampled softmax",
        "targets, batch.negatives, reduction=reduction)",
        "targets, batch.negatives)",
    ),
    Mutant("softmax", "padding is drawn and the last item never", "return 1 + torch.randperm", "return torch.randperm"),
    Mutant(
        "softmax",
        "an item may be drawn twice",
        "torch.randperm(num_items)[:number]",
        "torch.randint(num_items, (min(number, num_items),))",
    ),
    Mutant(
        "softmax",
        "neighbours are drawn together",
        "torch.randperm(num_items)[:number]",
        "torch.arange(num_items).roll(int(torch.randint(num_items, ())))[:number]",
    ),
    Mutant("softmax", "no item may be drawn", "number: Size)", "number: int)"),
    Mutant("softmax", "only a backbone itself", 'getattr(model, "backbone", model)', "model"),
    # --- splits ---
    Mutant(
        "windows",
        "rows lose the negatives of their batch",
        "return replace(\n            self, items",
        "return Windows(\n            items",
    ),
    # --- backbones ---
    Mutant(
        "softmax",
        "NFM: the rows of the next items",
        "F.embedding(items - 1, net.output.weight)",
        "F.embedding(items, torch.cat([net.output.weight, net.output.weight[:1]]))",
    ),
    Mutant(
        "softmax",
        "NextItNet: no gradient for the rows of a sample",
        "F.embedding(items, net.output_weight)",
        "F.embedding(items, net.output_weight.detach())",
    ),
    # --- policy_gradient ---
    Mutant(
        "policy_gradient",
        "hits are counted with dropout",
        "with torch.no_grad(), in_eval_mode(model):",
        "with torch.no_grad():",
    ),
    Mutant(
        "policy_gradient",
        "the cost of a miss is not handed on",
        "used[row], miss=miss)",
        "used[row])",
    ),
    Mutant(
        "policy_gradient",
        "the published miss costs nothing",
        "(1 - used).square(), -gamma)",
        "(1 - used).square(), 0.0)",
    ),
    Mutant(
        "policy_gradient", "a row's reward is that of the batch", "miss=miss), batch))", "miss=miss), batch).mean())"
    ),
    # --- controls ---
    Mutant("controls", "as a SkipRec it is in training mode whatever it was", ".train(self.training)", ""),
    # --- training ---
    Mutant(
        "softmax",
        "a sampled softmax in the warm-up only",
        "        return replace(stage, reads=lambda batch: stage.reads(drawn(batch)))",
        "        return stage",
    ),
    Mutant(
        "softmax", "always 2,000 negatives", "draw_negatives(num_items, negatives)", "draw_negatives(num_items, 2000)"
    ),
    Mutant(
        "softmax",
        "the warm-up scores all items",
        "sampled_next_item_loss(model, drawn(batch))",
        "stage.loss(model, batch)",
    ),
    Mutant("softmax", "any number of negatives", "negatives: Size = 2000", "negatives: int = 2000"),
    Mutant(
        "stages",
        "the policy learns nothing while the gates are held",
        "loss=difference_loss, candidate",
        "loss=settled_loss, candidate",
    ),
    # --- synthetic ---
    Mutant(
        "synthetic",
        "the curriculum never ends",
        "if epoch >= self.curriculum_epochs:",
        "if epoch > 10 * self.curriculum_epochs:",
    ),
    Mutant(
        "synthetic",
        "the curriculum takes its own time for each lag",
        "min(lag, bound) for lag in self.lags",
        "lag * epoch // self.curriculum_epochs for lag in self.lags",
    ),
    Mutant(
        "synthetic",
        "the curriculum begins where it should end",
        "max(self.lags) * epoch // self.curriculum_epochs",
        "max(self.lags) * (self.curriculum_epochs - epoch) // self.curriculum_epochs",
    ),
    Mutant(
        "synthetic",
        "the curriculum shortens the longest lags only",
        "min(lag, bound) for lag",
        "bound if lag == max(self.lags) else lag for lag",
    ),
    Mutant(
        "synthetic",
        "an epoch of the curriculum has the users of the first",
        "for lag in self.lags)).draw(1000 + epoch)",
        "for lag in self.lags)).draw(1000)",
    ),
    Mutant(
        "synthetic",
        "validation has as many users as test",
        "self.draw(1), self.draw(2, self.test_users_per_group)",
        "self.draw(1, self.test_users_per_group), self.draw(2, self.test_users_per_group)",
    ),
    Mutant(
        "synthetic", "test has as many users as the others", "self.draw(2, self.test_users_per_group)", "self.draw(2)"
    ),
    Mutant(
        "synthetic",
        "the curriculum is forgotten",
        "users_per_group, seed, curriculum_epochs, test_users_per_group",
        "users_per_group, seed, 0, test_users_per_group",
    ),
    Mutant(
        "synthetic",
        "less than nobody is tested",
        "test_users_per_group: Size | None = None",
        "test_users_per_group: int | None = None",
    ),
    # --- skiprec ---
    Mutant("skipping", "a budget opens gates that the policy shut", " * (gap > 0)", ""),
    Mutant("skipping", "a budget of one block more", "min(k, gap.shape[1])", "min(k + 1, gap.shape[1])"),
    Mutant(
        "skipping",
        "a budget keeps the least sure",
        "gap.topk(min(k, gap.shape[1]), dim=1)",
        "gap.topk(min(k, gap.shape[1]), dim=1, largest=False)",
    ),
    Mutant(
        "skipping",
        "only the first rows that keep a block run it",
        "for some in rows.split(CHUNK):",
        "for some in rows.split(CHUNK)[:1]:",
    ),
    Mutant(
        "skipping",
        "who is not alone in keeping a block runs it without a mask",
        "[block(*part) for part in parts]",
        "[block(part) for part, _ in parts]",
    ),
    # --- controls ---
    Mutant("lab.random_depth", "random depths in eval mode too", "gates if self.training else None", "gates"),
    Mutant(
        "lab.random_depth",
        "a random depth may be none",
        "torch.randint(1, blocks + 1, (rows, 1))",
        "torch.randint(0, blocks + 1, (rows, 1))",
    ),
    Mutant(
        "lab.random_depth",
        "a random depth is never the whole",
        "torch.randint(1, blocks + 1, (rows, 1))",
        "torch.randint(1, blocks, (rows, 1))",
    ),
    Mutant(
        "lab.random_depth",
        "a random depth runs the last blocks",
        "torch.arange(blocks) < depth",
        "torch.arange(blocks - 1, -1, -1) < depth",
    ),
    Mutant(
        "lab.random_depth",
        "one depth for the whole batch",
        "torch.randint(1, blocks + 1, (rows, 1))",
        "torch.randint(1, blocks + 1, (1, 1)).expand(rows, 1)",
    ),
    Mutant(
        "lab.random_depth",
        "the share of full depth is that of others",
        "torch.rand(rows, 1) < full_share",
        "torch.rand(rows, 1) > full_share",
    ),
    Mutant(
        "lab.random_depth",
        "a share above 1 is let through",
        "full_share: Share) -> None",
        "full_share: float) -> None",
    ),
    # --- gate_losses ---
    Mutant(
        "gate_losses",
        "the position before the cut is scored, too",
        "torch.arange(batch.items.shape[1]) < cut.unsqueeze(1)",
        "torch.arange(batch.items.shape[1]) < cut.unsqueeze(1) - 1",
    ),
)

MUTANTS = (*BLIND, *OWN)

"""Deliberate errors in what lessons 08 to 13 build: the policy, SkipRec, how it is taught, and self-attention."""

import mutants_networks
from mutants import Mutant, rows_of

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

OTHERS = (
    # --- policy ---
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
    Mutant(
        "policy", "an empty history among others is let through", "(items > 0).any(dim=1).all()", "(items > 0).any()"
    ),
    # --- skiprec ---
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
        "skiprec",
        "a policy for fewer blocks is let through",
        'policy.sizes[f"num_{what}"]) != here',
        'policy.sizes[f"num_{what}"]) > here',
    ),
    Mutant("skiprec", "a cut behind the last position", "int(cut.max()) > last", "int(cut.max()) > last + 1"),
    # --- skipping ---
    Mutant("skipping", "half a gate is a whole one", "if (gates != keep).any():", "if False:"),
    Mutant(
        "skipping",
        "a block that everybody keeps runs without a mask",
        "hidden = block(hidden, mask).clone()",
        "hidden = block(hidden).clone()",
    ),
    # --- recommending ---
    Mutant(
        "recommending",
        "what was seen before the window may be recommended",
        "torch.from_numpy(history)",
        "torch.from_numpy(history[-length:])",
    ),
    Mutant("recommending", "the worst come first", "scores.topk(k, dim=1)", "scores.topk(k, dim=1, largest=False)"),
    # --- windows ---
    Mutant("windows", "the last but one position is scored", "where[:, -1] = True", "where[:, -2] = True"),
    Mutant(
        "windows",
        "rows lose the negatives of their batch",
        "return replace(\n            self, items",
        "return Windows(\n            items",
    ),
    # --- gate_losses ---
    Mutant(
        "gate_losses", "the whole window but its last item", "batch.items.shape[1] - 1)", "batch.items.shape[1] - 2)"
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
        "difference: the cost is divided twice",
        "+ cost / gates.shape[1]",
        "+ cost / gates.shape[1] ** 2",
    ),
    Mutant(
        "gate_losses",
        "difference: the logits are pulled by their size, not its square",
        "logit.square().mean()",
        "logit.abs().mean()",
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
        "the published miss costs nothing",
        "(1 - used).square(), -gamma)",
        "(1 - used).square(), 0.0)",
    ),
    # --- controls ---
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
    Mutant("controls", "gates of a single user are given back to them", "if len(gates) < 2:", "if len(gates) < 1:"),
    Mutant("controls", "as a SkipRec it is in training mode whatever it was", ".train(self.training)", ""),
    # --- lab.stand_ins ---
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
    Mutant("enumeration", "no blocks is a number of blocks", "least=1, most=12", "least=0, most=12"),
    # --- lab.watching ---
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
    Mutant(
        "lab.watching",
        "gates are sampled",
        "gates, lower = model.decide(logits, sample=False)",
        "gates, lower = model.decide(logits, sample=True)",
    ),
    Mutant(
        "lab.watching",
        "accuracy at full depth",
        "correct, of_lower = _correct(model, few, gates)",
        "correct, of_lower = _correct(model, few, torch.ones_like(gates))",
    ),
    Mutant(
        "lab.watching",
        "accuracy is a hit among ten",
        "exclude_seen=False), 1), cases)",
        "exclude_seen=False), 10), cases)",
    ),
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
    # --- stages ---
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
    Mutant("stages", "who holds is a negative number of epochs", "hold_epochs: Count = 0", "hold_epochs: int = 0"),
    Mutant(
        "stages",
        "the policy learns nothing while the gates are held",
        "loss=difference_loss, candidate",
        "loss=settled_loss, candidate",
    ),
    # --- training ---
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
    Mutant("training", "the sampled NDCG is the greedy one", "cases, gates=sampled,", "cases, gates=greedy,"),
    Mutant(
        "training",
        "the policy reads past the cut in validation",
        "model.gate_logits(here.items, here.cut)",
        "model.gate_logits(here.items)",
    ),
    Mutant(
        "training",
        "two stages: the policy's embedding stays its own",
        "model.policy.embedding.load_state_dict(pretrained.embedding.state_dict())",
        "pass",
    ),
    Mutant("training", "two stages: the backbone stays new", "target.load_state_dict(pretrained.state_dict())", "pass"),
    # --- backbones.sasrec ---
    Mutant(
        "backbones.sasrec",
        "attention: no dropout on the weights",
        "weights = self.dropout(scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1))",
        "weights = scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1)",
    ),
    Mutant("backbones.sasrec", "attention: any number of heads", "if channels % heads:", "if channels % heads < 0:"),
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
    # --- lab.random_depth ---
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
)

MUTANTS = (*rows_of(*(module for module in MUTATED if module not in mutants_networks.MUTATED)), *OTHERS)

"""Deliberate errors in what lessons 04 to 07 build: from splits and metrics to blocks, backbones and training."""

from mutants import Mutant

MUTATED = ("splits", "metrics", "evaluation", "synthetic", "blocks", "backbones", "training")

# Drawn up blind: from the source alone, before any test of these modules was read.
BLIND = (
    # --- splits: order, leaks, windows, padding ---
    Mutant(
        "splits",
        "the sort by time is not stable",
        'sort_values(["user", "timestamp"], kind="stable")',
        'sort_values("timestamp").sort_values("user", kind="stable")',
    ),
    Mutant(
        "splits", "tied timestamps are ordered by item id", '["user", "timestamp"]', '["user", "timestamp", "item"]'
    ),
    Mutant("splits", "each user's items stay in file order", '["user", "timestamp"]', '["user"]'),
    Mutant("splits", "the validation item is trained on", "s[: -2 * n] if", "s[:-n] if"),
    Mutant("splits", "the test item is trained on", "s[: -2 * n] if", "s if"),
    Mutant(
        "splits",
        "the baselines count validation and test items (last n)",
        "sequences=tuple(s for s in train if len(s))",
        "sequences=tuple(s for s in sequences if len(s))",
    ),
    Mutant(
        "splits",
        "the baselines count validation and test items (sessions)",
        "sequences=tuple(train[0])",
        "sequences=tuple(user_sequences(interactions))",
    ),
    Mutant(
        "splits",
        "training windows overlap by one target",
        "range(len(sequence) - 1, 0, -length)",
        "range(len(sequence) - 1, 0, -max(1, length - 1))",
    ),
    Mutant(
        "splits",
        "what is left of a history beside whole windows is dropped",
        "range(len(sequence) - 1, 0, -length)",
        "range(len(sequence) - 1, length - 1, -length)",
    ),
    Mutant("splits", "the target is the present item", "sequence[start + 1 : end + 1]", "sequence[start:end]"),
    Mutant("windows", "padding on the right", "row[length - len(newest) :]", "row[: len(newest)]"),
    Mutant("windows", "a long history keeps its oldest items", "(sequence)[-length:]", "(sequence)[:length]"),
    Mutant(
        "splits",
        "the policy reads the items to predict",
        "torch.full((len(items),), width - n)",
        "torch.full((len(items),), width - 1)",
    ),
    Mutant(
        "splits",
        "the policy reads one item less than it may",
        "torch.full((len(items),), width - n)",
        "torch.full((len(items),), width - n - 1)",
    ),
    Mutant("splits", "the item to predict is in its own history", "[s[:-1] for s in sequences]", "sequences"),
    Mutant(
        "splits",
        "the test history leaves out the validation items",
        "test=last_positions([sequences[u] for u in long]",
        "test=last_positions([np.concatenate([sequences[u][: -2 * n], sequences[u][-n:]]) for u in long]",
    ),
    Mutant("splits", "validation is the test", "[sequences[u][:-n] for u in longer]", "[sequences[u] for u in longer]"),
    Mutant("splits", "the first of the n is scored with less context", "width = length + n - 1", "width = length"),
    Mutant(
        "splits",
        "a short history's negative bound counts as one from the end",
        "s[: max(0, len(s) - 1 - width)]",
        "s[: len(s) - 1 - width]",
    ),
    Mutant("splits", "sessions overlap", "range(len(sequence), 2, -length)", "range(len(sequence), 2, 1 - length)"),
    Mutant("splits", "a remainder of 3 is dropped", "(len(sequence), 2, -length)", "(len(sequence), 3, -length)"),
    Mutant("splits", "the last session is validation", '["test", "validation", *', '["validation", "test", *'),
    Mutant(
        "windows",
        "chosen rows come with the past of the first ones",
        "tuple(self.seen[i] for i in chosen)",
        "self.seen[: len(chosen)]",
    ),
    Mutant(
        "splits",
        "a case belongs to its row's number, not to its user",
        "cut, torch.tensor(users), tuple(seen))",
        "cut, torch.arange(len(items)), tuple(seen))",
    ),
    Mutant("windows", "positions without a target are scored", "return self.targets > 0", "return self.items > 0"),
    # --- metrics ---
    Mutant(
        "metrics",
        "ties count in favour of the target",
        "scores[..., 1:] >= scores.gather(-1, targets.unsqueeze(-1))).sum(dim=-1)",
        "scores[..., 1:] > scores.gather(-1, targets.unsqueeze(-1))).sum(dim=-1) + 1",
    ),
    Mutant(
        "metrics", "ranks start at 2", "targets.unsqueeze(-1))).sum(dim=-1)", "targets.unsqueeze(-1))).sum(dim=-1) + 1"
    ),
    Mutant("metrics", "the padding column is ranked too", "scores[..., 1:] >=", "scores >="),
    Mutant("metrics", "natural logarithm in NDCG", "torch.log2(", "torch.log("),
    Mutant("metrics", "NDCG discounts by rank + 2", "ranks.double() + 1)", "ranks.double() + 2)"),
    Mutant("metrics", "k off by one", "return (ranks <= k).double()", "return (ranks < k).double()"),
    Mutant("metrics", "population standard deviation", "per_user.std()", "per_user.std(correction=0)"),
    Mutant("metrics", "a standard deviation for a standard error", " / len(per_user) ** 0.5", ""),
    Mutant(
        "metrics",
        "the error of a difference as if the users were not the same",
        "return mean_and_error(first - second)",
        "a, b = mean_and_error(first), mean_and_error(second)\n"
        "    return Estimate(a.mean - b.mean, (a.error**2 + b.error**2) ** 0.5)",
    ),
    Mutant(
        "metrics",
        "the difference has the wrong sign",
        "mean_and_error(first - second)",
        "mean_and_error(second - first)",
    ),
    Mutant(
        "metrics",
        "MRR without its cut-off",
        "return (ranks <= k) / ranks.double()",
        "return (ranks > 0) / ranks.double()",
    ),
    Mutant("metrics", "a single NaN is ranked", "torch.isnan(scores).any()", "torch.isnan(scores).all()"),
    Mutant("metrics", "padding as a target", "int(targets.min()) < 1 or", "int(targets.min()) < 0 or"),
    # --- evaluation ---
    Mutant(
        "evaluation", "dropout stays on while cases are ranked", "with in_eval_mode(model):", "with torch.no_grad():"
    ),
    Mutant(
        "evaluation",
        "the standard error's unit is a prediction, not a user",
        "_, user = cases.users[row].unique(return_inverse=True)",
        "user = torch.arange(len(row))",
    ),
    Mutant("windows", "the present item is not ruled out", "items[row, : position + 1]", "items[row, :position]"),
    Mutant("windows", "later items of a row are ruled out as well", "items[row, : position + 1]", "items[row]"),
    Mutant("windows", "only the window's items are ruled out", "window]) if self.seen else", "window]) if False else"),
    Mutant("evaluation", "rows that share memory are overwritten", "scores = scores.clone()", "scores = scores"),
    Mutant("evaluation", "every batch gets the first one's gates", "gates[rows]}", "gates[: len(batch)]}"),
    Mutant(
        "evaluation",
        "an incomplete last batch is dropped",
        "range(0, len(cases), batch_size)",
        "range(0, max(1, len(cases) - batch_size + 1), batch_size)",
    ),
    Mutant(
        "evaluation",
        "gates that have read the items to predict",
        "model.gates(chunk.items, chunk.cut, sample=sample)",
        "model.gates(chunk.items, sample=sample)",
    ),
    Mutant(
        "evaluation",
        "seen items are ruled out in `evaluate` but not per user",
        "ranks = rank_cases(model, cases, exclude_seen=exclude_seen, gates=gates)",
        "ranks = rank_cases(model, cases, gates=gates)",
    ),
    Mutant(
        "evaluation",
        "seen items are ruled out per user but not in `evaluate`",
        "summarise(rank_cases(model, cases, exclude_seen=exclude_seen, gates=gates), ks)",
        "summarise(rank_cases(model, cases, gates=gates), ks)",
    ),
    Mutant(
        "evaluation",
        "all users are divided by the most predictions of any",
        "/ torch.bincount(user)",
        "/ torch.bincount(user).max()",
    ),
    # --- synthetic ---
    Mutant("synthetic", "lag off by one", "rows[:, t - 1 - lag]", "rows[:, t - 2 - lag]"),
    Mutant(
        "synthetic",
        "the rule begins one step late",
        "range(lag + 1, length)",
        "range(lag + 2, length)",
    ),
    Mutant("synthetic", "noise and rule change places", ">= noise", "< noise"),
    Mutant(
        "synthetic",
        "the best accuracy forgets that noise hits too",
        "1 - self.noise + self.noise / self.rules.shape[1]",
        "1 - self.noise",
    ),
    Mutant(
        "synthetic",
        "fresh training users are the validation's and the test's",
        "if epoch >= self.curriculum_epochs:\n            return self.draw(1000 + epoch)",
        "if epoch >= self.curriculum_epochs:\n            return self.draw(1 + epoch)",
    ),
    Mutant(
        "synthetic",
        "scored from one position too late on",
        "targets[:, : int(part.cut[0])]",
        "targets[:, : int(part.cut[0]) + 1]",
    ),
    Mutant(
        "synthetic",
        "the data's own seed is not used for its users",
        "default_rng([self.seed, seed]), self.lags",
        "default_rng(seed), self.lags",
    ),
    Mutant(
        "synthetic",
        "all groups have one rule",
        "[rng.permutation(items_per_group) for _ in lags]",
        "[rng.permutation(items_per_group)] * len(lags)",
    ),
    Mutant(
        "synthetic",
        "a rule that maps two items to one",
        "rng.permutation(items_per_group) for",
        "rng.integers(items_per_group, size=items_per_group) for",
    ),
    Mutant(
        "synthetic",
        "items and targets share memory",
        "flat[:, :-1].clone(), flat[:, 1:].clone()",
        "flat[:, :-1], flat[:, 1:]",
    ),
    Mutant(
        "synthetic",
        "groups in a block each, where users alternate",
        "windows.users % len(self.lags)",
        "windows.users // self.users_per_group",
    ),
    Mutant(
        "synthetic",
        "shared items are the separate ones",
        "0 if shared_items else",
        "0 if not shared_items else",
    ),
    Mutant(
        "synthetic", "test users are the training users", "self.draw(1), self.draw(2, ", "self.draw(1), self.draw(0, "
    ),
    # --- blocks ---
    Mutant("blocks", "dilation off by one", "shift = tap * self.dilation", "shift = tap * (self.dilation + 1)"),
    Mutant(
        "blocks",
        "the dilation moves the first tap only",
        "shift = tap * self.dilation",
        "shift = tap + self.dilation - 1",
    ),
    Mutant(
        "blocks",
        "the second convolution has the first one's dilation",
        "kernel_size, 2 * dilation)",
        "kernel_size, dilation)",
    ),
    Mutant(
        "blocks",
        "taps read the future",
        "past = F.linear(hidden[:, : time - shift], self.weight[:, :, -1 - tap])\n"
        "            out = out + F.pad(past, (0, 0, shift, 0))",
        "past = F.linear(hidden[:, shift:], self.weight[:, :, -1 - tap])\n"
        "            out = out + F.pad(past, (0, 0, 0, shift))",
    ),
    Mutant("blocks", "all taps read the present", "F.pad(past, (0, 0, shift, 0))", "F.pad(past, (0, 0, 0, shift))"),
    Mutant("blocks", "the past taps in reverse", "self.weight[:, :, -1 - tap]", "self.weight[:, :, tap - 1]"),
    Mutant("blocks", "the last position that a tap reaches is left out", "if shift >= time:", "if shift >= time - 1:"),
    Mutant("blocks", "no bias", "self.weight[:, :, -1], self.bias)", "self.weight[:, :, -1])"),
    Mutant(
        "blocks",
        "LayerNorm over time",
        "branch = F.relu(self.norm2(self.conv2(branch * real)))",
        "branch = F.layer_norm(self.conv2(branch * real).mT, branch.shape[1:2]).mT\n"
        "        branch = F.relu(branch * self.norm2.weight + self.norm2.bias)",
    ),
    Mutant(
        "blocks",
        "no mask before the second convolution",
        "self.conv2(branch * real)",
        "self.conv2(branch)",
    ),
    Mutant(
        "blocks",
        "no mask before the first convolution",
        "self.conv1(hidden * real)",
        "self.conv1(hidden)",
    ),
    Mutant(
        "blocks",
        "the ReZero scalar is ignored",
        "if self.scale is None:",
        "if True:",
    ),
    Mutant("blocks", "the ReZero scalar starts at 1", "nn.Parameter(torch.zeros(1))", "nn.Parameter(torch.ones(1))"),
    Mutant(
        "blocks",
        "the ReZero scalar moves over to the branch",
        "torch.addcmul(hidden, self.scale, branch)",
        "torch.lerp(hidden, branch, self.scale)",
    ),
    Mutant("blocks", "one norm for both convolutions", "self.norm2(self.conv2(", "self.norm1(self.conv2("),
    Mutant(
        "blocks",
        "ReLU before the norm",
        "F.relu(self.norm2(self.conv2(branch * real)))",
        "self.norm2(F.relu(self.conv2(branch * real)))",
    ),
    Mutant("blocks", "no way round a plain block", "return hidden + branch\n", "return branch\n"),
    Mutant(
        "blocks",
        "dropout on the stream, not on the branch",
        "branch = self.dropout(branch)",
        "hidden = self.dropout(hidden)",
    ),
    Mutant(
        "blocks",
        "a receptive field of one convolution a block",
        "(kernel_size - 1) * 3 * sum",
        "(kernel_size - 1) * sum",
    ),
    # --- backbones ---
    Mutant(
        "backbones.nextitnet",
        "padding can be recommended",
        "value=-torch.inf",
        "value=0.0",
    ),
    Mutant("backbones.scoring", "the blocks get no mask", "out = block(hidden, mask)", "out = block(hidden)"),
    Mutant("backbones.scoring", "gates in reverse", "gates[:, index, None, None]", "gates[:, -1 - index, None, None]"),
    Mutant("backbones.scoring", "a gate of 1 skips", "torch.lerp(hidden, out, ", "torch.lerp(out, hidden, "),
    Mutant(
        "backbones.scoring",
        "no gradient for the gates",
        "gates[:, index, None, None].to",
        "gates[:, index, None, None].detach().to",
    ),
    Mutant(
        "backbones.scoring",
        "gates make every block read the embedding",
        "out = block(hidden, mask)",
        "out = block(self.embed(items), mask)",
    ),
    Mutant(
        "backbones.baselines", "transposed transition counts", "np.stack([before, after])", "np.stack([after, before])"
    ),
    Mutant("backbones.baselines", "no back-off", "count + self.strength * self.share", "count + 0 * self.share"),
    Mutant(
        "backbones.baselines",
        "the back-off is uniform",
        "count + self.strength * self.share",
        "count + self.strength / len(self.share)",
    ),
    Mutant(
        "backbones.baselines",
        "one user's last item counts as the one before the next user's first",
        "before = np.concatenate([s[:-1] for s in split.sequences])\n"
        "        after = np.concatenate([s[1:] for s in split.sequences])",
        "everything = np.concatenate(list(split.sequences))\n        before, after = everything[:-1], everything[1:]",
    ),
    Mutant(
        "backbones.baselines",
        "a transition counts once",
        "torch.from_numpy(np.stack([before, after]))",
        "torch.from_numpy(np.stack([before, after])).unique(dim=1)",
    ),
    Mutant(
        "backbones.baselines",
        "probabilities that do not add up to 1",
        "/ (total + self.strength)",
        "/ (total + 1)",
    ),
    Mutant(
        "backbones.baselines",
        "popularity counted from the test targets as well",
        "np.concatenate(split.sequences)",
        "np.concatenate([*split.sequences, split.test.targets[split.test.scored()].numpy()])",
    ),
    Mutant(
        "backbones.baselines",
        "popularity counted from the windows' inputs",
        "np.concatenate(split.sequences)",
        "split.train.items.numpy().ravel()",
    ),
    Mutant("backbones.scoring", "the padding row is not 0", "embedding.weight[1:].normal_", "embedding.weight.normal_"),
    Mutant("backbones.scoring", "train mode after every evaluation", "model.train(was_training)", "model.train()"),
    Mutant(
        "backbones.nextitnet",
        "a tied model holds a copy",
        "self.output_weight = self.embedding.weight",
        "self.output_weight = nn.Parameter(self.embedding.weight.detach().clone())",
    ),
    Mutant(
        "backbones.nextitnet",
        "rezero=False has no effect",
        "rezero=rezero, dropout=dropout) for",
        "dropout=dropout) for",
    ),
    Mutant("backbones.nextitnet", "all blocks have dilation 1", "kernel_size, d, rezero", "kernel_size, 1, rezero"),
    Mutant(
        "backbones.nextitnet",
        "the output bias is not used",
        "F.pad(self.output_bias,",
        "F.pad(0 * self.output_bias,",
    ),
    # --- training ---
    Mutant(
        "stages",
        "the loss counts positions without a target",
        "    scored = batch.scored()\n    return F",
        "    scored = torch.ones_like(batch.items, dtype=torch.bool)\n    return F",
    ),
    Mutant(
        "stages",
        "only the last position is trained",
        "    scored = batch.scored()\n    return F",
        "    scored = batch.scored()\n    scored[:, :-1] = False\n    return F",
    ),
    Mutant("choosing", "the last epoch's weights are kept", "model.load_state_dict(chosen.weights)", "pass"),
    Mutant("choosing", "the kept weights change with the model", "{name: tensor.clone() for", "{name: tensor for"),
    Mutant("choosing", "the worst epoch is chosen", "return max(candidates, key", "return min(candidates, key"),
    Mutant("training", "gradients add up from step to step", "optimizer.zero_grad()", "pass"),
    Mutant("training", "the epoch is chosen on the test", "split.validation, cost)", "split.test, cost)"),
    Mutant("training", "no training mode: dropout is off", "model.train()", "model.eval()"),
    Mutant("training", "dropout stays on in validation", "model.eval()\n                ndcg", "ndcg"),
    Mutant("training", "patience off by one", ">= patience:", "> patience:"),
    Mutant("training", "rows are not shuffled", "torch.randperm(len(train))", "torch.arange(len(train))"),
    Mutant("training", "the seed is not used", "torch.manual_seed(seed)", "torch.manual_seed(0)"),
    Mutant("training", "the ramp starts with the first epoch", "gated += stage.reads is not None", "gated += 1"),
    Mutant(
        "training",
        "epochs of the ramp can be chosen",
        "candidate = stage.candidate and gated >= stage.ramp",
        "candidate = stage.candidate",
    ),
    Mutant(
        "choosing", "most blocks win among the equally good", "key=lambda c: (c.blocks, ", "key=lambda c: (-c.blocks, "
    ),
    Mutant("choosing", "two standard errors are as good", "if behind <= error", "if behind <= 2 * error"),
    Mutant("training", "the same fresh windows in every epoch", "windows = fresh(epoch)", "windows = fresh(0)"),
    Mutant("training", "weight decay is not passed on", "weight_decay=weight_decay)", "weight_decay=0.0)"),
    Mutant(
        "choosing",
        "train mode at the end",
        "        model.eval()\n        if not self",
        "        model.train()\n        if not self",
    ),
)

# Drawn up with the tests at hand, to find what they leave open.
OWN = (
    # --- splits ---
    Mutant(
        "splits",
        "users without interactions vanish",
        "np.arange(1, len(interactions.user_ids))",
        'table["user"].unique()[1:]',
    ),
    Mutant(
        "splits",
        "users with a single item count as left out",
        "left_out=len(long) - len(longer)",
        "left_out=len(sequences) - len(longer)",
    ),
    Mutant("splits", "who has no validation is trained on", "] if len(s) > n else s", "] if len(s) > 2 * n else s"),
    Mutant(
        "splits",
        "what came before a session is forgotten",
        "earlier.append(sequence[:start])",
        "earlier.append(sequence[:0])",
    ),
    Mutant("splits", "all sessions have the first one's past", "earlier[row]", "earlier[0]"),
    Mutant("splits", "a user's sessions stand newest first", "reversed(list(zip(ends, names)))", "zip(ends, names)"),
    Mutant(
        "splits",
        "leave-one-out forgets its length",
        "last_n(interactions, n=1, length=length)",
        "last_n(interactions, n=1)",
    ),
    Mutant(
        "splits",
        "the training rows' cut is their first position",
        "torch.full((len(inputs),), length - 1)",
        "torch.full((len(inputs),), 0)",
    ),
    # --- metrics ---
    Mutant(
        "metrics",
        "the rank of the target's neighbour",
        "scores.gather(-1, targets.unsqueeze(-1))",
        "scores.gather(-1, targets.unsqueeze(-1) - 1)",
    ),
    Mutant(
        "metrics",
        "precision for hit rate",
        "return (ranks <= k).double()",
        "return (ranks <= k).double() / k",
    ),
    Mutant("metrics", "a standard error over n - 1", "len(per_user) ** 0.5", "(len(per_user) - 1) ** 0.5"),
    Mutant(
        "metrics",
        "gains in single precision",
        "torch.log2(ranks.double() + 1)",
        "torch.log2(ranks.float() + 1)",
    ),
    Mutant("metrics", "reciprocal of rank + 1", "/ ranks.double()", "/ (ranks.double() + 1)"),
    # --- evaluation ---
    Mutant(
        "evaluation",
        "a target met before is ranked all the same",
        "batch.past(row, position)] = -torch.inf",
        "[i for i in batch.past(row, position) if i != batch.targets[row, position]]] = -torch.inf",
    ),
    Mutant(
        "evaluation", "all rows at once whatever memory that takes", "= min(batch_size, max(", "= max(batch_size, max("
    ),
    Mutant(
        "evaluation",
        "no row at all where one does not fit",
        "max(1, SCORES_AT_ONCE // max(1, scores_per_row))",
        "SCORES_AT_ONCE // max(1, scores_per_row)",
    ),
    Mutant(
        "evaluation",
        "rows are as many as positions would fit",
        "columns * int(cases.scored().sum(dim=1).max())",
        "columns",
    ),
    Mutant("evaluation", "a bound that MovieLens would meet", "SCORES_AT_ONCE = 2**25", "SCORES_AT_ONCE = 2**20"),
    Mutant("windows", "every row loses the first one's past", "self.seen[row]", "self.seen[0]"),
    Mutant(
        "evaluation",
        "NDCG at the last k",
        "float(ndcg(ranks, k).mean())",
        "float(ndcg(ranks, ks[-1]).mean())",
    ),
    Mutant("evaluation", "NDCG per user at 10 whatever k is", "ndcg(ranks, k), cases)", "ndcg(ranks, 10), cases)"),
    Mutant("evaluation", "sampled gates are the greedy ones", "chunk.cut, sample=sample)", "chunk.cut, sample=False)"),
    Mutant(
        "skipping",
        "full depth and skipping change names",
        '("full", model.backbone), ("skipped", model)',
        '("full", model), ("skipped", model.backbone)',
    ),
    Mutant("skipping", "the first run counts", "statistics.median(found[1:])", "statistics.median(found)"),
    Mutant("skipping", "the fastest run for the median", "statistics.median(found[1:])", "min(found[1:])"),
    # --- synthetic ---
    Mutant(
        "synthetic",
        "scored before the largest lag has passed",
        "max(max(self.lags), self.length // 2)",
        "min(max(self.lags), self.length // 2)",
    ),
    Mutant("synthetic", "scored before the middle", "max(max(self.lags), self.length // 2)", "max(self.lags)"),
    Mutant(
        "synthetic", "the group's last item is never drawn", "rng.integers(size, size=", "rng.integers(size - 1, size="
    ),
    Mutant(
        "synthetic",
        "a user is all noise or none",
        "rng.random(rows.shape)",
        "np.broadcast_to(rng.random((len(rows), 1)), rows.shape)",
    ),
    Mutant("synthetic", "the rules do not depend on the seed", "default_rng(seed)\n", "default_rng(0)\n"),
    Mutant(
        "synthetic",
        "the number of users is not heeded",
        "users_per_group or self.users_per_group",
        "self.users_per_group",
    ),
    Mutant(
        "synthetic",
        "the baselines' sequences end with the second item",
        "train.targets[:, -1:].numpy()",
        "train.targets[:, :1].numpy()",
    ),
    Mutant(
        "synthetic", "the baselines count test users", "zip(train.items.numpy(), train", "zip(test.items.numpy(), test"
    ),
    Mutant(
        "synthetic", "a rule from the right place to the wrong one", "rules[group][rows", "rules[group].argsort()[rows"
    ),
    Mutant("lab.running_products", "products: a row may begin without a marker", "        items[:, 0] = 1\n", ""),
    Mutant("lab.running_products", "products: markers come half as often", "< self.marker, 1", "< self.marker / 2, 1"),
    Mutant(
        "lab.running_products",
        "products: the marker changes nothing",
        "np.where(items[:, t] == 1, 0, _AFTER",
        "np.where(items[:, t] == 1, state, _AFTER",
    ),
    Mutant(
        "lab.running_products",
        "products: the turn undoes itself, as the swap does",
        "((1, 0, 2), (1, 2, 0))",
        "((1, 0, 2), (0, 2, 1))",
    ),
    Mutant(
        "lab.running_products",
        "products: the order before the step",
        "state = np.where(items[:, t] == 1, 0, _AFTER[state, items[:, t] - 2])\n            orders[:, t] = state",
        "orders[:, t] = state\n            state = np.where(items[:, t] == 1, 0, _AFTER[state, items[:, t] - 2])",
    ),
    Mutant(
        "lab.running_products",
        "products: swap and turn change places",
        "_AFTER[state, items[:, t] - 2]",
        "_AFTER[state, 3 - items[:, t]]",
    ),
    Mutant(
        "lab.running_products",
        "products: fresh rows are the validation's and the test's",
        'rows of an epoch: what `fit` takes as its argument of that name."""\n        return self.draw(1000 + epoch)',
        'rows of an epoch."""\n        return self.draw(1 + epoch)',
    ),
    Mutant(
        "lab.running_products",
        "products: steps counted from the first marker",
        ".cummax(dim=1).values",
        ".cummin(dim=1).values",
    ),
    # --- blocks ---
    Mutant("blocks", "dilations d and d + 1", "kernel_size, 2 * dilation)", "kernel_size, dilation + 1)"),
    Mutant("blocks", "a ReZero scalar for each channel", "torch.zeros(1)", "torch.zeros(channels)"),
    Mutant(
        "blocks",
        "no gradient through the branch",
        "branch = self.dropout(branch)",
        "branch = self.dropout(branch).detach()",
    ),
    Mutant(
        "blocks",
        "another epsilon in the norm",
        "self.norm1 = nn.LayerNorm(channels)\n        self.conv2",
        "self.norm1 = nn.LayerNorm(channels, eps=1e-3)\n        self.conv2",
    ),
    Mutant(
        "blocks",
        "a norm without weight and bias",
        "self.norm2 = nn.LayerNorm(channels)\n        self.dropout = nn.Dropout(dropout)\n        self.scale =",
        "self.norm2 = nn.LayerNorm(channels, elementwise_affine=False)\n"
        "        self.dropout = nn.Dropout(dropout)\n        self.scale =",
    ),
    Mutant(
        "blocks",
        "dropout after each convolution",
        "F.relu(self.norm1(self.conv1(hidden * real)))",
        "self.dropout(F.relu(self.norm1(self.conv1(hidden * real))))",
    ),
    Mutant(
        "blocks",
        "three taps in the second convolution, whatever is asked",
        "CausalConv1d(channels, kernel_size, 2 *",
        "CausalConv1d(channels, 3, 2 *",
    ),
    Mutant("blocks", "a bias for each tap", "[:, :, -1 - tap])", "[:, :, -1 - tap], self.bias)"),
    Mutant(
        "blocks",
        "equal dilations reach once",
        "sum(dilations)",
        "sum({*dilations})",
    ),
    Mutant(
        "blocks",
        "no ReLU after the second convolution",
        "F.relu(self.norm2(self.conv2(branch * real)))",
        "self.norm2(self.conv2(branch * real))",
    ),
    # --- backbones ---
    Mutant(
        "backbones.scoring",
        "scores one position late",
        "self.score(self.encode(items)[where])",
        "self.score(self.encode(items)[where.roll(1, 1)])",
    ),
    Mutant(
        "backbones.nextitnet",
        "no dropout on the embedding",
        "self.embedding_dropout(self.embedding(items))",
        "self.embedding(items)",
    ),
    Mutant(
        "backbones.nextitnet",
        "dropout is not passed on to the blocks",
        "rezero=rezero, dropout=dropout) for",
        "rezero=rezero) for",
    ),
    Mutant(
        "backbones.scoring",
        "eval mode stays after an error",
        "    try:\n        yield\n    finally:\n        model.train(was_training)",
        "    yield\n    model.train(was_training)",
    ),
    Mutant("backbones.scoring", "item 1 counts as padding", "mask = items > 0  #", "mask = items > 1  #"),
    Mutant(
        "backbones.scoring",
        "an item past the catalogue is let through",
        "int(items.max()) > num_items)",
        "int(items.max()) > num_items + 1)",
    ),
    Mutant(
        "backbones.scoring",
        "embeddings of width 1",
        "embedding.weight[1:].normal_(std=channels**-0.5)",
        "embedding.weight[1:].normal_()",
    ),
    Mutant(
        "backbones.nextitnet",
        "output weights of width 1",
        "torch.randn(num_items + 1, channels) * channels**-0.5",
        "torch.randn(num_items + 1, channels)",
    ),
    Mutant(
        "backbones.nextitnet",
        "kernel size is not passed on",
        "ResidualBlock(channels, kernel_size, d,",
        "ResidualBlock(channels, 3, d,",
    ),
    Mutant(
        "backbones.baselines",
        "the catalogue ends with the largest item of the training",
        "minlength=split.num_items + 1",
        "minlength=max(s.max() for s in split.sequences) + 1",
    ),
    Mutant(
        "backbones.nfm",
        "NFM: pairs with the future",
        "embedded.cumsum(dim=1).square()",
        "embedded.sum(dim=1, keepdim=True).square()",
    ),
    Mutant(
        "backbones.nfm", "NFM: an item makes a pair with itself", " - embedded.square().cumsum(dim=1)) / 2", ") / 2"
    ),
    Mutant(
        "backbones.nfm",
        "NFM: the square of a sum of squares",
        "embedded.square().cumsum(dim=1)",
        "embedded.cumsum(dim=1).square()",
    ),
    Mutant("backbones.nfm", "NFM: the one half is missing", "cumsum(dim=1)) / 2", "cumsum(dim=1))"),
    Mutant(
        "backbones.nfm",
        "NFM: a mean over items, not over pairs",
        "(count * (count - 1) / 2).clamp_min(1)",
        "count.clamp_min(1)",
    ),
    Mutant(
        "backbones.nfm",
        "NFM: padding counts as an item",
        "count = (items > 0).cumsum",
        "count = torch.ones_like(items).cumsum",
    ),
    Mutant("backbones.nfm", "NFM: no ReLU", "self.dropout(F.relu(layer(hidden)))", "self.dropout(layer(hidden))"),
    Mutant(
        "backbones.nfm",
        "NFM: hidden layers share their weights",
        "for layer in self.hidden_layers:\n            hidden = self.dropout(F.relu(layer(hidden)))",
        "for _ in self.hidden_layers:\n            hidden = self.dropout(F.relu(self.hidden_layers[0](hidden)))",
    ),
    Mutant(
        "backbones.nfm",
        "NFM: padding can be recommended",
        "-torch.inf",
        "0.0",
    ),
    # --- training ---
    Mutant("training", "weight decay coupled to the gradient", "torch.optim.AdamW(", "torch.optim.Adam("),
    Mutant("training", "the learning rate is not passed on", "lr=learning_rate,", ""),
    Mutant(
        "training",
        "the learning rate has fallen after one epoch",
        "CosineAnnealingLR(optimizer, len(plan) * steps)",
        "CosineAnnealingLR(optimizer, steps)",
    ),
    Mutant("training", "the last batch's loss for the epoch's", "sum(losses) / len(losses)", "losses[-1]"),
    Mutant(
        "training",
        "an incomplete batch is dropped",
        "torch.randperm(len(train)).split(batch_size)",
        "torch.randperm(len(train))[: max(1, len(train) // batch_size) * batch_size].split(batch_size)",
    ),
    Mutant(
        "choosing",
        "an unpaired error chooses",
        "behind, error = paired_difference(best.ndcg, candidate.ndcg)",
        "behind, error = best.ndcg.mean() - candidate.ndcg.mean(), best.ndcg.std() / len(best.ndcg) ** 0.5",
    ),
    Mutant(
        "choosing",
        "how far the best lies behind each",
        "paired_difference(best.ndcg, ndcg)",
        "paired_difference(ndcg, best.ndcg)",
    ),
    Mutant(
        "choosing", "better or cheaper is enough to beat", "b.ndcg.mean()) and a.blocks", "b.ndcg.mean()) or a.blocks"
    ),
    Mutant(
        "training",
        "chosen under sampled gates",
        "ndcg = ndcg_per_user(model, cases, gates=greedy)",
        "ndcg = ndcg_per_user(model, cases, gates=sampled)",
    ),
    Mutant(
        "training",
        "the warm-up is judged under the policy's gates",
        "_validate(stage.part_of(model),",
        "_validate(model,",
    ),
    Mutant(
        "stages",
        "the cost grows beyond its size",
        "self.cost * min(1.0, epochs / self.ramp)",
        "self.cost * (epochs / self.ramp)",
    ),
    Mutant(
        "training",
        "the stream of the session is used",
        "with torch.random.fork_rng(devices=[]):\n            torch.manual_seed",
        "with torch.enable_grad():\n            torch.manual_seed",
    ),
)

MUTANTS = (*BLIND, *OWN)

"""Deliberate errors in what lessons 04 to 07 build: from splits and metrics to blocks, backbones and training."""

from mutants import Mutant, rows_of

MUTATED = ("splits", "metrics", "evaluation", "synthetic", "blocks", "backbones", "training")

OTHERS = (
    # --- splits ---
    Mutant("splits", "the test item is trained on", "s[: -2 * n] if", "s if"),
    Mutant("splits", "who has no validation is trained on", "] if len(s) > n else s", "] if len(s) > 2 * n else s"),
    Mutant("splits", "all sessions have the first one's past", "earlier[row]", "earlier[0]"),
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
    # --- windows ---
    Mutant(
        "windows",
        "chosen rows come with the past of the first ones",
        "tuple(self.seen[i] for i in chosen)",
        "self.seen[: len(chosen)]",
    ),
    Mutant("windows", "positions without a target are scored", "return self.targets > 0", "return self.items > 0"),
    Mutant("windows", "the present item is not ruled out", "> position.unsqueeze(1)", ">= position.unsqueeze(1)"),
    Mutant("windows", "later items of a row are ruled out as well", ".masked_fill(later, 0)", ""),
    Mutant("windows", "only the window's items are ruled out", "if not self.seen:", "if True:"),
    Mutant("windows", "every row loses the first one's past", "before[row]", "before[:1].expand(len(row), -1)"),
    # --- metrics ---
    Mutant("metrics", "k off by one", "return (ranks <= k).double()", "return (ranks < k).double()"),
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
    Mutant(
        "metrics",
        "precision for hit rate",
        "return (ranks <= k).double()",
        "return (ranks <= k).double() / k",
    ),
    Mutant(
        "metrics",
        "gains in single precision",
        "torch.log2(ranks.double() + 1)",
        "torch.log2(ranks.float() + 1)",
    ),
    Mutant("metrics", "reciprocal of rank + 1", "/ ranks.double()", "/ (ranks.double() + 1)"),
    # --- evaluation ---
    Mutant("evaluation", "every batch gets the first one's gates", "gates[rows].to", "gates[: len(batch)].to"),
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
        "exclude_seen=exclude_seen, gates=gates, device=device)",
        "gates=gates, device=device)",
    ),
    Mutant(
        "evaluation",
        "a target met before is ranked all the same",
        "batch.past()",
        "batch.past().masked_fill(batch.past() == batch.targets[where].unsqueeze(1), 0)",
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
    Mutant(
        "evaluation",
        "NDCG at the last k",
        "float(ndcg(ranks, k).mean())",
        "float(ndcg(ranks, ks[-1]).mean())",
    ),
    Mutant("evaluation", "NDCG per user at 10 whatever k is", "ndcg(ranks, k), cases)", "ndcg(ranks, 10), cases)"),
    Mutant("evaluation", "sampled gates are the greedy ones", "chunk.cut, sample=sample)", "chunk.cut, sample=False)"),
    # --- synthetic ---
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
        "synthetic", "test users are the training users", "self.draw(1), self.draw(2, ", "self.draw(1), self.draw(0, "
    ),
    Mutant(
        "synthetic",
        "scored before the largest lag has passed",
        "max(max(self.lags), self.length // 2)",
        "min(max(self.lags), self.length // 2)",
    ),
    Mutant("synthetic", "scored before the middle", "max(max(self.lags), self.length // 2)", "max(self.lags)"),
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
    # --- backbones.baselines ---
    Mutant(
        "backbones.baselines",
        "the back-off is uniform",
        "count + self.strength * self.share",
        "count + self.strength / len(self.share)",
    ),
    Mutant(
        "backbones.baselines",
        "a transition counts once",
        "torch.from_numpy(np.stack([before, after]))",
        "torch.from_numpy(np.stack([before, after])).unique(dim=1)",
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
    Mutant(
        "backbones.baselines",
        "the catalogue ends with the largest item of the training",
        "minlength=split.num_items + 1",
        "minlength=max(s.max() for s in split.sequences) + 1",
    ),
    # --- backbones.scoring ---
    Mutant("backbones.scoring", "the padding row is not 0", "embedding.weight[1:].normal_", "embedding.weight.normal_"),
    Mutant("backbones.scoring", "train mode after every evaluation", "model.train(was_training)", "model.train()"),
    Mutant(
        "backbones.scoring",
        "eval mode stays after an error",
        "    try:\n        yield\n    finally:\n        model.train(was_training)",
        "    yield\n    model.train(was_training)",
    ),
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
    # --- stages ---
    Mutant(
        "stages",
        "the loss counts positions without a target",
        "    scored = batch.scored()\n    return F",
        "    scored = torch.ones_like(batch.items, dtype=torch.bool)\n    return F",
    ),
    Mutant(
        "stages",
        "the cost grows beyond its size",
        "self.cost * min(1.0, epochs / self.ramp)",
        "self.cost * (epochs / self.ramp)",
    ),
    # --- choosing ---
    Mutant("choosing", "the last epoch's weights are kept", "model.load_state_dict(chosen.weights)", "pass"),
    Mutant("choosing", "the kept weights change with the model", "{name: tensor.clone() for", "{name: tensor for"),
    Mutant("choosing", "the worst epoch is chosen", "return max(candidates, key", "return min(candidates, key"),
    Mutant(
        "choosing",
        "train mode at the end",
        "        model.eval()\n        if not self",
        "        model.train()\n        if not self",
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
    # --- training ---
    Mutant("training", "dropout stays on in validation", "model.eval()\n                ndcg", "ndcg"),
    Mutant("training", "patience off by one", ">= patience:", "> patience:"),
    Mutant("training", "the ramp starts with the first epoch", "gated += stage.reads is not None", "gated += 1"),
    Mutant(
        "training",
        "epochs of the ramp can be chosen",
        "candidate = stage.candidate and gated >= stage.ramp",
        "candidate = stage.candidate",
    ),
    Mutant("training", "the same fresh windows in every epoch", "windows = fresh(epoch)", "windows = fresh(0)"),
    Mutant("training", "weight decay is not passed on", "weight_decay=weight_decay,", "weight_decay=0.0,"),
    Mutant("training", "weight decay coupled to the gradient", "torch.optim.AdamW(", "torch.optim.Adam("),
    Mutant(
        "training",
        "the learning rate has fallen after one epoch",
        "CosineAnnealingLR(optimizer, len(plan) * steps)",
        "CosineAnnealingLR(optimizer, steps)",
    ),
    Mutant(
        "training",
        "chosen under sampled gates",
        "ndcg = ndcg_per_user(model, cases, gates=greedy,",
        "ndcg = ndcg_per_user(model, cases, gates=sampled,",
    ),
    Mutant(
        "training",
        "the warm-up is judged under the policy's gates",
        "_validate(stage.part_of(model),",
        "_validate(model,",
    ),
    # --- lab.running_products ---
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
    Mutant(
        "blocks",
        "another epsilon in the norm",
        "self.norm1 = nn.LayerNorm(channels)\n        self.conv2",
        "self.norm1 = nn.LayerNorm(channels, eps=1e-3)\n        self.conv2",
    ),
    Mutant(
        "blocks",
        "a norm without weight and bias",
        "self.norm2 = nn.LayerNorm(channels)\n        self.dropout = Dropout(dropout)\n        self.scale =",
        "self.norm2 = nn.LayerNorm(channels, elementwise_affine=False)\n"
        "        self.dropout = Dropout(dropout)\n        self.scale =",
    ),
    # --- backbones.nextitnet ---
    Mutant(
        "backbones.nextitnet",
        "output weights of width 1",
        "torch.randn(num_items + 1, channels) * channels**-0.5",
        "torch.randn(num_items + 1, channels)",
    ),
)

MUTANTS = (*rows_of(*MUTATED), *OTHERS)

"""What goes wrong in lesson 09: edits of `controls.py`."""

from skiprec_course.mistakes import Mistake

DRAW = "random_gates(len(items), len(self.backbone.blocks), self.keep_rate)"
KEEPS = "torch.rand(rows, blocks) < keep_rate"
AT_TEST = "        gates = None\n"
SCORES = "return self.backbone.score(self.encode(items)[where])"

RANDOM_GATES = (
    Mistake("score the positions where `where` is True, and no others", SCORES, SCORES.replace("[where]", "")),
    Mistake("the gates are random at test time too: after training all blocks are kept",
            "if self.training:", "if True:"),
    Mistake("the gates are random at test time, and all blocks are kept in training: it is the other way round",
            "if self.training:", "if not self.training:"),
    Mistake("at test time the gates are keep_rate: here all blocks are kept, gates of 1", AT_TEST,
            "        gates = torch.full((len(items), len(self.backbone.blocks)), self.keep_rate)\n"),
    Mistake("at test time no block is run: all are kept", AT_TEST,
            "        gates = torch.zeros(len(items), len(self.backbone.blocks))\n"),
    Mistake("`cut` is not used: the backbone reads everything",
            SCORES, SCORES.replace("(items)", "(visible(items, cut))")),
    Mistake("while it trains, blocks are kept at random: draw gates in training mode",
            "if self.training:", "if False:"),
    Mistake("all rows get the same pattern: each needs gates of its own",
            DRAW, "random_gates(1, len(self.backbone.blocks), self.keep_rate).expand(len(items), -1)"),
    Mistake("a row keeps all blocks or none: each block needs a draw of its own",
            KEEPS, "torch.rand(rows, 1).expand(-1, blocks) < keep_rate"),
    Mistake("the rate is inverted: it is that of keeping", KEEPS, "torch.rand(rows, blocks) > keep_rate"),
    Mistake("the rate has no effect: blocks are kept with probability 1/2", KEEPS, "torch.rand(rows, blocks) < 0.5"),
    Mistake("each row keeps the same number of blocks: the draws have to be independent",
            KEEPS, "torch.rand(rows, blocks).argsort(dim=1) < round(keep_rate * blocks)"),
    Mistake("a gate keeps (1) or skips (0): compare the random number with the rate",
            "(torch.rand(rows, blocks) < keep_rate).float()", "torch.rand(rows, blocks)"),
    Mistake("no gradient reaches the backbone: it is trained like this", SCORES, SCORES + ".detach()"),
)  # fmt: skip

CIRCLE = "torch.randperm(len(gates), generator=torch.Generator().manual_seed(seed))"
TURNED = "other[circle] = circle.roll(1)"
HANDED = "return gates[other]"
KEEPS_OWN = "a shuffle leaves some where they are: nobody may keep their own"
NO_SEED = "`seed` has no effect: the exchange has to be drawn from it"

ANOTHER_USERS = (
    Mistake("return the gates themselves, a row for each user", HANDED, "return other"),
    Mistake("hand on whole rows: the blocks of a row belong together",
            HANDED, "return torch.stack([gates[other.roll(b)][:, b] for b in range(gates.shape[1])], dim=1)"),
    Mistake("everybody gets the gates of one user: each row's gates go to one other row",
            HANDED, "return gates[other[:1]].expand_as(gates)"),
    Mistake("draw without replacement: each row's gates go to one other row", TURNED,
            "other = (torch.arange(len(gates)) + torch.randint(1, len(gates), (len(gates),))) % len(gates)"),
    Mistake(KEEPS_OWN, TURNED, "other = circle"),
    Mistake(KEEPS_OWN, TURNED, "other = circle.roll(1)"),
    Mistake("the gates are as they were: hand them on", HANDED, "return gates"),
    Mistake(NO_SEED, CIRCLE, "torch.arange(len(gates))"),
    Mistake(NO_SEED, CIRCLE, "torch.randperm(len(gates), generator=torch.Generator().manual_seed(7))"),
    Mistake("draw from a generator of your own: torch.Generator().manual_seed(seed)",
            CIRCLE, "torch.randperm(len(gates))"),
    Mistake("torch.manual_seed sets the global random numbers: make a generator of your own",
            CIRCLE, "torch.randperm(len(gates), generator=torch.manual_seed(seed))"),
)  # fmt: skip

FREE = "free = visible(items, cases.cut) > 0"
NOISE = "torch.rand(items.shape, generator=torch.Generator().manual_seed(seed))"
NEW_ORDER = "row[source[: places.sum()]]"
CASES = "return replace(cases, items=items)"

SHUFFLED_HISTORIES = (
    Mistake("return Windows with other items, not the items alone", CASES, "return items"),
    Mistake("work on a copy: the given cases stay as they are", "items = cases.items.clone()", "items = cases.items"),
    Mistake("only the items are shuffled", CASES, "return replace(cases, items=items, targets=cases.targets.flip(1))"),
    Mistake("padding is no item: it stays where it is, shuffle the real items only",
            FREE, "free = (visible(items, cases.cut) > 0) | (items == 0)"),
    Mistake("the policy may not read what comes after the cut: those items stay where they are",
            FREE, "free = items > 0"),
    Mistake("shuffle without replacement: each item stays in its row, once",
            NEW_ORDER, "row[source[torch.arange(int(places.sum())) // 2]]"),
    Mistake("the items are as they were: shuffle them", NEW_ORDER, "row[places]"),
    Mistake("the policy reads up to and including the cut: that item is shuffled too",
            FREE, "free = visible(items, (cases.cut - 1).clamp_min(0)) > 0"),
    Mistake("draw from a generator of your own: torch.Generator().manual_seed(seed)",
            NOISE, "torch.rand(items.shape)"),
    Mistake("`seed` has no effect: draw the orders from it",
            NOISE, "torch.rand(items.shape, generator=torch.Generator().manual_seed(0))"),
    Mistake("torch.manual_seed sets the global random numbers: make a generator of your own",
            NOISE, "torch.rand(items.shape, generator=torch.manual_seed(seed))"),
    Mistake("each row needs an order of its own", "torch.rand(items.shape, generator",
            "torch.rand(1, items.shape[1], generator"),
    Mistake("each order has to be equally likely: draw a random permutation",
            NEW_ORDER, "row[places].roll(int(source[0]))"),
)  # fmt: skip

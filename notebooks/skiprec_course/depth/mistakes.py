"""What goes wrong in lesson 07: edits of `backbones/nfm.py` and `synthetic.py`."""

from skiprec_course.mistakes import Mistake

# --- NFM ---

PAIRS = "(count * (count - 1) / 2).clamp_min(1)"
SUMS = "(embedded.cumsum(dim=1).square() - embedded.square().cumsum(dim=1))"
HALF = f"{SUMS} / 2"
POOLED = "products / pairs"
LAYER = "hidden = self.dropout(F.relu(layer(hidden)))"
LOOP = f"for layer in self.hidden_layers:\n            {LAYER}"
LAYERS = "nn.ModuleList(nn.Linear(channels, channels) for _ in range(hidden_layers))"
SCALED = """self.embedding = item_embedding(num_items, channels)
        with torch.no_grad():
            self.embedding.weight *= channels**0.5"""
WHOLE_ROW = "sums, or n, run over the whole row: a position may count the items up to it only, as a cumsum does"
IN_A_LIST = (
    "as many linear layers, (channels, channels), as hidden_layers says, in an nn.ModuleList: a plain list hides its "
    "parameters, and one layer used twice is one layer"
)
DROPOUT = "put nn.Dropout(dropout) on the pool and on each hidden layer"

NFM = (
    Mistake("this is the sum over all pairs: divide by their number for the mean", POOLED, "products"),
    Mistake("this is twice the sum over all pairs: divide by n (n - 1) for the mean", POOLED, "2 * products"),
    Mistake("a factor of 2 is wrong: each pair counts once, and there are n (n - 1) / 2", HALF, f"{SUMS} / 4"),
    Mistake("a factor of 2 is wrong: each pair counts twice in the square of the sum",
            "cumsum(dim=1)) / 2", "cumsum(dim=1))"),
    Mistake("you divide by n, and each pair is counted twice: there are n (n - 1) / 2 pairs",
            POOLED, "2 * products / count.clamp_min(1)"),
    Mistake("you divide by n: there are n (n - 1) / 2 pairs", PAIRS, "count.clamp_min(1)"),
    Mistake("you divide by n squared: an item makes no pair with itself, so there are n (n - 1)",
            PAIRS, "(count * count / 2).clamp_min(1)"),
    Mistake("with fewer than two items n (n - 1) is 0: a single item has no pair, and the pool is 0 there",
            PAIRS, "(count * (count - 1) / 2)"),
    Mistake("square of the sum and sum of the squares have changed places", POOLED, "-products / pairs"),
    Mistake("the sum of the squares is not taken away: an item makes no pair with itself",
            " - embedded.square().cumsum(dim=1)) / 2", ") / 2"),
    Mistake("the square of the sum is missing: these are squares of single items only",
            HALF, "embedded.square().cumsum(dim=1) / 2"),
    Mistake("the squares are those of single items, added up: square, then cumsum",
            "embedded.square().cumsum(dim=1)", "embedded.cumsum(dim=1).square()"),
    Mistake("this is the mean of the embeddings: pairs are multiplied",
            POOLED, "embedded.cumsum(dim=1) / count.clamp_min(1)"),
    Mistake("the pool is a number for each position: the channels are not summed up",
            POOLED, "(products / pairs).sum(dim=-1, keepdim=True).expand_as(embedded)"),
    Mistake("the sums run along the channels: they run along time", SUMS, SUMS.replace("dim=1", "dim=2")),
    Mistake(WHOLE_ROW, "embedded.cumsum(dim=1).square()", "embedded.sum(dim=1, keepdim=True).square()"),
    Mistake(WHOLE_ROW, PAIRS, PAIRS.replace("(count", "(count[:, -1:]", 1).replace("(count -", "(count[:, -1:] -")),
    Mistake(WHOLE_ROW, POOLED, "(products / pairs)[:, -1:].expand_as(embedded)"),
    Mistake("padding is counted in n: it is the number of real items so far",
            "count = (items > 0).cumsum", "count = torch.ones_like(items).cumsum"),
    Mistake("only neighbours make pairs: all pairs of items so far count", POOLED,
            "F.pad(embedded[:, 1:] * embedded[:, :-1], (0, 0, 1, 0)).cumsum(dim=1) / (count - 1).clamp_min(1)"),
    Mistake("there is a ReLU on the pool", POOLED, "F.relu(products / pairs)"),
    Mistake("the ReLU is missing behind the hidden layers", LAYER, "hidden = self.dropout(layer(hidden))"),
    Mistake("the ReLU stands before the hidden layers: it belongs behind each",
            LAYER, "hidden = self.dropout(layer(F.relu(hidden)))"),
    Mistake("the hidden layers are added to their input: there is no residual here",
            LAYER, "hidden = hidden + self.dropout(F.relu(layer(hidden)))"),
    Mistake("only the first hidden layer is used", "in self.hidden_layers:", "in self.hidden_layers[:1]:"),
    Mistake("the first hidden layer stands for all: each has its own weights",
            LOOP, LOOP.replace("layer in", "_ in").replace("layer(", "self.hidden_layers[0](")),
    Mistake("the hidden layers are not used", "in self.hidden_layers:", "in []:"),
    Mistake(IN_A_LIST, LAYERS, "[nn.Linear(channels, channels) for _ in range(hidden_layers)]"),
    Mistake(IN_A_LIST, LAYERS, "nn.ModuleList([nn.Linear(channels, channels)])"),
    Mistake("padding could be recommended: put a column of -inf in front", "-torch.inf", "0.0"),
    Mistake("a column for each item and, before them, one for padding",
            "return torch.cat([padding, scores], dim=-1)", "return scores"),
    Mistake("one row for each item and one for padding: num_items + 1, each of `channels` numbers",
            SCALED, "self.embedding = nn.Embedding(num_items, channels, padding_idx=0)"),
    Mistake("padding is embedded as a vector of its own: it is 0 and no item",
            SCALED, "self.embedding = nn.Embedding(num_items + 1, channels)"),
    Mistake("products of two small numbers are tiny: scale item_embedding's rows up",
            SCALED, "self.embedding = item_embedding(num_items, channels)"),
    Mistake(DROPOUT, f"self.dropout({POOLED})", POOLED),
    Mistake(DROPOUT, LAYER, "hidden = F.relu(layer(hidden))"),
)  # fmt: skip

# --- draw_sequences ---

BEGIN = "sequences = np.empty((users_per_group, groups, length), dtype=np.int64)\n"
START = "rows = rng.integers(size, size=(users_per_group, length))"
RULED = "rules[group][rows"
BEFORE = "rows[:, t - 1 - lag]"
OFFSET = "(0 if shared_items else group * size)"
RESULT = "return sequences\n"
OWN = "without shared_items each group has items of its own, one range after the other"

DRAW_SEQUENCES = (
    Mistake("the lag is one too short: x[t + 1] follows x[t - lag], so x[t] follows x[t - lag - 1]",
            "enumerate(lags)", "enumerate(max(lag - 1, 0) for lag in lags)"),
    Mistake("the lag is one too long: x[t + 1] follows x[t - lag], so x[t] follows x[t - lag - 1]",
            BEFORE, "rows[:, t - 2 - lag]"),
    Mistake("the items from lag + 1 on follow the rule, the very first of them too",
            "range(lag + 1, length)", "range(lag + 2, length)"),
    Mistake("every group has the first group's lag", BEFORE, "rows[:, t - 1 - lags[0]]"),
    Mistake("the rule is read backwards: rules[g][i] is the item that follows i", RULED, "rules[group].argsort()[rows"),
    Mistake("every group has the first group's rule", RULED, "rules[0][rows"),
    Mistake("the rule has no effect: the item itself comes again", RULED, "np.arange(size)[rows"),
    Mistake("items count from 1: 0 is padding", "rows + 1 +", "rows +"),
    Mistake(OWN, OFFSET, "0"),
    Mistake(OWN, "0 if shared_items else", "0 if not shared_items else"),
    Mistake("with shared_items all groups have the items 1 ... items_per_group", OFFSET, "group * size"),
    Mistake("noise is the probability of a random item, not of the rule's", ">= noise", "< noise"),
    Mistake("there is no noise: with probability `noise` an item is a random one", ">= noise", ">= 0"),
    Mistake("the rule reads the sequence before the noise: x[t] follows the item that is really there",
            f"np.where(follow[:, t], {RULED}[:, t - 1 - lag]], rows[:, t])\n", f"{RULED}[:, t - 1 - lag]]\n"
            "        rows = np.where(follow | (np.r_[:length] <= lag), rows, rng.integers(size, size=rows.shape))\n"),
    Mistake("a random item is any of the group's, the rule's too", f"{BEFORE}], rows[:, t])",
            f"{BEFORE}], (rules[group][{BEFORE}] + rng.integers(1, size, users_per_group)) % size)"),
    Mistake("noise is drawn for whole users: draw it for each item", "rng.random(rows.shape)",
            "np.broadcast_to(rng.random((len(rows), 1)), rows.shape)"),
    Mistake("noise is drawn once for all users: draw it for each item", "rng.random(rows.shape)",
            "np.broadcast_to(rng.random((1, length)), rows.shape)"),
    Mistake("each user draws first items of its own",
            START, "rows = rng.integers(size, size=(1, length)).repeat(users_per_group, 0)"),
    Mistake("each of the first lag + 1 items is a draw of its own",
            START, "rows = rng.integers(size, size=(users_per_group, 1)).repeat(length, 1)"),
    Mistake("each group draws its own first items", "enumerate(lags):\n", "enumerate(lags):\n"
            "        rng = np.random.default_rng(first := int(rng.integers(9)) if group == 0 else first)\n"),
    Mistake("the first lag + 1 items are drawn evenly from all items of the group",
            "rng.integers(size, size=", "rng.integers(size - 1, size="),
    Mistake("the axes are (user, group, time)", RESULT, "return sequences.transpose(1, 0, 2)\n"),
    Mistake("the axes are (user, group, time): one row for all groups of a user is too few axes",
            RESULT, "return sequences.reshape(-1, length)\n"),
    Mistake("items are indices: make an int64 array", RESULT, "return sequences.astype(float)\n"),
    Mistake("draw all random numbers from `rng`", BEGIN, f"{BEGIN}    rng = np.random.default_rng()\n"),
    Mistake("`rng` is not used: draw all numbers from it", BEGIN, f"{BEGIN}    rng = np.random.default_rng(0)\n"),
    Mistake("`rng` has to move on: draw from it, not from a copy", BEGIN,
            f"{BEGIN}    rng = type(rng)(type(rng.bit_generator)(rng.bit_generator.seed_seq))\n"),
)  # fmt: skip

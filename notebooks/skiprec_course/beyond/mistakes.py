"""What goes wrong in lesson 13: edits of `policy_gradient.py` and of `backbones/sasrec.py`."""

from skiprec_course.mistakes import Mistake

# --- policy_gradient.py ---

LOG_PI = "F.log_softmax(logits, dim=-1)"
CHOSEN = "gates * log_pi[..., 0] + (1 - gates) * log_pi[..., 1]"
TOTAL = f"({CHOSEN}).sum(dim=1)"

LOG_PROBABILITY = (
    Mistake("keep and skip are swapped: the keep logit comes first, and a gate of 1 keeps",
            CHOSEN, "gates * log_pi[..., 1] + (1 - gates) * log_pi[..., 0]"),
    Mistake("this is the mean over the blocks: independent choices multiply, so logarithms add up",
            "log_pi[..., 1]).sum(dim=1)", "log_pi[..., 1]).mean(dim=1)"),
    Mistake("this is the probability: its logarithm is asked for", TOTAL, f"{TOTAL}.exp()"),
    Mistake("probabilities are added up: take their logarithms first", LOG_PI, "logits.softmax(dim=-1)"),
    Mistake("a probability rounds to 0, and its logarithm is infinite: take both at once (log_softmax)",
            LOG_PI, "logits.softmax(dim=-1).log()"),
    Mistake("the skipped blocks are missing: a gate of 0 has a log-probability too", CHOSEN, "gates * log_pi[..., 0]"),
    Mistake("the logits are added up as they are: they need a log-softmax first", LOG_PI, "logits"),
    Mistake("the softmax runs over the blocks: it runs over keep and skip", LOG_PI, "F.log_softmax(logits, dim=1)"),
    Mistake("this is the negative log-probability: a loss, not what is asked for", TOTAL, f"-{TOTAL}"),
    Mistake("the sum runs over the users: one number for each of them is asked for, summed over the blocks",
            TOTAL, f"({CHOSEN}).sum(dim=0)"),
    Mistake("this is one number for each gate: sum over the blocks", TOTAL, f"({CHOSEN})"),
    Mistake("this is one number for all users: sum over the blocks only", TOTAL, f"({CHOSEN}).sum()"),
    Mistake("the logits are detached: this is the policy's way to its gradient",
            LOG_PI, "F.log_softmax(logits.detach(), dim=-1)"),
)  # fmt: skip

SAMPLE = "gates = model.decide(logits, sample=True).detach()"
GREEDY = "greedy = model.decide(logits, sample=False)"
ADVANTAGE = "advantage = rewards[0] - rewards[1]"
PUSHED = "log_probability(logits, gates)).mean()"
LOSS = "losses_at(model.backbone, batch, gates).mean()"
WHOLE = "gates).mean() + cost * policy"
REWARD = "block_drop_reward(hits, used[row], miss=miss)"
AVERAGE = f"per_row({REWARD}, batch)"
UNDER = "with torch.no_grad(), in_eval_mode(model):"
SIGN = "the sign of the policy's part is wrong: the loss has to fall where better gates get likelier"
ONE_FOR_ALL = "one advantage for the whole batch: each row has its own"
OFF_BY_ONE = "a hit is off by one: the true item itself counts among the first k"

SELF_CRITICAL_LOSS = (
    Mistake(SIGN, "policy = -(advantage", "policy = (advantage"),
    Mistake(SIGN, ADVANTAGE, "advantage = rewards[1] - rewards[0]"),
    Mistake("there is no baseline: subtract the reward of the greedy gates", ADVANTAGE, "advantage = rewards[0]"),
    Mistake("two samples are compared: the baseline is the reward of the greedy gates",
            GREEDY, "greedy = model.decide(logits, sample=True).detach()"),
    Mistake("the greedy gates stand on both sides: sample one of them", SAMPLE, SAMPLE.replace("True", "False")),
    Mistake("the baseline has a gradient: the greedy gates are 0 or 1, not probabilities",
            GREEDY, "greedy = logits.softmax(dim=-1)[..., 0]"),
    Mistake("the log-probability is that of the greedy gates: take the sampled ones'",
            PUSHED, "log_probability(logits, greedy)).mean()"),
    Mistake("the log-probability of the sampled gates brings the policy's gradient: do not detach that",
            PUSHED, "log_probability(logits, gates).detach()).mean()"),
    Mistake("the policy's part is a sum over the rows: take the mean", PUSHED, PUSHED.replace("mean", "sum")),
    Mistake("the log-probability is a mean over the blocks: take their sum",
            PUSHED, "log_probability(logits, gates) / gates.shape[1]).mean()"),
    Mistake("probabilities stand where log-probabilities belong",
            PUSHED, "log_probability(logits, gates).exp()).mean()"),
    Mistake(ONE_FOR_ALL, "policy = -(advantage *", "policy = -(advantage.mean() *"),
    Mistake(ONE_FOR_ALL, "miss=miss), batch))", "miss=miss), batch).mean())"),
    Mistake("the gates are not detached: straight-through's gradient comes into the policy",
            SAMPLE, "gates = model.decide(logits, sample=True)"),
    Mistake("hand `batch.cut` to gate_logits: the policy may read no item behind it",
            "model.gate_logits(batch.items, batch.cut)", "model.gate_logits(batch.items)"),
    Mistake("the cross-entropy is that under the greedy gates: take the sampled ones",
            LOSS, "losses_at(model.backbone, batch, greedy).mean()"),
    Mistake("the cross-entropy is that of all blocks: take the sampled gates",
            LOSS, "losses_at(model.backbone, batch, torch.ones_like(gates)).mean()"),
    Mistake("the cross-entropy is a sum over the positions: take the mean", LOSS, LOSS.replace("mean", "sum")),
    Mistake("the backbone's cross-entropy under the sampled gates belongs into the loss", f"{LOSS} + cost", "cost"),
    Mistake("cost is not used: it weighs the policy's part", WHOLE, "gates).mean() + policy"),
    Mistake("cost weighs everything: it weighs the policy's part only",
            f"{LOSS} + cost * policy", f"cost * ({LOSS} + policy)"),
    Mistake("cost weighs the cross-entropy: it weighs the policy's part", WHOLE, "gates).mean() * cost + policy"),
    Mistake("the loss is one number for the batch: take the mean over rows and positions",
            PUSHED, "log_probability(logits, gates))"),
    Mistake("the reward is that of the first scored position: take the mean over all of a row",
            AVERAGE, f"{REWARD}[row.diff(prepend=row.new_tensor([-1])) > 0]"),
    Mistake("the rewards of a row are added up: take their mean", AVERAGE, f"{AVERAGE} * scored.sum(dim=1)"),
    Mistake("`miss` is not handed on to the reward", "used[row], miss=miss)", "used[row])"),
    Mistake("a miss is not punished", "used[row], miss=miss)", "used[row], miss=0.0)"),
    Mistake("the share is not squared in the reward", REWARD, "torch.where(hits, 1 - used[row], -miss)"),
    Mistake("this is the published reward, which rises with the blocks that ran",
            REWARD, "torch.where(hits, 1 - (1 - used[row]).square(), -miss)"),
    Mistake("the reward reads the share of blocks that ran, not their number",
            "used = choice.mean(dim=1)", "used = choice.sum(dim=1)"),
    Mistake("each row used a share of blocks of its own", "used[row]", "used.mean().expand(len(hits))"),
    Mistake(OFF_BY_ONE, "(scores >= true)", "(scores > true)"),
    Mistake(OFF_BY_ONE, "<= k  #", "< k  #"),
    Mistake("a hit means first place: it has to be among the first k", "<= k  #", "<= 1  #"),
    Mistake("the first k count: `k` has no effect", "<= k  #", "<= 10  #"),
    Mistake("hit and miss are swapped", "<= k  #", "> k  #"),
    Mistake("ties count against the true item: with all scores equal it comes last",
            "(scores >= true).sum(dim=1) <= k", "(scores > true).sum(dim=1) < k"),
    Mistake("hits are counted under the gates, not at full depth",
            "model.skip_blocks(batch.items, choice)[scored]", "model.backbone.encode(batch.items)[scored]"),
    Mistake("it is noise in their difference: score them in eval mode", UNDER, "with torch.no_grad():"),
    Mistake("put the model back into the mode that it was in", UNDER, "model.eval()\n    with torch.no_grad():"),
    Mistake("only the rewards are scored in eval mode",
            f"return {LOSS}", f"with in_eval_mode(model):\n        return {LOSS}"),
)  # fmt: skip

# --- backbones/sasrec.py: the block ---

ATTEND = "self.attend(self.norm1(hidden), mask)"
FIRST_SUM = f"hidden = hidden + self.dropout({ATTEND})"
MLP = "inner = self.dropout(F.relu(self.inner(self.norm2(hidden))))"
SECOND_SUM = "return hidden + self.dropout(self.outer(inner))"
FORWARD = f"{FIRST_SUM}\n        {MLP}\n        {SECOND_SUM}"
WIDTH = "keys.shape[-1] ** 0.5"
SPLIT = "part.unflatten(-1, (self.heads, -1)).transpose(1, 2)"
PARTS = "queries, keys, values = by_head"
MERGE = "(weights @ values).transpose(1, 2).flatten(2)"
KEYS = "(allowed & mask[:, None, None, :]) | itself"
SOFTMAX = "scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1)"
FUTURE = "a position reads the future: give the scores of later keys -inf before the softmax"
PADDING = "nobody may attend to padding: mask the scores of its keys (True = real)"
EMPTY = "a softmax over nothing but -inf is NaN: let every position read itself"

ATTENTION_BLOCK = (
    Mistake("the scores are not scaled: divide them by the square root of a head's width", f" / {WIDTH}", ""),
    Mistake("the scores are divided by the width itself: take its square root", WIDTH, "keys.shape[-1]"),
    Mistake("the scores are divided by the square root of all channels: a head has channels / heads of them",
            WIDTH, "hidden.shape[-1] ** 0.5"),
    Mistake("the scores are multiplied by the square root of the width: divide", f" / {WIDTH}", f" * {WIDTH}"),
    Mistake("the heads are mixed up on the way in: cut the channels into heads first, then swap time and head",
            SPLIT, "part.reshape(len(part), self.heads, part.shape[1], -1)"),
    Mistake("the heads are mixed up on the way in: a head's channels lie side by side",
            SPLIT, "part.unflatten(-1, (-1, self.heads)).permute(0, 3, 1, 2)"),
    Mistake("the heads are mixed up on the way back: swap time and head before you flatten",
            MERGE, "(weights @ values).reshape(hidden.shape)"),
    Mistake("queries and keys are swapped", PARTS, "keys, queries, values = by_head"),
    Mistake("keys and values are swapped", PARTS, "queries, values, keys = by_head"),
    Mistake("the order of the three parts is another: queries, keys, values", PARTS, "values, keys, queries = by_head"),
    Mistake("`heads` has no effect: there is one head", "self.heads = heads", "self.heads = 1"),
    Mistake(FUTURE, "device=hidden.device).tril()", "device=hidden.device)"),
    Mistake(FUTURE, ".tril()", ".triu()"),
    Mistake(EMPTY, ".tril()", ".tril(-1)"),
    Mistake(EMPTY, KEYS, "allowed & mask[:, None, None, :]"),
    Mistake(PADDING, "if mask is not None:  # a position always", "if mask is None and False:  # a position always"),
    Mistake(PADDING, "mask[:, None, None, :]", "~mask[:, None, None, :]"),
    Mistake(PADDING, "mask[:, None, None, :]", "mask[:, None, :, None]"),
    Mistake("weights set to 0 afterwards no longer sum to 1: mask the scores before the softmax",
            SOFTMAX, "(scores.softmax(dim=-1) * allowed)"),
    Mistake("a score of 0 is still attended to: it takes -inf before the softmax",
            SOFTMAX, "(scores * allowed).softmax(dim=-1)"),
    Mistake("the softmax runs over the queries: it runs over the keys", ".softmax(dim=-1)", ".softmax(dim=-2)"),
    Mistake("norm1 is not used", ATTEND, "self.attend(hidden, mask)"),
    Mistake("norm1 comes after attention: here each norm comes before its branch",
            ATTEND, "self.norm1(self.attend(hidden, mask))"),
    Mistake("norm2 is not used", "self.inner(self.norm2(hidden))", "self.inner(hidden)"),
    Mistake("norm2 comes before the MLP, not norm1",
            "self.inner(self.norm2(hidden))", "self.inner(self.norm1(hidden))"),
    Mistake("join is not used: it mixes the heads' results", f"return self.join({MERGE})", f"return {MERGE}"),
    Mistake("the ReLU between inner and outer is missing",
            "F.relu(self.inner(self.norm2(hidden)))", "self.inner(self.norm2(hidden))"),
    Mistake("outer is not used", "self.dropout(self.outer(inner))", "self.dropout(inner)"),
    Mistake("the norm comes after the sum: here it comes before each branch", FORWARD,
            "hidden = self.norm1(hidden + self.attend(hidden, mask))\n"
            "        return self.norm2(hidden + self.outer(F.relu(self.inner(hidden))))"),
    Mistake("the branch is added to the normalised state: add it to the one that came in", FIRST_SUM,
            "hidden = self.norm1(hidden)\n        hidden = hidden + self.dropout(self.attend(hidden, mask))"),
    Mistake("the first residual sum is missing", "hidden = hidden + self.dropout(self.attend(",
            "hidden = self.dropout(self.attend("),
    Mistake("hidden is added once", "hidden = hidden + self.dropout(self.attend(",
            "hidden = 2 * hidden + self.dropout(self.attend("),
    Mistake("the second residual sum is missing", SECOND_SUM, "return self.dropout(self.outer(inner))"),
    Mistake("no residual sum at all: a block adds to its input",
            FORWARD, f"hidden = {ATTEND}\n        {MLP}\n        return self.outer(inner)"),
    Mistake("the MLP reads what came in, not what attention made of it",
            FORWARD, f"{MLP}\n        {FIRST_SUM}\n        {SECOND_SUM}"),
    Mistake("the MLP is missing", SECOND_SUM, "return hidden"),
    Mistake("`dropout` has no effect", "self.outer = nn.Linear(channels, channels)\n"
            "        self.dropout = Dropout(dropout)", "self.outer = nn.Linear(channels, channels)\n"
            "        self.dropout = Dropout(0.0)"),
    Mistake("numbers are dropped that must not be: nothing in eval mode", "weights = self.dropout(",
            "weights = F.dropout("),
)  # fmt: skip

# --- backbones/sasrec.py: the backbone ---

RIGHT_END = "torch.arange(items.shape[1] - 1, -1, -1, device=items.device)"
CLAMPED = ".clamp_max(len(self.positions) - 1)"
EMBEDDED = "self.embedding(items) + self.positions[age]"
LINEAR = "F.linear(self.norm(hidden), self.embedding.weight, bias)"
BIAS = "F.pad(self.output_bias, (1, 0), value=-torch.inf)"
BLOCKS = "AttentionBlock(channels, heads, dropout=dropout)"
OUTPUT_BIAS = "self.output_bias = nn.Parameter(torch.zeros(num_items))"
LAYERS = f"""self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList({BLOCKS} for _ in range(num_blocks))"""

SASREC = (
    Mistake("inherit from Backbone: it holds the walk through the gated blocks",
            "class SASRec(Backbone):", "class SASRec(nn.Module):"),
    Mistake("`num_blocks` has no effect: self.blocks is an nn.ModuleList of so many",
            "for _ in range(num_blocks)", "for _ in range(1)"),
    Mistake("SkipRec and the checkpoints read `sizes`: it holds all arguments by name",
            '"max_length": max_length, "dropout": dropout,', ""),
    Mistake("scores use the items' own embedding: they have no other weight",
            OUTPUT_BIAS, OUTPUT_BIAS + "; self.output = nn.Linear(channels, num_items + 1)"),
    Mistake("the layers have a norm: self.norm stands before the scores",
            f"self.norm = nn.LayerNorm(channels)\n        {OUTPUT_BIAS}",
            f"self.norm = nn.Identity()\n        {OUTPUT_BIAS}"),
    Mistake("positions count from the left: count them from the right end",
            RIGHT_END, "torch.arange(items.shape[1], device=items.device)"),
    Mistake("positions count from the first item: count them from the right end",
            RIGHT_END, "((items > 0).cumsum(dim=1) - 1).clamp_min(0)"),
    Mistake("the last item is position 1: it is position 0", RIGHT_END, "torch.arange(items.shape[1], 0, -1)"),
    Mistake("the table of positions is read backwards: the last item has positions[0]",
            EMBEDDED, EMBEDDED.replace("[age]", ".flip(0)[age]")),
    Mistake("positions further back than max_length begin anew: they share the last place",
            CLAMPED, " % len(self.positions)"),
    Mistake("further back than max_length there is no place in the table: those share the last one",
            CLAMPED, ""),
    Mistake("the last place of the table is not used: max_length places are 0 ... max_length - 1",
            CLAMPED, ".clamp_max(max(0, len(self.positions) - 2))"),
    Mistake("add a vector for each position", EMBEDDED, "self.embedding(items)"),
    Mistake("the position's vector was added to padding: multiply by items > 0 after the sum",
            "embedded * (items > 0).unsqueeze(-1)", "embedded"),
    Mistake("the embedding is scaled by sqrt(channels): add it as it is",
            EMBEDDED, EMBEDDED.replace(" +", " * self.embedding.embedding_dim**0.5 +")),
    Mistake("padding can never be the next item: its score, column 0, is -inf",
            BIAS, "F.pad(self.output_bias, (1, 0))"),
    Mistake("the last item is ruled out: padding is column 0, not the last one", BIAS, BIAS.replace("1, 0", "0, 1")),
    Mistake("there is a column for each item, and column 0 for padding",
            LINEAR, "F.linear(self.norm(hidden), self.embedding.weight[1:], self.output_bias)"),
    Mistake("the norm before the scores is missing", "F.linear(self.norm(hidden), self", "F.linear(hidden, self"),
    Mistake("the bias is missing in the scores", BIAS, BIAS.replace("self", "0 * self")),
    Mistake("`heads` is not handed on to the blocks", BLOCKS, "AttentionBlock(channels, dropout=dropout)"),
    Mistake("`dropout` has no effect", LAYERS, LAYERS.replace("dropout)", "0.0)").replace("=dropout", "=0.0")),
)  # fmt: skip

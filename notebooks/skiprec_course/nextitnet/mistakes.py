"""What goes wrong in lesson 06: edits of `blocks.py`, `backbones/`, `stages.py` and `training.py`."""

from skiprec_course.mistakes import Mistake

# --- blocks ---

PRESENT = "out = F.linear(hidden, self.weight[:, :, -1], self.bias)  # the present\n"
SHIFT = "shift = tap * self.dilation"
TAP = "out[:, shift:] += F.linear(hidden[:, : time - shift], self.weight[:, :, -1 - tap])"
WEIGHTS = "self.weight, self.bias = like.weight, like.bias"


def _of_torch(weight: str = "self.weight", left: str = "(k - 1) * d", right: str = "0", result: str = ".mT") -> str:
    """The convolution by torch's own; k and d are kernel size and dilation."""
    return (
        "k, d = self.weight.shape[-1], self.dilation\n"
        f"        out = F.conv1d(F.pad(hidden.mT, ({left}, {right})), {weight}, self.bias, dilation=d)\n"
        f"        return out{result}\n"
    )


CAUSAL_CONV = (
    Mistake("zeros on both sides: put all of them on the left",
            PRESENT, _of_torch(left="(k - 1) * d // 2", right="(k - 1) * d - (k - 1) * d // 2")),
    Mistake("the shift is flipped: what is moved goes to the right, and the zeros to the left",
            TAP, "out[:, : time - shift] += F.linear(hidden[:, shift:], self.weight[:, :, -1 - tap])"),
    Mistake("the end of the row came round to its beginning: shift with zeros, not with torch.roll",
            TAP, "out = out + F.linear(hidden.roll(shift, 1), self.weight[:, :, -1 - tap])"),
    Mistake("the dilation has no effect: tap j reads j * dilation steps back", SHIFT, "shift = tap"),
    Mistake("the gaps are one too wide: dilation 1 leaves no gap", SHIFT, "shift = tap * (self.dilation + 1)"),
    Mistake("the dilation moves the first tap only: tap j reads j * dilation steps back",
            SHIFT, "shift = tap + self.dilation - 1"),
    Mistake("the shift is off: the present itself is not read",
            "time = hidden.shape[1]\n", "time, hidden = hidden.shape[1], F.pad(hidden[:, :-1], (0, 0, 1, 0))\n"),
    Mistake("all taps read the present: tap j moves j * dilation steps to the right",
            "out[:, shift:] +=", "out[:, : time - shift] +="),
    Mistake("a tap is missing: there are kernel_size of them",
            "range(1, self.weight.shape[-1])", "range(1, self.weight.shape[-1] - 1)"),
    Mistake("the last position that a tap reaches is left out", "if shift >= time:", "if shift >= time - 1:"),
    Mistake("as many positions out as in: (kernel_size - 1) * dilation zeros go to the left",
            PRESENT, _of_torch(left="k - 1")),
    Mistake("torch's convolution has the channels before the time: turn the result back",
            PRESENT, _of_torch(result="")),
    Mistake("the zeros stand before the output: they belong before the input, and the first outputs read what there is",
            PRESENT, _of_torch(result=".mT * (torch.arange(time) >= (k - 1) * d).unsqueeze(-1)")),
    Mistake("the taps are reversed: the last tap of the weight is the present",
            PRESENT, _of_torch("self.weight.flip(-1)")),
    Mistake("the past taps are reversed: tap j is weight[:, :, -1 - j]",
            "self.weight[:, :, -1 - tap]", "self.weight[:, :, tap - 1]"),
    Mistake("the weight is transposed: its first axis is the channels that come out",
            PRESENT, _of_torch("self.weight.transpose(0, 1)")),
    Mistake("each channel reads itself only: a tap is a whole matrix",
            PRESENT, _of_torch("self.weight * torch.eye(len(self.weight)).to(hidden)[..., None]")),
    Mistake("the bias is added with each tap: it belongs to the sum, once",
            "[:, :, -1 - tap])", "[:, :, -1 - tap], self.bias)"),
    Mistake("the bias is added with each tap: it belongs to the sum, once",
            "self.weight[:, :, -1], self.bias)", "self.weight[:, :, -1], self.weight.shape[-1] * self.bias)"),
    Mistake("the bias is missing", "self.weight[:, :, -1], self.bias)", "self.weight[:, :, -1])"),
    Mistake("there is a ReLU behind it: the block adds that", "return out\n", "return out.relu()\n"),
    Mistake("the weight is detached, or its .data is used", PRESENT, _of_torch("self.weight.data")),
    Mistake("keep all taps in one weight of shape (channels, channels, kernel_size)",
            WEIGHTS, "self.taps = nn.ModuleList(nn.Linear(channels, channels) for _ in range(kernel_size))"),
    Mistake("use nn.Conv1d's layout: (channels out, channels in, tap)",
            WEIGHTS, "self.weight, self.bias = nn.Parameter(like.weight.detach().permute(2, 0, 1)), like.bias"),
    Mistake("start from small random numbers, those of nn.Conv1d for example",
            WEIGHTS, f"{WEIGHTS}\n        nn.init.zeros_(self.weight)"),
)  # fmt: skip

REAL = "1.0 if mask is None else mask.unsqueeze(-1)"
HALF_1, HALF_2 = "F.relu(self.norm1(self.conv1(hidden * real)))", "F.relu(self.norm2(self.conv2(branch * real)))"
DROPPED = "branch = self.dropout(branch)"
ADDED = "torch.addcmul(hidden, self.scale, branch)"
SCALE = "self.scale = nn.Parameter(torch.zeros(1)) if rezero else None"
NORM_2 = "self.norm2 = nn.LayerNorm(channels)\n        self.dropout = Dropout(dropout)\n        self.scale"
NORMS = f"""self.norm1 = nn.LayerNorm(channels)
        self.conv2 = CausalConv1d(channels, kernel_size, 2 * dilation)
        {NORM_2}"""


def _both(says: str, first: str, second: str) -> Mistake:
    """Both halves of the branch in another form."""
    halves = "branch = {}\n        branch = {}"
    return Mistake(says, halves.format(HALF_1, HALF_2), halves.format(first, second))


RESIDUAL_BLOCK = (
    Mistake("the mask is missing before the second convolution: bias, norm and ReLU fill padding again, so that one on "
            "input and output is not enough", "self.conv2(branch * real)", "self.conv2(branch)"),
    Mistake("the mask is missing before the first convolution", "self.conv1(hidden * real)", "self.conv1(hidden)"),
    Mistake("the mask has no effect, or comes too late, on the output: multiply it in before each convolution",
            REAL, "1.0"),
    Mistake("the mask is inverted: it is True at real items", REAL, REAL.replace("mask.un", "(~mask).un")),
    Mistake("the residual is missing: hidden itself has to be added", ADDED, "self.scale * branch"),
    Mistake("without ReZero hidden has to be added to the branch, too", "return hidden + branch\n", "return branch\n"),
    Mistake("the residual is added twice", ADDED, "torch.addcmul(2 * hidden, self.scale, branch)"),
    Mistake("the residual is added inside the branch too: only once, at the end", HALF_1, f"hidden + {HALF_1}"),
    Mistake("the scale multiplies the sum: it belongs to the branch only", ADDED, "self.scale * (hidden + branch)"),
    Mistake("the scale mixes hidden and branch: hidden is added as it is",
            ADDED, "torch.lerp(hidden, branch, self.scale)"),
    Mistake("the scale has no effect: multiply the branch by it", "if self.scale is None:", "if True:"),
    _both("the norm stands behind the ReLU: conv, norm, ReLU is the order",
          "self.norm1(F.relu(self.conv1(hidden * real)))", "self.norm2(F.relu(self.conv2(branch * real)))"),
    Mistake("the second norm stands behind the ReLU: conv, norm, ReLU is the order",
            HALF_2, "self.norm2(F.relu(self.conv2(branch * real)))"),
    _both("the norm stands before the convolution: conv, norm, ReLU is the order",
          "self.conv1(F.relu(self.norm1(hidden * real)) * real)", "self.conv2(F.relu(self.norm2(branch)) * real)"),
    _both("the norms are missing", "F.relu(self.conv1(hidden * real))", "F.relu(self.conv2(branch * real))"),
    _both("the two norms are swapped", HALF_1.replace("norm1", "norm2"), HALF_2.replace("norm2", "norm1")),
    Mistake("each convolution has a norm of its own", "self.norm2(self.conv2(", "self.norm1(self.conv2("),
    Mistake("two of nn.LayerNorm(channels), one behind each convolution",
            NORM_2, NORM_2.replace("nn.LayerNorm(channels)", "self.norm1")),
    Mistake("two of nn.LayerNorm(channels), one behind each convolution: they normalise the channels of one position",
            NORMS, NORMS.replace("LayerNorm", "BatchNorm1d")),
    Mistake("a norm over time (or over whole rows) reads all positions: normalise the channels of one position",
            f"branch = {HALF_2}", "branch = F.layer_norm(self.conv2(branch * real).mT, branch.shape[1:2]).mT\n"
            "        branch = F.relu(branch * self.norm2.weight + self.norm2.bias)"),
    Mistake("the ReLU behind the first norm is missing", HALF_1, HALF_1.removeprefix("F.relu")),
    Mistake("the ReLU behind the second norm is missing", HALF_2, "self.norm2(self.conv2(branch * real))"),
    Mistake("the last ReLU is taken of the sum: it belongs to the branch", f"branch = {HALF_2}",
            "scale = 1.0 if self.scale is None else self.scale\n"
            "        return F.relu(hidden + scale * self.norm2(self.conv2(branch * real)))"),
    Mistake("both convolutions have the dilation d: the second one has 2 d",
            "kernel_size, 2 * dilation)", "kernel_size, dilation)"),
    Mistake("the second convolution has the dilation 2 d, not d + 1",
            "kernel_size, 2 * dilation)", "kernel_size, dilation + 1)"),
    Mistake("only the first convolution counts: the second one, of dilation 2 d, reads what the first one made",
            "self.conv2(branch * real)", "branch * real"),
    Mistake("only the second convolution counts", "self.conv1(hidden * real)", "hidden * real"),
    Mistake("hand kernel_size on to both", "CausalConv1d(channels, kernel_size, 2 *", "CausalConv1d(channels, 3, 2 *"),
    Mistake("ReZero's scale is missing, or no nn.Parameter: one number that starts at 0", SCALE, "self.scale = None"),
    Mistake("the scale is one number, not one per channel", "torch.zeros(1)", "torch.zeros(channels)"),
    Mistake("with rezero=False there is no scale to learn", SCALE, SCALE.replace(" if rezero else None", "")),
    Mistake("the scale has to start at 0, so that nothing is added at first",
            "nn.Parameter(torch.zeros(1))", "nn.Parameter(torch.ones(1))"),
    Mistake("a .detach(), .data or torch.no_grad() cuts the branch off: its parameters have to learn",
            DROPPED, "branch = self.dropout(branch).detach()"),
    Mistake("put nn.Dropout(dropout) on the branch", DROPPED, "pass"),
    Mistake("the dropout hits the sum: hidden itself must come through", DROPPED, "hidden = self.dropout(hidden)"),
    Mistake("the dropout belongs to the end of the branch, and is there only once", HALF_1, f"self.dropout({HALF_1})"),
)  # fmt: skip

REACH = "return 1 + (kernel_size - 1) * 3 * sum(dilations)"
MULTIPLIED = "you multiply along the stack: taps multiply as paths, steps back add up"
LESS = "the dilations have no effect: a block adds (kernel_size - 1) * 3 d"

RECEPTIVE_FIELD = (
    Mistake("the second convolution of each block is forgotten: it adds (kernel_size - 1) * 2 d",
            "(kernel_size - 1) * 3 * sum", "(kernel_size - 1) * sum"),
    Mistake("the second convolution has the dilation 2 d, not d", REACH, REACH.replace("3", "2")),
    Mistake("off by one: these are the steps back, the position itself is one more", REACH, REACH.replace("1 + ", "")),
    Mistake("off by one: k taps reach k - 1 steps back, since the first one is the present",
            REACH, REACH.replace("(kernel_size - 1)", "kernel_size")),
    Mistake("the present is counted once more for each block",
            REACH, "return sum(1 + (kernel_size - 1) * 3 * d for d in dilations)"),
    Mistake("you multiply along the stack: paths multiply, steps back add up", REACH,
            "reach = 1\n    for d in dilations:\n        reach *= 1 + (kernel_size - 1) * 3 * d\n    return reach"),
    Mistake(MULTIPLIED, REACH, "return kernel_size ** len(dilations)"),
    Mistake(MULTIPLIED, REACH, "return kernel_size ** (2 * len(dilations))"),
    Mistake("this is the reach of the longest dilation only: each block adds to it",
            "sum(dilations)", "max(dilations)"),
    Mistake("equal dilations count each for itself", "sum(dilations)", "sum({*dilations})"),
    Mistake("the kernel size is taken to be 3", REACH, "return 1 + 6 * sum(dilations)"),
    Mistake(LESS, REACH, REACH.replace("3 * sum", "2 * len")),
    Mistake(LESS, REACH, REACH.replace("sum", "len")),
)  # fmt: skip

# --- backbones ---

CALL = "out = block(hidden, mask)"
MASK = "mask = items > 0  #"
BLOCKS = "enumerate(self.blocks)"
GATE = "gates[:, index, None, None]"
MIX = "hidden = torch.lerp(hidden, out, gate)"
ENCODED = "self.score(self.encode(items, gates))"
CHOSEN = "self.score(self.encode(items)[where])"

BACKBONE = (
    Mistake("the mask is not handed to the blocks", CALL, "out = block(hidden)"),
    Mistake("the mask is inverted: it is True at real items", MASK, "mask = items == 0  #"),
    Mistake("item 1 is an item like any other: only 0 is padding", MASK, "mask = items > 1  #"),
    Mistake("the last block is left out", BLOCKS, "enumerate(self.blocks[:-1])"),
    Mistake("the first block is left out", BLOCKS, "list(enumerate(self.blocks))[1:]"),
    Mistake("the blocks come in reverse order", BLOCKS, "list(enumerate(self.blocks))[::-1]"),
    Mistake("each block reads the embedding: it has to read what the block before it made",
            CALL, "out = block(self.embed(items), mask)"),
    Mistake("the gate is inverted: 1 takes the block's output, 0 passes its input on",
            "torch.lerp(hidden, out, ", "torch.lerp(out, hidden, "),
    Mistake("the gate multiplies the block's whole output: at 0 nothing is left, where hidden should go on",
            MIX, "hidden = gate * out"),
    Mistake("to the whole of hidden gate * out is added: hidden has the weight 1 - gate",
            MIX, "hidden = hidden + gate * out"),
    Mistake("at gate 0 the embedding comes back: it should be the hidden state so far",
            MIX, "hidden = torch.lerp(self.embed(items), out, gate)"),
    Mistake("the gates have no effect, or an if asks whether they are 0: numbers between 0 and 1 have to mix",
            MIX, "hidden = out"),
    Mistake("a gate is taken by time instead of by block", GATE, "gates[:, :, None]"),
    Mistake("a gate is taken by row instead of by block: index the second axis of gates",
            GATE, "gates[index][:, None, None]"),
    Mistake("every row gets the first row's gates", GATE, "gates[0, index]"),
    Mistake("every block gets the first block's gate", GATE, "gates[:, :1, None]"),
    Mistake("the gates are taken in reverse order", GATE, "gates[:, -1 - index, None, None]"),
    Mistake("the gates are rounded (or asked by an if): numbers between 0 and 1 have to mix, and to get a gradient",
            GATE, "(gates[:, index, None, None] > 0.5)"),
    Mistake("no gradient reaches the gates: something detaches them",
            "gates[:, index, None, None].to", "gates[:, index, None, None].detach().to"),
    Mistake("only half of the gate's gradient arrives: one of gate and 1 - gate is detached",
            MIX, "hidden = gate * out + (1 - gate.detach()) * hidden"),
    Mistake("encode returns a hidden state for each position", "return hidden\n", "return hidden.mean(dim=1)\n"),
    Mistake("the gates are not handed on from forward to encode", ENCODED, "self.score(self.encode(items, None))"),
    Mistake("at each position forward scores all items", ENCODED, "self.encode(items, gates)"),
    Mistake("the rows of score_at are those where `where` is True, row by row",
            CHOSEN, "self.score(self.encode(items)[where.roll(1, 1)])"),
    Mistake("for each True of `where` score_at returns one row", CHOSEN, "self.score(self.encode(items)[:, -1])"),
)  # fmt: skip

EMBEDDING = "self.embedding = item_embedding(num_items, channels)"
BLOCK = "ResidualBlock(channels, kernel_size, d, rezero=rezero, dropout=dropout)"
STACK = f"""nn.ModuleList(
            {BLOCK} for d in dilations
        )"""
OUTPUT = "self.output_weight = nn.Parameter(torch.randn(num_items + 1, channels) * channels**-0.5)"
BIAS = "F.pad(self.output_bias, (1, 0), value=-torch.inf)"
SCORES = "return F.linear(hidden, self.output_weight, bias)"
ONE_BLOCK_EACH = (
    "one ResidualBlock for each dilation, in an nn.ModuleList: a plain list hides its parameters, and one block used "
    "twice is one block"
)

NEXT_IT_NET = (
    Mistake("padding could be recommended: give column 0 the bias -inf", "value=-torch.inf", "value=0.0"),
    Mistake("the -inf is in another column: pad the bias on the left", BIAS, BIAS.replace("(1, 0)", "(0, 1)")),
    Mistake("a column for each item and, before them, one for padding", SCORES, SCORES + "[..., 1:]"),
    Mistake("the output bias is missing in the scores", "F.pad(self.output_bias,", "F.pad(0 * self.output_bias,"),
    Mistake("the output bias belongs to the next item's column", BIAS, BIAS.replace("bias,", "bias.roll(1),")),
    Mistake("there is a softmax on the scores: the loss takes it later",
            SCORES, f"{SCORES}.softmax(dim=-1).index_fill(-1, torch.tensor([0]), -torch.inf)"),
    Mistake("there is a log-softmax on the scores: the loss takes it later", SCORES, f"{SCORES}.log_softmax(dim=-1)"),
    Mistake("there is a ReLU on the last hidden states", SCORES, SCORES.replace("hidden", "hidden.relu()")),
    Mistake("the embedding scores although tied=False", SCORES, SCORES.replace("output_", "embedding.")),
    Mistake("with tied=False a parameter of (num_items + 1, channels) scores, not the embedding",
            OUTPUT, "self.output_weight = self.embedding.weight"),
    Mistake("with tied=True the embedding's own weight scores, no copy of it and no other",
            "self.output_weight = self.embedding.weight",
            "self.output_weight = nn.Parameter(self.embedding.weight.detach().clone())"),
    Mistake("there is one output bias to learn for each item, (num_items,)",
            "nn.Parameter(torch.zeros(num_items))", "torch.zeros(num_items)"),
    Mistake("the dilations have no effect", "kernel_size, d, rezero", "kernel_size, 1, rezero"),
    Mistake("every block has the first dilation", "kernel_size, d, rezero", "kernel_size, dilations[0], rezero"),
    Mistake("the dilations come in reverse order", f"{BLOCK} for d in dilations", f"{BLOCK} for d in dilations[::-1]"),
    Mistake(ONE_BLOCK_EACH, STACK, STACK.replace("nn.ModuleList(", "list(")),
    Mistake(ONE_BLOCK_EACH, STACK, f"nn.ModuleList([{BLOCK.replace(' d,', ' dilations[0],')}] * len(dilations))"),
    Mistake("hand kernel_size on", "ResidualBlock(channels, kernel_size, d,", "ResidualBlock(channels, 3, d,"),
    Mistake("hand rezero on to the blocks", "rezero=rezero, dropout=dropout) for", "dropout=dropout) for"),
    Mistake("hand dropout on to the blocks", "rezero=rezero, dropout=dropout) for", "rezero=rezero) for"),
    Mistake("let embed drop numbers of the embedded items: nn.Dropout(embedding_dropout)",
            "self.embedding_dropout(self.embedding(items))", "self.embedding(items)"),
    Mistake("dropout is for the blocks, embedding_dropout for the embedding",
            "Dropout(embedding_dropout)", "Dropout(max(embedding_dropout, dropout))"),
    Mistake("one row for each item and one for padding: num_items + 1, each of `channels` numbers",
            EMBEDDING, "self.embedding = nn.Embedding(num_items, channels, padding_idx=0)"),
    Mistake("draw the items' rows with channels**-0.5",
            EMBEDDING, "self.embedding = nn.Embedding(num_items + 1, channels, padding_idx=0)"),
    Mistake("use padding_idx=0 of nn.Embedding, and initialise the other rows only",
            EMBEDDING, f"{EMBEDDING}\n        nn.init.normal_(self.embedding.weight, std=channels**-0.5)"),
)  # fmt: skip

# --- training ---

SCORED = "    scored = batch.scored()\n    return F"
LOSS = "F.cross_entropy(model.score_at(batch.items, scored), batch.targets[scored])"
NOTHING = "where the target is 0 there is nothing to predict: neither padding nor a real item without a target counts"
EACH = f"{LOSS[:-1]}, reduction='none')"

NEXT_ITEM_LOSS = (
    Mistake(NOTHING, SCORED, "    scored = batch.items > 0\n    return F"),
    Mistake(NOTHING, SCORED, "    scored = batch.items >= 0\n    return F"),
    Mistake("padding is counted as a loss of 0: divide by the number of scored positions",
            LOSS, f"{EACH}.sum() / batch.targets.numel()"),
    Mistake("you average per row first: the mean is over all scored positions, whoever they belong to", LOSS,
            f"({EACH} / scored.sum(dim=1, keepdim=True).expand(scored.shape)[scored]).sum() / len(batch)"),
    Mistake("this is the sum, not the mean", LOSS, f"{EACH}.sum()"),
    Mistake("you divide the sum by the number of rows: divide by the number of scored positions",
            LOSS, f"{EACH}.sum() / len(batch)"),
    Mistake("take the mean over all scored positions: one number", LOSS, EACH),
    Mistake("only the last position of each row is scored",
            SCORED, "    scored = batch.scored()\n    scored[:, :-1] = False\n    return F"),
    Mistake("the item itself is taken as its target: use batch.targets",
            "batch.targets[scored])", "batch.items[scored])"),
    Mistake("the targets are shifted once more: batch.targets holds the next item already",
            LOSS, "F.cross_entropy(model(batch.items)[:, :-1][batch.scored()[:, 1:]],"
            " batch.targets[:, 1:][batch.scored()[:, 1:]])"),
    Mistake("the model reads the targets: it has to read batch.items",
            "model.score_at(batch.items, scored)", "model.score_at(batch.targets, scored)"),
    Mistake("there is a softmax before the cross-entropy: F.cross_entropy takes the scores as they are",
            "model.score_at(batch.items, scored)", "model.score_at(batch.items, scored).softmax(dim=-1)"),
    Mistake("the logarithm is missing: these are probabilities", LOSS, f"-(-{EACH}).exp().mean()"),
    Mistake("the sign is wrong", f"return {LOSS}", f"return -{LOSS}"),
    Mistake("return the tensor itself: no .item(), .detach() or torch.no_grad()", LOSS, f"{LOSS}.detach()"),
)  # fmt: skip

ADAM = "torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)"
ORDER = "torch.randperm(len(train))"
BATCHES = "torch.randperm(len(train)).split(batch_size)"
MEAN = "sum(losses) / len(losses)"
NO_STEP = "the weights do not change: zero_grad, loss.backward and optimizer.step follow one another"

FIT = (
    Mistake("gradients add up from step to step: optimizer.zero_grad() is missing", "optimizer.zero_grad()", "pass"),
    Mistake(NO_STEP, "optimizer.step()", "pass"),
    Mistake(NO_STEP, "loss.backward()\n", "loss.backward()\n                    optimizer.zero_grad()\n"),
    Mistake("the loss climbs: a sign is wrong", "loss.backward()", "(-loss).backward()"),
    Mistake("this is plain gradient descent: use torch.optim.Adam",
            ADAM, "torch.optim.SGD(model.parameters(), lr=learning_rate)"),
    Mistake("the weights are pulled to 0: torch.optim.AdamW has a weight decay unless you set it to 0",
            ADAM, "torch.optim.AdamW(model.parameters(), lr=learning_rate)"),
    Mistake("the argument learning_rate has no effect: this is Adam's default", "lr=learning_rate,", ""),
    Mistake("a new optimizer in each epoch forgets its averages: make one before the first",
            "losses = []\n", f"losses, optimizer = [], {ADAM}\n"),
    Mistake("call model.train() first: dropout is off in eval mode", "model.train()", "model.eval()"),
    Mistake("after a look at validation go back to model.train()", "model.train()", "model.train(epoch == 0)"),
    Mistake("shuffle the rows in each epoch", ORDER, "torch.arange(len(train))"),
    Mistake("shuffle the rows anew in each epoch: one order for all is drawn",
            ORDER, "torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))"),
    Mistake("rows are drawn with replacement: shuffle them, so that each comes once",
            ORDER, "torch.randint(len(train), (len(train),))"),
    Mistake("the last, smaller batch of each epoch is left out", BATCHES,
            "torch.randperm(len(train))[: max(1, len(train) // batch_size) * batch_size].split(batch_size)"),
    Mistake("there is only one batch in each epoch", BATCHES, f"{BATCHES}[:1]"),
    Mistake("batch_size has no effect: all rows come in one batch", BATCHES, f"{ORDER}.split(len(train))"),
    Mistake("there is only one epoch: all rows come again in each", "enumerate(plan)", "enumerate(plan[:1])"),
    Mistake("validation is not trained on: it only chooses", "windows = split.train",
            "windows = Windows(*(torch.cat([getattr(part, n) for part in (split.train, split.validation)])\n"
            "                            for n in ('items', 'targets', 'cut', 'users')))"),
    Mistake("test is for the report only", "split.validation, cost,", "split.test, cost,"),
    Mistake("this is the sum of the steps' losses: divide by their number", MEAN, "sum(losses)"),
    Mistake("this is the loss of a single step: average over the epoch's steps", MEAN, "losses[-1]"),
    Mistake("losses of earlier epochs are still in the sum", "losses = []\n", "losses = losses if epoch else []\n"),
    Mistake("each step counts once: divide by the number of steps", MEAN, "sum(losses) * batch_size / len(train)"),
    Mistake("set the seed inside torch.random.fork_rng(devices=[])",
            "torch.random.fork_rng(devices=[]), bar:", "bar:"),
    Mistake("the order of the rows and the dropout have to come from seed", "torch.manual_seed(seed)", "pass"),
    Mistake("seed has no effect, or nothing is random", "torch.manual_seed(seed)", "torch.manual_seed(0)"),
)  # fmt: skip

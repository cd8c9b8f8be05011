"""Answers to assignment a2: for each solution cell sources of the whole cell, with what has to come of them."""

from answers import Answer, raises, right, the_course_s, wrong

RANK = "def rank_of_target(scores, targets):\n"
NDCG = "def ndcg(ranks, k):\n"
OWN = "def own_numbers(scores, targets):\n"
SEQUENCES = "def user_sequences(interactions):\n"
SPLIT = "def leave_one_out(interactions, length=50):\n"
REACH = "def receptive_field(dilations, kernel_size=3):\n"


# --- rank, NDCG, own numbers ---

RANKS = [
    right(RANK + """
    flat, true = scores.reshape(-1, scores.shape[-1]).double(), targets.reshape(-1)
    ranks = torch.zeros_like(true)
    for row in range(len(true)):
        others = [s for item, s in enumerate(flat[row].tolist()) if item not in (0, int(true[row]))]
        ranks[row] = 1 + sum(s >= float(flat[row, true[row]]) for s in others)
    return ranks.reshape(targets.shape)
"""),
    right(RANK + """
    items = scores.numpy()[..., 1:]
    true = np.take_along_axis(items, targets.numpy()[..., None] - 1, axis=-1)
    return torch.from_numpy(np.asarray((items > true).sum(-1) + (items == true).sum(-1)))
"""),
    right(RANK + """
    true = torch.take_along_dim(scores, targets[..., None], dim=-1)
    behind = torch.einsum("...i->...", (scores[..., 1:] < true).long())
    return scores.shape[-1] - 1 - behind
"""),
    wrong(RANK + """
    true = scores.gather(-1, targets.unsqueeze(-1))
    return 1 + (scores[..., 1:] > true).sum(dim=-1)
""", "in favour"),
    wrong(RANK + """
    true = scores.gather(-1, targets.unsqueeze(-1))
    return (scores >= true).sum(dim=-1)
""", "padding"),
    wrong(RANK + """
    true = scores.gather(-1, targets.unsqueeze(-1))
    return (scores[..., 1:] >= true).sum(dim=-1) - 1
""", "start at 0"),
    wrong(RANK + """
    true = scores.gather(-1, targets.unsqueeze(-1))
    return (scores[..., 1:] <= true).sum(dim=-1)
""", "worst"),
    wrong(RANK + """
    order = scores[..., 1:].argsort(dim=-1, descending=True, stable=True) + 1
    return (order == targets.unsqueeze(-1)).long().argmax(dim=-1) + 1
""", "order of their columns"),
    wrong(RANK + """
    true = scores.gather(-1, targets.unsqueeze(-1))
    return (scores[..., 1:] >= true).sum(dim=-1, keepdim=True)
""", "shape"),
    wrong(RANK + """
    true = scores.gather(-1, targets.unsqueeze(-1))
    return (scores[..., 1:] >= true).double().sum(dim=-1)
""", "whole"),
    raises(RANK + """
    rows = torch.arange(len(targets))
    return (scores[:, 1:] >= scores[rows, targets][:, None]).sum(dim=1)
""", "raised"),
    the_course_s("""
from skiprec_lite.metrics import rank_of_target
"""),
]  # fmt: skip

GAINS = [
    right(NDCG + """
    gain = 1 / torch.log2(1 + ranks.to(torch.float64))
    return torch.where(ranks <= k, gain, torch.zeros_like(gain))
"""),
    right(NDCG + """
    r = ranks.numpy().astype(float)
    return torch.from_numpy(np.asarray(np.where(r > k, 0.0, np.log(2) / np.log(r + 1))))
"""),
    right(NDCG + """
    gains = 1 / (ranks.double() + 1).log2()
    gains[ranks > k] = 0
    return gains
"""),
    wrong(NDCG + """
    return (ranks <= k) / torch.log(ranks.double() + 1)
""", "base 2"),
    wrong(NDCG + """
    return (ranks < k) / torch.log2(ranks.double() + 1)
""", "exactly k"),
    wrong(NDCG + """
    return 1 / torch.log2(ranks.double() + 1)
""", "cut-off"),
    wrong(NDCG + """
    return (ranks <= k) / ranks.double()
""", "MRR"),
    wrong(NDCG + """
    return ((ranks <= k) / torch.log2(ranks.double() + 1)).mean()
""", "later"),
    wrong(NDCG + """
    return (ranks <= k) / torch.log2(ranks.double())
""", "+ 1"),
    wrong(NDCG + """
    return [1 / float(torch.log2(r + 1.0)) if r <= k else 0.0 for r in ranks.reshape(-1)]
""", "tensor"),
    raises(NDCG + """
    return (ranks <= k) / math.log2(ranks + 1)
""", "raised"),
    the_course_s("""
ndcg = metrics.ndcg
"""),
]  # fmt: skip

BOTH = """
    pairs = []
    for row, item in zip(scores.tolist(), targets.tolist()):
        true = row.pop(item)
        others = row[1:]
        pairs.append((1 + sum(s >= true for s in others), 1 + sum(s > true for s in others)))
    gain = lambda r: 1 / np.log2(r + 1) if r <= 5 else 0.0
"""
NUMBERS = [
    right(OWN + BOTH + """
    return tuple(np.mean([gain(pair[i]) for pair in pairs]) for i in (0, 1))
"""),
    right(OWN + BOTH + """
    return [round(sum(gain(pair[i]) for pair in pairs) / 6, 3) for i in (0, 1)]
"""),
    right(OWN + BOTH + """
    return torch.tensor([[gain(r) for r in pair] for pair in pairs]).mean(dim=0)
"""),
    wrong(OWN + BOTH + """
    return tuple(np.mean([gain(pair[i]) for pair in pairs]) for i in (1, 0))
""", "in the model's favour"),
    wrong(OWN + BOTH + """
    return tuple(np.mean([gain(pair[0]) for pair in pairs]) for i in (0, 1))
""", "against the model"),
    wrong(OWN + BOTH + """
    return tuple(np.mean([1 / np.log(pair[i] + 1) * (pair[i] <= 5) for pair in pairs]) for i in (0, 1))
""", "base 2"),
    wrong(OWN + BOTH + """
    return tuple(np.mean([gain(pair[i] + 1) for pair in pairs]) for i in (0, 1))
""", "padding"),
    wrong(OWN + BOTH + """
    return tuple(np.mean([gain(pair[i]) for pair in pairs if pair[i] <= 5]) for i in (0, 1))
""", "without a hit"),
    wrong(OWN + BOTH + """
    return tuple(np.mean([1 / pair[i] * (pair[i] <= 5) for pair in pairs]) for i in (0, 1))
""", "MRR"),
    wrong(OWN + BOTH + """
    return tuple(np.mean([1 / np.log2(pair[i] + 1) for pair in pairs]) for i in (0, 1))
""", "cut"),
    wrong(OWN + """
    return float("nan"), float("nan")
""", "between"),
    wrong(OWN + BOTH + """
    return tuple(1 + sum(gain(pair[i]) for pair in pairs) for i in (0, 1))
""", "between"),
    raises(OWN + """
    return float(ndcg(rank_of_target(scores, targets), 5).mean())
""", "subscriptable"),
]  # fmt: skip


# --- splits ---

ORDERS = [
    right(SEQUENCES + """
    events = [[] for _ in interactions.user_ids]
    for user, item, time in interactions.table[["user", "item", "timestamp"]].itertuples(index=False):
        events[user].append((time, item))
    return [np.array([i for _, i in sorted(e, key=lambda pair: pair[0])], dtype=np.int64) for e in events]
"""),
    right(SEQUENCES + """
    table = interactions.table
    order = np.lexsort((np.arange(len(table)), table["timestamp"].to_numpy(), table["user"].to_numpy()))
    items, users = table["item"].to_numpy(np.int64)[order], table["user"].to_numpy()[order]
    return [items[users == u].copy() for u in range(len(interactions.user_ids))]
"""),
    right(SEQUENCES + """
    ordered = interactions.table.sort_values("timestamp", kind="mergesort")
    groups = {user: rows["item"].to_numpy(dtype=np.int64, copy=True) for user, rows in ordered.groupby("user")}
    return [groups.get(user, np.zeros(0, dtype=np.int64)) for user in range(len(interactions.user_ids))]
"""),
    wrong(SEQUENCES + """
    table = interactions.table.sort_values(["user", "timestamp", "item"])
    return [table["item"][table["user"] == u].to_numpy(np.int64) for u in range(len(interactions.user_ids))]
""", "Ties"),
    wrong(SEQUENCES + """
    table = interactions.table
    return [table["item"][table["user"] == u].to_numpy(np.int64) for u in range(len(interactions.user_ids))]
""", "time"),
    wrong(SEQUENCES + """
    table = interactions.table.sort_values(["user", "timestamp"], ascending=[True, False])
    return [table["item"][table["user"] == u].to_numpy(np.int64) for u in range(len(interactions.user_ids))]
""", "oldest first"),
    wrong(SEQUENCES + """
    table = interactions.table[::-1].sort_values(["user", "timestamp"], kind="stable")
    return [table["item"][table["user"] == u].to_numpy(np.int64) for u in range(len(interactions.user_ids))]
""", "Ties"),
    wrong(SEQUENCES + """
    table = interactions.table.sort_values(["user", "timestamp"], kind="stable")
    return [rows["item"].to_numpy(np.int64) for _, rows in table.groupby("user")]
""", "user"),
    wrong(SEQUENCES + """
    table = interactions.table.sort_values(["user", "timestamp"], kind="stable")
    return [table["item"][table["user"] == u].tolist() for u in range(len(interactions.user_ids))]
""", "array"),
    raises(SEQUENCES + """
    table = interactions.sort_values(["user", "timestamp"], kind="stable")
    return [table["item"][table["user"] == u].to_numpy(np.int64) for u in range(len(interactions.user_ids))]
""", "raised"),
    the_course_s("""
user_sequences = splits.user_sequences
"""),
]  # fmt: skip

PARTS = """
    whole = user_sequences(interactions)
    two = [u for u in range(len(whole)) if len(whole[u]) > 1]
    three = [u for u in range(len(whole)) if len(whole[u]) > 2]
    train = [s if len(s) == 1 else s[:-2] for s in whole]
    test = last_item_cases([whole[u] for u in two], two, length)
    validation = last_item_cases([whole[u][:-1] for u in three], three, length)
"""
ANSWER = """
    windows = training_windows(train, list(range(len(train))), length)
    kept = tuple(s for s in train if len(s) > 0)
    return Split(windows, validation, test, interactions.num_items, kept, len(two) - len(three))
"""
SPLITS = [
    right(SPLIT + PARTS + ANSWER),
    right(SPLIT + """
    train, owners, held, left_out = [], [], {1: [], 2: []}, 0
    for user, sequence in enumerate(user_sequences(interactions)):
        for back in (1, 2):
            if len(sequence) > back:
                held[back].append((user, sequence[: len(sequence) - back + 1]))
        left_out += len(sequence) == 2
        if len(sequence) != 2:
            train.append(sequence if len(sequence) < 2 else sequence[:-2])
            owners.append(user)
    rows = {back: last_item_cases([s for _, s in pairs], [u for u, _ in pairs], length) for back, pairs in held.items()}
    return Split(
        train=training_windows(train, owners, length), validation=rows[2], test=rows[1],
        num_items=interactions.num_items, sequences=tuple(filter(len, train)), left_out=left_out,
    )
"""),
    right("""
def cases_by_hand(sequences, users, length):
    items = pad_left([s[:-1] for s in sequences], length)
    targets = pad_left([np.append(np.zeros(length - 1, dtype=np.int64), s[-1]) for s in sequences], length)
    seen = tuple(s[:-1][: max(0, len(s) - 1 - length)] for s in sequences)
    return Windows(items, targets, torch.full((len(users),), length - 1), torch.tensor(users), seen)

""" + SPLIT + PARTS.replace("last_item_cases", "cases_by_hand") + ANSWER),
    wrong(SPLIT + PARTS + """
    train = [s if len(s) == 1 else s[:-1] for s in whole]
""" + ANSWER, "leak"),
    wrong(SPLIT + PARTS + """
    train = whole
""" + ANSWER, "leak"),
    wrong(SPLIT + PARTS + """
    test = last_item_cases([np.append(whole[u][:-2], whole[u][-1]) for u in two], two, length)
""" + ANSWER, "right before"),
    wrong(SPLIT + PARTS + """
    rng = np.random.default_rng(0)
    mixed = [rng.permutation(s) for s in whole]
    test = last_item_cases([mixed[u] for u in two], two, length)
    validation = last_item_cases([mixed[u][:-1] for u in three], three, length)
    train = [s if len(s) == 1 else s[:-2] for s in mixed]
""" + ANSWER, "last item"),
    wrong(SPLIT + PARTS + """
    validation = last_item_cases([whole[u] for u in three], three, length)
""" + ANSWER, "last but one"),
    wrong(SPLIT + PARTS + """
    test = last_item_cases([whole[u] for u in three], three, length)
    two = three
""" + ANSWER, "is tested"),
    wrong(SPLIT + PARTS + """
    train = [s if len(s) == 1 else s[:-2] if len(s) > 2 else s[:1] for s in whole]
""" + ANSWER, "two items"),
    wrong(SPLIT + PARTS + """
    train = [s[:-2] for s in whole]
""" + ANSWER, "single"),
    wrong(SPLIT + PARTS + """
    length = 50
    test = last_item_cases([whole[u] for u in two], two, length)
""" + ANSWER, "length"),
    wrong(SPLIT + PARTS + """
    return train, validation, test
""", "expected a Split"),
    raises(SPLIT + PARTS + """
    assert all(s[-2] != s[-1] for s in whole)
""" + ANSWER, "IndexError"),
    raises(SPLIT + """
    return splits.last_n(interactions, 1, length)
""", "not allowed"),
]  # fmt: skip


# --- blocks ---

CONV = """
class CausalConv1d(nn.Module):
    def __init__(self, channels, kernel_size=3, dilation=1):
        super().__init__()
        like = nn.Conv1d(channels, channels, kernel_size)
        self.weight, self.bias, self.dilation = like.weight, like.bias, dilation

    def forward(self, hidden):
"""


def conv_of_torch(padding: str, crop: str) -> str:
    return f"""
class CausalConv1d(nn.Module):
    def __init__(self, channels, kernel_size=3, dilation=1):
        super().__init__()
        self.reach = (kernel_size - 1) * dilation
        self.conv = nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding={padding})

    def forward(self, hidden):
        y, time = self.conv(hidden.mT), hidden.shape[1]
        return {crop}.mT
"""


CONVOLUTIONS = [
    right(CONV + """
        rows = []
        for t in range(hidden.shape[1]):
            y = self.bias.expand(len(hidden), -1)
            for j in range(self.weight.shape[-1]):
                if t >= j * self.dilation:
                    y = y + hidden[:, t - j * self.dilation] @ self.weight[:, :, -1 - j].T
            rows.append(y)
        return torch.stack(rows, dim=1)
"""),
    right(conv_of_torch("(kernel_size - 1) * dilation", "y[:, :, :time]")),
    right(CONV + """
        k, d = self.weight.shape[-1], self.dilation
        padded = torch.cat([hidden.new_zeros(len(hidden), (k - 1) * d, hidden.shape[2]), hidden], dim=1)
        taps = torch.stack([padded[:, j * d : j * d + hidden.shape[1]] for j in range(k)], dim=-1)
        return torch.einsum("btik,oik->bto", taps, self.weight) + self.bias
"""),
    right(CONV + """
        time, out = hidden.shape[1], F.linear(hidden, self.weight[:, :, -1], self.bias)
        for j in range(1, self.weight.shape[-1]):
            s = j * self.dilation
            if s < time:
                out[:, s:] += F.linear(hidden[:, :-s], self.weight[:, :, -1 - j])
        return out
"""),
    wrong(conv_of_torch("(kernel_size - 1) * dilation", "y[:, :, -time:]"), "future"),
    wrong(CONV + """
        reach = (self.weight.shape[-1] - 1) * self.dilation
        x = F.pad(hidden.mT, (reach // 2, reach - reach // 2))
        return F.conv1d(x, self.weight, self.bias, dilation=self.dilation).mT
""", "both sides"),
    wrong(CONV + """
        x = F.pad(hidden.mT, ((self.weight.shape[-1] - 1) * self.dilation, 0))
        return F.conv1d(x, self.weight.flip(-1), self.bias, dilation=self.dilation).mT
""", "tap"),
    wrong(CONV + """
        x = F.pad(hidden.mT, (self.weight.shape[-1] - 1, 0))
        return F.conv1d(x, self.weight, self.bias).mT
""", "dilation"),
    wrong(CONV + """
        x = F.pad(hidden.mT, ((self.weight.shape[-1] - 1) * self.dilation + 1, 0))
        return F.conv1d(x, self.weight, self.bias, dilation=self.dilation).mT[:, :-1]
""", "present"),
    wrong(CONV + """
        x = F.pad(hidden.mT, ((self.weight.shape[-1] - 1) * self.dilation, 0))
        return F.conv1d(x, self.weight, self.bias, dilation=self.dilation)
""", "shape"),
    wrong(CONV + """
        x = F.pad(hidden.mT, ((self.weight.shape[-1] - 1) * self.dilation, 0))
        return F.conv1d(x, self.weight, None, dilation=self.dilation).mT
""", "bias"),
    wrong(CONV + """
        x = F.pad(hidden.mT, ((self.weight.shape[-1] - 1) * self.dilation, 0))
        return F.conv1d(x, self.weight, self.bias, dilation=self.dilation).mT * float("nan")
""", "NaN"),
    raises(CONV + """
        return F.conv1d(hidden, self.weight, self.bias, dilation=self.dilation)
""", "raised"),
    the_course_s("""
from skiprec_lite.blocks import CausalConv1d
"""),
    raises("""
from skiprec_lite import blocks
class CausalConv1d(blocks.CausalConv1d):
    pass
""", "not allowed"),
]  # fmt: skip

BLOCK = """
class ResidualBlock(nn.Module):
    def __init__(self, channels, kernel_size=3, dilation=1, *, rezero=True, dropout=0.0):
        super().__init__()
        self.conv1, self.norm1 = CausalConv1d(channels, kernel_size, dilation), nn.LayerNorm(channels)
        self.conv2, self.norm2 = CausalConv1d(channels, kernel_size, 2 * dilation), nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)
        self.scale = nn.Parameter(torch.zeros(1)) if rezero else 1.0

    def forward(self, hidden, mask=None):
"""
BODY = """
        real = 1.0 if mask is None else mask.unsqueeze(-1)
        branch = F.relu(self.norm1(self.conv1(hidden * real)))
        branch = F.relu(self.norm2(self.conv2(branch * real)))
        return hidden + self.scale * self.dropout(branch)
"""
BLOCKS = [
    right("""
class ResidualBlock(nn.Module):
    def __init__(self, channels, kernel_size=3, dilation=1, *, rezero=True, dropout=0.0):
        super().__init__()
        self.convs = nn.ModuleList(CausalConv1d(channels, kernel_size, d * dilation) for d in (1, 2))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.drop = nn.Dropout(dropout)
        if rezero:
            self.alpha = nn.Parameter(torch.zeros(1))
        self.rezero = rezero

    def forward(self, hidden, mask=None):
        branch = hidden
        for conv, norm in zip(self.convs, self.norms):
            if mask is not None:
                branch = branch.masked_fill(~mask[:, :, None], 0)
            branch = norm(conv(branch)).clamp_min(0)
        branch = self.drop(branch)
        return hidden + self.alpha * branch if self.rezero else hidden + branch
"""),
    right(BLOCK + """
        real = torch.ones(hidden.shape[:2], dtype=torch.bool) if mask is None else mask
        branch = torch.where(real[..., None], hidden, 0.0)
        branch = torch.where(real[..., None], torch.relu(self.norm1(self.conv1(branch))), 0.0)
        branch = torch.relu(self.norm2(self.conv2(branch)))
        return torch.add(hidden, self.dropout(branch) * self.scale)
"""),
    right(BLOCK + """
        def norm(x, of):
            x = x - x.mean(dim=-1, keepdim=True)
            return x / (x.square().mean(dim=-1, keepdim=True) + of.eps).sqrt() * of.weight + of.bias
        real = hidden.new_ones(()) if mask is None else mask[..., None].to(hidden.dtype)
        branch = torch.relu_(norm(self.conv1(hidden * real), self.norm1))
        branch = torch.relu_(norm(self.conv2(branch * real), self.norm2))
        return hidden + self.dropout(branch).mul(self.scale)
"""),
    wrong(BLOCK + """
        real = 1.0 if mask is None else mask.unsqueeze(-1)
        branch = F.relu(self.norm1(self.conv1(hidden * real)))
        branch = F.relu(self.norm2(self.conv2(branch)))
        return hidden + self.scale * self.dropout(branch)
""", "second"),
    wrong(BLOCK + """
        branch = F.relu(self.norm1(self.conv1(hidden)))
        branch = F.relu(self.norm2(self.conv2(branch)))
        return hidden + self.scale * self.dropout(branch)
""", "mask"),
    wrong(BLOCK.replace("torch.zeros(1)", "torch.ones(1)") + BODY, "at 0"),
    wrong(BLOCK.replace("2 * dilation", "dilation") + BODY, "dilation"),
    wrong(BLOCK.replace("nn.Parameter(torch.zeros(1))", "0.0") + BODY, "parameter"),
    wrong(BLOCK.replace("if rezero else 1.0", "") + BODY, "rezero"),
    wrong(BLOCK + BODY.replace("hidden + self.scale", "self.scale"), "residual"),
    wrong(BLOCK + BODY.replace("branch = F.relu(self.norm2(self.conv2(branch * real)))", """
        branch = self.norm2(self.conv2(branch * real))
"""), "ReLU"),
    wrong(BLOCK + """
        real = 1.0 if mask is None else mask.unsqueeze(-1)
        branch = self.norm1(F.relu(self.conv1(hidden * real)))
        branch = self.norm2(F.relu(self.conv2(branch * real)))
        return hidden + self.scale * self.dropout(branch)
""", "ReLU"),
    wrong(BLOCK + BODY.replace("self.dropout(branch)", "branch"), "dropout"),
    wrong(BLOCK + BODY.replace("return hidden", "return hidden * float('nan')"), "NaN"),
    raises(BLOCK + """
        real = mask.unsqueeze(-1)
        branch = F.relu(self.norm1(self.conv1(hidden * real)))
        branch = F.relu(self.norm2(self.conv2(branch * real)))
        return hidden + self.scale * self.dropout(branch)
""", "raised"),
    the_course_s("""
from skiprec_lite.blocks import ResidualBlock
"""),
]  # fmt: skip

REACHES = [
    right(REACH + """
    reach = 1
    for d in dilations:
        for of_a_convolution in (d, 2 * d):
            reach += (kernel_size - 1) * of_a_convolution
    return reach
"""),
    right(REACH + """
    return int(1 + np.sum(np.outer([1, 2], np.array(dilations, dtype=int))) * (kernel_size - 1))
"""),
    wrong(REACH + """
    return 1 + (kernel_size - 1) * sum(dilations)
""", "forgotten"),
    wrong(REACH + """
    return 1 + (kernel_size - 1) * 2 * sum(dilations)
""", "2 d, not d"),
    wrong(REACH + """
    return (kernel_size - 1) * 3 * sum(dilations)
""", "itself"),
    wrong(REACH + """
    return 1 + kernel_size * 3 * sum(dilations)
""", "k taps"),
    wrong(REACH + """
    return 1 + 6 * sum(dilations)
""", "kernel"),
    wrong(REACH + """
    return 1 + (kernel_size - 1) * 3 * max(dilations)
""", "longest"),
    wrong(REACH + """
    return [1 + (kernel_size - 1) * 3 * d for d in dilations]
""", "number"),
    raises(REACH + """
    return 1 + (kernel_size - 1) * 3 * dilations.sum()
""", "raised"),
    the_course_s("""
from skiprec_lite.blocks import receptive_field
"""),
]  # fmt: skip

ANSWERS_A2: dict[str, list[Answer]] = {
    "rank_of_target": RANKS,
    "ndcg": GAINS,
    "own_numbers": NUMBERS,
    "user_sequences": ORDERS,
    "leave_one_out": SPLITS,
    "CausalConv1d": CONVOLUTIONS,
    "ResidualBlock": BLOCKS,
    "receptive_field": REACHES,
}

"""Answers to the exercises of lesson 04."""

import math
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from answers import Answer, raises, right, wrong
from torch import nn

from skiprec_lite import backbones, evaluation, metrics, splits
from skiprec_lite.metrics import Estimate
from skiprec_lite.windows import Split, Windows, pad_left

# --- user_sequences ---


def by_appending(interactions):
    """Python's sort is stable; events of the file are read one by one."""
    events = [[] for _ in interactions.user_ids]
    for user, item, time in interactions.table[["user", "item", "timestamp"]].itertuples(index=False):
        events[user].append((time, item))
    return [np.array([i for _, i in sorted(e, key=lambda pair: pair[0])], dtype=np.int64) for e in events]


def by_argsort(interactions):
    table = interactions.table
    users, items, times = (table[c].to_numpy() for c in ("user", "item", "timestamp"))
    sequences = []
    for user in range(len(interactions.user_ids)):
        mine = np.flatnonzero(users == user)
        sequences.append(items[mine[np.argsort(times[mine], kind="stable")]])
    return sequences


def by_groups(interactions):
    rows = interactions.table.sort_values("timestamp", kind="mergesort").groupby("user")["item"]
    found = {user: items.to_numpy() for user, items in rows}
    return tuple(found.get(user, np.array([], dtype=np.int64)) for user in range(len(interactions.user_ids)))


def of_users(interactions, table):
    return [table["item"][table["user"] == u].to_numpy() for u in range(len(interactions.user_ids))]


def unstable(interactions):
    return of_users(interactions, interactions.table.sort_values("timestamp", kind="heapsort"))


def by_item(interactions):
    return of_users(interactions, interactions.table.sort_values(["timestamp", "item"]))


def back_in_file_order(interactions):
    return of_users(interactions, interactions.table.sort_values("timestamp", kind="stable").sort_index())


def whoever_has_events(interactions):
    table = interactions.table.sort_values(["user", "timestamp"], kind="stable")
    return [items.to_numpy() for _, items in table.groupby("user")["item"]]


# --- pad_left ---


def pad_by_lists(sequences, length):
    rows = [[0] * (length - len(s[-length:])) + list(s[-length:]) for s in sequences]
    return torch.tensor(np.array(rows, dtype=np.int64).reshape(len(rows), length))


def pad_from_the_end(sequences, length):
    rows = np.zeros((len(sequences), length), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        for back, item in enumerate(reversed(list(sequence)[-length:]), start=1):
            rows[row, -back] = item
    return torch.from_numpy(rows)


def pad_right(sequences, length):
    rows = torch.zeros(len(sequences), length, dtype=torch.int64)
    for row, s in zip(rows, sequences):
        row[: len(s[-length:])] = torch.tensor(np.array(s[-length:], dtype=np.int64))
    return rows


def no_dtype(sequences, length):
    rows = torch.zeros(len(sequences), length)
    for row, s in zip(rows, sequences):
        if len(s):
            row[-len(s[-length:]) :] = torch.tensor(np.array(s[-length:]))
    return rows


def minus_zero(sequences, length):
    rows = torch.zeros(len(sequences), length, dtype=torch.int64)
    for row, s in zip(rows, sequences):
        row[-len(s[-length:]) :] = torch.tensor(np.array(s[-length:], dtype=np.int64))
    return rows


# --- training_windows ---


def windows_of(rows, length):
    """Windows of (user, inputs, targets, seen)."""
    return Windows(
        pad_left([r[1] for r in rows], length), pad_left([r[2] for r in rows], length),
        torch.full((len(rows),), length - 1), torch.tensor([r[0] for r in rows], dtype=torch.int64),
        tuple(r[3] for r in rows),
    )  # fmt: skip


def by_shortening(sequences, users, earlier=None, *, length):
    rows = []
    for i, sequence in enumerate(sequences):
        before, left = (sequence[:0] if earlier is None else earlier[i]), sequence
        while len(left) > 1:
            piece = left[-length - 1 :]
            left = left[: len(left) - len(piece) + 1]
            rows.append((users[i], piece[:-1], piece[1:], np.append(before, left[:-1])))
    return windows_of(rows, length)


def by_padding_first(sequences, users, earlier=None, *, length):
    """Fill the front so that the pairs divide evenly, fold, read the rows backwards."""
    items, targets, owners, seen = [], [], [], []
    for i, (user, s) in enumerate(zip(users, sequences)):
        pairs = max(0, len(s) - 1)
        fill = np.zeros(-pairs % length, dtype=np.int64)
        items += list(np.concatenate([fill, s[:pairs]]).reshape(-1, length)[::-1])
        targets += list(np.concatenate([fill, s[1:]]).reshape(-1, length)[::-1])
        for row in reversed(range((len(fill) + pairs) // length)):
            owners.append(user)
            start = max(0, row * length - len(fill))
            seen.append(s[:start] if earlier is None else np.concatenate([earlier[i], s[:start]]))
    shape = (len(owners), length)
    both = (torch.from_numpy(np.array(x, dtype=np.int64).reshape(shape)) for x in (items, targets))
    return Windows(*both, torch.tensor([length - 1] * len(owners), dtype=torch.int64),
                   torch.tensor(owners, dtype=torch.int64), tuple(seen))  # fmt: skip


def ending_at_each_item(sequences, users, earlier=None, *, length):
    rows = [
        (u, s[max(0, end - length) : end], s[max(0, end - length) + 1 : end + 1], s[: max(0, end - length)])
        for u, s in zip(users, sequences)
        for end in range(len(s) - 1, 0, -1)
    ]
    return windows_of(rows, length)


def from_the_start(sequences, users, earlier=None, *, length):
    rows = [
        (u, s[a : a + length][: len(s) - 1 - a], s[a + 1 : a + 1 + length], s[:a])
        for u, s in zip(users, sequences)
        for a in range(0, len(s) - 1, length)
    ]
    return windows_of(rows, length)


def without_the_rest(sequences, users, earlier=None, *, length):
    rows = [
        (u, s[end - length : end], s[end - length + 1 : end + 1], s[: end - length])
        for u, s in zip(users, sequences)
        for end in range(len(s) - 1, length - 1, -length)
    ]
    return windows_of(rows, length)


def not_windows(sequences, users, earlier=None, *, length):
    windows = splits.training_windows(sequences, users, earlier, length=length)
    return windows.items, windows.targets


# --- last_positions ---


def case_by_case(sequences, users, earlier=None, *, n, width):
    items, targets = np.zeros((2, len(sequences), width), dtype=np.int64)
    seen = []
    for row, s in enumerate(sequences):
        read = s[:-1]
        for back in range(1, min(width, len(read)) + 1):
            items[row, -back] = read[-back]
        targets[row, -n:] = s[-n:]
        before = read[: len(read) - min(width, len(read))]
        seen.append(before if earlier is None else np.append(earlier[row], before))
    return Windows(torch.from_numpy(items), torch.from_numpy(targets), torch.tensor([width - n] * len(items)),
                   torch.as_tensor(list(users)), seen)  # fmt: skip


def by_shifting(sequences, users, earlier=None, *, n, width):
    whole = pad_left(sequences, width + 1)
    scored = torch.arange(width) >= width - n
    seen = [np.array(list(s)[: -width - 1], dtype=np.int64) for s in sequences]
    if earlier is not None:
        seen = [np.concatenate([a, b]) for a, b in zip(earlier, seen)]
    return Windows(whole[:, :-1], whole[:, 1:] * scored, torch.zeros(len(whole), dtype=torch.int64) + width - n,
                   torch.tensor(users), tuple(seen))  # fmt: skip


def the_answer_is_read(sequences, users, earlier=None, *, n, width):
    windows = splits.last_positions(sequences, users, earlier, n=n, width=width)
    return replace(windows, items=pad_left(sequences, width))


def all_positions(sequences, users, earlier=None, *, n, width):
    whole = pad_left(sequences, width + 1)
    windows = splits.last_positions(sequences, users, earlier, n=n, width=width)
    return replace(windows, targets=whole[:, 1:] * (windows.items > 0))


def ragged(sequences, users, earlier=None, *, n, width):
    windows = splits.last_positions(sequences, users, earlier, n=n, width=width)
    return replace(windows, targets=torch.tensor(np.stack([s[-n:] for s in sequences])))


def stacks_ragged(sequences, users, earlier=None, *, n, width):
    return replace(splits.last_positions(sequences, users, n=n, width=width), items=torch.tensor(np.stack(sequences)))


# --- last_n and leave_one_out ---


def split_where(*, train=None, test=None, order=splits.user_sequences):
    """`last_n` in which a part can be cut by another rule, of a history and n."""

    def last_n(interactions, n=10, length=50):
        sequences, width = order(interactions), length + n - 1
        rule = train or (lambda s, n: s[: -2 * n] if len(s) > 2 * n else s[:0] if len(s) > n else s)
        trained = [rule(s, n) for s in sequences]
        long = [u for u, s in enumerate(sequences) if len(s) > n]
        longer = [u for u in long if len(sequences[u]) > 2 * n]
        tested = [test(sequences[u], n) if test else sequences[u] for u in long]
        return Split(
            splits.training_windows(trained, range(len(trained)), length=length),
            splits.last_positions([sequences[u][:-n] for u in longer], longer, n=n, width=width),
            splits.last_positions(tested, long, n=n, width=width),
            interactions.num_items, tuple(s for s in trained if len(s)), len(long) - len(longer),
        )  # fmt: skip

    return last_n


def one(last_n):
    return lambda interactions, length=50: last_n(interactions, 1, length)


def user_by_user(interactions, n=10, length=50):
    """One walk through the users, all three parts at once."""
    rows = {"train": [], "validation": [], "test": []}
    left_out = 0
    for user, s in enumerate(splits.user_sequences(interactions)):
        if len(s) <= n:
            rows["train"].append((s, user))
            continue
        rows["test"].append((s, user))
        if len(s) <= 2 * n:
            left_out += 1
            continue
        rows["validation"].append((s[: len(s) - n], user))
        rows["train"].append((s[: len(s) - 2 * n], user))
    cases = {name: [list(column) for column in zip(*pairs)] for name, pairs in rows.items()}
    return Split(
        train=splits.training_windows(*cases["train"], length=length),
        validation=splits.last_positions(*cases["validation"], n=n, width=length + n - 1),
        test=splits.last_positions(*cases["test"], n=n, width=length + n - 1),
        num_items=interactions.num_items, sequences=tuple(s for s, _ in rows["train"] if len(s)), left_out=left_out,
    )  # fmt: skip


def one_from_scratch(interactions, length=50):
    """Windows from a table, without the helpers."""
    found = {"train": [], "validation": [], "test": []}
    counted, left_out = [], 0
    for user, s in enumerate(by_argsort(interactions)):
        back = {"test": 1, "validation": 2}
        left_out += len(s) == 2
        for part, k in back.items():
            if len(s) > k:
                read, start = s[:-k], max(0, len(s) - k - length)
                target = np.zeros(min(len(read), length), dtype=np.int64)
                target[-1] = s[-k]
                found[part].append((user, read[start:], target, s[:start]))
        kept = s if len(s) == 1 else s[:-2]
        if len(kept):
            counted.append(kept)
        for end in range(len(kept) - 1, 0, -length):
            start = max(0, end - length)
            found["train"].append((user, kept[start:end], kept[start + 1 : end + 1], kept[:start]))
    parts = {part: windows_of(rows, length) for part, rows in found.items()}
    return Split(**parts, num_items=interactions.num_items, sequences=tuple(counted), left_out=left_out)


leaky = split_where(train=lambda s, n: s)
no_validation = split_where(test=lambda s, n: np.append(s[: -2 * n], s[-n:]))


def overlapping(interactions, length=50):
    split = splits.leave_one_out(interactions, length)
    return replace(split, train=ending_at_each_item(split.sequences, range(len(split.sequences)), length=length))


def mixed(interactions):
    generator = np.random.default_rng(5)
    return [generator.permutation(s) for s in splits.user_sequences(interactions)]


# --- sessions ---


def session_split(pieces, num_items, length):
    """A split of pieces (part, user, session, what came before), in this order."""
    parts = {name: [p[1:] for p in pieces if p[0] == name] for name in ("train", "validation", "test")}
    columns = {name: ([p[1] for p in rows], [p[0] for p in rows], [p[2] for p in rows]) for name, rows in parts.items()}
    return Split(
        splits.training_windows(*columns["train"], length=length - 1),
        splits.last_positions(*columns["validation"], n=1, width=length - 1),
        splits.last_positions(*columns["test"], n=1, width=length - 1),
        num_items, tuple(columns["train"][0]),
    )  # fmt: skip


def sessions_by_peeling(interactions, length=20):
    pieces = []
    for user, s in enumerate(splits.user_sequences(interactions)):
        own, end = [], len(s)
        while end >= 3:
            start = max(0, end - length)
            part = ("test", "validation", "train")[min(len(own), 2)]
            own.insert(0, (part, user, s[start:end], s[:start]))
            end -= length
        pieces += own
    return session_split(pieces, interactions.num_items, length)


def sessions_by_array_split(interactions, length=20):
    pieces = []
    for user, s in enumerate(splits.user_sequences(interactions)):
        borders = np.arange(len(s) % length, len(s), length)
        own = [p for p in np.split(s, borders) if len(p) >= 3]
        for place, piece in enumerate(own):
            name = {1: "test", 2: "validation"}.get(len(own) - place, "train")
            pieces.append((name, user, piece, s[: np.flatnonzero(s == piece[0])[0]]))
    return session_split(pieces, interactions.num_items, length)


def sessions_forwards(interactions, length=20):
    pieces = []
    for user, s in enumerate(splits.user_sequences(interactions)):
        starts = [a for a in range(0, len(s), length) if len(s) - a >= 3]
        names = ["train"] * (len(starts) - 2) + ["validation", "test"][-len(starts) :]
        pieces += [(name, user, s[a : a + length], s[:a]) for name, a in zip(names, starts)]
    return session_split(pieces, interactions.num_items, length)


# --- rank_of_target ---


def rank_by_loop(scores, targets):
    flat, true = scores.reshape(-1, scores.shape[-1]).double(), targets.reshape(-1)
    ranks = torch.zeros_like(true)
    for row in range(len(true)):
        others = [s for item, s in enumerate(flat[row].tolist()) if item not in (0, int(true[row]))]
        ranks[row] = 1 + sum(s >= float(flat[row, true[row]]) for s in others)
    return ranks.reshape(targets.shape)


def rank_from_behind(scores, targets):
    own = torch.take_along_dim(scores, targets[..., None], dim=-1)
    return scores.shape[-1] - 1 - (scores[..., 1:] < own).sum(-1)


def rank_in_numpy(scores, targets):
    items = scores.numpy()[..., 1:]
    own = np.take_along_axis(items, targets.numpy()[..., None] - 1, axis=-1)
    return torch.from_numpy(np.asarray((items > own).sum(-1) + (items == own).sum(-1)))


def own_of(scores, targets):
    return scores.gather(-1, targets.unsqueeze(-1))


def rank_by_sorting(scores, targets):
    order = scores[..., 1:].argsort(dim=-1, descending=True, stable=True)
    return (order == targets.unsqueeze(-1) - 1).int().argmax(-1) + 1


def nan_to_zero(scores, targets):
    return metrics.rank_of_target(scores.nan_to_num(nan=0.0, neginf=-torch.inf, posinf=torch.inf), targets)


def writes_into_the_scores(scores, targets):
    own = own_of(scores, targets).clone()
    scores[..., 0] = -torch.inf
    return (scores[..., 1:] >= own).sum(-1)


def two_axes_only(scores, targets):
    rows = torch.arange(len(targets))
    return (scores[:, 1:] >= scores[rows, targets][:, None]).sum(1)


# --- ndcg ---


def ndcg_in_numpy(ranks, k):
    r = ranks.numpy().astype(float)
    return torch.from_numpy(np.where(r > k, 0.0, np.log(2) / np.log(r + 1)))


def ndcg_from_a_table(ranks, k):
    gains = torch.zeros(max([k, *ranks.reshape(-1).tolist()]) + 1, dtype=torch.float64)
    gains[1 : k + 1] = 1 / torch.log2(torch.arange(2, k + 2, dtype=torch.float64))
    return gains[ranks]


def ndcg_float32(ranks, k):
    return (ranks <= k).float() / torch.log2(ranks.float() + 1)


# --- mean_and_error ---


def error_by_hand(per_user):
    n, mean = len(per_user), per_user.sum() / len(per_user)
    return Estimate(float(mean), float((((per_user - mean) ** 2).sum() / (n - 1) / n) ** 0.5))


def error_in_numpy(per_user):
    values = per_user.numpy()
    return metrics.Estimate(values.mean(), values.std(ddof=1) / np.sqrt(len(values)))


def error_of_tensors(per_user):
    return Estimate(mean=per_user.mean(), error=(per_user.var() / len(per_user)).sqrt())


# --- rank_cases ---


def ranks_line_by_line(model, cases, *, exclude_seen=True, batch_size=128):
    """One row at a time, whatever the batch size."""
    was, ranks = model.training, []
    model.eval()
    with torch.inference_mode():
        for i in range(len(cases)):
            row = cases.rows(slice(i, i + 1))
            where = row.scored()
            scores = model.score_at(row.items, where, row.cut)
            for line, t in zip(scores, where[0].nonzero().flatten().tolist()):
                own = line.clone()
                if exclude_seen:
                    past = row.items[0, : t + 1].tolist() + (row.seen[0].tolist() if row.seen else [])
                    own[past] = -torch.inf
                ranks.append(int(metrics.rank_of_target(own[None], row.targets[0, t : t + 1])))
    model.train(was)
    return torch.tensor(ranks, dtype=torch.int64)


def ranks_by_a_mask(model, cases, *, exclude_seen=True, batch_size=128):
    found = []
    with torch.no_grad(), backbones.in_eval_mode(model):
        for start in range(0, len(cases), batch_size):
            batch = cases.rows(torch.arange(start, min(len(cases), start + batch_size)))
            row, t = batch.scored().nonzero().T
            scores = model.score_at(batch.items, batch.scored(), batch.cut)
            if exclude_seen:
                met = torch.zeros(scores.shape, dtype=torch.bool)
                up_to = torch.where(torch.arange(batch.items.shape[1]) <= t[:, None], batch.items[row], 0)
                met.scatter_(1, up_to, True)
                for line, r in enumerate(row.tolist()):
                    met[line, torch.from_numpy(batch.seen[r]) if batch.seen else []] = True
                scores = scores.masked_fill(met, -torch.inf)
            found.append(metrics.rank_of_target(scores, batch.targets[row, t]))
    return torch.cat([torch.zeros(0, dtype=torch.int64), *found])


def ranks_where(*, eval_mode=True, cut=True, first_seen=False):
    """rank_cases with a step left out."""

    def rank_cases(model, cases, *, exclude_seen=True, batch_size=128):
        ranks, was = [torch.empty(0, dtype=torch.int64)], model.training
        model.train(was and not eval_mode)
        with torch.no_grad():
            for start in range(0, len(cases), batch_size):
                batch = cases.rows(slice(start, start + batch_size))
                where = batch.scored()
                scores = model.score_at(batch.items, where, *([batch.cut] if cut else [])).clone()
                for line, (row, t) in enumerate(where.nonzero().tolist() if exclude_seen else []):
                    scores[line, batch.items[row, : t + 1]] = -torch.inf
                    if batch.seen:
                        scores[line, torch.from_numpy((cases if first_seen else batch).seen[row])] = -torch.inf
                ranks.append(metrics.rank_of_target(scores, batch.targets[where]))
        model.train(was)
        return torch.cat(ranks)

    return rank_cases


def ranks_without_nan(model, cases, *, exclude_seen=True, batch_size=128):
    class Cleaned(backbones.NextItemModel):
        def score_at(self, items, where, cut=None):
            return model.score_at(items, where, cut).nan_to_num(0.0, torch.inf, -torch.inf)

    with backbones.in_eval_mode(model):
        return evaluation.rank_cases(Cleaned(), cases, exclude_seen=exclude_seen, batch_size=batch_size)


def seen_is_always_there(model, cases, *, exclude_seen=True, batch_size=128):
    if exclude_seen:
        cases.seen[0]
    return evaluation.rank_cases(model, cases, exclude_seen=exclude_seen, batch_size=batch_size)


# --- mean_per_user ---


def means_by_dict(values, cases):
    of_user = defaultdict(list)
    for value, row in zip(values, cases.scored().nonzero()[:, 0].tolist()):
        of_user[int(cases.users[row])].append(value)
    return torch.stack([torch.stack(of_user[user]).mean() for user in sorted(of_user)])


def means_by_one_hot(values, cases):
    owners = cases.users.repeat_interleave(cases.scored().sum(1))
    table = (owners[:, None] == owners.unique()).to(values.dtype)  # (value, user)
    return torch.einsum("vu,v->u", table, values) / table.sum(0)


def means_in_place(values, cases):
    owners = cases.users[:, None].expand_as(cases.targets)[cases.targets > 0].numpy()
    total, count = np.zeros((2, owners.max() + 1))
    np.add.at(total, owners, values.numpy())
    np.add.at(count, owners, 1)
    return torch.from_numpy(total[count > 0] / count[count > 0])


def means_of_rows(values, cases):
    rows = cases.scored().nonzero()[:, 0]
    return torch.bincount(rows, weights=values)[rows.unique()] / torch.bincount(rows)[rows.unique()]


def order_of_rows(values, cases):
    owners = cases.users.repeat_interleave(cases.scored().sum(1))
    return torch.stack([values[owners == u].mean() for u in dict.fromkeys(cases.users.tolist())])


def with_empty_users(values, cases):
    owners = cases.users.repeat_interleave(cases.scored().sum(1))
    return torch.bincount(owners, weights=values) / torch.bincount(owners).clamp_min(1)


def means_reshaped(values, cases):
    return values.view(len(cases), -1).mean(1)


def as_dict(values, cases):
    return dict(zip(cases.users.unique().tolist(), means_by_dict(values, cases).tolist()))


# --- Popularity ---


class Counting(backbones.NextItemModel):
    """What the versions below share: scores of each item after each item, from `table()`."""

    def __init__(self, split, strength=10.0):
        super().__init__()
        self.split, self.strength = split, strength
        self.counts = torch.bincount(torch.tensor(np.concatenate(split.sequences)), minlength=split.num_items + 1)
        self.counts = self.counts.double()
        self.share = self.counts / self.counts.sum()
        self.scores = self.table()

    def steps(self):
        counts = torch.zeros(self.split.num_items + 1, self.split.num_items + 1, dtype=torch.float64)
        for s in self.split.sequences:
            for i, j in pairwise(s):
                counts[i, j] += 1
        return counts

    def smooth(self, counts):
        return ((counts + self.strength * self.share) / (counts.sum(1, keepdim=True) + self.strength)).log()

    def forward(self, items):
        return self.scores[items] if self.scores.dim() == 2 else self.scores.expand(*items.shape, -1)

    def score_at(self, items, where, cut=None):
        return self(items)[where]


class PopularityByCounter(backbones.NextItemModel):
    def __init__(self, split):
        super().__init__()
        counter = Counter(item for s in split.sequences for item in s.tolist())
        shares = [counter[i] / sum(counter.values()) for i in range(split.num_items + 1)]
        self.logs = nn.Parameter(torch.tensor(shares).log(), requires_grad=False)  # in float32

    def forward(self, items):
        return self.logs.repeat(*items.shape, 1)

    def score_at(self, items, where, cut=None):
        return self.logs.repeat(int(where.sum()), 1)


class PopularityByMask(Counting):
    def table(self):
        return torch.full_like(self.share, -torch.inf).where(
            self.counts == 0, self.counts.log() - self.counts.sum().log()
        )


class PopularityOfTargets(Counting):
    def table(self):
        counts = torch.bincount(self.split.train.targets.flatten(), minlength=len(self.share)).double()
        counts[0] = 0
        return (counts / counts.sum()).log()


class PopularityOnce(PopularityByMask):
    def forward(self, items):
        return self.scores

    def score_at(self, items, where, cut=None):
        return self.scores


class PopularityAlone:
    def __init__(self, split):
        self.share = backbones.Popularity(split).share

    def __call__(self, items):
        return self.share.log().expand(*items.shape, -1)


class PopularityNoCut(PopularityByMask):
    def score_at(self, items, where):
        return self(items)[where]


class PopularityNotANumber(Counting):
    def table(self):
        return self.share.log() * torch.where(self.share > 0, 1.0, torch.nan)


# --- MarkovChain ---


class ChainOfDicts(Counting):
    """Counts in dictionaries, a row at a time."""

    def table(self):
        follow = defaultdict(Counter)
        for s in self.split.sequences:
            for i, j in zip(s.tolist(), s.tolist()[1:]):
                follow[i][j] += 1
        rows = []
        for i in range(len(self.share)):
            row = self.strength * self.share.clone()
            for j, n in follow[i].items():
                row[j] += n
            rows.append(row / (sum(follow[i].values()) + self.strength))
        return torch.stack(rows).log()


class ChainOfOneHot(Counting):
    """Counts as a product of one-hot matrices."""

    def table(self):
        eye, total = torch.eye(len(self.share), dtype=torch.float64), torch.zeros(())
        for s in self.split.sequences:
            total = total + torch.einsum("ti,tj->ij", eye[s[:-1]], eye[s[1:]])
        return torch.log(total + self.strength * self.share) - torch.log(total.sum(1) + self.strength)[:, None]


class ChainOnPopularity(backbones.Popularity):
    """Inherits the package's popularity."""

    def __init__(self, split, strength=10.0):
        super().__init__(split)
        n = split.num_items + 1
        pairs = np.concatenate([s[:-1] * n + s[1:] for s in split.sequences])
        counts = torch.from_numpy(np.bincount(pairs, minlength=n * n).reshape(n, n))
        self.logs = ((counts + strength * self.share) / (counts.sum(1, keepdim=True) + strength)).log()

    def forward(self, items):
        return self.logs[items]


class ChainCountedOnce(Counting):
    def table(self):
        counts = torch.zeros(len(self.share), len(self.share)).double()
        for s in self.split.sequences:
            counts[s[:-1], s[1:]] += 1
        return self.smooth(counts)


class ChainOfOccurrences(Counting):
    def table(self):
        return ((self.steps() + self.strength * self.share) / (self.counts[:, None] + self.strength)).log()


class ChainTooSmall(Counting):
    def table(self):
        return self.smooth(self.steps()[1:, 1:])


# --- WindowCounter ---


class CounterOfLoops(backbones.NextItemModel):
    """The formula, pair by pair and item by item."""

    def __init__(self, split, reach=20, last=10, damp=0.3, fade=0.5):
        super().__init__()
        self.last, self.fade, self.size = last, fade, split.num_items + 1
        followed = torch.zeros(self.size, self.size, dtype=torch.float64)
        for s in split.sequences:
            for t, i in enumerate(s):
                for steps, j in enumerate(s[t + 1 : t + 1 + reach], start=1):
                    followed[i, j] += self.of_pair(steps)
        ratings = torch.bincount(torch.tensor(np.concatenate(split.sequences)), minlength=self.size)
        self.rows = followed / (10 + followed.sum(1, keepdim=True)) / (5.0 + ratings.double()) ** damp
        self.least = 1e-6 * ratings / ratings.sum()

    def of_pair(self, steps):
        return steps**-self.fade

    def forward(self, items):
        found = self.least.repeat(*items.shape, 1)
        for row, line in zip(items.tolist(), found):
            for t in range(len(row)):
                for age, item in enumerate(row[t::-1][: self.last]):
                    line[t] += self.rows[item] * (1 + age) ** -self.fade
        found[..., 0] = -torch.inf
        return found

    def score_at(self, items, where, cut=None):
        return self(items)[where]


class CounterOnce(CounterOfLoops):
    """Inherits; of each item the newest occurrence only."""

    def forward(self, items):
        fresh = items.clone()
        for row in fresh:
            for t in range(len(row)):
                row[:t][row[:t] == row[t]] = 0
        return super().forward(fresh)


class CounterWithoutNearness(CounterOfLoops):
    def of_pair(self, steps):
        return 1.0


class CounterOfTheRow(CounterOfLoops):
    def score_at(self, items, where, cut=None):
        return self(items)[:, -1]


class CounterWithoutSettings(CounterOfLoops):
    def __init__(self, split):
        super().__init__(split)


ANSWERS_NEXT_ITEM: dict[str, list[Answer]] = {
    "splits.user_sequences": [
        right(by_appending), right(by_argsort), right(by_groups),
        wrong(unstable, "stable sort"), wrong(by_item, "item's number"), wrong(whoever_has_events, "without events"),
        wrong(back_in_file_order, "expected"),
        raises(lambda interactions: interactions.table.sort_values(["user", "time"]), "time"),
    ],
    "windows.pad_left": [
        right(pad_by_lists), right(pad_from_the_end),
        wrong(pad_right, "on the left"), wrong(no_dtype, "whole"), raises(minus_zero, "shape"),
        wrong(lambda sequences, length: pad_left(sequences, length).numpy(), "array"),
    ],
    "splits.training_windows": [
        right(by_shortening), right(by_padding_first),
        wrong(from_the_start, "backwards"), wrong(without_the_rest, "shorter one"),
        wrong(not_windows, "Windows"),
    ],
    "splits.last_positions": [
        right(case_by_case), right(by_shifting),
        wrong(the_answer_is_read, "read the answer"), wrong(all_positions, "the last n are predicted"),
        wrong(ragged, "shape"), wrong(stacks_ragged, "width"),
        raises(lambda sequences, users, *, n, width: [s for s in sequences if s.dims], "dims"),
    ],
    "splits.last_n": [
        right(user_by_user), right(split_where()),
        wrong(leaky, "leak"), wrong(no_validation, "all that came before"),
        raises(lambda interactions, n=10, length=50: splits.last_n(interactions, 10, length), "more than 20"),
    ],
    "splits.leave_one_out": [
        right(one(user_by_user)), right(one_from_scratch),
        wrong(one(leaky), "leak"), wrong(one(split_where(order=unstable)), "stable sort"),
        wrong(overlapping, "overlap"), wrong(one(split_where(order=mixed)), "newest items are the last"),
        wrong(lambda interactions, length=50: splits.leave_one_out(interactions, length).test, "Split"),
        raises(lambda interactions, length=50: splits.leave_one_out(interactions.events, length), "events"),
    ],
    "splits.sessions": [
        right(sessions_by_peeling), right(sessions_by_array_split),
        wrong(sessions_forwards, "backwards"),
        wrong(lambda interactions, length=20: splits.sessions(interactions, length + 1), "length - 1"),
        wrong(lambda interactions, length=20: None, "return"),
    ],
    "metrics.rank_of_target": [
        right(rank_by_loop), right(rank_from_behind), right(rank_in_numpy),
        wrong(rank_by_sorting, "order of their"),
        wrong(lambda scores, targets: (scores[..., 1:] > own_of(scores, targets)).sum(-1), "start at 0"),
        wrong(nan_to_zero, "NaN"), wrong(writes_into_the_scores, "changes"),
        wrong(lambda scores, targets: metrics.rank_of_target(scores, targets)[..., None], "shape"),
        raises(two_axes_only, "shape"),
    ],
    "metrics.ndcg": [
        right(ndcg_in_numpy), right(ndcg_from_a_table), right(ndcg_float32),
        wrong(lambda ranks, k: 1 / torch.log2(ranks.double() + 1), "cut-off"), wrong(metrics.mrr, "MRR"),
        wrong(lambda ranks, k: metrics.ndcg(ranks, k).mean(), "later"),
        raises(lambda ranks, k: (ranks <= k) / math.log2(ranks + 1), "converted"),
    ],
    "metrics.mean_and_error": [
        right(error_by_hand), right(error_in_numpy), right(error_of_tensors),
        wrong(lambda v: Estimate(float(v.mean()), float((v.std() / len(v) ** 0.5) ** 2)), "square root is missing"),
        wrong(lambda v: Estimate(float(v.mean()), float(np.std(v.numpy()) / len(v) ** 0.5)), "NumPy's default"),
        wrong(lambda v: tuple(metrics.mean_and_error(v)), "Estimate"),
        raises(lambda v: Estimate(v.mean(), v.sem()), "sem"),
    ],
    "evaluation.rank_cases": [
        right(ranks_line_by_line), right(ranks_by_a_mask), right(ranks_where()),
        wrong(ranks_where(eval_mode=False), "eval mode"), wrong(ranks_where(cut=False), "cut"),
        wrong(ranks_where(first_seen=True), "another row"), wrong(ranks_without_nan, "NaN"),
        wrong(lambda model, cases, **options: evaluation.rank_cases(model, cases, **options).tolist(), "tensor"),
        raises(seen_is_always_there, "index"),
    ],
    "evaluation.mean_per_user": [
        right(means_by_dict), right(means_by_one_hot), right(means_in_place),
        wrong(means_of_rows, "mean of its own"), wrong(order_of_rows, "order of their rows"),
        wrong(with_empty_users, "without a case"), raises(means_reshaped, "shape"), wrong(as_dict, "dict"),
    ],
    "backbones.Popularity": [
        right(PopularityByCounter), right(PopularityByMask),
        wrong(PopularityOfTargets, "first item"), wrong(PopularityOnce, "shape"), wrong(PopularityAlone, "inherit"),
        raises(PopularityNoCut, "positional"), wrong(PopularityNotANumber, "NaN"),
    ],
    "backbones.MarkovChain": [
        right(ChainOfDicts), right(ChainOfOneHot), right(ChainOnPopularity),
        wrong(ChainCountedOnce, "once"), wrong(ChainOfOccurrences, "followed"),
        raises(ChainTooSmall, "size"),
    ],
    "backbones.WindowCounter": [
        right(CounterOfLoops),
        wrong(CounterWithoutNearness, "further it is apart"), wrong(CounterOnce, "expected"),
        wrong(CounterOfTheRow, "score_at"), raises(CounterWithoutSettings, "unexpected"),
    ],
}  # fmt: skip

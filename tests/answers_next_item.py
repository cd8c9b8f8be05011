"""Answers to the exercises of lesson 04."""

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


def unstable(interactions):
    table = interactions.table.sort_values("timestamp", kind="heapsort").sort_values("user", kind="stable")
    return [table["item"][table["user"] == u].to_numpy() for u in range(len(interactions.user_ids))]


def sorted_by(*columns, ascending=True):
    def user_sequences(interactions):
        table = interactions.table.sort_values(list(columns), ascending=ascending, kind="stable")
        return [table["item"][table["user"] == u].to_numpy() for u in range(len(interactions.user_ids))]

    return user_sequences


def back_in_file_order(interactions):
    table = interactions.table.sort_values(["user", "timestamp"], kind="stable").sort_index()
    return [table["item"][table["user"] == u].to_numpy() for u in range(len(interactions.user_ids))]


def whoever_has_events(interactions):
    table = interactions.table.sort_values(["user", "timestamp"], kind="stable")
    return [items.to_numpy() for _, items in table.groupby("user")["item"]]


def sorts_the_log_itself(interactions):
    interactions.table.sort_values(["user", "timestamp"], kind="stable", inplace=True)
    return splits.user_sequences(interactions)


def lists(interactions):
    return [s.tolist() for s in splits.user_sequences(interactions)]


def one_array(interactions):
    return np.concatenate(splits.user_sequences(interactions))


def wrong_column(interactions):
    return interactions.table.sort_values(["user", "time"])["item"].to_numpy()


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


def keep_the_oldest(sequences, length):
    return pad_left([s[:length] for s in sequences], length)


def newest_first(sequences, length):
    return pad_left([s[-length:][::-1].copy() for s in sequences], length)


def pad_to_the_longest(sequences, length):
    return pad_left(sequences, max(len(s) for s in sequences))


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


def pad_as_numpy(sequences, length):
    return pad_left(sequences, length).numpy()


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


def pieces_of_length(sequences, users, earlier=None, *, length):
    """A piece of `length` items has length - 1 pairs: the pairs across two pieces are lost."""
    rows = []
    for u, s in zip(users, sequences):
        for end in range(len(s), 1, -length):
            piece = s[max(0, end - length) : end]
            rows.append((u, piece[:-1], piece[1:], s[: max(0, end - length)]))
    return windows_of(rows, length)


def targets_not_shifted(sequences, users, earlier=None, *, length):
    windows = splits.training_windows(sequences, users, earlier, length=length)
    return replace(windows, targets=windows.items.clone())


def targets_before(sequences, users, earlier=None, *, length):
    windows = splits.training_windows(sequences, users, earlier, length=length)
    return replace(windows, items=windows.targets, targets=windows.items)


def oldest_window_first(sequences, users, earlier=None, *, length):
    windows = splits.training_windows(sequences, users, earlier, length=length)
    order = sorted(range(len(windows)), key=lambda i: (windows.users[i], len(windows.seen[i])))
    return windows.rows(torch.tensor(order, dtype=torch.int64))


def no_earlier(sequences, users, earlier=None, *, length):
    return splits.training_windows(sequences, users, length=length)


def seen_with_its_own_items(sequences, users, earlier=None, *, length):
    windows = splits.training_windows(sequences, users, earlier, length=length)
    own = zip(windows.seen, windows.items)
    return replace(windows, seen=tuple(np.append(s, row[row > 0].numpy()) for s, row in own))


def padded_right(sequences, users, earlier=None, *, length):
    windows = splits.training_windows(sequences, users, earlier, length=length)
    items, targets = (pad_right([r[r > 0].numpy() for r in x], length) for x in (windows.items, windows.targets))
    return replace(windows, items=items, targets=targets)


def floating_users(sequences, users, earlier=None, *, length):
    windows = splits.training_windows(sequences, users, earlier, length=length)
    return replace(windows, users=torch.tensor(windows.users.tolist()))


def users_of_places(sequences, users, earlier=None, *, length):
    return splits.training_windows(sequences, range(len(sequences)), earlier, length=length)


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


def changed(part, **fields):
    """A version in which some fields are others."""

    def version(*arguments, **options):
        found = part(*arguments, **options)
        return replace(found, **{name: change(found) for name, change in fields.items()})

    return version


def the_answer_is_read(sequences, users, earlier=None, *, n, width):
    windows = splits.last_positions(sequences, users, earlier, n=n, width=width)
    return replace(windows, items=pad_left(sequences, width))


def only_the_newest(sequences, users, earlier=None, *, n, width):
    windows = splits.last_positions(sequences, users, earlier, n=n, width=width)
    targets = windows.targets.clone()
    targets[:, :-1] = 0
    return replace(windows, targets=targets)


def all_positions(sequences, users, earlier=None, *, n, width):
    whole = pad_left(sequences, width + 1)
    windows = splits.last_positions(sequences, users, earlier, n=n, width=width)
    return replace(windows, targets=whole[:, 1:] * (windows.items > 0))


def history_ends_before_all_n(sequences, users, earlier=None, *, n, width):
    windows = splits.last_positions(sequences, users, earlier, n=n, width=width)
    return replace(windows, items=pad_left([s[:-n] for s in sequences], width))


def negative_end(sequences, users, earlier=None, *, n, width):
    seen = [s[: len(s) - 1 - width] for s in sequences]
    if earlier is not None:
        seen = [np.concatenate(both) for both in zip(earlier, seen)]
    return replace(splits.last_positions(sequences, users, n=n, width=width), seen=tuple(seen))


def cases_padded_right(sequences, users, earlier=None, *, n, width):
    windows = splits.last_positions(sequences, users, earlier, n=n, width=width)
    return replace(windows, items=pad_right([s[:-1] for s in sequences], width))


def rows_are_users(sequences, users, earlier=None, *, n, width):
    return splits.last_positions(sequences, range(len(sequences)), earlier, n=n, width=width)


def ragged(sequences, users, earlier=None, *, n, width):
    windows = splits.last_positions(sequences, users, earlier, n=n, width=width)
    return replace(windows, targets=torch.tensor(np.stack([s[-n:] for s in sequences])))


def no_array(sequences, users, earlier=None, *, n, width):
    return splits.last_positions([s for s in sequences if s.dims], users, n=n, width=width)


def stacks_ragged(sequences, users, earlier=None, *, n, width):
    return replace(splits.last_positions(sequences, users, n=n, width=width), items=torch.tensor(np.stack(sequences)))


# --- last_n and leave_one_out ---


def parts_of(interactions, n, length, *, train=None, validation=None, test=None, order=splits.user_sequences):
    """A split of which each part can be cut by another rule."""
    sequences, width = order(interactions), length + n - 1
    train = train or (lambda s: s[: -2 * n] if len(s) > 2 * n else s[:0] if len(s) > n else s)
    trained = [train(s) for s in sequences]
    long = [u for u, s in enumerate(sequences) if len(s) > n]
    longer = [u for u in long if len(sequences[u]) > 2 * n]
    validation, test = validation or (lambda s: s[:-n]), test or (lambda s: s)
    return Split(
        splits.training_windows(trained, range(len(trained)), length=length),
        splits.last_positions([validation(sequences[u]) for u in longer], longer, n=n, width=width),
        splits.last_positions([test(sequences[u]) for u in long], long, n=n, width=width),
        interactions.num_items, tuple(s for s in trained if len(s)), len(long) - len(longer),
    )  # fmt: skip


def two_versions(**rules):
    """`last_n` and `leave_one_out` with the same rule."""

    def last_n(interactions, n=10, length=50):
        return parts_of(interactions, n, length, **{k: v(n) if k != "order" else v for k, v in rules.items()})

    def leave_one_out(interactions, length=50):
        return last_n(interactions, 1, length)

    return last_n, leave_one_out


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


def one_by_the_other(interactions, length=50):
    return user_by_user(interactions, 1, length)


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


CUT_BY_RULE, _ = two_versions()
LEAKY_N, LEAKY_ONE = two_versions(train=lambda n: lambda s: s)
VALIDATION_TRAINED_N, VALIDATION_TRAINED_ONE = two_versions(train=lambda n: lambda s: s[:-n] if len(s) > n else s)
SHORT_TRAINED_N, SHORT_TRAINED_ONE = two_versions(
    train=lambda n: lambda s: s[: -2 * n] if len(s) > 2 * n else s[:n],
)
ALWAYS_CUT_N, ALWAYS_CUT_ONE = two_versions(train=lambda n: lambda s: s[: -2 * n])
NO_VALIDATION_N, NO_VALIDATION_ONE = two_versions(test=lambda n: lambda s: np.append(s[: -2 * n], s[-n:]))
SAME_TWICE_N, SAME_TWICE_ONE = two_versions(validation=lambda n: lambda s: s)
BY_ITEM_N, BY_ITEM_ONE = two_versions(order=sorted_by("user", "timestamp", "item"))
UNSTABLE_N, UNSTABLE_ONE = two_versions(order=unstable)
FILE_ORDER_N, FILE_ORDER_ONE = two_versions(order=sorted_by("user"))
NEWEST_FIRST_N, NEWEST_FIRST_ONE = two_versions(order=sorted_by("user", "timestamp", ascending=[True, False]))


def swapped(interactions, length=50):
    split = splits.leave_one_out(interactions, length)
    return replace(split, test=split.validation, validation=split.test)


def counted_too(interactions, length=50):
    return replace(splits.leave_one_out(interactions, length), sequences=tuple(splits.user_sequences(interactions)))


def overlapping(interactions, length=50):
    split = splits.leave_one_out(interactions, length)
    return replace(split, train=ending_at_each_item(split.sequences, range(len(split.sequences)), length=length))


def only_long_ones_tested(interactions, length=50):
    split = splits.leave_one_out(interactions, length)
    kept = torch.isin(split.test.users, split.validation.users).nonzero().flatten()
    return replace(split, test=split.test.rows(kept), left_out=0)


def items_of_training(interactions, length=50):
    split = splits.leave_one_out(interactions, length)
    return replace(split, num_items=int(max(s.max() for s in split.sequences)))


def a_random_item(interactions, length=50):
    generator = np.random.default_rng(5)
    mixed = [generator.permutation(s) for s in splits.user_sequences(interactions)]
    return parts_of(interactions, 1, length, order=lambda log: mixed)


def three_parts(interactions, length=50):
    split = splits.leave_one_out(interactions, length)
    return split.train, split.validation, split.test


def narrow(interactions, n=10, length=50):
    split = splits.last_n(interactions, n, length)
    cases = [
        replace(w, items=w.items[:, n - 1 :], targets=w.targets[:, n - 1 :]) for w in (split.validation, split.test)
    ]
    return replace(split, validation=cases[0], test=cases[1])


def n_ignored(interactions, n=10, length=50):
    return splits.last_n(interactions, 10, length)


def cut_at_the_end(windows):
    return replace(windows, cut=torch.full_like(windows.cut, windows.items.shape[1] - 1))


def policy_reads_on(interactions, n=10, length=50):
    split = splits.last_n(interactions, n, length)
    return replace(split, validation=cut_at_the_end(split.validation), test=cut_at_the_end(split.test))


def wants_an_attribute(interactions, length=50):
    return splits.leave_one_out(interactions.events, length)


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


def sessions_where(*, least=3, forwards=False, swap=False, seen=True, test_first=False):
    def sessions(interactions, length=20):
        pieces = []
        for user, s in enumerate(splits.user_sequences(interactions)):
            starts = range(0, len(s), length) if forwards else range(len(s) - length, -length, -length)
            own = [(max(0, a), a + length) for a in starts]
            own = sorted((a, b) for a, b in own if min(b, len(s)) - a >= least)
            names = ["train"] * (len(own) - 2) + ["validation", "test"][-len(own) :]
            if swap:
                names = [{"validation": "test", "test": "validation"}.get(name, name) for name in names]
            if test_first:
                names = names[::-1]
            pieces += [(name, user, s[a:b], s[:a] if seen else s[:0]) for name, (a, b) in zip(names, own) if own]
        return session_split(pieces, interactions.num_items, length)

    return sessions


def all_of_a_session(interactions, length=20):
    split = splits.sessions(interactions, length)
    shifted = []
    for cases in (split.validation, split.test):
        targets = torch.cat([cases.items[:, 1:], cases.targets[:, -1:]], dim=1) * (cases.items > 0)
        shifted.append(replace(cases, targets=targets))
    return replace(split, validation=shifted[0], test=shifted[1])


def whole_histories_counted(interactions, length=20):
    return replace(splits.sessions(interactions, length), sequences=tuple(splits.user_sequences(interactions)))


def sessions_too_wide(interactions, length=20):
    return splits.sessions(interactions, length + 1)


def no_sessions(interactions, length=20):
    return None


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


def ties_in_favour(scores, targets):
    return (scores[..., 1:] > own_of(scores, targets)).sum(-1) + 1


def rank_from_zero(scores, targets):
    return (scores[..., 1:] > own_of(scores, targets)).sum(-1)


def padding_counts(scores, targets):
    return (scores >= own_of(scores, targets)).sum(-1)


def upside_down(scores, targets):
    return (scores[..., 1:] <= own_of(scores, targets)).sum(-1)


def rank_by_sorting(scores, targets):
    order = scores[..., 1:].argsort(dim=-1, descending=True, stable=True)
    return (order == targets.unsqueeze(-1) - 1).int().argmax(-1) + 1


def target_minus_one(scores, targets):
    return (scores[..., 1:] >= own_of(scores, targets - 1)).sum(-1)


def mean_of_tied(scores, targets):
    return (ties_in_favour(scores, targets) + metrics.rank_of_target(scores, targets)) / 2


def counts_itself_twice(scores, targets):
    return (scores[..., 1:] >= own_of(scores, targets)).sum(-1) + 1


def nan_to_zero(scores, targets):
    return metrics.rank_of_target(scores.nan_to_num(nan=0.0, neginf=-torch.inf, posinf=torch.inf), targets)


def writes_into_the_scores(scores, targets):
    own = own_of(scores, targets).clone()
    scores[..., 0] = -torch.inf
    return (scores[..., 1:] >= own).sum(-1)


def one_axis_too_many(scores, targets):
    return (scores[..., 1:] >= own_of(scores, targets)).sum(-1, keepdim=True)


def two_axes_only(scores, targets):
    rows = torch.arange(len(targets))
    return (scores[:, 1:] >= scores[rows, targets][:, None]).sum(1)


# --- hit_rate, mrr, ndcg ---


def hit_by_where(ranks, k):
    return torch.where(ranks > k, 0.0, 1.0)


def hit_in_float32(ranks, k):
    return (k + 1 - ranks).clamp(0, 1).float()


def hit_as_bool(ranks, k):
    return ranks <= k


def hit_below_k(ranks, k):
    return (ranks < k).double()


def mean_of(metric):
    return lambda ranks, k: metric(ranks, k).mean()


def precision(ranks, k):
    return (ranks <= k).double() / k


def as_list(metric):
    return lambda ranks, k: metric(ranks, k).tolist()


def one_more_rank(ranks, k):
    return (ranks <= k + 1).double()


def mrr_by_mask(ranks, k):
    gain = ranks.double().reciprocal()
    gain[ranks > k] = 0
    return gain


def mrr_by_power(ranks, k):
    return ranks.to(torch.float64).pow(-1).masked_fill(ranks > k, 0.0)


def mrr_not_cut(ranks, k):
    return 1 / ranks.double()


def mrr_from_zero(ranks, k):
    return (ranks <= k) / (ranks.double() + 1)


def mrr_clipped(ranks, k):
    return 1 / ranks.double().clamp(max=k)


def mrr_whole(ranks, k):
    return (ranks <= k) * (1 // ranks)


def ndcg_in_numpy(ranks, k):
    r = ranks.numpy().astype(float)
    return torch.from_numpy(np.where(r > k, 0.0, np.log(2) / np.log(r + 1)))


def ndcg_from_a_table(ranks, k):
    gains = torch.zeros(max([k, *ranks.reshape(-1).tolist()]) + 1, dtype=torch.float64)
    gains[1 : k + 1] = 1 / torch.log2(torch.arange(2, k + 2, dtype=torch.float64))
    return gains[ranks]


def ndcg_float32(ranks, k):
    return (ranks <= k).float() / torch.log2(ranks.float() + 1)


def ndcg_natural(ranks, k):
    return (ranks <= k) / torch.log(ranks.double() + 1)


def ndcg_log_of_rank(ranks, k):
    return (ranks <= k) / torch.log2(ranks.double())


def ndcg_plus_two(ranks, k):
    return (ranks <= k) / torch.log2(ranks.double() + 2)


def ndcg_not_cut(ranks, k):
    return 1 / torch.log2(ranks.double() + 1)


def ndcg_below_k(ranks, k):
    return (ranks < k) / torch.log2(ranks.double() + 1)


def ndcg_over_ideal(ranks, k):
    return metrics.ndcg(ranks, k) / (1 / torch.log2(torch.arange(2, k + 2).double())).sum()


def ndcg_old_discount(ranks, k):
    return (ranks <= k) / torch.log2(ranks.double()).clamp_min(1)


def ndcg_by_math(ranks, k):
    import math

    return (ranks <= k) / math.log2(ranks + 1)


# --- mean_and_error, paired_difference ---


def error_by_hand(per_user):
    n, mean = len(per_user), per_user.sum() / len(per_user)
    return Estimate(float(mean), float((((per_user - mean) ** 2).sum() / (n - 1) / n) ** 0.5))


def error_in_numpy(per_user):
    values = per_user.numpy()
    return metrics.Estimate(values.mean(), values.std(ddof=1) / np.sqrt(len(values)))


def error_of_tensors(per_user):
    return Estimate(mean=per_user.mean(), error=(per_user.var() / len(per_user)).sqrt())


def with_error(error):
    """mean_and_error with this error."""
    return lambda per_user: Estimate(float(per_user.mean()), float(error(per_user, len(per_user))))


def a_pair(per_user):
    return float(per_user.mean()), float(per_user.std() / len(per_user) ** 0.5)


def error_of_a_method(per_user):
    return Estimate(per_user.mean(), per_user.sem())


def difference_by_hand(first, second):
    d = [float(a) - float(b) for a, b in zip(first, second)]
    return error_by_hand(torch.tensor(d, dtype=torch.float64))


def difference_by_covariance(first, second):
    table = torch.cov(torch.stack([first, second]))
    error = ((table[0, 0] + table[1, 1] - 2 * table[0, 1]) / len(first)) ** 0.5
    return Estimate(float(first.mean() - second.mean()), float(error))


def unpaired(first, second):
    a, b = metrics.mean_and_error(first), metrics.mean_and_error(second)
    return Estimate(a.mean - b.mean, (a.error**2 + b.error**2) ** 0.5)


def errors_added(first, second):
    a, b = metrics.mean_and_error(first), metrics.mean_and_error(second)
    return Estimate(a.mean - b.mean, a.error + b.error)


def errors_subtracted(first, second):
    a, b = metrics.mean_and_error(first), metrics.mean_and_error(second)
    return Estimate(a.mean - b.mean, abs(a.error - b.error))


def second_minus_first(first, second):
    return metrics.mean_and_error(second - first)


def absolute(first, second):
    return metrics.mean_and_error((first - second).abs())


def spread_of_differences(first, second):
    d = first - second
    return Estimate(float(d.mean()), float(d.std()))


def only_the_mean(first, second):
    return float((first - second).mean())


def not_tensors(first, second):
    return metrics.mean_and_error(torch.tensor(first.tolist() - second.tolist()))


# --- summarise ---


def summary_line_by_line(ranks, ks=(5, 10, 20)):
    found = {}
    for k in ks:
        hits = ranks <= k
        found[f"hr@{k}"] = hits.double().mean().item()
        found[f"mrr@{k}"] = (hits / ranks).double().mean().item()
        found[f"ndcg@{k}"] = (hits / torch.log2(ranks + 1.0)).mean().item()
    return found


def summary_from_counts(ranks, ks=(5, 10, 20)):
    counts = Counter(ranks.tolist())
    gains = {"hr": lambda r: 1.0, "mrr": lambda r: 1 / r, "ndcg": lambda r: 1 / np.log2(r + 1)}
    return {
        f"{name}@{k}": sum(n * gain(r) for r, n in counts.items() if r <= k) / len(ranks)
        for name, gain in gains.items() for k in ks
    }  # fmt: skip


def summary_of_hits(ranks, ks=(5, 10, 20)):
    found = {}
    for k in ks:
        hits = ranks[ranks <= k]
        found |= {f"hr@{k}": len(hits) / len(ranks), f"mrr@{k}": float(metrics.mrr(hits, k).mean()),
                  f"ndcg@{k}": float(metrics.ndcg(hits, k).mean())}  # fmt: skip
    return found


def summary_of_sums(ranks, ks=(5, 10, 20)):
    return {name: value * len(ranks) for name, value in evaluation.summarise(ranks, ks).items()}


def summary_mrr_not_cut(ranks, ks=(5, 10, 20)):
    return evaluation.summarise(ranks, ks) | {f"mrr@{k}": float((1 / ranks.double()).mean()) for k in ks}


def summary_fixed_ks(ranks, ks=(5, 10, 20)):
    return evaluation.summarise(ranks)


def summary_other_names(ranks, ks=(5, 10, 20)):
    return {name.replace("hr@", "hit_rate@"): v for name, v in evaluation.summarise(ranks, ks).items()}


def summary_of_last_k(ranks, ks=(5, 10, 20)):
    named = {"hr": metrics.hit_rate, "mrr": metrics.mrr, "ndcg": metrics.ndcg}
    return {name: float(metric(ranks, k).mean()) for k in ks for name, metric in named.items()}


def summary_of_tensors(ranks, ks=(5, 10, 20)):
    named = {"hr": metrics.hit_rate, "mrr": metrics.mrr, "ndcg": metrics.ndcg}
    return {f"{name}@{k}": metric(ranks, k) for k in ks for name, metric in named.items()}


# --- rank_cases ---


def ranks_line_by_line(model, cases, *, exclude_seen=False, batch_size=128):
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


def ranks_by_a_mask(model, cases, *, exclude_seen=False, batch_size=128):
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


def ranks_where(*, eval_mode=True, grad=False, present=1, later=False, window=True, seen=True, first_seen=False,
                last_batch=True, last_only=False, at_once=False, cut=True, copy=True, leave_eval=False, always=None,
                spare=False):  # fmt: skip
    """rank_cases with a step left out."""

    def rank_cases(model, cases, *, exclude_seen=False, batch_size=128):
        ranks, size, was = [torch.empty(0, dtype=torch.int64)], len(cases) if at_once else batch_size, model.training
        if eval_mode:
            model.eval()
        with torch.set_grad_enabled(grad):
            for start in range(0, len(cases), max(1, size)):
                batch = cases.rows(slice(start, start + size))
                if not last_batch and len(batch) < size:
                    continue
                where = batch.scored()
                if last_only:
                    where[:, :-1] = False
                scores = model.score_at(batch.items, where, batch.cut) if cut else model.score_at(batch.items, where)
                scores = scores.clone() if copy else scores
                targets = batch.targets[where]
                out = exclude_seen if always is None else always
                for line, (row, t) in enumerate(where.nonzero().tolist() if out else []):
                    kept = scores[line, targets[line]].clone()
                    if window:
                        scores[line, batch.items[row] if later else batch.items[row, : t + present]] = -torch.inf
                    if seen and batch.seen:
                        scores[line, torch.from_numpy((cases if first_seen else batch).seen[row])] = -torch.inf
                    if spare:
                        scores[line, targets[line]] = kept
                ranks.append(metrics.rank_of_target(scores, targets))
        if not leave_eval:
            model.train(was)
        return torch.cat(ranks)

    return rank_cases


def ranks_without_nan(model, cases, *, exclude_seen=False, batch_size=128):
    class Cleaned(backbones.NextItemModel):
        def score_at(self, items, where, cut=None):
            return model.score_at(items, where, cut).nan_to_num(0.0, torch.inf, -torch.inf)

    with backbones.in_eval_mode(model):
        return evaluation.rank_cases(Cleaned(), cases, exclude_seen=exclude_seen, batch_size=batch_size)


def ranks_as_list(model, cases, *, exclude_seen=False, batch_size=128):
    return evaluation.rank_cases(model, cases, exclude_seen=exclude_seen, batch_size=batch_size).tolist()


def seen_is_always_there(model, cases, *, exclude_seen=False, batch_size=128):
    if exclude_seen:
        cases.seen[0]
    return evaluation.rank_cases(model, cases, exclude_seen=exclude_seen, batch_size=batch_size)


# --- evaluate ---


def evaluate_metric_by_metric(model, cases, ks=(5, 10, 20), *, exclude_seen=False):
    ranks = ranks_by_a_mask(model, cases, exclude_seen=exclude_seen)
    return {name: value for k in ks for name, value in summary_line_by_line(ranks, [k]).items()}


def evaluate_package(model, cases, ks=(5, 10, 20), *, exclude_seen=False):
    ranks = evaluation.rank_cases(model, cases, exclude_seen=exclude_seen, batch_size=2)
    return summary_from_counts(ranks, ks=tuple(ks))


def evaluate_choice_lost(model, cases, ks=(5, 10, 20), *, exclude_seen=False):
    return evaluation.summarise(evaluation.rank_cases(model, cases), ks)


def evaluate_always_excludes(model, cases, ks=(5, 10, 20), *, exclude_seen=True):
    return evaluation.evaluate(model, cases, ks, exclude_seen=exclude_seen)


def evaluate_fixed_ks(model, cases, ks=(5, 10, 20), *, exclude_seen=False):
    return evaluation.summarise(evaluation.rank_cases(model, cases, exclude_seen=exclude_seen))


def evaluate_by_user(model, cases, ks=(5, 10, 20), *, exclude_seen=False):
    ranks = evaluation.rank_cases(model, cases, exclude_seen=exclude_seen)
    named = {"hr": metrics.hit_rate, "mrr": metrics.mrr, "ndcg": metrics.ndcg}
    return {
        f"{n}@{k}": float(evaluation.mean_per_user(f(ranks, k), cases).mean()) for k in ks for n, f in named.items()
    }


def evaluate_prints(model, cases, ks=(5, 10, 20), *, exclude_seen=False):
    evaluation.evaluate(model, cases, ks, exclude_seen=exclude_seen)


def evaluate_without_ks(model, cases, *, exclude_seen=False):
    return evaluation.evaluate(model, cases, exclude_seen=exclude_seen)


# --- mean_per_user, ndcg_per_user ---


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


def over_all_cases(values, cases):
    return values.mean()


def mean_of_user_means(values, cases):
    return means_by_dict(values, cases).mean()


def sums(values, cases):
    owners = cases.users.repeat_interleave(cases.scored().sum(1))
    return torch.stack([values[owners == u].sum() for u in owners.unique()])


def order_of_rows(values, cases):
    owners = cases.users.repeat_interleave(cases.scored().sum(1))
    return torch.stack([values[owners == u].mean() for u in dict.fromkeys(cases.users.tolist())])


def divided_by_the_most(values, cases):
    owners = cases.users.repeat_interleave(cases.scored().sum(1))
    most = torch.bincount(owners).max()
    return torch.stack([values[owners == u].sum() / most for u in owners.unique()])


def with_empty_users(values, cases):
    owners = cases.users.repeat_interleave(cases.scored().sum(1))
    return torch.bincount(owners, weights=values) / torch.bincount(owners).clamp_min(1)


def means_reshaped(values, cases):
    return values.view(len(cases), -1).mean(1)


def as_dict(values, cases):
    return dict(zip(cases.users.unique().tolist(), means_by_dict(values, cases).tolist()))


def ndcg_by_user_loop(model, cases, k=10, *, exclude_seen=False):
    gains = metrics.ndcg(ranks_line_by_line(model, cases, exclude_seen=exclude_seen), k)
    return means_by_dict(gains, cases)


def ndcg_of_each_user(model, cases, k=10, *, exclude_seen=False):
    """The cases of one user at a time."""
    means = []
    for user in cases.users.unique():
        rows = cases.rows((cases.users == user).nonzero().flatten())
        means.append(evaluation.evaluate(model, rows, (k,), exclude_seen=exclude_seen)[f"ndcg@{k}"])
    return torch.tensor(means, dtype=torch.float64)


def ndcg_averaged(average, metric=metrics.ndcg, **choices):
    def ndcg_per_user(model, cases, k=10, *, exclude_seen=False):
        ranks = evaluation.rank_cases(model, cases, **({"exclude_seen": exclude_seen} | choices))
        return average(metric(ranks, k), cases)

    return ndcg_per_user


def ndcg_at_ten(model, cases, k=10, *, exclude_seen=False):
    return evaluation.ndcg_per_user(model, cases, exclude_seen=exclude_seen)


def each_case(values, cases):
    return values


def ndcg_without_a_choice(model, cases, k=10):
    return evaluation.ndcg_per_user(model, cases, k)


def ndcg_of_names(model, cases, k=10, *, exclude_seen=False):
    return evaluation.evaluate(model, cases, exclude_seen=exclude_seen)[f"ndcg@{k}"]


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


class PopularityOfCounts(Counting):
    def table(self):
        return self.counts


class PopularityOfShares(Counting):
    def table(self):
        return self.share


class PopularityPlusOne(Counting):
    def table(self):
        return ((self.counts + 1) / (self.counts + 1).sum()).log()


class PopularityOfTargets(Counting):
    def table(self):
        counts = torch.bincount(self.split.train.targets.flatten(), minlength=len(self.share)).double()
        counts[0] = 0
        return (counts / counts.sum()).log()


class PopularityOfEverything(Counting):
    def table(self):
        held = torch.cat([w.targets[w.targets > 0] for w in (self.split.validation, self.split.test)])
        counts = self.counts + torch.bincount(held, minlength=len(self.counts))
        return (counts / counts.sum()).log()


class PopularityWithoutPadding(Counting):
    def table(self):
        return self.share[1:].log()


class PopularityOnce(PopularityByMask):
    def forward(self, items):
        return self.scores

    def score_at(self, items, where, cut=None):
        return self.scores


class PopularityElsewhere(PopularityByMask):
    def score_at(self, items, where, cut=None):
        return self(items)


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


class ChainAcrossUsers(Counting):
    def table(self):
        counts, all_items = torch.zeros(len(self.share), len(self.share)).double(), np.concatenate(self.split.sequences)
        for i, j in pairwise(all_items):
            counts[i, j] += 1
        return self.smooth(counts)


class ChainCountedOnce(Counting):
    def table(self):
        counts = torch.zeros(len(self.share), len(self.share)).double()
        for s in self.split.sequences:
            counts[s[:-1], s[1:]] += 1
        return self.smooth(counts)


class ChainBackwards(Counting):
    def table(self):
        return self.smooth(self.steps().T)


class ChainNotSmoothed(Counting):
    def table(self):
        return (self.steps() / self.steps().sum(1, keepdim=True)).log()


class ChainAddOne(Counting):
    def table(self):
        return (
            (self.steps() + self.strength) / (self.steps().sum(1, keepdim=True) + self.strength * len(self.share))
        ).log()


class ChainEven(Counting):
    def table(self):
        even = torch.ones_like(self.share) / (len(self.share) - 1)
        even[0] = 0
        return ((self.steps() + self.strength * even) / (self.steps().sum(1, keepdim=True) + self.strength)).log()


class ChainOfOccurrences(Counting):
    def table(self):
        return ((self.steps() + self.strength * self.share) / (self.counts[:, None] + self.strength)).log()


class ChainOfProbabilities(Counting):
    def table(self):
        return self.smooth(self.steps()).exp()


class ChainAlwaysTen(Counting):
    def table(self):
        self.strength = 10.0
        return self.smooth(self.steps())


class ChainOfAllLater(Counting):
    def table(self):
        counts = torch.zeros(len(self.share), len(self.share)).double()
        for s in self.split.sequences:
            for t, i in enumerate(s):
                for j in s[t + 1 :]:
                    counts[i, j] += 1
        return self.smooth(counts)


class ChainIsPopularity(Counting):
    def table(self):
        return self.share.log()


class ChainOfWindows(Counting):
    """Pairs (item, target) of all windows, test and validation included."""

    def table(self):
        counts = self.steps()
        for w in (self.split.validation, self.split.test):
            for i, j in zip(w.items[w.scored()], w.targets[w.scored()]):
                counts[i, j] += 1
        return self.smooth(counts)


class ChainTooSmall(Counting):
    def table(self):
        counts = torch.zeros(self.split.num_items, self.split.num_items).double()
        for s in self.split.sequences:
            for i, j in pairwise(s):
                counts[i, j] += 1
        return self.smooth(counts)


ANSWERS_NEXT_ITEM: dict[str, list[Answer]] = {
    "splits.user_sequences": [
        right(by_appending), right(by_argsort), right(by_groups),
        wrong(unstable, "not stable"), wrong(sorted_by("user", "timestamp", "item"), "item's number"),
        wrong(sorted_by("user", "item"), "items are sorted"), wrong(sorted_by("user"), "as in the file"),
        wrong(sorted_by("user", "timestamp", ascending=[True, False]), "oldest first"),
        wrong(back_in_file_order, "order of time"), wrong(whoever_has_events, "without events"),
        wrong(sorts_the_log_itself, "changes the log"), wrong(lists, "NumPy array"),
        wrong(one_array, "one array for each"), raises(wrong_column, "time"),
    ],
    "windows.pad_left": [
        right(pad_by_lists), right(pad_from_the_end),
        wrong(pad_right, "on the left"), wrong(keep_the_oldest, "oldest"), wrong(newest_first, "reverse"),
        wrong(pad_to_the_longest, "same width"), wrong(no_dtype, "whole"), raises(minus_zero, "shape"),
        wrong(pad_as_numpy, "array"),
    ],
    "splits.training_windows": [
        right(by_shortening), right(by_padding_first),
        wrong(ending_at_each_item, "overlap"), wrong(from_the_start, "backwards"),
        wrong(without_the_rest, "shorter one"), wrong(pieces_of_length, "never a target"),
        wrong(targets_not_shifted, "one step"), wrong(targets_before, "look back"),
        wrong(oldest_window_first, "in order"), wrong(no_earlier, "earlier"),
        wrong(seen_with_its_own_items, "own items"), wrong(padded_right, "on the left"),
        wrong(floating_users, "dtype"), wrong(users_of_places, "users"), wrong(not_windows, "Windows"),
        wrong(changed(splits.training_windows, cut=lambda w: w.cut + 1), "index"),
    ],
    "splits.last_positions": [
        right(case_by_case), right(by_shifting),
        wrong(the_answer_is_read, "read the answer"), wrong(only_the_newest, "not only the newest"),
        wrong(all_positions, "the last n are predicted"), wrong(history_ends_before_all_n, "missing in between"),
        wrong(negative_end, "negative end"), wrong(cases_padded_right, "on the left"), wrong(rows_are_users, "users"),
        wrong(changed(splits.last_positions, cut=lambda w: cut_at_the_end(w).cut), "policy"),
        wrong(changed(splits.last_positions, seen=lambda w: ()), "one array for each row"), wrong(ragged, "shape"),
        wrong(stacks_ragged, "width"), raises(no_array, "dims"),
    ],
    "splits.last_n": [
        right(user_by_user), right(CUT_BY_RULE),
        wrong(LEAKY_N, "leak"), wrong(VALIDATION_TRAINED_N, "leak"), wrong(SHORT_TRAINED_N, "leak"),
        wrong(ALWAYS_CUT_N, "short sequence is trained on"), wrong(NO_VALIDATION_N, "all that came before"),
        wrong(SAME_TWICE_N, "leak"), wrong(BY_ITEM_N, "same second"), wrong(UNSTABLE_N, "stable sort"),
        wrong(FILE_ORDER_N, "as in the file"), wrong(NEWEST_FIRST_N, "oldest items"), wrong(narrow, "n - 1"),
        raises(n_ignored, "more than 20"), wrong(policy_reads_on, "policy"),
        wrong(changed(splits.last_n, left_out=lambda s: 0), "no validation row"),
    ],
    "splits.leave_one_out": [
        right(one_by_the_other), right(one_from_scratch),
        wrong(LEAKY_ONE, "leak"), wrong(VALIDATION_TRAINED_ONE, "leak"),
        wrong(SHORT_TRAINED_ONE, "nothing of theirs"), wrong(ALWAYS_CUT_ONE, "single"),
        wrong(NO_VALIDATION_ONE, "all that came before"), wrong(SAME_TWICE_ONE, "leak"),
        wrong(BY_ITEM_ONE, "item's number"), wrong(UNSTABLE_ONE, "stable sort"),
        wrong(FILE_ORDER_ONE, "as in the file"), wrong(NEWEST_FIRST_ONE, "oldest items"),
        wrong(swapped, "changed places"), wrong(counted_too, "baselines"), wrong(overlapping, "overlap"),
        wrong(only_long_ones_tested, "tested"), wrong(items_of_training, "whole file"),
        wrong(a_random_item, "newest items are the last"), wrong(three_parts, "Split"),
        raises(wants_an_attribute, "events"),
    ],
    "splits.sessions": [
        right(sessions_by_peeling), right(sessions_by_array_split),
        wrong(sessions_where(least=4), "3 or more"), wrong(sessions_where(least=2), "fewer than 3"),
        wrong(sessions_where(least=1), "fewer than 3"), wrong(sessions_where(forwards=True), "backwards"),
        wrong(sessions_where(swap=True), "changed places"), wrong(sessions_where(seen=False), "seen"),
        wrong(sessions_where(test_first=True), "leak"), wrong(all_of_a_session, "last item"),
        wrong(whole_histories_counted, "leak"), wrong(sessions_too_wide, "length - 1"), wrong(no_sessions, "return"),
    ],
    "metrics.rank_of_target": [
        right(rank_by_loop), right(rank_from_behind), right(rank_in_numpy),
        wrong(ties_in_favour, "in favour"), wrong(rank_from_zero, "start at 0"), wrong(padding_counts, "padding"),
        wrong(upside_down, "from the worst"), wrong(rank_by_sorting, "order of their"),
        wrong(target_minus_one, "too far left"), wrong(mean_of_tied, "whole"), wrong(counts_itself_twice, "twice"),
        wrong(nan_to_zero, "NaN"), wrong(writes_into_the_scores, "changes"), wrong(one_axis_too_many, "shape"),
        raises(two_axes_only, "shape"),
    ],
    "metrics.hit_rate": [
        right(hit_by_where), right(hit_in_float32),
        wrong(hit_as_bool, "mean"), wrong(hit_below_k, "exactly k"), wrong(mean_of(metrics.hit_rate), "later"),
        wrong(precision, "precision"), wrong(one_more_rank, "too many"), wrong(as_list(metrics.hit_rate), "tensor"),
    ],
    "metrics.mrr": [
        right(mrr_by_mask), right(mrr_by_power),
        wrong(mrr_not_cut, "cut-off"), wrong(mrr_from_zero, "start at 1"), wrong(mrr_clipped, "clipped"),
        wrong(metrics.ndcg, "NDCG"), wrong(metrics.hit_rate, "hit rate"), wrong(mean_of(metrics.mrr), "later"),
        wrong(mrr_whole, "whole"),
    ],
    "metrics.ndcg": [
        right(ndcg_in_numpy), right(ndcg_from_a_table), right(ndcg_float32),
        wrong(ndcg_natural, "natural"), wrong(ndcg_log_of_rank, "log2(rank)"), wrong(ndcg_plus_two, "log2(rank + 2)"),
        wrong(ndcg_not_cut, "cut-off"), wrong(ndcg_below_k, "exactly k"), wrong(ndcg_over_ideal, "ideal"),
        wrong(ndcg_old_discount, "log2(rank)"), wrong(metrics.mrr, "MRR"), wrong(mean_of(metrics.ndcg), "later"),
        wrong(as_list(metrics.ndcg), "tensor"), raises(ndcg_by_math, "converted"),
    ],
    "metrics.mean_and_error": [
        right(error_by_hand), right(error_in_numpy), right(error_of_tensors),
        wrong(with_error(lambda v, n: v.std()), "standard deviation"),
        wrong(with_error(lambda v, n: v.std() / n), "square root"),
        wrong(with_error(lambda v, n: v.var() / n), "square root is missing"),
        wrong(with_error(lambda v, n: v.std(correction=0) / n**0.5), "n - 1"),
        wrong(with_error(lambda v, n: 1.96 * v.std() / n**0.5), "1.96"), wrong(a_pair, "Estimate"),
        raises(error_of_a_method, "sem"),
    ],
    "metrics.paired_difference": [
        right(difference_by_hand), right(difference_by_covariance),
        wrong(unpaired, "user by user"), wrong(errors_added, "do not add up"),
        wrong(errors_subtracted, "user by user"), wrong(second_minus_first, "sign"), wrong(absolute, "absolute"),
        wrong(spread_of_differences, "s / sqrt(n)"), wrong(only_the_mean, "Estimate"), raises(not_tensors, "list"),
    ],
    "evaluation.summarise": [
        right(summary_line_by_line), right(summary_from_counts),
        wrong(summary_of_hits, "hits only"), wrong(summary_of_sums, "sums"), wrong(summary_mrr_not_cut, "cut off"),
        wrong(summary_fixed_ks, "caller's"), wrong(summary_other_names, "keys"), wrong(summary_of_last_k, "keys"),
        wrong(summary_of_tensors, "shape"),
    ],
    "evaluation.rank_cases": [
        right(ranks_line_by_line), right(ranks_by_a_mask), right(ranks_where()),
        wrong(ranks_where(eval_mode=False), "eval mode"), wrong(ranks_where(leave_eval=True), "mode"),
        wrong(ranks_where(grad=True), "gradients"), wrong(ranks_where(last_batch=False), "incomplete"),
        wrong(ranks_where(last_only=True), "last position"), wrong(ranks_where(at_once=True), "batches"),
        wrong(ranks_where(cut=False), "cut"), wrong(ranks_where(always=False), "no effect"),
        wrong(ranks_where(always=True), "nobody asked"), wrong(ranks_where(seen=False), "before the row"),
        wrong(ranks_where(window=False), "items of the row"), wrong(ranks_where(present=0), "present item"),
        wrong(ranks_where(later=True), "after"), wrong(ranks_where(first_seen=True), "another row"),
        wrong(ranks_where(spare=True), "met before"), wrong(ranks_where(copy=False), "memory"),
        wrong(ranks_without_nan, "NaN"), wrong(ranks_as_list, "tensor"), raises(seen_is_always_there, "index"),
    ],
    "evaluation.evaluate": [
        right(evaluate_metric_by_metric), right(evaluate_package),
        wrong(evaluate_choice_lost, "hand it on"), wrong(evaluate_always_excludes, "nobody asked"),
        wrong(evaluate_fixed_ks, "caller's"), wrong(evaluate_by_user, "not over users"),
        wrong(evaluate_prints, "return"), raises(evaluate_without_ks, "argument"),
    ],
    "evaluation.mean_per_user": [
        right(means_by_dict), right(means_by_one_hot), right(means_in_place),
        wrong(means_of_rows, "mean of its own"), wrong(over_all_cases, "within each user"),
        wrong(mean_of_user_means, "one number for each"), wrong(each_case, "no average"), wrong(sums, "sums"),
        wrong(order_of_rows, "order of their rows"), wrong(divided_by_the_most, "different numbers"),
        wrong(with_empty_users, "without a case"), raises(means_reshaped, "shape"), wrong(as_dict, "dict"),
    ],
    "evaluation.ndcg_per_user": [
        right(ndcg_by_user_loop), right(ndcg_of_each_user),
        wrong(ndcg_averaged(each_case), "no average"), wrong(ndcg_averaged(over_all_cases), "within each user"),
        wrong(ndcg_averaged(evaluation.mean_per_user, exclude_seen=False), "hand it on"),
        wrong(ndcg_averaged(evaluation.mean_per_user, metrics.mrr), "MRR"), wrong(ndcg_at_ten, "caller's"),
        wrong(ndcg_of_names, "within each user"), raises(ndcg_without_a_choice, "exclude_seen"),
    ],
    "backbones.Popularity": [
        right(PopularityByCounter), right(PopularityByMask),
        wrong(PopularityOfCounts, "counts"), wrong(PopularityOfShares, "logarithm"),
        wrong(PopularityPlusOne, "not smoothed"), wrong(PopularityOfTargets, "first item"),
        wrong(PopularityOfEverything, "leak"), wrong(PopularityWithoutPadding, "num_items + 1"),
        wrong(PopularityOnce, "shape"), wrong(PopularityElsewhere, "shape"), wrong(PopularityAlone, "inherit"),
        raises(PopularityNoCut, "positional"), wrong(PopularityNotANumber, "NaN"),
    ],
    "backbones.MarkovChain": [
        right(ChainOfDicts), right(ChainOfOneHot), right(ChainOnPopularity),
        wrong(ChainAcrossUsers, "next user's first"), wrong(ChainCountedOnce, "once"),
        wrong(ChainBackwards, "backwards"), wrong(ChainNotSmoothed, "popularity has to step in"),
        wrong(ChainAddOne, "same for each item"), wrong(ChainEven, "evenly"), wrong(ChainOfOccurrences, "followed"),
        wrong(ChainOfProbabilities, "logarithm"), wrong(ChainAlwaysTen, "always 10"),
        wrong(ChainOfAllLater, "only the one right after"), wrong(ChainIsPopularity, "no effect"),
        wrong(ChainOfWindows, "leak"), raises(ChainTooSmall, "size"),
    ],
}  # fmt: skip

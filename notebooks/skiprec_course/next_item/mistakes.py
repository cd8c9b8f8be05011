"""What goes wrong in lesson 04: edits of `splits.py`, `windows.py`, `metrics.py`, `evaluation.py` and the baselines."""

from skiprec_course.mistakes import Mistake

# --- histories ---

BY = '["user", "timestamp"]'
SORT = 'sort_values(["user", "timestamp"], kind="stable")'
NOT_STABLE = "events of the same second have to keep the order of the file: sort with a stable sort"
PIECES = "return np.split(items, starts)"

ORDER = (
    Mistake("the rows stand as in the file: sort each user's rows by timestamp", BY, '["user"]'),
    Mistake("the newest stands first: a sequence is oldest first",
            SORT, 'sort_values(["user", "timestamp"], ascending=[True, False], kind="stable")'),
    Mistake("ties are broken by the item's number: events of the same second keep the order of the file",
            BY, '["user", "timestamp", "item"]'),
    Mistake(NOT_STABLE, SORT, 'sort_values("timestamp").sort_values("user", kind="stable")'),
)  # fmt: skip

USER_SEQUENCES = (
    *ORDER,
    Mistake("the items are sorted, not the times", BY, '["user", "item"]'),
    Mistake("ties stand in reverse: events of the same second keep the order of the file",
            f"interactions.table.{SORT}", f"interactions.table[::-1].{SORT}"),
    Mistake("a user without events gets an empty array: users come in the order of `user_ids`",
            "np.arange(1, len(interactions.user_ids))", 'table["user"].unique()[1:]'),
    Mistake("each user's items are one NumPy array", PIECES, "return [s.tolist() for s in np.split(items, starts)]"),
    Mistake("return one array for each user", PIECES, "return items"),
    Mistake("sort a copy of the table", f"table = interactions.table.{SORT}",
            f"table = interactions.table\n    table.{SORT.replace('kind', 'inplace=True, kind')}"),
)  # fmt: skip

WRITE = "row[length - len(newest) :] = newest"
ROWS = "rows = np.zeros((len(sequences), length), dtype=np.int64)"

PAD_LEFT = (
    Mistake("padding belongs on the left: the newest item has to stand at position -1",
            "row[length - len(newest) :]", "row[: len(newest)]"),
    Mistake("you keep the oldest items: keep the newest, a sequence's last ones",
            "(sequence)[-length:]", "(sequence)[:length]"),
    Mistake("padding belongs on the left, and of a long sequence the newest items are kept",
            f"[-length:]\n        {WRITE}", "[:length]\n        row[: len(newest)] = newest"),
    Mistake("the items stand in reverse: the newest belongs on the right", WRITE, f"{WRITE}[::-1]"),
    Mistake("all rows have the same width, `length`, however long the longest sequence is",
            ROWS, f"length = max(map(len, sequences))\n    {ROWS}"),
    Mistake("item indices are whole numbers: dtype=torch.int64", ROWS, ROWS.replace("int64", "float32")),
    Mistake("of an empty sequence nothing is written, but a slice from -0 is the whole row",
            WRITE, "row[-len(newest) :] = newest"),
)  # fmt: skip

# --- windows ---

WALK = "for end in range(len(sequence) - 1, 0, -length):"
ENDS = "range(len(sequence) - 1, 0, -length)"
START = "start = max(0, end - length)\n            inputs"
INPUTS, TARGETS = "items=pad_left(inputs, length)", "targets=pad_left(targets, length)"
SEEN = "before if earlier is None else np.concatenate([earlier[row], before])"
OVERLAP = "your windows overlap: the targets of one have to end where those of the next begin"
ON_THE_LEFT = "padding belongs on the left: a prediction is read at position -1"
EARLIER = "`seen` lacks what `earlier` holds for this row"
EARLIER_FIRST = "what `earlier` holds came first: it belongs at the front of `seen`"
WHOSE = "`users` are the numbers of the users, as given, not those of the rows"

AT_EACH_ITEM = Mistake(OVERLAP, ENDS, "range(len(sequence) - 1, 0, -1)")

TRAINING_WINDOWS = (
    Mistake(OVERLAP, ENDS, "range(len(sequence) - 1, 0, -max(1, length - 1))"),
    AT_EACH_ITEM,
    Mistake("cut from the end backwards: the shorter window is the oldest one", f"{WALK}\n            {START}",
            "for start in range(0, len(sequence) - 1, length):\n"
            "            end = min(start + length, len(sequence) - 1)\n            inputs"),
    Mistake("what is left at the start is a window too, a shorter one",
            ENDS, "range(len(sequence) - 1, length - 1, -length)"),
    Mistake("`length` inputs have `length` targets: the step from one window to the next is lost",
            START, START.replace("end - length", "end + 1 - length")),
    Mistake("the last item is never an input: nothing comes after it", ENDS, "range(len(sequence), 0, -length)"),
    Mistake("the target of a position is the *next* item: shift the targets by one step",
            "sequence[start + 1 : end + 1]", "sequence[start:end]"),
    Mistake("your targets look back: at a position stands the item that came *after* it",
            f"{INPUTS},\n        {TARGETS}",
            "items=pad_left(targets, length),\n        targets=pad_left(inputs, length)"),
    Mistake("the windows are right, but not in order: a sequence's last one comes first", ENDS, f"reversed({ENDS})"),
    Mistake(ON_THE_LEFT, INPUTS, "items=pad_left([s[::-1] for s in inputs], length).flip(1)"),
    Mistake("`cut` is an index: the last one of a row is length - 1",
            "torch.full((len(inputs),), length - 1)", "torch.full((len(inputs),), length)"),
    Mistake(WHOSE, "torch.tensor(owners, dtype=torch.int64)", "torch.arange(len(owners))"),
    Mistake("`users` are the numbers of the users, as given, not the places of their sequences",
            "owners.append(user)", "owners.append(row)"),
    Mistake("a tensor made of an empty list is floating: give `users` its dtype",
            "torch.tensor(owners, dtype=torch.int64)", "torch.tensor(owners)"),
    Mistake("`seen` holds only what came *before* the window, not its own items",
            "before = sequence[:start]", "before = sequence[:end]"),
    Mistake("`seen` is empty: it holds what came before the window",
            "before = sequence[:start]", "before = sequence[:0]"),
    Mistake(EARLIER, SEEN, "before"),
    Mistake(EARLIER_FIRST, "[earlier[row], before]", "[before, earlier[row]]"),
)  # fmt: skip

READ = "[s[:-1] for s in sequences]"
DUE = "pad_left([s[-n:] for s in sequences], width)"
CUT = "torch.full((len(items),), width - n)"
PAST = "s[: max(0, len(s) - 1 - width)]"
READS_ON = "`cut` lets a policy read items that are to be predicted: the last it may read stands at width - n"
SEEN_IS_EMPTY = "`seen` is empty: it holds what stands before the row"
USERS = "cut, torch.tensor(users), tuple(seen))"

LAST_POSITIONS = (
    Mistake("the model would read the answer: the last item is only ever a target", READ, "sequences"),
    Mistake("the history runs up to the item before the last one: something is missing in between",
            READ, "[s[:-n] for s in sequences]"),
    Mistake(ON_THE_LEFT, f"pad_left({READ}, width)",
            "pad_left([s[:-1][-width:][::-1] for s in sequences], width).flip(1)"),
    Mistake("all of the last n are predicted, not only the newest", DUE, DUE.replace("-n:", "-1:")),
    Mistake("only the last n are predicted, from the positions before them", DUE, DUE.replace("-n:", "1:")),
    Mistake("these are the items before: at a position stands the one that comes *next*",
            DUE, DUE.replace("-n:", "-n - 1 : -1")),
    Mistake(READS_ON, CUT, "torch.full((len(items),), width - 1)"),
    Mistake("`cut` is one too early: the item at width - n has been met before the first target",
            CUT, "torch.full((len(items),), width - n - 1)"),
    Mistake("`cut` is one too late: it is an index, and the item there is not to be predicted",
            CUT, "torch.full((len(items),), width - n + 1)"),
    Mistake(WHOSE, USERS, "cut, torch.arange(len(items)), tuple(seen))"),
    Mistake("`seen` holds one array for each row, empty where nothing came before", USERS, "cut, torch.tensor(users))"),
    Mistake(SEEN_IS_EMPTY, PAST, "s[:0]"),
    Mistake("`seen`: a negative end of a slice counts from the end, use max(0, …)", PAST, "s[: len(s) - 1 - width]"),
    Mistake("`seen` holds what stands *before* the row, not the row's own items", PAST, "s[:-1]"),
    Mistake("`seen` is off by one: the row begins one item earlier, since the last item is not in it",
            PAST, "s[: max(0, len(s) - width)]"),
    Mistake(EARLIER, "if earlier is not None:", "if False:"),
    Mistake(EARLIER_FIRST, "zip(earlier, seen)", "zip(seen, earlier)"),
)  # fmt: skip

# --- splits ---

TRAIN = "s[: -2 * n] if len(s) > n else s for"
VALIDATION = "validation=last_positions([sequences[u][:-n] for u in longer], longer, n=n, width=width)"
TEST = "test=last_positions([sequences[u] for u in long], long, n=n, width=width)"
COUNTED = "sequences=tuple(s for s in train if len(s))"
LEFT_OUT = "left_out=len(long) - len(longer)"
LEAK = "take what is held out away *before* you cut windows"
COUNTS = "this is a leak: the baselines count what stands in `sequences`, so only training items may"
ALL_ITEMS = "`num_items` counts the items of the whole file, also those that nobody was trained on"
WHO_IS_LEFT_OUT = "`left_out` counts the users who are tested but have no validation row"

LEAVE_ONE_OUT = (
    *ORDER,
    Mistake(LEAK, TRAIN, "s for"),
    Mistake(f"validation items are held out too: {LEAK}", TRAIN, "s[:-n] if len(s) > n else s for"),
    Mistake("of a user with n + 1 to 2n items (two items, for n = 1) nothing is trained on",
            TRAIN, "s[: -2 * n] if len(s) > 2 * n else s[:-n] if len(s) > n else s for"),
    Mistake("a user with n items or fewer (a single one, for n = 1) is not tested: all of them count",
            TRAIN, "s[: -2 * n] for"),
    Mistake(COUNTS, COUNTED, "sequences=tuple(s for s in sequences if len(s))"),
    Mistake("`sequences` has an array for each user who has training items, none that is empty",
            COUNTED, "sequences=tuple(train)"),
    Mistake("validation comes before test: cut the test items off first",
            "[sequences[u][:-n] for u in longer]", "[sequences[u] for u in longer]"),
    Mistake("by then the user has met the validation items: a test history holds all that came before",
            "test=last_positions([sequences[u] for u in long]",
            "test=last_positions([np.concatenate([sequences[u][: -2 * n], sequences[u][-n:]]) for u in long]"),
    Mistake("test and validation have changed places: test is what came last",
            f"{VALIDATION},\n        {TEST}",
            f"{VALIDATION.replace('validation', 'test')},\n        {TEST.replace('test', 'validation', 1)}"),
    Mistake("whoever has more than n items is tested, with a validation row or without",
            "enumerate(sequences) if len(s) > n]", "enumerate(sequences) if len(s) > 2 * n]"),
    Mistake("whoever has n items or fewer has no history before them: only more than n make a test row",
            "enumerate(sequences) if len(s) > n]", "enumerate(sequences) if len(s) >= n]"),
    Mistake("only more than 2n items make a validation row: something has to stand before",
            "if len(sequences[u]) > 2 * n]", "if len(sequences[u]) >= 2 * n]"),
    Mistake("`users` says whose row it is: hand on the numbers of the users who were chosen",
            TEST, TEST.replace("long,", "range(len(long)),")),
    Mistake(ALL_ITEMS, f"num_items=interactions.num_items,\n        {COUNTED}",
            f"num_items=int(max(s.max() for s in train if len(s))),\n        {COUNTED}"),
    AT_EACH_ITEM,
    Mistake(WHO_IS_LEFT_OUT, LEFT_OUT, "left_out=0"),
    Mistake(WHO_IS_LEFT_OUT, LEFT_OUT, "left_out=len(sequences) - len(longer)"),
    Mistake(SEEN_IS_EMPTY, PAST, "s[:0]"),
)  # fmt: skip

LAST_N = (
    *LEAVE_ONE_OUT,
    Mistake("`sequences` holds also what is too short for a window", COUNTED, COUNTED.replace("len(s)", "len(s) > 1")),
    Mistake("rows of cases are length + n - 1 wide: so each of the n has `length` items before it",
            "width = length + n - 1", "width = length"),
    Mistake(READS_ON, CUT, "torch.full((len(items),), width - 1)"),
)  # fmt: skip

BACKWARDS = "range(len(sequence), 2, -length)"
SESSION = (
    f"ends = {BACKWARDS}  # from the last one back; a remainder of 3 or more is kept\n"
    '        names = ["test", "validation", *["train"] * len(ends)]\n'
    "        for end, name in reversed(list(zip(ends, names))):  # oldest first\n"
    "            start = max(0, end - length)"
)
FORWARDS = (
    "bounds = [(a, min(a + length, len(sequence))) for a in range(0, len(sequence) - 2, length)]\n"
    '        names = [*["train"] * len(bounds), "validation", "test"][-len(bounds) :]\n'
    "        for (start, end), name in zip(bounds, names):"
)
CASES = (
    "train=training_windows(*train, length=length - 1),\n"
    "        validation=last_positions(*validation, n=1, width=length - 1),\n"
    "        test=last_positions(*test, n=1, width=length - 1)"
)
TOO_SHORT = "a remainder of fewer than 3 items is no session: drop it"

SESSIONS = (
    *ORDER[:3],
    Mistake("cut from the end backwards: the short session is a user's first one", SESSION, FORWARDS),
    Mistake("a remainder of 3 or more items at the start is a session too",
            "(len(sequence), 2, -length)", "(len(sequence), 3, -length)"),
    Mistake(TOO_SHORT, BACKWARDS, "range(len(sequence), 1, -length)"),
    Mistake(TOO_SHORT, BACKWARDS, "range(len(sequence), 0, -length)"),
    Mistake("sessions do not overlap: the next one ends where this one begins",
            BACKWARDS, "range(len(sequence), 2, 1 - length)"),
    Mistake("test and validation have changed places: test is what came last",
            '["test", "validation", *', '["validation", "test", *'),
    Mistake("a user's last session is test, the one before it validation",
            "reversed(list(zip(ends, names)))", "zip(reversed(ends), names)"),
    Mistake("a user's sessions come oldest first", "reversed(list(zip(ends, names)))", "zip(ends, names)"),
    Mistake("`seen` begins with the user's earlier sessions, and what came before them",
            "earlier.append(sequence[:start])", "earlier.append(sequence[:0])"),
    Mistake("only a session's last item is predicted", CASES,
            CASES.replace("last_positions", "training_windows").replace("n=1, width", "length")),
    Mistake(COUNTS, "sequences=tuple(train[0])", "sequences=tuple(user_sequences(interactions))"),
    Mistake("a session of `length` items has length - 1 inputs: so wide are the rows", CASES,
            CASES.replace("length - 1", "length")),
    Mistake(ALL_ITEMS, "num_items=interactions.num_items,\n        sequences=tuple(train[0])",
            "num_items=int(max(s.max() for s in train[0])),\n        sequences=tuple(train[0])"),
)  # fmt: skip

# --- metrics ---

RANK = "(scores[..., 1:] >= scores.gather(-1, targets.unsqueeze(-1))).sum(dim=-1)"
FROM_ZERO = "your ranks start at 0: the best item has rank 1"
ABOVE = RANK.replace(">=", ">")

RANK_OF_TARGET = (
    Mistake("ties count in favour of the target, so that a constant model is perfect: they have to count against it",
            RANK[1:], f"{ABOVE[1:]} + 1"),
    Mistake(FROM_ZERO, f"return {RANK}", f"return {ABOVE}"),
    Mistake(FROM_ZERO, f"return {RANK}", f"return {RANK} - 1"),
    Mistake("the padding column is ranked too: leave column 0 out", "scores[..., 1:] >=", "scores >="),
    Mistake("column 0 is ranked too, and ties count in favour of the target",
            f"return {RANK}", f"return {ABOVE.replace('[..., 1:]', '')} + 1"),
    Mistake("you count from the worst: the highest score has rank 1", "scores[..., 1:] >=", "scores[..., 1:] <="),
    Mistake("the score of item i stands in column i, column 0 is padding: you look one column too far left",
            "scores.gather(-1, targets.unsqueeze(-1))", "scores.gather(-1, targets.unsqueeze(-1) - 1)"),
    Mistake("the target counts twice: it is among the items whose score is at least its own",
            "targets.unsqueeze(-1))).sum(dim=-1)", "targets.unsqueeze(-1))).sum(dim=-1) + 1"),
    Mistake("tied items stand in the order of their columns: the item's number decides. Ties count against the target",
            f"return {RANK}", "order = scores[..., 1:].argsort(dim=-1, descending=True, stable=True) + 1\n"
            "    return (order == targets.unsqueeze(-1)).int().argmax(dim=-1) + 1"),
    Mistake("a rank is a whole number", f"return {RANK}", f"return {RANK}.float()"),
)  # fmt: skip

NDCG_LINE = "return (ranks <= k) / torch.log2(ranks.double() + 1)"

NDCG = (
    Mistake("this is the natural logarithm: NDCG takes base 2", "torch.log2(", "torch.log("),
    Mistake("this is the logarithm of base 10: NDCG takes base 2", "torch.log2(", "torch.log10("),
    Mistake("at rank 1, log2(rank) is 0: divide by log2(rank + 1)",
            NDCG_LINE, "return (ranks <= k) / torch.log2(ranks.double())"),
    Mistake("at rank 1, log2(rank) is 0: divide by log2(rank + 1), then rank 1 needs no exception",
            NDCG_LINE, "return (ranks <= k) / torch.log2(ranks.double()).clamp_min(1)"),
    Mistake("divide by log2(rank + 1), not by 1 + log2(rank)",
            NDCG_LINE, "return (ranks <= k) / (1 + torch.log2(ranks.double()))"),
    Mistake("you divide by log2(rank + 2), which is for ranks that start at 0: here they start at 1",
            "ranks.double() + 1)", "ranks.double() + 2)"),
    Mistake("the cut-off is missing: beyond rank k there is no gain",
            NDCG_LINE, "return 1 / torch.log2(ranks.double() + 1)"),
    Mistake("a rank of exactly k is still within the first k", NDCG_LINE, NDCG_LINE.replace("<=", "<")),
    Mistake("with a single true item the ideal gain is 1: do not divide by that of k items",
            NDCG_LINE, f"{NDCG_LINE} / (1 / torch.log2(torch.arange(2, k + 2).double())).sum()"),
    Mistake("this is the hit rate: the discount is missing", NDCG_LINE, "return (ranks <= k).double()"),
    Mistake("this is MRR: the discount of NDCG is a logarithm", NDCG_LINE, "return (ranks <= k) / ranks.double()"),
    Mistake("return a tensor", NDCG_LINE, "return ((ranks <= k) / torch.log2(ranks.double() + 1)).tolist()"),
    Mistake("one number for each rank: the mean comes later",
            NDCG_LINE, "return ((ranks <= k) / torch.log2(ranks.double() + 1)).mean()"),
)  # fmt: skip

ESTIMATE = "return Estimate(float(per_user.mean()), float(per_user.std() / len(per_user) ** 0.5))"
ERROR = "per_user.std() / len(per_user) ** 0.5"

MEAN_AND_ERROR = (
    Mistake("this is the standard deviation: the error of a mean is s / sqrt(n)", " / len(per_user) ** 0.5", ""),
    Mistake("you divide by n: divide by its square root", ERROR, "per_user.std() / len(per_user)"),
    Mistake("this is the variance over n: the square root is missing", ERROR, "per_user.var() / len(per_user)"),
    Mistake("this is the variance: the error of a mean is s / sqrt(n)", ERROR, "per_user.var()"),
    Mistake("a standard deviation divides by n - 1, yours by n: NumPy's default is n, torch's n - 1",
            "per_user.std()", "per_user.std(correction=0)"),
    Mistake("you divide by sqrt(n - 1), and s has n - 1 in it already",
            "len(per_user) ** 0.5", "(len(per_user) - 1) ** 0.5"),
    Mistake("this is 1.96 standard errors: return one", ERROR, f"1.96 * {ERROR}"),
    Mistake("this is the sum, not the mean", "float(per_user.mean())", "float(per_user.sum())"),
    Mistake("the order is mean, then error", ESTIMATE, f"return Estimate(float({ERROR}), float(per_user.mean()))"),
    Mistake("later cells ask it for .mean and .error: return a `metrics.Estimate`",
            ESTIMATE, ESTIMATE.replace("Estimate", "")),
)  # fmt: skip

# --- evaluation ---

EVAL_MODE = "with in_eval_mode(model), on_device(model, device) as there:"
BATCHES = "for rows in batches(cases, batch_size):"
RULED_OUT = "scores = scores.scatter(1, batch.past(), -torch.inf)"
OF_PAST = "batch.past()"
DROPPED = "an incomplete batch counts as well: the last one is shorter"
ANOTHER_CUT = "hand `batch.cut` on, the cut of this batch: a SkipRec's policy reads no further"
ANOTHER_ROW = "the past of another row: row 0 of a batch is not row 0 of all cases"

RANK_CASES = (
    Mistake("dropout is on: put the model in eval mode for the while",
            EVAL_MODE, "with on_device(model, device) as there:"),
    Mistake("`in_eval_mode(model)` puts the mode back",
            EVAL_MODE, "model.eval()\n    with on_device(model, device) as there:"),
    Mistake("nothing is learnt here: torch.no_grad() saves memory and time",
            "@torch.no_grad()\n@validated\n@together(_check_gates)", "@validated\n@together(_check_gates)"),
    Mistake("only the last position of a row is ranked: rank all that `batch.scored()` names", "where = batch.scored()",
            "where = batch.scored() & (torch.arange(batch.items.shape[1]) == batch.items.shape[1] - 1)"),
    Mistake(DROPPED, BATCHES, "for rows in (r for r in batches(cases, batch_size) if r.stop <= len(cases)):"),
    Mistake(DROPPED, BATCHES,
            "for rows in (r for r in batches(cases, batch_size) if r.stop <= len(cases) or r.start == 0):"),
    Mistake("walk through the cases in batches: all at once may not fit into memory",
            BATCHES, "for rows in [slice(0, len(cases))]:"),
    Mistake(ANOTHER_CUT, "where, batch.cut, **given", "where, **given"),
    Mistake(ANOTHER_CUT, "where, batch.cut, **given", "where, cases.cut[: len(batch)], **given"),
    Mistake("`exclude_seen` has no effect: the user's own past stays in the ranking", "if exclude_seen:", "if False:"),
    Mistake("the user's past is taken out although `exclude_seen=False` asks for all items",
            "if exclude_seen:", "if True:"),
    Mistake("where nothing is said the user's past leaves the ranking: `exclude_seen` is True by default",
            "bool = True,\n    gates: Gates = None,\n    batch", "bool = False,\n    gates: Gates = None,\n    batch"),
    Mistake("what stands before the row, in `seen`, is the user's past too",
            OF_PAST, "batch.past()[:, -batch.items.shape[1] :]"),
    Mistake("the items of the row are the user's past too, not only `seen`",
            OF_PAST, "batch.past()[:, : -batch.items.shape[1]]"),
    Mistake("the present item is part of the past: up to position t, t included",
            RULED_OUT, "past, t = batch.past(), where.nonzero()[:, 1]\n"
            "                past[torch.arange(len(t)), t - batch.items.shape[1]] = 0\n"
            "                scores = scores.scatter(1, past, -torch.inf)"),
    Mistake("items *after* a position are taken out as well, and the target with them: only those up to it are the "
            "past", OF_PAST, "torch.cat([batch.past(), batch.items[where.nonzero()[:, 0]]], dim=1)"),
    Mistake(ANOTHER_ROW, OF_PAST, "cases.past()[: len(scores)]"),
    Mistake(ANOTHER_ROW, OF_PAST,
            "Windows(batch.items, batch.targets, batch.cut, batch.users, cases.seen[: len(batch)]).past()"),
    Mistake("a target that the user has met before is taken out like any other item: it gets the worst rank", RULED_OUT,
            "past = batch.past()\n"
            "                past = past.masked_fill(past == batch.targets[where].unsqueeze(1), 0)\n"
            "                scores = scores.scatter(1, past, -torch.inf)"),
    Mistake("rows of scores may share their memory, and what is written into one is written into all: write into a "
            "copy", ".scatter(", ".scatter_("),
    Mistake("without a case there is nothing to concatenate: begin with an empty int64 tensor",
            "ranks = [torch.empty(0, dtype=torch.int64)]", "ranks = []"),
)  # fmt: skip

MEANS = "return torch.bincount(user, weights=values) / torch.bincount(user)"
OF_USER = "_, user = cases.users[row].unique(return_inverse=True)"

MEAN_PER_USER = (
    Mistake("each row has a mean of its own here: a user may have several rows, and is the unit",
            OF_USER, "_, user = row.unique(return_inverse=True)"),
    Mistake("this is one mean over all predictions: average within each user", MEANS, "return values.mean()"),
    Mistake("this is one mean over users: return one number for each",
            MEANS, "return (torch.bincount(user, weights=values) / torch.bincount(user)).mean()"),
    Mistake("there is no average: all predictions of a user become one number",
            OF_USER, "user = torch.arange(len(row))"),
    Mistake("these are sums: divide by how many predictions each user has",
            MEANS, "return torch.bincount(user, weights=values)"),
    Mistake("users have different numbers of predictions: divide by each user's own",
            "/ torch.bincount(user)", "/ torch.bincount(user).max()"),
    Mistake("the users stand in the order of their rows: they belong in the order of their index",
            MEANS, "each = dict.fromkeys(user.tolist())\n"
            "    return (torch.bincount(user, weights=values) / torch.bincount(user))[list(each)]"),
    Mistake("users without a case have no place in the result: it has one number for each user of the cases",
            OF_USER, "user = cases.users[row]"),
)  # fmt: skip

# --- baselines ---

SHARE = "torch.from_numpy(counts / counts.sum())"
SCORES = "return self.share.log().expand"
EVENTS = "np.concatenate(split.sequences)"
NO_LOG = "these are counts, or shares: the score is the logarithm of the share"
COLUMNS = "there are num_items + 1 columns: column 0 is padding, and who has no event has a column too"

POPULARITY = (
    Mistake(NO_LOG, SHARE, "torch.from_numpy(np.exp(counts))"),
    Mistake(NO_LOG, SCORES, "return self.share.expand"),
    Mistake("these are logs of counts: divide by their sum, so that they are shares",
            SHARE, "torch.from_numpy(counts)"),
    Mistake("every item got one more count: popularity is not smoothed",
            SHARE, "torch.from_numpy((counts + 1) / (counts + 1).sum())"),
    Mistake("padding and items without an event belong at -inf: nothing is added to their count",
            SCORES, "return (self.share + 1e-8).log().expand"),
    Mistake("a softmax over counts is no share: divide by the sum",
            SHARE, "torch.from_numpy(counts * 1.0).softmax(dim=0)"),
    Mistake("you count the targets of the training windows: a user's first item is missing, count `split.sequences`",
            EVENTS, "split.train.targets[split.train.scored()].numpy()"),
    Mistake("you count the inputs of the training windows: a user's last item is missing, count `split.sequences`",
            EVENTS, "split.train.items[split.train.items > 0].numpy()"),
    Mistake("you count validation and test items as well: this is a leak, `split.sequences` holds what may be counted",
            EVENTS, "np.concatenate([*split.sequences, *(w.targets[w.scored()].numpy() "
            "for w in (split.validation, split.test))])"),
    Mistake(COLUMNS, SCORES, "return self.share[1:].log().expand"),
    Mistake(COLUMNS, f"{EVENTS}, minlength=split.num_items + 1", EVENTS),
    Mistake("the scores stand at every position: (batch, time, num_items + 1)",
            "return self.share.log().expand(*items.shape, -1)", "return self.share.log()"),
    Mistake("`score_at` returns one row for each position of `where`",
            "return self(present).squeeze(0)", "return self(items)"),
)  # fmt: skip

BEFORE = "before = np.concatenate([s[:-1] for s in split.sequences])"
AFTER = "after = np.concatenate([s[1:] for s in split.sequences])"
STEPS = "steps = torch.from_numpy(np.stack([before, after]))"
NOT_ONE = "`strength` is missing below the line: what is added there is not to avoid a 0"
CHAIN = "return ((count + self.strength * self.share) / (total + self.strength)).log()"
TABLE = (
    'self.register_buffer("counts", table.coalesce())  # equal steps are added up, what never happened is not stored\n'
    "\n    @validated\n    @together(_check_known)\n"
    '    def forward(self, items: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time columns"]:\n'
    '        """Score every item at every position."""\n'
    "        rows = self.counts.index_select(0, items.flatten())  # of the present items: (batch * time, columns)\n"
    "        count = rows.to_dense().unflatten(0, items.shape)  # (batch, time, columns)\n"
    "        total = count.sum(dim=-1, keepdim=True)\n"
)

MARKOV_CHAIN = (
    Mistake("steps from one user's last item to the next user's first are counted: stay within each sequence",
            f"{BEFORE}\n        {AFTER}",
            "everything = np.concatenate(list(split.sequences))\n"
            "        before, after = everything[:-1], everything[1:]"),
    Mistake("a step that occurs again is counted once only: with arrays as indices, `+= 1` adds 1 to a place once",
            STEPS, "pairs = [np.unique(np.stack([s[:-1], s[1:]]), axis=1) for s in split.sequences]\n"
            f"        before, after = np.concatenate(pairs, axis=1)\n        {STEPS}"),
    Mistake("steps to validation or test items are counted as well: this is a leak, `split.sequences` may be counted",
            STEPS, "for w in (split.validation, split.test):\n"
            "            before = np.concatenate([before, w.items[w.scored()].numpy()])\n"
            f"            after = np.concatenate([after, w.targets[w.scored()].numpy()])\n        {STEPS}"),
    Mistake("the steps are counted backwards: what came *before* the present item",
            "np.stack([before, after])", "np.stack([after, before])"),
    Mistake("all later items are counted: only the one right after counts", STEPS,
            "later = [(i, j) for s in split.sequences for t, i in enumerate(s) for j in s[t + 1 :]]\n"
            f"        before, after = np.array(later).T\n        {STEPS}"),
    Mistake("smoothing is missing: where nothing was counted, popularity has to step in",
            CHAIN, "return (count / total).log()"),
    Mistake("smoothing is missing: where nothing was counted, popularity has to step in, with `strength`",
            CHAIN, "return torch.where(total > 0, count / total, self.share).log()"),
    Mistake("popularity is missing above the line: strength · share(j)",
            "count + self.strength * self.share", "count + 0 * self.share"),
    Mistake("smoothing goes by popularity, not evenly over all items", "count + self.strength * self.share",
            "count + self.strength * (torch.arange(len(self.share)) > 0) / (len(self.share) - 1)"),
    Mistake("smoothing goes by popularity, strength · share(j), not the same for each item",
            CHAIN, "return ((count + self.strength) / (total + self.strength * len(self.share))).log()"),
    Mistake("`strength` is missing below the line", "/ (total + self.strength)", "/ total"),
    Mistake(NOT_ONE, "/ (total + self.strength)", "/ total.clamp_min(1)"),
    Mistake(NOT_ONE, "/ (total + self.strength)", "/ (total + 1)"),
    Mistake("`strength` has no effect: it is always 10", "self.strength = strength", "self.strength = 10.0"),
    Mistake("these are probabilities: the score is the logarithm", CHAIN, CHAIN.removesuffix(".log()")),
    Mistake("this is popularity: the present item has no effect", CHAIN, "return super().forward(items)"),
    Mistake("below the line stands how often i was *followed* by something, not how often it occurs",
            TABLE, TABLE.replace("\n\n", '\n        met = np.bincount(np.concatenate(list(split.sequences)), minlength='
            'len(self.share))\n        self.register_buffer("met", torch.from_numpy(met))\n\n')
            .replace("count.sum(dim=-1, keepdim=True)", "self.met[items].unsqueeze(-1)")),
)  # fmt: skip

WINDOW_COUNTER = (
    Mistake("pairs of one user's last items and the next user's first are counted: stay within each sequence",
            "pairs, nearness = [], []", "pairs, nearness = [], []\n        split = __import__('dataclasses').replace("
            "split, sequences=[np.concatenate(split.sequences)])"),
    Mistake("pairs are counted backwards: what came *before*", "array([before, after])", "array([after, before])"),
    Mistake("a pair counts less the further it is apart: steps^−fade", "float(steps) ** -fade", "1.0"),
    Mistake("the *newest* item weighs most: its age is 0", "(1.0 + age)", "float(self.last - age)"),
    Mistake("only the present item is read: add up the rows of the last few", "in range(self.last)", "in range(1)"),
    Mistake("an item that stands twice among the last counts twice", "read[line, item] +=", "read[line, item] ="),
    Mistake("`damp` takes popularity *out*: divide", "/ damped[j]", "* damped[j]"),
    Mistake("`damp` goes by the ratings of j, the item to score, not of i", "damped[j]", "damped[i]"),
    Mistake("the 10 is missing: rows that were seldom counted weigh as much as others", "(10 + total[i])", "total[i]"),
    Mistake("a millionth of popularity is missing: it orders what was never counted", " + 1e-6 * self.share", ""),
    Mistake("column 0 is padding: −∞", "scores[:, 0] = -torch.inf", "scores[:, 0] = 0"),
)  # fmt: skip

"""The hidden half of a2's graded cells that look at one property each, and the numbers of a student's own.

Whole exercises are judged by `grading.check`; what stands here gives the partial credit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import grading
import numpy as np
import pandas as pd
import torch
from torch import Tensor

# --- parts of an exercise ---


def ranks_without_ties(trial: Any) -> None:
    """All scores of a row differ; the padding column is often the largest; also one row, and a batch of rows."""
    for shape in ((7,), (1,), (3, 4)):
        scores = torch.rand((*shape, 12), generator=trial.generator).argsort(dim=-1).double()
        trial.same(scores, trial.integers(1, 11, *shape))


def gain_without_a_cut(trial: Any) -> None:
    """k is larger than every rank."""
    trial.same(trial.integers(1, 40, 30), 50)
    trial.same(torch.tensor([1]), 1)


def times_without_ties(trial: Any) -> None:
    """Every event has a second of its own; rows of all users are mixed, and one user has a single event."""
    owners = [*trial.integers(0, 4, 60).tolist(), 5, 4]
    log = _log(owners, trial.integers(1, 30, 62).tolist(), torch.randperm(62, generator=trial.generator).tolist())
    _same_sequences(trial, log, trial.call(trial.answer, log))


def what_is_predicted(trial: Any) -> None:
    """Test: the last item; validation: the one before; both stand alone, in the last column."""
    log, sequences = _made_up(trial)
    found = trial.call(trial.answer, log, 8)
    for part, back, words in (("test", 1, "last"), ("validation", 2, "last but one")):
        targets = getattr(found, part).targets
        trial.require(targets.shape == (len(sequences), 8), f"{part}.targets has shape {tuple(targets.shape)}, "
                      f"expected {(len(sequences), 8)}", "one row a user, `length` columns")  # fmt: skip
        trial.require(targets[:, -1].tolist() == [s[-back] for s in sequences], f"{part}: position −1 of some user's "
                      f"targets is not the {words} item", "sort by time first, then count from the end")  # fmt: skip
        trial.require((targets > 0).sum() == len(sequences), f"{part}: more than one target in a row",
                      "the earlier items are trained on, not predicted again")  # fmt: skip


def no_leak(trial: Any) -> None:
    """Held-out items are neither counted nor trained on, and histories hold just what came before."""
    log, sequences = _made_up(trial)
    found = trial.call(trial.answer, log, 6)
    trial.require(len(found.sequences) == len(sequences), f"{len(found.sequences)} training sequences for "
                  f"{len(sequences)} users")  # fmt: skip
    for user, (mine, whole) in enumerate(zip(found.sequences, sequences)):
        trained = found.train.targets[found.train.users == user]
        kept, known = set(np.asarray(mine).tolist()), set(trained[trained > 0].tolist())
        for name, back in (("test", 1), ("validation", 2)):
            trial.require(whole[-back] not in kept | known, f"user {user}'s {name} item is among what is trained on",
                          f"a leak: the {name} item has to be taken off before windows are cut")  # fmt: skip
        trial.require(np.asarray(mine).tolist() == whole[:-2], f"user {user}'s training sequence is not all but the "
                      "last two items", "nothing else is held out")  # fmt: skip
        trial.require(known == set(whole[1:-2]), f"user {user}'s training targets are not the items after the first")
    for part, back in (("validation", 2), ("test", 1)):
        for row, whole in zip(getattr(found, part).items.tolist(), sequences):
            before = whole[:-back][-6:]
            trial.require(row == [0] * (6 - len(before)) + before, f"{part}: a history is not the six items before "
                          "the one predicted", "it is padded on the left, and before the test item stands the "
                          "validation item")  # fmt: skip


def one_dilation(trial: Any) -> None:
    """Values of a convolution with dilation 1, and of taps that all fall before the start."""
    for kernel_size, time in ((3, 9), (2, 5), (4, 2)):
        _same_module(trial, 5, kernel_size, inputs=trial.normal(2, time, 5, dtype=torch.float64))


def identity_at_first(trial: Any) -> None:
    """With ReZero a fresh block changes nothing, without it does; and it can learn to."""
    hidden = trial.normal(3, 11, 6)
    with trial.of_the_answer(6, dilation=2):
        block, plain = trial.answer(6, 3, 2), trial.answer(6, 3, 2, rezero=False)
        found, other = block(hidden), plain(hidden)
    trial.require(found.shape == hidden.shape, f"found shape {tuple(found.shape)}, expected {tuple(hidden.shape)}")
    trial.require(torch.equal(found, hidden), "a fresh block with rezero=True changes its input",
                  "the scale of the branch starts at 0")  # fmt: skip
    trial.require(not torch.allclose(other, hidden), "a fresh block with rezero=False is the identity",
                  "without ReZero the scale is 1")  # fmt: skip
    with trial.of_the_answer(6, dilation=2):
        found.square().sum().backward()
    trial.require(any(p.grad is not None and p.grad.abs().max() > 0 for p in block.parameters()),
                  "no parameter of a fresh block has a gradient", "the scale is a nn.Parameter")  # fmt: skip


def without_a_mask(trial: Any) -> None:
    """Values without padding."""
    for kernel_size, dilation, rezero in ((3, 1, True), (3, 2, False), (2, 4, True)):
        _same_module(trial, 5, kernel_size, dilation, inputs=trial.normal(2, 14, 5, dtype=torch.float64), rezero=rezero)


def _same_module(trial: Any, *sizes: int, inputs: Tensor, **options: bool) -> None:
    """Values of the answer's module and the package's, with the same random parameters."""
    fill = grading.fresh("skiprec_course.nextitnet.checks").fill
    make = lambda of: of(*sizes, **options)
    trial.same_results(lambda of: lambda x: fill(trial, make(of), make(trial.reference))(x), inputs)


def one_block(trial: Any) -> None:
    """One block of kernel 3, and an empty stack."""
    for dilation in (1, 2, 7, 20):
        trial.same([dilation])
    trial.same([])


class _Part(NamedTuple):
    part: str  # in the package, whose version the answer is compared with and may not call
    body: Callable[[Any], None]
    blocked: tuple[str, ...] = ()


SPLITS = ("skiprec_lite.splits.last_n", "skiprec_lite.splits.sessions")
PARTS = {
    "rank_of_target": _Part("metrics.rank_of_target", ranks_without_ties),
    "ndcg": _Part("metrics.ndcg", gain_without_a_cut),
    "user_sequences": _Part("splits.user_sequences", times_without_ties),
    "leave_one_out_1": _Part("splits.leave_one_out", what_is_predicted, SPLITS),
    "leave_one_out_2": _Part("splits.leave_one_out", no_leak, SPLITS),
    "causal_conv": _Part("blocks.CausalConv1d", one_dilation),
    "residual_block_1": _Part("blocks.ResidualBlock", identity_at_first),
    "residual_block_2": _Part("blocks.ResidualBlock", without_a_mask),
    "receptive_field": _Part("blocks.receptive_field", one_block),
}


def check(name: str, answer: Any, *, seeds: int = 3) -> None:
    """Judge one property of an answer, with a fresh package and hidden seeds.

    Raises:
        NotPassed: with the line that a check would have printed.
    """
    part, body, blocked = PARTS[name]
    module, function = part.split(".")
    course = getattr(grading.fresh(f"skiprec_lite.{module}"), function)
    judge = grading.fresh("skiprec_course.checks").Check(part=part, course=course, task="", hints=(), body=body)
    with grading.blocking(f"skiprec_lite.{part}", *blocked):  # also what an answer imports while it runs
        grading.with_hidden_seeds(judge, answer, seeds)


def leave_one_out(answer: Any) -> None:
    """The whole exercise, with every ready-made split blocked.

    Raises:
        NotPassed: with the line that a check would have printed.
    """
    grading.check("splits.leave_one_out", answer, blocked=SPLITS)


# --- logs ---


def _log(users: list[int], items: list[int], times: list[int]) -> Any:
    table = pd.DataFrame({"user": users, "item": items, "timestamp": times})
    names = tuple(map(str, range(1, max(items) + 1)))
    return grading.fresh("skiprec_lite.datasets").Interactions(table, tuple(map(str, range(max(users) + 1))), names, names)


def _made_up(trial: Any) -> tuple[Any, list[list[int]]]:
    """Nine users with three to fourteen different items each, with tied times, and the order that they come in."""
    rng = np.random.default_rng(trial.seed)
    lengths = rng.integers(3, 15, 9)
    owners = rng.permutation(np.repeat(np.arange(9), lengths)).tolist()
    left = [iter((rng.permutation(40)[:n] + 1).tolist()) for n in lengths]
    log = _log(owners, [next(left[u]) for u in owners], rng.integers(0, 9, len(owners)).tolist())
    return log, _sequences(log)


def _sequences(log: Any) -> list[list[int]]:
    events = sorted(log.table[["user", "timestamp", "item"]].itertuples(index=False), key=lambda e: (e[0], e[1]))
    return [[int(e.item) for e in events if e.user == user] for user in range(len(log.user_ids))]


def _same_sequences(trial: Any, log: Any, found: Any) -> None:
    expected = _sequences(log)
    trial.require(len(found) == len(expected), f"found {len(found)} sequences, expected {len(expected)}",
                  "one for each of the user_ids")  # fmt: skip
    for user, (mine, theirs) in enumerate(zip(found, expected)):
        if np.asarray(mine).tolist() != theirs:
            cause = {
                tuple(theirs[::-1]): "the newest item is the last, not the first",
                tuple(log.table["item"][log.table["user"] == user]): "sort by time: file order is no order in time",
            }.get(tuple(np.asarray(mine).tolist()), "")
            trial.fail(f"no tied times: user {user}'s items are not in the order of their times", cause)


# --- numbers of a student's own ---


def own_table(seed: int) -> tuple[Tensor, Tensor]:
    """The scores and true items of six users, as the notebook draws them."""
    rng = np.random.default_rng(seed)
    scores, targets = rng.integers(1, 6, (6, 9)), rng.integers(1, 9, 6)
    rival = targets[0] % 8 + 1
    scores[:, 0], scores[1, targets[1]] = 7, 0
    scores[0, [targets[0], rival]] = 6
    return torch.tensor(scores).double(), torch.tensor(targets)


def _means(ranks: np.ndarray, k: int = 5, log: Callable = np.log2, start: int = 1) -> float:
    return float(np.mean(np.where(ranks <= k, 1 / log(np.maximum(ranks, 1) + start), 0)))


def own_numbers(answer: Callable, user: str, which: int) -> None:
    """Judge one of the two means of NDCG@5: 0, ties against the model, or 1, ties in its favour.

    Raises:
        NotPassed: with the likely cause, not with the number.
    """
    scores, targets = own_table(_seed_of(user))
    with grading.fresh_package():  # what it calls was not patched: the package's functions, if it uses them
        found = answer(scores.clone(), targets.clone())[which]
    found = float(found)
    true = scores.gather(1, targets[:, None])
    above, level = ((f(scores[:, 1:], true)).sum(dim=1).numpy() for f in (torch.gt, torch.ge))
    against, favour = level, above + 1
    ranks, other = (favour, against) if which else (against, favour)
    words = ("against the model", "in the model's favour")
    if abs(found - _means(ranks)) < 1e-3:
        return
    hits = ranks <= 5
    causes = {
        f"these are ties {words[1 - which]}": _means(other),
        "column 0 is padding: it was counted as an item": _means(ranks + 1),
        "the logarithm has the base 2": _means(ranks, log=np.log),
        "the cut at k = 5 is missing": _means(ranks, k=99),
        "it is the mean over all users, those without a hit too": _means(ranks) * len(ranks) / max(1, hits.sum()),
        "it is the mean over users, not the sum": _means(ranks) * len(ranks),
        "ranks start at 1": _means(ranks - 1, start=1),
        "this is MRR: the rank stands inside a logarithm": float(np.mean(hits / ranks)),
        "this is the hit rate: a hit further down gains less": float(hits.mean()),
    }
    cause = next((c for c, value in causes.items() if abs(found - value) < 1e-3), "work out one user's by hand")
    raise grading.NotPassed(f"✘ own_numbers: NDCG@5 with ties {words[which]} is not {found:.3f}; {cause}")


def _seed_of(user: str) -> int:
    with grading.fresh_package() as checks:
        return checks.seed_of(user if isinstance(user, str) and user.strip() else "anonymous")

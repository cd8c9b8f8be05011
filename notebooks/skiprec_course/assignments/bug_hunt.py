"""The bug hunt: six short programs with one silent bug each, what it does to a curve, and a check of your answer.

If you are hunting, read the programs in the notebook, beside their symptoms. The answers are not in this file, only
their salted hashes, and what you are told after a right one is sealed with it. Hints and measurements are in clear.
"""

import base64
import functools
import hashlib
import linecache
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from IPython import get_ipython
from torch import Tensor, nn
from torch.nn import functional as F

from skiprec_course.engine import Outcome, Verdict
from skiprec_lite.blocks import CausalConv1d
from skiprec_lite.gumbel import gumbel_max, gumbel_softmax
from skiprec_lite.metrics import ndcg, rank_of_target
from skiprec_lite.synthetic import draw_sequences
from skiprec_lite.windows import pad_left

CAUSES = {
    "A": "An argument is accepted and never used.",
    "B": "A layer is still in training mode when the model is measured.",
    "C": "Equal scores are counted in favour of the target.",
    "D": "A sum, a softmax or an argmax runs over the wrong axis.",
    "E": "Probabilities stand where their logarithms belong.",
    "F": "The target can be read from the input.",
    "G": "The prediction is read at a position that holds padding.",
    "H": "The gradient is cut before it reaches the parameters.",
    "I": "Items with the same time do not keep the order of the file.",
    "J": "The noise is not Gumbel noise, or has the wrong sign.",
    "K": "The scores are squeezed into a short range before noise is added.",
    "L": "Items of the test are counted in training.",
}
# Told to a reader who names a cause where it is not the one: what it does to a program.
_WOULD_SHOW = {
    "A": "a setting could be changed without any effect",
    "B": "two measurements of the same input would differ",
    "C": "the result would rise wherever many scores are alike",
    "D": "the result for one user would change with the other users in the batch",
    "E": "what is unlikely would be drawn almost as often as what is likely",
    "F": "the loss would fall to almost 0, for every user alike",
    "G": "a user's result would change with the longest history in the batch",
    "H": "the parameters behind the cut would stay where they started",
    "I": "the result would change with the number of rows that share their time",
    "J": "two classes of 0.9 and 0.1 would not be drawn in 9 and 1 of 10 cases, whatever else is right",
    "K": "no choice could ever become nearly certain, however long the training",
    "L": "the test would go well even where nothing can be learnt",
}
_SALT = "4f1d0f0e6a7b"


class Symptom(NamedTuple):
    """What a program shows and what correct code shows, measured alike; the first axis of both is the seed."""

    x: np.ndarray
    program: np.ndarray
    correct: np.ndarray


@dataclass(frozen=True)
class _Bug:
    """A program, what it is measured by, and the hashes of the answer.

    Attributes:
        program: its text.
        x: places at which it is measured, for a figure.
        measure: takes the program as a module; random numbers are seeded by the caller.
        correct: names of the program -> the same in the package's words.
        lines: hashes of the right lines.
        causes: hash of a right cause -> what is told after it, sealed.
        answers: hashes of the right pairs.
        hints: from a nudge on.
        repaired: measured with a repaired program and with correct code: is the symptom gone?
    """

    program: str
    x: Sequence[float]
    measure: Callable[[Any], np.ndarray]
    correct: dict[str, Any]
    lines: frozenset[str]
    causes: dict[str, str]
    answers: frozenset[str]
    hints: tuple[str, ...]
    repaired: Callable[[np.ndarray, np.ndarray], bool]


# --- what the reader calls ---


def show_causes() -> None:
    """Print the list of causes. One can be right for several programs, or for none."""
    for letter, cause in CAUSES.items():
        print(f"{letter}  {cause}")


def show_program(number: int) -> None:
    """Print a program with its line numbers."""
    for place, line in enumerate(program(number).splitlines(), 1):
        print(f"{place:2}  {line}".rstrip())


def program(number: int) -> str:
    """Return the text of a program, the same that is shown and that runs.

    Raises:
        ValueError: if there is no program of this number.
    """
    return _bug(number).program


def load(number: int) -> ModuleType:
    """Run a program and return it as a module, to experiment with: `load(1).recommend(…)`."""
    text, module = program(number), ModuleType(f"bug_{number}")
    file = f"<bug {number}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # for tracebacks
    exec(compile(text, file, "exec"), vars(module))
    return module


def edit(number: int) -> None:
    """Put a program into a new cell below, to be repaired there; print it where there are no cells."""
    shell = get_ipython()
    if shell is None:
        print(program(number))
    else:
        shell.set_next_input(program(number))


def symptom(number: int, seeds: Iterable[int] = (0, 1, 2)) -> Symptom:
    """Measure what a program shows, and what correct code shows in its place, with each seed."""
    bug = _bug(number)
    both = [(_measured(number, {}, seed), _correct(number, seed)) for seed in seeds]
    return Symptom(np.array(bug.x), np.stack([a for a, _ in both]), np.stack([b for _, b in both]))


def check_bug(number: int, line: int | None = None, cause: str = "") -> None:
    """Print whether this line and this cause are the bug's.

    Args:
        number: of the program, 1 to 6.
        line: as `show_program` numbers them; None = not yet. Where two lines make a bug together, either is right.
        cause: a letter of `show_causes`.
    """
    verdict = judge(number, line, cause)
    sign = {Outcome.NOT_YET: "○", Outcome.PASSED: "✔"}.get(verdict.outcome, "✘")
    print(f"{sign} bug {number}: {verdict.message}")


def judge(number: int, line: int | None = None, cause: str = "") -> Verdict:
    """Judge an answer without printing; see `check_bug`."""
    bug, letter = _bug(number), str(cause).strip().upper()
    if line is None:
        return Verdict(Outcome.NOT_YET, "not yet")
    last = len(bug.program.splitlines())
    if not isinstance(line, int) or not 1 <= line <= last:
        return Verdict(Outcome.FAILED, f"the program has lines 1 to {last}, found {line!r}.")
    if letter and letter not in CAUSES:
        return Verdict(Outcome.FAILED, f"the causes are A to {max(CAUSES)}, found {cause!r}.")
    told = bug.causes.get(_hash(number, letter))
    if told and _hash(number, f"{line}{letter}") in bug.answers:
        return Verdict(Outcome.PASSED, f"line {line}, cause {letter}. {_unseal(told, number, letter)}")
    if _hash(number, line) in bug.lines:
        where = f"line {line} is right"
    elif any(_hash(number, near) in bug.lines for near in (line - 2, line - 1, line + 1, line + 2)):
        where = f"line {line} is close, look at the lines around it"
    else:
        where = f"line {line} is not where it happens"
    if not letter:
        return Verdict(Outcome.NOT_YET, f"{where}. Now the cause, A to {max(CAUSES)}.")
    if told:
        return Verdict(Outcome.FAILED, f"cause {letter} is right; {where}.")
    shows = f"With cause {letter} {_WOULD_SHOW[letter]}: compare with the symptom"
    return Verdict(Outcome.FAILED, f"{where}; the cause is another. {shows}.")


def bug_hint(number: int, hint: int = 1) -> None:
    """Print a hint: 1, then 2.

    Raises:
        ValueError: if there is no hint of this number.
    """
    hints = _bug(number).hints
    if hint not in range(1, len(hints) + 1):
        raise ValueError(f"bug {number} has hints 1 to {len(hints)}, not {hint}")
    print(f"Hint {hint} of {len(hints)}: {hints[hint - 1]}")


def check_repair(number: int, repaired: Any = None) -> None:
    """Print whether your version of one function or class of a program takes the symptom away.

    Args:
        number: of the program.
        repaired: the function or class, under the name that it has in the program; None = not yet.
    """
    verdict = judge_repair(number, repaired)
    sign = {Outcome.NOT_YET: "○", Outcome.PASSED: "✔", Outcome.RAISED: "⚡"}.get(verdict.outcome, "✘")
    print(f"{sign} repair {number}: {verdict.message}")


def judge_repair(number: int, repaired: Any = None, *, seed: int = 0) -> Verdict:
    """Judge a repair without printing; see `check_repair`."""
    bug = _bug(number)
    if repaired is None:
        return Verdict(Outcome.NOT_YET, "not yet")
    name = getattr(repaired, "__name__", "")
    if not callable(repaired) or not callable(getattr(load(number), name or " ", None)):
        return Verdict(Outcome.FAILED, f"the program has no function or class of the name {name or repaired!r}.")
    try:
        found = _measured(number, {name: repaired}, seed)
    except (Exception, SystemExit) as error:
        line = (str(error).splitlines() or [""])[0][:160]
        return Verdict(Outcome.RAISED, f"it raised {type(error).__name__}: {line}")
    correct = _correct(number, seed)
    if found.shape == correct.shape and np.isfinite(found).all() and bug.repaired(found, correct):
        return Verdict(Outcome.PASSED, "the symptom is gone.")
    return Verdict(Outcome.FAILED, "measured again, the curve is not the one of correct code.")


# --- hashes and seals ---


def sealed(number: int, lines: Iterable[int], causes: Iterable[str], told: str) -> dict[str, Any]:
    """What stands for an answer in this file; for whoever changes a program.

    Args:
        number: of the program.
        lines: each of the right ones.
        causes: each of the right ones; every line goes with every cause.
        told: what the reader is told after a right answer.
    """
    lines, causes = list(lines), list(causes)
    return {
        "lines": frozenset(_hash(number, line) for line in lines),
        "causes": {_hash(number, cause): _seal(told, number, cause) for cause in causes},
        "answers": frozenset(_hash(number, f"{line}{cause}") for line in lines for cause in causes),
    }


def _hash(number: int, answer: int | str) -> str:
    return hashlib.sha256(f"{_SALT}/{number}/{answer}".encode()).hexdigest()[:12]


def _seal(told: str, number: int, cause: str) -> str:
    data = told.encode()
    return base64.b85encode(bytes(a ^ b for a, b in zip(data, _stream(number, cause, len(data))))).decode()


def _unseal(seal: str, number: int, cause: str) -> str:
    data = base64.b85decode(seal)
    return bytes(a ^ b for a, b in zip(data, _stream(number, cause, len(data)))).decode()


def _stream(number: int, cause: str, length: int) -> bytes:
    blocks = (hashlib.sha256(f"{_SALT}/{number}/{cause}/{i}".encode()).digest() for i in range(length // 32 + 1))
    return b"".join(blocks)[:length]


# --- running a program ---


def _bug(number: int) -> _Bug:
    if number not in _BUGS:
        raise ValueError(f"there are programs 1 to {len(_BUGS)}, found {number!r}")
    return _BUGS[number]


def _measured(number: int, instead: dict[str, Any], seed: int) -> np.ndarray:
    """Measure a program in which some names are replaced; the random numbers outside stay as they were."""
    module = load(number)
    vars(module).update(instead)  # the program's other functions call these
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _bug(number).measure(module)


@functools.cache
def _correct(number: int, seed: int) -> np.ndarray:
    """What correct code shows; measured once."""
    return _measured(number, _bug(number).correct, seed)


def _numbers() -> np.random.Generator:
    """A numpy generator from torch's seed: one seed serves both."""
    return np.random.default_rng(torch.initial_seed() % 2**32)


def _train(parameters: Iterable[nn.Parameter], loss: Callable[[], Tensor], *, steps: int, rate: float) -> None:
    optimizer = torch.optim.Adam(parameters, lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def _alike(found: np.ndarray, correct: np.ndarray) -> bool:
    return float(np.abs(found - correct).max()) < 0.1


# --- program 1 ---

_PROGRAM_1 = """\
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence


class NextItem(nn.Module):
    def __init__(self, num_items, channels=32):
        super().__init__()
        self.embedding = nn.Embedding(num_items + 1, channels, padding_idx=0)
        self.conv = nn.Conv1d(channels, channels, kernel_size=3)
        self.output = nn.Linear(channels, num_items + 1)

    def forward(self, items):
        past = F.pad(self.embedding(items).transpose(1, 2), (2, 0))
        return self.output(F.relu(self.conv(past)).transpose(1, 2))


def loss(model, histories):
    items = pad_sequence(histories, batch_first=True)
    scores = model(items[:, :-1])
    return F.cross_entropy(scores.flatten(0, 1), items[:, 1:].flatten(), ignore_index=0)


def recommend(model, histories, k=5):
    items = pad_sequence(histories, batch_first=True)
    scores = model(items)[:, -1, 1:]
    return scores.topk(k).indices + 1
"""
_LENGTHS = range(3, 13)


def _measure_1(module: Any) -> np.ndarray:
    """Share of users whose next item is among the five recommended, for each length of history."""
    numbers, num_items = _numbers(), 40
    rule = numbers.permutation(num_items)[None]

    def draw(users: int) -> list[Tensor]:
        walks = draw_sequences(numbers, (0,), rule, users, length=max(_LENGTHS) + 1, noise=0.1, shared_items=True)
        return [torch.from_numpy(walk[0, : n + 1]) for walk, n in zip(walks, numbers.choice(_LENGTHS, size=users))]

    model, train, test = module.NextItem(num_items), draw(100), draw(1500)
    _train(model.parameters(), lambda: module.loss(model, train), steps=60, rate=0.02)
    with torch.no_grad():
        lists = module.recommend(model, [items[:-1] for items in test])
    hit = (lists == torch.stack([items[-1] for items in test]).unsqueeze(1)).any(dim=1).double()
    length = torch.tensor([len(items) - 1 for items in test])
    return np.array([float(hit[length == n].mean()) for n in _LENGTHS])


def _recommend(model: nn.Module, histories: list[Tensor], k: int = 5) -> Tensor:
    rows = pad_left([items.numpy() for items in histories], max(map(len, histories)))
    return model(rows)[:, -1, 1:].topk(k).indices + 1


# --- program 2 ---

_PROGRAM_2 = """\
import torch
from torch import nn
from torch.nn import functional as F


class Policy(nn.Module):
    def __init__(self, num_groups, num_blocks, channels=16):
        super().__init__()
        self.group = nn.Embedding(num_groups, channels)
        self.output = nn.Linear(channels, 2 * num_blocks)

    def forward(self, groups):
        hidden = torch.tanh(self.group(groups))
        keep_skip = torch.sigmoid(self.output(hidden))
        return keep_skip.unflatten(-1, (-1, 2))


def sample_gates(logits, tau=1.0):
    uniform = torch.rand_like(logits).clamp_min(1e-30)
    noisy = logits - torch.log(-torch.log(uniform))
    soft = torch.softmax(noisy / tau, dim=-1)
    hard = F.one_hot(noisy.argmax(dim=-1), num_classes=2)
    return (soft + (hard - soft).detach())[..., 0]


def loss(gates, needed, cost=0.3):
    return (needed * (1 - gates) + cost * gates).mean()
"""
GROUPS, BLOCKS = 4, 6  # of program 2


def needed_blocks(seed: int) -> np.ndarray:
    """Which blocks each group of program 2 needs, shape (group, block): 0 or 1."""
    return np.random.default_rng(seed).integers(2, size=(GROUPS, BLOCKS))


def _measure_2(module: Any) -> np.ndarray:
    """Share of draws in which a group keeps a block, after training; (group, block)."""
    needed = torch.from_numpy(needed_blocks(torch.initial_seed() % 2**32)).float()
    policy, groups = module.Policy(GROUPS, BLOCKS), torch.arange(GROUPS).repeat(64)
    _train(
        policy.parameters(),
        lambda: module.loss(module.sample_gates(policy(groups)), needed[groups]),
        steps=200,
        rate=0.05,
    )
    with torch.no_grad():
        gates = module.sample_gates(policy(torch.arange(GROUPS).repeat(1000)))
    return gates.unflatten(0, (1000, GROUPS)).double().mean(dim=0).numpy()


class _Policy(nn.Module):
    def __init__(self, num_groups: int, num_blocks: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_groups, 2 * num_blocks)

    def forward(self, groups: Tensor) -> Tensor:
        return self.table(groups).unflatten(-1, (-1, 2))


def _sample_gates(logits: Tensor, tau: float = 1.0) -> Tensor:
    return gumbel_softmax(logits, tau, hard=True)[..., 0]


# --- program 3 ---

_PROGRAM_3 = """\
import torch


def transitions(sessions, num_items):
    counts = torch.full((num_items, num_items), 0.01)
    for items in sessions:
        for before, after in zip(items[:-1], items[1:]):
            counts[before, after] += 1
    return counts / counts.sum(dim=1, keepdim=True)


def gumbel(shape, generator):
    uniform = torch.rand(shape, generator=generator).clamp_min(1e-30)
    return -torch.log(-torch.log(uniform))


def walk(table, start, steps, generator):
    items = [start]
    for _ in range(steps):
        chances = table[items[-1]]
        noisy = chances + gumbel(chances.shape, generator)
        items.append(noisy.argmax(dim=1))
    return torch.stack(items, dim=1)
"""
_RANKS = range(1, 13)


def _measure_3(module: Any) -> np.ndarray:
    """How often made-up sessions go on with the most frequent, the second most frequent … successor."""
    numbers, num_items = _numbers(), 30
    order = np.stack([numbers.permutation(num_items) for _ in range(num_items)])
    chances = 0.6 ** np.arange(num_items)
    sessions = numbers.integers(num_items, size=(200, 20))
    for t in range(1, 20):
        choice = numbers.choice(num_items, size=200, p=chances / chances.sum())
        sessions[:, t] = order[sessions[:, t - 1], choice]
    table = module.transitions(sessions.tolist(), num_items)
    generator = torch.Generator().manual_seed(int(numbers.integers(2**31)))
    made_up = module.walk(table, torch.arange(num_items).repeat(10), 40, generator)
    ranks = table.argsort(dim=1, descending=True, stable=True).argsort(dim=1)[made_up[:, :-1], made_up[:, 1:]]
    return ranks.flatten().bincount(minlength=num_items)[: len(_RANKS)].numpy() / ranks.numel()


def _walk(table: Tensor, start: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    items = [start]
    for _ in range(steps):
        items.append(gumbel_max(table.log()[items[-1]], generator=generator))
    return torch.stack(items, dim=1)


# --- program 4 ---

_PROGRAM_4 = """\
import torch


def similarity(histories, num_items):
    seen = torch.zeros(len(histories), num_items)
    for user, items in enumerate(histories):
        seen[user, items] = 1
    together = (seen.T @ seen).fill_diagonal_(0)
    return together / (1 + seen.sum(dim=0))


def nearest(similar, neighbours):
    values, indices = similar.topk(neighbours, dim=1)
    return torch.zeros_like(similar).scatter(1, indices, values)


def ndcg_at_10(similar, histories, targets):
    scores = torch.stack([similar[items].sum(dim=0) for items in histories])
    of_target = scores.gather(1, targets.unsqueeze(1))
    rank = 1 + (scores > of_target).sum(dim=1)
    gain = 1 / torch.log2(1 + rank)
    return gain.where(rank <= 10, 0).mean()
"""
NEIGHBOURS = (0, 1, 2, 3, 5, 10, 20, 50)  # of program 4


def _measure_4(module: Any) -> np.ndarray:
    """NDCG@10, for each number of neighbours that an item keeps."""
    numbers, num_items, tastes, shape = _numbers(), 100, 10, (400, 6)
    own = numbers.integers(tastes, size=(400, 1)) + tastes * numbers.integers(num_items // tastes, size=shape)
    rows = torch.from_numpy(np.where(numbers.random(shape) < 0.7, own, numbers.integers(num_items, size=shape)))
    histories, targets = rows[:, :-1].tolist(), rows[:, -1]
    similar = module.similarity(histories, num_items)
    return np.array([float(module.ndcg_at_10(module.nearest(similar, n), histories, targets)) for n in NEIGHBOURS])


def _ndcg_at_10(similar: Tensor, histories: list[list[int]], targets: Tensor) -> Tensor:
    scores = torch.stack([similar[items].sum(dim=0) for items in histories])
    return ndcg(rank_of_target(F.pad(scores, (1, 0)), targets + 1), 10).mean()


def _repaired_4(found: np.ndarray, correct: np.ndarray) -> bool:
    """A rank in the middle of its equals, or a random one, is right as well: 0.045 with no neighbours at most."""
    return bool(found[0] < 0.09 and (found > correct - 0.01).all() and (found < correct + 0.09).all())


# --- program 5 ---

_PROGRAM_5 = """\
from collections import Counter, defaultdict


def histories(log, tick):
    found = defaultdict(list)
    rows = [(user, second // tick, item) for user, second, item in log]
    for user, _, item in sorted(rows):
        found[user].append(item)
    return list(found.values())


def successors(sequences):
    counts = defaultdict(Counter)
    for items in sequences:
        for before, after in zip(items[:-1], items[1:]):
            counts[before][after] += 1
    return counts


def hit_rate(sequences, k=10):
    counts = successors([items[:-1] for items in sequences])
    hits = 0
    for *_, last, target in sequences:
        best = [item for item, _ in counts[last].most_common(k)]
        hits += target in best
    return hits / len(sequences)
"""
TICKS = {"1 s": 1, "1 min": 60, "10 min": 600, "1 h": 3600, "6 h": 21600, "1 day": 86400}  # of program 5


def _measure_5(module: Any) -> np.ndarray:
    """Hit rate at 10 of a table of counts, for each tick of the clock."""
    numbers, num_items = _numbers(), 100
    log, rule = [], numbers.permutation(num_items)
    for user in range(400):
        second, item = int(numbers.integers(86400)), int(numbers.integers(num_items))
        for _ in range(30):
            log.append((user, second, item))
            second += 86400 if numbers.random() < 0.1 else int(numbers.integers(20, 600))
            item = int(rule[item]) if numbers.random() < 0.1 else int(numbers.integers(num_items))
    return np.array([module.hit_rate(module.histories(log, tick)) for tick in TICKS.values()])


def _histories(log: list[tuple[int, int, int]], tick: int) -> list[list[int]]:
    rows = np.array(log)
    rows = rows[np.lexsort((rows[:, 1] // tick, rows[:, 0]))]
    return [items.tolist() for items in np.split(rows[:, 2], np.flatnonzero(np.diff(rows[:, 0])) + 1)]


# --- program 6 ---

_PROGRAM_6 = """\
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, channels, kernel_size=3, dilation=1, **options):
        super().__init__()
        self.left = (kernel_size - 1) * dilation
        self.conv = nn.Conv1d(channels, channels, kernel_size, dilation=dilation)
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(options.get("dropout", 0.0))

    def forward(self, hidden):
        past = F.pad(hidden.transpose(1, 2), (self.left, 0))
        branch = self.norm(self.conv(past).transpose(1, 2))
        return hidden + self.dropout(F.relu(branch))


def network(num_items, channels=24, dilations=(1, 2, 4), dropout=0.0):
    embedding = nn.Embedding(num_items + 1, channels, padding_idx=0)
    blocks = [Block(channels, dilations=d, dropout=dropout) for d in dilations]
    return nn.Sequential(embedding, *blocks, nn.Linear(channels, num_items + 1))
"""
_LAGS = (0, 4, 8, 12)


def _measure_6(module: Any) -> np.ndarray:
    """Share of next items that are predicted right, for each number of steps back to the item that decides."""
    numbers, size, first = _numbers(), 6, max(_LAGS)
    rules = np.stack([numbers.permutation(size) for _ in _LAGS])

    def draw(users: int) -> Tensor:
        drawn = draw_sequences(numbers, _LAGS, rules, users, length=24, noise=0.1, shared_items=False)
        return torch.from_numpy(drawn)  # (user, lag, time)

    def loss() -> Tensor:
        items = draw(10).flatten(0, 1)
        return F.cross_entropy(model(items[:, :-1])[:, first:].flatten(0, 1), items[:, first + 1 :].flatten())

    model = module.network(size * len(_LAGS))
    _train(model.parameters(), loss, steps=120, rate=0.015)
    items = draw(200)
    with torch.no_grad():
        best = model.eval()(items.flatten(0, 1)[:, :-1])[:, first:].argmax(dim=-1).unflatten(0, items.shape[:2])
    return (best == items[..., first + 1 :]).double().mean(dim=(0, 2)).numpy()


class _Block(nn.Module):
    def __init__(self, channels: int, *, dilation: int) -> None:
        super().__init__()
        self.conv, self.norm = CausalConv1d(channels, 3, dilation), nn.LayerNorm(channels)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + F.relu(self.norm(self.conv(hidden)))


def _network(num_items: int, channels: int = 24) -> nn.Module:
    embedding = nn.Embedding(num_items + 1, channels)
    blocks = [_Block(channels, dilation=d) for d in (1, 2, 4)]
    return nn.Sequential(embedding, *blocks, nn.Linear(channels, num_items + 1))


# --- all of them ---

_BUGS = {
    1: _Bug(
        _PROGRAM_1, _LENGTHS, _measure_1, {"recommend": _recommend}, repaired=_alike,
        hints=(
            "Which users are served well? What do they have that the others lack?",
            "Take a user of three items and one of twelve. Print what `recommend` hands to the model, and mark in both "
            "rows the place that the list is made from.",
        ),
        lines=frozenset(["4bc92e2e5a2a", "5c3cf940e4ee"]),
        causes={
            "594e12d4dab1":
                "pa{rI_Ixjxr-MrBGejoMYdm!7H+xm+_!8pfjUZUrqf%{&gl-)F{2!$pZXNYkn7r`M%T!-PA90_{9Et|3yaN=Daz3;u<KB6UyqLNc"
                "2^vh>Z`gtXf&Z+Q!Er-#pWmEScLTDSB~3N`38){dXh~5I130nap4M|5lWyuG{YZ=22jr2IzEawXO$7lK+nV&f0#&w0lJ`85wO+1`"
                "EE1u%3gG#m8tjYg2$hfcGN0iTDFB}zcbcoo{C$%1sa!YCI4)B_RkM>Xnz)qxQ)O~#&16CzXk;4ni(Tox@HjAoLj{7r#sja!M_atD"
                "=C-P0ENDI7NSkyOu}9{%s&#;c@Z7th<@bdeg@0}*HNb!bTpU#V$}i!xXKC~RP?iP+Vtn}",
        },
        answers=frozenset(["744ddc2bdd5c", "c6e72d932732"]),
    ),
    2: _Bug(
        _PROGRAM_2, (), _measure_2, {"Policy": _Policy, "sample_gates": _sample_gates}, repaired=_alike,
        hints=(
            "Print the smallest and the largest number that the policy returns, before and after training.",
            "A gate is kept in 99 of 100 draws if its two logits lie log 99 = 4.6 apart. How far apart do they lie?",
        ),
        lines=frozenset(["41314f76e961"]),
        causes={
            "673dcea01201":
                "$jXs87J1x@c~x*QS9{=bd;ehy|7>ZA(b!`by>V+sfVv-_e()>id`%WztFGQG(#QB>X59<bkwCYvB%++rgJUhVX*d|ZBh$C`_fFNI"
                "U+TXKc^zzv-q%)eSEF{qLtLWJG}trlPeghP`C_bCo5hEmCNDN-@6v4?a3&V-h}}VklP;b7&<2@T)q8Fi!-qazXgB_UL6uK($MlbZ"
                "anpZ+04CE8A5tk_L@p)P1(2NW!_)UzxlR=@+v3@fGGT4`pP4wWxwB3cZ3t#(1U!~lo#Dm*Cw9#>Q72!lR;bd3tc1+o?wSKW",
            "c7492e865a5f":
                ";K0&p1aw}KDwiKwZZ14Gw9Pl3s<lU8>A)HahB}%owCmJnGNbC-kE7{_22YBHyN6SW0eE%r$3E9|lyn2N5?kC$2Thbyn_i#`s;5w9"
                "8fdxxjvz$fAZpIj4(|k|+_uf}UZ~za6h6-B4h{0HCQL@9F$xP(S4naD4W9713B7W)(*ncBR_K_}AwfYYEBB^!8;%9IcC)GE2$TxW"
                "&I;~o)lby^8|}|bacpR2dGS9?XsR*c0=yU}3OzjeMoeD%Ba|THlI-5&IJ$~dZ@1l`pGQTyXhJivx<VLGJXsxdUJ$&-PH`<E",
        },
        # One pair more: a second place where the one of the two causes can be mended.
        answers=frozenset(["b790935693f8", "d31ecf4a413e", "d5b5a566a352"]),
    ),
    3: _Bug(
        _PROGRAM_3, _RANKS, _measure_3, {"walk": _walk}, repaired=_alike,
        hints=(
            "The noise has a standard deviation of 1.3. How far do the numbers that it is added to lie apart?",
            "Read the first line of the proof in lesson 01 again: to what is the noise added there?",
        ),
        lines=frozenset(["228ad9225863", "8bad7f2c7af7"]),
        causes={
            "5bcbf87373d8":
                "blMs)Wc$8x>O#5T!2V{jh@o(%!~SK5HmG!BTD7Ku$d4FR)vSw4(U__fWJZ_}uBJs{&X(HLA5Qtc-~z7rziail*pU;#o6p0D?&yWH"
                "_0STW4&@uiZB&e95bVP|Co3fh$9VIg-*6Kv5&w+25>IqrHNf8Wt$mV&VX)SGqXf6D0{AzczkxGReWwFxxDkEm9;j$5#+_#|@qFk)"
                "tJ1k<EXY=l>%;8^#aQ25Ya)GUP<KMJt-F9Pt3Si)m#>f`JI?s7@PS{m9<QW_{d;(PMc~N(@*s6cKJ6HR(xo+~+dYn$",
        },
        answers=frozenset(["c59a7e09f818", "e2a440391158"]),
    ),
    4: _Bug(
        _PROGRAM_4, range(len(NEIGHBOURS)), _measure_4, {"ndcg_at_10": _ndcg_at_10}, repaired=_repaired_4,
        hints=(
            "With 0 neighbours the program knows nothing at all. Which scores does it give? Which rank comes of them?",
            "Call `load(4).ndcg_at_10` with a matrix of zeros, then with a matrix of ones. What should come out?",
        ),
        lines=frozenset(["6544575f38b6"]),
        causes={
            "c27924499aea":
                "9s9i?R8OD?g?_DDYn)!7!;Y%A1&As?Leaezy>0nXfv<#RrDsM5tGD3TyqXX(%mDFj`WL7#RC^6eH2OYGLOM3msY}Lxv_YJsP^DJN"
                "uB^;z#b=oL8<Xol&U70KjJr&{Adi86zWF45aMIToVp-C?dFvV(yut$y+JlY!3G{`!5GXZA?J&X5v^8t8G*RZBAI1NAbv`To{PUfE"
                "o{11(ykX(ZckCXPwBo9LI<C12gIF|hGf_-Lcu|QEIpTNj*pV*{tN1z^EV;bS)<MGre;Uljx#P}ukD#U",
        },
        answers=frozenset(["23d492c5657b"]),
    ),
    5: _Bug(
        _PROGRAM_5, range(len(TICKS)), _measure_5, {"histories": _histories}, repaired=_alike,
        hints=(
            "The log is the same for every tick. Print one user's history for the finest and for the coarsest.",
            "In the coarse history look at the numbers of the items within one day. Who put them into this order?",
        ),
        lines=frozenset(["809629c3eef7", "f085023489fc"]),
        causes={
            "189bb28b8d9f":
                "{B}?uqWzV@m5*yi4`}so5+P}ur4ONf?QC0BuF1vk`0b#FR|Sg4YvvUSh~4{wt1IHBZ*wVE4csQD7vYJ<Q!)soEYa6s#d2?lM;Wr4"
                "1_VlJ?%;|=&$k18Ey`<EY2>$<{q%fP3#*O(g<Z76XS|{Ys=CZ*I7NGeyTkrCD{;%mXp=-Op;!NXo>;+{YtlX3@`#29%yhyu&<|xw"
                "CO$X07%!+yazMPCq(RqZM?pL2up-z!+klkgdQ#u|G2M8H@8BG0K1HD7v;dt*)wGa_4_s^)*fQcl%QG3gRcbQuJg^afEo*vx427RH"
                "s~+8b%UD@mM5{O3UH&2W$9MJT9I~-N9bu@t$2a*ITztFR`QTljPO46oonM1TEz<$nC1fSJ<&f(Be*B`zU*r",
        },
        answers=frozenset(["33b7f4b4d43b", "56b3b5681874"]),
    ),
    6: _Bug(
        _PROGRAM_6, _LAGS, _measure_6, {"network": _network}, repaired=_alike,
        hints=(
            "Up to which lag does it go well? How far do three convolutions of kernel 3 reach, with which dilations?",
            "Call `print(load(6).network(30))` and read what the convolutions say of themselves.",
        ),
        lines=frozenset(["29f0ce40b4d8", "e7e4b34c27a1"]),
        causes={
            "33cb65502062":
                "amg4*7dx+-pjj!2ym~7sKeuF9n206soXe})#RiO3&<L}s$4?2%@v`I3u@6NxzH48csFC`C)sN-RDBAh7{Ng0VA;_`^dov*6!mdYa"
                "ctl2cv#&4Y6!7W&aAjvwWe&y5Rko-a9#Dg26b!Ac5BD=fZ&d^OR(hCmuYep##V9waLI{Tv=bdOjP+<@hn6qCNW6+HOun}LoX$?K#"
                "p<LHdm!3_;7n^0U1XcO=$HGeI%Xo)tOlwN#>kJz9gcr}1Al`U+!oER4<2P)ZUJWvDq$P(H9`=Z0=}C@%9G9&)=|xP{gNl4+RkTST"
                "OFV@97)FrG(CK=59-~uD<||R09S|WKC6uirNPmXfrrP%+c)bERXnJ9i@BzyFVu_`KA%!PeiyK*GuC094r#neDlWgG",
        },
        answers=frozenset(["1749f065b0ab", "3886965aa9df"]),
    ),
}  # fmt: skip

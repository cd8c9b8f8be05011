"""One run: a model with its settings, trained and judged under a protocol, and what it leaves in a result table."""

import csv
import datetime
import functools
import hashlib
import inspect
import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from skiprec_lite import checkpoints
from skiprec_lite.backbones import NFM, Backbone, MarkovChain, NextItemModel, NextItNet, Popularity, SASRec
from skiprec_lite.choosing import History
from skiprec_lite.controls import RandomGates
from skiprec_lite.datasets import Interactions, load_movielens
from skiprec_lite.evaluation import gates_of, mean_per_user, ndcg_per_user, rank_cases, summarise
from skiprec_lite.gate_losses import GateLoss, SteeredCost, difference_loss, straight_through_loss, whole_window
from skiprec_lite.lab.random_depth import RandomDepth
from skiprec_lite.lab.running_products import RunningProducts, steps_since_marker
from skiprec_lite.lab.stand_ins import CONTROLS
from skiprec_lite.lab.watching import watch_groups
from skiprec_lite.metrics import hit_rate, ndcg
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.policy_gradient import self_critical_loss
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.softmax import sampled
from skiprec_lite.splits import last_n, leave_one_out
from skiprec_lite.stages import Stage, skiprec_stages
from skiprec_lite.synthetic import KnownDepth, users_of_known_depth
from skiprec_lite.tables import read_table
from skiprec_lite.training import fit, start_from
from skiprec_lite.windows import Split, Windows

PACKAGE = Path(__file__).resolve().parent.parent
PROTOCOLS: dict[str, Callable[..., Split]] = {"last_n": last_n, "leave_one_out": leave_one_out}
WORLDS: dict[str, Callable[..., KnownDepth | RunningProducts]] = {
    "known depth": users_of_known_depth,
    "running products": RunningProducts,
}  # protocols of synthetic users
_NETWORKS: dict[str, type] = {
    "nextitnet": NextItNet, "skiprec": NextItNet, "random gates": NextItNet, "random depth": NextItNet, "nfm": NFM,
    "sasrec": SASRec, "skiprec on sasrec": SASRec,
}  # fmt: skip
GATE_LOSSES: dict[str, Callable[[], GateLoss]] = {
    "straight-through": lambda: straight_through_loss,
    "steered cost": SteeredCost,
    "difference": lambda: difference_loss,
    "exact difference": lambda: functools.partial(difference_loss, exact=True),
    "policy gradient": lambda: self_critical_loss,
    "policy gradient, first place": lambda: functools.partial(self_critical_loss, k=1),
}
_NOT_SETTINGS = {"seed", "stages", "fresh", "after_epoch", "progress", "num_items"}  # given by the run, not its dicts


@dataclass(frozen=True)
class Run:
    """One row of a result table: a model, its settings, a protocol and a seed.

    Attributes:
        name: unique in its table.
        model: "popularity", "markov", "nextitnet", "nfm", "sasrec", "random gates" (stochastic depth), "random depth",
            "skiprec" or "skiprec on sasrec".
        protocol: "last_n" or "leave_one_out" (MovieLens-100K), "known depth" or "running products" (synthetic users).
        seed: of weights and training.
        data: settings of the protocol, such as length.
        backbone: settings of the network.
        policy: settings of a SkipRec's policy, and its tau; the keep_rate of random gates, the full_share
            of random depths.
        training: settings of `fit`; gate_loss is one of GATE_LOSSES, pretrained an earlier run, "table/name". Or
            stored, an earlier run that is judged again without training, under gates chosen by one of CONTROLS.
    """

    name: str
    model: str
    protocol: str = "last_n"
    seed: int = 0
    backbone: dict = field(default_factory=dict)
    policy: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)

    def settings(self) -> str:
        """Return all settings as one line of JSON."""
        parts = {"backbone": self.backbone, "data": self.data, "policy": self.policy, "training": self.training}
        return json.dumps(parts, sort_keys=True)

    def check(self) -> None:
        """Refuse a setting that nothing would read: it would stand in a table as if it had been tried.

        Raises:
            ValueError: for an unknown model, protocol, setting or choice, or a setting that is missing.
        """
        trained = self.model in _NETWORKS
        if not trained and self.model not in ("popularity", "markov"):
            raise ValueError(f"run {self.name!r}: unknown model {self.model!r}")
        source = (PROTOCOLS | WORLDS).get(self.protocol)
        if source is None:
            raise ValueError(f"run {self.name!r}: unknown protocol {self.protocol!r}")
        known: dict[str, Collection[str]] = {
            "data": _settings_of(source) - {"interactions"},
            "backbone": _settings_of(_NETWORKS[self.model]) if trained else (),
            "policy": _settings_of_the_policy(self.model),
            "training": _settings_of_the_training(self.model) if trained else (),
        }
        if "stored" in self.training:
            known |= {"backbone": (), "policy": (), "training": ("stored", "gates")}
        for part, names in known.items():
            if unknown := set(getattr(self, part)) - set(names):
                raise ValueError(
                    f"run {self.name!r}: a {self.model} does not read the {part} setting {', '.join(sorted(unknown))}; "
                    f"it reads {', '.join(sorted(names)) or 'none'}"
                )
        if "negatives" in self.training and self.training.get("softmax") != "sampled":
            raise ValueError(f"run {self.name!r}: only softmax='sampled' reads the training setting negatives")
        needed = {"random gates": "keep_rate", "random depth": "full_share"}.get(self.model)
        if needed and needed not in self.policy:
            raise ValueError(f"run {self.name!r}: {self.model} needs the policy setting {needed}")
        if "stored" in self.training and self.protocol not in PROTOCOLS:
            raise ValueError(f"run {self.name!r}: an earlier run is judged again on {', '.join(PROTOCOLS)} only")
        key, choices = ("gates", list(CONTROLS)) if "stored" in self.training else ("gate_loss", list(GATE_LOSSES))
        chosen = self.training.get(key)
        if (key == "gates" or key in self.training) and chosen not in choices:
            raise ValueError(f"run {self.name!r}: {key} must be one of {', '.join(choices)}, got {chosen!r}")


def _gated(model: str) -> bool:
    return model.startswith("skiprec")


def _settings_of_the_policy(model: str) -> set[str]:
    if _gated(model):
        return _settings_of(PolicyNetwork) - {"num_blocks"} | {"tau"}
    return {"random gates": {"keep_rate"}, "random depth": {"full_share"}}.get(model, set())


def _settings_of_the_training(model: str) -> set[str]:
    """Of `fit`, of the stages, of what happens before the first of them, and of the softmax."""
    of_gates = _settings_of(skiprec_stages) - {"reads"} | {"policy_reads"}
    of_all = _settings_of(fit) - {"model", "split"} | {"pretrained", "softmax", "negatives"}
    return of_all | of_gates if _gated(model) else of_all


def _settings_of(function: Callable[..., object]) -> set[str]:
    return set(inspect.signature(function).parameters) - _NOT_SETTINGS


@dataclass(frozen=True)
class Outcome:
    """What a run leaves.

    Attributes:
        row: of the table.
        per_user: each user's NDCG@10 on test, None where there is none.
        history: its epochs.
        groups: what `watch_groups` saw after each epoch, for a SkipRec on synthetic users.
        model: the trained model.
        trained_on: what stands for its training items (see the function of this name).
    """

    row: dict[str, Any]
    per_user: Float[Tensor, " user"] | None
    history: History
    groups: list[dict[str, Any]]
    model: NextItemModel
    trained_on: str


def build(run: Run, split: Split) -> NextItemModel:
    """Make the model that a run describes, its weights drawn from the run's seed."""
    if run.model == "popularity":
        return Popularity(split)
    if run.model == "markov":
        return MarkovChain(split)
    if run.model == "random gates":
        return RandomGates(_of_seed(run, lambda: NextItNet(split.num_items, **run.backbone)), run.policy["keep_rate"])
    if run.model == "random depth":
        return RandomDepth(_of_seed(run, lambda: NextItNet(split.num_items, **run.backbone)), run.policy["full_share"])
    if run.model in ("nfm", "sasrec"):
        return _of_seed(run, lambda: _NETWORKS[run.model](split.num_items, **run.backbone))
    return build_network(run, split.num_items)


def build_network(run: Run, num_items: int) -> Backbone | SkipRec:
    """Make the backbone or the SkipRec that a run describes, its weights drawn from the run's seed."""

    def network() -> Backbone | SkipRec:
        backbone = _NETWORKS[run.model](num_items, **run.backbone)
        if not _gated(run.model):
            return backbone
        settings = dict(run.policy)
        tau = settings.pop("tau", 10.0)
        return SkipRec(backbone, PolicyNetwork(num_items, len(backbone.blocks), **settings), tau=tau)

    return _of_seed(run, network)


def _of_seed(run: Run, make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        return make()


def execute(
    run: Run,
    *,
    test: bool = True,
    version: str = "unknown",
    progress: bool = True,
    watch: bool = False,
    stored: Path | None = None,
    data: Interactions | None = None,
) -> Outcome:
    """Train and judge one run; `test=False` looks at validation only, as a search for settings must.

    Args:
        run: what to do.
        test: look at the test items.
        version: the code's, for the row.
        progress: show a progress bar.
        watch: record each group's gates after each epoch, where there are groups and gates.
        stored: the folder of earlier runs' weights.
        data: what to train and judge on; MovieLens-100K if None.

    Raises:
        ValueError: if data is given for a protocol that makes its own users.
        KeyboardInterrupt: if the training was stopped: half of a run is not a result.
        FileNotFoundError: if an earlier run that this one needs is not there.
    """
    world = WORLDS[run.protocol](**run.data) if run.protocol in WORLDS else None
    if world and data:
        raise ValueError(f"run {run.name!r}: the protocol {run.protocol!r} makes its own users, it takes no data")
    if world:
        split, dataset = world.split(), "synthetic"
    else:
        data = data or load_movielens()
        split, dataset = PROTOCOLS[run.protocol](data, **run.data), data.name
    start = time.perf_counter()
    settings, gates, groups = dict(run.training), None, []  # type: dict[str, Any], list[Tensor] | None, list[dict]
    for key in ("stored", "pretrained"):
        if key in settings:
            settings[key] = _earlier(stored, settings[key])
    if not isinstance(settings.get("pretrained"), Backbone | None):
        raise ValueError(f"run {run.name!r}: {run.training['pretrained']!r} is no backbone to start from")
    model, history = settings.get("stored") or build(run, split), History()
    if "stored" in settings:
        if not isinstance(model, SkipRec):
            raise ValueError(f"run {run.name!r}: {run.training['stored']!r} has no gates to choose")
        gates = CONTROLS[settings["gates"]](model, split.test)
    elif run.model in _NETWORKS:
        if (pretrained := settings.get("pretrained")) is not None:
            start_from(model, pretrained)
        after_epoch = None
        if watch and isinstance(world, KnownDepth) and isinstance(model, SkipRec):
            after_epoch = _watcher(world, model, split.validation, groups)
        fresh = world.fresh if world else None
        history = train(model, split, run, fresh=fresh, after_epoch=after_epoch, progress=progress)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    row: dict[str, Any] = {
        "run": run.name, "model": run.model, "dataset": dataset, "protocol": run.protocol,
        "seed": run.seed, "settings": run.settings(),
        "validation ndcg@10": round(float(ndcg_per_user(model, split.validation).mean()), 5),
    }  # fmt: skip
    per_user = None
    if isinstance(world, KnownDepth):
        row |= _per_group(world, model, split.test)
        if watch:
            row |= _depth_of_groups(world, model, split.test) if isinstance(model, SkipRec) else _no_depth(world)
    elif world:
        row |= _per_steps(model, split.test)
    else:
        found: dict[str, float] = {}
        if test:
            found, per_user = _judge(model, split.test, gates or [None])
        row |= {key: round(found[key], 5) if test else "" for key in ("ndcg@10", "hr@10", "mrr@5")}
        row |= _blocks(model, split.test if test else split.validation, gates)
    row |= {
        "epochs": len(history.epochs), "chosen": history.chosen, "stopped": history.stopped,
        "weights": fingerprint(model, gates), "seconds": round(time.perf_counter() - start, 1),
        "threads": torch.get_num_threads(), "version": version, "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    return Outcome(row, per_user, history, groups, model, trained_on(split))


def train(model: NextItemModel, split: Split, run: Run, **more: Any) -> History:
    """Train a model with the settings of a run; more goes to `fit`."""
    settings = run.training
    given = {key: settings[key] for key in settings.keys() & _settings_of(fit) - {"epochs"}}
    return fit(model, split, seed=run.seed, stages=stages_of(run, split.num_items), **given, **more)


def stages_of(run: Run, num_items: int) -> list[Stage]:
    """What the training of a run minimises, for how long."""
    settings = run.training
    if _gated(run.model):
        given = {key: settings[key] for key in settings.keys() & _settings_of(skiprec_stages)}
        if "gate_loss" in given:
            given["gate_loss"] = GATE_LOSSES[given["gate_loss"]]()
        if settings.get("policy_reads") == "the whole window":
            given["reads"] = whole_window
        stages = skiprec_stages(**given)
    else:
        stages = [Stage(settings.get("epochs", 30))]
    if settings.get("softmax") == "sampled":
        stages = sampled(stages, num_items, settings.get("negatives", 2000))
    return stages


def _watcher(
    known: KnownDepth, model: SkipRec, cases: Windows, groups: list[dict[str, Any]]
) -> Callable[[int, NextItemModel], None]:
    def after_epoch(epoch: int, _: NextItemModel) -> None:
        groups.extend({"epoch": epoch} | row for row in watch_groups(known, model, cases))

    return after_epoch


def _earlier(stored: Path | None, name: str) -> Backbone | SkipRec:
    if stored is None:
        raise FileNotFoundError(f"no folder of earlier runs was given: {name!r} is needed")
    path = stored / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: run `python -m skiprec_lite experiment {name.split('/')[0]}` first"
        )
    return checkpoints.load(path)


def _judge(
    model: NextItemModel, cases: Windows, choices: Sequence[Tensor | None]
) -> tuple[dict[str, float], Float[Tensor, " user"]]:
    """Metrics and each user's NDCG@10, means over several rows of gates (None: the model's own)."""
    ranks = [rank_cases(model, cases) if gates is None else rank_cases(model, cases, gates=gates) for gates in choices]
    per_user = torch.stack([mean_per_user(ndcg(found, 10), cases) for found in ranks]).mean(dim=0)
    return summarise(torch.cat(ranks)), per_user


def fingerprint(model: NextItemModel, gates: Sequence[Tensor] | None = None) -> str:
    """Return twelve hex digits that stand for all of a model's tensors, and for the gates it is judged under.

    Equal only if these are, bit by bit.
    """
    digest = hashlib.sha256()
    more = {f"gates {i}": choice for i, choice in enumerate(gates or [])}
    for name, tensor in sorted((model.state_dict() | more).items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def trained_on(split: Split) -> str:
    """Return twelve hex digits that stand for the training items of a split, user by user and in order."""
    digest = hashlib.sha256(f"{split.num_items} items".encode())
    for sequence in split.sequences:
        digest.update(f"; {len(sequence)}: ".encode())
        digest.update(np.ascontiguousarray(sequence, dtype="<i8").tobytes())
    return digest.hexdigest()[:12]


def commit(*, uncommitted: bool = False) -> str:
    """Name the commit that the package is at, so that a row says which code made it.

    Args:
        uncommitted: go on with changes that are in no commit; the name then ends in -dirty.

    Returns:
        The short hash, or "unknown" outside of a repository.

    Raises:
        ValueError: if the package has uncommitted changes and they are not allowed.
    """
    try:
        name = _git("rev-parse", "--short=9", "HEAD")
        changes = _git("status", "--porcelain", "--", str(PACKAGE))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    if changes and not uncommitted:
        raise ValueError(
            "the package has changes that are in no commit, so that nobody could run the same again: commit them, "
            f"or allow them with --uncommitted:\n{changes}"
        )
    return f"{name}-dirty" if changes else name


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()


def append_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Add rows to a table, all of them in one write; the first ones bring the header.

    Raises:
        ValueError: if the table has other columns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    if not new and (columns := list(read_table(path).columns)) != list(rows[0]):
        raise ValueError(f"{path.name} has the columns {columns}, the new row {list(rows[0])}")
    with path.open("a", newline="", encoding="utf-8", buffering=1 << 24) as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def keep_rows(path: Path, names: Collection[str]) -> None:
    """Drop the rows of all other runs from a table, as a whole or not at all."""
    table = read_table(path)
    if table["run"].isin(names).all():
        return
    part = path.with_suffix(".part")
    table[table["run"].isin(names)].to_csv(part, index=False, lineterminator="\n")
    os.replace(part, path)


def _blocks(model: NextItemModel, cases: Windows, choices: Sequence[Tensor] | None) -> dict[str, Any]:
    if isinstance(model, SkipRec):
        gates = torch.cat(list(choices or [gates_of(model, cases)]))
        return {"blocks": round(float(gates.sum(dim=1).mean()), 3), "patterns": len(gates.unique(dim=0))}
    if isinstance(model, RandomGates | RandomDepth):
        model = model.backbone
    return (
        {"blocks": len(model.blocks), "patterns": 1} if isinstance(model, Backbone) else {"blocks": "", "patterns": ""}
    )


def _per_group(known: KnownDepth, model: NextItemModel, cases: Windows) -> dict[str, Any]:
    """Accuracy (share of next items ranked first) of each group, and the pattern that most of its users have."""
    correct = mean_per_user(hit_rate(rank_cases(model, cases), 1), cases)
    gates = gates_of(model, cases) if isinstance(model, SkipRec) else None
    row: dict[str, Any] = {"best possible": round(known.best_accuracy, 4)}
    for group, lag in enumerate(known.lags):
        here = known.group_of(cases) == group
        row[f"accuracy, lag {lag}"] = round(float(correct[here].mean()), 4)
        row |= {f"pattern, lag {lag}": "", f"share, lag {lag}": ""}
        if gates is not None:
            patterns, counts = gates[here].unique(dim=0, return_counts=True)
            row[f"pattern, lag {lag}"] = "".join("■" if gate else "·" for gate in patterns[counts.argmax()])
            row[f"share, lag {lag}"] = round(float(counts.max() / counts.sum()), 4)
    return row


def _no_depth(known: KnownDepth) -> dict[str, Any]:
    pairs = itertools.pairwise(known.lags)
    names = [f"blocks, lag {lag}" for lag in known.lags]
    names += [f"accuracy, lag {lag} with gates of lag {shallow}" for shallow, lag in pairs]
    return dict.fromkeys([*names, "count auc"], "")


def _depth_of_groups(known: KnownDepth, model: SkipRec, cases: Windows) -> dict[str, Any]:
    """Blocks kept by each group, what a shallower group's gates cost, and how well the count tells groups apart."""
    gates = gates_of(model, cases)
    groups = [known.group_of(cases) == group for group in range(len(known.lags))]
    row: dict[str, Any] = {}
    for lag, here in zip(known.lags, groups):
        row[f"blocks, lag {lag}"] = round(float(gates[here].sum(dim=1).mean()), 3)
    for (shallow, there), (lag, here) in itertools.pairwise(zip(known.lags, groups)):
        borrowed = gates.clone()
        borrowed[here] = gates[there]  # groups are of one size
        correct = mean_per_user(hit_rate(rank_cases(model, cases, gates=borrowed), 1), cases)
        row[f"accuracy, lag {lag} with gates of lag {shallow}"] = round(float(correct[here].mean()), 4)
    first, last = (gates[here].sum(dim=1) for here in (groups[0], groups[-1]))
    above = (last.unsqueeze(1) > first).double() + (last.unsqueeze(1) == first).double() / 2
    row["count auc"] = round(float(above.mean()), 4)
    return row


def _per_steps(model: NextItemModel, cases: Windows) -> dict[str, Any]:
    """Accuracy by the number of items since the marker, five numbers together."""
    correct = (rank_cases(model, cases) == 1).to(torch.float64)
    steps = steps_since_marker(cases.items).flatten()
    row: dict[str, Any] = {"accuracy": round(float(correct.mean()), 4)}
    for first in range(0, cases.items.shape[1], 5):
        here = (steps >= first) & (steps < first + 5)
        row[f"accuracy, {first}-{first + 4} steps"] = round(float(correct[here].mean()), 4)
    return row

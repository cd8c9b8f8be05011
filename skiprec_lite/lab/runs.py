"""One run: a model with its settings, trained and judged under a protocol, and what it leaves in a result table."""

import datetime
import functools
import inspect
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from skiprec_lite import checkpoints
from skiprec_lite.backbones import (
    NFM,
    Backbone,
    MarkovChain,
    NextItemModel,
    NextItNet,
    Popularity,
    ResidualNFM,
    SASRec,
    WindowCounter,
)  # fmt: skip
from skiprec_lite.choosing import History
from skiprec_lite.controls import RandomGates
from skiprec_lite.datasets import Interactions, load_movielens
from skiprec_lite.evaluation import ndcg_per_user
from skiprec_lite.gate_losses import (
    GateLoss,
    SteeredCost,
    difference_loss,
    reinmax_loss,
    straight_through_loss,
    whole_window,
)  # fmt: skip
from skiprec_lite.lab.judging import World, blocks_kept, fingerprint, in_world, on_movielens, trained_on
from skiprec_lite.lab.plans import Run as Run
from skiprec_lite.lab.processes import shared
from skiprec_lite.lab.random_depth import RandomDepth
from skiprec_lite.lab.running_products import RunningProducts
from skiprec_lite.lab.stand_ins import CONTROLS
from skiprec_lite.lab.watching import watch_groups
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.policy_gradient import self_critical_loss
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.softmax import sampled
from skiprec_lite.splits import fewer_users, last_n, leave_one_out
from skiprec_lite.stages import Stage, skiprec_stages
from skiprec_lite.synthetic import KnownDepth, users_of_known_depth
from skiprec_lite.training import fit, start_from
from skiprec_lite.windows import Split, Windows

# What the names in a table's columns stand for.
PROTOCOLS: dict[str, Callable[..., Split]] = {"last_n": last_n, "leave_one_out": leave_one_out}
WORLDS: dict[str, Callable[..., World]] = {"known depth": users_of_known_depth, "running products": RunningProducts}
COUNTING: dict[str, type] = {"popularity": Popularity, "markov": MarkovChain, "counter": WindowCounter}  # none is drawn
NETWORKS: dict[str, type] = {
    "nextitnet": NextItNet, "skiprec": NextItNet, "random gates": NextItNet, "random depth": NextItNet, "nfm": NFM,
    "residual nfm": ResidualNFM, "sasrec": SASRec, "skiprec on sasrec": SASRec,
}  # fmt: skip
GATE_LOSSES: dict[str, Callable[[], GateLoss]] = {
    "straight-through": lambda: straight_through_loss,
    "steered cost": SteeredCost,
    "difference": lambda: difference_loss,
    "exact difference": lambda: functools.partial(difference_loss, exact=True),
    "ReinMax": lambda: reinmax_loss,
    "policy gradient": lambda: self_critical_loss,
    "policy gradient, first place": lambda: functools.partial(self_critical_loss, k=1),
}


def check(run: Run) -> None:
    """Raise ValueError for a setting that is missing, or that nothing reads: it would stand in a table as if tried."""
    _check_choice(run, "model", run.model, (*COUNTING, *NETWORKS))
    _check_choice(run, "protocol", run.protocol, (*PROTOCOLS, *WORLDS))
    for part, names in _settings_that_are_read(run).items():
        if unknown := getattr(run, part).keys() - names:
            raise ValueError(
                f"run {run.name!r}: a {run.model} does not read the {part} setting {', '.join(sorted(unknown))}; "
                f"it reads {', '.join(sorted(names)) or 'none'}"
            )
    if "negatives" in run.training and run.training.get("softmax") != "sampled":
        raise ValueError(f"run {run.name!r}: only softmax='sampled' reads the training setting negatives")
    if run.model in ("random gates", "random depth") and not run.policy:
        needed = ", ".join(_settings_of_the_policy(run))
        raise ValueError(f"run {run.name!r}: {run.model} needs the policy setting {needed}")
    if "gate_loss" in run.training:
        _check_choice(run, "gate_loss", run.training["gate_loss"], GATE_LOSSES)
    if "stored" in run.training:
        _check_choice(run, "protocol of an earlier run", run.protocol, PROTOCOLS)
        _check_choice(run, "gates", run.training.get("gates"), CONTROLS)


def _check_choice(run: Run, what: str, chosen: object, choices: Collection[str]) -> None:
    if chosen not in choices:
        raise ValueError(f"run {run.name!r}: {what} must be one of {', '.join(choices)}, got {chosen!r}")


def _settings_that_are_read(run: Run) -> dict[str, set[str]]:
    """Which settings of a run's dictionaries are arguments of what they are for."""
    data = _settings_of((PROTOCOLS | WORLDS)[run.protocol]) | ({"share"} if run.protocol in PROTOCOLS else set())
    if "stored" in run.training:
        return {"data": data, "backbone": set(), "policy": set(), "training": {"stored", "gates"}}
    if run.model in COUNTING:
        return {"data": data, "backbone": _settings_of(COUNTING[run.model]), "policy": set(), "training": set()}
    training = _settings_of(fit) | {"pretrained", "softmax", "negatives"}
    if _gated(run):
        training |= _settings_of(skiprec_stages) | {"policy_reads"}
    policy = _settings_of_the_policy(run)
    return {"data": data, "backbone": _settings_of(NETWORKS[run.model]), "policy": policy, "training": training}


def _settings_of_the_policy(run: Run) -> set[str]:
    if run.model == "random gates":
        return {"keep_rate"}
    if run.model == "random depth":
        return {"full_share"}
    return _settings_of(PolicyNetwork) - {"num_blocks"} | {"tau"} if _gated(run) else set()


def _settings_of(function: Callable[..., object]) -> set[str]:
    of_the_run = {"interactions", "num_items", "model", "split", "seed", "stages", "reads"}
    of_the_loop = {"fresh", "after_epoch", "progress", "device", "exclude_seen"}
    return set(inspect.signature(function).parameters) - of_the_run - of_the_loop


def _gated(run: Run) -> bool:
    return run.model.startswith("skiprec")


@dataclass(frozen=True)
class Outcome:
    """What a run leaves.

    Attributes:
        row: of the table.
        per_user: each user's NDCG@10 and MRR@5 under both rankings, by name; none for synthetic users.
        history: its epochs.
        groups: what `watch_groups` saw after each epoch, for a SkipRec on synthetic users.
        model: the trained model.
        trained_on: what stands for its training items (see the function of this name).
    """

    row: dict[str, Any]
    per_user: dict[str, Float[Tensor, " user"]]
    history: History
    groups: list[dict[str, Any]]
    model: NextItemModel
    trained_on: str


def build(run: Run, split: Split) -> NextItemModel:
    """Make the model that a run describes, its weights drawn from the run's seed."""
    if run.model in COUNTING:
        return COUNTING[run.model](split, **run.backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        network = NETWORKS[run.model](split.num_items, **run.backbone)
        if run.model == "random gates":
            return RandomGates(network, **run.policy)
        if run.model == "random depth":
            return RandomDepth(network, **run.policy)
        if not _gated(run):
            return network
        settings = dict(run.policy)
        tau = settings.pop("tau", 10.0)
        return SkipRec(network, PolicyNetwork(split.num_items, len(network.blocks), **settings), tau=tau)


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

    `version` is the code's, for the row; with `watch` each group's gates are recorded after each epoch, where there are
    groups and gates; `stored` is the folder of earlier runs' weights; `data` is what to train and judge on,
    MovieLens-100K if None.

    Raises:
        ValueError: if data is given for a protocol that makes its own users.
        KeyboardInterrupt: if the training was stopped: half of a run is not a result.
        FileNotFoundError: if an earlier run that this one needs is not there.
    """
    world = WORLDS[run.protocol](**run.data) if run.protocol in WORLDS else None
    split, dataset = _split(run, world, data)
    start, started = time.perf_counter(), time.process_time()
    history = History()
    groups: list[dict[str, Any]] = []
    model: NextItemModel
    if "stored" in run.training:
        model = _skiprec_of(run, stored)
    else:
        model = _at_its_start(run, split, stored)
        if run.model in NETWORKS:
            after_epoch = _watcher(world, model, split.validation, groups) if watch else None
            fresh = world.fresh if world else None
            on_cpu = {"device": "cpu"}  # as all rows of the tables
            history = train(model, split, run, fresh=fresh, after_epoch=after_epoch, progress=progress, **on_cpu)
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - started
    row: dict[str, Any] = {
        "run": run.name, "model": run.model, "dataset": dataset, "protocol": run.protocol,
        "seed": run.seed, "settings": run.settings(),
    }  # fmt: skip
    found, per_user, gates = _judged(run, model, split, world, test=test, watch=watch)
    row |= found | {
        "epochs": len(history.epochs), "chosen": history.chosen, "stopped": history.stopped,
        "weights": fingerprint(model, gates), "seconds": round(seconds, 1), "cpu seconds": round(cpu_seconds, 1),
        "threads": torch.get_num_threads(), "version": version, "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    return Outcome(row, per_user, history, groups, model, trained_on(split))


def _judged(
    run: Run, model: NextItemModel, split: Split, world: World | None, *, test: bool, watch: bool
) -> tuple[dict[str, Any], dict[str, Tensor], list[Tensor] | None]:
    """What a row says of the model, each user's numbers, and the gates that it was judged under, if not its own.

    Without `test` nothing of the test items is looked at, and no user's number is kept.
    """

    def gates(cases: Windows) -> list[Tensor] | None:
        if "stored" in run.training and isinstance(model, SkipRec):
            return CONTROLS[run.training["gates"]](model, cases)
        return None

    if world:
        on_validation = ndcg_per_user(model, split.validation, exclude_seen=False)  # items come again in such a world
        row: dict[str, Any] = {"validation ndcg@10 all": round(float(on_validation.mean()), 5)}
        return row | in_world(world, model, split.test, watch=watch), {}, None
    found, _ = on_movielens(model, split.validation, gates(split.validation))
    row = {f"validation {name}": found[name] for name in found if name.startswith("ndcg@10")}
    if not test:
        return row | dict.fromkeys(found, "") | blocks_kept(model, split.validation, None), {}, None
    under = gates(split.test)
    found, per_user = on_movielens(model, split.test, under)
    return row | found | blocks_kept(model, split.test, under), per_user, under


def _split(run: Run, world: World | None, data: Interactions | None) -> tuple[Split, str]:
    """What a run is trained and judged on, and the name that its row gives to it."""
    if world and data:
        raise ValueError(f"run {run.name!r}: the protocol {run.protocol!r} makes its own users, it takes no data")
    if world:
        return world.split(), "synthetic"
    data = data or load_movielens()
    settings = dict(run.data)
    share = settings.pop("share", 1.0)
    split = PROTOCOLS[run.protocol](data, **settings)
    return split if share == 1.0 else fewer_users(split, share, seed=run.seed), data.name


def _skiprec_of(run: Run, stored: Path | None) -> SkipRec:
    """The earlier run that this one judges again."""
    model = _earlier(stored, run.training["stored"])
    if not isinstance(model, SkipRec):
        raise ValueError(f"run {run.name!r}: {run.training['stored']!r} has no gates to choose")
    return model


def _at_its_start(run: Run, split: Split, stored: Path | None) -> NextItemModel:
    """The model before its first step, with an earlier run's weights where the run says so."""
    model = build(run, split)
    if "pretrained" in run.training:
        pretrained = _earlier(stored, run.training["pretrained"])
        if not isinstance(pretrained, Backbone):
            raise ValueError(f"run {run.name!r}: {run.training['pretrained']!r} is no backbone to start from")
        start_from(model, pretrained)
    return model


def _earlier(stored: Path | None, name: str) -> Backbone | SkipRec:
    if stored is None:
        raise FileNotFoundError(f"no folder of earlier runs was given: {name!r} is needed")
    path = stored / f"{name}.safetensors"
    if not path.is_file():
        table = name.split("/")[0]
        raise FileNotFoundError(
            f"needs the weights of {name}: run `python -m skiprec_lite experiment {table}` first ({path} is missing)"
        )
    return checkpoints.load(path)


def _watcher(
    world: World | None, model: NextItemModel, cases: Windows, groups: list[dict[str, Any]]
) -> Callable[[int, NextItemModel], None] | None:
    """Look at the groups after each epoch, where there are groups and gates."""
    if not (isinstance(world, KnownDepth) and isinstance(model, SkipRec)):
        return None

    def after_epoch(epoch: int, _: NextItemModel) -> None:
        groups.extend({"epoch": epoch} | row for row in watch_groups(world, model, cases))

    return after_epoch


def train(model: NextItemModel, split: Split, run: Run, **more: Any) -> History:
    """Train a model with the settings of a run; more goes to `fit`."""
    settings = run.training
    given = {key: settings[key] for key in settings.keys() & (_settings_of(fit) - {"epochs"})}
    stages = shared(stages_of(run, split.num_items), model)
    exclude_seen = run.protocol in PROTOCOLS  # in a synthetic world items come again
    return fit(model, split, seed=run.seed, stages=stages, exclude_seen=exclude_seen, **given, **more)


def stages_of(run: Run, num_items: int) -> list[Stage]:
    """What the training of a run minimises, for how long."""
    settings = run.training
    if _gated(run):
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


def held_out(path: Path, asked: str | None, data: Interactions) -> tuple[str, Split]:
    """The protocol and the split that some weights were trained on: any other would judge them on what they have seen.

    Raises:
        ValueError: if `asked` is another protocol, if nothing says which it was, or if the training rows were others.
    """
    known = checkpoints.notes(path)
    protocol = known.get("protocol", asked)
    if protocol is None:
        choices = " or ".join(sorted(PROTOCOLS))
        wrong = f"nothing in it says what was held out when it was trained; say so with --protocol {choices}"
    elif asked not in (None, protocol):
        wrong = (
            f"trained under the protocol {protocol}, which trains on some of what {asked} holds out, or the reverse; "
            "leave --protocol out, or choose other weights with --model"
        )
    elif protocol not in PROTOCOLS:
        wrong = f"trained under {protocol!r}, which holds nothing out of {data.name}; choose other weights with --model"
    else:
        split = PROTOCOLS[protocol](data)
        here = trained_on(split)
        if known.get("trained on", here) == here:
            return protocol, split
        wrong = (
            f"trained on other rows than those that {protocol} makes of {data.name} now, so what is held out here may "
            "have been trained on; choose other weights with --model, or train again"
        )
    raise ValueError(f"{path.name}: {wrong}")

"""The long runs behind the figures that a reader does not want to wait for, each one command."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from skiprec_lite import checkpoints
from skiprec_lite.backbones import Backbone
from skiprec_lite.controls import RandomGates
from skiprec_lite.datasets import Interactions
from skiprec_lite.lab.random_depth import RandomDepth
from skiprec_lite.lab.runs import Outcome, Run, append_rows, commit, execute, keep_rows
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.tables import RESULTS, read_table

# Chosen on validation: data/results/search.csv holds every trial, data/results/README.md says how they were read.
CHOSEN_BACKBONE: dict = {"dropout": 0.5, "embedding_dropout": 0.4, "tied": True}
CHOSEN_POLICY: dict = {"keep_bias": 1.0}
CHOSEN_TRAINING: dict = {
    "epochs": 46, "learning_rate": 2e-3, "anneal": True, "patience": 46,
    "cost": 0.5, "warmup_epochs": 16, "ramp_epochs": 6, "settle_epochs": 10,
}  # fmt: skip
STATIC_BLOCKS = (2, 3)  # the mean number that SkipRec keeps, rounded down and up


def chosen_run(
    *,
    name: str = "train",
    full_depth: bool = False,
    blocks: int = 8,
    channels: int = 64,
    protocol: str = "last_n",
    seed: int = 0,
    tau: float | None = None,
    **training: object,
) -> Run:
    """Describe a run with the settings chosen on validation, but for what is given.

    Raises:
        ValueError: if there is not at least one block.
    """
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1, got {blocks}")
    backbone = CHOSEN_BACKBONE | {"channels": channels, "dilations": _dilations(blocks)}
    settings = CHOSEN_TRAINING | training
    if full_depth:  # a cut scores about half of the positions: half as many epochs after the warm-up are as much effort
        warmup = min(settings["warmup_epochs"], settings["epochs"])
        epochs = warmup + (settings["epochs"] - warmup) // 2
        of_all = {"learning_rate", "anneal", "patience", "softmax", "negatives"}
        kept = {key: settings[key] for key in settings.keys() & of_all}
        return Run(name, "nextitnet", protocol, seed, backbone, {}, kept | {"epochs": epochs})
    policy = CHOSEN_POLICY | ({} if tau is None else {"tau": tau})
    return Run(name, "skiprec", protocol, seed, backbone, policy, settings)


def _search() -> list[Run]:
    """22 trials, judged on validation only: first the backbone at full depth, then the policy on the best."""
    tied = {"tied": True, "dropout": 0.5, "embedding_dropout": 0.2}
    full: list[tuple[dict, dict]] = [
        ({"dropout": 0.3}, {}),
        ({"dropout": 0.5}, {}),
        ({"dropout": 0.3, "tied": True}, {}),
        ({"dropout": 0.5, "tied": True}, {}),
        (tied, {}),
        (tied | {"embedding_dropout": 0.4}, {}),
        (tied | {"dropout": 0.3}, {}),
        (tied, {"learning_rate": 2e-3}),
        (tied, {"learning_rate": 5e-4}),
        (tied, {"weight_decay": 0.1}),
    ]
    full.append((tied | {"embedding_dropout": 0.4}, {"learning_rate": 2e-3}))
    annealed = {"learning_rate": 2e-3, "anneal": True}
    full.append((tied | {"embedding_dropout": 0.4}, annealed | {"epochs": 25, "patience": 25}))
    schedule = {"warmup_epochs": 10, "ramp_epochs": 6}
    long = annealed | {"epochs": 40, "patience": 40}
    skip: list[tuple[dict, dict]] = [
        ({"keep_bias": 1.0}, {"learning_rate": 2e-3, "cost": 0.5, "epochs": 50}),
        ({"keep_bias": 1.0}, {"learning_rate": 2e-3, "cost": 0.2, "epochs": 50}),
        ({"keep_bias": 1.0}, long | {"cost": 0.5}),
        ({"keep_bias": 2.0}, long | {"cost": 0.3, "epochs": 48, "warmup_epochs": 16}),
        ({"keep_bias": 1.0}, long | {"cost": 0.5, "epochs": 46, "warmup_epochs": 16}),
        ({"keep_bias": 2.0}, long | {"cost": 0.5, "epochs": 46, "warmup_epochs": 16}),
        ({"keep_bias": 1.0}, long | {"cost": 0.3, "epochs": 46, "warmup_epochs": 16}),
        ({"keep_bias": 2.0}, long | {"cost": 1.0, "epochs": 46, "warmup_epochs": 16}),
        ({"keep_bias": 2.0}, long | {"cost": 0.5, "epochs": 46, "warmup_epochs": 16, "settle_epochs": 10}),
        ({"keep_bias": 1.0}, long | {"cost": 0.5, "epochs": 46, "warmup_epochs": 24, "settle_epochs": 8}),
    ]
    best = tied | {"embedding_dropout": 0.4}
    runs = [
        Run(f"full {i}", "nextitnet", backbone=backbone, training={"epochs": 40, **training})
        for i, (backbone, training) in enumerate(full)
    ] + [
        Run(f"skip {i}", "skiprec", backbone=best, policy=policy, training={**schedule, **training})
        for i, (policy, training) in enumerate(skip)
    ]
    settled = replace(chosen_run(name="skip 8"), policy={"keep_bias": 2.0})  # with all its settings written out
    return [settled if run.name == "skip 8" else run for run in runs]


def _quality() -> list[Run]:
    """Models of the same data and effort: counting, full depth, static shallow nets, SkipRec; three seeds each."""
    runs = [Run(name, name) for name in ("popularity", "markov")]
    runs += [chosen_run(name=f"full depth, seed {seed}", full_depth=True, seed=seed) for seed in range(3)]
    runs += [
        chosen_run(name=f"{n} blocks, seed {seed}", full_depth=True, blocks=n, seed=seed)
        for n in STATIC_BLOCKS
        for seed in range(3)
    ]
    runs += [chosen_run(name=f"SkipRec, seed {seed}", seed=seed) for seed in range(3)]
    runs += [Run(f"{name}, leave one out", name, "leave_one_out") for name in ("popularity", "markov")]
    runs += [
        chosen_run(name="full depth, leave one out", full_depth=True, protocol="leave_one_out"),
        chosen_run(name="SkipRec, leave one out", protocol="leave_one_out"),
    ]
    return runs


def _synthetic() -> list[Run]:
    """Users whose needed blocks are known: full depth and SkipRec, three seeds each."""
    backbone = {"channels": 32, "dilations": [1, 2, 4] * 2}
    training = {"epochs": 24, "batch_size": 64, "learning_rate": 3e-3, "patience": 24}
    gated = training | {"cost": 1.0, "warmup_epochs": 8, "ramp_epochs": 4}
    return [
        run
        for seed in range(3)
        for run in (
            Run(f"full depth, seed {seed}", "nextitnet", "known depth", seed, backbone, {}, training),
            Run(f"SkipRec, seed {seed}", "skiprec", "known depth", seed, backbone, {"keep_bias": 2.0}, gated),
        )
    ]


# Windows of 20 and 32 channels, so that 64 blocks train in minutes; chosen in data/results/depth_search.csv.
SHORT_WINDOWS: dict = {"length": 20}
SHORT_BACKBONE: dict = {"channels": 32, "tied": True, "dropout": 0.5, "embedding_dropout": 0.4}
SHORT_TRAINING: dict = {"epochs": 20, "patience": 20, "batch_size": 64, "learning_rate": 4e-3, "anneal": True}
NFM_BACKBONE: dict = {"channels": 32, "dropout": 0.0}
NFM_TRAINING: dict = SHORT_TRAINING | {"learning_rate": 8e-3}


def _depth_search() -> list[Run]:
    """Settings for windows of 20 and 32 channels, judged on validation only."""
    network: list[tuple[dict, dict]] = [
        ({"dropout": 0.5, "embedding_dropout": 0.4}, {}),
        ({"dropout": 0.5, "embedding_dropout": 0.2}, {}),
        ({"dropout": 0.2, "embedding_dropout": 0.2}, {}),
        ({"dropout": 0.2, "embedding_dropout": 0.4}, {}),
        ({"dropout": 0.2, "embedding_dropout": 0.2}, {"learning_rate": 4e-3}),
        ({"dropout": 0.5, "embedding_dropout": 0.2}, {"learning_rate": 4e-3}),
        ({"dropout": 0.5, "embedding_dropout": 0.4}, {"learning_rate": 4e-3}),
        ({"dropout": 0.5, "embedding_dropout": 0.2}, {"learning_rate": 8e-3}),
    ]
    pooled: list[tuple[dict, dict]] = [
        ({"dropout": 0.0}, {}),
        ({"dropout": 0.2}, {}),
        ({"dropout": 0.5}, {}),
        ({"dropout": 0.2}, {"learning_rate": 4e-3}),
        ({"dropout": 0.0}, {"learning_rate": 4e-3}),
        ({"dropout": 0.2}, {"weight_decay": 0.1}),
        ({"dropout": 0.0}, {"learning_rate": 8e-3}),
        ({"dropout": 0.0}, {"learning_rate": 16e-3}),
    ]
    longer = {"epochs": 25, "patience": 25, "learning_rate": 2e-3}
    return [
        _short_run(f"8 blocks {i}", blocks=8, backbone=backbone, training=longer | training)
        for i, (backbone, training) in enumerate(network)
    ] + [
        _nfm_run(f"nfm {i}", 1, backbone=backbone, training=longer | training)
        for i, (backbone, training) in enumerate(pooled)
    ]


def _short_run(
    name: str, *, blocks: int, seed: int = 0, backbone: dict | None = None, training: dict | None = None
) -> Run:
    network = SHORT_BACKBONE | {"dilations": _dilations(blocks)} | (backbone or {})
    return Run(
        name, "nextitnet", seed=seed, backbone=network, training=SHORT_TRAINING | (training or {}), data=SHORT_WINDOWS
    )


def _nfm_run(
    name: str, hidden_layers: int, *, seed: int = 0, backbone: dict | None = None, training: dict | None = None
) -> Run:
    network = NFM_BACKBONE | {"hidden_layers": hidden_layers} | (backbone or {})
    return Run(name, "nfm", seed=seed, backbone=network, training=NFM_TRAINING | (training or {}), data=SHORT_WINDOWS)


def _depth() -> list[Run]:
    """0 to 64 blocks with ReZero, plain residual sums at three depths; three seeds each, and 128 blocks once."""
    runs = []
    for seed in range(3):
        runs += [_short_run(f"{n} rezero, seed {seed}", blocks=n, seed=seed) for n in (1, 2, 4, 8, 16, 32, 64)]
        runs += [
            _short_run(f"{n} plain, seed {seed}", blocks=n, seed=seed, backbone={"rezero": False}) for n in (2, 8, 32)
        ]
    runs.append(_short_run("128 rezero, seed 0", blocks=128))
    runs += [_short_run(f"0 rezero, seed {seed}", blocks=0, seed=seed) for seed in range(3)]
    return [Run("markov", "markov", data=SHORT_WINDOWS), *runs]


def _nfm() -> list[Run]:
    """NFM with 0 to 4 hidden layers, on the data and for the epochs of `depth`; three seeds each."""
    return [_nfm_run(f"{n} hidden, seed {seed}", n, seed=seed) for seed in range(3) for n in range(5)]


def _chain() -> list[Run]:
    """Blocks of dilation 1, each 6 steps of reach: how many does a lag need? Three seeds each."""
    training = {"epochs": 40, "patience": 40, "batch_size": 32, "learning_rate": 3e-3, "anneal": True}
    users = {"lags": [0, 6, 12, 18], "length": 40, "items_per_group": 10, "users_per_group": 750}
    return [
        Run(
            f"{n} blocks, seed {seed}", "nextitnet", "known depth", seed,
            backbone={"channels": 32, "dilations": [1] * n}, training=training, data=users,
        )
        for seed in range(3)
        for n in (0, 1, 2, 3, 4, 6)
    ]  # fmt: skip


def _compose() -> list[Run]:
    """Running products of swaps and turns, all read in full: 2 to 8 blocks, and 2 of twice the width; three seeds.

    Then 2 blocks for 60 epochs: as many passes through a block as 8 blocks make in 15.
    """
    training = {"epochs": 15, "patience": 15, "batch_size": 64, "learning_rate": 3e-3, "anneal": True}
    sizes = ((2, 32), (4, 32), (8, 32), (2, 64))
    runs = [
        Run(
            f"{n} blocks of {channels}, seed {seed}", "nextitnet", "running products", seed,
            backbone={"channels": channels, "dilations": _dilations(n)}, training=training,
        )
        for seed in range(3)
        for n, channels in sizes
    ]  # fmt: skip
    longer = training | {"epochs": 60, "patience": 60}
    return runs + [
        Run(
            f"2 blocks of 32 for 60 epochs, seed {seed}", "nextitnet", "running products", seed,
            backbone={"channels": 32, "dilations": _dilations(2)}, training=longer,
        )
        for seed in range(3)
    ]  # fmt: skip


RANDOM_KEEP_RATE = 0.32  # what SkipRec keeps on average in `quality`: 2.58 of 8 blocks
TWO_STAGE_POLICY: dict = CHOSEN_POLICY | {"embedding_channels": 64}  # the backbone's width: the embedding is copied
TWO_STAGE_TRAINING: dict = {
    "epochs": 30, "learning_rate": 2e-3, "anneal": True, "patience": 30,
    "cost": 0.5, "warmup_epochs": 0, "ramp_epochs": 6, "settle_epochs": 10,
}  # fmt: skip


def _controls() -> list[Run]:
    """What SkipRec has to beat: its own nets under other gates, random gates in training, and the published leak."""
    chosen = (
        "full depth",
        "sampled",
        "random, same rate",
        "most frequent pattern",
        "another user's",
        "shuffled history",
    )
    runs = [
        Run(
            f"{gates}, seed {seed}",
            "skiprec",
            seed=seed,
            training={"stored": f"quality/SkipRec, seed {seed}", "gates": gates},
        )
        for gates in chosen
        for seed in range(3)
    ]
    full = chosen_run(full_depth=True)
    for seed in range(3):
        runs += [
            Run(
                f"trained with random gates, seed {seed}", "random gates", seed=seed, backbone=full.backbone,
                policy={"keep_rate": RANDOM_KEEP_RATE}, training=full.training,
            ),
            Run(
                f"trained with random gates, 20 draws, seed {seed}", "skiprec", seed=seed,
                training={"stored": f"controls/trained with random gates, seed {seed}", "gates": "sampled"},
            ),
        ]  # fmt: skip
    for seed in range(3):
        runs.append(chosen_run(name=f"reads the whole window, seed {seed}", seed=seed, policy_reads="the whole window"))
    return runs


def _two_stage() -> list[Run]:
    """SkipRec on a pre-trained backbone of MovieLens-100K: temperature x cost."""
    backbone = chosen_run().backbone
    return [
        Run(
            f"tau {tau}, cost {cost}, seed {seed}", "skiprec", seed=seed, backbone=backbone,
            policy=TWO_STAGE_POLICY | {"tau": tau},
            training=TWO_STAGE_TRAINING | {"cost": cost, "pretrained": f"quality/full depth, seed {seed}"},
        )
        for seed in range(1)
        for cost in (0.5, 0.3, 0.0)
        for tau in (10.0, 1.0)
    ]  # fmt: skip


def _tau() -> list[Run]:
    """Temperature x cost on synthetic users with a solved backbone, and gates that start all but shut or open."""

    def run(name: str, tau: float, cost: float, keep_bias: float, epochs: int, seed: int) -> Run:
        training = {
            "epochs": epochs, "batch_size": 64, "learning_rate": 3e-3, "patience": epochs, "cost": cost,
            "warmup_epochs": 0, "ramp_epochs": 4, "pretrained": f"synthetic/full depth, seed {seed}",
        }  # fmt: skip
        policy = {"keep_bias": keep_bias, "tau": tau}
        backbone = {"channels": 32, "dilations": [1, 2, 4] * 2}
        return Run(f"{name}, seed {seed}", "skiprec", "known depth", seed, backbone, policy, training)

    runs = []
    for seed in range(2):
        for tau in (0.1, 1.0, 10.0, 50.0):
            runs += [run(f"tau {tau}, cost {cost}", tau, cost, 2.0, 10, seed) for cost in (0.0, 0.3, 1.0)]
            if seed == 0:
                runs += [run(f"tau {tau}, starts at {bias}", tau, 0.3, bias, 8, seed) for bias in (8.0, -8.0)]
    return runs


CHAIN_USERS: dict = {
    "lags": [0, 5, 11, 13], "users_per_group": 750, "test_users_per_group": 2500, "curriculum_epochs": 30
}  # fmt: skip
CHAIN_BACKBONE: dict = {"channels": 32, "dilations": [1] * 6}
CHAIN_TRAINING: dict = {"epochs": 60, "patience": 60, "batch_size": 64, "learning_rate": 3e-3}
# a fresh Adam at .003 breaks the chain in its first epoch
CHAIN_GATES: dict = CHAIN_TRAINING | {
    "epochs": 40, "patience": 40, "learning_rate": 1e-3, "cost": 0.3, "warmup_epochs": 0, "ramp_epochs": 20
}  # fmt: skip
REMEDIES: dict[str, dict] = {
    "straight-through": {},
    "steered cost": {"gate_loss": "steered cost"},
    "exact difference": {"gate_loss": "exact difference"},
    "difference": {"gate_loss": "difference"},
    "explore, then hold": {"hold_epochs": 32},
}


def _remedies() -> list[Run]:
    """Blocks of dilation 1, so that a lag needs ceil(lag / 6) of them: ways to teach the gates to keep just these."""
    runs = []
    for seed in range(3):
        full = f"full depth, seed {seed}"
        start = CHAIN_TRAINING | {"anneal": True}
        deep = ("random depth", "known depth", seed, CHAIN_BACKBONE, {"full_share": 0.2}, start, CHAIN_USERS)
        runs.append(Run(full, *deep))
        for name, settings in REMEDIES.items():
            users = CHAIN_USERS | {"curriculum_epochs": 0}
            training = CHAIN_GATES | {"pretrained": f"remedies/{full}"} | settings
            gated = ("skiprec", "known depth", seed, CHAIN_BACKBONE, {"keep_bias": 4.0}, training, users)
            runs.append(Run(f"{name}, seed {seed}", *gated))
    return runs


def _shared() -> list[Run]:
    """Groups that share their items: which policy can tell them apart?"""
    users = {"lags": [0, 6, 24], "shared_items": True}
    backbone = {"channels": 32, "dilations": [1, 2, 4] * 2}
    training = {"epochs": 24, "batch_size": 64, "learning_rate": 3e-3, "patience": 24}
    gated = training | {"cost": 1.0, "warmup_epochs": 8, "ramp_epochs": 4}
    policies = {
        "mean of a short view": {}, "GRU": {"encoder": "gru"}
    }  # fmt: skip
    runs = []
    for seed in range(2):
        runs.append(Run(f"full depth, seed {seed}", "nextitnet", "known depth", seed, backbone, {}, training, users))
        for name, policy in policies.items():
            settings = {"keep_bias": 2.0} | policy
            runs.append(Run(f"{name}, seed {seed}", "skiprec", "known depth", seed, backbone, settings, gated, users))
    return runs


def _beyond() -> list[Run]:
    """Other ways to learn and to build it, on the synthetic users of `synthetic`; two seeds each."""
    backbone = {"channels": 32, "dilations": [1, 2, 4] * 2}
    attention = {"channels": 32, "num_blocks": 4}
    training = {"epochs": 24, "batch_size": 64, "learning_rate": 3e-3, "patience": 24}
    gated = training | {"cost": 1.0, "warmup_epochs": 8, "ramp_epochs": 4}
    slow = training | {"epochs": 30, "patience": 30, "batch_size": 32}
    users = {"curriculum_epochs": 10}
    runs = []
    for seed in range(2):
        here = ("known depth", seed)
        runs += [
            Run(f"GRU policy, seed {seed}", "skiprec", *here, backbone, {"keep_bias": 2.0, "encoder": "gru"}, gated),
            Run(
                f"policy gradient, seed {seed}", "skiprec", *here, backbone, {"keep_bias": 2.0},
                gated | {"gate_loss": "policy gradient, first place"},
            ),
            Run(f"SASRec, full depth, seed {seed}", "sasrec", *here, attention, {}, slow, users),
            Run(
                f"SkipRec on SASRec, seed {seed}", "skiprec on sasrec", *here, attention, {"keep_bias": 2.0},
                training | {
                    "epochs": 12, "patience": 12, "cost": 1.0, "warmup_epochs": 0, "ramp_epochs": 4,
                    "learning_rate": 1e-3, "pretrained": f"beyond/SASRec, full depth, seed {seed}",
                },
            ),
        ]  # fmt: skip
    return runs


def _dilations(blocks: int) -> list[int]:
    return [(1, 4)[i % 2] for i in range(blocks)]


@dataclass(frozen=True)
class Experiment:
    """What `run_experiment` runs.

    Attributes:
        runs: its rows.
        smallest: the row that `check` runs again.
        test: whether the test items are looked at; a search for settings must not.
        watch: whether the gates of synthetic groups are recorded after each epoch.
    """

    runs: Callable[[], list[Run]]
    smallest: str
    test: bool = True
    watch: bool = False


EXPERIMENTS: dict[str, Experiment] = {
    "search": Experiment(_search, "full 0", test=False),
    "quality": Experiment(_quality, "markov"),
    "synthetic": Experiment(_synthetic, "full depth, seed 0"),
    "depth_search": Experiment(_depth_search, "nfm 0", test=False),
    "depth": Experiment(_depth, "markov"),
    "nfm": Experiment(_nfm, "0 hidden, seed 0"),
    "chain": Experiment(_chain, "0 blocks, seed 0"),
    "compose": Experiment(_compose, "2 blocks of 32, seed 0"),
    "controls": Experiment(_controls, "full depth, seed 0"),
    "two_stage": Experiment(_two_stage, "tau 10.0, cost 0.5, seed 0"),
    "remedies": Experiment(_remedies, "full depth, seed 0", watch=True),
    "shared": Experiment(_shared, "full depth, seed 0", watch=True),
    "beyond": Experiment(_beyond, "GRU policy, seed 0", watch=True),
    "tau": Experiment(_tau, "tau 10.0, starts at 8.0, seed 0", watch=True),
}


def run_experiment(
    name: str,
    *,
    folder: Path = RESULTS,
    data: Interactions | None = None,
    uncommitted: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Run what is missing of an experiment; each row is on disk as soon as it is finished.

    Args:
        name: one of EXPERIMENTS.
        folder: where NAME.csv is kept, and beside it NAME_users.csv (each user's NDCG@10 on the test items) and
            NAME_epochs.csv (loss and validation NDCG@10 of each epoch), NAME_groups.csv (each synthetic group's gates
            after each epoch, where the experiment watches them).
        data: what to train and judge on; MovieLens-100K if None. Other data needs a folder of its own.
        uncommitted: run although the package has changes that are in no commit.
        progress: show progress bars.

    Returns:
        The whole table.

    Raises:
        ValueError: for an unknown name or setting, for uncommitted changes, for a row in the table that was made
            with other settings or data, and for a setting that changed nothing.
    """
    experiment = _find(name)
    if data and folder.resolve() == RESULTS.resolve():
        raise ValueError(f"{folder} holds the course's tables: choose another folder for runs on {data.name}")
    runs = experiment.runs()
    for run in runs:
        run.check()
    version = commit(uncommitted=uncommitted)
    table, users, epochs, groups = (folder / f"{name}{part}.csv" for part in ("", "_users", "_epochs", "_groups"))
    stored = folder.parent / "runs"
    done = _finished(table, runs, data)
    for side_table in (users, epochs, groups):  # a run that was killed may have left rows there, but none in the table
        if side_table.exists():
            keep_rows(side_table, done)
    for run in runs:
        if run.name in done:
            continue
        outcome = execute(
            run, test=experiment.test, version=version, progress=progress, watch=experiment.watch, stored=stored,
            data=data,
        )  # fmt: skip
        _refuse_a_setting_without_effect(outcome.row, table)
        _save_weights(outcome, stored / name, command=f"python -m skiprec_lite experiment {name}")
        if outcome.per_user is not None:
            of_user = {f"user {i}": round(value, 6) for i, value in enumerate(outcome.per_user.tolist())}
            append_rows(users, [{"run": run.name} | of_user])
        if outcome.history.epochs:
            append_rows(epochs, [{"run": run.name} | _epoch(record) for record in outcome.history.epochs])
        if outcome.groups:
            append_rows(groups, [{"run": run.name} | record for record in outcome.groups])
        append_rows(table, [{"experiment": name} | outcome.row])
    return read_table(table)


def check(name: str, *, folder: Path = RESULTS) -> dict[str, Any]:
    """Run the smallest row of a table again and compare its validation NDCG@10.

    Raises:
        ValueError: if the table has no such row, or the two differ by more than 0.001.
    """
    experiment = _find(name)
    smallest = experiment.smallest
    (run,) = (r for r in experiment.runs() if r.name == smallest)
    column = "validation ndcg@10"
    in_table = read_table(folder / f"{name}.csv").set_index("run")[column]
    if smallest not in in_table.index:
        raise ValueError(f"{name}.csv has no row {smallest!r} yet")
    row = execute(run, test=False, stored=folder.parent / "runs").row
    found = {"run": smallest, "found": row[column], "in the table": float(in_table[smallest])}
    if abs(found["found"] - found["in the table"]) > 1e-3:
        raise ValueError(f"{name}, row {smallest!r}: found {found['found']}, the table says {found['in the table']}")
    return found


def _find(name: str) -> Experiment:
    if name not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {name!r}: choose from {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def _finished(path: Path, runs: list[Run], data: Interactions | None) -> set[str]:
    """Names of the runs that the table holds; each must have been made with today's settings and on this data."""
    if not path.exists():
        return set()
    wanted = {run.name: run for run in runs}
    table = read_table(path)
    for row in table.itertuples():
        run = wanted.get(str(row.run))
        if run is None or run.settings() != row.settings or run.seed != row.seed:
            raise ValueError(
                f"{path.name}, row {row.run!r}, was made with other settings than today's: delete that row"
            )
        if row.dataset not in ("synthetic", data.name if data else "ml-100k"):
            raise ValueError(f"{path.name}, row {row.run!r}, was made on {row.dataset}: choose another folder")
    return set(table["run"])


def _refuse_a_setting_without_effect(row: dict[str, Any], path: Path) -> None:
    """Two runs that end with the same bits: what was varied between them is not read by anything."""
    if not path.exists():
        return
    table = read_table(path)
    for twin in table[table["weights"] == row["weights"]].to_dict("records"):
        varied = [key for key in ("model", "protocol", "seed", "settings") if str(twin[key]) != str(row[key])]
        what = "; ".join(f"{key}: {twin[key]} and {row[key]}" for key in varied) or "nothing"
        raise ValueError(f"runs {twin['run']!r} and {row['run']!r} end with the same weights; they differ in {what}")


def _save_weights(outcome: Outcome, folder: Path, *, command: str) -> None:
    model = outcome.model
    if isinstance(model, RandomGates | RandomDepth):
        model = model.as_skiprec() if isinstance(model, RandomGates) else model.backbone
    if isinstance(model, Backbone | SkipRec) and outcome.history.epochs:  # and not an earlier run, judged again
        folder.mkdir(parents=True, exist_ok=True)
        notes = outcome.row | {"command": command, "trained on": outcome.trained_on}
        checkpoints.save(model, folder / f"{outcome.row['run']}.safetensors", **notes)


def _epoch(record: dict[str, float | int | bool]) -> dict[str, Any]:
    names = ("epoch", "loss", "ndcg", "ndcg_sampled", "keep_probability", "keep_rate", "cost")
    return {name: round(record[name], 5) if name in record else "" for name in names}

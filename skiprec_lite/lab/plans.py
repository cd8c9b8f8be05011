"""What is run, as data: the settings chosen on validation, and the list of runs behind each result table."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

# Chosen on validation: data/results/settings.csv holds every trial, data/results/README.md says how they were read.
CHOSEN_BACKBONE: dict = {"dropout": 0.5, "embedding_dropout": 0.4, "tied": True}
CHOSEN_POOL: dict = {"pool": "last"}  # level with the others, and no edge: data/results/pooling.csv
CHOSEN_POLICY: dict = {"keep_bias": 1.0} | CHOSEN_POOL
CHOSEN_TRAINING: dict = {
    "epochs": 30, "batch_size": 32, "learning_rate": 3e-3, "weight_decay": 0.1, "anneal": True, "patience": 30,
    "cost": 0.5, "warmup_epochs": 10, "ramp_epochs": 4, "settle_epochs": 8,
}  # fmt: skip
SKIP_1: dict = {"epochs": 18, "cost": 0.5, "warmup_epochs": 6, "ramp_epochs": 3, "settle_epochs": 4, "patience": 18}
COUNTER_FOR_UNSEEN: dict = {"reach": 10, "damp": 0.0}  # chosen in data/results/counter_settings.csv


@dataclass(frozen=True)
class Run:
    """One row of a result table: a model, its settings, a protocol and a seed.

    Attributes:
        name: unique in its table.
        model: "popularity", "markov", "counter", "nextitnet", "nfm", "residual nfm", "sasrec", "random gates" (after
            stochastic depth), "random depth", "skiprec" or "skiprec on sasrec".
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


def chosen_run(
    *,
    name: str = "train",
    full_depth: bool = False,
    blocks: int = 8,
    channels: int = 64,
    protocol: str = "last_n",
    seed: int = 0,
    tau: float | None = None,
    pool: str | None = None,
    **training: object,
) -> Run:
    """Describe a run with the settings chosen on validation, but for what is given.

    Raises:
        ValueError: if a SkipRec has not at least one block.
    """
    if blocks < (0 if full_depth else 1):
        raise ValueError(f"blocks must be at least {0 if full_depth else 1}, got {blocks}")
    backbone = CHOSEN_BACKBONE | {"channels": channels, "dilations": _dilations(blocks)}
    settings = CHOSEN_TRAINING | training
    if full_depth:  # as many epochs, which takes about as long
        of_the_gates = {"cost", "warmup_epochs", "ramp_epochs", "settle_epochs", "policy_reads"}
        kept = {key: value for key, value in settings.items() if key not in of_the_gates}
        return Run(name, "nextitnet", protocol, seed, backbone, {}, kept)
    policy = CHOSEN_POLICY | {key: value for key, value in (("tau", tau), ("pool", pool)) if value is not None}
    return Run(name, "skiprec", protocol, seed, backbone, policy, settings)


def _settings() -> list[Run]:
    """At most 24 trials, judged on validation only: the backbone at full depth, then the policy's schedule."""
    best = {"dropout": 0.5, "embedding_dropout": 0.4, "tied": True}
    old = {"anneal": True, "learning_rate": 2e-3, "epochs": 31, "patience": 50}  # the first edition's choice
    short = old | {"learning_rate": 4e-3, "epochs": 16, "patience": 16}
    new = short | {"weight_decay": 0.1}
    small = new | {"learning_rate": 3e-3, "batch_size": 16}
    full: list[tuple[dict, dict]] = [
        ({}, old | {"patience": 31}), ({}, short), ({}, new), ({"dropout": 0.3}, new),
        ({"embedding_dropout": 0.6}, new), ({}, new | {"learning_rate": 8e-3}),
        ({}, new | {"epochs": 10, "patience": 10}),
        ({}, small), ({}, small | {"epochs": 12}), ({}, small | {"epochs": 12, "learning_rate": 4e-3}),
        ({}, small | {"epochs": 12, "learning_rate": 2e-3, "batch_size": 8}),
        ({"channels": 96}, small | {"epochs": 12}),
    ]  # fmt: skip
    slow = old | {"epochs": 46, "cost": 0.5, "warmup_epochs": 16, "ramp_epochs": 6, "settle_epochs": 10}
    fast = small | SKIP_1
    large = {"batch_size": 32, "epochs": 22, "warmup_epochs": 7, "settle_epochs": 5, "patience": 22}
    skip: list[tuple[dict, dict]] = [
        ({"pool": "mean"}, slow), ({}, fast), ({"keep_bias": 2.0}, fast), ({}, fast | {"cost": 0.3}),
        ({}, fast | {"settle_epochs": 0}), ({}, fast | large), ({}, fast | large | {"learning_rate": 4e-3}),
    ]  # fmt: skip
    policy = {"keep_bias": 1.0, "pool": "last"}
    runs = [Run(f"full {i}", "nextitnet", "last_n", 0, best | net, {}, how) for i, (net, how) in enumerate(full)]
    runs += [Run(f"skip {i}", "skiprec", "last_n", 0, best, policy | p, how) for i, (p, how) in enumerate(skip)]
    runs += [replace(runs[len(full)], name=f"skip 0, seed {s}", seed=s) for s in (1, 2)]  # skip 1's: in `pooling`
    settled = ({"epochs": 24, "settle_epochs": 12}, {"epochs": 28, "warmup_epochs": 5, "settle_epochs": 18})
    longer = {"epochs": 30, "warmup_epochs": 12, "ramp_epochs": 4, "settle_epochs": 6}
    lighter = longer | {"warmup_epochs": 10, "settle_epochs": 8, "batch_size": 32}
    shorter = lighter | {"epochs": 26, "warmup_epochs": 9, "ramp_epochs": 3, "settle_epochs": 7}
    return runs + [
        Run(f"skip {7 + i}, seed {seed}", "skiprec", "last_n", seed, best, policy, fast | {"patience": 28} | how)
        for seed in range(3)
        for i, how in enumerate((*settled, longer, lighter, shorter))
    ]


def _counter_settings() -> list[Run]:
    """The window counter's settings, judged on validation only, under each ranking."""
    grid = itertools.product((5, 10, 20, 40), (5, 10, 20), (0.0, 0.3, 0.5), (0.5, 1.0))
    names = ("reach", "last", "damp", "fade")
    return [Run(f"counter {i}", "counter", backbone=dict(zip(names, values))) for i, values in enumerate(grid)]


POOLS: dict[str, dict] = {
    "mean": {"pool": "mean"},  # as published
    "inner": {"pool": "inner"},
    "last": {"pool": "last"},
    "no blocks": {"pool": "mean", "dilations": []},  # a mean of embeddings: no state feels the zeros before the start
}


def _pooling() -> list[Run]:
    """What the policy's mean is over, judged on validation only; three seeds each, as skip 1 of `settings`."""
    return [
        replace(run, policy=run.policy | policy, name=f"{pool}, seed {run.seed}")
        for run in (chosen_run(seed=seed, batch_size=16, **SKIP_1) for seed in range(3))
        for pool, policy in POOLS.items()
    ]


def _models() -> list[Run]:
    """Models of the same data: what counts, full depth, static shallow nets, SkipRec; five seeds each.

    All nets train for as many epochs; two blocks once more for as long as a SkipRec takes.
    """
    runs = [Run(name, name) for name in ("popularity", "markov", "counter")]
    runs.append(Run("counter, chosen for unseen", "counter", backbone=COUNTER_FOR_UNSEEN))
    for seed in range(5):
        runs.append(chosen_run(name=f"full depth, seed {seed}", full_depth=True, seed=seed))
        runs += [chosen_run(name=f"{n} blocks, seed {seed}", full_depth=True, blocks=n, seed=seed) for n in range(4)]
        runs.append(chosen_run(name=f"SkipRec, seed {seed}", seed=seed))
        runs.append(chosen_run(name=f"SkipRec, mean, seed {seed}", seed=seed, pool="mean"))
    as_long: dict = {"full_depth": True, "blocks": 2, "epochs": 75, "patience": 75}
    return runs + [chosen_run(name=f"2 blocks for 75 epochs, seed {seed}", seed=seed, **as_long) for seed in range(5)]


def _leave_one_out() -> list[Run]:
    """One test film a user: what counts, full depth, SkipRec; three seeds."""
    there = "leave_one_out"
    runs = [Run(name, name, there) for name in ("popularity", "markov", "counter")]
    for seed in range(3):
        runs.append(chosen_run(name=f"full depth, seed {seed}", full_depth=True, protocol=there, seed=seed))
        runs.append(chosen_run(name=f"SkipRec, seed {seed}", protocol=there, seed=seed))
    return runs


# Windows of 20 and 32 channels, so that 64 blocks train in minutes; chosen in data/results/depth_search.csv.
SHORT_WINDOWS: dict = {"length": 20}
SHORT_BACKBONE: dict = {"channels": 32, "tied": True, "dropout": 0.5, "embedding_dropout": 0.4}
SHORT_TRAINING: dict = {"epochs": 20, "patience": 20, "batch_size": 64, "learning_rate": 16e-3, "anneal": True}
SHORT_RATES = (0.016, 0.004)  # .016 is chosen by unseen, .004 was by all: data/results/README.md, "depths"


def _short_run(
    name: str, *, blocks: int, seed: int, backbone: dict | None = None, training: dict | None = None, **data: object
) -> Run:
    network = SHORT_BACKBONE | {"dilations": _dilations(blocks)} | (backbone or {})
    trained = SHORT_TRAINING | (training or {})
    return Run(name, "nextitnet", seed=seed, backbone=network, training=trained, data=SHORT_WINDOWS | data)


def _depths() -> list[Run]:
    """0 to 64 blocks with ReZero and plain sums of three depths, at two rates; three seeds each, and 128 blocks once.

    Two blocks once more for five times as long, which is as long as 32 blocks take.
    """
    runs = [Run("markov", "markov", data=SHORT_WINDOWS), Run("counter", "counter", data=SHORT_WINDOWS)]
    for seed, rate in itertools.product(range(3), SHORT_RATES):
        rated: dict = {"seed": seed, "training": {"learning_rate": rate}}
        name = f"rate {rate}, seed {seed}"
        runs += [_short_run(f"{n} rezero, {name}", blocks=n, **rated) for n in (0, 1, 2, 4, 8, 16, 32, 64)]
        runs += [_short_run(f"{n} plain, {name}", blocks=n, backbone={"rezero": False}, **rated) for n in (2, 8, 32)]
        longer = rated["training"] | {"epochs": 100, "patience": 100}
        runs.append(_short_run(f"2 rezero for 100 epochs, {name}", blocks=2, seed=seed, training=longer))
    return [*runs, _short_run("128 rezero, rate 0.016, seed 0", blocks=128, seed=0)]


def _depth_by_data() -> list[Run]:
    """Depth x data x rate: an eighth to all of the users to train on, the fewer the more epochs; two seeds each."""
    return [
        _short_run(
            f"{blocks} blocks, {share:g} of the users, rate {rate}, seed {seed}", blocks=blocks, seed=seed, share=share,
            training={"learning_rate": rate, "epochs": (epochs := round(20 / share**0.5)), "patience": epochs},
        )
        for seed, rate in itertools.product(range(2), SHORT_RATES)
        for share in (1.0, 0.5, 0.25, 0.125)
        for blocks in (0, 1, 2, 8)
    ]  # fmt: skip


NFM_TRAINING: dict = SHORT_TRAINING | {"learning_rate": 8e-3}  # chosen in data/results/depth_search.csv


def _hidden_layers() -> list[Run]:
    """NFM with 0 to 4 hidden layers, as it is and built as the nets are: residual, tied, with dropout; three seeds."""
    runs = []
    for seed, n in itertools.product(range(3), (0, 1, 2, 4)):
        plain, residual = {"channels": 32, "hidden_layers": n}, SHORT_BACKBONE | {"hidden_layers": n}
        runs.append(Run(f"{n} plain, seed {seed}", "nfm", "last_n", seed, plain, {}, NFM_TRAINING, SHORT_WINDOWS))
        for rate in SHORT_RATES:
            name, training = f"{n} residual, rate {rate}, seed {seed}", SHORT_TRAINING | {"learning_rate": rate}
            runs.append(Run(name, "residual nfm", "last_n", seed, residual, {}, training, SHORT_WINDOWS))
    return runs


def _chain() -> list[Run]:
    """Blocks of dilation 1, each 6 steps of reach: how many does a lag need? Three seeds each."""
    training = {"epochs": 40, "patience": 40, "batch_size": 32, "learning_rate": 3e-3, "anneal": True}
    users = {"lags": [0, 6, 12, 18], "length": 40, "items_per_group": 10, "users_per_group": 750}
    runs = []
    for seed in range(3):
        for n in (0, 1, 2, 3, 4, 6):
            network = {"channels": 32, "dilations": [1] * n}
            runs.append(Run(f"{n} blocks, seed {seed}", "nextitnet", "known depth", seed, network, {}, training, users))
    return runs


def _products() -> list[Run]:
    """Running products of swaps and turns, all read in full: 2, 4 and 8 blocks until they stop; three seeds."""
    training = {"epochs": 150, "patience": 15, "batch_size": 64, "learning_rate": 3e-3}
    runs = []
    for seed in range(3):
        for n in (2, 4, 8):
            network = {"channels": 32, "dilations": _dilations(n)}
            runs.append(Run(f"{n} blocks, seed {seed}", "nextitnet", "running products", seed, network, {}, training))
    return runs


COSTS = (0.1, 0.2, 0.3, 0.5, 1.0)


def _costs() -> list[Run]:
    """Quality against blocks: SkipRec at five costs, from scratch and on a trained backbone; three seeds each."""
    runs = []
    for seed in range(3):
        for cost in COSTS:
            alone = chosen_run(name=f"cost {cost}, seed {seed}", seed=seed, cost=cost)
            gated = alone.training["epochs"] - alone.training["warmup_epochs"]
            staged = {"warmup_epochs": 0, "epochs": gated, "pretrained": f"models/full depth, seed {seed}"}
            policy = alone.policy | {"embedding_channels": alone.backbone["channels"]}  # so that it can be copied
            name = f"cost {cost}, two stages, seed {seed}"
            runs += [alone, replace(alone, name=name, policy=policy, training=alone.training | staged)]
    return runs


RANDOM_KEEP_RATE = 0.35  # what the SkipRecs of `models` keep on average
ON_MOVIELENS = (
    "full depth", "sampled", "random, same rate", "most frequent pattern", "another user's", "shuffled history",
    "threshold 0.2",
)  # fmt: skip


def _again(name: str, stored: str, gates: str, seed: int) -> Run:
    """An earlier run, judged again under other gates."""
    return Run(f"{name}, seed {seed}", "skiprec", seed=seed, training={"stored": stored, "gates": gates})


def _gates() -> list[Run]:
    """What SkipRec has to beat: its own nets under other gates, random gates in training, and the published leak."""
    runs = []
    for seed in range(5):
        runs += [_again(f"SkipRec, {gates}", f"models/SkipRec, seed {seed}", gates, seed) for gates in ON_MOVIELENS]
        as_published = f"models/SkipRec, mean, seed {seed}"
        runs.append(_again("SkipRec, mean, another user's", as_published, "another user's", seed))
    full, rate = chosen_run(full_depth=True), {"keep_rate": RANDOM_KEEP_RATE}
    for seed in range(3):
        name = f"trained with random gates, seed {seed}"
        runs.append(Run(name, "random gates", "last_n", seed, full.backbone, rate, full.training))
        runs.append(_again("trained with random gates, 20 draws", f"gates/{name}", "sampled", seed))
        runs.append(chosen_run(name=f"reads the whole window, seed {seed}", seed=seed, policy_reads="the whole window"))
    return runs


# Synthetic users whose needed blocks are known: one block of dilation 1 reaches 6 steps back, one of dilation 4, 24.
KNOWN_BACKBONE: dict = {"channels": 32, "dilations": [1, 2, 4] * 2}
KNOWN_TRAINING: dict = {"epochs": 24, "batch_size": 64, "learning_rate": 3e-3, "patience": 24}
KNOWN_GATED: dict = KNOWN_TRAINING | {"cost": 1.0, "warmup_epochs": 8, "ramp_epochs": 4}


def _worlds() -> list[Run]:
    """Users whose needed blocks are known: full depth, and SkipRec by how its policy reads; three seeds each.

    Each group has items of its own, or all share theirs, so that only the rule tells the groups apart.
    """
    reads = POOLS | {"GRU": {"encoder": "gru"}}
    gated = KNOWN_GATED | {"settle_epochs": 4}  # at the end all gates stand still, and no epoch is a lucky one
    runs = []
    for seed in range(3):
        here = ("known depth", seed, KNOWN_BACKBONE)
        for name, shared, kinds in (("own items", False, POOLS), ("shared items", True, ("mean", "last", "GRU"))):
            users = {"lags": [0, 6, 24], "shared_items": shared}
            runs.append(Run(f"full depth, {name}, seed {seed}", "nextitnet", *here, {}, KNOWN_TRAINING, users))
            for kind in kinds:
                policy = {"keep_bias": 2.0} | reads[kind]
                runs.append(Run(f"{kind}, {name}, seed {seed}", "skiprec", *here, policy, gated, users))
    return runs


def _temperature() -> list[Run]:
    """Temperature x cost on synthetic users with a solved backbone, and gates that start all but shut or open."""

    def run(name: str, tau: float, cost: float, keep_bias: float, epochs: int, seed: int) -> Run:
        training = KNOWN_GATED | {
            "epochs": epochs, "patience": epochs, "cost": cost, "warmup_epochs": 0,
            "pretrained": f"worlds/full depth, own items, seed {seed}",
        }  # fmt: skip
        policy = {"keep_bias": keep_bias, "tau": tau} | CHOSEN_POOL
        return Run(f"{name}, seed {seed}", "skiprec", "known depth", seed, KNOWN_BACKBONE, policy, training)

    runs = []
    for seed in range(3):
        for tau in (0.1, 1.0, 10.0, 50.0):
            runs += [run(f"tau {tau}, cost {cost}", tau, cost, 2.0, 10, seed) for cost in (0.0, 0.3, 1.0)]
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
    "ReinMax": {"gate_loss": "ReinMax"},
}


def _teachers() -> list[Run]:
    """Blocks of dilation 1, so that a lag needs ceil(lag / 6) of them: ways to teach the gates to keep just these."""
    runs = []
    for seed in range(3):
        full = f"full depth, seed {seed}"
        start = CHAIN_TRAINING | {"anneal": True}
        deep = ("random depth", "known depth", seed, CHAIN_BACKBONE, {"full_share": 0.2}, start, CHAIN_USERS)
        runs.append(Run(full, *deep))
        for name, settings in REMEDIES.items():
            users = CHAIN_USERS | {"curriculum_epochs": 0}
            training = CHAIN_GATES | {"pretrained": f"teachers/{full}"} | settings
            gated = ("skiprec", "known depth", seed, CHAIN_BACKBONE, {"keep_bias": 4.0}, training, users)
            runs.append(Run(f"{name}, seed {seed}", *gated))
    return runs


def _beyond() -> list[Run]:
    """Other ways to learn and to build it, on the synthetic users of `worlds`; two seeds each."""
    attention = {"channels": 32, "num_blocks": 4}
    slow = KNOWN_TRAINING | {"epochs": 30, "patience": 30, "batch_size": 32}
    by_reward = KNOWN_GATED | {"gate_loss": "policy gradient, first place"}
    on_attention = KNOWN_GATED | {"epochs": 12, "patience": 12, "warmup_epochs": 0, "learning_rate": 1e-3}
    open_gates = {"keep_bias": 2.0}
    gru = open_gates | {"encoder": "gru"}
    runs = []
    for seed in range(2):
        here = ("known depth", seed)
        started = on_attention | {"pretrained": f"beyond/SASRec, full depth, seed {seed}"}
        runs += [
            Run(f"GRU policy, seed {seed}", "skiprec", *here, KNOWN_BACKBONE, gru, KNOWN_GATED),
            Run(f"policy gradient, seed {seed}", "skiprec", *here, KNOWN_BACKBONE, open_gates, by_reward),
            Run(f"SASRec, full depth, seed {seed}", "sasrec", *here, attention, {}, slow, {"curriculum_epochs": 10}),
            Run(f"SkipRec on SASRec, seed {seed}", "skiprec on sasrec", *here, attention, open_gates, started),
        ]
    return runs


def _dilations(blocks: int) -> list[int]:
    return [(1, 4)[i % 2] for i in range(blocks)]


@dataclass(frozen=True)
class Experiment:
    """What `run_experiment` runs."""

    runs: Callable[[], list[Run]]
    smallest: str  # the row that `check` runs again
    test: bool = True  # are the test items looked at? A search for settings must not
    watch: bool = False  # are the gates of synthetic groups recorded after each epoch?


EXPERIMENTS: dict[str, Experiment] = {
    "settings": Experiment(_settings, "full 6", test=False),
    "counter_settings": Experiment(_counter_settings, "counter 0", test=False),
    "pooling": Experiment(_pooling, "no blocks, seed 0", test=False),
    "models": Experiment(_models, "markov"),
    "leave_one_out": Experiment(_leave_one_out, "markov"),
    "gates": Experiment(_gates, "trained with random gates, seed 0"),
    "costs": Experiment(_costs, "cost 1.0, seed 0"),
    "depths": Experiment(_depths, "markov"),
    "depth_by_data": Experiment(_depth_by_data, "0 blocks, 1 of the users, rate 0.016, seed 0"),
    "hidden_layers": Experiment(_hidden_layers, "0 plain, seed 0"),
    "products": Experiment(_products, "2 blocks, seed 0"),
    "worlds": Experiment(_worlds, "full depth, own items, seed 0", watch=True),
    "temperature": Experiment(_temperature, "tau 10.0, starts at 8.0, seed 0", watch=True),
    "teachers": Experiment(_teachers, "full depth, seed 0", watch=True),
    "chain": Experiment(_chain, "0 blocks, seed 0"),
    "beyond": Experiment(_beyond, "GRU policy, seed 0", watch=True),
}

"""What is run, as data: the settings chosen on validation, and the list of runs behind each result table."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

# Chosen on validation: data/results/search.csv holds every trial, data/results/README.md says how they were read.
CHOSEN_BACKBONE: dict = {"dropout": 0.5, "embedding_dropout": 0.4, "tied": True}
CHOSEN_POLICY: dict = {"keep_bias": 1.0}
CHOSEN_TRAINING: dict = {
    "epochs": 46, "learning_rate": 2e-3, "anneal": True, "patience": 46,
    "cost": 0.5, "warmup_epochs": 16, "ramp_epochs": 6, "settle_epochs": 10,
}  # fmt: skip
STATIC_BLOCKS = (2, 3)  # the mean number that SkipRec keeps, rounded down and up

# Synthetic users whose needed blocks are known: one block of dilation 1 reaches 6 steps back, one of dilation 4, 24.
KNOWN_BACKBONE: dict = {"channels": 32, "dilations": [1, 2, 4] * 2}
KNOWN_TRAINING: dict = {"epochs": 24, "batch_size": 64, "learning_rate": 3e-3, "patience": 24}
KNOWN_GATED: dict = KNOWN_TRAINING | {"cost": 1.0, "warmup_epochs": 8, "ramp_epochs": 4}


@dataclass(frozen=True)
class Run:
    """One row of a result table: a model, its settings, a protocol and a seed.

    Attributes:
        name: unique in its table.
        model: "popularity", "markov", "nextitnet", "nfm", "sasrec", "random gates" (after stochastic depth),
            "random depth", "skiprec" or "skiprec on sasrec".
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
        of_all = {"learning_rate", "anneal", "patience", "softmax", "negatives", "batch_size"}
        kept = {key: settings[key] for key in settings.keys() & of_all}
        return Run(name, "nextitnet", protocol, seed, backbone, {}, kept | {"epochs": epochs})
    policy = CHOSEN_POLICY | ({} if tau is None else {"tau": tau})
    return Run(name, "skiprec", protocol, seed, backbone, policy, settings)


def _search() -> list[Run]:
    """22 trials, judged on validation only: first the backbone at full depth, then the policy on the best."""
    tied = {"tied": True, "dropout": 0.5, "embedding_dropout": 0.2}
    best = tied | {"embedding_dropout": 0.4}
    annealed = {"learning_rate": 2e-3, "anneal": True}
    full: list[tuple[dict, dict]] = [
        ({"dropout": 0.3}, {}),
        ({"dropout": 0.5}, {}),
        ({"dropout": 0.3, "tied": True}, {}),
        ({"dropout": 0.5, "tied": True}, {}),
        (tied, {}),
        (best, {}),
        (tied | {"dropout": 0.3}, {}),
        (tied, {"learning_rate": 2e-3}),
        (tied, {"learning_rate": 5e-4}),
        (tied, {"weight_decay": 0.1}),
        (best, {"learning_rate": 2e-3}),
        (best, annealed | {"epochs": 25, "patience": 25}),
    ]
    schedule = {"warmup_epochs": 10, "ramp_epochs": 6}
    quick = schedule | {"learning_rate": 2e-3, "epochs": 50}
    long = schedule | annealed | {"epochs": 40, "patience": 40}
    longer = long | {"epochs": 46, "warmup_epochs": 16}
    skip: list[tuple[float, dict]] = [  # the policy's keep_bias, and the training
        (1.0, quick | {"cost": 0.5}),
        (1.0, quick | {"cost": 0.2}),
        (1.0, long | {"cost": 0.5}),
        (2.0, longer | {"cost": 0.3, "epochs": 48}),
        (1.0, longer | {"cost": 0.5}),
        (2.0, longer | {"cost": 0.5}),
        (1.0, longer | {"cost": 0.3}),
        (2.0, longer | {"cost": 1.0}),
        (2.0, {}),  # with all the settings that were chosen, written out below
        (1.0, longer | {"cost": 0.5, "warmup_epochs": 24, "settle_epochs": 8}),
    ]
    runs = []
    for i, (backbone, training) in enumerate(full):
        runs.append(Run(f"full {i}", "nextitnet", backbone=backbone, training={"epochs": 40} | training))
    for i, (keep_bias, training) in enumerate(skip):
        run = Run(f"skip {i}", "skiprec", backbone=best, policy={"keep_bias": keep_bias}, training=training)
        runs.append(run if training else replace(chosen_run(name=run.name), policy=run.policy))
    return runs


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
    runs = []
    for seed in range(3):
        here = ("known depth", seed, KNOWN_BACKBONE)
        runs.append(Run(f"full depth, seed {seed}", "nextitnet", *here, {}, KNOWN_TRAINING))
        runs.append(Run(f"SkipRec, seed {seed}", "skiprec", *here, {"keep_bias": 2.0}, KNOWN_GATED))
    return runs


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
        training = KNOWN_GATED | {
            "epochs": epochs, "patience": epochs, "cost": cost, "warmup_epochs": 0,
            "pretrained": f"synthetic/full depth, seed {seed}",
        }  # fmt: skip
        policy = {"keep_bias": keep_bias, "tau": tau}
        return Run(f"{name}, seed {seed}", "skiprec", "known depth", seed, KNOWN_BACKBONE, policy, training)

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
    policies: dict[str, dict] = {
        "mean of a short view": {"keep_bias": 2.0},
        "GRU": {"keep_bias": 2.0, "encoder": "gru"},
    }
    runs = []
    for seed in range(2):
        here = ("known depth", seed, KNOWN_BACKBONE)
        runs.append(Run(f"full depth, seed {seed}", "nextitnet", *here, {}, KNOWN_TRAINING, users))
        for name, policy in policies.items():
            runs.append(Run(f"{name}, seed {seed}", "skiprec", *here, policy, KNOWN_GATED, users))
    return runs


def _beyond() -> list[Run]:
    """Other ways to learn and to build it, on the synthetic users of `synthetic`; two seeds each."""
    attention = {"channels": 32, "num_blocks": 4}
    slow = KNOWN_TRAINING | {"epochs": 30, "patience": 30, "batch_size": 32}
    by_reward = KNOWN_GATED | {"gate_loss": "policy gradient, first place"}
    on_attention = KNOWN_GATED | {"epochs": 12, "patience": 12, "warmup_epochs": 0, "learning_rate": 1e-3}
    open_gates = {"keep_bias": 2.0}
    runs = []
    for seed in range(2):
        here = ("known depth", seed)
        started = on_attention | {"pretrained": f"beyond/SASRec, full depth, seed {seed}"}
        runs += [
            Run(
                f"GRU policy, seed {seed}",
                "skiprec",
                *here,
                KNOWN_BACKBONE,
                open_gates | {"encoder": "gru"},
                KNOWN_GATED,
            ),
            Run(f"policy gradient, seed {seed}", "skiprec", *here, KNOWN_BACKBONE, open_gates, by_reward),
            Run(f"SASRec, full depth, seed {seed}", "sasrec", *here, attention, {}, slow, {"curriculum_epochs": 10}),
            Run(f"SkipRec on SASRec, seed {seed}", "skiprec on sasrec", *here, attention, open_gates, started),
        ]
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

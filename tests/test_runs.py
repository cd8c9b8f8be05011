"""One run: what it refuses, what it is judged by, what it leaves behind."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import histories_log, randomise, tiny_split

from skiprec_lite import checkpoints
from skiprec_lite.backbones import NFM, MarkovChain, NextItNet, Popularity, SASRec
from skiprec_lite.choosing import History
from skiprec_lite.controls import RandomGates, another_users
from skiprec_lite.evaluation import gates_of, ndcg_per_user
from skiprec_lite.lab import judging, runs
from skiprec_lite.lab.random_depth import RandomDepth
from skiprec_lite.lab.runs import Run, check
from skiprec_lite.lab.stand_ins import CONTROLS
from skiprec_lite.skiprec import SkipRec

NETWORK = {"channels": 8, "dilations": [1, 2]}
SYNTHETIC = {"lags": [0, 2], "length": 12, "users_per_group": 20, "items_per_group": 5}
SHORT = {"epochs": 2, "batch_size": 16}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": "nextitnet", "backbone": {"chanels": 8}}, "chanels"),
        ({"model": "nextitnet", "backbone": {"hidden_layers": 8}}, "hidden_layers"),
        ({"model": "nextitnet", "policy": {"keep_bias": 1.0}}, "keep_bias"),
        ({"model": "nextitnet", "training": {"cost": 0.5}}, "cost"),
        ({"model": "nextitnet", "training": {"tau": 1.0}}, "tau"),
        ({"model": "nextitnet", "training": {"seed": 1}}, "seed"),
        ({"model": "nfm", "backbone": {"dilations": [1]}}, "dilations"),
        ({"model": "nfm", "training": {"warmup_epochs": 2}}, "warmup_epochs"),
        ({"model": "nfm", "training": {"negatives": 50}}, "negatives"),
        ({"model": "skiprec", "training": {"negatives": 50, "softmax": "full"}}, "negatives"),
        ({"model": "markov", "training": {"epochs": 2}}, "epochs"),
        ({"model": "popularity", "backbone": {"channels": 2}}, "channels"),
        ({"model": "skiprec", "policy": {"num_blocks": 2}}, "num_blocks"),
        ({"model": "skiprec", "data": {"lags": [1]}}, "lags"),
        ({"model": "skiprec", "protocol": "leave_one_out", "data": {"n": 3}}, "n"),
        ({"model": "skiprec", "protocol": "known depth", "data": {"interactions": 1}}, "interactions"),
        ({"model": "skiprec", "training": {"after_epoch": None}}, "after_epoch"),
        ({"model": "skiprec", "training": {"gate_loss": "hope"}}, "hope"),
        ({"model": "skiprec", "training": {"gate_loss": None}}, "gate_loss"),
        ({"model": "nextitnet", "training": {"gate_loss": "difference"}}, "gate_loss"),
        ({"model": "nextitnet", "policy": {"tau": 1.0}}, "tau"),
        ({"model": "sasrec", "backbone": {"dilations": [1]}}, "dilations"),
        ({"model": "sasrec", "training": {"hold_epochs": 2}}, "hold_epochs"),
        ({"model": "skiprec on sasrec", "backbone": {"kernel_size": 2}}, "kernel_size"),
        ({"model": "random gates", "policy": {"keep_rate": 0.5, "tau": 1.0}}, "tau"),
        ({"model": "random gates", "policy": {"keep_rate": 0.5}, "training": {"cost": 0.1}}, "cost"),
        ({"model": "random gates"}, "keep_rate"),
        ({"model": "random depth", "policy": {"keep_rate": 0.5}}, "keep_rate"),
        ({"model": "random depth"}, "full_share"),
        ({"model": "skiprec", "training": {"stored": "a/b", "gates": "sampled", "epochs": 3}}, "epochs"),
        ({"model": "skiprec", "training": {"stored": "a/b", "gates": "sampled"}, "policy": {"tau": 1.0}}, "tau"),
        (
            {"model": "skiprec", "training": {"stored": "a/b", "gates": "sampled"}, "backbone": {"channels": 8}},
            "channels",
        ),
        ({"model": "skiprec", "training": {"stored": "a/b", "gates": "guessed"}}, "guessed"),
        ({"model": "skiprec", "training": {"stored": "a/b"}}, "gates"),
        ({"model": "skiprec", "training": {"gates": "sampled"}}, "gates"),
        ({"model": "skiprec", "protocol": "known depth", "training": {"stored": "a/b", "gates": "sampled"}}, "last_n"),
        ({"model": "gru"}, "gru"),
        ({"model": "markov", "protocol": "random"}, "random"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"'wrong'.*\b{named}\b"):
        check(Run("wrong", **wrong))


def test_settings_that_are_read_are_allowed() -> None:
    check(Run("a", "markov", data={"n": 5, "length": 20}))
    check(Run("b", "nfm", backbone={"channels": 8, "hidden_layers": 2, "dropout": 0.1}, training={"epochs": 1}))
    check(Run("c", "skiprec", "known depth", 3, NETWORK, {"keep_bias": 1.0}, {"cost": 0.1, "anneal": True}, SYNTHETIC))
    check(Run("d", "skiprec on sasrec", backbone={"heads": 2, "max_length": 9}, policy={"tau": 1.0, "encoder": "gru"}))
    for loss in runs.GATE_LOSSES:
        check(Run("e", "skiprec", training={"gate_loss": loss, "hold_epochs": 2, "pretrained": "a/b"}))
    for gates in CONTROLS:
        check(Run("f", "skiprec", training={"stored": "a/b", "gates": gates}))
    check(Run("g", "random gates", policy={"keep_rate": 0.3}, training={"epochs": 3}))
    check(Run("h", "random depth", policy={"full_share": 0.3}, backbone={"tied": True}))
    check(Run("i", "skiprec", training={"softmax": "sampled", "negatives": 50}))
    grown = SYNTHETIC | {"curriculum_epochs": 3, "test_users_per_group": 9}
    check(Run("j", "sasrec", "known depth", backbone={"num_blocks": 3}, training={"pretrained": "a/b"}, data=grown))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("popularity", Popularity),
        ("markov", MarkovChain),
        ("nfm", NFM),
        ("nextitnet", NextItNet),
        ("skiprec", SkipRec),
        ("sasrec", SASRec),
        ("skiprec on sasrec", SkipRec),
        ("random gates", RandomGates),
        ("random depth", RandomDepth),
    ],
)
def test_a_run_builds_its_model_from_its_own_seed(model: str, kind: type) -> None:
    split = tiny_split()
    torch.manual_seed(0)
    stream = torch.get_rng_state()
    policy = {"random gates": {"keep_rate": 0.3}, "random depth": {"full_share": 0.3}}.get(model, {})
    built = [runs.build(Run("a", model, seed=seed, policy=policy), split) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(type(m) is kind for m in built)
    prints = [judging.fingerprint(m) for m in built]
    assert prints[0] == prints[1]
    assert (prints[0] == prints[2]) == (model in ("popularity", "markov"))


def test_a_fingerprint_changes_with_a_single_bit_and_with_the_shape() -> None:
    net = randomise(NextItNet(5, **NETWORK))
    before = judging.fingerprint(net)
    with torch.no_grad():
        net.blocks[1].conv2.bias[3] = torch.nextafter(net.blocks[1].conv2.bias[3], torch.tensor(9.0))
    assert judging.fingerprint(net) != before
    twins = [NFM(6, channels=6) for _ in range(2)]
    for net, shape in zip(twins, ((6, 6), (9, 4))):  # the same numbers in the same order
        net.output.weight = torch.nn.Parameter(torch.arange(36.0).reshape(shape))
        net.load_state_dict({name: t for name, t in twins[0].state_dict().items() if name != "output.weight"}, False)
    assert judging.fingerprint(twins[0]) != judging.fingerprint(twins[1])


def test_a_run_s_settings_reach_its_model() -> None:
    split = tiny_split()
    policy = {"tau": 0.5, "encoder": "gru", "keep_bias": 3.0, "embedding_channels": 5}
    skiprec = runs.build(Run("a", "skiprec", backbone=NETWORK, policy=policy), split)
    assert skiprec.tau == 0.5
    assert (skiprec.policy.sizes["encoder"], skiprec.policy.sizes["keep_bias"]) == ("gru", 3.0)
    assert skiprec.policy.sizes["num_blocks"] == len(skiprec.backbone.blocks) == 2
    assert policy["tau"] == 0.5
    assert runs.build(Run("a", "skiprec", backbone=NETWORK), split).tau == 10.0
    other = runs.build(Run("a", "skiprec on sasrec", backbone={"num_blocks": 3, "channels": 6}), split)
    assert isinstance(other.backbone, SASRec)
    assert other.policy.sizes["num_blocks"] == len(other.backbone.blocks) == 3
    assert runs.build(Run("a", "random gates", backbone=NETWORK, policy={"keep_rate": 0.3}), split).keep_rate == 0.3
    assert runs.build(Run("a", "random depth", backbone=NETWORK, policy={"full_share": 0.3}), split).full_share == 0.3


def test_a_fingerprint_changes_with_the_gates_that_a_model_is_judged_under() -> None:
    net = randomise(NextItNet(5, **NETWORK))
    one, other = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    prints = [judging.fingerprint(net, gates) for gates in (None, [], [one], [other], [one, other], [other, one])]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 5
    assert judging.fingerprint(net, [one.clone()]) == prints[2]


@pytest.mark.parametrize("model", ["nextitnet", "skiprec"])
def test_a_run_on_synthetic_users_gives_accuracies_per_group(model: str) -> None:
    more = {"warmup_epochs": 0, "ramp_epochs": 1} if model == "skiprec" else {}
    run = Run("a", model, "known depth", 1, NETWORK, {}, SHORT | more, SYNTHETIC)
    outcome = runs.execute(run, version="abc", progress=False)
    assert outcome.row["version"] == "abc"
    assert outcome.row["settings"] == run.settings()
    assert outcome.row["weights"] == judging.fingerprint(outcome.model)
    assert len(outcome.history.epochs) == outcome.row["epochs"] == 2
    assert 0 <= outcome.row["accuracy, lag 0"] <= 1
    assert outcome.per_user is None
    assert (outcome.row["pattern, lag 2"] == "") == (model == "nextitnet")
    again = runs.execute(run, version="abc", progress=False)
    assert {**again.row, "seconds": 0} == {**outcome.row, "seconds": 0}


NETWORKS: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "random gates": ("random gates", NETWORK, {"keep_rate": 0.5}, {}),
    "random depth": ("random depth", NETWORK, {"full_share": 0.5}, {}),
    "sasrec": ("sasrec", {"channels": 8}, {}, {}),
    "skiprec on sasrec": ("skiprec on sasrec", {"channels": 8}, {"tau": 1.0}, {"warmup_epochs": 0, "ramp_epochs": 1}),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_run_of_every_other_network_can_be_repeated(network: str) -> None:
    model, backbone, policy, more = NETWORKS[network]
    run = Run("a", model, "known depth", 1, backbone, policy, SHORT | more, SYNTHETIC)
    check(run)
    first, again = (runs.execute(run, progress=False, watch=True) for _ in range(2))
    assert {**again.row, "seconds": 0} == {**first.row, "seconds": 0}
    assert 0 < first.row["accuracy, lag 2"] < 1
    assert (first.row["pattern, lag 2"] == "") == (model != "skiprec on sasrec")


def test_each_gate_loss_and_temperature_leaves_weights_of_its_own() -> None:
    more = SHORT | {"epochs": 1, "warmup_epochs": 0, "ramp_epochs": 0, "cost": 0.5}
    found = {}
    for loss in (None, *runs.GATE_LOSSES):
        given = {} if loss is None else {"gate_loss": loss}
        run = Run("a", "skiprec", "known depth", 1, NETWORK, {}, more | given, SYNTHETIC)
        found[loss] = runs.execute(run, progress=False).row["weights"]
    assert found.pop(None) == found["straight-through"]
    assert len(set(found.values())) == len(found) == 6
    cold = Run("a", "skiprec", "known depth", 1, NETWORK, {"tau": 1.0}, more, SYNTHETIC)
    assert runs.execute(cold, progress=False).row["weights"] not in found.values()


def test_a_steered_cost_begins_anew_with_every_run() -> None:
    first, second = (runs.GATE_LOSSES["steered cost"]() for _ in range(2))
    assert first is not second


def test_groups_are_watched_after_each_epoch_and_the_training_is_the_same() -> None:
    more = {"warmup_epochs": 1, "ramp_epochs": 1, "epochs": 3}
    run = Run("a", "skiprec", "known depth", 1, NETWORK, {}, SHORT | more, SYNTHETIC)
    watched, alone = (runs.execute(run, progress=False, watch=watch) for watch in (True, False))
    assert watched.row["weights"] == alone.row["weights"]
    assert alone.groups == []
    assert [(row["epoch"], row["lag"]) for row in watched.groups] == [(e, lag) for e in range(3) for lag in (0, 2)]
    added = [key for key in watched.row if key not in alone.row]
    assert added == ["blocks, lag 0", "blocks, lag 2", "accuracy, lag 2 with gates of lag 0", "count auc"]
    without = runs.execute(
        Run("b", "nextitnet", "known depth", 1, NETWORK, {}, SHORT, SYNTHETIC), watch=True, progress=False
    )
    assert list(without.row) == list(watched.row)
    assert [without.row[key] for key in added] == [""] * 4


def test_borrowed_gates_and_how_well_a_count_tells_groups_apart() -> None:
    """Users of lag 0 keep one block or none, users of lag 2 both, or one: of nine pairs seven in order, two level."""
    known = runs.WORLDS["known depth"](**SYNTHETIC | {"users_per_group": 3})
    cases = known.split().test
    model = runs.build(Run("a", "skiprec", backbone=NETWORK), known.split())
    gates = torch.tensor([[0.0, 0], [1, 1], [1, 0], [1, 1], [1, 0], [0, 1]])  # the two groups in turn

    class Fixed(SkipRec):
        def gates(self, items: torch.Tensor, cut: torch.Tensor | None = None, *, sample: bool) -> torch.Tensor:
            return gates

    randomise(model.backbone, scale=1.0)
    row = judging.depth_of_groups(known, Fixed(model.backbone, model.policy), cases)
    assert row["blocks, lag 0"] == pytest.approx(2 / 3, abs=1e-3)
    assert row["blocks, lag 2"] == pytest.approx(5 / 3, abs=1e-3)
    assert row["count auc"] == pytest.approx(8 / 9, abs=1e-3)
    borrowed = gates.clone()
    borrowed[1::2] = gates[::2]
    best = model.backbone(cases.items, borrowed)[..., 1:].argmax(dim=-1) + 1
    correct = (best == cases.targets)[1::2][cases.targets[1::2] > 0].float().mean()
    assert row["accuracy, lag 2 with gates of lag 0"] == pytest.approx(float(correct), abs=1e-3)


# --- runs that need an earlier one ---


@pytest.fixture
def small_movielens(monkeypatch: pytest.MonkeyPatch) -> None:
    walks = [[(start + step * (1 + start % 3)) % 15 + 1 for step in range(40)] for start in range(30)]
    monkeypatch.setattr(runs, "load_movielens", lambda: histories_log(walks, 15))


DATA = {"n": 2, "length": 8}
EARLIER = Run(
    "earlier", "skiprec", backbone=NETWORK, training={**SHORT, "warmup_epochs": 0, "ramp_epochs": 0}, data=DATA
)


def left_by(run: Run, stored: Path) -> SkipRec:
    model = runs.build(run, runs.PROTOCOLS[run.protocol](runs.load_movielens(), **run.data))
    randomise(model, scale=0.5)
    with torch.no_grad():
        model.policy.output.bias.zero_()
    (stored / "before").mkdir(parents=True, exist_ok=True)
    checkpoints.save(model, stored / "before" / f"{run.name}.safetensors")
    return model.eval()


@pytest.mark.usefixtures("small_movielens")
@pytest.mark.parametrize("gates", CONTROLS)
def test_an_earlier_run_is_judged_again_under_other_gates(gates: str, tmp_path: Path) -> None:
    model = left_by(EARLIER, tmp_path)
    run = Run("again", "skiprec", training={"stored": "before/earlier", "gates": gates}, data=DATA)
    check(run)
    outcome = runs.execute(run, stored=tmp_path, progress=False)
    cases = runs.PROTOCOLS["last_n"](runs.load_movielens(), **DATA).test
    chosen = CONTROLS[gates](model, cases)
    per_user = torch.stack([ndcg_per_user(model, cases, gates=choice, exclude_seen=False) for choice in chosen]).mean(
        dim=0
    )
    torch.testing.assert_close(outcome.per_user, per_user, rtol=0, atol=1e-12)
    assert outcome.row["ndcg@10"] == pytest.approx(float(per_user.mean()), abs=1e-5)
    assert outcome.row["blocks"] == pytest.approx(float(torch.cat(chosen).sum(dim=1).mean()), abs=1e-3)
    assert outcome.row["patterns"] == len(torch.cat(chosen).unique(dim=0))
    assert outcome.row["epochs"] == 0
    assert outcome.row["weights"] == judging.fingerprint(model, chosen) != judging.fingerprint(model)


@pytest.mark.usefixtures("small_movielens")
def test_gates_chosen_otherwise_rank_otherwise(tmp_path: Path) -> None:
    model = left_by(EARLIER, tmp_path)
    cases = runs.PROTOCOLS["last_n"](runs.load_movielens(), **DATA).test
    own = gates_of(model, cases)
    by_others = ndcg_per_user(model, cases, gates=another_users(own), exclude_seen=False)
    assert not torch.equal(by_others, ndcg_per_user(model, cases, exclude_seen=False))
    outcomes = [
        runs.execute(
            Run("a", "skiprec", training={"stored": "before/earlier", "gates": gates}, data=DATA), stored=tmp_path
        )
        for gates in CONTROLS
    ]
    assert len({outcome.row["weights"] for outcome in outcomes}) == 6


@pytest.mark.usefixtures("small_movielens")
def test_two_stages_start_from_an_earlier_backbone(tmp_path: Path) -> None:
    before = Run("full depth", "nextitnet", backbone=NETWORK, data=DATA)
    split = runs.PROTOCOLS["last_n"](runs.load_movielens(), **DATA)
    backbone = randomise(runs.build(before, split))
    (tmp_path / "before").mkdir()
    checkpoints.save(backbone, tmp_path / "before" / "full depth.safetensors")
    training = {"epochs": 1, "warmup_epochs": 0, "ramp_epochs": 0, "learning_rate": 1e-30}
    run = Run(
        "a", "skiprec", backbone=NETWORK, policy={"embedding_channels": 8}, data=DATA,
        training=training | {"pretrained": "before/full depth"},
    )  # fmt: skip
    check(run)
    model = runs.execute(run, stored=tmp_path, progress=False).model
    assert torch.equal(model.policy.embedding.weight, backbone.embedding.weight)
    for name, tensor in backbone.state_dict().items():
        torch.testing.assert_close(model.backbone.state_dict()[name], tensor, rtol=0, atol=1e-20)


@pytest.mark.usefixtures("small_movielens")
@pytest.mark.parametrize("key", ["stored", "pretrained"])
def test_an_earlier_run_that_is_missing_or_does_not_fit_is_named(key: str, tmp_path: Path) -> None:
    training = {"stored": "quality/gone", "gates": "sampled"} if key == "stored" else {"pretrained": "quality/gone"}
    run = Run("a", "skiprec", backbone={} if key == "stored" else NETWORK, training=training, data=DATA)
    with pytest.raises(FileNotFoundError, match="no folder"):
        runs.execute(run, progress=False)
    with pytest.raises(FileNotFoundError, match=r"gone.*experiment quality"):
        runs.execute(run, stored=tmp_path, progress=False)
    split = runs.PROTOCOLS["last_n"](runs.load_movielens(), **DATA)
    wrong = runs.build(EARLIER, split) if key == "pretrained" else runs.build(EARLIER, split).backbone
    (tmp_path / "quality").mkdir()
    checkpoints.save(wrong, tmp_path / "quality" / "gone.safetensors")
    with pytest.raises(ValueError, match="gone"):
        runs.execute(run, stored=tmp_path, progress=False)


def test_a_run_on_running_products_gives_accuracies_by_steps() -> None:
    run = Run("a", "nextitnet", "running products", 0, NETWORK, {}, SHORT, {"length": 10, "users": 50, "marker": 0.1})
    row = runs.execute(run, progress=False).row
    shares = [row[f"accuracy, {steps} steps"] for steps in ("0-4", "5-9")]
    assert min(shares) - 1e-4 <= row["accuracy"] <= max(shares) + 1e-4
    assert len([key for key in row if "steps" in key]) == 2


def test_a_search_does_not_look_at_the_test_items(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []
    real = judging.rank_cases
    monkeypatch.setattr(
        judging, "rank_cases", lambda model, cases, **more: judged.append(cases) or real(model, cases, **more)
    )
    run = Run("a", "markov", data={"length": 20})
    searched, reported = (runs.execute(run, test=test, progress=False) for test in (False, True))
    assert len(judged) == 1
    assert searched.row["ndcg@10"] == ""
    assert searched.per_user is None
    assert reported.row["ndcg@10"] == pytest.approx(float(reported.per_user.mean()), abs=1e-5)
    assert searched.row["validation ndcg@10"] == reported.row["validation ndcg@10"] > 0.04


def test_half_of_a_training_is_not_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "fit", lambda *_, **__: History(stopped="interrupted"))
    with pytest.raises(KeyboardInterrupt):
        runs.execute(Run("a", "nextitnet", "known depth", 0, NETWORK, {}, SHORT, SYNTHETIC), progress=False)

"""Experiments: resumed without losing or doubling a row, honest about their settings, equal to their tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers import histories_log
from test_runs import NETWORK, SHORT, SYNTHETIC

from skiprec_lite import checkpoints, tables
from skiprec_lite.backbones import NextItNet
from skiprec_lite.lab import experiments, runs
from skiprec_lite.lab.experiments import EXPERIMENTS, Experiment
from skiprec_lite.lab.runs import Outcome, Run
from skiprec_lite.skiprec import SkipRec


def small(name: str, *, seed: int = 0, **training: Any) -> Run:
    return Run(name, "nextitnet", "known depth", seed, NETWORK, {}, SHORT | training, SYNTHETIC)


Start = Callable[..., pd.DataFrame]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run these as an experiment called "made_up", in a folder of the test's own."""
    monkeypatch.setattr(experiments, "commit", lambda *, uncommitted: "0" * 9)

    def run_these(*these: Run, watch: bool = False) -> pd.DataFrame:
        monkeypatch.setitem(EXPERIMENTS, "made_up", Experiment(lambda: list(these), these[0].name, watch=watch))
        return experiments.run_experiment("made_up", folder=tmp_path / "results", progress=False)

    return run_these


def executed(monkeypatch: pytest.MonkeyPatch, *, killed_at: str = "") -> list[str]:
    """The names of the runs that are executed from now on; one of them may be killed."""
    names: list[str] = []
    real = runs.execute

    def watched(run: Run, **options: Any) -> Outcome:
        if run.name == killed_at:
            raise KeyboardInterrupt
        names.append(run.name)
        return real(run, **options)

    monkeypatch.setattr(experiments, "execute", watched)
    return names


def test_a_killed_experiment_goes_on_where_it_stopped(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    these = [small("a"), small("b", seed=1), small("c", seed=2)]
    names = executed(monkeypatch, killed_at="c")
    with pytest.raises(KeyboardInterrupt):
        start(*these)
    assert names == ["a", "b"]
    table = tmp_path / "results" / "made_up.csv"
    before = table.read_text()
    names = executed(monkeypatch)
    found = start(*these)
    assert names == ["c"]
    assert table.read_text().startswith(before)
    assert list(found["run"]) == ["a", "b", "c"]
    epochs = tables.read_table(tmp_path / "results" / "made_up_epochs.csv")
    assert list(zip(epochs["run"], epochs["epoch"])) == [(name, epoch) for name in "abc" for epoch in range(2)]
    saved = tmp_path / "runs" / "made_up" / "b.safetensors"
    assert runs.fingerprint(checkpoints.load(saved)) == found["weights"][1]


def test_what_a_killed_run_left_in_the_side_tables_is_dropped(start: Start, tmp_path: Path) -> None:
    start(small("a"))
    epochs = tmp_path / "results" / "made_up_epochs.csv"
    lines = epochs.read_text().splitlines(keepends=True)
    epochs.write_text("".join([*lines, *(line.replace("a,", "b,", 1) for line in lines[1:])]))
    start(small("a"), small("b", seed=1))
    assert list(tables.read_table(epochs)["run"]) == ["a", "a", "b", "b"]


def test_a_swept_factor_that_changes_nothing_is_an_error(start: Start, tmp_path: Path) -> None:
    ignored = small("patience 5", patience=5), small("patience 9", patience=9)  # both run all of their two epochs
    with pytest.raises(ValueError, match=r"'patience 5' and 'patience 9' end with the same weights.*settings"):
        start(*ignored)
    assert list(tables.read_table(tmp_path / "results" / "made_up.csv")["run"]) == ["patience 5"]


def test_a_row_made_with_other_settings_is_not_taken_for_today_s(start: Start) -> None:
    start(small("a"))
    for other in (small("a", learning_rate=3e-3), small("a", seed=1), small("b")):
        with pytest.raises(ValueError, match="'a', was made with other settings"):
            start(other)


def test_a_setting_that_nothing_reads_stops_an_experiment_before_its_first_run(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cost"):
        start(small("a"), small("b", cost=0.5))
    assert not (tmp_path / "results").exists()


def test_uncommitted_changes_stop_an_experiment_before_its_first_run(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*, uncommitted: bool) -> str:
        raise ValueError(f"uncommitted={uncommitted}")

    monkeypatch.setattr(experiments, "commit", refuse)
    with pytest.raises(ValueError, match="uncommitted=False"):
        start(small("a"))
    assert not (tmp_path / "results").exists()


def test_check_compares_the_smallest_row_with_a_fresh_run(start: Start, tmp_path: Path) -> None:
    start(small("a"))
    folder = tmp_path / "results"
    found = experiments.check("made_up", folder=folder)
    assert found["found"] == found["in the table"] > 0.1
    table = folder / "made_up.csv"
    row = pd.read_csv(table)
    row["validation ndcg@10"] += 0.002
    row.to_csv(table, index=False)
    with pytest.raises(ValueError, match="the table says"):
        experiments.check("made_up", folder=folder)
    row["run"] = "b"
    row.to_csv(table, index=False)
    with pytest.raises(ValueError, match="no row 'a'"):
        experiments.check("made_up", folder=folder)


def gated(name: str, *, seed: int = 0, **training: Any) -> Run:
    short = SHORT | {"warmup_epochs": 1, "ramp_epochs": 0} | training
    return Run(name, "skiprec", "known depth", seed, NETWORK, {}, short, SYNTHETIC)


def test_watched_groups_have_a_table_of_their_own(start: Start, tmp_path: Path) -> None:
    found = start(small("a"), gated("b"), gated("c", seed=1), watch=True)
    groups = tables.read_table(tmp_path / "results" / "made_up_groups.csv")
    names = ["run", "epoch", "lag", "accuracy", "blocks", "keep", "slope", "difference", "signal", "noise"]
    assert list(groups.columns) == names
    rows = [(run, epoch, lag) for run in "bc" for epoch in range(2) for lag in (0, 2)]
    assert list(zip(groups["run"], groups["epoch"], groups["lag"])) == rows
    assert all(len(text.split(" ")) == 2 for column in ("keep", "slope", "difference") for text in groups[column])
    assert found["count auc"].notna().tolist() == [False, True, True]


def test_without_watching_there_is_no_such_table(start: Start, tmp_path: Path) -> None:
    start(gated("b"))
    assert not (tmp_path / "results" / "made_up_groups.csv").exists()


def test_what_a_killed_run_left_of_its_groups_is_dropped(start: Start, tmp_path: Path) -> None:
    start(gated("b"), watch=True)
    groups = tmp_path / "results" / "made_up_groups.csv"
    before = groups.read_text()
    lines = before.splitlines(keepends=True)
    groups.write_text("".join([*lines, *(line.replace("b,", "c,", 1) for line in lines[1:])]))
    start(gated("b"), gated("c", seed=1), watch=True)
    assert list(tables.read_table(groups)["run"]) == ["b"] * 4 + ["c"] * 4
    assert groups.read_text().startswith(before)


def test_a_run_starts_from_one_that_stands_before_it(start: Start, tmp_path: Path) -> None:
    found = start(small("a"), gated("b", pretrained="made_up/a", learning_rate=1e-30, warmup_epochs=0))
    first, second = (checkpoints.load(tmp_path / "runs" / "made_up" / f"{name}.safetensors") for name in "ab")
    for name, tensor in first.state_dict().items():
        assert (second.backbone.state_dict()[name] - tensor).abs().max() < 1e-20
    assert list(found["run"]) == ["a", "b"]


def test_what_is_trained_is_stored_as_something_that_can_be_judged_again(start: Start, tmp_path: Path) -> None:
    """Random gates as a SkipRec of that rate, random depths as the backbone; a name may hold the word stored."""
    these = [
        Run("gates, stored", "random gates", "known depth", 0, NETWORK, {"keep_rate": 0.3}, SHORT, SYNTHETIC),
        Run("depths", "random depth", "known depth", 0, NETWORK, {"full_share": 0.3}, SHORT, SYNTHETIC),
    ]
    start(*these, small("c", pretrained="made_up/depths"))
    folder = tmp_path / "runs" / "made_up"
    gates, depths = (checkpoints.load(folder / f"{run.name}.safetensors") for run in these)
    assert isinstance(gates, SkipRec)
    logits = gates.gate_logits(runs.WORLDS["known depth"](**SYNTHETIC).split().test.items)
    assert (logits.softmax(dim=-1)[..., 0] - 0.3).abs().max() < 1e-6
    assert isinstance(depths, NextItNet)
    assert checkpoints.notes(folder / "depths.safetensors")["command"] == "python -m skiprec_lite experiment made_up"
    assert (folder / "c.safetensors").exists()


def test_a_run_judged_again_is_not_stored_again(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walks = [[(begin + step * (1 + begin % 3)) % 15 + 1 for step in range(40)] for begin in range(30)]
    monkeypatch.setattr(runs, "load_movielens", lambda: histories_log(walks, 15))
    data = {"n": 2, "length": 8}
    short = SHORT | {"warmup_epochs": 0, "ramp_epochs": 0, "learning_rate": 0.05}
    again = [
        Run(gates, "skiprec", training={"stored": "made_up/trained", "gates": gates}, data=data)
        for gates in ("full depth", "random, same rate")
    ]
    found = start(Run("trained", "skiprec", backbone=NETWORK, training=short, data=data), *again)
    assert [path.name for path in (tmp_path / "runs" / "made_up").iterdir()] == ["trained.safetensors"]
    assert found["blocks"][1] == 2
    users = tables.read_table(tmp_path / "results" / "made_up_users.csv")
    assert list(users["run"]) == ["trained", "full depth", "random, same rate"]
    epochs = tables.read_table(tmp_path / "results" / "made_up_epochs.csv")
    assert set(epochs["run"]) == {"trained"}


def test_an_unknown_experiment_is_refused(tmp_path: Path) -> None:
    for function in (experiments.run_experiment, experiments.check):
        with pytest.raises(ValueError, match=r"'depht'.*depth"):
            function("depht", folder=tmp_path)


# --- the committed tables ---


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_committed_table_holds_each_run_as_it_is_defined(name: str) -> None:
    defined = {run.name: run for run in EXPERIMENTS[name].runs()}
    assert len(defined) == len(EXPERIMENTS[name].runs())
    assert EXPERIMENTS[name].smallest in defined
    table = tables.read_table(tables.RESULTS / f"{name}.csv")
    assert sorted(table["run"]) == sorted(defined)
    for row in table.to_dict("records"):
        run = defined[row["run"]]
        run.check()
        assert (row["settings"], row["seed"], row["model"]) == (run.settings(), run.seed, run.model)
    known = table["weights"].dropna()
    assert known.is_unique
    if not EXPERIMENTS[name].test:
        assert table["ndcg@10"].isna().all()


@pytest.mark.parametrize("path", sorted(tables.RESULTS.glob("*_users.csv")), ids=lambda p: p.stem)
def test_each_user_s_ndcg_has_the_mean_that_the_table_says(path: Path) -> None:
    table = tables.read_table(path.with_name(path.name.replace("_users", ""))).set_index("run")["ndcg@10"]
    of_users = pd.read_csv(path).set_index("run")
    assert sorted(of_users.index) == sorted(table.index)
    assert (of_users.mean(axis=1) - table[of_users.index]).abs().max() < 2e-5

"""Experiments: resumed without losing or doubling a row, honest about their settings, equal to their tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_runs import NETWORK, SHORT, SYNTHETIC

from skiprec_lite import checkpoints, experiments, runs
from skiprec_lite.experiments import EXPERIMENTS, Experiment
from skiprec_lite.runs import Outcome, Run


def small(name: str, *, seed: int = 0, **training: Any) -> Run:
    return Run(name, "nextitnet", "known depth", seed, NETWORK, {}, SHORT | training, SYNTHETIC)


Start = Callable[..., pd.DataFrame]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run these as an experiment called "made_up", in a folder of the test's own."""
    monkeypatch.setattr(experiments, "commit", lambda *, uncommitted: "0" * 9)

    def run_these(*these: Run) -> pd.DataFrame:
        monkeypatch.setitem(EXPERIMENTS, "made_up", Experiment(lambda: list(these), these[0].name))
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
    epochs = runs.read_table(tmp_path / "results" / "made_up_epochs.csv")
    assert list(zip(epochs["run"], epochs["epoch"])) == [(name, epoch) for name in "abc" for epoch in range(2)]
    saved = tmp_path / "runs" / "made_up" / "b.safetensors"
    assert runs.fingerprint(checkpoints.load(saved)) == found["weights"][1]


def test_what_a_killed_run_left_in_the_side_tables_is_dropped(start: Start, tmp_path: Path) -> None:
    start(small("a"))
    epochs = tmp_path / "results" / "made_up_epochs.csv"
    lines = epochs.read_text().splitlines(keepends=True)
    epochs.write_text("".join([*lines, *(line.replace("a,", "b,", 1) for line in lines[1:])]))
    start(small("a"), small("b", seed=1))
    assert list(runs.read_table(epochs)["run"]) == ["a", "a", "b", "b"]


def test_a_swept_factor_that_changes_nothing_is_an_error(start: Start, tmp_path: Path) -> None:
    ignored = small("patience 5", patience=5), small("patience 9", patience=9)  # both run all of their two epochs
    with pytest.raises(ValueError, match=r"'patience 5' and 'patience 9' end with the same weights.*settings"):
        start(*ignored)
    assert list(runs.read_table(tmp_path / "results" / "made_up.csv")["run"]) == ["patience 5"]


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
    table = runs.read_table(experiments.RESULTS / f"{name}.csv")
    assert sorted(table["run"]) == sorted(defined)
    for row in table.to_dict("records"):
        run = defined[row["run"]]
        run.check()
        assert (row["settings"], row["seed"], row["model"]) == (run.settings(), run.seed, run.model)
    known = table["weights"].dropna()
    assert known.is_unique
    if not EXPERIMENTS[name].test:
        assert table["ndcg@10"].isna().all()


@pytest.mark.parametrize("path", sorted(experiments.RESULTS.glob("*_users.csv")), ids=lambda p: p.stem)
def test_each_user_s_ndcg_has_the_mean_that_the_table_says(path: Path) -> None:
    table = runs.read_table(path.with_name(path.name.replace("_users", ""))).set_index("run")["ndcg@10"]
    of_users = pd.read_csv(path).set_index("run")
    assert sorted(of_users.index) == sorted(table.index)
    assert (of_users.mean(axis=1) - table[of_users.index]).abs().max() < 2e-5

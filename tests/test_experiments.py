"""Experiments: no row lost or doubled, settings and code named, level with their tables when run again."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers import histories_log
from test_runs import NETWORK, SHORT, SYNTHETIC

from skiprec_lite import checkpoints, tables
from skiprec_lite.backbones import NextItNet
from skiprec_lite.lab import experiments, judging, runs
from skiprec_lite.lab.plans import EXPERIMENTS, Experiment
from skiprec_lite.lab.runs import Outcome, Run, check
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
    assert judging.fingerprint(checkpoints.load(saved)) == found["weights"][1]


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


def moved(table: Path, run: str, by: float) -> None:
    """Change what a table says of a run."""
    rows = pd.read_csv(table)
    rows.loc[rows["run"] == run, "validation ndcg@10 all"] += by
    rows.to_csv(table, index=False)


def test_check_compares_the_smallest_row_with_a_fresh_run(start: Start, tmp_path: Path) -> None:
    start(small("a"))
    folder = tmp_path / "results"
    found = experiments.check("made_up", folder=folder, progress=False)
    assert found["found"] == found["in the table"] > 0.1
    assert found["allowance"] == experiments.ONE_SEED
    moved(folder / "made_up.csv", "a", 0.002)
    assert experiments.check("made_up", folder=folder, progress=False)["found"] == found["found"]
    moved(folder / "made_up.csv", "a", 0.002)
    with pytest.raises(ValueError, match=r"the table says.*further apart than 0\.0030 \(one seed"):
        experiments.check("made_up", folder=folder, progress=False)
    rows = pd.read_csv(folder / "made_up.csv").assign(run="b")
    rows.to_csv(folder / "made_up.csv", index=False)
    with pytest.raises(ValueError, match="no row 'a'"):
        experiments.check("made_up", folder=folder, progress=False)


def test_what_check_allows_is_the_spread_over_the_seeds_of_its_row(start: Start, tmp_path: Path) -> None:
    """Twice their standard deviation, a thousandth at least; another setting is another row."""
    other = small("other", learning_rate=3e-3)
    start(small("a"), small("b", seed=1), small("c", seed=2), other)
    folder = tmp_path / "results"
    of_seeds = tables.read_table(folder / "made_up.csv")["validation ndcg@10 all"][:3]
    found = experiments.check("made_up", folder=folder, progress=False)
    assert found["allowance"] == max(1e-3, 2 * of_seeds.std())
    for run, value in (("b", of_seeds[1]), ("c", of_seeds[2])):
        moved(folder / "made_up.csv", run, 1.0 - value)  # far from the first seed
    assert experiments.check("made_up", folder=folder, progress=False)["allowance"] > 0.5
    for run in ("b", "c"):
        moved(folder / "made_up.csv", run, of_seeds[0] - 1.0)  # level with it
    assert experiments.check("made_up", folder=folder, progress=False)["allowance"] == 1e-3


def test_a_seed_in_the_name_of_an_earlier_run_makes_no_other_row() -> None:
    again = [
        Run(f"again {seed}", "skiprec", seed=seed, training={"stored": f"a/SkipRec, seed {seed}", "gates": "sampled"})
        for seed in range(3)
    ]
    rows = [
        {"model": run.model, "protocol": run.protocol, "seed": run.seed, "settings": run.settings()} for run in again
    ]
    table = pd.DataFrame(rows).assign(**{"validation ndcg@10 unseen": [0.1, 0.11, 0.12], "validation ndcg@10 all": 0})
    allowed, why = experiments.allowance(again[0], table)
    assert allowed == pytest.approx(0.02)
    assert "over 3 seeds" in why


@pytest.mark.parametrize("model", runs.COUNTING)
def test_models_that_count_draw_nothing(model: str) -> None:
    assert experiments.allowance(Run("a", model), pd.DataFrame())[0] == experiments.ROUNDING


def test_check_says_which_weights_it_lacks(start: Start, tmp_path: Path) -> None:
    start(small("a"), gated("b", pretrained="made_up/a", warmup_epochs=0))
    EXPERIMENTS["made_up"] = Experiment(EXPERIMENTS["made_up"].runs, "b")
    (tmp_path / "runs" / "made_up" / "a.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"needs the weights of made_up/a: run `python -m .* made_up` first"):
        experiments.check("made_up", folder=tmp_path / "results", progress=False)


def gated(name: str, *, seed: int = 0, **training: Any) -> Run:
    short = SHORT | {"warmup_epochs": 1, "ramp_epochs": 0} | training
    return Run(name, "skiprec", "known depth", seed, NETWORK, {}, short, SYNTHETIC)


def test_watched_groups_have_a_table_of_their_own(start: Start, tmp_path: Path) -> None:
    found = start(small("a"), gated("b"), gated("c", seed=1), watch=True)
    groups = tables.read_table(tmp_path / "results" / "made_up_groups.csv")
    names = ["run", "epoch", "lag", "accuracy", "blocks", "keep", "probability", "slope", "difference", "signal",
             "noise", "accuracy, sampled", "accuracy, above .2", "blocks, above .2"]  # fmt: skip
    assert list(groups.columns) == names
    rows = [(run, epoch, lag) for run in "bc" for epoch in range(2) for lag in (0, 2)]
    assert list(zip(groups["run"], groups["epoch"], groups["lag"])) == rows
    assert all(
        len(text.split(" ")) == 2
        for column in ("keep", "probability", "slope", "difference")
        for text in groups[column]
    )
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
    again.append(replace(again[0], name="full depth, again"))  # two rules may choose the same gates: no error
    found = start(Run("trained", "skiprec", backbone=NETWORK, training=short, data=data), *again)
    assert [path.name for path in (tmp_path / "runs" / "made_up").iterdir()] == ["trained.safetensors"]
    assert found["blocks"][1] == found["blocks"][3] == 2
    assert found["weights"][1] == found["weights"][3] != found["weights"][2]
    users = tables.read_table(tmp_path / "results" / "made_up_users.csv")
    names = ("trained", "full depth", "random, same rate", "full depth, again")
    assert list(users["run"]) == [name for name in names for _ in range(4)]
    epochs = tables.read_table(tmp_path / "results" / "made_up_epochs.csv")
    assert set(epochs["run"]) == {"trained"}


def test_an_unknown_experiment_is_refused(tmp_path: Path) -> None:
    for function in (experiments.run_experiment, experiments.check):
        with pytest.raises(ValueError, match=r"'setings'.*settings"):
            function("setings", folder=tmp_path)


# --- which code made a row ---


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one committed package, which stands in for ours."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "code.py").write_text("x = 1\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    monkeypatch.setattr(experiments, "PACKAGE", package)
    return package


def test_a_committed_package_has_its_commit_s_name(repository: Path) -> None:
    (repository.parent / "notes.md").write_text("outside of the package: no concern of a run")
    found = experiments.commit()
    assert len(found) == 9
    head = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert head.startswith(found)


@pytest.mark.parametrize("file", ["code.py", "new.py"])
def test_uncommitted_changes_are_refused_unless_told(repository: Path, file: str) -> None:
    (repository / file).write_text("x = 2\n")
    with pytest.raises(ValueError, match=rf"(?s)--uncommitted.*{file}"):
        experiments.commit()
    assert experiments.commit(uncommitted=True).endswith("-dirty")


def test_outside_of_a_repository_the_version_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "PACKAGE", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert experiments.commit() == "unknown"


# --- tables ---


def test_rows_are_added_and_text_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    rows = [{"run": f"{i}, é", "weights": "1e5000000000", "version": "001234567", "blocks": i} for i in range(3)]
    experiments.append_rows(path, rows[:1])
    experiments.append_rows(path, rows[1:])
    pd.testing.assert_frame_equal(tables.read_table(path), pd.DataFrame(rows), check_dtype=False)


def test_a_row_with_other_columns_is_refused_and_the_table_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    experiments.append_rows(path, [{"run": "a", "x": 1}])
    before = path.read_bytes()
    for other in ({"run": "b"}, {"run": "b", "y": 1}, {"x": 1, "run": "b"}):
        with pytest.raises(ValueError, match=r"table\.csv has the columns"):
            experiments.append_rows(path, [other])
    assert path.read_bytes() == before


def test_a_line_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("run,x\na,1\nb,")
    with pytest.raises(ValueError, match="cut off"):
        tables.read_table(path)


def test_rows_of_other_runs_are_dropped_and_the_rest_keeps_its_digits(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("run,x,y\na,0.1,\nb,0.25,3\na,0.300001,1\n")
    experiments.keep_rows(path, {"a"})
    assert path.read_text() == "run,x,y\na,0.1,\na,0.300001,1.0\n"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


# --- the committed tables ---


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_committed_table_holds_each_run_as_it_is_defined(name: str) -> None:
    defined = {run.name: run for run in EXPERIMENTS[name].runs()}
    assert len(defined) == len(EXPERIMENTS[name].runs())
    assert EXPERIMENTS[name].smallest in defined
    path = tables.RESULTS / f"{name}.csv"
    table = tables.read_table(path)
    assert list(table["run"]) == list(defined)
    for row in table.to_dict("records"):
        run = defined[row["run"]]
        check(run)
        assert (row["settings"], row["seed"], row["model"]) == (run.settings(), run.seed, run.model)
    # two counters may hold the same counts and read them otherwise, two rules may choose the same gates
    trained = table[table["epochs"] > 0]
    assert trained["weights"].notna().all()
    assert trained["weights"].is_unique
    if not EXPERIMENTS[name].test:
        assert table["ndcg@10 unseen"].isna().all()
        assert table["ndcg@10 all"].isna().all()


@pytest.mark.parametrize("path", sorted(tables.RESULTS.glob("*_users.csv")), ids=lambda p: p.stem)
def test_each_user_s_numbers_have_the_mean_that_the_table_says(path: Path) -> None:
    table = tables.read_table(path.with_name(path.name.replace("_users", ""))).set_index("run")
    of_users = pd.read_csv(path)
    if "measure" not in of_users:  # a table of the first edition: NDCG@10, all items ranked
        of_users.insert(1, "measure", "ndcg@10")
    of_users = of_users.set_index(["run", "measure"])
    names = of_users.index.unique("measure")
    assert set(of_users.index) == {(run, name) for run in table.index for name in names}
    for (run, name), mean in of_users.mean(axis=1).items():
        assert mean == pytest.approx(table[name][run], abs=5e-5)  # of 943 numbers with three digits or four

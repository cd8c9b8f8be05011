"""One run: what it refuses, what it leaves behind, and tables that a killed process cannot spoil."""

import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from helpers import randomise, tiny_split

from skiprec_lite import runs
from skiprec_lite.backbones import NFM, MarkovChain, NextItNet, Popularity
from skiprec_lite.runs import Run
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.training import History

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
        ({"model": "markov", "training": {"epochs": 2}}, "epochs"),
        ({"model": "popularity", "backbone": {"channels": 2}}, "channels"),
        ({"model": "skiprec", "policy": {"num_blocks": 2}}, "num_blocks"),
        ({"model": "skiprec", "data": {"lags": [1]}}, "lags"),
        ({"model": "skiprec", "protocol": "leave_one_out", "data": {"n": 3}}, "n"),
        ({"model": "skiprec", "protocol": "known depth", "data": {"interactions": 1}}, "interactions"),
        ({"model": "gru"}, "gru"),
        ({"model": "markov", "protocol": "random"}, "random"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"'wrong'.*\b{named}\b"):
        Run("wrong", **wrong).check()


def test_settings_that_are_read_are_allowed() -> None:
    Run("a", "markov", data={"n": 5, "length": 20}).check()
    Run("b", "nfm", backbone={"channels": 8, "hidden_layers": 2, "dropout": 0.1}, training={"epochs": 1}).check()
    Run("c", "skiprec", "known depth", 3, NETWORK, {"keep_bias": 1.0}, {"cost": 0.1, "anneal": True}, SYNTHETIC).check()


@pytest.mark.parametrize(
    ("model", "kind"),
    [("popularity", Popularity), ("markov", MarkovChain), ("nfm", NFM), ("nextitnet", NextItNet), ("skiprec", SkipRec)],
)
def test_a_run_builds_its_model_from_its_own_seed(model: str, kind: type) -> None:
    split = tiny_split()
    torch.manual_seed(0)
    stream = torch.get_rng_state()
    built = [runs.build(Run("a", model, seed=seed), split) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), stream)
    assert all(type(m) is kind for m in built)
    prints = [runs.fingerprint(m) for m in built]
    assert prints[0] == prints[1]
    assert (prints[0] == prints[2]) == (model in ("popularity", "markov"))


def test_a_fingerprint_changes_with_a_single_bit_and_with_the_shape() -> None:
    net = randomise(NextItNet(5, **NETWORK))
    before = runs.fingerprint(net)
    with torch.no_grad():
        net.blocks[1].conv2.bias[3] = torch.nextafter(net.blocks[1].conv2.bias[3], torch.tensor(9.0))
    assert runs.fingerprint(net) != before
    twins = [NFM(6, channels=6) for _ in range(2)]
    for net, shape in zip(twins, ((6, 6), (9, 4))):  # the same numbers in the same order
        net.output.weight = torch.nn.Parameter(torch.arange(36.0).reshape(shape))
        net.load_state_dict({name: t for name, t in twins[0].state_dict().items() if name != "output.weight"}, False)
    assert runs.fingerprint(twins[0]) != runs.fingerprint(twins[1])


@pytest.mark.parametrize("model", ["nextitnet", "skiprec"])
def test_a_run_on_synthetic_users_gives_accuracies_per_group(model: str) -> None:
    more = {"warmup_epochs": 0, "ramp_epochs": 1} if model == "skiprec" else {}
    run = Run("a", model, "known depth", 1, NETWORK, {}, SHORT | more, SYNTHETIC)
    outcome = runs.execute(run, version="abc", progress=False)
    assert outcome.row["version"] == "abc"
    assert outcome.row["settings"] == run.settings()
    assert outcome.row["weights"] == runs.fingerprint(outcome.model)
    assert len(outcome.history.epochs) == outcome.row["epochs"] == 2
    assert 0 <= outcome.row["accuracy, lag 0"] <= 1
    assert outcome.per_user is None
    assert (outcome.row["pattern, lag 2"] == "") == (model == "nextitnet")
    again = runs.execute(run, version="abc", progress=False)
    assert {**again.row, "seconds": 0} == {**outcome.row, "seconds": 0}


def test_a_run_on_running_products_gives_accuracies_by_steps() -> None:
    run = Run("a", "nextitnet", "running products", 0, NETWORK, {}, SHORT, {"length": 10, "users": 50, "marker": 0.1})
    row = runs.execute(run, progress=False).row
    shares = [row[f"accuracy, {steps} steps"] for steps in ("0-4", "5-9")]
    assert min(shares) - 1e-4 <= row["accuracy"] <= max(shares) + 1e-4
    assert len([key for key in row if "steps" in key]) == 2


def test_a_search_does_not_look_at_the_test_items(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []
    real = runs.rank_cases
    monkeypatch.setattr(runs, "rank_cases", lambda model, cases: judged.append(cases) or real(model, cases))
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
    monkeypatch.setattr(runs, "PACKAGE", package)
    return package


def test_a_committed_package_has_its_commit_s_name(repository: Path) -> None:
    (repository.parent / "notes.md").write_text("outside of the package: no concern of a run")
    found = runs.commit()
    assert len(found) == 9
    head = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert head.startswith(found)


@pytest.mark.parametrize("file", ["code.py", "new.py"])
def test_uncommitted_changes_are_refused_unless_told(repository: Path, file: str) -> None:
    (repository / file).write_text("x = 2\n")
    with pytest.raises(ValueError, match=rf"(?s)--uncommitted.*{file}"):
        runs.commit()
    assert runs.commit(uncommitted=True).endswith("-dirty")


def test_outside_of_a_repository_the_version_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PACKAGE", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert runs.commit() == "unknown"


# --- tables ---


def test_rows_are_added_and_text_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    rows = [{"run": f"{i}, é", "weights": "1e5000000000", "version": "001234567", "blocks": i} for i in range(3)]
    runs.append_rows(path, rows[:1])
    runs.append_rows(path, rows[1:])
    pd.testing.assert_frame_equal(runs.read_table(path), pd.DataFrame(rows), check_dtype=False)


def test_a_row_with_other_columns_is_refused_and_the_table_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    runs.append_rows(path, [{"run": "a", "x": 1}])
    before = path.read_bytes()
    for other in ({"run": "b"}, {"run": "b", "y": 1}, {"x": 1, "run": "b"}):
        with pytest.raises(ValueError, match=r"table\.csv has the columns"):
            runs.append_rows(path, [other])
    assert path.read_bytes() == before


def test_a_line_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("run,x\na,1\nb,")
    with pytest.raises(ValueError, match="cut off"):
        runs.read_table(path)


def test_rows_of_other_runs_are_dropped_and_the_rest_keeps_its_digits(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("run,x,y\na,0.1,\nb,0.25,3\na,0.300001,1\n")
    runs.keep_rows(path, {"a"})
    assert path.read_text() == "run,x,y\na,0.1,\na,0.300001,1.0\n"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]

"""Each verb of the command line, on a small file of its own: it works, it is honest in JSON, it fails in one line."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers import write_small_log

from skiprec_lite import checkpoints, cli, evaluation, metrics, tables
from skiprec_lite.backbones import MarkovChain, WindowCounter
from skiprec_lite.datasets import read_interactions
from skiprec_lite.lab import judging, runs
from skiprec_lite.lab.plans import EXPERIMENTS
from skiprec_lite.splits import last_n


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write forty users of thirty films each, as a CSV."""
    return write_small_log(tmp_path_factory.mktemp("data") / "small.csv")


@pytest.fixture(scope="module")
def weights(small: Path) -> Path:
    """Train a tiny SkipRec on it by the command line."""
    output = small.parent / "tiny.safetensors"
    assert run("train", "--data", small, "--output", output, *TINY) == 0
    return output


TINY = ("--blocks", "2", "--channels", "8", "--epochs", "18", "--cost", "0.1", "--json")


def run(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


def answer(capsys: pytest.CaptureFixture[str]) -> dict:
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1, "JSON for machines is one line and nothing else"
    return json.loads(out)


def test_train_writes_weights_and_reports_what_it_measured(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = small.parent / "again.safetensors"
    assert run("train", "--data", small, "--output", output, *TINY) == 0
    found = answer(capsys)
    for ranking in ("unseen", "all"):
        assert 0 < found[f"ndcg@10 {ranking}"] < 1
        for rival in ("Markov chain", "window counter"):
            ahead = found[f"ndcg@10 {ranking}"] - found[f"{rival} ndcg@10 {ranking}"]
            assert found[f"minus {rival} {ranking}"] == pytest.approx(ahead, abs=1e-9)
            assert found[f"minus {rival} error {ranking}"] > 0
    assert found["of"] == 2
    assert 0 <= found["blocks"] <= 2
    assert found["speed-up"] > 0
    assert checkpoints.notes(output)["metric"] == pytest.approx(found["ndcg@10 unseen"])


def test_train_shows_quality_a_user_and_the_way_on(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--data", small, "--output", small.parent / "shown.safetensors", *TINY[:-1]) == 0
    out = capsys.readouterr().out
    for part in ("NDCG@10", "minus a Markov chain", "minus a window counter", "blocks kept", "speed gained"):
        assert part in out
    assert "Blocks kept for this user" in out
    assert out.rstrip().endswith("-m skiprec_lite open")


def test_train_at_full_depth_has_no_gates(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = small.parent / "full.safetensors"
    assert run("train", "--full-depth", "--data", small, "--output", output, *TINY) == 0
    assert "blocks" not in answer(capsys)


def test_evaluate_finds_what_train_found(small: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("evaluate", "--data", small, "--model", weights, "--json") == 0
    found = answer(capsys)
    assert found["ndcg@10 unseen"] == pytest.approx(checkpoints.notes(weights)["metric"])


def test_evaluate_reports_both_rankings(small: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `rank_cases` finds them, for the model and its two rivals; shown side by side, the unseen first."""
    split, model = last_n(read_interactions(small)), checkpoints.load(weights)
    capsys.readouterr()
    assert run("evaluate", "--data", small, "--model", weights, "--json") == 0
    found = answer(capsys)
    for ranking, exclude_seen in (("unseen", True), ("all", False)):
        expected = evaluation.evaluate(model, split.test, exclude_seen=exclude_seen)
        assert {name: found[f"{name} {ranking}"] for name in expected} == pytest.approx(expected)
        own, markov, counter = (
            evaluation.ndcg_per_user(judged, split.test, exclude_seen=exclude_seen)
            for judged in (model, MarkovChain(split), WindowCounter(split))
        )
        for name, rival in (("Markov chain", markov), ("window counter", counter)):
            minus = (found[f"minus {name} {ranking}"], found[f"minus {name} error {ranking}"])
            assert minus == pytest.approx(metrics.paired_difference(own, rival))
            assert found[f"{name} ndcg@10 {ranking}"] == pytest.approx(float(rival.mean()))
    assert found["ndcg@10 unseen"] != found["ndcg@10 all"]
    assert run("evaluate", "--data", small, "--model", weights) == 0
    lines = {line[:26].strip(): line[26:] for line in capsys.readouterr().out.splitlines()}
    shown = lines["NDCG@10 / HR@10 / MRR@10"]
    assert shown.index(f"{found['ndcg@10 unseen']:.4f} / ") < shown.index(f"{found['ndcg@10 all']:.4f} / ")
    for name in ("minus a Markov chain", "minus a window counter"):
        assert lines[name].count("±") == 2


def test_what_is_too_long_for_the_window_counter_is_judged_without(
    small: Path, weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pairs of 20 million ratings would not fit into memory: a training of hours would end in an error."""
    monkeypatch.setattr(judging, "COUNTED_AT_MOST", 100)
    capsys.readouterr()
    assert run("evaluate", "--data", small, "--model", weights) == 0
    out = capsys.readouterr().out
    assert "minus a Markov chain" in out
    assert "window counter" not in out


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err


def test_weights_are_judged_by_the_protocol_that_they_were_trained_under(
    small: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under another one most of what is held out was trained on: a loser would look like a winner."""
    output = small.parent / "one_out.safetensors"
    assert run("train", "--data", small, "--protocol", "leave_one_out", "--output", output, *TINY) == 0
    trained = answer(capsys)
    assert run("evaluate", "--data", small, "--model", output, "--json") == 0
    found = answer(capsys)
    assert found["protocol"] == trained["protocol"] == "leave_one_out"
    for ranking in ("unseen", "all"):
        assert found[f"ndcg@10 {ranking}"] == pytest.approx(trained[f"ndcg@10 {ranking}"])
    for path, right, wrong in ((output, "leave_one_out", "last_n"), (weights, "last_n", "leave_one_out")):
        assert run("evaluate", "--data", small, "--model", path, "--protocol", right) == 0
        assert f"On held-out items ({right}), ranked among:" in capsys.readouterr().out
        assert run("evaluate", "--data", small, "--model", path, "--protocol", wrong) == 1
        assert f"trained under the protocol {right}" in complaint(capsys)


def test_weights_are_not_judged_on_rows_that_have_changed(
    small: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = small.read_text().splitlines()
    capsys.readouterr()
    for name, changed in {
        "a row is gone": lines[:5] + lines[6:],
        "two change places": [lines[0], *(line.replace(",0", ",1.5") for line in lines[1:])],
        "a row is new": [*lines, "u0,5,99"],
    }.items():
        other = tmp_path / f"{name}.csv"
        other.write_text("\n".join(changed) + "\n")
        assert run("evaluate", "--data", other, "--model", weights) == 1, name
        assert "trained on other rows" in complaint(capsys), name


def test_weights_that_do_not_say_what_was_held_out_need_to_be_told(
    small: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints.save(checkpoints.load(weights), tmp_path / "bare.safetensors")
    capsys.readouterr()
    assert run("evaluate", "--data", small, "--model", tmp_path / "bare.safetensors") == 1
    assert "--protocol last_n or leave_one_out" in complaint(capsys)
    assert run("evaluate", "--data", small, "--model", tmp_path / "bare.safetensors", "--protocol", "last_n") == 0
    checkpoints.save(checkpoints.load(weights), tmp_path / "made_up.safetensors", protocol="known depth")
    assert run("evaluate", "--data", small, "--model", tmp_path / "made_up.safetensors") == 1
    assert "holds nothing out of small.csv" in capsys.readouterr().err


def test_weights_are_there_before_they_are_judged(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "kept.safetensors"
    quality = judging.quality

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(judging, "quality", stopped)
    assert run("train", "--data", small, "--output", output, *TINY[:-1]) == 130
    assert str(output) in capsys.readouterr().out
    assert "metric" not in checkpoints.notes(output)
    monkeypatch.setattr(judging, "quality", quality)
    assert run("evaluate", "--data", small, "--model", output, "--json") == 0
    assert 0 < answer(capsys)["ndcg@10 unseen"] < 1


def test_a_shown_list_is_as_long_as_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Users who have met all but one of 23 items, and one who has met them all: no training may end in an error."""
    rows = [f"u{u},{(u * 7 + t * 5) % 23},{t}" for u in range(12) for t in range(22)]
    rows += [f"all,{t},{t}" for t in range(23)]
    path, output = tmp_path / "met.csv", tmp_path / "met.safetensors"
    path.write_text("user,item,timestamp\n" + "\n".join(rows) + "\n")
    assert run("train", "--data", path, "--output", output, *TINY[:-1]) == 0
    assert "1 left of 23 items: 5 were asked for" in capsys.readouterr().out
    for user, left in (("u3", 1), ("all", 0)):
        assert run("recommend", "--data", path, "--model", output, "--user", user, "--json") == 0
        assert len(answer(capsys)["recommended"]) == left
    assert run("recommend", "--data", path, "--model", output, "--user", "all") == 0
    assert "nothing left of 23 items: 10 were asked for" in capsys.readouterr().out
    assert run("recommend", "--data", path, "--model", output, "--user", "u3", "-k", 40, "--include-seen") == 0
    assert "23 left of 23 items: 40 were asked for" in capsys.readouterr().out


def test_recommend_leaves_out_what_was_seen(small: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("recommend", "--user", "u7", "-k", 3, "--data", small, "--model", weights, "--json") == 0
    found = answer(capsys)
    seen = {line.split(",")[1] for line in small.read_text().splitlines() if line.startswith("u7,")}
    recommended = [title for title, _ in found["recommended"]]
    assert len(recommended) == 3
    assert not seen & set(recommended)
    assert len(found["history"]) == 5
    assert set(found["blocks kept"]) <= {1, 2}


def test_recommend_prints_films_and_gates(small: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("recommend", "--user", "u7", "-k", 3, "--data", small, "--model", weights) == 0
    out = capsys.readouterr().out
    assert "User u7, 30 items so far" in out
    assert "Blocks kept for this user" in out


def test_data_says_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "--json") == 0
    found = answer(capsys)
    assert (found["interactions"], found["users"], found["items"]) == (100_000, 943, 1_682)
    assert Path(found["folder"]).is_dir()


def test_experiment_check_runs_its_smallest_row_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("experiment", "counter_settings", "--check", "--json") == 0
    found = answer(capsys)
    assert found["run"] == "counter 0"
    assert found["found"] == pytest.approx(found["in the table"], abs=1e-3)


def test_experiment_check_says_what_it_found_and_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("experiment", "counter_settings", "--check") == 0
    out = capsys.readouterr().out
    (in_table,) = tables.read_table(tables.RESULTS / "counter_settings.csv").iloc[:1]["validation ndcg@10 unseen"]
    assert f"in the table {in_table:.5f}, allowance 0.0010" in out
    assert out.rstrip().endswith("level with the table within the spread over seeds")


def test_experiment_check_says_which_weights_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a fresh clone: the tables are there, the weights of the runs behind them are not."""
    (of_check,) = (one for one in EXPERIMENTS["temperature"].runs() if one.name == EXPERIMENTS["temperature"].smallest)
    row = {"run": of_check.name, "model": "skiprec", "protocol": of_check.protocol, "seed": 0}
    table = pd.DataFrame([row | {"settings": of_check.settings(), "validation ndcg@10 all": 0.5}])
    table.to_csv(tmp_path / "temperature.csv", index=False)
    assert run("experiment", "temperature", "--check", "--folder", tmp_path) == 1
    first = "run `python -m skiprec_lite experiment worlds` first"
    assert f"error: needs the weights of worlds/full depth, own items, seed 0: {first}" in complaint(capsys)


def test_where_memory_is_not_enough_one_line_says_what_would_help(small: Path) -> None:
    """Two convolutions of 40,000 channels are 38 GB; the process may have 8."""
    resource = pytest.importorskip("resource")
    told = ["train", "--data", str(small), "--output", str(small.parent / "huge.safetensors"), "--channels", "40000"]
    found = subprocess.run(
        [sys.executable, "-c", "import sys; from skiprec_lite.cli import main; sys.exit(main(sys.argv[1:]))", *told],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: not enough memory")
    assert all(help in line for help in ("--softmax sampled", "--channels", "--batch-size"))
    assert not (small.parent / "huge.safetensors").exists()


def test_bench_times_an_epoch_and_both_ways_of_inference(
    small: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("bench", "--data", small, "--model", weights, "--repeats", 1, "--json") == 0
    found = answer(capsys)
    assert found["epoch seconds"] > 0
    for batch in (1, 32, 256):
        times = found[f"batch {batch}"]
        assert 0 < times["low"] <= times["speed-up"] <= times["high"]
        assert times["full ms"] > 0 < times["skipped ms"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("recommend", "--user", "nobody"), "nobody"),
        (("evaluate", "--model", "missing.safetensors"), "missing.safetensors"),
        (("train", "--data", "missing.csv"), "missing.csv"),
        (("train", "--epochs", "0"), "epochs"),
        (("train", "--tau", "0"), "tau"),
        (("train", "--blocks", "0"), "blocks"),
        (("recommend", "--user", "u7", "-k", "0"), "k must"),
    ],
)
def test_a_mistake_is_one_line_and_status_1(
    arguments: tuple[str, ...], named: str, small: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = list(arguments)
    if "--data" not in given:
        given += ["--data", str(small)]
    if given[0] != "train" and "--model" not in given:
        given += ["--model", str(weights)]
    capsys.readouterr()
    assert cli.main(given) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert named in line


def test_weights_for_other_data_are_refused(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("evaluate", "--model", weights) == 1
    assert "the data has 1682" in capsys.readouterr().err


def test_usage_errors_end_with_status_2() -> None:
    with pytest.raises(SystemExit) as stop:
        run("fly")
    assert stop.value.code == 2


@pytest.mark.parametrize("verb", ["data", "train", "evaluate", "recommend", "experiment", "bench"])
def test_each_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(verb, "--help")
    assert stop.value.code == 0
    assert "--json" in capsys.readouterr().out


# --- opening the course ---


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that `open` starts, in place of JupyterLab."""
    commands: list[list[str]] = []

    def start(command: list[str], **_: object) -> subprocess.CompletedProcess:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(cli.subprocess, "run", start)
    return commands


@pytest.mark.parametrize(
    ("asked", "opened"),
    [
        ((), "skiprec_in_an_hour"),
        (("hour",), "skiprec_in_an_hour"),
        (("2",), "02_temperature"),
        (("08",), "08_skiprec"),
        (("10_bl",), "10_blind_spots"),
        (("notebooks/03_straight_through.ipynb",), "03_straight_through"),
    ],
)
def test_open_starts_this_python_s_jupyterlab_in_the_root_so_that_links_work(
    asked: tuple[str, ...], opened: str, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cli.COURSE)
    assert run("open", *asked) == 0
    ((python, m, jupyter, lab, notebook, root, *_),) = started
    assert (python, m, jupyter, lab) == (sys.executable, "-m", "jupyter", "lab")
    assert Path(notebook) == cli.COURSE / "notebooks" / f"{opened}.ipynb"
    assert Path(notebook).is_file()
    assert root == f"--ServerApp.root_dir={cli.COURSE}"


def test_open_hands_on_what_jupyterlab_is_told(started: list[list[str]]) -> None:
    assert run("open", "02", "--no-browser", "--port=8899") == 0
    assert started[0][6:8] == ["--no-browser", "--port=8899"]


def test_a_copy_outside_of_the_course_is_opened_in_its_own_folder(started: list[list[str]], tmp_path: Path) -> None:
    copy = tmp_path / "mine.ipynb"
    copy.write_text("{}")
    assert run("open", copy) == 0
    assert started[0][4:6] == [str(copy), f"--ServerApp.root_dir={tmp_path}"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [("99", "no lesson is called '99'; choose one of 00_start_here"), ("no.ipynb", "no such notebook")],
)
def test_what_cannot_be_opened_is_told(
    asked: str, said: str, started: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("open", asked) == 1
    assert said in complaint(capsys)
    assert not started


def test_practice_names_the_verb_that_opens_the_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("practice", "02", "--folder", tmp_path) == 0
    assert capsys.readouterr().out.rstrip().endswith(f"-m skiprec_lite open {tmp_path / '02_temperature.ipynb'}")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["evaluate", "--protocol", "mine"], ["nothing"]]
)
def test_help_and_usage_errors_come_without_torch(arguments: list[str]) -> None:
    code = (
        f"import sys; from skiprec_lite.cli import main\ntry: main({arguments})\nfinally: print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == (0 if "--help" in arguments else 2)
    assert found.stdout.splitlines()[-1] == "False"


def test_the_protocols_that_can_be_asked_for_are_those_that_can_be_run() -> None:
    assert tuple(runs.PROTOCOLS) == cli.PROTOCOLS

"""Each verb of the command line, on a small file of its own: it works, it is honest in JSON, it fails in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from skiprec_lite import checkpoints, cli


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write forty users of thirty films each, as a CSV."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "small.csv"
    rows = [f"u{u},{rng.integers(1, 41)},{t}" for u in range(40) for t in range(30)]
    path.write_text("user,item,timestamp\n" + "\n".join(rows) + "\n")
    return path


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
    assert 0 < found["ndcg@10"] < 1
    assert found["difference"] == pytest.approx(found["ndcg@10"] - found["markov ndcg@10"], abs=1e-9)
    assert found["of"] == 2
    assert 0 <= found["blocks"] <= 2
    assert found["speed-up"] > 0
    assert checkpoints.notes(output)["metric"] == pytest.approx(found["ndcg@10"])


def test_train_shows_quality_a_user_and_the_way_on(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--data", small, "--output", small.parent / "shown.safetensors", *TINY[:-1]) == 0
    out = capsys.readouterr().out
    for part in ("NDCG@10", "minus a Markov chain", "blocks kept", "speed gained", "Blocks kept for this user"):
        assert part in out
    assert out.rstrip().endswith(cli.OPEN_THE_COURSE)


def test_train_at_full_depth_has_no_gates(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = small.parent / "full.safetensors"
    assert run("train", "--full-depth", "--data", small, "--output", output, *TINY) == 0
    assert "blocks" not in answer(capsys)


def test_evaluate_finds_what_train_found(small: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("evaluate", "--data", small, "--model", weights, "--json") == 0
    found = answer(capsys)
    assert found["ndcg@10"] == pytest.approx(checkpoints.notes(weights)["metric"])
    assert run("evaluate", "--data", small, "--model", weights, "--exclude-seen", "--json") == 0
    assert answer(capsys)["ndcg@10"] != found["ndcg@10"]


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
    assert run("experiment", "quality", "--check", "--json") == 0
    found = answer(capsys)
    assert found["run"] == "markov"
    assert found["found"] == pytest.approx(found["in the table"], abs=1e-3)


def test_bench_times_an_epoch_and_both_ways_of_inference(
    small: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("bench", "--data", small, "--model", weights, "--repeats", 1, "--json") == 0
    found = answer(capsys)
    assert found["epoch seconds"] > 0
    for batch in (1, 32, 256):
        times = found[f"batch {batch}"]
        assert times["speed-up"] == pytest.approx(times["full ms"] / times["skipped ms"])


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

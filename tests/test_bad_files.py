"""A reader's mistakes on the command line and in files: status 1 (2 for usage) and one line that says what is wrong."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skiprec_lite import checkpoints, cli
from skiprec_lite.backbones import NextItNet
from skiprec_lite.datasets import read_interactions

pytestmark = pytest.mark.usefixtures("untyped")
H = "user,item,timestamp\n"

# A file's name and content, and what the one line has to say beside the name.
FILES = [
    pytest.param("a.csv", "", "empty", id="empty file"),
    pytest.param("a.csv", "\n \n", "empty", id="blank lines only"),
    pytest.param("a.inter", "", "empty", id="empty inter"),
    pytest.param("a.txt", "", "empty", id="empty txt"),
    pytest.param("a.txt", "\n\n", "empty", id="blank txt"),
    pytest.param("a.csv", H, "no interaction", id="header only"),
    pytest.param("a.inter", "user_id:token\titem_id:token\ttimestamp:float\n", "no interaction",
                 id="inter header only"),
    pytest.param("a.json", "{}", ".inter, .csv, .txt", id="another ending"),
    pytest.param("a", H + "1,a,3\n", ".inter, .csv, .txt", id="no ending"),
    pytest.param("a.csv.gz", b"\x1f\x8b\x08\x00", ".inter, .csv, .txt", id="ending of a compressed file"),
    pytest.param("a.csv", b"\x1f\x8b\x08\x00abc", "gzip", id="gzip"),
    pytest.param("a.csv", b"PK\x03\x04abc", "zip", id="zip, or a spreadsheet"),
    pytest.param("a.csv", H.encode("utf-16"), "UTF-16: save it as UTF-8", id="UTF-16"),
    pytest.param("a.inter", H.encode("utf-16-be"), "UTF-8", id="UTF-16 without a mark"),
    pytest.param("a.txt", "5 3 2".encode("utf-16"), "UTF-16", id="UTF-16 txt"),
    pytest.param("a.csv", bytes(range(256)), "not a text file", id="binary"),
    pytest.param("a.txt", bytes(range(256)), "not a text file", id="binary txt"),
    pytest.param("a.csv", (H + "1,Misérables,3\n").encode("latin-1"), "0xe9", id="ISO-8859-1"),
    pytest.param("a.txt", "Misérables 3\n".encode("latin-1"), "save it as UTF-8", id="ISO-8859-1 txt"),
    pytest.param("a.csv", "user,item\n1,a\n", "timestamp; found user, item", id="no timestamp"),
    pytest.param("a.csv", "user,timestamp\n1,2\n", "item_id", id="no item"),
    pytest.param("a.csv", "item,timestamp\n1,2\n", "user_id", id="no user"),
    pytest.param("a.csv", "User,Item,Time\n1,2,3\n", "found User, Item, Time", id="other names"),
    pytest.param("a.csv", "1,2,3\n4,5,6\n", "found 1, 2, 3", id="no header"),
    pytest.param("a.csv", "user;item;timestamp\n1;2;3\n", "found user;item;timestamp", id="semicolons"),
    pytest.param("a.inter", "user_id:token,item_id:token,timestamp:float\n1,2,3\n", "found user_id",
                 id="commas in inter"),
    pytest.param("a.csv", ",".join(f"c{i}" for i in range(99)) + "\n", "c7 …", id="a hundred other columns"),
    pytest.param("a.csv", "user,item,item,timestamp\n1,a,b,3\n", "more than one column for the item", id="item twice"),
    pytest.param("a.csv", "user,user_id,item,timestamp\n1,1,b,3\n", "user, user_id", id="two names for the user"),
    pytest.param("a.csv", "timestamp,user,item,timestamp\n1,a,b,3\n", "the timestamp", id="timestamp twice"),
    pytest.param("a.csv", "user,item,timestamp,x,x\n1,b,3,4,5\n", "column x twice", id="a further column twice"),
    pytest.param("a.csv", H + "1,a,3\n1,b,yesterday\n", "row 2 has the timestamp 'yesterday'", id="word for a time"),
    pytest.param("a.csv", H + "1,a,2020-01-01\n", "'2020-01-01': expected a number", id="date"),
    pytest.param("a.csv", H + "1,a,3\n1,b,nan\n", "row 2 has the timestamp 'nan'", id="NaN for a time"),
    pytest.param("a.csv", H + "1,a,3\n1,b,inf\n", "'inf'", id="infinite time"),
    pytest.param("a.csv", H + "1,a,3\n1,b,\n", "row 2 has the timestamp ''", id="no time"),
    pytest.param("a.csv", H + "1,a,True\n1,b,False\n", "'True'", id="truth for a time"),
    pytest.param("a.csv", H + "1,a\n", "row 1", id="too few fields"),
    pytest.param("a.csv", H + "1,a,3\n1,b,4,9\n", "Expected 3 fields in line 3, saw 4", id="too many fields"),
    pytest.param("a.csv", H + "1,a,3,9\n1,b,4,9\n", "3 fields", id="too many fields everywhere"),
    pytest.param("a.csv", H + "1,a,3\n,b,4\n", "row 2 has no user", id="no user id"),
    pytest.param("a.csv", H + "1,,3\n", "row 1 has no item", id="no item id"),
    pytest.param("a.csv", H + '1,"a,3\n2,b,4\n', "EOF inside string", id="a quote that is never closed"),
]  # fmt: skip


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    return err


@pytest.mark.parametrize(("name", "content", "said"), FILES)
def test_a_broken_file_is_told_in_one_line(
    name: str, content: str | bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cli.main(["data", "--data", str(path)]) == 1
    line = one_line(capsys)
    assert name in line
    assert said in line
    with pytest.raises(ValueError) as error:
        read_interactions(path)
    assert "\n" not in str(error.value)


# --- the command line ---


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small data and with weights, right and wrong ones."""
    folder = tmp_path_factory.mktemp("here")
    rng = np.random.default_rng(0)
    rows = [f"u{u},i{rng.integers(1, 41)},{t}" for u in range(30) for t in range(30)]
    rows += [f"u0,i{i},{100 + i}" for i in range(1, 41)]
    (folder / "small.csv").write_text(H + "\n".join(rows) + "\n")
    (folder / "other.csv").write_text(H + "\n".join(rows).replace("i", "j") + "\n")
    (folder / "short.csv").write_text(H + "a,x,1\na,y,2\nb,x,1\n")
    (folder / "one_user.csv").write_text(H + "".join(f"a,x{t},{t}\n" for t in range(5)))
    (folder / "one_row.csv").write_text(H + "a,x,1\n")
    checkpoints.save(NextItNet(40, channels=8, dilations=(1,)), folder / "full.safetensors")
    checkpoints.save(NextItNet(7, channels=8, dilations=(1,)), folder / "seven.safetensors")
    checkpoints.save(NextItNet(40, channels=8, dilations=(1,)), folder / "foreign.safetensors", items="0", data="x.csv")
    (folder / "cut.safetensors").write_bytes((folder / "full.safetensors").read_bytes()[:500])
    (folder / "text.safetensors").write_text("weights")
    (folder / "empty.safetensors").write_bytes(b"")
    return folder


TRAIN = "train --data small.csv --output new.safetensors --epochs 1 --blocks 1 --channels 4"
MISTAKES = [
    pytest.param("data --data nowhere.csv", "no such file: nowhere.csv", id="no file"),
    pytest.param("data --data .", "not a file but a folder", id="a folder for data"),
    pytest.param("data --from nowhere.zip", "no such file: nowhere.zip", id="no archive"),
    pytest.param("data --from small.csv", "--data", id="a table for an archive"),
    pytest.param("data --data 2m", "no such file: 2m", id="a MovieLens that does not exist"),
    pytest.param("train --data nowhere.csv", "no such file", id="train: no file"),
    pytest.param("train --data short.csv", "no user has more than 20 items", id="train: histories too short"),
    pytest.param("train --data one_row.csv", "no user", id="train: one row"),
    pytest.param("train --data one_row.csv --protocol leave_one_out", "no user", id="train: one row, leave one out"),
    pytest.param("train --data small.csv --output no/such/folder/x.safetensors", "no such folder",
                 id="output: no folder"),
    pytest.param("train --data small.csv --output .", "must be a file", id="output: a folder"),
    pytest.param(f"{TRAIN} --epochs 0", "epochs must be at least 1, got 0", id="no epoch"),
    pytest.param(f"{TRAIN} --cost -1", "at least 0, got -1", id="negative cost"),
    pytest.param(f"{TRAIN} --cost nan", "got nan", id="NaN cost"),
    pytest.param(f"{TRAIN} --tau 0", "got 0", id="tau 0"),
    pytest.param(f"{TRAIN} --tau -2", "got -2", id="negative tau"),
    pytest.param(f"{TRAIN} --tau nan", "got nan", id="NaN tau"),
    pytest.param(f"{TRAIN} --tau inf", "got inf", id="infinite tau"),
    pytest.param(f"{TRAIN} --blocks 0", "0", id="no block"),
    pytest.param(f"{TRAIN} --blocks -1", "-1", id="minus one block"),
    pytest.param(f"{TRAIN} --channels 0", "0", id="no channel"),
    pytest.param(f"{TRAIN} --channels -4", "-4", id="negative channels"),
    pytest.param(f"{TRAIN} --channels 1000000000000", "--softmax sampled", id="more channels than memory"),
    pytest.param(f"{TRAIN} --seed -1", "got -1", id="negative seed"),
    pytest.param(f"{TRAIN} --softmax sampled --negatives 0", "negatives must be at least 1, got 0", id="no negative"),
    pytest.param("evaluate --data small.csv --model nowhere.safetensors", "no such file", id="no weights"),
    pytest.param("evaluate --data small.csv --model .", "folder", id="a folder for weights"),
    pytest.param("evaluate --data small.csv --model cut.safetensors", "damaged", id="weights cut off"),
    pytest.param("evaluate --data small.csv --model text.safetensors", "not a safetensors file", id="text for weights"),
    pytest.param("evaluate --data small.csv --model empty.safetensors", "not a safetensors file", id="empty weights"),
    pytest.param("evaluate --data small.csv --model small.csv", "not a safetensors file", id="a table for weights"),
    pytest.param("evaluate --data small.csv --model seven.safetensors", "know 7 items, the data has 40",
                 id="other size"),
    pytest.param("evaluate --data small.csv --model foreign.safetensors",
                 "trained on other items than those of small.csv, on x.csv", id="as many items, but others"),
    pytest.param("evaluate --data short.csv --model full.safetensors", "the data has 2", id="evaluate: other data"),
    pytest.param("recommend --data small.csv --model full.safetensors --user nobody", "unknown user 'nobody'",
                 id="no user"),
    pytest.param("recommend --data small.csv --model full.safetensors --user u1 -k 0", "k must be at least 1, got 0",
                 id="k 0"),
    pytest.param("recommend --data small.csv --model full.safetensors --user u1 -k -3", "got -3", id="k -3"),
    pytest.param("bench --data small.csv --model full.safetensors", "without a policy", id="bench: no policy"),
    pytest.param("bench --data small.csv --model seven.safetensors", "know 7 items", id="bench: other size"),
    pytest.param("bench --threads 0", "threads must be at least 1, got 0", id="no thread"),
    pytest.param("bench --repeats 0", "repeats must be at least 1, got 0", id="no repeat"),
    pytest.param("experiment depths --data small.csv", "choose another folder",
                 id="other data in the course's tables"),
    pytest.param("experiment depths --data small.csv --check", "--check", id="check of other data"),
    pytest.param("experiment chain --data small.csv --folder tables --uncommitted", "makes its own users",
                 id="data for an experiment that makes its own"),
    pytest.param("practice 99", "99", id="no such lesson"),
    pytest.param("progress nowhere", "nowhere", id="no practice folder"),
    pytest.param("figures small.csv", "small.csv", id="a file for a folder of figures"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "said"), MISTAKES)
def test_a_mistake_on_the_command_line_is_told_in_one_line(
    command: str, said: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here)
    before = sorted(here.iterdir())
    assert cli.main(command.split()) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert [path for path in sorted(here.iterdir()) if path not in before] == [], "nothing half-written"


USAGE = [
    "", "fly", "train --blocks two", "train --epochs 1.5", "train --cost much", "train --protocol first",
    "train --softmax half", "recommend -k 2.5", "experiment",
    "experiment nothing", "evaluate --models x", "data file.csv", "bench --threads x",
    "practice", "figures",
]  # fmt: skip


@pytest.mark.parametrize("command", USAGE)
def test_wrong_usage_ends_with_status_2(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(command.split())
    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["data --data nowhere.csv", "evaluate --data small.csv --model cut.safetensors"])
def test_a_process_of_its_own_shows_no_traceback(command: str, here: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "skiprec_lite", *command.split()], cwd=here, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert len(found.stderr.splitlines()) == 1
    assert found.stderr.startswith("error: ")

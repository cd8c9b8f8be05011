"""Which device is meant: "auto", a name, the environment and the command line; and what is none says so in one line."""

import contextlib
import json
from typing import Any

import pytest
import torch
from helpers import tiny_split
from stand_in import CPU, THERE, at_home, stand_in

from skiprec_lite import checkpoints, cli
from skiprec_lite.backbones import MarkovChain, NextItNet, chosen_device, device_of, on_device
from skiprec_lite.evaluation import evaluate, rank_cases
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.recommending import recommend
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.training import fit

FAR = str(THERE)
SPLIT = tiny_split(users=12, num_items=15)
NONE_HERE = "device is '{}', of which torch finds none here; 'auto' takes what there is"
UNKNOWN = "device must be 'auto', 'cpu', 'cuda' or 'mps', got {!r}"
NO_NAME = "device must be a string such as 'auto' or 'cpu', got {}"


def net(num_items: int = 15) -> NextItNet:
    return NextItNet(num_items, channels=4, dilations=(1, 2))


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(kind, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("gpu", "asked", "expected"),
    [
        (False, None, "cpu"),
        (True, None, "cuda"),
        (False, "auto", "cpu"),
        (True, "auto", "cuda"),
        (True, "cpu", "cpu"),
        (False, FAR, FAR),
    ],
)
def test_auto_takes_a_model_from_the_cpu_only(
    gpu: bool, asked: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.delenv("SKIPREC_DEVICE")
    if asked:
        monkeypatch.setenv("SKIPREC_DEVICE", asked)
    assert chosen_device(net(), "auto") == torch.device(expected)
    assert chosen_device(net().to("meta"), "auto") == torch.device("meta")  # one that is elsewhere stays
    assert chosen_device(net().to("meta"), "cpu") == chosen_device(net(), "cpu") == CPU
    assert chosen_device(MarkovChain(SPLIT), "auto") == CPU  # which only counts


def test_a_model_comes_home_whatever_happens() -> None:
    model = net()
    with stand_in():
        with contextlib.suppress(ZeroDivisionError), on_device(model, FAR) as there:
            assert there.type == device_of(model).type == THERE.type
            raise ZeroDivisionError
        assert at_home(model)
        model.to(THERE)
        with on_device(model, "cpu"):
            assert at_home(model)
        assert device_of(model) == THERE


@pytest.mark.usefixtures("no_gpu", "untyped")
@pytest.mark.parametrize(
    ("device", "kind", "says"),
    [
        ("gpu", ValueError, UNKNOWN.format("gpu")),
        ("", ValueError, UNKNOWN.format("")),
        (3, TypeError, NO_NAME.format("int 3")),
        (CPU, TypeError, NO_NAME.format("device device(type='cpu')")),
        (None, TypeError, NO_NAME.format("None")),
        ("cuda", ValueError, NONE_HERE.format("cuda")),
        ("cuda:1", ValueError, NONE_HERE.format("cuda:1")),
        ("mps", ValueError, NONE_HERE.format("mps")),
    ],
)
def test_what_is_no_device_here_is_told_in_one_line(device: Any, kind: type[Exception], says: str) -> None:
    model = net()
    for call in (
        lambda: fit(model, SPLIT, device=device),
        lambda: evaluate(model, SPLIT.test, device=device),
        lambda: rank_cases(model, SPLIT.test, device=device),
        lambda: recommend(model, [[1]], 1, device=device),
    ):
        with pytest.raises(kind) as found:
            call()
        assert str(found.value) == says


# --- the command line ---

MEASURED = ("seconds", "speed-up", "epoch seconds", "batch 1", "batch 32", "batch 256")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What may be told a device, on a small file and small weights."""
    folder = tmp_path_factory.mktemp("small")
    rows = [f"u{user},{1 + (user + time) % 20},{time}" for user in range(8) for time in range(25)]
    (folder / "small.csv").write_text("\n".join(["user,item,timestamp", *rows]) + "\n")
    weights = str(folder / "weights")
    checkpoints.save(SkipRec(net(20), PolicyNetwork(20, 2, channels=4)), weights)
    data = ["--data", str(folder / "small.csv"), "--json"]
    return [
        ["evaluate", *data, "--model", weights, "--protocol", "last_n"],
        ["recommend", "--user", "u3", *data, "--model", weights],
        ["bench", *data, "--model", weights, "--repeats", "1"],
        ["train", *data, "--blocks", "2", "--channels", "4", "--epochs", "3", "--output", str(folder / "trained")],
    ]


def test_the_command_line_computes_where_it_is_told(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--device cpu` holds also where auto would take a GPU; what comes out is the same, but for the time it took."""
    for command in commands:
        found = []
        for told in (["--device", "cpu"], []):
            capsys.readouterr()
            monkeypatch.setenv("SKIPREC_DEVICE", FAR)
            torch.manual_seed(0)  # of what is judged under sampled gates
            with stand_in() as ran:
                assert cli.main([*command, *told]) == 0
            assert "linear" in ran[not told]
            assert "linear" not in ran[bool(told)]
            answer = json.loads(capsys.readouterr().out)
            found.append({name: value for name, value in answer.items() if name not in MEASURED})
        assert found[0] == found[1]


@pytest.mark.usefixtures("no_gpu")
def test_the_command_line_tells_a_wrong_device_in_one_line(
    commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in commands:
        for device in ("cuda", "mps"):
            capsys.readouterr()
            assert cli.main([*command, "--device", device]) == 1
            assert capsys.readouterr() == ("", f"error: {NONE_HERE.format(device)}\n")
        with pytest.raises(SystemExit) as ended:
            cli.main([*command, "--device", "tpu"])
        assert ended.value.code == 2
        assert "invalid choice: 'tpu'" in capsys.readouterr().err

"""Training in two processes: the same step as one process takes, one report, and one line where a process is killed.

The processes are real: two that torch starts here for the steps, and torchrun with the command line for the rest.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from helpers import random_skiprec, random_windows, randomise, tiny_split, windows_with_cuts, write_small_log
from torch import Tensor, distributed, multiprocessing

from skiprec_lite import checkpoints, cli, gumbel
from skiprec_lite.backbones import NextItNet
from skiprec_lite.gate_losses import from_a_cut, settled_loss, straight_through_loss
from skiprec_lite.lab import processes
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.softmax import sampled
from skiprec_lite.stages import Stage, next_item_loss, skiprec_stages
from skiprec_lite.training import fit
from skiprec_lite.windows import Windows

pytestmark = pytest.mark.skipif(not distributed.is_available(), reason="this torch is built without processes")
ROOT = Path(__file__).resolve().parent.parent
ITEMS, COST, PROCESSES = 12, 0.7, 2
# Scored are 6, 2, 1, 4 and 3 positions: 10 of the first process's three rows, 6 of the second one's two.
FIVE_ROWS = windows_with_cuts((7, 2, 5, 6, 4), (1, 5, 6, 3, 4), ITEMS)
Step = tuple[float, dict[str, Tensor | None]]


# --- one step ---


def as_given(batch: Windows) -> Windows:
    return batch


def net() -> NextItNet:
    plain = NextItNet(ITEMS, channels=6, dilations=(1, 2), dropout=0.0, embedding_dropout=0.0)
    return randomise(plain.double())


@dataclass(frozen=True)
class Case:
    """What one step minimises, of which model and on which rows."""

    stage: Stage
    batch: Windows = FIVE_ROWS
    model: Callable[[], Any] = lambda: random_skiprec(ITEMS)


JOINT = Stage(1, straight_through_loss, as_given, COST)
CASES = {
    "a backbone": Case(Stage(1), model=net),
    "the warm-up, which leaves the policy alone": Case(Stage(1)),
    "straight-through": Case(JOINT),
    "settling": Case(Stage(1, settled_loss, as_given)),
    "cuts that are drawn": Case(Stage(1, straight_through_loss, from_a_cut, COST), random_windows((7, 2, 5), 7, ITEMS)),
    "a sampled softmax": Case(sampled([JOINT], ITEMS, 4)[0]),
    "one row, a backbone": Case(Stage(1), FIVE_ROWS.rows(slice(1)), net),
    "one row, straight-through": Case(JOINT, FIVE_ROWS.rows(slice(1))),
}


def no_noise(shape: torch.Size, *, dtype: torch.dtype, **_: object) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


def one_step(case: Case, batch: Windows | None = None) -> Step:
    """The loss of one step, and the gradient of each parameter; gates without noise, so that all draw the same."""
    model = case.model()
    [stage] = processes.shared([case.stage], model)
    torch.manual_seed(3)
    with mock.patch.object(gumbel, "sample_gumbel", no_noise):
        loss = stage.minimises(model, batch or case.batch, COST)
    loss.backward()
    return loss.item(), {name: parameter.grad for name, parameter in model.named_parameters()}


def draws_of_a_step() -> dict[str, Tensor]:
    """What a process draws within a step, and what it would draw next."""
    within = []

    def loss(model: NextItNet, batch: Windows) -> Tensor:
        within.append(torch.rand(3))
        return next_item_loss(model, batch)

    model = net()
    [stage] = processes.shared([Stage(1, loss)], model)
    torch.manual_seed(3)
    stage.minimises(model, FIVE_ROWS, 0.0).backward()
    return {"within": within[0], "next": torch.rand(3)}


def trained() -> dict[str, Any]:
    """A training of every stage with dropout and noise; the last batch of an epoch is one row."""
    split = tiny_split(users=33)
    assert len(split.train) % 13 == 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = NextItNet(split.num_items, channels=8, dilations=(1, 2), dropout=0.2)
        model = SkipRec(net, PolicyNetwork(split.num_items, 2, channels=8))
    stages = skiprec_stages(4, cost=0.1, warmup_epochs=1, ramp_epochs=1, settle_epochs=1)
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    history = fit(model, split, stages=processes.shared(stages, model), batch_size=13, progress=False, device="cpu")
    return {"start": start, "end": model.state_dict(), "epochs": history.epochs, "chosen": history.chosen}


def process(rank: int, folder: str) -> None:
    """Do it all in one of the processes, and leave what was found in a file."""
    meet = Path(folder, "meet").as_uri()
    distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=PROCESSES)
    found = {"steps": {name: one_step(case) for name, case in CASES.items()}}
    torch.save(found | {"draws": draws_of_a_step(), "trained": trained()}, Path(folder, f"{rank}.pt"))
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Start the processes once for all tests: what each of them found."""
    folder = tmp_path_factory.mktemp("together")
    multiprocessing.spawn(process, (str(folder),), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(PROCESSES)]


def assert_same(found: Step, expected: Step) -> None:
    assert found[0] == pytest.approx(expected[0], rel=1e-12, abs=1e-14)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        if gradient is None:
            assert found[1][name] is None, name
        else:
            torch.testing.assert_close(found[1][name], gradient, rtol=1e-10, atol=1e-13, msg=name)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_take_the_step_that_one_takes(name: str, found: list[dict[str, Any]]) -> None:
    alone = one_step(CASES[name])
    assert any(gradient is not None and gradient.abs().max() > 1e-3 for gradient in alone[1].values())
    for of_one in found:
        assert_same(of_one["steps"][name], alone)


@pytest.mark.parametrize("name", ["a backbone", "straight-through"])
def test_the_mean_of_the_shares_own_steps_is_another_step(name: str) -> None:
    """So the test above would notice shares that are not weighted by what is scored in them."""
    case = CASES[name]
    (first, of_first), (second, of_second) = (one_step(case, case.batch.rows(slice(k, None, 2))) for k in (0, 1))
    assert abs(first - second) > 0.01
    loss, gradients = one_step(case)
    assert abs((first + second) / 2 - loss) > 1e-3
    mean = {key: (of_first[key] + of_second[key]) / 2 for key in gradients}
    assert max((mean[key] - gradients[key]).abs().max() for key in gradients) > 1e-3


def test_dropout_and_gates_are_each_process_s_own_and_what_comes_next_is_common(found: list[dict[str, Any]]) -> None:
    first, second = (of_one["draws"] for of_one in found)
    assert not torch.equal(first["within"], second["within"])
    assert torch.equal(first["next"], second["next"])


def test_both_processes_end_with_the_same_weights(found: list[dict[str, Any]]) -> None:
    first, second = (of_one["trained"] for of_one in found)
    assert first["chosen"] == second["chosen"]
    assert [e["ndcg"] for e in first["epochs"]] == [e["ndcg"] for e in second["epochs"]]
    assert [e["loss"] for e in first["epochs"]] == pytest.approx([e["loss"] for e in second["epochs"]], rel=1e-5)
    for name, weight in first["end"].items():
        assert torch.equal(weight, second["end"][name]), name
    moved = {name for name, weight in first["end"].items() if not torch.equal(weight, first["start"][name])}
    assert {name.split(".")[0] for name in moved} == {"backbone", "policy"}


# --- the command line ---

# torchrun's own way to start `python -m skiprec_lite`, but the second process kills itself at a given moment.
WORKER = """
import os, signal, sys
from pathlib import Path
import torch
from skiprec_lite import cli, training

def dying(function, calls):
    def count(*given, **named):
        nonlocal calls
        calls -= 1
        if not calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given, **named)
    return count

_, folder, moment, *arguments = sys.argv
Path(folder, "pid" + os.environ["RANK"]).write_text(str(os.getpid()))
if os.environ["RANK"] == "1":
    if moment == "a step":
        torch.Tensor.backward = dying(torch.Tensor.backward, 5)
    else:
        training._validate = dying(training._validate, 2)
sys.exit(cli.main(arguments))
"""
TINY = ("--blocks", "2", "--channels", "8", "--device", "cpu")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write forty users of thirty films each, as a CSV."""
    return write_small_log(tmp_path_factory.mktemp("data") / "small.csv")


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run by torchrun in two processes; the port is a free one."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={PROCESSES}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *(str(a) for a in arguments)], env=environment, cwd=ROOT, timeout=240, check=False,
        capture_output=True, text=True,
    )  # fmt: skip


def complaints(run: subprocess.CompletedProcess[str]) -> list[str]:
    """Our own lines on stderr; torchrun adds a report, and a progress bar stands before them without a line's end."""
    return [line for line in run.stderr.replace("\r", "\n").splitlines() if line.startswith("error:")]


def test_the_first_process_alone_reports_and_writes_weights_that_load(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "weights.safetensors"
    told = ("--data", small, "--output", output, *TINY, "--epochs", "28", "--cost", "0.1", "--json")
    run = torchrun("-m", "skiprec_lite", "train", *told)
    assert run.returncode == 0, run.stderr
    [line] = run.stdout.splitlines()
    reported = json.loads(line)
    assert reported["epochs"] == 28
    assert list(tmp_path.iterdir()) == [output]
    assert isinstance(checkpoints.load(output), SkipRec)
    assert cli.main(["evaluate", "--data", str(small), "--model", str(output), "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for name in ("ndcg@10 unseen", "ndcg@10 all"):
        assert found[name] == pytest.approx(reported[name], rel=1e-6)


def test_what_people_read_is_said_once(small: Path, tmp_path: Path) -> None:
    output = tmp_path / "weights.safetensors"
    told = ("--data", small, "--output", output, *TINY, "--epochs", "2", "--full-depth")
    run = torchrun("-m", "skiprec_lite", "train", *told)
    assert run.returncode == 0, run.stderr
    for part in ("Training NextItNet+", "On held-out items", "-m skiprec_lite open"):
        assert run.stdout.count(part) == 1
    assert complaints(run) == []


@pytest.mark.parametrize("told", [("--blocks", "0"), ("--device", "cuda")], ids=["a setting", "a device"])
def test_a_mistake_that_all_processes_meet_is_told_once(told: tuple[str, str], small: Path, tmp_path: Path) -> None:
    if told[1] == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one here")
    run = torchrun("-m", "skiprec_lite", "train", "--data", small, "--output", tmp_path / "x.safetensors", *told)
    assert run.returncode != 0
    assert len(complaints(run)) == 1
    assert run.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing can be killed so on Windows")
@pytest.mark.parametrize("moment", ["a step", "validation"])
def test_a_killed_process_ends_the_run_with_one_line_and_leaves_the_old_weights(
    moment: str, small: Path, tmp_path: Path
) -> None:
    worker, output = tmp_path / "worker.py", tmp_path / "out" / "weights.safetensors"
    worker.write_text(WORKER)
    output.parent.mkdir()
    output.write_bytes(b"the weights of an earlier training")
    told = ("train", "--data", small, "--output", output, *TINY, "--epochs", "1000")
    run = torchrun(worker, tmp_path, moment, *told)
    assert run.returncode != 0
    assert complaints(run) == [
        "error: another process of this training has ended, so it stops; older weights are as they were"
    ]
    assert "SIGKILL" in run.stderr, "torchrun has not seen the second process die"
    assert output.read_bytes() == b"the weights of an earlier training"
    assert list(output.parent.iterdir()) == [output]
    for rank in range(PROCESSES):
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / f"pid{rank}").read_text()), 0)


def test_the_end_is_no_error_that_what_is_interrupted_could_catch() -> None:
    """As torch does with a RuntimeError in the middle of an import: the training would go on, or end in another."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit, match=r"^error: another process"):
            processes._ended()
    finally:
        signal.signal(signal.SIGTERM, before)

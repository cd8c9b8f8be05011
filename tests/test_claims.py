import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from skiprec_lite import claims
from skiprec_lite.claims import claim

SENTENCE = "the mean is 0.5772 within 4 standard errors"


@pytest.fixture(autouse=True)
def a_reader_s_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable that matters is set, and whatever a test explores is forgotten after it."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("SKIPREC_EXPLORE", raising=False)
    monkeypatch.setattr(claims, "_exploring", False)


@pytest.mark.parametrize("condition", [True, np.bool_(True), torch.tensor(True), torch.tensor(2.0) > 1])
def test_a_true_claim_prints_a_tick_and_the_sentence(
    condition: bool | np.bool_ | torch.Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert claim(SENTENCE, condition) is None
    printed = capsys.readouterr()
    assert printed.out == f"✔ {SENTENCE}\n"
    assert printed.err == ""


@pytest.mark.parametrize("condition", [False, np.bool_(False), torch.tensor(False)])
def test_a_false_claim_fails_with_the_sentence(
    condition: bool | np.bool_ | torch.Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match=SENTENCE):
        claim(SENTENCE, condition)
    assert "✔" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "condition",
    [
        *(1, 0, 0.5, "yes", None, [], [False], (True,), np.array([True]), np.float64(1)),
        *(torch.tensor([True]), torch.tensor([True, False]), torch.tensor(1.0), torch.tensor(1), torch.ones(0)),
    ],
    ids=repr,
)
def test_what_is_true_for_the_wrong_reason_is_refused(condition: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TypeError):
        claim(SENTENCE, condition)
    assert "✔" not in capsys.readouterr().out


def test_who_explores_sees_a_cross_and_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKIPREC_EXPLORE", "1")
    claim(SENTENCE, torch.tensor(False))
    claim("another", True)
    assert capsys.readouterr().out == f"✘ {SENTENCE}\n✔ another\n"
    monkeypatch.setenv("SKIPREC_EXPLORE", "0")
    with pytest.raises(AssertionError, match=SENTENCE):
        claim(SENTENCE, False)
    claims.explore()
    claim(SENTENCE, False)
    assert capsys.readouterr().out == f"✘ {SENTENCE}\n"
    with pytest.raises(TypeError):
        claim(SENTENCE, 1)  # what is no bool is no claim, whoever explores


def test_in_ci_nobody_explores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("SKIPREC_EXPLORE", "1")
    claims.explore()
    with pytest.raises(AssertionError, match=SENTENCE):
        claim(SENTENCE, False)


def test_no_lesson_explores_and_no_test_run_does() -> None:
    """A variable that was left in the shell must not turn a failing lesson into a green one."""
    root = Path(__file__).resolve().parent.parent
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            assert cell.cell_type != "code" or "explore(" not in cell.source, path.name
    code = "import conftest, os; assert 'SKIPREC_EXPLORE' not in os.environ"
    subprocess.run([sys.executable, "-c", code], cwd=root, env={"SKIPREC_EXPLORE": "1"}, check=True)

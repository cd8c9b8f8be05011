import numpy as np
import pytest
import torch

from skiprec_lite.claims import claim

SENTENCE = "the mean is 0.5772 within 4 standard errors"


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

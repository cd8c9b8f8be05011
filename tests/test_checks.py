"""The checks of the exercises: right answers pass, wrong ones fail for the reason that the message names."""

import pytest
from answers import Answer
from answers_01_02 import ANSWERS_01_02

from skiprec_lite.checks import CHECKS, Outcome

ANSWERS: dict[str, list[Answer]] = ANSWERS_01_02
CASES = [pytest.param(part, a, id=f"{part}-{i}") for part, answers in ANSWERS.items() for i, a in enumerate(answers)]


@pytest.mark.parametrize(("part", "answer"), CASES)
def test_an_answer_gets_the_outcome_it_deserves(part: str, answer: Answer) -> None:
    outcome, message = CHECKS[part].verdict(answer.answer)
    assert (outcome, answer.word in message) == (answer.outcome, True), message
    assert message.count("\n") <= 1
    assert len(message) < 420


@pytest.mark.parametrize("part", sorted(CHECKS))
def test_the_package_s_version_passes(part: str) -> None:
    for seed in range(3):
        assert CHECKS[part].verdict(CHECKS[part].reference, seed=seed) == (Outcome.PASSED, "")

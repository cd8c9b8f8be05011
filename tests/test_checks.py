"""The checks of the exercises: right answers pass, wrong ones fail for the reason that the message names."""

import random

import numpy as np
import pytest
import torch
from mutants import unhooked

with unhooked():
    from answers import Answer
    from answers_beyond import ANSWERS_BEYOND
    from answers_blind_spots import ANSWERS_BLIND_SPOTS
    from answers_depth import ANSWERS_DEPTH
    from answers_gumbel import ANSWERS_GUMBEL
    from answers_next_item import ANSWERS_NEXT_ITEM
    from answers_nextitnet import ANSWERS_NEXTITNET
    from answers_skiprec import ANSWERS_SKIPREC
    from answers_speed import ANSWERS_SPEED
    from answers_straight_through import ANSWERS_STRAIGHT_THROUGH
    from answers_verdict import ANSWERS_VERDICT

    from skiprec_course import checks, practice
    from skiprec_course.checks import CHECKS, NotPassed, Outcome, Verdict

pytestmark = pytest.mark.usefixtures("unhooked")
ANSWERS: dict[str, list[Answer]] = (
    ANSWERS_GUMBEL | ANSWERS_STRAIGHT_THROUGH | ANSWERS_NEXT_ITEM | ANSWERS_NEXTITNET | ANSWERS_DEPTH
    | ANSWERS_SKIPREC | ANSWERS_VERDICT | ANSWERS_BLIND_SPOTS | ANSWERS_SPEED | ANSWERS_BEYOND
)  # fmt: skip
CASES = [pytest.param(part, a, id=f"{part}-{i}") for part, answers in ANSWERS.items() for i, a in enumerate(answers)]


# --- answers ---


@pytest.mark.parametrize(("part", "answer"), CASES)
def test_an_answer_gets_the_outcome_it_deserves(part: str, answer: Answer) -> None:
    outcome, message = CHECKS[part].verdict(answer.answer)
    assert (outcome, answer.word in message) == (answer.outcome, True), message
    assert message.count("\n") <= 1
    assert len(message) < 420


@pytest.mark.classroom
@pytest.mark.parametrize("part", sorted(ANSWERS))
def test_right_answers_pass_with_twenty_seeds(part: str) -> None:
    right = [CHECKS[part].reference, *(a.answer for a in ANSWERS[part] if a.outcome == Outcome.PASSED)]
    for answer in right:
        for seed in range(20):
            assert CHECKS[part].verdict(answer, seed=seed) == (Outcome.PASSED, ""), (answer, seed)


@pytest.mark.parametrize("part", sorted(CHECKS))
def test_the_package_s_version_passes(part: str) -> None:
    assert CHECKS[part].verdict(CHECKS[part].reference, seed=1) == (Outcome.PASSED, "")


@pytest.mark.parametrize("part", sorted(CHECKS))
def test_every_exercise_has_right_wrong_and_invalid_answers(part: str) -> None:
    outcomes = [a.outcome for a in ANSWERS[part]]
    assert outcomes.count(Outcome.PASSED) >= 1
    assert len(outcomes) - outcomes.count(Outcome.PASSED) >= 3
    assert all(a.word for a in ANSWERS[part] if a.outcome != Outcome.PASSED)


def not_written(*arguments: object, **options: object) -> None:
    raise NotImplementedError


class NotWritten(torch.nn.Module):
    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__()
        raise NotImplementedError


@pytest.mark.parametrize("part", sorted(CHECKS))
def test_a_stub_is_not_yet(part: str) -> None:
    stub = NotWritten if isinstance(CHECKS[part].reference, type) else not_written
    for answer in (stub, None, ...):
        assert CHECKS[part].verdict(answer) == (Outcome.NOT_YET, "")


@pytest.mark.parametrize("part", sorted(CHECKS))
@pytest.mark.parametrize("answer", [7, "text", [1, 2], torch.ones(3)], ids=["int", "str", "list", "tensor"])
def test_what_is_no_function_fails_and_says_so(part: str, answer: object) -> None:
    outcome, message = CHECKS[part].verdict(answer)
    assert outcome is Outcome.FAILED
    assert "expected a function or class" in message


# --- a check as a reader meets it ---


def test_a_check_prints_its_outcome_and_hints_come_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    check = checks.check_gumbel_max
    assert check(wrapped_gumbel_max) is None
    check(not_written)
    check(lambda logits, *, generator=None: logits.argmax(dim=-1))
    check(lambda logits, *, generator=None: 1 / 0)
    printed = capsys.readouterr().out
    assert [line[0] for line in printed.splitlines() if line[0] in "✔○✘⚡"] == ["✔", "○", "✘", "⚡"]
    check.hint()
    check.hint(2)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Hint 1 of 3: ")
    assert second.startswith("Hint 2 of 3: ")
    for number in (0, 4):
        with pytest.raises(ValueError, match="hints 1 to 3"):
            check.hint(number)


def test_a_check_is_a_pure_function_of_answer_and_seed() -> None:
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (CHECKS["gumbel.gumbel_softmax"].verdict(not_written, seed=5) for _ in range(2))
    passed = [CHECKS["gumbel.gumbel_softmax"].verdict(CHECKS["gumbel.gumbel_softmax"].reference) for _ in range(2)]
    assert (first, passed[0]) == (again, passed[1])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])  # noqa: NPY002


def test_a_graded_check_raises_one_line_and_says_how_many_tests_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    check = checks.check_gumbel_max
    with pytest.raises(NotPassed, match="○ gumbel_max: not yet") as raised:
        check.require(not_written)
    assert raised.value._render_traceback_() == ["○ gumbel_max: not yet"]
    check.require(wrapped_gumbel_max, hidden=2)
    check.require(wrapped_gumbel_max, hidden=1)
    assert capsys.readouterr().out.splitlines() == [
        "✔ gumbel_max: all visible checks passed; 2 more are hidden",
        "✔ gumbel_max: all visible checks passed; 1 more is hidden",
    ]


def wrapped_gumbel_max(logits: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
    return checks.check_gumbel_max.reference(logits, generator=generator)


@pytest.mark.parametrize("lesson_s", [False, True])
def test_what_stands_in_for_an_answer_is_named_and_not_judged(
    lesson_s: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A check cell that is run twice meets, the second time, what the first run put in the answer's place."""
    check = checks.check_gumbel_max
    instead = practice.of_lesson("01_gumbel", "gumbel_max") if lesson_s else None
    put_there = check.go_on(not_written, instead)
    assert put_there is (instead if lesson_s else check.reference)
    line = "○ gumbel_max: this is the course's version, which stands in for yours: run your cell again"
    check(put_there)
    assert capsys.readouterr().out == f"{line}\n"
    with pytest.raises(NotPassed, match=line):
        check.require(put_there, hidden=2)
    assert check.go_on(put_there, instead) is put_there


def test_an_answer_that_passes_is_gone_on_with() -> None:
    assert checks.check_gumbel_max.go_on(wrapped_gumbel_max) is wrapped_gumbel_max


def test_an_argument_that_an_answer_changes_is_named() -> None:
    def in_place(logits: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        return logits.add_(CHECKS["gumbel.sample_gumbel"].reference(logits.shape, generator=generator)).argmax(dim=-1)

    outcome, message = checks.check_gumbel_max.verdict(in_place)
    assert outcome is Outcome.FAILED
    assert "changes the argument" in message


def test_each_student_has_a_seed_that_depends_on_the_name_alone() -> None:
    seeds = [checks.seed_of(f"student{i}") for i in range(500)]
    assert len(set(seeds)) == 500
    assert checks.seed_of(" Ada ") == checks.seed_of("ada")
    with pytest.raises(ValueError, match="user name"):
        checks.seed_of("  ")
    assert Verdict(Outcome.PASSED).message == ""

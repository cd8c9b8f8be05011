"""Each row of a lesson's table of mistakes: the check fails what it makes, and says so in the row's own words."""

from pathlib import Path

import pytest
from mutants import unhooked

with unhooked():
    from skiprec_course import engine
    from skiprec_course.assignments import a3
    from skiprec_course.checks import CHECKS, Outcome
    from skiprec_course.mistakes import Mistake, with_mistake
    from skiprec_course.teachers import common_mistakes
    from skiprec_lite.gumbel import gumbel_max

pytestmark = pytest.mark.usefixtures("unhooked")
COMMON = Path(__file__).resolve().parent.parent / "notebooks" / "assignments" / "common_mistakes.md"


@pytest.mark.parametrize("part", sorted(CHECKS))
def test_each_mistake_is_told_in_its_own_words(part: str) -> None:
    """A check says what the first row says that ends in the same line: no row before it does."""
    check, told = CHECKS[part], {}
    for mistake in check.mistakes:
        with engine.from_the_seed(0):
            stopped = check.tried(with_mistake(check.reference, mistake), 0)
        assert stopped.outcome in (Outcome.FAILED, Outcome.RAISED), mistake
        assert told.setdefault(stopped.found, mistake.says) == mistake.says, stopped.found
        assert len(stopped.found) + len(mistake.says) < 420
    first = check.mistakes[0]
    message = check.verdict(with_mistake(check.reference, first)).message
    assert message.splitlines()[1:] == [f"{first.says[:1].upper()}{first.says[1:]}."]


FIRST_CHECKS = [n for n in a3.__all__ if getattr(a3, n).mistakes and not n.endswith(("_gradient", "_sampled"))]


@pytest.mark.parametrize("name", FIRST_CHECKS)
def test_a_mistake_of_assignment_3_is_told_in_its_own_words(name: str) -> None:
    """By some check of the function, if several are about it."""
    check = getattr(a3, name)
    of_one_function = [c for c in map(a3.__dict__.get, a3.__all__) if c.mistakes is check.mistakes]
    for mistake in check.mistakes:
        found = [c.verdict(with_mistake(c.reference, mistake)) for c in of_one_function]
        assert any(v.outcome in (Outcome.FAILED, Outcome.RAISED) for v in found), mistake.says
        said = {v.message.splitlines()[-1].rstrip(".") for v in found if v.message}
        assert mistake.says[:1].upper() + mistake.says[1:] in said, said


@pytest.mark.parametrize("part", sorted(CHECKS))
def test_every_exercise_has_a_table(part: str) -> None:
    """With sentences that can be told apart from one another's edits: no edit stands in it twice."""
    rows = CHECKS[part].mistakes
    assert CHECKS[part].importance in ("core", "useful", "extra")
    assert len(rows) >= 3
    assert len({(m.old, m.new) for m in rows}) == len(rows)
    assert all(m.says and m.says[-1] not in ".!" and m.old != m.new for m in rows)


def test_an_edit_whose_text_is_not_there_or_not_once_is_an_error() -> None:
    for old in ("no such text", "logits"):
        with pytest.raises(ValueError, match=r"occurs \d+ times"):
            with_mistake(gumbel_max, Mistake("", old, "x"))


def test_the_teachers_table_is_made_from_the_rows() -> None:
    table = COMMON.read_text(encoding="utf-8")
    assert table == common_mistakes()
    assert "this is the noise upside down" in table

"""Answers for testing the checks: right ones, typical wrong ones, invalid ones, each with what has to come of it."""

from typing import Any, NamedTuple

from skiprec_course.checks import Outcome


class Answer(NamedTuple):
    """An answer (a function or class, or a cell's source), the outcome it must have, a word its message must hold."""

    answer: Any
    outcome: Outcome
    word: str = ""


def right(answer: Any) -> Answer:
    """Another way to write it that must not be rejected."""
    return Answer(answer, Outcome.PASSED)


def wrong(answer: Any, word: str) -> Answer:
    """A misconception; the word names its cause in the message."""
    return Answer(answer, Outcome.FAILED, word)


def raises(answer: Any, word: str) -> Answer:
    """An answer that stops with an error."""
    return Answer(answer, Outcome.RAISED, word)


def the_course_s(answer: Any) -> Answer:
    """The package's own version, imported: it is named, not judged, and scores nothing."""
    return Answer(answer, Outcome.NOT_YET, "the course's version")

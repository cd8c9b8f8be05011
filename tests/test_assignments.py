"""The graded assignments: sources, releases, answers and the whole way from release to gradebook."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import assignments
import nbformat
import pytest
from answers import Answer
from answers_a1 import ANSWERS_A1
from answers_a2 import ANSWERS_A2
from answers_a3 import ANSWERS_A3
from nbgrader.api import Gradebook

from skiprec_course import practice
from skiprec_course.checks import Outcome

pytestmark = pytest.mark.usefixtures("untyped", "tools_on_the_path")
AUTOGRADED = ("a1", "a2", "a3")
ALL = (*AUTOGRADED, "a4")
ANSWERS: dict[str, dict[str, list[Answer]]] = {"a1": ANSWERS_A1, "a2": ANSWERS_A2, "a3": ANSWERS_A3}
SIGNS = {Outcome.NOT_YET: "○", Outcome.FAILED: "✘", Outcome.RAISED: "⚡"}


@pytest.fixture
def tools_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nbgrader calls the command alembic, which lies beside the interpreter."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


# --- sources ---


@pytest.mark.parametrize("name", ALL)
def test_a_source_is_a_clean_nbgrader_notebook(name: str) -> None:
    book = assignments.source(name)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    grade_ids = [assignments.about(cell)["grade_id"] for cell in book.cells if assignments.about(cell)]
    assert len(set(grade_ids)) == len(grade_ids)
    assert len({cell.id for cell in book.cells}) == len(book.cells)
    for cell in book.cells:
        about = assignments.about(cell)
        assert not cell.get("outputs")
        assert not about or about["schema_version"] == 3
        assert ("points" in about) == bool(about.get("grade")), about
        if about.get("solution") and cell.cell_type == "code" and not about["grade"]:
            assert assignments.SOLUTION.search(cell.source), about["grade_id"]
            assert not about["locked"]
        if assignments.is_test(cell):
            assert about["locked"]
            assert "raises-exception" in cell.metadata.tags
            visible, hidden = cell.source.split("### BEGIN HIDDEN TESTS")
            assert ast.parse(visible).body, "each graded cell has a visible test"
            assert ast.parse(hidden).body, "each graded cell has a hidden test"


@pytest.mark.parametrize("name", ALL)
def test_time_points_and_imports_are_stated_and_the_change_log_knows_the_version(name: str) -> None:
    book = assignments.source(name)
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    ((number, unit),) = re.findall(r"\*\*Time\*\*: about (\d+) (minutes|hours)", text)
    assert 60 <= int(number) * {"minutes": 1, "hours": 60}[unit] <= 180
    points = sum(float(assignments.about(cell).get("points", 0)) for cell in book.cells)
    assert re.search(rf"\*\*Points\*\*: {points:g}\b", text), f"the title cell should say {points:g} points"
    assert "import" in text
    version = book.metadata.skiprec.version
    assert f"{name} {version}" in (assignments.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# --- releases ---


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's copy of the folder, without the releases."""
    folder = tmp_path_factory.mktemp("course") / "assignments"
    shutil.copytree(
        assignments.ROOT, folder, ignore=shutil.ignore_patterns("release", "*.db", "autograded", "feedback")
    )
    return folder


def nbgrader(course: Path, *arguments: str) -> str:
    """Run nbgrader as the guide says, in the course's folder."""
    run = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments], cwd=course, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stderr


@pytest.mark.parametrize("name", ALL)
def test_the_release_is_what_the_source_gives_and_holds_no_answer(name: str, course: Path) -> None:
    nbgrader(course, "generate_assignment", name, "--create", "--force")
    fresh = json.loads((course / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8"))
    committed = json.loads((assignments.ROOT / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert committed == fresh, f"generate it again: nbgrader generate_assignment {name} --create --force"
    text = json.dumps(committed)
    assert not re.search("BEGIN SOLUTION|HIDDEN|import grading|hidden_a[0-9]", text)
    assert not any(cell.get("outputs") for cell in committed["cells"])
    released = re.sub(r"\s", "", "".join("".join(cell["source"]) for cell in committed["cells"]))
    for cell in assignments.source(name).cells:
        for solution in assignments.SOLUTION.findall(cell.source) if cell.cell_type == "code" else []:
            for line in solution.splitlines()[1:-1]:
                bare = re.sub(r"\s", "", line)
                assert len(bare) < practice.TELLING or bare not in released, line


# --- answers ---


@pytest.mark.parametrize("name", AUTOGRADED)
def test_the_model_solution_gets_all_points_and_an_untouched_notebook_none(name: str) -> None:
    book = assignments.source(name)
    most = assignments.most_points(book)
    assert assignments.run(book).points == most
    blank = assignments.run(assignments.untouched(book))
    assert sum(blank.points.values()) == 0
    assert blank.points.keys() == most.keys()


CLASSROOM = pytest.mark.classroom  # an answer to every eighth cell on each test run, all of them with -m classroom
CASES = [
    pytest.param(
        name, cell, answer, id=f"{name}-{cell}-{i}",
        marks=() if number % 8 == 0 and i == len(answers) // 2 else CLASSROOM,
    )
    for name, by_cell in ANSWERS.items()
    for number, (cell, answers) in enumerate(by_cell.items())
    for i, answer in enumerate(answers)
]  # fmt: skip


@pytest.mark.parametrize(("name", "cell", "answer"), CASES)
def test_an_answer_costs_its_own_cell_and_no_other(name: str, cell: str, answer: Answer) -> None:
    book = assignments.source(name)
    found = assignments.run(assignments.answered(book, {cell: answer.answer}))
    most = assignments.most_points(book)
    lost = {test for test in most if found.points[test] < most[test]}
    if answer.outcome == Outcome.PASSED:
        assert not lost, found.messages
        return
    assert lost, "nothing was lost"
    assert all(test.startswith(f"test_{cell}") for test in lost), lost
    messages = [found.messages[test] for test in lost]
    assert any(answer.word in message for message in messages), messages
    signs = (SIGNS[answer.outcome], "TypeError") if answer.outcome == Outcome.RAISED else (SIGNS[answer.outcome],)
    assert any(sign in message for message in messages for sign in signs), messages  # a cell without a check raises


@pytest.mark.classroom
@pytest.mark.parametrize("name", AUTOGRADED)
def test_right_answers_pass_for_twenty_students(name: str) -> None:
    book = assignments.source(name)
    most = assignments.most_points(book)
    right = {
        cell: [a.answer for a in answers if a.outcome == Outcome.PASSED] for cell, answers in ANSWERS[name].items()
    }
    for number in range(20):
        chosen = {cell: answers[number % len(answers)] for cell, answers in right.items()}
        found = assignments.run(assignments.answered(book, chosen), user=f"student {number}")
        assert found.points == most, (number, found.messages)


def test_enough_answers_were_tried() -> None:
    answers = [a for by_cell in ANSWERS.values() for tried in by_cell.values() for a in tried]
    assert sum(a.outcome != Outcome.PASSED for a in answers) >= 60
    assert sum(a.outcome == Outcome.PASSED for a in answers) >= 25


# --- the real way ---


def hand_in(course: Path, student: str, name: str, book: nbformat.NotebookNode) -> None:
    folder = course / "submitted" / student / name
    folder.mkdir(parents=True)
    nbformat.write(book, folder / f"{name}.ipynb")


def scores(course: Path, name: str) -> dict[str, float]:
    """Each student's points; what a teacher grades by hand has none yet."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        return {handed_in.student.id: handed_in.score for handed_in in book.assignment_submissions(name)}


@pytest.mark.parametrize("name", ["a1", *(pytest.param(n, marks=pytest.mark.classroom) for n in ("a2", "a3"))])
def test_from_release_to_gradebook(name: str, course: Path) -> None:
    nbgrader(course, "generate_assignment", name, "--create", "--force")
    release = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
    source = assignments.source(name)
    solved = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
    for cell, model in zip(solved.cells, source.cells, strict=True):
        if assignments.about(cell).get("solution"):
            cell.source = model.source
    edited = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
    for cell in edited.cells:
        if assignments.is_test(cell):
            cell.source = "pass"  # locked cells are put back before grading
    for student, book in (("blank", release), ("right", solved), ("edits", edited)):
        hand_in(course, student, name, book)
    nbgrader(course, "autograde", name, "--create")
    found = scores(course, name)
    most = sum(assignments.most_points(source).values())
    assert found == {"right": most, "blank": 0, "edits": 0}

"""Practice copies are run: untouched, and with the solutions put back. It takes minutes, so it is a file of its own."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from test_practice import WITH_EXERCISES, copy_of

from skiprec_course import practice

SOLVED_ALWAYS = ("01",)  # the rest with -m classroom


def solved(copy: nbformat.NotebookNode, lesson: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The lesson's own definitions in the stubs' places."""
    solutions = [cell for cell in lesson.cells if practice._parts(cell)]
    for cell in copy.cells:
        if practice._parts(cell):
            cell.source = solutions.pop(0).source
    return copy


# The lesson's own run draws its figures; a copy's are the same.
NO_PICTURES = "from matplotlib.figure import Figure\nFigure.savefig = lambda *arguments, **options: None"


def check_outputs(copy: nbformat.NotebookNode) -> list[str]:
    copy.cells.insert(0, nbformat.v4.new_code_cell(NO_PICTURES, id="no-pictures"))
    NotebookClient(copy, timeout=300, resources={"metadata": {"path": str(practice.LESSONS)}}).execute()
    assert not [o for c in copy.cells for o in c.get("outputs", []) if o.get("name") == "stderr"]
    checks = [cell for cell in copy.cells if cell.id.endswith("-check")]
    return ["".join(o.text for o in cell.outputs) for cell in checks]


def twice(copy: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Each check cell a second time, as a learner runs it who wants to read the message again."""
    for check in [cell for cell in copy.cells if cell.id.endswith("-check")]:
        again = nbformat.v4.new_code_cell(check.source, id=f"{check.id}-again")
        copy.cells.insert(copy.cells.index(check) + 1, again)
    return copy


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda p: p.stem)
def test_an_untouched_copy_runs_and_says_not_yet_and_never_passed(path: Path) -> None:
    copy = twice(copy_of(path))
    lines = [line for output in check_outputs(copy) for line in output.splitlines()]
    assert lines
    assert all(re.fullmatch(r"○ \w+: not yet", line) for line in lines), lines
    again = [o.text for cell in copy.cells if cell.id.endswith("-check-again") for o in cell.outputs]
    lines = "".join(again).splitlines()
    assert lines
    assert all(re.fullmatch(r"○ \w+: this is the course's version.*: run your cell again", x) for x in lines), lines


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.name.startswith(SOLVED_ALWAYS) else pytest.mark.classroom)
        for path in WITH_EXERCISES
    ],
)
def test_with_the_solutions_put_back_it_passes(path: Path) -> None:
    found = check_outputs(solved(copy_of(path), practice._read(path)))
    lines = [line for output in found for line in output.splitlines()]
    assert lines
    assert all(re.fullmatch(r"✔ \w+: passed", line) for line in lines), found

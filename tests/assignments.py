"""Assignments as plain Python: put answers into a source notebook, run it with its hidden tests, count the points.

This is what nbgrader's autograder does, in one process and without its database; tests/test_assignments.py also walks
the real way.
"""

import ast
import copy
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import nbformat

ROOT = Path(__file__).resolve().parent.parent / "notebooks" / "assignments"
SOLUTION = re.compile(r"^[ \t]*### BEGIN SOLUTION.*?### END SOLUTION[^\n]*\n?", re.DOTALL | re.MULTILINE)
STUB = "raise NotImplementedError  # your code here"


class Graded(NamedTuple):
    """What running a notebook gave: points by test cell, and the message of each cell that raised."""

    points: dict[str, float]
    messages: dict[str, str]


def source(name: str) -> nbformat.NotebookNode:
    """The source notebook of an assignment."""
    return nbformat.read(ROOT / "source" / name / f"{name}.ipynb", as_version=4)


def about(cell: nbformat.NotebookNode) -> dict[str, Any]:
    """A cell's nbgrader metadata, {} if it has none."""
    return cell.metadata.get("nbgrader", {})


def is_test(cell: nbformat.NotebookNode) -> bool:
    """A code cell that gives points to another one's work."""
    return cell.cell_type == "code" and about(cell).get("grade", False) and not about(cell).get("solution", False)


def most_points(book: nbformat.NotebookNode) -> dict[str, float]:
    return {about(cell)["grade_id"]: float(about(cell)["points"]) for cell in book.cells if is_test(cell)}


def answered(book: nbformat.NotebookNode, answers: dict[str, str]) -> nbformat.NotebookNode:
    """The notebook with these sources in the solution cells named; an answer takes the place of the whole cell."""
    book = copy.deepcopy(book)
    left = dict(answers)
    for cell in book.cells:
        if about(cell).get("solution") and about(cell)["grade_id"] in left:
            cell.source = left.pop(about(cell)["grade_id"])
    assert not left, f"no solution cell {sorted(left)}"
    return book


def untouched(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook as students get it, but with the hidden tests."""
    stubs = {}
    for cell in book.cells:
        if cell.cell_type == "code" and about(cell).get("solution"):
            stubs[about(cell)["grade_id"]] = SOLUTION.sub(
                lambda m: re.match(r"[ \t]*", m.group())[0] + STUB + "\n", cell.source
            )
    return answered(book, stubs)


def run(book: nbformat.NotebookNode, *, user: str = "ada") -> Graded:
    """Run the code cells in order, each in spite of errors in the ones before; a test cell that does not raise scores.

    The user name goes into the cell that asks for one (USER = "").
    """
    hidden = str(ROOT / "hidden")
    sys.path.insert(0, hidden)
    space: dict[str, Any] = {"__name__": "__main__"}
    points, messages = {}, {}
    here = os.getcwd()
    try:
        for cell in book.cells:
            if cell.cell_type != "code":
                continue
            text = re.sub(r'^USER = ""', f'USER = "{user}"', cell.source, flags=re.MULTILINE)
            name = about(cell).get("grade_id", cell.id)
            try:
                exec(compile(ast.parse(text), f"<{name}>", "exec"), space)
            except Exception as error:
                messages[name] = f"{type(error).__name__}: {error}"
            if is_test(cell):
                points[name] = 0.0 if name in messages else float(about(cell)["points"])
    finally:
        sys.path.remove(hidden)
        os.chdir(here)
    return Graded(points, messages)

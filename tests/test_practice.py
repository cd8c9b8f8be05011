"""Practice copies: nothing of a solution is left, they run untouched and solved, and `progress` says how far one is."""

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from skiprec_course import practice
from skiprec_course.checks import CHECKS, Outcome
from skiprec_lite import cli

pytestmark = pytest.mark.usefixtures("untyped")
WITH_EXERCISES = [p for p in sorted(practice.LESSONS.glob("[0-9][0-9]_*.ipynb")) if '"builds:' in p.read_text("utf-8")]


def copy_of(path: Path) -> nbformat.NotebookNode:
    return practice.practice_copy(practice._read(path), path.stem)


# --- what a copy holds ---


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda p: p.stem)
def test_nothing_of_a_solution_is_left(path: Path) -> None:
    copy, lesson = copy_of(path), practice._read(path)
    assert practice.leaks(copy, lesson) == []
    assert practice.leaks(lesson, lesson), "the search has to find the solutions in the lesson itself"
    assert not any(cell.get("outputs") for cell in copy.cells)


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda p: p.stem)
def test_each_part_has_a_stub_a_task_a_check_and_hints(path: Path) -> None:
    copy = copy_of(path)
    parts = [part for cell in practice._read(path).cells for part in practice._parts(cell)]
    assert [part for cell in copy.cells for part in practice._parts(cell)] == parts
    for cell in copy.cells:
        if not practice._parts(cell):
            continue
        defined = {node.name: node for node in ast.parse(cell.source).body}
        assert set(defined) == {part.split(".")[-1] for part in practice._parts(cell)}
        functions = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.FunctionDef)]
        assert functions
        for function in functions:
            assert ast.unparse(function.body[-1]) == "raise NotImplementedError"
            assert len(function.body) <= 3  # a docstring, super().__init__()
        around = {c.id.removeprefix(f"{cell.id}-"): c.source for c in copy.cells if c.id.startswith(f"{cell.id}-")}
        for name in defined:
            assert re.search(rf"`{name}`.*lines?.*minutes.*difficulty [1-5] of 5", around["task"])
            assert f"{name}, hint 1 of" in around["hints"]
            assert f"({name})" in around["check"]


def test_a_leak_is_found() -> None:
    path = WITH_EXERCISES[0]
    copy = copy_of(path)
    copy.cells[3].source += "\nreturn -torch.log( -torch.log(u.clamp_min(torch.finfo(dtype).tiny)))  # as a comment"
    assert [line for _, line in practice.leaks(copy, practice._read(path))] == [
        "return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)))"
    ]


def test_the_picture_of_a_right_answer_comes_along() -> None:
    targets = [cell for path in WITH_EXERCISES for cell in copy_of(path).cells if cell.id.endswith("-target")]
    assert len(targets) > len(WITH_EXERCISES)
    for cell in targets:
        assert re.search(r"!\[.{40,}\]\(attachment:target.png\)", cell.source)
        assert len(cell.attachments["target.png"]["image/png"]) > 1_000


# --- on the command line ---


def test_practice_writes_a_copy_and_never_over_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["practice", "02", "--folder", str(tmp_path / "mine")]) == 0
    (written,) = (tmp_path / "mine").iterdir()
    assert str(written) in capsys.readouterr().out
    for target in re.findall(r"\]\(([^)#\s]+)\)", "".join(c.source for c in practice._read(written).cells)):
        if not target.startswith(("http", "attachment:")):
            assert (written.parent / target).exists(), target
    before = written.read_bytes()
    assert cli.main(["practice", "02", "--folder", str(tmp_path / "mine")]) == 1
    assert "may hold your work" in capsys.readouterr().err
    assert written.read_bytes() == before


@pytest.mark.parametrize(("name", "word"), [("99", "names 0 lessons"), ("1", "names 3 lessons"), ("", "choose one")])
def test_a_lesson_that_is_not_clear_is_an_error(
    name: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["practice", name, "--folder", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


RIGHT = """def sample_gumbel(shape, *, generator=None, dtype=torch.float32, device=None):
    return -torch.empty(tuple(shape), dtype=dtype).exponential_(generator=generator).clamp_min(1e-37).log()"""


class Collected(list):
    """Stands for the pipe to the process that asked."""

    send = list.append


def copy_with(folder: Path, *answers: str | None) -> Path:
    """A practice copy of lesson 01 with these answers in place of its stubs (None: the stub)."""
    written = practice.write("01", folder)
    book = practice._read(written)
    for cell, answer in zip([cell for cell in book.cells if practice._parts(cell)], answers, strict=True):
        cell.source = answer or cell.source
    nbformat.write(book, written)
    return written


@pytest.mark.parametrize(
    ("first", "second", "outcomes"),
    [
        (None, None, ["not yet", "not yet"]),
        (RIGHT, None, ["passed", "not yet"]),
        (RIGHT.replace("-torch", "torch"), "def gumbel_max(logits, **o):\n    return 1 / 0", ["failed", "raised"]),
        ("def sample_gumbel(", RIGHT.replace("sample_gumbel", "gumbel_max"), ["not yet", "raised"]),
    ],
)
def test_outcomes_are_told_apart(first: str | None, second: str | None, outcomes: list[str], tmp_path: Path) -> None:
    results: Any = Collected()
    practice._judge(copy_with(tmp_path, first, second), ["gumbel.sample_gumbel", "gumbel.gumbel_max"], results)
    assert [verdict.outcome for verdict in results[1:]] == outcomes


def test_an_endless_loop_and_a_dead_process_cost_one_exercise(tmp_path: Path) -> None:
    copy_with(
        tmp_path,
        "def sample_gumbel(shape, **o):\n    while True: pass",
        "import os\ndef gumbel_max(*a, **o): os._exit(3)",
    )
    (tmp_path / "notes.ipynb").write_text("not a notebook")
    practice.write("02", tmp_path)
    found = practice.progress(tmp_path, seconds=15)  # the copy's own imports count
    assert [p.lesson for p in found] == ["01_gumbel", "01_gumbel", "02_temperature"]
    assert [p.exercise for p in found] == [f"gumbel.{n}" for n in ("sample_gumbel", "gumbel_max", "gumbel_softmax")]
    assert [p.verdict.outcome for p in found] == ["raised", "raised", "not yet"]
    assert "stopped after 15 seconds" in found[0].verdict.message
    assert "ended the process" in found[1].verdict.message


def test_progress_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    practice.write("02", tmp_path)
    assert cli.main(["progress", str(tmp_path)]) == 0
    assert re.search(r"02_temperature +gumbel_softmax +○ not yet\n0 of 1 exercises pass", capsys.readouterr().out)
    assert cli.main(["progress", str(tmp_path / "nowhere")]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_what_stands_in_is_the_lesson_s_own_cell_and_defined_once() -> None:
    for path in WITH_EXERCISES:
        names = [name for cell in practice._read(path).cells for name in practice._definitions(cell)]
        assert len(names) == len(set(names)), path.stem
    with pytest.raises(ValueError, match="lesson 02_temperature builds no 'sample_gumbel'"):
        practice.of_lesson("02_temperature", "sample_gumbel")
    with pytest.raises(FileNotFoundError):
        practice.of_lesson("99_nothing", "sample_gumbel")


def test_there_is_a_check_for_every_exercise_and_no_other() -> None:
    parts = {part for path in WITH_EXERCISES for cell in practice._read(path).cells for part in practice._parts(cell)}
    assert parts - set(CHECKS) == set()
    assert all(check.hints and check.task for check in CHECKS.values())
    assert Outcome.NOT_YET == "not yet"


def test_without_the_lessons_there_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(practice, "LESSONS", tmp_path)  # as in site-packages
    assert cli.main(["practice", "02", "--folder", str(tmp_path / "mine")]) == 1
    assert "clone" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()

"""Practice copies: a lesson in which the parts that it builds are left for the reader to write.

The tag `builds:module.name`, which guards that lesson and package agree, makes the exercise as well: there is no second
set of files. A copy holds nothing of the solution; its later cells go on with the lesson's own version of what is not
written yet, since they were written for that one.
"""

import ast
import inspect
import json
import multiprocessing
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat

from skiprec_course.checks import CHECKS, Check, Outcome, Verdict

LESSONS = Path(__file__).resolve().parent.parent  # of a clone; an installed copy has none beside it
SECONDS = 30  # for one exercise, before `progress` gives up on it
_IMPORTS = (
    "from skiprec_course import checks, practice  # checks of what you write, and what stands in for it until then"
)
TELLING = 28  # a line of a solution with so many characters (blanks aside) would give it away


class Progress(NamedTuple):
    """What came of one exercise."""

    lesson: str
    exercise: str
    verdict: Verdict


def lesson_path(name: str) -> Path:
    """The notebook of a lesson that has exercises.

    Args:
        name: its number or the beginning of its file name: "02", "10_blind".

    Raises:
        FileNotFoundError: if the lessons are not beside the package (a clone of the repository has them).
        ValueError: if no lesson, or more than one with exercises, begins so.
    """
    if not any(LESSONS.glob("00_*.ipynb")):
        raise FileNotFoundError(f"the lessons are not here ({LESSONS}): practice copies are made in a clone")
    with_exercises = [p for p in sorted(LESSONS.glob("[0-9][0-9]_*.ipynb")) if any(map(_parts, _read(p).cells))]
    found = [p for p in with_exercises if name and p.name.startswith(name)]
    if len(found) != 1:
        names = ", ".join(p.stem for p in found or with_exercises)
        raise ValueError(f"{name!r} names {len(found)} lessons with exercises; choose one of {names}")
    return found[0]


def write(name: str, folder: Path) -> Path:
    """Write a practice copy of a lesson; a file that is there already is never touched.

    Raises:
        FileExistsError: if the copy is there already: it may hold the reader's work.
        FileNotFoundError, ValueError: see `lesson_path`.
    """
    lesson = lesson_path(name)
    target = folder / lesson.name
    if target.exists():
        raise FileExistsError(
            f"{target} is there already and may hold your work: move it away, or choose another folder"
        )
    book = practice_copy(_read(lesson), lesson.stem)
    links = os.path.relpath(LESSONS, folder.resolve())
    for cell in book.cells:
        if cell.cell_type == "markdown":  # links and pictures of the lesson, from where the copy lies
            cell.source = re.sub(r"\]\((?!https?:|#|attachment:|mailto:)", f"]({Path(links).as_posix()}/", cell.source)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".part")
    nbformat.write(book, temporary)
    temporary.rename(target)
    return target


def practice_copy(lesson: nbformat.NotebookNode, stem: str) -> nbformat.NotebookNode:
    """A lesson with stubs, checks, hints and the pictures that right answers give, in place of what it builds."""
    cells = [_note(stem)]
    for index, cell in enumerate(lesson.cells):
        if cell.cell_type == "code" and len(cells) == index + 1:  # the first code cell, the lesson's imports
            cells.append(_without_output(cell))
            cells.append(_code(_IMPORTS, "practice-checks"))
        elif _parts(cell):
            cells += _exercise(cell, _picture_after(lesson.cells[index + 1 :]), stem)
        else:
            cells.append(_without_output(cell))
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": lesson.metadata.kernelspec})
    nbformat.validate(book)
    return book


def of_lesson(stem: str, name: str) -> Any:
    """A function or class as a lesson's own cell defines it, in the namespace of the notebook that asks.

    Args:
        stem: the lesson's file name without its ending, "04_next_item".
        name: what the cell defines.

    Raises:
        FileNotFoundError: if the lesson is not beside the package.
        ValueError: if it builds nothing of this name.
    """
    path = LESSONS / f"{stem}.ipynb"
    found = [d for cell in _read(path).cells for d in _definitions(cell).values() if d.name == name]
    if not found:
        raise ValueError(f"lesson {stem} builds no {name!r}")
    defined: dict[str, Any] = {}
    # The notebook's names are looked up when they are used, and what it calls `name` itself is left alone.
    exec(compile(ast.Module([found[0]], []), path.name, "exec"), vars(sys.modules["__main__"]), defined)
    return defined[name]


def leaks(copy: nbformat.NotebookNode, lesson: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Telling lines of the lesson's solutions that still stand in a practice copy, as (cell id, line)."""
    telling = {}
    for definition in (d for cell in lesson.cells for d in _definitions(cell).values()):
        for line in ast.unparse(_body_only(definition)).splitlines():
            if len(_bare(line)) >= TELLING:
                telling[_bare(line)] = line.strip()
    found = []
    for cell in copy.cells:
        text = _bare(ast.unparse(ast.parse(cell.source)) if cell.cell_type == "code" else cell.source)
        found += [(cell.id, line) for bare, line in telling.items() if bare in text]
    return found


def progress(folder: Path, *, seconds: float = SECONDS) -> list[Progress]:
    """Check every exercise of every practice copy in a folder; only definitions and imports of its cells are run.

    Args:
        folder: where the copies are.
        seconds: after which an exercise that is still being checked counts as raised.

    Raises:
        FileNotFoundError: if there is no such folder, or no practice copy in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    found = []
    for path in sorted(folder.glob("*.ipynb")):
        try:
            book = _read(path)
        except (ValueError, OSError, json.JSONDecodeError):
            continue  # not a notebook, whatever its name says
        parts = [part for cell in book.cells for part in _parts(cell)]
        found += [Progress(path.stem, *pair) for pair in _judged(path, parts, seconds)]
    if not found:
        raise FileNotFoundError(f"no practice copy in {folder}: python -m skiprec_lite practice 02 writes one")
    return found


# --- an exercise's cells ---


def _exercise(cell: nbformat.NotebookNode, picture: Any, stem: str) -> Iterator[nbformat.NotebookNode]:
    """What a `builds:` cell becomes: task, stubs, checks, hints, a right answer's picture, and what else it defines."""
    definitions = _definitions(cell)
    checks = [CHECKS[part] for part in _parts(cell) if part.split(".")[-1] in definitions]
    tags = [f"builds:{part}" for part in _parts(cell)]
    starts = [d.lineno for d in definitions.values()]
    given = [n for n in ast.parse(cell.source).body if getattr(n, "name", None) not in definitions]
    before, after = [n for n in given if n.lineno < min(starts)], [n for n in given if n.lineno > min(starts)]
    if before:
        yield _code(_segments(cell, before), f"{cell.id}-before")
    yield _markdown([_task(check, definitions[check.name]) for check in checks], f"{cell.id}-task")
    yield _code("\n\n\n".join(_stub(definitions[c.name], c) for c in checks), cell.id, tags=tags)
    yield _code("\n".join(_check_and_go_on(check, stem) for check in checks), f"{cell.id}-check")
    yield _markdown([_hints(check) for check in checks], f"{cell.id}-hints")
    if picture:
        yield _target(picture, f"{cell.id}-target")
    if after:
        yield _code(_segments(cell, after), f"{cell.id}-after")


def _task(check: Check, solution: ast.FunctionDef | ast.ClassDef) -> str:
    lines = len(ast.unparse(_body_only(solution)).splitlines())
    size = "one line" if lines == 1 else f"about {lines} lines"
    return (
        f"**Your turn: `{check.name}`** · {size} · about {check.minutes} minutes · "
        f"difficulty {check.difficulty} of 5 · {check.importance}\n\n{check.task}"
    )


def _stub(solution: ast.FunctionDef | ast.ClassDef, check: Check) -> str:
    """The signature, the docstring, and an empty body; of a class, those of each method."""
    stub = ast.parse(ast.unparse(solution)).body[0]
    assert isinstance(stub, ast.FunctionDef | ast.ClassDef)
    _empty(stub, check.reference)
    return ast.unparse(stub)


def _empty(stub: ast.FunctionDef | ast.ClassDef, reference: Any) -> None:
    text = re.sub(r"\s*Built in lessons? [^.]*\.", "", inspect.getdoc(reference) or "") if reference else ""
    text = re.sub(r"\n\nRaises:(\n +.*)+", "", text)  # an exercise is about the idea, not about bad input
    if isinstance(stub, ast.FunctionDef):  # a later lesson may have added arguments
        own_arguments = {argument.arg for argument in ast.walk(stub.args) if isinstance(argument, ast.arg)}
        text = re.sub(
            r"\n    \*{0,2}(\w+): .*(\n     +.*)*", lambda m: m.group() if m.group(1) in own_arguments else "", text
        )
    own = reference is not None and (getattr(reference, "__doc__", None) or "")
    indented = textwrap.indent(text, " " * (4 + stub.col_offset)).strip()
    closing = "\n" + " " * (4 + stub.col_offset) if "\n" in indented else ""
    body: list[ast.stmt] = [ast.Expr(ast.Constant(indented + closing))] if own and text else []
    if isinstance(stub, ast.FunctionDef):
        first = stub.body[0]
        if isinstance(first, ast.Expr) and ast.unparse(first) == "super().__init__()":
            body.append(first)
        body += ast.parse("raise NotImplementedError  # your code here").body
    for method in stub.body if isinstance(stub, ast.ClassDef) else []:
        if isinstance(method, ast.FunctionDef):
            _empty(method, None if method.name == "__init__" else vars(reference).get(method.name))
            body.append(method)
    stub.body = body


def _check_and_go_on(check: Check, stem: str) -> str:
    call, name = f"checks.check_{check.name.lstrip('_')}", check.name
    why = "# From here on: yours once it passes, until then the lesson's."
    return f'{call}({name})\n{why}\n{name} = {call}.go_on({name}, practice.of_lesson("{stem}", "{name}"))'


def _hints(check: Check) -> str:
    """Hints inside one another: to open the second, one has opened the first."""
    folded = ""
    for number in range(len(check.hints), 0, -1):
        summary = f"<summary>{check.name}, hint {number} of {len(check.hints)}</summary>"
        folded = f"<details>{summary}\n\n{check.hints[number - 1]}\n\n{folded}</details>"
    return folded


def _target(picture: Any, name: str) -> nbformat.NotebookNode:
    alt = picture.metadata["image/png"]["alt"]
    cell = _markdown([f"A right answer gives this picture:\n\n![{alt}](attachment:target.png)"], name)
    cell.attachments = {"target.png": {"image/png": picture.data["image/png"]}}
    return cell


def _picture_after(cells: list[nbformat.NotebookNode]) -> Any:
    """The first figure that follows in the lesson, before its next exercise."""
    for cell in cells:
        if _parts(cell):
            return None
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                return output
    return None


def _note(stem: str) -> nbformat.NotebookNode:
    text = f"""> **Practice copy of lesson {stem}.** Where the lesson shows how a part is built, you build it. Below
> each of your cells a check says *not yet*, *passed*, *failed* and why, or *raised*; hints are folded. You can run the
> whole notebook at any time: what you have not written yet comes from the lesson, where the solutions are. How far you
> are: `python -m skiprec_lite progress FOLDER`."""
    return _markdown([text], "practice-note")


# --- reading and writing cells ---


def _read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def _parts(cell: nbformat.NotebookNode) -> list[str]:
    """The exercises of a cell: what it builds and has a check; what has none is given."""
    built = [tag.removeprefix("builds:") for tag in cell.metadata.get("tags", []) if tag.startswith("builds:")]
    return [part for part in built if part in CHECKS]


def _definitions(cell: nbformat.NotebookNode) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    """What a cell defines of its exercises, by name."""
    names = {part.split(".")[-1] for part in _parts(cell)}
    found = [n for n in ast.parse(cell.source).body if isinstance(n, ast.FunctionDef | ast.ClassDef)] if names else []
    return {n.name: n for n in found if n.name in names}


def _body_only(definition: ast.FunctionDef | ast.ClassDef) -> ast.Module:
    """The statements of a function, or of all methods of a class, without signatures."""
    if isinstance(definition, ast.FunctionDef):
        return ast.Module(definition.body, [])
    methods = [n for n in definition.body if isinstance(n, ast.FunctionDef)]
    return ast.Module([statement for method in methods for statement in method.body], [])


def _segments(cell: nbformat.NotebookNode, nodes: list[ast.stmt]) -> str:
    """The text of these statements, comments included."""
    lines = cell.source.splitlines()
    starts = [min([n.lineno, *(d.lineno for d in getattr(n, "decorator_list", []))]) for n in nodes]
    return "\n\n\n".join("\n".join(lines[start - 1 : n.end_lineno]) for start, n in zip(starts, nodes))


def _bare(text: str) -> str:
    return re.sub(r"\s|#.*", "", text)


def _without_output(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    cell = nbformat.from_dict(cell)
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    return cell


def _code(source: str, name: str, *, tags: list[str] | None = None) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source, id=name, metadata={"tags": tags} if tags else {})


def _markdown(paragraphs: list[str], name: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell("\n\n".join(paragraphs), id=name)


# --- how far a reader is ---


def _judged(path: Path, parts: list[str], seconds: float) -> Iterator[tuple[str, Verdict]]:
    """The verdict on each part, from a process of its own: an endless loop costs one exercise, not the rest."""
    context = multiprocessing.get_context("spawn")
    while parts:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_judge, args=(path, parts, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            ours.recv()  # it has imported what it needs; from here on the time counts
            while parts:
                waited = ours.poll(seconds)
                verdict = ours.recv() if waited else Verdict(Outcome.RAISED, f"stopped after {seconds:g} seconds")
                yield parts[0], verdict
                parts = parts[1:]
                if not waited:
                    break
        except EOFError:
            yield parts[0], Verdict(Outcome.RAISED, "it ended the process that checked it")
            parts = parts[1:]
        finally:
            process.kill()
            process.join()


def _judge(path: Path, parts: list[str], results: Any) -> None:
    """Define what the notebook defines, statement by statement, and send a verdict for each part."""
    results.send("ready")
    space: dict[str, Any] = {"__name__": "__main__"}
    for cell in _read(path).cells:
        try:
            statements = ast.parse(cell.source).body if cell.cell_type == "code" else []
        except SyntaxError:
            statements = []
        for statement in statements:
            if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
                try:
                    exec(compile(ast.Module([statement], []), f"<{cell.id}>", "exec"), space)
                except Exception:
                    continue  # as a cell that raises would: what it should define is not there
        for part in _parts(cell):
            check = CHECKS[part]
            if part in parts:
                verdict = check.verdict(space.get(check.name))
                results.send(verdict)
                if verdict.outcome is not Outcome.PASSED:
                    space[check.name] = check.reference

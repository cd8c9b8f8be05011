"""Every "Try it" of the lessons, run as it is told, has to give what its answer says (run with -m try_its).

The table is tests/try_its.toml, one entry a change that a reader is told to make:

* lesson, number: the notebook's stem, and which "Try it" this is (or belongs to)
* cell, old, new: in the cell of this id, old (which stands there exactly once) becomes new; without old, new is a cell
  of its own after that one; more than one change: a list `edits` of such tables
* until: the id of the last cell to run (default: the lesson's last)
* expect: expressions that have to be true in the kernel after that cell
* prints: a cell's id -> a regular expression that its printed text has to match
* fails: the beginnings of the claims that print ✘, in order; any other ✘ is an error
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

TABLE = Path(__file__).with_name("try_its.toml")
LESSONS = TABLE.parent.parent / "notebooks"
SECONDS = 900


def entries(table: Path = TABLE) -> list[dict[str, Any]]:
    return tomllib.loads(table.read_text("utf-8"))["try_it"]


def edits_of(entry: dict[str, Any]) -> list[dict[str, str]]:
    return entry.get("edits") or [{key: entry[key] for key in ("cell", "old", "new") if key in entry}]


def lesson_of(entry: dict[str, Any]) -> nbformat.NotebookNode:
    return nbformat.read(LESSONS / f"{entry['lesson']}.ipynb", as_version=4)


def position(book: nbformat.NotebookNode, cell: str) -> int:
    (found,) = [index for index, c in enumerate(book.cells) if c.id == cell]
    return found


def changed(entry: dict[str, Any]) -> nbformat.NotebookNode:
    """The lesson as the reader leaves it, cut after `until`, with what is expected as the last cells."""
    book = lesson_of(entry)
    for number, edit in enumerate(edits_of(entry)):
        index = position(book, edit["cell"])
        if "old" in edit:
            source = book.cells[index].source
            assert source.count(edit["old"]) == 1, f"{edit['old']!r} stands {source.count(edit['old'])} times"
            book.cells[index].source = source.replace(edit["old"], edit["new"])
        else:
            book.cells.insert(index + 1, nbformat.v4.new_code_cell(edit["new"], id=f"try-it-{number}"))
    last = position(book, entry["until"]) if "until" in entry else len(book.cells) - 1
    book.cells = book.cells[: last + 1]
    for number, expression in enumerate(entry.get("expect", [])):
        book.cells.append(nbformat.v4.new_code_cell(f"assert ({expression})", id=f"expect-{number}"))
    return book


def printed(cell: nbformat.NotebookNode) -> str:
    shown = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.get("outputs", [])]
    return "\n".join(shown)  # a cross may follow a figure that ends in no line break


def run(entry: dict[str, Any]) -> dict[str, str]:
    """Run the changed lesson; what each code cell printed, by its id."""
    book = changed(entry)
    NotebookClient(book, timeout=SECONDS, resources={"metadata": {"path": str(LESSONS)}}).execute()
    return {cell.id: printed(cell) for cell in book.cells if cell.cell_type == "code"}


def problems(entry: dict[str, Any], texts: dict[str, str]) -> list[str]:
    """What came out otherwise than the entry says."""
    failed = re.findall(r"^✘ (.*)$", "\n".join(texts.values()), re.M)
    told = entry.get("fails", [])
    found = []
    if len(failed) != len(told) or not all(f.startswith(t) for f, t in zip(failed, told)):
        found.append(f"claims that fail: {failed}, told: {told}")
    for cell, pattern in entry.get("prints", {}).items():
        if not re.search(pattern, texts[cell]):
            found.append(f"{cell} printed {texts[cell]!r}, told: {pattern!r}")
    return found


def name(entry: dict[str, Any]) -> str:
    return f"{entry['lesson']}-{entry['number']}"


@pytest.mark.try_its
@pytest.mark.parametrize("entry", entries(), ids=name)
def test_a_try_it_gives_what_its_answer_says(entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKIPREC_EXPLORE", "1")
    monkeypatch.delenv("CI", raising=False)
    assert problems(entry, run(entry)) == []


@pytest.mark.parametrize("entry", entries(), ids=name)
def test_the_table_fits_the_lessons(entry: dict[str, Any]) -> None:
    """Each text to change stands once in its cell, each cell named is there, and something is expected."""
    assert entry.get("expect") or entry.get("prints") or entry.get("fails")
    changed(entry)
    assert set(entry.get("prints", {})) <= {c.id for c in changed(entry).cells}


def test_every_try_it_of_every_lesson_has_an_entry() -> None:
    told = {(e["lesson"], str(e["number"]).split()[0]) for e in entries()}
    there = set()
    for path in sorted(LESSONS.glob("[0-9][0-9]_*.ipynb")):
        text = "\n\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")
        section = re.search(r"^## Try it$(.*?)(?=^## |\Z)", text, re.M | re.S)
        numbers = re.findall(r"^(?:\*\*)?(\d)\.", section.group(1), re.M) if section else []
        there |= {(path.stem, number) for number in numbers}
    assert there == told

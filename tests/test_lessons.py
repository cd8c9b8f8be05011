"""The committed lessons are one fresh run from top to bottom, small, described, and free of this machine."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
pytestmark = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)


def cells(path: Path, kind: str = "code") -> list[dict]:
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == kind]


def outputs(path: Path) -> list[dict]:
    return [output for cell in cells(path) for output in cell["outputs"]]


def test_is_one_run_from_top_to_bottom(path: Path) -> None:
    counts = [cell["execution_count"] for cell in cells(path)]
    assert counts == list(range(1, len(counts) + 1))


def test_metadata_hold_only_what_is_meant(path: Path) -> None:
    book = json.loads(path.read_text(encoding="utf-8"))
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in book["metadata"]
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in book["cells"]:
        assert set(cell["metadata"]) <= {"tags", "jupyter"}, cell["id"]


def test_outputs_are_clean_and_name_no_machine(path: Path) -> None:
    for output in outputs(path):
        assert output.get("name") != "stderr"
        assert output["output_type"] != "error"
        text = json.dumps(output.get("text", "")) + json.dumps(output.get("data", {}).get("text/plain", ""))
        assert not re.search(r"/(root|home|tmp|Users|work)/", text)
        assert " at 0x" not in text


def test_pictures_are_small_and_described(path: Path) -> None:
    assert path.stat().st_size < 1_500_000
    descriptions = []
    for output in outputs(path):
        if png := output.get("data", {}).get("image/png"):
            assert len(png) * 3 / 4 < 150_000
            descriptions.append(output["metadata"]["image/png"]["alt"])
            assert "".join(output["data"]["text/plain"]) == f"Figure: {descriptions[-1]}"
    assert descriptions
    assert len(set(descriptions)) == len(descriptions)
    assert min(map(len, descriptions)) >= 40


def test_links_and_pictures_in_the_text_exist(path: Path) -> None:
    for cell in cells(path, "markdown"):
        text = "".join(cell["source"])
        assert not re.search(r"!\[\s*\]\(", text), "a picture without a description"
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if not target.startswith(("http", "mailto")):
                assert (path.parent / target).exists(), target

"""Figures for slides: every picture of every lesson, once, with its description."""

import re
from pathlib import Path

import pytest

from skiprec_course import slides
from skiprec_lite import cli


def test_every_figure_is_written_with_its_description(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["figures", str(tmp_path / "slides")]) == 0
    written = {path.name for path in (tmp_path / "slides").iterdir()}
    index = (tmp_path / "slides" / "figures.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[(.+)\]\((.+)\)", index)
    assert {name for _, name in shown} == written - {"figures.md"}
    in_lessons = sum(text.count('"image/png": "') for text in map(Path.read_text, slides.LESSONS.glob("[0-9]*.ipynb")))
    assert sum(name.endswith(".png") for name in written) == in_lessons > 40
    assert "skiprec.svg" in written
    assert f"{len(shown)} figures" in capsys.readouterr().out
    for name in written - {"figures.md"}:
        start = (tmp_path / "slides" / name).read_bytes()[:300]
        assert start.startswith(b"\x89PNG") if name.endswith(".png") else b"<svg" in start


def test_without_the_lessons_there_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slides, "LESSONS", tmp_path)  # as in site-packages
    assert cli.main(["figures", str(tmp_path / "slides")]) == 1
    assert "clone" in capsys.readouterr().err
    assert not (tmp_path / "slides").exists()

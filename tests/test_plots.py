"""Figures carry their description, and the committed drawing is the one that the code draws."""

import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from skiprec_course import plots

ALT = "Two heat maps of gates, users down and blocks across, for a test of this figure."


def test_a_figure_is_shown_with_its_description() -> None:
    figure, _ = plots.new_figure(2, 2)
    with mock.patch.object(plots, "display") as display:
        plots.show(figure, ALT)
    (bundle,), options = display.call_args
    assert bundle["text/plain"] == f"Figure: {ALT}"
    assert options["metadata"]["image/png"]["alt"] == ALT
    assert bundle["image/png"].startswith("iVBOR")


def test_a_figure_without_a_real_description_is_refused() -> None:
    figure, _ = plots.new_figure(2, 2)
    with pytest.raises(ValueError, match="40 characters"):
        plots.show(figure, "a plot")


def test_gate_maps_draw_each_gate_at_its_place() -> None:
    gates = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    with mock.patch.object(plots, "show") as show:
        plots.gate_maps({"left": (gates, ["a", "b"]), "right": (1 - gates, ["c", "d"])}, ALT)
    axes = show.call_args.args[0].axes
    assert [axis.get_title(loc="left") for axis in axes] == ["left", "right"]
    for axis, expected in zip(axes, (gates, 1 - gates), strict=True):
        assert np.array_equal(axis.images[0].get_array(), expected)
        dots = {(line.get_ydata()[0], line.get_xdata()[0]) for line in axis.lines}
        assert dots == set(zip(*np.nonzero(expected == 0), strict=True))


def test_the_committed_drawing_says_what_the_code_draws(tmp_path: Path) -> None:
    plots.save_skiprec_drawing(tmp_path / "skiprec.svg")
    committed = Path(__file__).resolve().parent.parent / "notebooks" / "figures" / "skiprec.svg"
    words = [re.findall(r"<text[^>]*>([^<]+)", path.read_text()) for path in (tmp_path / "skiprec.svg", committed)]
    assert len(words[0]) > 10
    assert words[0] == words[1]

"""Figures carry their description, and the committed drawing is the one that the code draws."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import seaborn as sns
import torch
from torch import nn

from skiprec_course import plots
from skiprec_course.nextitnet import figures as nextitnet
from skiprec_lite import blocks

COURSE = Path(plots.__file__).parent
PICTURE = "whose_pattern/dials"
ALT = plots.description(PICTURE)


def test_a_figure_is_shown_with_its_description() -> None:
    figure, _ = plots.new_figure(2, 2)
    with mock.patch.object(plots, "display") as display:
        plots.show(figure, PICTURE)
    (bundle,), options = display.call_args
    assert ALT.startswith("Two clouds of dots")
    assert "\n" not in ALT
    assert bundle["text/plain"] == f"Figure: {ALT}"
    assert options["metadata"]["image/png"]["alt"] == ALT
    assert bundle["image/png"].startswith("iVBOR")


@pytest.mark.parametrize("picture", ["whose_pattern/no-such", "no_such_room/dials", "dials", ""])
def test_a_figure_without_a_description_is_refused(picture: str) -> None:
    figure, _ = plots.new_figure(2, 2)
    with pytest.raises(ValueError, match=f"no figure is described as '{picture}'"):
        plots.show(figure, picture)


def test_every_description_is_of_one_figure_and_stands_nowhere_else() -> None:
    """A cell names its figure; what is to be seen would give it away there."""
    described = {
        f"{path.parent.name}/{name}": text
        for path in COURSE.glob("*/descriptions.toml")
        for name, text in tomllib.loads(path.read_text(encoding="utf-8")).items()
    }
    sources = [path.read_text(encoding="utf-8") for path in COURSE.glob("*/figures.py")]
    assigned = COURSE.parent / "assignments"
    notebooks = [
        *COURSE.parent.glob("[0-9][0-9]_*.ipynb"),
        *assigned.glob("*.ipynb"),
        *assigned.glob("source/*/*.ipynb"),
    ]
    for lesson in notebooks:
        cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
        sources += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    named = re.findall(r'"([a-z_]+/[a-z0-9-]+)"', "\n".join(sources))
    assert sorted(name for name in named if name in described) == sorted(described)
    assert all(len(text) >= 40 for text in described.values())
    assert not any(" ".join(text.split())[:40] in source for text in described.values() for source in sources)


def test_gate_maps_draw_each_gate_at_its_place() -> None:
    gates = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    with mock.patch.object(plots, "show") as show:
        plots.gate_maps({"left": (gates, ["a", "b"]), "right": (1 - gates, ["c", "d"])}, PICTURE)
    axes = show.call_args.args[0].axes
    assert [axis.get_title(loc="left") for axis in axes] == ["left", "right"]
    for axis, expected in zip(axes, (gates, 1 - gates), strict=True):
        assert np.array_equal(axis.images[0].get_array(), expected)
        (line,) = axis.lines
        dots = set(zip(line.get_ydata(), line.get_xdata(), strict=True))
        assert dots == set(zip(*np.nonzero(expected == 0), strict=True))


@pytest.mark.parametrize(
    ("save", "name", "least"),
    [(plots.save_skiprec_drawing, "skiprec.svg", 10), (nextitnet.save_nextitnet_drawing, "nextitnet.svg", 9)],
)
def test_a_committed_drawing_says_what_the_code_draws(
    save: Callable[[Path], None], name: str, least: int, tmp_path: Path
) -> None:
    save(tmp_path / name)
    committed = Path(__file__).resolve().parent.parent / "notebooks" / "figures" / name
    words = [re.findall(r"<text[^>]*>([^<]+)", path.read_text()) for path in (tmp_path / name, committed)]
    assert len(words[0]) > least
    assert words[0] == words[1]


def test_the_edges_of_nextitnet_are_those_of_its_convolutions() -> None:
    """What is lit below the last output is what autograd says it reads, row by row."""
    for dilations in ((1, 4), (4, 4), (2, 1)):
        _, axes = plots.new_figure(2, 2)
        lit = nextitnet._draw_edges(axes[0, 0], dilations, 60)
        assert len(lit) == 2 * len(dilations) + 1
        stack = nn.Sequential(*[blocks.ResidualBlock(4, dilation=d, rezero=False) for d in dilations])
        inputs = torch.randn(64, 60, 4, requires_grad=True)
        (slope,) = torch.autograd.grad(stack(inputs)[:, -1].pow(2).sum(), inputs)
        read = (slope != 0).any(dim=2).any(dim=0).flip(0)
        assert lit[0] == set(read.nonzero()[:, 0].tolist())


def test_palette_and_greys_are_seaborn_s_own() -> None:
    assert list(sns.color_palette("colorblind")) == plots.COLOURS
    ticks = sns.axes_style("ticks")
    assert {name: plots.STYLE[name] for name in (*plots.DARK, "axes.axisbelow")} == {
        name: ticks[name] for name in (*plots.DARK, "axes.axisbelow")
    }

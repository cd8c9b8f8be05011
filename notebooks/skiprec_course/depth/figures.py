"""Figures of lesson 07, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from skiprec_course.plots import (
    COLOURS,
    LINES,
    MARKERS,
    heat_maps,
    legend_below,
    line_panels,
    means_with_errors,
    new_figure,
    show,
)

__all__ = ["heat_maps", "line_panels", "means_with_errors", "seeds"]


def seeds(
    panels: Mapping[str, Mapping[str, tuple[Sequence[int], Sequence[np.ndarray]]]],
    picture: str,
    *,
    xlabels: Sequence[str],
    ylabels: Sequence[str],
    layers: Sequence[int],
    reference: tuple[str, Sequence[float]] | None = None,
) -> None:
    """A pale dot for each seed, a marker and a line through the seeds' means, over the depth; panels side by side.

    Args:
        panels: title -> name of a series -> (depths, for each depth the values of its seeds).
        picture: the figure's name, "ROOM/NAME".
        xlabels: name of the depth, one for each panel.
        ylabels: name and unit of the values, one for each panel; panels with equal names share their scale.
        layers: layers in one step of each panel's depth: a second axis above counts them, on a doubling scale that
            begins with 0. With 1 the depth is counted as it is, on an even scale.
        reference: name of a dashed line, and its height in each panel.
    """
    figure, axes = new_figure(5.4 * len(panels), 3.9, columns=len(panels), sharey=len(set(ylabels)) == 1)
    names = list(dict.fromkeys(name for drawn in panels.values() for name in drawn))
    for place, (axis, (title, drawn)) in enumerate(zip(axes[0], panels.items())):
        ticks = sorted({depth for depths, _ in drawn.values() for depth in depths})
        for name, (depths, values) in drawn.items():
            index = names.index(name)
            style: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index]}
            places = _places(depths, layers[place])
            for at, of_seeds in zip(places, values):
                axis.scatter(np.full(len(of_seeds), at), of_seeds, s=14, alpha=0.45, linewidth=0, **style)
            means = [float(np.mean(of_seeds)) for of_seeds in values]
            label = f"{name} (mean of the seeds)" if len(names) == 1 else name
            axis.plot(places, means, linestyle=LINES[index], markersize=6.5, label=label, **style)
        if reference:
            axis.axhline(reference[1][place], color="black", linestyle=":", linewidth=1.4, label=reference[0])
        if layers[place] > 1:
            _count_layers(axis, ticks, layers[place])
        axis.set_xticks(_places(ticks, layers[place]), [str(tick) for tick in ticks])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set(xlabel=xlabels[place], ylabel=ylabels[place])
        axis.set_title(title, loc="left")
    legend_below(figure, axes[0], columns=4)
    show(figure, picture)


def _places(depths: Sequence[int], each: int) -> np.ndarray:
    """Where a depth is drawn: 0, 1, 2, 4, 8, … one step apart where layers are counted, else as it is."""
    return np.log2(np.maximum(depths, 0.5)) + 1 if each > 1 else np.asarray(depths)


def _count_layers(axis: Axes, ticks: Sequence[int], each: int) -> None:
    above = axis.secondary_xaxis("top")
    above.set_xticks(_places(ticks, each), [str(each * tick) for tick in ticks])
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xlabel("convolutional layers")

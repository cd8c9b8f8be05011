"""Figures of lesson 07, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from skiprec_course.plots import COLOURS, LINES, MARKERS, legend_below, line_panels, means_with_errors, new_figure, show

__all__ = ["heat_maps", "line_panels", "means_with_errors", "seeds"]


def seeds(
    panels: Mapping[str, Mapping[str, tuple[Sequence[int], Sequence[np.ndarray]]]],
    alt: str,
    *,
    xlabels: Sequence[str],
    ylabels: Sequence[str],
    layers: Sequence[int],
    reference: tuple[str, Sequence[float]] | None = None,
) -> None:
    """A pale dot for each seed, a marker and a line through the seeds' means, over the depth; panels side by side.

    Args:
        panels: title -> name of a series -> (depths, for each depth the values of its seeds).
        alt: description of the figure.
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
    show(figure, alt)


def heat_maps(
    panels: Mapping[str, np.ndarray],
    alt: str,
    *,
    xlabel: str,
    ylabel: str,
    columns: Sequence[object],
    rows: Sequence[object] = (),
    limits: tuple[float, float],
    meaning: str,
    form: str = "",
    steps: Sequence[int] = (),
    width: float = 4.6,
    height: float = 4.0,
) -> None:
    """Arrays as colours from dark (low) to bright (high), side by side on one scale, with a bar that says so.

    Args:
        panels: title -> values of shape (row, column).
        alt: description of the figure.
        xlabel: what runs along the columns.
        ylabel: what runs along the rows.
        columns: a label for each column.
        rows: a label for each row; none if empty.
        limits: the values of the darkest and the brightest colour.
        meaning: name and unit of the values.
        form: how to write each value into its cell, such as "{:.2f}"; nothing is written if empty.
        steps: for each row the column before which a white stair runs.
        width: of one panel in inches.
        height: of the figure in inches.
    """
    figure, axes = new_figure(width * len(panels) + 0.9, height, columns=len(panels), sharey=True)
    for axis, (title, values) in zip(axes[0], panels.items()):
        image = axis.imshow(
            values, cmap="cividis", vmin=limits[0], vmax=limits[1], aspect="auto", interpolation="nearest"
        )
        for (row, column), value in np.ndenumerate(values if form else np.empty((0, 0))):
            colour = "black" if value > sum(limits) / 2 else "white"
            axis.text(column, row, form.format(value), ha="center", va="center", color=colour)
        if len(steps):
            places = np.repeat(np.asarray(steps) - 0.5, 2)
            levels = np.repeat(np.arange(len(steps) + 1) - 0.5, 2)[1:-1]
            for stair_colour, stair_width in (("black", 4.5), ("white", 2.2)):
                axis.plot(places, levels, color=stair_colour, linewidth=stair_width)
        axis.set_xticks(range(len(columns)), [str(name) for name in columns])
        axis.set_yticks(range(len(rows)), [str(name) for name in rows])
        axis.tick_params(length=0)
        axis.set_xlabel(xlabel)
        axis.set_title(title, loc="left")
        axis.spines[:].set_visible(False)
    axes[0, 0].set_ylabel(ylabel)
    figure.colorbar(image, ax=list(axes[0]), label=meaning, extend="neither" if len(rows) else "both")
    show(figure, alt)


def _places(depths: Sequence[int], each: int) -> np.ndarray:
    """Where a depth is drawn: 0, 1, 2, 4, 8, … one step apart where layers are counted, else as it is."""
    return np.log2(np.maximum(depths, 0.5)) + 1 if each > 1 else np.asarray(depths)


def _count_layers(axis: Axes, ticks: Sequence[int], each: int) -> None:
    above = axis.secondary_xaxis("top")
    above.set_xticks(_places(ticks, each), [str(each * tick) for tick in ticks])
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xlabel("convolutional layers")

"""Figures of lesson 12, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skiprec_course.plots import COLOURS, LINES, MARKERS, grouped_bars, legend_below, line_panels, new_figure, show

__all__ = ["grouped_bars", "line_panels", "trade_off"]


def trade_off(
    panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]],
    picture: str,
    *,
    xlabels: Sequence[str],
    ylabel: str,
    labels: Mapping[str, Sequence[str]],
    level: tuple[str, float],
) -> None:
    """Quality against what it costs: joined points with bars of one standard error, or loose ones; panels side by side.

    Args:
        panels: title -> name of a series -> (cost, quality) of loose points, or (cost, quality, error) of a curve.
        picture: the figure's name, "ROOM/NAME".
        xlabels: name and unit of the cost, one for each panel.
        ylabel: name of the quality, which all panels share.
        labels: name of a series -> a word beside each of its points.
        level: name and height of a dotted line.
    """
    figure, axes = new_figure(5.2 * len(panels), 4.0, columns=len(panels), sharey=True)
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    for axis, xlabel, (title, series) in zip(axes[0], xlabels, panels.items()):
        for name, (cost, quality, *error) in series.items():
            index = names.index(name)
            style: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index], "markersize": 6, "label": name}
            if error:
                axis.errorbar(cost, quality, yerr=error[0], linestyle=LINES[index], capsize=3, **style)
            else:
                axis.plot(cost, quality, linestyle="none", **style)
            beside: dict[str, Any] = {"textcoords": "offset points", "xytext": (7, -11), "fontsize": 9, "color": "0.3"}
            for x, y, word in zip(cost, quality, labels.get(name, ())):
                axis.annotate(word, (x, y), **beside)
        axis.axhline(level[1], color="black", linestyle=":", linewidth=1.4, label=level[0])
        axis.set(xlabel=xlabel, ylabel=ylabel)
        axis.margins(x=0.1)
        axis.set_xlim(left=0)
        axis.set_title(title, loc="left")
    legend_below(figure, axes[0], columns=5)
    show(figure, picture)

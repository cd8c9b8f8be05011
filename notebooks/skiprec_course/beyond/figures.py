"""Figures of lesson 13, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skiprec_course.plots import COLOURS, MARKERS, legend_below, line_panels, new_figure, show

__all__ = ["attention_maps", "estimates", "line_panels", "trade_offs"]


def estimates(
    exact: np.ndarray, found: Mapping[str, tuple[np.ndarray, np.ndarray]], picture: str, *, xlabel: str, ylabel: str
) -> None:
    """Estimates with bars of four standard errors beside the exact number, a group of them at each place.

    Args:
        exact: the true number at each place, a black line.
        found: name -> (mean, standard error) at each place.
        picture: the figure's name, "ROOM/NAME".
        xlabel: what the places 1, 2, … are.
        ylabel: name of the numbers.
    """
    figure, axes = new_figure(9, 3.7)
    axis, places = axes[0, 0], np.arange(1, len(exact) + 1)
    axis.hlines(exact, places - 0.4, places + 0.4, color="black", linewidth=1.5, label="exact")
    axis.axhline(0, color="0.8", linewidth=1, zorder=0)
    for index, (name, (mean, error)) in enumerate(found.items()):
        offset = (index - (len(found) - 1) / 2) * 0.22
        style: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index], "linestyle": "none"}
        axis.errorbar(places + offset, mean, yerr=4 * error, capsize=3, markersize=5, label=name, **style)
    axis.set_xticks(places)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    legend_below(figure, [axis], columns=4)
    show(figure, picture)


def attention_maps(panels: Mapping[str, np.ndarray], picture: str, *, back: Sequence[int] = ()) -> None:
    """Who looks at whom: attention weights of shape (position, position read), dark = much, side by side.

    Args:
        panels: title -> weights.
        picture: the figure's name, "ROOM/NAME".
        back: for each panel, so many steps back runs a dotted diagonal; none if empty.
    """
    figure, axes = new_figure(2.65 * len(panels) + 0.8, 3.2, columns=len(panels), sharey=True)
    for place, (axis, (title, weights)) in enumerate(zip(axes[0], panels.items())):
        image = axis.imshow(weights, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
        if len(back):
            ends = np.array([back[place], len(weights) - 1])
            axis.plot(ends - back[place], ends, color=COLOURS[1], linestyle=":", linewidth=1.6)
        axis.set_xticks(range(0, len(weights), 5))
        axis.set_yticks(range(0, len(weights), 5))
        axis.set(xlabel="position that is read", title=title)
    axes[0, 0].set_ylabel("position that reads")
    figure.colorbar(image, ax=list(axes[0]), label="attention weight")
    show(figure, picture)


def trade_offs(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    picture: str,
    *,
    xlabel: str,
    ylabels: Sequence[str],
) -> None:
    """Cost across, quality of 0 to 1 up: a pale marker for each seed, a large one for their mean, panels side by side.

    Each name stands a little to the side of its cost, or markers would hide one another.

    Args:
        panels: title -> name -> (cost of each seed, quality of each seed).
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of the cost.
        ylabels: name and unit of the quality, one for each panel.
    """
    figure, axes = new_figure(3.8 * len(panels), 3.9, columns=len(panels), sharey=len(set(ylabels)) == 1)
    names = list(dict.fromkeys(name for drawn in panels.values() for name in drawn))
    most = int(max(np.max(cost) for drawn in panels.values() for cost, _ in drawn.values()))
    for axis, ylabel, (title, drawn) in zip(axes[0], ylabels, panels.items()):
        for name, (cost, quality) in drawn.items():
            index = names.index(name)
            style: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index], "linewidth": 0}
            place = np.asarray(cost, dtype=float) + 0.11 * (index - (len(names) - 1) / 2)
            axis.scatter(place, quality, s=20, alpha=0.4, **style)
            axis.plot(float(np.mean(place)), float(np.mean(quality)), markersize=8, label=name, **style)
        axis.set(xlabel=xlabel, ylabel=ylabel)
        axis.set(xlim=(-0.5, most + 0.5), ylim=(0, 1), xticks=range(most + 1))
        axis.set_title(title, loc="left")
    legend_below(figure, axes[0], columns=3)
    show(figure, picture)

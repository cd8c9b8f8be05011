"""Figures of lesson 10, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from skiprec_course.plots import COLOURS, LINES, MARKERS, heat_maps, line_panels, new_figure, show

__all__ = ["counted_losses", "heat_maps", "line_panels", "verdicts"]


def counted_losses(
    panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    picture: str,
    *,
    ylabel: str,
    guess: float | None = None,
) -> None:
    """The loss of every pattern as a dot over the number of blocks it keeps; a line joins the best of each number.

    Args:
        panels: title -> name of a network -> (blocks that each pattern keeps, its loss).
        picture: the figure's name, "ROOM/NAME".
        ylabel: name and unit of the loss.
        guess: the loss of a guess, drawn as a dotted line.
    """
    figure, axes = new_figure(3.1 * len(panels), 3.6, columns=len(panels), sharey=True)
    names = list(dict.fromkeys(name for drawn in panels.values() for name in drawn))
    for axis, (title, drawn) in zip(axes[0], panels.items()):
        for index, (name, (kept, loss)) in enumerate(drawn.items()):
            aside = 0.16 * (index - (len(drawn) - 1) / 2)
            colour, marker = COLOURS[names.index(name)], MARKERS[names.index(name)]
            axis.scatter(kept + aside, loss, s=13, alpha=0.5, linewidth=0, color=colour, marker=marker)
            counts = np.unique(kept)
            best = [loss[kept == count].min() for count in counts]
            style = {"linestyle": LINES[names.index(name)], "marker": marker, "markersize": 5.5}
            axis.plot(counts + aside, best, color=colour, **style)
        if guess is not None:
            axis.axhline(guess, color="0.4", linestyle=":", linewidth=1.2, zorder=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(xlabel="blocks kept")
        axis.set_title(title, loc="left")
    axes[0, 0].set_ylabel(ylabel)
    handles = [
        Line2D([], [], color=COLOURS[i], marker=MARKERS[i], linestyle=LINES[i], label=f"{name}: best of that number")
        for i, name in enumerate(names)
    ]
    if guess is not None:
        handles.append(Line2D([], [], color="0.4", linestyle=":", linewidth=1.2, label="a guess"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    show(figure, picture)


def verdicts(
    rows: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    picture: str,
    *,
    groups: Sequence[str],
    bands: Mapping[str, tuple[float, float]],
    limits: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Small multiples, a column for each method: its seeds as markers over the groups, against a band that is wanted.

    Args:
        rows: what is measured -> method -> (values of the chosen epoch, values of the last epoch), each of shape
            (seed, group); NaN is not drawn.
        picture: the figure's name, "ROOM/NAME".
        groups: names of the groups.
        bands: what is measured -> lower and upper end of what is wanted.
        limits: what is measured -> ends of its axis.
    """
    methods = list(dict.fromkeys(method for drawn in rows.values() for method in drawn))
    figure, axes = new_figure(1.95 * len(methods) + 0.6, 2.5 * len(rows) + 0.5, len(methods), len(rows), sharey="row")
    for line, (what, drawn) in zip(axes, rows.items()):
        for axis, method in zip(line, methods):
            axis.axhspan(*bands[what], color="0.88", linewidth=0, zorder=0)
            axis.axhline(0, color="0.5", linewidth=0.8, zorder=1)
            for filled, values in zip((True, False), drawn[method]):
                for seed, of_groups in enumerate(values):
                    places = np.arange(len(groups)) + 0.2 * (seed - (len(values) - 1) / 2)
                    style = {"marker": MARKERS[seed], "color": COLOURS[seed], "linestyle": "", "zorder": 3}
                    face = COLOURS[seed] if filled else "none"
                    size = 5.5 if filled else 9.5
                    axis.plot(places, of_groups, markersize=size, markerfacecolor=face, **style)
            axis.set_xticks(range(len(groups)), groups)
            axis.set_xlim(-0.6, len(groups) - 0.4)
            if limits:
                axis.set_ylim(*limits[what])
        line[0].set_ylabel(what)
    for axis, method in zip(axes[0], methods):
        axis.set_title(method, loc="left", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("lag")
    seeds = max(len(values) for drawn in rows.values() for pair in drawn.values() for values in pair)
    handles = [
        Line2D([], [], color=COLOURS[seed], marker=MARKERS[seed], linestyle="", label=f"seed {seed}")
        for seed in range(seeds)
    ]
    for face, size, label in (("0.3", 5.5, "epoch chosen by the rule"), ("none", 9.5, "last epoch")):
        style = {"marker": "o", "markersize": size, "markerfacecolor": face, "linestyle": ""}
        handles.append(Line2D([], [], color="0.3", label=label, **style))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    show(figure, picture)

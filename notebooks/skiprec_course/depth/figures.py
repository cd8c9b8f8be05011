"""Figures of lesson 07, and what they need of a table of each user's numbers; nothing here knows a model."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from skiprec_course.plots import COLOURS, LINES, MARKERS, heat_maps, legend_below, line_panels, new_figure, show

__all__ = [
    "Difference",
    "by_time",
    "difference",
    "differences",
    "heat_maps",
    "line_panels",
    "of_seeds",
    "seeds",
    "series",
]

Series = tuple[Sequence[int], Sequence[np.ndarray]]


class Difference(NamedTuple):
    """A mean difference, one standard error over users and one over seeds (0 where there is one seed)."""

    mean: float
    users: float
    seeds: float

    @property
    def error(self) -> float:
        """Both errors together."""
        return float(np.hypot(self.users, self.seeds))


def of_seeds(users: pd.DataFrame, kind: str, measure: str) -> np.ndarray:
    """What each user has under each seed of a kind of run, (seed, user)."""
    mine = users["run"].str.fullmatch(rf"{re.escape(kind)}(, seed \d+)?") & (users["measure"] == measure)
    return users[mine].iloc[:, 2:].to_numpy(dtype=float)


def difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """First minus second, both (seed, user): paired by user after a mean over the seeds."""
    by_user = first.mean(axis=0) - second.mean(axis=0)
    of_seed = [of.mean(axis=1).var(ddof=1) / len(of) for of in (first, second) if len(of) > 1]
    return Difference(by_user.mean(), by_user.std(ddof=1) / len(by_user) ** 0.5, sum(of_seed) ** 0.5)


def series(users: pd.DataFrame, form: str, measure: str, most: int = 128) -> Series:
    """The depths of the runs named like "{} rezero", and for each the means of its seeds."""
    found = {int(n) for n in users["run"].str.extract(form.format(r"^(\d+)") + "(?:, seed|$)")[0].dropna()}
    depths = sorted(n for n in found if n <= most)
    return depths, [of_seeds(users, form.format(n), measure).mean(axis=1) for n in depths]


def seeds(
    panels: Mapping[str, Mapping[str, Series]], picture: str, *, xlabel: str, ylabels: Sequence[str],
    layers: int = 0, levels: Mapping[str, Mapping[str, float]] | None = None,
) -> None:  # fmt: skip
    """A pale dot for each seed, a marker and a line through the seeds' means, over the depth; panels side by side.

    Args:
        panels: title -> name of a series -> (depths, for each depth the values of its seeds).
        picture: the figure's name, "ROOM/NAME".
        xlabel: name of the depth.
        ylabels: name and unit of the values, one for each panel.
        layers: layers in one step of depth: a second axis above counts them; none if 0.
        levels: title -> name -> height of a horizontal line.
    """
    figure, axes = new_figure(11.2, 3.9, columns=len(panels))
    names = list(dict.fromkeys(name for drawn in panels.values() for name in drawn))
    for axis, (title, drawn), ylabel in zip(axes[0], panels.items(), ylabels):
        ticks = sorted({depth for depths, _ in drawn.values() for depth in depths})
        for name, (depths, values) in drawn.items():
            index, places = names.index(name), _places(depths)
            style: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index]}
            for at, of in zip(places, values):
                axis.scatter(np.full(len(of), at), of, s=14, alpha=0.45, linewidth=0, **style)
            axis.plot(places, [of.mean() for of in values], linestyle=LINES[index], markersize=6.5, label=name, **style)
        for index, (name, height) in enumerate((levels or {}).get(title, {}).items()):
            axis.axhline(height, color="black", linestyle=(":", (0, (6, 3)))[index], linewidth=1.3, label=name)
        if layers:
            _depth_axis(axis.secondary_xaxis("top"), ticks, layers, "convolutional layers")
        _depth_axis(axis, ticks, 1, xlabel)
        axis.set_ylabel(ylabel)
        axis.set_title(title, loc="left")
    legend_below(figure, axes[0], columns=5)
    show(figure, picture)


def _places(depths: Sequence[int]) -> np.ndarray:
    """Where a depth is drawn: 0, 1, 2, 4, 8, … one step apart."""
    return np.log2(np.maximum(depths, 0.5)) + 1


def _depth_axis(axis: Any, ticks: Sequence[int], each: int, label: str) -> None:
    axis.set_xticks(_places(ticks), [str(each * tick) for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(label)


def differences(
    panels: Mapping[str, Mapping[str, Mapping[str, Difference]]], picture: str, *, xlabel: str, rule: int = 0
) -> None:
    """Differences as markers with bars of two standard errors, users and seeds together; panels on one scale.

    Args:
        panels: title -> name of a series -> name of a row -> its difference.
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of the differences.
        rule: draw a line above this row, to part two groups; none if 0.
    """
    names = list(next(iter(next(iter(panels.values())).values())))
    figure, axes = new_figure(11.2, 1.3 + 0.33 * len(names), columns=len(panels), sharey=True, sharex=True)
    for axis, (title, drawn) in zip(axes[0], panels.items()):
        for index, (name, rows) in enumerate(drawn.items()):
            places = np.arange(len(names)) + 0.26 * (index - (len(drawn) - 1) / 2)
            look: dict[str, Any] = {"color": COLOURS[index], "fmt": MARKERS[index], "capsize": 2.5, "label": name}
            axis.errorbar([d.mean for d in rows.values()], places, xerr=[2 * d.error for d in rows.values()], **look)
        axis.axvline(0, color="grey", linestyle="--", linewidth=1)
        if rule:
            axis.axhline(rule - 0.5, color="0.6", linewidth=0.8)
        axis.set_xlabel(xlabel)
        axis.set_title(title, loc="left")
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].invert_yaxis()
    legend_below(figure, axes[0], columns=4)
    show(figure, picture)


def by_time(
    panels: Mapping[str, Mapping[str, Sequence[tuple[str, float, np.ndarray]]]], picture: str, ylabel: str
) -> None:
    """Quality over the time of training: a marker at the seeds' mean, a bar from the worst to the best seed, a word.

    Args:
        panels: title -> name of a series -> for each point (word, seconds, values of its seeds).
        picture: the figure's name, "ROOM/NAME".
        ylabel: name and unit of the values.
    """
    figure, axes = new_figure(11.2, 3.7, columns=len(panels))
    for axis, (title, drawn) in zip(axes[0], panels.items()):
        for index, (name, points) in enumerate(drawn.items()):
            x, mean = [seconds for _, seconds, _ in points], [of.mean() for *_, of in points]
            ends = [[of.mean() - of.min() for *_, of in points], [of.max() - of.mean() for *_, of in points]]
            look: dict[str, Any] = {"color": COLOURS[index], "linestyle": LINES[index], "capsize": 2.5, "label": name}
            axis.errorbar(x, mean, yerr=ends, marker=MARKERS[index], markersize=6.5, **look)
            for place, height, (word, *_) in zip(x, mean, points):
                axis.annotate(word, (place, height), xytext=(4, 6), textcoords="offset points", fontsize=9)
        axis.set(xlabel="CPU seconds of training, mean of the seeds", ylabel=ylabel, xscale="log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_title(title, loc="left")
    legend_below(figure, axes[0], columns=4)
    show(figure, picture)

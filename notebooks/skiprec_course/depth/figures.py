"""Figures of lesson 07, and what they need of a table of each user's numbers; nothing here knows a model."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from skiprec_course.plots import COLOURS, LINES, MARKERS, heat_maps, legend_below, line_panels, new_figure, show

__all__ = ["by_time", "difference", "differences", "heat_maps", "line_panels", "of_seeds", "seeds", "series"]
Series = tuple[Sequence[int], Sequence[np.ndarray]]  # depths, and for each the values of its seeds


class Difference(NamedTuple):
    """A mean difference, one standard error over users, one over seeds (0 if there is one seed), both together."""

    mean: float
    users: float
    seeds: float
    error: float


def of_seeds(users: pd.DataFrame, kind: str, measure: str) -> np.ndarray:
    """What each user has under each seed of a kind of run, (seed, user)."""
    rows = users.xs(measure)  # `users` has one row for each (measure, run)
    return rows[rows.index.str.fullmatch(rf"{re.escape(kind)}(, seed \d+)?")].to_numpy()


def difference(first: np.ndarray, second: np.ndarray | float) -> Difference:
    """First minus second, (seed, user) each, with the errors of its means over the seeds and over the users."""
    values = first - second
    by_user, by_seed = values.mean(axis=0), values.mean(axis=1)
    of_users = float(by_user.std(ddof=1) / len(by_user) ** 0.5)
    of_seed = float(by_seed.std(ddof=1) / len(by_seed) ** 0.5) if len(by_seed) > 1 else 0.0
    return Difference(float(by_user.mean()), of_users, of_seed, float(np.hypot(of_users, of_seed)))


def series(users: pd.DataFrame, form: str, measure: str, most: int = 128) -> Series:
    """The depths of the runs named like "{} rezero", and for each the means of its seeds."""
    runs = users.xs(measure).index.str.extract(form.format(r"^(\d+)") + "(?:, seed|$)")[0]
    depths = sorted({int(n) for n in runs.dropna()} & set(range(most + 1)))
    return depths, [of_seeds(users, form.format(n), measure).mean(axis=1) for n in depths]


def seeds(
    panels: Mapping[str, Mapping[str, Series]], picture: str, *, xlabel: str, ylabels: Sequence[str], layers: int = 0,
    levels: Mapping[str, Mapping[str, float]] | None = None, limits: Mapping[str, tuple[float, float]] | None = None,
) -> None:  # fmt: skip
    """A pale dot for each seed, a marker and a line through their means, over the depth; panels side by side.

    `panels` holds title -> series -> depths and values; `levels` title -> name -> height of a horizontal line; `limits`
    title -> ends of the vertical axis. With `layers` a second axis above counts that many in one step of depth.
    """
    figure, axes = new_figure(11.2, 3.9, columns=len(panels))
    for axis, (title, drawn), ylabel in zip(axes[0], panels.items(), ylabels):
        for index, (name, (depths, values)) in enumerate(drawn.items()):
            style: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index]}
            for at, of in zip(_places(depths), values):
                axis.scatter(np.full(len(of), at), of, s=14, alpha=0.45, linewidth=0, **style)
            means, pale = [of.mean() for of in values], 0.5 if "control" in name else 1
            axis.plot(_places(depths), means, ls=LINES[index], ms=6.5, label=name, alpha=pale, **style)
        for (name, height), dashes in zip((levels or {}).get(title, {}).items(), (":", (0, (6, 3)))):
            axis.axhline(height, color="black", linestyle=dashes, linewidth=1.3, label=name)
        ticks = sorted({depth for depths, _ in drawn.values() for depth in depths})
        above = [(axis.secondary_xaxis("top"), layers, "convolutional layers")] if layers else []
        for shown, each, label in [(axis, 1, xlabel), *above]:
            shown.set(xticks=_places(ticks), xticklabels=[str(each * tick) for tick in ticks], xlabel=label)
            shown.xaxis.set_minor_locator(NullLocator())
        axis.set(ylabel=ylabel, ylim=(limits or {}).get(title))
        axis.set_title(title, loc="left")
    legend_below(figure, axes[0], columns=5)
    show(figure, picture)


def _places(depths: Sequence[int]) -> np.ndarray:
    """Where a depth is drawn: 0, 1, 2, 4, 8, … one step apart."""
    return np.log2(np.maximum(depths, 0.5)) + 1


def differences(panels: Mapping[str, Mapping[str, Mapping[str, Difference]]], picture: str, *, xlabel: str) -> None:
    """Title -> series -> row (the first has all) -> a difference: markers with bars of two errors, one scale."""
    names = list(next(iter(next(iter(panels.values())).values())))
    figure, axes = new_figure(11.2, 1.3 + 0.33 * len(names), columns=len(panels), sharey=True, sharex=True)
    for axis, (title, drawn) in zip(axes[0], panels.items()):
        for index, (name, rows) in enumerate(drawn.items()):
            places = np.array([names.index(row) for row in rows]) + 0.26 * (index - (len(drawn) - 1) / 2)
            look: dict[str, Any] = {"color": COLOURS[index], "fmt": MARKERS[index], "capsize": 2.5, "label": name}
            axis.errorbar([d.mean for d in rows.values()], places, xerr=[2 * d.error for d in rows.values()], **look)
        axis.axvline(0, color="grey", linestyle="--", linewidth=1)
        axis.set_xlabel(xlabel)
        axis.set_title(title, loc="left")
    axes[0, 0].set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    legend_below(figure, axes[0], columns=4)
    show(figure, picture)


def by_time(panels: Mapping[str, Mapping[str, Sequence[tuple[str, float, np.ndarray]]]], picture: str) -> None:
    """Title -> series -> points (word, seconds, values of its seeds): a marker at the mean, a bar over the seeds."""
    figure, axes = new_figure(11.2, 3.7, columns=len(panels))
    for axis, (title, drawn) in zip(axes[0], panels.items()):
        for index, (name, points) in enumerate(drawn.items()):
            x, mean = [seconds for _, seconds, _ in points], [of.mean() for *_, of in points]
            ends = [[of.mean() - of.min() for *_, of in points], [of.max() - of.mean() for *_, of in points]]
            look: dict[str, Any] = {"color": COLOURS[index], "linestyle": LINES[index] if len(points) > 1 else ""}
            axis.errorbar(x, mean, yerr=ends, marker=MARKERS[index], markersize=6.5, capsize=2.5, label=name, **look)
            for place, height, (word, *_) in zip(x, mean, points):
                axis.annotate(word, (place, height), (5, 7 if index == 1 else -14), textcoords="offset points")
        axis.set(xlabel="CPU seconds of training, mean of the seeds", ylabel="NDCG@10", xscale="log")
        axis.xaxis.set_minor_locator(NullLocator())
        ticks = [t for t in (20, 50, 100, 200, 500, 1000) if axis.get_xlim()[0] < t < axis.get_xlim()[1]]
        axis.set_xticks(ticks, [str(t) for t in ticks])
        axis.set_title(title, loc="left")
    legend_below(figure, axes[0], columns=4)
    show(figure, picture)

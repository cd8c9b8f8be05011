"""Figures of lesson 02, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import numpy as np

from skiprec_course.plots import COLOURS, MARKERS, legend_below, line_panels, mark_place, new_figure, show

__all__ = ["histograms_with_densities", "line_panels", "spikes", "triangles"]


def triangles(
    panels: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    picture: str,
    *,
    corners: Sequence[str] = ("1", "2", "3"),
    target: np.ndarray | None = None,
    size: float = 2.3,
) -> None:
    """Probability vectors of three classes as points in a triangle, one triangle for each panel.

    Dotted lines part the triangle into the areas where one class has the largest share.

    Args:
        panels: title -> samples of shape (sample, 3), each row summing to 1.
        chosen: the class 0, 1 or 2 of each sample, shown by colour and marker; the same in all panels.
        picture: the figure's name, "ROOM/NAME".
        corners: names of the three classes.
        target: a vector to mark with a black star; a white cross marks each panel's mean.
        size: width of one triangle in inches.
    """
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    figure, axes = new_figure(size * len(panels), size * 1.08, columns=len(panels))
    for axis, (title, samples) in zip(axes[0], panels.items()):
        axis.fill(*places.T, facecolor="none", edgecolor="grey", linewidth=1)
        for index in range(3):  # from the middle to the middle of an edge: where one class ends and the next begins
            axis.plot(*np.stack([places.mean(axis=0), np.delete(places, index, 0).mean(axis=0)]).T, ":", color="grey")
        for index in range(3):
            points = samples[chosen == index] @ places
            axis.scatter(*points.T, s=14, marker=MARKERS[index], color=COLOURS[index], alpha=0.45, linewidth=0)
        mean = samples.mean(axis=0) @ places
        axis.scatter(*mean, s=75, marker="X", color="white", edgecolor="black", zorder=3, label="mean of the samples")
        if target is not None:
            axis.scatter(*(target @ places), s=90, marker="*", color="black", zorder=3, label="π")
        for place, name, side in zip(places, corners, (-1, -1, 1)):
            axis.annotate(name, place, (0, 9 * side), textcoords="offset points", ha="center", va="center", fontsize=9)
        axis.set(title=title, aspect="equal", xlim=(-0.08, 1.08), ylim=(-0.15, 1.0))
        axis.axis("off")
    legend_below(figure, axes.flat, columns=2)
    show(figure, picture)


def histograms_with_densities(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    picture: str,
    *,
    xlabel: str,
    ylabel: str = "density",
    bins: int = 40,
    top: float | None = None,
    split: float | None = None,
) -> None:
    """Histograms side by side, each with the curve of a density over it; all on one scale.

    Args:
        panels: title -> (samples, places x, density at x).
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of what is counted.
        ylabel: name of the vertical axis.
        bins: number of bars over the range of x.
        top: where to cut the vertical axis; its end if None.
        split: where to draw a dotted line, with the share of the samples to its right written beside it.
    """
    figure, axes = new_figure(2.3 * len(panels), 2.7, columns=len(panels), sharey=True)
    for axis, (title, (samples, x, density)) in zip(axes[0], panels.items()):
        bounds = (float(np.floor(x.min())), float(np.ceil(x.max())))
        axis.hist(samples, bins=bins, range=bounds, density=True, color=COLOURS[0], alpha=0.45, label="samples")
        axis.plot(x, density, color="black", linewidth=1.2, label="formula")
        axis.set_title(title, pad=18 if split is not None else 6)
        axis.set(xlabel=xlabel, ylim=(0, top))
        if split is not None:
            mark_place(axis, split, f"{(samples > split).mean():.0%} to the right")
    axes[0, 0].set_ylabel(ylabel)
    legend_below(figure, axes.flat, columns=2)
    show(figure, picture)


def spikes(panels: Mapping[str, np.ndarray], picture: str, *, xlabel: str, ylabel: str, shown: int = 80) -> None:
    """The first values as thin bars, panels side by side on one scale, with the mean and the median of all values.

    Args:
        panels: title -> values.
        picture: the figure's name, "ROOM/NAME".
        xlabel: what is counted along the horizontal axis.
        ylabel: name and unit of the values.
        shown: how many values get a bar.
    """
    figure, axes = new_figure(3.7 * len(panels), 2.9, columns=len(panels), sharey=True)
    for axis, (title, values) in zip(axes[0], panels.items()):
        bars = values[:shown]
        axis.bar(np.arange(1, len(bars) + 1), bars, width=1.0, color=COLOURS[0], edgecolor="white", linewidth=0.3)
        axis.axhline(values.mean(), color="black", linestyle="--", linewidth=1.2, label="mean of all draws")
        axis.axhline(np.median(values), color=COLOURS[3], linestyle="-.", linewidth=1.6, label="median of all draws")
        axis.set(title=title, xlabel=xlabel, xlim=(0, len(bars) + 1))
    axes[0, 0].set_ylabel(ylabel)
    legend_below(figure, axes.flat, columns=2)
    show(figure, picture)

"""Figures of lesson 02, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skiprec_lite.plots import COLOURS, new_figure, show

MARKERS = ("o", "^", "s", "D", "v")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def triangles(
    panels: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    alt: str,
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
        alt: description of the figure.
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
    _legend_below(figure, axes[0, 0])
    show(figure, alt)


def histograms_with_densities(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    alt: str,
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
        alt: description of the figure.
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
            _mark(axis, split, f"{(samples > split).mean():.0%} to the right")
    axes[0, 0].set_ylabel(ylabel)
    _legend_below(figure, axes[0, 0])
    show(figure, alt)


def curves(
    x: np.ndarray,
    panels: Mapping[str, Mapping[str, np.ndarray]],
    alt: str,
    *,
    xlabel: str,
    ylabels: Sequence[str],
    logarithmic: str = "x",
    columns: int = 2,
    mark: tuple[float, str] | None = None,
    bottom: float | None = None,
    bands: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> None:
    """Lines over x, told apart by colour, line style and marker; panels hold lines of the same names: one legend.

    Args:
        x: places, shared by all lines.
        panels: title -> name of a line -> values.
        alt: description of the figure.
        xlabel: name and unit of x.
        ylabels: name and unit of the values, one for each panel.
        logarithmic: which axes are logarithmic in which panel: "x", "xy" or "-", blanks between panels; one word
            serves all.
        columns: panels in a row.
        mark: (place, label) of a vertical line.
        bottom: where to cut the vertical axes; their end if None.
        bands: name of a line -> (lower, upper) of a band around it.
    """
    scales = logarithmic.split()
    scales = scales * (len(panels) if len(scales) == 1 else 1)
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(4.9 * columns if columns > 1 else 6.6, 2.9 * rows + 0.6, columns=columns, rows=rows)
    for axis, (title, lines), ylabel, scale in zip(axes.flat, panels.items(), ylabels, scales):
        for index, (name, values) in enumerate(lines.items()):
            axis.plot(x, values, label=name, **_style(index, len(x)))
            if bands and name in bands:
                axis.fill_between(x, *bands[name], color=COLOURS[index], alpha=0.18, linewidth=0)
        if "x" in scale:
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
        if "y" in scale:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
        axis.set(xlabel=xlabel, ylabel=ylabel)
        axis.set_ylim(bottom=bottom)
        axis.set_title(title, loc="left", pad=16 if mark else 6)
        if mark:
            _mark(axis, *mark)
    _legend_below(figure, axes[0, 0])
    show(figure, alt)


def spikes(panels: Mapping[str, np.ndarray], alt: str, *, xlabel: str, ylabel: str, shown: int = 80) -> None:
    """The first values as thin bars, panels side by side on one scale, with the mean and the median of all values.

    Args:
        panels: title -> values.
        alt: description of the figure.
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
    _legend_below(figure, axes[0, 0])
    show(figure, alt)


def _legend_below(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)


def _style(index: int, points: int) -> dict[str, object]:
    marker = MARKERS[index % len(MARKERS)] if points <= 40 else ""
    return {"color": COLOURS[index], "linestyle": LINES[index % len(LINES)], "marker": marker, "markersize": 4.5}


def _mark(axis: Axes, place: float, label: str) -> None:
    axis.axvline(place, color="grey", linestyle=":", linewidth=1.2)
    transform = axis.get_xaxis_transform()
    axis.text(place, 1.0, label, transform=transform, ha="center", va="bottom", fontsize=8.5, color="0.35")

"""Figures of lesson 01, from plain arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from skiprec_course.plots import COLOURS, line_panels, new_figure, show

__all__ = [
    "cdf_and_histogram",
    "counts_against_probabilities",
    "histogram_grid",
    "line_panels",
    "reach",
    "stacked_histogram",
]

HATCHES = ("", "//", "..", "xx")


def cdf_and_histogram(
    samples: ArrayLike,
    x: ArrayLike,
    density: ArrayLike,
    cdf: ArrayLike,
    picture: str,
    *,
    xlabel: str,
    ylabel: str,
    heights: ArrayLike = (),
    shade_above: float | None = None,
) -> None:
    """Left the share of samples up to x with the CDF over it, right a histogram with the density over it.

    Args:
        samples: the draws; those outside of x are not shown, but counted.
        x: evenly spaced, where the curves are drawn.
        density: the density there.
        cdf: the cumulative distribution function there.
        picture: the figure's name, "ROOM/NAME".
        xlabel: name of the samples.
        ylabel: name of the CDF.
        heights: carry these heights from the vertical axis to the CDF and down: inverse-CDF sampling.
        shade_above: shade the area under the density to the right of this place.
    """
    samples, x, density, cdf, heights = (np.asarray(values) for values in (samples, x, density, cdf, heights))
    figure, axes = new_figure(9, 3.4, columns=2)
    left, right = axes[0]
    shares = np.searchsorted(np.sort(samples), x, side="right") / len(samples)
    left.plot(x, shares, color=COLOURS[0], linewidth=5, alpha=0.5, label="share of the draws")
    left.plot(x, cdf, color="black", linestyle="--", linewidth=1.5, label="F")
    for height, place in zip(heights, np.interp(heights, cdf, x)):
        left.plot([x.min(), place], [height, height], color=COLOURS[1], linewidth=1, linestyle=":")
        arrow = {"arrowstyle": "-|>", "color": COLOURS[1], "shrinkA": 0, "shrinkB": 0}
        left.annotate("", xy=(place, 0), xytext=(place, height), arrowprops=arrow)
    if len(heights):
        left.plot(np.full(len(heights), x.min()), heights, "o", color=COLOURS[1], markersize=5, clip_on=False, zorder=3)
    left.set(xlabel=xlabel, ylabel=ylabel, xlim=(x.min(), x.max()), ylim=(0, 1.03))
    left.legend(frameon=False, loc="lower right")
    _histogram(right, samples, x, density)
    if shade_above is not None:
        beyond = x >= shade_above
        right.fill_between(x[beyond], density[beyond], facecolor="none", edgecolor="black", hatch="//", linewidth=0)
        right.axvline(shade_above, color="black", linestyle=":")
    right.set(xlabel=xlabel, ylabel="density")
    show(figure, picture)


def histogram_grid(
    rows: Mapping[str, Mapping[str, ArrayLike]], x: ArrayLike, density: ArrayLike, picture: str, *, xlabel: str
) -> None:
    """Small multiples: one histogram a panel, the same density dashed over each.

    Args:
        rows: name of the row -> title of the panel -> samples; as many panels in each row.
        x: evenly spaced, where the density is drawn; samples outside are not shown, but counted.
        density: the density there.
        picture: the figure's name, "ROOM/NAME".
        xlabel: name of the samples.
    """
    columns = max(len(panels) for panels in rows.values())
    figure, axes = new_figure(9, 0.5 + 1.8 * len(rows), columns=columns, rows=len(rows), sharex=True, sharey=True)
    for index, (row, (name, panels)) in enumerate(zip(axes, rows.items())):
        for axis, (title, samples) in zip(row, panels.items()):
            _histogram(axis, np.asarray(samples), np.asarray(x), np.asarray(density), colour=COLOURS[index])
            axis.set_title(title, loc="left")
        row[0].set_ylabel(f"{name}\ndensity")
    for axis in axes[-1]:
        axis.set_xlabel(xlabel)
    show(figure, picture)


def stacked_histogram(
    groups: Mapping[str, ArrayLike],
    x: ArrayLike,
    edges: Sequence[ArrayLike],
    picture: str,
    *,
    xlabel: str,
    legend: str = "",
) -> None:
    """One histogram of all samples, its bars divided by group, and the edge that each group should reach.

    Args:
        groups: name -> the group's samples, stacked from the bottom in this order.
        x: evenly spaced, where the edges are drawn; samples outside are not shown, but counted.
        edges: one a group: its upper edge according to the theory.
        picture: the figure's name, "ROOM/NAME".
        xlabel: name of the samples.
        legend: title of the legend.
    """
    figure, axes = new_figure(7, 3.4)
    x = np.asarray(x)
    axis, bins = axes[0, 0], np.linspace(x.min(), x.max(), 67)
    samples = {name: np.asarray(values) for name, values in groups.items()}
    width, total, bottom = bins[1] - bins[0], sum(map(len, samples.values())), np.zeros(len(bins) - 1)
    for index, (name, values) in enumerate(samples.items()):
        heights = np.histogram(values, bins)[0] / (total * width)
        style = {"color": COLOURS[index], "hatch": HATCHES[index], "edgecolor": "white", "linewidth": 0}
        axis.bar(bins[:-1], heights, width, bottom, align="edge", label=name, **style)
        bottom += heights
    for edge in edges:
        axis.plot(x, edge, color="black", linewidth=1)
    axis.set(xlabel=xlabel, ylabel="density")
    handles, labels = axis.get_legend_handles_labels()
    axis.legend(handles[::-1], labels[::-1], frameon=False, title=legend)  # from top to bottom, as in the picture
    show(figure, picture)


def reach(rows: Mapping[str, tuple[ArrayLike, ArrayLike]], picture: str, *, xlabel: str, special: str) -> None:
    """What each row can reach: a line from the smallest to the largest value, a tick at each, crosses at special ones.

    Args:
        rows: name -> (values, special values), drawn from top to bottom.
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of the values.
        special: what the crosses mean.
    """
    figure, axes = new_figure(8, 1.1 + 0.42 * len(rows))
    axis = axes[0, 0]
    for place, (values, marks) in enumerate(rows.values()):
        values, marks = np.asarray(values), np.asarray(marks)
        axis.plot([values.min(), values.max()], [place, place], color=COLOURS[0], linewidth=1)
        axis.plot(values, np.full(len(values), place), "|", color=COLOURS[0], markersize=13)
        axis.plot(marks, np.full(len(marks), place), "x", color=COLOURS[3], markersize=8, markeredgewidth=2)
    axis.plot([], [], "x", color=COLOURS[3], markersize=8, markeredgewidth=2, label=special)
    figure.legend(frameon=False, loc="outside upper right")
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set(xlabel=xlabel)
    show(figure, picture)


def counts_against_probabilities(
    panels: Mapping[str, tuple[Sequence[str], ArrayLike, ArrayLike]], picture: str, *, xlabel: str, log_y: bool = False
) -> None:
    """Small multiples: bars for probabilities, points for counted shares with bars of four standard errors.

    Args:
        panels: title -> (names of the outcomes, their probabilities, their counts).
        picture: the figure's name, "ROOM/NAME".
        xlabel: what the outcomes are.
        log_y: a logarithmic axis for probabilities and shares.
    """
    widths = [max(3, len(names)) for names, *_ in panels.values()]
    figure, axes = new_figure(9, 3.1, columns=len(panels), width_ratios=widths, sharey=True)
    for axis, (title, (names, probabilities, counts)) in zip(axes[0], panels.items()):
        places, wanted, counted = list(names), np.asarray(probabilities), np.asarray(counts)
        error = np.sqrt(wanted * (1 - wanted) / counted.sum())
        axis.bar(places, wanted, color=(*COLOURS[0], 0.35), edgecolor=COLOURS[0], label="probability")
        style = {"fmt": "o", "color": "black", "markersize": 4, "capsize": 4}
        label = "share of the draws, ± 4 standard errors"
        axis.errorbar(places, counted / counted.sum(), yerr=4 * error, label=label, **style)
        axis.set_title(title, loc="left")
        axis.set_xlabel(xlabel)
    axes[0, 0].set(ylabel="probability, share")
    if log_y:  # whole decades, up to 1
        least = min(np.min(np.asarray(probabilities)) for _, probabilities, _ in panels.values())
        axes[0, 0].set(yscale="log", ylim=(10.0 ** np.floor(np.log10(float(least))), 1.0))
        axes[0, 0].yaxis.set_major_formatter("{x:g}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=2)
    show(figure, picture)


def _histogram(
    axis: Axes,
    samples: np.ndarray,
    x: np.ndarray,
    density: np.ndarray,
    *,
    colour: tuple[float, float, float] = COLOURS[0],
) -> None:
    edges = np.linspace(x.min(), x.max(), 41)
    width = edges[1] - edges[0]
    heights = np.histogram(samples, edges)[0] / (len(samples) * width)
    axis.bar(edges[:-1], heights, width, align="edge", color=(*colour, 0.5), edgecolor="white", linewidth=0.3)
    axis.plot(x, density, color="black", linestyle="--", linewidth=1.5)

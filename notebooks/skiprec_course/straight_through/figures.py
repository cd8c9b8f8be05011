"""Figures of lesson 03, from plain arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skiprec_course.plots import COLOURS, MARKERS, legend_below, line_panels, new_figure, show

__all__ = ["line_panels", "named_points", "slopes_and_gradients"]

# The last colours of the palette are pale: points take the strong ones first.
ORDER = [COLOURS[index] for index in (0, 1, 2, 3, 4, 9, 5, 7)]


def slopes_and_gradients(
    losses: Mapping[str, tuple[np.ndarray, np.ndarray, float, float]],
    gradients: Mapping[str, tuple[np.ndarray, np.ndarray, float]],
    picture: str,
    *,
    dots: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> None:
    """Losses of one gate above, with their slopes at both ends and the chord between these; what follows from it below.

    Args:
        losses: title -> (gate values from 0 to 1, loss at each, slope at 0, slope at 1).
        gradients: the same titles -> (temperatures, mean straight-through gradient at each, exact gradient).
        picture: the figure's name, "ROOM/NAME".
        dots: title -> (temperature, sampled mean, error) of points with error bars in the lower row.
    """
    figure, axes = new_figure(4.6 * len(losses), 6.2, columns=len(losses), rows=2)
    chord: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 2}
    for above, below, title in zip(axes[0], axes[1], losses):
        x, y, *slopes = losses[title]
        above.plot(x, y, color="0.6", linewidth=1.5)
        above.plot([0, 1], [y[0], y[-1]], label="difference f(1) − f(0), exact gradient", **chord)
        for gate, slope in zip((0, 1), slopes):
            step, start = 0.28 * (1 - 2 * gate), y[-gate]
            above.plot(
                [gate, gate + step],
                [start, start + step * slope],
                color=COLOURS[3],
                linewidth=3,
                label="slopes f′(0) and f′(1)",
            )
        above.plot([0, 1], [y[0], y[-1]], linestyle="", marker="o", color="black", markersize=7, zorder=4)
        above.set_title(f"f(z) = {title}", loc="left")
        above.set(xlabel="gate z (only 0 and 1 are real)", xticks=[0, 0.5, 1])
        taus, means, exact = gradients[title]
        below.axhline(0, color="0.75", linewidth=0.8)
        below.axhline(exact, **chord)
        below.plot(taus, means, color=COLOURS[0], linewidth=1.8, label="straight-through, mean")
        if dots and title in dots:
            x, y, error = dots[title]
            points: dict[str, Any] = {"color": "0.25", "markersize": 5, "capsize": 3, "zorder": 4}
            below.errorbar(x, y, yerr=error, fmt="o", label="sampled, ± 4 standard errors", **points)
        below.set(xlabel="temperature τ", xscale="log")
        below.margins(y=0.18)
        low, high = below.get_ylim()
        for height, text in ((high - 0.02 * (high - low), "above 0: towards skip"), (low, "below 0: towards keep")):
            place = "top" if height > 0 else "bottom"
            below.text(
                0.99, height, text, fontsize=9, color="0.3", ha="right", va=place, transform=below.get_yaxis_transform()
            )
    axes[0, 0].set_ylabel("loss f(z)")
    axes[1, 0].set_ylabel("gradient with respect to a")
    legend_below(figure, axes.flat, columns=2)
    show(figure, picture)


def named_points(
    points: Mapping[str, tuple[float, float]],
    picture: str,
    *,
    xlabel: str,
    ylabel: str,
    border: float | None = None,
    notes: Sequence[tuple[float, float, str]] = (),
    **axis_options: Any,
) -> None:
    """Points, each with a marker and a colour of its own and its name in a legend beside the plot.

    Args:
        points: name -> (x, y).
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of the horizontal axis.
        ylabel: name and unit of the vertical axis.
        border: a vertical line here.
        notes: (x, y, text), written into the plot.
        axis_options: for the axis, such as yscale="log".
    """
    figure, axes = new_figure(8.2, 3.8)
    axis = axes[0, 0]
    for (name, (x, y)), colour, marker in zip(points.items(), ORDER, MARKERS):
        style = {"color": colour, "marker": marker, "linestyle": "", "markersize": 10, "alpha": 0.85}
        axis.plot(x, y, label=name, **style)
    axis.set(xlabel=xlabel, ylabel=ylabel, **axis_options)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("")
    if border is not None:
        axis.axvline(border, color="grey", linestyle="--", linewidth=1)
    for x, y, text in notes:
        axis.text(x, y, text, fontsize=9, color="0.3")
    figure.legend(loc="outside right center", frameon=False)
    show(figure, picture)

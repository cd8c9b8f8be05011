"""Figures of lesson 03, from plain arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Transform

from skiprec_course.plots import COLOURS, new_figure, show

# The last colours of the palette are pale: lines and points take the strong ones first.
ORDER = [COLOURS[index] for index in (0, 1, 2, 3, 4, 9, 5, 7)]
LINES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (3, 1)), (0, (8, 3)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


def line_panels(
    panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]],
    alt: str,
    *,
    xlabel: str | Sequence[str],
    ylabel: str | Sequence[str],
    rows: int = 1,
    height: float = 3.3,
    reference: str = "",
    dots: Mapping[str, Sequence[np.ndarray]] | None = None,
    dots_name: str = "",
    notes: Mapping[str, Sequence[tuple[float, float, str]]] | None = None,
    share_y: bool | str = True,
    **axis_options: Any,
) -> None:
    """Small multiples of lines, one legend below for all; a name keeps its colour and line style in every panel.

    Args:
        panels: title -> name of a line -> (x, y), or (x, y, low, high) for a line with a band.
        alt: description of the figure.
        xlabel: name and unit of the horizontal axes, one for all or one per panel.
        ylabel: name and unit of the vertical axes, one for all or one per panel.
        rows: rows of panels.
        height: of one row, in inches.
        reference: the line that is drawn black and dashed, over the others.
        dots: title of a panel -> (x, y, error) of points with error bars.
        dots_name: what the points are, for the legend.
        notes: title of a panel -> (x, y, text) to write into it.
        share_y: one vertical scale for all panels; "row" for one in each row.
        axis_options: for every axis, such as xscale="log" or ylim=(0, 1); a list gives each panel its own.
    """
    columns = -(-len(panels) // rows)
    figure, axes = new_figure(4.6 * columns, height * rows, columns, rows, sharey=share_y)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    styles = _styles(names, reference)
    x_labels, y_labels = _one_each(xlabel, len(panels)), _one_each(ylabel, len(panels))
    for index, (axis, (title, lines)) in enumerate(zip(axes.flat, panels.items())):
        for name, (x, y, *band) in lines.items():
            axis.plot(x, y, zorder=3 if name == reference else 2, **styles[name])
            if band:
                axis.fill_between(x, *band, color=styles[name]["color"], alpha=0.18, linewidth=0)
        if dots and title in dots:
            _dots(axis, dots[title])
        for x_text, y_text, text in (notes or {}).get(title, ()):
            axis.text(x_text, y_text, text, fontsize=9, color="0.3")
        axis.set_title(title, loc="left")
        axis.set(**{name: value[index] if isinstance(value, list) else value for name, value in axis_options.items()})
        axis.set_xlabel(x_labels[index] if index >= len(panels) - columns else "")
        axis.set_ylabel(y_labels[index] if index % columns == 0 or y_labels[index] != y_labels[index - 1] else "")
        axis.axhline(0, color="0.75", linewidth=0.8, zorder=0)
    handles = [Line2D([], [], label=name, **styles[name]) for name in names]
    _legend_below(figure, handles + _dots_handle(dots_name if dots else ""))
    show(figure, alt)


def slopes_and_gradients(
    losses: Mapping[str, tuple[np.ndarray, np.ndarray, float, float]],
    gradients: Mapping[str, tuple[np.ndarray, np.ndarray, float]],
    alt: str,
    *,
    dots: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> None:
    """Losses of one gate above, with their slopes at both ends and the chord between these; what follows from it below.

    Args:
        losses: title -> (gate values from 0 to 1, loss at each, slope at 0, slope at 1).
        gradients: the same titles -> (temperatures, mean straight-through gradient at each, exact gradient).
        alt: description of the figure.
        dots: title -> (temperature, sampled mean, error) of points with error bars in the lower row.
    """
    figure, axes = new_figure(4.6 * len(losses), 6.2, columns=len(losses), rows=2)
    chord: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 2))}
    slope_style: dict[str, Any] = {"color": COLOURS[3], "linewidth": 3}
    mean_style: dict[str, Any] = {"color": COLOURS[0], "linewidth": 1.8}
    for above, below, title in zip(axes[0], axes[1], losses):
        x, y, *slopes = losses[title]
        above.plot(x, y, color="0.6", linewidth=1.5)
        above.plot([0, 1], [y[0], y[-1]], linewidth=2, **chord)
        for gate, slope in zip((0, 1), slopes):
            step, start = 0.28 * (1 - 2 * gate), y[-gate]
            above.plot([gate, gate + step], [start, start + step * slope], **slope_style)
        above.plot([0, 1], [y[0], y[-1]], linestyle="", marker="o", color="black", markersize=7, zorder=4)
        above.set_title(f"f(z) = {title}", loc="left")
        above.set(xlabel="gate z (only 0 and 1 are real)", xticks=[0, 0.5, 1])
        taus, means, exact = gradients[title]
        below.axhline(0, color="0.75", linewidth=0.8)
        below.axhline(exact, linewidth=2, **chord)
        below.plot(taus, means, **mean_style)
        if dots and title in dots:
            _dots(below, dots[title])
        below.set(xlabel="temperature τ", xscale="log")
        below.margins(y=0.18)
        low, high = below.get_ylim()
        for height, text in ((high - 0.02 * (high - low), "above 0: towards skip"), (low, "below 0: towards keep")):
            place = "top" if height > 0 else "bottom"
            below.text(0.99, height, text, fontsize=9, color="0.3", ha="right", va=place, transform=_across(below))
    axes[0, 0].set_ylabel("loss f(z)")
    axes[1, 0].set_ylabel("gradient with respect to a")
    handles = [
        Line2D([], [], label="difference f(1) − f(0), exact gradient", **chord),
        Line2D([], [], label="slopes f′(0) and f′(1)", **slope_style),
        Line2D([], [], label="straight-through, mean", **mean_style),
    ]
    _legend_below(figure, handles + _dots_handle("sampled, ± 4 standard errors" if dots else ""))
    show(figure, alt)


def named_points(
    points: Mapping[str, tuple[float, float]],
    alt: str,
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
        alt: description of the figure.
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
    show(figure, alt)


def _one_each(label: str | Sequence[str], count: int) -> list[str]:
    return [label] * count if isinstance(label, str) else list(label)


def _styles(names: Sequence[str], reference: str) -> dict[str, dict[str, Any]]:
    others = [name for name in names if name != reference]
    styles: dict[str, dict[str, Any]] = {
        name: {"color": colour, "linestyle": line, "linewidth": 1.8} for name, colour, line in zip(others, ORDER, LINES)
    }
    return styles | {reference: {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 1.8}}


def _dots(axis: Axes, dots: Sequence[np.ndarray]) -> None:
    x, y, error = dots
    axis.errorbar(x, y, yerr=error, fmt="o", color="0.25", markersize=5, capsize=3, zorder=4)


def _dots_handle(name: str) -> list[Line2D]:
    return [Line2D([], [], linestyle="", marker="o", markersize=5, color="0.25", label=name)] if name else []


def _across(axis: Axes) -> Transform:
    """Horizontal place as a share of the axis, vertical place in the axis's own units."""
    return axis.get_yaxis_transform()


def _legend_below(figure: Figure, handles: Sequence[Line2D]) -> None:
    columns = len(handles) if len(handles) <= 5 else 4
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns, frameon=False, handlelength=3)

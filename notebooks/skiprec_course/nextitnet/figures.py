"""Figures of lesson 06, from plain arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from skiprec_course.plots import COLOURS, legend_below, line_panels, means_with_errors, new_figure, show

__all__ = ["line_panels", "means_with_errors", "number_grids", "padding_effect", "pyramids", "reading_maps"]

READ, FUTURE = COLOURS[0], COLOURS[3]


def number_grids(panels: Mapping[str, np.ndarray], picture: str, *, xlabel: str, ylabel: str, target: str = "") -> None:
    """Grids of coloured cells side by side, each cell with its number; wrong cells get a thick frame.

    Args:
        panels: title -> values of shape (row, column), all of one shape.
        picture: the figure's name, "ROOM/NAME".
        xlabel: what the columns are.
        ylabel: what the rows are.
        target: the panel that later panels should equal: their cells that differ from it are framed.
    """
    rows, columns = next(iter(panels.values())).shape
    figure, axes = new_figure(3.1 * len(panels), 1.2 + 0.34 * rows, columns=len(panels))
    largest = max(np.abs(values).max() for values in panels.values())
    names = list(panels)
    for axis, (title, values) in zip(axes[0], panels.items()):
        axis.imshow(values, cmap="PuOr_r", vmin=-1.3 * largest, vmax=1.3 * largest, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            axis.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=9)
        if target and names.index(title) > names.index(target):
            for row, column in np.argwhere(~np.isclose(values, panels[target])):
                frame = np.array([-0.44, 0.44, 0.44, -0.44, -0.44]), np.array([-0.44, -0.44, 0.44, 0.44, -0.44])
                axis.plot(column + frame[0], row + frame[1], color="black", linewidth=2)
        axis.set_title(title, loc="left")
        axis.set_xticks(range(columns), [str(t) for t in range(columns)])
        axis.set_yticks(range(rows))
        axis.tick_params(length=0)
        axis.set(xlabel=xlabel)
        _white_lines(axis, rows, columns)
    axes[0, 0].set_ylabel(ylabel)
    show(figure, picture)


def reading_maps(panels: Mapping[str, np.ndarray], picture: str, *, future: str) -> None:
    """Which output position reads which input position: squares of cells, side by side.

    Args:
        panels: title -> True where the output (row) reads the input (column).
        picture: the figure's name, "ROOM/NAME".
        future: what the crossed cells above the diagonal mean, for the legend.
    """
    figure, axes = new_figure(2.75 * len(panels), 3.3, columns=len(panels))
    for axis, (title, reads) in zip(axes[0], panels.items()):
        time = len(reads)
        ahead = np.triu(np.ones_like(reads), 1)
        cells = np.where(reads & ahead, 2, reads.astype(int))
        axis.imshow(cells, cmap=ListedColormap([(0.93, 0.93, 0.93), READ, FUTURE]), vmin=0, vmax=2)
        _white_lines(axis, time, time)
        wrong = np.argwhere(reads & ahead)
        axis.plot(wrong[:, 1], wrong[:, 0], linestyle="", marker="x", color="white", markersize=4, markeredgewidth=1.2)
        axis.set_title(title, loc="left")
        ticks = range(0, time, 3)
        axis.set_xticks(ticks, [str(t) for t in ticks])
        axis.set_yticks(ticks, [str(t) for t in ticks])
        axis.tick_params(length=0)
        axis.set(xlabel="input position")
    axes[0, 0].set_ylabel("output position")
    axis = axes[0, 0]
    axis.plot([], [], linestyle="", marker="s", markersize=9, color=READ, label="reads the present or the past")
    axis.plot([], [], linestyle="", marker="s", markersize=9, color=FUTURE, label=future)
    legend_below(figure, [axis], columns=4)
    show(figure, picture)


def pyramids(
    panels: Mapping[str, tuple[np.ndarray, Sequence[str]]], picture: str, *, xlabel: str, border: tuple[float, str]
) -> None:
    """What one output reads of each level below it, level by level: panels one below the other.

    Args:
        panels: title -> (True where the level (row, top first) is read, steps back (column, 0 first); level names).
        picture: the figure's name, "ROOM/NAME".
        xlabel: name of the horizontal axis.
        border: (steps back, label) of a vertical line.
    """
    heights = [len(names) for _, names in panels.values()]
    figure, axes = new_figure(9, 1.3 * len(panels) + 0.24 * sum(heights), rows=len(panels), height_ratios=heights)
    longest = max(reads.shape[1] for reads, _ in panels.values())
    for axis, (title, (reads, names)) in zip(axes[:, 0], panels.items()):
        for level, row in enumerate(reads):
            back = np.flatnonzero(row)
            axis.plot([back.min(), back.max()], [level, level], color="0.75", linewidth=1, zorder=1)
            axis.plot(back, np.full(len(back), level), "s", color=READ, markersize=4.2)
            axis.text(back.max() + 1.2, level, str(len(back)), ha="right", va="center", fontsize=8.5, color="0.3")
        axis.axvline(border[0], color="grey", linestyle=":", linewidth=1.2)
        axis.set_title(title, loc="left", pad=14)
        axis.set_yticks(range(len(names)), names)
        axis.set(xlim=(longest + 2.5, -1.5), ylim=(len(names) - 0.4, -0.6))
        axis.tick_params(axis="y", length=0)
    place: dict[str, Any] = {"transform": axes[0, 0].get_xaxis_transform(), "ha": "center", "va": "bottom"}
    axes[0, 0].text(border[0], 1.0, border[1], fontsize=8.5, color="0.35", **place)
    axes[-1, 0].set_xlabel(xlabel)
    show(figure, picture)


def padding_effect(
    grid: tuple[str, np.ndarray, int],
    scatters: Mapping[str, tuple[np.ndarray, np.ndarray]],
    picture: str,
    *,
    xlabel: str,
    ylabel: str,
) -> None:
    """A heat map of (channel, time) with a line where padding ends, and scores with and without padding beside it.

    Args:
        grid: (title, sizes of the hidden numbers, positions of padding).
        scatters: title -> (score without padding, score with padding), a point each.
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of the first of the two.
        ylabel: name and unit of the second.
    """
    figure, axes = new_figure(10.2, 3.3, columns=1 + len(scatters), width_ratios=[1.5, *[1] * len(scatters)])
    title, values, pads = grid
    axis = axes[0, 0]
    image = axis.imshow(values, cmap="Blues", aspect="auto", interpolation="nearest", vmin=0)
    axis.axvline(pads - 0.5, color=FUTURE, linewidth=2)
    axis.text(pads - 1, -1.5, "padding", ha="right", va="bottom", fontsize=9)
    axis.text(pads, -1.5, "films", ha="left", va="bottom", fontsize=9)
    axis.set_title(title, loc="left", pad=18)
    axis.set(xlabel="position", ylabel="channel")
    figure.colorbar(image, ax=axis, label="size", shrink=0.8)
    low, high = (f([f(pair) for pair in scatters.values()]) for f in (np.min, np.max))
    for axis, (title, (x, y)) in zip(axes[0, 1:], scatters.items()):
        axis.plot([low, high], [low, high], color="black", linewidth=1, linestyle="--")
        axis.scatter(x, y, s=7, color=READ, alpha=0.5, linewidth=0)
        axis.set_title(title, loc="left", pad=18)
        axis.set(xlabel=xlabel, ylabel=ylabel, aspect="equal")
    show(figure, picture)


def _white_lines(axis: Axes, rows: int, columns: int) -> None:
    axis.set_xticks(np.arange(-0.5, columns), minor=True)
    axis.set_yticks(np.arange(-0.5, rows), minor=True)
    axis.grid(which="minor", color="white", linewidth=1)
    axis.tick_params(which="minor", length=0)
    axis.spines[:].set_visible(False)

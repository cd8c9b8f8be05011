"""Figures of lesson 06, from plain arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from skiprec_course.plots import COLOURS, dot_panels, legend_below, line_panels, new_figure, show

__all__ = [
    "band", "binned_means", "dot_panels", "line_panels", "number_grids", "padding_effect", "reading_maps", "stacks",
]  # fmt: skip

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
        image = axis.imshow(values, cmap="PuOr_r", vmin=-1.3 * largest, vmax=1.3 * largest, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            ink = "white" if sum(image.to_rgba(value)[:3]) < 1.5 else "black"
            axis.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=9, color=ink)
        if target and names.index(title) > names.index(target):
            for row, column in np.argwhere(~np.isclose(values, panels[target])):
                frame = np.array([-0.44, 0.44, 0.44, -0.44, -0.44]), np.array([-0.44, -0.44, 0.44, 0.44, -0.44])
                axis.plot(column + frame[0], row + frame[1], color="black", linewidth=2)
        axis.set_title(title, loc="left")
        axis.set_xticks(range(columns), [str(t) for t in range(columns)])
        axis.set(xlabel=xlabel, yticks=range(rows))
        axis.tick_params(length=0)
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


def stacks(dilations: Sequence[Sequence[int]], picture: str, *, window: int = 50) -> None:
    """What the last output of each stack of blocks reads, edge by edge: panels on one scale, at most two in a row.

    Args:
        dilations: of the blocks of each stack, the first block first.
        picture: the figure's name, "ROOM/NAME".
        window: so many positions are drawn, the last ones.
    """
    columns = min(2, len(dilations))
    rows = -(-len(dilations) // columns)
    figure, axes = new_figure(4.8 * columns, 2.1 * rows, columns=columns, rows=rows)
    for axis, stack in zip(axes.flat, dilations):
        lit = _draw_edges(axis, stack, window)
        reach, read = 6 * sum(stack), len(lit[0])
        beyond = f", of which {window} are here" if reach >= window else ""
        told = f"reach {reach} steps{beyond}: {read} films read"
        axis.set_title(f"dilations {', '.join(map(str, stack)) or 'none'}: {told}", loc="left", fontsize=10)
        axis.set_yticks([0, *range(2, len(lit), 2)], ["films", *(f"block {n + 1}" for n in range(len(stack)))])
    for axis in axes[-1]:
        axis.set_xlabel("steps back from the last film")
    show(figure, picture)


def _draw_edges(axis: Axes, dilations: Sequence[int], width: int, *, all_edges: bool = False) -> list[set[int]]:
    """Draw nodes over time, a row for the films and for each convolution, and the edges; light what the last one reads.

    Returns:
        For each row, films first, how many steps back the lit nodes lie.
    """
    gaps = [gap for d in dilations for gap in (d, 2 * d)]
    lit = [{0}]
    for gap in reversed(gaps):
        lit.insert(0, {back + tap * gap for back in lit[0] for tap in range(3)})
    lit = [{back for back in row if back < width} for row in lit]
    every = set(range(width))
    for chosen, colour, thick in (((every,) * len(lit), "0.87", 0.5), (lit, READ, 1.0)):
        for level, gap in enumerate(gaps) if thick == 1 or all_edges else ():
            pairs = [(back + tap * gap, back) for back in chosen[level + 1] for tap in range(3)]
            ends = np.array([(low, high, np.nan) for low, high in pairs if low < width])  # one line with breaks
            axis.plot(-ends.ravel(), np.tile([level, level + 1, np.nan], len(ends)), color=colour, linewidth=thick)
    for level, row in enumerate(lit):
        for backs, face, edge in ((every - row, "white", "0.7"), (row, READ, "black")):
            axis.plot(
                [-back for back in sorted(backs)], [level] * len(backs), "o", color=face, markeredgecolor=edge,
                markeredgewidth=0.6, markersize=220 / (width + 10) if all_edges else 3.4, zorder=3,
            )  # fmt: skip
    ticks = range(0, width, 10)
    axis.set_xticks([-back for back in ticks], [str(back) for back in ticks])
    axis.set(xlim=(-width + 0.2, 0.8), ylim=(-0.6, len(gaps) + 0.6))
    axis.tick_params(axis="y", length=0)
    axis.spines[:].set_visible(False)
    return lit


def save_nextitnet_drawing(path: Path | str) -> None:
    """Write the drawing of NextItNet as an SVG whose letters stay letters, the same bytes each time."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "skiprec_lite"}):
        draw_nextitnet().savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def draw_nextitnet() -> Figure:
    """Draw NextItNet with its edges: films below, two blocks of two convolutions each, a score of all films on top."""
    figure, axes = new_figure(10, 4.6)
    axis = axes[0, 0]
    _draw_edges(axis, (1, 4), 36, all_edges=True)
    for block, d in enumerate((1, 4)):
        for level in (2 * block, 2 * block + 1):
            place: dict[str, Any] = {"va": "center", "ha": "right", "fontsize": 9.5}
            axis.text(-36.2, level + 0.5, f"convolution, gaps of {d * (level % 2 + 1)}", **place)
        axis.axhspan(2 * block + 0.13, 2 * block + 1.87, color="0.5", alpha=0.1, linewidth=0)
        around: dict[str, Any] = {"arrowstyle": "->", "connectionstyle": "arc3,rad=0.35"}
        axis.annotate("", (0.5, 2 * block + 2), (0.5, 2 * block), arrowprops=around)
        axis.text(2.6, 2 * block + 1, f"block {block + 1}, d = {d}:\nadds to its input", va="center", fontsize=9.5)
    axis.annotate("", (0, 4.75), (0, 4.1), arrowprops={"arrowstyle": "->"})
    axis.text(0.6, 4.85, "scores of all films: what comes next?", ha="right", va="bottom", fontsize=10)
    axis.text(-36.2, 0, "films, as vectors", ha="right", va="center", fontsize=9.5)
    axis.set(xlim=(-46, 10.5), ylim=(-0.5, 5.3), yticks=[])
    axis.set_xlabel("steps back from the last film")
    return figure


def padding_effect(
    grid: tuple[str, np.ndarray, int],
    scatters: Mapping[str, tuple[np.ndarray, np.ndarray]],
    picture: str,
    *,
    first: int,
    xlabel: str,
    ylabel: str,
) -> None:
    """A heat map of (channel, time) with a line where padding ends, and scores with and without padding beside it.

    Args:
        grid: (title, sizes of the hidden numbers, positions of padding).
        scatters: title -> (score without padding, score with padding), a point each.
        picture: the figure's name, "ROOM/NAME".
        first: the position of the heat map's first column.
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
    axis.set_xticks(range(0, values.shape[1], 5), [str(first + place) for place in range(0, values.shape[1], 5)])
    axis.set(xlabel="position", ylabel="channel")
    figure.colorbar(image, ax=axis, label="size", shrink=0.8)
    low, high = (f([f(pair) for pair in scatters.values()]) for f in (np.min, np.max))
    for axis, (title, (x, y)) in zip(axes[0, 1:], scatters.items()):
        axis.plot([low, high], [low, high], color="black", linewidth=1, linestyle="--")
        axis.scatter(x, y, s=7, color=READ, alpha=0.5, linewidth=0)
        axis.set_title(title, loc="left", pad=18)
        axis.set(xlabel=xlabel, ylabel=ylabel, aspect="equal")
    show(figure, picture)


def band(x: Sequence[float], estimates: Sequence[tuple[float, float]]) -> tuple[np.ndarray, ...]:
    """Means and a band of two standard errors around them, for `line_panels`."""
    mean, error = np.array(estimates).T
    return np.array(x), mean, mean - 2 * error, mean + 2 * error


def binned_means(values: np.ndarray, bins: np.ndarray, users: np.ndarray) -> list[tuple[float, float]]:
    """Mean of the cases of each bin and its standard error: a user's cases are not independent, users are."""
    found = []
    for inside in (bins == b for b in range(bins.max() + 1)):
        mean = values[inside].mean()
        of_users = np.bincount(users[inside], values[inside] - mean)
        found.append((float(mean), float((of_users**2).sum() ** 0.5 / inside.sum())))
    return found


def _white_lines(axis: Axes, rows: int, columns: int) -> None:
    axis.set_xticks(np.arange(-0.5, columns), minor=True)
    axis.set_yticks(np.arange(-0.5, rows), minor=True)
    axis.grid(which="minor", color="white", linewidth=1)
    axis.tick_params(which="minor", length=0)
    axis.spines[:].set_visible(False)

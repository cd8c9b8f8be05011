"""Figures of lesson 10, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from skiprec_course.plots import COLOURS, MARKERS, heat_maps, legend_below, line_panels, new_figure, show

__all__ = ["by_block", "counted_losses", "heat_maps", "line_panels", "predicted_and_reached"]


def by_block(cells: pd.Series) -> np.ndarray:
    """Cells such as "0.984 0.978 …", a number for each block, as an array (row, block)."""
    return np.array([cell.split() for cell in cells], dtype=float)


def predicted_and_reached(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray]], picture: str, *, groups: Sequence[str]
) -> None:
    """Keep probabilities that are predicted against those around that epoch, a dot for each gate and group.

    Args:
        panels: title -> (predicted, reached), each of shape (group, block).
        picture: the figure's name, "ROOM/NAME".
        groups: names of the groups.
    """
    figure, axes = new_figure(min(11.5, 3.9 * len(panels) + 0.4), 4.4, columns=len(panels), sharey=True)
    for axis, (title, (predicted, reached)) in zip(axes[0], panels.items()):
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
        axis.axhline(0.5, color="black", linestyle=":", linewidth=1.3, zorder=0)
        axis.text(1.03, 0.49, "½", va="top", ha="right", fontsize=11)
        for index, name in enumerate(groups):
            style = {"color": COLOURS[index], "marker": MARKERS[index], "alpha": 0.85}
            axis.scatter(predicted[index], reached[index], s=42, label=name, linewidth=0, **style)
            for block, (x, y) in enumerate(zip(predicted[index], reached[index]), 1):
                if 0.05 < y < 0.93:
                    axis.annotate(str(block), (x, y), (6, -4), textcoords="offset points", fontsize=9)
        axis.set(xlabel="predicted π*", xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal")
        axis.set_title(title, loc="left")
    axes[0, 0].set_ylabel("π around that epoch")
    legend_below(figure, axes[0], columns=len(groups))
    show(figure, picture)


def counted_losses(panels: Mapping[str, np.ndarray], kept: np.ndarray, picture: str, *, guess: float) -> None:
    """The loss of every pattern as a dot over the number of blocks it keeps; a line joins the best of each number.

    Args:
        panels: title -> the loss of each pattern.
        kept: blocks that each pattern keeps.
        picture: the figure's name, "ROOM/NAME".
        guess: the loss of a guess, drawn as a dotted line.
    """
    figure, axes = new_figure(2.9 * len(panels), 3.4, columns=len(panels), sharey=True)
    for axis, (title, loss) in zip(axes[0], panels.items()):
        axis.scatter(kept, loss, s=13, alpha=0.5, linewidth=0, color=COLOURS[0], label="a pattern")
        counts = np.unique(kept)
        best = [loss[kept == count].min() for count in counts]
        axis.plot(counts, best, color=COLOURS[3], marker="s", markersize=5, label="best of that number")
        axis.axhline(guess, color="0.4", linestyle=":", linewidth=1.2, zorder=0, label="a guess")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(xlabel="blocks kept")
        axis.set_title(title, loc="left")
    axes[0, 0].set_ylabel("loss (nats per item)")
    legend_below(figure, axes[0], columns=3)
    show(figure, picture)

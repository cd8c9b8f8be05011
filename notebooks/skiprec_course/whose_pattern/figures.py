"""Figures of lesson 11, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import numpy as np

from skiprec_course.plots import COLOURS, new_figure, show


def dials(panels: Mapping[str, np.ndarray], films: np.ndarray, picture: str) -> None:
    """A dot for each person: how long the history is, and the reading of the dial.

    Args:
        panels: title -> the dial of each person.
        films: in each person's history.
        picture: the figure's name, "ROOM/NAME".
    """
    figure, axes = new_figure(5.4 * len(panels), 3.8, len(panels), sharey=True)
    for axis, (title, dial) in zip(axes[0], panels.items()):
        axis.scatter(films, dial, s=9, alpha=0.4, linewidth=0, color=COLOURS[0])
        axis.axvline(50, color="grey", linestyle=":", linewidth=1.2)
        axis.set_xscale("log")
        axis.set_xticks([10, 20, 50, 100, 200, 500], ["10", "20", "50", "100", "200", "500"])
        axis.minorticks_off()
        axis.set(xlabel="films in the history (the policy reads 50 at most)", ylim=(0, 3))
        axis.set_title(title, loc="left")
    axes[0, 0].set_ylabel("blocks to expect, of 8")
    show(figure, picture)


def signed_map(
    values: np.ndarray, stands: np.ndarray, picture: str, *, rows: Sequence[str], columns: Sequence[str], meaning: str
) -> None:
    """Correlations as a table of colours, each with its number; bold and framed where it stands.

    Args:
        values: of shape (row, column).
        stands: whether each is beyond luck.
        picture: the figure's name, "ROOM/NAME".
        rows: names of the rows.
        columns: names of the columns.
        meaning: what the colours say.
    """
    figure, axes = new_figure(2.2 + 1.6 * len(columns), 1.2 + 0.36 * len(rows))
    axis = axes[0, 0]
    image = axis.imshow(values, cmap="RdBu_r", vmin=-0.8, vmax=0.8, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        look = {"fontweight": "bold", "color": "black"} if stands[row, column] else {"color": "0.45"}
        if abs(value) > 0.6:
            look["color"] = "white"
        axis.text(column, row, f"{value:+.2f}".replace("0.", "."), ha="center", va="center", fontsize=9, **look)
    axis.set_xticks(range(len(columns)), columns, fontsize=9)
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=axis, label=meaning, shrink=0.9)
    show(figure, picture)

"""Figures of lesson 08, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from skiprec_course.plots import (
    COLOURS,
    KEEP,
    LINES,
    MARKERS,
    heat_maps,
    legend_below,
    line_panels,
    mark_place,
    new_figure,
    show,
)

__all__ = [
    "gates_over_training", "heat_maps", "line_panels", "over_epochs", "patterns", "people", "temperatures",
]  # fmt: skip

SHADES = sns.light_palette(KEEP, as_cmap=True)


def gates_over_training(
    groups: Mapping[str, np.ndarray],
    below: Mapping[str, np.ndarray],
    picture: str,
    *,
    rows: Sequence[str],
    marks: Mapping[str, int],
    ylabel: str,
) -> None:
    """Small multiples, one column a group: a map of its gates by block and epoch, and its accuracy below.

    Args:
        groups: title -> share of the group's users that keep a block, of shape (block, epoch).
        below: name of a line -> values of shape (group, epoch), one line in each of the lower panels.
        picture: the figure's name, "ROOM/NAME".
        rows: a label for each block.
        marks: label -> the epoch before which a dotted line runs through all panels.
        ylabel: name and unit of the values below.
    """
    figure, axes = new_figure(
        3.5 * len(groups), 4.6, len(groups), 2, sharex="col", sharey="row", height_ratios=(1.3, 1)
    )
    for place, (title, gates) in enumerate(groups.items()):
        upper, lower = axes[:, place]
        image = _map(upper, gates, gates < 0.5)
        upper.set_yticks(range(len(rows)), rows)
        upper.tick_params(labelbottom=False)
        upper.set_title(title, loc="left", pad=16)
        for index, (name, values) in enumerate(below.items()):
            style = {"color": COLOURS[index], "linestyle": LINES[index], "marker": MARKERS[index]}
            lower.plot(values[place], label=name, markersize=4, markevery=3, **style)
        lower.set(xlabel="epoch", ylim=(0, 1))
        lower.set_xticks(range(0, gates.shape[1], 4))
        for label, epoch in marks.items():
            mark_place(upper, epoch - 0.5, label)
            lower.axvline(epoch - 0.5, color="grey", linestyle=":", linewidth=1.2)
    axes[1, 0].set_ylabel(ylabel)
    figure.colorbar(image, ax=list(axes[0]), label="share that keeps the block")
    legend_below(figure, axes[1], columns=len(below))
    show(figure, picture)


def people(
    panels: Mapping[str, np.ndarray], names: Mapping[int, str], picture: str, *, dilations: Sequence[int]
) -> None:
    """Maps of gates side by side, a line of pixels for each person, who stands at the same height in all of them.

    Args:
        panels: title -> gates or probabilities of shape (user, block).
        names: row -> what to write beside it.
        picture: the figure's name, "ROOM/NAME".
        dilations: of the blocks, for the axis.
    """
    users = len(next(iter(panels.values())))
    figure, axes = new_figure(11.5, 0.9 + users / 100, columns=len(panels), sharey=True)  # 100 dots an inch
    for axis, (title, values) in zip(axes[0], panels.items()):
        image = axis.imshow(values, cmap=SHADES, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        labels = [f"{block + 1}\n{dilation}" for block, dilation in enumerate(dilations)]
        axis.set_xticks(range(len(dilations)), labels, fontsize=8.5)
        axis.set_xticks(np.arange(0.5, len(dilations) - 1), minor=True)
        axis.grid(which="minor", axis="x", color="white", linewidth=1.5)
        axis.tick_params(which="both", length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(title, loc="left", fontsize=10)
    axes[0, 0].set_yticks(list(names), list(names.values()), fontsize=8.5)
    axes[0, 0].tick_params(axis="y", length=4)
    figure.supxlabel("block, and below it its dilation", fontsize=10)
    figure.colorbar(image, ax=list(axes[0]), label="probability to keep the block; gates: 1 = kept", shrink=0.4)
    show(figure, picture)


def temperatures(
    watched: pd.DataFrame, starts: Mapping[str, str], picture: str, *, taus: Sequence[float], dilations: Sequence[int]
) -> None:
    """Rows of small maps, one row a temperature: each group's probability to keep a block, by block and epoch.

    Args:
        watched: what `over_epochs` gives, with the columns of the runs' names.
        starts: title of three columns -> how a run's name goes on after its temperature.
        picture: the figure's name, "ROOM/NAME".
        taus: the temperatures, from top to bottom.
        dilations: of the blocks, for the axis.
    """
    lags = sorted(watched["lag"].unique())
    figure, axes = new_figure(11.5, 1.75 * len(taus) + 0.9, len(starts) * len(lags), len(taus), sharex=True,
                              sharey=True)  # fmt: skip
    for row, tau in enumerate(taus):
        for column, (start, lag) in enumerate((start, lag) for start in starts for lag in lags):
            axis = axes[row, column]
            here = watched[(watched["run"] == f"tau {tau}, {starts[start]}") & (watched["lag"] == lag)]
            maps = {name: np.stack(here[name].tolist(), axis=1) for name in ("probability", "keep")}
            image = _map(axis, maps["probability"], maps["keep"] < 0.5)
            axis.set_title(f"{float(here['accuracy'].iloc[-1]):.2f}", loc="right", fontsize=9, color="0.3")
            if row == 0:
                axis.set_title(f"{start}\nlag {lag}" if lag == lags[0] else f"\nlag {lag}", loc="left", fontsize=10)
            if row == len(taus) - 1:
                axis.set_xlabel("epoch")
        axes[row, 0].set_ylabel(f"τ = {tau:g}\nblock, d", fontsize=10)
        labels = [f"{block + 1}, {dilation}" for block, dilation in enumerate(dilations)]
        axes[row, 0].set_yticks(range(len(dilations)), labels, fontsize=8)
    figure.supxlabel("right above each map: accuracy after the last epoch", fontsize=9, color="0.3")
    figure.colorbar(image, ax=list(axes.flat), label="probability to keep the block, mean over the group", shrink=0.5)
    show(figure, picture)


def over_epochs(groups: pd.DataFrame) -> pd.DataFrame:
    """A table of groups, with the numbers of the blocks as arrays, one a cell, in place of texts."""
    columns = [name for name in ("keep", "probability", "slope", "difference") if name in groups]
    return groups.assign(**{name: groups[name].map(lambda text: np.array(text.split(), float)) for name in columns})


def patterns(gates: np.ndarray) -> pd.Series:
    """How many users have each row of gates, the commonest first: ■ is kept, · is skipped."""
    return pd.Series(["".join("■" if gate else "·" for gate in row) for row in gates]).value_counts()


def _map(axis: Axes, values: np.ndarray, skipped: np.ndarray) -> mpl.image.AxesImage:
    image = axis.imshow(values, cmap=SHADES, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    block, epoch = np.nonzero(skipped)
    axis.plot(epoch, block, ".", color="grey", markersize=2.5)  # a dot carries the message in greyscale too
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return image

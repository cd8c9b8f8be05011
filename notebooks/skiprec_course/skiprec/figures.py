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
    legend_below,
    line_panels,
    mark_place,
    new_figure,
    show,
)

__all__ = [
    "by_block", "by_cost", "by_temperature", "gates_over_training", "known_worlds", "line_panels", "over_epochs",
    "patterns", "people", "temperatures", "two_forces",
]  # fmt: skip

LAGS, TAUS = (0, 6, 24), (0.1, 1.0, 10.0, 50.0)  # of the tables `worlds` and `temperature`
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


def by_block(panels: Mapping[str, np.ndarray], picture: str, *, dilations: Sequence[int]) -> None:
    """Numbers by training and block in coloured cells, side by side: dark is high, as in the maps of gates.

    Args:
        panels: title -> probabilities of shape (training, block).
        picture: the figure's name, "ROOM/NAME".
        dilations: of the blocks, for the axis.
    """
    figure, axes = new_figure(10.5, 2.3, columns=len(panels), sharey=True)
    for axis, (title, values) in zip(axes[0], panels.items()):
        axis.imshow(values, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
        for (row, block), value in np.ndenumerate(values):
            ink = "white" if value > 0.6 else "black"
            axis.text(block, row, f"{value:.2f}", ha="center", va="center", fontsize=9, color=ink)
        axis.set_xticks(range(len(dilations)), [f"{block + 1}\n{d}" for block, d in enumerate(dilations)])
        axis.set_yticks(range(len(values)), [f"seed {row}" for row in range(len(values))])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_xlabel("block, and below it its dilation")
        axis.set_title(title, loc="left")
    show(figure, picture)


def temperatures(watched: pd.DataFrame, starts: Mapping[str, str], picture: str, *, dilations: Sequence[int]) -> None:
    """Rows of small maps, one row a temperature: each group's probability to keep a block, by block and epoch.

    Args:
        watched: what `over_epochs` gives, with the columns of the runs' names.
        starts: title of three columns -> how a run's name goes on after its temperature.
        picture: the figure's name, "ROOM/NAME".
        dilations: of the blocks, for the axis.
    """
    lags = sorted(watched["lag"].unique())
    figure, axes = new_figure(11.5, 1.75 * len(TAUS) + 0.9, len(starts) * len(lags), len(TAUS), sharex=True,
                              sharey=True)  # fmt: skip
    for row, tau in enumerate(TAUS):
        for column, (start, lag) in enumerate((start, lag) for start in starts for lag in lags):
            axis = axes[row, column]
            here = watched[(watched["run"] == f"tau {tau}, {starts[start]}") & (watched["lag"] == lag)]
            maps = {name: np.stack(here[name].tolist(), axis=1) for name in ("probability", "keep")}
            image = _map(axis, maps["probability"], maps["keep"] < 0.5)
            axis.set_title(f"{float(here['accuracy'].iloc[-1]):.2f}", loc="right", fontsize=9, color="0.3")
            if row == 0:
                axis.set_title(f"{start}\nlag {lag}" if lag == lags[0] else f"\nlag {lag}", loc="left", fontsize=10)
            if row == len(TAUS) - 1:
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


def two_forces(warm_up: np.ndarray, at_once: np.ndarray, picture: str, *, level: float) -> None:
    """What the loss tells the gates in a warm-up, and with the cost at once; and what is left of the gates there.

    Args:
        warm_up: (3, step): size of a user's slope, of the slopes' common part, share of gates kept.
        at_once: the same of a training with the cost from the first step.
        picture: the figure's name, "ROOM/NAME".
        level: what the cost tells each gate.
    """
    figure, axes = new_figure(11.5, 3.5, columns=3)
    highest = 1.05 * max(level, warm_up[:2].max(), at_once[:2].max())
    for axis, (title, rows) in zip(axes[0], {"warm-up": warm_up, "cost at once": at_once}.items()):
        for index, name in enumerate(("a user's slope, mean size", "common part, mean size")):
            style = {"color": COLOURS[index], "linestyle": LINES[index], "marker": MARKERS[index]}
            axis.plot(rows[index], label=name, markersize=4.5, markevery=max(1, len(rows[index]) // 8), **style)
        axis.axhline(level, color="0.4", linestyle=":", label="what the cost says")
        axis.set(xlabel="step", ylabel="slope at a gate", ylim=(0, highest))
        axis.set_title(title, loc="left")
    axes[0, 2].plot(at_once[2], color=COLOURS[2], linestyle="-.")
    axes[0, 2].set(xlabel="step", ylabel="share of blocks kept", ylim=(0, 1))
    axes[0, 2].set_title("cost at once: what is left", loc="left")
    legend_below(figure, axes[0], columns=3)
    show(figure, picture)


def known_worlds(worlds: pd.DataFrame) -> pd.DataFrame:
    """Of the table `worlds`, groups with items of their own: a row for each way to read and seed."""
    runs, rows = worlds.set_index("run"), {}
    for reads in ("last", "mean", "inner", "no blocks"):
        for seed in range(3):
            run, full = (runs.loc[f"{kind}, own items, seed {seed}"] for kind in (reads, "full depth"))
            lost = [run[f"accuracy, lag {lag}"] - full[f"accuracy, lag {lag}"] for lag in LAGS]
            rows[f"{reads}, seed {seed}"] = {
                "blocks, lags 0 / 6 / 24": " / ".join(f"{run[f'blocks, lag {lag}']:.1f}" for lag in LAGS),
                "worst group minus full depth": round(min(lost), 3),
                "lag 24 under the gates of lag 6": round(run["accuracy, lag 24 with gates of lag 6"], 3),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def by_temperature(temperature: pd.DataFrame) -> pd.DataFrame:
    """Of the table `temperature`, gates that start sure: blocks (mean of three seeds) and the least accuracy."""
    runs, rows = temperature.set_index("run"), {}
    for tau in TAUS:
        row: dict[str, object] = {}
        for start, bias in {"open": 8.0, "shut": -8.0}.items():
            here = runs.loc[[f"tau {tau}, starts at {bias}, seed {seed}" for seed in range(3)]]
            row |= {f"{start}: blocks": _blocks(here), f"{start}: least accuracy": _least_accuracy(here)}
        rows[f"τ = {tau:g}"] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def by_cost(temperature: pd.DataFrame) -> pd.DataFrame:
    """Of the table `temperature`, the ordinary start: blocks (mean of three seeds) and accuracy at three costs."""
    runs, rows = temperature.set_index("run"), {}
    for tau in TAUS:
        row: dict[str, object] = {}
        for cost in (0.0, 0.3, 1.0):
            here = runs.loc[[f"tau {tau}, cost {cost}, seed {seed}" for seed in range(3)]]
            row |= {f"cost {cost:g}": _blocks(here), f"least accuracy, {cost:g}": _least_accuracy(here)}
        rows[f"τ = {tau:g}"] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _blocks(runs: pd.DataFrame) -> str:
    return " / ".join(f"{runs[f'blocks, lag {lag}'].astype(float).mean():.1f}" for lag in LAGS)


def _least_accuracy(runs: pd.DataFrame) -> float:
    return round(float(runs[[f"accuracy, lag {lag}" for lag in LAGS]].astype(float).to_numpy().min()), 2)


def _map(axis: Axes, values: np.ndarray, skipped: np.ndarray) -> mpl.image.AxesImage:
    image = axis.imshow(values, cmap=SHADES, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    block, epoch = np.nonzero(skipped)
    axis.plot(epoch, block, ".", color="grey", markersize=2.5)  # a dot carries the message in greyscale too
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return image

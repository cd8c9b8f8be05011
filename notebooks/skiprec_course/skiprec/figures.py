"""Figures of lesson 08, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from skiprec_course.plots import COLOURS, LINES, MARKERS, gates_map, legend_below, mark_place, new_figure, show

__all__ = ["by_temperature", "gates_over_training", "people", "temperatures"]

LAGS, TAUS = (0, 6, 24), (0.1, 1.0, 10.0, 50.0)  # of the table `temperature`


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
        image = gates_map(upper, gates, gates < 0.5)
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
        image = gates_map(axis, values, np.zeros_like(values))
        labels = [f"{block + 1}\n{dilation}" for block, dilation in enumerate(dilations)]
        axis.set_xticks(range(len(dilations)), labels, fontsize=8.5)
        axis.set_xticks(np.arange(0.5, len(dilations) - 1), minor=True)
        axis.grid(which="minor", axis="x", color="white", linewidth=1.5)
        axis.tick_params(which="both", length=0)
        axis.set_title(title, loc="left", fontsize=10)
    axes[0, 0].set_yticks(list(names), list(names.values()), fontsize=8.5)
    axes[0, 0].tick_params(axis="y", length=4)
    figure.supxlabel("block, and below it its dilation", fontsize=10)
    figure.colorbar(image, ax=list(axes[0]), label="probability to keep the block; gates: 1 = kept", shrink=0.4)
    show(figure, picture)


def temperatures(groups: pd.DataFrame, starts: Mapping[str, str], picture: str, *, dilations: Sequence[int]) -> None:
    """Rows of small maps, one row a temperature: each group's probability to keep a block, by block and epoch.

    Args:
        groups: the table `temperature_groups`; its first seed is drawn.
        starts: title of three columns -> how a run's name goes on after its temperature.
        picture: the figure's name, "ROOM/NAME".
        dilations: of the blocks, for the axis.
    """
    places = [(start, lag) for start in starts for lag in LAGS]
    figure, axes = new_figure(11.5, 7.9, len(places), len(TAUS), sharex=True, sharey=True)
    for row, tau in zip(axes, TAUS):
        for axis, (start, lag) in zip(row, places):
            here = groups[(groups["run"] == f"tau {tau}, {starts[start]}, seed 0") & (groups["lag"] == lag)]
            maps = [np.array([line.split() for line in here[name]], float).T for name in ("probability", "keep")]
            image = gates_map(axis, maps[0], maps[1] < 0.5)
            axis.set_title(f"{here['accuracy'].iloc[-1]:.2f}", loc="right", fontsize=9, color="0.3")
        row[0].set_ylabel(f"τ = {tau:g}\nblock, d", fontsize=10)
        row[0].set_yticks(range(len(dilations)), [f"{b + 1}, {d}" for b, d in enumerate(dilations)], fontsize=8)
    for axis, (start, lag) in zip(axes[0], places):
        axis.set_title(f"{start if lag == LAGS[0] else ''}\nlag {lag}", loc="left", fontsize=10)
    figure.supxlabel("epoch; right above each map: accuracy after the last one", fontsize=10)
    figure.colorbar(image, ax=list(axes.flat), label="probability to keep the block, mean over the group", shrink=0.5)
    show(figure, picture)


def by_temperature(temperature: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Of the table `temperature`: blocks of the three groups, mean over the seeds, and the least accuracy of any.

    Args:
        temperature: the table.
        kinds: title of two columns -> how a run's name goes on after its temperature.
    """
    rows: dict[str, dict[str, object]] = {f"τ = {tau:g}": {} for tau in TAUS}
    for tau in TAUS:
        for title, kind in kinds.items():
            here = temperature[temperature["run"].str.startswith(f"tau {tau}, {kind}, ")]
            blocks = [f"{here[f'blocks, lag {lag}'].mean():.1f}" for lag in LAGS]
            least = min(here[f"accuracy, lag {lag}"].min() for lag in LAGS)
            here_is = {"blocks": " / ".join(blocks), "least accuracy": round(least, 2)}
            rows[f"τ = {tau:g}"] |= {f"{title}: {what}": number for what, number in here_is.items()}
        rows[f"τ = {tau:g}"]["seeds"] = len(here)
    return pd.DataFrame.from_dict(rows, orient="index")

"""Figures of lesson 05, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from skiprec_course.plots import COLOURS, dot_panels, new_figure, show
from skiprec_lite.metrics import mean_and_error


def models_in_both_rankings(
    title: str, found: Mapping[str, Mapping[str, torch.Tensor]], picture: str, *, xlabel: str
) -> None:
    """Draw the mean and error of each user's numbers: name of a model -> name of a ranking -> a number a user."""
    rows = {name: {key: mean_and_error(values) for key, values in both.items()} for name, both in found.items()}
    dot_panels({title: rows}, picture, xlabel=xlabel, from_zero=True)


def published_dots(table: pd.DataFrame) -> list[tuple[str, str, str, float]]:
    """Rows of published.csv for `comparable_groups`: data set, what has to be alike, model, NDCG@10."""
    dots = []
    for row in table.to_dict("records"):
        ranking = {"in": "all", "removed": "unseen"}[row["seen"]] if row["ranking"] == "all items" else row["ranking"]
        ties, repository = row["ties"].split(",")[0], row["source"].split(",")[0]
        group = f"{ranking}, ties: {ties} ({repository})"
        dots.append((row["dataset"], group, row["model"], row["ndcg@10"]))
    return dots


def comparable_groups(
    dots: Sequence[tuple[str, str, str, float]], picture: str, *, xlabel: str, own: str = "(ours)"
) -> None:
    """Dots in groups, a stripe behind each group: within a stripe values may be compared, across stripes not.

    The axis is logarithmic and each dot has its value beside it, so that near ones can be told apart.

    Args:
        dots: (panel, group, name, value); panels from left to right, groups and names from top to bottom.
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of the values.
        own: a group with this text in its name is our own: its dots are stars.
    """
    panels: dict[str, dict[str, list[tuple[str, float]]]] = {}
    for title, group, name, value in dots:
        panels.setdefault(title, {}).setdefault(group, []).append((name, value))
    rows = {title: sum(len(group) + 1 for group in groups.values()) for title, groups in panels.items()}
    figure, axes = new_figure(5.7 * len(panels), 1.0 + 0.205 * max(rows.values()), columns=len(panels), sharex=True)
    for axis, (title, groups) in zip(axes[0], panels.items()):
        line, names, places = 0.0, [], []
        for number, (group, members) in enumerate(groups.items()):
            _stripe(axis, line, len(members) + 1, group, number)
            style: dict[str, Any] = {"marker": "o", "s": 38, "color": COLOURS[0]}
            if own in group:
                style = {"marker": "*", "s": 95, "color": "black"}
            for step, (name, value) in enumerate(members, start=1):
                axis.scatter(value, line + step, zorder=3, **style)
                axis.annotate(f"{value:.4f}"[1:], (value, line + step), (7, 0), textcoords="offset points",
                              va="center", fontsize=7.5)  # fmt: skip
                places.append(line + step)
                names.append(name)
            line += len(members) + 1
        axis.set_yticks(places, names, fontsize=8)
        axis.tick_params(axis="y", length=0)
        axis.set(ylim=(line - 0.4, -0.6), xscale="log", xlim=(0.045, 0.95), xlabel=xlabel)
        ticks = (0.05, 0.1, 0.2, 0.5)
        axis.set_xticks(ticks, [f"{tick:g}"[1:] for tick in ticks])
        axis.set_xticks([], minor=True)
        axis.set_title(title, loc="left")
    handles = [
        Line2D([], [], linestyle="", marker="o", color=COLOURS[0], label="published, not re-run here"),
        Line2D([], [], linestyle="", marker="*", markersize=10, color="black", label="ours"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    show(figure, picture)


def _stripe(axis: Axes, top: float, rows: int, name: str, number: int) -> None:
    colour = "0.91" if number % 2 == 0 else "0.97"
    axis.axhspan(top - 0.5, top + rows - 0.5, color=colour, linewidth=0, zorder=0)
    across = axis.get_yaxis_transform()
    axis.text(0.99, top, name, transform=across, ha="right", va="center", fontsize=7.5, style="italic")

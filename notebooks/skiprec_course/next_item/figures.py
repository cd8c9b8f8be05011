"""Figures of lesson 04, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from skiprec_course.plots import COLOURS, new_figure, show

HATCHES = ("", "", "///", "...", "xx")


def log_portrait(lengths: np.ndarray, counts: np.ndarray, gaps: np.ndarray, picture: str) -> None:
    """Three views of a log of interactions: history lengths, the tail of popularity, the time between two events.

    Args:
        lengths: items of each user.
        counts: interactions of each item.
        gaps: seconds between an event and the one before of the same user.
        picture: the figure's name, "ROOM/NAME".
    """
    figure, axes = new_figure(11.2, 3.2, columns=3)
    left, middle, right = axes[0]
    left.hist(lengths, bins=np.geomspace(lengths.min(), lengths.max() + 1, 26), color=COLOURS[0], edgecolor="white")
    left.axvline(np.median(lengths), color="black", linestyle="--", linewidth=1.2, label="median")
    left.set(title="How long is a history?", xlabel="films of a user", ylabel="users", xscale="log")
    left.set_xticks([20, 50, 100, 200, 500], ["20", "50", "100", "200", "500"])
    left.set_xticks([], minor=True)
    left.legend(frameon=False)
    ranked = np.sort(counts)[::-1]
    middle.plot(np.arange(1, len(ranked) + 1), ranked, color=COLOURS[0], linewidth=2)
    middle.set(title="How popular is a film?", xlabel="rank of the film", ylabel="ratings", xscale="log", yscale="log")
    middle.xaxis.set_major_formatter("{x:g}")
    middle.yaxis.set_major_formatter("{x:g}")
    edges = [-0.5, 0.5, 5, 60, 3600, 86400, np.inf]
    names = ["same\nsecond", "1–4 s", "5–59 s", "1–59\nmin", "1–23\nhours", "a day\nor more"]
    shares = np.histogram(gaps, edges)[0] / len(gaps)
    colours, hatches = [COLOURS[1]] + [COLOURS[0]] * 5, ["//"] + [""] * 5
    bars = right.bar(range(6), shares, color=colours, hatch=hatches, edgecolor="white")
    right.bar_label(bars, fmt="{:.0%}", fontsize=9, padding=2)
    right.set(title="How long after the rating before?", ylabel="share of ratings", ylim=(0, 1.15 * shares.max()))
    right.set_xticks(range(6), names, fontsize=8.5)
    for axis in axes[0]:
        axis.title.set_fontsize(11)
    show(figure, picture)


def rows_of_cells(
    panels: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    roles: Sequence[str],
    picture: str,
    *,
    texts: Mapping[str, np.ndarray] | None = None,
    mark_last: str = "",
    xlabel: str = "",
    cell: float = 0.2,
) -> None:
    """Rows of cells, the role of each shown by colour and hatch; panels one below the other, one legend.

    Args:
        panels: title -> (role of each cell as an index into `roles`, shape (row, column); a label for each row).
        roles: names of the roles; the first one is drawn pale.
        picture: the figure's name, "ROOM/NAME".
        texts: title -> what to write into each cell, of the same shape.
        mark_last: draw a frame around the last column of each panel, with this name in the legend.
        xlabel: what runs along a row.
        cell: side of a cell in inches.
    """
    heights = [len(kinds) for kinds, _ in panels.values()]
    width = max(kinds.shape[1] for kinds, _ in panels.values())
    total = cell * sum(heights) + 0.4 * len(panels) + (0.65 if xlabel else 0.45)
    figure, axes = new_figure(cell * width + 1.6, total, rows=len(panels), height_ratios=heights)
    styles: list[dict[str, Any]] = [{"facecolor": "0.93", "edgecolor": "white"}]
    styles += [{"facecolor": COLOURS[i - 1], "edgecolor": "white", "hatch": HATCHES[i]} for i in range(1, len(roles))]
    for axis, (title, (kinds, labels)) in zip(axes[:, 0], panels.items()):
        for (row, column), kind in np.ndenumerate(kinds):
            axis.add_patch(Rectangle((column, row), 1, 1, linewidth=0.8, **styles[kind]))
            if texts is not None:
                colour = "0.55" if kind == 0 else "white"
                middle = (column + 0.5, row + 0.52)
                axis.text(*middle, str(texts[title][row, column]), ha="center", va="center", color=colour, fontsize=9.5)
        if mark_last:
            frame = Rectangle((kinds.shape[1] - 1, 0), 1, len(kinds), fill=False, edgecolor="black", linewidth=2)
            frame.set_clip_on(False)
            axis.add_patch(frame)
        axis.set(xlim=(0, width), ylim=(len(kinds), 0), aspect="equal", xticks=[])
        axis.set_yticks(np.arange(len(kinds)) + 0.5, labels)
        axis.set_title(title, loc="left")
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    axes[-1, 0].set_xlabel(xlabel)
    handles: list[Patch] = [Patch(label=name, **style) for name, style in zip(roles, styles)]
    if mark_last:
        handles.append(Patch(fill=False, edgecolor="black", linewidth=2, label=mark_last))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    show(figure, picture)


def resampled(
    panels: Mapping[str, Mapping[str, np.ndarray]],
    picture: str,
    *,
    xlabel: str,
    errors: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Histograms of bootstrap means, panels on one scale, with a line at 0 and a bar of two standard errors.

    Args:
        panels: title -> name of a way to resample -> means.
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of the means.
        errors: title -> (mean, standard error by the formula), drawn as a bar over the histograms.
    """
    figure, axes = new_figure(3.7 * len(panels), 3.2, columns=len(panels), sharex=True, sharey=True)
    flat = np.concatenate([values for ways in panels.values() for values in ways.values()])
    bins = np.linspace(flat.min(), flat.max(), 90)
    for axis, (title, ways) in zip(axes[0], panels.items()):
        for index, (name, values) in enumerate(ways.items()):
            style = {"histtype": "stepfilled", "alpha": 0.55} if index == 0 else {"histtype": "step", "linewidth": 1.6}
            axis.hist(values, bins=bins, density=True, color=COLOURS[index], label=name, **style)
        axis.axvline(0, color="black", linestyle=":", linewidth=1.4, label="no difference")
        if errors:
            mean, error = errors[title]
            place = axis.get_xaxis_transform()
            axis.errorbar(
                mean, 0.94, xerr=2 * error, fmt="o", color="black", markersize=4.5, capsize=4, transform=place,
                label="mean ± 2 standard errors (formula)",
            )  # fmt: skip
        axis.set_title(title, loc="left", fontsize=10.5)
        axis.set(xlabel=xlabel, yticks=[])
    axes[0, 0].set_ylabel("density")
    _headroom(axes[0])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False, columnspacing=1.4)
    show(figure, picture)


def _headroom(axes: Sequence[Axes]) -> None:
    """Leave room over the histograms for the bars of the formula; the axes share their scale."""
    axes[0].set_ylim(0, 1.2 * axes[0].get_ylim()[1])

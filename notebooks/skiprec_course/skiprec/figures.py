"""Figures of lesson 08, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns

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

__all__ = ["gates_over_training", "line_panels"]


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
    shades = sns.light_palette(KEEP, as_cmap=True)
    for place, (title, gates) in enumerate(groups.items()):
        upper, lower = axes[:, place]
        image = upper.imshow(gates, cmap=shades, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        skipped, when = np.nonzero(gates < 0.5)  # a dot carries the message in greyscale too
        upper.plot(when, skipped, ".", color="grey", markersize=2.5)
        upper.set_yticks(range(len(rows)), rows)
        upper.tick_params(length=0, labelbottom=False)
        upper.spines[:].set_visible(False)
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

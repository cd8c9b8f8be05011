"""Figures of lesson 11, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns

from skiprec_course.plots import (
    COLOURS,
    KEEP,
    grouped_bars,
    heat_maps,
    legend_below,
    line_panels,
    means_with_errors,
    new_figure,
    show,
)

__all__ = [
    "edge_lines", "flips", "grouped_bars", "heat_maps", "line_panels", "means_with_errors", "pattern_maps", "scatters",
    "signed_maps", "variance_parts",
]  # fmt: skip


def pattern_maps(panels: Mapping[str, tuple[np.ndarray, Sequence[tuple[str, int]]]], picture: str) -> None:
    """Users down, blocks across, dark = kept; above each map the share of users that keep the block.

    Args:
        panels: title -> (gates of shape (user, block), [(name of a band of rows, how many rows), …]).
        picture: the figure's name, "ROOM/NAME".
    """
    figure, axes = new_figure(5.3 * len(panels), 5.6, len(panels), 2, height_ratios=[1, 3.4])
    for place, (title, (gates, bands)) in enumerate(panels.items()):
        above, below = axes[:, place]
        blocks = range(gates.shape[1])
        bars = above.bar(blocks, gates.mean(axis=0), color=KEEP, width=0.8)
        above.bar_label(bars, fmt="%.2f", fontsize=9, padding=1)
        above.set(ylim=(0, 1.2), yticks=[0, 0.5, 1], ylabel="keep rate", xlim=(-0.5, len(blocks) - 0.5), xticks=[])
        above.set_title(title, loc="left")
        below.imshow(
            gates, cmap=sns.light_palette(KEEP, as_cmap=True), vmin=0, vmax=1, aspect="auto", interpolation="nearest"
        )
        edges = np.cumsum([0, *(count for _, count in bands)])
        for edge in edges[1:-1]:
            below.axhline(edge - 0.5, color="black", linewidth=1)
        below.set_yticks((edges[:-1] + edges[1:]) / 2 - 0.5, [name for name, _ in bands], fontsize=9)
        below.set_xticks(blocks, [str(block + 1) for block in blocks])
        below.set_xticks(np.arange(0.5, len(blocks) - 1), minor=True)
        below.grid(axis="x", which="minor", color="white", linewidth=2)
        below.tick_params(which="both", length=0)
        below.set_xlabel("residual block")
        below.spines[:].set_visible(False)
    show(figure, picture)


def variance_parts(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], picture: str) -> None:
    """Stacked bars, one for each block: the part of a gate's variance that is the user, and the part that is chance.

    Args:
        panels: title -> (the user's part of each block, the sampling noise of each block).
        picture: the figure's name, "ROOM/NAME".
    """
    figure, axes = new_figure(4.8 * len(panels), 3.3, len(panels), sharey=True)
    for axis, (title, parts) in zip(axes[0], panels.items()):
        user, noise = (np.asarray(part) for part in parts)
        blocks = range(len(user))
        axis.bar(blocks, user, color=KEEP, label="the user")
        axis.bar(
            blocks, noise, bottom=user, color=COLOURS[1], alpha=0.55, hatch="//", edgecolor="white",
            label="the draw of the gate",
        )  # fmt: skip
        axis.set_xticks(blocks, [str(block + 1) for block in blocks])
        axis.set(xlabel="residual block", ylim=(0, 0.27))
        axis.set_title(title, loc="left")
    axes[0, 0].set_ylabel("variance of the gate")
    legend_below(figure, axes[0], columns=2)
    show(figure, picture)


def scatters(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray]],
    picture: str,
    *,
    xlabels: Sequence[str],
    ylabels: Sequence[str],
) -> None:
    """A dot for each user, panels side by side.

    Args:
        panels: title -> (x, y).
        picture: the figure's name, "ROOM/NAME".
        xlabels: name and unit of the horizontal axis, one for each panel.
        ylabels: name and unit of the vertical axis, one for each panel.
    """
    figure, axes = new_figure(min(11.5, 3.9 * len(panels)), 3.7, len(panels))
    for place, (axis, (title, (x, y))) in enumerate(zip(axes[0], panels.items())):
        axis.scatter(x, y, s=9, alpha=0.45, linewidth=0, color=COLOURS[0])
        axis.set(xlabel=xlabels[place], ylabel=ylabels[place])
        axis.set_title(title, loc="left")
    show(figure, picture)


def signed_maps(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray]],
    picture: str,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    xlabel: str,
    rule_after: Sequence[int] = (),
) -> None:
    """Correlations as a table of colours, each with its number; bold where it survives a test.

    Args:
        panels: title -> (correlations of shape (row, column), whether each survives).
        picture: the figure's name, "ROOM/NAME".
        rows: names of the rows, the same in each panel.
        columns: names of the columns, the same in each panel.
        xlabel: what runs along the columns.
        rule_after: columns after which a white rule runs.
    """
    figure, axes = new_figure(5.75 * len(panels), 1.6 + 0.36 * len(rows), len(panels), sharey=True)
    for axis, (title, (values, survives)) in zip(axes[0], panels.items()):
        image = axis.imshow(values, cmap=sns.color_palette("vlag", as_cmap=True), vmin=-0.8, vmax=0.8, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            weight = "bold" if survives[row, column] else "normal"
            text = f"{value:+.2f}".replace("0.", ".")
            colour = "white" if abs(value) > 0.62 else "black" if survives[row, column] else "0.45"
            axis.text(column, row, text, ha="center", va="center", fontsize=8, fontweight=weight, color=colour)
        for column in rule_after:
            axis.axvline(column + 0.5, color="white", linewidth=4)
        axis.set_xticks(range(len(columns)), columns, fontsize=8.5)
        axis.set_yticks(range(len(rows)), rows, fontsize=9)
        axis.tick_params(length=0)
        axis.set_xlabel(xlabel)
        axis.set_title(title, loc="left")
        axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=list(axes[0]), label="rank correlation", shrink=0.9, pad=0.01)
    show(figure, picture)


def edge_lines(lengths: Sequence[int], by_front: Mapping[str, np.ndarray], one_position: Sequence[np.ndarray]) -> None:
    """What stands behind the positions that a policy averages, and what it says at one position alone.

    Args:
        lengths: how many positions at the end are averaged.
        by_front: what stands behind them -> the dial for each of the lengths.
        one_position: of each seed, the dial at each position.
    """
    places = np.arange(1, len(one_position[0]) + 1)
    panels = {
        "mean of the last positions, seed 0": {name: (np.array(lengths), dial) for name, dial in by_front.items()},
        "one position alone": {f"seed {seed}": (places, dial) for seed, dial in enumerate(one_position)},
    }
    line_panels(
        panels,
        "whose_pattern/edge",
        xlabels=["films at the end that are averaged", "place of the position (zeros in reach up to the 30th)"],
        ylabels=["expected blocks, mean"] * 2,
        bottom=0,
    )


def flips(
    own_rank: int,
    ranks: Sequence[int],
    overlaps: Mapping[str, Sequence[float]],
    kept: Sequence[int],
    picture: str,
    *,
    best: int = 10,
) -> None:
    """What a single flipped gate does: the true next item's rank, and how much of the list stays.

    Args:
        own_rank: rank under the policy's own gates.
        ranks: rank with one gate flipped, a block at a time.
        overlaps: whose list -> how many of the best stay under each flip.
        kept: the policy's own gates.
        picture: the figure's name, "ROOM/NAME".
        best: length of the list.
    """
    figure, axes = new_figure(10.5, 3.4, 2)
    left, right = axes[0]
    places = np.arange(len(ranks))
    for gate, marker, name in ((1, "o", "switched off"), (0, "s", "switched on")):
        chosen = np.asarray(kept) == gate
        left.scatter(
            places[chosen],
            np.asarray(ranks)[chosen],
            color=COLOURS[1 - gate],
            marker=marker,
            s=50,
            label=name,
            zorder=3,
        )
    left.vlines(places, own_rank, ranks, color="grey", linewidth=1)
    left.axhline(own_rank, color="black", linestyle="--", linewidth=1.2, label="the policy's own gates")
    left.set_yscale("log")
    left.yaxis.set_major_formatter("{x:g}")
    left.invert_yaxis()
    left.set(ylabel="rank of the true next film (1 is best)", xlabel="the one block that is flipped")
    left.set_title("one user", loc="left")
    width = 0.8 / len(overlaps)
    for index, ((name, values), hatch) in enumerate(zip(overlaps.items(), ("", "//", ".."))):
        shift = (index - (len(overlaps) - 1) / 2) * width
        right.bar(
            places + shift, values, width * 0.92, label=name, color=COLOURS[2 + index], hatch=hatch, edgecolor="white"
        )
    right.set(ylim=(0, best + 0.4), ylabel=f"films of the top {best} that stay", xlabel="the one block that is flipped")
    right.set_title("how much of the list stays", loc="left")
    for axis in (left, right):
        axis.set_xticks(places, [str(place + 1) for place in places])
    legend_below(figure, axes[0], columns=5)
    show(figure, picture)

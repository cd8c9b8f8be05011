"""Figures of lesson 09, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patheffects import withStroke

from skiprec_course.plots import COLOURS, LINES, MARKERS, legend_below, new_figure, show

Points = Sequence[tuple[str, np.ndarray, np.ndarray]]  # a word, and for each seed the blocks kept and the quality


def quality_against_blocks(
    panels: Mapping[str, Mapping[str, Points]], levels: Mapping[str, tuple[str, float]], picture: str
) -> None:
    """Title -> series -> points: pale dots for the seeds, markers with a word, a line; title -> a level, its height."""
    figure, axes = new_figure(11.2, 4.4, columns=len(panels))
    for axis, (title, drawn) in zip(axes[0], panels.items()):
        for index, (name, points) in enumerate(drawn.items()):
            look: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index]}
            means = np.array([(blocks.mean(), quality.mean()) for _, blocks, quality in points])
            axis.plot(*means.T, linestyle=LINES[index], markersize=6.5, label=name, **look)
            for (word, blocks, quality), mean in zip(points, means):
                axis.scatter(blocks, quality, s=14, alpha=0.4, linewidth=0, **look)
                place = ((5, -13), (-14, -13), (-4, 8))[index]
                label = axis.annotate(word, mean, place, textcoords="offset points", fontsize=8, color=COLOURS[index])
                label.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        name, height = levels[title]
        if height < 1.05 * max(quality.max() for points in drawn.values() for _, _, quality in points):
            axis.axhline(height, color="black", linestyle=":", linewidth=1.3, label=name)
        else:  # far above all points: said, so that they keep their scale
            axis.text(0.98, 0.97, f"counter: {height:.4f} ↑", transform=axis.transAxes, ha="right", va="top")
        axis.set(xlabel="blocks kept, of 8", ylabel="NDCG@10")
        axis.set_title(title, loc="left")
    legend_below(figure, axes[0], columns=4)
    show(figure, picture)

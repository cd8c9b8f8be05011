"""Figures of lesson 12, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping, Sequence

import numpy as np

from skiprec_course.plots import COLOURS, LINES, MARKERS, legend_below, line_panels, new_figure, show

__all__ = ["line_panels", "quality_against_time"]
Points = tuple[Sequence[str], Sequence[np.ndarray], Sequence, Sequence[float] | None]


def quality_against_time(
    panels: Mapping[str, Mapping[str, Points]], levels: Mapping[str, Mapping[str, float]], picture: str
) -> None:
    """Title -> series -> words, medians and quartiles of time, qualities (or each seed's), errors; levels by name."""
    figure, axes = new_figure(11.2, 4.4, columns=len(panels))
    for axis, (title, drawn) in zip(axes[0], panels.items()):
        for index, (name, (words, times, quality, errors)) in enumerate(drawn.items()):
            colour, (x, low, high) = COLOURS[index], np.array(times).T
            y = [np.mean(seeds) for seeds in quality]
            axis.errorbar(x, y, yerr=errors, xerr=(x - low, high - x), color=colour, marker=MARKERS[index],
                          linestyle=LINES[index], capsize=2, label=name)  # fmt: skip
            for word, right, above, seeds in zip(words, x, y, quality):
                axis.scatter([right] * np.size(seeds), seeds, s=14, alpha=0.4, linewidth=0, color=colour)
                place = ((7, 3), (-10, 6), (5, -12))[index]
                axis.annotate(word, (right, above), place, textcoords="offset points", fontsize=8, color=colour)
        for style, (name, height) in zip(("-.", ":"), levels[title].items()):
            axis.axhline(height, color="black", linestyle=style, linewidth=1.2, label=name)
        axis.set(xlabel="time, relative to all 8 blocks", ylabel="NDCG@10", xlim=(0, 1.1))
        axis.set_title(title, loc="left")
    legend_below(figure, axes[0], columns=3)
    show(figure, picture)

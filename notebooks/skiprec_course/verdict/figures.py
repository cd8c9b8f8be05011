"""Figures of lesson 09, from plain arrays; nothing here knows a model."""

from collections.abc import Mapping

from skiprec_course.plots import COLOURS, MARKERS, gate_maps, new_figure, show

__all__ = ["differences", "gate_maps"]


def differences(
    families: Mapping[str, Mapping[str, tuple[float, float, float]]],
    picture: str,
    *,
    xlabel: str,
    beside: str,
) -> None:
    """Differences as points with 95 % intervals, a row each, in families; a number of each row stands at the right.

    Args:
        families: title -> name of a row -> (mean, standard error, the number beside), from top to bottom.
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of the differences.
        beside: what the numbers at the right are.
    """
    count = sum(len(rows) for rows in families.values()) + len(families)
    figure, axes = new_figure(9.0, 0.9 + 0.27 * count)
    axis, place, names = axes[0, 0], 0, []
    right = {"transform": axis.get_yaxis_transform(), "ha": "right", "va": "center"}
    for index, (title, rows) in enumerate(families.items()):
        names.append((place, title, True))
        for name, (mean, error, number) in rows.items():
            place += 1
            names.append((place, name, False))
            axis.errorbar(mean, place, xerr=1.96 * error, fmt=MARKERS[index], color=COLOURS[index], capsize=3)
            axis.text(1.0, place, f"{number:.1f}", **right)
        place += 1
    axis.text(1.0, -0.1, beside, fontsize=9, color="0.35", **right)
    axis.axvline(0, color="black", linewidth=1)
    axis.set_yticks([at for at, _, _ in names], [name for _, name, _ in names])
    for label, (_, _, is_title) in zip(axis.get_yticklabels(), names):
        label.set_fontweight("bold" if is_title else "normal")
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(place - 0.4, -0.6)
    low, high = axis.get_xlim()
    axis.set_xlim(low, high + 0.16 * (high - low))
    axis.set(xlabel=xlabel)
    show(figure, picture)

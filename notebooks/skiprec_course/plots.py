"""Every figure of the course, from plain arrays; nothing here knows a model."""

import base64
import io
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from IPython.display import display
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch
from matplotlib.ticker import MaxNLocator

# seaborn's palette "colorblind" and the dark grey of its style "ticks", by value: to import seaborn takes 1.5 seconds.
COLOURS: list[Any] = [
    mpl.colors.to_rgb(colour)
    for colour in ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133",
                   "#56b4e9")
]  # fmt: skip
DARK = ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color")
STYLE: dict[Any, Any] = {**dict.fromkeys(DARK, ".15"), "axes.axisbelow": True, "font.size": 10, "axes.titlesize": 11}
KEEP, SKIP = COLOURS[0], (0.93, 0.93, 0.93)
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)), (0, (3, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
Dots = Mapping[str, Mapping[str, tuple[float, float]]]  # name of a row -> name of a series -> (value, standard error)


def show(figure: Figure, picture: str) -> None:
    """Display a figure with its description for those who cannot see it; end a cell with it.

    Args:
        figure: made with this module's functions; not known to pyplot, so nothing is shown twice.
        picture: the figure's name, "ROOM/NAME"; its description stands under NAME in ROOM/descriptions.toml.

    Raises:
        ValueError: if there is no description under this name.
    """
    alt = description(picture)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight", metadata={"Software": None})
    png = base64.b64encode(buffer.getvalue()).decode()
    # A raw bundle with text keeps the description in the file whatever JupyterLab does with the metadata.
    bundle = {"image/png": png, "text/plain": f"Figure: {alt}"}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})


def description(picture: str) -> str:
    """What is to be seen in a figure, in one line; kept out of the cell, where it would give the figure away.

    Raises:
        ValueError: if there is none under this name.
    """
    room, _, name = picture.partition("/")
    path = Path(__file__).parent / room / "descriptions.toml"
    known = tomllib.loads(path.read_text(encoding="utf-8")) if room and path.is_file() else {}
    if name not in known:
        raise ValueError(
            f"no figure is described as {picture!r}; {room or 'that room'} has: {', '.join(known) or 'none'}"
        )
    return " ".join(known[name].split())


def new_figure(
    width: float, height: float, columns: int = 1, rows: int = 1, **options: Any
) -> tuple[Figure, np.ndarray]:
    """Make a figure in inches, and its axes as an array of shape (rows, columns), in the course's one style."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def gate_maps(maps: Mapping[str, tuple[np.ndarray, Sequence[str]]], picture: str, *, note: str = "") -> None:
    """Heat maps of gates side by side: users down, blocks across; dark = kept, pale and hatched with a dot = skipped.

    Args:
        maps: title -> (gates of shape (user, block) in 0 ... 1, a label for each user).
        picture: the figure's name, "ROOM/NAME".
        note: a line under the figure.
    """
    tallest = max(len(gates) for gates, _ in maps.values())
    figure, axes = new_figure(5.6 * len(maps), 0.9 + 0.3 * tallest, columns=len(maps))
    for axis, (title, (gates, labels)) in zip(axes[0], maps.items()):
        _gate_map(axis, gates, labels)
        axis.set_title(title, loc="left")
    if note:
        figure.supxlabel(note, fontsize=9, x=0.01, ha="left")
    show(figure, picture)


def grouped_bars(
    values: Mapping[str, Sequence[float]], groups: Sequence[str], picture: str, *, ylabel: str, xlabel: str = ""
) -> None:
    """Bars in groups, one colour and one hatch per series, each bar with its value on top.

    Args:
        values: name of a series -> one value per group.
        groups: names of the groups.
        picture: the figure's name, "ROOM/NAME".
        ylabel: name and unit of the values.
        xlabel: name of the groups' axis.
    """
    figure, axes = new_figure(7, 3.4)
    axis, width = axes[0, 0], 0.8 / len(values)
    for index, ((name, heights), hatch) in enumerate(zip(values.items(), ("", "//", "..", "xx"))):
        places = np.arange(len(groups)) + (index - (len(values) - 1) / 2) * width
        bars = axis.bar(places, heights, width * 0.95, label=name, color=COLOURS[index], hatch=hatch, edgecolor="white")
        axis.bar_label(bars, fmt="%.3g", padding=2, fontsize=9)
    axis.set_xticks(range(len(groups)), groups)
    axis.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.5, len(groups) - 0.5))
    axis.legend(frameon=False)
    show(figure, picture)


def means_with_errors(
    rows: Mapping[str, tuple[float, float]], picture: str, *, xlabel: str, reference: str = ""
) -> None:
    """`dot_panels` with one panel and one series: a mean and its standard error for each name."""
    dots = {name: {"": mean_and_error} for name, mean_and_error in rows.items()}
    dot_panels({"": dots}, picture, xlabel=xlabel, reference=reference)


def dot_panels(
    panels: Mapping[str, Dots],
    picture: str,
    *,
    xlabel: str | Sequence[str],
    band: tuple[float, float, str] | None = None,
    reference: str = "",
    line: float | None = None,
    from_zero: bool = False,
) -> None:
    """Dots with bars of two standard errors, a row for each name, a marker for each series; panels side by side.

    Args:
        panels: title -> name of a row -> name of a series -> (value, standard error; 0 draws no bar).
        picture: the figure's name, "ROOM/NAME".
        xlabel: name and unit of the values: one for all panels, which then share their scale, or one each.
        band: (from, to, name) of a grey stripe behind the dots.
        reference: the row that the others are compared with: black, its first value as a dashed line.
        line: where else to draw a dashed line, such as 0 for differences.
        from_zero: let every horizontal axis begin at 0.
    """
    xlabels = [xlabel] * len(panels) if isinstance(xlabel, str) else list(xlabel)
    names = list(dict.fromkeys(name for rows in panels.values() for name in rows))
    series = list(dict.fromkeys(s for rows in panels.values() for values in rows.values() for s in values))
    width = 5.2 * len(panels) if len(panels) > 1 else 8.0
    figure, axes = new_figure(width, 1.3 + 0.36 * len(names), columns=len(panels), sharey=True,
                              sharex=isinstance(xlabel, str))  # fmt: skip
    for axis, (title, rows), label in zip(axes[0], panels.items(), xlabels):
        if band:
            axis.axvspan(band[0], band[1], color="0.85", linewidth=0, zorder=0, label=band[2])
        at = next(iter(rows[reference].values()))[0] if reference else line
        if at is not None:
            axis.axvline(at, color="grey", linestyle="--", linewidth=1)
        for name, values in rows.items():
            for key, (value, error) in values.items():
                index = series.index(key)
                axis.errorbar(
                    value, names.index(name), xerr=2 * error if error else None, fmt=MARKERS[index], capsize=3,
                    color="black" if name == reference else COLOURS[index], markersize=6.5,
                )  # fmt: skip
        axis.grid(axis="y", color="0.92", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.set_title(title, loc="left")
        axis.set_xlabel(label)
        axis.set_ylim(len(names) - 0.6, -0.4)
        if from_zero:
            axis.set_xlim(left=0)
    axes[0, 0].set_yticks(range(len(names)), names)
    looks = [{"color": COLOURS[index], "marker": marker} for index, marker in zip(range(len(series)), MARKERS)]
    handles: list[Artist] = [
        Line2D([], [], linestyle="", markersize=6.5, label=name, **look)
        for name, look in zip(series, looks if len(series) > 1 else ())
    ]
    handles += [Patch(color="0.85", label=band[2])] if band else []
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    show(figure, picture)


def line_panels(
    panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]],
    picture: str,
    *,
    xlabels: Sequence[str],
    ylabels: Sequence[str],
    logarithmic: str = "-",
    levels: Mapping[str, Mapping[str, float]] | None = None,
    ticks: Mapping[str, Sequence[str]] | None = None,
    mark: tuple[float, str] | None = None,
    bottom: float | None = None,
    by_depth: bool = False,
    reference: str = "",
    share_y: bool | str = False,
    legend: str = "",
    columns: int = 3,
) -> None:
    """Lines in panels, one legend below; a name keeps its colour, line style and marker in every panel.

    Args:
        panels: title -> name of a line -> (x, y), or (x, y, lower end, upper end of a band).
        picture: the figure's name, "ROOM/NAME".
        xlabels: name and unit of the horizontal axis, one for each panel.
        ylabels: name and unit of the vertical axis, one for each panel.
        logarithmic: which axes are logarithmic in which panel: "x", "y", "xy" or "-", blanks between panels; one
            word serves all.
        levels: title -> name -> height of a horizontal grey line.
        ticks: title -> names of the places 0, 1, 2, … on the horizontal axis.
        mark: (place, label) of a vertical line.
        bottom: where to cut the vertical axes; their end if None.
        by_depth: the lines are in an order: draw them from pale to dark.
        reference: the line that is drawn black and dashed, over the others.
        share_y: one vertical scale for all panels; "row" for one in each row.
        legend: title of the legend.
        columns: panels in a row, at most.
    """
    scales = logarithmic.split() * (len(panels) if len(logarithmic.split()) == 1 else 1)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colours = _pale_to_dark(len(names)) if by_depth else COLOURS
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width, height = min(11.5, 5.0 * columns) if columns > 1 else 6.4, 3.5 if rows == 1 else 2.55 * rows + 0.5
    figure, axes = new_figure(width, height, columns, rows, sharey=share_y)
    for place, (axis, (title, lines)) in enumerate(zip(axes.flat, panels.items())):
        for name, (x, y, *band) in lines.items():
            index = names.index(name)
            style = {"color": colours[index], "linestyle": LINES[index], "marker": MARKERS[index]}
            if name == reference:
                style = {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 1.8, "zorder": 3}
            axis.plot(x, y, label=name, markersize=4.5, markevery=max(1, len(x) // 8), **style)
            if band:
                axis.fill_between(x, *band, color=style["color"], alpha=0.18, linewidth=0)
        for name, height in (levels or {}).get(title, {}).items():
            axis.axhline(height, color="0.5", linewidth=1, linestyle=(0, (1, 2)), zorder=0)
            label = {"transform": axis.get_yaxis_transform(), "ha": "right", "va": "bottom", "color": "0.35"}
            axis.text(1.0, height, name, fontsize=8.5, **label)
        if mark:
            mark_place(axis, *mark)
        _scale(axis, scales[place])
        if ticks and title in ticks:
            axis.set_xticks(range(len(ticks[title])), ticks[title], fontsize=9)
        axis.set(xlabel=xlabels[place], ylabel=ylabels[place])
        axis.set_title(title, loc="left", pad=16 if mark else 6)
    for axis in axes.flat if bottom is not None else ():  # only now: an axis that is cut no longer follows its lines
        axis.set_ylim(bottom=bottom)
    inches = sum(0.6 + 0.08 * len(name) for name in names)  # of a legend in one line
    wide = (8 if len(names) > 6 else 6) if inches < 1.2 * figure.get_figwidth() else 4
    legend_below(figure, axes.flat, columns=wide if columns > 1 else 2, title=legend)
    show(figure, picture)


def mark_place(axis: Axes, place: float, label: str) -> None:
    """Draw a dotted vertical line with its label above the axes."""
    axis.axvline(place, color="grey", linestyle=":", linewidth=1.2)
    above: dict[str, Any] = {"transform": axis.get_xaxis_transform(), "ha": "center", "va": "bottom", "color": "0.35"}
    axis.text(place, 1.0, label, fontsize=8.5, **above)


def legend_below(figure: Figure, axes: Iterable[Axes], *, columns: int, title: str = "") -> None:
    """Draw one legend under the figure for all that its axes have labelled, each name once."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            found.setdefault(label, handle)
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, frameon=False, title=title)


def save_skiprec_drawing(path: Path | str) -> None:
    """Write the drawing of SkipRec as an SVG whose letters stay letters, the same bytes each time."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "skiprec_lite"}):
        draw_skiprec().savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def draw_skiprec() -> Figure:
    """Draw SkipRec: a user's sequence goes to the policy above and to the gated blocks below, and out come scores."""
    figure, axes = new_figure(10, 3.9)
    axis = axes[0, 0]
    axis.set(xlim=(0, 100), ylim=(0, 40))
    axis.axis("off")
    gates = (1, 0, 1, 1, 0)
    _box(axis, 1, 12, 13, 7, "user's\nsequence", "white")
    _box(axis, 18, 12, 11, 7, "item\nembedding", "white")
    _box(axis, 31, 29, 53, 8, "policy network: reads the sequence once, decides for this user", (1.0, 0.95, 0.8))
    _arrow(axis, (7.5, 19), (31, 33), curve=-0.3)
    _arrow(axis, (14, 15.5), (18, 15.5))
    for index, gate in enumerate(gates):
        left = 34 + 10.4 * index
        _box(axis, left, 12, 7.4, 7, f"block {index + 1}", (*KEEP, 0.35) if gate else SKIP, dashed=not gate)
        _arrow(axis, (left - (5 if index == 0 else 3), 15.5), (left, 15.5), faint=not gate)
        _arrow(axis, (left + 3.7, 29), (left + 3.7, 19), label=str(gate), faint=not gate)
        if not gate:  # the sequence walks around a skipped block
            _arrow(axis, (left - 1.5, 15.5), (left + 8.9, 15.5), curve=1.15)
    _arrow(axis, (83, 15.5), (87, 15.5))
    _box(axis, 87, 12, 12, 7, "scores of\nall items", "white")
    axis.text(34, 3, "gate 1: the block runs", fontsize=10)
    axis.text(55, 3, "gate 0: its input passes by, no time is spent", fontsize=10)
    return figure


def _pale_to_dark(number: int) -> Sequence[tuple[float, float, float]]:
    import seaborn as sns  # here: see COLOURS

    return sns.color_palette("ch:s=2.6,r=.3,l=.78,d=.12", number)


def gates_map(axis: Axes, values: np.ndarray, skipped: np.ndarray) -> mpl.image.AxesImage:
    """Draw gates or probabilities, dark = kept; a dot where most skip carries the message in greyscale too."""
    import seaborn as sns  # here: see COLOURS

    image = axis.imshow(
        values, cmap=sns.light_palette(KEEP, as_cmap=True), vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    row, column = np.nonzero(skipped)
    axis.plot(column, row, ".", color="grey", markersize=2.5)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return image


def _gate_map(axis: Axes, gates: np.ndarray, labels: Sequence[str]) -> None:
    gates_map(axis, gates, gates < 0.5)
    axis.set_xticks(range(gates.shape[1]), [str(block + 1) for block in range(gates.shape[1])])
    axis.set_yticks(range(len(labels)), labels, fontsize=8.5)
    axis.set_xlabel("residual block")
    axis.set_xticks(np.arange(-0.5, gates.shape[1]), minor=True)
    axis.set_yticks(np.arange(-0.5, len(labels)), minor=True)
    axis.grid(which="minor", color="white", linewidth=2)
    axis.tick_params(which="minor", length=0)


def _scale(axis: Axes, which: str) -> None:
    if "x" in which:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
    else:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if "y" in which:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")


def _box(
    axis: Axes, x: float, y: float, width: float, height: float, text: str, colour: object, *, dashed: bool = False
) -> None:
    shape, line = "round,pad=0,rounding_size=1", "--" if dashed else "-"
    axis.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=shape, linestyle=line, facecolor=colour, edgecolor="black")
    )
    axis.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=10)


def _arrow(
    axis: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    curve: float = 0.0,
    label: str = "",
    faint: bool = False,
) -> None:
    style = {"arrowstyle": "->", "connectionstyle": f"arc3,rad={curve}", "color": "grey" if faint else "black"}
    axis.annotate("", xy=end, xytext=start, arrowprops=style)
    if label:
        axis.text(start[0] + 0.6, (start[1] + end[1]) / 2, label, fontsize=11, fontweight="bold", color=style["color"])


def heat_maps(
    panels: Mapping[str, np.ndarray],
    picture: str,
    *,
    xlabel: str,
    ylabel: str,
    columns: Sequence[object],
    rows: Sequence[object] = (),
    limits: tuple[float, float],
    meaning: str,
    form: str = "",
    steps: Sequence[int] = (),
    width: float = 4.6,
    height: float = 4.0,
) -> None:
    """Arrays as colours from dark (low) to bright (high), side by side on one scale, with a bar that says so.

    Args:
        panels: title -> values of shape (row, column).
        picture: the figure's name, "ROOM/NAME".
        xlabel: what runs along the columns.
        ylabel: what runs along the rows.
        columns: a label for each column.
        rows: a label for each row; none if empty.
        limits: the values of the darkest and the brightest colour.
        meaning: name and unit of the values.
        form: how to write each value into its cell, such as "{:.2f}"; nothing is written if empty.
        steps: for each row the column before which a white stair runs.
        width: of one panel in inches.
        height: of the figure in inches.
    """
    figure, axes = new_figure(width * len(panels) + 0.9, height, columns=len(panels), sharey=True)
    for axis, (title, values) in zip(axes[0], panels.items()):
        image = axis.imshow(
            values, cmap="cividis", vmin=limits[0], vmax=limits[1], aspect="auto", interpolation="nearest"
        )
        for (row, column), value in np.ndenumerate(values if form else np.empty((0, 0))):
            colour = "black" if value > sum(limits) / 2 else "white"
            axis.text(column, row, form.format(value), ha="center", va="center", color=colour)
        if len(steps):
            places = np.repeat(np.asarray(steps) - 0.5, 2)
            levels = np.repeat(np.arange(len(steps) + 1) - 0.5, 2)[1:-1]
            for stair_colour, stair_width in (("black", 4.5), ("white", 2.2)):
                axis.plot(places, levels, color=stair_colour, linewidth=stair_width)
        axis.set_xticks(range(len(columns)), [str(name) for name in columns])
        axis.set_yticks(range(len(rows)), [str(name) for name in rows])
        axis.tick_params(length=0)
        axis.set_xlabel(xlabel)
        axis.set_title(title, loc="left")
        axis.spines[:].set_visible(False)
    axes[0, 0].set_ylabel(ylabel)
    figure.colorbar(image, ax=list(axes[0]), label=meaning, extend="neither" if len(rows) else "both")
    show(figure, picture)

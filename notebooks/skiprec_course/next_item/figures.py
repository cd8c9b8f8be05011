"""Figures and tables of lesson 04, from plain arrays, windows and result tables; nothing here knows a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.patches import Patch, Rectangle

from skiprec_course.plots import COLOURS, dot_panels, new_figure, show
from skiprec_lite.datasets import Interactions
from skiprec_lite.windows import Split, Windows


def log_portrait(lengths: np.ndarray, counts: np.ndarray, gaps: np.ndarray, picture: str) -> None:
    """Items of each user, interactions of each item, seconds between an event and the one before."""
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
    names = ["same\nsecond", "1–4 s", "5–59 s", "1–59\nmin", "1–23\nhours", "a day\nor more"]
    shares = np.histogram(gaps, [-0.5, 0.5, 5, 60, 3600, 86400, np.inf])[0] / len(gaps)
    bar = right.bar(range(6), shares, color=[COLOURS[1], *[COLOURS[0]] * 5], hatch=["//", *[""] * 5], edgecolor="white")
    right.bar_label(bar, fmt="{:.0%}", fontsize=9, padding=2)
    right.set(title="How long after the rating before?", ylabel="share of ratings", ylim=(0, 1.15 * shares.max()))
    right.set_xticks(range(6), names, fontsize=8.5)
    show(figure, picture)


def pad_right(sequences: Sequence[Sequence[int]], length: int) -> torch.Tensor:
    """Each sequence's newest items, filled up with 0 on the right: how it should not be done."""
    return torch.tensor([[*s[-length:], *[0] * (length - len(s))] for s in sequences])


def padded(grids: Mapping[str, np.ndarray], picture: str) -> None:
    """Padded histories, a panel for each side; where a prediction is read is framed."""
    users = [f"user {row + 1}" for row in range(len(next(iter(grids.values()))))]
    roles = {side: ((grid > 0).astype(int), users) for side, grid in grids.items()}
    _rows_of_cells(roles, ("padding", "a film"), picture, texts=grids)


def one_history(rules: Mapping[str, Callable[[Interactions], Split]], length: int, picture: str) -> None:
    """One made-up history under each rule: what is only read, trained on, and held out for what."""
    log = pd.DataFrame({"user": 0, "item": range(1, length + 1), "timestamp": range(length)})
    names, kinds = tuple(map(str, log["item"])), np.zeros((len(rules), length), dtype=int)
    for row, rule in zip(kinds, rules.values()):
        split = rule(Interactions(log, ("0",), names, names))
        for number, part in enumerate((split.train, split.validation, split.test), start=1):
            row[part.targets[part.scored()].numpy() - 1] = number
    roles = ("only read", "training target", "validation target", "test target")
    _rows_of_cells({"One history, oldest film first": (kinds, list(rules))}, roles, picture)


def _rows_of_cells(
    panels: Mapping[str, tuple[np.ndarray, Sequence[str]]], roles: Sequence[str], picture: str,
    texts: Mapping[str, np.ndarray] | None = None,
) -> None:  # fmt: skip
    """Rows of cells, the role of each (an index into `roles`) by colour and hatch; with texts, the last one framed."""
    cell, heights = 0.32 if texts else 0.2, [len(kinds) for kinds, _ in panels.values()]
    width = max(kinds.shape[1] for kinds, _ in panels.values())
    total = cell * sum(heights) + 0.4 * len(panels) + 0.45
    figure, axes = new_figure(cell * width + 1.6, total, rows=len(panels), height_ratios=heights)
    looks = zip(("0.93", *COLOURS), ("", "", "///", "..."))
    styles = [{"facecolor": colour, "edgecolor": "white", "hatch": hatch} for colour, hatch in looks]
    framed: dict[str, Any] = {"fill": False, "edgecolor": "black", "linewidth": 2}
    handles = [Patch(label="position −1, where a prediction is read", **framed)] if texts else []
    handles[:0] = [Patch(label=name, **style) for name, style in zip(roles, styles)]
    for axis, (title, (kinds, labels)) in zip(axes[:, 0], panels.items()):
        for (row, column), kind in np.ndenumerate(kinds):
            axis.add_patch(Rectangle((column, row), 1, 1, linewidth=0.8, **styles[kind]))
            if texts:
                look: dict[str, Any] = {"ha": "center", "va": "center", "color": "white" if kind else "0.4"}
                axis.text(column + 0.5, row + 0.52, str(texts[title][row, column]), fontsize=9.5, **look)
        if texts:
            axis.add_patch(Rectangle((width - 1, 0), 1, len(kinds), clip_on=False, **framed))
        axis.set(xlim=(0, width), ylim=(len(kinds), 0), aspect="equal", xticks=[])
        axis.set_yticks(np.arange(len(kinds)) + 0.5, labels)
        axis.set_title(title, loc="left")
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    show(figure, picture)


def windows_table(parts: Mapping[str, Windows]) -> pd.DataFrame:
    """All rows of these windows as text, with what each user has met at the last position."""
    rows = {}
    for part, windows in parts.items():
        for number in range(len(windows)):
            row = windows.rows(slice(number, number + 1))
            past = row.past()[-1]
            cells = (row.items[0], row.targets[0], row.cut, row.seen[0], past[past > 0])
            rows[f"{part}, row {number}"] = [" ".join(map(str, items.tolist())) for items in cells]
    return pd.DataFrame(rows, index=["items", "targets", "cut", "seen", "past at −1"]).T


def networks_by_depth(users: pd.DataFrame) -> list[str]:
    """The models of models_users.csv that have seeds, few blocks first, then full depth, then the SkipRecs."""
    names = users["run"].str.extract("(.*), seed")[0].dropna().unique()
    return sorted(names, key=lambda name: (name.startswith("SkipRec"), name == "full depth", name))


def of_seeds(users: pd.DataFrame, model: str, measure: str) -> torch.Tensor:
    """What each user has under each seed of a model, (seed, user), from a table such as models_users.csv."""
    mine = users["run"].str.fullmatch(rf"{model}(, seed \d+)?") & (users["measure"] == measure)
    return torch.from_numpy(users[mine].iloc[:, 2:].to_numpy(dtype=float, copy=True))


def with_errors(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The mean of each column with its standard error over the rows, the users: a line of text for each table."""
    number = "{:.4f}".format
    return pd.DataFrame({name: of.mean().map(number) + " ± " + of.sem().map(number) for name, of in tables.items()}).T


def two_errors(values: Mapping[str, torch.Tensor]) -> pd.DataFrame:
    """The mean of each (seed, user), with one standard error over users and one over seeds."""
    rows = {}
    for name, of in values.items():  # (seed, user)
        rows[name] = (of.mean(), of.mean(0).std() / of.shape[1] ** 0.5, of.mean(1).std() / of.shape[0] ** 0.5)
    return pd.DataFrame(rows, index=["mean", "± users", "± seeds"], dtype=float).T


def differences(panels: Mapping[str, pd.DataFrame], picture: str) -> None:
    """Tables of `two_errors`, in thousandths, one panel each; bars of two standard errors, users and seeds together."""
    dots: dict[str, dict[str, dict[str, tuple[float, float]]]] = {title: {} for title in panels}
    for title, table in panels.items():
        for name, mean, *errors in table.itertuples():
            kind = "a policy chooses its blocks" if name.startswith("SkipRec") else "runs all its blocks"
            dots[title][name.replace("1 blocks", "1 block")] = {kind: (1000 * mean, 1000 * float(np.hypot(*errors)))}
    dot_panels(dots, picture, xlabel="NDCG@10 minus the counter's, in thousandths\n(bars: two standard errors)", line=0)

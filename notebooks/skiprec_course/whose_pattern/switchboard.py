"""The switchboard of lesson 11: switch one user's blocks on and off by hand, and watch the ranking change."""

import functools
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import torch
from jaxtyping import Float
from torch import Tensor

from skiprec_lite.backbones import in_eval_mode
from skiprec_lite.datasets import Interactions
from skiprec_lite.metrics import rank_of_target
from skiprec_lite.skiprec import SkipRec
from skiprec_lite.windows import Windows, last_position


@dataclass(frozen=True)
class Shown:
    """What the board shows: one user under the gates of the moment.

    Attributes:
        gates: one number a block, 1 = it runs.
        own: the gates that the policy chose for this user.
        keep: the policy's probability to keep each block.
        history: titles that the network has read, oldest first.
        top: titles of the best next items, best first; what the user has had is left out.
        before: the place of each of `top` under the policy's own gates, 1 = first.
        true: title of what came next.
        rank: its place among what the user has not had, 1 = first.
        own_rank: its place under the policy's own gates.
    """

    gates: tuple[int, ...]
    own: tuple[int, ...]
    keep: tuple[float, ...]
    history: tuple[str, ...]
    top: tuple[str, ...]
    before: tuple[int, ...]
    true: str
    rank: int
    own_rank: int

    @property
    def stay(self) -> int:
        """How many of `top` are among the best under the policy's own gates, too."""
        return sum(place <= len(self.top) for place in self.before)


class Switchboard:
    """One user's gates, switched by hand. Plain state; each method returns what is to be shown.

    Args:
        model: a SkipRec.
        cases: a row for each user to choose from: the history up to `cut`, and the true next item right after it.
        films: titles and user ids.
        k: length of the list.
        exclude_seen: leave out what the user has had: not where items come again.

    Raises:
        ValueError: if there is no row, a row has no next item to be scored at `cut`, or k is not in 1 ... num_items.
    """

    def __init__(
        self, model: SkipRec, cases: Windows, films: Interactions, *, k: int = 10, exclude_seen: bool = True
    ) -> None:
        if len(cases) == 0:
            raise ValueError("there is no user to choose from")
        if not (cases.targets.gather(1, cases.cut.unsqueeze(1)) > 0).all():
            raise ValueError("a row has no next item at its cut")
        if not 1 <= k <= films.num_items:
            raise ValueError(f"k must lie in 1 ... {films.num_items}, got {k}")
        self.model, self.cases, self.films, self.k, self.exclude_seen = model, cases, films, k, exclude_seen
        self.dilations: list[Any] = list(model.backbone.sizes["dilations"])  # type: ignore[call-overload]
        self.gates: tuple[int, ...] = ()
        self.set_user(0)

    def labels(self) -> list[str]:
        """Return a name for each user: pattern, the last two films that they watched, and their id."""
        names = []
        read = self.cases.items.masked_fill(torch.arange(self.cases.items.shape[1]) > self.cases.cut[:, None], 0)
        for row, (items, keep) in enumerate(zip(read, self._keep(self.cases))):
            last = [self.films.title(item) for item in items[items > 0][-2:].tolist()]
            user = self.films.user_ids[int(self.cases.users[row])]
            names.append(f"{pattern(keep > 0.5)}  {' · '.join(last)} (user {user})")
        return names

    def set_user(self, row: int) -> Shown:
        """Show another user, under the gates that the policy chose for them.

        Raises:
            ValueError: if there is no such row.
        """
        if not 0 <= row < len(self.cases):
            raise ValueError(f"row must lie in 0 ... {len(self.cases) - 1}, got {row}")
        self.row = row
        self._items = self.cases.items[row : row + 1, : int(self.cases.cut[row]) + 1]
        keep = self._keep(self.cases.rows(slice(row, row + 1)))[0]
        self.keep, self.own = tuple(keep.tolist()), tuple((keep > 0.5).int().tolist())
        return self.reset()

    def toggle(self, block: int) -> Shown:
        """Switch a block, counted from 0, on if it was off, and off if it was on.

        Raises:
            ValueError: if there is no such block.
        """
        if not 0 <= block < len(self.gates):
            raise ValueError(f"block must lie in 0 ... {len(self.gates) - 1}, got {block}")
        self.gates = (*self.gates[:block], 1 - self.gates[block], *self.gates[block + 1 :])
        return self.show()

    def reset(self) -> Shown:
        """Put the policy's own gates back."""
        self.gates = self.own
        return self.show()

    def show(self) -> Shown:
        """Return what is to be seen now."""
        true = self.cases.targets[self.row, self.cases.cut[self.row]].reshape(1)
        both = self._scores([self.gates, self.own])
        rank, own_rank = rank_of_target(both, true.expand(2)).tolist()
        (best, _), place = self._orders(both), _places(both[1])
        history = self._items[self._items > 0].tolist()
        return Shown(
            gates=self.gates,
            own=self.own,
            keep=self.keep,
            history=tuple(map(self.films.title, history)),
            top=tuple(map(self.films.title, best)),
            before=tuple(place[item] for item in best),
            true=self.films.title(int(true)),
            rank=rank,
            own_rank=own_rank,
        )

    def table(self, name: str, *, reveal: bool = False) -> dict[str, Any]:
        """Every pattern's list for the user of the moment, for `page`; what they have watched is not in it.

        Args:
            name: what to call this user, beside the pattern.
            reveal: say what came next, too.
        """
        every = list(product((0, 1), repeat=len(self.own)))
        scores = self._scores(every)
        lists = self._orders(scores)
        items = sorted({item for best in lists for item in best})
        place, known = _places(scores[every.index(self.own)]), {item: index for index, item in enumerate(items)}
        true = int(self.cases.targets[self.row, self.cases.cut[self.row]])
        return {
            "name": name, "own": self.own, "keep": [round(p, 2) for p in self.keep], "dilations": self.dilations,
            "titles": [self.films.title(item) for item in items], "places": [place[item] for item in items],
            "lists": [[known[item] for item in best] for best in lists],
            "next": self.films.title(true) if reveal else "",
        }  # fmt: skip

    @torch.no_grad()
    def _keep(self, cases: Windows) -> Float[Tensor, "users blocks"]:
        """The policy's probability to keep each block."""
        with in_eval_mode(self.model):
            return self.model.gate_logits(cases.items, cases.cut).softmax(dim=-1)[..., 0]

    @torch.no_grad()
    def _scores(self, gates: Sequence[Sequence[int]]) -> Float[Tensor, "rows columns"]:
        """Scores of all items, a row for each row of gates; -inf for what the user has had."""
        items = self._items.expand(len(gates), -1)
        with in_eval_mode(self.model):
            scores = self.model.score_at(items, last_position(items), gates=torch.tensor(gates).float()).clone()
        if self.exclude_seen:
            scores[:, self._items[0]] = -torch.inf
            if self.cases.seen:
                scores[:, torch.from_numpy(self.cases.seen[self.row])] = -torch.inf
        return scores

    def _orders(self, scores: Tensor) -> list[list[int]]:
        return scores.topk(self.k).indices.tolist()


class Panel(widgets.VBox):
    """The board as buttons, for a running notebook. Each callback is a method: `on_user`, `on_block`, `on_own`."""

    def __init__(self, board: Switchboard) -> None:
        self.board = board
        self.user = widgets.Dropdown(
            options=list(zip(board.labels(), range(len(board.cases)))),
            value=board.row,
            description="user",
            layout={"width": "98%"},
        )
        self.blocks = [widgets.ToggleButton(layout={"width": "13em"}) for _ in board.gates]
        self.own = widgets.Button(
            description="policy's own gates", icon="undo", layout={"width": "auto", "align_self": "flex-start"}
        )
        self.verdict, self.history, self.ranking = (widgets.HTML() for _ in range(3))
        self._draw(board.show())
        self.user.observe(self.on_user, names="value")
        for block, button in enumerate(self.blocks):
            button.observe(functools.partial(self.on_block, block), names="value")
        self.own.on_click(self.on_own)
        rows = {"flex_flow": "row wrap", "width": "98%"}
        lists = [self.history, self.ranking]
        super().__init__([
            self.user, widgets.Box(self.blocks, layout=rows), self.own, self.verdict,
            widgets.Box(lists, layout=rows | {"justify_content": "flex-start"}),
        ])  # fmt: skip

    def __repr__(self) -> str:
        """Say what stands here where no kernel runs."""
        return f"Switchboard: {len(self.board.cases)} users, {len(self.blocks)} blocks (run the notebook to use it)"

    def on_user(self, change: dict[str, Any]) -> None:
        """Show another user."""
        self._draw(self.board.set_user(change["new"]))

    def on_block(self, block: int, change: dict[str, Any]) -> None:
        """Switch a block, unless the board stands so already: then the button has only followed it."""
        if int(change["new"]) != self.board.gates[block]:
            self._draw(self.board.toggle(block))

    def on_own(self, _: object = None) -> None:
        """Put the policy's own gates back."""
        self._draw(self.board.reset())

    def _draw(self, shown: Shown) -> None:
        for block, (button, gate, own) in enumerate(zip(self.blocks, shown.gates, shown.own)):
            button.value = bool(gate)
            is_now = ("runs" if gate else "skipped") + (" by hand" if gate != own else "")
            button.description = f"{block + 1} {is_now} (d {self.board.dilations[block]}, π {shown.keep[block]:.2f})"
            button.button_style = "warning" if gate != own else "info" if gate else ""
        self.verdict.value = _verdict(shown)
        self.history.value = _listed("Watched last", shown.history[-10:])
        names = [title + moved(place, old) for place, (title, old) in enumerate(zip(shown.top, shown.before), 1)]
        bold = [title == shown.true for title in shown.top]
        self.ranking.value = _listed(f"Top {len(names)} of what they have not watched", names, bold, ordered=True)


def page(tables: Sequence[dict[str, Any]]) -> str:
    """The board as HTML and script, for a page without a kernel: `Switchboard.table` of each user to choose from."""
    first = tables[0]
    own = int("".join(map(str, first["own"])), 2)
    best = "".join(f"<li>{html.escape(first['titles'][index])}</li>" for index in first["lists"][own])
    said = f"<p>{html.escape(first['name'])}, {pattern(first['own'])}, the policy's own gates:</p><ol>{best}</ol>"
    template = Path(__file__).with_name("switchboard.html").read_text(encoding="utf-8")
    data = json.dumps(tables, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace("FIRST", said).replace("TABLES", data)


def _places(scores: Float[Tensor, " columns"]) -> dict[int, int]:
    """Place of each item, 1 = first."""
    order = scores.sort(descending=True, stable=True).indices.tolist()
    return {item: place for place, item in enumerate(order, 1)}


def pattern(gates: Sequence[int] | Tensor) -> str:
    """A row of gates as text: ■ runs, · is skipped."""
    return "".join("■" if gate else "·" for gate in gates)


def moved(place: int, before: int) -> str:
    """Which way a film moved, in words that need no colour."""
    return "" if place == before else f" {'▲' if place < before else '▼'} was {before}"


def _verdict(shown: Shown) -> str:
    by_hand = [str(block + 1) for block, (now, own) in enumerate(zip(shown.gates, shown.own)) if now != own]
    switched = f"switched by hand: {', '.join(by_hand)}" if by_hand else "the policy's own gates"
    place = f"rank {shown.rank}" + (f" (rank {shown.own_rank} under the policy's own gates)" if by_hand else "")
    lines = (
        f"{sum(shown.gates)} of {len(shown.gates)} blocks run: {switched}.",
        f"Watched next: <b>{html.escape(shown.true)}</b>, {place}.",
        f"{shown.stay} of the top {len(shown.top)} are the same as under the policy's own gates.",
    )
    return f"<div style='line-height: 1.5'>{'<br>'.join(lines)}</div>"


def _listed(title: str, names: Sequence[str], bold: Sequence[bool] = (), *, ordered: bool = False) -> str:
    strong = bold or [False] * len(names)
    lines = [f"<b>{html.escape(name)}</b>" if mark else html.escape(name) for name, mark in zip(names, strong)]
    kind = "ol" if ordered else "ul"
    body = "".join(f"<li>{line}</li>" for line in lines)
    return f"<div style='min-width: 24em; line-height: 1.5'><b>{html.escape(title)}</b><{kind}>{body}</{kind}></div>"

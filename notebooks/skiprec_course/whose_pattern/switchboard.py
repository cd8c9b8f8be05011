"""The switchboard of lesson 11: switch one user's blocks on and off by hand, and watch the ranking change."""

import functools
import html
from collections.abc import Sequence
from dataclasses import dataclass
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
        history: titles that the network has read, oldest first.
        top: titles of the best next items, best first; what the user has had is left out.
        kept: for each of `top`, whether it is among the best under the policy's own gates too.
        true: title of what came next.
        rank: its place among what the user has not had, 1 = first.
        own_rank: its place under the policy's own gates.
    """

    gates: tuple[int, ...]
    own: tuple[int, ...]
    history: tuple[str, ...]
    top: tuple[str, ...]
    kept: tuple[bool, ...]
    true: str
    rank: int
    own_rank: int


class Switchboard:
    """One user's gates, switched by hand. Plain state; each method returns what is to be shown.

    Args:
        model: a SkipRec.
        cases: a row for each user to choose from: the history up to `cut`, and the true next item right after it.
        films: titles and user ids.
        k: length of the list.

    Raises:
        ValueError: if there is no row, a row has no next item to be scored at `cut`, or k is not in 1 ... num_items.
    """

    def __init__(self, model: SkipRec, cases: Windows, films: Interactions, *, k: int = 10) -> None:
        if len(cases) == 0:
            raise ValueError("there is no user to choose from")
        if not (cases.targets.gather(1, cases.cut.unsqueeze(1)) > 0).all():
            raise ValueError("a row has no next item at its cut")
        if not 1 <= k <= films.num_items:
            raise ValueError(f"k must lie in 1 ... {films.num_items}, got {k}")
        self.model = model
        self.cases = cases
        self.films = films
        self.k = k
        self.own: tuple[int, ...] = ()
        self.gates: tuple[int, ...] = ()
        self.set_user(0)

    def labels(self) -> list[str]:
        """Return a name for each user: the last two films that they watched, and their id."""
        names = []
        for row in range(len(self.cases)):
            last = [self.films.title(item) for item in self._history(row)[-2:]]
            names.append(f"{' · '.join(last)} (user {self.films.user_ids[int(self.cases.users[row])]})")
        return names

    def set_user(self, row: int) -> Shown:
        """Choose a user; the gates become the policy's own.

        Raises:
            ValueError: if there is no such row.
        """
        if not 0 <= row < len(self.cases):
            raise ValueError(f"row must lie in 0 ... {len(self.cases) - 1}, got {row}")
        self.row = row
        self._items = self.cases.items[row : row + 1, : int(self.cases.cut[row]) + 1]
        with torch.no_grad(), in_eval_mode(self.model):
            self.own = tuple(int(gate) for gate in self.model.gates(self._items, sample=False)[0])
        return self.reset()

    def toggle(self, block: int) -> Shown:
        """Switch a block, counted from 0, on if it was off, and off if it was on.

        Raises:
            ValueError: if there is no such block.
        """
        if not 0 <= block < len(self.gates):
            raise ValueError(f"block must lie in 0 ... {len(self.gates) - 1}, got {block}")
        self.gates = _flipped(self.gates, block)
        return self.show()

    def reset(self) -> Shown:
        """Put the policy's own gates back."""
        self.gates = self.own
        return self.show()

    def show(self) -> Shown:
        """Return what is to be seen now."""
        return self._under(self.gates)

    def flips(self) -> tuple[Shown, ...]:
        """Return what would be seen with the policy's own gates but for one, a block at a time; changes nothing."""
        return tuple(self._under(_flipped(self.own, block)) for block in range(len(self.own)))

    def _under(self, gates: Sequence[int]) -> Shown:
        true = self.cases.targets[self.row, self.cases.cut[self.row]]
        ranked = {name: self._scores(row) for name, row in (("now", gates), ("own", self.own))}
        best = {name: scores.topk(self.k).indices.tolist() for name, scores in ranked.items()}
        rank = {name: int(rank_of_target(scores, true)) for name, scores in ranked.items()}
        return Shown(
            gates=tuple(gates),
            own=self.own,
            history=tuple(self.films.title(item) for item in self._history(self.row)),
            top=tuple(self.films.title(item) for item in best["now"]),
            kept=tuple(item in best["own"] for item in best["now"]),
            true=self.films.title(int(true)),
            rank=rank["now"],
            own_rank=rank["own"],
        )

    def _history(self, row: int) -> list[int]:
        read = self.cases.items[row, : int(self.cases.cut[row]) + 1]
        return read[read > 0].tolist()

    @torch.no_grad()
    def _scores(self, gates: Sequence[int]) -> Float[Tensor, " columns"]:
        """Scores of all items, -inf for what the user has had."""
        row = torch.tensor([gates], dtype=torch.float32)
        with in_eval_mode(self.model):
            scores = self.model.score_at(self._items, last_position(self._items), gates=row)[0].clone()
        scores[self._items[0]] = -torch.inf
        if self.cases.seen:
            scores[torch.from_numpy(self.cases.seen[self.row])] = -torch.inf
        return scores


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
        self.blocks = [widgets.ToggleButton(layout={"width": "7.5em"}) for _ in board.gates]
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
            button.description = f"{block + 1}: {'runs' if gate else 'skipped'}"
            button.button_style = "warning" if gate != own else "info" if gate else ""
        self.verdict.value = _verdict(shown)
        self.history.value = _listed("Watched last", shown.history[-10:])
        marks = ["" if kept else " (new)" for kept in shown.kept]
        names = [title + mark for title, mark in zip(shown.top, marks)]
        bold = [title == shown.true for title in shown.top]
        self.ranking.value = _listed(f"Top {len(names)} of what they have not watched", names, bold, ordered=True)


def _flipped(gates: Sequence[int], block: int) -> tuple[int, ...]:
    return (*gates[:block], 1 - gates[block], *gates[block + 1 :])


def _verdict(shown: Shown) -> str:
    by_hand = [str(block + 1) for block, (now, own) in enumerate(zip(shown.gates, shown.own)) if now != own]
    switched = f"switched by hand: {', '.join(by_hand)}" if by_hand else "the policy's own gates"
    place = f"rank {shown.rank}" + (f" (rank {shown.own_rank} under the policy's own gates)" if by_hand else "")
    lines = (
        f"{sum(shown.gates)} of {len(shown.gates)} blocks run: {switched}.",
        f"Watched next: <b>{html.escape(shown.true)}</b>, {place}.",
        f"{sum(shown.kept)} of the top {len(shown.top)} are the same as under the policy's own gates.",
    )
    return f"<div style='line-height: 1.5'>{'<br>'.join(lines)}</div>"


def _listed(title: str, names: Sequence[str], bold: Sequence[bool] = (), *, ordered: bool = False) -> str:
    strong = bold or [False] * len(names)
    lines = [f"<b>{html.escape(name)}</b>" if mark else html.escape(name) for name, mark in zip(names, strong)]
    kind = "ol" if ordered else "ul"
    body = "".join(f"<li>{line}</li>" for line in lines)
    return f"<div style='min-width: 24em; line-height: 1.5'><b>{html.escape(title)}</b><{kind}>{body}</{kind}></div>"

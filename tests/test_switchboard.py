"""The board's plain state, and every callback of its buttons, called directly: widgets swallow exceptions."""

import numpy as np
import pytest
import torch
from helpers import histories_log, randomise

from skiprec_course.whose_pattern.switchboard import Panel, Shown, Switchboard, moved, page, pattern
from skiprec_lite import evaluation, splits
from skiprec_lite.backbones import NextItNet
from skiprec_lite.policy import PolicyNetwork
from skiprec_lite.skiprec import SkipRec, recommend
from skiprec_lite.windows import Windows

ITEMS, BLOCKS = 30, 3
LENGTHS = (6, 9, 20, 14)  # the third is longer than the window of 8 and its two test items


@pytest.fixture
def films() -> splits.Interactions:
    rng = np.random.default_rng(0)
    return histories_log([(rng.permutation(ITEMS)[:n] + 1).tolist() for n in LENGTHS], ITEMS)


@pytest.fixture
def board(films: splits.Interactions) -> Switchboard:
    backbone = NextItNet(ITEMS, channels=8, dilations=(1, 2, 4), dropout=0.5)
    policy = PolicyNetwork(ITEMS, BLOCKS, channels=4)
    model = SkipRec(randomise(backbone), randomise(policy, seed=1))
    cases = splits.last_n(films, n=2, length=8).test
    with torch.no_grad():  # half of the users above 0, half below: each block is kept by some
        policy.output.bias -= model.eval().gate_logits(cases.items, cases.cut).median(dim=0).values.flatten() + 1e-4
    return Switchboard(model, cases, films, k=5)


@pytest.fixture
def panel(board: Switchboard) -> Panel:
    return Panel(board)


def test_it_starts_with_the_policy_s_own_gates(board: Switchboard) -> None:
    gates = evaluation.gates_of(board.model.eval(), board.cases)
    assert len(gates.unique(dim=0)) > 1  # the users differ
    for row, expected in enumerate(gates.int().tolist()):
        shown = board.set_user(row)
        assert shown.gates == shown.own == tuple(expected)
        assert shown.rank == shown.own_rank
        assert shown.before == (1, 2, 3, 4, 5)


def test_rank_and_list_are_those_of_the_package_under_any_gates(board: Switchboard) -> None:
    first = slice(0, None, 2)  # the first of each user's two scored positions
    for block in range(BLOCKS):
        gates = evaluation.gates_of(board.model.eval(), board.cases)
        gates[:, block] = 1 - gates[:, block]
        ranks = evaluation.rank_cases(board.model, board.cases, exclude_seen=True, gates=gates)[first]
        for row in range(len(LENGTHS)):
            board.set_user(row)
            assert board.toggle(block).rank == int(ranks[row])


def test_the_list_is_what_recommend_gives(board: Switchboard, films: splits.Interactions) -> None:
    histories = [s[:-2] for s in splits.user_sequences(films)]
    items, _ = recommend(board.model, histories, 5, length=8)
    for row, expected in enumerate(items.tolist()):
        shown = board.set_user(row)
        assert shown.top == tuple(films.title(i) for i in expected)
        assert shown.history == tuple(films.title(i) for i in histories[row][-8:].tolist())
        assert shown.true == films.title(int(splits.user_sequences(films)[row][-2]))


def test_toggling_twice_and_reset_bring_back_what_was_there(board: Switchboard) -> None:
    start = board.set_user(2)
    changed = board.toggle(1)
    assert changed.gates != start.gates
    assert changed.own == start.own
    assert (changed.top, changed.rank) != (start.top, start.rank)
    assert changed.own_rank == start.rank
    assert board.toggle(1) == start
    board.toggle(0)
    board.toggle(2)
    assert board.reset() == start


def test_before_says_each_film_s_place_under_the_policy_s_own_gates(board: Switchboard) -> None:
    for row in range(len(LENGTHS)):
        own = board.set_user(row)
        unseen = ITEMS - (LENGTHS[row] - 2)
        everything = Switchboard(board.model, board.cases, board.films, k=unseen).set_user(row).top
        for block in range(BLOCKS):
            shown = board.toggle(block)
            assert shown.before == tuple(everything.index(title) + 1 for title in shown.top)
            assert shown.stay == len(set(shown.top) & set(own.top))
            board.reset()


def test_which_way_a_film_moved_is_said_in_words() -> None:
    assert (moved(2, 2), moved(1, 4), moved(3, 1)) == ("", " ▲ was 4", " ▼ was 1")


def test_a_model_in_training_mode_is_asked_in_eval_mode_and_left_as_it_was(board: Switchboard) -> None:
    expected = board.set_user(0)
    board.model.train()
    assert board.set_user(0) == expected
    assert board.model.training


def test_users_are_labelled_by_their_last_films(board: Switchboard, films: splits.Interactions) -> None:
    last = [films.title(int(i)) for i in splits.user_sequences(films)[3][-4:-2]]
    assert board.labels()[3] == f"{pattern(board.set_user(3).own)}  {last[0]} · {last[1]} (user u3)"


@pytest.mark.parametrize(("method", "value"), [("set_user", -1), ("set_user", 4), ("toggle", -1), ("toggle", BLOCKS)])
def test_what_does_not_exist_is_an_error(board: Switchboard, method: str, value: int) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        getattr(board, method)(value)


def test_a_board_needs_users_with_a_next_item_and_a_list(board: Switchboard, films: splits.Interactions) -> None:
    for cases, k in ((board.cases.rows(slice(0, 0)), 5), (board.cases, 0), (board.cases, ITEMS + 1)):
        with pytest.raises(ValueError):
            Switchboard(board.model, cases, films, k=k)
    training = splits.last_n(films, n=2, length=8).train
    empty = Windows(training.items, torch.zeros_like(training.targets), training.cut, training.users)
    with pytest.raises(ValueError, match="no next item"):
        Switchboard(board.model, empty, films)


# --- the buttons: every callback is called by hand ---


def buttons(panel: Panel) -> tuple[int, ...]:
    return tuple(int(button.value) for button in panel.blocks)


def test_the_panel_shows_the_board(panel: Panel) -> None:
    shown = panel.board.show()
    assert buttons(panel) == shown.gates
    assert shown.true in panel.verdict.value
    assert f"rank {shown.rank}" in panel.verdict.value
    assert shown.history[-1] in panel.history.value
    assert len(panel.user.options) == len(LENGTHS)
    word = "runs" if shown.gates[1] else "skipped"
    assert panel.blocks[1].description == f"2 {word} (d 2, π {shown.keep[1]:.2f})"


def test_on_block_switches_a_block_and_draws(panel: Panel) -> None:
    before = panel.ranking.value
    start = panel.board.gates
    panel.on_block(1, {"new": not start[1]})
    assert panel.board.gates == buttons(panel) == (start[0], 1 - start[1], start[2])
    assert panel.ranking.value != before
    assert "switched by hand: 2" in panel.verdict.value
    assert panel.blocks[1].button_style == "warning"
    assert "by hand" in panel.blocks[1].description


def test_on_block_that_only_follows_the_board_does_nothing(panel: Panel) -> None:
    start = panel.board.gates
    panel.on_block(1, {"new": bool(start[1])})
    assert panel.board.gates == start


def test_on_own_puts_the_policy_s_gates_back(panel: Panel) -> None:
    before = panel.ranking.value, panel.verdict.value
    panel.on_block(0, {"new": not panel.board.gates[0]})
    panel.on_own(panel.own)
    assert buttons(panel) == panel.board.gates == panel.board.own
    assert (panel.ranking.value, panel.verdict.value) == before


def test_on_user_shows_another_user_under_their_own_gates(panel: Panel) -> None:
    panel.on_block(0, {"new": not panel.board.gates[0]})
    panel.on_user({"new": 2})
    assert panel.board.row == 2
    assert buttons(panel) == panel.board.own
    assert panel.board.show().history[-1] in panel.history.value


def test_the_buttons_are_wired_to_the_callbacks(panel: Panel) -> None:
    start = panel.board.gates
    panel.blocks[2].value = not panel.blocks[2].value
    assert panel.board.gates == (*start[:2], 1 - start[2])
    panel.own.click()
    assert panel.board.gates == start
    panel.user.value = 3
    assert panel.board.row == 3


@pytest.mark.parametrize("callback", [("on_user", {"new": 99}), ("on_block", 7, {"new": True})])
def test_an_error_in_a_callback_is_not_swallowed(panel: Panel, callback: tuple) -> None:
    name, *arguments = callback
    with pytest.raises((ValueError, IndexError)):
        getattr(panel, name)(*arguments)


def test_titles_are_text_not_markup(panel: Panel) -> None:
    shown = panel.board.show()
    strange = "<script>&"
    panel._draw(Shown(shown.gates, shown.own, shown.keep, (strange,), (strange,), (1,), strange, 1, 1))
    for part in (panel.history, panel.ranking, panel.verdict):
        assert "<script>" not in part.value
        assert "&lt;script&gt;&amp;" in part.value


def test_without_a_kernel_a_line_says_what_stands_here(panel: Panel) -> None:
    assert panel._repr_mimebundle_()["text/plain"] == "Switchboard: 4 users, 3 blocks (run the notebook to use it)"


# --- the page without a kernel ---


def test_a_table_holds_every_pattern_s_list_and_no_history(board: Switchboard) -> None:
    own = board.set_user(1)
    table = board.table("somebody")
    assert len(table["lists"]) == 2**BLOCKS
    for number in range(2**BLOCKS):
        gates = tuple(int(bit) for bit in f"{number:0{BLOCKS}b}")
        board.reset()
        for block in range(BLOCKS):
            if gates[block] != own.own[block]:
                board.toggle(block)
        shown = board.show()
        assert shown.gates == gates
        assert tuple(table["titles"][index] for index in table["lists"][number]) == shown.top
        assert tuple(table["places"][index] for index in table["lists"][number]) == shown.before
    assert table["own"] == own.own
    assert not set(own.history) & set(table["titles"])
    assert (table["next"], board.table("somebody", reveal=True)["next"]) == ("", own.true)


def test_the_page_says_the_first_list_without_a_script_and_titles_are_no_markup(board: Switchboard) -> None:
    table = board.table("</script><b>")
    said = page([table])
    assert said.count("</script>") == said.count("<script>") == 1
    before_the_script = said.split("<script>")[0]
    assert all(f"<li>{title}</li>" in before_the_script for title in board.set_user(0).top)
    assert "&lt;/script&gt;" in before_the_script


def test_where_items_come_again_they_stay_in_the_list(board: Switchboard) -> None:
    everything = Switchboard(board.model, board.cases, board.films, k=ITEMS, exclude_seen=False).show()
    assert set(everything.history) <= set(everything.top)

"""The bug hunt: right answers pass and only they, the symptoms are there, and a repair takes each away."""

import contextlib
import inspect
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_lessons as lessons
import torch

from skiprec_course import plots
from skiprec_course.assignments import bug_hunt
from skiprec_course.checks import Outcome

FOLDER = Path(__file__).resolve().parent.parent / "notebooks" / "assignments"
NOTEBOOK = FOLDER / "bug_hunt.ipynb"
SOURCE = Path(bug_hunt.__file__).read_text(encoding="utf-8")
NUMBERS = range(1, 7)

# number -> (line, cause) of every right answer
ANSWERS = {
    1: {(26, "G"), (27, "G")},
    2: {(14, "K"), (14, "E"), (20, "E")},
    3: {(20, "E"), (21, "E")},
    4: {(20, "C")},
    5: {(6, "I"), (7, "I")},
    6: {(7, "A"), (22, "A")},
}
MAIN_LINES = {1: {26, 27}, 2: {14}, 3: {20, 21}, 4: {20}, 5: {6, 7}, 6: {7, 22}}

# number -> (what to hand in, line, the line repaired); several right ones where there are
REPAIRS = [
    (1, "recommend", 26, '    items = pad_sequence(histories, batch_first=True, padding_side="left")'),
    (1, "recommend", 27, "    scores = torch.stack([s[len(h) - 1, 1:] for s, h in zip(model(items), histories)])"),
    (2, "Policy", 14, "        keep_skip = self.output(hidden)"),
    (2, "Policy", 14, "        keep_skip = F.logsigmoid(self.output(hidden))"),
    (2, "sample_gates", 20, "    noisy = torch.log(logits) - torch.log(-torch.log(uniform))"),
    (3, "walk", 20, "        chances = table[items[-1]].log()"),
    (3, "walk", 21, "        noisy = chances.log() + gumbel(chances.shape, generator)"),
    (4, "ndcg_at_10", 20, "    rank = (scores >= of_target).sum(dim=1)"),
    (4, "ndcg_at_10", 20, "    rank = (1 + (scores > of_target).sum(dim=1) + (scores >= of_target).sum(dim=1)) / 2"),
    (4, "ndcg_at_10", 19, "    scores += torch.rand(100) / 1e6; of_target = scores.gather(1, targets[:, None])"),
    (5, "histories", 7, "    for user, _, item in sorted(rows, key=lambda row: row[:2]):"),
    (6, "network", 22, "    blocks = [Block(channels, dilation=d, dropout=dropout) for d in dilations]"),
]  # fmt: skip
# changes that do not help
NO_REPAIRS = [
    (1, "loss", 20, '    items = pad_sequence(histories, batch_first=True, padding_side="left")'),
    (1, "recommend", 28, "    return scores.topk(k + 1).indices[:, 1:] + 1"),
    (2, "Policy", 13, "        hidden = self.group(groups)"),
    (2, "Policy", 14, "        keep_skip = torch.softmax(self.output(hidden).unflatten(-1, (-1, 2)), -1).flatten(-2)"),
    (2, "sample_gates", 18, "def sample_gates(logits, tau=0.1):"),
    (3, "walk", 21, "        noisy = torch.softmax(chances, dim=1) + gumbel(chances.shape, generator)"),
    (3, "walk", 22, "        items.append((noisy / 0.1).argmax(dim=1))"),
    (4, "ndcg_at_10", 20, "    rank = (scores > of_target).sum(dim=1).clamp_min(1)"),
    (4, "nearest", 13, "    values, indices = similar.topk(max(neighbours, 1), dim=1)"),
    (5, "histories", 7, "    for user, _, item in sorted(rows, reverse=True):"),
    (5, "hit_rate", 20, "def hit_rate(sequences, k=5):"),
    (6, "network", 22, "    blocks = [Block(channels, dropout=dropout, **dict(dilations=d)) for d in dilations]"),
]


@pytest.fixture(scope="module")
def symptoms() -> dict[int, bug_hunt.Symptom]:
    return {number: bug_hunt.symptom(number) for number in NUMBERS}


# --- answers ---


@pytest.mark.parametrize("number", NUMBERS)
def test_right_answers_pass_and_only_they(number: int) -> None:
    right_causes = {cause for _, cause in ANSWERS[number]}
    for line in range(1, len(bug_hunt.program(number).splitlines()) + 1):
        near = min(abs(line - right) for right in MAIN_LINES[number])
        for cause in bug_hunt.CAUSES:
            outcome, message = bug_hunt.judge(number, line, cause)
            assert (outcome is Outcome.PASSED) == ((line, cause) in ANSWERS[number]), (line, cause)
            assert outcome in (Outcome.PASSED, Outcome.FAILED)
            assert len(message) < 420
            if outcome is Outcome.FAILED:
                assert (f"cause {cause} is right" in message) == (cause in right_causes)
                assert ("the cause is another" in message) == (cause not in right_causes)
                assert (f"line {line} is right" in message) == (near == 0)
                assert (f"line {line} is close" in message) == (0 < near <= 2)
                assert (f"line {line} is not where it happens" in message) == (near > 2)
                assert (bug_hunt._WOULD_SHOW[cause] in message) == (cause not in right_causes)


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_not_an_answer_yet_is_no_failure(number: int) -> None:
    assert bug_hunt.judge(number) == (Outcome.NOT_YET, "not yet")
    assert bug_hunt.judge(number, cause="A").outcome is Outcome.NOT_YET
    right, _ = sorted(ANSWERS[number])[0]
    outcome, message = bug_hunt.judge(number, right)
    assert (outcome, "Now the cause" in message) == (Outcome.NOT_YET, True)
    last = len(bug_hunt.program(number).splitlines())
    assert f"lines 1 to {last}" in bug_hunt.judge(number, last + 1, "A").message
    assert f"lines 1 to {last}" in bug_hunt.judge(number, 0, "A").message
    assert "A to L" in bug_hunt.judge(number, 1, "M").message
    assert "A to L" in bug_hunt.judge(number, 1, "padding").message


def test_letters_may_be_small(capsys: pytest.CaptureFixture[str]) -> None:
    bug_hunt.check_bug(1, line=26, cause=" g")
    bug_hunt.check_bug(1, line=26, cause="h")
    bug_hunt.check_bug(1)
    passed, failed, not_yet = capsys.readouterr().out.splitlines()
    assert passed.startswith("✔ bug 1: line 26, cause G. `pad_sequence`")
    assert failed.startswith("✘ bug 1: line 26 is right; the cause is another")
    assert not_yet == "○ bug 1: not yet"


@pytest.mark.parametrize("number", [0, 7])
def test_there_are_six(number: int) -> None:
    for function in (bug_hunt.check_bug, bug_hunt.bug_hint, bug_hunt.show_program, bug_hunt.symptom):
        with pytest.raises(ValueError, match="programs 1 to 6"):
            function(number)


@pytest.mark.parametrize("number", NUMBERS)
def test_hints_are_two_and_name_no_answer(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    bug_hunt.bug_hint(number, 1)
    bug_hunt.bug_hint(number, 2)
    assert [line[:11] for line in capsys.readouterr().out.splitlines()] == ["Hint 1 of 2", "Hint 2 of 2"]
    with pytest.raises(ValueError, match="hints 1 to 2, not 3"):
        bug_hunt.bug_hint(number, 3)


# --- nothing is given away, and nothing is told that the teachers' page does not say ---


@pytest.mark.parametrize("number", NUMBERS)
def test_the_source_holds_no_answer_in_clear(number: int) -> None:
    told = bug_hunt.judge(number, *sorted(ANSWERS[number])[0]).message.split(". ", 1)[1]
    sentences = [s for s in re.split(r"(?<=\.) ", told) if len(s) > 20]
    assert sentences
    for text in (SOURCE, NOTEBOOK.read_text(encoding="utf-8")):
        assert not [sentence for sentence in sentences if sentence in text]
    lines = bug_hunt.program(number).splitlines()
    assert not [line for line in lines if "#" in line or '"""' in line]
    for other, _, line, repaired in REPAIRS:
        if other == number:
            assert repaired.strip() not in {code.strip() for code in SOURCE.splitlines()}
            assert lines[line - 1] != repaired


@pytest.mark.parametrize("number", NUMBERS)
def test_the_teachers_page_says_what_the_check_says(number: int) -> None:
    page = (FOLDER / "bug_hunt_answers.md").read_text(encoding="utf-8")
    section = re.search(rf"## Bug {number}\n(.*?)\n## ", page, re.DOTALL)
    assert section
    quoted = re.search(r"^> (.*)$", section[1], re.MULTILINE)
    assert quoted
    lines, causes = {line for line, _ in ANSWERS[number]}, {cause for _, cause in ANSWERS[number]}
    for line, cause in ANSWERS[number]:
        assert bug_hunt.judge(number, line, cause).message == f"line {line}, cause {cause}. {quoted[1]}"
    row = re.search(rf"^\| {number} \| (.*?) \| (.*?) \|", page, re.MULTILINE)
    assert row
    assert set(map(int, re.findall(r"\d+", " ".join(row.groups())))) == lines
    assert set(re.findall(r"\b[A-L]\b", row[2])) == causes
    sealed = bug_hunt.sealed(number, MAIN_LINES[number], causes, quoted[1])
    assert sealed["lines"] == bug_hunt._BUGS[number].lines
    assert sealed["causes"] == bug_hunt._BUGS[number].causes
    assert sealed["answers"] <= bug_hunt._BUGS[number].answers


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_shown_is_what_runs(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    bug_hunt.show_program(number)
    shown = capsys.readouterr().out.splitlines()
    text = bug_hunt.program(number)
    assert [line[4:] for line in shown] == text.splitlines()
    assert [int(line[:2]) for line in shown] == list(range(1, len(shown) + 1))
    assert 10 <= len([line for line in text.splitlines() if line]) <= 25
    module = bug_hunt.load(number)
    own = [thing for name, thing in vars(module).items() if f"\ndef {name}(" in text]
    assert own
    for function in own:
        assert inspect.getsource(function) in f"{text}\n"
    bug_hunt.edit(number)  # no notebook here, so it prints
    assert capsys.readouterr().out == f"{text}\n"


# --- symptoms ---


def test_each_symptom_is_there_with_three_seeds(symptoms: dict[int, bug_hunt.Symptom]) -> None:
    one, two, three, four, five, six = (symptoms[number] for number in NUMBERS)
    assert (one.correct - one.program)[:, :-1].min() > 0.5
    assert np.abs(one.correct - one.program)[:, -1].max() < 0.05
    assert np.abs(two.program - 0.5).max() < 0.3
    assert np.abs(two.correct - 0.5).min() > 0.48
    assert (two.correct > 0.5).tolist() == [bug_hunt.needed_blocks(seed).astype(bool).tolist() for seed in range(3)]
    assert (three.correct - three.program)[:, 0].min() > 0.25
    assert (four.program - four.correct)[:, 0].tolist() == [1, 1, 1]
    assert (four.program - four.correct)[:, 1].min() > 0.2
    assert (five.program - five.correct)[:, -1].min() > 0.15
    assert (six.correct - six.program)[:, 2:].min() > 0.5
    for symptom in symptoms.values():
        assert symptom.program.shape == symptom.correct.shape
        assert len(symptom.program) == 3
        assert not (symptom.program[0] == symptom.program[1]).all()  # a seed counts


def test_measuring_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, again = bug_hunt.symptom(3, [1]), bug_hunt.symptom(3, [1])
    assert torch.equal(torch.rand(2), expected)
    assert (first.program == again.program).all()


# --- repairs ---


def changed(number: int, name: str, line: int, repaired: str) -> Any:
    """A function of the program in which a line is another, defined like a reader's, outside of the package."""
    lines = bug_hunt.program(number).splitlines()
    lines[line - 1] = repaired
    names: dict[str, Any] = {"__name__": "__main__"}
    exec("\n".join(lines), names)
    return names[name]


@pytest.mark.parametrize(("number", "name", "line", "repaired"), REPAIRS)
def test_a_repaired_program_is_without_the_symptom(number: int, name: str, line: int, repaired: str) -> None:
    assert bug_hunt.judge_repair(number, changed(number, name, line, repaired)).outcome is Outcome.PASSED


@pytest.mark.parametrize(("number", "name", "line", "repaired"), NO_REPAIRS)
def test_another_change_is_no_repair(number: int, name: str, line: int, repaired: str) -> None:
    outcome, message = bug_hunt.judge_repair(number, changed(number, name, line, repaired))
    assert (outcome, "not the one of correct code" in message) == (Outcome.FAILED, True)


def test_a_repair_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    def walk(*given: object) -> None:
        raise RuntimeError("no way")

    bug_hunt.check_repair(3)
    bug_hunt.check_repair(3, lambda: 0)
    bug_hunt.check_repair(3, 7)
    bug_hunt.check_repair(3, walk)
    bug_hunt.check_repair(3, bug_hunt.load(3).walk)
    assert capsys.readouterr().out.splitlines() == [
        "○ repair 3: not yet",
        "✘ repair 3: the program has no function or class of the name '<lambda>'.",
        "✘ repair 3: the program has no function or class of the name 7.",
        "⚡ repair 3: it raised RuntimeError: no way",
        "✘ repair 3: measured again, the curve is not the one of correct code.",
    ]


# --- the notebook ---


def test_the_notebook_is_committed_like_a_lesson() -> None:
    for test in (
        lessons.test_is_one_run_from_top_to_bottom,
        lessons.test_metadata_hold_only_what_is_meant,
        lessons.test_outputs_are_clean_and_name_no_machine,
        lessons.test_pictures_are_small_and_described,
        lessons.test_links_and_pictures_in_the_text_exist,
    ):
        test(NOTEBOOK)


def test_the_notebook_says_what_it_said(monkeypatch: pytest.MonkeyPatch, symptoms: dict[int, bug_hunt.Symptom]) -> None:
    """Its cells run here, on the symptoms that are measured already; claims and checks print the same."""
    monkeypatch.delenv("SKIPREC_SEED", raising=False)
    monkeypatch.setattr(bug_hunt, "symptom", lambda number, seeds: symptoms[number])
    monkeypatch.setattr(plots, "show", lambda figure, alt: None)
    names: dict[str, Any] = {}
    for cell in lessons.cells(NOTEBOOK):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec("".join(cell["source"]), names)
        committed = "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")
        assert printed.getvalue() == committed, cell["id"]
    for number in NUMBERS:
        assert f"○ bug {number}: not yet\n" in str([c["outputs"] for c in lessons.cells(NOTEBOOK)]).replace("\\n", "\n")

"""What a student gains by tricks: the numbers in the teacher's guide, measured on assignment a1.

Everything that a cell does happens in the kernel that grades it, so a determined cheat wins (the last two rows). The
table is there so that teachers know what is caught and what is left to their eyes.
"""

import re
import sys
from pathlib import Path

import assignments
import pytest
import torch

from skiprec_course.checks import Check
from skiprec_lite import estimators

pytestmark = pytest.mark.usefixtures("untyped")
GUIDE = (assignments.ROOT / "README.md").read_text(encoding="utf-8")

# Each trick: its name in the guide's table, and what stands in solution cells in place of an answer.
WRAPPER = """import skiprec_lite.gumbel as ready
def sample_gumbel(shape, **options):
    return ready.sample_gumbel(shape, **options)"""
ALWAYS_EQUAL = """class Anything:
    shape, dtype = (7,), torch.float32
    def __eq__(self, other): return True
    def __getattr__(self, name): return lambda *a, **o: Anything()
def sample_gumbel(shape, **options):
    return Anything()"""
PATCHED_CHECK = """def sample_gumbel(shape, **options):
    return torch.zeros(shape)
type(checks.check_sample_gumbel).require = lambda self, answer, **options: print("✔")"""
PATCHED_REFERENCE = """import skiprec_lite.gumbel
def exact_gradient(logits, loss):
    return logits * 0
import skiprec_lite.estimators
skiprec_lite.estimators.exact_gradient = exact_gradient"""
LEARNT_BY_HEART = """def exact_gradient(logits, loss):
    return known[len(logits)]
known = {}"""
PATCHED_TORCH = """def exact_gradient(logits, loss):
    return logits.detach() * 0
torch.isclose = lambda a, b, **options: torch.ones_like(b, dtype=torch.bool)"""
PATCHED_GRADING = """import sys, types
class Yes(types.ModuleType):
    def __getattr__(self, name): return lambda *a, **o: None
sys.modules["grading"] = sys.modules["hidden_a1"] = Yes("grading")
type(checks.check_sample_gumbel).require = lambda self, answer, **options: print("✔")
def sample_gumbel(shape, **options): return torch.zeros(shape)"""
WRITES_ELSEWHERE = """from pathlib import Path
Path("grading.py").write_text("check = lambda *a, **o: None")
Path("hidden_a1.py").write_text("def __getattr__(name): return lambda *a, **o: None")
def sample_gumbel(shape, **options): return torch.zeros(shape)"""

TRICKS = {
    "the package's function imported": {"sample_gumbel": "from skiprec_lite.gumbel import sample_gumbel"},
    "the package's function wrapped": {"sample_gumbel": WRAPPER},
    "an `__eq__` that is always true": {"sample_gumbel": ALWAYS_EQUAL},
    "a patched check": {"sample_gumbel": PATCHED_CHECK},
    "a patched reference": {"exact_gradient": PATCHED_REFERENCE},
    "answers learnt by heart": {"exact_gradient": LEARNT_BY_HEART},
    "files written beside the notebook": {"sample_gumbel": WRITES_ELSEWHERE},
    "a patched torch": {"exact_gradient": PATCHED_TORCH},
    "patched hidden tests": {"sample_gumbel": PATCHED_GRADING},
}


ALWAYS = ("the package's function imported", "a patched check", "patched hidden tests")  # the rest with -m classroom


@pytest.mark.parametrize(
    "trick", [pytest.param(trick, marks=() if trick in ALWAYS else pytest.mark.classroom) for trick in TRICKS]
)
def test_a_trick_gains_what_the_guide_says(trick: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "isclose", torch.isclose)  # puts back whatever a trick does to it
    monkeypatch.setattr(Check, "require", Check.require)
    monkeypatch.setattr(estimators, "exact_gradient", estimators.exact_gradient)
    for module in ("grading", "hidden_a1"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    book = assignments.untouched(assignments.source("a1"))
    found = assignments.run(assignments.answered(book, TRICKS[trick]))
    (stated,) = re.findall(rf"^\| {re.escape(trick)} \|.*\| (\d+) of \d+ \|", GUIDE, flags=re.MULTILINE)
    assert sum(found.points.values()) == float(stated), found.messages


@pytest.mark.parametrize(
    ("name", "cell", "module", "arguments"),
    [
        ("a1", "gumbel_max", "gumbel", "*a, **o"),
        pytest.param("a2", "ndcg", "metrics", "ranks, k", marks=pytest.mark.classroom),
        pytest.param("a2", "user_sequences", "splits", "interactions", marks=pytest.mark.classroom),
    ],
)
def test_what_an_answer_imports_while_it_runs_is_blocked_too(name: str, cell: str, module: str, arguments: str) -> None:
    text = f"def {cell}({arguments}):\n    from skiprec_lite.{module} import {cell}\n    return {cell}({arguments})"
    book = assignments.source(name)
    found = assignments.run(assignments.answered(book, {cell: text}))
    most = assignments.most_points(book)
    assert {test for test in most if not found.points[test]} == {t for t in most if re.match(rf"test_{cell}(_\d)?$", t)}

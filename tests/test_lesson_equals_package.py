"""What a reader builds in a lesson and what the package holds are the same: values, gradients, dtypes, random stream.

A cell tagged `builds:module.name` defines that part. The tagged cells of a lesson run in a namespace that holds only
the lesson's imports; the check of the exercise, made strict, compares. What is no exercise has the package's body, line
by line (tests/test_house.py).
"""

import ast
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from mutants import unhooked

with unhooked():
    from skiprec_course.checks import CHECKS, Outcome

pytestmark = pytest.mark.usefixtures("unhooked")
NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


# --- reading a lesson ---


class Cell(NamedTuple):
    """A code cell as plain Python, and its tags."""

    source: str
    tags: tuple[str, ...]

    @property
    def builds(self) -> list[str]:
        return [tag.removeprefix("builds:") for tag in self.tags if tag.startswith("builds:")]


def code_cells(path: Path) -> list[Cell]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    plain = TransformerManager().transform_cell
    return [
        Cell(plain("".join(cell["source"])), tuple(cell["metadata"].get("tags", ())))
        for cell in cells
        if cell["cell_type"] == "code"
    ]


def imports_of(cells: list[Cell]) -> str:
    nodes = [node for cell in cells for node in ast.parse(cell.source).body]
    return "\n".join(ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def names_defined_in(source: str) -> set[str]:
    return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def built_in(path: Path) -> Iterator[tuple[str, Any]]:
    """Each tag of the lesson and what its cell defines."""
    cells = code_cells(path)
    namespace: dict[str, Any] = {"__name__": path.stem}
    exec(imports_of(cells), namespace)
    for cell in cells:
        if cell.builds:
            exec(compile(cell.source, f"<{path.stem}: {cell.builds}>", "exec"), namespace)
        for part in cell.builds:
            name = part.split(".")[-1]
            assert name in names_defined_in(cell.source), f"a cell tagged builds:{part} does not define {name}"
            yield part, namespace[name]


def in_package(part: str) -> Any:
    module, name = part.rsplit(".", 1)
    return getattr(importlib.import_module(f"skiprec_lite.{module}"), name)


def compare(part: str, lesson: Any, *, strict: bool = True) -> None:
    assert CHECKS[part].verdict(lesson, strict=strict) == (Outcome.PASSED, "")


# --- the lessons ---


def public_parts(module: str) -> set[str]:
    """Public functions and classes that a module defines itself."""
    found = vars(importlib.import_module(f"skiprec_lite.{module}")).items()
    kinds = (inspect.isfunction, inspect.isclass)
    home = re.compile(rf"skiprec_lite\.{module}(\.\w+)?")  # a folder's face hands on what its files define
    own = [n for n, f in found if any(kind(f) for kind in kinds) and home.fullmatch(f.__module__)]
    return {f"{module}.{name}" for name in own if name[0] != "_"}


# What a lesson takes from the package although its module is built by the reader: containers of data, checks of the
# input, tables of choices.
GIVEN = {
    "windows.Windows", "windows.Split", "metrics.Estimate", "synthetic.KnownDepth",
    "backbones.NextItemModel", "backbones.Encoder", "blocks.Dropout",
    "backbones.in_eval_mode", "backbones.check_device", "backbones.chosen_device", "backbones.device_of",
    "backbones.on_device", "backbones.asked_device", "backbones.item_embedding", "backbones.check_items",
    "evaluation.gates_of", "evaluation.batches",
    "splits.fewer_users", "backbones.ResidualNFM", "gate_losses.reinmax_gates", "gate_losses.reinmax_loss",
    "windows.last_position", "skiprec.check_cut", "skiprec.check_fit", "gumbel.check_logits",
}  # fmt: skip
# The lesson that finishes each module.
BUILT_BY = {
    "01": ("gumbel",), "03": ("estimators",), "04": ("windows", "splits", "metrics", "evaluation"), "06": ("blocks",),
    "07": ("backbones", "synthetic"), "08": ("policy", "skiprec"), "09": ("controls",),
    "10": ("gate_losses", "enumeration"), "12": ("skipping",), "13": ("policy_gradient",),
}  # fmt: skip
# What is built later than the rest of its module.
LATER = {"backbones.AttentionBlock": "13", "backbones.SASRec": "13"}


def built_by(lesson: str) -> set[str]:
    """The parts that this lesson has to bring."""
    whole = {part for module in BUILT_BY.get(lesson, ()) for part in public_parts(module)}
    return whole - GIVEN - LATER.keys() | {part for part, later in LATER.items() if later == lesson}


BUILDING = [path for path in LESSONS if any(cell.builds for cell in code_cells(path))]


@pytest.mark.parametrize("path", BUILDING, ids=lambda p: p.stem)
def test_what_a_lesson_builds_is_what_the_package_holds(path: Path) -> None:
    for part, lesson in built_in(path):
        if part in CHECKS:  # `fit` in lesson 06 has fewer arguments, and does what the package's does by default
            compare(part, lesson, strict=f"{path.stem}: {part}" != "06_nextitnet: training.fit")


@pytest.mark.parametrize("lesson", sorted({*BUILT_BY, *LATER.values()}))
def test_every_part_that_the_reader_builds_is_built(lesson: str) -> None:
    """By the end of the lesson that finishes a module, or of a later one that is named."""
    if not any(path.stem.startswith(lesson) for path in LESSONS):
        pytest.skip(f"lesson {lesson} is not here yet")
    built = {part for path in LESSONS for cell in code_cells(path) for part in cell.builds}
    assert built_by(lesson) - built == set()


def test_every_check_and_every_given_part_belongs_to_a_part_of_the_package() -> None:
    assert all(callable(in_package(part)) for part in {*CHECKS, *GIVEN, *LATER})
    assert {part.split(".")[0] for part in {*GIVEN, *LATER}} <= {module for by in BUILT_BY.values() for module in by}
    built = {part for path in LESSONS for cell in code_cells(path) for part in cell.builds}
    assert set(CHECKS) <= built, "an exercise without a cell"


# --- the machinery, on made-up lessons ---


def write_lesson(path: Path, *cells: str | tuple[str, str]) -> Path:
    """Write a notebook of these code cells; a pair is (tag, source)."""
    book = [
        {"cell_type": "code", "source": source.splitlines(keepends=True), "metadata": {"tags": [tag]} if tag else {}}
        for tag, source in [("", cell) if isinstance(cell, str) else cell for cell in cells]
    ]
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": ["# Why?"], "metadata": {}}, *book]}))
    return path


NOISE = """
def sample_gumbel(shape, *, generator=None, dtype=torch.float32):
    u = torch.rand(tuple(shape), generator=generator, dtype=dtype)
    return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)))
"""
SAMPLE = """
def gumbel_softmax(logits, tau=10.0, *, hard=False, generator=None):
    perturbed = logits + sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype)
    largest = perturbed.detach().amax(dim=-1, keepdim=True)
    soft = torch.softmax((perturbed - largest) / tau, dim=-1)
    if not hard:
        return soft
    one_hot = torch.nn.functional.one_hot(perturbed.argmax(dim=-1), logits.shape[-1]).to(soft.dtype)
    return one_hot - soft.detach() + soft
"""
REINFORCE = """
def reinforce(logits, loss, samples, *, baseline=False, generator=None):
    gates = draw_gates(logits, samples, generator=generator)
    advantage = loss(gates)
    if baseline:
        advantage = advantage - loss(draw_gates(logits, samples, generator=generator))
    return (advantage[:, None] * (gates - torch.sigmoid(logits))).detach()
"""


def test_a_faithful_lesson_passes(tmp_path: Path) -> None:
    soft_only = SAMPLE.replace("*, hard=False, ", "*, ").split("    if not hard")[0] + "    return soft\n"
    path = write_lesson(
        tmp_path / "01_made_up.ipynb",
        "%matplotlib inline\nimport torch\n1 / 0  # only the tagged cells run",
        ("builds:gumbel.sample_gumbel", NOISE),
        ("builds:gumbel.gumbel_softmax", soft_only),
        ("builds:gumbel.gumbel_softmax", SAMPLE),
        "from skiprec_lite.estimators import draw_gates",
        ("builds:estimators.reinforce", REINFORCE),
    )  # fmt: skip
    found = list(built_in(path))
    assert [part.split(".")[1] for part, _ in found] == ["sample_gumbel", *["gumbel_softmax"] * 2, "reinforce"]
    for part, lesson in found:
        compare(part, lesson)


@pytest.mark.parametrize(
    ("cell", "right", "wrong"),
    [
        (NOISE, "return -torch.log(-torch", "return torch.log(-torch"),
        (NOISE, "generator=generator, ", ""),
        (NOISE, "dtype=dtype)", ").to(dtype)"),
        (NOISE, "dtype=torch.float32", "dtype=torch.float64"),
        (NOISE, "return -torch.log(-torch.log(u.", "return -torch.log(-torch.log(1 - u."),
        (SAMPLE, "tau=10.0", "tau=1.0"),
        (SAMPLE, "hard=False", "hard=True"),
        (SAMPLE, "*, hard", "hard"),
        (SAMPLE, "/ tau", "/ 10"),
        (SAMPLE, "/ tau", "/ (tau * (1 + 1e-9))"),
        (SAMPLE, "soft.detach() + soft", "soft + soft.detach()"),
        (SAMPLE, "one_hot - soft.detach() + soft", "one_hot + soft - soft.detach()"),
        (SAMPLE, "one_hot - soft.detach() + soft", "one_hot"),
        (SAMPLE, "perturbed.argmax", "logits.argmax"),
        (REINFORCE, "gates - torch", "torch"),
        (REINFORCE, ".detach()", ".requires_grad_()"),
        (REINFORCE, "loss(draw_gates(logits, samples, generator=generator))", "loss(gates).mean()"),
    ],
)
def test_a_lesson_with_an_error_fails(tmp_path: Path, cell: str, right: str, wrong: str) -> None:
    name = cell.split("(")[0].removeprefix("\ndef ")
    part = f"{'estimators' if cell == REINFORCE else 'gumbel'}.{name}"
    assert cell.count(right) >= 1
    imports = ("from skiprec_lite.gumbel import sample_gumbel", "from skiprec_lite.estimators import draw_gates")
    path = write_lesson(
        tmp_path / "01_made_up.ipynb", "import torch", *imports, (f"builds:{part}", cell.replace(right, wrong))
    )
    ((found, lesson),) = built_in(path)
    assert found == part
    with pytest.raises(AssertionError):
        compare(part, lesson)


def test_a_tag_without_a_definition_is_an_error(tmp_path: Path) -> None:
    imported = "import torch\nfrom skiprec_lite.gumbel import gumbel_max"
    path = write_lesson(tmp_path / "01_made_up.ipynb", ("builds:gumbel.gumbel_max", imported))
    with pytest.raises(AssertionError, match="does not define"):
        list(built_in(path))


def test_a_cell_that_needs_more_than_the_lesson_s_imports_is_an_error(tmp_path: Path) -> None:
    cells = ("factor = 2", ("builds:gumbel.gumbel_max", "limit = 3 * factor\ndef gumbel_max(logits): ..."))
    with pytest.raises(NameError):
        list(built_in(write_lesson(tmp_path / "01_made_up.ipynb", *cells)))

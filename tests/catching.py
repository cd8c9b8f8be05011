"""Runs the cases of test files in this process while a deliberate error is in force, and says which one notices.

A small part of pytest: parametrised functions with at most the fixtures `monkeypatch` and `tmp_path`, no marks for
expected failures, nothing that reads MovieLens.
"""

import contextlib
import functools
import inspect
import itertools
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from mutants import Mutant, in_force, source_of

HERE = Path(__file__).resolve().parent
FIXTURES = ("monkeypatch", "tmp_path")
EVERYTHING_THAT_A_TEST_RAISES = (Exception, pytest.fail.Exception)


class Case(NamedTuple):
    """A test function with one choice of its parameters."""

    function: str
    number: int
    arguments: dict[str, Any]
    run: Callable[..., None]

    @property
    def name(self) -> str:
        return f"{self.function}[{self.number}]"


def cases_of(names: dict[str, Any]) -> Iterator[Case]:
    """The cases that pytest would collect, but for those that cannot be run here."""
    for function, run in [(n, f) for n, f in names.items() if n.startswith("test_") and callable(f)]:
        choices: list[list[tuple[dict[str, Any], tuple]]] = []
        for mark in getattr(run, "pytestmark", []):
            if mark.name == "parametrize":
                arguments, values = mark.args
                split = [a.strip() for a in arguments.split(",")] if isinstance(arguments, str) else arguments
                sets = [v if hasattr(v, "marks") else pytest.param(*(v if len(split) > 1 else [v])) for v in values]
                choices.append([(dict(zip(split, s.values, strict=True)), tuple(s.marks)) for s in sets])
        for number, chosen in enumerate(itertools.product(*choices)):
            case = Case(function, number, {k: v for given, _ in chosen for k, v in given.items()}, run)
            missing = set(inspect.signature(run).parameters) - set(case.arguments) - set(FIXTURES)
            expected_to_fail = any(mark.name == "xfail" for _, marks in chosen for mark in marks)
            if not (missing or expected_to_fail or "movielens" in function):
                yield case


def run(case: Case) -> None:
    arguments, wanted = dict(case.arguments), inspect.signature(case.run).parameters
    with contextlib.ExitStack() as around:
        around.enter_context(torch.random.fork_rng(devices=[]))
        around.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        if "monkeypatch" in wanted:
            arguments["monkeypatch"] = around.enter_context(pytest.MonkeyPatch.context())
        if "tmp_path" in wanted:
            arguments["tmp_path"] = Path(around.enter_context(tempfile.TemporaryDirectory()))
        case.run(**arguments)


def cases_in(file: str) -> dict[str, Case]:
    """The cases of one test file, imported afresh: it sees the error that is in force."""
    module = types.ModuleType(file)
    exec(_compiled(file), module.__dict__)
    return {f"{file}::{case.name}": case for case in cases_of(vars(module))}


@functools.cache
def _compiled(file: str) -> types.CodeType:
    return compile((HERE / f"{file}.py").read_text(encoding="utf-8"), file, "exec")


def quick_first(files: Sequence[str]) -> list[str]:
    """All cases, which have to pass on the source as it is, in the order of the processor time that they take.

    So the long ones are run only for an error that no quicker one notices.
    """
    seconds = {}
    with in_force(None):
        for file in files:
            for name, case in cases_in(file).items():
                start = time.process_time()
                run(case)
                seconds[name] = time.process_time() - start
    return sorted(seconds, key=seconds.__getitem__)


def first_to_fail(mutant: Mutant, order: Sequence[str]) -> str | None:
    """The first case that notices, or None; the module's own tests are asked before the others."""
    own, files = f"test_{mutant.module.split('.')[-1]}", list(dict.fromkeys(name.split("::")[0] for name in order))
    with in_force(mutant):
        for file in sorted(files, key=lambda file: file != own):
            try:
                cases = cases_in(file)
            except EVERYTHING_THAT_A_TEST_RAISES:
                return file  # what the file builds its cases from is refused
            for name in order:
                if name.startswith(f"{file}::"):
                    try:
                        run(cases[name])
                    except EVERYTHING_THAT_A_TEST_RAISES:
                        return name
    return None


def fixture_and_tests(mutants: Sequence[Mutant], files: Sequence[str]) -> tuple[Any, Any, Any]:
    """A fixture, to be named in_order, and two tests, for a test file to hold under names of its own."""

    @pytest.fixture(scope="module")
    def in_order() -> list[str]:
        return quick_first(files)

    def test_the_text_to_replace_occurs_exactly_once() -> None:
        for mutant in mutants:
            assert source_of(mutant.module).count(mutant.old) == 1, mutant
            assert mutant.new != mutant.old, mutant

    # Every fiftieth on each test run, all with -m "mutants or not mutants": a slow test may have to fail for each.
    tried = [
        pytest.param(mutant, id=name_of(mutant), marks=() if number % 50 == 0 else pytest.mark.mutants)
        for number, mutant in enumerate(mutants)
    ]

    @pytest.mark.parametrize("mutant", tried)
    def test_a_unit_test_catches(mutant: Mutant, in_order: list[str]) -> None:
        caught = first_to_fail(mutant, in_order)
        print(f"{mutant.error}: caught by {caught}")
        assert caught is not None

    return in_order, test_the_text_to_replace_occurs_exactly_once, test_a_unit_test_catches


def name_of(mutant: Mutant) -> str:
    return f"{mutant.module}-{mutant.error}"

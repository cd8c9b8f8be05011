"""Deliberate errors are put into gumbel.py and estimators.py, one at a time: some unit test has to fail for each."""

import contextlib
import importlib
import inspect
import itertools
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from mutants import BLIND, MUTANTS, ONLY_IN_THE_PACKAGE, OWN, REBUILT, Mutant, in_force, source_of

import skiprec_lite

HERE = Path(__file__).resolve().parent
TEST_FILES = tuple(f"test_{module}" for module in REBUILT)
COMPILED = {name: compile((HERE / f"{name}.py").read_text(encoding="utf-8"), name, "exec") for name in TEST_FILES}
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
    """The cases that pytest would collect, but for those marked as expected to fail."""
    for function, run in [(n, f) for n, f in names.items() if n.startswith("test_") and callable(f)]:
        choices: list[list[tuple[dict[str, Any], tuple]]] = []
        for mark in getattr(run, "pytestmark", []):
            if mark.name == "parametrize":
                arguments, values = mark.args
                split = [a.strip() for a in arguments.split(",")] if isinstance(arguments, str) else arguments
                sets = [v if hasattr(v, "marks") else pytest.param(*(v if len(split) > 1 else [v])) for v in values]
                choices.append([(dict(zip(split, s.values, strict=True)), tuple(s.marks)) for s in sets])
        for number, chosen in enumerate(itertools.product(*choices)):
            if not any(mark.name == "xfail" for _, marks in chosen for mark in marks):
                yield Case(function, number, {k: v for given, _ in chosen for k, v in given.items()}, run)


def run(case: Case) -> None:
    """Run one case with the only fixture that these files use."""
    arguments = dict(case.arguments)
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        if "monkeypatch" in inspect.signature(case.run).parameters:
            arguments["monkeypatch"] = patch
        case.run(**arguments)


@contextlib.contextmanager
def cases_under(mutant: Mutant | None) -> Iterator[dict[str, Case]]:
    """The cases of both test files, imported afresh while the error is in force."""
    with in_force(mutant):
        found: dict[str, Case] = {}
        for name in TEST_FILES:
            module = types.ModuleType(name)
            exec(COMPILED[name], module.__dict__)
            found |= {f"{name}::{case.name}": case for case in cases_of(vars(module))}
        yield found


def first_to_fail(mutant: Mutant, order: list[str]) -> str | None:
    with cases_under(mutant) as cases:
        for name in order:
            try:
                run(cases[name])
            except EVERYTHING_THAT_A_TEST_RAISES:
                return name
    return None


@pytest.fixture(scope="module")
def quick_first() -> list[str]:
    """All cases, which pass on the source as it is; in the order of the seconds that they take."""
    seconds = {}
    with cases_under(None) as cases:
        for name, case in cases.items():
            start = time.perf_counter()
            run(case)
            seconds[name] = time.perf_counter() - start
    return sorted(seconds, key=seconds.__getitem__)


def test_the_source_as_it_is_passes_and_no_case_is_forgotten(quick_first: list[str]) -> None:
    """Or a failure under an error would mean nothing."""
    for name in TEST_FILES:
        tests = [line for line in (HERE / f"{name}.py").read_text(encoding="utf-8").splitlines() if "def test_" in line]
        assert len({n.split("[")[0] for n in quick_first if n.startswith(name)}) == len(tests) > 20


def test_there_are_enough_errors_and_no_two_are_the_same() -> None:
    assert len(OWN) >= 15
    assert len(BLIND) >= 14
    assert {m.error for m in MUTANTS} >= ONLY_IN_THE_PACKAGE
    assert len({(m.module, m.error) for m in MUTANTS}) == len(MUTANTS)
    assert len({source_of(m.module).replace(m.old, m.new) for m in OWN}) == len(OWN)
    assert len({source_of(m.module).replace(m.old, m.new) for m in BLIND}) == len(BLIND)


def name_of(mutant: Mutant) -> str:
    return f"{mutant.module}-{mutant.error}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_the_text_to_replace_occurs_exactly_once(mutant: Mutant) -> None:
    assert source_of(mutant.module).count(mutant.old) == 1
    assert mutant.new != mutant.old


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_a_unit_test_catches(mutant: Mutant, quick_first: list[str]) -> None:
    own_tests_first = sorted(quick_first, key=lambda name: not name.startswith(f"test_{mutant.module}::"))
    caught = first_to_fail(mutant, own_tests_first)
    print(f"{mutant.error}: caught by {caught}")
    assert caught is not None


def test_an_error_is_in_force_only_inside() -> None:
    modules = [importlib.import_module(f"skiprec_lite.{name}") for name in REBUILT]

    def state() -> list[object]:
        found = [sys.modules[module.__name__] for module in modules]
        attributes = [getattr(skiprec_lite, name) for name in REBUILT]
        return [*found, *attributes, found[0].sample_gumbel, found[1].gumbel_softmax]

    def fail_inside() -> None:
        with in_force(MUTANTS[0]):
            assert all(now is not then for now, then in zip(state(), before, strict=True))
            raise RuntimeError("inside")

    before, stream = state(), torch.get_rng_state()
    first_to_fail(MUTANTS[0], ["test_gumbel::test_noise_of_an_integer_type_is_refused[0]"])
    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert all(now is then for now, then in zip(state(), before, strict=True))
    assert torch.equal(torch.get_rng_state(), stream)

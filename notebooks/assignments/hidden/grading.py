"""The hidden half of a graded cell: the checks, read afresh from their files, with seeds that no student knows.

Set SKIPREC_GRADING_SEED before grading to a number of your own.
"""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

SEED = int(os.environ.get("SKIPREC_GRADING_SEED", "20261126"))
PACKAGES = ("skiprec_lite", "skiprec_course")


class NotPassed(Exception):
    """The hidden tests found something; shown as one line, and the cell scores nothing."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check(
    part: str,
    answer: Any,
    *,
    seeds: int = 3,
    blocked: tuple[str, ...] = (),
    body: Callable[[Any], None] | None = None,
) -> None:
    """Judge an answer with fresh checks and hidden seeds.

    Args:
        part: module and name in the package, "gumbel.gumbel_max".
        answer: the student's function or class.
        seeds: how many hidden seeds are tried.
        blocked: functions, "module.name", that the answer may not call; the package's own `part` never.
        body: what is tried, in place of the check's own body.

    Raises:
        NotPassed: with the line that the check would have printed.
    """
    module, name = part.split(".")
    with fresh_package() as checks:
        judge = checks.CHECKS[part]
        judge = dataclasses.replace(judge, course=judge.reference, body=body or judge.body)
    # The fresh package is out of reach again: what an answer imports while it runs is the blocked one.
    with blocking(f"skiprec_lite.{module}.{name}", *blocked):
        with_hidden_seeds(judge, answer, seeds)


def with_hidden_seeds(judge: Any, answer: Any, seeds: int) -> None:
    """Judge an answer with a fresh check, once for each of these many hidden seeds.

    Raises:
        NotPassed: with the line that the check would have printed.
    """
    for number in range(seeds):
        verdict = judge.verdict(answer, seed=SEED + number)
        if verdict.outcome != "passed":
            raise NotPassed(f"hidden test {number + 1} of {seeds}: {judge.report(verdict)}")


@contextlib.contextmanager
def fresh_package() -> Iterator[ModuleType]:
    """`skiprec_course.checks` and all below it, imported anew: whatever a student's cell has patched is not in there."""
    patched = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in PACKAGES}
    try:
        yield importlib.import_module("skiprec_course.checks")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
            del sys.modules[name]
        sys.modules.update(patched)


@functools.cache
def fresh(module: str) -> ModuleType:
    """A module of either package as it stands in its file: no other import finds it, so no cell patches it.

    Read once in a notebook, since it takes a quarter of a second.
    """
    with fresh_package():
        return importlib.import_module(module)


@contextlib.contextmanager
def blocking(*names: str) -> Iterator[None]:
    """While this lasts, these functions and classes raise, under whatever name they were imported."""
    swapped: list[tuple[FunctionType, CodeType]] = []
    for name in names:
        function = inspect.unwrap(pkgutil.resolve_name(name))
        if inspect.isclass(function):
            function = inspect.unwrap(function.__init__)
        swapped.append((function, function.__code__))
        function.__code__ = _refusal(name, function)
    try:
        yield
    finally:
        for function, code in swapped:
            function.__code__ = code


def _refusal(name: str, function: FunctionType) -> CodeType:
    """Code that raises, with as many free variables as the function's own (a class's __init__ holds __class__)."""
    free = function.__code__.co_freevars
    inner = f"def refuse(*a, **o):\n  {'; '.join(free) or 'pass'}\n  raise RuntimeError('{name} is not allowed here')"
    source = f"def outer({', '.join(free)}):\n" + "\n".join(f"  {line}" for line in inner.splitlines())
    space: dict[str, Any] = {}
    exec(compile(f"{source}\n  return refuse", str(Path(__file__).name), "exec"), space)
    outer: Callable = space["outer"]
    return outer(*free).__code__

"""Deliberate errors in gumbel.py and estimators.py, and the machinery that puts one of them in force for a while.

No file of the package is touched: the replaced source is run into new module objects that stand in for the real ones.
"""

import contextlib
import functools
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from skiprec_course import mistakes
from skiprec_course.checks import CHECKS

PACKAGE = Path(__file__).resolve().parent.parent / "skiprec_lite"
COURSE = PACKAGE.parent / "notebooks" / "skiprec_course"  # no error is put there, but it holds the package's classes
MUTATED = ("gumbel", "estimators")  # the second imports the first


class Mutant(NamedTuple):
    """One error: in this module the old text, which occurs exactly once, becomes the new one."""

    module: str
    error: str
    old: str
    new: str


HOMES = {
    "windows": "splits", "stages": "training", "choosing": "training", "skipping": "skiprec",
    "lab.random_depth": "controls", "lab.stand_ins": "controls",
}  # fmt: skip


def home_of(module: str) -> str:
    """The module whose file of unit tests a module's tests are in."""
    return HOMES.get(module, module if module.startswith("lab.") else module.split(".")[0])


def rows_of(*modules: str) -> tuple[Mutant, ...]:
    """The mistakes of the lessons' tables that lie in these modules, each once: they are errors like any other."""
    found = {}
    for check in CHECKS.values():
        file = mistakes.source_of(check.reference)
        if file.is_relative_to(PACKAGE):
            module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
            if home_of(module) in modules:
                found |= {(module, m.old, m.new): Mutant(module, m.says, m.old, m.new) for m in check.mistakes}
    return tuple(found.values())


def source_of(module: str) -> str:
    return (PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


@contextlib.contextmanager
def in_force(mutant: Mutant | None) -> Iterator[None]:
    """Import the package anew with the error in it, if there is one.

    All of it, so that each class exists once: a `Windows` is the same to who makes it and to who takes it. What the
    classroom and the tests' own `helpers` have imported is exchanged with it. The type checks that the test session
    hooks into its imports are left out: an error has to be caught by a test.
    """
    with _forgotten("skiprec_lite", "skiprec_course", "helpers"):
        finder = _Finder(mutant)
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)


_UNHOOKED: dict[str, types.ModuleType] = {}


@contextlib.contextmanager
def unhooked() -> Iterator[None]:
    """The package and the classroom without the session's type checks, the same modules each time.

    What a student hands in is not what the annotations promise, and a check calls the package thousands of times.
    """
    with in_force(None):
        sys.modules.update(_UNHOOKED)
        try:
            yield
        finally:
            roots = ("skiprec_lite", "skiprec_course")
            _UNHOOKED.update({name: m for name, m in sys.modules.items() if name.split(".")[0] in roots})


@contextlib.contextmanager
def _forgotten(*roots: str) -> Iterator[None]:
    """As if these had not been imported; at the end what was imported before is back, and nothing else."""

    def loaded() -> dict[str, types.ModuleType]:
        return {name: module for name, module in sys.modules.items() if name.split(".")[0] in roots}

    before = loaded()
    try:
        for name in before:
            del sys.modules[name]
        yield
    finally:
        for name in loaded():
            del sys.modules[name]
        sys.modules.update(before)


class _Finder:
    """Finds the modules of the package before anyone else does."""

    def __init__(self, mutant: Mutant | None) -> None:
        self.mutant = mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, _, module = name.partition(".")
        folder = {"skiprec_lite": PACKAGE, "skiprec_course": COURSE}.get(root)
        if folder is None:
            return None
        file = folder / f"{(module or '__init__').replace('.', '/')}.py"
        if not file.exists():
            return None
        wrong = self.mutant if self.mutant is not None and name == f"skiprec_lite.{self.mutant.module}" else None
        return importlib.util.spec_from_file_location(name, file, loader=_Loader(name, str(file), wrong))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, file: str, mutant: Mutant | None) -> None:
        super().__init__(name, file)
        self.mutant = mutant

    def get_code(self, name: str) -> types.CodeType:
        source = Path(self.path).read_text(encoding="utf-8")
        if self.mutant is None:
            return _compiled(source, self.path)
        return compile(source.replace(self.mutant.old, self.mutant.new), f"<{self.mutant.error}>", "exec")


_compiled = functools.cache(functools.partial(compile, mode="exec"))


# What no row of a table makes.
OTHERS = (
    # --- gumbel ---
    Mutant(
        "gumbel",
        "eps for tiny: the clamp cuts off draws that do occur",
        "torch.finfo(dtype).tiny",
        "torch.finfo(dtype).eps",
    ),
    Mutant(
        "gumbel",
        "normal noise for uniform draws",
        "u = torch.rand(shape, generator=generator, dtype=dtype, device=device)",
        "u = 0.5 + 0.25 * torch.randn(shape, generator=generator, dtype=dtype, device=device).clamp(-1.9, 1.9)",
    ),
    Mutant(
        "gumbel",
        "the generator is not passed on",
        "u = torch.rand(shape, generator=generator,",
        "u = torch.rand(shape, generator=None,",
    ),
    Mutant("gumbel", "NaN is let through", "torch.isnan(logits).any() or ", ""),
    Mutant("gumbel", "+inf is let through", " or (logits == math.inf).any()", ""),
    Mutant(
        "gumbel",
        "a single ruled-out class is refused",
        "(logits == -math.inf).all(dim=-1).any()",
        "(logits == -math.inf).any()",
    ),
    Mutant(
        "gumbel",
        "noise of the default dtype",
        ", dtype=logits.dtype).to(logits.device)\n    perturbed",
        ").to(logits.device)\n    perturbed",
    ),
    Mutant(
        "gumbel",
        "probabilities perturbed in place of logits (pi for log pi)",
        "return (logits + noise)",
        "return (torch.softmax(logits, dim=-1) + noise)",
    ),
    # --- inputs ---
    Mutant("inputs", "integer dtypes are let through", "or not dtype.is_floating_point:", "or dtype.is_complex:"),
    Mutant("inputs", "an infinite temperature is let through", "right and math.isfinite(number)", "right"),
    # --- promises ---
    Mutant("promises", "a temperature of 0 is let through", "above=0", "least=0"),
    # --- estimators ---
    Mutant("estimators", "one gate more is let through", "if len(logits) > 16:", "if len(logits) > 17:"),
    Mutant(
        "estimators",
        "relaxed with the hard step",
        "partial(gumbel_softmax, tau=tau, generator",
        "partial(gumbel_softmax, tau=tau, hard=True, generator",
    ),
    Mutant(
        "estimators",
        "relaxed at 1 / tau",
        "partial(gumbel_softmax, tau=tau, generator",
        "partial(gumbel_softmax, tau=1 / tau, generator",
    ),
    Mutant(
        "estimators",
        "gates kept with probability 1 - pi",
        "return (u < torch.sigmoid(logits))",
        "return (u > torch.sigmoid(logits))",
    ),
    Mutant(
        "estimators", "gates kept with probability one half", "return (u < torch.sigmoid(logits))", "return (u < 0.5)"
    ),
    Mutant(
        "estimators",
        "soft gates",
        "return (u < torch.sigmoid(logits))",
        "return torch.sigmoid((logits + torch.logit(u)))",
    ),
    Mutant(
        "estimators",
        "gates of float32 whatever the logits are",
        "torch.sigmoid(logits)).to(logits.dtype)",
        "torch.sigmoid(logits)).float()",
    ),
    Mutant(
        "estimators",
        "noise shared by the rows",
        "u = torch.rand(samples, len(logits), generator=generator, dtype=logits.dtype)",
        "u = torch.rand(1, len(logits), generator=generator, dtype=logits.dtype).expand(samples, -1)",
    ),
    Mutant(
        "estimators",
        "noise shared by the gates of a row",
        "u = torch.rand(samples, len(logits),",
        "u = torch.rand(samples, 1,",
    ),
    Mutant(
        "estimators",
        "half the gradient",
        "(gradient,) = torch.autograd.grad(loss(draw(pairs)",
        "(gradient,) = torch.autograd.grad(0.5 * loss(draw(pairs)",
    ),
)

MUTANTS = (*rows_of(*MUTATED), *OTHERS)

# What the reader builds has no checks of its input: these are not tried on lessons.
ONLY_IN_THE_PACKAGE = frozenset(
    {
        "integer dtypes are let through",
        "a temperature of 0 is let through",
        "an infinite temperature is let through",
        "NaN is let through",
        "+inf is let through",
        "one gate more is let through",
    }
)

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
        if isinstance(check.mistakes, tuple) and file.is_relative_to(PACKAGE):
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


# Drawn up together with the tests.
OWN = (
    Mutant(
        "gumbel",
        "noise of minima: the outer minus is missing",
        "return -torch.log(-torch.log(u",
        "return torch.log(-torch.log(u",
    ),
    Mutant(
        "gumbel",
        "one log missing: exponential noise",
        "return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)))",
        "return -torch.log(u.clamp_min(torch.finfo(dtype).tiny))",
    ),
    Mutant(
        "gumbel",
        "eps for tiny: the clamp cuts off draws that do occur",
        "torch.finfo(dtype).tiny",
        "torch.finfo(dtype).eps",
    ),
    Mutant(
        "gumbel",
        "an epsilon inside the outer log, as in many notebooks: large noise is capped",
        "return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)))",
        "return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)) + 1e-3)",
    ),
    Mutant(
        "gumbel",
        "the noise is centred",
        "return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)))",
        "return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny))) - 0.5772",
    ),
    Mutant(
        "gumbel",
        "normal noise for uniform draws",
        "u = torch.rand(shape, generator=generator, dtype=dtype, device=device)",
        "u = 0.5 + 0.25 * torch.randn(shape, generator=generator, dtype=dtype, device=device).clamp(-1.9, 1.9)",
    ),
    Mutant(
        "gumbel",
        "drawn in float32, then cast: float64 noise repeats",
        "generator=generator, dtype=dtype, device=device)",
        "generator=generator, device=device).to(dtype)",
    ),
    Mutant(
        "gumbel",
        "the generator is not passed on",
        "u = torch.rand(shape, generator=generator,",
        "u = torch.rand(shape, generator=None,",
    ),
    Mutant("inputs", "integer dtypes are let through", "or not dtype.is_floating_point:", "or dtype.is_complex:"),
    Mutant(
        "gumbel",
        "argmin for argmax",
        "return (logits + noise).argmax(dim=-1)",
        "return (logits + noise).argmin(dim=-1)",
    ),
    Mutant(
        "gumbel",
        "argmax over the wrong axis",
        "return (logits + noise).argmax(dim=-1)",
        "return (logits + noise).argmax(dim=0)",
    ),
    Mutant(
        "gumbel",
        "no noise: the most probable class each time",
        "return (logits + noise).argmax(dim=-1)",
        "return logits.argmax(dim=-1)",
    ),
    Mutant("gumbel", "softmax over the wrong axis", "/ tau, dim=-1)", "/ tau, dim=0)"),
    Mutant("gumbel", "multiplied by tau", "largest) / tau,", "largest) * tau,"),
    Mutant("gumbel", "tau is left out", "largest) / tau,", "largest),"),
    Mutant("gumbel", "another default temperature", "tau: Positive = 10.0", "tau: Positive = 1.0"),
    Mutant(
        "gumbel",
        "the hard sample is cut off from the gradient",
        "return soft + (one_hot - soft).detach()",
        "return one_hot",
    ),
    Mutant(
        "gumbel",
        "hard + soft - soft.detach(): off by an ulp in some rows",
        "return soft + (one_hot - soft).detach()",
        "return one_hot + soft - soft.detach()",
    ),
    Mutant("gumbel", "hard and soft change places", "if not hard:", "if hard:"),
    Mutant("gumbel", "the hard choice ignores the noise", "choice = perturbed.argmax(", "choice = logits.argmax("),
    Mutant(
        "gumbel",
        "a class is chosen only if it has more than half",
        "one_hot = torch.zeros_like(soft).scatter_(-1, choice, 1.0)",
        "one_hot = (soft > 0.5).to(soft.dtype)",
    ),
    Mutant("promises", "a temperature of 0 is let through", "above=0", "least=0"),
    Mutant("inputs", "an infinite temperature is let through", "right and math.isfinite(number)", "right"),
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
        "noise shared by the classes of a row",
        "return (logits + noise).argmax(dim=-1)",
        "return (logits + noise[..., :1]).argmax(dim=-1)",
    ),
    Mutant("gumbel", "noise at half its size", "return (logits + noise)", "return (logits + 0.5 * noise)"),
    Mutant(
        "gumbel",
        "noise of the default dtype",
        "dtype=logits.dtype, device=logits.device)\n    perturbed",
        "device=logits.device)\n    perturbed",
    ),
    Mutant(
        "estimators",
        "keep and skip exchanged in the enumeration",
        "torch.where(choices == 1, keep",
        "torch.where(choices == 0, keep",
    ),
    Mutant(
        "estimators",
        "probabilities of the gates added, not multiplied",
        ".prod(dim=1)  # (choice,)",
        ".sum(dim=1)  # (choice,)",
    ),
    Mutant(
        "estimators",
        "the loss at the mean gates in place of the mean loss",
        "(probability * loss(choices).detach()).sum()",
        "loss(keep.unsqueeze(0)).sum()",
    ),
    Mutant(
        "estimators",
        "a mean over the choices",
        "(probability * loss(choices).detach()).sum()",
        "(probability * loss(choices).detach()).mean()",
    ),
    Mutant(
        "estimators",
        "the logits themselves become a leaf",
        "leaf = logits.detach().clone().requires_grad_()",
        "leaf = logits.requires_grad_()",
    ),
    Mutant("estimators", "one gate more is let through", "if len(logits) > 16:", "if len(logits) > 17:"),
    Mutant(
        "estimators",
        "straight-through without the hard step",
        "partial(gumbel_softmax, tau=tau, hard=True, generator",
        "partial(gumbel_softmax, tau=tau, generator",
    ),
    Mutant(
        "estimators",
        "straight-through at a fixed temperature",
        "partial(gumbel_softmax, tau=tau, hard=True, generator",
        "partial(gumbel_softmax, tau=10.0, hard=True, generator",
    ),
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
        "identity straight-through times pi (1 - pi)",
        "loss(gates + (leaf - leaf.detach()))",
        "loss(gates + torch.sigmoid(leaf) - torch.sigmoid(leaf).detach())",
    ),
    Mutant(
        "estimators",
        "identity straight-through at the means",
        "loss(gates + (leaf - leaf.detach()))",
        "loss(torch.sigmoid(leaf.detach()) + (leaf - leaf.detach()))",
    ),
    Mutant(
        "estimators",
        "a baseline from the sample itself",
        "loss(draw_gates(logits, samples, generator=generator))",
        "loss(1 - gates)",
    ),
    Mutant(
        "estimators",
        "the baseline is the sample's own loss",
        "loss(draw_gates(logits, samples, generator=generator))",
        "loss(gates)",
    ),
    Mutant(
        "estimators",
        "the baseline is added",
        "advantage = advantage - loss(draw_gates",
        "advantage = advantage + loss(draw_gates",
    ),
    Mutant("estimators", "the baseline is always taken off", "    if baseline:", "    if not baseline or baseline:"),
    Mutant(
        "estimators",
        "the baseline's draw ignores the generator",
        "loss(draw_gates(logits, samples, generator=generator))",
        "loss(draw_gates(logits, samples))",
    ),
    Mutant("estimators", "all rows share the mean loss", "advantage.unsqueeze(1) *", "advantage.mean() *"),
    Mutant("estimators", "the score without - pi", "(gates - torch.sigmoid(logits))", "gates"),
    Mutant("estimators", "the score around one half", "(gates - torch.sigmoid(logits))", "(gates - 0.5)"),
    Mutant(
        "estimators",
        "reinforce stays in the graph",
        "(gates - torch.sigmoid(logits))).detach()",
        "(gates - torch.sigmoid(logits)))",
    ),
    Mutant("estimators", "the sign of the flip forgotten", "(2 * gates[:, gate] - 1) * (here", "(here"),
    Mutant(
        "estimators",
        "the sign of the flip turned",
        "(2 * gates[:, gate] - 1) * (here",
        "(1 - 2 * gates[:, gate]) * (here",
    ),
    Mutant("estimators", "all gates are flipped", "flipped[:, gate] = 1 - flipped[:, gate]", "flipped = 1 - flipped"),
    Mutant(
        "estimators",
        "gates are switched on, not flipped",
        "flipped[:, gate] = 1 - flipped[:, gate]",
        "flipped[:, gate] = 1",
    ),
    Mutant(
        "estimators",
        "every gate gets the first one's slope",
        "columns.append(slope[gate] *",
        "columns.append(slope[0] *",
    ),
    Mutant(
        "estimators",
        "a constant factor in place of pi (1 - pi)",
        "slope = torch.sigmoid(logits) * torch.sigmoid(-logits)",
        "slope = torch.full_like(logits, 0.25)",
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
    Mutant("estimators", "the skip column is handed to the loss", "draw(pairs)[..., 0]", "draw(pairs)[..., 1]"),
    Mutant("estimators", "a mean over the rows", "draw(pairs)[..., 0]).sum()", "draw(pairs)[..., 0]).mean()"),
    Mutant("estimators", "skip logit of 1 in place of 0", "torch.zeros_like(leaf)", "torch.ones_like(leaf)"),
    Mutant(
        "estimators",
        "keep and skip change places",
        "torch.stack([leaf, torch.zeros_like(leaf)]",
        "torch.stack([torch.zeros_like(leaf), leaf]",
    ),
    Mutant(
        "estimators",
        "half the gradient",
        "(gradient,) = torch.autograd.grad(loss(draw(pairs)",
        "(gradient,) = torch.autograd.grad(0.5 * loss(draw(pairs)",
    ),
)

# Drawn up blind: from the source alone, by someone who has not read the tests.
BLIND = (
    Mutant(
        "gumbel",
        "noise subtracted in place of added (same law for two classes, wrong for three or more)",
        "return (logits + noise)",
        "return (logits - noise)",
    ),
    Mutant(
        "gumbel",
        "probabilities perturbed in place of logits (pi for log pi)",
        "return (logits + noise)",
        "return (torch.softmax(logits, dim=-1) + noise)",
    ),
    Mutant(
        "gumbel",
        "one noise vector shared by all rows of the batch",
        "return (logits + noise)",
        "return (logits + noise.reshape(-1, noise.shape[-1])[0])",
    ),
    Mutant("gumbel", "clamp removed: u = 0 gives noise -inf", "u.clamp_min(torch.finfo(dtype).tiny)", "u"),
    Mutant(
        "gumbel",
        "logits divided by tau before the noise is added, so tau changes the distribution of the choice",
        "    perturbed = logits + noise\n",
        "    perturbed, tau = logits / tau + noise, 1.0\n",
    ),
    Mutant(
        "gumbel",
        "hard choice from the soft sample, which ties in float32 at large tau",
        "choice = perturbed.argmax(",
        "choice = soft.argmax(",
    ),
    Mutant(
        "gumbel",
        "detach on the wrong term: value right, gradient of the wrong sign",
        "return soft + (one_hot - soft).detach()",
        "return soft.detach() + (one_hot - soft)",
    ),
    Mutant(
        "estimators",
        "skipped gates contribute no 1 - pi in the enumeration",
        "torch.where(choices == 1, keep, 1 - keep)",
        "torch.where(choices == 1, keep, torch.ones_like(keep))",
    ),
    Mutant(
        "estimators",
        "identity straight-through evaluates the loss at z + a, not at the hard gate",
        "loss(gates + (leaf - leaf.detach()))",
        "loss(gates + leaf)",
    ),
    Mutant(
        "estimators",
        "score with the sign turned: pi - z",
        "(gates - torch.sigmoid(logits))",
        "(torch.sigmoid(logits) - gates)",
    ),
    Mutant(
        "estimators",
        "baseline is the batch mean, which includes the sample itself: shrinks the gradient by 1 - 1/samples",
        "advantage = advantage - loss(draw_gates(logits, samples, generator=generator))",
        "advantage = advantage - advantage.mean()",
    ),
    Mutant(
        "estimators",
        "pi in place of pi (1 - pi)",
        "slope = torch.sigmoid(logits) * torch.sigmoid(-logits)",
        "slope = torch.sigmoid(logits)",
    ),
    Mutant(
        "estimators",
        "clone forgotten: earlier gates stay flipped and the sign is read after the flip",
        "flipped = gates.clone()",
        "flipped = gates",
    ),
    Mutant(
        "estimators",
        "pair of logits (a, -a) in place of (a, 0): keeps with probability sigmoid(2a)",
        "torch.stack([leaf, torch.zeros_like(leaf)], dim=-1)",
        "torch.stack([leaf, -leaf], dim=-1)",
    ),
)

MUTANTS = (*OWN, *BLIND)

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

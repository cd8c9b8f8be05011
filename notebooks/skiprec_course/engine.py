"""How a check works: it tries an answer on seeded inputs, compares it with the package's, and says what it found.

A check has four outcomes. *Not yet*: the answer is still a stub. *Passed*. *Failed*: one or two lines say with which
arguments, what was found, what was expected, and the likely cause. *Raised*: the answer stopped with an error. It is a
pure function of the answer and a seed: the reader's random numbers, warnings and arguments stay as they were.

The likely cause is the mistake of the lesson's table that fails with the same first line as the answer does. A body
names a cause itself only where no edit of the course's source makes the mistake: a missing `return`, say.
"""

import contextlib
import copy
import importlib
import inspect
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skiprec_course.comparing import describe, difference, distance
from skiprec_course.mistakes import Mistake, with_mistake

DRAWS = 20_000  # of a random answer; two right ones then differ by .03 (in .distance) once in ten million runs
FAR = 0.03


class Outcome(StrEnum):
    """What a check can come to."""

    NOT_YET = "not yet"
    PASSED = "passed"
    FAILED = "failed"
    RAISED = "raised"


class Verdict(NamedTuple):
    """What a check came to, and one or two lines that say why ("" if it passed)."""

    outcome: Outcome
    message: str = ""


class NotPassed(Exception):
    """A graded answer did not pass; a notebook shows it as one line, and the cell scores nothing."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class _Stopped(Exception):
    """Carries what was found out of the middle of a check; the cause is sought only if no row of the table fits."""

    def __init__(self, outcome: Outcome, found: str = "", cause: Callable[[], str] = str) -> None:
        super().__init__(found)
        self.outcome, self.found, self.cause = outcome, found, cause


class Trial:
    """One run of a check: an answer, the package's version of it, typical mistakes, and a source of random inputs.

    Attributes:
        answer: what the reader wrote.
        reference: the package's version.
        twins: what the lesson's mistakes say, each with the package's version that has the mistake.
        generator: seeded; draw all inputs from it.
        strict: whether dtypes, float precision and the random stream have to be the package's, too.
    """

    def __init__(
        self, answer: Any, reference: Any, twins: tuple[tuple[str, Any], ...], seed: int, *, strict: bool = False
    ) -> None:
        self.answer, self.reference, self.twins = answer, reference, twins
        self.seed, self.strict = seed, strict
        self.generator = torch.Generator().manual_seed(seed)

    # --- random inputs ---

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Tensor:
        """Draw normal numbers; the same in float32 and float64."""
        return (scale * torch.randn(shape, generator=self.generator, dtype=torch.float64)).to(dtype)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Draw whole numbers low ... high, both included, as int64."""
        return torch.randint(low, high + 1, shape, generator=self.generator)

    def histories(self, num_items: int, lengths: list[int], width: int) -> Tensor:
        """Draw padded histories, (len(lengths), width): items 1 ... num_items on the right, zeros on the left."""
        items = self.integers(1, num_items, len(lengths), width)
        for row, length in zip(items, lengths):
            row[: width - length] = 0
        return items

    # --- running the answer ---

    def call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Run the answer (or a method of an object it made) on copies of these arguments.

        An error that it raises, or an argument that it changes, ends the check.
        """
        given, named = copy.deepcopy((arguments, options))
        if self.strict and function is self.answer and not inspect.isclass(function):
            self._same_stream(arguments, options)
        with self.of_the_answer(*arguments, **options):
            found = function(*given, **named)
        for before, after in zip([*arguments, *options.values()], [*given, *named.values()]):
            if (isinstance(before, Tensor | np.ndarray) or is_dataclass(before)) and difference(after, before):
                self.fail("it changes the argument it was given", "work on a copy", *arguments, **options)
        return found

    def _same_stream(self, arguments: tuple, options: dict) -> None:
        """Fail unless answer and package return the same and leave all random numbers at the same place."""
        before, drawn = torch.get_rng_state(), []
        for function in (self.reference, self.answer):
            torch.set_rng_state(before)
            given, named = copy.deepcopy((arguments, options))
            result = function(*given, **named)
            states = [x.get_state() for x in named.values() if isinstance(x, torch.Generator)]
            drawn.append((result, [torch.get_rng_state(), *states]))
        torch.set_rng_state(before)
        (expected, theirs), (found, ours) = drawn
        if problem := difference(found, expected, strict=True):
            self.fail(problem, "", *arguments, **options)
        self.require(all(map(torch.equal, ours, theirs)), "it draws other random numbers than the package")

    @contextlib.contextmanager
    def of_the_answer(self, *arguments: Any, **options: Any) -> Iterator[None]:
        """Whatever is raised in here was raised by the answer, given these arguments."""
        try:
            yield
        except _Stopped:
            raise
        except NotImplementedError as error:
            raise _Stopped(Outcome.NOT_YET) from error
        except (Exception, SystemExit) as error:
            line = (str(error).splitlines() or [""])[0][:160]
            raise _Stopped(
                Outcome.RAISED, f"{given_with(arguments, options)}it raised {type(error).__name__}: {line}"
            ) from error

    # --- judging ---

    def fail(self, found: str, cause: str | Callable[[], str] = "", *arguments: Any, **options: Any) -> None:
        """End the check: what was found (and expected), with which arguments.

        The cause is what is said if no row of the table of mistakes fails with the same line.
        """
        words = cause if callable(cause) else lambda: cause
        raise _Stopped(Outcome.FAILED, f"{given_with(arguments, options)}{_ended(found)}", words)

    def require(self, condition: bool | Tensor | np.bool_, found: str, cause: str = "", *given: Any, **o: Any) -> None:
        """Fail unless the condition holds."""
        if not bool(condition):
            self.fail(found, cause, *given, **o)

    def same(self, *arguments: Any, gradients: bool = False, **options: Any) -> Any:
        """Run answer and package on the same arguments and seed; types, shapes, then values have to agree.

        Args:
            *arguments: of the answer; floating tensors are the leaves whose gradients are compared.
            gradients: compare the gradients of a random weighted sum of the result as well.
            **options: keyword arguments of the answer.

        Returns:
            What the answer returned.
        """
        return self.same_results(lambda f: f, *arguments, gradients=gradients, **options)

    def same_results(self, make: Callable[[Any], Any], *arguments: Any, gradients: bool = False, **options: Any) -> Any:
        """Like `same`, for what `make` gets from the answer: an object's method, a module with copied weights."""
        expected = self._run(make, self.reference, arguments, options, gradients)
        found = self._run(make, self.answer, arguments, options, gradients, guarded=True)
        problem = difference(found[0], expected[0], strict=self.strict)
        if not problem and gradients:
            problem = difference(found[1], expected[1], strict=self.strict)
            problem = problem and f"the gradient: {problem}"
        if problem:
            self.fail(problem, "", *arguments, **options)
        return found[0]

    def _run(
        self, make: Callable, of: Any, arguments: tuple, options: dict, gradients: bool, guarded: bool = False
    ) -> tuple[Any, list[Tensor]]:
        """The result and the gradients at the arguments (and at a module's parameters)."""
        torch.manual_seed(self.seed)
        given = copy.deepcopy(arguments)
        guard = self.of_the_answer(*arguments, **options) if guarded else contextlib.nullcontext()
        with guard:
            function = make(of)
            if not gradients:
                result = self.call(function, *given, **options) if guarded else function(*given, **options)
                return result, []
            leaves = [x.requires_grad_() for x in given if isinstance(x, Tensor) and x.is_floating_point()]
            if isinstance(function, nn.Module):
                leaves += list(function.parameters())
            result = function(*given, **copy.deepcopy(options))
            if type(result) is not Tensor or not result.requires_grad:
                return result, []
            weight = torch.linspace(-1, 2, result.numel(), dtype=result.dtype).view(result.shape)
            kept = torch.where(result.isfinite(), result, 0)  # scores of padding are -inf
            found = torch.autograd.grad((kept * weight).sum(), leaves, allow_unused=True, retain_graph=True)
            return result.detach(), [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves)]

    def alike(self, draw: Callable[[Any], Tensor], what: str, *arguments: Any, **options: Any) -> None:
        """Fail unless draws from answer and package have one distribution (the largest gap of their CDFs is small).

        Args:
            draw: takes the answer (or the package's version, or one with a mistake), returns DRAWS numbers or so.
            what: names what is drawn, in the message.
            *arguments: of the call, for the message.
            **options: of the call, for the message.
        """
        torch.manual_seed(self.seed)
        expected = draw(self.reference)
        torch.manual_seed(self.seed if self.strict else self.seed + 1)
        with self.of_the_answer(*arguments, **options):
            found = draw(self.answer)
        if self.strict and (problem := difference(found, expected, strict=True)):
            self.fail(f"the same random numbers give another draw: {problem}", "", *arguments, **options)
        if problem := difference(found.new_zeros(found.shape), expected.new_zeros(expected.shape)):
            self.fail(problem, "", *arguments, **options)
        if distance(found, expected) > FAR:
            self.fail(
                f"{what} has mean {float(found.double().mean()):.3g} and standard deviation "
                f"{float(found.double().std()):.3g}, expected {float(expected.double().mean()):.3g} and "
                f"{float(expected.double().std()):.3g}",
                lambda: self._drawn_like(found, draw),
                *arguments, **options,
            )  # fmt: skip

    def _drawn_like(self, found: Tensor, draw: Callable[[Any], Tensor]) -> str:
        """The mistake whose draws have the distribution that was found: no two draws give the same line."""
        gaps = [(FAR, "")]
        for says, twin in self.twins:
            with contextlib.suppress(Exception):
                torch.manual_seed(self.seed + 2)
                gaps.append((distance(found, draw(twin)), says))
        return min(gaps)[1]

    def module(self, *arguments: Any, inputs: tuple, dtype: torch.dtype = torch.float64, **sizes: Any) -> nn.Module:
        """Build the answer's module and the package's, give both the same random parameters, compare their outputs.

        Values and gradients, at inputs and parameters, in eval mode. Parameters are matched by name; where the names
        differ, by shape, in order.

        Args:
            *arguments: to build the modules with.
            inputs: to call them with.
            dtype: of parameters and floating inputs.
            **sizes: keyword arguments to build the modules with.

        Returns:
            The answer's module, with the random parameters.
        """
        built = {}

        def make(of: Any) -> nn.Module:
            torch.manual_seed(self.seed)
            built[of] = self.with_random_parameters(of(*arguments, **sizes), self.reference(*arguments, **sizes), dtype)
            return built[of]

        given = [x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
        self.same_results(make, *given, gradients=True)
        return built[self.answer]

    def with_random_parameters(self, module: nn.Module, like: nn.Module, dtype: torch.dtype) -> nn.Module:
        """Give a module random parameters, the same ones for every module that has `like`'s; in eval mode."""
        if not isinstance(module, nn.Module):
            self.fail(f"found {describe(module)}, expected a torch.nn.Module")
        drawn = torch.Generator().manual_seed(self.seed)
        wanted = {name: 0.3 * torch.randn(p.shape, generator=drawn).to(dtype) for name, p in like.named_parameters()}
        mine = dict(module.to(dtype).named_parameters())
        if mine.keys() != wanted.keys():
            for one, other, words in ((mine, wanted, "too many"), (wanted, mine, "missing")):
                here, there = (Counter(tuple(p.shape) for p in some.values()) for some in (one, other))
                shape = min(here - there, default=None)
                names = [name for name, p in one.items() if tuple(p.shape) == shape and name not in other]
                self.require(shape is None, f"a parameter of shape {shape} is {words}, such as {', '.join(names[:3])}")
            left = list(wanted.values())
            wanted = {}
            for name, p in mine.items():
                index = next(i for i, w in enumerate(left) if w.shape == p.shape)
                wanted[name] = left.pop(index)
        with torch.no_grad():
            for name, p in mine.items():
                if p.shape != wanted[name].shape:
                    self.fail(f"the parameter {name} has shape {tuple(p.shape)}, expected {tuple(wanted[name].shape)}")
                p.copy_(wanted[name])
        return module.eval()


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("?") else f"{sentence}."


def given_with(arguments: tuple, options: Mapping[str, Any]) -> str:
    """The arguments of a call, in words, to begin a message with."""
    words = [describe(x) for x in arguments] + [f"{name}={describe(x)}" for name, x in options.items()]
    return f"given {', '.join(words)}: " if words else ""


STANDS_IN = "_stands_in_for_an_answer"


def standing_in(made: Any) -> Any:
    """Mark a function or class as not the reader's own: a check names it instead of judging it."""
    setattr(made, STANDS_IN, True)
    return made


@dataclass(frozen=True)
class Check:
    """A check of one exercise: call it with your function (or class), and it prints what it found.

    Attributes:
        part: module and name in the package, "gumbel.gumbel_max".
        task: what to write, in a sentence or two.
        hints: from a nudge to nearly all; never the solution.
        body: tries an answer; ends the trial early if it fails.
        minutes: what a reader needs, about.
        difficulty: 1 to 5.
        importance: "core", "useful" or "extra".
        mistakes: rows of the lesson's table, the likelier one first where two fail alike.
        course: the course's version, where the package has none under this name.
    """

    part: str
    task: str
    hints: tuple[str, ...]
    body: Callable[[Trial], None]
    minutes: int = 10
    difficulty: int = 2
    importance: str = "core"
    mistakes: tuple[Mistake, ...] = ()
    course: Any = None

    @property
    def name(self) -> str:
        """The name of what the reader writes."""
        return self.course.__name__ if self.course else self.part.split(".")[-1]

    @property
    def reference(self) -> Any:
        """The course's version, as a rule the package's."""
        return self.course or getattr(importlib.import_module(f"skiprec_lite.{self.part.split('.')[0]}"), self.name)

    def verdict(self, answer: Any, *, seed: int = 0, strict: bool = False) -> Verdict:
        """Judge an answer; nothing is printed, nothing outside is changed.

        Args:
            answer: the reader's function or class.
            seed: of all inputs; each seed tries others.
            strict: ask also for the package's signature, dtypes, float precision and random stream: so a lesson's cell
                is compared with the package.
        """
        if answer is None or answer is ...:
            return Verdict(Outcome.NOT_YET)
        if not callable(answer):
            return Verdict(Outcome.FAILED, f"found {describe(answer)}, expected a function or class {self.name}.")
        if inspect.isclass(self.reference) and not inspect.isclass(answer):
            return Verdict(Outcome.FAILED, f"found {describe(answer)}, expected the class {self.name} itself.")
        if strict and (problem := other_signature(answer, self.reference)):
            return Verdict(Outcome.FAILED, problem)
        with from_the_seed(seed):
            stopped = self.tried(answer, seed, strict=strict)
            if not stopped.found:
                return Verdict(stopped.outcome)
            cause = _cause(self, seed, stopped.found) or stopped.cause()
        message = f"{stopped.found}\n{_ended(cause[:1].upper() + cause[1:])}" if cause else stopped.found
        return Verdict(stopped.outcome, message)

    def passes(self, answer: Any, *, seed: int = 0) -> bool:
        """Whether an answer passes: as quick as a right answer's verdict, since no cause is looked for."""
        if not callable(answer) or inspect.isclass(self.reference) > inspect.isclass(answer):
            return False
        with from_the_seed(seed):
            return self.tried(answer, seed).outcome is Outcome.PASSED

    def tried(self, answer: Any, seed: int, *, strict: bool = False) -> _Stopped:
        """Where a trial of the answer ends; one that comes to the end of the body has passed."""
        try:
            self.body(Trial(answer, self.reference, _twins(self), seed, strict=strict))
        except _Stopped as stopped:
            return stopped
        except NotImplementedError:
            return _Stopped(Outcome.NOT_YET)
        except (Exception, SystemExit) as error:  # the answer returned what the check could not work with
            line = (str(error).splitlines() or [""])[0][:160]
            return _Stopped(Outcome.RAISED, f"what it returned led to {type(error).__name__}: {line}")
        return _Stopped(Outcome.PASSED)

    def __call__(self, answer: Any, *, seed: int = 0) -> None:
        """Print one or two lines: what came of it; the course's own version is not judged, but named."""
        print(self._not_yours(answer) or self.report(self.verdict(answer, seed=seed)))

    def _not_yours(self, answer: Any) -> str:
        """The line for what `go_on` has put in the answer's place, as a cell that is run twice meets it; else ""."""
        if answer is None or not (answer is self.reference or getattr(answer, "__dict__", {}).get(STANDS_IN)):
            return ""
        return f"○ {self.name}: this is the course's version, which stands in for yours: run your cell again"

    def report(self, verdict: Verdict, *, hidden: int = 0) -> str:
        """The lines to print for a verdict; hidden is how many more tests a graded cell runs later."""
        if verdict.outcome is Outcome.NOT_YET:
            return f"○ {self.name}: not yet"
        if verdict.outcome is Outcome.PASSED:
            later = f"; {hidden} more {'is' if hidden == 1 else 'are'} hidden" if hidden else ""
            return f"✔ {self.name}: {'all visible checks passed' if hidden else 'passed'}{later}"
        sign = "✘" if verdict.outcome is Outcome.FAILED else "⚡"
        return f"{sign} {self.name}: {verdict.message}"

    def require(self, answer: Any, *, seed: int = 0, hidden: int = 0) -> None:
        """Print if the answer passes; else raise, so that a graded cell scores nothing.

        Raises:
            NotPassed: with the line that the check would have printed.
        """
        if line := self._not_yours(answer):
            raise NotPassed(line)
        verdict = self.verdict(answer, seed=seed)
        if verdict.outcome is not Outcome.PASSED:
            raise NotPassed(self.report(verdict))
        print(self.report(verdict, hidden=hidden))

    def go_on(self, answer: Any, instead: Any = None) -> Any:
        """What later cells go on with: the answer if it passes, until then a version of the course's.

        Args:
            answer: the reader's function or class.
            instead: what the cells after it were written for (default: the package's version).
        """
        if self._not_yours(answer) or self.passes(answer):
            return answer
        return self.reference if instead is None else standing_in(instead)

    def hint(self, number: int = 1) -> None:
        """Print a hint: 1, then 2, and so on.

        Raises:
            ValueError: if there is no hint of this number.
        """
        if number not in range(1, len(self.hints) + 1):
            raise ValueError(f"{self.name} has hints 1 to {len(self.hints)}, not {number}")
        print(f"Hint {number} of {len(self.hints)}: {self.hints[number - 1]}")


_Rows = tuple[tuple[str, Any], ...]  # what a mistake says, and the package's version that has it
_TWINS: dict[tuple[str, Callable], _Rows] = {}
_TOLD: dict[tuple[str, Callable, int], tuple[dict[str, str], list[tuple[str, Any]]]] = {}


def _twins(check: Check) -> _Rows:
    key = check.part, check.body
    if key not in _TWINS:
        _TWINS[key] = tuple((m.says, with_mistake(check.reference, m)) for m in check.mistakes)
    return _TWINS[key]


def _cause(check: Check, seed: int, found: str) -> str:
    """What the first mistake of the table says that ends in this line; each is tried once, and only if it has to be."""
    told, left = _TOLD.setdefault((check.part, check.body, seed), ({}, list(_twins(check))))
    while found not in told and left:
        says, twin = left[0]
        with from_the_seed(seed):
            told.setdefault(check.tried(twin, seed).found, says)
        left.pop(0)
    return told.get(found, "")


MAY_BE_LEFT_OUT = {"dtype", "device", "hard"}  # parameters that a lesson need not have yet


def other_signature(answer: Any, reference: Any) -> str:
    """How the parameters differ, in names, order, kinds and defaults; "" if they do not."""
    ours, theirs = (inspect.signature(f).parameters for f in (answer, reference))
    wanted = [name for name in theirs if name in ours or name not in MAY_BE_LEFT_OUT]
    if list(ours) != wanted:
        return f"found the parameters {', '.join(ours)}, expected {', '.join(wanted)}"
    for name in wanted:
        if (ours[name].kind, ours[name].default) != (theirs[name].kind, theirs[name].default):
            return f"the parameter {name}: found {ours[name]}, expected {theirs[name]}"
    return ""


@contextlib.contextmanager
def from_the_seed(seed: int) -> Iterator[None]:
    """Whatever is drawn from the global random numbers follows from the seed; they, and all else, stay as they were."""
    numbers, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    with (
        torch.random.fork_rng(devices=[]),
        torch.enable_grad(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numbers)  # noqa: NPY002
            random.setstate(of_python)

"""Deliberate errors in what lessons 01 to 03 build: does a claim of a lesson notice? Takes minutes.

    python -m pytest -m mutants -n 0 tests/test_mutants_in_lessons.py

An error is put into the package, and into the lesson's own tagged cell where that holds the same text, so that a claim
of the kind "mine equals the package's" cannot notice it there.
"""

import contextlib
import gc
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import matplotlib as mpl
import pytest
import torch
from mutants import MUTANTS, MUTATED, ONLY_IN_THE_PACKAGE, Mutant, in_force
from test_lesson_equals_package import LESSONS, NOISE, code_cells, write_lesson

import skiprec_lite.claims

BUILDING = [path for path in LESSONS if path.stem[:2] in ("01", "02", "03")]


class ClaimFailedError(AssertionError):
    """A claim that does not hold."""


class Outcome(NamedTuple):
    """How a lesson went: the claims that held, then the sentence that failed or the error that stopped it, if any."""

    held: int
    failed: str | None = None
    stopped: str | None = None


def ignored(*_: Any, **__: Any) -> None:
    """Stand in for what only shows something."""


@contextlib.contextmanager
def off_screen(folder: Path) -> Iterator[None]:
    """As in a kernel that was started in this folder, but nothing is shown and no picture is encoded."""
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
        contextlib.chdir(folder),
    ):
        warnings.simplefilter("ignore")
        patch.setattr("matplotlib.figure.Figure.savefig", ignored)
        patch.setattr("IPython.display.display", ignored)
        mpl.use("agg")
        yield


def mutated_cell(source: str, builds: list[str], mutant: Mutant | None) -> str:
    here = mutant is not None and any(part.startswith(f"{mutant.module}.") for part in builds)
    return source.replace(mutant.old, mutant.new) if mutant is not None and here else source


def play(path: Path, mutant: Mutant | None) -> Outcome:
    """Run a lesson from top to bottom with the error in force, up to the first claim or cell that fails."""
    held = 0

    def claim(sentence: str, condition: Any) -> None:
        nonlocal held
        try:
            real_claim(sentence, condition)
        except AssertionError as error:
            raise ClaimFailedError(sentence) from error
        held += 1

    shell = SimpleNamespace(run_line_magic=ignored, run_cell_magic=ignored)
    names: dict[str, Any] = {"__name__": "__main__", "display": ignored, "get_ipython": lambda: shell}
    with off_screen(path.parent), in_force(mutant):
        claims = importlib.import_module("skiprec_lite.claims")
        real_claim, claims.claim = claims.claim, claim  # type: ignore[attr-defined]
        try:
            for cell in code_cells(path):
                try:
                    exec(mutated_cell(cell.source, cell.builds, mutant), names)
                except ClaimFailedError as error:
                    return Outcome(held, failed=str(error))
                except Exception as error:
                    if "raises-exception" not in cell.tags:
                        return Outcome(held, stopped=f"{type(error).__name__}: {error}")
        finally:
            names.clear()
            gc.collect()  # a lesson's tensors sit in cycles with its functions
    return Outcome(held)


def nearest_first(mutant: Mutant) -> list[Path]:
    """The lessons that use what is wrong, in the order in which they are likely to notice."""
    wrong = MUTATED[MUTATED.index(mutant.module) :]  # and what is built on it

    def distance(path: Path) -> int:
        cells = [c for c in code_cells(path) if any(part.startswith(f"{mutant.module}.") for part in c.builds)]
        return 0 if any(mutant.old in c.source for c in cells) else 1 if cells else 2

    using = [path for path in BUILDING if any(name in cell.source for cell in code_cells(path) for name in wrong)]
    return sorted(using, key=distance)


def try_lessons(mutant: Mutant) -> str:
    """One line on what noticed the error: a claim, else a cell that stopped with an error, else nothing."""
    stopped = []
    for path in nearest_first(mutant):
        outcome = play(path, mutant)
        if outcome.failed is not None:
            return f"caught in {path.stem} by the claim: {outcome.failed}"
        if outcome.stopped is not None:
            stopped.append(f"stopped {path.stem}: {outcome.stopped.splitlines()[0]}")
    return "; ".join(stopped) or "survived"


# --- the lessons ---


@pytest.mark.mutants
@pytest.mark.parametrize("path", BUILDING, ids=lambda p: p.stem)
def test_without_an_error_all_claims_hold(path: Path) -> None:
    outcome = play(path, None)
    assert outcome == Outcome(outcome.held)
    assert outcome.held >= 8


@pytest.mark.mutants
def test_claims_notice_the_errors(capsys: pytest.CaptureFixture[str]) -> None:
    caught = 0
    tried = [mutant for mutant in MUTANTS if mutant.error not in ONLY_IN_THE_PACKAGE]
    for mutant in tried:
        line = try_lessons(mutant)
        caught += line.startswith("caught")
        with capsys.disabled():
            print(f"{mutant.module}: {mutant.error}: {line}", flush=True)
    with capsys.disabled():
        print(f"caught by a claim / tried: {caught} / {len(tried)}")
    assert caught > 0


# --- the machinery, on a made-up lesson ---

CELLS = (
    "%matplotlib inline\nimport torch\nfrom IPython.display import display\nfrom skiprec_lite.claims import claim\n"
    "from skiprec_lite.gumbel import gumbel_max, sample_gumbel as package_noise\nfrom matplotlib.figure import Figure",
    ("builds:gumbel.sample_gumbel", NOISE),
    "draw = lambda f: f((20_000,), generator=torch.Generator().manual_seed(1))\n"
    "claim('mine equals the package', torch.equal(draw(sample_gumbel), draw(package_noise)))",
    "figure = Figure()\nfigure.savefig('picture.png')\ndisplay(figure)\nprint('seen by nobody')",
    "claim('the mean is 0.577', abs(draw(sample_gumbel).mean() - 0.577) < 0.03)",
    "claim('the second class is drawn', (gumbel_max(torch.tensor([[0.0, 50.0]] * 9)) == 1).all())",
)


def named(error: str) -> Mutant:
    return next(m for m in MUTANTS if m.error.startswith(error))


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    return write_lesson(tmp_path / "01_made_up.ipynb", *CELLS)


def test_a_sound_lesson_holds_and_shows_nothing(made_up: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, stream, real, finders = os.getcwd(), torch.get_rng_state(), skiprec_lite.claims.claim, list(sys.meta_path)
    assert play(made_up, None) == Outcome(3)
    assert capsys.readouterr().out == ""
    assert list(made_up.parent.iterdir()) == [made_up]
    assert os.getcwd() == folder
    assert torch.equal(torch.get_rng_state(), stream)
    assert sys.modules["skiprec_lite.claims"] is skiprec_lite.claims
    assert skiprec_lite.claims.claim is real
    assert sys.meta_path == finders


def test_an_error_in_lesson_and_package_is_left_to_a_claim_about_the_world(made_up: Path) -> None:
    assert play(made_up, named("a sign is wrong: this is the noise")) == Outcome(1, failed="the mean is 0.577")


def test_an_error_that_the_lesson_s_cell_does_not_hold_is_put_into_the_package(tmp_path: Path) -> None:
    """So the two differ: that a claim of equality can see."""
    cells = [(c[0], c[1].replace("-torch.log(-", "-1 * torch.log(-")) if isinstance(c, tuple) else c for c in CELLS]
    path = write_lesson(tmp_path / "01_made_up.ipynb", *cells)
    assert play(path, None) == Outcome(3)
    assert play(path, named("a sign is wrong: this is the noise")) == Outcome(0, failed="mine equals the package")
    assert play(path, named("you take the smallest")) == Outcome(2, failed="the second class is drawn")


def test_an_error_that_no_claim_looks_at_survives(made_up: Path) -> None:
    assert play(made_up, named("you multiply by tau")) == Outcome(3)


def test_a_cell_that_stops_is_told_apart_from_a_claim(tmp_path: Path) -> None:
    path = write_lesson(tmp_path / "01_made_up.ipynb", *CELLS[:3], ("raises-exception", "1 / 0"), "[][0]")
    assert play(path, None) == Outcome(1, stopped="IndexError: list index out of range")

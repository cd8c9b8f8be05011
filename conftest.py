"""What the whole test session shares: MovieLens is fetched once, before workers and kernels start."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator

import jaxtyping
import pytest

# Two workers on two cores: more threads would only get in each other's way. OMP_NUM_THREADS=2 pytest overrides it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["SKIPREC_DEVICE"] = "cpu"  # also beside a GPU: that is what tests and claims are about
os.environ.pop("SKIPREC_EXPLORE", None)  # for readers: here a claim that fails is a failure


def pytest_configure(config: pytest.Config) -> None:
    """Fetch the data in a process of its own: the package must not be imported before jaxtyping's hook."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    fetched = subprocess.run(
        [sys.executable, "-m", "skiprec_lite", "data"], capture_output=True, text=True, check=False
    )
    if fetched.returncode:
        warnings.warn(fetched.stderr.strip(), stacklevel=1)


@pytest.fixture(autouse=True)
def _global_stream() -> Iterator[None]:
    """Gates, dropout and orders come from torch's global random numbers: each test begins with the same ones."""
    import torch  # here: the session's own process, which only hands out tests, starts without it

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def untyped() -> Iterator[None]:
    """Shape checks off: what a student hands to the package is not what the annotations promise.

    The import hook goes, too: hidden tests import the package anew, and adding checks to all of it takes seconds.
    """
    finders = sys.meta_path.copy()
    sys.meta_path[:] = [finder for finder in finders if not type(finder).__module__.startswith("jaxtyping")]
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
    sys.meta_path[:] = finders


@pytest.fixture
def unhooked() -> Iterator[None]:
    """The package and the classroom without any hook, as a file has imported them under `mutants.unhooked()`."""
    import mutants

    with mutants.unhooked():
        yield

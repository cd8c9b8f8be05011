"""Get MovieLens, check it, put it in place. It is never committed: its licence forbids to pass it on."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pooch

from skiprec_lite import movielens

PACKAGE = Path(__file__).resolve().parent
GROUPLENS = "https://files.grouplens.org/datasets/movielens"
WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
RATINGS_SHA256 = "d0366dc73dcd6c6620782fc3436fc07a4a003fe17c863aee0829c53db6a8f574"


@dataclass(frozen=True)
class Archive:
    """One of GroupLens' archives, and how to read it."""

    name: str
    sha256: str
    read: Callable[[Path], movielens.Tables]

    @property
    def url(self) -> str:
        """Where GroupLens keeps it."""
        return f"{GROUPLENS}/{self.name}"


ARCHIVES = {
    "100k": Archive(
        "ml-100k.zip", "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229", movielens.read_100k
    ),
    "1m": Archive("ml-1m.zip", "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20", movielens.read_1m),
    "20m": Archive(
        "ml-20m.zip", "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3", movielens.read_20m
    ),
}


def data_folder() -> Path:
    """Where downloads live: $SKIPREC_DATA, else data/ beside an editable install, else pooch's cache."""
    if folder := os.environ.get("SKIPREC_DATA"):
        return Path(folder)
    beside = PACKAGE.parent / "data"
    return beside if (beside / "README.md").exists() else Path(pooch.os_cache("skiprec_lite"))


def fetch(name: str, root: Path | str | None = None) -> movielens.Tables:
    """Read ratings and films of "100k", "1m" or "20m", after fetching them if they are missing from the data folder.

    MovieLens-100K is kept as two small CSV files, the larger ones as the archives that they came in.

    Raises:
        ValueError: for another name, or if what is on disk, or what a source sent, is not that data set.
        ConnectionError: if no source can be reached; the message says what to do.
        OSError: if the folder cannot be written to.
    """
    if name not in ARCHIVES:
        raise ValueError(f"MovieLens comes as {', '.join(map(repr, ARCHIVES))} here, got {name!r}")
    folder = Path(root) if root is not None else data_folder()
    if name == "100k":
        return _fetch_100k(folder / "ml-100k")
    archive = ARCHIVES[name]
    path = folder / archive.name
    if not path.exists():
        with _part(folder) as part:
            try:
                os.replace(_from_grouplens(archive, part), path)
            except (OSError, ValueError) as error:
                raise _no_source(name, path, {"GroupLens": error}) from error
    elif _sha256(path) != archive.sha256:
        raise ValueError(f"{path} is not GroupLens' {archive.name}: delete it and it will be fetched again")
    return archive.read(path)


def put(file: Path | str, root: Path | str | None = None) -> str:
    """Put a file that was fetched by other means where `fetch` looks for it: a classroom needs no network.

    It may be ml-100k.zip, ml-1m.zip or ml-20m.zip of GroupLens, or the recbole wheel, which holds MovieLens-100K; it is
    told by its hash, whatever its name. The name of the data set comes back.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is none of these.
        OSError: if the folder cannot be written to.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"no such file: {file}")
    folder = Path(root) if root is not None else data_folder()
    found = _sha256(file)
    if found == WHEEL_SHA256:
        _put_100k(movielens.read_100k_wheel(file), "the wheel", folder / "ml-100k")
        return "100k"
    for name, archive in ARCHIVES.items():
        if found != archive.sha256:
            continue
        if name == "100k":
            _put_100k(archive.read(file), archive.name, folder / "ml-100k")
        else:
            with _part(folder) as part:
                os.replace(shutil.copyfile(file, part / archive.name), folder / archive.name)
        return name
    names = ", ".join(archive.name for archive in ARCHIVES.values())
    raise ValueError(
        f"{file} is none of {names} as GroupLens has them, nor the wheel {WHEEL} (its SHA-256 is {found[:12]}…); "
        f"data of your own needs no place: pass it with --data"
    )


# --- MovieLens-100K, from either of two sources ---


def _fetch_100k(folder: Path) -> movielens.Tables:
    if not folder.exists():
        with _part(folder.parent) as part:
            tables, source = _first_source(folder, part)
        _put_100k(tables, source, folder)
    try:
        ratings = pd.read_csv(folder / "ratings.csv")
        films = pd.read_csv(folder / "films.csv", keep_default_na=False)
        right = _hash_of_columns(ratings) == RATINGS_SHA256 and list(films.columns) == ["item", "title", "genres"]
    except (OSError, ValueError, KeyError):
        right = False
    if not right:
        raise ValueError(f"{folder} does not hold MovieLens-100K: delete that folder and it will be fetched again")
    return ratings, films


def _first_source(folder: Path, part: Path) -> tuple[movielens.Tables, str]:
    problems: dict[str, Exception] = {}
    try:
        return movielens.read_100k(_from_grouplens(ARCHIVES["100k"], part)), "GroupLens"
    except (OSError, ValueError) as error:
        problems["GroupLens"] = error
    try:
        return movielens.read_100k_wheel(_wheel(part)), "the recbole wheel"
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        problems["the recbole wheel"] = error
    raise _no_source("100k", folder, problems)


def _put_100k(tables: movielens.Tables, source: str, folder: Path) -> None:
    ratings, films = tables
    if _hash_of_columns(ratings) != RATINGS_SHA256:
        raise ValueError(f"what {source} sent is not MovieLens-100K: its ratings have another hash")
    with _part(folder.parent) as part:
        whole = part / "ml-100k"
        whole.mkdir()
        ratings.to_csv(whole / "ratings.csv", index=False, lineterminator="\n")
        films.to_csv(whole / "films.csv", index=False, lineterminator="\n")
        try:
            whole.rename(folder)
        except OSError:
            if not folder.exists():  # unless another process was faster
                raise


def _hash_of_columns(ratings: pd.DataFrame) -> str:
    columns = ratings[movielens.RATINGS].astype("int64")
    return hashlib.sha256(columns.to_numpy().astype("<i8").tobytes()).hexdigest()


# --- sources ---


def _from_grouplens(archive: Archive, folder: Path) -> Path:
    """Fetch an archive into a folder; it is there whole and with the right hash, or not at all."""
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(timeout=10)
    return Path(pooch.retrieve(archive.url, f"sha256:{archive.sha256}", archive.name, folder, downloader=downloader))


def _wheel(folder: Path) -> Path:
    """Fetch the wheel that holds a copy of MovieLens-100K, from wherever pip gets its packages."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--timeout", "20", "-d", str(folder), WHEEL]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=180)
    (wheel,) = folder.glob("*.whl")
    if _sha256(wheel) != WHEEL_SHA256:
        raise ValueError(f"{wheel.name} has another hash than expected")
    return wheel


def _no_source(name: str, place: Path, problems: dict[str, Exception]) -> ConnectionError:
    said = "; ".join(f"{source}: {_in_a_line(error)}" for source, error in problems.items())
    archive = ARCHIVES[name]
    return ConnectionError(
        f"MovieLens-{name.upper()} is not in {place} and could not be fetched ({said}). Fetch {archive.url} "
        f"by other means and run `python -m skiprec_lite data --from {archive.name}`"
    )


def _in_a_line(error: Exception) -> str:
    text = (error.stderr if isinstance(error, subprocess.CalledProcessError) else "") or str(error)
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


# --- places ---


@contextlib.contextmanager
def _part(folder: Path) -> Iterator[Path]:
    """A temporary folder inside the data folder: what is whole is renamed out of it, the rest goes with it.

    It is made before anything is fetched, so that a folder that cannot be written to is told at once.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = tempfile.TemporaryDirectory(prefix="movielens.", suffix=".part", dir=folder)
    except OSError as error:
        raise type(error)(
            f"cannot write to the data folder {folder} ({error.strerror}): set SKIPREC_DATA to a folder of your own"
        ) from error
    with part as name:
        yield Path(name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

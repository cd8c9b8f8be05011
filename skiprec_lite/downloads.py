"""Get MovieLens-100K, check it, put it in place. It is never committed: its licence forbids to pass it on."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd
import pooch

PACKAGE = Path(__file__).resolve().parent
GROUPLENS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
GROUPLENS_SHA256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
RATINGS_SHA256 = "d0366dc73dcd6c6620782fc3436fc07a4a003fe17c863aee0829c53db6a8f574"
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def data_folder() -> Path:
    """Where downloads live: $SKIPREC_DATA, else data/ beside an editable install, else pooch's cache."""
    if folder := os.environ.get("SKIPREC_DATA"):
        return Path(folder)
    beside = PACKAGE.parent / "data"
    return beside if (beside / "README.md").exists() else Path(pooch.os_cache("skiprec_lite"))


def fetch_movielens_100k(root: Path | str | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read MovieLens-100K from its folder, after fetching it there if it is missing.

    Args:
        root: the folder that holds (or will hold) ml-100k/; data_folder() if None.

    Returns:
        ratings (user, item, rating, timestamp; 100,000 rows in file order) and
        films (item, title such as "Toy Story (1995)", genres as a tuple).

    Raises:
        ValueError: if what is on disk, or what a source sent, is not MovieLens-100K.
        ConnectionError: if no source can be reached.
    """
    folder = (Path(root) if root is not None else data_folder()) / "ml-100k"
    if not folder.exists():
        _put_in_place(folder)
    ratings = pd.read_csv(folder / "ratings.csv")
    films = pd.read_csv(folder / "films.csv", keep_default_na=False)
    if _hash_of_columns(ratings) != RATINGS_SHA256:
        raise ValueError(f"{folder} does not hold MovieLens-100K: delete that folder and it will be fetched again")
    films["genres"] = [tuple(g for g in text.split("|") if g) for text in films["genres"]]
    return ratings, films


def _put_in_place(folder: Path) -> None:
    pooch.get_logger().setLevel("WARNING")
    problems = []
    for name, source in (("GroupLens", _from_grouplens), ("the recbole wheel", _from_wheel)):
        try:
            ratings, films = source()
            break
        except (OSError, ValueError, subprocess.SubprocessError, zipfile.BadZipFile, KeyError) as error:
            problems.append(
                f"{name}: {str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__}"
            )
    else:
        raise ConnectionError(
            f"MovieLens-100K is not in {folder} and could not be fetched ({'; '.join(problems)}). "
            f"With a network, run `python -m skiprec_lite data`, then copy the folder here"
        )
    if _hash_of_columns(ratings) != RATINGS_SHA256:
        raise ValueError(f"what {name} sent is not MovieLens-100K: its ratings have another hash")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ml-100k.", suffix=".part", dir=folder.parent) as part:
        ratings.to_csv(Path(part, "ratings.csv"), index=False, lineterminator="\n")
        films.to_csv(Path(part, "films.csv"), index=False, lineterminator="\n")
        try:
            Path(part).rename(folder)
        except OSError:
            if not folder.exists():  # unless another process was faster
                raise
        else:
            Path(part).mkdir()  # for TemporaryDirectory to remove


def _from_grouplens() -> tuple[pd.DataFrame, pd.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        archive = pooch.retrieve(
            GROUPLENS, f"sha256:{GROUPLENS_SHA256}", path=folder, downloader=pooch.HTTPDownloader(timeout=10)
        )
        with zipfile.ZipFile(archive) as files:
            ratings = pd.read_csv(files.open("ml-100k/u.data"), sep="\t", names=["user", "item", "rating", "timestamp"])
            raw = pd.read_csv(
                files.open("ml-100k/u.item"), sep="|", encoding="latin-1", header=None, keep_default_na=False
            )
    genres = ["|".join(name for name, flag in zip(GENRES, row) if flag) for row in raw.iloc[:, 5:].to_numpy()]
    return ratings, pd.DataFrame({"item": raw[0], "title": raw[1].map(_one_spelling), "genres": genres})


def _from_wheel() -> tuple[pd.DataFrame, pd.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--timeout", "20", "-d", folder, WHEEL]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=180)
        (wheel,) = Path(folder).glob("*.whl")
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
            raise ValueError(f"{wheel.name} has another hash than expected")
        with zipfile.ZipFile(wheel) as files:
            inside = "recbole/dataset_example/ml-100k/ml-100k"
            ratings = pd.read_csv(files.open(f"{inside}.inter"), sep="\t")
            raw = pd.read_csv(files.open(f"{inside}.item"), sep="\t", dtype=str, keep_default_na=False)
    ratings.columns = pd.Index(["user", "item", "rating", "timestamp"])
    named = zip(raw["movie_title:token_seq"], raw["release_year:token"])
    titles = [_one_spelling(f"{title} ({year})" if year.isdigit() else title) for title, year in named]
    genres = raw["class:token_seq"].str.replace(" ", "|")
    return ratings, pd.DataFrame({"item": raw["item_id:token"].astype(int), "title": titles, "genres": genres})


def _one_spelling(title: str) -> str:
    """Both sources to one form: the archive marks a video with (V), the wheel misspells the unknown film."""
    return " ".join(title.replace("unkonwn", "unknown").removesuffix("(V)").split())


def _hash_of_columns(ratings: pd.DataFrame) -> str:
    columns = ratings[["user", "item", "rating", "timestamp"]].astype("int64")
    return hashlib.sha256(columns.to_numpy().astype("<i8").tobytes()).hexdigest()

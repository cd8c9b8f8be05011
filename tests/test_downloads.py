"""MovieLens is fetched once, checked before it is trusted, and put in place whole or not at all."""

import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest

from skiprec_lite import downloads

Source = Callable[[], tuple[pd.DataFrame, pd.DataFrame]]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a tiny data set that the package takes for MovieLens-100K."""
    ratings = pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 2], "rating": [5, 3, 4], "timestamp": [10, 11, 12]})
    films = pd.DataFrame({"item": [1, 2], "title": ["A (1990)", "B, The (1991)"], "genres": ["Drama|War", ""]})
    rows = ratings.to_numpy().astype("<i8").tobytes()
    monkeypatch.setattr(downloads, "RATINGS_SHA256", hashlib.sha256(rows).hexdigest())
    return ratings, films


def unreachable() -> tuple[pd.DataFrame, pd.DataFrame]:
    raise ConnectionError("no route to host")


def sources(monkeypatch: pytest.MonkeyPatch, grouplens: Source, wheel: Source) -> None:
    monkeypatch.setattr(downloads, "_from_grouplens", grouplens)
    monkeypatch.setattr(downloads, "_from_wheel", wheel)


def test_second_source_serves_when_the_first_cannot_be_reached(
    tiny: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources(monkeypatch, unreachable, lambda: tiny)
    ratings, films = downloads.fetch_movielens_100k(tmp_path / "new")
    assert np.array_equal(ratings.to_numpy(), tiny[0].to_numpy())
    assert films["title"].tolist() == ["A (1990)", "B, The (1991)"]
    assert films["genres"].tolist() == [("Drama", "War"), ()]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["ml-100k"], "nothing temporary is left"


def test_what_is_there_is_not_fetched_again(
    tiny: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources(monkeypatch, lambda: tiny, unreachable)
    first, _ = downloads.fetch_movielens_100k(tmp_path)
    sources(monkeypatch, unreachable, unreachable)
    assert downloads.fetch_movielens_100k(tmp_path)[0].equals(first)


def test_no_source_names_both_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources(monkeypatch, unreachable, unreachable)
    with pytest.raises(ConnectionError, match=r"GroupLens: no route.*wheel: no route.*skiprec_lite data"):
        downloads.fetch_movielens_100k(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_source_with_other_ratings_is_not_trusted(
    tiny: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = tiny[0].iloc[[1, 0, 2]]
    sources(monkeypatch, lambda: (swapped, tiny[1]), unreachable)
    with pytest.raises(ValueError, match="GroupLens sent is not"):
        downloads.fetch_movielens_100k(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_tampered_with_is_refused(
    tiny: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources(monkeypatch, lambda: tiny, unreachable)
    downloads.fetch_movielens_100k(tmp_path)
    file = tmp_path / "ml-100k" / "ratings.csv"
    file.write_text(file.read_text().replace("11", "13"))
    with pytest.raises(ValueError, match="delete that folder"):
        downloads.fetch_movielens_100k(tmp_path)


def test_a_faster_process_wins_and_nothing_breaks(
    tiny: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def while_another_process_finishes() -> tuple[pd.DataFrame, pd.DataFrame]:
        sources(monkeypatch, lambda: tiny, unreachable)
        downloads.fetch_movielens_100k(tmp_path)
        return tiny

    sources(monkeypatch, while_another_process_finishes, unreachable)
    assert len(downloads.fetch_movielens_100k(tmp_path)[0]) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["ml-100k"]


def test_the_archive_of_grouplens_is_read_into_the_same_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = "|".join("1" if genre in ("Drama", "War") else "0" for genre in downloads.GENRES)
    archive = tmp_path / "ml-100k.zip"
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("ml-100k/u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
        films = f"1|Misérables, Les (1995)|01-Jan-1995||http://x|{flags}\n2|Sequel III (1995) (V)|||http://x|{flags}\n"
        files.writestr("ml-100k/u.item", films.encode("latin-1"))
    monkeypatch.setattr(pooch, "retrieve", lambda *_, **__: str(archive))
    ratings, films_read = downloads._from_grouplens()
    assert ratings.to_numpy().tolist() == [[196, 242, 3, 881250949], [186, 302, 3, 891717742]]
    assert films_read["title"].tolist() == ["Misérables, Les (1995)", "Sequel III (1995)"]
    assert films_read["genres"].tolist() == ["Drama|War", "Drama|War"]


def test_a_wheel_with_another_hash_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **_: object) -> None:
        Path(command[command.index("-d") + 1], "recbole-1.2.1-py3-none-any.whl").write_bytes(b"not the wheel")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(ValueError, match="another hash"):
        downloads._from_wheel()


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKIPREC_DATA", str(tmp_path))
    assert downloads.data_folder() == tmp_path
    monkeypatch.delenv("SKIPREC_DATA")
    assert downloads.data_folder() == downloads.PACKAGE.parent / "data"
    monkeypatch.setattr(downloads, "PACKAGE", tmp_path / "site-packages" / "skiprec_lite")
    assert downloads.data_folder() == Path(pooch.os_cache("skiprec_lite"))

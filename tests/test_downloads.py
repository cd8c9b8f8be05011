"""MovieLens is fetched once, checked before it is trusted, and put in place whole or not at all."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import archives
import numpy as np
import pooch
import pytest

from skiprec_lite import cli, downloads, movielens
from skiprec_lite.datasets import load_movielens
from skiprec_lite.splits import user_sequences

Pip = Callable[..., None]
NAMES = sorted(archives.LAYOUTS)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No source can be reached, unless a test puts one there."""
    monkeypatch.setattr(downloads, "GROUPLENS", "http://127.0.0.1:9")
    pip(monkeypatch, "ERROR: Could not find a version that satisfies the requirement recbole==1.2.1")


def pip(monkeypatch: pytest.MonkeyPatch, problem: str) -> None:
    def run(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command, stderr=f"WARNING: retrying\n{problem}\n")

    monkeypatch.setattr(subprocess, "run", run)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def place(name: str) -> str:
    return "ml-100k" if name == "100k" else f"ml-{name}.zip"


# --- layouts ---


def test_every_layout_is_read_into_one_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles with commas, colons and accents; genres; gaps in ids; films that nobody rated."""
    for name in NAMES:
        downloads.put(archives.known(name, tmp_path, monkeypatch), tmp_path / "data")
    small, middle, large = (load_movielens(name, tmp_path / "data") for name in ("100k", "1m", "20m"))
    assert small.titles == ("Misérables, Les (1995)", "Sequel III (1995)")
    assert small.genres == (("Drama", "War"), ("Drama", "War"))
    assert small.user_ids == ("186", "196")
    assert small.table["timestamp"].tolist() == [881250949, 891717742, 881250949]
    assert [s.tolist() for s in user_sequences(small)] == [[1], [2, 1]], "tied times keep the file's order"
    assert middle.item_ids == ("661", "1193")
    assert middle.titles == ("James: and the: Peach (1996)", "Misérables, Les (1995)")
    assert middle.genres == (("Animation", "Children's"), ("Drama",))
    assert [s.tolist() for s in user_sequences(middle)] == [[2, 1], [2]]
    assert large.user_ids == ("1", "138493")
    assert large.titles == ("American President, The (1995)", "Misérables (1998)")
    assert large.genres == (("Comedy", "Drama"), ())
    assert large.table["rating"].tolist() == [3.5, 4.0, 0.5]
    assert [s.tolist() for s in user_sequences(large)] == [[1, 2], [2]]
    assert [data.name for data in (small, middle, large)] == ["ml-100k", "ml-1m", "ml-20m"]


# --- sources ---


@pytest.mark.parametrize("name", NAMES)
def test_it_is_fetched_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archives.known(name, tmp_path, monkeypatch)
    data = tmp_path / "new" / "data"
    with archives.grouplens({archive.name: archive.read_bytes()}) as address:
        monkeypatch.setattr(downloads, "GROUPLENS", address)
        first, _ = downloads.fetch(name, data)
    assert left(data) == [place(name)], "nothing temporary is left"
    again, _ = downloads.fetch(name, data)  # the server is gone
    assert again.equals(first)
    assert len(first) == 3


def test_the_wheel_serves_when_grouplens_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archives.known("100k", tmp_path, monkeypatch)
    monkeypatch.setattr(downloads, "_wheel", lambda folder: archive)
    monkeypatch.setattr(movielens, "read_100k_wheel", movielens.read_100k)
    ratings, films = downloads.fetch("100k", tmp_path / "data")
    assert np.array_equal(ratings.to_numpy(), movielens.read_100k(archive)[0].to_numpy())
    assert films["genres"].tolist() == ["Drama|War", "Drama|War"]
    assert left(tmp_path / "data") == ["ml-100k"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["cut", "other", "gone", "no network"])
def test_a_source_that_fails_leaves_nothing_and_says_what_to_do(
    fault: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archives.known(name, tmp_path, monkeypatch)
    content = {"other": b"not the archive", "cut": archive.read_bytes()}.get(fault)
    data = tmp_path / "data"
    with archives.grouplens({archive.name: content} if content else {}, cut=fault == "cut") as address:
        if fault != "no network":
            monkeypatch.setattr(downloads, "GROUPLENS", address)
        with pytest.raises(ConnectionError) as error:
            downloads.fetch(name, data)
    said = str(error.value)
    assert "\n" not in said
    assert f"MovieLens-{name.upper()} is not in {data / place(name)}" in said
    assert f"python -m skiprec_lite data --from {archive.name}" in said
    expected = {"cut": "bytes", "other": "hash", "gone": "404", "no network": "127.0.0.1"}
    assert expected[fault] in said
    if name == "100k":
        assert "the recbole wheel: ERROR: Could not find a version" in said
    assert left(data) == []


def test_without_pip_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip(monkeypatch, "/usr/bin/python: No module named pip")
    with pytest.raises(ConnectionError, match="No module named pip"):
        downloads.fetch("100k", tmp_path)


def test_a_source_with_other_ratings_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archives.known("100k", tmp_path, monkeypatch)
    monkeypatch.setattr(downloads, "RATINGS_SHA256", "0" * 64)
    with pytest.raises(ValueError, match="another hash"):
        downloads.put(archive, tmp_path / "data")
    assert not (tmp_path / "data").exists() or left(tmp_path / "data") == []


def test_a_wheel_with_another_hash_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(command: list[str], **_: object) -> None:
        Path(command[command.index("-d") + 1], "recbole-1.2.1-py3-none-any.whl").write_bytes(b"not the wheel")

    monkeypatch.setattr(subprocess, "run", fake)
    with pytest.raises(ConnectionError, match="another hash"):
        downloads.fetch("100k", tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_several_processes_at_once_do_not_get_in_each_others_way(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archives.known(name, tmp_path, monkeypatch)
    data = tmp_path / "data"
    with archives.grouplens({archive.name: archive.read_bytes()}) as address, ThreadPoolExecutor(8) as workers:
        monkeypatch.setattr(downloads, "GROUPLENS", address)
        found = list(workers.map(lambda _: downloads.fetch(name, data)[0], range(8)))
    assert all(ratings.equals(found[0]) for ratings in found)
    assert left(data) == [place(name)]


# --- what a reader puts there ---


@pytest.mark.parametrize("name", NAMES)
def test_a_given_archive_is_told_by_its_content(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archives.known(name, tmp_path, monkeypatch).rename(tmp_path / "download (1).zip")
    monkeypatch.setenv("SKIPREC_DATA", str(tmp_path / "data"))
    assert cli.main(["data", "--from", str(archive)]) == 0
    assert left(tmp_path / "data") == [place(name)]
    assert len(load_movielens(name).table) == 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not an archive"])
def test_a_given_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ml-1m.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"none of ml-100k\.zip, ml-1m\.zip, ml-20m\.zip.*SHA-256"):
        downloads.put(tmp_path / "ml-1m.zip", tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        downloads.put(tmp_path / "nowhere.zip", tmp_path / "data")
    assert left(tmp_path) == ["ml-1m.zip"]


@pytest.mark.parametrize("name", ["1m", "20m"])
def test_an_archive_that_was_tampered_with_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archives.known(name, tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ValueError, match="delete it"):
        downloads.fetch(name, tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("ratings.csv", b"user,item,rating,timestamp\n1,1,5,1\n"),
        ("ratings.csv", b"user,item,rating\n1,1,5\n"),
        ("ratings.csv", b"user,item,rating,timestamp\n1,1,5,x\n"),
        ("ratings.csv", b""),
        ("ratings.csv", b"\xff\xfe\x00\x01"),
        ("ratings.csv", None),
        ("films.csv", b"film,title\n1,x\n"),
        ("films.csv", b""),
        ("films.csv", None),
    ],
)
def test_a_folder_that_was_tampered_with_is_refused(
    file: str, content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads.put(archives.known("100k", tmp_path, monkeypatch), tmp_path)
    path = tmp_path / "ml-100k" / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="does not hold MovieLens-100K: delete that folder"):
        downloads.fetch("100k", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_fetched(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archives.known(name, tmp_path, monkeypatch)
    (tmp_path / "file").write_text("")
    fetched: list[object] = []
    monkeypatch.setattr(pooch, "retrieve", lambda *a, **o: fetched.append(a))
    for call in (lambda: downloads.fetch(name, tmp_path / "file" / "data"),
                 lambda: downloads.put(archive, tmp_path / "file" / "data")):  # fmt: skip
        with pytest.raises(OSError, match=r"cannot write to the data folder.*SKIPREC_DATA"):
            call()
    assert not fetched


def test_another_movielens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'100k', '1m', '20m' here, got '12q'"):
        load_movielens("12q", tmp_path)


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKIPREC_DATA", str(tmp_path))
    assert downloads.data_folder() == tmp_path
    monkeypatch.delenv("SKIPREC_DATA")
    assert downloads.data_folder() == downloads.PACKAGE.parent / "data"
    monkeypatch.setattr(downloads, "PACKAGE", tmp_path / "site-packages" / "skiprec_lite")
    assert downloads.data_folder() == Path(pooch.os_cache("skiprec_lite"))

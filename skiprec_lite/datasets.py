"""Files of interactions, read into one kind of table."""

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skiprec_lite import downloads
from skiprec_lite.inputs import check_has


@dataclass(frozen=True)
class Interactions:
    """Who interacted with what, when.

    Attributes:
        table: a row per interaction in file order: user (0 ... users - 1), item (1 ... num_items), timestamp, and what
            further columns the file has.
        user_ids: the file's own user ids; position = user index.
        item_ids: the file's own item ids; position = item index - 1.
        titles: a name for each item, position = item index - 1 (the item id where the file has no titles).
        genres: a tuple of genres for each item, empty where the file has none.
        name: what to call the data in a table or a header: "ml-100k", or the file's name.
    """

    table: pd.DataFrame
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    genres: tuple[tuple[str, ...], ...] = ()
    name: str = ""

    @staticmethod
    def check_argument(name: str, value: Any) -> None:
        """Raise unless the argument is what the loaders give; `validated` calls it."""
        check_has(name, value, "Interactions, as load_movielens gives", "table", "user_ids", "num_items")
        _check_table(f"{name}.table", value.table, users=len(value.user_ids), items=value.num_items)

    @property
    def num_items(self) -> int:
        """Return the number of different items in the whole file."""
        return len(self.item_ids)

    def user_index(self, user_id: str | int) -> int:
        """Return the index of the user with this id in the file; a ValueError if there is none."""
        try:
            return self.user_ids.index(str(user_id))
        except ValueError:
            few = ", ".join(self.user_ids[:3])
            raise ValueError(f"unknown user {user_id!r}: this data has {len(self.user_ids)} users ({few}, …)") from None

    def title(self, item: int) -> str:
        """Return the title of an item index; a ValueError if there is no such item."""
        if not 1 <= item <= self.num_items:
            raise ValueError(f"items must lie in 1 ... {self.num_items}, got {item}")
        return self.titles[item - 1]


def _check_table(name: str, table: pd.DataFrame, *, users: int, items: int) -> None:
    if missing := [column for column in ("user", "item", "timestamp") if list(table).count(column) != 1]:
        found = ", ".join(map(str, table))
        raise ValueError(f"{name} needs one column {' and one '.join(missing)}; found {found}")
    for column, least, most in (("user", 0, users - 1), ("item", 1, items)):
        values = table[column]
        if values.dtype.kind not in "iu":
            raise TypeError(f"column {column} must hold whole numbers {least} ... {most}, got {values.dtype}")
        if len(values) and not (least <= values.min() and values.max() <= most):
            raise ValueError(f"column {column} must lie in {least} ... {most}, got {values.min()} ... {values.max()}")
    times = table["timestamp"]
    if times.dtype.kind not in "iufM":  # a text would be sorted by its letters
        raise TypeError(f"column timestamp must hold numbers or dates, got {times.dtype}")
    if times.isna().any():
        raise ValueError(f"column timestamp must not hold NaN, got {times.isna().sum()} of {len(times)}")


def load_movielens(name: str = "100k", root: Path | str | None = None) -> Interactions:
    """MovieLens, fetched and checked on first use (`downloads.fetch` says where it lies, and what may go wrong).

    Args:
        name: "100k" (100,000 ratings, 943 users, 1,682 films), "1m" (1,000,209 ratings, 6,040 users, 3,706 films) or
            "20m" (20,000,263 ratings, 138,493 users, 26,744 films).
        root: the folder that holds (or will hold) the data; downloads.data_folder() if None.

    Source: Harper & Konstan (2015), "The MovieLens datasets: history and context".
    """
    ratings, films = downloads.fetch(name, root)
    genres = [tuple(g for g in text.split("|") if g) for text in films["genres"]]
    titles = dict(zip(films["item"], films["title"]))
    return _index(ratings, f"ml-{name}", titles, genres=dict(zip(films["item"], genres)))


def read_interactions(path: Path | str) -> Interactions:
    """Read your own data from one of three forms, told apart by the file's ending.

    * `.inter` (RecBole): tab-separated, header such as user_id:token item_id:token timestamp:float
    * `.csv`: header with user (or user_id, userId), item (item_id, itemId, movieId) and timestamp
    * `.txt`: one user a line, item ids separated by blanks, oldest first, no user id

    Ids are text, also where they look like numbers: "7" and "07" are two. Further columns are kept aside, as text.
    Rows may come in any order, and a row that repeats another one is kept: a log may mean it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not of one of these forms; the line names the row or column and what would be right.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}" if not path.exists() else f"not a file but a folder: {path}")
    if path.suffix not in (".inter", ".csv", ".txt"):
        raise ValueError(f"{path.name}: expected a file that ends in .inter, .csv, .txt")
    try:
        _must_be_text(path)
        table = _read(path)
        if table.empty:
            raise ValueError("holds no interaction")
        for name in ("user", "item"):
            empty = table[name].isna() | (table[name] == "")
            if empty.any():
                raise ValueError(f"{_row(empty)} has no {name}")
        table["timestamp"] = _numbers(table["timestamp"])
    except ValueError as error:
        raise ValueError(f"{path.name}: {' '.join(_problem(error).split())}") from error
    return _index(table, path.name)


# --- one's own files ---

_NAMES = {
    "user": "user", "user_id": "user", "userId": "user",
    "item": "item", "item_id": "item", "itemId": "item", "movieId": "item",
    "timestamp": "timestamp",
}  # fmt: skip
_NOT_TEXT = {
    b"\x1f\x8b": "is compressed (gzip): unpack it first",
    b"PK\x03\x04": "is an archive (zip): unpack it first",
    b"\xff\xfe": "is written in UTF-16: save it as UTF-8",
    b"\xfe\xff": "is written in UTF-16: save it as UTF-8",
}


def _problem(error: ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8 text ({error}): save it as UTF-8"
    return f"cannot be read as a table: {error}" if isinstance(error, pd.errors.ParserError) else str(error)


def _must_be_text(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.strip():
        raise ValueError("is empty")
    for sign, problem in _NOT_TEXT.items():
        if start.startswith(sign):
            raise ValueError(problem)
    if b"\0" in start:
        raise ValueError("is not a text file: save it as text, UTF-8")


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".txt":
        return _read_lines(path)
    if path.suffix == ".inter":
        return _read_table(path, sep="\t", quoting=csv.QUOTE_NONE)
    return _read_table(path, skipinitialspace=True)


def _read_table(path: Path, **form: Any) -> pd.DataFrame:
    """Read a table with a header; ids and further columns stay text, whatever they look like."""
    form |= {"encoding": "utf-8-sig", "na_filter": False}
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, **form).iloc[0]
    typed = path.suffix == ".inter"  # user_id:token
    names = [(name.partition(":")[0] if typed else name).strip() for name in header]
    found = ", ".join(header.head(8)) + (" …" if len(header) > 8 else "")
    named = [_NAMES.get(name, name) for name in names]
    for wanted in ("user", "item", "timestamp"):
        if named.count(wanted) > 1:
            twice = [name for name, meant in zip(names, named) if meant == wanted]
            raise ValueError(f"has more than one column for the {wanted}: {', '.join(twice)}")
        if wanted not in named:
            known = " or ".join(name for name, meant in _NAMES.items() if meant == wanted)
            raise ValueError(f"no column {known}; found {found}")
    repeated = sorted({name for name in named if named.count(name) > 1})
    if repeated:
        raise ValueError(f"has the column {repeated[0]} twice")
    types = {name: str for name in named if name != "timestamp"}  # "category" would take 7, 07 and 7.0 for one id
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with too many fields
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # a timestamp that is text: told below
        try:
            return pd.read_csv(path, header=0, names=named, index_col=False, dtype=types, **form)
        except pd.errors.ParserWarning:
            raise ValueError(f"has rows with more than the {len(names)} fields of the header") from None


def _read_lines(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig") as file:
        lines = [line.split() for line in file]
    lengths = [len(line) for line in lines]
    return pd.DataFrame({
        "user": np.repeat(np.arange(len(lines)), lengths),
        "item": [item for line in lines for item in line],
        "timestamp": np.concatenate([np.arange(n) for n in lengths]) if lines else [],
    })  # fmt: skip


def _numbers(timestamps: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(timestamps.astype(str) if timestamps.dtype == bool else timestamps, errors="coerce")
    wrong = ~np.isfinite(numbers.to_numpy(dtype=np.float64))
    if wrong.any():
        found = timestamps[wrong].iloc[0]
        expected = "expected a number, such as seconds since 1970"
        raise ValueError(f"{_row(wrong)} has the timestamp {str(found)!r}: {expected}")
    return numbers


def _row(wrong: Any) -> str:
    """The first row that is wrong, counted as a reader counts: without the header, from 1."""
    return f"row {int(np.argmax(np.asarray(wrong))) + 1}"


# --- one form for all ---


def _index(table: pd.DataFrame, name: str, titles: dict | None = None, genres: dict | None = None) -> Interactions:
    """Number users from 0 and items from 1, in the order of their ids (as numbers where all of them are)."""
    user_ids, users = _number(table["user"])
    item_ids, items = _number(table["item"])
    kept = table.drop(columns=["user", "item"]).reset_index(drop=True)
    kept.insert(0, "user", users)
    kept.insert(1, "item", items + 1)
    return Interactions(
        table=kept,
        user_ids=tuple(str(u) for u in user_ids),
        item_ids=tuple(str(i) for i in item_ids),
        titles=tuple((titles or {}).get(i, str(i)) for i in item_ids),
        genres=tuple(tuple((genres or {}).get(i, ())) for i in item_ids) if genres else (),
        name=name,
    )


def _number(ids: pd.Series) -> tuple[list, np.ndarray]:
    """The different ids in their order, and for each row the position of its id."""
    codes, labels = pd.factorize(ids)
    different = pd.Series(list(labels))
    as_numbers = pd.to_numeric(different, errors="coerce")
    order = (as_numbers if as_numbers.notna().all() else different).argsort(kind="stable").to_numpy()
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    return different.iloc[order].tolist(), position[codes]

"""Files of interactions, read into one kind of table."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from skiprec_lite import downloads


@dataclass(frozen=True)
class Interactions:
    """Who interacted with what, when.

    Attributes:
        table: one row per interaction in file order, columns user (0 ... users - 1), item (1 ... num_items),
            timestamp; further columns of the file are kept aside in it.
        user_ids: the file's own user ids; position = user index.
        item_ids: the file's own item ids; position = item index - 1.
        titles: a name for each item, position = item index - 1 (the item id where the file has no titles).
        genres: a tuple of genres for each item, empty where the file has none.
    """

    table: pd.DataFrame
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    genres: tuple[tuple[str, ...], ...] = ()

    @property
    def num_items(self) -> int:
        """Return the number of different items in the whole file."""
        return len(self.item_ids)

    def user_index(self, user_id: str | int) -> int:
        """Return the index of the user with this id in the file.

        Raises:
            ValueError: if there is none.
        """
        try:
            return self.user_ids.index(str(user_id))
        except ValueError:
            few = ", ".join(self.user_ids[:3])
            raise ValueError(f"unknown user {user_id!r}: this data has {len(self.user_ids)} users ({few}, …)") from None

    def title(self, item: int) -> str:
        """Return the title of an item index.

        Raises:
            ValueError: if there is no such item.
        """
        if not 1 <= item <= self.num_items:
            raise ValueError(f"items must lie in 1 ... {self.num_items}, got {item}")
        return self.titles[item - 1]


def load_movielens(name: str = "100k", root: Path | str | None = None) -> Interactions:
    """MovieLens-100K: 100,000 ratings, 943 users, 1,682 films. Fetched and checked on first use.

    Args:
        name: "100k".
        root: the folder that holds (or will hold) the data; downloads.data_folder() if None.

    Raises:
        ValueError: for another name, or if the files on disk are not MovieLens-100K.
        ConnectionError: if it is not on disk and no source can be reached; the message says where to put it.

    Source: Harper & Konstan (2015), "The MovieLens datasets: history and context".
    """
    if name != "100k":
        raise ValueError(f"MovieLens comes as '100k' here, got {name!r}")
    ratings, films = downloads.fetch_movielens_100k(root)
    ratings = ratings.rename(columns={"user": "user_id", "item": "item_id"})
    return _index(
        ratings, titles=dict(zip(films["item"], films["title"])), genres=dict(zip(films["item"], films["genres"]))
    )


def read_interactions(path: Path | str) -> Interactions:
    """Read your own data from one of three forms, told apart by the file's ending.

    * `.inter` (RecBole): tab-separated, header such as user_id:token item_id:token timestamp:float
    * `.csv`: header with user, item and timestamp; further columns are kept aside
    * `.txt`: one user a line, item ids separated by blanks, oldest first, no user id

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the ending is another, a column is missing, or the file holds no interaction.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.suffix == ".inter":
        table = pd.read_csv(path, sep="\t", dtype=str)
        table.columns = [re.sub(r":\w+$", "", name) for name in table.columns]
    elif path.suffix == ".csv":
        table = pd.read_csv(path, dtype=str).rename(columns={"user": "user_id", "item": "item_id"})
    elif path.suffix == ".txt":
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [(str(user), item, time) for user, line in enumerate(lines) for time, item in enumerate(line)]
        table = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    else:
        raise ValueError(f"{path.name}: expected a file that ends in .inter, .csv or .txt")
    missing = [c for c in ("user_id", "item_id", "timestamp") if c not in table.columns]
    if missing:
        raise ValueError(f"{path.name}: no column {' or '.join(missing)}; found {', '.join(table.columns)}")
    if table.empty:
        raise ValueError(f"{path.name}: holds no interaction")
    table["timestamp"] = pd.to_numeric(table["timestamp"])
    return _index(table)


def _index(table: pd.DataFrame, titles: dict | None = None, genres: dict | None = None) -> Interactions:
    """Number users from 0 and items from 1, in the order of their ids (as numbers where all of them are)."""
    user_ids, users = _number(table["user_id"])
    item_ids, items = _number(table["item_id"])
    kept = table.drop(columns=["user_id", "item_id"])
    return Interactions(
        table=pd.concat([pd.DataFrame({"user": users, "item": items + 1}), kept.reset_index(drop=True)], axis=1),
        user_ids=tuple(str(u) for u in user_ids),
        item_ids=tuple(str(i) for i in item_ids),
        titles=tuple((titles or {}).get(i, str(i)) for i in item_ids),
        genres=tuple(tuple((genres or {}).get(i, ())) for i in item_ids) if genres else (),
    )


def _number(ids: pd.Series) -> tuple[pd.Index, pd.Series]:
    distinct = ids.drop_duplicates()
    as_numbers = pd.to_numeric(distinct, errors="coerce")
    order = as_numbers if as_numbers.notna().all() else distinct
    labels = pd.Index(distinct.loc[order.sort_values(kind="stable").index])
    return labels, pd.Series(labels.get_indexer(ids))

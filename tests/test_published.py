"""The table of published numbers: its columns, its ranges, and a source for every row."""

import pandas as pd
import pytest

from skiprec_lite.tables import RESULTS

COLUMNS = [
    "dataset", "model", "ndcg@10", "hr@10", "protocol", "split", "ranking", "seen", "ties", "seeds", "source",
]  # fmt: skip


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.read_csv(RESULTS / "published.csv", dtype=str, keep_default_na=False)


def test_columns_and_no_empty_cell(table: pd.DataFrame) -> None:
    assert list(table.columns) == COLUMNS
    assert len(table) >= 20
    assert (table != "").all(axis=None)
    assert not table.duplicated(["dataset", "model", "ranking", "seen", "source"]).any()


def test_every_row_names_the_repository_that_it_was_copied_from(table: pd.DataFrame) -> None:
    assert table["source"].str.fullmatch(r"[\w-]+/[\w-]+, .+").all()


def test_all_six_columns_of_the_ml_100k_table_are_here_and_the_one_with_seen_films_removed_says_so(
    table: pd.DataFrame,
) -> None:
    small = table[table["dataset"] == "ML-100K"]
    assert len(small) == 6
    assert small["source"].nunique() == 1
    assert small["source"].str.contains("commit 0f53911").all()
    removed = small[small["seen"] == "removed"]
    assert [name.split()[0] for name in removed["model"]] == ["WEARec"]


def test_numbers_are_in_range_and_ndcg_is_at_most_the_hit_rate(table: pd.DataFrame) -> None:
    ndcg, hits = (pd.to_numeric(table[name]) for name in ("ndcg@10", "hr@10"))
    assert ndcg.between(0.01, 0.99).all()
    assert hits.between(0.01, 0.99).all()
    assert (ndcg <= hits).all()


def test_what_decides_whether_rows_may_be_compared_comes_from_a_short_list(table: pd.DataFrame) -> None:
    assert set(table["dataset"]) == {"ML-1M", "ML-100K"}
    assert set(table["split"]) == {"leave-one-out"}
    assert set(table["ranking"]) == {"all items", "sampled uniformly", "sampled by popularity"}
    assert set(table["seen"]) == {"in", "removed", "unknown"}
    assert set(table["ties"]) == {"stable", "file order, timestamps rounded to 64 s", "unknown"}
    assert set(table["seeds"]) <= {"1", "unknown"}

"""The table of published numbers: its columns, its ranges, and a source for every row."""

import pandas as pd
import pytest

from skiprec_lite.experiments import RESULTS

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


def test_every_row_has_a_source(table: pd.DataFrame) -> None:
    assert (table["source"].str.len() >= 10).all()
    assert not table["source"].eq("unknown").any()


def test_numbers_are_in_range_and_ndcg_is_at_most_the_hit_rate(table: pd.DataFrame) -> None:
    ndcg, hits = (pd.to_numeric(table[name].replace("unknown", None)) for name in ("ndcg@10", "hr@10"))
    assert ndcg.between(0.01, 0.99).all()
    assert hits.dropna().between(0.01, 0.99).all()
    known = hits.notna()
    assert known.sum() >= len(table) - 2
    assert (ndcg[known] <= hits[known]).all()


def test_what_decides_whether_rows_may_be_compared_comes_from_a_short_list(table: pd.DataFrame) -> None:
    assert set(table["dataset"]) == {"ML-1M", "ML-100K"}
    assert set(table["split"]) == {"leave-one-out"}
    assert set(table["ranking"]) == {"all items", "sampled uniformly", "sampled by popularity"}
    assert set(table["seen"]) == {"in", "removed", "unknown"}
    assert set(table["ties"]) == {"stable", "unknown"}
    assert set(table["seeds"]) <= {"1", "unknown"}

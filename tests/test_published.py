"""The table of published numbers: its columns, its ranges, and a source for every row."""

import pandas as pd
import pytest

from skiprec_lite.tables import RESULTS

COLUMNS = [
    "dataset", "model", "ndcg@10", "hr@10", "protocol", "split", "ranking", "seen", "ties", "seeds", "source",
    "commit",
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
    # One source is one state of one repository. Only one page was read whose commit we do not know.
    assert table["commit"].str.fullmatch(r"[0-9a-f]{7}|unknown").all()
    assert table.groupby("source")["commit"].nunique().max() == 1
    assert set(table.loc[table["commit"] == "unknown", "source"]) == {"asash/bert4rec_repro, README"}


def test_all_six_columns_of_the_ml_100k_table_are_here_and_the_one_with_seen_films_removed_says_so(
    table: pd.DataFrame,
) -> None:
    small = table[table["dataset"] == "ML-100K"]
    assert len(small) == 6
    assert small["source"].nunique() == 1
    assert set(small["commit"]) == {"0f53911"}
    assert (small != "unknown").all(axis=None)
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
    assert set(table["seen"]) == {"in", "removed"}
    assert set(table["ties"]) == {
        "stable", "file order, timestamps rounded to 64 s", "arbitrary, by an unstable sort", "unknown",
    }  # fmt: skip
    assert set(table["seeds"]) == {"1", "unknown"}


def test_what_a_source_leaves_open_is_its_ties_its_seeds_or_its_commit(table: pd.DataFrame) -> None:
    open_columns = [name for name in table if table[name].str.contains("unknown").any()]
    assert open_columns == ["ties", "seeds", "commit"]


def test_a_protocol_says_what_the_model_was_trained_on_and_how(table: pd.DataFrame) -> None:
    protocol = table["protocol"]
    authors_code = protocol.str.startswith("its authors' code")
    assert (authors_code | protocol.str.contains("length ")).all()
    fpmc = protocol[table["model"] == "FPMC"]
    assert fpmc.str.contains("BPR").all()  # the one RecBole row that is not trained by cross-entropy
    assert not fpmc.str.contains("entropy").any()

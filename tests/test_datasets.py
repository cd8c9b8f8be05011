from pathlib import Path

import pytest

from skiprec_lite.datasets import Interactions, load_movielens, read_interactions
from skiprec_lite.splits import user_sequences

INTER = """user_id:token\titem_id:token\trating:float\ttimestamp:float
10\t7\t3.5\t880000001.5
9\t100\t4\t880000000
10\t20\t1\t880000000
9\t7\t5\t880000009
"""
CSV = """item,timestamp,user,device
tea,5,bob,phone
milk,3,ann,laptop
tea,4,ann,phone
Ale,6,ann,laptop
"""
TXT = """5 3 11

11 5 5 200
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def sequences(data: Interactions) -> list[list[int]]:
    return [s.tolist() for s in user_sequences(data)]


# --- one's own files ---


def test_an_inter_file(tmp_path: Path) -> None:
    """Ids that are all numbers are ordered as numbers: 9 before 10, 20 before 100."""
    data = read_interactions(written(tmp_path, "log.inter", INTER))
    assert data.user_ids == ("9", "10")
    assert data.item_ids == ("7", "20", "100")
    assert data.num_items == 3
    assert data.table["user"].tolist() == [1, 0, 1, 0]
    assert data.table["item"].tolist() == [1, 3, 2, 1]
    assert data.table["timestamp"].tolist() == [880000001.5, 880000000, 880000000, 880000009]
    assert sequences(data) == [[3, 1], [2, 1]]
    assert data.table["rating"].astype(float).tolist() == [3.5, 4, 1, 5]


def test_a_csv_file(tmp_path: Path) -> None:
    """Ids that are not all numbers are ordered as text; a column without a use is kept aside."""
    data = read_interactions(written(tmp_path, "log.csv", CSV))
    assert data.user_ids == ("ann", "bob")
    assert data.item_ids == ("Ale", "milk", "tea")
    assert data.table["user"].tolist() == [1, 0, 0, 0]
    assert data.table["item"].tolist() == [3, 2, 3, 1]
    assert data.table["timestamp"].tolist() == [5, 3, 4, 6]
    assert data.table["device"].tolist() == ["phone", "laptop", "phone", "laptop"]
    assert sequences(data) == [[2, 3, 1], [3]]


def test_a_txt_file(tmp_path: Path) -> None:
    """One user a line, oldest first; an empty line is nobody."""
    data = read_interactions(written(tmp_path, "log.txt", TXT))
    assert len(data.user_ids) == 2
    assert data.item_ids == ("3", "5", "11", "200")
    assert sequences(data) == [[2, 1, 3], [3, 2, 2, 4]]


def test_ids_mixed_of_numbers_and_words_are_ordered_as_text(tmp_path: Path) -> None:
    data = read_interactions(written(tmp_path, "log.txt", "10 9 b a"))
    assert data.item_ids == ("10", "9", "a", "b")
    assert sequences(data) == [[1, 2, 4, 3]]


def test_timestamps_are_compared_as_numbers(tmp_path: Path) -> None:
    text = "user,item,timestamp\nu,late,1000\nu,early,999\nu,tied,1e3\n"
    data = read_interactions(written(tmp_path, "log.csv", text))
    assert [data.title(i) for i in sequences(data)[0]] == ["early", "late", "tied"]


H = "user,item,timestamp\n"


@pytest.mark.parametrize(
    ("name", "text", "users", "items", "expected"),
    [
        pytest.param("a.csv", H + '1,"Good, the Bad",3\n2,b,4\n', "1 2", "Good, the Bad|b", [[1], [2]], id="quoted"),
        pytest.param("a.csv", H + '1,"say ""hi""",3\n', "1", 'say "hi"', [[1]], id="quotes in quotes"),
        pytest.param("a.csv", H.replace("\n", "\r\n") + "1,a,3\r\n2,b,4\r\n", "1 2", "a|b", [[1], [2]], id="windows"),
        pytest.param("a.txt", "5 3\r\n7 5\r\n", "0 1", "3|5|7", [[2, 1], [3, 2]], id="windows txt"),
        pytest.param("a.csv", "\ufeff" + H + "1,a,3\n", "1", "a", [[1]], id="byte order mark"),
        pytest.param("a.inter", "\ufeff" + INTER, "9 10", "7|20|100", [[3, 1], [2, 1]], id="byte order mark inter"),
        pytest.param("a.txt", "\ufeff5 3\n", "0", "3|5", [[2, 1]], id="byte order mark txt"),
        pytest.param("a.csv", "user, item, timestamp\n1, a b, 3\n", "1", "a b", [[1]], id="space after comma"),
        pytest.param("a.csv", H + "7,5,3\n1000000,7000000,4\n2,1000000,9\n", "2 7 1000000", "5|1000000|7000000",
                     [[2], [1], [3]], id="gaps"),
        pytest.param("a.csv", H + "1,5,3\n1,x5,4\n2,NA,5\nnull,5,6\n", "1 2 null", "5|NA|x5", [[1, 3], [2], [1]],
                     id="numbers and words, and words for nothing"),
        pytest.param("a.csv", H + "1,7,3\n1,07,4\n1,7.0,5\n", "1", "7|07|7.0", [[1, 2, 3]], id="ids are text"),
        pytest.param("a.csv", H + "1,c,9\n1,a,3\n1,b,-4.5\n", "1", "a|b|c", [[2, 1, 3]], id="unsorted times"),
        pytest.param("a.csv", H + "1,b,3\n1,a,3\n1,b,3\n", "1", "a|b", [[2, 1, 2]], id="repeated rows, file order"),
        pytest.param("a.csv", H + "1,a,1700000000000000001\n1,b,1700000000000000000\n", "1", "a|b", [[2, 1]],
                     id="nanoseconds"),
        pytest.param("a.csv", "userId,movieId,rating,timestamp\n1,2,3.5,9\n", "1", "2", [[1]], id="MovieLens' names"),
        pytest.param("a.csv", "note,timestamp,user_id,item_id\n,1,u,i\n", "u", "i", [[1]], id="empty further column"),
        pytest.param("a.inter", 'user_id:token\titem_id:token\ttimestamp:float\n1\t"a, b\t3\n', "1", '"a, b', [[1]],
                     id="a quote is a sign like others in .inter"),
    ],
)  # fmt: skip
def test_what_files_look_like_out_there(
    name: str, text: str, users: str, items: str, expected: list[list[int]], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(text.encode())
    data = read_interactions(tmp_path / name)
    assert data.user_ids == tuple(users.split())
    assert data.item_ids == tuple(items.split("|"))
    assert sequences(data) == expected
    assert data.name == name


def test_rows_of_all_orders_give_the_same_numbers(tmp_path: Path) -> None:
    lines = CSV.splitlines()
    again = read_interactions(written(tmp_path, "b.csv", "\n".join([lines[0], *lines[:0:-1]])))
    data = read_interactions(written(tmp_path, "a.csv", CSV))
    assert (again.user_ids, again.item_ids) == (data.user_ids, data.item_ids)
    assert sequences(again) == sequences(data)


@pytest.mark.parametrize(("name", "text"), [("log.inter", INTER), ("log.csv", CSV), ("log.txt", TXT)])
def test_indices_lead_back_to_the_ids_and_titles_are_the_ids(name: str, text: str, tmp_path: Path) -> None:
    data = read_interactions(str(written(tmp_path, name, text)))
    assert data.titles == data.item_ids
    assert [data.title(i) for i in range(1, data.num_items + 1)] == list(data.item_ids)
    assert [data.user_index(name) for name in data.user_ids] == list(range(len(data.user_ids)))
    assert sorted(data.table["item"].unique()) == list(range(1, data.num_items + 1))
    assert sorted(data.table["user"].unique()) == list(range(len(data.user_ids)))


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="timestamp"):
        read_interactions(written(tmp_path, "log.csv", "user,item\na,b\n"))
    with pytest.raises(ValueError, match="item_id"):
        read_interactions(written(tmp_path, "log.inter", "user_id:token\ttimestamp:float\n1\t2\n"))


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"log\.json"):
        read_interactions(written(tmp_path, "log.json", "{}"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_interactions(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.csv", "user,item,timestamp\n"),
        ("log.inter", "user_id:token\titem_id:token\ttimestamp:float\n"),
        ("log.txt", ""),
        ("log.txt", "\n\n"),
        ("log.csv", ""),
    ],
)
def test_a_file_without_an_interaction_is_refused(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        read_interactions(written(tmp_path, name, text))


def test_a_timestamp_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="yesterday"):
        read_interactions(written(tmp_path, "log.csv", "user,item,timestamp\na,b,yesterday\n"))


# --- MovieLens-100K ---


@pytest.fixture(scope="module")
def movielens() -> Interactions:
    return load_movielens()


def test_movielens_has_its_known_size(movielens: Interactions) -> None:
    assert len(movielens.table) == 100_000
    assert len(movielens.user_ids) == 943
    assert movielens.num_items == len(movielens.titles) == len(movielens.genres) == 1682
    assert movielens.table["user"].nunique() == 943
    assert (movielens.table["item"].min(), movielens.table["item"].max()) == (1, 1682)
    assert movielens.table["rating"].value_counts()[[1, 2, 3, 4, 5]].tolist() == [6110, 11370, 27145, 34174, 21201]


def test_movielens_is_in_file_order(movielens: Interactions) -> None:
    first = movielens.table.iloc[0]
    assert (first["user"], first["item"], first["timestamp"]) == (movielens.user_index("196"), 242, 881250949)


def test_movielens_films_have_titles_and_genres(movielens: Interactions) -> None:
    assert movielens.title(1) == "Toy Story (1995)"
    assert movielens.genres[0] == ("Animation", "Children's", "Comedy")
    assert movielens.title(50) == "Star Wars (1977)"
    assert all(movielens.titles)


def test_a_user_is_found_by_the_id_of_the_file(movielens: Interactions) -> None:
    assert movielens.user_index("42") == movielens.user_index(42) == 41
    assert movielens.user_ids[movielens.user_index("943")] == "943"


def test_an_unknown_user_is_named(movielens: Interactions) -> None:
    with pytest.raises(ValueError, match="'Toy Story'"):
        movielens.user_index("Toy Story")
    with pytest.raises(ValueError, match="944"):
        movielens.user_index(944)


def test_another_movielens_is_refused() -> None:
    with pytest.raises(ValueError, match="12q"):
        load_movielens("12q")


def test_a_folder_with_other_ratings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ml-100k").mkdir()
    written(tmp_path / "ml-100k", "ratings.csv", "user,item,rating,timestamp\n1,1,5,1\n")
    written(tmp_path / "ml-100k", "films.csv", "item,title,genres\n1,Toy Story (1995),Comedy\n")
    with pytest.raises(ValueError, match="not hold MovieLens-100K"):
        load_movielens(root=tmp_path)

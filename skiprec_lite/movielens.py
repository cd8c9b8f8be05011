"""The archives of MovieLens, each in its own layout, read into one form: ratings and films."""

import zipfile
from pathlib import Path

import pandas as pd

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
RATINGS = ["user", "item", "rating", "timestamp"]
Tables = tuple[pd.DataFrame, pd.DataFrame]
# Every reader takes a file and returns ratings (user, item, rating, timestamp; in file order) and films (item, title
# such as "Toy Story (1995)", genres joined by |, empty where a film has none).


def read_100k(archive: Path) -> Tables:
    """Read ml-100k.zip of GroupLens: tabs, one flag per genre, titles in ISO-8859-1."""
    with zipfile.ZipFile(archive) as files:
        ratings = pd.read_csv(files.open("ml-100k/u.data"), sep="\t", names=RATINGS)
        raw = pd.read_csv(files.open("ml-100k/u.item"), sep="|", encoding="latin-1", header=None, keep_default_na=False)
    genres = ["|".join(name for name, flag in zip(GENRES, row) if flag) for row in raw.iloc[:, 5:].to_numpy()]
    return ratings, pd.DataFrame({"item": raw[0], "title": raw[1].map(_one_spelling), "genres": genres})


def read_100k_wheel(wheel: Path) -> Tables:
    """Read MovieLens-100K from where it lies in the recbole wheel, whose titles have lost their year to a column."""
    with zipfile.ZipFile(wheel) as files:
        inside = "recbole/dataset_example/ml-100k/ml-100k"
        ratings = pd.read_csv(files.open(f"{inside}.inter"), sep="\t")
        raw = pd.read_csv(files.open(f"{inside}.item"), sep="\t", dtype=str, keep_default_na=False)
    ratings.columns = pd.Index(RATINGS)
    named = zip(raw["movie_title:token_seq"], raw["release_year:token"])
    titles = [_one_spelling(f"{title} ({year})" if year.isdigit() else title) for title, year in named]
    genres = raw["class:token_seq"].str.replace(" ", "|")
    return ratings, pd.DataFrame({"item": raw["item_id:token"].astype(int), "title": titles, "genres": genres})


def read_1m(archive: Path) -> Tables:
    """Read ml-1m.zip of GroupLens: fields joined by ::, titles in ISO-8859-1."""
    with zipfile.ZipFile(archive) as files:
        # A single colon is read ten times as fast as a pair, and leaves an empty column after each value.
        ratings = pd.read_csv(files.open("ml-1m/ratings.dat"), sep=":", header=None, usecols=[0, 2, 4, 6])
        lines = files.read("ml-1m/movies.dat").decode("latin-1").splitlines()
    ratings.columns = pd.Index(RATINGS)
    films = pd.DataFrame([line.split("::") for line in lines], columns=["item", "title", "genres"])
    return ratings, films.assign(item=films["item"].astype(int))


def read_20m(archive: Path) -> Tables:
    """Read ml-20m.zip of GroupLens: CSV with a header, UTF-8, commas in quoted titles."""
    small = {"userId": "int32", "movieId": "int32", "rating": "float32", "timestamp": "int64"}
    with zipfile.ZipFile(archive) as files:
        ratings = pd.read_csv(files.open("ml-20m/ratings.csv"), dtype=small)
        films = pd.read_csv(files.open("ml-20m/movies.csv"), keep_default_na=False)
    ratings.columns = pd.Index(RATINGS)
    films.columns = pd.Index(["item", "title", "genres"])
    return ratings, films.assign(genres=films["genres"].replace("(no genres listed)", ""))


def _one_spelling(title: str) -> str:
    """Both sources to one form: the archive marks a video with (V), the wheel misspells the unknown film."""
    return " ".join(title.replace("unkonwn", "unknown").removesuffix("(V)").split())

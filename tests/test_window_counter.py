"""The window counter beside lesson 04's twelve lines, and beside the table that the lessons read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import histories_log

from skiprec_lite import tables
from skiprec_lite.backbones import WindowCounter
from skiprec_lite.datasets import load_movielens
from skiprec_lite.evaluation import evaluate
from skiprec_lite.lab.plans import COUNTER_FOR_UNSEEN
from skiprec_lite.splits import last_n, leave_one_out
from skiprec_lite.windows import Split

LESSON = Path(__file__).resolve().parent.parent / "notebooks" / "04_next_item.ipynb"


@pytest.mark.parametrize("settings", [{}, {"reach": 3, "last": 2, "damp": 1.0, "fade": 0.0}, {"damp": 0.0}], ids=str)
def test_the_twelve_lines_of_lesson_04_are_the_window_counter(settings: dict[str, float]) -> None:
    """But for the millionth of popularity, which only orders what was never counted."""
    cells = json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
    (lines,) = ["".join(cell["source"]) for cell in cells if cell["id"] == "twelve-lines"]
    namespace: dict[str, Any] = {"np": np}
    exec(lines, namespace)
    histories = [[1, 2, 3, 4, 5, 6], [2, 3, 1, 4, 7, 2], [4, 3, 2, 1, 6, 5]]
    split, history = leave_one_out(histories_log(histories, num_items=8), length=8), [1, 2, 3, 4]
    model = WindowCounter(split, **settings)
    in_class = model(torch.tensor([history]))[0, -1, 1:] - 1e-6 * model.share[1:]
    found = namespace["window_scores"](split.sequences, history, split.num_items, **settings)
    assert found[1:].max() > 0
    assert np.abs(found[1:] - in_class.numpy()).max() < 1e-12


def test_a_catalogue_too_large_for_a_dense_table_is_scored_the_same() -> None:
    histories = torch.tensor([[1, 2, 3, 4], [0, 0, 5, 2]])
    small = leave_one_out(histories_log([[1, 2, 3, 4, 5, 6], [2, 3, 1, 4, 7, 2]], num_items=8), length=8)
    many = WindowCounter(replace(small, num_items=7_000))(histories)
    torch.testing.assert_close(many[..., :9], WindowCounter(small)(histories), rtol=1e-12, atol=0)
    assert not many[..., 9:].any()


@pytest.fixture(scope="module")
def last_ten() -> Split:
    return last_n(load_movielens(), 10)


@pytest.mark.parametrize(
    ("run", "settings", "expected"),
    [
        ("counter", {}, {"unseen": 0.1130, "all": 0.0800}),
        ("counter, chosen for unseen", COUNTER_FOR_UNSEEN, {"unseen": 0.1153, "all": 0.0740}),
    ],
    ids=["all", "unseen"],
)
def test_the_table_of_results_has_the_counters_that_lesson_04_judges(
    last_ten: Split, run: str, settings: dict[str, float], expected: dict[str, float]
) -> None:
    """Expected is what a dense table of counts found before this class was."""
    in_table = tables.read_table(tables.RESULTS / "models.csv").set_index("run")
    counter = WindowCounter(last_ten, **settings)
    for ranking, exclude_seen in {"unseen": True, "all": False}.items():
        found = evaluate(counter, last_ten.test, (10,), exclude_seen=exclude_seen)["ndcg@10"]
        assert found == pytest.approx(expected[ranking], abs=5.1e-5)
        assert found == pytest.approx(in_table.loc[run, f"ndcg@10 {ranking}"], abs=2e-5)

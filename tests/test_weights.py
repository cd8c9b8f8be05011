"""The committed weights are what their headers say."""

from pathlib import Path

import pytest

from skiprec_lite import checkpoints, evaluation, metrics, splits, synthetic, tables
from skiprec_lite.datasets import load_movielens
from skiprec_lite.lab import judging

WEIGHTS = sorted((tables.DATA / "weights").glob("*.safetensors"))


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda p: p.stem)
def test_the_header_tells_where_the_weights_come_from(path: Path) -> None:
    notes = checkpoints.notes(path)
    assert {"command", "version", "seed", "settings", "dataset"} <= notes.keys()
    assert path.stat().st_size < 3_000_000


@pytest.mark.parametrize("name", ["skiprec_ml100k", "full_depth_ml100k"])
def test_the_course_s_networks_score_what_their_headers_say_under_both_rankings(name: str) -> None:
    path = tables.DATA / "weights" / f"{name}.safetensors"
    model, notes, cases = checkpoints.load(path), checkpoints.notes(path), splits.last_n(load_movielens()).test
    for ranking, exclude_seen in (("unseen", True), ("all", False)):
        found = evaluation.evaluate(model, cases, exclude_seen=exclude_seen)
        for metric in ("ndcg@10", "hr@10", "mrr@5", "mrr@10"):
            assert found[metric] == pytest.approx(notes[f"{metric} {ranking}"], abs=1e-3)
    assert notes["ndcg@10 unseen"] > notes["ndcg@10 all"] + 0.03


def test_weights_say_what_they_were_trained_on() -> None:
    """So that `evaluate` can refuse to judge them on items that they have seen."""
    trained_on = judging.trained_on(splits.last_n(load_movielens()))
    assert trained_on != judging.trained_on(splits.leave_one_out(load_movielens()))
    for path in WEIGHTS:
        if (notes := checkpoints.notes(path))["dataset"] == "ml-100k":
            assert (notes["protocol"], notes["trained on"]) == ("last_n", trained_on)


def test_the_synthetic_skiprec_scores_what_its_header_says() -> None:
    path = tables.DATA / "weights" / "skiprec_synthetic.safetensors"
    model, notes = checkpoints.load(path), checkpoints.notes(path)
    world = synthetic.users_of_known_depth()
    cases = world.split().test
    ranks = evaluation.rank_cases(model, cases, exclude_seen=False)
    correct = evaluation.mean_per_user(metrics.hit_rate(ranks, 1), cases)
    for group, lag in enumerate(world.lags):
        accuracy = float(correct[world.group_of(cases) == group].mean())
        assert accuracy == pytest.approx(notes[f"accuracy, lag {lag}"], abs=1e-3)
        assert accuracy > 0.8

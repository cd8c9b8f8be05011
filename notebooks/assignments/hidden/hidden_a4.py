"""The hidden half of assignment 4: the same questions about adapters, on logs that no student has seen."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import grading


def _judged(choose: Callable[[ModuleType], Any], answer: Any, seeds: int) -> None:
    with grading.fresh_package():
        judge = choose(importlib.import_module("skiprec_course.assignments.a4"))
        grading.with_hidden_seeds(judge, answer, seeds)


def check(name: str, answer: Any, *, seeds: int = 3) -> None:
    """Judge an adapter that stands by itself: "make_split", "make_model"."""
    _judged(lambda module: getattr(module, f"check_{name}"), answer, seeds)


def load_data(answer: Any) -> None:
    """The student's own log, once more."""
    check("load_data", answer, seeds=1)


def scores(make_model: Any, answer: Any, *, seeds: int = 3) -> None:
    """`next_scores` of the student's own models."""
    _judged(lambda module: module.score_check(make_model), answer, seeds)


def train(make_model: Any, next_scores: Any, answer: Any) -> None:
    """`train_model` on another learnable log."""
    _judged(lambda module: module.train_check(make_model, next_scores), answer, 1)

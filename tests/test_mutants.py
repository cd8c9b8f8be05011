"""Deliberate errors are put into gumbel.py and estimators.py, one at a time: some unit test has to fail for each."""

import importlib
import sys
from pathlib import Path

import pytest
import torch
from catching import cases_in, first_to_fail, fixture_and_tests
from mutants import MUTANTS, MUTATED, ONLY_IN_THE_PACKAGE, in_force, rows_of, source_of

HERE = Path(__file__).resolve().parent
TEST_FILES = tuple(f"test_{module}" for module in MUTATED)
in_order, test_the_text_to_replace_occurs_exactly_once, test_a_unit_test_catches = fixture_and_tests(
    MUTANTS, TEST_FILES
)


def test_the_source_as_it_is_passes_and_no_case_is_forgotten(in_order: list[str]) -> None:
    """Or a failure under an error would mean nothing."""
    for name in TEST_FILES:
        tests = [line for line in (HERE / f"{name}.py").read_text(encoding="utf-8").splitlines() if "def test_" in line]
        assert len({n.split("[")[0] for n in in_order if n.startswith(name)}) == len(tests) > 20


def test_there_are_enough_errors_and_no_two_are_the_same() -> None:
    assert len(rows_of(*MUTATED)) >= 100
    assert {m.error for m in MUTANTS} >= ONLY_IN_THE_PACKAGE
    assert len({source_of(m.module).replace(m.old, m.new) for m in MUTANTS}) == len(MUTANTS)


def test_an_error_is_in_force_only_inside() -> None:
    def state() -> list[object]:
        names = ("skiprec_lite.gumbel", "skiprec_lite.estimators")
        found = [importlib.import_module("skiprec_lite"), *map(importlib.import_module, names)]
        return [*found, found[0].gumbel, found[0].estimators, found[1].sample_gumbel, found[2].gumbel_softmax]

    def fail_inside() -> None:
        with in_force(MUTANTS[0]):
            assert all(now is not then for now, then in zip(state(), before, strict=True))
            raise RuntimeError("inside")

    before, stream, finders = state(), torch.get_rng_state(), list(sys.meta_path)
    first_to_fail(MUTANTS[0], ["test_gumbel::test_noise_of_an_integer_type_is_refused[0]"])
    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert all(now is then for now, then in zip(state(), before, strict=True))
    assert torch.equal(torch.get_rng_state(), stream)
    assert sys.meta_path == finders


def test_no_type_check_helps_to_catch() -> None:
    """What the session hooks into its imports refuses a wrong type; under an error only the tests count."""
    from skiprec_lite.tables import read_table as checked

    with in_force(None):
        from skiprec_lite.tables import read_table

    for function, types_are_checked in ((checked, True), (read_table, False)):
        with pytest.raises(Exception, match="Type-check error" if types_are_checked else "no attribute 'read_bytes'"):
            function("a text, not a path")


def test_a_class_is_the_same_to_who_makes_it_and_to_who_takes_it() -> None:
    import helpers as outside

    with in_force(None):
        import helpers

        from skiprec_lite import blocks, splits, training, windows
        from skiprec_lite.backbones import baselines, nextitnet

        assert helpers.Split is windows.Split is splits.Split is baselines.Split is training.Split
        assert helpers.ResidualBlock is blocks.ResidualBlock is nextitnet.ResidualBlock
    assert helpers is not outside is sys.modules["helpers"]


def test_what_a_case_needs_beyond_its_parameters_is_given_or_the_case_is_left_out() -> None:
    files = cases_in("test_training")
    assert "test_training::test_positions_before_the_cut_are_not_trained_on[0]" in files  # monkeypatch
    assert not [name for name in files if "progress_bar" in name]  # capsys
    assert not [name for name in cases_in("test_backbones") if "movielens" in name]

"""Deliberate errors are put into what lessons 04 to 07 build, one at a time: some unit test has to fail for each."""

from collections import Counter

from catching import fixture_and_tests
from mutants import home_of, source_of
from mutants_networks import MUTANTS, MUTATED

TEST_FILES = (*(f"test_{module}" for module in MUTATED), "test_running_products")
in_order, test_the_text_to_replace_occurs_exactly_once, test_a_unit_test_catches = fixture_and_tests(
    MUTANTS, TEST_FILES
)


def test_there_are_enough_errors_in_each_module_and_no_two_are_the_same() -> None:
    assert min(Counter(home_of(m.module) for m in MUTANTS)[module] for module in MUTATED) >= 20
    assert len({source_of(m.module).replace(m.old, m.new) for m in MUTANTS}) == len(MUTANTS)


def test_all_test_files_take_part(in_order: list[str]) -> None:
    counts = Counter(name.split("::")[0] for name in in_order)
    assert all(counts[f"test_{module}"] > 20 for module in MUTATED)
    assert counts["test_running_products"] >= 8

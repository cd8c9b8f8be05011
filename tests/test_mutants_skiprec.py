"""Deliberate errors are put into what lessons 08 to 13 build, one at a time: some unit test has to fail for each."""

from collections import Counter

import mutants_networks
from catching import fixture_and_tests
from mutants import home_of, source_of
from mutants_skiprec import MUTANTS, MUTATED

TEST_FILES = (*(f"test_{module.split('.')[-1]}" for module in MUTATED), "test_blocks", "test_skiprec_gates")
in_order, test_the_text_to_replace_occurs_exactly_once, test_a_unit_test_catches = fixture_and_tests(
    MUTANTS, TEST_FILES
)


def test_there_are_enough_errors_in_each_module_and_no_two_are_the_same() -> None:
    """Nor the same as one of lessons 04 to 07."""
    counts = Counter(home_of(m.module) for m in (*MUTANTS, *mutants_networks.MUTANTS))
    assert min(counts[module] for module in MUTATED) >= 8
    assert min(counts[module] for module in ("policy", "skiprec", "training", "policy_gradient")) >= 15
    wrong = [source_of(m.module).replace(m.old, m.new) for m in (*MUTANTS, *mutants_networks.MUTANTS)]
    assert len(set(wrong)) == len(wrong)


def test_all_test_files_take_part(in_order: list[str]) -> None:
    counts = Counter(name.split("::")[0] for name in in_order)
    assert all(counts[file] > 5 for file in TEST_FILES), counts

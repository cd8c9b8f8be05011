"""The rows that lesson 06 trains on when every prefix brings its whole past."""

import numpy as np
import torch
from helpers import histories_log

from skiprec_course.nextitnet import prefixes
from skiprec_lite import splits


def test_each_row_of_whole_pasts_is_what_stood_before_its_target() -> None:
    histories = [list(range(1, 15)), list(range(20, 0, -1))]
    split = splits.last_n(histories_log(histories, 20), n=3)
    windows = prefixes._whole_pasts(split, width=5)
    pairs = [(s, end) for s in split.sequences for end in range(1, len(s))]
    assert len(windows) == len(pairs) == 7 + 13  # without the three of test, the three of validation
    for row, (sequence, end) in enumerate(pairs):
        newest = sequence[max(0, end - 5) : end]
        np.testing.assert_array_equal(windows.items[row], [0] * (5 - len(newest)) + list(newest))
        assert windows.targets[row].nonzero().tolist() == [[4]]
        assert windows.targets[row, -1] == sequence[end]
    assert torch.equal(windows.scored(), windows.targets > 0)

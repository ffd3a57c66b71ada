"""Lengths of time in words."""

import pytest

from pml_potential.benchmark.data.duration import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (3661, "1 h 1 min"),
        (100 * 3600 + 59, "100 h"),
    ],
)
def test_the_two_largest_units_are_said(seconds: float, words: str) -> None:
    assert duration(seconds) == words

"""Results come in order, and no more of them are computed than are asked for, a few apart."""

import itertools
import os

import pytest

from pml_potential.benchmark.data.ahead_of_time import ahead_of_time


def test_results_are_in_the_order_of_the_numbers() -> None:
    assert list(ahead_of_time(lambda number: -number, range(1000))) == [-each for each in range(1000)]


def test_only_a_few_are_computed_ahead() -> None:
    begun: list[int] = []
    results = ahead_of_time(begun.append, itertools.count())
    next(results)
    assert len(begun) <= 16 * (os.cpu_count() or 1)


def test_an_error_comes_where_its_result_would() -> None:
    results = ahead_of_time(lambda number: 1 // (2 - number), range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)

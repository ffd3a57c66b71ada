from itertools import combinations, product
from math import prod

import pytest

from tests.pairwise import pairwise

each_size = pytest.mark.parametrize(
    "sizes",
    [(1, 1), (2, 3), (3, 3, 3), (1, 4, 1), (2, 2, 2, 2, 2), (10, 2, 12, 2), (2, 3, 4, 5)],
    ids=str,
)


@each_size
def test_every_two_values_of_every_two_parameters_meet(sizes: tuple[int, ...]) -> None:
    chosen = pairwise(*map(range, sizes))
    for first, second in combinations(range(len(sizes)), 2):
        met = {(row[first], row[second]) for row in chosen}
        assert met == set(product(range(sizes[first]), range(sizes[second])))


@each_size
def test_combinations_are_few_and_none_comes_twice(sizes: tuple[int, ...]) -> None:
    chosen = pairwise(*map(range, sizes))
    largest, next_largest = sorted(sizes)[:-3:-1]
    assert len(set(chosen)) == len(chosen) <= min(prod(sizes), 2 * largest * next_largest)


def test_values_are_handed_on_as_they_are() -> None:
    values = [[1], {2}]
    assert all(row[0] in values and row[1] is None for row in pairwise(values, [None]))


@pytest.mark.parametrize("parameters", [(), ("ab",), ("ab", "")])
def test_parameters_that_make_no_pair_are_refused(parameters: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="they must be two or more, each with a value"):
        pairwise(*parameters)

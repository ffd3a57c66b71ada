"""Combinations of parameters in which every two values of every two parameters meet at least once.

Most faults show with one value or with two together: these combinations find them, and are far fewer
than all.
"""

from collections.abc import Collection
from itertools import combinations, product
from typing import Any


def pairwise(*parameters: Collection[Any]) -> list[tuple[Any, ...]]:
    """Choose combinations greedily, always the same ones for the same parameters.

    Args:
        *parameters: the values of each parameter, at least two parameters of at least one value.

    Examples:
        >>> pairwise([1, 2], "ab", [True, False])
        [(1, 'a', True), (1, 'b', False), (2, 'a', False), (2, 'b', True)]
    """
    if len(parameters) < 2 or not all(parameters):
        raise ValueError(f"parameters are {parameters}; they must be two or more, each with a value")
    sizes = [len(values) for values in parameters]
    spots = [[(place, index) for index in range(size)] for place, size in enumerate(sizes)]
    unmet = {pair: None for two in combinations(spots, 2) for pair in product(*two)}
    chosen: list[tuple[Any, ...]] = []
    while unmet:
        row = dict(next(iter(unmet)))
        for place in (place for place in range(len(sizes)) if place not in row):
            met = [sum(_pair(spot, other) in unmet for other in row.items()) for spot in spots[place]]
            # Among equals the values take turns, so that none is met by the same ones only.
            turns = [(count, -((index - len(chosen)) % len(met))) for index, count in enumerate(met)]
            row[place] = turns.index(max(turns))
        for two in combinations(sorted(row.items()), 2):
            unmet.pop(two, None)
        chosen.append(tuple(list(values)[row[place]] for place, values in enumerate(parameters)))
    return chosen


def _pair(spot: tuple[int, int], other: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((spot, other)))

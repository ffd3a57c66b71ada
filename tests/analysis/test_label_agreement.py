import math

import numpy as np
import pytest

from pml_potential.analysis.label_agreement import label_agreement


def test_shares_and_suggestions_are_those_of_a_plain_loop() -> None:
    generator = np.random.default_rng(0)
    labels, neighbors = generator.integers(0, 4, 80), generator.integers(-1, 4, (80, 7))
    found = label_agreement(labels, neighbors)
    for row in range(80):
        counting = [each for each in neighbors[row].tolist() if each >= 0]
        own = labels[row].item()
        assert found.share[row] == counting.count(own) / len(counting)
        others = [each for each in counting if each != own]
        expected = max(sorted(set(others)), key=others.count) if others else own
        assert found.suggestion[row] == expected
        assert found.support[row] == counting.count(expected) / len(counting)
    keys = [(found.share[row], -found.support[row]) for row in found.order]
    assert keys == sorted(keys)


def test_an_image_without_neighbours_comes_last_and_suggests_nothing() -> None:
    found = label_agreement([2, 0], [[-1, -1], [0, 0]])
    assert math.isnan(found.share[0])
    assert found.suggestion.tolist() == [2, 0]
    assert found.order.tolist() == [1, 0]


def test_neighbours_of_one_other_class_weigh_more_than_of_many() -> None:
    assert label_agreement([0, 0], [[1, 2, 3], [1, 1, 1]]).order.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "neighbors", "message"),
    [
        ([0], [[0], [1]], r"labels have the shape \(1,\) and the dtype int64, neighbors \(2, 1\)"),
        ([0], [0], r"of the shapes \(n,\) and \(n, k\)"),
        ([0.5], [[0]], "dtype float64"),
        ([-1], [[0]], "the smallest of labels is -1 and of neighbors 0"),
        ([0], [[-2]], "the smallest of labels is 0 and of neighbors -2"),
    ],
)
def test_what_makes_no_sense_is_refused(labels: object, neighbors: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        label_agreement(labels, neighbors)  # type: ignore[arg-type]


def test_nothing_gives_nothing() -> None:
    found = label_agreement(np.zeros(0, int), np.zeros((0, 3), int))
    assert found.order.shape == found.share.shape == (0,)

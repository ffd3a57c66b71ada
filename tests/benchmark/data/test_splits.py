"""The splits of the protocol: by class, in blocks, each image in its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pml_potential.benchmark.data.splits import class_disjoint_splits

Labels = NDArray[np.int64]


def classes_of(labels: Labels, part: NDArray[np.int64]) -> list[int]:
    return sorted(set(labels[part].tolist()))


def test_folds_of_sixteen_classes_are_those_of_the_protocol() -> None:
    labels = np.arange(16).repeat(3)
    splits = class_disjoint_splits(labels, folds=4)
    validation = [classes_of(labels, fold.validation) for fold in splits.folds]
    train = [classes_of(labels, fold.train) for fold in splits.folds]
    assert validation == [[6, 7], [0, 1], [2, 3], [4, 5]]
    assert train == [
        [0, 1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6, 7],
        [0, 1, 4, 5, 6, 7],
        [0, 1, 2, 3, 6, 7],
    ]
    assert classes_of(labels, splits.test) == list(range(8, 16))


def test_order_of_the_images_does_not_matter() -> None:
    labels = np.arange(16).repeat(3)
    order = np.random.default_rng(0).permutation(len(labels))
    straight, shuffled = (class_disjoint_splits(each, 4) for each in (labels, labels[order]))
    assert set(order[shuffled.test]) == set(straight.test)
    for fold, same in zip(straight.folds, shuffled.folds, strict=True):
        assert set(order[same.train]) == set(fold.train)
        assert set(order[same.validation]) == set(fold.validation)


def test_numbers_of_classes_need_not_be_contiguous() -> None:
    labels = np.array([900, -5, 17, 3, 3, 17, -5, 900, 40, 41, 42, 43], dtype=np.int64)
    splits = class_disjoint_splits(labels, folds=2)
    assert [classes_of(labels, fold.validation) for fold in splits.folds] == [[17, 40], [-5, 3]]
    assert classes_of(labels, splits.test) == [41, 42, 43, 900]


@pytest.mark.parametrize(("classes", "test"), [(17, 9), (16, 8), (200, 100), (201, 101)])
def test_the_test_set_has_the_second_half_and_the_odd_class(classes: int, test: int) -> None:
    assert len(class_disjoint_splits(np.arange(classes), 4).test) == test


@pytest.mark.parametrize(("classes", "folds"), [(0, 2), (7, 2), (15, 4), (39, 10)])
def test_too_few_classes_are_refused_with_the_number_that_is_needed(classes: int, folds: int) -> None:
    with pytest.raises(ValueError, match=rf"{classes} classes.*at least {4 * folds}"):
        class_disjoint_splits(np.arange(classes), folds)


@pytest.mark.parametrize("folds", [2, 4, 10])
def test_the_smallest_number_of_classes_does(folds: int) -> None:
    splits = class_disjoint_splits(np.arange(4 * folds), folds)
    assert [len(fold.validation) for fold in splits.folds] == [2] * folds


@settings(max_examples=60, deadline=None)
@given(
    folds=st.integers(2, 6),
    spare=st.integers(0, 9),
    seed=st.integers(0, 2**31),
    largest=st.integers(1, 5),
)
def test_every_split_is_by_class_and_complete(folds: int, spare: int, seed: int, largest: int) -> None:
    random = np.random.default_rng(seed)
    numbers = random.choice(10_000, size=4 * folds + spare, replace=False) - 5_000
    labels = random.permutation(numbers.repeat(random.integers(1, largest + 1, len(numbers))))
    splits = class_disjoint_splits(labels, folds)
    ordered = sorted(numbers.tolist())
    half = len(ordered) // 2

    assert classes_of(labels, splits.test) == ordered[half:]
    blocks = [classes_of(labels, fold.validation) for fold in splits.folds]
    assert [each for block in blocks[1:] + blocks[:1] for each in block] == ordered[:half]
    sizes = [len(block) for block in blocks]
    assert max(sizes) - min(sizes) <= 1
    for fold in splits.folds:
        parts = [fold.train, fold.validation, splits.test]
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
        classes = [set(labels[part].tolist()) for part in parts]
        assert sum(len(each) for each in classes) == len(set.union(*classes))

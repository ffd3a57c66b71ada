"""A large test set is looked at in part, by whole classes where that is possible."""

import numpy as np
import pytest

from pml_potential.benchmark.report import sampled_images as sampling
from pml_potential.benchmark.report.sampled_images import one_of_each_class, sampled_images


def test_a_small_test_set_is_looked_at_whole() -> None:
    assert sampled_images(np.arange(200) % 7).tolist() == list(range(200))


def test_a_large_test_set_is_sampled_by_whole_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_IMAGES", 50)
    labels = np.arange(20).repeat(20)
    chosen = labels[sampled_images(labels)]
    assert sorted((chosen == label).sum() for label in set(chosen.tolist())) == [20, 20]


def test_of_classes_that_are_large_a_part_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_IMAGES", 50)
    monkeypatch.setattr(sampling, "_MOST_OF_A_CLASS", 5)
    labels = np.tile(np.arange(3), 60)
    chosen = labels[sampled_images(labels)]
    assert [(chosen == label).sum() for label in range(3)] == [5, 5, 5]


@pytest.mark.parametrize("gap", [0, 5])
def test_labels_may_begin_anywhere(monkeypatch: pytest.MonkeyPatch, gap: int) -> None:
    monkeypatch.setattr(sampling, "MOST_IMAGES", 50)
    labels = np.arange(20).repeat(20) + gap
    assert len(sampled_images(labels)) == 40


def test_each_class_has_one_of_its_images() -> None:
    labels = np.array([3, 1, 1, 3, 7, 1])
    found = one_of_each_class(labels)
    assert labels[found].tolist() == [1, 3, 7]
    assert found.tolist() == one_of_each_class(labels).tolist()

from typing import Any

import numpy as np
import pytest
import torch

from pml_potential.analysis import corrupt_labels

LABELS = np.repeat(np.arange(5), 200)


@pytest.mark.parametrize(
    ("count", "fraction", "changed"),
    [(1000, 0.2, 200), (1000, 0.0, 0), (1000, 1.0, 1000), (7, 0.2, 1), (7, 0.5, 4), (2, 0.2, 0)],
)
def test_exactly_the_rounded_fraction_of_labels_changes(
    count: int, fraction: float, changed: int
) -> None:
    labels = np.arange(count) % 2
    assert (corrupt_labels(labels, fraction, seed=3) != labels).sum() == changed


def test_every_other_class_is_equally_likely() -> None:
    noisy = corrupt_labels(np.repeat(np.arange(5), 4000), 1.0, seed=0)
    for own, part in enumerate(noisy.reshape(5, 4000)):
        counts = np.bincount(part, minlength=5)
        assert counts[own] == 0
        # Five standard deviations of a binomial with n = 4000 and p = 1/4.
        assert np.abs(np.delete(counts, own) - 1000).max() < 5 * (4000 * 0.25 * 0.75) ** 0.5


def test_every_image_is_equally_likely() -> None:
    changed = np.mean([corrupt_labels(LABELS, 0.2, seed) != LABELS for seed in range(400)], axis=0)
    assert np.abs(changed - 0.2).max() < 5 * (0.2 * 0.8 / 400) ** 0.5


def test_the_seed_decides_and_the_input_stays() -> None:
    labels = LABELS.copy()
    first = corrupt_labels(labels, 0.2, seed=1)
    assert (labels == LABELS).all()
    assert (corrupt_labels(labels, 0.2, seed=1) == first).all()
    assert (corrupt_labels(labels, 0.2, seed=2) != first).any()


def test_the_draw_is_that_of_earlier_versions() -> None:
    assert corrupt_labels([0, 0, 1, 1, 2, 2, 3, 3], 0.5, seed=7).tolist() == [0, 0, 1, 2, 3, 2, 0, 0]


def test_labels_keep_their_names() -> None:
    noisy = corrupt_labels([-3, 70, 70, 9], 1.0, seed=0)
    assert set(noisy.tolist()) <= {-3, 9, 70}
    assert (noisy != [-3, 70, 70, 9]).all()


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_labels_may_be_a_list_an_array_or_a_tensor(kind: Any) -> None:
    assert (corrupt_labels(kind(LABELS.tolist()), 0.2, 0) == corrupt_labels(LABELS, 0.2, 0)).all()


def test_no_label_and_one_class_without_noise_are_fine() -> None:
    assert corrupt_labels([], 0.2, 0).tolist() == []
    assert corrupt_labels([4, 4, 4], 0.0, 0).tolist() == [4, 4, 4]


def test_a_single_class_has_no_other_label_to_offer() -> None:
    with pytest.raises(ValueError, match="labels hold only the class 4"):
        corrupt_labels([4, 4, 4], 0.5, 0)


@pytest.mark.parametrize(
    ("labels", "fraction", "seed", "message"),
    [
        ([0, 1], 1.5, 0, r"fraction is 1.5; it must lie in \[0, 1\]"),
        ([0, 1], float("nan"), 0, "fraction is nan"),
        ([0, 1], 0.5, -1, "seed is -1; it must be at least 0"),
        ([[0, 1]], 0.5, 0, r"labels have the shape \(1, 2\)"),
        ([0.5, 1.0], 0.5, 0, "the dtype float64; they must be integers"),
    ],
)
def test_bad_input_is_refused(labels: Any, fraction: float, seed: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corrupt_labels(labels, fraction, seed)

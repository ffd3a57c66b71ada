from __future__ import annotations

import numpy as np

from pml_potential.benchmark.data.datasets.digits import load_digits


def test_digits_are_those_of_scikit_learn_in_full_contrast() -> None:
    digits = load_digits()
    assert digits.images.shape == (1797, 8, 8)
    assert digits.class_names == tuple("0123456789")
    assert digits.labels[:10].tolist() == list(range(10))
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits.images.max() == 255
    assert len(np.unique(digits.images)) == 17
    assert digits.images[0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


def test_the_content_is_the_same_everywhere() -> None:
    assert load_digits().sha256[:16] == "952139d561fa3c92"

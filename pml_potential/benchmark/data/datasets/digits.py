"""The data set `digits`: 1797 handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from pml_potential.benchmark.data.datasets.entry import DatasetEntry
from pml_potential.benchmark.data.images import ImageArrays


def load_digits() -> ImageArrays:
    """Loads the test part of the UCI data set "Optical Recognition of Handwritten Digits".

    Returns:
        1797 images of shape (8, 8), white ink on black in 17 grey levels; the classes are "0" to "9".

    Examples:
        >>> digits = load_digits()
        >>> digits.images.shape, digits.class_names[:2]
        ((1797, 8, 8), ('0', '1'))
    """
    # Importing scikit-learn takes a second, which the other data sets avoid.
    from sklearn.datasets import load_digits as load_from_sklearn

    arrays = load_from_sklearn()
    return ImageArrays(
        name="digits",
        images=np.round(arrays.images * (255 / 16)).astype(np.uint8),
        labels=arrays.target.astype(np.int64),
        class_names=tuple(str(digit) for digit in range(10)),
    )


ENTRY = DatasetEntry(
    name="digits",
    title="Digits",
    source="packaged",
    load=lambda _dataset: load_digits(),
    images=1797,
    classes=10,
    paper="Alpaydin and Kaynak, Cascading classifiers, Kybernetika 1998",
    home="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    licence="CC BY 4.0",
    advice="it comes with scikit-learn and needs no download",
)

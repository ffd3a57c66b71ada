"""What tests of lists of images ask and change."""

from pathlib import Path

import numpy as np

from pml_potential.benchmark.data.image_files import ImageFiles


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text in a file, which must be there, once."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def classes_of(images: ImageFiles, part: str) -> list[str]:
    """Names of the classes that a part of the published division has."""
    assert images.division is not None
    return [images.class_names[label] for label in np.unique(images.labels[images.division == part])]


def has_first_half_for_training(images: ImageFiles, classes: int) -> bool:
    """Whether the published division is that of zero-shot retrieval."""
    assert images.division is not None
    training = images.division == "train"
    return len(images.class_names) == classes and bool(
        (training == (images.labels < classes // 2)).all()
    )

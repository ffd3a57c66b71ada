"""Caltech-UCSD Birds-200-2011 from files in the original layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytorch_metric_learning.datasets import CUB

from pml_potential.benchmark.datasets.image_files import ImageFiles
from pml_potential.benchmark.datasets.layout import LayoutError, download_advice, reading, require_files

TITLE = "CUB-200-2011"
FOLDER = "CUB_200_2011"
FILES = (f"{FOLDER}/images.txt", f"{FOLDER}/image_class_labels.txt", f"{FOLDER}/images")
LAST_TRAINING_CLASS = 100


def load_cub200(root: Path) -> ImageFiles:
    """Loads the lists of CUB-200-2011: 11,788 images of 200 species of birds.

    Args:
        root: The folder that holds ``CUB_200_2011``, or that folder itself.

    Returns:
        The images in the order of ``images.txt``. Classes 1 to 100 are the part "train", the others
        "test": the division of zero-shot retrieval, not that of ``train_test_split.txt``.

    Raises:
        LayoutError: If a list is missing or damaged.
    """
    if root.name == FOLDER and (root / "images.txt").exists():
        root = root.parent
    require_files(root, FILES, TITLE, download_advice("cub200", root))
    with reading(root, TITLE):
        listed = len((root / FOLDER / "images.txt").read_text(encoding="utf-8").splitlines())
        published = CUB(str(root), download=False)
        paths = tuple(Path(path) for path in published.paths)
        # PML leaves out lines whose image numbers differ between the two lists.
        if len(paths) != listed:
            raise LayoutError(
                f"{root / FILES[0]} lists {listed} images, but only {len(paths)} of them have a class "
                f"from 1 to 200 in {Path(FILES[1]).name}; get both again"
            )
        numbers, labels = np.unique(published.labels, return_inverse=True)
        # Folders are called "001.Black_footed_Albatross", so their order is that of the numbers.
        names = {number: path.parent.name for number, path in zip(published.labels, paths, strict=True)}
        return ImageFiles(
            name="cub200",
            paths=paths,
            root=root,
            labels=labels.astype(np.int64),
            class_names=tuple(names[number] for number in numbers.tolist()),
            parts=np.where(np.array(published.labels) <= LAST_TRAINING_CLASS, "train", "test"),
        )

"""Caltech-UCSD Birds-200-2011 from files in the original layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytorch_metric_learning.datasets import CUB

from pml_potential.benchmark.data.datasets.entry import DatasetEntry, root_of
from pml_potential.benchmark.data.datasets.layout import (
    LayoutError,
    download_advice,
    is_there,
    reading,
    require_files,
)
from pml_potential.benchmark.data.image_files import ImageFiles

TITLE = "CUB-200-2011"
FOLDER = "CUB_200_2011"
FILES = (f"{FOLDER}/images.txt", f"{FOLDER}/image_class_labels.txt", f"{FOLDER}/images")
LAST_TRAINING_CLASS = 100


def load_cub200(root: Path) -> ImageFiles:
    """Loads the lists of CUB-200-2011: 11,788 images of 200 species of birds.

    Args:
        root: The folder that holds ``CUB_200_2011``, or that folder itself.

    Returns:
        The images in the order of ``images.txt``. Classes 1 to 100 are for "train", the others
        for "test": the division of zero-shot retrieval, not that of ``train_test_split.txt``.

    Raises:
        LayoutError: If a list is missing or damaged.
    """
    if root.name == FOLDER and is_there(root / "images.txt"):
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
            division=np.where(np.array(published.labels) <= LAST_TRAINING_CLASS, "train", "test"),
        )


ENTRY = DatasetEntry(
    name="cub200",
    title=TITLE,
    source="download",
    load=lambda dataset: load_cub200(root_of(dataset)),
    takes=("root",),
    images=11_788,
    classes=200,
    division={"train": (5_864, 100), "test": (5_924, 100)},
    mlrc_halves=True,
    paper="Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001",
    home="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    licence="non-commercial research and education; the photographers keep their rights",
    url=CUB.DOWNLOAD_URL,
    checksum="md5:97eceeb196236b17998738112f37df78",
)

"""Cars-196 from files in the original layout, or in that of the copy that PML downloads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytorch_metric_learning.datasets import Cars196

from pml_potential.benchmark.data.datasets.entry import DatasetEntry, root_of
from pml_potential.benchmark.data.datasets.layout import (
    LayoutError,
    download_advice,
    is_there,
    reading,
    require_files,
)
from pml_potential.benchmark.data.image_files import ImageFiles

TITLE = "Cars-196"
COPY_FILES = ("names.csv", "anno_train.csv", "anno_test.csv", "car_data/car_data")
ORIGINAL_LIST = "cars_annos.mat"
ORIGINAL_FILES = (ORIGINAL_LIST, "car_ims")
LAST_TRAINING_CLASS = 98


def load_cars196(root: Path) -> ImageFiles:
    """Loads the lists of Cars-196: 16,185 images of 196 models of cars.

    Args:
        root: Of either layout: the original one, ``cars_annos.mat`` and ``car_ims``; or that of the
            copy that can still be downloaded, ``names.csv``, ``anno_train.csv``, ``anno_test.csv``
            and ``car_data/car_data``.

    Returns:
        The images in the order of the lists. Classes 1 to 98 are for "train", the others
        for "test": the division of zero-shot retrieval, not that of the folders.

    Raises:
        LayoutError: If a list is missing or damaged.
    """
    original = is_there(root / ORIGINAL_LIST) or is_there(root / "car_ims")
    require_files(
        root, ORIGINAL_FILES if original else COPY_FILES, TITLE, download_advice("cars196", root)
    )
    with reading(root, TITLE):
        numbers, paths, names = _original_lists(root) if original else _copied_lists(root)
        classes, labels = np.unique(numbers, return_inverse=True)
        return ImageFiles(
            name="cars196",
            paths=tuple(paths),
            root=root,
            labels=labels.astype(np.int64),
            class_names=tuple(names[number] for number in classes.tolist()),
            division=np.where(np.array(numbers) <= LAST_TRAINING_CLASS, "train", "test"),
        )


def _copied_lists(root: Path) -> tuple[list[int], list[Path], dict[int, str]]:
    published = Cars196(str(root), download=False)
    paths = [Path(path) for path in published.paths]
    names = {number: path.parent.name for number, path in zip(published.labels, paths, strict=True)}
    return published.labels, paths, names


def _original_lists(root: Path) -> tuple[list[int], list[Path], dict[int, str]]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        lists = loadmat(root / ORIGINAL_LIST, squeeze_me=True)
    except MatReadError as error:
        raise LayoutError(f"{root / ORIGINAL_LIST} is damaged ({error}); get it again") from error
    annotations = np.atleast_1d(lists["annotations"])
    numbers = [int(number) for number in annotations["class"]]
    paths = [root / str(path) for path in annotations["relative_im_path"]]
    names = np.atleast_1d(lists["class_names"]).tolist()
    for number in numbers:
        if not 1 <= number <= len(names):
            raise LayoutError(
                f"{root / ORIGINAL_LIST} has an image of class {number}, but names for classes 1 to "
                f"{len(names)}; get it again"
            )
    # The copy has a folder for each class, and no folder can have the name "Ram C/V Cargo Van".
    return numbers, paths, {number: names[number - 1].replace("/", "-") for number in numbers}


ENTRY = DatasetEntry(
    name="cars196",
    title=TITLE,
    source="download",
    load=lambda dataset: load_cars196(root_of(dataset)),
    takes=("root",),
    images=16_185,
    classes=196,
    division={"train": (8_054, 98), "test": (8_131, 98)},
    mlrc_halves=True,
    paper="Krause et al., 3D Object Representations for Fine-Grained Categorization, 3dRR 2013",
    home="its page and original files are gone; the link is to a copy in another layout",
    licence="non-commercial research",
    url=Cars196.DOWNLOAD_URL,
)

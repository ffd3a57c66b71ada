"""A data set of one's own: a folder of images for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pml_potential.benchmark.data.datasets.entry import DatasetEntry, root_of
from pml_potential.benchmark.data.datasets.layout import LayoutError, reading, require_files
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.image_reading import is_image_name
from pml_potential.benchmark.data.labelling import DIVISION, number_classes

TITLE = "a folder of images for each class"
ADVICE = "give the folder that holds a folder of images for each class as dataset.root"


def load_folder(root: Path) -> ImageFiles:
    """Loads images that lie in one folder a class, named after the class.

    If all folders below the root are called "train", "test", "query" or "gallery" and hold folders
    themselves, these are the division, and the classes are one level deeper: ``ROOT/train/cat/1.jpg``.
    Query and gallery must come together. A class that lies in several of them is one class.

    Hidden files, and files whose suffix is no image's, are passed over.

    Args:
        root: The folder.

    Returns:
        The images in the order of division, class and file name.

    Raises:
        LayoutError: If there is no class, a class has no image, or an image lies deeper or less deep
            than the others.

    Examples:
        >>> load_folder(Path("nowhere"))
        Traceback (most recent call last):
        ...
        pml_potential.benchmark.data.datasets.layout.LayoutError: the folder nowhere of a folder of
        images for each class does not exist; give the folder that holds ...
    """
    require_files(root, [], TITLE, ADVICE)
    with reading(root, TITLE):
        divided = _division(root)
        rows: list[tuple[Path, str, str]] = []
        for split in divided or [""]:
            rows += [(path, class_name, split) for path, class_name in _classes(root / split)]
        labels, class_names = number_classes([class_name for _, class_name, _ in rows])
        return ImageFiles(
            name="folder",
            paths=tuple(path for path, _, _ in rows),
            root=root,
            labels=labels,
            class_names=class_names,
            division=np.array([split for _, _, split in rows]) if divided else None,
        )


def _division(root: Path) -> list[str]:
    """Gives what the folders below the root are for, or nothing if they are the classes."""
    folders = _folders(root)
    names = [folder.name for folder in folders]
    if not folders or not set(names) <= set(DIVISION) or not all(_folders(folder) for folder in folders):
        return []
    if ("query" in names) != ("gallery" in names):
        raise LayoutError(
            f"{root} holds the parts {', '.join(names)}; query and gallery must come together"
        )
    _refuse_loose_images(root)
    return [split for split in DIVISION if split in names]


def _classes(folder: Path) -> list[tuple[Path, str]]:
    """Lists the images of all classes of a folder, each with the name of its class."""
    _refuse_loose_images(folder)
    class_folders = _folders(folder)
    if not class_folders:
        raise LayoutError(f"{folder} holds no folder; {ADVICE}")
    rows = []
    for class_folder in class_folders:
        deeper = _folders(class_folder)
        if deeper:
            raise LayoutError(
                f"{class_folder} is the folder of a class, but holds the folder {deeper[0].name!r}; "
                "images must lie in the folder of their class itself"
            )
        images = [path for path in _visible(class_folder) if is_image_name(path)]
        if not images:
            raise LayoutError(f"the class {class_folder} holds no image; remove the folder or fill it")
        rows += [(image, class_folder.name) for image in images]
    return rows


def _refuse_loose_images(folder: Path) -> None:
    loose = [path for path in _visible(folder) if path.is_file() and is_image_name(path)]
    if loose:
        raise LayoutError(f"{loose[0]} lies in no folder of a class; move it into one, or away")


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    # Sorted by name as text: the order of Path objects differs between systems.
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(found, key=lambda path: path.name)


ENTRY = DatasetEntry(
    name="folder",
    title="A folder of images for each class",
    source="your own",
    load=lambda dataset: load_folder(root_of(dataset)),
    takes=("root",),
    advice="it is a folder of your own: give it as dataset.root",
)

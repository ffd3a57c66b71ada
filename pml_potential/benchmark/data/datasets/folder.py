"""Your own images: a folder for each class."""

from __future__ import annotations

import warnings
from pathlib import Path

from pml_potential.benchmark.data.datasets.division import division_of, part_called
from pml_potential.benchmark.data.datasets.entry import DatasetEntry, root_of
from pml_potential.benchmark.data.datasets.layout import LayoutError, reading, require_files
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.image_reading import UNREAD_SUFFIXES, is_image_name
from pml_potential.benchmark.data.labelling import DIVISION, number_classes

TITLE = "a folder of images for each class"
ADVICE = "give the folder that holds a folder of images for each class by --root, or as dataset.root"

_LEFT_BEHIND = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
"""Folders that operating systems and archivers create."""


def load_folder(root: Path) -> ImageFiles:
    """Loads images from one folder for each class, named after the class.

    If folders below the root are named "train", "test", "query" or "gallery", in any case, and hold
    folders themselves, these are the division, and the classes are one level deeper:
    ``ROOT/train/cat/1.jpg``. "val", "valid" and "validation" are part of "train". With "train" alone
    there is no division. Query and gallery must come together. A class that appears in several of them
    is one class.

    Hidden files, files without the suffix of an image, and system folders, such as ``__MACOSX``, are
    skipped; so are pictures in formats that are not supported, with a warning.

    Args:
        root: The folder.

    Returns:
        The images in the order of division, class and file name.

    Raises:
        LayoutError: If there is no class, a class has no image, an image lies deeper or less deep than
            the others, or a folder cannot be read.

    Examples:
        >>> load_folder(Path("nowhere"))
        Traceback (most recent call last):
        ...
        pml_potential.benchmark.data.datasets.layout.LayoutError: the folder nowhere of your images does
        not exist; give the folder that holds ...
    """
    require_files(root, [], "your images", ADVICE)
    with reading(root, TITLE):
        parts = _parts(root)
        unread: list[Path] = []
        rows: list[tuple[Path, str, str]] = []
        for part in parts or [root]:
            found = _classes(part, unread)
            rows += [(path, class_name, part.name) for path, class_name in found]
        if unread:
            warnings.warn(
                f"{len(unread)} pictures below {root} are in a format that is not supported, "
                f"such as {unread[0]}; convert them to JPEG or PNG",
                stacklevel=2,
            )
        labels, class_names = number_classes([class_name for _, class_name, _ in rows])
        return ImageFiles(
            name="folder",
            paths=tuple(path for path, _, _ in rows),
            root=root,
            labels=labels,
            class_names=class_names,
            division=division_of([name for _, _, name in rows], root) if parts else None,
        )


def _parts(root: Path) -> list[Path]:
    """Gives the folders that divide the data, or none if the folders below the root are the classes."""
    folders = _folders(root)
    parts = {folder: part for folder in folders if (part := part_called(folder.name))}
    are_all = len(parts) == len(folders) > 1
    if not are_all and not any(_folders(folder) for folder in parts):
        return []
    names = ", ".join(folder.name for folder in parts)
    for folder in folders:
        if folder not in parts:
            raise LayoutError(
                f"{root} holds the parts {names}, and also {folder.name!r}, which is not a part; move "
                f"it away, or into a part if it is a class"
            )
    _refuse_loose_images(root)
    for folder in parts:
        _refuse_loose_images(folder)
        if not _folders(folder):
            raise LayoutError(
                f"the part {folder} holds no class folder; add one for each class, or remove the part"
            )
    if ("query" in parts.values()) != ("gallery" in parts.values()):
        raise LayoutError(f"{root} holds the parts {names}; query and gallery must come together")
    return sorted(parts, key=lambda folder: DIVISION.index(parts[folder]))


def _classes(folder: Path, unread: list[Path]) -> list[tuple[Path, str]]:
    """Lists the images of all classes of a folder, each with the name of its class."""
    _refuse_loose_images(folder)
    class_folders = _folders(folder)
    if not class_folders:
        raise LayoutError(f"{folder} holds no folder; {ADVICE}")
    rows = []
    for class_folder in class_folders:
        deeper = _folders(class_folder)
        if deeper and len(class_folders) == 1:
            raise LayoutError(
                f"{folder} holds a single folder, {class_folder.name!r}, and this holds folders; if "
                f"they are the classes, give {class_folder} as dataset.root"
            )
        if deeper:
            raise LayoutError(
                f"{class_folder} is the folder of a class, but holds the folder {deeper[0].name!r}; "
                "images must lie in the folder of their class itself"
            )
        files = _visible(class_folder)
        images = [path for path in files if is_image_name(path)]
        others = [path for path in files if path.suffix.lower() in UNREAD_SUFFIXES]
        if not images and others:
            raise LayoutError(
                f"the class {class_folder} holds only pictures in unsupported formats, such as "
                f"{others[0].name}; convert them to JPEG or PNG"
            )
        if not images:
            raise LayoutError(f"the class {class_folder} holds no image; remove the folder or fill it")
        unread += others
        rows += [(image, class_folder.name) for image in images]
    return rows


def _refuse_loose_images(folder: Path) -> None:
    loose = [path for path in _visible(folder) if path.is_file() and is_image_name(path)]
    if loose:
        raise LayoutError(f"{loose[0]} is not in the folder of a class; move it into one, or away")


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    # Sorted by name as text: the order of Path objects differs between systems.
    found = (
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in _LEFT_BEHIND
    )
    return sorted(found, key=lambda path: path.name)


ENTRY = DatasetEntry(
    name="folder",
    title="A folder of images for each class",
    source="your own",
    load=lambda dataset: load_folder(root_of(dataset)),
    takes=("root",),
    advice="it is a folder of your own: --dataset folder --root FOLDER",
)

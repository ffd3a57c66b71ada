"""Small data sets in the layouts of the published ones, with pictures that a network can tell apart.

Every function takes a number of classes and of images for each, and gives the first half of the
classes to training, as the published divisions do.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 24


def write_picture(path: Path, label: int, number: int, side: int = SIDE) -> None:
    """Write stripes in the colours of a class, with noise of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    of_class = np.random.default_rng([7, label])
    stripes = np.repeat(of_class.integers(0, 256, (8, 1, 3)), -(-side // 8), axis=0)[:side]
    noise = np.random.default_rng([7, label, number]).normal(0, 20, (side, side, 3))
    Image.fromarray(np.clip(stripes + noise, 0, 255).astype(np.uint8)).save(path)


def write_cub200(root: Path, classes: int = 4, images: int = 3, side: int = SIDE) -> Path:
    """Classes 1, 2, ... are for training; 101, 102, ... for the test."""
    base = root / "CUB_200_2011"
    names: list[str] = []
    labels: list[str] = []
    for class_number in _halves(classes, second_from=101):
        for number in range(images):
            name = f"{class_number:03d}.Bird_{class_number}/Bird_{class_number}_{number:04d}.jpg"
            write_picture(base / "images" / name, class_number, number, side)
            names.append(f"{len(names) + 1} {name}")
            labels.append(f"{len(names)} {class_number}")
    _write_lines(base / "images.txt", names)
    _write_lines(base / "image_class_labels.txt", labels)
    _write_lines(base / "README", ["A miniature."])
    _write_lines(root / "attributes.txt", ["1 has_bill_shape::curved"])
    return root


def write_cars196_copy(root: Path, classes: int = 4, images: int = 3, side: int = SIDE) -> Path:
    """The layout that PML downloads; images of every class lie in train and test folders."""
    names = [f"Maker Ram C/V Model {number}" for number in range(1, 197)]
    _write_lines(root / "names.csv", names)
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for class_number in _halves(classes, second_from=99):
        for number in range(images):
            folder = "train" if number % 2 == 0 else "test"
            file = f"{len(lists[folder]) + 1:05d}.jpg"
            class_folder = names[class_number - 1].replace("/", "-")
            path = root / "car_data" / "car_data" / folder / class_folder / file
            write_picture(path, class_number, number, side)
            lists[folder].append(f"{file},1,1,20,20,{class_number}")
    for folder, lines in lists.items():
        _write_lines(root / f"anno_{folder}.csv", lines)
    return root


def write_cars196_original(root: Path, classes: int = 4, images: int = 3, side: int = SIDE) -> Path:
    """The layout that its authors published."""
    from scipy.io import savemat

    rows: list[tuple[str | int, ...]] = []
    for class_number in _halves(classes, second_from=99):
        for number in range(images):
            file = f"car_ims/{len(rows) + 1:06d}.jpg"
            write_picture(root / file, class_number, number, side)
            rows.append((file, 1, 1, 20, 20, class_number, number % 2))
    fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]
    annotations = np.array(rows, dtype=[(name, object) for name in fields])
    names = np.array([f"Maker Ram C/V Model {number}" for number in range(1, 197)], dtype=object)
    savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": names})
    return root


def write_sop(root: Path, classes: int = 4, images: int = 3, side: int = SIDE) -> Path:
    """Products are mugs and sofas in turn."""
    base = root / "Stanford_Online_Products"
    lists: dict[str, list[str]] = {"train": [], "test": []}
    image_number = 0
    for label in range(classes):
        kind, kind_name = (label % 2 + 1, ("mug_final", "sofa_final")[label % 2])
        for number in range(images):
            image_number += 1
            name = f"{kind_name}/{110000000000 + label}_{number}.JPG"
            write_picture(base / name, label + 1, number, side)
            part = "train" if label < classes // 2 else "test"
            lists[part].append(f"{image_number} {label + 1} {kind} {name}")
    for part, lines in lists.items():
        _write_lines(base / f"Ebay_{part}.txt", ["image_id class_id super_class_id path", *lines])
    return root


def write_in_shop(
    root: Path, classes: int = 4, images: int = 3, side: int = SIDE, nested: bool = False
) -> Path:
    """Of a test item, the first image is a query and the others are the gallery.

    Nested is the layout in which the files come, with folders ``Eval`` and ``Img``.
    """
    base = root / "Img" if nested else root
    lines = []
    for label in range(classes):
        item = f"id_{label + 1:08d}"
        for number in range(images):
            name = f"img/WOMEN/Dresses/{item}/{number + 1:02d}_1_front.jpg"
            write_picture(base / name, label + 1, number, side)
            status = "train" if label < classes // 2 else "query" if number == 0 else "gallery"
            lines.append(f"{name}      {item} {status}")
    header = "image_name item_id evaluation_status"
    path = root / "Eval" if nested else root
    _write_lines(path / "list_eval_partition.txt", [str(len(lines)), header, *lines])
    return root


def write_class_folders(
    root: Path, classes: int = 4, images: int = 3, side: int = SIDE, division: bool = False
) -> Path:
    """A folder for each class, below ``train`` and ``test`` if it comes divided."""
    for label in range(classes):
        split = ("train" if label < classes // 2 else "test") if division else ""
        for number in range(images):
            write_picture(root / split / f"kind_{label}" / f"{number}.png", label, number, side)
    return root


def pack(folder: Path, archive: Path) -> Path:
    """Pack what is in a folder, as a zip or a tar.gz by the archive's name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    archive.parent.mkdir(parents=True, exist_ok=True)
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for file in files:
                opened.write(file, file.relative_to(folder))
    else:
        with tarfile.open(archive, "w:gz") as packed:
            for file in files:
                packed.add(file, file.relative_to(folder))
    return archive


def _halves(classes: int, second_from: int) -> list[int]:
    first = classes // 2
    return [*range(1, first + 1), *range(second_from, second_from + classes - first)]


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

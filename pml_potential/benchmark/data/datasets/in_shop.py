"""In-Shop Clothes Retrieval, a part of DeepFashion, from files in the original layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pml_potential.benchmark.data.datasets.entry import DatasetEntry, root_of
from pml_potential.benchmark.data.datasets.layout import LayoutError, is_there, reading, require_files
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.labelling import number_classes

TITLE = "In-Shop Clothes Retrieval"
LIST = "list_eval_partition.txt"
HOME = "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html"
ADVICE = (
    "there is no free public link: ask for it at the DeepFashion project page of MMLab CUHK, "
    f"{HOME}, and give the folder with list_eval_partition.txt and img/ as dataset.root"
)
OTHER_SIZES = (
    "those of img_highres.zip are for parsing, and scores on them cannot be compared with published "
    "ones; unpack img.zip, which is for retrieval"
)
STATUSES = ("train", "query", "gallery")


def load_in_shop(root: Path) -> ImageFiles:
    """Loads the list of In-Shop Clothes Retrieval: 52,712 images of 7,982 clothing items.

    Args:
        root: The folder that holds ``list_eval_partition.txt``, itself or in ``Eval``, and the
            images in ``img`` or ``Img/img``.

    Returns:
        The images in the order of the list, divided in "train", "query" and "gallery". The
        class is the item.

    Raises:
        LayoutError: If the list is missing or damaged, or there is no folder of images.
    """
    list_path = root / "Eval" / LIST if is_there(root / "Eval" / LIST) else root / LIST
    require_files(root, [list_path.relative_to(root).as_posix()], TITLE, ADVICE)
    # Checked first because "img" and "Img" are one folder to some file systems.
    is_nested = any(is_there(root / "Img" / pictures) for pictures in ("img", "img_highres"))
    base = root / "Img" if is_nested else root
    if is_there(base / "img_highres") and not is_there(base / "img"):
        raise LayoutError(
            f"{base} holds img_highres and no img; its pictures are for parsing, so unpack "
            "img.zip, which is for retrieval, beside it"
        )
    require_files(base, ["img"], TITLE, ADVICE)
    with reading(root, TITLE):
        rows = _read_list(list_path)
        labels, class_names = number_classes([item for _, item, _ in rows])
        return ImageFiles(
            name="in_shop",
            paths=tuple(base / image for image, _, _ in rows),
            root=base,
            labels=labels,
            class_names=class_names,
            division=np.array([status for _, _, status in rows]),
        )


def _read_list(path: Path) -> list[tuple[str, str, str]]:
    """Reads lines of image, item and status, below a line with their count and a header."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0].strip().isdigit():
        first = lines[0] if lines else ""
        raise LayoutError(f"{path}, line 1: got {first!r}; it must be the number of images")
    rows = []
    for number, line in enumerate(lines[2:], start=3):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or fields[2] not in STATUSES:
            raise LayoutError(
                f"{path}, line {number}: got {line!r}; it must be an image, its item, and one of "
                f"{', '.join(STATUSES)}"
            )
        rows.append((fields[0], fields[1], fields[2]))
    if len(rows) != int(lines[0]):
        raise LayoutError(
            f"{path}, line 1 promises {int(lines[0])} images, but {len(rows)} follow; get it again"
        )
    return rows


ENTRY = DatasetEntry(
    name="in_shop",
    title=TITLE,
    source="on request",
    load=lambda dataset: load_in_shop(root_of(dataset)),
    takes=("root",),
    images=52_712,
    classes=7_982,
    division={"train": (25_882, 3_997), "query": (14_218, 3_985), "gallery": (12_612, 3_985)},
    size=(256, 256),
    other_sizes=OTHER_SIZES,
    paper="Liu et al., DeepFashion: Powering Robust Clothes Recognition and Retrieval, CVPR 2016",
    home=HOME,
    licence="non-commercial research, on request",
    advice=ADVICE,
)

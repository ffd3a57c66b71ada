"""Stanford Online Products from files in the original layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytorch_metric_learning.datasets import StanfordOnlineProducts

from pml_potential.benchmark.data.datasets.entry import DatasetEntry, root_of
from pml_potential.benchmark.data.datasets.layout import (
    download_advice,
    is_there,
    reading,
    require_files,
)
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.labelling import number_classes

TITLE = "Stanford Online Products"
FOLDER = "Stanford_Online_Products"
FILES = (f"{FOLDER}/Ebay_train.txt", f"{FOLDER}/Ebay_test.txt")


def load_sop(root: Path) -> ImageFiles:
    """Loads the lists of Stanford Online Products: 120,053 images of 22,634 products on sale.

    Args:
        root: The folder that holds ``Stanford_Online_Products``, or that folder itself.

    Returns:
        The images in the order of ``Ebay_train.txt`` and ``Ebay_test.txt``, divided in
        "train" and "test". A class is named by its number.

    Raises:
        LayoutError: If a list is missing or damaged.
    """
    if root.name == FOLDER and is_there(root / "Ebay_train.txt"):
        root = root.parent
    require_files(root, FILES, TITLE, download_advice("sop", root))
    with reading(root, TITLE):
        train = StanfordOnlineProducts(str(root), split="train", download=False)
        test = StanfordOnlineProducts(str(root), split="test", download=False)
        paths = tuple(Path(path) for path in [*train.paths, *test.paths])
        labels, class_names = number_classes([str(number) for number in [*train.labels, *test.labels]])
        return ImageFiles(
            name="sop",
            paths=paths,
            root=root,
            labels=labels,
            class_names=class_names,
            division=np.repeat(["train", "test"], [len(train.paths), len(test.paths)]),
        )


ENTRY = DatasetEntry(
    name="sop",
    title=TITLE,
    source="download",
    load=lambda dataset: load_sop(root_of(dataset)),
    takes=("root",),
    images=120_053,
    classes=22_634,
    division={"train": (59_551, 11_318), "test": (60_502, 11_316)},
    mlrc_halves=True,
    paper="Song et al., Deep Metric Learning via Lifted Structured Feature Embedding, CVPR 2016",
    home="https://cvgl.stanford.edu/projects/lifted_struct/",
    licence="see its page; the pictures are from shops on eBay",
    url=StanfordOnlineProducts.DOWNLOAD_URL,
)

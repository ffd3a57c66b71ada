"""Stanford Online Products from files in the original layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytorch_metric_learning.datasets import StanfordOnlineProducts

from pml_potential.benchmark.datasets.image_files import ImageFiles
from pml_potential.benchmark.datasets.labelling import number_classes
from pml_potential.benchmark.datasets.layout import download_advice, reading, require_files

TITLE = "Stanford Online Products"
FOLDER = "Stanford_Online_Products"
FILES = (f"{FOLDER}/Ebay_train.txt", f"{FOLDER}/Ebay_test.txt")


def load_sop(root: Path) -> ImageFiles:
    """Loads the lists of Stanford Online Products: 120,053 images of 22,634 products on sale.

    Args:
        root: The folder that holds ``Stanford_Online_Products``, or that folder itself.

    Returns:
        The images in the order of ``Ebay_train.txt`` and ``Ebay_test.txt``, which are the parts
        "train" and "test". A class is called by its number. Parents are the 12 kinds of products,
        in the order of their names.

    Raises:
        LayoutError: If a list is missing or damaged.
    """
    if root.name == FOLDER and (root / "Ebay_train.txt").exists():
        root = root.parent
    require_files(root, FILES, TITLE, download_advice("sop", root))
    with reading(root, TITLE):
        train = StanfordOnlineProducts(str(root), split="train", download=False)
        test = StanfordOnlineProducts(str(root), split="test", download=False)
        paths = tuple(Path(path) for path in [*train.paths, *test.paths])
        labels, class_names = number_classes([str(number) for number in [*train.labels, *test.labels]])
        # The kind is written twice, as a number in the lists, which PML skips, and as the folder.
        parents, _ = number_classes([path.parent.name for path in paths])
        return ImageFiles(
            name="sop",
            paths=paths,
            root=root,
            labels=labels,
            class_names=class_names,
            parts=np.repeat(["train", "test"], [len(train.paths), len(test.paths)]),
            parents=parents,
        )

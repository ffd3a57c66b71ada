"""Which data sets there are, where they come from, and how each is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytorch_metric_learning.datasets import CUB, Cars196, StanfordOnlineProducts

from pml_potential.benchmark.datasets import cars196, cub200, in_shop, sop
from pml_potential.benchmark.datasets.digits import load_digits
from pml_potential.benchmark.datasets.folder import load_folder
from pml_potential.benchmark.datasets.glyphs import load_glyphs
from pml_potential.benchmark.datasets.images import Images
from pml_potential.benchmark.datasets.table import load_table
from pml_potential.benchmark.schema import Columns, ConfigError, Dataset


@dataclass(frozen=True)
class Entry:
    """What is known of a data set.

    Attributes:
        title: What it is called.
        images: How many images were published, or None for data sets of one's own.
        classes: How many classes were published, or None.
        parts: For each part, how many images and classes were published.
        paper: Where it was published.
        home: Its page.
        licence: What its page says of its use.
        source: Where its files come from: "packaged" with a library, "download", "on request" or
            "your own".
        url: The archive to download, if there is one.
        checksum: The archive's, as ``md5:...`` or ``sha256:...``, if it is known for certain.
        advice: What to do to get it where it cannot be downloaded.
    """

    title: str
    source: str
    images: int | None = None
    classes: int | None = None
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    paper: str = ""
    home: str = ""
    licence: str = ""
    url: str | None = None
    checksum: str | None = None
    advice: str = ""


CATALOGUE: Mapping[str, Entry] = {
    "glyphs": Entry(
        title="Glyphs",
        source="packaged",
        images=6400,
        classes=200,
        licence="as this package; drawn with DejaVu (Bitstream Vera licence) and STIX (SIL OFL)",
        advice="it comes with this package and needs no download",
    ),
    "digits": Entry(
        title="Digits",
        source="packaged",
        images=1797,
        classes=10,
        paper="Alpaydin and Kaynak, Cascading classifiers, Kybernetika 1998",
        home="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        licence="CC BY 4.0",
        advice="it comes with scikit-learn and needs no download",
    ),
    "cub200": Entry(
        title=cub200.TITLE,
        source="download",
        images=11_788,
        classes=200,
        parts={"train": (5_864, 100), "test": (5_924, 100)},
        paper="Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001",
        home="https://www.vision.caltech.edu/datasets/cub_200_2011/",
        licence="non-commercial research and education; the photographers keep their rights",
        url=CUB.DOWNLOAD_URL,
        checksum="md5:97eceeb196236b17998738112f37df78",
    ),
    "cars196": Entry(
        title=cars196.TITLE,
        source="download",
        images=16_185,
        classes=196,
        parts={"train": (8_054, 98), "test": (8_131, 98)},
        paper="Krause et al., 3D Object Representations for Fine-Grained Categorization, 3dRR 2013",
        home="its page and original files are gone; the link is to a copy in another layout",
        licence="non-commercial research",
        url=Cars196.DOWNLOAD_URL,
    ),
    "sop": Entry(
        title=sop.TITLE,
        source="download",
        images=120_053,
        classes=22_634,
        parts={"train": (59_551, 11_318), "test": (60_502, 11_316)},
        paper="Song et al., Deep Metric Learning via Lifted Structured Feature Embedding, CVPR 2016",
        home="https://cvgl.stanford.edu/projects/lifted_struct/",
        licence="see its page; the pictures are from shops on eBay",
        url=StanfordOnlineProducts.DOWNLOAD_URL,
    ),
    "in_shop": Entry(
        title=in_shop.TITLE,
        source="on request",
        images=52_712,
        classes=7_982,
        parts={"train": (25_882, 3_997), "query": (14_218, 3_985), "gallery": (12_612, 3_985)},
        paper="Liu et al., DeepFashion: Powering Robust Clothes Recognition and Retrieval, CVPR 2016",
        home=in_shop.HOME,
        licence="non-commercial research, on request",
        advice=in_shop.ADVICE,
    ),
    "folder": Entry(
        title="A folder of images for each class",
        source="your own",
        advice="it is a folder of your own: give it as dataset.root",
    ),
    "table": Entry(
        title="A CSV or Parquet table of images",
        source="your own",
        advice="it is a table of your own: give it as dataset.file",
    ),
}
"""The data sets by their names in configurations."""

IN_FILES: Mapping[str, Callable[[Path], Images]] = {
    "cub200": cub200.load_cub200,
    "cars196": cars196.load_cars196,
    "sop": sop.load_sop,
    "in_shop": in_shop.load_in_shop,
    "folder": load_folder,
}
IN_MEMORY: Mapping[str, Callable[[], Images]] = {"glyphs": load_glyphs, "digits": load_digits}


def entry_of(name: str) -> Entry:
    """Looks a data set up.

    Args:
        name: As in a configuration.

    Returns:
        What is known of it.

    Raises:
        ConfigError: If there is no such data set.

    Examples:
        >>> entry_of("cub200").images
        11788
    """
    if name not in CATALOGUE:
        raise ConfigError(
            f"there is no data set {name!r}; there are {', '.join(CATALOGUE)}", ("dataset", "name")
        )
    return CATALOGUE[name]


def default_root(name: str) -> Path:
    """Gives the folder where a data set's files are looked for by default.

    Args:
        name: As in a configuration.

    Returns:
        ``data/NAME``, relative to the working folder.
    """
    return Path("data") / name


def load_images(dataset: Dataset) -> Images:
    """Loads the data set that a configuration names.

    Files are listed, but neither opened nor looked for one by one.

    Args:
        dataset: That part of the configuration.

    Returns:
        The data set, in memory or in files.

    Raises:
        ConfigError: If a key does not go with the data set, or its files are not there (a
            `LayoutError`).

    Examples:
        >>> len(load_images(Dataset(name="digits")).labels)
        1797
    """
    name = dataset.name
    _refuse_unused(dataset)
    if name in IN_MEMORY:
        return IN_MEMORY[name]()
    if name == "table":
        if dataset.file is None:
            raise ConfigError(
                "dataset.file is missing; the data set 'table' needs a CSV or Parquet file",
                ("dataset", "name"),
            )
        return load_table(Path(dataset.file), dataset.columns)
    root = default_root(name) if dataset.root is None else Path(dataset.root)
    return IN_FILES[name](root)


def _refuse_unused(dataset: Dataset) -> None:
    """Refuses keys that the data set would ignore."""
    name = dataset.name
    if name not in IN_FILES and dataset.root is not None:
        why = "its paths are relative to its own folder" if name == "table" else "it has no files"
        raise ConfigError(
            f"dataset.root is {dataset.root!r}, but {name!r} takes none: {why}; remove it",
            ("dataset", "root"),
        )
    if name == "table":
        return
    if dataset.file is not None:
        raise ConfigError(
            f"dataset.file is {dataset.file!r}, but {name!r} takes none; remove it, or write "
            "name: table",
            ("dataset", "file"),
        )
    if dataset.columns != Columns():
        raise ConfigError(
            f"dataset.columns are given, but {name!r} has none; remove them, or write name: table",
            ("dataset", "columns"),
        )

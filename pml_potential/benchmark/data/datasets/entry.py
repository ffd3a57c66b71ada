"""What the benchmark knows about a data set: the form of each entry of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pml_potential.benchmark.config.schema import Dataset
from pml_potential.benchmark.data.images import Images


@dataclass(frozen=True)
class DatasetEntry:
    """A data set of the catalogue. Its module has one, and nothing else names the data set.

    Attributes:
        name: As in a configuration.
        title: Its printed name.
        source: Where its files come from: "packaged" with a library, "download", "on request" or
            "your own".
        load: Loads it, as a configuration's ``dataset`` says where it is.
        takes: Keys of ``dataset`` that it reads: "root", or "file" and "columns", or none.
        images: How many images were published, or None for your own data.
        classes: How many classes were published, or None.
        division: For "train", "test", "query" and "gallery", how many images and classes were
            published, where the data set comes divided.
        size: Width and height of every published picture, if all are of one size.
        other_sizes: What pictures of another size are likely to be, and where the right ones are.
        mlrc_halves: Whether cross-validation takes the halves of the sorted classes, as "A Metric
            Learning Reality Check" did for this data set, rather than the published division.
        paper: Where it was published.
        home: Its page.
        licence: What its page says about its use.
        url: The archive to download, if there is one.
        checksum: The archive's, as ``md5:...`` or ``sha256:...``, if it is known for certain.
        advice: How to get it, if it cannot be downloaded.
        holds_vectors: Whether it holds vectors instead of images.
    """

    name: str
    title: str
    source: str
    load: Callable[[Dataset], Images]
    takes: tuple[str, ...] = ()
    images: int | None = None
    classes: int | None = None
    division: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    other_sizes: str = ""
    mlrc_halves: bool = False
    paper: str = ""
    home: str = ""
    licence: str = ""
    url: str | None = None
    checksum: str | None = None
    advice: str = ""
    holds_vectors: bool = False


def default_root(name: str) -> Path:
    """Gives the folder where a data set's files are looked for by default.

    Args:
        name: As in a configuration.

    Returns:
        ``data/NAME``, relative to the working folder.
    """
    return Path("data") / name


def root_of(dataset: Dataset) -> Path:
    """Gives the folder of a data set's files: the one that a configuration names, or the default."""
    return default_root(dataset.name) if dataset.root is None else Path(dataset.root)

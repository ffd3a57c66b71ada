"""The catalogue of data sets: the entry of each, by its name in configurations."""

from __future__ import annotations

from collections.abc import Mapping

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.schema import Columns, ConfigError, Dataset
from pml_potential.benchmark.data.datasets import (
    cars196,
    cub200,
    digits,
    features,
    folder,
    glyphs,
    in_shop,
    sop,
    table,
)
from pml_potential.benchmark.data.datasets.doubles import refuse_doubles
from pml_potential.benchmark.data.datasets.entry import DatasetEntry
from pml_potential.benchmark.data.datasets.layout import LayoutError
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.image_reading import HEIC_SUFFIXES, READING_HEIC, reads_heic
from pml_potential.benchmark.data.images import Images

CATALOGUE: Mapping[str, DatasetEntry] = {
    module.ENTRY.name: module.ENTRY
    for module in (glyphs, digits, cub200, cars196, sop, in_shop, folder, table, features)
}
"""The data sets by their names in configurations, in the order of every listing."""


def entry_of(name: str) -> DatasetEntry:
    """Looks a data set up.

    Args:
        name: As in a configuration.

    Returns:
        Its entry.

    Raises:
        ConfigError: If there is no such data set.

    Examples:
        >>> entry_of("cub200").images
        11788
    """
    if name not in CATALOGUE:
        near = did_you_mean(name, list(CATALOGUE))
        raise ConfigError(
            f"there is no data set {name!r}{near or '.'} There are {', '.join(CATALOGUE)}",
            ("dataset", "name"),
        )
    return CATALOGUE[name]


def load_images(dataset: Dataset) -> Images:
    """Loads the data set that a configuration names.

    Files are listed, but not opened.

    Args:
        dataset: That section of the configuration.

    Returns:
        The data set, in memory or in files.

    Raises:
        ConfigError: If there is no such data set, a key does not fit it, or its files are missing, or
            are HEIC and pillow-heif is not installed (a `LayoutError`).

    Examples:
        >>> len(load_images(Dataset(name="digits")).labels)
        1797
    """
    entry = entry_of(dataset.name)
    _refuse_unused(entry, dataset)
    images = entry.load(dataset)
    refuse_doubles(images)
    if isinstance(images, ImageFiles):
        _refuse_heic(images)
    return images


def _refuse_unused(entry: DatasetEntry, dataset: Dataset) -> None:
    """Refuses keys that the data set would ignore."""
    if dataset.root is not None and "root" not in entry.takes:
        has_file = "file" in entry.takes
        why = "its paths are relative to its own folder" if has_file else "it has no files"
        raise ConfigError(
            f"dataset.root is {dataset.root!r}, but {entry.name!r} takes none: {why}; remove it, "
            "or write name: folder",
            ("dataset", "root"),
        )
    if dataset.file is not None and "file" not in entry.takes:
        raise ConfigError(
            f"dataset.file is {dataset.file!r}, but {entry.name!r} takes none; remove it, or write "
            "name: table",
            ("dataset", "file"),
        )
    if dataset.columns != Columns() and "columns" not in entry.takes:
        raise ConfigError(
            f"dataset.columns are given, but {entry.name!r} has none; remove them, or write name: table",
            ("dataset", "columns"),
        )


def _refuse_heic(images: ImageFiles) -> None:
    """Refuses HEIC at once if it cannot be read here, not after hours of work."""
    heic = [path for path in images.paths if path.suffix.lower() in HEIC_SUFFIXES]
    if heic and not reads_heic():
        raise LayoutError(
            f"{len(heic)} of {len(images.paths)} images are HEIC, such as {heic[0]}; {READING_HEIC}"
        )

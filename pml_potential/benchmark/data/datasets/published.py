"""Whether the files of a published data set are those that were published."""

from collections.abc import Iterator

import numpy as np

from pml_potential.benchmark.data.datasets.entry import DatasetEntry
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.images import Images


def count_division(images: Images) -> dict[str, tuple[int, int]]:
    """For each part of a data set that comes divided, how many images and classes it has."""
    if images.division is None:
        return {}
    counts = {}
    for split in dict.fromkeys(images.division.tolist()):
        labels = images.labels[images.division == split]
        counts[split] = (len(labels), len(np.unique(labels)))
    return counts


def wrong_counts(images: Images, published: DatasetEntry) -> Iterator[str]:
    """Each difference from the published counts, in words; none for your own data."""
    if published.images is None or published.classes is None:
        return
    found, wanted = (len(images.labels), len(images.class_names)), (published.images, published.classes)
    if found != wanted:
        yield f"{counted(*found)}, but {counted(*wanted)} were published"
    division = count_division(images)
    for split, counts in published.division.items():
        there = division.get(split, (0, 0))
        if there != counts:
            yield f"{split}: {counted(*there)}, but {counted(*counts)} were published"


def wrong_sizes(images: ImageFiles, published: DatasetEntry) -> Iterator[str]:
    """Describe pictures of another size than that of the published ones, if these have one size.

    Raises:
        UnreadableImageError: A file is missing or not an image.
    """
    if published.size is None:
        return
    others = [place for place, size in enumerate(images.sizes) if size != published.size]
    if others:
        (width, height), (wanted_width, wanted_height) = images.sizes[others[0]], published.size
        yield (
            f"{len(others)} of {len(images.paths)} images do not have the published {wanted_width} x "
            f"{wanted_height} pixels, such as {images.paths[others[0]]} with {width} x {height}; "
            f"{published.other_sizes}"
        )


def counted(images: int, classes: int) -> str:
    """Numbers of images and classes in words."""
    return f"{images} images of {classes} classes"

"""Data sets: two that need no download, four published ones, and those of one's own."""

from pml_potential.benchmark.datasets.catalogue import load_images
from pml_potential.benchmark.datasets.glyphs import load_glyphs
from pml_potential.benchmark.datasets.image_files import ImageFiles
from pml_potential.benchmark.datasets.image_reading import UnreadableImageError
from pml_potential.benchmark.datasets.images import Images, LabelledImages

__all__ = [
    "ImageFiles",
    "Images",
    "LabelledImages",
    "UnreadableImageError",
    "load_glyphs",
    "load_images",
]

"""The data sets: two that need no download, four published ones, and your own."""

from pml_potential.benchmark.data.datasets.catalogue import load_images
from pml_potential.benchmark.data.datasets.glyphs import load_glyphs

__all__ = ["load_glyphs", "load_images"]

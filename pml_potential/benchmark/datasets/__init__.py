"""Data sets that need no download."""

from pml_potential.benchmark.datasets.glyphs import load_glyphs
from pml_potential.benchmark.datasets.images import LabelledImages

__all__ = ["LabelledImages", "load_glyphs"]

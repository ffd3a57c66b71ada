"""From files to labelled tensors: data sets, splits, transforms, caches and folds."""

from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.image_reading import UnreadableImageError
from pml_potential.benchmark.data.images import ImageArrays, Images

__all__ = ["ImageArrays", "ImageFiles", "Images", "UnreadableImageError"]

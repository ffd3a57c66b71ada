"""Labelled images as PML's trainers and testers read them."""

import os
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pml_potential.benchmark.datasets.images import Images, LabelledImages
from pml_potential.benchmark.labelled_dataset import LabelledDataset

Transform = Callable[[Image.Image], Tensor]

_MOST_WORKERS = 8

_IMAGES_WORTH_WORKERS = 2048
"""Below this, starting processes takes longer than reading the images."""


class ImageDataset(LabelledDataset):
    """A part of a data set whose images stand in memory, as float images in [-1, 1].

    Args:
        images: the whole data set.
        indices: the images of the part.
    """

    def __init__(self, images: LabelledImages, indices: NDArray[np.int64]) -> None:
        super().__init__(images.labels[indices], images.channels)
        self._images = images.images[indices]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image (channels, height, width) and its label."""
        image = torch.from_numpy(self._images[index]).float() / 127.5 - 1
        image = image.unsqueeze(0) if image.ndim == 2 else image.permute(2, 0, 1)
        return image, int(self.labels[index])


class PictureDataset(LabelledDataset):
    """A part of a data set whose images are read and transformed one by one.

    Args:
        images: the whole data set.
        indices: the images of the part.
        transform: makes a tensor of an image.
    """

    def __init__(self, images: Images, indices: NDArray[np.int64], transform: Transform) -> None:
        super().__init__(images.labels[indices], images.channels)
        if len(indices) >= _IMAGES_WORTH_WORKERS:
            self.workers = min(_MOST_WORKERS, (os.cpu_count() or 1) - 1)
        self._images = images
        self._indices = indices
        self._transform = transform

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image (channels, height, width) and its label."""
        image = self._images.image(int(self._indices[index]))
        return self._transform(image), int(self.labels[index])


class FeatureDataset(LabelledDataset):
    """A part of a data set of which a frozen trunk has computed the features once.

    Args:
        features: of the whole data set, (n, width); may be mapped from a file.
        labels: class of each image of the whole data set, (n,).
        indices: the images of the part.
        channels: colour channels of the images.
    """

    def __init__(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        indices: NDArray[np.int64],
        channels: int,
    ) -> None:
        super().__init__(labels[indices], channels)
        self.width = features.shape[1]
        self._features = features
        self._indices = indices

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Features (width,) and the label."""
        # A copy, since torch warns of arrays that must not be written to.
        features = torch.from_numpy(self._features[self._indices[index]].copy())
        return features, int(self.labels[index])

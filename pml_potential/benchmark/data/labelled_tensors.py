"""A split of a data set as PML's trainers, testers and samplers read it: tensors with labels."""

import os

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pml_potential.benchmark.data.images import ImageArrays, Images
from pml_potential.benchmark.data.transforms import ImageTransform

_MOST_WORKERS = 8

_IMAGES_WORTH_WORKERS = 2048
"""Below this, starting processes takes longer than reading the images."""


class LabelledTensors(Dataset[tuple[Tensor, int]]):
    """Tensors of some images of a data set, with labels numbered from 0.

    Attributes:
        labels: class of each item, (n,), contiguous from 0 in the order of the classes.
        num_classes: number of classes.
        channels: colour channels of the images.
        workers: processes that should load items.
        width: of the features, where the items are features; None for images.
        source: hash of the data set that they are of.
    """

    workers = 0
    width: int | None = None
    source = ""

    def __init__(self, labels: NDArray[np.int64], channels: int) -> None:
        classes, numbers = np.unique(labels, return_inverse=True)
        self.labels: NDArray[np.int64] = numbers.astype(np.int64)
        self.num_classes = len(classes)
        self.channels = channels

    def __len__(self) -> int:
        """Number of items."""
        return len(self.labels)


class ArrayTensors(LabelledTensors):
    """Whole images that are in memory, as float images in [-1, 1].

    Args:
        images: the whole data set.
        indices: which of the images.
    """

    def __init__(self, images: ImageArrays, indices: NDArray[np.int64]) -> None:
        super().__init__(images.labels[indices], images.channels)
        self._images = images.images[indices]

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image (channels, height, width) and its label."""
        image = torch.from_numpy(self._images[index]).float() / 127.5 - 1
        image = image.unsqueeze(0) if image.ndim == 2 else image.permute(2, 0, 1)
        return image, int(self.labels[index])


class ImageTensors(LabelledTensors):
    """Images that are read and transformed one by one.

    Args:
        images: the whole data set.
        indices: which of the images.
        transform: makes a tensor of an image.
    """

    def __init__(self, images: Images, indices: NDArray[np.int64], transform: ImageTransform) -> None:
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


class FeatureTensors(LabelledTensors):
    """Features of images, which a frozen trunk has computed once.

    Args:
        features: of the whole data set, (n, width); may be mapped from a file.
        labels: class of each image of the whole data set, (n,).
        indices: which of the images.
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

"""A split of a data set as PML's trainers, testers and samplers read it: tensors with labels."""

import os
from collections.abc import Sequence
from typing import Any

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
        workers: number of processes to load items with.
        as_judged: the same items as evaluation sees them, without randomness; None if these are so.
        width: of the features, if the items are vectors; None for images and maps.
        source: hash of their data set.
    """

    workers = 0
    width: int | None = None
    as_judged: "LabelledTensors | None" = None
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
    """Whole images in memory, as float images in [-1, 1].

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
        transform: turns an image into a tensor.
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
    """Features of images from a frozen network, computed once.

    Args:
        views: of the whole data set, each (n, width), or (n, ...) if they are maps; they may be mapped
            from files. If there are several, torch's global generator picks one for each item.
        labels: class of each image of the whole data set, (n,).
        indices: which of the images.
        channels: colour channels of the images.
    """

    def __init__(
        self,
        views: Sequence[NDArray[Any]],
        labels: NDArray[np.int64],
        indices: NDArray[np.int64],
        channels: int,
    ) -> None:
        super().__init__(labels[indices], channels)
        self.width = views[0].shape[1] if views[0].ndim == 2 else None
        self._views = views
        self._indices = indices

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Features (width,) or (...), in float32, and the label."""
        several = len(self._views) > 1
        view = self._views[int(torch.randint(len(self._views), ())) if several else 0]
        # A copy, since torch warns of read-only arrays.
        features = torch.from_numpy(view[self._indices[index]].astype(np.float32))
        return features, int(self.labels[index])

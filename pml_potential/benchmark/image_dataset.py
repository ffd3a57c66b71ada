"""Labelled images as PML's trainers and testers read them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pml_potential.benchmark.datasets import LabelledImages


class ImageDataset(Dataset[tuple[Tensor, int]]):
    """A part of a data set, as float images in [-1, 1] with labels numbered from 0.

    Args:
        images: the whole data set.
        indices: the images of the part.

    Attributes:
        labels: class of each image of the part, (n,), contiguous from 0 in the order of the classes.
        num_classes: number of classes of the part.
        channels: colour channels of the images.
    """

    def __init__(self, images: LabelledImages, indices: NDArray[np.int64]) -> None:
        self._images = images.images[indices]
        classes, labels = np.unique(images.labels[indices], return_inverse=True)
        self.labels: NDArray[np.int64] = labels.astype(np.int64)
        self.num_classes = len(classes)
        self.channels = 1 if images.images.ndim == 3 else 3

    def __len__(self) -> int:
        """Number of images."""
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image (channels, height, width) and its label."""
        image = torch.from_numpy(self._images[index]).float() / 127.5 - 1
        image = image.unsqueeze(0) if image.ndim == 2 else image.permute(2, 0, 1)
        return image, int(self.labels[index])

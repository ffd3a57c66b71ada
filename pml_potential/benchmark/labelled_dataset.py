"""What trainers, testers and samplers need to know of a part of a data set."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset


class LabelledDataset(Dataset[tuple[Tensor, int]]):
    """Tensors with labels numbered from 0.

    Attributes:
        labels: class of each item of the part, (n,), contiguous from 0 in the order of the classes.
        num_classes: number of classes of the part.
        channels: colour channels of the images.
        workers: processes that should load items.
        width: of the features, where the items are features; None for images.
    """

    workers = 0
    width: int | None = None

    def __init__(self, labels: NDArray[np.int64], channels: int) -> None:
        classes, numbers = np.unique(labels, return_inverse=True)
        self.labels: NDArray[np.int64] = numbers.astype(np.int64)
        self.num_classes = len(classes)
        self.channels = channels

    def __len__(self) -> int:
        """Number of items."""
        return len(self.labels)

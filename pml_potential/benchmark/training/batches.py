"""Draw the batches of an epoch: the images, each with a seed for its transform."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.config.seeds import drawn_from
from pml_potential.benchmark.data.folds import FoldData
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors

Draw = tuple[int, int]
"""Number of an image, and a seed."""


def check_batches(config: Config, data: FoldData) -> None:
    """Raise unless every training fold can fill every batch that the search may ask for.

    Raises:
        ConfigError: One cannot, or a batch cannot hold a whole number of classes.
    """
    name, batch_size, folds = data.images.name, config.protocol.batch_size, range(len(data.splits.folds))
    try:
        labels = [data.training_labels(config, number) for number in folds]
    except ValueError as error:
        raise ConfigError(f"dataset.label_noise is {config.dataset.label_noise}: {error}") from error
    smallest, fewest = min(map(len, labels)), min(len(np.unique(each)) for each in labels)
    for m in images_of_a_class(config):
        if m is None and smallest < batch_size:
            raise ConfigError(
                f"protocol.batch_size is {batch_size}, but a training fold of {name} has only "
                f"{smallest} images; lower it"
            )
        if m is not None and fewest < (wanted := batch_size // m):
            raise ConfigError(
                f"protocol.batch_size {batch_size} with sampler.m {m} takes {wanted} classes, but a "
                f"training fold of {name} has only {fewest}; lower the one or raise the other"
            )


def images_of_a_class(config: Config) -> Sequence[int | None]:
    """Every ``sampler.m`` that a run may use.

    Raises:
        ConfigError: With one of them, no whole number of classes fits a batch.
    """
    searched, size = config.search.get("sampler.m"), config.protocol.batch_size
    if searched is None:
        return [config.sampler.m]
    if searched.low is None or searched.high is None:
        # Choices are checked one by one, each with the whole configuration.
        return [m for m in searched.choices if m is None or isinstance(m, int)]
    reached = range(int(searched.low), int(searched.high) + 1)
    if odd := [m for m in reached if size % m]:
        raise ConfigError(
            f"search.sampler.m goes from {searched.low} to {searched.high}, and protocol.batch_size "
            f"{size} is not a multiple of {', '.join(map(str, odd[:3]))}; narrow the range, or make a "
            "run for each sampler.m"
        )
    return reached


class BatchDraws(Sampler[Draw]):
    """Draws one epoch at a time; the draws depend only on numpy's generator.

    Args:
        labels: class of each image, (n,).
        m: images of a class in a batch, as PML's ``MPerClassSampler`` draws them; None: images in random
            order, all of them before any is drawn again.
        batch_size: images in a batch.
        batches: of an epoch.
        processes: number of processes, which draw the same and take equal shares of each batch.
        rank: number of this process, whose shares these are.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        m: int | None,
        batch_size: int,
        batches: int,
        processes: int = 1,
        rank: int = 0,
    ) -> None:
        self._labels, self._m, self._batch_size, self._batches = labels, m, batch_size, batches
        # Where the shares of this process begin, and how long they are.
        self._size = batch_size // processes
        self._starts = range(rank * self._size, batches * batch_size, batch_size)

    def __len__(self) -> int:
        """Number of images."""
        return self._batches * self._size

    def __iter__(self) -> Iterator[Draw]:
        """Draw the images of an epoch: this process's share of each batch."""
        drawn = self._drawn(self._batches * self._batch_size)
        seeds = np.random.randint(2**63, size=len(drawn), dtype=np.int64)
        draws = list(zip(drawn, seeds.tolist(), strict=True))
        return (draw for start in self._starts for draw in draws[start : start + self._size])

    def _drawn(self, count: int) -> list[int]:
        """Numbers of the images of an epoch, for all processes."""
        if self._m is None:
            rounds = math.ceil(count / len(self._labels))
            shuffled = [np.random.permutation(len(self._labels)) for _ in range(rounds)]
            return [int(index) for index in np.concatenate(shuffled)[:count]]
        # A new one each time: PML shuffles the classes in place, and would continue from that order.
        sampler = MPerClassSampler(self._labels, self._m, self._batch_size, count)
        return [int(index) for index in sampler]


class DrawnImages(Dataset[tuple[Tensor, int]]):
    """Images by draw: a transform gives the same in any process, whatever ran before.

    Args:
        images: the images.
    """

    def __init__(self, images: LabelledTensors) -> None:
        self._images = images

    def __getitem__(self, draw: Draw) -> tuple[Tensor, int]:
        """Image and label."""
        index, seed = draw
        with drawn_from(seed):
            return self._images[index]

"""The data of an experiment, divided by its protocol, in the form that its model takes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pml_potential.analysis.label_noise import corrupt_labels
from pml_potential.benchmark.datasets import load_images
from pml_potential.benchmark.datasets.images import Images, LabelledImages
from pml_potential.benchmark.features import trunk_features
from pml_potential.benchmark.image_dataset import FeatureDataset, ImageDataset, PictureDataset
from pml_potential.benchmark.labelled_dataset import LabelledDataset
from pml_potential.benchmark.models import build_models
from pml_potential.benchmark.resized_images import resized_images
from pml_potential.benchmark.schema import Config, ConfigError
from pml_potential.benchmark.seeds import derive_seed
from pml_potential.benchmark.splits import Splits, class_disjoint_splits, published_splits
from pml_potential.benchmark.transforms import evaluation_transform, training_transform

Reader = Callable[[NDArray[np.int64]], LabelledDataset]
"""Makes a data set of some of the images."""


@dataclass(frozen=True)
class FoldData:
    """Images with their splits.

    Attributes:
        images: the whole data set.
        splits: which of them are for what.
        for_training: reads images as they are trained on.
        for_evaluation: reads images as they are judged.
        label_noise: share of the training images that get the label of another training class.
        seed: of the run, which decides which images these are.
    """

    images: Images
    splits: Splits
    for_training: Reader
    for_evaluation: Reader
    label_noise: float = 0.0
    seed: int = 0

    def fold(self, number: int) -> tuple[LabelledDataset, LabelledDataset]:
        """Training and validation images of a fold; label noise is the same each time."""
        fold = self.splits.folds[number]
        train = self.for_training(fold.train)
        seed = derive_seed(self.seed, "label_noise", number)
        train.labels = corrupt_labels(train.labels, self.label_noise, seed)
        return train, self.for_evaluation(fold.validation)

    @property
    def test(self) -> LabelledDataset:
        """The test images; where there is a gallery, the queries and then the gallery."""
        return self.for_evaluation(self.splits.test)


def load_fold_data(config: Config, cache: Path) -> FoldData:
    """Load the data set of a configuration and divide it.

    Args:
        config: names the data set, the model and the protocol.
        cache: folder for the features of a frozen trunk.

    Raises:
        ConfigError: The data set has too few classes for the folds or for a training batch.
    """
    return divide(config, load_images(config.dataset), cache)


def divide(config: Config, images: Images, cache: Path) -> FoldData:
    """Divide images by a protocol; as ``load_fold_data``, for images that are there."""
    try:
        splits = (
            published_splits(images.labels, images.parts)
            if config.protocol.folds == 1
            else class_disjoint_splits(images.labels, config.protocol.folds)
        )
    except ValueError as error:
        raise ConfigError(f"protocol.folds: {error}") from error
    wanted = config.protocol.batch_size // config.sampler.m
    fewest = min(len(np.unique(images.labels[fold.train])) for fold in splits.folds)
    if fewest < wanted:
        raise ConfigError(
            f"protocol.batch_size {config.protocol.batch_size} with sampler.m {config.sampler.m} takes "
            f"{wanted} classes, but a training fold of {images.name} has only {fewest}; lower the one "
            "or raise the other"
        )
    noise = config.dataset.label_noise
    return FoldData(images, splits, *_readers(config, images, cache), noise, config.seed)


def uses_features(config: Config) -> bool:
    """Whether the embedder is trained on features that the trunk computed once."""
    model = config.model
    return model.freeze_trunk and (model.input is None or not config.protocol.crop.augment)


def frozen_trunk(config: Config, images: Images) -> nn.Module:
    """The trunk that computes features; without pretrained weights it is random, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build_models(config.model, images.channels)["trunk"]


def _readers(config: Config, images: Images, cache: Path) -> tuple[Reader, Reader]:
    model, crop = config.model, config.protocol.crop
    evaluation = evaluation_transform(model.input, crop, images.channels)
    if uses_features(config):
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        features = trunk_features(frozen_trunk(config, images), images, evaluation, cache, device)

        def of_features(indices: NDArray[np.int64]) -> LabelledDataset:
            return FeatureDataset(features, images.labels, indices, images.channels)

        return of_features, of_features
    if model.input is None and isinstance(images, LabelledImages):

        def of_arrays(indices: NDArray[np.int64]) -> LabelledDataset:
            return ImageDataset(images, indices)

        return of_arrays, of_arrays
    training = training_transform(model.input, crop, images.channels) if crop.augment else evaluation
    pictures = images
    if model.input is not None and not isinstance(images, LabelledImages):
        pictures = resized_images(images, crop.resize, cache.parent / "resized")
    return (
        lambda indices: PictureDataset(pictures, indices, training),
        lambda indices: PictureDataset(pictures, indices, evaluation),
    )

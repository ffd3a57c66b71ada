"""The data of an experiment, divided by its protocol, in the form that a configuration's model takes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pml_potential.analysis.label_noise import corrupt_labels
from pml_potential.benchmark.config.run_folder import image_cache
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.config.seeds import derive_seed
from pml_potential.benchmark.data.datasets.catalogue import entry_of, load_images
from pml_potential.benchmark.data.features import View
from pml_potential.benchmark.data.images import ImageArrays, Images
from pml_potential.benchmark.data.labelled_tensors import (
    ArrayTensors,
    FeatureTensors,
    ImageTensors,
    LabelledTensors,
)
from pml_potential.benchmark.data.resized_images import resized_images
from pml_potential.benchmark.data.splits import Splits, class_disjoint_splits, published_splits
from pml_potential.benchmark.data.transforms import evaluation_transform, training_transform
from pml_potential.benchmark.data.trunk_views import Watch, trunk_views, unwatched
from pml_potential.benchmark.models.building import build_models
from pml_potential.benchmark.models.cut_trunk import CutTrunk, image_shape
from pml_potential.benchmark.models.device import training_device

Reader = Callable[[NDArray[np.int64]], LabelledTensors]
"""Makes tensors of some of the images."""


class FoldData:
    """Images with their splits, read as a configuration's model takes them.

    The configuration of a trial decides how images are read, as it decides everything else. What takes
    long, features of a frozen trunk and resized images, is kept in files.

    Args:
        images: the whole data set.
        splits: which of them are for what.
        cache: folder for the features of frozen trunks; resized images go beside it.

    Attributes:
        images: the whole data set.
        splits: which of them are for what.
    """

    def __init__(self, images: Images, splits: Splits, cache: Path) -> None:
        self.images = images
        self.splits = splits
        self._cache = cache
        self._readers: dict[str, tuple[Reader, Reader]] = {}

    def prepare(self, config: Config, watch: Watch = unwatched) -> None:
        """Fill the caches that a configuration needs, before other processes look for them.

        Args:
            config: says how images are read.
            watch: told what frozen layers compute, and how far they are.
        """
        self._readers_for(config, watch)

    def fold(self, config: Config, number: int) -> tuple[LabelledTensors, LabelledTensors]:
        """Training and validation images of a fold; label noise is the same each time."""
        for_training, for_evaluation = self._readers_for(config)
        fold = self.splits.folds[number]
        train = for_training(fold.train)
        seed = derive_seed(config.seed, "label_noise", number)
        train.labels = corrupt_labels(train.labels, config.dataset.label_noise, seed)
        return train, for_evaluation(fold.validation)

    def test(self, config: Config) -> LabelledTensors:
        """The test images; where there is a gallery, the queries and then the gallery."""
        return self.for_evaluation(config, self.splits.test)

    def for_evaluation(self, config: Config, indices: NDArray[np.int64]) -> LabelledTensors:
        """Some of the images, as they are judged."""
        return self._readers_for(config)[1](indices)

    def _readers_for(self, config: Config, watch: Watch = unwatched) -> tuple[Reader, Reader]:
        network = config.model.model_dump_json(
            include={"trunk", "weights", "pooling", "input", "freeze_trunk", "freeze_until"}
        )
        key = f"{network} {config.protocol.crop.model_dump_json()} {config.seed}"
        if key not in self._readers:
            self._readers[key] = _readers(config, self.images, self._cache, watch)
        return self._readers[key]


def load_fold_data(config: Config, cache: Path) -> FoldData:
    """Load the data set of a configuration and divide it.

    Args:
        config: names the data set and the protocol.
        cache: folder for the features of a frozen trunk.

    Raises:
        ConfigError: The data set has too few classes for the folds.
    """
    return divide(config, load_images(config.dataset), cache)


def divide(config: Config, images: Images, cache: Path) -> FoldData:
    """Divide images by a protocol; as ``load_fold_data``, for images that are there."""
    folds = config.protocol.folds
    division = images.division
    try:
        if folds == 1:
            splits = published_splits(images.labels, division)
        else:
            has_halves = entry_of(config.dataset.name).mlrc_halves
            splits = class_disjoint_splits(images.labels, folds, None if has_halves else division)
    except ValueError as error:
        raise ConfigError(f"protocol.folds: {error}") from error
    return FoldData(images, splits, cache)


def uses_features(config: Config) -> bool:
    """Whether the embedder is trained on features that the trunk computed once."""
    model = config.model
    return model.freeze_trunk and (model.input is None or not config.protocol.crop.augment)


def frozen_trunk(config: Config, images: Images | LabelledTensors) -> nn.Module:
    """The trunk whose frozen layers compute features; without weights it is random, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build_models(config.model, images.channels)["trunk"]


def _readers(config: Config, images: Images, cache: Path, watch: Watch) -> tuple[Reader, Reader]:
    """How images are read for training, and how for evaluation."""
    model, crop = config.model, config.protocol.crop
    evaluation = evaluation_transform(model.input, crop, images.channels)
    if uses_features(config):
        trunk = frozen_trunk(config, images)
        features = trunk_views(trunk, images, [View(evaluation)], cache, training_device(), watch=watch)
        of_features = _reader_of(features, images)
        return of_features, of_features
    is_whole = model.input is None
    if is_whole and model.freeze_until is None and isinstance(images, ImageArrays):

        def of_arrays(indices: NDArray[np.int64]) -> LabelledTensors:
            return ArrayTensors(images, indices)

        return of_arrays, of_arrays
    training = evaluation
    if crop.augment and not is_whole:
        training = training_transform(model.input, crop, images.channels)
    read = images
    if not is_whole and not isinstance(images, ImageArrays):
        read = resized_images(images, crop.resize, image_cache(cache))
    if model.freeze_until is not None:
        # On a processor convolutions take two thirds of the time in this format.
        trunk = frozen_trunk(config, images).to(memory_format=torch.channels_last)
        front = CutTrunk(trunk, model.freeze_until, image_shape(model, crop)).front
        numbers = range(crop.views if training is not evaluation else 0)
        views = [View(evaluation), *(View(training, number) for number in numbers)]
        found = trunk_views(front, read, views, cache, training_device(), np.float16, watch)
        return _reader_of(found[1:] or found, images), _reader_of(found[:1], images)
    return (
        lambda indices: ImageTensors(read, indices, training),
        lambda indices: ImageTensors(read, indices, evaluation),
    )


def _reader_of(views: Sequence[NDArray[Any]], images: Images) -> Reader:
    return lambda indices: FeatureTensors(views, images.labels, indices, images.channels)

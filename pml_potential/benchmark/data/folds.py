"""The data of an experiment, divided by its protocol, in the form that a configuration's model takes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pml_potential.analysis.label_noise import corrupt_labels
from pml_potential.benchmark.config.run_folder import hash_memory, image_cache
from pml_potential.benchmark.config.schema import Config, ConfigError, Dataset
from pml_potential.benchmark.config.seeds import derive_seed, use_deterministic_algorithms
from pml_potential.benchmark.data.datasets.catalogue import entry_of, load_images
from pml_potential.benchmark.data.feature_rows import FeatureRows
from pml_potential.benchmark.data.features import View
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.images import ImageArrays, Images
from pml_potential.benchmark.data.judgeable import why_not_judgeable
from pml_potential.benchmark.data.labelled_tensors import (
    ArrayTensors,
    FeatureTensors,
    ImageTensors,
    LabelledTensors,
)
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.data.resized_images import resized_images
from pml_potential.benchmark.data.splits import Splits, splits_of
from pml_potential.benchmark.data.transforms import evaluation_transform, training_transform
from pml_potential.benchmark.data.trunk_views import trunk_views
from pml_potential.benchmark.models.building import build_models
from pml_potential.benchmark.models.cut_trunk import CutTrunk, image_shape
from pml_potential.benchmark.models.device import training_device

Reader = Callable[[NDArray[np.int64]], LabelledTensors]
"""Makes tensors of some of the images."""


class FoldData:
    """Images with their splits, read as a configuration's model takes them.

    The configuration of a trial decides how images are read. Features of a frozen trunk and resized
    images take long, so they are kept in files.

    Args:
        images: the whole data set.
        splits: its folds and test set.
        cache: folder for the features of frozen trunks; resized images go beside it.

    Attributes:
        images: the whole data set.
        splits: its folds and test set.
    """

    def __init__(self, images: Images, splits: Splits, cache: Path) -> None:
        self.images = images
        self.splits = splits
        self._cache = cache
        self._readers: dict[str, tuple[Reader, Reader]] = {}

    def prepare(self, config: Config) -> None:
        """Fill the caches that a configuration needs, before other processes look for them.

        Raises:
            ConfigError: The images are of different sizes, and the model takes them as they are.
        """
        check_sizes(config, self.images)
        self._readers_for(config)

    def fold(self, config: Config, number: int) -> tuple[LabelledTensors, LabelledTensors]:
        """Training and validation images of a fold; label noise is the same each time."""
        for_training, for_evaluation = self._readers_for(config)
        fold = self.splits.folds[number]
        train = for_training(fold.train)
        if for_evaluation is not for_training:
            train.as_judged = for_evaluation(fold.train)
        train.labels = self.training_labels(config, number)
        validation = for_evaluation(fold.validation)
        train.source = validation.source = self.images.sha256
        return train, validation

    def training_labels(self, config: Config, number: int) -> NDArray[np.int64]:
        """Classes of the training images of a fold, from 0, with label noise."""
        labels = np.unique(self.images.labels[self.splits.folds[number].train], return_inverse=True)[1]
        seed = derive_seed(config.seed, "label_noise", number)
        return corrupt_labels(labels, config.dataset.label_noise, seed)

    def test(self, config: Config) -> LabelledTensors:
        """The test images; if there is a gallery, the queries and then the gallery."""
        return self.for_evaluation(config, self.splits.test)

    def for_evaluation(self, config: Config, indices: NDArray[np.int64]) -> LabelledTensors:
        """Some of the images, as evaluation sees them."""
        return self._readers_for(config)[1](indices)

    def _readers_for(self, config: Config) -> tuple[Reader, Reader]:
        network = config.model.model_dump_json(
            include={"trunk", "weights", "pooling", "input", "freeze_trunk", "freeze_until"}
        )
        key = f"{network} {config.protocol.crop.model_dump_json()} {config.seed}"
        if key not in self._readers:
            self._readers[key] = _readers(config, self.images, self._cache)
        return self._readers[key]


def load_fold_data(config: Config, cache: Path) -> FoldData:
    """Load the data set of a configuration and divide it.

    The process is made deterministic here if the protocol asks for it, since features may be the first
    work of a GPU.

    Args:
        config: names the data set and the protocol.
        cache: folder for the features of a frozen trunk.

    Raises:
        ConfigError: The data set has too few classes for the folds, or cannot be evaluated.
    """
    if config.protocol.deterministic:
        use_deterministic_algorithms()
    return divide(config, remembered_images(config.dataset, cache), cache)


def remembered_images(dataset: Dataset, cache: Path) -> Images:
    """Load a data set; slow results of reading its files are remembered.

    Args:
        dataset: its name and location.
        cache: folder for the features of a frozen trunk, beside which hashes are remembered.

    Raises:
        ConfigError: As ``load_images``.
    """
    images = load_images(dataset)
    if isinstance(images, ImageFiles):
        return replace(images, memory=hash_memory(cache, images.root))
    return replace(images, cache=cache) if isinstance(images, FeatureRows) else images


def divide(config: Config, images: Images, cache: Path) -> FoldData:
    """Divide images by a protocol; as ``load_fold_data``, for images that are already loaded."""
    folds, halves = config.protocol.folds, entry_of(config.dataset.name).mlrc_halves
    try:
        splits = splits_of(images.labels, images.division, folds, halves)
    except ValueError as error:
        raise ConfigError(f"protocol.folds: {error}") from error
    if (reason := why_not_judgeable(splits, images.labels)) is not None:
        raise ConfigError(
            f"{images.name} with protocol.folds {folds} cannot be evaluated: {reason}; give each class "
            f"at least two images (pml-potential datasets check {config.dataset.name} shows what is "
            f"possible)"
        )
    return FoldData(images, splits, cache)


def check_sizes(config: Config, images: Images) -> None:
    """Raise if images differ in size and the model takes them as they are.

    Raises:
        ConfigError: They do.
    """
    if config.model.input is not None or not isinstance(images, ImageFiles):
        return
    sizes = images.sizes
    for place, size in enumerate(sizes):
        if size != sizes[0]:
            (width, height), (other_width, other_height) = sizes[0], size
            raise ConfigError(
                f"{images.paths[0]} has {width} x {height} pixels and {images.paths[place]} "
                f"{other_width} x {other_height}, and model.input is null, which takes images of one "
                "size; give model.input, whose images are cropped to protocol.crop.size, such as "
                "'{mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}'",
                ("model", "input"),
            )


def uses_features(config: Config) -> bool:
    """Whether the embedder is trained on features that the trunk computed once."""
    model = config.model
    return model.freeze_trunk and (model.input is None or not config.protocol.crop.augment)


def frozen_trunk(config: Config, images: Images | LabelledTensors) -> nn.Module:
    """The trunk whose frozen layers compute features; without weights it is random, always the same."""
    with torch.random.fork_rng(devices=[]), long_step(f"building {config.model.trunk}"):
        torch.manual_seed(config.seed)
        return build_models(config.model, images.channels)["trunk"]


def _readers(config: Config, images: Images, cache: Path) -> tuple[Reader, Reader]:
    """How images are read for training, and how for evaluation."""
    if isinstance(images, FeatureRows):
        of_vectors = _reader_of([images.vectors], images)
        return of_vectors, of_vectors
    model, crop = config.model, config.protocol.crop
    evaluation = evaluation_transform(model.input, crop, images.channels)
    if uses_features(config):
        trunk = frozen_trunk(config, images)
        features = trunk_views(trunk, images, [View(evaluation)], cache, training_device())
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
        read = resized_images(images, crop, image_cache(cache))
    if model.freeze_until is not None:
        # On a CPU, convolutions take two thirds of the time in this format.
        trunk = frozen_trunk(config, images).to(memory_format=torch.channels_last)
        front = CutTrunk(trunk, model.freeze_until, image_shape(model, crop)).front
        numbers = range(crop.views if training is not evaluation else 0)
        views = [View(evaluation), *(View(training, number) for number in numbers)]
        found = trunk_views(front, read, views, cache, training_device(), np.float16)
        return _reader_of(found[1:] or found, images), _reader_of(found[:1], images)
    return (
        lambda indices: ImageTensors(read, indices, training),
        lambda indices: ImageTensors(read, indices, evaluation),
    )


def _reader_of(views: Sequence[NDArray[Any]], images: Images) -> Reader:
    return lambda indices: FeatureTensors(views, images.labels, indices, images.channels)

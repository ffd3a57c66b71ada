"""Write a trunk's features of a data set to a file that the data set ``features`` reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.feature_rows import FeatureRows
from pml_potential.benchmark.data.features import View
from pml_potential.benchmark.data.folds import check_sizes, frozen_trunk, remembered_images
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.labelling import number_classes
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.data.transforms import evaluation_transform
from pml_potential.benchmark.data.trunk_views import trunk_views
from pml_potential.benchmark.files import whole_file
from pml_potential.benchmark.models.device import training_device


def write_features(config: Config, path: Path, cache: Path) -> tuple[int, int]:
    """Write the features of all images of a data set, with labels, parts and paths.

    The features are cached, so a call after Ctrl-C or a kill resumes, and a run with this frozen trunk
    reuses them. The file is written whole or not at all.

    Args:
        config: names the data set, the trunk with its weights, and the crop.
        path: of the file, ending in ``.npz``. It gets ``vector`` (n, width) as float32; ``label``, the
            names of the classes, with their numbers before them if the names alone would sort
            differently; ``split`` if the data set comes divided; and ``id``, the images' paths, if any.
        cache: folder for the features.

    Returns:
        n and the width.

    Raises:
        ConfigError: The path has another suffix, the data set holds vectors, or it cannot be loaded.
    """
    if path.suffix != ".npz":
        raise ConfigError(f"{path} is the file to write; its name must end in .npz")
    images = remembered_images(config.dataset, cache)
    if isinstance(images, FeatureRows):
        raise ConfigError(
            f"the data set {config.dataset.name!r} already holds vectors; give --dataset and --model "
            f"to choose images and a network",
            ("dataset", "name"),
        )
    check_sizes(config, images)
    trunk = frozen_trunk(config, images)
    view = View(evaluation_transform(config.model.input, config.protocol.crop, images.channels))
    (features,) = trunk_views(trunk, images, [view], cache, training_device())
    columns: dict[str, Any] = {"label": np.array(_names_in_order(images.class_names))[images.labels]}
    if images.division is not None:
        columns["split"] = images.division
    if isinstance(images, ImageFiles):
        columns["id"] = np.array([images.relative_path(place) for place in range(len(images.paths))])
    with whole_file(path) as file, long_step(f"writing {path.name}"):
        np.savez(file, vector=features, **columns)
    return features.shape[0], features.shape[1]


def _names_in_order(names: Sequence[str]) -> Sequence[str]:
    """Names of classes, or numbers with names, that sort in the order of the classes."""
    if number_classes(names)[1] == tuple(names):
        return names
    digits = len(str(len(names)))
    return [f"{number:0{digits}} {name}" for number, name in enumerate(names)]

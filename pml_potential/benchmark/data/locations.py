"""Locations of a configuration's files. They may differ: hashes bind a run to the contents."""

from pathlib import Path
from typing import Any

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.datasets.catalogue import entry_of
from pml_potential.benchmark.data.datasets.entry import root_of

DOWNLOAD = "download"
"""Instead of a path of weights: from the source that the trunk's library names."""


def located(config: Config) -> Config:
    """The configuration with absolute paths, so that it means the same in every working folder.

    Examples:
        >>> from pml_potential.benchmark.config.composing import compose
        >>> presets = {"protocol": "quick", "model": "small_cnn", "loss": "contrastive"}
        >>> config = compose(presets | {"dataset": "cub200"})
        >>> Path(located(config).dataset.root) == Path.cwd() / "data" / "cub200"
        True
    """
    dataset, weights = config.dataset, config.model.weights
    takes_root = "root" in entry_of(dataset.name).takes
    # A root that the data set does not take is refused when images are loaded, as it was typed.
    root = _whole(root_of(dataset)) if takes_root else dataset.root
    file = None if dataset.file is None else _whole(Path(dataset.file))
    if weights not in (None, DOWNLOAD):
        weights = _whole(Path(str(weights)).expanduser())
    return _with_locations(config, root, file, weights)


def without_locations(config: Config) -> Config:
    """The configuration without its paths, which is the same wherever the files lie."""
    weights = config.model.weights
    return _with_locations(config, None, None, weights if weights in (None, DOWNLOAD) else "a file")


def _with_locations(config: Config, root: Any, file: Any, weights: Any) -> Config:
    dataset = config.dataset.model_copy(update={"root": root, "file": file})
    model = config.model.model_copy(update={"weights": weights})
    return config.model_copy(update={"dataset": dataset, "model": model})


def _whole(path: Path) -> str:
    return str(path.absolute())

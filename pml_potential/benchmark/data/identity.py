"""What a run is bound to besides its configuration: its images, splits and pretrained weights."""

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
from torch import nn

from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.folds import FoldData, frozen_trunk
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.splits import Splits
from pml_potential.benchmark.files import read_json, write_json
from pml_potential.benchmark.models.weights import weights_hash


@dataclass(frozen=True)
class Identity:
    """What decides the scores of a configuration.

    Attributes:
        data: hash of the data set, over the contents of its files.
        images: how many it has.
        classes: how many classes.
        division: hash of the splits.
        weights: hash of the pretrained trunk; None for random weights.
    """

    data: str
    images: int
    classes: int
    division: str
    weights: str | None


def identity_of(config: Config, data: FoldData) -> Identity:
    """The identity of a configuration's current images, splits and weights."""
    return Identity(
        data=data.images.sha256,
        images=len(data.images.labels),
        classes=len(data.images.class_names),
        division=_hash_of_division(data.splits),
        weights=hash_of_weights(config, data.images),
    )


def hash_of_weights(config: Config, images: Images) -> str | None:
    """Hash of the trunk with its pretrained weights; None without any."""
    if config.model.weights is None:
        return None
    return weights_hash(frozen_trunk(config, images))


def bind(run: RunFolder, identity: Identity) -> None:
    """Record what a run was started with, unless it is already recorded."""
    if not run.identity.exists():
        write_json(run.identity, asdict(identity))


def check_bound(run: RunFolder, identity: Identity) -> None:
    """Raise if a run was started with something else.

    Raises:
        ConfigError: It was started with other images, splits or weights, or its record is damaged.
    """
    if (begun := _read(run)) is None:
        return
    there, here = asdict(begun), asdict(identity)
    apart = [f"{name} {there[name]} and {here[name]}" for name in there if there[name] != here[name]]
    if apart:
        raise ConfigError(
            f"{run.path} was started with different data: {'; '.join(apart)} (then and "
            "now). Restore the old ones, or start a new run with another --folder"
        )


def check_weights(run: RunFolder, trunk: nn.Module) -> None:
    """Raise unless a trunk with pretrained weights is the one that a run was started with.

    Raises:
        ConfigError: It is another one.
    """
    begun = _read(run)
    if begun is None or begun.weights is None:
        return
    if (found := weights_hash(trunk)) != begun.weights:
        raise ConfigError(
            f"{run.path} was started with weights other than those of model.weights: {begun.weights} "
            f"and {found} (then and now). Restore the old ones"
        )


def _read(run: RunFolder) -> Identity | None:
    try:
        return Identity(**read_json(run.identity))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{run.identity} is damaged ({error}); it identifies the images of the run. Delete it if "
            f"they are unchanged"
        ) from error


def _hash_of_division(splits: Splits) -> str:
    digest = hashlib.sha256()
    parts = [splits.test, *(part for fold in splits.folds for part in (fold.train, fold.validation))]
    for part in parts:
        digest.update(f"{len(part)} ".encode() + part.astype(np.dtype("<i8")).tobytes())
    queries = [splits.queries, *(fold.queries for fold in splits.folds)]
    digest.update(repr(queries).encode())
    return digest.hexdigest()

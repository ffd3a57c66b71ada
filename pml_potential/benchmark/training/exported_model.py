"""Export a trained model to a self-contained folder, and load it as a module."""

import hashlib
import reprlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor, nn
from torch.nn.functional import normalize

from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import Config, ConfigError, Crop, Model, Section
from pml_potential.benchmark.config.yaml_text import read_yaml
from pml_potential.benchmark.data.image_reading import Source, name_of, read_image
from pml_potential.benchmark.data.image_warnings import warnings_name_images
from pml_potential.benchmark.data.transforms import ImageTransform, evaluation_transform
from pml_potential.benchmark.files import write_bytes, write_text
from pml_potential.benchmark.models.building import build_models
from pml_potential.benchmark.models.trunks import takes_any_channels, takes_vectors
from pml_potential.benchmark.models.weights import load_weights
from pml_potential.functional.validation import check_embeddings

ONNX_FILE = "model.onnx"
"""The model as a graph, if it was also exported as one."""

PREPROCESSING_FILE = "preprocessing.json"
"""Inputs and outputs of the graph."""

_FORMAT: Literal["pml-potential model 1"] = "pml-potential model 1"


class _Hashes(Section):
    trunk: str
    embedder: str


class Description(Section):
    """Content of ``model.yaml``."""

    format: Literal["pml-potential model 1"]
    channels: Annotated[int, Field(ge=1)]
    crop: Crop
    model: Model
    sha256: _Hashes


class EmbeddingModel(nn.Module):
    """A trunk and an embedder that embed pictures, or vectors of another encoder.

    Args:
        trunk: from normalised pictures (n, channels, h, w) to features (n, features).
        embedder: from features to (n, embedding_size).
        transform: from a picture to the trunk's input; None: it embeds vectors.
        embedding_size: width of the embedding.
        channels: of the pictures that it was trained on, 1 for grey or 3 for colours; for vectors, their
            width.
    """

    def __init__(
        self,
        trunk: nn.Module,
        embedder: nn.Module,
        transform: ImageTransform | None,
        embedding_size: int,
        channels: int,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.embedder = embedder
        self.transform = transform
        self.embedding_size = embedding_size
        self.channels = channels

    def forward(self, pictures: Tensor) -> Tensor:
        """Embed transformed pictures (n, channels, h, w), or vectors (n, channels).

        Returns:
            (n, embedding_size), l2-normalised.
        """
        return normalize(self.embedder(self.trunk(pictures)))

    @torch.no_grad()
    def embed(
        self, images: Sequence[Source] | Tensor | NDArray[np.floating[Any]], batch_size: int = 64
    ) -> Tensor:
        """Embed pictures, read as the benchmark reads them, in float32.

        A warning says which pictures were changed: turned upright, laid over white, cut to 8 bits and
        the like. Give paths rather than converted pictures: Pillow's ``convert("RGB")`` drops
        transparency, and all but the darkest levels of 16 bits.

        Args:
            images: paths, open files or pictures of Pillow. A model that sees whole images needs them in
                one size. A model of vectors (``transform`` is None) needs a floating matrix, an array or
                a tensor, (n, channels).
            batch_size: how many go through the network at once.

        Returns:
            (len(images), embedding_size), l2-normalised, on the model's device.

        Raises:
            RuntimeError: The model is in training mode, where BatchNorm would mix the pictures.
            TypeError: ``images`` is a single picture, holds something else, or is not a matrix.
            UnreadableImageError: A file is missing, damaged or not an image; the message names it.
            ValueError: Sizes differ where they must not, or vectors have another width, NaN or infinity.
        """
        if self.training:
            raise RuntimeError("the model is in training mode; call its eval() before embed()")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        if self.transform is None:
            return self._embed_vectors(images, batch_size)
        if not isinstance(images, Sequence) or isinstance(images, str | bytes):
            raise TypeError(
                f"images is {reprlib.repr(images)}; give a list of pictures, or [picture] for one"
            )
        device = next(self.parameters()).device
        parts = [torch.empty(0, self.embedding_size, device=device)]
        changed: dict[str, list[str]] = {}
        for start in range(0, len(images), batch_size):
            pictures = []
            for place in range(start, min(start + batch_size, len(images))):
                name = name_of(images[place], otherwise=f"images[{place}]")
                with warnings_name_images():
                    found = read_image(images[place], self.channels, name)
                pictures.append(self.transform(found.image))
                for change in found.changes:
                    changed.setdefault(change, []).append(name)
            shapes = sorted({tuple(picture.shape[1:]) for picture in pictures})
            if len(shapes) > 1:
                raise ValueError(
                    f"images have heights and widths {shapes}, and this model sees whole images; give "
                    "images of one size at a time"
                )
            parts.append(self(torch.stack(pictures).to(device)))
        for change, names in changed.items():
            warnings.warn(f"{_some(names)}: {change}, as in the benchmark", stacklevel=3)
        return torch.cat(parts)

    def _embed_vectors(self, vectors: Any, batch_size: int) -> Tensor:
        if not isinstance(vectors, Tensor | np.ndarray) or vectors.ndim != 2:
            raise TypeError(
                f"images is {reprlib.repr(vectors)}; this model embeds vectors, an array or a tensor of "
                f"shape (n, {self.channels})"
            )
        device = next(self.parameters()).device
        parts = [torch.empty(0, self.embedding_size, device=device)]
        for start in range(0, len(vectors), batch_size):
            rows = vectors[start : start + batch_size]
            if not isinstance(rows, Tensor):
                # A copy of these rows only: the array may be mapped from a file.
                rows = torch.from_numpy(np.array(rows))
            check_embeddings("images", rows, self.channels)
            parts.append(self(rows.float().to(device)))
        return torch.cat(parts)


def _some(names: Sequence[str]) -> str:
    """A name, and how many more there are."""
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]


def export_model(folder: Path, config: Config, trunk: nn.Module, embedder: nn.Module) -> None:
    """Write a trained model to a folder, for ``load_model``.

    Each file is written whole or not at all. ``model.yaml``, with the hashes of the others, comes last,
    so a mixture of two exports is refused when it is read. A graph of a former export is removed.

    Args:
        folder: ``trunk.safetensors``, ``embedder.safetensors`` and ``model.yaml`` go there.
        config: what the model was trained with; its model and crop are needed to use it.
        trunk: from ``build_models``, trained.
        embedder: likewise.

    Raises:
        ValueError: The trunk has no weights, as when a frozen trunk's features replace it.
    """
    folder = Path(folder)
    if not trunk.state_dict() and not takes_vectors(config.model.trunk):
        raise ValueError(
            f"trunk is {trunk} without weights; give the one whose features the embedder was trained on"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in (ONNX_FILE, PREPROCESSING_FILE):
        (folder / name).unlink(missing_ok=True)
    hashes = {
        "trunk": _write_weights(folder / "trunk.safetensors", trunk),
        "embedder": _write_weights(folder / "embedder.safetensors", embedder),
    }
    description = Description.model_validate(
        {
            "format": _FORMAT,
            "channels": _channels(config.model, trunk, embedder),
            "crop": config.protocol.crop.model_dump(),
            "model": config.model.model_dump(),
            "sha256": hashes,
        }
    )
    write_text(folder / "model.yaml", yaml.safe_dump(description.model_dump(), sort_keys=False))


def load_model(folder: str | Path) -> EmbeddingModel:
    """Read a model that ``export_model`` wrote.

    Args:
        folder: where it is.

    Returns:
        The model, in evaluation mode, on the CPU. Pretrained weights are not needed again.

    Raises:
        ConfigError: A file is missing, damaged or not of this export, or the library of the network
            is not installed.
    """
    folder = Path(folder)
    description = read_description(folder)
    paths = {name: folder / f"{name}.safetensors" for name in ("trunk", "embedder")}
    for name, expected in description.sha256.model_dump().items():
        if not paths[name].is_file():
            raise ConfigError(f"{paths[name]} is missing; export the model again")
        if _hash(paths[name]) != expected:
            raise ConfigError(
                f"{paths[name]} is damaged, or not of the same export as model.yaml; export the model "
                "again"
            )
    models = build_models(description.model, description.channels, pretrained=False)
    for name, module in models.items():
        if module.state_dict():
            load_weights(module, paths[name])
    transform = None
    if not takes_vectors(description.model.trunk):
        transform = evaluation_transform(description.model.input, description.crop, description.channels)
    size = description.model.embedding_size
    model = EmbeddingModel(models["trunk"], models["embedder"], transform, size, description.channels)
    return model.eval()


def read_description(folder: Path) -> Description:
    """Read the ``model.yaml`` of an exported model.

    Raises:
        ConfigError: It is missing, damaged or of another program.
    """
    path = folder / "model.yaml"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}; give a folder that export_model wrote"
        ) from error
    values = read_yaml(content, str(path))
    found = values.get("format") if isinstance(values, dict) else None
    if found != _FORMAT:
        raise ConfigError(f"{path} has format {found!r}, not {_FORMAT!r}; it is not of this package")
    try:
        return Description.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {reason_of(error)}") from error


def _channels(model: Model, trunk: nn.Module, embedder: nn.Module) -> int:
    """Colour channels of the data set, to which only some trunks of whole images adapt; or its width."""
    if takes_vectors(model.trunk):
        return int(next(embedder.parameters()).shape[1])
    if model.input is not None or not takes_any_channels(model.trunk):
        return 3
    return int(next(trunk.parameters()).shape[1])


def _write_weights(path: Path, module: nn.Module) -> str:
    library = import_library("safetensors.torch", "safetensors", "export_model")
    # Inside torch.compile's wrapper; with a copy of each tensor, as some share their memory.
    original: nn.Module = getattr(module, "_orig_mod", module)
    state = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in original.state_dict().items()
    }
    content: bytes = library.save(state)
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

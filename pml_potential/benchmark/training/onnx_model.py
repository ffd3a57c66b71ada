"""An exported model as an ONNX graph, which onnxruntime computes without torch."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.normalisation import Normalisation
from pml_potential.benchmark.data.transforms import border_colour
from pml_potential.benchmark.files import write_bytes, write_json
from pml_potential.benchmark.training.exported_model import (
    ONNX_FILE,
    PREPROCESSING_FILE,
    Description,
    load_model,
    read_description,
)

TOLERANCE = 1e-4
"""Largest difference between an element of onnxruntime's vectors and of torch's."""

_LARGEST = 2**31 - 2**20
"""Most bytes of weights that fit into an ONNX file, with its graph."""

_INPUT, _OUTPUT = "pixels", "embeddings"


def check_onnx_libraries() -> None:
    """Raise unless all libraries that write a graph are installed.

    Raises:
        ConfigError: A library is not; the message has the pip line.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        import_library(name, name, "export --onnx")


def write_onnx(folder: Path, height: int, width: int) -> None:
    """Write ``model.onnx`` and ``preprocessing.json`` beside an exported model.

    The graph takes ``pixels``, uint8 of shape (n, height, width, channels), red, green and blue or
    grey, for any n, and gives ``embeddings``, float32 of shape (n, embedding_size), l2-normalised. It
    scales the pixels itself; pictures must be cut to height and width before, as
    ``preprocessing.json`` describes. It is only written if onnxruntime gives the vectors of
    ``load_model(folder)``.

    Args:
        folder: of a model that ``export_model`` wrote.
        height: of the pictures that the network takes, in pixels.
        width: likewise.

    Raises:
        ConfigError: A library is missing, the network cannot be written as a graph, or onnxruntime
            gives other vectors.
    """
    check_onnx_libraries()
    description = read_description(folder)
    network = _FromPixels(load_model(folder), Normalisation(description.model.input))
    generator = torch.Generator().manual_seed(0)
    shape = (3, height, width, description.channels)
    example = torch.randint(0, 256, shape, generator=generator).to(torch.uint8)
    content = onnx_graph(network.eval(), example)
    write_json(folder / PREPROCESSING_FILE, _preprocessing(description, height, width))
    write_bytes(folder / ONNX_FILE, content)


def onnx_graph(network: nn.Module, example: Tensor) -> bytes:
    """Turn a network into an ONNX graph, and check that onnxruntime computes the same.

    Args:
        network: in evaluation mode, on the CPU; from a batch to vectors.
        example: a batch of at least 2. The graph takes batches of any length.

    Returns:
        The content of a file.

    Raises:
        ConfigError: The network has too many weights for one file or code that no graph can hold, or
            onnxruntime gives vectors that differ by more than 1e-4.
    """
    weights = sum(each.numel() * each.element_size() for each in network.state_dict().values())
    if weights > _LARGEST:
        raise ConfigError(
            f"the network has {weights / 2**30:.1f} GiB of weights, and an ONNX file holds less than 2; "
            "export it without --onnx"
        )
    try:
        program: Any = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n")},),
            input_names=[_INPUT],
            output_names=[_OUTPUT],
            verbose=False,
        )
        content: bytes = program.model_proto.SerializeToString()
    # The network's own code runs on symbols, which may fail in any way.
    except Exception as error:
        cause = error.__cause__ or error
        raise ConfigError(
            f"the network cannot be written as ONNX ({_first_line(cause)}); export it without --onnx"
        ) from error
    difference = _difference(content, network, example)
    if not difference <= TOLERANCE:
        raise ConfigError(
            f"onnxruntime gives other vectors than torch, by up to {difference:.1e}; export the model "
            "without --onnx"
        )
    return content


class _FromPixels(nn.Module):
    """A model with all steps from the pixels to its vectors."""

    def __init__(self, model: nn.Module, normalised: Normalisation) -> None:
        super().__init__()
        self._model = model
        self._normalised = normalised

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed pixels (n, height, width, channels)."""
        embeddings: Tensor = self._model(self._normalised(pixels.permute(0, 3, 1, 2)))
        return embeddings


def _difference(content: bytes, network: nn.Module, example: Tensor) -> float:
    """Largest difference between onnxruntime's and torch's elements, for one picture and for all."""
    library = import_library("onnxruntime", "onnxruntime", "export --onnx")
    session = library.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = network(example).numpy()
    found = [session.run([_OUTPUT], {_INPUT: example[:batch].numpy()})[0] for batch in (1, len(example))]
    return max(float(np.abs(each - expected[: len(each)]).max()) for each in found)


def _preprocessing(description: Description, height: int, width: int) -> dict[str, Any]:
    """What is done with a picture before the graph, and what the graph does."""
    taken, crop, channels = description.model.input, description.crop, description.channels
    colours = "RGB" if channels == 3 else "grey"
    resize = None
    # Whole images are taken as they are, and scaled to [-1, 1].
    numbers: dict[str, Any] = {"channels": colours, "white": 1.0}
    numbers |= {name: [0.5] * channels for name in ("mean", "std")}
    if taken is not None:
        numbers = taken.model_dump()
        resize = {
            "fit": crop.fit,
            "resize": crop.resize,
            "size": crop.size,
            "interpolation": "bilinear with antialiasing",
            "border": border_colour(taken),
        }
    shape = ["n", height, width, channels]
    size = description.model.embedding_size
    return {
        "input": {"name": _INPUT, "dtype": "uint8", "shape": shape, "channels": colours},
        "resize": resize,
        "normalised_in_graph": numbers,
        "output": {"name": _OUTPUT, "dtype": "float32", "shape": ["n", size], "l2_normalised": True},
    }


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

"""onnxruntime itself gives the vectors of ``load_model``."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.files import read_json
from pml_potential.benchmark.models import build_models
from pml_potential.benchmark.training.exported_model import export_model, load_model
from pml_potential.benchmark.training.onnx_model import onnx_graph, write_onnx
from tests.benchmark.tiny import PRESETS

SIDE = 32


def seen_at(side: int) -> str:
    """Pictures of this side are seen as they are, neither resized nor cut."""
    return f"protocol.crop={{resize: {side}, size: {side}}}"


RGB = "model.input={mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}"
BGR = "model.input={mean: [104.0, 117.0, 128.0], std: [1.0, 2.0, 4.0], channels: BGR, white: 255.0}"
KINDS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "whole grey images": (1, SIDE, ()),
    "grey for three channels": (1, SIDE, (RGB, seen_at(SIDE))),
    "efficientnet_lite0": (
        3,
        SIDE,
        ("model.trunk=efficientnet_lite0", "model.weights=download", RGB, seen_at(SIDE)),
    ),
    "ResNet of timm": (
        3,
        SIDE,
        ("model.trunk=timm/test_resnet", "model.pooling=avg_max", BGR, seen_at(SIDE)),
    ),
    "ViT of timm": (3, 160, ("model.trunk=timm/test_vit", "model.pooling=avg", RGB, seen_at(160))),
}


def exported(folder: Path, channels: int, side: int, assignments: tuple[str, ...]) -> Path:
    """A model that is untrained, or pretrained by a package, and whose BatchNorm has seen data."""
    config = compose(PRESETS, assignments)
    torch.manual_seed(0)
    models = build_models(config.model, channels)
    models["trunk"](torch.randn(4, 3 if config.model.input else channels, side, side))
    export_model(folder, config, models["trunk"].eval(), models["embedder"].eval())
    return folder


def blocks(count: int, side: int, channels: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Pictures of four by four blocks, which even an untrained network tells apart."""
    pixels = np.random.default_rng(1).integers(0, 256, (count, 4, 4, channels), dtype=np.uint8)
    return pixels.repeat(side // 4, axis=1).repeat(side // 4, axis=2)


@pytest.mark.parametrize("kind", KINDS)
def test_onnxruntime_gives_the_vectors_of_the_model(kind: str, tmp_path: Path) -> None:
    channels, side, assignments = KINDS[kind]
    exported(tmp_path, channels, side, assignments)
    write_onnx(tmp_path, side, side)
    (network,) = tmp_path.glob("*.onnx*")
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    how = read_json(tmp_path / "preprocessing.json")
    assert (taken.name, taken.type) == (how["input"]["name"], "tensor(uint8)")
    assert (given.name, given.type) == (how["output"]["name"], "tensor(float)")
    assert [taken.shape, given.shape] == [how["input"]["shape"], how["output"]["shape"]]
    pixels = blocks(5, side, channels)
    pictures = [Image.fromarray(each.squeeze()) for each in pixels]
    seen = pixels if taken.shape[3] == channels else pixels.repeat(3, axis=3)
    expected = load_model(tmp_path).embed(pictures)
    assert torch.pdist(expected).min() > 1e-3
    for batch in (1, 5):
        (found,) = session.run(None, {"pixels": seen[:batch]})
        np.testing.assert_allclose(found, expected[:batch], atol=1e-4)


def test_what_a_server_must_know_stands_beside_the_graph(tmp_path: Path) -> None:
    exported(tmp_path, 3, SIDE, (BGR, "protocol.crop={resize: 40, size: 32, fit: pad}"))
    write_onnx(tmp_path, SIDE, SIDE)
    assert read_json(tmp_path / "preprocessing.json") == {
        "input": {"name": "pixels", "dtype": "uint8", "shape": ["n", 32, 32, 3], "channels": "RGB"},
        "resize": {
            "fit": "pad",
            "resize": 40,
            "size": 32,
            "interpolation": "bilinear with antialiasing",
            "border": [128, 117, 104],
        },
        "normalised_in_graph": {
            "mean": [104.0, 117.0, 128.0],
            "std": [1.0, 2.0, 4.0],
            "channels": "BGR",
            "white": 255.0,
        },
        "output": {
            "name": "embeddings",
            "dtype": "float32",
            "shape": ["n", 64],
            "l2_normalised": True,
        },
    }


def test_whole_images_need_no_resizing(tmp_path: Path) -> None:
    write_onnx(exported(tmp_path, 1, SIDE, ()), 20, 30)
    how = read_json(tmp_path / "preprocessing.json")
    assert how["input"]["shape"] == ["n", 20, 30, 1]
    assert how["input"]["channels"] == "grey"
    assert how["resize"] is None
    assert how["normalised_in_graph"] == {
        "channels": "grey",
        "white": 1.0,
        "mean": [0.5],
        "std": [0.5],
    }


def test_an_export_without_a_graph_removes_the_one_of_another_model(tmp_path: Path) -> None:
    write_onnx(exported(tmp_path, 1, SIDE, ()), SIDE, SIDE)
    exported(tmp_path, 1, SIDE, ("model.embedding_size=3",))
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".yaml"}


class Branching(nn.Module):
    """What it does depends on the numbers that it is given."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1).float() * (2 if float(pixels.float().mean()) > 100 else 1)


class Counting(nn.Module):
    """What it gives depends on how often it was asked."""

    calls = 0

    def forward(self, pixels: Tensor) -> Tensor:
        self.calls += 1
        return pixels.flatten(1).float() * self.calls


EXAMPLE = torch.from_numpy(blocks(2, 4, 1))


def test_code_that_no_graph_holds_is_refused_in_a_line() -> None:
    message = r"the network cannot be written as ONNX \(.+\); export it without --onnx"
    with pytest.raises(ConfigError, match=rf"^{message}$"):
        onnx_graph(Branching().eval(), EXAMPLE)


def test_a_graph_with_other_vectors_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"onnxruntime gives other vectors than torch, by up to \d"):
        onnx_graph(Counting().eval(), EXAMPLE)


def test_a_network_too_large_for_one_file_is_refused() -> None:
    with torch.device("meta"):
        network = nn.Linear(2**16, 2**14)
    with pytest.raises(
        ConfigError, match=r"has 4\.0 GiB of weights, and an ONNX file holds less than 2"
    ):
        onnx_graph(network, EXAMPLE)


def test_without_the_libraries_nothing_is_written(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; sys.modules['onnxscript'] = None\n"
        "from pml_potential.benchmark.training.onnx_model import write_onnx\n"
        f"write_onnx(Path({str(tmp_path)!r}), 32, 32)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "'onnxscript', which is not installed: pip install onnxscript" in done.stderr
    assert list(tmp_path.iterdir()) == []

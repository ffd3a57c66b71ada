"""The examples of the page on deployment do what it says."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pml_potential.benchmark import load_model
from pml_potential.benchmark.training.onnx_model import write_onnx
from tests.benchmark.data.odd_pictures import photograph, rotated_photograph
from tests.benchmark.training.test_onnx_model import BGR, SIDE, exported

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, *words: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_a_folder_is_searched_for_what_is_like_a_query(tmp_path: Path) -> None:
    exported(tmp_path / "model", 3, SIDE, ())
    images = tmp_path / "images"
    for place, brightness in enumerate((10, 90, 170, 250)):
        folder = images / f"class {place % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(place).integers(0, brightness, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{place}.png")
    (images / "notes.txt").write_text("no picture")
    query = images / "class 1" / "3.png"
    lines = run("search_images", tmp_path / "model", images, query)
    found = [line.partition("  ")[2] for line in lines]
    assert lines[0] == f"1.000  {query}"
    assert sorted(found) == sorted(str(path) for path in images.rglob("*.png"))
    model = load_model(tmp_path / "model")
    similar = {line.partition("  ")[2]: float(line.partition("  ")[0]) for line in lines}
    vectors = model.embed(found)
    assert list(similar.values()) == pytest.approx((vectors @ vectors[0]).tolist(), abs=1e-3)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_onnxruntime_embeds_files_as_the_model_does(fit: str, tmp_path: Path) -> None:
    crop = f"protocol.crop={{resize: 37, size: 32, fit: {fit}}}"
    exported(tmp_path / "model", 3, SIDE, (BGR, crop))
    write_onnx(tmp_path / "model", SIDE, SIDE)
    wide = photograph(tmp_path / "wide.png", side=45)
    high = rotated_photograph(tmp_path / "high.png")
    with pytest.warns(UserWarning, match="turned upright"):
        expected = load_model(tmp_path / "model").embed([wide, high])
    found = example("embed_with_onnx").embed(tmp_path / "model", [wide, high])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_onnxruntime_embeds_grey_files_whole(tmp_path: Path) -> None:
    exported(tmp_path / "model", 1, SIDE, ())
    write_onnx(tmp_path / "model", 20, 30)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 30), dtype=np.uint8)
    paths = [tmp_path / f"{place}.png" for place in range(2)]
    for path, each in zip(paths, pixels, strict=True):
        Image.fromarray(each).save(path)
    found = example("embed_with_onnx").embed(tmp_path / "model", paths)
    np.testing.assert_allclose(found, load_model(tmp_path / "model").embed(paths), atol=1e-4)
    lines = run("embed_with_onnx", tmp_path / "model", *paths)
    assert len(lines) == 2
    assert lines[0].startswith("[[")

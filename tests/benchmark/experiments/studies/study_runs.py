"""Runs of a study that are as small as can be: a few images that no network tells apart."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.training.names import check_names
from tests.benchmark.tiny import PRESETS, TINY

CLASSES, IMAGES = 16, 4


def write_images(root: Path) -> None:
    """Write a folder of images for each class."""
    generator = np.random.default_rng(0)
    for label in range(CLASSES):
        folder = root / f"class_{label:02d}"
        folder.mkdir(parents=True)
        for number in range(IMAGES):
            pixels = generator.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")


def config_of(images: Path, *assignments: str, loss: str = "potential_field") -> Config:
    """The tiny benchmark on these images."""
    own = images.with_suffix(".yaml")
    own.write_text(f"dataset: {{name: folder, root: '{images}'}}\n")
    return compose(PRESETS | {"dataset": str(own), "loss": loss}, [*TINY, *assignments], check_names)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def values(config: Config) -> dict[str, Any]:
    """As results.json has them, with lists for tuples."""
    found: dict[str, Any] = config.model_dump(mode="json")
    return found


def score_of(results: dict[str, Any]) -> Any:
    """The separated MAP@R on the test classes."""
    return results["test"]["trained"]["separated"]["mean_average_precision_at_r"]

"""Features of a frozen trunk are computed once, and again for everything that changes them."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from torch import nn

from pml_potential.benchmark.config.schema import ConfigError, Crop, Input
from pml_potential.benchmark.data import long_step
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.datasets.folder import load_folder
from pml_potential.benchmark.data.features import View, trunk_features
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.transforms import evaluation_transform, training_transform
from tests.benchmark.data.datasets.miniatures import write_class_folders

CPU = torch.device("cpu")
INPUT = Input(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
BRIGHTER = Input(mean=(0.4, 0.4, 0.4), std=(0.5, 0.5, 0.5))
CROP = Crop(resize=32, size=16)


@pytest.fixture
def images() -> ImageArrays:
    glyphs = load_glyphs()
    # More than a batch of features.
    chosen = np.arange(0, 6400, 64)
    return ImageArrays("few", glyphs.images[chosen], glyphs.labels[chosen], glyphs.class_names)


def trunk(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    )


def features(
    images: ImageArrays,
    cache: Path,
    seed: int = 0,
    model_input: Input = INPUT,
    crop: Crop = CROP,
) -> NDArray[np.float32]:
    view = View(evaluation_transform(model_input, crop, 1))
    return trunk_features(trunk(seed), images, view, cache, CPU)


def expected_features(
    images: ImageArrays, seed: int = 0, model_input: Input = INPUT, crop: Crop = CROP
) -> NDArray[np.float32]:
    transform = evaluation_transform(model_input, crop, 1)
    with torch.no_grad():
        pictures = torch.stack([transform(images.image(n)) for n in range(len(images.labels))])
        found: NDArray[np.float32] = trunk(seed).eval()(pictures).numpy()
    return found


def test_features_are_the_output_of_the_trunk_for_every_image(
    images: ImageArrays, tmp_path: Path
) -> None:
    found = features(images, tmp_path)
    assert found.shape == (100, 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected_features(images), atol=1e-6)


def test_features_are_computed_once(images: ImageArrays, tmp_path: Path) -> None:
    first = features(images, tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    np.testing.assert_array_equal(features(images, tmp_path), first)
    assert [path.stat().st_mtime_ns for path in tmp_path.iterdir()] == [written]


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"model_input": BRIGHTER}, {"crop": Crop(resize=32, size=20)}],
    ids=["weights", "numbers", "crop"],
)
def test_other_weights_or_another_transform_have_features_of_their_own(
    images: ImageArrays, tmp_path: Path, change: dict[str, int | Input | Crop]
) -> None:
    features(images, tmp_path)
    found = features(images, tmp_path, **change)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected_features(images, **change), atol=1e-6)  # type: ignore[arg-type]
    assert len(list(tmp_path.iterdir())) == 2


def test_other_images_have_features_of_their_own(images: ImageArrays, tmp_path: Path) -> None:
    features(images, tmp_path)
    other = ImageArrays("few", images.images[::-1].copy(), images.labels, images.class_names)
    np.testing.assert_allclose(features(other, tmp_path), expected_features(other), atol=1e-6)


def test_a_trunk_is_used_as_in_evaluation_and_left_so(images: ImageArrays, tmp_path: Path) -> None:
    network = trunk()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trunk_features(network, images, View(evaluation_transform(INPUT, CROP, 1)), tmp_path, CPU)
    assert not any(module.training for module in network.modules())
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    "damage",
    [
        lambda _content: b"",
        lambda _content: b"no features",
        lambda content: content[:-100],
        lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
    ],
)
def test_a_damaged_file_of_features_is_set_aside(
    images: ImageArrays, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    whole = np.array(features(images, tmp_path))
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    with pytest.warns(UserWarning, match=f"{file.name} is damaged"):
        np.testing.assert_array_equal(features(images, tmp_path), whole)
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".damaged_1"}


def test_features_that_were_interrupted_leave_nothing(images: ImageArrays, tmp_path: Path) -> None:
    view = View(evaluation_transform(INPUT, CROP, 1))
    broken = nn.Sequential(trunk(), nn.Linear(3, 3))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        trunk_features(broken, images, view, tmp_path, CPU)
    assert list(tmp_path.iterdir()) == []


def test_no_images_have_no_features(images: ImageArrays, tmp_path: Path) -> None:
    class Nothing:
        name, labels = "nothing", images.labels[:0]

    view = View(evaluation_transform(INPUT, CROP, 1))
    with pytest.raises(ValueError, match="nothing has no images"):
        trunk_features(trunk(), Nothing(), view, tmp_path, CPU)  # type: ignore[arg-type]


def test_the_same_images_in_another_order_have_features_of_their_own(tmp_path: Path) -> None:
    """Features are kept by the places of their images."""
    images = load_folder(write_class_folders(tmp_path / "data", classes=2, images=2, side=4))
    turned = replace(images, paths=images.paths[::-1], labels=images.labels[::-1])
    view = View(evaluation_transform(None, Crop(size=4), channels=3))
    first, second = (
        trunk_features(nn.Flatten(), each, view, tmp_path / "cache", CPU) for each in (images, turned)
    )
    assert (first[0] == second[3]).all()
    assert (first[0] != second[0]).any()


def crops(images: ImageArrays, cache: Path, number: int) -> NDArray[np.float32]:
    view = View(training_transform(INPUT, CROP, 1), number)
    return trunk_features(trunk(), images, view, cache, CPU)


def test_each_number_of_a_view_draws_anew_and_always_the_same(
    images: ImageArrays, tmp_path: Path
) -> None:
    first, second = (np.array(crops(images, tmp_path / "one", number)) for number in (0, 1))
    # Whatever was drawn before, by whichever run.
    torch.manual_seed(9)
    np.testing.assert_array_equal(crops(images, tmp_path / "other", 1), second)
    differ = (first != second).any(axis=1)
    assert differ.mean() > 0.9


def test_each_image_of_a_view_is_cropped_anew(tmp_path: Path) -> None:
    glyphs = load_glyphs()
    same = ImageArrays("same", glyphs.images[[0] * 9], glyphs.labels[[0] * 9], glyphs.class_names)
    assert len(np.unique(crops(same, tmp_path, 0), axis=0)) == 9


def test_drawing_a_view_leaves_the_generator_of_the_training_as_it_was(
    images: ImageArrays, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    network = trunk()
    expected = torch.rand(2)
    network = trunk()
    trunk_features(network, images, View(training_transform(INPUT, CROP, 1), 0), tmp_path, CPU)
    assert torch.rand(2).equal(expected)


def test_maps_are_kept_in_half_precision(images: ImageArrays, tmp_path: Path) -> None:
    maps = nn.Sequential(*list(trunk().children())[:2])
    view = View(evaluation_transform(INPUT, CROP, 1))
    found = trunk_features(maps, images, view, tmp_path, CPU, np.float16)
    assert found.shape == (100, 4, 3, 3)
    assert found.dtype == np.float16
    pooled = maps(torch.stack([view.transform(images.image(index)) for index in range(100)]))
    np.testing.assert_allclose(found, pooled.detach(), rtol=1e-3, atol=1e-3)


def test_a_number_that_half_precision_cannot_hold_is_told(images: ImageArrays, tmp_path: Path) -> None:
    bright = Input(mean=(0.0, 0.0, 0.0), std=(1e-6, 1e-6, 1e-6))
    view = View(evaluation_transform(bright, CROP, 1))
    with pytest.raises(ConfigError, match=r"an activation is \d.*e\+0\d, and float16 ends at 65504"):
        trunk_features(nn.Identity(), images, view, tmp_path, CPU, np.float16)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop", [0, 64, 99])
def test_features_go_on_where_they_were_stopped_to_the_same_bits(
    images: ImageArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    whole = np.array(features(images, tmp_path / "whole"))
    read: list[int] = []
    image = ImageArrays.image

    def stopping(self: ImageArrays, index: int) -> Image.Image:
        if stop == index and not read.count(index):
            read.append(index)
            raise KeyboardInterrupt
        read.append(index)
        return image(self, index)

    monkeypatch.setattr(ImageArrays, "image", stopping)
    with pytest.raises(KeyboardInterrupt):
        features(images, tmp_path / "cache")
    read[:] = [stop]
    np.testing.assert_array_equal(features(images, tmp_path / "cache"), whole)
    assert min(read[1:]) == stop // 64 * 64
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_features_are_shown_while_they_are_computed(
    images: ImageArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_step, "_SECONDS_UNTIL_TOLD", 0.001)
    text = io.StringIO()
    with long_step.steps_shown_on(Console(file=text, width=200)):
        features(images, tmp_path)
    assert f"features of {images.name}: " in text.getvalue()
    assert "of 100 images" in text.getvalue()

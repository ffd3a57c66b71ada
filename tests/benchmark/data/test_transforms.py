from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pml_potential.benchmark.config.schema import ConfigError, Crop, Input
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.labelled_tensors import ArrayTensors
from pml_potential.benchmark.data.transforms import evaluation_transform, training_transform

PLAIN = Input(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
BN_INCEPTION = Input(mean=(104.0, 117.0, 128.0), std=(1.0, 2.0, 4.0), channels="BGR", white=255.0)
SMALL = Crop(resize=4, size=2)


def four_by_four() -> Image.Image:
    """Pixel (row r, column c) is red 10 r + c, green 100 + that, blue 200 + 10 r + c."""
    red = np.arange(4)[:, None] * 10 + np.arange(4)
    return Image.fromarray(np.stack([red, red + 100, red + 200], axis=2).astype(np.uint8))


def noise(height: int, width: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def test_the_middle_of_a_picture_in_the_order_of_bn_inception() -> None:
    found = evaluation_transform(BN_INCEPTION, SMALL, channels=3)(four_by_four())
    # The middle is rows and columns 1 and 2: red 11, 12, 21, 22.
    assert found.tolist() == [
        [[211 - 104, 212 - 104], [221 - 104, 222 - 104]],
        [[(111 - 117) / 2, (112 - 117) / 2], [(121 - 117) / 2, (122 - 117) / 2]],
        [[(11 - 128) / 4, (12 - 128) / 4], [(21 - 128) / 4, (22 - 128) / 4]],
    ]


def test_the_middle_of_a_picture_in_rgb_from_0_to_1() -> None:
    model_input = Input(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    found = evaluation_transform(model_input, SMALL, channels=3)(four_by_four())
    assert found.shape == (3, 2, 2)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    assert found[0, 0, 0].item() == pytest.approx((11 / 255 - 0.485) / 0.229)
    assert found[1, 0, 1].item() == pytest.approx((112 / 255 - 0.456) / 0.224)
    assert found[2, 1, 1].item() == pytest.approx((222 / 255 - 0.406) / 0.225)


def test_a_picture_becomes_smaller_by_means_over_all_its_pixels() -> None:
    stripes = np.zeros((8, 8), dtype=np.uint8)
    stripes[:, ::2] = 200
    crop = Crop(resize=2, size=2)
    found = evaluation_transform(PLAIN, crop, channels=1)(Image.fromarray(stripes))
    # Without antialiasing a stripe would be hit or missed: 0 or 200.
    assert (found * 255).sub(100).abs().max() < 20


def test_the_shorter_side_is_resized() -> None:
    transform = evaluation_transform(PLAIN, Crop(resize=6, size=6), channels=3)
    wide = Image.new("RGB", (24, 12))
    wide.paste((255, 255, 255), (6, 0, 18, 12))
    # The middle square is white, and bilinear borders see a little of its black sides.
    assert transform(wide)[:, :, 1:-1].min() == 1
    assert transform(wide).min() > 0.8


@pytest.mark.parametrize("build", [training_transform, evaluation_transform])
def test_grey_pictures_get_three_channels_for_a_network_with_an_input(build: Any) -> None:
    found = build(PLAIN, SMALL, channels=1)(noise(4, 4, "L"))
    assert found.shape == (3, 2, 2)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("build", [training_transform, evaluation_transform])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_whole_images_are_to_the_bit_those_of_the_data_set(build: Any, mode: str) -> None:
    picture = noise(5, 7, mode)
    images = ImageArrays("one", np.array(picture)[np.newaxis], np.array([0]), ("a",))
    dataset = ArrayTensors(images, np.array([0]))
    transform = build(None, Crop(size=227), channels=dataset.channels)
    assert torch.equal(transform(picture), dataset[0][0])


def test_a_grey_picture_joins_a_coloured_data_set_but_not_the_other_way() -> None:
    crop = Crop(size=2)
    assert evaluation_transform(None, crop, channels=3)(noise(4, 4, "L")).shape == (3, 4, 4)
    with pytest.raises(ValueError, match=r"mode 'RGB'.*read_image\(picture, channels=1\)"):
        evaluation_transform(None, crop, channels=1)(noise(4, 4))


@pytest.mark.parametrize("model_input", [None, PLAIN])
@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "I;16"])
def test_pictures_of_other_modes_are_refused(model_input: Input | None, mode: str) -> None:
    transform = evaluation_transform(model_input, SMALL, channels=3)
    with pytest.raises(ValueError, match=f"mode {mode!r}; read it with read_image"):
        transform(Image.new(mode, (4, 4)))


def test_chance_comes_from_torchs_generator() -> None:
    transform = training_transform(PLAIN, Crop(resize=32, size=16), channels=3)
    picture = noise(40, 40)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(transform(picture))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert found[0].shape == (3, 16, 16)


def test_evaluation_leaves_nothing_to_chance() -> None:
    transform = evaluation_transform(PLAIN, Crop(resize=32, size=16), channels=3)
    state = torch.get_rng_state()
    assert torch.equal(transform(noise(40, 40)), transform(noise(40, 40)))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_flip_is_the_mirror_image() -> None:
    whole: dict[str, Any] = {"resize": 4, "size": 4, "scale": (1.0, 1.0), "ratio": (1.0, 1.0)}
    picture = four_by_four()
    mirrored = training_transform(PLAIN, Crop(**whole, flip=1.0), channels=3)(picture)
    same = training_transform(PLAIN, Crop(**whole, flip=0.0), channels=3)(picture)
    assert torch.equal(same, evaluation_transform(PLAIN, Crop(resize=4, size=4), channels=3)(picture))
    assert torch.equal(mirrored, same.flip(2))


def test_without_augmentation_training_sees_what_evaluation_sees() -> None:
    crop = Crop(resize=32, size=16, augment=False)
    training = training_transform(PLAIN, crop, channels=3)
    evaluation = evaluation_transform(PLAIN, crop, channels=3)
    assert repr(training) == repr(evaluation)
    assert torch.equal(training(noise(40, 40)), evaluation(noise(40, 40)))


def test_a_description_names_every_number() -> None:
    assert repr(evaluation_transform(BN_INCEPTION, Crop(size=227), channels=3)) == (
        "bilinear resize 256 > centre crop 227 > BGR, white 255.0 > "
        "minus (104.0, 117.0, 128.0), over (1.0, 2.0, 4.0)"
    )
    assert repr(training_transform(PLAIN, Crop(size=227, scale=(0.2, 1.0)), channels=3)) == (
        "bilinear resize 256 > random crop 227, scale (0.2, 1.0), ratio (0.75, 1.3333333333333333) > "
        "flip 0.5 > RGB, white 1.0 > minus (0.0, 0.0, 0.0), over (1.0, 1.0, 1.0)"
    )
    assert repr(evaluation_transform(None, SMALL, channels=1)) == "whole image, 1 channels, [-1, 1]"


@pytest.mark.parametrize("model_input", [None, BN_INCEPTION])
def test_a_transform_goes_to_other_processes(model_input: Input | None) -> None:
    transform = evaluation_transform(model_input, SMALL, channels=3)
    copy = pickle.loads(pickle.dumps(transform))
    assert torch.equal(copy(four_by_four()), transform(four_by_four()))


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ({"resize": 4, "size": 5}, r"crop\.size is 5 and protocol\.crop\.resize is 4"),
        ({"size": 5, "scale": (1.0, 0.5)}, r"protocol\.crop\.scale is \(1\.0, 0\.5\)"),
        ({"size": 5, "scale": (0.5, 1.5)}, r"protocol\.crop\.scale is \(0\.5, 1\.5\)"),
        ({"size": 5, "ratio": (2.0, 1.0)}, r"protocol\.crop\.ratio is \(2\.0, 1\.0\)"),
    ],
)
def test_a_crop_that_cannot_be_taken_is_refused(crop: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        training_transform(PLAIN, Crop(**crop), channels=3)


def test_a_standard_deviation_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.input\.std is \(1\.0, 0\.0, 1\.0\)"):
        evaluation_transform(Input(mean=(0.0, 0.0, 0.0), std=(1.0, 0.0, 1.0)), SMALL, channels=3)


def test_images_of_two_channels_do_not_exist() -> None:
    with pytest.raises(ValueError, match="channels is 2"):
        evaluation_transform(None, SMALL, channels=2)


def test_crops_need_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.transforms.v2", None)
    evaluation_transform(None, SMALL, channels=3)
    with pytest.raises(ConfigError, match="pip install torchvision"):
        evaluation_transform(PLAIN, SMALL, channels=3)

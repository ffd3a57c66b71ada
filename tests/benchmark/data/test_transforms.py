from __future__ import annotations

import pickle
import sys
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

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


def wide_picture() -> Image.Image:
    """Grey, twice as wide as high, with a red left end and a blue right end."""
    picture = Image.new("RGB", (64, 32), (100, 100, 100))
    picture.paste((255, 0, 0), (0, 0, 8, 32))
    picture.paste((0, 0, 255), (56, 0, 64, 32))
    return picture


RED, BLUE = [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]


def test_a_centre_crop_cuts_the_ends_off_a_wide_picture() -> None:
    found = evaluation_transform(PLAIN, Crop(resize=32, size=32), channels=3)(wide_picture())
    assert (found * 255 == 100).all()


@pytest.mark.parametrize("resize", [32, 48, 64])
def test_squashed_pictures_show_both_ends(resize: int) -> None:
    crop = Crop(resize=resize, size=32, fit="squash")
    found = evaluation_transform(PLAIN, crop, channels=3)(wide_picture())
    assert found.shape == (3, 32, 32)
    assert all(found[:, row, 0].tolist() == RED for row in range(32))
    assert all(found[:, row, -1].tolist() == BLUE for row in range(32))
    # Four of 32 columns at each end, as 8 of 64 were; bilinear edges see a little of both sides.
    assert (found[:, :, 7:25] * 255 == 100).all()


@pytest.mark.parametrize("resize", [32, 48, 64])
@pytest.mark.parametrize("is_high", [False, True])
def test_padded_pictures_keep_their_ratio_between_borders_of_the_mean(
    resize: int, is_high: bool
) -> None:
    model_input = Input(mean=(0.2, 0.4, 0.6), std=(1.0, 1.0, 1.0))
    picture = wide_picture().transpose(Image.Transpose.TRANSPOSE) if is_high else wide_picture()
    found = evaluation_transform(model_input, Crop(resize=resize, size=32, fit="pad"), 3)(picture)
    found = found.transpose(1, 2) if is_high else found
    assert found.shape == (3, 32, 32)
    # 0.2, 0.4 and 0.6 of 255 are whole numbers, so that borders are exactly the mean.
    assert (found[:, :8].abs() < 1e-6).all()
    assert (found[:, 24:].abs() < 1e-6).all()
    mean = torch.tensor(model_input.mean)
    torch.testing.assert_close(found[:, 8:24, 0], (torch.tensor(RED) - mean)[:, None].expand(3, 16))
    torch.testing.assert_close(found[:, 8:24, -1], (torch.tensor(BLUE) - mean)[:, None].expand(3, 16))


def test_borders_are_the_mean_in_the_order_of_the_channels() -> None:
    """The mean of BN-Inception is blue, green, red."""
    found = evaluation_transform(BN_INCEPTION, Crop(resize=8, size=8, fit="pad"), 3)(
        Image.new("RGB", (8, 4), (255, 255, 255))
    )
    assert (found[:, 0] == 0).all()
    assert (found[:, 4] > 0).all()


def test_a_mean_beyond_black_or_white_gives_borders_of_black_or_white() -> None:
    model_input = Input(mean=(-0.5, 0.0, 1.5), std=(1.0, 1.0, 1.0))
    found = evaluation_transform(model_input, Crop(resize=8, size=8, fit="pad"), 3)(
        Image.new("RGB", (8, 4))
    )
    assert found[:, 0, 0].tolist() == [0.5, 0.0, -0.5]


@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_a_thread_of_a_picture_is_still_one(fit: Literal["squash", "pad"]) -> None:
    transform = evaluation_transform(PLAIN, Crop(resize=16, size=16, fit=fit), channels=3)
    assert transform(Image.new("RGB", (1, 900), (255, 255, 255))).amax() == 1


@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_training_sees_all_of_the_picture_that_evaluation_sees(fit: Literal["squash", "pad"]) -> None:
    """The largest crop is everything, and small ones come from the ends, too."""
    whole: dict[str, Any] = {"resize": 32, "size": 32, "ratio": (1.0, 1.0), "flip": 0.0, "fit": fit}
    largest = training_transform(PLAIN, Crop(**whole, scale=(1.0, 1.0)), channels=3)
    expected = evaluation_transform(PLAIN, Crop(**whole), channels=3)(wide_picture())
    assert largest(wide_picture()).equal(expected)
    small = training_transform(PLAIN, Crop(**whole, scale=(0.2, 0.2)), channels=3)
    torch.manual_seed(0)
    seen = torch.stack([small(wide_picture()) for _ in range(60)])
    is_red = (seen[:, 0] > 0.9) & (seen[:, 2] < 0.1)
    is_blue = (seen[:, 2] > 0.9) & (seen[:, 0] < 0.1)
    assert is_red.any()
    assert is_blue.any()
    assert seen.shape == (60, 3, 32, 32)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_a_square_picture_is_the_same_in_every_fit(fit: Literal["crop", "squash", "pad"]) -> None:
    expected = evaluation_transform(PLAIN, Crop(resize=32, size=32), channels=3)(noise(40, 40))
    found = evaluation_transform(PLAIN, Crop(resize=32, size=32, fit=fit), channels=3)(noise(40, 40))
    assert found.equal(expected)


def test_a_fit_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="'crop', 'squash' or 'pad'"):
        Crop(size=8, fit="stretch")  # type: ignore[arg-type]


def test_a_description_names_every_number() -> None:
    assert repr(evaluation_transform(BN_INCEPTION, Crop(size=227), channels=3)) == (
        "bilinear resize 256 > centre crop 227 > BGR, white 255.0 > "
        "minus (104.0, 117.0, 128.0), over (1.0, 2.0, 4.0)"
    )
    assert repr(training_transform(PLAIN, Crop(size=227, scale=(0.2, 1.0)), channels=3)) == (
        "bilinear resize 256 > random crop 227, scale (0.2, 1.0), ratio (0.75, 1.3333333333333333) > "
        "flip 0.5 > RGB, white 1.0 > minus (0.0, 0.0, 0.0), over (1.0, 1.0, 1.0)"
    )
    squashed = Crop(size=227, fit="squash")
    assert repr(evaluation_transform(PLAIN, squashed, channels=3)) == (
        "bilinear resize 256 > squash 227 > RGB, white 1.0 > minus (0.0, 0.0, 0.0), over (1.0, 1.0, 1.0)"
    )
    assert repr(training_transform(BN_INCEPTION, Crop(size=227, fit="pad"), channels=3)) == (
        "bilinear resize 256 > pad 256 with (128, 117, 104) > random crop 227, scale (0.16, 1.0), ratio "
        "(0.75, 1.3333333333333333) > flip 0.5 > BGR, white 255.0 > minus (104.0, 117.0, 128.0), over "
        "(1.0, 2.0, 4.0)"
    )
    assert repr(evaluation_transform(None, SMALL, channels=1)) == "whole image, 1 channels, [-1, 1]"


@pytest.mark.parametrize("model_input", [None, BN_INCEPTION])
@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_a_transform_goes_to_other_processes(
    model_input: Input | None, fit: Literal["crop", "squash", "pad"]
) -> None:
    transform = evaluation_transform(model_input, Crop(resize=4, size=2, fit=fit), channels=3)
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

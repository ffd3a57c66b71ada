"""From a picture to the input of a network."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL.Image import Image, Resampling, new
from torch import Tensor

from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.schema import ConfigError, Crop, Input
from pml_potential.benchmark.data.image_reading import MOST_ELONGATED
from pml_potential.benchmark.data.normalisation import Normalisation

ImageTransform = Callable[[Image], Tensor]
"""From a picture of Pillow, grey (mode L) or coloured (mode RGB), to (channels, height, width).

Its ``repr`` names every step with its numbers, and is the same in every process.
"""


def training_transform(model_input: Input | None, crop: Crop, channels: int) -> ImageTransform:
    """Build the transform of training pictures: a random crop and perhaps its mirror image.

    The order is that of "A Metric Learning Reality Check": resize, ``RandomResizedCrop``, flip. With
    ``fit: squash`` and ``fit: pad`` the crop is cut out of a square of ``resize`` pixels that shows the
    whole picture. All resizing is bilinear, with antialiasing. Random numbers come from torch's global
    generator.

    Args:
        model_input: what the network takes, or null: then a picture is taken whole, without randomness,
            as ``evaluation_transform`` does.
        crop: the protocol's; with ``augment: false`` this is ``evaluation_transform``.
        channels: colour channels of the data set, 1 or 3, for networks without an input; a network with
            an input always gets three, which are equal for grey pictures.

    Returns:
        The transform. Pictures of another mode than L and RGB raise a ``ValueError``.

    Raises:
        ConfigError: The crop is larger than the resized picture, a range is reversed, or a standard
            deviation is not above 0.
    """
    return _transform(model_input, crop, channels, is_random=crop.augment)


def evaluation_transform(model_input: Input | None, crop: Crop, channels: int) -> ImageTransform:
    """Build the transform of evaluation pictures: resize and centre crop.

    With ``fit: squash`` and ``fit: pad`` nothing is cut off: the whole picture is seen in ``size``
    pixels, squashed to a square or between borders of the colour ``mean``.

    Pixels are scaled to 0 to ``white``, then channels are put in order; only then is ``mean`` subtracted
    and the result divided by ``std``, which are given in the order of ``model_input.channels``. The
    (104, 117, 128) of BN-Inception are blue, green, red.

    Args:
        model_input: what the network takes, or null: then a picture is taken whole, with pixels in
            [-1, 1].
        crop: the protocol's.
        channels: colour channels of the data set, 1 or 3, for networks without an input.

    Returns:
        The transform. Pictures of another mode than L and RGB raise a ``ValueError``.

    Raises:
        ConfigError: As for ``training_transform``.

    Examples:
        >>> from PIL import Image
        >>> evaluation_transform(None, Crop(size=227), channels=1)(Image.new("L", (2, 1), 255))
        tensor([[[1., 1.]]])
    """
    return _transform(model_input, crop, channels, is_random=False)


def resized(image: Image, crop: Crop) -> Image:
    """Resize a picture as the transforms do first, before they cut or pad it.

    With ``fit: crop``, only the middle of a picture more than ``MOST_ELONGATED`` times as long as wide
    is taken: 1 x 4000 pixels would become 256 x 1,024,000.
    """
    if crop.fit == "squash":
        return _squashed(image, crop.resize)
    if crop.fit == "pad":
        return _contained(image, crop.resize)
    picture: Image = _resize(crop.resize)(image)
    return picture


def border_colour(model_input: Input) -> tuple[int, int, int]:
    """Red, green and blue of the borders of ``fit: pad``: the mean colour of a network's input."""
    first, green, last = (
        min(max(round(255 * mean / model_input.white), 0), 255) for mean in model_input.mean
    )
    return (last, green, first) if model_input.channels == "BGR" else (first, green, last)


def _squashed(image: Image, side: int) -> Image:
    return image.resize((side, side), Resampling.BILINEAR)


def _contained(image: Image, side: int) -> Image:
    """Resize a picture so that its longer side has ``side`` pixels."""
    scale = side / max(image.size)
    width, height = (max(1, round(scale * length)) for length in image.size)
    return image.resize((width, height), Resampling.BILINEAR)


def _padded(image: Image, side: int, colour: tuple[int, int, int]) -> Image:
    """Put a picture into the middle of a square that it just fits into."""
    picture = _contained(image, side)
    square = new("RGB", (side, side), colour)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def _resize(size: int) -> Any:
    library: Any = import_library("torchvision.transforms.v2", "torchvision", "model.input")
    bilinear = library.InterpolationMode.BILINEAR
    return library.Compose([_middle, library.Resize(size, interpolation=bilinear, antialias=True)])


def _middle(image: Image) -> Image:
    """A picture, or the middle of one that is too elongated."""
    longest = MOST_ELONGATED * min(image.size)
    left, top = (max(side - longest, 0) // 2 for side in image.size)
    width, height = (min(side, longest) for side in image.size)
    return image.crop((left, top, left + width, top + height)) if left or top else image


class _WholeImage:
    """A picture as it is, with pixels in [-1, 1]."""

    def __init__(self, channels: int) -> None:
        if channels not in {1, 3}:
            raise ValueError(f"channels is {channels}; a picture has 1 or 3")
        self._channels = channels
        self._normalised = Normalisation(None)

    def __call__(self, image: Image) -> Tensor:
        if self._channels == 1 and image.mode != "L":
            raise ValueError(
                f"a picture has mode {image.mode!r} in a data set of grey ones; read it with "
                "read_image(picture, channels=1), as the benchmark does"
            )
        return self._normalised(_pixels(image if self._channels == 1 else _coloured(image)))

    def __repr__(self) -> str:
        return f"whole image, {self._channels} channels, [-1, 1]"


class _Picture:
    """A crop of a picture, normalised as a pretrained network takes it."""

    def __init__(self, model_input: Input, crop: Crop, is_random: bool) -> None:
        _check(model_input, crop)
        self._normalised = Normalisation(model_input)
        library: Any = import_library("torchvision.transforms.v2", "torchvision", "model.input")
        bilinear: Any = {"interpolation": library.InterpolationMode.BILINEAR, "antialias": True}
        steps: list[Any] = [partial(resized, crop=crop)]
        text = [f"bilinear resize {crop.resize}"]
        if crop.fit != "crop":
            side = crop.resize if is_random else crop.size
            border = border_colour(model_input)
            to_square = {"squash": partial(_squashed, side=side)}
            to_square["pad"] = partial(_padded, side=side, colour=border)
            steps.append(to_square[crop.fit])
            text.append(f"squash {side}" if crop.fit == "squash" else f"pad {side} with {border}")
        if is_random:
            steps.append(
                library.RandomResizedCrop(crop.size, scale=crop.scale, ratio=crop.ratio, **bilinear)
            )
            steps.append(library.RandomHorizontalFlip(crop.flip))
            text.append(f"random crop {crop.size}, scale {crop.scale}, ratio {crop.ratio}")
            text.append(f"flip {crop.flip}")
        elif crop.fit == "crop":
            steps.append(library.CenterCrop(crop.size))
            text.append(f"centre crop {crop.size}")
        self._steps = library.Compose(steps)
        text.append(f"{model_input.channels}, white {model_input.white}")
        text.append(f"minus {model_input.mean}, over {model_input.std}")
        self._text = " > ".join(text)

    def __call__(self, image: Image) -> Tensor:
        return self._normalised(_pixels(self._steps(_coloured(image))))

    def __repr__(self) -> str:
        return self._text


def _transform(model_input: Input | None, crop: Crop, channels: int, is_random: bool) -> ImageTransform:
    if model_input is None:
        return _WholeImage(channels)
    return _Picture(model_input, crop, is_random)


def _coloured(image: Image) -> Image:
    if image.mode not in {"L", "RGB"}:
        raise ValueError(
            f"a picture has mode {image.mode!r}; read it with read_image, as the benchmark does"
        )
    return image.convert("RGB")


def _pixels(image: Image) -> Tensor:
    # Contiguous: a batch of permuted views would come out in another memory format.
    pixels = torch.from_numpy(np.array(image))
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def _check(model_input: Input, crop: Crop) -> None:
    if crop.size > crop.resize:
        raise ConfigError(
            f"protocol.crop.size is {crop.size} and protocol.crop.resize is {crop.resize}; pictures are "
            "resized first, so size must not be above resize",
            ("protocol", "crop", "size"),
        )
    for name, (low, high) in {"scale": crop.scale, "ratio": crop.ratio}.items():
        if low > high or (name == "scale" and high > 1):
            raise ConfigError(
                f"protocol.crop.{name} is ({low}, {high}); it goes from low to high, and a share of the "
                "area is at most 1",
                ("protocol", "crop", name),
            )
    if min(model_input.std) <= 0:
        raise ConfigError(
            f"model.input.std is {model_input.std}; each must be above 0", ("model", "input", "std")
        )

"""Pictures that are decoded once, kept on the device, and cropped there."""

import math
import shutil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from pml_potential.benchmark.config.schema import ConfigError, Crop, Dataset, Input
from pml_potential.benchmark.data.datasets.catalogue import load_images
from pml_potential.benchmark.data.datasets.unpacking import ArchiveError, unpack
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.data.resized_images import resized_images

_TRIES = 10
"""Boxes that are drawn for a crop; the first inside the picture is taken, as in torchvision."""

_SEEDS = 2**62

_FEW_CLASSES, _FEW_OF_A_CLASS = 16, 4


def folder_of(data: Path, work: Path) -> Path:
    """The folder with a folder for each class: ``data`` itself, or the contents of an archive.

    Args:
        data: a folder, or a tar or zip file.
        work: where an archive is unpacked, once.

    Raises:
        ConfigError: It is neither.
    """
    if data.is_dir():
        return data
    if not data.is_file():
        raise ConfigError(
            f"--data {data} does not exist; give the folder that holds a folder of images for each "
            "class, or a tar file of it"
        )
    unpacked = work / f"{data.name}-{data.stat().st_size}"
    if not unpacked.exists():
        unfinished = unpacked.with_name(f"{unpacked.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            unpack(data, unfinished)
        except ArchiveError as error:
            raise ConfigError(f"--data {data}: {error}") from error
        unfinished.rename(unpacked)
    inside = list(unpacked.iterdir())
    return inside[0] if len(inside) == 1 else unpacked


def decoded(images: Images, crop: Crop, cache: Path, device: torch.device) -> Tensor:
    """Every picture of a data set in a square of ``crop.resize``: (n, 3, side, side), uint8."""
    read = resized_images(images, crop, cache)
    pixels = torch.empty(len(images.labels), 3, crop.resize, crop.resize, dtype=torch.uint8)
    for number in range(len(pixels)):
        picture = torch.from_numpy(np.array(read.image(number).convert("RGB")))
        pixels[number] = picture.permute(2, 0, 1)
    return pixels.to(device)


class PictureNumbers(LabelledTensors):
    """Numbers of some pictures, each with a seed for its crop, as input of ``Pictures``.

    Args:
        images: the whole data set.
        indices: which of the images.
    """

    def __init__(self, images: Images, indices: NDArray[np.int64]) -> None:
        super().__init__(images.labels[indices], images.channels)
        self._indices = torch.from_numpy(indices)
        self.source = images.sha256

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Number and seed, (2,), int64, and the label."""
        seed = torch.randint(_SEEDS, (1,))
        return torch.cat([self._indices[index : index + 1], seed]), int(self.labels[index])


class Pictures(nn.Module):
    """The first layer of a network that sees pictures kept on its device.

    In training each picture is a random crop and perhaps its mirror image, as ``training_transform``
    draws them; in evaluation it is seen whole.

    Args:
        pixels: of all pictures, (n, 3, side, side), uint8.
        model_input: what the network takes.
        crop: how they are cropped.
    """

    def __init__(self, pixels: Tensor, model_input: Input, crop: Crop) -> None:
        super().__init__()
        # Not a buffer: a gigabyte that does not belong into the state dict.
        self._pixels = pixels
        self._input = model_input
        self._crop = crop

    def forward(self, numbers: Tensor) -> Tensor:
        """Pictures (b, 3, size, size) of numbers and seeds (b, 2)."""
        pixels = self._pixels[numbers[:, 0]].float()
        size = self._crop.size
        if self.training:
            generator = torch.Generator().manual_seed(int(numbers[0, 1]))
            boxes = random_boxes(len(pixels), self._crop, generator).to(pixels.device)
            pixels = cut(pixels, boxes, size)
        else:
            pixels = interpolate(pixels, (size, size), mode="bilinear", antialias=True).round()
        return self._normalised(pixels.clamp(0, 255))

    def _normalised(self, pixels: Tensor) -> Tensor:
        mean, std = (
            torch.tensor(colour, device=pixels.device).view(3, 1, 1)
            for colour in (self._input.mean, self._input.std)
        )
        if self._input.channels == "BGR":
            pixels = pixels.flip(1)
        return (pixels * (self._input.white / 255) - mean) / std


def random_boxes(count: int, crop: Crop, generator: torch.Generator) -> Tensor:
    """Draw the boxes of random crops.

    Returns:
        (count, 4): left, top, width and height, as shares of a square picture; of a mirror image the
        width is negative, and left is its right edge.
    """
    shape = (count, _TRIES)
    low, high = crop.scale
    areas = torch.rand(shape, generator=generator) * (high - low) + low
    low, high = (math.log(ratio) for ratio in crop.ratio)
    ratios = (torch.rand(shape, generator=generator) * (high - low) + low).exp()
    sizes = torch.stack([(areas * ratios).sqrt(), (areas / ratios).sqrt()], dim=2)
    fits = (sizes <= 1).all(dim=2)
    # Where none fits, the picture is taken whole: all ratios in use allow it.
    first = sizes[torch.arange(count), fits.int().argmax(dim=1)]
    sizes = torch.where(fits.any(dim=1, keepdim=True), first, torch.ones(2))
    corners = torch.rand(count, 2, generator=generator) * (1 - sizes)
    is_mirrored = torch.rand(count, generator=generator) < crop.flip
    left = corners[:, 0] + is_mirrored * sizes[:, 0]
    width = torch.where(is_mirrored, -sizes[:, 0], sizes[:, 0])
    return torch.stack([left, corners[:, 1], width, sizes[:, 1]], dim=1)


def cut(pixels: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut a box out of each picture and resize it, bilinearly: (n, 3, size, size)."""
    # Written out, since affine_grid would round to the type of an autocast.
    steps = (torch.arange(size, device=pixels.device) + 0.5) / size
    left, top, width, height = (2 * boxes).unsqueeze(2).unbind(1)
    x, y = left + width * steps - 1, top + height * steps - 1
    shape = (len(boxes), size, size)
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=3)
    return grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def few_pictures(root: Path | None, folder: Path) -> Path:
    """Write a few pictures of some classes, in a folder for each: enough for a miniature.

    Args:
        root: folder of the data set; None for the glyphs that come with the package.
        folder: where they go; its contents are replaced.

    Returns:
        The folder.
    """
    images = load_images(
        Dataset(name="glyphs") if root is None else Dataset(name="folder", root=str(root))
    )
    shutil.rmtree(folder, ignore_errors=True)
    for label in range(min(_FEW_CLASSES, len(images.class_names))):
        own = folder / f"{label:03d}"
        own.mkdir(parents=True)
        for number in np.flatnonzero(images.labels == label)[:_FEW_OF_A_CLASS]:
            images.image(int(number)).convert("RGB").save(own / f"{number}.png")
    return folder

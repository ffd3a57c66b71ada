"""An image file, of whatever kind, as three colours of eight bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""What is opened, whatever the file's name says. Some of Pillow's others start programs."""

SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""By which a folder's images are told from other files, in small letters."""


_LYING = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


class UnreadableImageError(OSError):
    """An image file that is missing, damaged or no image; the message names the file and the reason."""


def is_image_name(path: Path) -> bool:
    """Tells whether the suffix of a name is an image's.

    Args:
        path: Of the file, which need not exist.

    Returns:
        Whether it ends in one of `SUFFIXES`, in capitals or not.

    Examples:
        >>> is_image_name(Path("a/cat.JPG")), is_image_name(Path("a/Thumbs.db"))
        (True, False)
    """
    return path.suffix.lower() in SUFFIXES


def read_image(path: Path) -> Image.Image:
    """Reads an image file as RGB.

    A rotation that the camera wrote into the file (EXIF) is applied. Palettes, grey and CMYK become
    RGB; 16 bits become the upper 8 of them; transparent pixels are laid over white. Of an animation
    the first picture is read. An image so large that it may be an attack on the memory is refused
    where Pillow refuses it (``PIL.Image.MAX_IMAGE_PIXELS``).

    Args:
        path: Of the file.

    Returns:
        An image of mode "RGB" that no longer needs the file.

    Raises:
        UnreadableImageError: If the file is missing, empty, damaged or no image.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            return _as_rgb(ImageOps.exif_transpose(image))
    # For a damaged file, Pillow's decoders raise nearly every exception that there is.
    except Exception as error:
        raise UnreadableImageError(f"cannot read the image {path}: {_reason(path, error)}") from error


def read_size(path: Path) -> tuple[int, int]:
    """Reads the width and height of an image as `read_image` gives it, without decoding its pixels.

    Args:
        path: Of the file.

    Returns:
        Width and height, in pixels.

    Raises:
        UnreadableImageError: If the file is missing, empty or no image.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _LYING
            return (image.height, image.width) if turned else image.size
    except Exception as error:
        raise UnreadableImageError(f"cannot read the image {path}: {_reason(path, error)}") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _upper_eight_bits(image).convert("RGB")
    if image.mode[-1] in "Aa" or "transparency" in image.info:
        # Without this, a hidden colour of transparent pixels, often black, would become visible.
        colours = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")
    return image.convert("RGB")


def _upper_eight_bits(image: Image.Image) -> Image.Image:
    """Makes 16-bit grey 8-bit; Pillow's own conversion would cut off all that is above 255."""
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise ValueError(
            f"its grey levels go from {pixels.min()} to {pixels.max()}, so which is white is unknown; "
            "save it with 8 or 16 bits"
        )
    return Image.fromarray((pixels >> 8).astype(np.uint8))


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        if path.stat().st_size == 0:
            return "the file is empty"
        return f"it is none of {', '.join(FORMATS)}"
    return str(error) or type(error).__name__

"""Read a picture, from a file of any kind or from Pillow, as RGB or grey of 8 bits."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pml_potential.benchmark.data.image_warnings import reading_image

Source = str | os.PathLike[str] | IO[bytes] | Image.Image
"""A path, an open file or a picture of Pillow."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Formats that are opened, whatever the file's name says. Some of Pillow's others start programs."""

HEIC_SUFFIXES = (".heic", ".heif", ".hif")
"""Suffixes of many phones' pictures, which are read if pillow-heif is installed."""

SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".tif", ".tiff", ".webp",
    *HEIC_SUFFIXES,
)  # fmt: skip
"""Suffixes by which a folder's images are told from other files, in lower case."""

READING_HEIC = "`pip install pillow-heif` to read it, or convert it to JPEG or PNG"

UNREAD_SUFFIXES = (
    ".avif", ".jxl", ".jp2", ".j2k", ".tga", ".psd", ".svg", ".exr", ".hdr", ".ico", ".dcm",
    ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf",
)  # fmt: skip
"""Suffixes of pictures that are not read, though a user may expect it."""

MOST_ELONGATED = 100
"""How many times as long as wide a picture may be; of a longer one, a crop shows the middle."""

UPRIGHT = "turned upright, as its EXIF says"
OVER_WHITE = "transparent, laid over white"
CONVERTED = "of a colour space other than RGB, converted"
UPPER_BITS = "of 16 bits, of which the upper 8 are read"
FEW_LEVELS = (
    "of 16 bits, but so dark that fewer than 64 of 256 grey levels are left; if white is less than "
    "65535 in it, scale it and save it with 8 bits"
)
GREY = "of colours, turned grey"
ELONGATED = (
    f"more than {MOST_ELONGATED} times as long as wide, so that networks with an input see its middle "
    "where protocol.crop.fit is crop"
)

_LYING = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""

_BITS_PER_SAMPLE = 258
"""Number of the tag of a TIFF."""


class UnreadableImageError(OSError):
    """A file that is missing, damaged or not an image; the message names the file and the reason."""


class ReadImage(NamedTuple):
    """A picture as networks see it, and how it differs from what is in the file.

    Attributes:
        image: Of mode "RGB", or "L" for one channel. It no longer needs the file.
        changes: What was done to it, in words that follow "it is"; empty for most.
    """

    image: Image.Image
    changes: tuple[str, ...]


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


def name_of(source: Source, otherwise: str) -> str:
    """Gives the name of a picture for a message.

    Args:
        source: The picture.
        otherwise: Name of a picture without a file.

    Returns:
        The path of its file, or `otherwise`.

    Examples:
        >>> name_of("a/cat.jpg", "images[0]"), name_of(Image.new("L", (1, 1)), "images[0]")
        ('a/cat.jpg', 'images[0]')
    """
    if isinstance(source, str | os.PathLike):
        return str(source)
    file = source.filename if hasattr(source, "filename") else getattr(source, "name", None)
    return str(file) if file else otherwise


def read_image(source: Source, channels: int = 3, name: str | None = None) -> ReadImage:
    """Reads a picture, as every part of the benchmark does.

    A rotation that the camera wrote into the file (EXIF) is applied. Palettes, grey and CMYK become
    RGB; 16 bits become the upper 8 of them, and the 12 bits of a TIFF that says so the upper 8 of these;
    transparent pixels are laid over white. Of an animation the first picture is read. Pillow's limit
    on the size of images (``PIL.Image.MAX_IMAGE_PIXELS``), a protection of the memory, applies. HEIC is
    read if pillow-heif is installed.

    Args:
        source: A path, a file that is open for reading bytes, or a picture of Pillow. A picture that was
            already converted has lost what the conversion removed: give the path instead.
        channels: 3 for colours, 1 for grey.
        name: Its name in errors, if it has no file.

    Returns:
        The picture, and what was changed.

    Raises:
        TypeError: If the source is none of these.
        UnreadableImageError: If the file is missing, empty, damaged or not an image.
    """
    name = name_of(source, "the picture") if name is None else name
    if not isinstance(source, str | os.PathLike | Image.Image) and not hasattr(source, "read"):
        raise TypeError(
            f"{name} is a {type(source).__name__}; give a path, an open file or a picture of Pillow"
        )
    try:
        with reading_image(name), _opened(source) as image:
            return _read(image, channels)
    # For a damaged file, Pillow's decoders raise nearly every exception that there is.
    except Exception as error:
        raise UnreadableImageError(f"cannot read the image {name}: {_reason(source, error)}") from error


def read_size(path: Path) -> tuple[int, int]:
    """Reads the width and height of an image as `read_image` gives it, without decoding its pixels.

    Args:
        path: Of the file.

    Returns:
        Width and height, in pixels.

    Raises:
        UnreadableImageError: If the file is missing, empty or not an image.
    """
    try:
        with reading_image(str(path)), _opened(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _LYING
            return (image.height, image.width) if turned else image.size
    except Exception as error:
        raise UnreadableImageError(f"cannot read the image {path}: {_reason(path, error)}") from error


def reads_heic() -> bool:
    """Tells whether HEIC can be read here: whether pillow-heif is installed."""
    return "HEIF" in _formats()


@cache
def _formats() -> tuple[str, ...]:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return FORMATS
    register_heif_opener()
    return (*FORMATS, "HEIF")


def _opened(source: Source) -> AbstractContextManager[Image.Image]:
    # A picture that the caller opened is for the caller to close.
    return (
        nullcontext(source)
        if isinstance(source, Image.Image)
        else Image.open(source, formats=_formats())
    )


def _read(image: Image.Image, channels: int) -> ReadImage:
    # Both are gone once the pixels are loaded: the layout of the file, and the rotation of a TIFF.
    is_deep = ";16" in str(getattr(image, "tile", "")) or image.mode.startswith("I")
    is_turned = _orientation(image) > 1
    image.load()
    is_turned = is_turned or _orientation(image) > 1
    changes = [UPRIGHT] if is_turned else []
    picture, change = _as_rgb(ImageOps.exif_transpose(image), _bits_of_tiff(image))
    changes += change
    if is_deep:
        # getextrema() gives a pair for each colour.
        brightest = max(np.asarray(picture.getextrema()).ravel().tolist())
        changes.append(FEW_LEVELS if brightest < 64 else UPPER_BITS)
    if max(picture.size) > MOST_ELONGATED * min(picture.size):
        changes.append(ELONGATED)
    if channels == 1:
        grey = picture.convert("L")
        if grey.convert("RGB").tobytes() != picture.tobytes():
            changes.append(GREY)
        picture = grey
    return ReadImage(picture, tuple(changes))


def _as_rgb(image: Image.Image, bits: int) -> tuple[Image.Image, list[str]]:
    if image.mode.startswith("I") or image.mode == "F":
        return _upper_eight_bits(image, bits).convert("RGB"), []
    if image.mode[-1] in "Aa" or "transparency" in image.info:
        # Without this, a hidden colour of transparent pixels, often black, would become visible.
        colours = image.convert("RGBA")
        is_opaque = colours.getchannel("A").getextrema()[0] == 255
        over_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours)
        return over_white.convert("RGB"), [] if is_opaque else [OVER_WHITE]
    has_space = image.mode in {"1", "L", "P", "RGB"}
    return image.convert("RGB"), [] if has_space else [CONVERTED]


def _upper_eight_bits(image: Image.Image, bits: int) -> Image.Image:
    """Makes deep grey 8-bit; Pillow's own conversion would cut off everything above 255."""
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() >> bits:
        raise ValueError(
            f"its grey levels go from {pixels.min()} to {pixels.max()}, so which is white is unknown; "
            "save it with 8 or 16 bits"
        )
    return Image.fromarray((pixels >> (bits - 8)).astype(np.uint8))


def _bits_of_tiff(image: Image.Image) -> int:
    """Gives the bits of a deep grey, 16 unless a TIFF says that there are fewer."""
    tags: Any = getattr(image, "tag_v2", {})
    found = int(tags.get(_BITS_PER_SAMPLE, (16,))[0])
    return found if 8 < found < 16 else 16


def _orientation(image: Image.Image) -> int:
    found = image.getexif().get(ExifTags.Base.Orientation, 1)
    return found if found in range(2, 9) else 1


def _reason(source: Source, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "you do not have permission to read it"
    if isinstance(error, UnidentifiedImageError):
        start = _first_bytes(source)
        if not start:
            return "the file is empty"
        if start[4:8] == b"ftyp" and start[8:11] in {b"hei", b"hev", b"mif", b"msf"}:
            return f"it is HEIC; {READING_HEIC}"
        return f"it is none of {', '.join(FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _first_bytes(source: Source) -> bytes:
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as opened:
            return opened.read(12)
    file: Any = source
    file.seek(0)
    start: bytes = file.read(12)
    return start

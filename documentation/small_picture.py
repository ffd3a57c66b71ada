"""Makes a picture small enough for a page."""

from pathlib import Path

from PIL import Image


def shrink(path: Path) -> None:
    """Rewrite a PNG with 256 colours, which is enough for text and lines."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256)
    small.save(path, optimize=True)

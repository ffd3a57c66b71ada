"""Pictures that have to be converted to be three colours of eight bits."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
"""The first bytes of a picture of a phone; enough to know its kind."""


def photograph(path: Path, side: int = 48) -> Path:
    """A picture with a different pixel everywhere, wider than high."""
    _noise(side).save(path)
    return path


def rotated_photograph(path: Path) -> Path:
    """A photograph that the camera's position says to turn by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    _noise().save(path, exif=exif)
    return path


def transparent_picture(path: Path) -> Path:
    """A picture whose left half is transparent, over black."""
    pixels = np.array(_noise().convert("RGBA"))
    pixels[:, :20] = 0
    Image.fromarray(pixels).save(path)
    return path


def deep_grey(path: Path, white: int = 65535) -> Path:
    """A ramp of grey in 16 bits, with the brightest pixel given."""
    ramp = np.linspace(0, white, 48 * 64).reshape(48, 64).astype(np.uint16)
    Image.fromarray(ramp).save(path)
    return path


def tiff_of_twelve_bits(path: Path, levels: list[int]) -> Path:
    """A row of grey in 12 bits; Pillow writes none."""
    bits = "".join(f"{level:012b}" for level in levels)
    pixels = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = {256: len(levels), 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory)
    return path


def write_png(path: Path, width: int, height: int, depth: int, colour_type: int, rows: bytes) -> Path:
    """A PNG of any depth; Pillow writes colours in 8 bits alone."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )
    return path


def _noise(side: int = 48) -> Image.Image:
    shape = (side, side + side // 3, 3)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))

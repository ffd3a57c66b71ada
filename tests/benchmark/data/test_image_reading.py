from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pml_potential.benchmark.data.image_reading import (
    CONVERTED,
    ELONGATED,
    FEW_LEVELS,
    GREY,
    OVER_WHITE,
    UPPER_BITS,
    UPRIGHT,
    UnreadableImageError,
    is_image_name,
    name_of,
    read_image,
    read_size,
    reads_heic,
)
from pml_potential.benchmark.data.image_warnings import warnings_name_images
from tests.benchmark.data.forbidden import ForbiddenFolder
from tests.benchmark.data.odd_pictures import (
    HEIC,
    deep_grey,
    photograph,
    rotated_photograph,
    tiff_of_twelve_bits,
    transparent_picture,
    write_png,
)

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def colours(path: Path) -> list[tuple[int, int, int]]:
    """All pixels, row by row."""
    image = read_image(path).image
    assert image.mode == "RGB"
    return [tuple(pixel) for pixel in np.asarray(image).reshape(-1, 3).tolist()]


def red_left_of_blue(mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    return image.convert(mode)


@pytest.mark.parametrize(
    ("orientation", "size", "first"),
    [(1, (2, 1), RED), (2, (2, 1), BLUE), (3, (2, 1), BLUE), (6, (1, 2), RED), (8, (1, 2), BLUE)],
)
def test_the_rotation_of_the_camera_is_applied(
    tmp_path: Path, orientation: int, size: tuple[int, int], first: tuple[int, int, int]
) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    red_left_of_blue().save(path, exif=exif)
    assert read_image(path).image.size == size
    assert colours(path)[0] == first


def test_palettes_become_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    red_left_of_blue("P").save(path)
    assert Image.open(path).mode == "P"
    assert colours(path) == [RED, BLUE]


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_becomes_three_equal_colours(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.new(mode, (1, 1), 255).save(path)
    assert colours(path) == [WHITE]


def test_a_cmyk_jpeg_keeps_its_colour(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path, quality=100)
    assert Image.open(path).mode == "CMYK"
    red, green, blue = colours(path)[0]
    assert red > 240
    assert max(green, blue) < 15


def test_transparent_pixels_lie_over_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (*RED, 255))
    image.putpixel((2, 0), (0, 0, 0, 128))
    image.save(path)
    assert colours(path) == [WHITE, RED, (127, 127, 127)]


def test_the_other_kinds_of_transparency_lie_over_white_too(tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    Image.new("LA", (1, 1), (0, 0)).save(grey)
    palette = tmp_path / "palette.png"
    red_left_of_blue("P").save(palette, transparency=red_left_of_blue("P").getpixel((0, 0)))
    key = tmp_path / "key.png"
    red_left_of_blue().save(key, transparency=BLUE)
    assert colours(grey) == [WHITE]
    assert colours(palette) == [WHITE, BLUE]
    assert colours(key) == [RED, WHITE]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_become_the_upper_eight(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.array([[0, 255, 0x80FF, 0xFFFF]], dtype=np.uint16)).save(path)
    assert [red for red, _, _ in colours(path)] == [0, 0, 0x80, 0xFF]


def test_numbers_without_a_known_white_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.array([[0.0, 0.5]], dtype=np.float32)).save(path)
    with pytest.raises(UnreadableImageError, match=r"a\.tif: its grey levels go from 0\.0 to 0\.5"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b"It is no picture at all.\n", "it is none of JPEG, PNG")],
)
def test_files_that_are_no_image_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=rf"cannot read the image .*a\.jpg: {reason}"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableImageError, match=rf"a\.{suffix}: .*truncated"):
        read_image(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"gone\.jpg: there is no such file"):
        read_image(tmp_path / "gone.jpg")


def test_decompression_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (30, 10)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 149)
    with pytest.raises(UnreadableImageError, match=r"a\.png: .*300 pixels.*decompression bomb"):
        read_image(path)


def test_formats_that_run_programs_are_refused_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4, 4)).save(path, format="EPS")
    with pytest.raises(UnreadableImageError, match="it is none of"):
        read_image(path)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts files as Linux does")
def test_no_file_stays_open(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.gif", tmp_path / "b.png"
    red_left_of_blue("P").save(good)
    red_left_of_blue().save(bad)
    bad.write_bytes(bad.read_bytes()[:40])
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        images = [read_image(good).image for _ in range(5)]
        for _ in range(5):
            with pytest.raises(UnreadableImageError):
                read_image(bad)
        assert len(os.listdir("/proc/self/fd")) == before
        assert len(images) == 5
    finally:
        gc.enable()


def test_images_are_told_by_their_suffix() -> None:
    names = ["a.jpg", "a.JPEG", "b.c.png", "a.webp", "jpg", "a.txt", "a.jpg.zip"]
    assert [is_image_name(Path(name)) for name in names] == [True] * 4 + [False] * 3


@pytest.mark.parametrize("orientation", [None, 1, 3, 5, 6, 8])
def test_the_size_is_that_of_the_picture_as_it_is_read(tmp_path: Path, orientation: int | None) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("RGB", (7, 4)).save(path, exif=exif)
    assert read_size(path) == read_image(path).image.size


def test_a_size_that_cannot_be_read_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"gone\.png: there is no such file"):
        read_size(tmp_path / "gone.png")


@pytest.mark.parametrize(
    ("write", "changes"),
    [
        (photograph, ()),
        (rotated_photograph, (UPRIGHT,)),
        (transparent_picture, (OVER_WHITE,)),
        (deep_grey, (UPPER_BITS,)),
        (lambda path: deep_grey(path, white=4095), (FEW_LEVELS,)),
        (lambda path: deep_grey(path, white=1023), (FEW_LEVELS,)),
        (lambda path: deep_grey(path, white=255), (FEW_LEVELS,)),
        (lambda path: red_left_of_blue("CMYK").save(path, format="TIFF"), (CONVERTED,)),
        (lambda path: Image.new("RGB", (1, 4000)).save(path), (ELONGATED,)),
        (lambda path: Image.new("RGBA", (4, 4), (1, 2, 3, 255)).save(path), ()),
    ],
)
def test_what_was_changed_is_said(
    tmp_path: Path, write: Callable[[Path], object], changes: tuple[str, ...]
) -> None:
    path = tmp_path / "a.png"
    write(path)
    assert read_image(path).changes == changes


def test_a_rotated_tiff_is_turned_once_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    red_left_of_blue().save(path, tiffinfo={274: 6})
    found = read_image(path)
    assert found.image.size == (1, 2)
    assert found.changes == (UPRIGHT,)


def test_few_levels_are_noticed_in_colours_too(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    rows = b"".join(b"\0" + bytes([0x0F, 0xFF] * 3 * 4) for _ in range(4))
    write_png(path, width=4, height=4, depth=16, colour_type=2, rows=rows)
    assert read_image(path).changes == (FEW_LEVELS,)
    assert colours(path)[0] == (15, 15, 15)


def test_a_tiff_of_twelve_bits_says_so_and_is_read_by_its_upper_eight(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tiff_of_twelve_bits(path, [0, 16, 2048, 4095])
    assert [red for red, _, _ in colours(path)] == [0, 1, 128, 255]
    assert read_image(path).changes == (UPPER_BITS,)


@pytest.mark.parametrize(
    "write",
    [photograph, rotated_photograph, transparent_picture, deep_grey],
    ids=lambda write: write.__name__,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_paths_files_and_pictures_are_read_alike(
    tmp_path: Path, write: Callable[[Path], object], channels: int
) -> None:
    path = tmp_path / "a.png"
    write(path)
    expected = read_image(path, channels)
    assert expected.image.mode == ("L" if channels == 1 else "RGB")
    with path.open("rb") as file, Image.open(path) as picture:
        for source in (str(path), file, io.BytesIO(path.read_bytes()), picture):
            found = read_image(source, channels)
            assert found.image.tobytes() == expected.image.tobytes()
            assert found.changes == expected.changes
        assert not file.closed
        picture.load()


def test_colours_become_grey_only_with_a_word() -> None:
    assert read_image(red_left_of_blue(), channels=1).changes == (GREY,)
    grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    found = read_image(grey.convert("RGB"), channels=1)
    assert found.changes == ()
    assert found.image.tobytes() == grey.tobytes()


@pytest.mark.parametrize("source", [b"bytes", np.zeros((2, 2)), None])
def test_what_is_no_picture_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError, match=rf"images\[3\] is a {type(source).__name__}; give a path"):
        read_image(source, name="images[3]")


def test_a_picture_is_called_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    photograph(path)
    with path.open("rb") as file, Image.open(path) as picture:
        assert {name_of(source, "no file") for source in (path, str(path), file, picture)} == {str(path)}
        assert name_of(picture.copy(), "images[0]") == "images[0]"
        assert name_of(io.BytesIO(), "images[0]") == "images[0]"


@pytest.mark.skipif(reads_heic(), reason="pillow-heif is installed")
@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
def test_heic_is_named_with_what_reads_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(HEIC)
    for source in (path, io.BytesIO(HEIC)):
        with pytest.raises(UnreadableImageError, match=r"it is HEIC; `pip install pillow-heif` to read"):
            read_image(source)


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path: Path) -> None:
    library = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    library.from_pillow(Image.new("RGB", (64, 64), RED)).save(path, quality=100)
    assert reads_heic()
    assert np.abs(np.array(colours(path)[0]) - RED).max() < 16


def test_a_name_that_is_too_long_is_named_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(
        UnreadableImageError, match=r"cannot read the image .*a\.png: File name too long$"
    ):
        read_image(tmp_path / f"{'a' * 300}.png")


def test_a_file_without_rights_is_named_so(forbidden_folder: ForbiddenFolder) -> None:
    path = forbidden_folder.path / "a.png"
    photograph(path)
    with forbidden_folder.forbidden(path), pytest.raises(UnreadableImageError) as raised:
        read_image(path)
    assert str(raised.value) == f"cannot read the image {path}: you do not have permission to read it"


def test_warnings_of_pillow_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (20, 10)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 149)
    with pytest.warns(Image.DecompressionBombWarning) as given, warnings_name_images():
        read_image(path)
    assert str(given[0].message).startswith(f"{path}: Image size (200 pixels)")

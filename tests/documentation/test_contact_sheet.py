from __future__ import annotations

import numpy as np
import pytest

from documentation.contact_sheet import NUMBER_WIDTH, SEPARATOR, contact_sheet
from pml_potential.benchmark.data.images import ImageArrays


def plain_images(per_class: list[int], colour: bool = False) -> ImageArrays:
    """Image i is all of grey level 100 + i, or of red 100 + i, 12 pixels high and 9 wide."""
    labels = np.repeat(np.arange(len(per_class), dtype=np.int64), per_class)
    images = np.zeros((len(labels), 12, 9, 3), dtype=np.uint8)
    images[..., 0] = (100 + np.arange(len(labels)))[:, np.newaxis, np.newaxis]
    names = tuple(f"class {label}" for label in range(len(per_class)))
    return ImageArrays("plain", images if colour else images[..., 0], labels, names)


def test_images_lie_in_the_cell_of_their_class() -> None:
    sheet = np.asarray(contact_sheet(plain_images([2, 2, 2]), images_per_class=2, columns=2))
    cell_width, cell_height = NUMBER_WIDTH + 2 * 9 + SEPARATOR, 12 + SEPARATOR
    assert sheet.shape == (2 * cell_height + SEPARATOR, 2 * cell_width + SEPARATOR)
    for image in range(6):
        label, place = divmod(image, 2)
        row, column = divmod(label, 2)
        top = SEPARATOR + row * cell_height
        left = SEPARATOR + column * cell_width + NUMBER_WIDTH + place * 9
        assert (sheet[top : top + 12, left : left + 9] == 100 + image).all()


def test_the_images_shown_are_spread_over_the_class() -> None:
    sheet = np.asarray(contact_sheet(plain_images([10]), images_per_class=5, columns=1))
    middle = sheet[SEPARATOR + 6, SEPARATOR + NUMBER_WIDTH :]
    assert middle[4::9].tolist()[:5] == [100, 102, 104, 106, 108]


def test_a_class_with_fewer_images_shows_what_it_has() -> None:
    sheet = np.asarray(contact_sheet(plain_images([1, 0, 3]), images_per_class=3, columns=1))
    shown = [int((sheet == 100 + image).sum()) // (12 * 9) for image in range(4)]
    assert shown == [1, 1, 1, 1]


def test_every_cell_has_a_number_of_its_own() -> None:
    sheet = np.asarray(contact_sheet(plain_images([1] * 12), images_per_class=1, columns=1))
    height = 12 + SEPARATOR
    numbers = {
        sheet[SEPARATOR + row * height :][:12, SEPARATOR : SEPARATOR + NUMBER_WIDTH].tobytes()
        for row in range(12)
    }
    assert len(numbers) == 12


def test_colour_stays_colour() -> None:
    sheet = contact_sheet(plain_images([1], colour=True), images_per_class=1, columns=1)
    assert sheet.mode == "RGB"
    assert sheet.getpixel((SEPARATOR + NUMBER_WIDTH + 4, SEPARATOR + 6)) == (100, 0, 0)


def test_counts_below_one_are_quoted() -> None:
    with pytest.raises(ValueError, match="images_per_class must be at least 1, got 0"):
        contact_sheet(plain_images([1]), images_per_class=0, columns=1)
    with pytest.raises(ValueError, match="columns must be at least 1, got -2"):
        contact_sheet(plain_images([1]), images_per_class=1, columns=-2)

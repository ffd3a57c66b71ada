"""A picture of a data set, to look at before trusting it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pml_potential.benchmark.data.images import ImageArrays

SEPARATOR = 2
SEPARATOR_GREY = 128
NUMBER_SIZE = 10
NUMBER_WIDTH = 22


def contact_sheet(data: ImageArrays, images_per_class: int, columns: int) -> Image.Image:
    """Draws some images of every class, each class in a cell that begins with its number.

    The numbers are the labels, since the class names may be in scripts that no available font has.

    Args:
        data: The data set.
        images_per_class: How many images to show of each class, at least 1. They are spread
            evenly over the class's images; a class with fewer shows all it has.
        columns: How many cells to put side by side, at least 1. Label k is the k-th cell,
            counted row by row from 0.

    Returns:
        A grey picture (mode "L") of a grey data set, or a colour one (mode "RGB") of a colour one.

    Raises:
        ValueError: If `images_per_class` or `columns` is below 1.

    Examples:
        >>> import numpy as np
        >>> pixels = np.zeros((6, 8, 8), dtype=np.uint8)
        >>> data = ImageArrays("tiny", pixels, np.arange(6) // 2, ("a", "b", "c"))
        >>> contact_sheet(data, images_per_class=2, columns=3).size
        (122, 16)
    """
    if images_per_class < 1:
        raise ValueError(f"images_per_class must be at least 1, got {images_per_class}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    height, width = data.images.shape[1:3]
    cell_width = NUMBER_WIDTH + images_per_class * width + SEPARATOR
    cell_height = max(height, NUMBER_SIZE + 2) + SEPARATOR
    class_count = len(data.class_names)
    rows = -(-class_count // columns)
    mode, black, white, grey = (
        ("L", 0, 255, SEPARATOR_GREY)
        if data.images.ndim == 3
        else ("RGB", (0,) * 3, (255,) * 3, (SEPARATOR_GREY,) * 3)
    )
    sheet = Image.new(mode, (columns * cell_width + SEPARATOR, rows * cell_height + SEPARATOR), grey)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    for label in range(class_count):
        left = SEPARATOR + label % columns * cell_width
        top = SEPARATOR + label // columns * cell_height
        right, bottom = left + cell_width - SEPARATOR, top + cell_height - SEPARATOR
        draw.rectangle((left, top, right - 1, bottom - 1), fill=black)
        draw.text((left + 1, top + 1), str(label), fill=white, font=font)
        of_class = np.flatnonzero(data.labels == label)
        shown = min(images_per_class, len(of_class))
        for place, image in enumerate(of_class[np.arange(shown) * len(of_class) // max(shown, 1)]):
            position = (left + NUMBER_WIDTH + place * width, top)
            sheet.paste(Image.fromarray(data.images[image]), position)
    return sheet

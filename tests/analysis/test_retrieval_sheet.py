from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from pml_potential.analysis import retrieval_sheet
from pml_potential.analysis.retrieval_sheet import RIGHT, WRONG

DEGREES = torch.tensor([0.0, 10.0, 25.0, 45.0, 180.0])
EMBEDDINGS = torch.stack([DEGREES.deg2rad().cos(), DEGREES.deg2rad().sin()], dim=1)
LABELS = torch.tensor([0, 1, 0, 0, 1])


def picture(index: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (index, 0, 0))


def test_neighbours_stand_in_order_and_say_whether_they_are_right() -> None:
    figure = retrieval_sheet(EMBEDDINGS, LABELS, picture, [0, 4], count=3, names=["cat", "dog"])
    shown = [int(np.asarray(axes.images[0].get_array())[0, 0, 0]) for axes in figure.axes]
    assert shown == [0, 1, 2, 3, 4, 3, 2, 1]
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:4] == ["query: cat", "✗ dog", "✓ cat", "✓ cat"]
    assert titles[4:] == ["query: dog", "✗ cat", "✗ cat", "✓ dog"]


def test_frames_differ_in_colour_and_in_dashes() -> None:
    figure = retrieval_sheet(EMBEDDINGS, LABELS, picture, [0], count=2)
    frames = [
        (to_hex(axes.spines["left"].get_edgecolor()).upper(), axes.spines["left"].get_linestyle())
        for axes in figure.axes
    ]
    assert frames == [("#000000", "solid"), (WRONG, "dashed"), (RIGHT, "solid")]


def test_grey_images_and_colour_images_are_shown_alike() -> None:
    figure = retrieval_sheet(EMBEDDINGS, LABELS, lambda index: Image.new("L", (4, 6), index), [2], 1)
    assert np.asarray(figure.axes[0].images[0].get_array()).shape == (6, 4, 3)
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queries": [], "count": 1}, r"queries are \[\]; they must be indices in 0 .. 4"),
        ({"queries": [5], "count": 1}, r"queries are \[5\]"),
        ({"queries": [0], "count": 5}, "count is 5; 5 embeddings have 4 neighbours each"),
        ({"queries": [0], "names": ["cat"]}, "names has 1 entries; labels hold 1"),
    ],
)
def test_bad_input_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_sheet(EMBEDDINGS, LABELS, picture, **arguments)

"""Draws letters of the data set and their neighbours: ``python -m documentation.data_pictures``."""

from pathlib import Path

import torch

from documentation.contact_sheet import contact_sheet
from documentation.small_picture import shrink
from pml_potential.analysis import retrieval_sheet
from pml_potential.benchmark.data.datasets import load_glyphs

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def draw(images: Path) -> None:
    """Draw six images of each class, and four queries with their neighbours by pixels."""
    glyphs = load_glyphs()
    contact_sheet(glyphs, images_per_class=6, columns=5).save(images / "glyphs.png", optimize=True)
    pixels = torch.from_numpy(glyphs.images[:1600]).float().flatten(1)
    labels = torch.from_numpy(glyphs.labels[:1600])
    sheet = retrieval_sheet(
        pixels - pixels.mean(dim=0), labels, glyphs.image, [0, 200, 420, 900], names=glyphs.class_names
    )
    sheet.savefig(images / "retrieval_sheet.png", dpi=80)
    shrink(images / "retrieval_sheet.png")


if __name__ == "__main__":
    draw(IMAGES)

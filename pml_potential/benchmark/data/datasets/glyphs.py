"""The data set `glyphs`: 200 characters in 16 typefaces, ready without any download.

The images are a file of this package, not rendered on the user's machine. Measured with Pillow 9.3
to 13.0: the same text in the same font files comes out differently from FreeType 2.13 (Pillow 11)
to 2.14 (Pillow 12), by up to 255 of 255 grey levels in the STIX faces, and with Pillow's other
layout engine; turning and shrinking the drawings changes from Pillow 12 to 13. Of the finished
images, 2 in 100 differ by one or two of their 16 grey levels. `python -m documentation.glyph_rendering`
made the file.
"""

from __future__ import annotations

from importlib import resources

import numpy as np

from pml_potential.benchmark.data.datasets.entry import DatasetEntry
from pml_potential.benchmark.data.images import ImageArrays

SHA256 = "2bf9ddab8114e91d6970e9b854a4982ff6f7d1c336e9e5c884557a6148a44d7a"


def load_glyphs() -> ImageArrays:
    """Loads 6400 grey images of 200 characters: Latin, Greek, Cyrillic, digits and symbols.

    Each class is a character, drawn in 16 faces (DejaVu Sans, Sans Mono and Serif, and STIX;
    upright and slanted, regular and bold), twice in each, slightly rotated, sheared, stretched,
    scaled and shifted. No two characters look alike, and the classes are shuffled across the
    scripts, so the first half of them is like the second.

    Returns:
        Images of shape (6400, 32, 32), white ink on black in 16 grey levels; 32 images for each
        label, in the order of the labels. A class is named by its character.

    Raises:
        RuntimeError: If the content is not what was packaged.

    Examples:
        >>> glyphs = load_glyphs()
        >>> glyphs.images.shape, len(glyphs.class_names)
        ((6400, 32, 32), 200)
    """
    path = resources.files("pml_potential.benchmark.data.datasets") / "glyphs.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        glyphs = ImageArrays(
            name="glyphs",
            images=arrays["images"],
            labels=arrays["labels"],
            class_names=tuple(arrays["class_names"].tolist()),
        )
    if glyphs.sha256 != SHA256:
        raise RuntimeError(
            f"{path} has the hash {glyphs.sha256}, not {SHA256}: the file is damaged; "
            "reinstall pml-potential"
        )
    return glyphs


ENTRY = DatasetEntry(
    name="glyphs",
    title="Glyphs",
    source="packaged",
    load=lambda _dataset: load_glyphs(),
    images=6400,
    classes=200,
    licence="as this package; drawn with DejaVu (Bitstream Vera licence) and STIX (SIL OFL)",
    advice="it comes with this package and needs no download",
)

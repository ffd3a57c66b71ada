"""How the packaged file of `glyphs` was made.

Users never need this module: `load_glyphs` reads the finished file. It is kept so that anyone can
see where the pictures come from and make them again:

    python -m documentation.glyph_rendering OUTPUT.npz
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pml_potential.benchmark.data.images import ImageArrays

# The faces whose character maps cover all the scripts below. The other faces that matplotlib
# installs hold symbols only, or the old TeX encodings, which lack Greek, Cyrillic and accents.
FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
)
SYMBOLS = '"!#$%&()*+:;<=>?@[]{}~¡¢£¤¥§ª©«¬®±²¶¼½¾»¿÷ƻ†‡…‰€№™∂'
# These pass the measurement, but a slight stretch or slant turns them into V, Φ, 3, Λ, P, ɹ and å.
LOOK_ALIKES_BY_EYE = "νɸʒʌƥɺä"
# ASCII, Greek and Cyrillic, accented and African Latin, phonetic letters, more accents, ligatures.
LETTER_BLOCKS = (
    range(0x0030, 0x007B),
    range(0x0370, 0x0530),
    range(0x00B5, 0x0250),
    range(0x0250, 0x02B0),
    range(0x1E00, 0x1F00),
    range(0xFB00, 0xFB07),
)
CLASS_COUNT = 200
IMAGES_PER_FACE = 2
IMAGE_SIDE = 32
SEED = 20240229
# Found by looking at the closest pairs, each in its closest face. Just below it are Z and 2, g and
# the Cyrillic che, accents that differ by a pixel; just above it C and G, P and R, 7 and ?.
SEPARATION = 0.08
# Drawn much larger than stored, so that hinting, which moves whole drawn pixels, hardly shows.
FONT_SIZE = 256
# Sixteen grey levels, 0, 17, ..., 255, take 0.9 MB instead of 1.5 and look the same.
GREY_STEP = 17


def load_faces() -> list[ImageFont.FreeTypeFont]:
    """Opens the faces in the folder of fonts that matplotlib installs.

    Returns:
        One font for each of `FACES`, in that order.

    Raises:
        OSError: If this matplotlib does not install one of the faces.
    """
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return [
        ImageFont.truetype(str(folder / f"{face}.ttf"), FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
        for face in FACES
    ]


def candidate_characters(faces: Iterable[ImageFont.FreeTypeFont]) -> str:
    """Lists the letters, digits and symbols that every face has, the preferred ones first.

    Args:
        faces: Fonts opened from files.

    Returns:
        The characters, each once, in the order in which `select_characters` should try them.
    """
    from matplotlib.ft2font import FT2Font

    covered = set.intersection(*(set(FT2Font(str(face.path)).get_charmap()) for face in faces))
    letters = [
        chr(code)
        for block in LETTER_BLOCKS
        for code in block
        if unicodedata.category(chr(code)) in {"Lu", "Ll", "Nd"}
    ]
    # Symbols go after Greek and Cyrillic but before the many accented letters.
    first_accented = next(i for i, letter in enumerate(letters) if ord(letter) == 0x00B5)
    ordered = [*letters[:first_accented], *SYMBOLS, *letters[first_accented:]]
    return "".join(
        character
        for character in ordered
        if ord(character) in covered and character not in LOOK_ALIKES_BY_EYE
    )


def draw_ink(character: str, face: ImageFont.FreeTypeFont) -> Image.Image:
    """Draws a character white on black, cropped to its ink.

    Args:
        character: One character.
        face: The font to draw it with.

    Returns:
        A grey image whose four borders each touch the ink.

    Raises:
        ValueError: If the character leaves no ink.
    """
    # Four em by three with the pen one em in leaves room for every accent and overhang.
    canvas = Image.new("L", (4 * FONT_SIZE, 3 * FONT_SIZE))
    ImageDraw.Draw(canvas).text((FONT_SIZE, FONT_SIZE), character, fill=255, font=face)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f"character {character!r} leaves no ink in {face.getname()}; remove it")
    return canvas.crop(box)


def shrink(
    ink: Image.Image, longest_side: int, position: tuple[float, float] = (0.5, 0.5)
) -> NDArray[np.uint8]:
    """Shrinks cropped ink so that its longest side has a given length.

    Args:
        ink: A grey image, cropped to its ink.
        longest_side: Pixels, at most `IMAGE_SIDE` - 2, so that one border pixel stays black.
        position: Where the free room goes, left and above, as fractions of it.

    Returns:
        uint8 of shape (`IMAGE_SIDE`, `IMAGE_SIDE`).
    """
    scale = longest_side / max(ink.size)
    width, height = (max(1, round(side * scale)) for side in ink.size)
    left = 1 + round(position[0] * (IMAGE_SIDE - 2 - width))
    top = 1 + round(position[1] * (IMAGE_SIDE - 2 - height))
    image = np.zeros((IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8)
    image[top : top + height, left : left + width] = np.asarray(
        ink.resize((width, height), Image.Resampling.BOX)
    )
    return image


def distort(ink: Image.Image, random: np.random.Generator) -> Image.Image:
    """Rotates, shears and stretches ink a little.

    Args:
        ink: A grey image.
        random: Where the amounts come from.

    Returns:
        The distorted ink, cropped to it.
    """
    angle = np.deg2rad(random.uniform(-12, 12))
    shear = random.uniform(-0.15, 0.15)
    stretch = random.uniform(0.92, 1.08)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[1, shear], [0, 1]]) @ np.diag([stretch, 1 / stretch])
    side = 2 * max(ink.size)
    center = np.full(2, side / 2)
    offset = np.array(ink.size) / 2 - matrix @ center
    (a, b), (c, d) = matrix.tolist()
    turned = ink.transform(
        (side, side),
        Image.Transform.AFFINE,
        (a, b, float(offset[0]), c, d, float(offset[1])),
        Image.Resampling.BILINEAR,
    )
    return turned.crop(turned.getbbox())


def render_class(character: str, faces: Sequence[ImageFont.FreeTypeFont]) -> NDArray[np.uint8]:
    """Renders all images of a class.

    The distortions depend on the character alone, not on the other classes.

    Args:
        character: One character.
        faces: The fonts to draw it with.

    Returns:
        uint8 of shape (`len(faces)` * `IMAGES_PER_FACE`, `IMAGE_SIDE`, `IMAGE_SIDE`).
    """
    random = np.random.default_rng([SEED, ord(character)])
    images = []
    for face in faces:
        ink = draw_ink(character, face)
        for _ in range(IMAGES_PER_FACE):
            distorted = distort(ink, random)
            longest_side = int(random.integers(20, 29))
            position = (random.uniform(0, 1), random.uniform(0, 1))
            images.append(shrink(distorted, longest_side, position))
    levels = (np.stack(images).astype(np.int64) + GREY_STEP // 2) // GREY_STEP
    return (levels * GREY_STEP).astype(np.uint8)


def blurred_directions(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Blurs images and scales each to length one, so that a dot product compares two of them.

    Without the blur, two drawings whose strokes lie a pixel apart would count as different.

    Args:
        images: Shape (..., height, width).

    Returns:
        Shape (..., height * width).
    """
    blurred = images.astype(np.float64)
    for axis in (-2, -1):
        # The weights 1 4 6 4 1 are a Gaussian of standard deviation one pixel, but exact.
        shifted = [
            weight * np.roll(blurred, step, axis)
            for step, weight in zip((-2, -1, 0, 1, 2), (1, 4, 6, 4, 1), strict=True)
        ]
        blurred = np.sum(shifted, axis=0)
    flat = blurred.reshape(*images.shape[:-2], -1)
    unit: NDArray[np.float64] = flat / np.linalg.norm(flat, axis=-1, keepdims=True)
    return unit


def look_alikes(characters: str, faces: Sequence[ImageFont.FreeTypeFont]) -> NDArray[np.bool_]:
    """Tells which characters look too much alike to be two classes.

    Characters are drawn at one size, centred, undistorted. The distance of two of them is one
    minus the cosine of their blurred images: the smallest one over the faces, or that of their
    mean images if it is smaller still. Two that share a picture in a single face are thus too
    close, and so are the two cases of a letter outside ASCII: an accent of one size on both keeps
    them apart by measurement, not by eye.

    Args:
        characters: The n characters to compare.
        faces: The fonts to compare them in.

    Returns:
        Symmetric, of shape (n, n), true on the diagonal.
    """
    views = np.stack(
        [[shrink(draw_ink(each, face), IMAGE_SIDE - 6) for face in faces] for each in characters]
    )
    directions = blurred_directions(views)
    means = directions.mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    cosines = means @ means.T
    for face in range(len(faces)):
        of_face = directions[:, face]
        np.maximum(cosines, of_face @ of_face.T, out=cosines)
    cases = [{each} if each.isascii() else {each, each.swapcase()} for each in characters]
    shared = [[not ours.isdisjoint(theirs) for theirs in cases] for ours in cases]
    alike: NDArray[np.bool_] = (1 - cosines < SEPARATION) | np.array(shared)
    return alike


def select_characters(candidates: str, faces: Sequence[ImageFont.FreeTypeFont], count: int) -> str:
    """Selects characters of which no two look alike.

    Args:
        candidates: Characters, each once, the preferred ones first.
        faces: The fonts to compare them in.
        count: How many to select.

    Returns:
        The characters selected.

    Raises:
        ValueError: If fewer than `count` can be found.
    """
    alike = look_alikes(candidates, faces)
    selected: list[int] = []
    # Those with the fewest look-alikes go first, since each rules out the fewest others.
    for index in np.argsort(alike.sum(axis=1), kind="stable").tolist():
        if not alike[index, selected].any():
            selected.append(index)
    if len(selected) < count:
        raise ValueError(
            f"only {len(selected)} of {len(candidates)} candidates look unlike each other at "
            f"separation {SEPARATION}, not {count}; add candidates"
        )
    return "".join(candidates[index] for index in selected[:count])


def render_glyphs() -> ImageArrays:
    """Selects the characters, renders them, and shuffles the classes.

    Returns:
        The data set: `CLASS_COUNT` classes of `len(FACES)` * `IMAGES_PER_FACE` images each.

    Raises:
        OSError: If matplotlib does not install one of the faces.
        ValueError: If there are too few candidates that look unlike each other.
    """
    faces = load_faces()
    selected = select_characters(candidate_characters(faces), faces, CLASS_COUNT)
    # Benchmarks train on the first half of the classes and test on the second; in the order of
    # selection these would be different scripts.
    order = np.random.default_rng(SEED).permutation(CLASS_COUNT)
    class_names = tuple(selected[index] for index in order)
    images_per_class = len(faces) * IMAGES_PER_FACE
    return ImageArrays(
        name="glyphs",
        images=np.concatenate([render_class(character, faces) for character in class_names]),
        labels=np.repeat(np.arange(CLASS_COUNT, dtype=np.int64), images_per_class),
        class_names=class_names,
    )


if __name__ == "__main__":
    glyphs = render_glyphs()
    np.savez_compressed(
        sys.argv[1],
        images=glyphs.images,
        labels=glyphs.labels,
        class_names=np.array(glyphs.class_names),
    )
    sys.stdout.write(f"{glyphs.sha256}\n")

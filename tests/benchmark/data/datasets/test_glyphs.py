from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from documentation import glyph_rendering
from pml_potential.benchmark.data.datasets import glyphs
from pml_potential.benchmark.data.datasets.glyphs import load_glyphs

DATA = load_glyphs()


def test_counts_and_shapes() -> None:
    assert DATA.images.shape == (6400, 32, 32)
    assert DATA.images.dtype == np.uint8
    assert len(DATA.class_names) == 200
    assert (np.bincount(DATA.labels) == 32).all()
    assert all(len(name) == 1 for name in DATA.class_names)


def test_the_content_is_the_published_one() -> None:
    assert DATA.sha256 == "2bf9ddab8114e91d6970e9b854a4982ff6f7d1c336e9e5c884557a6148a44d7a"
    assert load_glyphs().sha256 == DATA.sha256


def test_a_different_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "SHA256", "0" * 64)
    with pytest.raises(RuntimeError, match=f"has the hash {DATA.sha256}, not 0000"):
        load_glyphs()


def test_every_image_has_ink_inside_a_black_border() -> None:
    ink = DATA.images.astype(np.int64).sum(axis=(1, 2)) / 255
    assert ink.min() > 16
    assert ink.max() < 0.75 * 32 * 32
    border = np.ones((32, 32), dtype=bool)
    border[1:-1, 1:-1] = False
    assert not DATA.images[:, border].any()


def test_all_images_differ() -> None:
    assert len(np.unique(DATA.images.reshape(6400, -1), axis=0)) == 6400


def test_no_two_classes_have_one_mean_image() -> None:
    means = DATA.images.reshape(200, 32, 32, 32).mean(axis=1).astype(np.uint8)
    directions = glyph_rendering.blurred_directions(means)
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, 0)
    assert cosines.max() < 0.985


def test_no_image_is_nearly_one_of_another_class() -> None:
    directions = glyph_rendering.blurred_directions(DATA.images).astype(np.float32)
    cosines = directions @ directions.T
    cosines[DATA.labels[:, np.newaxis] == DATA.labels] = 0
    assert cosines.max() < 0.97


def test_no_two_characters_look_alike_in_any_face() -> None:
    faces = glyph_rendering.load_faces()
    alike = glyph_rendering.look_alikes("".join(DATA.class_names), faces[::5])
    # Hinting differs a little between versions of FreeType, so a pair on the edge may cross it.
    assert (alike.sum() - 200) // 2 <= 2


def test_both_halves_of_the_classes_have_all_scripts() -> None:
    def scripts(characters: tuple[str, ...]) -> Counter[str]:
        return Counter(unicodedata.name(character).split()[0] for character in characters)

    for half in (scripts(DATA.class_names[:100]), scripts(DATA.class_names[100:])):
        assert min(half["LATIN"], half["GREEK"], half["CYRILLIC"]) >= 8
        assert half["DIGIT"] >= 1


def test_homoglyphs_are_dropped_and_order_breaks_ties() -> None:
    faces = glyph_rendering.load_faces()[:3]
    latin_greek_cyrillic_a = "A\u0391\u0410"
    assert glyph_rendering.select_characters(latin_greek_cyrillic_a, faces, 1) == "A"
    assert set(glyph_rendering.select_characters("oO\u03bfWw7", faces, 3)) == set("oW7")
    assert glyph_rendering.select_characters("\u0160\u0161", faces, 1) == "\u0160"
    with pytest.raises(ValueError, match=r"only 1 of 3 candidates .* not 2"):
        glyph_rendering.select_characters(latin_greek_cyrillic_a, faces, 2)


def test_candidates_exist_in_every_face() -> None:
    faces = glyph_rendering.load_faces()
    candidates = glyph_rendering.candidate_characters(faces)
    assert len(set(candidates)) == len(candidates) > 500
    assert set(DATA.class_names) <= set(candidates)
    # The STIX faces leave a missing character blank, and draw_ink refuses blanks.
    for face in faces[:12:3]:
        missing = glyph_rendering.draw_ink("\U0010ffff", face).tobytes()
        drawn = {glyph_rendering.draw_ink(name, face).tobytes() for name in DATA.class_names}
        assert missing not in drawn


def test_blank_characters_are_quoted() -> None:
    with pytest.raises(ValueError, match="character ' ' leaves no ink"):
        glyph_rendering.draw_ink(" ", glyph_rendering.load_faces()[0])


def test_rendering_again_gives_the_packaged_images() -> None:
    faces = glyph_rendering.load_faces()
    for label in (0, 99, 199):
        again = glyph_rendering.render_class(DATA.class_names[label], faces).astype(np.int64)
        packaged = DATA.images[DATA.labels == label]
        # Not bit for bit: hinting differs a little between versions of FreeType.
        assert np.abs(again - packaged).mean() < 2


def test_the_picture_in_the_documentation_is_of_this_data() -> None:
    from PIL import Image

    from documentation.contact_sheet import contact_sheet

    path = Path(__file__).parents[4] / "docs" / "images" / "glyphs.png"
    with Image.open(path) as picture:
        pixels = np.asarray(picture).astype(np.int64)
    sheet = np.asarray(contact_sheet(DATA, images_per_class=6, columns=5)).astype(np.int64)
    assert path.stat().st_size < 400_000
    assert pixels.shape == sheet.shape
    # Only the cell numbers depend on Pillow.
    assert (pixels != sheet).mean() < 0.05

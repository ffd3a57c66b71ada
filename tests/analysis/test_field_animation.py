"""What the animation of the documentation is meant to show."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.field_animation import FRAMES, IMAGES, STEPS_PER_FRAME, step, toys

LONE, GROUPS = 15, (slice(0, 8), slice(8, 15))


def test_decay_keeps_groups_apart_and_leaves_the_lone_point_alone() -> None:
    found, labels = toys()
    starts = {name: embeddings.clone() for name, (_, embeddings, _) in found.items()}
    for toy in found.values():
        for _ in range(FRAMES * STEPS_PER_FRAME):
            step(toy, labels)
    (pfml, pfml_start), (cpml, cpml_start) = (
        (toy[1], start) for toy, start in zip(found.values(), starts.values(), strict=True)
    )

    def apart(embeddings: torch.Tensor) -> float:
        first, second = (embeddings[group].mean(dim=0) for group in GROUPS)
        return float((first - second).norm())

    def moved(embeddings: torch.Tensor, start: torch.Tensor) -> float:
        return float((embeddings[LONE] - start[LONE]).norm())

    assert apart(pfml) > 0.8 * apart(pfml_start)
    assert apart(cpml) < 0.5 * apart(cpml_start)
    assert moved(pfml, pfml_start) < 0.25 < 0.6 < moved(cpml, cpml_start)


@pytest.mark.parametrize(("name", "frames"), [("field.png", 1), ("field_animation.gif", FRAMES)])
def test_the_committed_pictures_are_small_and_complete(name: str, frames: int) -> None:
    path: Path = IMAGES / name
    assert path.stat().st_size < 1_000_000
    with Image.open(path) as picture:
        assert getattr(picture, "n_frames", 1) == frames

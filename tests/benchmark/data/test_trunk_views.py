"""Views of frozen layers are announced with their size, computed once, and go on after a stop."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import nn

from pml_potential.benchmark.config.schema import ConfigError, Crop, Input
from pml_potential.benchmark.data import long_step
from pml_potential.benchmark.data.features import View
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.transforms import evaluation_transform, training_transform
from pml_potential.benchmark.data.trunk_views import trunk_views
from tests.benchmark.training.few_glyphs import few_glyphs

CPU = torch.device("cpu")
INPUT = Input(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CROP = Crop(resize=20, size=16)
IMAGES = few_glyphs(images=4)
VIEWS = [
    View(evaluation_transform(INPUT, CROP, 1)),
    *(View(training_transform(INPUT, CROP, 1), number) for number in range(2)),
]
COUNT = len(IMAGES.labels)


def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 2, 5, stride=4)


def test_each_view_is_a_file_of_what_the_layers_give(tmp_path: Path) -> None:
    found = trunk_views(layers(), IMAGES, VIEWS, tmp_path, CPU, np.float16)
    assert [each.shape for each in found] == [(COUNT, 2, 3, 3)] * 3
    assert all(isinstance(each, np.memmap) and each.dtype == np.float16 for each in found)
    assert len(list(tmp_path.iterdir())) == 3
    transform = VIEWS[0].transform
    with torch.no_grad():
        expected = layers()(torch.stack([transform(IMAGES.image(index)) for index in range(COUNT)]))
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-3)
    assert not np.array_equal(found[1], found[2])


def test_size_and_progress_are_shown_while_they_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_step, "_SECONDS_UNTIL_TOLD", 0.0001)
    for expected in ("view 3 of 3 of few through the frozen layers (0.00 GB in all): ", None):
        text = io.StringIO()
        with long_step.steps_shown_on(Console(file=text, width=200)):
            trunk_views(layers(), IMAGES, VIEWS, tmp_path, CPU, np.float16)
        assert expected is None or expected in text.getvalue()
        assert (text.getvalue() == "") == (expected is None)


@pytest.mark.parametrize("stop", [COUNT + 1, 2 * COUNT - 1])
def test_after_a_stop_it_goes_on_where_it_was_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    whole = trunk_views(layers(), IMAGES, VIEWS, tmp_path / "whole", CPU)
    read: list[int] = []
    image = ImageArrays.image

    def stopping(self: ImageArrays, index: int) -> Image.Image:
        read.append(index)
        # The first picture of all is read to learn the size.
        if len(read) == stop + 2:
            raise KeyboardInterrupt
        return image(self, index)

    monkeypatch.setattr(ImageArrays, "image", stopping)
    with pytest.raises(KeyboardInterrupt):
        trunk_views(layers(), IMAGES, VIEWS, tmp_path / "cache", CPU)
    read[:] = [-1] * (stop + 3)
    found = trunk_views(layers(), IMAGES, VIEWS, tmp_path / "cache", CPU)
    assert all(np.array_equal(one, other) for one, other in zip(found, whole, strict=True))
    # The first view is whole, and the second has its first batches.
    expected = 1 + 2 * COUNT - (stop - COUNT) // 64 * 64
    assert len(read) - (stop + 3) == expected


def test_what_does_not_fit_the_disk_is_refused_before_the_work_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = shutil.disk_usage(tmp_path)._replace(free=5_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: left)
    with pytest.raises(
        ConfigError, match=r"images of few takes 0.00 GB, and .* has 0.00 GB free"
    ) as error:
        trunk_views(layers(), IMAGES, VIEWS, tmp_path, CPU, np.float16)
    assert error.value.keys == ("protocol", "crop", "views")
    assert list(tmp_path.iterdir()) == []

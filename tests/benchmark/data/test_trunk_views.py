"""Views of frozen layers are announced with their size, computed once, and go on after a stop."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pml_potential.benchmark.config.schema import ConfigError, Crop, Input
from pml_potential.benchmark.data.features import View
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

Told = list[tuple[str, int, int]]


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


def test_the_size_is_said_before_the_work_starts_and_how_far_it_is_after_each_batch(
    tmp_path: Path,
) -> None:
    told: Told = []
    trunk_views(layers(), IMAGES, VIEWS, tmp_path, CPU, np.float16, lambda *each: told.append(each))
    assert told[0][1:] == (0, 3 * COUNT)
    assert told[0][0] == (
        f"3 of 3 views of {COUNT} images through the frozen layers, 0.00 GB in {tmp_path}"
    )
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert told[-1][1:] == (3 * COUNT, 3 * COUNT)
    told.clear()
    trunk_views(layers(), IMAGES, VIEWS, tmp_path, CPU, np.float16, lambda *each: told.append(each))
    assert told == []


def test_after_a_stop_it_goes_on_with_the_view_that_was_being_computed(tmp_path: Path) -> None:
    whole = trunk_views(layers(), IMAGES, VIEWS, tmp_path / "whole", CPU)

    def stop(_what: str, done: int, _total: int) -> None:
        if done > COUNT:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trunk_views(layers(), IMAGES, VIEWS, tmp_path / "cache", CPU, watch=stop)
    (kept,) = (tmp_path / "cache").iterdir()
    written = kept.stat().st_mtime_ns
    told: Told = []
    found = trunk_views(
        layers(), IMAGES, VIEWS, tmp_path / "cache", CPU, watch=lambda *each: told.append(each)
    )
    assert told[0][0].startswith("2 of 3 views")
    assert told[-1][1:] == (2 * COUNT, 2 * COUNT)
    assert kept.stat().st_mtime_ns == written
    assert all(np.array_equal(one, other) for one, other in zip(found, whole, strict=True))


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

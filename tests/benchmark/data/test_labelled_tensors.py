"""A split as trainers read it: tensors in the order of the indices, labels from 0."""

import os

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pml_potential.benchmark.config.schema import Crop
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.labelled_tensors import (
    ArrayTensors,
    FeatureTensors,
    ImageTensors,
    LabelledTensors,
)
from pml_potential.benchmark.data.transforms import evaluation_transform

LABELS = np.array([4, 2, 2, 0, 4, 3], dtype=np.int64)
INDICES = np.array([4, 1, 2, 0])
FEATURES = np.arange(6 * 3, dtype=np.float32).reshape(6, 3)


def images(shape: tuple[int, ...] = (), labels: NDArray[np.int64] = LABELS) -> ImageArrays:
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 4, 5, *shape), dtype=np.uint8)
    return ImageArrays("few", pixels, labels, ("a", "b", "c", "d", "e"))


def tensors(kind: str, indices: NDArray[np.int64] = INDICES) -> LabelledTensors:
    if kind == "arrays":
        return ArrayTensors(images(), indices)
    if kind == "images":
        return ImageTensors(images(), indices, evaluation_transform(None, Crop(size=1), 1))
    return FeatureTensors([FEATURES], LABELS, indices, channels=1)


@pytest.mark.parametrize("kind", ["arrays", "images", "features"])
def test_labels_are_numbered_from_0_in_the_order_of_the_classes(kind: str) -> None:
    found = tensors(kind)
    assert found.labels.tolist() == [1, 0, 0, 1]
    assert found.labels.dtype == np.int64
    assert (len(found), found.num_classes, found.channels) == (4, 2, 1)
    assert [label for _, label in (found[index] for index in range(4))] == [1, 0, 0, 1]


@pytest.mark.parametrize("kind", ["arrays", "images"])
def test_pixels_are_those_of_the_chosen_images_in_their_order(kind: str) -> None:
    found = tensors(kind)
    for place, index in enumerate(INDICES):
        expected = torch.from_numpy(images().images[index]).double() / 127.5 - 1
        torch.testing.assert_close(found[place][0].double(), expected.unsqueeze(0), atol=1e-6, rtol=0)
    assert found.width is None


def test_features_are_those_of_the_chosen_images_in_their_order() -> None:
    found = tensors("features")
    assert torch.stack([found[place][0] for place in range(4)]).numpy().tolist() == (
        FEATURES[INDICES].tolist()
    )
    assert found.width == 3


def test_colour_channels_come_first() -> None:
    coloured = images((3,))
    found = ArrayTensors(coloured, INDICES)
    assert found.channels == 3
    assert found[0][0].shape == (3, 4, 5)
    assert found[0][0][2, 1, 3].item() == pytest.approx(coloured.images[4, 1, 3, 2] / 127.5 - 1)


@pytest.mark.parametrize("kind", ["arrays", "images", "features"])
def test_a_loader_makes_batches(kind: str) -> None:
    batch, labels = next(iter(DataLoader(tensors(kind), batch_size=4)))
    assert batch.dtype == torch.float32
    assert len(batch) == 4
    assert labels.tolist() == [1, 0, 0, 1]


@pytest.mark.filterwarnings("error")
def test_features_that_are_mapped_from_a_file_stay_as_they_are() -> None:
    mapped = FEATURES.copy()
    mapped.flags.writeable = False
    found = FeatureTensors([mapped], LABELS, INDICES, channels=1)
    found[0][0].zero_()
    assert (mapped == FEATURES).all()


@pytest.mark.parametrize(
    ("count", "cores", "workers"), [(2047, 16, 0), (2048, 16, 8), (2048, 4, 3), (2048, 1, 0)]
)
def test_many_images_are_read_by_several_processes(
    count: int, cores: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    indices = np.arange(count) % len(LABELS)
    assert tensors("images", indices).workers == workers
    assert tensors("arrays", indices).workers == tensors("features", indices).workers == 0


def test_of_several_views_chance_picks_one_for_each_item() -> None:
    views = [np.full((len(LABELS), 2, 2), view, dtype=np.float16) for view in range(3)]
    found = FeatureTensors(views, LABELS, INDICES, channels=1)
    assert found.width is None
    torch.manual_seed(0)
    drawn = [found[1][0] for _ in range(60)]
    assert {tuple(each.flatten().tolist()) for each in drawn} == {(0,) * 4, (1,) * 4, (2,) * 4}
    assert {each.dtype for each in drawn} == {torch.float32}
    torch.manual_seed(0)
    assert all(found[1][0].equal(each) for each in drawn)

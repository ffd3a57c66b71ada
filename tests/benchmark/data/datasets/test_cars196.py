from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pml_potential.benchmark.data.datasets.cars196 import load_cars196
from pml_potential.benchmark.data.datasets.layout import LayoutError
from tests.benchmark.data.datasets.listed_images import classes_of, has_first_half_for_training
from tests.benchmark.data.datasets.miniatures import write_cars196_copy, write_cars196_original


def test_cars_are_read_in_both_layouts(tmp_path: Path) -> None:
    copy = load_cars196(write_cars196_copy(tmp_path / "copy", classes=4, images=3))
    original = load_cars196(write_cars196_original(tmp_path / "original", classes=4, images=3))
    names = ("Maker Ram C-V Model 1", "Maker Ram C-V Model 2", "Maker Ram C-V Model 99")
    for images in (copy, original):
        assert images.name == "cars196"
        assert images.class_names == (*names, "Maker Ram C-V Model 100")
        assert np.bincount(images.labels).tolist() == [3, 3, 3, 3]
        assert classes_of(images, "train") == list(names[:2])
        assert all(path.is_file() for path in images.paths)
    assert copy.paths[0].parent.name == names[0]
    assert original.labels.tolist() == sorted(original.labels.tolist())
    assert original.relative_path(3) == "car_ims/000004.jpg"


def test_a_car_without_a_name_is_refused(tmp_path: Path) -> None:
    from scipy.io import loadmat, savemat

    root = write_cars196_original(tmp_path)
    lists = loadmat(root / "cars_annos.mat", squeeze_me=True)
    names = lists["class_names"][:50]
    savemat(root / "cars_annos.mat", {"annotations": lists["annotations"], "class_names": names})
    with pytest.raises(LayoutError, match="class 99, but names for classes 1 to 50"):
        load_cars196(root)


@pytest.mark.parametrize("content", [b"", b"no mat file" * 30])
def test_a_damaged_mat_file_is_named(tmp_path: Path, content: bytes) -> None:
    root = write_cars196_original(tmp_path)
    (root / "cars_annos.mat").write_bytes(content)
    with pytest.raises(LayoutError, match=r"cars_annos\.mat|lists of Cars-196"):
        load_cars196(root)


@pytest.mark.parametrize("write", [write_cars196_copy, write_cars196_original])
def test_the_first_98_models_are_for_training(tmp_path: Path, write: Callable[..., Path]) -> None:
    images = load_cars196(write(tmp_path, classes=196, images=1, side=2))
    assert has_first_half_for_training(images, classes=196)


def test_the_original_layout_wins_over_the_copy_beside_it(tmp_path: Path) -> None:
    write_cars196_copy(tmp_path, classes=4, images=1)
    write_cars196_original(tmp_path, classes=6, images=1)
    assert len(load_cars196(tmp_path).class_names) == 6

"""What a run could do with a data set is told by what the protocols would say to it."""

from pathlib import Path

import numpy as np
import pytest

from pml_potential.benchmark.config.schema import Dataset
from pml_potential.benchmark.data.datasets.check import check
from pml_potential.benchmark.data.datasets.possible_runs import (
    describe_classes,
    describe_duplicates,
    describe_sizes,
    possible_runs,
)
from pml_potential.benchmark.data.images import ImageArrays
from tests.benchmark.data.datasets.miniatures import write_class_folders, write_picture


def images(labels: list[int], division: list[str] | None = None) -> ImageArrays:
    names = tuple(f"kind {label:03d}" for label in range(max(labels) + 1))
    return ImageArrays(
        "own",
        np.zeros((len(labels), 2, 2), np.uint8),
        np.array(labels),
        names,
        None if division is None else np.array(division),
    )


def test_sixteen_classes_can_do_all() -> None:
    runs = possible_runs(images([label for label in range(16) for _ in range(2)]), mlrc_halves=False)
    assert runs.any
    assert runs.lines() == [
        "  cross-validation (quick, mlrc): yes, with protocol.folds 2, 3, 4",
        "  training and test classes only (traditional): yes",
        "  batches: protocol.batch_size up to 6 with sampler.m 1, and from 4 to 24 with sampler.m 4",
    ]


def test_too_few_classes_for_the_presets_do_with_fewer_folds() -> None:
    runs = possible_runs(images([label for label in range(8) for _ in range(2)]), mlrc_halves=False)
    first, second, third = runs.lines()
    assert "with protocol.folds 2 only: the data set has 8 classes; 4 folds of the first half" in first
    assert second.endswith("yes")
    assert "up to 2 with sampler.m 1" in third


@pytest.mark.parametrize(
    ("labels", "division", "reason"),
    [
        (list(range(16)), None, "the test has 8 classes of one image each"),
        ([0, 0, 1, 1], None, "the test has only one class to find"),
        ([0, 1, 2, 3], ["train", "query", "gallery", "gallery"], "without a common class"),
        ([0, 0, 1, 1], ["train", "test", "train", "test"], "training and test share 2 classes"),
    ],
)
def test_what_nobody_could_judge_is_told(
    labels: list[int], division: list[str] | None, reason: str
) -> None:
    runs = possible_runs(images(labels, division), mlrc_halves=False)
    assert not runs.any
    first, second = runs.lines()
    assert first.startswith("  cross-validation (quick, mlrc): no: ")
    assert reason in second


def test_published_halves_stand_in_for_a_division() -> None:
    labels = [label for label in range(16) for _ in range(2)]
    divided = images(labels, ["train"] * 4 + ["test"] * 28)
    assert possible_runs(divided, mlrc_halves=True).cross_validated == (2, 3, 4)
    assert possible_runs(divided, mlrc_halves=False).cross_validated == ()


def test_classes_and_division_in_words() -> None:
    labels = np.array([0, 0, 0, 1, 2])
    classes, half = describe_classes(labels, None)
    assert classes.startswith(
        "  classes: 3, with 1 to 3 images each; 2 of them with one image, which has no match"
    )
    assert half.startswith("  division: none; the second half of the sorted classes")
    division = np.array(["train", "train", "query", "gallery", "train"])
    assert describe_classes(labels, division)[1] == "  division: its own, train, query, gallery"


def test_duplicates_and_sizes_in_words() -> None:
    one = describe_duplicates(["a", "b", "c"], ["x", "y", "x"])
    assert "1 file is a copy of another, the first is c of a" in one
    assert "2 files are copies" in describe_duplicates(["a", "b", "c"], ["x", "x", "x"])
    assert describe_sizes([(4, 3)] * 2) == "  sizes: all 4 x 3 pixels"
    assert "from 2 x 2 to 4 x 3 pixels: the model needs an input" in describe_sizes([(4, 3), (2, 2)])


def test_a_check_ends_with_it(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=16, images=2)
    write_picture(tmp_path / "kind_3" / "2.png", 3, 1)
    report = check(Dataset(name="folder", root=str(tmp_path)))
    assert report.good
    start = report.lines().index("Nothing is wrong.")
    ends = report.lines()[start + 1 :]
    assert ends[0] == "What a run could do with these images:"
    words = ["classes: 16, with 2 to 3", "division: none", "1 file is a copy", "sizes: all 24 x 24"]
    assert all(word in line for word, line in zip(words, ends[1:5], strict=True))
    assert len(ends) == 8


def test_a_check_of_what_cannot_be_judged_is_not_good(tmp_path: Path) -> None:
    write_class_folders(tmp_path, classes=16, images=1)
    report = check(Dataset(name="folder", root=str(tmp_path)))
    assert not report.good
    assert "The files are fine, but no run on them could be evaluated." in report.lines()
    assert "Nothing is wrong." not in report.lines()

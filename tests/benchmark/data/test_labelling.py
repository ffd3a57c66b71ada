from typing import Any

import numpy as np
import pytest

from pml_potential.benchmark.data.labelling import check_labelling, number_classes


@pytest.mark.parametrize(
    ("names", "class_names"),
    [
        (["dog", "cat", "dog"], ("cat", "dog")),
        (["10", "9", "100"], ("9", "10", "100")),
        (["0", "-1", "-10"], ("-10", "-1", "0")),
        # One name that is no plain integer, and all are text.
        (["10", "9", "x"], ("10", "9", "x")),
        (["9", "010"], ("010", "9")),
        (["0", "-0"], ("-0", "0")),
        (["10", "+9"], ("+9", "10")),
        (["10", "9 "], ("10", "9 ")),
        (["10", "٩"], ("10", "٩")),
        (["Zebra", "ape", "Äffin"], ("Zebra", "ape", "Äffin")),
        ([""], ("",)),
        ([], ()),
    ],
)
def test_classes_are_numbered_in_the_order_of_their_names(
    names: list[str], class_names: tuple[str, ...]
) -> None:
    labels, found = number_classes(names)
    assert found == class_names
    assert labels.dtype == np.int64
    assert [found[label] for label in labels] == names


def check(**changes: Any) -> None:
    values: dict[str, Any] = {
        "count": 3,
        "labels": np.array([0, 1, 0]),
        "class_names": ("cat", "dog"),
        "division": np.array(["train", "test", "train"]),
    }
    check_labelling(**(values | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"division": None},
        {"class_names": ("cat", "dog", "unseen")},
        {"division": np.array(["query", "gallery", "train"])},
        {"count": 0, "labels": np.array([], dtype=np.int64), "class_names": (), "division": None},
    ],
)
def test_what_fits_is_accepted(changes: dict[str, Any]) -> None:
    check(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0, 1, 0], dtype=np.int32)}, "dtype int64, got int32"),
        ({"labels": np.array([0.0, 1.0, 0.0])}, "dtype int64, got float64"),
        ({"labels": np.array([0, 1])}, r"shape \(3,\), one for each image, got \(2,\)"),
        ({"labels": np.array([[0, 1, 0]])}, r"shape \(3,\), one for each image, got \(1, 3\)"),
        ({"labels": np.array([0, 2, 3])}, "from 0 to 1 for 2 class names, got 2"),
        ({"labels": np.array([0, -1, 0])}, "from 0 to 1 for 2 class names, got -1"),
        ({"class_names": ("b", "a", "b", "a")}, r"must all differ, got more than once: \['a', 'b'\]"),
        ({"division": np.array(["train", "test"])}, r"division must be of shape \(3,\).*got \(2,\)"),
        (
            {"division": np.array(["train", "val", "test"])},
            "among train, test, query, gallery, got 'val'",
        ),
        ({"division": np.array([0, 1, 0])}, "division must be an array of text, got dtype int64"),
    ],
)
def test_what_does_not_fit_is_quoted(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(**changes)

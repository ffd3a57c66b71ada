"""A division that gives no score, or one that means nothing, is told before training."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.judgeable import why_not_judgeable
from pml_potential.benchmark.data.splits import class_disjoint_splits, published_splits
from pml_potential.benchmark.experiments.experiment import run_experiment
from tests.benchmark.data.datasets.miniatures import write_picture
from tests.benchmark.data.own_folder import folder_config

Sizes = Callable[[int], int]


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        (lambda _label: 2, None),
        (lambda label: 2 if label in (3, 5, 12) else 1, None),
        (lambda _label: 1, "the test has 8 classes of one image each"),
        (lambda label: 1 if label >= 8 else 2, "the test has 8 classes of one image each"),
        (lambda label: 1 if label < 4 else 2, "the validation of fold 2 has 4 classes of one image"),
    ],
)
def test_some_class_must_have_two_images(sizes: Sizes, reason: str | None) -> None:
    labels = np.concatenate([np.full(sizes(label), label) for label in range(16)])
    found = why_not_judgeable(class_disjoint_splits(labels, 2), labels)
    assert found is None if reason is None else str(found).startswith(reason)


@pytest.mark.parametrize(
    ("labels", "division", "reason"),
    [
        ([0, 1, 1], ["train", "query", "gallery"], "only one class to find"),
        ([0, 1, 1, 2], ["train", "query", "gallery", "gallery"], None),
        ([0, 1, 2, 3], ["train", "query", "gallery", "gallery"], "without a common class"),
        ([0, 1, 1], ["train", "test", "test"], "only one class to find"),
        ([0, 1, 1, 2], ["train", "test", "test", "test"], None),
    ],
)
def test_a_given_division_is_judged_as_it_is(
    labels: list[int], division: list[str], reason: str | None
) -> None:
    array = np.array(labels)
    found = why_not_judgeable(published_splits(array, np.array(division)), array)
    assert found is None if reason is None else reason in str(found)


@pytest.mark.parametrize(
    ("parts", "assignments", "reason"),
    [
        ({"": lambda _label: 1}, [], "the test has 8 classes of one image each"),
        ({"": lambda label: 1 if label < 4 else 2}, [], "the validation of fold 2 has 4 classes"),
        (
            {"train": lambda label: 2 * (label < 8), "query": lambda label: 2 * (8 <= label < 12)}
            | {"gallery": lambda label: 2 * (label >= 12)},
            ["protocol.folds=1", "protocol.study=null"],
            "queries and a gallery without a common class",
        ),
    ],
)
def test_a_run_that_could_not_be_judged_does_not_begin(
    tmp_path: Path, parts: dict[str, Sizes], assignments: list[str], reason: str
) -> None:
    for part, sizes in parts.items():
        for label in range(16):
            for number in range(sizes(label)):
                write_picture(tmp_path / "imgs" / part / f"kind_{label:02d}" / f"{number}.png", label, 0)
    with pytest.raises(ConfigError, match=reason):
        run_experiment(
            folder_config(tmp_path / "imgs", *assignments),
            tmp_path / "run",
            Console(file=io.StringIO()),
        )
    assert not (tmp_path / "run").exists()

"""Rows of a matrix stand in the place of images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pml_potential.benchmark.data.datasets.features import load_features
from pml_potential.benchmark.data.feature_rows import FeatureRows
from pml_potential.benchmark.data.matrix_file import MatrixError
from tests.benchmark.data.matrix_files import KINDS, vectors, write

LABELS = np.repeat(np.arange(6), 4).tolist()


def rows(folder: Path, kind: str = "npz", **columns: Any) -> FeatureRows:
    return rows_of(folder, vectors(), kind, **columns)


def rows_of(folder: Path, matrix: NDArray[Any], kind: str = "npz", **columns: Any) -> FeatureRows:
    folder.mkdir(exist_ok=True)
    return load_features(write(folder, kind, matrix, label=LABELS, **columns))


def test_the_hash_does_not_depend_on_the_kind_of_file(tmp_path: Path) -> None:
    hashes = {rows(tmp_path / kind, kind).sha256 for kind in KINDS}
    assert len(hashes) == 1


def test_the_hash_changes_with_rows_labels_and_division(tmp_path: Path) -> None:
    found = rows(tmp_path)
    changed = vectors()
    changed[3, 3] += 1e-3
    others = [
        rows_of(tmp_path / "changed", changed),
        rows_of(tmp_path / "in another order", vectors()[::-1].copy()),
        rows_of(tmp_path / "of another type", vectors().astype(np.float64)),
        replace(found, labels=found.labels[::-1].copy()),
        replace(found, class_names=("a", "b", "c", "d", "e", "f")),
        replace(found, division=np.array(["train"] * 12 + ["test"] * 12)),
    ]
    assert len({other.sha256 for other in (found, *others)}) == 7
    called = replace(found, name="other", ids=tuple(map(str, range(24))))
    assert called.sha256 == found.sha256 == found.cache_key


@pytest.mark.parametrize("kind", ["parquet", "packed.npz"])
def test_a_packed_matrix_is_unpacked_once(kind: str, tmp_path: Path) -> None:
    found = replace(rows(tmp_path, kind), cache=tmp_path / "cache")
    np.testing.assert_array_equal(found.vectors, vectors())
    (path,) = (tmp_path / "cache").glob("*.npy")
    written = path.stat().st_mtime_ns
    again = replace(found)
    assert isinstance(again.vectors, np.memmap)
    assert path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(rows(tmp_path, kind).vectors, vectors())


def test_a_mapped_matrix_needs_no_cache(tmp_path: Path) -> None:
    found = replace(rows(tmp_path, "npz"), cache=tmp_path / "cache")
    assert isinstance(found.vectors, np.memmap)
    assert not (tmp_path / "cache").exists()


def test_what_is_not_finite_shows_when_the_rows_are_hashed(tmp_path: Path) -> None:
    matrix = vectors()
    matrix[2, 1] = np.nan
    found = load_features(write(tmp_path, "npz", matrix, label=LABELS))
    with pytest.raises(MatrixError, match="row 3 holds NaN"):
        _ = found.sha256


def test_rows_are_called_by_their_ids_or_numbers(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert found.called(3) == "row 4"
    named = replace(found, ids=tuple(f"song {number}" for number in range(24)))
    assert named.called(3) == "song 3"
    cards = [np.asarray(named.image(number)) for number in (3, 3, 4)]
    np.testing.assert_array_equal(cards[0], cards[1])
    assert (cards[0] != cards[2]).any()
    assert named.image(0).mode == "RGB"
    odd = replace(found, ids=tuple("曲\n" * 99 + str(number) for number in range(24)))
    assert odd.image(0).size == named.image(0).size


def test_copies_have_the_same_hash(tmp_path: Path) -> None:
    matrix = vectors()
    matrix[7] = matrix[2]
    hashes = load_features(write(tmp_path, "npz", matrix, label=LABELS)).row_hashes()
    assert [place for place, each in enumerate(hashes) if hashes.index(each) != place] == [7]


def test_as_many_labels_as_rows(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert found.channels == 8
    with pytest.raises(ValueError, match=r"labels must be of shape \(24,\)"):
        replace(found, labels=found.labels[:3])

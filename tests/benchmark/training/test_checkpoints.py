"""A fold goes on from its own checkpoints, and from no others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.labelled_tensors import ArrayTensors
from pml_potential.benchmark.training.checkpoints import Checkpoints, remove_checkpoints, work_hash
from tests.benchmark.tiny import tiny_config

GLYPHS = load_glyphs()


def images(labels: str = "own", count: int = 64, source: str = "") -> ArrayTensors:
    """The first images, of classes of 32, with some of their labels changed."""
    tensors = ArrayTensors(GLYPHS, np.arange(count))
    tensors.source = source
    if labels == "one other":
        tensors.labels[5] = 1 - tensors.labels[5]
    return tensors


def hashed(**changes: Any) -> str:
    given: dict[str, Any] = {
        "config": tiny_config(),
        "seed": 3,
        "train": images(),
        "validation": images(),
        "keep_models": True,
        "queries": None,
    }
    return work_hash(*(given | changes).values())


def test_the_same_work_has_the_same_hash() -> None:
    assert hashed() == hashed()
    moved = [tiny_config("dataset.name=folder", f"dataset.root={root}") for root in ("a", "b")]
    assert hashed(config=moved[0]) == hashed(config=moved[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"config": tiny_config("loss.params.alpha=1.5")},
        {"config": tiny_config("model.embedding_size=32")},
        {"seed": 4},
        {"train": images("one other")},
        {"train": images(count=96)},
        {"train": images(source="other pixels")},
        {"validation": images(source="other pixels")},
        {"validation": images("one other")},
        {"keep_models": False},
        {"queries": 8},
    ],
)
def test_other_work_has_another_hash(changes: dict[str, Any]) -> None:
    assert hashed(**changes) != hashed()


def test_the_latest_two_are_kept_and_the_latest_is_read(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "work")
    assert checkpoints.latest() is None
    for epoch in range(1, 12):
        checkpoints.write(epoch, {"epoch": epoch})
    assert {path.name for path in tmp_path.glob("checkpoints/*")} == {"0010.pt", "0011.pt"}
    assert checkpoints.latest() == {"epoch": 11}


def test_a_checkpoint_of_other_work_is_left_alone(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "work").write(1, {"epoch": 1})
    with pytest.warns(UserWarning, match="is of another configuration, seed or data set"):
        assert Checkpoints(tmp_path, "other work").latest() is None
    assert (tmp_path / "checkpoints" / "0001.pt").is_file()


def damaged(content: bytes, kind: str) -> bytes:
    if kind.startswith("cut to "):
        return content[: int(len(content) * float(kind[7:]))]
    place = {"header": 40, "middle": len(content) // 2, "list": -300, "last": -1}[kind]
    flipped = bytearray(content)
    flipped[place] ^= 1
    return bytes(flipped)


@pytest.mark.parametrize(
    "kind", ["cut to 0", "cut to 0.5", "cut to 0.9999", "header", "middle", "list", "last"]
)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_read(kind: str, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "work")
    for epoch in (2, 3):
        checkpoints.write(epoch, {"epoch": epoch, "weights": torch.arange(20_000)})
    path = tmp_path / "checkpoints" / "0003.pt"
    path.write_bytes(content := damaged(path.read_bytes(), kind))
    with pytest.warns(UserWarning, match=r"0003\.pt is damaged.*set aside as 0003\.pt\.damaged_1"):
        found = checkpoints.latest()
    assert found is not None
    assert found["epoch"] == 2
    names = {each.name for each in path.parent.iterdir()}
    assert names == {"0002.pt", "0003.pt.damaged_1"}
    assert path.with_name("0003.pt.damaged_1").read_bytes() == content


def test_damaged_ones_outlive_the_end_of_a_fold(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "work")
    for epoch in (1, 2):
        checkpoints.write(epoch, {"epoch": epoch})
    (tmp_path / "checkpoints" / "0002.pt").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"0002\.pt is damaged.*set aside"):
        assert checkpoints.latest() == {"epoch": 1}
    remove_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.glob("checkpoints/*")] == ["0002.pt.damaged_1"]


def test_without_damage_nothing_is_left(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "work").write(1, {"epoch": 1})
    remove_checkpoints(tmp_path)
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []

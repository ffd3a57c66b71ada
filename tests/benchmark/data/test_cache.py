"""A cached file is read for damage once, and found again only if nothing that it depends on changed."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.data import cache
from pml_potential.benchmark.data.cache import (
    alone_with,
    cache_path,
    checked_files,
    is_cached,
    trust,
)
from pml_potential.benchmark.files import is_whole, sealed_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "features.npy"
    with sealed_file(path) as written:
        written.write(b"features" * 1000)
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read from end to end; nothing has been checked before."""
    files: list[Path] = []

    def reading(path: Path) -> bool:
        files.append(path)
        return is_whole(path)

    monkeypatch.setattr(cache, "is_whole", reading)
    monkeypatch.setattr(cache, "_checked", set())
    return files


def test_a_file_is_read_once_in_a_process(file: Path, read: list[Path]) -> None:
    assert [is_cached(file) for _ in range(3)] == [True] * 3
    assert read == [file]


def test_a_process_that_is_started_trusts_what_was_checked(
    file: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_cached(file)
    checked = checked_files()
    monkeypatch.setattr(cache, "_checked", set())
    trust(checked)
    assert is_cached(file)
    assert read == [file]


def test_a_file_that_has_changed_is_read_again(file: Path, read: list[Path]) -> None:
    assert is_cached(file)
    os.utime(file, ns=(1, 1))
    assert is_cached(file)
    assert read == [file, file]


@pytest.mark.parametrize("place", [0, -1])
def test_a_damaged_file_is_set_aside(file: Path, read: list[Path], place: int) -> None:
    assert is_cached(file)
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.warns(UserWarning, match=r"features\.npy is damaged; set aside as .*damaged_1"):
        assert not is_cached(file)
    assert len(read) == 2
    assert [path.name for path in file.parent.iterdir()] == ["features.npy.damaged_1"]
    assert not is_cached(file)


def test_a_path_depends_on_everything_it_was_made_from(tmp_path: Path) -> None:
    made_from: list[tuple[Any, ...]] = [("a", 1), ("a", 2), ("b", 1), ("a1",), ("a", "1")]
    assert len({cache_path(tmp_path, each, ".npy") for each in made_from}) == len(made_from)


def test_one_at_a_time_makes_a_cached_file(tmp_path: Path) -> None:
    path, order = tmp_path / "features" / "abc.npy", []

    def second() -> None:
        with alone_with(path):
            order.append("second")

    thread = threading.Thread(target=second)
    with alone_with(path):
        thread.start()
        thread.join(timeout=0.2)
        assert thread.is_alive()
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]
    assert not path.parent.exists()

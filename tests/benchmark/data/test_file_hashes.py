"""Hashes follow what files hold, and a file is read again only when it has changed."""

import hashlib
import os
from pathlib import Path

import pytest

from pml_potential.benchmark.data import file_hashes
from pml_potential.benchmark.data.file_hashes import hash_files


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read from now on."""
    names: list[str] = []
    hash_one = file_hashes._hash

    def noted(path: Path) -> str:
        names.append(path.name)
        return hash_one(path)

    monkeypatch.setattr(file_hashes, "_hash", noted)
    monkeypatch.setattr(file_hashes, "_SECONDS_TO_SETTLE", 0.0)
    return names


def files(folder: Path, count: int = 3) -> list[Path]:
    paths = [folder / f"{number}.bin" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 5)
    return paths


def test_hashes_are_those_of_the_contents_in_order(tmp_path: Path) -> None:
    paths = files(tmp_path)
    expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert hash_files(paths) == hash_files(paths, tmp_path / "memory" / "a.json") == expected
    assert hash_files(list(reversed(paths)), tmp_path / "memory" / "a.json") == expected[::-1]


def test_what_is_remembered_is_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    paths, memory = files(tmp_path), tmp_path / "memory.json"
    first = hash_files(paths, memory)
    assert sorted(reads) == ["0.bin", "1.bin", "2.bin"]
    reads.clear()
    assert hash_files(paths, memory) == first
    assert reads == []


def test_a_change_of_the_same_size_and_time_is_seen(tmp_path: Path, reads: list[str]) -> None:
    paths, memory = files(tmp_path), tmp_path / "memory.json"
    first = hash_files(paths, memory)
    reads.clear()
    before = paths[1].stat()
    paths[1].write_bytes(b"other")
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    second = hash_files(paths, memory)
    assert reads == ["1.bin"]
    assert [one == other for one, other in zip(first, second, strict=True)] == [True, False, True]


def test_what_changed_just_now_is_not_trusted_the_next_time(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hashes, "_SECONDS_TO_SETTLE", 60.0)
    for _ in range(2):
        hash_files(files(tmp_path), tmp_path / "memory.json")
    assert len(reads) == 6


def test_a_call_that_was_stopped_goes_on(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, memory = files(tmp_path, 40), tmp_path / "memory.json"
    noted = file_hashes._hash

    def stops(path: Path) -> str:
        if path.name == "20.bin":
            raise KeyboardInterrupt
        return noted(path)

    monkeypatch.setattr(file_hashes, "_hash", stops)
    with pytest.raises(KeyboardInterrupt):
        hash_files(paths, memory)
    monkeypatch.setattr(file_hashes, "_hash", noted)
    reads.clear()
    hash_files(paths, memory)
    assert set(reads).isdisjoint(path.name for path in paths[:20])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        hash_files([tmp_path / "gone.png"])
    assert caught.value.filename == str(tmp_path / "gone.png")


def test_a_memory_that_holds_something_else_is_not_used(tmp_path: Path) -> None:
    paths, memory = files(tmp_path), tmp_path / "memory.json"
    memory.write_text("[1]")
    assert hash_files(paths, memory) == hash_files(paths)

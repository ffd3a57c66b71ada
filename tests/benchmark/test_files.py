"""Files are whole or not there, whoever writes them, and damage is noticed."""

import errno
import fcntl
import json
import math
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from pml_potential.benchmark.files import (
    DamagedFileError,
    NamedLock,
    NotFiniteError,
    growing_file,
    is_whole,
    read_json,
    read_json_or_set_aside,
    read_state,
    sealed_file,
    set_aside,
    whole_file,
    write_json,
    write_state,
    write_text,
)


@pytest.mark.parametrize("value", [math.nan, math.inf, [1.0, -math.inf], {"a": {"b": math.nan}}])
def test_json_with_nan_is_refused_and_the_old_file_stays(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"score": 0.5})
    with pytest.raises(NotFiniteError, match=r"file\.json is not written: [\w.]*( is |is )-?(nan|inf);"):
        write_json(path, value)
    assert read_json(path) == {"score": 0.5}
    assert [each.name for each in path.parent.iterdir()] == ["file.json"]


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    for text in ("Ω and Я", "short"):
        write_text(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_never_share_a_temporary_file(tmp_path: Path) -> None:
    """As two containers do, whose processes may have the same number."""
    path = tmp_path / "features.npy"
    both_are_open = threading.Barrier(2)

    def write(content: bytes) -> None:
        with whole_file(path) as file:
            both_are_open.wait(60)
            for _ in range(1000):
                file.write(content)
            both_are_open.wait(60)

    writers = [threading.Thread(target=write, args=(content,)) for content in (b"a" * 7, b"b" * 9)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_bytes() in (b"a" * 7000, b"b" * 9000)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("the disk is full"), ValueError("no"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with whole_file(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_without_a_file_gets_its_name(tmp_path: Path) -> None:
    def write() -> None:
        with whole_file(tmp_path / "file.bin"):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left.*file\.bin"):
        write()


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    write_text(tmp_path / "whole", "text")
    assert (tmp_path / "whole").stat().st_mode == plain.stat().st_mode


def test_set_aside_keeps_everything_under_another_name(tmp_path: Path) -> None:
    folder = tmp_path / "fold_0"
    set_aside(folder)
    for number in (1, 2):
        folder.mkdir()
        (folder / "file").write_text(str(number))
        set_aside(folder)
    kept = {path.parent.name: path.read_text() for path in tmp_path.glob("*/file")}
    assert kept == {"fold_0.interrupted_1": "1", "fold_0.interrupted_2": "2"}


def test_damaged_json_is_set_aside_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "trial.json"
    assert read_json_or_set_aside(path) is None
    path.write_text(json.dumps({"score": 1})[:-3])
    with pytest.warns(UserWarning, match=r"trial\.json is damaged.*set aside as trial\.json\.damaged_1"):
        assert read_json_or_set_aside(path) is None
    assert [each.name for each in tmp_path.iterdir()] == ["trial.json.damaged_1"]


def test_json_that_was_edited_to_nonsense_is_damaged_too(tmp_path: Path) -> None:
    path = tmp_path / "trial.json"
    write_json(path, "five")
    with pytest.warns(UserWarning, match=r"trial\.json is damaged \(.*'five'\); set aside"):
        assert read_json_or_set_aside(path, int) is None
    write_json(path, "5")
    assert read_json_or_set_aside(path, int) == 5


@pytest.mark.parametrize("text", ['{"score": NaN}', "[1, -Infinity]", "[" * 100_000])
def test_what_no_json_holds_is_damage(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trial.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"is not a number|too many nested brackets"):
        read_json(path)
    with pytest.warns(UserWarning, match=r"trial\.json is damaged"):
        assert read_json_or_set_aside(path) is None


def test_the_first_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    value = {"test": [{"mean": 0.5}, {"mean": math.nan}], "seed": 0}
    with pytest.raises(NotFiniteError, match=r"not written: test\.1\.mean is nan; .*datasets check"):
        write_json(tmp_path / "results.json", value)


def test_names_that_are_no_text_are_written_and_read_back(tmp_path: Path) -> None:
    # What Python makes of a file's name in Latin-1.
    value = {"root": os.fsdecode(b"caf\xe9"), "name": "café"}
    write_json(tmp_path / "results.json", value)
    assert read_json(tmp_path / "results.json") == value
    assert "café" in (tmp_path / "results.json").read_text()


def test_a_disk_without_locks_is_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match=r"No locks available: .*\.claim"), NamedLock(tmp_path / ".claim"):
        pass


@pytest.mark.parametrize("place", [0, 40, -40, -1])
def test_a_state_with_a_flipped_bit_is_damaged(tmp_path: Path, place: int) -> None:
    path = tmp_path / "state.pt"
    write_state(path, {"weights": torch.arange(1000.0)})
    assert read_state(path)["weights"].equal(torch.arange(1000.0))
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"state\.pt is damaged"):
        read_state(path)


@pytest.mark.parametrize("length", [0, 3, 1000, 1003])
def test_a_sealed_file_that_was_cut_is_not_whole(tmp_path: Path, length: int) -> None:
    path = tmp_path / "pixels"
    with sealed_file(path) as file:
        for _ in range(10):
            file.write(b"0123456789" * 10)
    assert is_whole(path)
    content = path.read_bytes()
    assert len(content) == 1004
    path.write_bytes(content[:length])
    assert not is_whole(path)


def grow(
    path: Path, pieces: int, stops_after: int | None = None, error: type = KeyboardInterrupt
) -> int:
    """Write so many pieces of ten bytes; return how many were there before."""
    with growing_file(path) as file:
        before = len(file.entries)
        for number in range(before, pieces):
            if number == stops_after:
                raise error
            file.append(bytes([number]) * 10, number)
        assert file.entries == list(range(pieces))
    return before


def test_a_growing_file_ends_as_a_sealed_one(tmp_path: Path) -> None:
    assert grow(tmp_path / "deep" / "grown", 9) == 0
    with sealed_file(tmp_path / "sealed") as file:
        for number in range(9):
            file.write(bytes([number]) * 10)
    assert (tmp_path / "deep" / "grown").read_bytes() == (tmp_path / "sealed").read_bytes()
    assert is_whole(tmp_path / "deep" / "grown")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["grown"]


def test_a_growing_file_goes_on_after_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "grown"
    with pytest.raises(KeyboardInterrupt):
        grow(path, 9, stops_after=6)
    assert not path.exists()
    assert grow(path, 9) == 6
    assert path.read_bytes()[:-4] == b"".join(bytes([number]) * 10 for number in range(9))
    assert is_whole(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_growing_file_goes_on_from_its_last_position_after_a_kill(tmp_path: Path) -> None:
    """What was written after it may be anything, and what is before it must be as it was."""
    path, part = tmp_path / "grown", tmp_path / ".grown.part"
    with pytest.raises(KeyboardInterrupt):
        grow(path, 9, stops_after=6)
    part.write_bytes(part.read_bytes() + b"half a piece")
    with pytest.raises(KeyboardInterrupt):
        assert grow(path, 9, stops_after=7) == 6
    content = bytearray(part.read_bytes())
    content[30] ^= 1
    part.write_bytes(content)
    assert grow(path, 9) == 0
    assert is_whole(path)


def test_an_error_leaves_nothing_of_a_growing_file(tmp_path: Path) -> None:
    with pytest.raises(ArithmeticError):
        grow(tmp_path / "grown", 9, stops_after=6, error=ArithmeticError)
    assert list(tmp_path.iterdir()) == []

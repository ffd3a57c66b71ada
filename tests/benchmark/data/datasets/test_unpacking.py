from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pml_potential.benchmark.data.datasets.unpacking import ArchiveError, DiskFullError, unpack

NOISE = np.random.default_rng(0).bytes(5000)


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_of(path: Path, contents: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "folder"
    folder.mkdir(parents=True)
    return folder


def outside(folder: Path) -> list[Path]:
    """What lies beside the folder that was unpacked into."""
    return [path for path in folder.parent.iterdir() if path != folder]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_archives_are_unpacked_whatever_their_name(tmp_path: Path, folder: Path, mode: str) -> None:
    archive = tar(tmp_path / "x", (member("a/b.txt"), NOISE), (member("./c.txt"), b"c"), mode=mode)
    unpack(archive, folder)
    assert (folder / "a" / "b.txt").read_bytes() == NOISE
    assert (folder / "c.txt").read_bytes() == b"c"


def test_zip_archives_are_unpacked_whatever_their_name(tmp_path: Path, folder: Path) -> None:
    unpack(zip_of(tmp_path / "x", {"a/": b"", "a/b.txt": NOISE, "a..b": b"c"}), folder)
    assert (folder / "a" / "b.txt").read_bytes() == NOISE
    assert (folder / "a..b").read_bytes() == b"c"


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "a/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:\\evil.txt", "\\evil.txt"],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, folder: Path, kind: str, name: str) -> None:
    if kind == "tar":
        archive = tar(tmp_path / "x", (member(name), b"evil"))
    else:
        archive = zip_of(tmp_path / "x", {name: b"evil"})
    with pytest.raises(ArchiveError, match=r"refused: '.*evil\.txt' leads out of the folder"):
        unpack(archive, folder)
    assert not outside(folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["../../secret", "/etc/passwd"])
def test_links_to_outside_are_refused(tmp_path: Path, folder: Path, kind: bytes, target: str) -> None:
    archive = tar(tmp_path / "x", (member("link", kind, target), b""))
    with pytest.raises(ArchiveError, match=r"the archive is refused: .*link"):
        unpack(archive, folder)
    assert not (folder / "link").exists()


def test_links_within_are_kept(tmp_path: Path, folder: Path) -> None:
    archive = tar(
        tmp_path / "x", (member("a.txt"), NOISE), (member("b.txt", tarfile.SYMTYPE, "a.txt"), b"")
    )
    unpack(archive, folder)
    assert (folder / "b.txt").read_bytes() == NOISE


def test_nothing_is_written_through_a_link_that_was_there(tmp_path: Path, folder: Path) -> None:
    (folder / "link").symlink_to("..")
    archive = tar(tmp_path / "x", (member("link/evil.txt"), b"evil"))
    with pytest.raises(ArchiveError, match=r"'link/evil\.txt' leads out of the folder through a link"):
        unpack(archive, folder)
    assert not outside(folder)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(tmp_path: Path, folder: Path, kind: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"the archive is refused: .*special file"):
        unpack(tar(tmp_path / "x", (member("device", kind), b"")), folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_of_a_zip_are_refused(tmp_path: Path, folder: Path, kind: int) -> None:
    archive = zip_of(tmp_path / "x", {"link": b"/etc/passwd"}, mode=kind | 0o777)
    with pytest.raises(ArchiveError, match="'link' is a link or a device"):
        unpack(archive, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archives_that_swell_are_refused(tmp_path: Path, folder: Path, kind: str) -> None:
    contents = {f"{number}.txt": bytes(2_000_000) for number in range(2)}
    if kind == "zip":
        archive = zip_of(tmp_path / "x", contents)
    else:
        archive = tar(tmp_path / "x", *((member(name), content) for name, content in contents.items()))
    with pytest.raises(ArchiveError, match=r"refused: its \d+ bytes unpack to \d+ or more, over 200"):
        unpack(archive, folder)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archives_that_do_not_fit_on_the_disk_are_refused(
    tmp_path: Path, folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "zip":
        archive = zip_of(tmp_path / "x", {"a": NOISE})
    else:
        archive = tar(tmp_path / "x", (member("a"), NOISE))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4999))
    with pytest.raises(DiskFullError, match="but the disk has only"):
        unpack(archive, folder)
    assert not list(folder.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5000))
    unpack(archive, folder)
    assert (folder / "a").stat().st_size == 5000


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:xz"])
def test_truncated_archives_are_refused(tmp_path: Path, folder: Path, kind: str) -> None:
    check_damaged(tmp_path, folder, kind, cut)


@pytest.mark.parametrize("kind", ["zip", "w:gz", "w:xz"])
def test_damaged_archives_are_refused(tmp_path: Path, folder: Path, kind: str) -> None:
    check_damaged(tmp_path, folder, kind, flip)


def check_damaged(tmp_path: Path, folder: Path, kind: str, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "x"
    if kind == "zip":
        zip_of(path, {"a": NOISE})
    else:
        tar(path, (member("a"), NOISE), mode=kind)
    damage(path)
    with pytest.raises(ArchiveError, match="damaged, incomplete or not an archive"):
        unpack(path, folder)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><title>Sorry</title>"])
def test_what_is_no_archive_is_refused(tmp_path: Path, folder: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ArchiveError, match="incomplete or not an archive"):
        unpack(tmp_path / "x", folder)

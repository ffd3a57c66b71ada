"""Unpack a downloaded archive, without letting it write outside its folder."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

MOST_EXPANSION = 200
"""Photographs hardly shrink in an archive: one that grows more than this is made to fill a disk."""


DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError)

CHUNK = 1 << 20


class ArchiveError(ValueError):
    """An archive that is damaged, is not an archive, or would write where it must not."""


class DiskFullError(ArchiveError):
    """An archive that may be good, but does not fit on the disk."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip or tar archive, compressed or not, into a folder.

    Refused are names that are absolute or lead out of the folder, links to outside, devices and
    pipes, archives that grow to more than `MOST_EXPANSION` times their size, and those for which the
    disk has no room. What was unpacked before the refusal stays, inside the folder.

    Args:
        archive: The archive. Its type is read from its contents, not its name.
        folder: An empty folder, which must exist.

    Raises:
        DiskFullError: If the disk does not have enough room.
        ArchiveError: If the archive is refused, damaged or cut off.
    """
    allowed = _Allowance(archive, folder)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder, allowed)
        else:
            _unpack_tar(archive, folder, allowed)
    except tarfile.FilterError as error:
        raise ArchiveError(f"the archive is refused: {error}") from error
    except (*DAMAGED, EOFError, RuntimeError) as error:
        # zipfile raises a RuntimeError where a password is needed.
        raise ArchiveError(f"the archive is damaged, incomplete or not an archive: {error}") from error


@dataclass(frozen=True)
class _Allowance:
    """How much an archive may unpack to."""

    archive: Path
    folder: Path

    def check(self, unpacked: int) -> None:
        packed = self.archive.stat().st_size
        if unpacked > MOST_EXPANSION * packed:
            raise ArchiveError(
                f"the archive is refused: its {packed} bytes unpack to {unpacked} or more, over "
                f"{MOST_EXPANSION} times as much"
            )

    def check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise DiskFullError(
                f"the archive unpacks to at least {needed / 1e6:.0f} MB, but the disk has only "
                f"{free / 1e6:.0f} MB free at {self.folder}; make room"
            )


def _unpack_zip(archive: Path, folder: Path, allowed: _Allowance) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        for member in members:
            # zipfile would quietly drop the "..", and put the file where nothing looks for it.
            _check_name(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(
                    f"the archive is refused: {member.filename!r} is a link or a device; pack only "
                    f"files and folders"
                )
        # Reading stops at the promised size, so no member can be larger than it says.
        size = sum(member.file_size for member in members)
        allowed.check(size)
        allowed.check_room(size)
        for member in members:
            opened.extract(member, folder)


def _unpack_tar(archive: Path, folder: Path, allowed: _Allowance) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise ArchiveError(
            "this Python cannot unpack tar archives safely; update it to the latest 3.10.x, 3.11.x or "
            "a later version"
        )
    inside = folder.resolve()
    size = 0
    with tarfile.open(archive, "r:*") as opened:
        for member in opened:
            _check_name(member.name)
            # Python's filter looks at links one by one; this sees where several lead together.
            if not (inside / member.name).parent.resolve().is_relative_to(inside):
                raise ArchiveError(
                    f"the archive is refused: {member.name!r} leads out of the folder through a link"
                )
            size += member.size
            allowed.check(size)
            # The total size is only known at the end, so each member is checked.
            allowed.check_room(member.size)
            opened.extract(member, folder, filter="data")
        # A compressed archive has its checksum at the very end, where tarfile does not look.
        while opened.fileobj and (rest := opened.fileobj.read(CHUNK)):
            size += len(rest)
            allowed.check(size)


def _check_name(name: str) -> None:
    # Judged by the rules of both systems, since a zip may come from either.
    windows = PureWindowsPath(name)
    if PurePosixPath(name).is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise ArchiveError(f"the archive is refused: {name!r} leads out of the folder")

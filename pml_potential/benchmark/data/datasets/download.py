"""Fetching a published data set: all of it, or nothing."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

from filelock import Timeout
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import ConfigError, Dataset
from pml_potential.benchmark.data.datasets.catalogue import entry_of
from pml_potential.benchmark.data.datasets.entry import default_root
from pml_potential.benchmark.data.datasets.layout import LayoutError
from pml_potential.benchmark.data.datasets.unpacking import ArchiveError, DiskFullError, unpack
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.files import NamedLock

TIMEOUT = 60.0
"""Seconds of silence after which a connection counts as dead."""

CHUNK = 1 << 18


class DownloadError(RuntimeError):
    """A download that failed; the message says why and what to do. Nothing incomplete is left behind."""


def download(
    name: str,
    root: Path | None = None,
    *,
    url: str | None = None,
    checksum: str | None = None,
    console: Console | None = None,
) -> bool:
    """Fetches a data set, unless it is there already.

    The archive is fetched into a hidden folder beside the root, verified, unpacked and checked
    there; the root appears by renaming, when all is complete. After a kill, the next call removes
    what was left, but uses a complete archive.

    Args:
        name: As in a configuration.
        root: Where to. Default: ``data/NAME`` in the working folder.
        url: Of an archive to fetch instead of the published one, a mirror's for example: zip or tar.
        checksum: Of the archive, as ``sha256:...`` or ``md5:...``. Default: that of the
            published archive, if it is known and `url` is not given.
        console: Where progress is shown; None shows nothing.

    Returns:
        Whether it was fetched: False if all files were there.

    Raises:
        ConfigError: If there is no such data set, or nothing to download for it.
        DownloadError: If the files cannot be fetched, verified or unpacked, or the root holds
            something else.
    """
    entry = entry_of(name)
    if entry.source in {"packaged", "your own"}:
        raise ConfigError(f"{name!r} cannot be downloaded: {entry.advice}", ("dataset", "name"))
    address = url or entry.url
    if address is None:
        raise ConfigError(f"{name!r} cannot be downloaded: {entry.advice}", ("dataset", "name"))
    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"url is {address!r}; it must begin with http:// or https://")
    # Resolved so that a root that links to another disk is filled there.
    target = (default_root(name) if root is None else root).resolve()
    say = _Speaker(console)
    if _is_complete(name, target):
        say(f"{entry.title} is in {target} already, with all its files; nothing to do.")
        return False
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DownloadError(
            f"{target} exists, but is not a complete {entry.title}; "
            f"`pml-potential datasets check {name} --root {quote(str(target))}` says what is wrong; "
            "move it away to download it again"
        )
    if url is None:
        checksum = checksum or entry.checksum
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedLock(target.parent / f".{target.name}.lock", blocking=False):
            _fetch_into(name, target, address, checksum, say)
    except Timeout as error:
        raise DownloadError(f"another process is downloading to {target} now; wait for it") from error
    except OSError as error:
        raise DownloadError(f"{target} cannot be written: {reason_of(error)}") from error
    say(f"{entry.title} is in {target}.")
    return True


def _fetch_into(name: str, target: Path, url: str, checksum: str | None, say: _Speaker) -> None:
    staging = target.parent / f".{target.name}.partial"
    archive = staging / hashlib.sha256(url.encode()).hexdigest()[:16]
    try:
        _clear(staging, keep=archive)
        staging.mkdir(exist_ok=True)
        _fetch(url, archive, checksum, say)
        _say_checksum(name, archive, checksum, say)
        unpacked = staging / "unpacked"
        unpacked.mkdir()
        say("Unpacking.")
        try:
            unpack(archive, unpacked)
            _check_complete(name, unpacked)
        except DiskFullError as error:
            raise DownloadError(f"{error}; the archive is kept for next time") from error
        except (ArchiveError, LayoutError) as error:
            archive.unlink()
            raise DownloadError(
                f"the download from {url} is not an archive of {entry_of(name).title}: {error}"
            ) from error
        if target.exists():
            target.rmdir()
        unpacked.rename(target)
        archive.unlink()
    finally:
        _clear(staging, keep=archive)


def _fetch(url: str, archive: Path, checksum: str | None, say: _Speaker) -> None:
    import pooch  # type: ignore[import-untyped]
    import requests

    say(f"Fetching {url}")
    try:
        with _quiet(pooch.get_logger()), say.progress() as bar:
            # Verbatim, since an archive that the server compresses once more has another checksum.
            downloader = pooch.HTTPDownloader(
                progressbar=bar,
                chunk_size=CHUNK,
                timeout=TIMEOUT,
                headers={"Accept-Encoding": "identity"},
            )
            pooch.retrieve(
                url, known_hash=checksum, fname=archive.name, path=archive.parent, downloader=downloader
            )
    except requests.RequestException as error:
        raise DownloadError(
            f"{url} cannot be fetched: {reason_of(error)}; try again, or give another address with --url"
        ) from error
    except ValueError as error:
        # pooch's message about a wrong checksum, or one of an unknown kind.
        raise DownloadError(f"{url} is refused: {error}") from error


def _say_checksum(name: str, archive: Path, checksum: str | None, say: _Speaker) -> None:
    """Says whether the archive is verified."""
    published = entry_of(name).checksum
    if checksum is not None:
        say(f"Verified: {checksum}")
        return
    found = f"sha256:{_hash(archive, 'sha256')}"
    if published is None:
        say(f"Unknown checksum: not verified. This archive has {found}")
    elif published.removeprefix("md5:") == _hash(archive, "md5"):
        say(f"Verified: {published}")
    else:
        say(f"Not the published archive, which has {published}: not verified. This one has {found}")


def _hash(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _is_complete(name: str, root: Path) -> bool:
    try:
        _check_complete(name, root)
    except LayoutError:
        return False
    return True


def _check_complete(name: str, root: Path) -> None:
    """Checks that the lists can be read and every image that they name is there."""
    images = entry_of(name).load(Dataset(name=name, root=str(root)))
    if isinstance(images, ImageFiles):
        missing = [path for path in images.paths if not path.is_file()]
        if missing:
            raise LayoutError(
                f"{len(missing)} of {len(images.paths)} images are missing, such as {missing[0]}"
            )


def _clear(staging: Path, keep: Path) -> None:
    """Removes what a download left behind, except a complete archive."""
    if not staging.exists():
        return
    for path in staging.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != keep:
            path.unlink()
    if not keep.exists():
        staging.rmdir()


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Silences pooch, whose messages are about its own arguments."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Bar:
    """The progress bar that pooch expects, shown by rich."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)
        self._done = 0

    @property
    def total(self) -> int:
        """Bytes to come."""
        return 0

    @total.setter
    def total(self, count: int) -> None:
        # A server that does not tell the size is reported as 0.
        self._progress.update(self._task, total=count or None)

    def update(self, count: int) -> None:
        """Counts bytes."""
        self._done += count
        self._progress.update(self._task, completed=self._done)

    def reset(self) -> None:
        """Starts from 0, as pooch wants at the end before it counts the exact total."""
        self._done = 0

    def close(self) -> None:
        """Does nothing: rich closes the bar."""


class _Speaker:
    """Prints messages, if there is a console."""

    def __init__(self, console: Console | None) -> None:
        self._console = console

    def __call__(self, text: str) -> None:
        if self._console is not None:
            self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    @contextmanager
    def progress(self) -> Iterator[Any]:
        """Shows a bar while bytes arrive; pooch takes False for none."""
        if self._console is None:
            yield False
            return
        columns = (
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield _Bar(progress)

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from pml_potential.benchmark.config.schema import ConfigError, Dataset
from pml_potential.benchmark.data.datasets.catalogue import load_images
from pml_potential.benchmark.data.datasets.download import DownloadError, download
from tests.benchmark.data.datasets.local_server import Server, serving
from tests.benchmark.data.datasets.miniatures import (
    pack,
    write_cars196_copy,
    write_cars196_original,
    write_cub200,
    write_in_shop,
    write_sop,
)

ARCHIVES: list[tuple[str, Callable[[Path], Path], str]] = [
    ("cub200", write_cub200, "CUB_200_2011.tgz"),
    ("cars196", write_cars196_copy, "cars.zip"),
    ("cars196", write_cars196_original, "cars_original.tgz"),
    ("sop", write_sop, "products.zip"),
    ("in_shop", write_in_shop, "clothes.zip"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive of each layout."""
    folder = tmp_path_factory.mktemp("served")
    for _, write, archive in ARCHIVES:
        pack(write(folder / f"files of {archive}"), folder / archive)
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[Server]:
    with serving(served) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "mine"


def left_beside(root: Path) -> list[str]:
    """What a download left besides the data set and the file of its lock."""
    if not root.parent.exists():
        return []
    names = {path.name for path in root.parent.iterdir()}
    return sorted(names - {root.name, f".{root.name}.lock"})


@pytest.mark.parametrize(("name", "archive"), [(name, archive) for name, _, archive in ARCHIVES])
def test_every_layout_is_fetched_and_unpacked(
    server: Server,
    served: Path,
    root: Path,
    name: str,
    archive: str,
) -> None:
    assert download(name, root, url=server.url(archive))
    files = served / f"files of {archive}"
    found = load_images(Dataset(name=name, root=str(root)))
    assert found.sha256 == load_images(Dataset(name=name, root=str(files))).sha256
    assert found.image(11).size == (24, 24)
    assert left_beside(root) == []


def test_a_second_call_does_nothing_and_says_so(server: Server, root: Path) -> None:
    download("sop", root, url=server.url("products.zip"))
    before = list(server.requests)
    text = io.StringIO()
    assert not download("sop", root, url=server.url("products.zip"), console=Console(file=text))
    assert server.requests == before == ["/products.zip"]
    assert "already" in text.getvalue()


def test_progress_and_the_checksum_are_told(server: Server, served: Path, root: Path) -> None:
    text = io.StringIO()
    console = Console(file=text, width=200)
    download("cars196", root, url=server.url("cars.zip"), console=console)
    found = hashlib.sha256((served / "cars.zip").read_bytes()).hexdigest()
    assert f"Fetching {server.url('cars.zip')}\n" in text.getvalue()
    assert f"Unknown checksum: not verified. This archive has sha256:{found}\n" in text.getvalue()
    assert f"Cars-196 is in {root.resolve()}.\n" in text.getvalue()


def test_an_archive_that_is_not_the_published_one_is_called_so(server: Server, root: Path) -> None:
    text = io.StringIO()
    download("cub200", root, url=server.url("CUB_200_2011.tgz"), console=Console(file=text, width=200))
    assert "Not the published archive, which has md5:97eceeb196236b17998738112f37df78" in text.getvalue()


def test_a_right_checksum_is_told_and_a_wrong_one_is_refused(
    server: Server, served: Path, root: Path
) -> None:
    url = server.url("products.zip")
    with pytest.raises(DownloadError, match=r"refused: SHA256 hash .* does not match"):
        download("sop", root, url=url, checksum=f"sha256:{'0' * 64}")
    assert not root.exists()
    assert left_beside(root) == []
    text = io.StringIO()
    right = f"sha256:{hashlib.sha256((served / 'products.zip').read_bytes()).hexdigest()}"
    download("sop", root, url=url, checksum=right, console=Console(file=text, width=200))
    assert f"Verified: {right}" in text.getvalue()


def test_the_published_checksum_is_asked_for_at_the_published_address(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from pml_potential.benchmark.data.datasets import catalogue

    entry = replace(catalogue.CATALOGUE["cub200"], url=server.url("CUB_200_2011.tgz"))
    monkeypatch.setattr(catalogue, "CATALOGUE", {**catalogue.CATALOGUE, "cub200": entry})
    with pytest.raises(DownloadError, match=r"refused: MD5 hash .*97eceeb196236b17998738112f37df78"):
        download("cub200", root)
    assert not root.exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone.zip", "cannot be fetched: 404 .*try again, or give another address with --url"),
        ("dying/products.zip", "cannot be fetched: .*IncompleteRead"),
        ("page/products.zip", "is not an archive of Stanford Online Products: .*not an archive"),
        ("cars.zip", "is not an archive of Stanford Online Products: .*Ebay_train.txt.* is missing"),
    ],
)
def test_failures_are_explained_and_leave_nothing(
    server: Server, root: Path, path: str, message: str
) -> None:
    with pytest.raises(DownloadError, match=message):
        download("sop", root, url=server.url(path))
    assert not root.exists()
    assert left_beside(root) == []


def test_a_server_that_does_not_answer_is_named(root: Path, served: Path) -> None:
    with serving(served) as server:
        url = server.url("products.zip")
    with pytest.raises(DownloadError, match=f"{url} cannot be fetched: .*refused"):
        download("sop", root, url=url)


def test_an_archive_that_lacks_images_is_refused(tmp_path: Path, root: Path) -> None:
    products = write_sop(tmp_path / "products")
    next(products.rglob("*.JPG")).unlink()
    pack(products, tmp_path / "served" / "products.zip")
    with (
        serving(tmp_path / "served") as server,
        pytest.raises(DownloadError, match="1 of 12 images are"),
    ):
        download("sop", root, url=server.url("products.zip"))
    assert not root.exists()


def test_an_evil_archive_leaves_nothing(tmp_path: Path, root: Path) -> None:
    import zipfile

    (tmp_path / "served").mkdir()
    with zipfile.ZipFile(tmp_path / "served" / "evil.zip", "w") as archive:
        archive.writestr("../../../../evil.txt", "evil")
    with serving(tmp_path / "served") as server, pytest.raises(DownloadError, match="leads out"):
        download("sop", root, url=server.url("evil.zip"))
    assert not list(tmp_path.rglob("evil.txt"))
    assert left_beside(root) == []


def test_an_empty_root_is_filled_and_a_link_followed(server: Server, tmp_path: Path) -> None:
    other_disk = tmp_path / "disk" / "sop"
    other_disk.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(other_disk)
    assert download("sop", link, url=server.url("products.zip"))
    assert link.is_symlink()
    assert (other_disk / "Stanford_Online_Products" / "Ebay_test.txt").is_file()


def test_a_root_with_something_else_is_left_alone(server: Server, root: Path) -> None:
    root.mkdir(parents=True)
    (root / "thesis.tex").write_text("years of work")
    with pytest.raises(
        DownloadError, match=r"exists, but is not a complete .*datasets check sop --root"
    ):
        download("sop", root, url=server.url("products.zip"))
    assert (root / "thesis.tex").read_text() == "years of work"
    assert server.requests == []


def test_a_root_that_lost_an_image_is_not_complete(server: Server, root: Path) -> None:
    download("sop", root, url=server.url("products.zip"))
    next(root.rglob("*.JPG")).unlink()
    with pytest.raises(DownloadError, match="is not a complete Stanford Online Products"):
        download("sop", root, url=server.url("products.zip"))


def test_two_downloads_to_one_place_do_not_meet(server: Server, root: Path) -> None:
    root.parent.mkdir(parents=True)
    with (
        FileLock(root.parent / f".{root.name}.lock"),
        pytest.raises(DownloadError, match="another process is downloading"),
    ):
        download("sop", root, url=server.url("products.zip"))
    assert download("sop", root, url=server.url("products.zip"))


def test_a_killed_download_leaves_no_data_set_and_the_next_one_clears_up(
    server: Server, root: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; "
        "from pml_potential.benchmark.data.datasets.download import download; "
        "download('sop', Path(sys.argv[1]), url=sys.argv[2])"
    )
    arguments = [sys.executable, "-c", script, str(root), server.url("stalling/products.zip")]
    with subprocess.Popen(arguments, cwd=Path(__file__).parents[4]) as process:
        assert server.half_sent.wait(timeout=600)
        while not list(root.parent.glob(f".{root.name}.partial/*")):
            assert process.poll() is None
        process.kill()
    assert not root.exists()
    assert left_beside(root) == [f".{root.name}.partial"]
    assert download("sop", root, url=server.url("products.zip"))
    assert left_beside(root) == []


def test_what_was_half_unpacked_is_cleared_away(server: Server, root: Path) -> None:
    half = root.parent / f".{root.name}.partial" / "unpacked" / "Stanford_Online_Products"
    half.mkdir(parents=True)
    (half / "stray.JPG").write_text("x")
    assert download("sop", root, url=server.url("products.zip"))
    assert not list(root.rglob("stray.JPG"))
    assert left_beside(root) == []


def test_an_archive_that_arrived_whole_is_not_fetched_twice(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    from types import SimpleNamespace

    url = server.url("products.zip")
    with monkeypatch.context() as full_disk:
        full_disk.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(DownloadError, match="make room; the archive is kept for next time"):
            download("sop", root, url=url)
    assert not root.exists()
    assert download("sop", root, url=url)
    assert server.requests == ["/products.zip"]
    assert left_beside(root) == []


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to the root user"
)
def test_a_folder_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DownloadError, match="cannot be written"):
        download("sop", tmp_path / "sop", url=server.url("products.zip"))


def test_a_file_in_the_way_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DownloadError, match="exists, but is not a complete"):
        download("sop", tmp_path / "file", url=server.url("products.zip"))
    with pytest.raises(DownloadError, match="cannot be written"):
        download("sop", tmp_path / "file" / "sop", url=server.url("products.zip"))


@pytest.mark.parametrize(
    ("name", "url", "message"),
    [
        ("in_shop", None, "'in_shop' cannot be downloaded: there is no free public link: ask for it"),
        ("glyphs", None, "'glyphs' cannot be downloaded: it comes with this package"),
        ("digits", "http://127.0.0.1/x", "'digits' cannot be downloaded: it comes with scikit-learn"),
        ("folder", "http://127.0.0.1/x", "'folder' cannot be downloaded: it is a folder of your own"),
        ("table", None, "'table' cannot be downloaded: it is a table of your own"),
        ("imagenet", None, r"there is no data set 'imagenet'\. There are glyphs, digits, cub200"),
        ("sop", "file:///etc/passwd", "url is 'file:///etc/passwd'; it must begin with http"),
    ],
)
def test_what_cannot_be_downloaded_says_why(
    root: Path, name: str, url: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        download(name, root, url=url)
    assert not root.parent.exists()


def test_the_default_root_is_below_the_working_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert download("sop", url=server.url("products.zip"))
    assert (tmp_path / "data" / "sop" / "Stanford_Online_Products").is_dir()

"""Every link leads somewhere, every file that a page loads is there, and none comes from elsewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.site.built_site import ROOT, Parsed, Site, parse

ELSEWHERE = {"http", "https", "mailto", "data"}
SOURCE_FOLDERS = "pml_potential|benchmarks|benchmarker_configs|documentation|docs|examples|tests"
SOURCE_PATH = re.compile(rf"(?<![\w/.-])(?:{SOURCE_FOLDERS})/[\w./-]*[\w/]")
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def broken(folder: Path, found: dict[Path, Parsed]) -> Iterator[str]:
    """Links within a site that lead to no file, or to no place in it."""
    for page, parsed in found.items():
        for link in [*parsed.links, *parsed.loaded]:
            parts = urlsplit(link)
            if parts.scheme in ELSEWHERE:
                continue
            base = folder if parts.path.startswith("/") else page.parent
            path = unquote(parts.path).lstrip("/")
            target = (base / path).resolve() if path else page
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                yield f"{page.name}: {link}: no file"
            elif parts.fragment and unquote(parts.fragment) not in found[target].anchors:
                yield f"{page.name}: {link}: no such place"


def test_links_within_the_site_lead_somewhere(site: Site) -> None:
    assert sum(len(parsed.links) for parsed in site.pages.values()) > 1000
    assert list(broken(site.folder, site.pages)) == []


def test_pages_load_nothing_from_elsewhere(site: Site) -> None:
    asked = [(page.name, file) for page, parsed in site.pages.items() for file in parsed.loaded]
    assert len(asked) > 100
    assert [each for each in asked if urlsplit(each[1]).scheme not in {"", "data"}] == []


def test_style_sheets_load_files_that_are_there(site: Site) -> None:
    sheets = list((site.folder / "javascripts").rglob("*.css")) + list(
        (site.folder / "stylesheets").glob("*.css")
    )
    files = [
        (sheet, file) for sheet in sheets for file in re.findall(r"url\((.+?)\)", sheet.read_text())
    ]
    assert len(files) >= 20
    assert [file for sheet, file in files if not (sheet.parent / file).is_file()] == []


def test_images_have_alternative_text(site: Site) -> None:
    assert {page.name: parsed.images_without_text for page, parsed in site.pages.items()} == {
        page.name: [] for page in site.pages
    }


def test_every_page_is_in_the_navigation(site: Site) -> None:
    listed = set(parse((site.folder / "index.html").read_text()).links)
    missing = {
        page.relative_to(site.folder).as_posix() for page in site.pages if page.name != "404.html"
    } - {unquote(urlsplit(link).path) for link in listed}
    assert missing == set()


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_paths_of_source_files_exist(text: Path) -> None:
    paths = SOURCE_PATH.findall(text.read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("html", "complaints"),
    [
        ('<a href="other.html#there">', []),
        ('<a href="#here">', []),
        ('<a href="https://example.org/#any">', []),
        ('<a href="missing.html">', ["page.html: missing.html: no file"]),
        ('<a href="other.html#gone">', ["page.html: other.html#gone: no such place"]),
        ('<img src="missing.png" alt="nothing">', ["page.html: missing.png: no file"]),
    ],
)
def test_broken_links_are_found(html: str, complaints: list[str], tmp_path: Path) -> None:
    contents = {"page.html": f'<p id="here">{html}', "other.html": '<p id="there">'}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    found = {tmp_path / name: parse(content) for name, content in contents.items()}
    assert list(broken(tmp_path, found)) == complaints

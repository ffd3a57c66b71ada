"""The site, and what its pages consist of."""

import logging
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[2]


@dataclass
class Parsed:
    """What a page links to, loads and can be linked at."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    images_without_text: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Site:
    """The built site: its folder, and every page in it, parsed."""

    folder: Path
    pages: dict[Path, Parsed]

    @property
    def names(self) -> list[str]:
        """Addresses of the pages within the site."""
        return [page.relative_to(self.folder).as_posix() for page in self.pages]


def build_site(folder: Path) -> None:
    """Build the site strictly, as CI does."""
    logging.getLogger("mkdocs").setLevel(logging.WARNING)
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))


def read_site(folder: Path) -> Site:
    """Parse the pages of a site."""
    return Site(folder, {path: parse(path.read_text()) for path in sorted(folder.rglob("*.html"))})


def parse(html: str) -> Parsed:
    """Parse a page."""
    reader = _Reader()
    reader.feed(html)
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = Parsed()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if "id" in given:
            self.found.anchors.add(given["id"])
        if tag == "a" and "href" in given:
            self.found.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in {"canonical", "prev", "next"}:
            self.found.loaded.append(given["href"])
        self.found.loaded += [given[key] for key in ("src", "srcset") if key in given]
        if tag == "img" and not given.get("alt", "").strip():
            self.found.images_without_text.append(given["src"])

"""Folds the sections of long pages, as a hook of mkdocs.

A page asks for it by ``fold: LEVEL`` in its front matter. Each section below a heading of that level
becomes a bar with the heading and the first sentence. The theme opens the section that an address names,
and browsers open those in which they find a text. Terms of lists of definitions, such as options, become
headings: each has an address, and the search of the site looks for headings first.
"""

import re
from typing import Any

from markdown.extensions.toc import slugify, unique
from markupsafe import Markup
from mkdocs.structure.pages import Page

_TITLE = re.compile(r'<h\d id="([^"]*)">(.*?)(?:<a class="headerlink".*?</a>)?</h\d>', re.DOTALL)
_ENTRY = re.compile(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", re.DOTALL)
_FIRST_SENTENCE = re.compile(r"\s*<p>(.*?)(?:\.\s.*|\.)?</p>", re.DOTALL)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Fold a page that asks for it."""
    level = page.meta.get("fold")
    return html if level is None else folded(html, level)


def folded(html: str, level: int) -> str:
    """Fold the sections at a level of headings.

    Args:
        html: content of a page.
        level: 2 for ``h2`` and so on; what stands under headings above that level stays open.
    """
    sections = re.split(rf"(?=<h[1-{level}] id=)", html)
    return "".join(_bar(each, level) if each.startswith(f"<h{level} ") else each for each in sections)


def _bar(section: str, level: int) -> str:
    heading = _TITLE.match(section)
    assert heading is not None, section[:200]
    first = _FIRST_SENTENCE.match(section, heading.end())
    about = f" <small>{_without_links(first[1])}</small>" if first else ""
    return (
        f'<details class="section"><summary>{_without_links(heading[2])}{about}</summary>\n'
        f"{_with_headings(section, heading[1], level + 1).rstrip()}\n</details>\n"
    )


def _with_headings(section: str, name: str, level: int) -> str:
    known: set[str] = set()

    def headed(entry: re.Match[str]) -> str:
        place = unique(f"{name}-{slugify(Markup(entry[1]).striptags(), '-')[:60]}", known)
        return f'<h{level} id="{place}">{entry[1]}</h{level}>\n<div>{entry[2]}</div>'

    return _ENTRY.sub(headed, re.sub(r"</?dl>\n?", "", section))


def _without_links(html: str) -> str:
    """A bar is a button, and a button holds no links."""
    return re.sub(r"</?a\b[^>]*>", "", html)

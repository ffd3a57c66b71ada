"""Sections below a level of headings become bars that open."""

import pytest

from documentation.folding import folded

LINK = '<a class="headerlink" href="#x">&para;</a>'


def heading(level: int, name: str) -> str:
    return f'<h{level} id="{name}">{name}{LINK}</h{level}>\n'


def bar(title: str, section: str) -> str:
    return f'<details class="section"><summary>{title}</summary>\n{section}\n</details>\n'


def test_each_section_is_folded_and_what_stands_before_stays_open() -> None:
    one, two = heading(2, "one") + "<ul></ul>", heading(2, "two") + "<ul></ul>"
    page = heading(1, "page") + "<p>Text.</p>\n"
    assert folded(f"{page}{one}\n{two}", 2) == page + bar("one", one) + bar("two", two)


def test_a_section_keeps_what_is_below_it() -> None:
    section = heading(2, "one") + heading(3, "inner") + "<ul></ul>"
    assert folded(section, 2) == bar("one", section)


def test_headings_above_the_level_stay_open() -> None:
    version, added = heading(2, "version"), heading(3, "added") + "<ul></ul>"
    assert folded(version + added + "\n" + version, 3) == version + bar("added", added) + version


@pytest.mark.parametrize(
    ("paragraph", "about"),
    [
        ("<p>First: one. Second.</p>", "First: one"),
        ("<p>Only one.</p>", "Only one"),
        (
            '<p><a href="x.html">Keys</a> of <code>a.b</code> and more. Next.</p>',
            "Keys of <code>a.b</code> and more",
        ),
    ],
)
def test_the_bar_has_the_first_sentence_without_its_links(paragraph: str, about: str) -> None:
    section = heading(2, "one") + paragraph
    assert folded(section, 2) == bar(f"one <small>{about}</small>", section)


def test_terms_become_headings_with_addresses_of_their_own() -> None:
    term = "<dt><code>--set A</code></dt>\n"
    terms = f"<dl>\n{term}<dd>First.</dd>\n{term}<dd>Second.</dd>\n</dl>\n"
    entries = (
        '<h3 id="run--set-a"><code>--set A</code></h3>\n<div>First.</div>\n'
        '<h3 id="run--set-a_1"><code>--set A</code></h3>\n<div>Second.</div>'
    )
    assert folded(heading(2, "run") + terms, 2) == bar("run", heading(2, "run") + entries)

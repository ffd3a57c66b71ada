"""Report and comparison in a real browser, from disk: they draw, sort, save, fit, and load nothing."""

import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from documentation.chromium import NAMES, chromium
from tests.end_to_end.command import PATIENCE, Reference, call

LOCAL = ("file:", "data:", "blob:")
SIZE = ViewportSize(width=1100, height=900)

# Contrast of WCAG 2.1 between the colour of each text and the first opaque background below it.
CONTRASTS = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("main *")) {
    const texts = [...element.childNodes].filter((n) => n.nodeType === 3 && n.textContent.trim());
    if (!texts.length || !element.getClientRects().length || element.closest("script, style")) continue;
    const style = getComputedStyle(element);
    const ink = parse(element.closest("svg") ? style.fill : style.color).slice(0, 3);
    const [low, high] = [light(ink), light(behind(element))].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), texts[0].textContent.trim()]);
  }
  return found;
}
"""


@dataclass
class Opened:
    """A page with what it asked for and what it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not any(map(shutil.which, NAMES)):
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a tiny run and of its comparison with a copy of itself."""
    folder = tmp_path_factory.mktemp("browser")
    original = reference.folder
    copied = folder / "copy" / "report"
    copied.mkdir(parents=True)
    shutil.copy(original / "report" / "results.json", copied)
    out = folder / "comparison"
    ended = call("compare", str(original), str(copied.parent), "--folder", str(out))
    assert ended.code == 0, ended.errors
    return {"report": original / "report" / "index.html", "comparison": out / "index.html"}


@contextmanager
def tab(browser: Browser, path: Path) -> Iterator[Opened]:
    context = browser.new_context(viewport=SIZE, accept_downloads=True)
    context.set_default_timeout(PATIENCE * 1000)
    found = Opened(context.new_page())
    found.page.on("request", lambda asked: found.requests.append(asked.url))
    found.page.on(
        "console",
        lambda said: found.complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.goto(path.as_uri())
    found.page.wait_for_function("document.querySelectorAll('.js-plotly-plot .main-svg').length > 0")
    yield found
    context.close()


@pytest.fixture(scope="module", params=["report", "comparison"])
def path(request: pytest.FixtureRequest, pages: dict[str, Path]) -> Path:
    return pages[request.param]


@pytest.fixture(scope="module")
def kept_open(browser: Browser, path: Path) -> Iterator[Opened]:
    with tab(browser, path) as found:
        yield found


@pytest.fixture
def opened(kept_open: Opened) -> Opened:
    """A page for tests that leave it as it is, as it looks on a screen by day."""
    kept_open.page.emulate_media(color_scheme="light", media="screen")
    kept_open.page.set_viewport_size(SIZE)
    return kept_open


@pytest.fixture
def opened_anew(browser: Browser, path: Path) -> Iterator[Opened]:
    """A page for a test that changes it."""
    with tab(browser, path) as found:
        yield found


def test_the_page_asks_for_nothing_beyond_itself_and_does_not_complain(opened: Opened) -> None:
    assert opened.requests[0].startswith("file:")
    assert [url for url in opened.requests if not url.startswith(LOCAL)] == []
    assert opened.complaints == []


def test_every_figure_draws_marks_and_labels_its_axes(opened: Opened) -> None:
    figures: list[dict[str, Any]] = opened.page.evaluate(
        """() => [...document.querySelectorAll('.plotly-graph-div')].map((plot) => ({
          name: plot.id,
          marks: plot.querySelectorAll('.plot .point, .plot path.js-line').length,
          axes: ['.xtitle', '.ytitle'].map((title) => plot.querySelector(title)?.textContent || ''),
          caption: plot.closest('figure').querySelector('figcaption').textContent,
        }))"""
    )
    assert len(figures) == opened.page.locator("figure .plot").count() > 0
    assert [figure["name"] for figure in figures if not figure["marks"]] == []
    assert [figure["name"] for figure in figures if not all(figure["axes"])] == []
    assert [figure["name"] for figure in figures if "n = " not in figure["caption"]] == []


def test_figures_come_to_keep_to_their_places(opened: Opened) -> None:
    opened.page.wait_for_function(
        """() => [...document.querySelectorAll('.plotly-graph-div')].every((plot) =>
          plot.querySelector('.main-svg').getBoundingClientRect().width <=
          plot.parentElement.getBoundingClientRect().width + 1)"""
    )


def keys_of(opened: Opened, table: int, column: int) -> list[float]:
    keys: list[float] = opened.page.evaluate(
        """([table, column]) => [...document.querySelectorAll('table')[table].tBodies[0].rows]
          .map((row) => Number(row.cells[column].dataset.sort))""",
        [table, column],
    )
    return keys


def test_every_column_sorts_both_ways_by_click_and_by_key(opened_anew: Opened) -> None:
    tables = opened_anew.page.locator("table")
    assert tables.count() >= 3
    for table in range(tables.count()):
        headers = tables.nth(table).locator("thead th")
        for column in range(headers.count()):
            header = headers.nth(column)
            assert header.get_attribute("aria-sort") == "none"
            header.locator("button").click()
            assert header.get_attribute("aria-sort") == "ascending"
            rising = tables.nth(table).locator(f"tbody td:nth-child({column + 1})").all_inner_texts()
            header.locator("button").press("Enter")
            assert header.get_attribute("aria-sort") == "descending"
            falling = tables.nth(table).locator(f"tbody td:nth-child({column + 1})").all_inner_texts()
            assert sorted(falling) == sorted(rising)
            if len(set(rising)) > 1 and "–" not in rising:
                assert falling != rising
            assert tables.nth(table).locator("[aria-sort=descending]").count() == 1


def test_numbers_are_sorted_as_numbers(opened_anew: Opened) -> None:
    first = opened_anew.page.locator("table").first.locator("thead th")
    last = first.count() - 1
    for order in (sorted, lambda keys: sorted(keys, reverse=True)):
        first.nth(last).locator("button").click()
        keys = keys_of(opened_anew, 0, last)
        assert keys == order(keys)
        assert len(set(keys)) > 1


def test_a_number_that_is_missing_stays_at_the_end(opened_anew: Opened) -> None:
    opened_anew.page.evaluate(
        """() => { const cells = document.querySelectorAll('table')[0].tBodies[0].rows[0].cells;
          cells[cells.length - 1].dataset.sort = ''; cells[cells.length - 1].textContent = '–'; }"""
    )
    header = opened_anew.page.locator("table").first.locator("thead th button").last
    for _ in range(2):
        header.click()
        texts = opened_anew.page.locator("table").first.locator("tbody td:last-child").all_inner_texts()
        assert texts[-1] == "–"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_figure_is_saved_on_white_as_svg_and_as_png(
    opened: Opened, scheme: Any, tmp_path: Path
) -> None:
    opened.page.emulate_media(color_scheme=scheme)
    for kind in ("svg", "png"):
        buttons = opened.page.locator(f"button[data-save={kind}]")
        assert buttons.count() == opened.page.locator(".plotly-graph-div").count()
        with opened.page.expect_download() as download:
            buttons.first.click()
        name = opened.page.locator(".plotly-graph-div").first.get_attribute("id")
        assert download.value.suggested_filename == f"{name}.{kind}"
        download.value.save_as(tmp_path / f"figure.{kind}")
    svg = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    title = opened.page.locator(".plotly-graph-div").first.locator(".xtitle").text_content()
    assert title
    assert title in svg
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width >= 1800
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("media", ["screen", "print"])
def test_text_has_the_contrast_of_level_aa(opened: Opened, scheme: Any, media: Any) -> None:
    opened.page.emulate_media(color_scheme=scheme, media=media)
    found: list[tuple[float, str]] = opened.page.evaluate(CONTRASTS)
    assert len(found) > 50
    assert [(round(ratio, 2), text) for ratio, text in found if ratio < 4.5] == []


def test_dark_is_dark_and_paper_is_white(opened: Opened) -> None:
    def background(**media: Any) -> str:
        opened.page.emulate_media(**media)
        colour: str = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    assert background(color_scheme="light", media="screen") == "rgb(255, 255, 255)"
    assert background(color_scheme="dark", media="screen") == "rgb(21, 27, 34)"
    assert background(color_scheme="dark", media="print") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [375, 768, 1600])
def test_the_page_never_scrolls_sideways(opened: Opened, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 800})
    opened.page.wait_for_function(
        "[...document.querySelectorAll('.plotly-graph-div .main-svg')]"
        ".every((svg) => svg.getBoundingClientRect().right <= innerWidth)"
    )
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_printing_fits_the_figures_to_paper_and_leaves_out_what_is_folded(opened_anew: Opened) -> None:
    opened_anew.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    widths: list[float] = opened_anew.page.evaluate(
        "[...document.querySelectorAll('.main-svg')].map((svg) => svg.getBoundingClientRect().width)"
    )
    # 180 mm between the margins of A4.
    assert max(widths) <= 680
    opened_anew.page.emulate_media(media="print")
    assert opened_anew.page.locator("details:visible").count() == 0
    opened_anew.page.emulate_media(media="screen")
    opened_anew.page.evaluate("dispatchEvent(new Event('afterprint'))")
    opened_anew.page.wait_for_function(
        "Math.max(...[...document.querySelectorAll('.main-svg')]"
        ".map((svg) => svg.getBoundingClientRect().width)) > 800"
    )


def test_no_printed_page_is_empty(opened_anew: Opened) -> None:
    paper = opened_anew.page.pdf(format="A4")
    drawn = [zlib.decompress(stream) for stream in page_streams(paper)]
    assert len(drawn) > 1
    assert [len(re.findall(rb"\bTj|\bTJ|\bDo\b", each)) > 2 for each in drawn] == [True] * len(drawn)


def page_streams(paper: bytes) -> list[bytes]:
    """What is drawn on each page of a PDF by Chromium, compressed."""
    objects = dict(re.findall(rb"(\d+) 0 obj(.*?)endobj", paper, flags=re.DOTALL))
    pages = [each for each in objects.values() if re.search(rb"/Type\s*/Page\b", each)]
    contents = [objects[re.findall(rb"/Contents (\d+) 0 R", each)[0]] for each in pages]
    return [each.split(b"stream\n", 1)[1].rpartition(b"\nendstream")[0] for each in contents]


def test_nothing_is_cut_off_on_a_phone(opened: Opened) -> None:
    """What is wider than the screen lies in a box that scrolls."""
    opened.page.set_viewport_size({"width": 390, "height": 800})
    cut: list[str] = opened.page.evaluate(
        """() => [...document.querySelectorAll('main *')]
          .filter((each) => !each.closest('.scroll, pre, svg, .js-plotly-plot, script'))
          .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
          .map((each) => each.tagName + ' ' + each.textContent.trim().slice(0, 40))"""
    )
    assert cut == []


def test_every_table_fits_a_phone_without_scrolling(opened: Opened) -> None:
    opened.page.set_viewport_size({"width": 390, "height": 800})
    beyond: list[int] = opened.page.evaluate(
        "[...document.querySelectorAll('.scroll')].map((each) => each.scrollWidth - each.clientWidth)"
    )
    assert len(beyond) >= 4
    assert [pixels for pixels in beyond if pixels > 1] == []

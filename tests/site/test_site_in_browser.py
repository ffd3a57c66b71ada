"""The site as a reader uses it, in a real browser: search, navigation, buttons."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.site.browser_tab import Opened, tab
from tests.site.built_site import Site


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Opened]:
    """A tab on the site as a server hands it out."""
    with tab(browser, address) as found:
        yield found


@pytest.fixture
def opened_from_folder(browser: Browser, site: Site) -> Iterator[Opened]:
    """A tab on the site as it lies on the disk."""
    with tab(browser, site.folder.as_uri()) as found:
        yield found


def search(opened: Opened, words: str) -> str:
    """Type words into the search, follow what it finds first, and tell which page that is."""
    opened.go("index.html")
    opened.page.locator(".md-search__input").click()
    opened.page.keyboard.type(words)
    first = opened.page.locator(".md-search-result__item").first.locator("a").first
    expect(first).to_be_visible()
    first.click()
    opened.page.wait_for_url(lambda url: not urlsplit(url).path.endswith("/index.html"))
    return urlsplit(opened.page.url).path


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("PotentialFieldLoss", "losses/potential_field_loss.html"),
        ("label noise", "guides/label_noise.html"),
        ("resume", "benchmark.html"),
    ],
)
def test_search_finds_first(opened: Opened, words: str, page: str) -> None:
    assert search(opened, words) == f"/{page}"


def test_search_works_without_a_server(opened_from_folder: Opened) -> None:
    assert search(opened_from_folder, "label noise").endswith("/guides/label_noise.html")
    formula = opened_from_folder.page.locator(".katex").first
    opened_from_folder.go("how_it_works/fields.html")
    expect(formula).to_be_visible()


def test_navigation_leads_to_every_page(opened: Opened, site: Site) -> None:
    opened.go("index.html")
    listed = opened.page.locator(".md-nav--primary a.md-nav__link[href]")
    addresses = set(listed.evaluate_all("(links) => links.map((link) => link.href.split('#')[0])"))
    assert addresses == {f"{opened.address}/{name}" for name in site.names if name != "404.html"}
    opened.page.locator(".md-nav--primary").get_by_role("link", name="Commands").click()
    expect(opened.page.locator("h1")).to_contain_text("Commands")


def test_code_is_copied_by_its_button(opened: Opened) -> None:
    opened.go("index.html")
    block = opened.page.locator(".highlight", has_text="PotentialFieldLoss").first
    block.hover()
    block.get_by_role("button", name="Copy to clipboard").click()
    expect(opened.page.get_by_text("Copied to clipboard")).to_be_visible()
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == block.locator("code").inner_text().strip()


def test_the_reader_switches_between_light_and_dark(opened: Opened) -> None:
    opened.page.emulate_media(color_scheme="light")
    opened.go("index.html")
    body = opened.page.locator("body")
    expect(body).to_have_attribute("data-md-color-scheme", "default")
    light = body.evaluate("(element) => getComputedStyle(element).backgroundColor")
    opened.page.locator(".md-header label[for='__palette_1']").click()
    expect(body).to_have_attribute("data-md-color-scheme", "slate")
    dark = body.evaluate("(element) => getComputedStyle(element).backgroundColor")
    assert sum(map(int, light[4:-1].split(", "))) > 700 > 200 > sum(map(int, dark[4:-1].split(", ")[:3]))

"""The site as a reader uses it, in a real browser: search, navigation, buttons."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, expect

from documentation.notebooks import TUTORIALS
from tests.site.browser_tab import Opened, tab
from tests.site.built_site import ROOT, Site


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


def results(opened: Opened, words: str) -> Locator:
    """Type words into the search; what it finds, the best first."""
    opened.go("index.html")
    opened.page.locator(".md-search__input").click()
    opened.page.keyboard.type(words)
    found = opened.page.locator(".md-search-result__item")
    expect(found.first).to_be_visible()
    return found


def search(opened: Opened, words: str) -> str:
    """Type words into the search, follow what it finds first, and tell which page that is."""
    results(opened, words).first.locator("a").first.click()
    opened.page.wait_for_url(lambda url: not urlsplit(url).path.endswith("/index.html"))
    return urlsplit(opened.page.url).path


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("PotentialFieldLoss", "losses/potential_field_loss.html"),
        ("label noise", "guides/label_noise.html"),
        ("resume", "benchmark.html"),
        ("initialize_proxies", "api/losses.html"),
        ("load_model", "api/benchmark.html"),
        ("plane_field", "api/analysis.html"),
    ],
)
def test_search_finds_first(opened: Opened, words: str, page: str) -> None:
    assert search(opened, words) == f"/{page}"


def test_search_ranks_what_a_reader_calls_above_what_it_is_made_of(opened: Opened) -> None:
    links = results(opened, "initialize_proxies").locator("a:first-of-type")
    pages = [urlsplit(link).path[1:] for link in links.evaluate_all("(all) => all.map((a) => a.href)")]
    assert "proxy_start.html" in pages
    assert pages.index("proxy_start.html") < min(
        [place for place, page in enumerate(pages) if is_internal(page)], default=len(pages)
    )


def is_internal(page: str) -> bool:
    """Whether a page lists what the package is made of: its front matter lowers its rank."""
    source = ROOT / "docs" / page.replace(".html", ".md")
    return source.parent.name == "api" and re.search("boost: 0|exclude", source.read_text()) is not None


def section(opened: Opened, name: str) -> Locator:
    return opened.page.locator(f"details.section:has(> #{name})")


def test_a_folded_section_opens_by_its_bar(opened: Opened) -> None:
    opened.go("reference/commands.html")
    run = section(opened, "pml-potential-run")
    expect(run.get_by_text("--heartbeat")).not_to_be_visible()
    run.locator("summary").click()
    expect(run.get_by_text("--heartbeat")).to_be_visible()


def test_a_folded_section_opens_by_its_address_and_the_table_of_contents(opened: Opened) -> None:
    opened.go("reference/configuration.html#protocolstudy")
    expect(section(opened, "protocolstudy")).to_have_attribute("open", "")
    expect(section(opened, "modelhead")).not_to_have_attribute("open", "")
    opened.page.locator(".md-nav--secondary").get_by_role("link", name="model.head").click()
    expect(section(opened, "modelhead")).to_have_attribute("open", "")


def test_search_leads_to_a_message_and_opens_its_section(opened: Opened) -> None:
    found = results(opened, "proxies_per_class is 0; there is no proxy to initialize")
    found.first.locator("a[href*='troubleshooting.html'][href*='#']").first.click()
    expect(opened.page.locator("h3", has_text="there is no proxy to initialize")).to_be_visible()


def test_a_notebook_is_downloaded_from_its_page(opened: Opened) -> None:
    opened.go("tutorials/field_map.html")
    with opened.page.expect_download() as download:
        opened.page.get_by_role("link", name="Download this notebook").click()
    assert download.value.path().read_bytes() == (TUTORIALS / "field_map.ipynb").read_bytes()


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
    opened.page.locator(".md-tabs").get_by_role("link", name="Reference").click()
    expect(opened.page.locator("h1")).to_contain_text("Commands")
    opened.page.locator(".md-nav--primary").get_by_role("link", name="Error messages").click()
    expect(opened.page.locator("h1")).to_contain_text("Error messages")


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

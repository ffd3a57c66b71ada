"""The site as a reader meets it: in a real browser, light, dark and on a phone."""

import functools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.site.built_site import pages, site_folder

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
MILLISECONDS = 60_000
expect.set_options(timeout=MILLISECONDS)
PHONE = ViewportSize(width=390, height=844)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Opened:
    """A tab on the site, with what it asked of others and what it complained of."""

    page: Page
    address: str
    strangers: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, name: str) -> None:
        """Open a page of the site, and wait for the last of its scripts."""
        self.page.goto(f"{self.address}/{name}")
        self.page.locator(".md-search[aria-label]").wait_for(state="attached")


def names_of_pages() -> list[str]:
    return [page.relative_to(site_folder()).as_posix() for page in pages()]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site_folder()))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield started
        started.close()


@contextmanager
def tab(browser: Browser, address: str) -> Iterator[Opened]:
    """A tab that fails the test, if it complains or asks anything of another machine."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    context.set_default_timeout(MILLISECONDS)
    found = Opened(context.new_page(), address)
    found.page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((address, "data:", "blob:"))
            else found.strangers.append(asked.url)
        ),
    )
    found.page.on(
        "console",
        lambda said: found.complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    # A page that is left while it loads aborts what it has asked for.
    found.page.on(
        "requestfailed",
        lambda asked: (
            None
            if asked.failure == "net::ERR_ABORTED"
            else found.complaints.append(f"{asked.url}: {asked.failure}")
        ),
    )
    yield found
    context.close()
    assert found.strangers == []
    assert found.complaints == []


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Opened]:
    """A tab on the site as a server hands it out."""
    with tab(browser, address) as found:
        yield found


@pytest.fixture
def opened_from_folder(browser: Browser) -> Iterator[Opened]:
    """A tab on the site as it lies on the disk."""
    with tab(browser, site_folder().as_uri()) as found:
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


def test_navigation_leads_to_every_page(opened: Opened) -> None:
    opened.go("index.html")
    listed = opened.page.locator(".md-nav--primary a.md-nav__link[href]")
    addresses = set(listed.evaluate_all("(links) => links.map((link) => link.href.split('#')[0])"))
    assert addresses == {f"{opened.address}/{name}" for name in names_of_pages() if name != "404.html"}
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


# Colours are what differs in the dark.
@pytest.mark.parametrize(("scheme", "rules"), [("light", {}), ("dark", {"runOnly": ["color-contrast"]})])
def test_every_page_passes_axe(opened: Opened, scheme: Any, rules: dict[str, Any]) -> None:
    opened.page.emulate_media(color_scheme=scheme)
    told = {}
    for name in names_of_pages():
        opened.go(name)
        violations = Axe().run(opened.page, options=rules).response["violations"]
        told[name] = [
            f"{each['id']}, {len(each['nodes'])} times: {each['nodes'][0]['failureSummary']}"
            for each in violations
        ]
    assert {name: each for name, each in told.items() if each} == {}


def test_no_page_scrolls_sideways_on_a_phone(opened: Opened) -> None:
    opened.page.set_viewport_size(PHONE)
    widths = {}
    for name in names_of_pages():
        opened.go(name)
        widths[name] = opened.page.evaluate("document.documentElement.scrollWidth")
    assert {name: width for name, width in widths.items() if width != PHONE["width"]} == {}

"""Every page in a real browser: accessible in light and in dark, and no wider than its screen."""

from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from documentation.screenshots import SCROLLS
from tests.site.browser_tab import tab
from tests.site.built_site import Site

DESKTOP = ViewportSize(width=1366, height=768)
PHONE = ViewportSize(width=390, height=844)
UNFOLD = "for (const each of document.querySelectorAll('details')) each.open = true"

# What passes is not handed over: on a page of the reference it is megabytes.
AXE = """
async ({ options, elements }) => {
  const context = elements ? { include: elements } : document;
  const { violations } = await axe.run(context, { resultTypes: ["violations"], ...options });
  return violations.map(({ id, nodes }) => `${id}, ${nodes.length} times: ${nodes[0].failureSummary}`);
}
"""

# One text for each way in which a page colours a text and what it stands in.
LOOKS = """
() => {
  const traits = ["color", "backgroundColor", "backgroundImage", "opacity", "fontSize", "fontWeight"];
  const numbers = new Map(), known = new Map([[null, 0]]), found = new Map();
  const look = (element) => {
    if (!known.has(element)) {
      const style = getComputedStyle(element);
      const key = JSON.stringify([look(element.parentElement), ...traits.map((each) => style[each])]);
      if (!numbers.has(key)) numbers.set(key, numbers.size + 1);
      known.set(element, numbers.get(key));
    }
    return known.get(element);
  };
  for (const element of document.querySelectorAll("body *")) {
    const speaks = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!speaks && !element.matches("input, select, textarea")) continue;
    if (element.checkVisibility() && !found.has(look(element))) found.set(look(element), element);
  }
  return [...found.values()];
}
"""


@dataclass(frozen=True)
class Seen:
    """What was seen of a page."""

    in_light: list[str]
    in_dark: list[str]
    scrolls_sideways: list[str]


def contrasts(page: Page) -> list[str]:
    """The slowest rule, asked once for each look."""
    given = {"options": {"runOnly": ["color-contrast"]}, "elements": page.evaluate_handle(LOOKS)}
    found: list[str] = page.evaluate(AXE, given)
    return found


def in_light(page: Page) -> list[str]:
    others = {"options": {"rules": {"color-contrast": {"enabled": False}}}}
    found: list[str] = page.evaluate(AXE, others)
    return found + contrasts(page)


def in_dark(page: Page) -> list[str]:
    """Contrasts in the dark, where colours are all that differs from what was seen in the light."""
    page.locator(".md-header label[for='__palette_1']").click()
    body = page.locator("body")
    expect(body).to_have_attribute("data-md-color-scheme", "slate")
    page.wait_for_function("document.getAnimations().length === 0")
    found = contrasts(page)
    page.locator(".md-header label[for='__palette_0']").click()
    expect(body).to_have_attribute("data-md-color-scheme", "default")
    return found


def scrolls_sideways(page: Page) -> list[str]:
    """On which screens the page or a table of it is wider than the screen, folded parts included."""
    page.evaluate(UNFOLD)
    found = []
    for name, screen in {"desktop": DESKTOP, "phone": PHONE}.items():
        page.set_viewport_size(screen)
        page.wait_for_function(f"innerWidth === {screen['width']}")
        if page.evaluate(SCROLLS):
            found.append(name)
    page.set_viewport_size(DESKTOP)
    return found


@pytest.fixture(scope="module")
def seen(browser: Browser, address: str, site: Site) -> dict[str, Seen]:
    """Every page, visited once: a visit and the preparations of axe take as long as its rules."""
    found = {}
    with tab(browser, address) as opened:
        page = opened.page
        page.emulate_media(color_scheme="light")
        for name in site.names:
            opened.go(name)
            page.evaluate(Axe().axe_script)
            found[name] = Seen(in_light(page), in_dark(page), scrolls_sideways(page))
    return found


def test_every_page_passes_axe(seen: dict[str, Seen]) -> None:
    assert {name: page.in_light for name, page in seen.items() if page.in_light} == {}


def test_every_page_has_contrast_in_the_dark(seen: dict[str, Seen]) -> None:
    assert {name: page.in_dark for name, page in seen.items() if page.in_dark} == {}


def test_nothing_scrolls_sideways(seen: dict[str, Seen]) -> None:
    assert {name: page.scrolls_sideways for name, page in seen.items() if page.scrolls_sideways} == {}

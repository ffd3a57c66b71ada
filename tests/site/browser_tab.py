"""A tab of a real browser on the site, which hears what pages ask for and complain of."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page, expect

MILLISECONDS = 600_000
"""To wait for what takes a moment: a loaded machine is slow, and only what hangs should fail."""

expect.set_options(timeout=MILLISECONDS)


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

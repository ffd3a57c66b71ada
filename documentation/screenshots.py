"""Every page as people see it: ``python -m documentation.screenshots SITE FOLDER``.

SITE is what ``mkdocs build`` made, or any folder of pages, such as that of a report. For each page
FOLDER gets one picture, the widths of a desktop, a tablet and a phone side by side, in light and in
dark. A line says how many screens the page fills on a desktop, and at which widths it scrolls sideways.
"""

import argparse
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, ViewportSize

from documentation.chromium import chromium

SCREENS = {"desktop": (1366, 768, 700), "tablet": (768, 1024, 460), "phone": (390, 844, 300)}
"""Width and height of a screen, and width of its column in the picture."""

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

LONGEST = 2000
"""Where a column is cut."""

GAP = 8

SCROLLS = """
() => document.documentElement.scrollWidth > innerWidth
  || [...document.querySelectorAll("table")].some((table) => {
    const box = table.closest(".md-typeset__scrollwrap") ?? table.parentElement;
    return box.scrollWidth > box.clientWidth + 1;
  })
"""


def photograph(browser: Browser, page: Path, target: Path) -> str:
    """Draw a page at all widths, and say what is to be known of it."""
    columns, scrolling, screens = [], [], 0.0
    for name, (width, height, shown) in SCREENS.items():
        for scheme in SCHEMES:
            tab = browser.new_page(viewport=ViewportSize(width=width, height=height))
            tab.emulate_media(color_scheme=scheme)
            tab.goto(page.as_uri())
            tab.wait_for_load_state("networkidle")
            if name == "desktop":
                screens = tab.evaluate("document.documentElement.scrollHeight") / height
            if tab.evaluate(SCROLLS) and name not in scrolling:
                scrolling.append(name)
            tab.screenshot(path=target, full_page=True)
            tab.close()
            with Image.open(target) as picture:
                scaled = picture.convert("RGB").resize((shown, shown * picture.height // picture.width))
            columns.append(scaled.crop((0, 0, shown, min(scaled.height, LONGEST))))
    side_by_side(columns).save(target)
    sideways = f", scrolls sideways on: {', '.join(scrolling)}" if scrolling else ""
    return f"{screens:.1f} screens{sideways}"


def side_by_side(columns: list[Image.Image]) -> Image.Image:
    """Pictures beside each other, on grey."""
    width = sum(each.width + GAP for each in columns)
    sheet = Image.new("RGB", (width, max(each.height for each in columns)), "grey")
    left = 0
    for column in columns:
        sheet.paste(column, (left, 0))
        left += column.width + GAP
    return sheet


def main() -> None:
    """Photograph every page of a folder, or those that are named."""
    parser = argparse.ArgumentParser(description="Every page as people see it.")
    parser.add_argument("site", type=Path, help="folder of pages")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--page", action="append", help="this page alone; may be repeated")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    pages = [given.site / name for name in given.page or ()] or sorted(given.site.rglob("*.html"))
    with chromium() as browser:
        for page in pages:
            name = "-".join(page.relative_to(given.site).with_suffix(".png").parts)
            seen = photograph(browser, page.resolve(), given.folder / name)
            print(f"{page.relative_to(given.site)}: {seen}", flush=True)


if __name__ == "__main__":
    main()

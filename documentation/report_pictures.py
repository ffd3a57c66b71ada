"""Draws a report and a comparison in a browser: ``python -m documentation.report_pictures``."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import ViewportSize

from documentation.chromium import chromium
from documentation.small_picture import shrink
from pml_potential.benchmark.files import read_json
from pml_potential.benchmark.report.comparison import compare_runs
from pml_potential.benchmark.report.comparison_report import write_comparison
from pml_potential.benchmark.report.run_report import write_report

DOCS = Path(__file__).parents[1] / "docs"
LOSSES = ("potential_field", "contrastive", "proxy_anchor")
MILLISECONDS = 200_000
HEIGHTS = {"report": 1010, "comparison": 1510}


def write_pages(folder: Path) -> dict[str, Path]:
    """Write the report of the first committed run, and the comparison of all of them."""
    for loss in LOSSES:
        report = folder / f"quick-glyphs-small_cnn-{loss}" / "report"
        report.mkdir(parents=True)
        shutil.copy(DOCS / "results" / f"quick-{loss}.json", report / "results.json")
    runs = [folder / f"quick-glyphs-small_cnn-{loss}" for loss in LOSSES]
    results = read_json(runs[0] / "report" / "results.json")
    return {
        "report": write_report(results, runs[0] / "report"),
        "comparison": write_comparison(compare_runs(runs), folder / "comparison"),
    }


def draw(images: Path) -> None:
    """Take a picture of the upper part of each page."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name, page in write_pages(Path(folder)).items():
            tab = browser.new_page(viewport=ViewportSize(width=1060, height=HEIGHTS[name]))
            tab.goto(page.as_uri(), timeout=MILLISECONDS)
            tab.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=MILLISECONDS)
            tab.screenshot(path=images / f"{name}.png")
            shrink(images / f"{name}.png")


if __name__ == "__main__":
    draw(DOCS / "images")

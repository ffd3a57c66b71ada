"""Filling the page of a report."""

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from pml_potential.benchmark.records import write_text
from pml_potential.benchmark.report import figures
from pml_potential.benchmark.report.formatting import duration, interval, metric_names, number


def write_report(results: dict[str, Any], folder: Path) -> Path:
    """Write ``index.html``, self-contained, from the results of a run.

    Args:
        results: what ``collect_results`` gathered, or ``results.json`` holds.
        folder: where the page goes.

    Returns:
        Path of the page.
    """
    environment = Environment(
        loader=PackageLoader("pml_potential.benchmark.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(interval=interval, number=number, duration=duration)
    best = results["best"]["trial"]
    of_best = [trial["folds"] for trial in results["trials"] if trial["number"] == best]
    page = environment.get_template("report.html.j2").render(
        results=results,
        metrics=metric_names(results),
        configuration=yaml.safe_dump(results["config"], sort_keys=False, allow_unicode=True),
        plotly=get_plotlyjs(),
        figures={
            "history": _html(figures.search_history(results)) if results["trials"] else "",
            "importance": _html(figures.parameter_importance(results)) if results["importance"] else "",
            "slices": _html(figures.parameter_slices(results)) if results["config"]["search"] else "",
            "best_trial": _html(
                figures.learning_curves([(f"trial {best + 1}", folds) for folds in of_best])
            )
            if of_best
            else "",
            "reproductions": _html(
                figures.learning_curves(
                    [
                        (f"reproduction {place + 1}", repetition["folds"])
                        for place, repetition in enumerate(results["reproductions"])
                    ]
                )
            ),
        },
    )
    path = folder / "index.html"
    write_text(path, page)
    return path


def _html(figure: Any) -> str:
    html: str = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        config={"displayModeBar": False, "responsive": True},
    )
    return html

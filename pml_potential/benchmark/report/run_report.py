"""The report of a run."""

from pathlib import Path
from typing import Any

import yaml

from pml_potential.benchmark.files import write_text
from pml_potential.benchmark.report import figures
from pml_potential.benchmark.report.audit_report import audit_in_words
from pml_potential.benchmark.report.formatting import metric_names
from pml_potential.benchmark.report.page import PageFigure, render_page
from pml_potential.benchmark.report.results import embedding_kinds


def write_report(results: dict[str, Any], folder: Path, audit: dict[str, Any] | None = None) -> Path:
    """Write ``index.html``, self-contained, from the results of a run.

    Args:
        results: what ``collect_results`` gathered, or ``results.json`` holds.
        folder: where the page goes.
        audit: what ``audit_of_run`` read of the same images. Default: none was made.

    Returns:
        Path of the page.
    """
    page = render_page(
        "report.html.j2",
        results=results,
        shown_kinds=embedding_kinds(results),
        metrics=metric_names(results),
        configuration=yaml.safe_dump(results["config"], sort_keys=False, allow_unicode=True),
        figures=_figures(results),
        audit=audit,
        audit_in_words=audit_in_words(audit),
    )
    path = folder / "index.html"
    write_text(path, page)
    return path


def _figures(results: dict[str, Any]) -> dict[str, Any]:
    best = results["best"]["trial"]
    best_trial = [
        (f"trial {trial['number'] + 1}", trial["folds"])
        for trial in results["trials"]
        if trial["number"] == best
    ]
    reproductions = [
        (f"reproduction {place + 1}", repetition["folds"])
        for place, repetition in enumerate(results["reproductions"])
    ]
    drawn: dict[str, Any] = {"best_trial": None, "reproductions": None}
    if results["trials"]:
        drawn["history"] = PageFigure.of("search-history", figures.search_history(results))
    drawn["slices"] = [
        PageFigure.of(f"slice-{place + 1}", figures.parameter_slice(results, path))
        for place, path in enumerate(results["config"]["search"])
    ]
    drawn["importance"] = (
        PageFigure.of("importance", figures.parameter_importance(results))
        if results["importance"]
        else None
    )
    for name, pieces in {"best_trial": best_trial, "reproductions": reproductions}.items():
        if any(folds for _, folds in pieces):
            drawn[name] = PageFigure.of(
                f"learning-curves-{name.replace('_', '-')}",
                figures.learning_curves(pieces, results["config"]["protocol"]["folds"]),
            )
    return drawn

"""The report of a run."""

from pathlib import Path
from typing import Any

import yaml

from pml_potential.benchmark.files import write_text
from pml_potential.benchmark.report import figures
from pml_potential.benchmark.report.audit_report import audit_in_words
from pml_potential.benchmark.report.formatting import metric_names
from pml_potential.benchmark.report.methods import methods_paragraph
from pml_potential.benchmark.report.page import PageFigure, render_page
from pml_potential.benchmark.report.references import bibtex, keys_of
from pml_potential.benchmark.report.results import embedding_kinds
from pml_potential.benchmark.report.run_tables import MOST_CLASSES, write_run_tables
from pml_potential.benchmark.report.score_rows import reproduction_numbers
from pml_potential.benchmark.report.verdict import (
    best_hyperparameters,
    verdict,
    what_would_help,
    why_validation_differs,
)


def write_report(
    results: dict[str, Any],
    folder: Path,
    audit: dict[str, Any] | None = None,
    retrieval: dict[str, Any] | None = None,
) -> Path:
    """Write the report of a run, a self-contained ``index.html``, and its files for papers.

    Beside it: ``tables.tex`` and a CSV for each table, ``methods.tex`` and ``references.bib``.

    Args:
        results: from ``collect_results`` or ``results.json``.
        folder: where the page goes.
        audit: from ``audit_of_run``. Default: none was made.
        retrieval: from ``retrieval_of_run``. Default: it is not shown.

    Returns:
        Path of the page.
    """
    tables = write_run_tables(results, retrieval, folder)
    methods, entries = methods_paragraph(results), bibtex(keys_of(results))
    write_text(folder / "methods.tex", f"{methods}\n")
    write_text(folder / "references.bib", entries)
    page = render_page(
        "report.html.j2",
        verdict=verdict(results),
        best_hyperparameters=best_hyperparameters(results),
        why_validation_differs=why_validation_differs(results),
        what_would_help=what_would_help(results),
        numbers=reproduction_numbers(results),
        tables=[table.name for table in tables],
        most_classes=MOST_CLASSES,
        coloured=figures.MOST_COLOURED,
        methods=methods,
        bibtex=entries,
        results=results,
        shown_kinds=embedding_kinds(results),
        metrics=metric_names(results),
        configuration=yaml.safe_dump(results["config"], sort_keys=False, allow_unicode=True),
        figures=_figures(results) | {"map": _map(retrieval)},
        audit=audit,
        retrieval=retrieval,
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


def _map(retrieval: dict[str, Any] | None) -> PageFigure | None:
    if not retrieval or not retrieval.get("map"):
        return None
    return PageFigure.of("embedding-map", figures.embedding_map(retrieval))

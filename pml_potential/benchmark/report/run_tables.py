"""The tables of a run's report as LaTeX, to paste into a paper, and as CSV with all digits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pml_potential.benchmark.files import write_text
from pml_potential.benchmark.report.csv_text import in_csv
from pml_potential.benchmark.report.formatting import duration, interval, metric_names, number
from pml_potential.benchmark.report.results import embedding_kinds
from pml_potential.benchmark.report.score_rows import (
    reproduction_numbers,
    reproduction_rows,
    score_rows,
)
from pml_potential.benchmark.report.text_table import TextTable, best_of_each

LATEX_FILE = "tables.tex"

MOST_CLASSES = 10
"""Hardest classes that a page and LaTeX list; the CSV has all."""


@dataclass(frozen=True)
class RunTable:
    """A table of a run.

    Attributes:
        name: of its CSV, without the extension.
        caption: what it shows.
        text: as it is printed.
        rows: with all digits.
    """

    name: str
    caption: str
    text: TextTable
    rows: list[dict[str, Any]]


def run_tables(results: dict[str, Any], retrieval: dict[str, Any] | None) -> list[RunTable]:
    """The tables that a run has, in the order of its report.

    Args:
        results: from ``collect_results`` or ``results.json``.
        retrieval: from ``retrieval_of_run``; None: there is none.
    """
    found = [
        *([_scores(results), _reproductions(results)] if results["test"] else []),
        *([_published(results)] if results["published"] else []),
        *([_trials(results)] if results["trials"] else []),
        *([_classes(retrieval)] if retrieval and retrieval.get("classes") else []),
        _cost(results),
    ]
    return [table for table in found if table.rows]


def write_run_tables(
    results: dict[str, Any], retrieval: dict[str, Any] | None, folder: Path
) -> list[RunTable]:
    """Write ``tables.tex`` and a CSV for each of ``run_tables``, which are returned."""
    tables = run_tables(results, retrieval)
    parts = ["% \\usepackage{booktabs}", *(each.text.to_latex(each.caption) for each in tables)]
    write_text(folder / LATEX_FILE, "\n\n".join(parts) + "\n")
    for table in tables:
        write_text(folder / f"{table.name}.csv", in_csv(table.rows))
    return tables


def _scores(results: dict[str, Any]) -> RunTable:
    metrics, kinds = metric_names(results), embedding_kinds(results)
    tested = [(state, kind) for state in results["test"] for kind in kinds]
    values = [[results["test"][state][kind][metric] for metric in metrics] for state, kind in tested]
    rows = [
        [*names, *(interval(value) for value in own)] for names, own in zip(tested, values, strict=True)
    ]
    bold = {
        (row, column + 2)
        for kind in kinds
        for row, column in best_of_each(
            [
                [value["mean"] if kind == own else None for value in each]
                for (_, own), each in zip(tested, values, strict=True)
            ]
        )
    }
    name, data = results["config"]["loss"]["name"], results["data"]["name"]
    caption = (
        f"{name} on the test classes of {data}: mean and 95% interval (Student t), "
        f"n = {len(reproduction_numbers(results))} reproductions. Bold: the highest mean."
    )
    table = TextTable(["model", "embeddings", *metrics.values()], rows, 2, frozenset(bold))
    return RunTable("scores", caption, table, score_rows(results))


def _reproductions(results: dict[str, Any]) -> RunTable:
    metrics, kinds = metric_names(results), embedding_kinds(results)
    trained = results["test"]["trained"]
    rows = [
        [str(which), kind, *(f"{trained[kind][metric]['values'][place]:.4f}" for metric in metrics)]
        for place, which in enumerate(reproduction_numbers(results))
        for kind in kinds
    ]
    table = TextTable(["reproduction", "embeddings", *metrics.values()], rows, text_columns=2)
    caption = "Test scores of each reproduction, trained with a new seed."
    return RunTable("reproductions", caption, table, reproduction_rows(results))


def _published(results: dict[str, Any]) -> RunTable:
    published, names = results["published"], metric_names(results)
    metrics = published["metrics"]
    rows = [
        {"method": row["method"], "backbone": row["backbone"], "embedding_size": row["embedding_size"]}
        | {metric: row["values"][metric] for metric in metrics}
        for row in [_own_row(results), *published["rows"]]
    ]
    texts = [
        [*(str(row[key]) for key in ("method", "backbone", "embedding_size")), *map(number, values)]
        for row in rows
        for values in [[row[metric] for metric in metrics]]
    ]
    bold = best_of_each([[row[metric] for metric in metrics] for row in rows])
    columns = ["loss or method", "backbone", "embedding size", *(names[each] for each in metrics)]
    table = TextTable(columns, texts, 2, frozenset((row, column + 3) for row, column in bold))
    caption = (
        f"{published['part'].capitalize()} scores of this run beside those {published['source']}. Bold: "
        "the highest."
    )
    return RunTable("published", caption, table, rows)


def _own_row(results: dict[str, Any]) -> dict[str, Any]:
    published, model = results["published"], results["config"]["model"]
    values = dict.fromkeys(published["metrics"])
    if published["part"] == "validation":
        values = dict.fromkeys(published["metrics"], results["best"]["validation_map_at_r"])
    elif results["test"]:
        scores = results["test"]["trained"]["separated"]
        values = {metric: scores[metric]["mean"] for metric in published["metrics"]}
    return {
        "method": f"this run: {results['config']['loss']['name']}",
        "backbone": model["trunk"],
        "embedding_size": model["embedding_size"],
        "values": values,
    }


def _trials(results: dict[str, Any]) -> RunTable:
    search = list(results["config"]["search"])
    folds = results["config"]["protocol"]["folds"]
    rows = [
        {
            "trial": trial["number"] + 1,
            **{path: trial["params"][path] for path in search},
            "validation_map_at_r": trial["validation_map_at_r"],
            **{
                f"fold_{fold + 1}": trial["folds"][fold]["score"] if fold < len(trial["folds"]) else None
                for fold in range(folds)
            },
            "failure": trial["failure"],
        }
        for trial in results["trials"]
    ]
    texts = [
        [str(row["trial"]), *(number(row[path]) for path in search), _score(row["validation_map_at_r"])]
        for row in rows
    ]
    bold = best_of_each([[row["validation_map_at_r"]] for row in rows])
    table = TextTable(
        ["trial", *search, "validation MAP@R"],
        texts,
        1,
        frozenset((row, 1 + len(search)) for row, _ in bold),
    )
    return RunTable("trials", "All trials of the search. Bold: the best.", table, rows)


def _classes(retrieval: dict[str, Any]) -> RunTable:
    keys = ("precision_at_1", "mean_average_precision_at_r")
    texts = [
        [each["class"], str(each["queries"]), *(f"{each[key]:.4f}" for key in keys)]
        for each in retrieval["classes"][:MOST_CLASSES]
    ]
    table = TextTable(["class", "queries", "P@1", "MAP@R"], texts, text_columns=1)
    caption = "The hardest test classes, by one model."
    return RunTable("classes", caption, table, retrieval["classes"])


def _cost(results: dict[str, Any]) -> RunTable:
    keys = ("pieces", "folds", "epochs", "images", "seconds")
    rows = [
        {"stage": stage, **{key: cost[key] for key in keys}} for stage, cost in results["cost"].items()
    ]
    texts = [
        [row["stage"], *(f"{row[key]:,}" for key in keys[:-1]), duration(row["seconds"])] for row in rows
    ]
    columns = ["stage", "trials or reproductions", "folds trained", "epochs", "images seen", "time"]
    caption = "Cost of training; the times of all folds are added up."
    return RunTable("cost", caption, TextTable(columns, texts, 1), rows)


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"

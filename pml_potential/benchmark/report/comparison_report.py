"""The report of a comparison of runs, for readers and for papers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pml_potential.benchmark.files import write_text
from pml_potential.benchmark.report import figures
from pml_potential.benchmark.report.comparison import Comparison
from pml_potential.benchmark.report.csv_text import in_csv, no_formula
from pml_potential.benchmark.report.formatting import (
    duration,
    metric_names,
    number,
    p_value,
    short_commit,
    signed_interval,
)
from pml_potential.benchmark.report.markdown import score_table
from pml_potential.benchmark.report.page import PageFigure, render_page
from pml_potential.benchmark.report.pairwise_tests import Difference
from pml_potential.benchmark.report.results import embedding_kinds
from pml_potential.benchmark.report.score_rows import reproduction_rows, score_rows
from pml_potential.benchmark.report.text_table import TextTable, in_markdown

_METHOD = (
    "First minus second, in separated test MAP@R: means over reproductions, with 95% intervals by "
    "Welch's t; p by Welch's t test, also corrected for all pairs by Holm's method; Hedges' g with its "
    "95% interval. Detectable: the difference that the test (two-sided at 5%, not corrected) finds in "
    "80% of cases with these reproductions; n for half: reproductions of each run that find half of it "
    "as often. Both take the standard deviations found as the true ones. †: corrected p below 0.05."
)

_OF_EACH = "Separated test MAP@R of each reproduction."

_OF_RUNS = (
    "Where the numbers come from. Validation MAP@R is that of the best trial, not a test score. Times "
    "of all folds are added up."
)


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write a comparison as HTML, Markdown, LaTeX and CSV.

    Args:
        comparison: from ``compare_runs``.
        folder: where ``index.html``, ``comparison.md``, ``comparison.tex``, ``leaderboard.csv``,
            ``differences.csv``, ``reproductions.csv`` and ``runs.csv`` go.

    Returns:
        Path of the page.
    """
    write_text(folder / "comparison.md", comparison_in_markdown(comparison) + "\n")
    write_text(folder / "comparison.tex", _in_latex(comparison))
    write_text(folder / "leaderboard.csv", in_csv(_scores(comparison)))
    write_text(folder / "differences.csv", in_csv(_differences(comparison)))
    write_text(folder / "reproductions.csv", in_csv(_reproductions(comparison)))
    write_text(folder / "runs.csv", in_csv(_runs(comparison)))
    path = folder / "index.html"
    page = render_page(
        "comparison.html.j2",
        comparison=comparison,
        first=comparison.runs[0].results,
        shown_kinds=embedding_kinds(comparison.runs[0].results),
        metrics=metric_names(comparison.runs[0].results),
        caption=_caption(comparison),
        numbers=_numbers(comparison),
        highest=best_means(comparison),
        figure=PageFigure.of("test-map-at-r", figures.scores_of_runs(comparison)),
    )
    write_text(path, page)
    return path


def comparison_in_markdown(comparison: Comparison) -> str:
    """The verdict, the leaderboard and the differences in Markdown, without a line end."""
    parts = [
        in_markdown(comparison.verdict),
        *([] if comparison.reach is None else [in_markdown(comparison.reach)]),
        *map(in_markdown, comparison.cautions),
        _leaderboard(comparison).to_markdown(),
        in_markdown(_caption(comparison)),
        _difference_table(comparison).to_markdown(),
        _METHOD,
        _reproduction_table(comparison).to_markdown(),
        _OF_EACH,
    ]
    return "\n\n".join(parts)


def _in_latex(comparison: Comparison) -> str:
    caption = f"{_caption(comparison)} Bold: the highest mean. {comparison.verdict}"
    leaderboard = _leaderboard(comparison).to_latex(caption)
    differences = _difference_table(comparison).to_latex(_METHOD)
    each = _reproduction_table(comparison).to_latex(_OF_EACH)
    runs = _run_table(comparison).to_latex(_OF_RUNS)
    return f"% \\usepackage{{booktabs}}\n{leaderboard}\n\n{differences}\n\n{each}\n\n{runs}\n"


def _caption(comparison: Comparison) -> str:
    results = comparison.runs[0].results
    protocol = results["config"]["protocol"]
    counts = sorted({run.reproductions for run in comparison.runs})
    told = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    text = (
        f"Test classes of {results['data']['name']}, protocol {protocol['name']}, trunk "
        f"{results['config']['model']['trunk']}: mean and 95% interval (Student t) over n = {told} "
        "reproductions."
    )
    if protocol["folds"] == 1:
        text += " The epoch was selected on the test set, so all scores are optimistic."
    if comparison.told_apart:
        text += f" †: the corrected test tells it apart from {comparison.runs[0].name} (p < 0.05)."
    return text


def _leaderboard(comparison: Comparison) -> TextTable:
    runs, kinds = comparison.runs, embedding_kinds(comparison.runs[0].results)
    table = score_table([run.name for run in runs], [run.results for run in runs])
    highest = best_means(comparison)
    bold = set()
    for place, run in enumerate(runs):
        for kind_place, kind in enumerate(kinds):
            row = place * len(kinds) + kind_place
            if kind == "separated" and run.name in comparison.told_apart:
                table.rows[row][2] += "†"
            for column, (metric, value) in enumerate(highest[kind].items(), start=2):
                if run.results["test"]["trained"][kind][metric]["mean"] == value:
                    bold.add((row, column))
    return replace(table, bold=frozenset(bold))


def best_means(comparison: Comparison) -> dict[str, dict[str, float]]:
    """For each kind of embeddings and each metric, the highest mean of all runs."""
    first = comparison.runs[0].results
    return {
        kind: {
            metric: max(run.results["test"]["trained"][kind][metric]["mean"] for run in comparison.runs)
            for metric in metric_names(first)
        }
        for kind in embedding_kinds(first)
    }


def _difference_table(comparison: Comparison) -> TextTable:
    rows = [
        [
            difference.first,
            difference.second,
            signed_interval(difference.mean, difference.interval),
            p_value(difference.p),
            p_value(difference.corrected_p) + ("†" if difference.is_significant else ""),
            signed_interval(difference.effect, difference.effect_interval, digits=2),
            "–" if found is None else f"{found.difference:.4f}",
            "–" if found is None else str(found.needed),
        ]
        for difference, found in zip(comparison.differences, comparison.detectable, strict=True)
    ]
    columns = ["first", "second", "difference", "p", "p (Holm)", "Hedges' g"]
    return TextTable([*columns, "detectable", "n for half"], rows, text_columns=2)


def _numbers(comparison: Comparison) -> range:
    """Numbers of the reproductions, from 1."""
    return range(1, max(len(run.results["reproductions"]) for run in comparison.runs) + 1)


def _reproduction_table(comparison: Comparison) -> TextTable:
    numbers = _numbers(comparison)
    rows = [
        [run.name, *(f"{scores[n]:.4f}" if n in scores else "–" for n in numbers)]
        for run in comparison.runs
        for scores in [run.score_by_reproduction]
    ]
    return TextTable(["loss", *map(str, numbers)], rows, text_columns=1)


def _reproductions(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {"name": run.name, "folder": no_formula(run.folder), **row}
        for run in comparison.runs
        for row in reproduction_rows(run.results)
    ]


def _scores(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "name": run.name,
            "loss": run.results["config"]["loss"]["name"],
            "folder": no_formula(run.folder),
            **row,
        }
        for run in comparison.runs
        for row in score_rows(run.results)
    ]


def _runs(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "name": run.name,
            "folder": no_formula(run.folder),
            "seed": run.results["seed"],
            "trials": len(run.results["trials"]),
            "validation_map_at_r": run.results["best"]["validation_map_at_r"],
            "reproductions": run.reproductions,
            "failed": len(run.failures),
            "seconds": sum(cost["seconds"] for cost in run.results["cost"].values()),
            "commit": run.results["environment"]["commit"],
        }
        for run in comparison.runs
    ]


def _run_table(comparison: Comparison) -> TextTable:
    rows = [
        [
            *(str(row[key]) for key in ("name", "seed", "trials")),
            number(row["validation_map_at_r"]),
            *(str(row[key]) for key in ("reproductions", "failed")),
            duration(row["seconds"]),
            short_commit(row["commit"]),
        ]
        for row in _runs(comparison)
    ]
    columns = ["loss", "seed", "trials", "validation MAP@R", "reproductions", "failed", "time", "commit"]
    return TextTable(columns, rows, text_columns=1)


def _differences(comparison: Comparison) -> list[dict[str, Any]]:
    counts = {run.name: run.reproductions for run in comparison.runs}
    return [
        _as_row(difference, counts)
        | {"detectable_80": found and found.difference, "n_for_half": found and found.needed}
        for difference, found in zip(comparison.differences, comparison.detectable, strict=True)
    ]


def _as_row(difference: Difference, counts: dict[str, int]) -> dict[str, Any]:
    low, high = difference.interval or (None, None)
    effect_low, effect_high = difference.effect_interval or (None, None)
    return {
        "first": difference.first,
        "second": difference.second,
        "n_first": counts[difference.first],
        "n_second": counts[difference.second],
        "difference": difference.mean,
        "low_95": low,
        "high_95": high,
        "p": difference.p,
        "p_holm": difference.corrected_p,
        "hedges_g": difference.effect,
        "g_low_95": effect_low,
        "g_high_95": effect_high,
    }

"""The results of runs as a Markdown table, for a README or a page."""

from collections.abc import Sequence
from typing import Any

from pml_potential.benchmark.report.formatting import interval, metric_names
from pml_potential.benchmark.report.results import embedding_kinds
from pml_potential.benchmark.report.text_table import TextTable


def result_table(runs: Sequence[dict[str, Any]]) -> str:
    """Scores on the test classes: two rows for each run, and two for the untrained models of the first.

    Args:
        runs: results of each run, from ``collect_results`` or ``results.json``; at least one, all of the
            same data set, protocol and seed.

    Returns:
        A table in Markdown, without a line end.
    """
    names = [run["config"]["loss"]["name"] for run in runs]
    return score_table(names, runs).to_markdown()


def score_table(names: Sequence[str], runs: Sequence[dict[str, Any]]) -> TextTable:
    """As ``result_table``, with a name for each run; a single model is not concatenated."""
    metrics = metric_names(runs[0])
    tested = [(name, run["test"]["trained"]) for name, run in zip(names, runs, strict=True)]
    tested.append(("untrained", runs[0]["test"]["untrained"]))
    rows = [
        [name, kind, *(interval(kinds[kind][metric]) for metric in metrics)]
        for name, kinds in tested
        for kind in embedding_kinds(runs[0])
    ]
    return TextTable(["loss", "embeddings", *metrics.values()], rows, text_columns=2)

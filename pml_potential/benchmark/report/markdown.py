"""The results of runs as a Markdown table, for a README or a page."""

from collections.abc import Sequence
from typing import Any

from pml_potential.benchmark.report.formatting import interval, metric_names


def result_table(runs: Sequence[dict[str, Any]]) -> str:
    """Scores on the test classes: two rows for each run, and two for the untrained models of the first.

    Args:
        runs: for each run what ``collect_results`` gathered, or ``results.json`` holds; at least one,
            all of the same data set, protocol and seed.

    Returns:
        A table in Markdown, without a line end.
    """
    names = metric_names(runs[0])
    tested = [(run["config"]["loss"]["name"], run["test"]["trained"]) for run in runs]
    tested.append(("untrained", runs[0]["test"]["untrained"]))
    lines = [
        f"| loss | embeddings | {' | '.join(names.values())} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for name, kinds in tested:
        for kind, metrics in kinds.items():
            cells = " | ".join(interval(metrics[metric]) for metric in names)
            lines.append(f"| {name} | {kind} | {cells} |")
    return "\n".join(lines)

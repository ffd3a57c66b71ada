"""The result table as Markdown, for a README or a page."""

from typing import Any

from pml_potential.benchmark.report.formatting import METRIC_NAMES, interval


def result_table(results: dict[str, Any]) -> str:
    """Scores on the test classes, trained and untrained, a row each.

    Args:
        results: what ``collect_results`` gathered, or ``results.json`` holds.

    Returns:
        A table in Markdown, without a line end.
    """
    lines = [
        f"| model | embeddings | {' | '.join(METRIC_NAMES.values())} |",
        f"|---|---|{'---|' * len(METRIC_NAMES)}",
    ]
    for state, kinds in results["test"].items():
        for kind, metrics in kinds.items():
            cells = " | ".join(interval(metrics[metric]) for metric in METRIC_NAMES)
            lines.append(f"| {state} | {kind} | {cells} |")
    return "\n".join(lines)

"""Runs that have ended, made from one, with scores as a test needs them."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pml_potential.benchmark.files import write_json
from pml_potential.benchmark.report.intervals import confidence_interval


def write_run(
    results: dict[str, Any], folder: Path, scores: Sequence[float], loss: str = "ContrastiveLoss"
) -> dict[str, Any]:
    """Write a run whose reproductions have these scores in every metric.

    Returns:
        Its results, to be changed and written again.
    """
    run = copy.deepcopy(results)
    run["config"]["loss"] = {"name": loss, "params": {}}
    run["config"]["search"] = {}
    run["reproductions"] = [copy.deepcopy(run["reproductions"][0]) for _ in scores]
    for kind, metrics in run["test"]["trained"].items():
        more = 0.1 if kind == "concatenated" else 0.0
        for metric in metrics:
            metrics[metric] = confidence_interval([score + more for score in scores])
    write_json(folder / "report" / "results.json", run)
    return run

"""The study in a table and a few sentences: what README and the page say first."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.photographs.settings import CANDIDATES, SEEDS, WRONG_LABELS
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.formatting import interval, listed
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.pairwise_tests import pairwise_differences
from pml_potential.benchmark.report.text_table import TextTable

Parts = Mapping[str, Mapping[str, Any]]

_OURS = "potential_field"


def complete_scores(parts: Parts) -> dict[float, dict[str, list[float]]]:
    """Test scores of the losses that are trained with wrong labels, at each share that is complete."""
    noisy = list(parts["wrong_labels"].values())
    losses = sorted({row["preset"] for row in noisy})
    found = {}
    for share in (0.0, *WRONG_LABELS):
        rows = [row for row in noisy if row["changes"]["dataset.label_noise"] == share]
        if share == 0.0:
            rows = list(parts["comparison"].values())
        scores = {
            preset: [row["test"][PRIMARY_METRIC] for row in rows if row["preset"] == preset]
            for preset in losses
        }
        if losses and all(len(values) == len(SEEDS) for values in scores.values()):
            found[share] = scores
    return found


def table(parts: Parts) -> str:
    """Test MAP@R at each share of wrong labels in Markdown; the best with wrong labels is on top."""
    scores = complete_scores(parts)
    if len(scores) < 2:
        return ""
    first = min(share for share in scores if share > 0)
    order = sorted(scores[first], key=lambda preset: -sum(scores[first][preset]))
    rows = [
        [
            CANDIDATES[preset].title,
            *(interval(confidence_interval(found[preset])) for found in scores.values()),
        ]
        for preset in order
    ]
    columns = ["loss", *(_called(share) for share in scores)]
    return TextTable(columns, rows, text_columns=1).to_markdown()


def sentences(parts: Parts) -> list[str]:
    """How ``PotentialFieldLoss`` stands at each share of wrong labels."""
    return [
        f"With {_called(share)} `{CANDIDATES[_OURS].title}` is {_stands(scores)}."
        for share, scores in complete_scores(parts).items()
    ]


def _stands(scores: Mapping[str, Sequence[float]]) -> str:
    ahead, behind, neither = [], [], []
    for each in pairwise_differences(scores):
        if _OURS in (each.first, each.second):
            other = each.second if each.first == _OURS else each.first
            groups = ahead if each.first == _OURS else behind
            (groups if each.is_significant else neither).append(f"`{CANDIDATES[other].title}`")
    told = {"ahead of": ahead, "behind": behind, "not told apart from": neither}
    return listed([f"{words} {listed(names)}" for words, names in told.items() if names])


def _called(share: float) -> str:
    return f"{share:.0%} wrong labels" if share else "right labels"

"""The study in a table and a few sentences: what README and the page say first."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.photographs.settings import CANDIDATES, SEEDS, WRONG_LABELS
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.formatting import interval, listed
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.pairwise_tests import LEVEL, holm, pairwise_differences
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
    """How ``PotentialFieldLoss`` stands at each share of wrong labels, and which loss loses least."""
    scores = complete_scores(parts)
    found = [_stands(share, each) for share, each in scores.items()]
    if len(scores) > 1:
        found.append(_losing(scores[0.0], *list(scores.items())[-1]))
    return found


def _stands(share: float, scores: Mapping[str, Sequence[float]]) -> str:
    """By Welch's t of ours against each other loss, corrected by Holm's method for their number."""
    others = [preset for preset in scores if preset != _OURS]
    pairs = [{_OURS: scores[_OURS], preset: scores[preset]} for preset in others]
    found = [pairwise_differences(pair)[0] for pair in pairs]
    corrected = holm([1.0 if each.p is None else each.p for each in found])
    ahead: list[str] = []
    behind: list[str] = []
    for preset, each, p in zip(others, found, corrected, strict=True):
        if p < LEVEL:
            (ahead if each.first == _OURS else behind).append(_code(preset))
    told = {"ahead of": ahead, "behind": behind}
    outcomes = [f"{words} {listed(names)}" for words, names in told.items() if names]
    if not outcomes:
        return f"With {_called(share)} no other loss differs from {_code(_OURS)} by more than chance."
    is_rest = len(others) > len(ahead) + len(behind)
    rest = "; its differences from the others are within chance" if is_rest else ""
    return f"With {_called(share)} {_code(_OURS)} is {listed(outcomes)}{rest}."


def _losing(
    right: Mapping[str, Sequence[float]], share: float, wrong: Mapping[str, Sequence[float]]
) -> str:
    kept = {preset: mean(wrong[preset]) / mean(right[preset]) for preset in right}
    order = sorted(kept, key=lambda preset: -kept[preset])
    shown = dict.fromkeys((_OURS, order[-1]))
    others = listed([f"{_code(preset)} {kept[preset]:.0%}" for preset in shown if preset != order[0]])
    first = f"{_code(order[0])} keeps {kept[order[0]]:.0%} of its score"
    return f"With {_called(share)} {first}, {others}."


def _code(preset: str) -> str:
    return f"`{CANDIDATES[preset].title}`"


def _called(share: float) -> str:
    return f"{share:.0%} wrong labels" if share else "right labels"

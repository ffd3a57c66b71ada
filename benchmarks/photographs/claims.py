"""What the papers claim, and what the study found: verdicts by the tests of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from benchmarks.photographs.settings import (
    CANDIDATES,
    CARS,
    PAIR_LOSSES,
    PROXY_LOSSES,
    base_config,
)
from pml_potential.analysis.convergence import epochs_to_reach
from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.formatting import interval
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.pairwise_tests import pairwise_differences

Rows = Mapping[str, Any]

PFML, CPML = "potential_field", "cpml"


@dataclass(frozen=True)
class Claim:
    """A line of the table.

    Attributes:
        claim: what a paper says, and where.
        verdict: whether it holds here.
        measured: the numbers, with their n.
        file: of the results.
    """

    claim: str
    verdict: str
    measured: str
    file: str


def claims(parts: Mapping[str, Rows]) -> list[Claim]:
    """Every claim for which there are results, from the rows of the parts."""
    clean = _test_scores(parts["comparison"].values())
    found = []
    is_whole = set(clean) == set(CANDIDATES) and min(map(len, clean.values())) > 1
    if is_whole:
        found += _clean_claims(clean)
    for share in (0.2, 0.4):
        noisy = _test_scores(
            row
            for row in parts["wrong_labels"].values()
            if row["changes"]["dataset.label_noise"] == share
        )
        if is_whole and PFML in noisy and min(map(len, noisy.values())) > 1:
            found.append(_noise_claim(share, clean, noisy))
    found += _setting_claims(parts)
    if is_whole:
        found.append(_speed_claim(parts["comparison"]))
    return found


def _clean_claims(clean: Mapping[str, list[float]]) -> list[Claim]:
    rivals = {preset: clean[preset] for preset in (*PAIR_LOSSES, *PROXY_LOSSES) if preset in clean}
    best = max(rivals, key=lambda preset: mean(rivals[preset]))
    pairs = [
        ("PFML beats losses of pairs and of proxies (PFML, Section 4.2)", PFML, best),
        ("A force that decays beats one that grows (PFML, Section 4.2)", PFML, CPML),
        (
            "A mean-field loss is at least as good as its loss of pairs (mean-field paper): MFCont",
            "mean_field_contrastive",
            "contrastive",
        ),
        (
            "The same: MFCWMS",
            "mean_field_class_wise_multi_similarity",
            "class_wise_multi_similarity",
        ),
    ]
    return [
        Claim(claim, _verdict(clean[first], clean[second]), _against(clean, first, second), "comparison")
        for claim, first, second in pairs
        if first in clean and second in clean
    ]


def _noise_claim(
    share: float, clean: Mapping[str, list[float]], noisy: Mapping[str, list[float]]
) -> Claim:
    rivals = {preset: scores for preset, scores in noisy.items() if preset != PFML}
    best = max(rivals, key=lambda preset: mean(rivals[preset]))
    kept = ", ".join(
        f"{CANDIDATES[preset].title} {mean(noisy[preset]) / mean(clean[preset]):.0%}"
        for preset in sorted(noisy, key=lambda preset: -mean(noisy[preset]) / mean(clean[preset]))
    )
    return Claim(
        f"PFML stands wrong labels best (PFML, Section 4.3): {share:.0%} wrong",
        _verdict(noisy[PFML], rivals[best]),
        f"{_against(noisy, PFML, best)}; kept of the clean score: {kept}",
        "wrong_labels",
    )


def _setting_claims(parts: Mapping[str, Rows]) -> list[Claim]:
    """Verdicts on the published optima, from the grids of single values."""
    published = (
        ("loss.params.alpha", "alpha of 3 to 6 is best (PFML, Section 4.5)", (2.9, 6.0)),
        ("loss.params.delta", "delta of 0.1 to 0.3 is best (PFML, Section 4.5)", (0.1, 0.3)),
        ("loss.params.proxies_per_class", "15 proxies a class are best (PFML, Section 4.5)", (15, 15)),
    )
    found = []
    for path, claim, (low, high) in published:
        scores = answers(parts, path)
        inside = [each for value, each in scores.items() if low <= value <= high]
        outside = [each for value, each in scores.items() if not low <= value <= high]
        if not inside or not outside or min(map(len, scores.values())) < 2:
            continue
        measured = "; ".join(
            f"{value:g}: {interval(confidence_interval(each))}" for value, each in scores.items()
        )
        verdict = _verdict(max(inside, key=mean), max(outside, key=mean))
        n = min(map(len, scores.values()))
        found.append(Claim(claim, verdict, f"validation, n = {n}: {measured}", "questions"))
    return found


def answers(parts: Mapping[str, Rows], path: str) -> dict[Any, list[float]]:
    """Validation scores of PotentialFieldLoss by the value at a path, those of the best trial too."""
    found: dict[Any, list[float]] = {}
    for name, row in parts["questions"].items():
        if name.partition("=")[0] == path.rpartition(".")[2] and "validation" in row:
            found.setdefault(_value(row["changes"], path), []).append(row["validation"])
    for row in parts["comparison"].values() if found else ():
        if row["preset"] == PFML and "validation" in row:
            found.setdefault(_value(row["changes"], path), []).append(row["validation"])
    return dict(sorted(found.items(), key=lambda item: (item[0] is None, str(type(item[0])), item[0])))


def _value(changes: Mapping[str, Any], path: str) -> Any:
    """The value of a training at a path, changed or from the preset."""
    config: Any = with_values(base_config(PFML, CARS, "data"), changes).model_dump()
    for key in path.split("."):
        config = config.get(key) if isinstance(config, dict) else None
    return config


def _speed_claim(rows: Rows) -> Claim:
    """Validations until 95% of the best score, of mean fields and of their losses of pairs."""
    epochs: dict[str, list[int]] = {}
    for row in rows.values():
        history = [(place + 1, score) for place, score in enumerate(row["history"])]
        reached = epochs_to_reach(history)
        if reached is not None:
            epochs.setdefault(row["preset"], []).append(reached)
    pairs = (
        ("mean_field_contrastive", "contrastive"),
        ("mean_field_class_wise_multi_similarity", "class_wise_multi_similarity"),
    )
    verdicts = {_verdict(epochs[pair], epochs[field]) for field, pair in pairs}
    measured = "; ".join(
        f"{CANDIDATES[field].title} {mean(epochs[field]):.1f}, {CANDIDATES[pair].title} "
        f"{mean(epochs[pair]):.1f}"
        for field, pair in pairs
    )
    return Claim(
        "Mean-field losses converge faster (mean-field paper)",
        verdicts.pop() if len(verdicts) == 1 else "for one of the two",
        f"validations to 95% of a training's own best, n = {len(epochs[pairs[0][0]])}: {measured}",
        "comparison",
    )


def _verdict(first: Sequence[float], second: Sequence[float]) -> str:
    """Whether the first is larger, by Welch's t at 5%."""
    found = pairwise_differences({"first": first, "second": second})[0]
    if not found.is_significant:
        return "undecided"
    return "holds" if found.first == "first" else "does not hold"


def _against(scores: Mapping[str, list[float]], first: str, second: str) -> str:
    one, other = (
        f"{CANDIDATES[preset].title} {interval(confidence_interval(scores[preset]))}"
        for preset in (first, second)
    )
    return f"test MAP@R, n = {len(scores[first])}: {one}, {other}"


def _test_scores(rows: Any) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if "test" in row:
            found.setdefault(row["preset"], []).append(row["test"][PRIMARY_METRIC])
    return found

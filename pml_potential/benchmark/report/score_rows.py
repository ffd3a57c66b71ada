"""The test scores of a run as rows with all digits, for CSV."""

from typing import Any


def reproduction_numbers(results: dict[str, Any]) -> list[int]:
    """Numbers, from 1, of the reproductions that succeeded.

    Examples:
        >>> reproduction_numbers({"reproductions": [{}, {"failure": "the loss is nan"}, {}]})
        [1, 3]
    """
    tried = enumerate(results["reproductions"], start=1)
    return [number for number, each in tried if "failure" not in each]


def score_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Mean, deviation and half of the 95% interval of each metric, trained and untrained."""
    return [
        {
            "model": state,
            "embeddings": kind,
            "metric": metric,
            "n": len(score["values"]),
            "mean": score["mean"],
            "standard_deviation": score["deviation"],
            "half_width_95": score["half_width"],
        }
        for state, kinds in results["test"].items()
        for kind, scores in kinds.items()
        for metric, score in scores.items()
    ]


def reproduction_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The score of the trained models of each reproduction in each metric."""
    return [
        {"reproduction": number, "embeddings": kind, "metric": metric, "score": score}
        for kind, scores in results["test"].get("trained", {}).items()
        for metric, found in scores.items()
        for number, score in zip(reproduction_numbers(results), found["values"], strict=True)
    ]

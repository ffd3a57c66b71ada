"""Confidence intervals of means over repetitions."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student_t


def confidence_interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation and half the width of the mean's 95% confidence interval (Student t).

    Args:
        values: independent repetitions; deviation and interval need two of them.

    Returns:
        ``mean``, ``deviation`` and ``half_width`` (None for a single value) and the ``values``.

    Examples:
        >>> interval = confidence_interval([0.5, 0.7])
        >>> round(interval["mean"], 3), round(interval["half_width"], 3)
        (0.6, 1.271)
    """
    deviation = half_width = None
    if len(values) > 1:
        deviation = stdev(values)
        half_width = float(student_t.ppf(0.975, len(values) - 1)) * deviation / len(values) ** 0.5
    return {
        "mean": mean(values),
        "deviation": deviation,
        "half_width": half_width,
        "values": list(values),
    }

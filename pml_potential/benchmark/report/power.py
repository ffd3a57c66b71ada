"""Which difference a comparison of two groups of scores can detect, and how many scores detect half."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import variance

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm
from scipy.stats import t as student_t

POWER = 0.8
"""Probability of detecting a true difference."""

_LEVEL = 0.05
_QUANTILES = (np.arange(100) + 0.5) / 100


@dataclass(frozen=True)
class Detectable:
    """What Welch's t test of two groups, two-sided at 5% and not corrected, finds in 80% of cases.

    Attributes:
        difference: of the means, the smallest one that it finds so often.
        needed: scores in each group with which it would find half of that difference so often.
    """

    difference: float
    needed: int


def detectable(first: Sequence[float], second: Sequence[float]) -> Detectable | None:
    """Compute the difference that the scores of two groups can detect, if they vary as these do.

        P(|d| > t(0.975, nu) * sqrt(v1 / n1 + v2 / n2)) = 0.8,   d ~ N(delta, s1^2 / n1 + s2^2 / n2)

    d is the difference of the means, v1 and v2 are the variances that the test estimates from n1 and n2
    scores, and nu are Welch's degrees of freedom of these. The standard deviations s1 and s2 of the
    scores are taken as the true ones; for few scores they are rough, and so is the result.

    Args:
        first: scores of a group, at least two.
        second: those of the other.

    Returns:
        The difference, and how many scores would detect half of it; None if no group varies.

    Examples:
        >>> found = detectable([0.50, 0.52, 0.51], [0.40, 0.41, 0.42])
        >>> round(found.difference, 3), found.needed
        (0.035, 7)
    """
    variances = variance(first), variance(second)
    if not sum(variances) > 0:
        return None
    difference = _difference(variances, (len(first), len(second)))
    # Double until it is enough, then bisect: more scores never find less.
    enough = 2
    while _difference(variances, (enough, enough)) > difference / 2:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if _difference(variances, (middle, middle)) > difference / 2:
            too_few = middle
        else:
            enough = middle
    return Detectable(difference, enough)


def _difference(variances: tuple[float, float], counts: tuple[int, int]) -> float:
    """The smallest difference of means that is found in 80% of cases."""
    # The test estimates both variances, so its critical value is averaged over their estimates. The
    # usual formula, with the degrees of freedom of the true variances, is far off for few scores.
    first, second = (
        each * chi2.ppf(_QUANTILES, count - 1) / (count - 1) / count
        for each, count in zip(variances, counts, strict=True)
    )
    first, second = first[:, None], second[None, :]
    squares = first**2 / (counts[0] - 1) + second**2 / (counts[1] - 1)
    limit = student_t.ppf(1 - _LEVEL / 2, (first + second) ** 2 / squares)
    error = sum(each / count for each, count in zip(variances, counts, strict=True)) ** 0.5
    critical = limit * np.sqrt(first + second) / error

    def lacking(centre: float) -> float:
        return float((norm.cdf(centre - critical) + norm.cdf(-centre - critical)).mean()) - POWER

    centre: float = brentq(lacking, 0.0, float(critical.max()) + 10)
    return float(centre * error)

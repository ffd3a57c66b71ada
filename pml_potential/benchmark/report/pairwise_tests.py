"""Which differences between groups of scores are more than chance, and how large they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import mean, variance
from warnings import catch_warnings, simplefilter

from scipy.optimize import brentq
from scipy.stats import chi2, nct, ttest_ind

LEVEL = 0.05
"""A corrected p below this counts as more than chance."""

_LARGE = 1e3
"""Above this t, nct loses precision, and the normal part of a noncentral t is negligible."""


@dataclass(frozen=True)
class Difference:
    """Two groups compared.

    Attributes:
        first: the group with the higher mean.
        second: the other one.
        mean: mean of the first minus mean of the second.
        interval: 95% confidence interval of that by Welch's t. None, as are the following, if neither
            group varies.
        p: two-sided, by Welch's t test.
        corrected_p: ``p`` by Holm's method for all pairs.
        effect: Hedges' g.
        effect_interval: 95% confidence interval of g.
    """

    first: str
    second: str
    mean: float
    interval: tuple[float, float] | None
    p: float | None
    corrected_p: float | None
    effect: float | None
    effect_interval: tuple[float, float] | None

    @property
    def is_significant(self) -> bool:
        """Whether the corrected test finds a difference."""
        return self.corrected_p is not None and self.corrected_p < LEVEL


def pairwise_differences(groups: Mapping[str, Sequence[float]]) -> list[Difference]:
    """Compare every pair of groups by Welch's t test, with Holm's correction.

    Args:
        groups: the independent scores of each, at least two.

    Returns:
        A difference for each pair, in the order of the means, the highest first.

    Examples:
        >>> scores = {"a": [0.50, 0.52, 0.51], "b": [0.40, 0.41, 0.42], "c": [0.39, 0.43, 0.41]}
        >>> [(d.first, d.second, d.is_significant) for d in pairwise_differences(scores)]
        [('a', 'b', True), ('a', 'c', True), ('b', 'c', False)]
    """
    ordered = sorted(groups, key=lambda name: -mean(groups[name]))
    found = [
        _difference(first, groups[first], second, groups[second])
        for first, second in combinations(ordered, 2)
    ]
    corrected = holm([each.p for each in found if each.p is not None])
    places = iter(corrected)
    return [each if each.p is None else replace(each, corrected_p=next(places)) for each in found]


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, by Holm's step-down method.

    The chance that any true null hypothesis is rejected stays below the level, even if the tests depend
    on each other, as those of all pairs of a few groups do.

    Examples:
        >>> holm([0.04, 0.01, 0.03])
        [0.06, 0.03, 0.06]
    """
    corrected = [0.0] * len(values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = highest
    return corrected


def hedges_g(
    first: Sequence[float], second: Sequence[float]
) -> tuple[float, tuple[float, float]] | tuple[None, None]:
    """Difference of two means in pooled standard deviations, corrected for the bias of few values.

    Returns:
        Hedges' g and its 95% confidence interval, from the noncentral t distribution; None if no group
        varies. Like g itself, the interval assumes that both groups vary alike.

    Examples:
        >>> effect, (low, high) = hedges_g([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
        >>> round(effect, 2), round(low, 2), round(high, 2)
        (1.6, -0.12, 3.22)
    """
    freedom = len(first) + len(second) - 2
    squares = (len(first) - 1) * variance(first) + (len(second) - 1) * variance(second)
    if not squares > 0:
        return None, None
    scale = (1 / len(first) + 1 / len(second)) ** 0.5
    standardised = (mean(first) - mean(second)) / (squares / freedom) ** 0.5
    unbiased = 1 - 3 / (4 * freedom - 1)
    low, high = _noncentrality(standardised / scale, freedom)
    return unbiased * standardised, (unbiased * low * scale, unbiased * high * scale)


def _difference(first: str, scores: Sequence[float], second: str, others: Sequence[float]) -> Difference:
    effect, effect_interval = hedges_g(scores, others)
    apart = mean(scores) - mean(others)
    if effect is None:
        return Difference(first, second, apart, None, None, None, None, None)
    with catch_warnings():
        # scipy warns of lost precision if a group does not vary; such a group is constant.
        simplefilter("ignore", RuntimeWarning)
        test = ttest_ind(scores, others, equal_var=False)
    low, high = test.confidence_interval(0.95)
    interval = float(low), float(high)
    return Difference(first, second, apart, interval, float(test.pvalue), None, effect, effect_interval)


def _noncentrality(t: float, freedom: int) -> tuple[float, float]:
    """95% confidence interval of the noncentrality of a t distribution from which t was drawn."""
    if t < 0:
        low, high = _noncentrality(-t, freedom)
        return -high, -low

    def limit(probability: float) -> float:
        if t > _LARGE:
            return t * float((chi2.ppf(1 - probability, freedom) / freedom) ** 0.5)
        # The lower limit is lowest for t = 0, where it is -1.96, and the upper one for a single degree
        # of freedom is 2.2 t. Far outside this range, nct is NaN.
        found: float = brentq(lambda centre: nct.cdf(t, freedom, centre) - probability, -2.0, 3 + 3 * t)
        return found

    return limit(0.975), limit(0.025)

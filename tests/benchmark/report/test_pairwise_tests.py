"""Tests of differences: against formulas written out, and against what they promise."""

import math
from statistics import mean, variance

import numpy as np
import pytest
from scipy.stats import t as student_t

from pml_potential.benchmark.report.pairwise_tests import hedges_g, holm, pairwise_differences

FIRST = [0.512, 0.498, 0.530, 0.521, 0.507]
SECOND = [0.481, 0.502, 0.455]


def test_the_difference_is_tested_as_welch_wrote_it() -> None:
    errors = [variance(group) / len(group) for group in (FIRST, SECOND)]
    error = math.sqrt(sum(errors))
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / 4 + errors[1] ** 2 / 2)
    apart = mean(FIRST) - mean(SECOND)
    (found,) = pairwise_differences({"a": FIRST, "b": SECOND})
    assert found.mean == pytest.approx(apart)
    assert found.p == pytest.approx(2 * student_t.sf(apart / error, freedom))
    reach = student_t.ppf(0.975, freedom) * error
    assert found.interval == pytest.approx((apart - reach, apart + reach))
    assert found.corrected_p == found.p


def test_the_effect_is_in_pooled_deviations_with_the_correction_for_few_values() -> None:
    pooled = math.sqrt((4 * variance(FIRST) + 2 * variance(SECOND)) / 6)
    effect, _ = hedges_g(FIRST, SECOND)
    assert effect == pytest.approx((mean(FIRST) - mean(SECOND)) / pooled * (1 - 3 / 23))


@pytest.mark.parametrize(("size", "apart"), [(2, 0.0), (5, 1.0), (10, 3.0)])
def test_the_interval_of_the_effect_holds_the_truth_in_95_of_100_cases(size: int, apart: float) -> None:
    generator = np.random.default_rng(0)
    unbiased = 1 - 3 / (4 * (2 * size - 2) - 1)
    cases = 1000
    held = 0
    for _ in range(cases):
        first, second = generator.normal([[apart], [0.0]], 1.0, (2, size)).tolist()
        _, interval = hedges_g(first, second)
        assert interval is not None
        # Before the correction of g, which shrinks the limits as well, the interval is exact.
        held += interval[0] <= apart * unbiased <= interval[1]
    # Four standard errors of a share of 0.95.
    assert abs(held / cases - 0.95) < 4 * math.sqrt(0.95 * 0.05 / cases)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6, 1e-9])
def test_the_interval_of_the_effect_lies_around_it_however_large_it_is(scale: float) -> None:
    first, second = ([0.5 + scale * value for value in group] for group in (FIRST, SECOND))
    effect, interval = hedges_g([value + 0.1 for value in first], second)
    assert effect is not None
    assert interval is not None
    assert interval[0] < effect < interval[1]
    back, mirrored = hedges_g(second, [value + 0.1 for value in first])
    assert mirrored is not None
    assert (back, *mirrored) == pytest.approx((-effect, -interval[1], -interval[0]))


@pytest.mark.parametrize(
    ("values", "corrected"),
    [
        ([], []),
        ([0.2], [0.2]),
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([0.04, 0.001, 0.5], [0.08, 0.003, 0.5]),
        ([0.6, 0.7], [1.0, 1.0]),
    ],
)
def test_holm_multiplies_by_the_hypotheses_left_and_never_steps_down(
    values: list[float], corrected: list[float]
) -> None:
    assert holm(values) == pytest.approx(corrected)


def test_groups_of_one_source_are_rarely_told_apart() -> None:
    generator = np.random.default_rng(1)
    cases = 400
    found_any = 0
    for _ in range(cases):
        groups = {name: generator.normal(0.4, 0.01, 5).tolist() for name in "abcd"}
        found_any += any(each.is_significant for each in pairwise_differences(groups))
    assert found_any / cases < 0.05 + 4 * math.sqrt(0.05 * 0.95 / cases)


def test_pairs_are_in_the_order_of_the_means() -> None:
    groups = {"low": [0.1, 0.2], "high": [0.8, 0.9], "middle": [0.5, 0.4]}
    found = pairwise_differences(groups)
    assert [(each.first, each.second) for each in found] == [
        ("high", "middle"),
        ("high", "low"),
        ("middle", "low"),
    ]
    assert all(each.mean > 0 for each in found)


@pytest.mark.filterwarnings("error")
def test_groups_that_do_not_vary_are_not_tested() -> None:
    found = pairwise_differences({"a": [0.5, 0.5], "b": [0.4, 0.4], "c": [0.3, 0.1]})
    pair = found[0]
    assert (pair.first, pair.second) == ("a", "b")
    assert (pair.p, pair.corrected_p, pair.effect, pair.interval) == (None, None, None, None)
    assert not pair.is_significant
    tested = [each for each in found if each.p is not None]
    assert len(tested) == 2
    assert [each.corrected_p for each in tested] == holm([each.p or 0.0 for each in tested])

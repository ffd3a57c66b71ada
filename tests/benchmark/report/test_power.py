"""What a comparison can find is what simulated comparisons do find."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from pml_potential.benchmark.report.power import detectable


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.50, 0.52], [0.40, 0.41]),
        ([0.50, 0.52, 0.51], [0.40, 0.41, 0.42]),
        ([0.50, 0.58, 0.51, 0.55], [0.400, 0.401, 0.402]),
        ([0.50, 0.52, 0.53, 0.55, 0.51, 0.50, 0.54, 0.52], [0.40, 0.41, 0.42, 0.44, 0.39]),
    ],
)
def test_welchs_test_finds_it_in_80_percent_of_simulated_comparisons(
    first: list[float], second: list[float]
) -> None:
    found = detectable(first, second)
    assert found is not None
    spreads = np.std(first, ddof=1), np.std(second, ddof=1)

    def power(difference: float, counts: tuple[int, int]) -> float:
        chance = np.random.default_rng(0)
        one = chance.normal(difference, spreads[0], (40_000, counts[0]))
        other = chance.normal(0, spreads[1], (40_000, counts[1]))
        return float((ttest_ind(one, other, axis=1, equal_var=False).pvalue < 0.05).mean())

    assert power(found.difference, (len(first), len(second))) == pytest.approx(0.8, abs=0.01)
    # The fewest that are enough.
    assert power(found.difference / 2, (found.needed,) * 2) > 0.79
    assert power(found.difference / 2, (found.needed - 1,) * 2) < 0.81


def test_the_order_and_the_unit_do_not_matter() -> None:
    one, other = [0.50, 0.52, 0.51], [0.40, 0.44, 0.42, 0.41]
    found, turned = detectable(one, other), detectable(other, one)
    scaled = detectable([100 * score for score in one], [100 * score for score in other])
    assert found is not None
    assert turned is not None
    assert scaled is not None
    assert turned.difference == pytest.approx(found.difference)
    assert scaled.difference == pytest.approx(100 * found.difference)
    assert found.needed == turned.needed == scaled.needed


def test_groups_that_do_not_vary_tell_every_difference() -> None:
    assert detectable([0.5, 0.5], [0.4, 0.4]) is None
    assert detectable([0.5, 0.5], [0.4, 0.41]) is not None

import math

import numpy as np
import pytest

from pml_potential.benchmark.report.intervals import confidence_interval


@pytest.mark.parametrize(
    ("values", "quantile"),
    # The 97.5% quantiles of Student's t as tables print them.
    [([0.4, 0.6], 12.706), ([0.4, 0.5, 0.9], 4.303), ([0.1, 0.2, 0.4, 0.3, 0.5], 2.776)],
)
def test_the_interval_is_student_s(values: list[float], quantile: float) -> None:
    found = confidence_interval(values)
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    assert found["mean"] == pytest.approx(mean)
    assert found["deviation"] == pytest.approx(deviation)
    assert found["half_width"] == pytest.approx(quantile * deviation / len(values) ** 0.5, rel=1e-3)
    assert found["values"] == values


def test_a_single_value_has_no_interval() -> None:
    expected = {"mean": 0.5, "deviation": None, "half_width": None, "values": [0.5]}
    assert confidence_interval((0.5,)) == expected


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = confidence_interval([0.5, 0.5, 0.5])
    assert (found["deviation"], found["half_width"]) == (0.0, 0.0)


@pytest.mark.parametrize("size", [2, 4, 10])
def test_the_interval_holds_the_mean_in_95_of_100_cases(size: int) -> None:
    cases = 1000
    held = 0
    for sample in np.random.default_rng(0).normal(0.4, 0.1, (cases, size)).tolist():
        found = confidence_interval(sample)
        held += abs(found["mean"] - 0.4) <= found["half_width"]
    # Four standard errors of a share of 0.95.
    assert abs(held / cases - 0.95) < 4 * math.sqrt(0.95 * 0.05 / cases)

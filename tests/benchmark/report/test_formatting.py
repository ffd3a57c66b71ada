from typing import Any

import pytest

from pml_potential.benchmark.evaluation import METRICS
from pml_potential.benchmark.report.formatting import (
    METRIC_NAMES,
    breakable,
    interval,
    metric_names,
    number,
    p_value,
    short_commit,
    signed_interval,
)


def test_metrics_have_their_titles_in_the_order_of_the_columns() -> None:
    assert {name: metric.title for name, metric in METRICS.items()} == METRIC_NAMES
    assert list(METRIC_NAMES) == list(METRICS)


@pytest.mark.parametrize("protocol", [{}, {"recall_at": ()}, {"recall_at": [1, 10]}])
def test_recalls_of_the_protocol_follow_the_metrics(protocol: dict[str, Any]) -> None:
    names = metric_names({"config": {"protocol": protocol}})
    recalls = {f"recall_at_{k}": f"R@{k}" for k in protocol.get("recall_at", ())}
    assert list(names.items()) == [*METRIC_NAMES.items(), *recalls.items()]


@pytest.mark.parametrize(
    ("mean", "half_width", "text"),
    [(0.71236, 0.01014, "0.7124 ± 0.0101"), (1.0, 0.0, "1.0000 ± 0.0000"), (0.5, None, "0.5000")],
)
def test_an_interval_has_four_decimals(mean: float, half_width: float | None, text: str) -> None:
    assert interval({"mean": mean, "half_width": half_width}) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.000123456, "0.0001235"),
        (123456.0, "1.235e+05"),
        (0.1 + 0.2, "0.3"),
        (7, "7"),
        (123456, "123456"),
        (True, "True"),
        (None, "–"),
    ],
)
def test_a_hyperparameter_has_the_digits_that_matter(value: Any, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "limits", "digits", "text"),
    [
        (0.01234, (-0.001, 0.0256), 4, "+0.0123 [−0.0010, +0.0256]"),
        (-0.5, (-1.0, 0.0), 2, "−0.50 [−1.00, +0.00]"),
        (0.5, None, 2, "+0.50"),
        (None, None, 4, "–"),
    ],
)
def test_a_difference_has_its_sign(
    value: float | None, limits: tuple[float, float] | None, digits: int, text: str
) -> None:
    assert signed_interval(value, limits, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1.000"), (0.0321, "0.032"), (0.001, "0.001"), (0.00099, "< 0.001"), (None, "–")],
)
def test_a_p_value_below_a_thousandth_is_no_zero(value: float | None, text: str) -> None:
    assert p_value(value) == text


@pytest.mark.parametrize(
    ("commit", "text"),
    [
        ("a4c7b11157258bcf1d4f4c88cc2ab6ce75a84095", "a4c7b11157"),
        ("a4c7b11157258bcf1d4f4c88cc2ab6ce75a84095-dirty", "a4c7b11157-dirty"),
        (None, "unknown"),
    ],
)
def test_a_commit_is_short_and_says_that_it_was_changed(commit: str | None, text: str) -> None:
    assert short_commit(commit) == text


def test_a_name_breaks_after_each_plus_and_is_text() -> None:
    assert str(breakable("A+<b>+C")) == "A+<wbr>&lt;b&gt;+<wbr>C"

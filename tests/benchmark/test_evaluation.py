"""The metrics, against numbers worked out by hand and against plain loops."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pml_potential.benchmark.evaluation import METRICS, judge
from pml_potential.benchmark.reproduction import score_on_test_classes
from pml_potential.benchmark.results import confidence_interval

MAP_AT_R, R_PRECISION, PRECISION_AT_1 = METRICS


def on_a_line(*positions: float) -> Tensor:
    return torch.tensor(positions)[:, None]


def on_a_circle(*degrees: float) -> Tensor:
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_metrics_of_six_points_on_a_line() -> None:
    # R is 2. What each point finds at ranks 1 and 2 (1: its own class), and its P@1, RP, MAP@R:
    #   A at 0.0: 1 0    1, 1/2, 1/2        A at 7.0: 0 0    0, 0, 0
    #   A at 1.0: 1 0    1, 1/2, 1/2        B at 8.5: 0 1    0, 1/2, (1/2) / 2 = 1/4
    #   B at 3.0: 1 0    1, 1/2, 1/2        B at 4.5: 1 0    1, 1/2, 1/2
    scores = judge(on_a_line(0.0, 1.0, 3.0, 7.0, 8.5, 4.5), torch.tensor([0, 0, 1, 0, 1, 1]))
    assert scores == pytest.approx({MAP_AT_R: 2.25 / 6, R_PRECISION: 2.5 / 6, PRECISION_AT_1: 4 / 6})


def test_a_class_of_one_image_is_found_but_does_not_search() -> None:
    # As above with C at 1.8, which now comes first for A at 1.0 and B at 3.0: 0 1    0, 1/2, 1/4.
    scores = judge(on_a_line(0.0, 1.0, 3.0, 7.0, 8.5, 4.5, 1.8), torch.tensor([0, 0, 1, 0, 1, 1, 2]))
    assert scores == pytest.approx({MAP_AT_R: 1.75 / 6, R_PRECISION: 2.5 / 6, PRECISION_AT_1: 2 / 6})


def test_classes_of_different_size_have_their_own_r() -> None:
    # A (R = 1) at 0 and 1: both find each other. B (R = 2) at 3, 4 and 1.5:
    #   3.0: 4.0 B, 1.5 B    1, 1, 1        4.0: 3.0 B, 1.5 B    1, 1, 1
    #   1.5: 1.0 A, then 0.0 and 3.0 at the same distance; 2.9 instead of 3.0: B    0, 1/2, 1/4
    scores = judge(on_a_line(0.0, 1.0, 2.9, 4.0, 1.5), torch.tensor([0, 0, 1, 1, 1]))
    # A at 1.0 finds B at 1.5 before A at 0.0: 0, 0, 0.
    assert scores == pytest.approx({MAP_AT_R: 3.25 / 5, R_PRECISION: 3.5 / 5, PRECISION_AT_1: 3 / 5})


def metrics_by_loops(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    points, classes = embeddings.double(), labels.tolist()
    sums = dict.fromkeys(METRICS, 0.0)
    queries = 0
    for query in range(len(classes)):
        others = [other for other in range(len(classes)) if other != query]
        others.sort(key=lambda other: float((points[query] - points[other]).norm()))
        hits = [classes[other] == classes[query] for other in others]
        relevant = sum(hits)
        if relevant == 0:
            continue
        queries += 1
        precisions = [sum(hits[: rank + 1]) / (rank + 1) * hits[rank] for rank in range(relevant)]
        sums[MAP_AT_R] += sum(precisions) / relevant
        sums[R_PRECISION] += sum(hits[:relevant]) / relevant
        sums[PRECISION_AT_1] += hits[0]
    return {metric: value / queries for metric, value in sums.items()}


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_plain_loops(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.randint(6, (57,), generator=generator), torch.tensor([6, 7, 8])])
    embeddings = torch.randn(60, 4, generator=generator) + 0.5 * labels[:, None]
    embeddings = torch.nn.functional.normalize(embeddings, dim=1)
    assert judge(embeddings, labels) == pytest.approx(metrics_by_loops(embeddings, labels), abs=1e-6)


FIRST = on_a_circle(0.0, 10.0, 90.0, 110.0)
SECOND = on_a_circle(0.0, 60.0, 10.0, 75.0)
PAIRS = torch.tensor([0, 0, 1, 1])


def test_separated_is_the_mean_over_the_models() -> None:
    # The first model puts the classes apart: every metric is 1. In the second model every nearest
    # neighbour (R is 1) is of the other class: every metric is 0.
    assert score_on_test_classes([FIRST], PAIRS)["separated"] == dict.fromkeys(METRICS, 1.0)
    assert score_on_test_classes([SECOND], PAIRS)["separated"] == dict.fromkeys(METRICS, 0.0)
    assert score_on_test_classes([FIRST, SECOND], PAIRS)["separated"] == dict.fromkeys(METRICS, 0.5)


def test_concatenated_is_the_metric_of_the_embeddings_side_by_side() -> None:
    # Squared distances side by side, 2 - 2 cos of both angles: (0, 1) 0.03 + 1.00, (0, 2) 2.00 + 0.03,
    # (0, 3) 2.68 + 1.48, (1, 2) 1.65 + 0.71, (1, 3) 2.35 + 0.07, (2, 3) 0.12 + 1.15. All find theirs.
    scores = score_on_test_classes([FIRST, SECOND], PAIRS)
    assert scores["concatenated"] == dict.fromkeys(METRICS, 1.0)


def test_concatenated_equals_plain_loops() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(5, (40,), generator=generator)
    models = [
        torch.nn.functional.normalize(torch.randn(40, 3, generator=generator) + labels[:, None], dim=1)
        for _ in range(4)
    ]
    scores = score_on_test_classes(models, labels)
    assert scores["concatenated"] == pytest.approx(
        metrics_by_loops(torch.cat(models, dim=1), labels), abs=1e-6
    )
    each = [metrics_by_loops(model, labels)[MAP_AT_R] for model in models]
    assert scores["separated"][MAP_AT_R] == pytest.approx(sum(each) / 4, abs=1e-6)


def test_interval_of_four_values_by_hand() -> None:
    # Deviations -.15, -.05, .05, .15: variance .05 / 3, standard error sqrt(.05 / 3 / 4) = .0645497;
    # Student's t with 3 degrees of freedom has 97.5% below 3.182446.
    interval = confidence_interval([0.1, 0.2, 0.3, 0.4])
    assert interval["mean"] == pytest.approx(0.25)
    assert interval["half_width"] == pytest.approx(3.182446 * 0.0645497, rel=1e-5)


@pytest.mark.parametrize("count", [2, 3, 10, 40])
def test_interval_equals_that_of_scipy(count: int) -> None:
    values = np.random.default_rng(count).normal(0.6, 0.1, count).tolist()
    low, high = stats.t.interval(0.95, count - 1, loc=np.mean(values), scale=stats.sem(values))
    interval = confidence_interval(values)
    assert interval["mean"] - interval["half_width"] == pytest.approx(low)
    assert interval["mean"] + interval["half_width"] == pytest.approx(high)
    assert interval["values"] == values


def test_equal_values_have_an_interval_of_no_width_and_one_value_has_none() -> None:
    assert confidence_interval([0.5, 0.5, 0.5])["half_width"] == 0
    assert confidence_interval([0.5]) == {"mean": 0.5, "half_width": None, "values": [0.5]}

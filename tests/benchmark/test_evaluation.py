"""The metrics, against numbers worked out by hand and against plain loops."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from scipy import stats
from torch import Tensor

from pml_potential.benchmark import evaluation
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.evaluation import FURTHER_METRICS, METRICS, judge, score_on_test_classes
from pml_potential.benchmark.report.intervals import confidence_interval

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
    alone = {"mean": 0.5, "deviation": None, "half_width": None, "values": [0.5]}
    assert confidence_interval([0.5]) == alone


def clustered(count: int, seed: int = 3) -> tuple[Tensor, Tensor]:
    """Embeddings on the sphere, two of whose classes have a single member."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.randint(8, (count - 2,), generator=generator), torch.tensor([8, 9])])
    embeddings = torch.randn(count, 5, generator=generator) + labels[:, None]
    return torch.nn.functional.normalize(embeddings, dim=1), labels


def recall_by_loops(
    query: Tensor, labels: Tensor, gallery: Tensor, gallery_labels: Tensor, k: int, itself: bool
) -> float:
    found = []
    for place, (point, label) in enumerate(zip(query.double(), labels, strict=True)):
        others = [j for j in range(len(gallery)) if not (itself and j == place)]
        if not any(gallery_labels[j] == label for j in others):
            continue
        others.sort(key=lambda j: float((gallery[j].double() - point).norm()))
        found.append(any(gallery_labels[j] == label for j in others[:k]))
    return sum(found) / len(found)


@pytest.mark.parametrize("k", [1, 2, 7, 100])
def test_recall_equals_plain_loops(k: int) -> None:
    embeddings, labels = clustered(70)
    expected = recall_by_loops(embeddings, labels, embeddings, labels, k, itself=True)
    assert judge(embeddings, labels, recall_at=[k])[f"recall_at_{k}"] == pytest.approx(expected)


def test_recall_at_1_is_precision_at_1() -> None:
    scores = judge(*clustered(60), recall_at=[1])
    assert scores["recall_at_1"] == scores["precision_at_1"]


def test_queries_look_in_the_gallery_only() -> None:
    # Queries A at 0 and B at 10; the gallery has B at 1 and 11, A at 2 and 20. For A: B, A; for B: B.
    queries, gallery = on_a_line(0.0, 10.0), on_a_line(1.0, 11.0, 2.0, 20.0)
    scores = judge(queries, torch.tensor([0, 1]), gallery, torch.tensor([1, 1, 0, 0]), recall_at=[1, 2])
    # R is 2: A finds at ranks 1 and 2: 0 1, B finds 1 0 (11 is 1 away, 2 is 8 away, 1 is 9 away).
    assert scores == pytest.approx(
        {
            MAP_AT_R: (0.25 + 0.5) / 2,
            R_PRECISION: 0.5,
            PRECISION_AT_1: 0.5,
            "recall_at_1": 0.5,
            "recall_at_2": 1.0,
        }
    )


def test_a_query_without_its_class_in_the_gallery_does_not_count() -> None:
    queries, gallery = on_a_line(0.0, 10.0), on_a_line(1.0, 11.0)
    scores = judge(queries, torch.tensor([0, 9]), gallery, torch.tensor([0, 0]), recall_at=[1])
    assert scores["recall_at_1"] == 1.0


@pytest.mark.parametrize("at_a_time", [1, 7, 64])
@pytest.mark.parametrize("has_gallery", [False, True])
def test_parts_give_the_numbers_of_the_whole(
    at_a_time: int, has_gallery: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = clustered(70)
    gallery, labels = clustered(50, seed=4) if has_gallery else (None, None)
    whole = judge(*points, gallery, labels, [3])
    monkeypatch.setattr(evaluation, "_QUERIES_AT_A_TIME", at_a_time)
    assert judge(*points, gallery, labels, [3]) == pytest.approx(whole, abs=1e-12)


def test_search_by_torch_gives_the_numbers_of_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    by_faiss = judge(*clustered(90), recall_at=[2])
    monkeypatch.setattr(evaluation, "find_spec", lambda _name: None)
    assert judge(*clustered(90), recall_at=[2]) == pytest.approx(by_faiss, abs=1e-12)


def test_numbers_are_those_of_the_calculator_of_pml() -> None:
    embeddings, labels = clustered(80)
    theirs = AccuracyCalculator(include=tuple(METRICS), k="max_bin_count").get_accuracy(
        embeddings, labels
    )
    assert judge(embeddings, labels) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("offset", [0, 2**24, 2**40, -7])
def test_large_and_negative_labels_are_told_apart(offset: int) -> None:
    """Numbers from 2^24 on are not all there in float32."""
    points, labels = on_a_line(0.0, 10.0, 1.0, 11.0), torch.tensor([0, 1, 0, 1])
    expected = judge(points, labels, recall_at=[1])
    assert judge(points, labels + offset, recall_at=[1]) == expected
    assert judge(points[:2], labels[:2] + offset, points[2:], labels[2:] + offset) == judge(
        points[:2], labels[:2], points[2:], labels[2:]
    )
    neighbours = judge(points, torch.tensor([0, 1, 2, 3]).div(2, rounding_mode="floor") + offset)
    assert neighbours[PRECISION_AT_1] == 0


@pytest.mark.parametrize(
    "form",
    [
        lambda points: points.double(),
        lambda points: points.half(),
        lambda points: points.T.contiguous().T,
        lambda points: torch.cat([points, points], dim=1)[:, : points.shape[1]],
        lambda points: points.clone().requires_grad_(),
        lambda points: points.repeat_interleave(2, dim=0)[::2],
    ],
)
def test_embeddings_of_any_form_are_judged(form: Callable[[Tensor], Tensor]) -> None:
    points, labels = clustered(60)
    points = points.half().float()
    assert judge(form(points), labels) == judge(points, labels)
    assert judge(form(points), labels, form(points), labels) == judge(points, labels, points, labels)


POINTS = on_a_line(0.0, 1.0, 2.0, 3.0)
BROKEN = torch.tensor([[0.0], [torch.inf], [2.0], [3.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((POINTS, PAIRS, POINTS), "gallery_labels is None; gallery and gallery_labels go together"),
        ((POINTS, PAIRS, None, PAIRS), "gallery is None; gallery and gallery_labels go together"),
        ((BROKEN, PAIRS), r"embeddings\[1\] has the norm inf"),
        ((POINTS, PAIRS, BROKEN * torch.nan, PAIRS), r"gallery\[0\] has the norm nan"),
        ((POINTS.flatten(), PAIRS), r"embeddings has shape \(4,\)"),
        ((POINTS, PAIRS, POINTS.repeat(1, 2), PAIRS), r"gallery has shape \(4, 2\); it must be .*1\)"),
        ((POINTS[:0], PAIRS[:0]), "must not be empty"),
        ((POINTS, PAIRS[:3]), r"labels has shape \(3,\); it must be \(4,\)"),
        ((POINTS, PAIRS, POINTS, PAIRS[:3]), r"gallery_labels has shape \(3,\)"),
        ((POINTS, torch.arange(4)), "none of the 4 queries has a match"),
        ((POINTS, PAIRS, POINTS, PAIRS + 2), "none of the 4 queries has a match"),
        ((POINTS, PAIRS, None, None, [0]), "recall_at is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((POINTS.numpy(), PAIRS), "embeddings is a ndarray; it must be a torch.Tensor"),
        ((POINTS, PAIRS.float()), "labels has dtype torch.float32; it must be an integer dtype"),
        ((POINTS, PAIRS.tolist()), "labels is a list; it must be a torch.Tensor"),
        ((POINTS, PAIRS, None, None, [1.5]), "recall_at is 1.5; it must be an integer"),
    ],
)
def test_what_is_of_another_type_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        judge(*arguments)


def test_a_part_of_the_queries_may_find_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_QUERIES_AT_A_TIME", 1)
    scores = judge(on_a_line(0.0, 5.0), torch.tensor([7, 1]), on_a_line(5.1), torch.tensor([1]))
    assert scores[PRECISION_AT_1] == 1.0


FURTHER = list(FURTHER_METRICS)


def further_by_loops(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    points, classes = embeddings.double(), labels.tolist()
    found: dict[str, list[float]] = {name: [] for name in FURTHER[:3]}
    for query in range(len(classes)):
        others = [other for other in range(len(classes)) if other != query]
        others.sort(key=lambda other: float((points[query] - points[other]).norm()))
        ranks = [rank for rank, other in enumerate(others, 1) if classes[other] == classes[query]]
        if ranks:
            precisions = [hits / rank for hits, rank in enumerate(ranks, 1)]
            found["mean_average_precision"].append(sum(precisions) / len(ranks))
            found["mean_reciprocal_rank"].append(1 / ranks[0])
            ideal = sum(1 / np.log2(1 + rank) for rank in range(1, len(ranks) + 1))
            found["ndcg"].append(sum(1 / np.log2(1 + rank) for rank in ranks) / ideal)
    return {name: sum(values) / len(values) for name, values in found.items()}


@pytest.mark.parametrize("at_a_time", [2**23, 200])
def test_further_metrics_equal_plain_loops(at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_RANKS_AT_A_TIME", at_a_time)
    generator = torch.Generator().manual_seed(3)
    labels = torch.cat([torch.randint(6, (57,), generator=generator), torch.tensor([6, 7, 8])])
    embeddings = torch.randn(60, 4, generator=generator) + 0.5 * labels[:, None]
    found = judge(embeddings, labels, recall_at=[1], metrics=FURTHER)
    assert set(found) == {*METRICS, *FURTHER, "recall_at_1"}
    expected = metrics_by_loops(embeddings, labels) | further_by_loops(embeddings, labels)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found == judge(embeddings, labels, recall_at=[1], metrics=FURTHER)


def test_clusters_of_all_queries_are_compared_with_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_QUERIES_AT_A_TIME", 7)
    labels = torch.arange(6).repeat_interleave(5)
    generator = torch.Generator().manual_seed(0)
    apart = torch.eye(6).repeat_interleave(5, 0) + 0.01 * torch.randn(30, 6, generator=generator)
    # k-means ends where it began badly, with two classes in a cluster.
    found = judge(apart, labels, metrics=["NMI", "AMI"])
    assert 0.8 < found["NMI"] <= 1
    assert 0.7 < found["AMI"] <= 1
    # Clusters that know nothing of the classes.
    found = judge(apart, torch.arange(5).repeat(6), metrics=["NMI", "AMI"])
    assert found["AMI"] < 0.05
    gallery = judge(apart[:10], labels[:10], apart[10:], labels[10:] % 2, metrics=["NMI"])
    assert gallery["NMI"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["ndgc"], "there is no 'ndgc', did you mean 'ndcg'"),
        (["NMI", "NMI"], "'NMI' is already reported"),
        (["precision_at_1"], "'precision_at_1' is already reported"),
    ],
)
def test_metrics_that_are_none_are_refused(metrics: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"protocol.metrics: {message}"):
        judge(FIRST, PAIRS, metrics=metrics)


def test_neighbours_are_the_same_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, embeddings = torch.arange(5).repeat(8), 3 * torch.randn(40, 4)
    expected = judge(embeddings, labels)
    monkeypatch.setattr(evaluation, "find_spec", lambda _name: None)
    assert judge(embeddings, labels) == pytest.approx(expected)

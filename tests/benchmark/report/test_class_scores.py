"""Scores of classes, against those of all queries and by hand."""

import pytest
import torch

from pml_potential.benchmark.evaluation import judge
from pml_potential.benchmark.report.class_scores import class_scores


def points(count: int) -> torch.Tensor:
    found = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    return torch.nn.functional.normalize(found)


@pytest.mark.parametrize("queries", [None, 18])
def test_the_mean_over_the_queries_of_all_classes_is_the_score_of_the_test(queries: int | None) -> None:
    embeddings, labels = points(60), torch.arange(60) % 7
    found = class_scores(embeddings, labels, queries)
    if queries is None:
        expected = judge(embeddings, labels)
    else:
        ends = (embeddings[:queries], labels[:queries], embeddings[queries:], labels[queries:])
        expected = judge(*ends)
    total = sum(each.queries for each in found)
    assert total == (60 if queries is None else queries)
    for metric, mine in (
        ("precision_at_1", "precision_at_1"),
        ("mean_average_precision_at_r", "map_at_r"),
    ):
        averaged = sum(each.queries * getattr(each, mine) for each in found) / total
        assert averaged == pytest.approx(expected[metric])


def test_the_hardest_class_is_the_first() -> None:
    embeddings = torch.nn.functional.normalize(torch.tensor([[1, 0.0], [1, 0.1], [0, 1.0], [0.9, 0.2]]))
    first, second = class_scores(embeddings, torch.tensor([5, 5, 9, 9]))
    assert (first.label, first.precision_at_1, first.map_at_r) == (9, 0.5, 0.5)
    assert (second.label, second.queries, second.map_at_r) == (5, 2, 1)


def test_a_class_with_nothing_to_find_has_no_score() -> None:
    found = class_scores(points(5), torch.tensor([0, 0, 1, 2, 2]))
    assert {each.label for each in found} == {0, 2}
    assert class_scores(points(3), torch.arange(3)) == []
    in_gallery = class_scores(points(4), torch.tensor([0, 1, 1, 1]), queries=2)
    assert [each.label for each in in_gallery] == [1]

import pytest
import torch

from pml_potential.analysis.nearest_neighbors import nearest_neighbors


def test_neighbours_are_those_of_all_distances() -> None:
    embeddings = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)).double()
    unit = torch.nn.functional.normalize(embeddings)
    distances = torch.cdist(unit, unit).fill_diagonal_(torch.inf)
    expected = distances.argsort(dim=1)[:, :7]
    assert nearest_neighbors(embeddings, 7).tolist() == expected.tolist()


def test_an_embedding_is_no_neighbour_of_itself_though_others_coincide_with_it() -> None:
    found = nearest_neighbors(torch.tensor([[1.0, 0.0]] * 4 + [[0.0, 1.0]]), 3)
    assert all(index not in row for index, row in enumerate(found.tolist()))
    assert {4} & set(found[:4].ravel().tolist()) == set()


def test_some_queries_get_what_they_get_among_all() -> None:
    embeddings = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    found = nearest_neighbors(embeddings, 4, queries=[7, 0, 59])
    assert found.tolist() == nearest_neighbors(embeddings, 4)[[7, 0, 59]].tolist()


@pytest.mark.parametrize("queries", [[], [0, 3], [-1]])
def test_queries_that_do_not_exist_are_refused(queries: list[int]) -> None:
    with pytest.raises(ValueError, match=r"queries are \[.*\]; they must be indices in 0 .. 2"):
        nearest_neighbors(torch.eye(3), 1, queries)


@pytest.mark.parametrize(
    ("count", "message"), [(0, "count is 0"), (3, "count is 3; 3 embeddings have 2")]
)
def test_a_number_of_neighbours_that_does_not_exist_is_refused(count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(torch.eye(3), count)

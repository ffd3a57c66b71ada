import pytest
import torch

from pml_potential.benchmark.models.pooling import GlobalPool, Pooling


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("avg", [[2.5, -1.0], [0.0, 4.0]]),
        ("max", [[4.0, 2.0], [0.0, 16.0]]),
        ("avg_max", [[6.5, 1.0], [0.0, 20.0]]),
    ],
)
def test_each_channel_becomes_a_number(pooling: Pooling, expected: list[list[float]]) -> None:
    maps = torch.tensor(
        [
            [[[1.0, 2.0], [3.0, 4.0]], [[-3.0, 2.0], [-2.0, -1.0]]],
            [[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 16.0]]],
        ]
    )
    found = GlobalPool(pooling)(maps)
    assert found.shape == (2, 2, 1, 1)
    assert found.flatten(1).tolist() == expected


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (3, 5)])
def test_maps_of_any_size_are_pooled(size: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, *size)
    torch.testing.assert_close(GlobalPool("avg")(maps).flatten(1), maps.mean(dim=(2, 3)))
    assert GlobalPool("max")(maps).flatten(1).equal(maps.amax(dim=(2, 3)))


def test_the_kind_is_shown_for_it_has_no_weights() -> None:
    assert {repr(GlobalPool(kind)) for kind in ("avg", "max", "avg_max")} == {
        "GlobalPool(avg)",
        "GlobalPool(max)",
        "GlobalPool(avg_max)",
    }


@pytest.mark.parametrize(("pooling", "moved"), [("avg", 4), ("max", 1), ("avg_max", 4)])
def test_gradients_go_to_what_was_pooled(pooling: Pooling, moved: int) -> None:
    maps = torch.arange(4.0).reshape(1, 1, 2, 2).requires_grad_()
    GlobalPool(pooling)(maps).sum().backward()
    assert maps.grad is not None
    assert int((maps.grad != 0).sum()) == moved
    assert maps.grad.argmax() == 3 or pooling == "avg"

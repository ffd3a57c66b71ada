"""Values of steps that do not depend on the images are found without computing anything."""

import pytest
from torch import Tensor, fx, nn

from pml_potential.benchmark.models.traced_values import NotConstantError, Shape, TracedValues


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.layer(images)
        count, _, height, width = maps.shape
        pooled: Tensor = maps.reshape(count, 4, height * width).sum(dim=2) * count
        return pooled


def values(shape: Shape | None) -> tuple[TracedValues, dict[str, fx.Node]]:
    network = _Network()
    graph = fx.Tracer().trace(network)
    return TracedValues(network, graph, shape), {node.name: node for node in graph.nodes}


def test_what_depends_on_the_shape_alone_is_a_constant() -> None:
    found, nodes = values((3, 9, 13))
    assert found.constant(nodes["mul"]) == 4 * 6


@pytest.mark.parametrize("name", ["getitem", "layer", "reshape", "getattr_1", "x"])
def test_tensors_and_numbers_of_images_are_none(name: str) -> None:
    found, nodes = values((3, 9, 13))
    nodes["x"] = nodes["images"]
    with pytest.raises(NotConstantError, match="it depends on the images"):
        found.constant(nodes[name])


def test_without_a_shape_nothing_is_known() -> None:
    found, nodes = values(None)
    with pytest.raises(NotConstantError, match="size of the images, which is not known"):
        found.constant(nodes["mul"])


def test_no_memory_is_taken() -> None:
    found, nodes = values((3, 100_001, 100_001))
    assert found.constant(nodes["mul"]) == 50_000**2

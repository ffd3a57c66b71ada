"""Values of the steps of a traced network for images of a shape, without computing them."""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses import FakeTensorMode

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""

_BATCHES = (2, 3)
"""Values that differ between them depend on the number of images."""


class NotConstantError(Exception):
    """A step depends on the images, or on their number."""


class TracedValues:
    """Values of a graph's nodes; of tensors torch keeps only the shapes.

    Args:
        network: the traced network.
        graph: of its steps; it may still grow.
        shape: of the images; None: unknown, so no value can be found.
    """

    def __init__(self, network: nn.Module, graph: fx.Graph, shape: Shape | None) -> None:
        self._graph = graph
        self._shape = shape
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._runs = [fx.Interpreter(network, graph=graph) for _ in _BATCHES]

    def constant(self, node: fx.Node) -> Any:
        """The value of a node that is not a tensor, and is the same for any number of images.

        Raises:
            NotConstantError: The node is not such a one.
        """
        if self._shape is None:
            raise NotConstantError("it depends on the size of the images, which is not known")
        first, second = (
            self._value(run, node, batch) for run, batch in zip(self._runs, _BATCHES, strict=True)
        )
        if not _is_plain(first) or first != second:
            raise NotConstantError("it depends on the images")
        return first

    def _value(self, run: fx.Interpreter, node: fx.Node, batch: int) -> Any:
        left = [node]
        while left:
            last = left[-1]
            if missing := [each for each in last.all_input_nodes if each not in run.env]:
                left += missing
                continue
            left.pop()
            if last not in run.env:
                with self._mode, torch.no_grad():
                    is_image = last.op == "placeholder"
                    run.env[last] = self._images(batch) if is_image else run.run_node(last)
        return run.env[node]

    def _images(self, batch: int) -> Tensor:
        return torch.zeros(batch, *(self._shape or ()))


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str)

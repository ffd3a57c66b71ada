"""Sheets of pictures: the neighbours found for each query, and which of them are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from pml_potential.analysis.figure import new_figure, plain
from pml_potential.analysis.nearest_neighbors import nearest_neighbors
from pml_potential.functional.validation import check_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

RIGHT, WRONG = "#009E73", "#D55E00"
"""Green and red of Okabe and Ito; signs and dashes tell the two apart as well."""

_INCHES = 1.1


def retrieval_sheet(
    embeddings: Tensor,
    labels: Tensor,
    image: Callable[[int], Image],
    queries: Sequence[int],
    count: int = 8,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw queries and the images whose embeddings are nearest to theirs.

    A row for each query: the query in black, then its neighbours, the nearest first. Neighbours of the
    query's class have a solid green frame and a check mark, others a dashed red frame and a cross. The
    query itself is not among its neighbours.

    Args:
        embeddings: (n, d); they are l2-normalised first.
        labels: class of each image, (n,), integers from 0.
        image: gives the image with this index, 0 .. n - 1.
        queries: indices of the queries, at least one.
        count: k, neighbours of each query, in 1 .. n - 1. Default 8.
        names: of the classes, printed above each image. Default: the number of the class.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        ValueError: A query or ``count`` is out of range, a class has no name, there is no query, or the
            tensors do not fit.
        TypeError: An argument has the wrong type.
        ModuleNotFoundError: matplotlib is not installed.

    Examples:
        >>> import torch
        >>> from PIL import Image
        >>> embeddings, labels = torch.randn(20, 8), torch.arange(20) % 2
        >>> grey = lambda index: Image.new("L", (32, 32), index)
        >>> figure = retrieval_sheet(embeddings, labels, grey, queries=[0, 1], count=3)
        >>> len(figure.axes)
        8
    """
    classes = check_labels("labels", labels, len(embeddings), None)
    if names is not None and int(classes.max()) >= len(names):
        raise ValueError(f"names has {len(names)} entries; labels hold {int(classes.max())}")
    found = nearest_neighbors(embeddings, count, queries)
    figure = new_figure(_INCHES * (count + 1), 1.2 * _INCHES * len(queries))
    panels = figure.subplots(len(queries), count + 1, squeeze=False)
    for row, query, neighbors in zip(panels, queries, found.tolist(), strict=True):
        for axes, index in zip(row, [query, *neighbors], strict=True):
            label = int(classes[index])
            name = str(label) if names is None else names[label]
            colour, dash, sign = "black", "solid", "query: "
            if axes is not row[0]:
                is_right = label == int(classes[query])
                colour, dash, sign = (RIGHT, "solid", "✓ ") if is_right else (WRONG, "dashed", "✗ ")
            _show(axes, image(index), colour, dash)
            axes.set_title(sign + plain(name), color=colour, fontsize=9)
    return figure


def _show(axes: Any, picture: Image, colour: str, dash: str) -> None:
    axes.imshow(np.asarray(picture.convert("RGB")))
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(edgecolor=colour, linestyle=dash, linewidth=3)

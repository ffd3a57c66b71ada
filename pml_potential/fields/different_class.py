"""The pairs of points of different classes that are close enough to repel each other."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pml_potential.fields.neighbors import are_near, is_crowded, near_tiles, widest_coordinates
from pml_potential.fields.pairs import Block, Pairs


def different_class_pairs_of_few(
    radius: float, points: Tensor, labels: Tensor, targets: int
) -> Iterator[Pairs | Block]:
    """Yield the same as ``different_class_pairs_within``, for so few points that one look does.

    Args:
        radius: distance; pairs that are farther apart may be yielded as well.
        points: (n, d), each of norm at most 1.
        labels: class of each point, (n,), integers.
        targets: number of leading points of which each pair holds at least one.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0]]).repeat(3, 1)
        >>> (block,) = different_class_pairs_of_few(0.2, points, torch.tensor([0, 0, 1]), targets=3)
        >>> block.wanted.sum()
        tensor(2)
    """
    columns = torch.arange(len(labels), device=labels.device)[None]
    rows = columns if targets == len(labels) else columns[:, :targets]
    differ = labels[rows][:, :, None] != labels[columns][:, None, :]
    block = Block(rows, columns, differ & (rows[:, :, None] < columns[:, None, :]))
    near = block.wanted & are_near(radius, points[:targets], points)
    yield block if is_crowded(int(near.sum()), near.numel()) else block.pairs(near)


def different_class_pairs_within(
    radius: float, points: Tensor, labels: Tensor, targets: int
) -> Iterator[Pairs | Block]:
    """Yield all pairs of points of different classes that are closer than a radius, each once.

    However many there are, no more than a tile of them is held at a time; where they crowd, the tile
    is yielded as a block.

    Args:
        radius: distance; pairs that are farther apart may be yielded as well.
        points: (n, d), each of norm at most 1.
        labels: class of each point, (n,), integers.
        targets: number of leading points of which each pair holds at least one.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0]]).repeat(300, 1)
        >>> (block,) = different_class_pairs_within(0.2, points, torch.arange(300) % 2, targets=300)
        >>> block.wanted.sum()
        tensor(22500)
    """
    coordinates = widest_coordinates(points)
    position = torch.arange(len(points), device=points.device)
    for tile in near_tiles(radius, points[:targets], points, coordinates, each_once=True):
        if tile.is_crowded():
            rows, columns = position[None, tile.rows], position[None, tile.columns]
            differ = labels[rows][:, :, None] != labels[columns][:, None, :]
            yield Block(rows, columns, differ & (rows[:, :, None] < columns[:, None, :]))
        else:
            differ = labels[tile.first] != labels[tile.second]
            yield tile.first[differ], tile.second[differ]

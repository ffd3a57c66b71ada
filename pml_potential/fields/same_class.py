"""The pairs of points of one class."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.plan import Plan


def same_class_pairs(labels: Tensor, targets: int, width: int, plan: Plan) -> Iterator[Pairs | Block]:
    """Yield all pairs of points of one class, each once.

    Classes of about equal size share a block, in which the smaller ones are padded with repeated
    points, whose pairs do not count. A class whose pairs do not fit into a block is split; the pairs of
    small classes are listed.

    Args:
        labels: class of each point, (n,), integers.
        targets: number of leading points; each pair has at least one of them.
        width: d, coordinates of a point.
        plan: decides which classes are small, and how large a block may be.

    Examples:
        >>> (pairs,) = same_class_pairs(torch.tensor([0, 1, 1, 0]), 4, 8, Plan())
        >>> pairs.first, pairs.second
        (tensor([0, 1]), tensor([3, 2]))
    """
    # Sorting is stable: in each class, as among all points, targets come before further sources.
    ordered, order = labels.sort(stable=True)
    _, class_of, members = ordered.unique_consecutive(return_inverse=True, return_counts=True)
    starts, targeted = members.cumsum(0) - members, members
    if targets < len(labels):
        targeted = torch.zeros_like(members).index_add_(0, class_of, (order < targets).long())
    classes = torch.stack([starts, targeted, members], dim=1)[(targeted > 0) & (members > 1)]
    for rows, columns, alike in _shapes(classes, width, plan):
        for block in _blocks_of_shape(order, alike, rows, columns, width, plan):
            yield block.where(block.wanted) if rows * columns <= plan.small_class else block


def _blocks_of_shape(
    order: Tensor, classes: Tensor, most_targets: int, most_members: int, width: int, plan: Plan
) -> Iterator[Block]:
    """Yield the pairs of classes, given by where they start in ``order`` and how long they are."""
    position = torch.arange(most_members, device=order.device)
    all_targeted = torch.equal(classes[:, 1], classes[:, 2])
    for rows in position[:most_targets].split(plan.largest_side):
        for columns in position[int(rows[0]) :].split(plan.largest_side):
            same = all_targeted and torch.equal(rows, columns)
            numbers = max(len(rows), width) * len(columns)
            for some in classes.split(max(1, plan.numbers_per_chunk // numbers)):
                start, targeted, members = some.T[:, :, None]
                of_rows = order[start + rows.minimum(targeted - 1)]
                of_columns = of_rows if same else order[start + columns.minimum(members - 1)]
                is_row = (rows < targeted)[:, :, None]
                is_column = (columns < members)[:, None, :]
                wanted = is_row & is_column & (rows[:, None] < columns)
                yield Block(of_rows, of_columns, wanted, plan.numbers_per_chunk)


def _shapes(classes: Tensor, width: int, plan: Plan) -> Iterator[tuple[int, int, Tensor]]:
    """Rows and columns of blocks, and the classes that share them: all, if their block stays small."""
    if len(classes) == 0:
        return
    rows, columns = classes[:, 1:].amax(dim=0).tolist()
    padded = len(classes) * columns
    # Padding costs less than further blocks would.
    share = 1 if padded <= 1.5 * classes[:, 2].sum() else 1 / 8
    if padded * max(rows, width) <= share * plan.numbers_per_chunk:
        yield rows, columns, classes
        return
    # The next power of two, or three quarters of it if that is enough.
    power = 2 ** classes[:, 1:].double().log2().ceil().long()
    sizes = torch.where(classes[:, 1:] <= power * 3 // 4, power * 3 // 4, power)
    for shape in sizes.unique(dim=0):
        alike = classes[(sizes == shape).all(dim=1)]
        rows, columns = alike[:, 1:].amax(dim=0).tolist()
        yield rows, columns, alike

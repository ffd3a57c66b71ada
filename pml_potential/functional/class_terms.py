"""What a loss of classes says of each class in the batch."""

from typing import NamedTuple

from torch import Tensor


class ClassTerms(NamedTuple):
    """The two terms of each of the k classes in the batch, in ascending order.

    Attributes:
        attraction: (k,).
        repulsion: (k,).
        first: index of the first member of each class in the batch, (k,).
    """

    attraction: Tensor
    repulsion: Tensor
    first: Tensor

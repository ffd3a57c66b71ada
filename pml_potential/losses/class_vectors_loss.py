"""The base of the losses with learnable vectors for each class: proxies or mean fields."""

from typing import Any

import torch
from pytorch_metric_learning.losses.mixins import WeightRegularizerMixin
from torch import Tensor, nn

from pml_potential.losses.checked_metric_loss import CheckedMetricLoss
from pml_potential.losses.validation import check_integer


class ClassVectorsLoss(WeightRegularizerMixin, CheckedMetricLoss):
    """A loss with one parameter, which holds so many rows for each class, class after class.

    Args:
        name: of the parameter.
        num_classes: N, at least 1.
        embedding_size: d, at least 1.
        vectors_per_class: rows of the parameter for each class, at least 0.
        **kwargs: what PML's losses take.
    """

    num_classes: int
    embedding_size: int

    def __init__(
        self, name: str, num_classes: int, embedding_size: int, vectors_per_class: int, **kwargs: Any
    ) -> None:
        num_classes = check_integer("num_classes", num_classes, 1)
        embedding_size = check_integer("embedding_size", embedding_size, 1)
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.embedding_size = embedding_size
        self._vectors_name = name
        self._vectors_per_class = vectors_per_class
        self.register_parameter(name, nn.Parameter(self._new_vectors(num_classes)))
        self._fit_to_classes()
        self.add_to_recordable_attributes(name="num_classes", is_stat=False)

    @torch.no_grad()
    def add_classes(self, count: int) -> None:
        """Make room for further classes, numbered on from those there are; keep what was learnt.

        The parameter stays the same object, so that an optimizer goes on to train it, but what the
        optimizer remembers of it has the old shape. Delete that memory, or the next step raises an
        error: ``optimizer.state.pop(loss.proxies, None)``, or ``loss.mean_fields``. Things built from
        the loss's old shape, such as ``DistributedDataParallel`` around it, must be built anew.

        Args:
            count: how many, at least 1. Their vectors come from ``weight_init_func``.

        Raises:
            ValueError: ``count`` is smaller than 1.
            TypeError: ``count`` is not an integer.

        Examples:
            >>> import torch
            >>> from pml_potential import PotentialFieldLoss
            >>> loss_func = PotentialFieldLoss(num_classes=10, embedding_size=64, proxies_per_class=2)
            >>> optimizer = torch.optim.Adam(loss_func.parameters())
            >>> loss_func.add_classes(3)
            >>> _ = optimizer.state.pop(loss_func.proxies, None)
            >>> loss_func.num_classes, loss_func.proxies.shape
            (13, torch.Size([26, 64]))
        """
        count = check_integer("count", count, 1)
        vectors = self.get_parameter(self._vectors_name)
        vectors.grad = None
        vectors.data = torch.cat([vectors.data, self._new_vectors(count).to(vectors)])
        self.num_classes += count
        self._fit_to_classes()

    def _fit_to_classes(self) -> None:
        """Make what depends on the number of classes; called once more when there are further ones."""

    def _new_vectors(self, classes: int) -> Tensor:
        vectors = torch.empty(classes * self._vectors_per_class, self.embedding_size)
        if vectors.numel() > 0:
            self.weight_init_func(vectors)
        return vectors

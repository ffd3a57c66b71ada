"""The base of the losses with learnable vectors for each class: proxies or mean fields."""

from abc import abstractmethod
from typing import Any, cast

import torch
from pytorch_metric_learning.losses.mixins import WeightRegularizerMixin
from torch import Tensor, nn

from pml_potential.functional.validation import check_integer
from pml_potential.losses.bounded_number import ModuleWithNumbers
from pml_potential.losses.checked_metric_loss import CheckedMetricLoss
from pml_potential.losses.fixed_number import FixedNumber
from pml_potential.losses.optimizer_growth import state_with_further_rows


class ClassVectorsLoss(ModuleWithNumbers, WeightRegularizerMixin, CheckedMetricLoss):
    """A loss with one parameter that holds ``vectors_per_class`` rows for each class, in order.

    A subclass builds the parameter with ``_vectors_of_all_classes`` under its own name, calls
    ``_fit_to_classes``, and returns the parameter as ``class_vectors``.

    Args:
        num_classes: N, at least 1.
        embedding_size: d, at least 1.
        vectors_per_class: rows of the parameter for each class, at least 0; at 0 there is no parameter.
        **kwargs: arguments of PML's losses.
    """

    # The annotations tell mypy the type that reading an attribute gives.
    num_classes: int = FixedNumber("call add_classes for further classes")  # type: ignore[assignment]
    embedding_size: int = FixedNumber("build another loss")  # type: ignore[assignment]

    def __init__(
        self, num_classes: int, embedding_size: int, vectors_per_class: int, **kwargs: Any
    ) -> None:
        num_classes = check_integer("num_classes", num_classes, 1)
        embedding_size = check_integer("embedding_size", embedding_size, 1)
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.embedding_size = embedding_size
        self._vectors_per_class = vectors_per_class
        self.add_to_recordable_attributes(name="num_classes", is_stat=False)

    @property
    @abstractmethod
    def class_vectors(self) -> nn.Parameter:
        """The parameter, class after class: row i belongs to class i // vectors_per_class."""

    @torch.no_grad()
    def add_classes(self, count: int, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Add classes, numbered after the existing ones; the vectors learnt so far are kept.

        The parameter stays the same object with more rows, so an optimizer continues to train it. The
        optimizer's state of it, such as moments, has to grow, too: pass the optimizer, or delete the
        state with ``optimizer.state.pop(loss.proxies, None)``, or ``loss.mean_fields``. Otherwise its
        next step raises an error, or, if it is a fused one, may write outside its memory. Rebuild
        ``DistributedDataParallel`` and averages of weights.

        Args:
            count: number of new classes, at least 1. Their vectors come from ``weight_init_func``.
            optimizer: the one that trains this loss, if it has stepped. Its state of existing rows is
                kept, and new rows begin as with a fresh optimizer. For this, Adam, AdamW, NAdam and
                RAdam go back to a small step count with unchanged corrected moments, so RAdam warms up
                again.

        Raises:
            ValueError: ``count`` is smaller than 1; or the optimizer does not train this loss, or its
                state cannot get further rows, as with Adafactor. Nothing is changed then.
            TypeError: ``count`` is not an integer, or ``optimizer`` is not an optimizer.

        Examples:
            >>> import torch
            >>> from pml_potential import PotentialFieldLoss
            >>> loss_func = PotentialFieldLoss(num_classes=10, embedding_size=64, proxies_per_class=2)
            >>> optimizer = torch.optim.Adam(loss_func.parameters())
            >>> loss_func.add_classes(3, optimizer)
            >>> loss_func.num_classes, loss_func.proxies.shape
            (13, torch.Size([26, 64]))
        """
        count = check_integer("count", count, 1)
        vectors = self.class_vectors
        new = self._new_vectors(count).to(vectors)
        if optimizer is not None:
            state = state_with_further_rows(optimizer, vectors, len(new))
            if state:
                optimizer.state[vectors] = state
        if self._vectors_per_class > 0:
            vectors.grad = None
            grown = torch.cat([vectors.data, new])
            # A change of dtype makes autograd forget the shape, which the graph of an earlier loss
            # holds.
            vectors.data = grown.to(torch.float16 if grown.dtype != torch.float16 else torch.float32)
            vectors.data = grown
        FixedNumber.change(self, "num_classes", self.num_classes + count)
        self._fit_to_classes()

    def _fit_to_classes(self) -> None:
        """Build all that depends on the number of classes; called again after classes are added."""

    def _vectors_of_all_classes(self) -> nn.Parameter:
        vectors = self._new_vectors(self.num_classes)
        # Not a parameter if empty: record-keeper reads all parameters, and fails at an empty one.
        return nn.Parameter(vectors) if len(vectors) > 0 else cast(nn.Parameter, vectors)

    def _new_vectors(self, classes: int) -> Tensor:
        vectors = torch.empty(classes * self._vectors_per_class, self.embedding_size)
        if len(vectors) > 0:
            self.weight_init_func(vectors)
        return vectors

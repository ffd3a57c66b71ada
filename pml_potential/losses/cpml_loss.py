"""The counterpart of the potential field: the same sums, but interaction grows with distance."""

from functools import cached_property
from typing import Any

from pml_potential.fields.potentials import Contrastive
from pml_potential.functional.contrastive_potential_energy import DELTA
from pml_potential.losses.bounded_number import BoundedNumber
from pml_potential.losses.field_loss import FieldLoss


class CPMLLoss(FieldLoss):
    """``PotentialFieldLoss`` with the potentials of the contrastive loss: no decay (CPML).

    With x, s running over all n points (the batch's embeddings and the proxies, all l2-normalised)
    and r = ||x - s|| in [0, 2]:

        U = Σ_x [ Σ_{s: y_s = y_x} psi_att(r) + Σ_{s: y_s != y_x} psi_rep(r) ]
        psi_att(r) = max(r, delta)^2          psi_rep(r) = max(delta - r, 0)^2
        loss = U / n

    Its authors built it to show the effect of decay: here the attraction between two points of a class
    GROWS with their distance, so outliers and wrong labels pull hardest.

    Args:
        num_classes: N, at least 1; labels are 0 .. N-1.
        embedding_size: d, at least 1.
        proxies_per_class: M, at least 0. Default 15, as for ``PotentialFieldLoss``.
        delta: radius of both potentials, a distance in (0.01, 2]. Default 0.2.
        **kwargs: arguments of PML's losses: ``reducer`` (default ``DivisorReducer``), ``distance``
            (``LpDistance()``, no other), ``embedding_regularizer``, ``weight_regularizer``,
            ``weight_reg_weight``, ``weight_init_func`` (default: standard normal); and
            ``check_finite``: whether to refuse labels out of range and values that are not finite
            (default True; a GPU waits for it once a step).

    Shape:
        As for ``PotentialFieldLoss``; ``loss.proxies`` is a Parameter (N * M, d), class-major.

    Raises:
        ValueError: An argument is outside its range; embeddings, labels or devices do not fit; or
            embeddings or proxies are not finite.
        TypeError: An argument or a tensor has the wrong type.

    Source:
        Bhatnagar & Ahuja, "Potential Field Based Deep Metric Learning", CVPR 2025, arXiv 2405.18560,
        with the contrastive loss of Hadsell, Chopra & LeCun, CVPR 2006.

    Examples:
        >>> import torch
        >>> from pml_potential import CPMLLoss
        >>> loss_func = CPMLLoss(num_classes=2, embedding_size=2, proxies_per_class=0)
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> round(loss_func(embeddings, torch.tensor([0, 0])).item(), 4)
        2.04
    """

    delta = BoundedNumber(*DELTA)

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        proxies_per_class: int = 15,
        delta: float = 0.2,
        **kwargs: Any,
    ) -> None:
        self.delta = delta
        super().__init__(num_classes, embedding_size, proxies_per_class, **kwargs)
        self.add_to_recordable_attributes(name="delta", is_stat=False)

    @cached_property
    def potential(self) -> Contrastive:
        """psi_att and psi_rep for the current delta."""
        return Contrastive(self.delta, self.delta)

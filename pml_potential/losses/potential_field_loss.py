"""Potential Field Based Deep Metric Learning: interaction that decays with distance."""

from functools import cached_property
from typing import Any

from pml_potential.fields.potentials import Logarithmic, PowerLaw
from pml_potential.functional.potential_field_energy import (
    ALPHA,
    CORE_RADIUS,
    DELTA,
    decaying_potential,
    default_core_radius,
)
from pml_potential.losses.bounded_number import BoundedNumber
from pml_potential.losses.field_loss import FieldLoss


class PotentialFieldLoss(FieldLoss):
    """Every embedding and every proxy is a charge whose force DECAYS with distance (PFML).

    With x, s running over all n points (the batch's embeddings z_i and the proxies p_{j,k}, all
    l2-normalised) and r = ||x - s|| in [0, 2]:

        U = Σ_x [ Σ_{s: y_s = y_x} psi_att(r) + Σ_{s: y_s != y_x} psi_rep(r) ]   (Eq. 3-6)
        psi_att(r) = -max(r, delta)^-alpha                                       (Eq. 1)
        psi_rep(r) =  min(r, delta_rep)^-alpha                                   (Eq. 2)
        loss = U / n

    In plain torch: ``pml_potential.fields.formula.energies_by_formula(points, labels, loss.potential)``
    is the energy of each point, and their sum is U. The loss equals it up to rounding; it uses
    ``pml_potential.fields.energy.point_energies``, which computes only pairs that act.

    Points of one class attract each other where they are farther apart than delta, points of
    different classes repel each other where they are closer than delta_rep, with the force
    alpha * r^-(alpha+1); no other pair exerts a force. Far points hardly matter, which is meant to make
    the loss robust to wrong labels, and also starves proxies that start far from their class: see
    ``initialize_proxies``. alpha = 0 is the limit of the power law, the logarithm:
    psi_att = ln max(r, delta), psi_rep = -ln min(r, delta_rep).

    Core: the paper's repulsion has no bound, so one near-duplicate with a wrong label can fill the
    moments of Adam and slow all later steps down. Below r = ``core_radius`` the repulsive potential
    therefore continues as its tangent: the force stays at alpha * core_radius^-(alpha+1) and keeps its
    direction. ``core_radius=0.01`` is as close to the paper's form as float32 allows. Two points that
    coincide exactly have no direction and exert no force on each other.

    Weight decay: ``torch.optim.Adam(weight_decay=...)`` and other optimizers with coupled decay add the
    decay to the gradient. U / n is n times smaller than the paper's U, so the same number decays n
    times stronger against it. Use AdamW, no decay, or ``reducer=SumReducer()``, which gives U.

    Mixed precision: the loss computes in float32, but gradients return in the embeddings' dtype, and
    those of near points can be larger than the 65504 that float16 holds. In float16 they become
    infinity, and ``torch.amp.GradScaler`` lowers its scale; bfloat16 has no such limit.

    Cost: exact, without a matrix of all pairs. While proxies move little, the pairs found are reused
    for many steps. See "What a step costs" in the documentation. ``torch.compile`` leaves the engine
    out of its graphs, so ``fullgraph=True`` is refused; so are ``torch.func`` transforms and Apple's
    MPS.

    The value is dominated by a constant (delta^-alpha for each of the pairs that do not act): watch
    how it changes, not how large it is. ``alpha``, ``delta``, ``delta_rep`` and ``core_radius`` may be
    assigned later, and take effect from the next call.

    Args:
        num_classes: N, at least 1; labels are 0 .. N-1.
        embedding_size: d, at least 1.
        proxies_per_class: M, at least 0. Default 15, published for CUB-200 and Cars-196; 2 for SOP.
        alpha: decay exponent, in [0, 8]. Default 4; published optimum 3 to 6. Above 8 the force in
            the core is beyond what float32 optimizers can square.
        delta: delta_att, and delta_rep unless that is given; a distance in (0.01, 2]. Default 0.2;
            published optimum 0.1 to 0.3.
        delta_rep: radius of repulsion, a distance in (0.01, 2]. Default: delta. A larger radius than
            delta hurts, according to the paper.
        core_radius: distance below which repulsion stops growing, in [0.01, delta_rep]. Default: half
            of delta_rep, by experiment ("The core of the repulsion" in the documentation), but at least
            0.01.
        **kwargs: arguments of PML's losses: ``reducer`` (default ``DivisorReducer``), ``distance``
            (``LpDistance()``, no other), ``embedding_regularizer``, ``weight_regularizer``,
            ``weight_reg_weight``, ``weight_init_func`` (default: standard normal); and
            ``check_finite``: whether to refuse labels out of range and values that are not finite
            (default True; a GPU waits for it once a step).

    Shape:
        - embeddings: (batch_size, d), labels: (batch_size,); the loss is a scalar.
        - ``loss.proxies``: Parameter (N * M, d); class c has the rows ``c*M .. (c+1)*M - 1``. It needs
          an optimizer: pass ``loss.parameters()`` to one.
        - ``indices_tuple``: an embedding's energy is weighted by how often a miner chose it, as in
          PML's other losses with proxies; ``ref_emb``: further sources of the field, with no energy
          of their own.

    A batch of one, a batch of one class, and classes without a member in the batch are fine: the
    proxies still act on each other.

    Raises:
        ValueError: An argument is outside its range; embeddings, labels or devices do not fit; or
            embeddings or proxies are not finite (``NonFiniteError``, a ValueError).
        TypeError: An argument or a tensor has the wrong type.

    Source:
        Bhatnagar & Ahuja, "Potential Field Based Deep Metric Learning", CVPR 2025, arXiv 2405.18560.

    Examples:
        >>> import torch
        >>> from pml_potential import PotentialFieldLoss
        >>> loss_func = PotentialFieldLoss(num_classes=10, embedding_size=64, proxies_per_class=2)
        >>> embeddings = torch.randn(32, 64, requires_grad=True)
        >>> labels = torch.randint(10, (32,))
        >>> loss_func(embeddings, labels).backward()
        >>> embeddings.grad.shape, loss_func.proxies.grad.shape
        (torch.Size([32, 64]), torch.Size([20, 64]))
        >>> loss_func.get_logits(embeddings).shape
        torch.Size([32, 10])
    """

    alpha = BoundedNumber(*ALPHA)
    delta = BoundedNumber(*DELTA)
    delta_rep = BoundedNumber(*DELTA, if_none=lambda loss: loss.delta)
    core_radius = BoundedNumber(*CORE_RADIUS, if_none=lambda loss: default_core_radius(loss.delta_rep))

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        proxies_per_class: int = 15,
        alpha: float = 4.0,
        delta: float = 0.2,
        delta_rep: float | None = None,
        core_radius: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.alpha = alpha
        self.delta = delta
        self.delta_rep = delta_rep
        self.core_radius = core_radius
        super().__init__(num_classes, embedding_size, proxies_per_class, **kwargs)
        self.add_to_recordable_attributes(
            list_of_names=["alpha", "delta", "delta_rep", "core_radius"], is_stat=False
        )

    @cached_property
    def potential(self) -> PowerLaw | Logarithmic:
        """psi_att and psi_rep for the current numbers."""
        return decaying_potential(self.alpha, self.delta, self.delta_rep, self.core_radius)

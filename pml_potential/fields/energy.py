"""The energy of each point in the field of all the others, and its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from pml_potential.fields import gpu_field, pair_field
from pml_potential.fields.first_order import Gradients, first_order
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.plan import Plan
from pml_potential.fields.potentials import Potential
from pml_potential.fields.statistics import FieldStatistics


# The search depends on what it finds, which no graph can capture. torch.compiler.disable does the same,
# but imports the whole compiler with this package; this waits for the first call, as torch's optimizers
# do.
@_disable_dynamo
def point_energies(
    points: Tensor,
    labels: Tensor,
    potential: Potential,
    targets: int | None = None,
    known: int = 0,
    neighbor_list: NeighborList | None = None,
    statistics: FieldStatistics | None = None,
    plan: Plan | None = None,
) -> Tensor:
    """Energy of each point, as in ``formula.energies_by_formula``, from only the pairs that act.

        E_i = Σ_{j: y_j = y_i} psi_att(||x_i - x_j||) + Σ_{j: y_j != y_i} psi_rep(||x_i - x_j||)

    Exact: pairs that do not act contribute the plateaus of the potential, which are counted instead of
    computed, and no pair that acts is missed. The same points give the same bits, whatever
    ``neighbor_list`` has seen. Two implementations: ``gpu_field`` where its kernels can run,
    ``pair_field`` everywhere else.

    Args:
        points: x, (n, d), each of norm at most 1, float32 or float64.
        labels: y, class of each point, (n,), integers from 0.
        potential: psi, how two points act on each other.
        targets: number of leading points whose energy is wanted; the others are only sources.
            Default: all n.
        known: number of last targets that are the same points on each call. Default: none.
        neighbor_list: remembers near pairs of these from call to call. Default: search anew.
        statistics: the sums over acting pairs are added to it. Default: none is kept.
        plan: sizes that determine the speed of ``pair_field``. Default: those for the points.

    Returns:
        (targets,), in the dtype of ``points``. Differentiable once with respect to all points.

    Raises:
        RuntimeError: A second derivative is asked for, or a transform of ``torch.func`` is applied.
        ValueError: The points are on a device without float64, such as Apple's MPS.

    Examples:
        >>> from pml_potential.fields.potentials import Contrastive
        >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> point_energies(points, torch.tensor([0, 0]), Contrastive(0.1, 0.1))
        tensor([2.0100, 2.0100])
    """
    if points.device.type == "mps":
        raise ValueError(
            "embeddings are on mps, which has no float64 to sum energies in; give the loss "
            "embeddings.cpu() and keep the loss on the CPU"
        )
    targets = len(points) if targets is None else targets
    with torch.autocast(points.device.type, enabled=False):
        energies: Tensor = _PointEnergies.apply(
            points,
            labels,
            potential,
            targets,
            slice(targets - known, targets),
            NeighborList() if neighbor_list is None else neighbor_list,
            statistics,
            Plan.of(points) if plan is None else plan,
        )
    return energies


class _PointEnergies(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        labels: Tensor,
        potential: Potential,
        targets: int,
        known: slice,
        neighbor_list: NeighborList,
        statistics: FieldStatistics | None,
        plan: Plan,
    ) -> Tensor:
        ctx.save_for_backward(points, labels)
        ctx.potential = potential
        if gpu_field.are_usable(points):
            energies, ctx.prepared, sums = gpu_field.energies(points, labels, potential, targets)
            if statistics is not None:
                sums.add_to(statistics, targets)
        else:
            energies, ctx.prepared = pair_field.energies(
                points, labels, potential, targets, known, neighbor_list, statistics, plan
            )
        return energies.to(points.dtype)

    @staticmethod
    @first_order
    def backward(ctx: Any, saved: tuple[Tensor, ...], upstream: Tensor) -> Gradients:
        points, labels = saved
        if isinstance(ctx.prepared, gpu_field.Prepared):
            gradient = gpu_field.gradient(ctx.prepared, ctx.potential, upstream)
        else:
            gradient = pair_field.gradient(points, labels, ctx.potential, ctx.prepared, upstream)
        return gradient, *[None] * 7

"""The field by its formula, in plain torch: what every loss of a potential field computes."""

import torch
from torch import Tensor

from pml_potential.fields.potentials import Potential


def energies_by_formula(points: Tensor, labels: Tensor, potential: Potential) -> Tensor:
    """Energy of each point: the sum of its potentials with all points.

        E_i = Σ_{j: y_j = y_i} psi_att(||x_i - x_j||) + Σ_{j: y_j != y_i} psi_rep(||x_i - x_j||)

    Equations 3 to 6 of Bhatnagar & Ahuja, CVPR 2025; the sum over i is their U. It builds n x n
    matrices of distances and of all that follows from them. ``fields.energy.point_energies`` returns
    the same energies and their gradient without them; tests and benchmarks check it against this
    function.

    Args:
        points: x, (n, d).
        labels: y, class of each point, (n,), integers.
        potential: psi, how two points act on each other.

    Returns:
        E, (n,), in the dtype of ``points``.

    Examples:
        >>> from pml_potential.fields.potentials import Contrastive
        >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> energies_by_formula(points, torch.tensor([0, 0]), Contrastive(0.1, 0.1))
        tensor([2.0100, 2.0100])
    """
    # Not from products, which lose the distance of points that nearly coincide.
    squared = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    return energies_at_distances(squared, labels, potential)


def energies_at_distances(squared: Tensor, labels: Tensor, potential: Potential) -> Tensor:
    """The same from the squared distances of all points, (n, n)."""
    same_class = labels[:, None] == labels[None, :]
    attraction, repulsion = potential.attraction(squared)[0], potential.repulsion(squared)[0]
    return torch.where(same_class, attraction, repulsion).sum(dim=1)

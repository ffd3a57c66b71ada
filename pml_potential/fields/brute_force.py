"""The field by its formula, every pair at once: what the engine must equal."""

import torch
from torch import Tensor

from pml_potential.fields.potentials import Potential


def brute_force_energies(points: Tensor, labels: Tensor, potential: Potential) -> Tensor:
    """Energy of each point, by autograd through the n x n matrix of all distances.

    For tests, benchmarks and readers: ``point_energies`` gives the same and needs no such matrix.

    Args:
        points: x, (n, d).
        labels: y, class of each point, (n,), integers.
        potential: what two points do to each other.

    Returns:
        (n,), in the dtype of ``points``.

    Examples:
        >>> from pml_potential.fields.potentials import Contrastive
        >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> brute_force_energies(points, torch.tensor([0, 0]), Contrastive(0.1, 0.1))
        tensor([2.0100, 2.0100])
    """
    # From differences: products know nothing of the distance of points that nearly coincide.
    squared = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    same_class = labels[:, None] == labels[None, :]
    potentials = torch.where(
        same_class, potential.attraction(squared)[0], potential.repulsion(squared)[0]
    )
    return potentials.sum(dim=1)

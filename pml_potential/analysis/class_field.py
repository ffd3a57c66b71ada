"""The field of a class at any point: potential and force on a probe."""

import torch
from torch import Tensor

from pml_potential.fields.potentials import Potential

_PAIRS_PER_BLOCK = 2**18


@torch.no_grad()
def class_field(
    probes: Tensor, label: int, sources: Tensor, source_labels: Tensor, potential: Potential
) -> tuple[Tensor, Tensor]:
    """Potential and force that sources exert on probes of one class; probes do not see each other.

        Psi_j(x) = Σ_{s: y_s = j} psi_att(||x - s||)
                   + Σ_{s: y_s != j} [psi_rep(||x - s||) - psi_rep(delta_rep)]

    Equations 3 to 5 of Bhatnagar & Ahuja, CVPR 2025, without the constant of their repulsion, so
    sources of other classes out of range contribute nothing. The force is minus the gradient; a source
    that coincides with the probe exerts none.

    Args:
        probes: x, (p, d).
        label: j, the class of the probes.
        sources: s, (n, d), anywhere, not only on the sphere.
        source_labels: y, (n,), integers.
        potential: how two points act on each other; ``loss.potential`` for a loss with a field.

    Returns:
        Potentials, (p,), and forces, (p, d).

    Examples:
        >>> from pml_potential.fields.potentials import Contrastive
        >>> probes, sources = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 0.0]])
        >>> class_field(probes, 0, sources, torch.tensor([0]), Contrastive(0.1, 0.1))
        (tensor([9.]), tensor([[6., 0.]]))
    """
    values, forces = probes.new_empty(len(probes)), torch.empty_like(probes)
    own, to = source_labels == label, sources.double()
    rows = max(1, _PAIRS_PER_BLOCK // max(1, len(sources)))
    for value, force, block in zip(
        values.split(rows), forces.split(rows), probes.double().split(rows), strict=True
    ):
        # From differences: products lose the digits of small distances.
        squared = torch.cdist(block, to, compute_mode="donot_use_mm_for_euclid_dist").square_()
        attraction, pull = potential.attraction(squared)
        repulsion, push = potential.repulsion(squared)
        value.copy_(torch.where(own, attraction, repulsion - potential.repulsion_plateau).sum(dim=1))
        # A source that coincides with the probe has no direction to push in.
        slopes = torch.where(own, pull, push).where(squared > 0, 0)
        force.copy_(2 * (slopes @ to - slopes.sum(dim=1, keepdim=True) * block))
    return values, forces

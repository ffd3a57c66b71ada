"""The counterpart of the potential field: the same sums, but interaction grows with distance."""

from torch import Tensor

from pml_potential.fields.potentials import SMALLEST_CORE_RADIUS, Contrastive
from pml_potential.functional.field_energies import checked_field_energies
from pml_potential.functional.validation import Range, check_number

DELTA = Range(SMALLEST_CORE_RADIUS, 2, low_is_allowed=False)


def contrastive_potential_energy(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor | None = None,
    proxy_labels: Tensor | None = None,
    *,
    delta: float = 0.2,
    check_finite: bool = True,
) -> Tensor:
    """Energy of each embedding and each proxy under the potentials of the contrastive loss (CPML).

    With x, s running over all n points (the embeddings z_i and the proxies p_k, which are l2-normalised
    here) and r = ||x - s|| in [0, 2]:

        E_x = Σ_{s: y_s = y_x} psi_att(r) + Σ_{s: y_s != y_x} psi_rep(r)
        psi_att(r) = max(r, delta)^2          psi_rep(r) = max(delta - r, 0)^2

    ``.mean()`` of the result is the loss U / n, that of ``CPMLLoss``; ``.sum()`` is U.

    Args:
        embeddings: z, (batch_size, d), of any floating dtype and any length.
        labels: (batch_size,), integers from 0.
        proxies: p, (k, d), in any order. Hand them to an optimizer. Default: none.
        proxy_labels: class of each proxy, (k,), integers from 0.
        delta: radius of both potentials, a distance in (0.01, 2]. Default 0.2.
        check_finite: whether to refuse negative labels and values that are not finite. Default True; a
            GPU waits for it once a step.

    Returns:
        (batch_size + k,): first the embeddings, then the proxies; float32, or float64 if a tensor is,
        also under autocast. Differentiable once with respect to embeddings and proxies.

    Raises:
        ValueError: An argument is outside its range; shapes, labels or devices do not fit; a batch is
            empty; or values are not finite (``NonFiniteError``).
        TypeError: An argument or a tensor has the wrong type.

    Source:
        Bhatnagar & Ahuja, "Potential Field Based Deep Metric Learning", CVPR 2025, arXiv 2405.18560,
        with the contrastive loss of Hadsell, Chopra & LeCun, CVPR 2006.

    Examples:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> contrastive_potential_energy(embeddings, torch.tensor([0, 0]))
        tensor([2.0400, 2.0400])
    """
    delta = check_number("delta", delta, *DELTA)
    potential = Contrastive(delta, delta)
    return checked_field_energies(embeddings, labels, proxies, proxy_labels, potential, check_finite)

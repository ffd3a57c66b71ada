"""Potential Field Based Deep Metric Learning: interaction that decays with distance."""

from torch import Tensor

from pml_potential.fields.potentials import SMALLEST_CORE_RADIUS, Logarithmic, PowerLaw
from pml_potential.functional.field_energies import checked_field_energies
from pml_potential.functional.validation import Range, check_number

ALPHA = Range(0, 8)
DELTA = Range(SMALLEST_CORE_RADIUS, 2, low_is_allowed=False)
CORE_RADIUS = Range(SMALLEST_CORE_RADIUS, 2)


def potential_field_energy(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor | None = None,
    proxy_labels: Tensor | None = None,
    *,
    alpha: float = 4.0,
    delta: float = 0.2,
    delta_rep: float | None = None,
    core_radius: float | None = None,
    check_finite: bool = True,
) -> Tensor:
    """Energy of each embedding and each proxy in a field whose forces DECAY with distance (PFML).

    With x, s running over all n points (the embeddings z_i and the proxies p_k, which are l2-normalised
    here) and r = ||x - s|| in [0, 2]:

        E_x = Σ_{s: y_s = y_x} psi_att(r) + Σ_{s: y_s != y_x} psi_rep(r)         (Eq. 3-5)
        psi_att(r) = -max(r, delta)^-alpha                                       (Eq. 1)
        psi_rep(r) =  min(r, delta_rep)^-alpha                                   (Eq. 2)

    ``.mean()`` of the result is U / n, the loss of ``PotentialFieldLoss``; ``.sum()`` is the paper's U
    (Eq. 6). The page of that class explains core, constant and weight decay. The class remembers from
    step to step which proxies are near each other, so it is faster with thousands of them.

    Args:
        embeddings: z, (batch_size, d), of any floating dtype and any length.
        labels: (batch_size,), integers from 0.
        proxies: p, (k, d), in any order. Hand them to an optimizer. Default: none.
        proxy_labels: class of each proxy, (k,), integers from 0.
        alpha: decay exponent, in [0, 8]; 0 means the logarithm. Default 4.
        delta: delta_att, and delta_rep unless that is given; a distance in (0.01, 2]. Default 0.2.
        delta_rep: radius of repulsion, a distance in (0.01, 2]. Default: delta.
        core_radius: distance below which repulsion stops growing, in [0.01, delta_rep]. Default: half
            of delta_rep, but at least 0.01.
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
        Bhatnagar & Ahuja, "Potential Field Based Deep Metric Learning", CVPR 2025, arXiv 2405.18560.

    Examples:
        >>> import torch
        >>> embeddings = torch.randn(32, 64, requires_grad=True)
        >>> proxies = torch.nn.Parameter(torch.randn(20, 64))
        >>> proxy_labels = torch.arange(10).repeat_interleave(2)
        >>> energies = potential_field_energy(
        ...     embeddings, torch.randint(10, (32,)), proxies, proxy_labels, alpha=3, delta=0.3
        ... )
        >>> energies.shape
        torch.Size([52])
        >>> energies.mean().backward()
    """
    alpha, delta = check_number("alpha", alpha, *ALPHA), check_number("delta", delta, *DELTA)
    delta_rep = delta if delta_rep is None else check_number("delta_rep", delta_rep, *DELTA)
    if core_radius is None:
        core_radius = default_core_radius(delta_rep)
    core_radius = check_number("core_radius", core_radius, *CORE_RADIUS)
    potential = decaying_potential(alpha, delta, delta_rep, core_radius)
    return checked_field_energies(embeddings, labels, proxies, proxy_labels, potential, check_finite)


def default_core_radius(delta_rep: float) -> float:
    """Half of delta_rep, but at least the smallest core for float32."""
    return max(SMALLEST_CORE_RADIUS, delta_rep / 2)


def decaying_potential(
    alpha: float, delta: float, delta_rep: float, core_radius: float
) -> PowerLaw | Logarithmic:
    """psi_att and psi_rep for four numbers, each within its range."""
    if core_radius > delta_rep:
        raise ValueError(f"core_radius is {core_radius:g}; it must be at most delta_rep, {delta_rep:g}")
    if alpha == 0:
        return Logarithmic(delta, delta_rep, core_radius)
    return PowerLaw(delta, delta_rep, alpha, core_radius)

"""The field on a GPU: energies and gradient by kernels that are launched without waiting for the device.

The number and size of launches depend only on the shapes of the tensors, so a step can be recorded in a
CUDA graph. Triton compiles the kernels when they are first launched, or interprets them on a CPU where
``TRITON_INTERPRET=1`` is set; nothing here imports it before that.
"""

import math
import os
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from pml_potential.fields.potentials import Contrastive, Logarithmic, Potential, PowerLaw
from pml_potential.fields.statistics import FieldStatistics

MOST_POINTS = 2**23 - 2**10
"""Most points: one launch can number at most 2^31 of their tiles."""

_TILE = 128
"""Points on a side of a tile of products."""

_PART = 32
"""Points on a side of a part of a tile: if a pair may act, its whole part is computed."""

_GROUP = 8
"""Tiles on a side of a square of tiles that are processed together."""

_WANTED_PROGRAMS = 2048
"""Programs that keep any GPU busy."""

_MOST_PARTIAL_NUMBERS = 2**24
"""Most numbers of partial gradients that are kept to have more programs."""


@dataclass(frozen=True)
class Prepared:
    """The intermediate results of ``energies`` that ``gradient`` needs.

    Attributes:
        points: sorted by class, (n, d).
        classes: for each of these points, index of the first one of its class, (n,), int32.
        order: original index of each of these points, (n,), int64.
        hits: which pairs may act, by tiles of 128 x 128 points, (t, t), int16: bit 4 i + j stands for
            the pairs of part i of the rows and part j of the columns, of 32 points each. No pair that
            acts is missed; some that do not act are marked, too.
    """

    points: Tensor
    classes: Tensor
    order: Tensor
    hits: Tensor


@dataclass(frozen=True)
class PointSums:
    """Sums over the acting pairs of each point, (n,) each, float64.

    A pair with a target counts at both of its ends, a pair without a target at neither.

    Attributes:
        attraction: sum of the potential over the same-class pairs that act.
        attraction_count: number of these pairs.
        repulsion: sum of the potential beyond its plateau over the different-class pairs that act.
        repulsion_count: number of these pairs.
    """

    attraction: Tensor
    attraction_count: Tensor
    repulsion: Tensor
    repulsion_count: Tensor

    def add_to(self, statistics: FieldStatistics, targets: int) -> None:
        """Add the sums of the targets to the statistics of a field."""
        statistics.attraction += self.attraction[:targets].sum().item()
        statistics.attracting += int(self.attraction_count[:targets].sum())
        statistics.repulsion += self.repulsion[:targets].sum().item()
        statistics.acting_pairs += int(self.attraction_count.sum() + self.repulsion_count.sum()) // 2


def are_usable(points: Tensor) -> bool:
    """Whether the kernels can work on these points.

    They can if Triton is installed and the points are on an NVIDIA GPU of compute capability 8.0
    (Ampere) or more, or on a CPU and ``TRITON_INTERPRET=1`` was set before Triton was imported.

    Args:
        points: any tensor.

    Examples:
        >>> are_usable(torch.zeros(2, 3, device="meta"))
        False
    """
    if points.is_cuda:
        capability = torch.cuda.get_device_capability(points.device)
        return torch.version.hip is None and capability >= (8, 0) and _is_installed()
    interprets = os.environ.get("TRITON_INTERPRET") == "1"
    return interprets and points.device.type == "cpu" and _is_installed()


def energies(
    points: Tensor, labels: Tensor, potential: Potential, targets: int, width: int | None = None
) -> tuple[Tensor, Prepared, PointSums]:
    """Energy of each target, as ``energy.point_energies`` defines it: the same bits for the same input.

    The first call with a potential copies its parameters to the device, and compiles the kernels: make
    one before recording a CUDA graph. No other call waits for the device.

    Args:
        points: x, (n, d), each of norm at most 1, float32 or float64. Distances are in this dtype.
        labels: y, class of each point, (n,), int64.
        potential: how two points act on each other.
        targets: number of leading points whose energy is wanted; the others are only sources.
        width: number of coordinates, those of the largest variance, that tell which pairs may act.
            Fewer coordinates are faster but rule out fewer pairs. Default: all d.

    Returns:
        The energies, (targets,), float64; what ``gradient`` needs; and the sums over acting pairs.

    Raises:
        TypeError: The potential is none of those in ``potentials``.
        ValueError: There are more than ``MOST_POINTS`` points.
    """
    count = len(points)
    if count > MOST_POINTS:
        raise ValueError(f"there are {count} points; the kernels take at most {MOST_POINTS}")
    sorted_labels, order = labels.sort(stable=True)
    first_of_class = torch.searchsorted(sorted_labels, sorted_labels, out_int32=True)
    end_of_class = torch.searchsorted(sorted_labels, sorted_labels, out_int32=True, right=True)
    ordered = points.index_select(0, order)
    hits = _hits(ordered, first_of_class, potential, width)
    prepared = Prepared(ordered, first_of_class, order, hits)
    shares = _shares(count)
    sums = points.new_empty((shares, 4, count), dtype=torch.float64)
    _launch_on_parts("energy_kernel", shares, sums, prepared, potential, targets)
    found = points.new_empty(targets, dtype=torch.float64)
    totals = torch.empty_like(sums[0])
    tensors = found, totals, sums, order, first_of_class, end_of_class
    numbers = _parameters(potential, points.device), count, targets, shares
    sizes = {"point_count": _PART, "share_count": _power_of_two(shares)}
    grid = (_parts(count, _PART),)
    _launch("total_kernel", grid, *tensors, *numbers, num_warps=4, **sizes)
    return found, prepared, PointSums(*totals)


def gradient(prepared: Prepared, potential: Potential, upstream: Tensor) -> Tensor:
    """Derivative of Σ_i upstream_i E_i with respect to the points, (n, d), in their dtype.

    A pair counts once in the energy of each end, so both upstream gradients weight its force; that of a
    point which is not a target is 0. Points that coincide exert no force.

    Args:
        prepared: as returned by ``energies``.
        potential: the same as there.
        upstream: (targets,), floats.
    """
    points = prepared.points
    shares = max(1, min(_shares(len(points)), _MOST_PARTIAL_NUMBERS // max(1, points.numel())))
    partial = points.new_zeros((shares, *points.shape))
    ends = upstream, upstream.stride(0)
    sizes = {"force_depth": 64 // points.element_size()}
    targets = len(upstream)
    _launch_on_parts("gradient_kernel", shares, partial, prepared, potential, targets, *ends, **sizes)
    return partial[0] if shares == 1 else partial.sum(dim=0)


@cache
def _is_installed() -> bool:
    return find_spec("triton") is not None


def _parts(count: int, size: int) -> int:
    return -(-count // size)


def _power_of_two(number: int) -> int:
    """The smallest power of two that is at least a number."""
    return 1 << max(0, number - 1).bit_length()


def _shares(count: int) -> int:
    """The number of shares of the columns, so that even few points make enough programs."""
    parts = max(1, _parts(count, _PART))
    return max(1, min(parts, _WANTED_PROGRAMS // parts))


def _hits(points: Tensor, classes: Tensor, potential: Potential, width: int | None) -> Tensor:
    """Which parts of the tiles of pairs may hold one that acts, as ``Prepared`` describes it."""
    count, all_of_them = points.shape
    width = all_of_them if width is None else min(width, all_of_them)
    if width < all_of_them:
        widest = points.var(dim=0, correction=0).topk(width).indices
        vectors = points.index_select(1, widest).half()
    else:
        vectors = points.half()
    norms = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float32)
    near, far = squared_limits(potential, width)
    tiles = _parts(count, _TILE)
    hits = torch.empty((tiles, tiles), dtype=torch.int16, device=points.device)
    squares = _parts(tiles, _GROUP)
    programs = squares * (squares + 1) // 2 * _GROUP**2
    tensors = hits, vectors, norms, classes
    # A subset of coordinates can only show that a pair is far, and far same-class pairs act.
    numbers = count, width, tiles, near, far if width == all_of_them else -math.inf
    sizes = {"tile": _TILE, "part_size": _PART, "group": _GROUP}
    options = _options_of_products(*_capability(points.device))
    _launch("hit_kernel", (programs,), *tensors, *numbers, num_warps=8, **sizes, **options)
    return hits


def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else (9, 0)


def _options_of_products(major: int, _minor: int) -> dict[str, int]:
    """Two programs at a time where their registers suffice, according to compilation ahead of time."""
    if major == 8:
        return {"depth": 32, "num_stages": 4, "maxnreg": 128}
    if major == 9:
        return {"depth": 64, "num_stages": 3, "maxnreg": 128}
    return {"depth": 64, "num_stages": 3}


def squared_limits(potential: Potential, width: int) -> tuple[float, float]:
    """Squared distances, in the arithmetic of the hit kernel, below and above which pairs may act.

    No pair that acts is missed: different-class pairs that repel are nearer than the first, same-class
    pairs that attract are farther than the second.

    float16 keeps 10 bits behind the point, or numbers down to 2^-24: rounding moves a point of norm 1
    by at most 2^-11 + 2^-25 sqrt(d), and changes a distance by at most twice that; 1% more than that
    covers norms that exceed 1, and float64 coordinates that are rounded to float32 on the way. The
    kernel finds the squared distance of the rounded points, |x|^2 + |y|^2 - 2 x·y, from products that
    float32 holds exactly. Its float32 sums of d terms are wrong by less than d 2^-22 in 2 x·y, even if
    every addition cuts instead of rounding, and by d 2^-23 in the norms: by less than d 2^-21
    together. Another 16 times 2^-21 cover single roundings.

    Args:
        potential: how two points act on each other.
        width: d, the number of coordinates that are multiplied.
    """
    moved = 1.01 * (2**-10 + 2**-24 * math.sqrt(width))
    error = (width + 16) * 2**-21
    near = (potential.repulsion_radius + moved) ** 2 + error
    far = max(0.0, potential.attraction_radius - moved) ** 2 - error
    return near, far


@lru_cache(maxsize=256)
def _parameters(potential: Potential, device: torch.device) -> Tensor:
    """Parameters of the laws in ``gpu_kernels``, float64, which Triton takes only in tensors."""
    alpha, core_radius = 0.0, 0.0
    if isinstance(potential, PowerLaw):
        alpha, core_radius = potential.alpha, potential.core_radius
    elif isinstance(potential, Logarithmic):
        core_radius = potential.core_radius
    radii = potential.attraction_radius**2, potential.repulsion_radius, core_radius
    plateaus = potential.attraction_plateau, potential.repulsion_plateau
    return torch.tensor([*radii, alpha, *plateaus], dtype=torch.float64, device=device)


def _law(potential: Potential) -> str:
    """The name of a potential in ``gpu_kernels``."""
    for law in (PowerLaw, Logarithmic, Contrastive):
        if isinstance(potential, law):
            return law.__name__
    raise TypeError(
        f"the kernels have no potential {potential!r}; it must be a PowerLaw, Logarithmic or Contrastive"
    )


def _launch_on_parts(
    name: str,
    shares: int,
    out: Tensor,
    prepared: Prepared,
    potential: Potential,
    targets: int,
    *more: Any,
    **more_sizes: int,
) -> None:
    """Run a program for each part of the rows and each share of the columns."""
    points = prepared.points
    count, width = points.shape
    tensors = out, points, prepared.classes, prepared.order, prepared.hits
    parameters = _parameters(potential, points.device)
    numbers = count, width, targets, len(prepared.hits)
    sizes = {"tile": _TILE, "part_size": _PART, "chunk": 128, "depth": 32 // points.element_size()}
    grid = _parts(count, _PART), shares
    arguments = *tensors, parameters, *more, *numbers
    _launch(name, grid, *arguments, law=_law(potential), num_warps=4, **sizes, **more_sizes)


def _launch(name: str, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Run a program at each point of the grid, if any, on the device of the first argument."""
    from pml_potential.fields import gpu_kernels

    if 0 not in grid:
        with torch.cuda.device_of(arguments[0]):
            # Triton 3.9 warns if this is left to the default, which is about to change.
            getattr(gpu_kernels, name)[grid](*arguments, enable_fp_fusion=True, **options)

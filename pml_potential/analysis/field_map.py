"""Pictures of a field: where a point of a class would be pulled, and how strongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pml_potential.analysis.class_field import class_field
from pml_potential.analysis.figure import new_figure
from pml_potential.analysis.sphere_section import SphereSection
from pml_potential.functional.validation import check_embeddings, check_integer, check_labels
from pml_potential.losses.field_loss import FieldLoss

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OWN, OTHER = "#0072B2", "#D55E00"
"""Colours of the probes' class and of the others, by Okabe and Ito: distinct to the colour-blind."""

_LEVELS = 14
_ARROWS = 21
"""Along each side of a map."""


@dataclass(frozen=True)
class PlaneField:
    """The field of a class on a rectangular grid of a plane.

    Attributes:
        label: the class whose probes feel the field.
        x: (w,), first coordinate of the grid in the plane.
        y: (h,), second coordinate.
        potential: (h, w).
        force: (h, w, 2), along the two directions of the plane.
        points: (n, 2), embeddings to draw, in the plane.
        point_labels: (n,).
        proxies: (m, 2), proxies to draw, in the plane.
        proxy_labels: (m,).
    """

    label: int
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    potential: NDArray[np.float64]
    force: NDArray[np.float64]
    points: NDArray[np.float64]
    point_labels: NDArray[np.int64]
    proxies: NDArray[np.float64]
    proxy_labels: NDArray[np.int64]


@torch.no_grad()
def plane_field(
    loss: FieldLoss,
    embeddings: Tensor,
    labels: Tensor,
    label: int,
    through: Sequence[int] | None = None,
    extent: tuple[float, float, float, float] | None = None,
    resolution: int = 121,
) -> PlaneField:
    """Potential and force that a probe of a class would feel at each point of a plane.

    The sources are the embeddings and the proxies of the loss; the probe itself is not one. The plane
    depends on the width of the embeddings:

    - 2 dimensions: the plane itself, with embeddings and proxies where they are. Nothing is normalised,
      as in the figures of the paper; the loss itself would see only directions.
    - 3 or more: the plane through three embeddings, all l2-normalised. A probe at x in the plane stands
      for the embedding x / ||x||, as the loss normalises it, so the map shows the field on the part of
      the sphere behind the plane. It shows the embeddings and proxies that are nearer than delta to
      that part, each where the ray from the origin to it meets the plane.

    Args:
        loss: a ``PotentialFieldLoss`` or ``CPMLLoss``.
        embeddings: (n, embedding_size).
        labels: (n,), in 0 .. num_classes - 1.
        label: class of the probe.
        through: indices of three embeddings that span the plane; for 2 dimensions None.
        extent: left, right, bottom and top end of the grid. Default: all drawn points and a margin.
        resolution: grid points along each side, at least 2. Default 121.

    Returns:
        The field on the grid. For 3 dimensions or more, the plane's coordinates start at the first of
        the three points, and the first axis points to the second.

    Raises:
        ValueError: An argument is out of range, ``through`` is given for 2 dimensions or missing for
            more, or the three points lie on a line.
        TypeError: An argument has the wrong type.

    Examples:
        >>> from pml_potential import PotentialFieldLoss
        >>> loss = PotentialFieldLoss(num_classes=2, embedding_size=8, proxies_per_class=1)
        >>> embeddings, labels = torch.randn(10, 8), torch.arange(10) % 2
        >>> field = plane_field(loss, embeddings, labels, label=0, through=(0, 1, 2), resolution=50)
        >>> field.potential.shape, field.force.shape
        ((50, 50), (50, 50, 2))
    """
    check_embeddings("embeddings", embeddings, loss.embedding_size)
    check_labels("labels", labels, len(embeddings), loss.num_classes)
    label = check_integer("label", label, 0)
    if label >= loss.num_classes:
        raise ValueError(f"label is {label}; the largest class is {loss.num_classes - 1}")
    resolution = check_integer("resolution", resolution, 2)
    sources = torch.cat([embeddings.detach(), loss.proxies.detach()]).cpu().double()
    source_labels = torch.cat([labels, loss.proxy_labels]).cpu().long()
    radius = loss.potential.attraction_radius
    if loss.embedding_size == 2:
        if through is not None:
            raise ValueError(f"through is {through}; 2-D embeddings fill a plane, leave it out")
        section, positions = None, sources
        drawn = torch.ones(len(sources), dtype=torch.bool)
    else:
        sources = nn.functional.normalize(sources)
        section = SphereSection.through(sources[_three(through, len(embeddings))])
        positions, distances = section.to_plane(sources)
        drawn = distances < radius
        section, sources = section.in_four_dimensions(sources)
    x, y = _grid(positions[drawn], extent, radius, resolution)
    probes = torch.cartesian_prod(y, x).flip(1)
    places = probes if section is None else section.to_sphere(probes)
    values, forces = class_field(places, label, sources, source_labels, loss.potential)
    if section is not None:
        forces = section.along(probes, forces)
    is_proxy = torch.arange(len(sources)) >= len(embeddings)
    points, proxies = drawn & ~is_proxy, drawn & is_proxy
    return PlaneField(
        label=label,
        x=x.numpy(),
        y=y.numpy(),
        potential=values.unflatten(0, (resolution, -1)).numpy(),
        force=forces.unflatten(0, (resolution, -1)).numpy(),
        points=positions[points].numpy(),
        point_labels=source_labels[points].numpy(),
        proxies=positions[proxies].numpy(),
        proxy_labels=source_labels[proxies].numpy(),
    )


def _three(through: Sequence[int] | None, count: int) -> list[int]:
    chosen = [] if through is None else list(through)
    if len(chosen) != 3 or not all(0 <= index < count for index in chosen):
        raise ValueError(
            f"through is {through}; embeddings of 3 dimensions or more need three indices in "
            f"0 .. {count - 1}"
        )
    return chosen


def _grid(
    positions: Tensor, extent: tuple[float, float, float, float] | None, margin: float, resolution: int
) -> tuple[Tensor, Tensor]:
    if extent is None:
        (left, bottom), (right, top) = (positions.amin(dim=0).tolist(), positions.amax(dim=0).tolist())
        margin += 0.1 * max(right - left, top - bottom)
        extent = (left - margin, right + margin, bottom - margin, top + margin)
    left, right, bottom, top = extent
    if not (left < right and bottom < top):
        raise ValueError(f"extent is {extent}; it must be (left, right, bottom, top), both ascending")
    return (
        torch.linspace(left, right, resolution, dtype=torch.float64),
        torch.linspace(bottom, top, resolution, dtype=torch.float64),
    )


def draw_field(axes: Axes, field: PlaneField) -> None:
    """Draw the field of a class into a panel.

    Contours and colours show the rank of the potential: each band between two contours covers the same
    share of the map, blue where the potential is low, which is where probes of the class go, red where
    it is high. Arrows point along the force; their length grows with the square root of its size and is
    capped for the strongest twentieth. Dots are embeddings and diamonds proxies of the class, in blue;
    crosses and pluses are those of other classes, in orange.

    Args:
        axes: of any matplotlib figure.
        field: from ``plane_field``.
    """
    levels = np.unique(np.quantile(field.potential, np.linspace(0, 1, _LEVELS + 1)))
    if len(levels) > 1:
        from matplotlib.colors import BoundaryNorm

        norm = BoundaryNorm(levels, 256)
        axes.contourf(field.x, field.y, field.potential, levels, cmap="RdBu_r", norm=norm, alpha=0.55)
        axes.contour(field.x, field.y, field.potential, levels, colors="0.45", linewidths=0.4)
    every = max(1, len(field.x) // _ARROWS)
    rows, columns = (slice(every // 2, None, every),) * 2
    force = field.force[rows, columns]
    size = np.linalg.norm(force, axis=2, keepdims=True)
    strong = np.quantile(size, 0.95)
    if strong > 0:
        length = np.sqrt(np.minimum(size / strong, 1))
        arrows = length * np.divide(force, size, out=np.zeros_like(force), where=size > 0)
        axes.quiver(
            field.x[columns],
            field.y[rows],
            *np.moveaxis(arrows, 2, 0),
            color="0.15",
            scale=1.1 * _ARROWS,
            width=0.004,
        )
    for positions, labels, shapes, area, what in (
        (field.points, field.point_labels, "oX", 42, "embedding"),
        (field.proxies, field.proxy_labels, "DP", 80, "proxy"),
    ):
        for of, shape, colour in zip(("the class", "another class"), shapes, (OWN, OTHER), strict=True):
            x, y = positions[(labels == field.label) == (colour == OWN)].T
            axes.scatter(
                x,
                y,
                s=area,
                c=colour,
                marker=shape,
                edgecolors="white",
                linewidths=0.8,
                label=f"{what} of {of}",
            )
    axes.set(xlim=field.x[[0, -1]], ylim=field.y[[0, -1]], aspect="equal", xticks=[], yticks=[])


def field_map(fields: Mapping[str, PlaneField]) -> Figure:
    """Draw fields side by side.

    Args:
        fields: from ``plane_field``, by the title of their panel.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: There is no field.
        ModuleNotFoundError: matplotlib is not installed.

    Examples:
        >>> from pml_potential import CPMLLoss
        >>> loss = CPMLLoss(num_classes=2, embedding_size=2, proxies_per_class=1)
        >>> embeddings, labels = torch.randn(10, 2), torch.arange(10) % 2
        >>> figure = field_map({"CPML": plane_field(loss, embeddings, labels, label=0)})
        >>> len(figure.axes)
        1
    """
    if not fields:
        raise ValueError("fields are empty; give at least one")
    first = next(iter(fields.values()))
    shape = float(np.ptp(first.y) / np.ptp(first.x))
    figure = new_figure(4.6 * len(fields), 4.6 * shape + 0.8)
    panels = figure.subplots(1, len(fields), squeeze=False)[0]
    for axes, (title, field) in zip(panels, fields.items(), strict=True):
        draw_field(axes, field)
        axes.set_title(title)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=2 * min(2, len(fields)), frameon=False
    )
    return figure

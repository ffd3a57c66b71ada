"""A plane through three embeddings, and the part of the sphere that lies behind it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_SMALLEST_DETERMINANT = 1e-12


@dataclass(frozen=True)
class SphereSection:
    """A plane that does not contain the centre of the sphere; its points stand for their directions.

    Attributes:
        origin: point of the plane with the coordinates (0, 0), (d,).
        axes: two orthonormal directions of the plane, (2, d).
    """

    origin: Tensor
    axes: Tensor

    @classmethod
    def through(cls, points: Tensor) -> SphereSection:
        """Lay a plane through three points: the first is its origin, the second lies on its first axis.

        Args:
            points: (3, d), of norm 1, d at least 3.

        Raises:
            ValueError: The points lie on a line, or in a plane with the centre of the sphere.

        Examples:
            >>> section = SphereSection.through(torch.eye(3))
            >>> section.to_plane(torch.eye(3))[0].round(decimals=4)
            tensor([[0.0000, 0.0000],
                    [1.4142, 0.0000],
                    [0.7071, 1.2247]])
        """
        # The volume of three directions is 0 if two coincide or all lie in a plane with the centre.
        if torch.linalg.det(points @ points.T) < _SMALLEST_DETERMINANT:
            raise ValueError(
                "the three points lie on a line, or in a plane with the centre of the sphere; choose "
                "points in three directions"
            )
        first = nn.functional.normalize(points[1] - points[0], dim=0)
        second = points[2] - points[0]
        second = nn.functional.normalize(second - (second @ first) * first, dim=0)
        return cls(points[0], torch.stack([first, second]))

    def to_sphere(self, coordinates: Tensor) -> Tensor:
        """Points of the sphere behind points of the plane: (n, 2) to (n, d)."""
        return nn.functional.normalize(self._ambient(coordinates))

    def to_plane(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Find where points of the sphere appear in the plane, and their distance from what it shows.

        Args:
            points: (n, d), of norm 1.

        Returns:
            Coordinates, (n, 2), and the distance of each point from the nearest direction that the plane
            and its mirror image contain, (n,); infinite for points behind the centre, which have no
            coordinates.
        """
        basis = torch.cat([self.origin[None], self.axes])
        shares = torch.linalg.lstsq(basis.T, points.T).solution.T
        seen = shares[:, 0] > 0
        distance = (points - nn.functional.normalize(shares @ basis)).norm(dim=1)
        coordinates = shares[:, 1:] / shares[:, :1].where(seen[:, None], 1)
        return coordinates, distance.where(seen, torch.inf)

    def in_four_dimensions(self, points: Tensor) -> tuple[SphereSection, Tensor]:
        """Reduce points to four dimensions, which is all that the plane sees of them.

        Args:
            points: (n, d).

        Returns:
            The same plane, and the points, (n, 4): three coordinates in the space that holds the plane
            and the centre, and the distance from that space. All distances from points behind the
            plane, and all forces along it, stay the same.
        """
        height = nn.functional.normalize(self.origin - self.origin @ self.axes.T @ self.axes, dim=0)
        frame = torch.cat([self.axes, height[None]])
        along = points @ frame.T
        beside = (points - along @ frame).norm(dim=1, keepdim=True)
        origin = nn.functional.pad(frame @ self.origin, (0, 1))
        axes = torch.eye(4, dtype=origin.dtype, device=origin.device)[:2]
        return SphereSection(origin, axes), torch.cat([along, beside], dim=1)

    def along(self, coordinates: Tensor, forces: Tensor) -> Tensor:
        """Force on points of the plane, from a potential that depends on their directions.

        Args:
            coordinates: x, of the points, (n, 2).
            forces: f, on the points of the sphere behind them, (n, d).

        Returns:
            E (I - u u^T) f / ||x||, with the axes E and the direction u = x / ||x||, (n, 2): minus the
            gradient of the potential with respect to the coordinates.
        """
        ambient = self._ambient(coordinates)
        norms = ambient.norm(dim=1, keepdim=True)
        unit = ambient / norms
        tangential = forces - (forces * unit).sum(dim=1, keepdim=True) * unit
        along_plane: Tensor = tangential / norms @ self.axes.T
        return along_plane

    def _ambient(self, coordinates: Tensor) -> Tensor:
        return self.origin + coordinates @ self.axes

"""How two points act on each other at distance r.

A potential is evaluated on the *squared* distance s = r^2 and gives its value psi and its slope
d psi / d s. The force on a point x from a source y is then ``-2 * slope * (x - y)``.

Every potential has two halves. Points of one class attract each other where they are farther apart
than ``attraction_radius``; points of different classes repel each other where they are closer than
``repulsion_radius``. Everywhere else the potential is a constant, its *plateau*, with slope zero.

A repulsion that diverges as r -> 0 has a *core*: below ``core_radius`` it continues as its tangent
there. The potential stays continuous; the force keeps its magnitude from the edge of the core, and
still points away from the source.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

SMALLEST_CORE_RADIUS = 0.01
"""The smallest core for float32: at alpha = 8 the force is 8e18, whose square Adam can store."""

_SMALLEST_DISTANCE = 1e-12


def _slope_of_linear_force(force: Tensor, distance: Tensor) -> Tensor:
    """Turn d psi / d r into d psi / d s; at r = 0, where no direction exists, the force is zero."""
    return force / (2 * distance.clamp_min(_SMALLEST_DISTANCE))


@dataclass(frozen=True)
class Potential(ABC):
    """Attraction within a class and repulsion between classes, each with its radius.

    Args:
        attraction_radius: delta_att; points of one class that are closer feel no force.
        repulsion_radius: delta_rep; points of different classes that are farther feel no force.
    """

    attraction_radius: float
    repulsion_radius: float

    @property
    @abstractmethod
    def attraction_plateau(self) -> float:
        """The attractive potential at every distance up to ``attraction_radius``."""

    @property
    @abstractmethod
    def repulsion_plateau(self) -> float:
        """The repulsive potential at every distance from ``repulsion_radius`` on."""

    @abstractmethod
    def attraction(self, squared_distance: Tensor) -> tuple[Tensor, Tensor]:
        """Value and slope of the potential between two points of one class."""

    @abstractmethod
    def repulsion(self, squared_distance: Tensor) -> tuple[Tensor, Tensor]:
        """Value and slope of the potential between two points of different classes."""


@dataclass(frozen=True)
class PowerLaw(Potential):
    """psi_att = -r^-alpha beyond delta_att; psi_rep = r^-alpha within delta_rep; alpha > 0.

    Equations 1 and 2 of Bhatnagar & Ahuja, CVPR 2025.

    Examples:
        >>> law = PowerLaw(attraction_radius=0.5, repulsion_radius=0.5, alpha=2.0)
        >>> value, slope = law.repulsion(torch.tensor([0.0625, 1.0]))
        >>> value.tolist(), slope.tolist()
        ([16.0, 4.0], [-256.0, 0.0])
    """

    alpha: float
    core_radius: float = SMALLEST_CORE_RADIUS

    @cached_property
    def attraction_plateau(self) -> float:
        """-delta_att^-alpha."""
        return -math.pow(self.attraction_radius, -self.alpha)

    @cached_property
    def repulsion_plateau(self) -> float:
        """delta_rep^-alpha."""
        return math.pow(self.repulsion_radius, -self.alpha)

    def attraction(self, squared_distance: Tensor) -> tuple[Tensor, Tensor]:
        """-max(r, delta_att)^-alpha."""
        squared = squared_distance.clamp_min(self.attraction_radius**2)
        value = -squared.pow(-self.alpha / 2)
        slope = value / squared * (-self.alpha / 2)
        return value, torch.where(squared_distance > self.attraction_radius**2, slope, 0)

    def repulsion(self, squared_distance: Tensor) -> tuple[Tensor, Tensor]:
        """min(r, delta_rep)^-alpha, continued as a straight line within ``core_radius``."""
        distance = squared_distance.sqrt()
        outside = distance.clamp(self.core_radius, self.repulsion_radius)
        depth = (self.core_radius - distance).clamp_min(0)
        value = outside.pow(-self.alpha)
        force = value / outside * -self.alpha
        slope = _slope_of_linear_force(force, distance)
        return value - force * depth, torch.where(distance < self.repulsion_radius, slope, 0)


@dataclass(frozen=True)
class Logarithmic(Potential):
    """psi_att = ln max(r, delta_att); psi_rep = -ln min(r, delta_rep).

    The limit of (r^-alpha - 1) / alpha -> -ln r for alpha -> 0, where the power law itself is flat.
    """

    core_radius: float = SMALLEST_CORE_RADIUS

    @cached_property
    def attraction_plateau(self) -> float:
        """The logarithm of delta_att."""
        return math.log(self.attraction_radius)

    @cached_property
    def repulsion_plateau(self) -> float:
        """-ln delta_rep."""
        return -math.log(self.repulsion_radius)

    def attraction(self, squared_distance: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithm of max(r, delta_att)."""
        squared = squared_distance.clamp_min(self.attraction_radius**2)
        acts = squared_distance > self.attraction_radius**2
        return squared.log() / 2, torch.where(acts, 0.5 / squared, 0)

    def repulsion(self, squared_distance: Tensor) -> tuple[Tensor, Tensor]:
        """-ln min(r, delta_rep), continued as a straight line within ``core_radius``."""
        distance = squared_distance.sqrt()
        outside = distance.clamp(self.core_radius, self.repulsion_radius)
        depth = (self.core_radius - distance).clamp_min(0)
        slope = _slope_of_linear_force(-1 / outside, distance)
        value = depth / outside - outside.log()
        return value, torch.where(distance < self.repulsion_radius, slope, 0)


@dataclass(frozen=True)
class Contrastive(Potential):
    """psi_att = max(r, delta_att)^2; psi_rep = max(delta_rep - r, 0)^2.

    The potentials of the contrastive loss (Hadsell et al., CVPR 2006), whose attraction grows with
    distance instead of decaying.
    """

    @cached_property
    def attraction_plateau(self) -> float:
        """delta_att^2."""
        return self.attraction_radius**2

    @cached_property
    def repulsion_plateau(self) -> float:
        """Zero."""
        return 0.0

    def attraction(self, squared_distance: Tensor) -> tuple[Tensor, Tensor]:
        """max(r, delta_att)^2."""
        acts = squared_distance > self.attraction_radius**2
        value = squared_distance.clamp_min(self.attraction_radius**2)
        return value, acts.to(squared_distance.dtype)

    def repulsion(self, squared_distance: Tensor) -> tuple[Tensor, Tensor]:
        """max(delta_rep - r, 0)^2."""
        distance = squared_distance.sqrt()
        gap = (self.repulsion_radius - distance).clamp_min(0)
        return gap.square(), _slope_of_linear_force(-2 * gap, distance)

import math

import pytest
import torch
from torch import Tensor

from pml_potential.analysis.class_field import class_field
from pml_potential.analysis.sphere_section import SphereSection
from pml_potential.fields.potentials import PowerLaw


def unit(rows: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, width, generator=generator).double())


def test_the_three_points_lie_in_the_plane_as_far_apart_as_they_are() -> None:
    points = unit(3, 6)
    coordinates, distances = SphereSection.through(points).to_plane(points)
    torch.testing.assert_close(torch.pdist(coordinates), torch.pdist(points))
    assert coordinates[0].tolist() == pytest.approx([0, 0], abs=1e-9)
    assert coordinates[1, 1].item() == pytest.approx(0, abs=1e-9)
    assert distances.tolist() == pytest.approx([0, 0, 0], abs=1e-9)


def test_a_point_of_the_plane_stands_for_its_direction() -> None:
    section = SphereSection.through(unit(3, 6))
    coordinates = torch.tensor([[0.3, -0.4], [1.0, 2.0]], dtype=torch.float64)
    seen = section.to_sphere(coordinates)
    assert seen.norm(dim=1).tolist() == pytest.approx([1, 1])
    back, distances = section.to_plane(seen)
    torch.testing.assert_close(back, coordinates)
    assert distances.tolist() == pytest.approx([0, 0], abs=1e-9)


def test_the_distance_of_a_point_beside_the_section_by_hand() -> None:
    """The section holds the first three axes; a point 30 degrees off is a chord of 30 degrees away."""
    section = SphereSection.through(torch.eye(4, dtype=torch.float64)[:3])
    angle = math.radians(30)
    aside = torch.tensor([[math.cos(angle), 0, 0, math.sin(angle)]], dtype=torch.float64)
    coordinates, distances = section.to_plane(aside)
    assert coordinates[0].tolist() == pytest.approx([0, 0], abs=1e-9)
    assert distances.item() == pytest.approx(2 * math.sin(angle / 2))


def test_what_is_behind_the_centre_is_not_seen() -> None:
    points = unit(3, 5)
    assert SphereSection.through(points).to_plane(-points)[1].tolist() == [math.inf] * 3


def test_the_force_along_the_plane_is_minus_the_gradient_there() -> None:
    section, sources = SphereSection.through(unit(3, 5)), unit(8, 5, seed=1)
    labels, potential = torch.arange(8) % 2, PowerLaw(0.3, 0.9, 1.0)
    coordinates = torch.randn(6, 2, generator=torch.Generator().manual_seed(2)).double()

    def values(at: Tensor) -> Tensor:
        return class_field(section.to_sphere(at), 0, sources, labels, potential)[0]

    forces = class_field(section.to_sphere(coordinates), 0, sources, labels, potential)[1]
    found = section.along(coordinates, forces)
    step = 1e-6
    for axis in range(2):
        shift = step * torch.eye(2, dtype=torch.float64)[axis]
        expected = (values(coordinates - shift) - values(coordinates + shift)) / (2 * step)
        torch.testing.assert_close(found[:, axis], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [3, 5, 40])
def test_four_dimensions_hold_all_that_the_plane_sees(width: int) -> None:
    section, sources = SphereSection.through(unit(3, width)), unit(8, width, seed=1)
    labels, potential = torch.arange(8) % 2, PowerLaw(0.3, 0.9, 1.0)
    coordinates = torch.randn(6, 2, generator=torch.Generator().manual_seed(2)).double()
    few, few_sources = section.in_four_dimensions(sources)
    assert few_sources.shape == (8, 4)
    found, expected = (
        class_field(plane.to_sphere(coordinates), 0, among, labels, potential)
        for plane, among in ((few, few_sources), (section, sources))
    )
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(few.along(coordinates, found[1]), section.along(coordinates, expected[1]))


@pytest.mark.parametrize(
    "points",
    [
        [[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]],
        [[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0]],
        [[1.0, 0, 0], [0.6, 0.8, 0], [0, 1.0, 0]],
    ],
    ids=["two coincide", "two are opposite", "a great circle"],
)
def test_points_that_span_no_section_are_refused(points: list[list[float]]) -> None:
    with pytest.raises(
        ValueError, match="the three points lie on a line, or in a plane with the centre"
    ):
        SphereSection.through(torch.tensor(points))

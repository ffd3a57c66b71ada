import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.quiver import Quiver
from torch import Tensor

from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.analysis import PlaneField, class_field, field_map, plane_field

LABELS = torch.tensor([0, 0, 0, 1, 1])


def loss_in(width: int, proxies_per_class: int = 1) -> PotentialFieldLoss:
    torch.manual_seed(0)
    return PotentialFieldLoss(2, width, proxies_per_class, alpha=1.0, delta=0.3, delta_rep=0.5)


def embeddings_in(width: int) -> Tensor:
    return torch.randn(5, width, generator=torch.Generator().manual_seed(1))


def test_two_dimensions_are_shown_as_they_are_by_hand() -> None:
    """CPML without proxies, one source of the class at (3, 0): the potential is r^2, the force 2r."""
    loss = CPMLLoss(num_classes=1, embedding_size=2, proxies_per_class=0, delta=0.1)
    source = torch.tensor([[3.0, 0.0]])
    field = plane_field(loss, source, torch.tensor([0]), 0, extent=(0, 2, 0, 4), resolution=3)
    assert field.x.tolist() == [0, 1, 2]
    assert field.y.tolist() == [0, 2, 4]
    assert field.potential == pytest.approx(np.array([[9, 4, 1], [13, 8, 5], [25, 20, 17]]), rel=1e-14)
    assert field.force[1, 2].tolist() == [2, -4]
    assert field.points.tolist() == [[3, 0]]


def test_proxies_are_sources_and_are_drawn() -> None:
    loss = loss_in(2, proxies_per_class=2)
    field = plane_field(loss, embeddings_in(2), LABELS, 0)
    np.testing.assert_allclose(field.proxies, loss.proxies.detach().numpy(), rtol=1e-6)
    assert field.proxy_labels.tolist() == [0, 0, 1, 1]
    without = plane_field(loss_in(2, 0), embeddings_in(2), LABELS, 0, None, _extent(field))
    assert (field.potential < without.potential).any()


def _extent(field: PlaneField) -> tuple[float, float, float, float]:
    return field.x[0], field.x[-1], field.y[0], field.y[-1]


def test_the_default_extent_shows_every_point() -> None:
    field = plane_field(loss_in(2), embeddings_in(2), LABELS, 0)
    left, right, bottom, top = _extent(field)
    for x, y in [*field.points.tolist(), *field.proxies.tolist()]:
        assert left < x < right
        assert bottom < y < top


def test_on_the_sphere_the_map_holds_what_a_probe_at_an_embedding_feels() -> None:
    loss, embeddings = loss_in(6), embeddings_in(6)
    field = plane_field(loss, embeddings, LABELS, 0, (0, 1, 3), (0, 2, -1, 1), resolution=3)
    sources = torch.nn.functional.normalize(torch.cat([embeddings, loss.proxies.detach()]).double())
    labels = torch.cat([LABELS, loss.proxy_labels])
    at_the_first = class_field(sources[:1], 0, sources, labels, loss.potential)[0].item()
    assert field.potential[1, 0] == pytest.approx(at_the_first)
    assert field.points[0].tolist() == pytest.approx([0, 0], abs=1e-9)


MEMORY_OF_A_MAP = """
import resource, torch
from pml_potential import PotentialFieldLoss
from pml_potential.analysis import plane_field

loss = PotentialFieldLoss(num_classes=50, embedding_size=64)
embeddings, labels = torch.randn(11_000, 64), torch.arange(11_000) % 50
plane_field(loss, embeddings, labels, 0, (0, 1, 50), resolution=2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
plane_field(loss, embeddings, labels, 0, (0, 1, 50), resolution=40)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_the_map_of_a_whole_training_set_fits_in_memory() -> None:
    """Blocks of differences, (probes, 11,000, 64), once left holes in the heap, 15 GiB for one map."""
    command = [sys.executable, "-c", MEMORY_OF_A_MAP]
    growth_in_kib = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert growth_in_kib < 300 * 2**10


def test_on_the_sphere_lengths_do_not_matter() -> None:
    loss, embeddings = loss_in(4), embeddings_in(4)
    field = plane_field(loss, embeddings, LABELS, 0, (0, 1, 3))
    longer = plane_field(loss, 5 * embeddings, LABELS, 0, (0, 1, 3))
    np.testing.assert_allclose(field.potential, longer.potential, rtol=1e-5, atol=1e-5)


def test_on_the_sphere_only_points_near_the_section_are_drawn() -> None:
    """The last embedding is orthogonal to the three that span the section; proxies are 4-D axes, too."""
    loss = loss_in(4)
    with torch.no_grad():
        loss.proxies.copy_(torch.eye(4)[[0, 3]])
    embeddings = torch.eye(4)[[0, 1, 2, 3]]
    field = plane_field(loss, embeddings, torch.tensor([0, 0, 1, 1]), 0, (0, 1, 2))
    assert field.point_labels.tolist() == [0, 0, 1]
    assert field.proxy_labels.tolist() == [0]


def test_a_figure_has_a_panel_a_field_and_arrows_along_the_forces() -> None:
    field = plane_field(loss_in(2), embeddings_in(2), LABELS, 0)
    figure = field_map({"left": field, "right": field})
    assert [axes.get_title() for axes in figure.axes] == ["left", "right"]
    (arrows,) = (child for child in figure.axes[0].get_children() if isinstance(child, Quiver))
    directions = np.stack([np.asarray(arrows.U), np.asarray(arrows.V)], axis=1)
    lengths = np.linalg.norm(directions, axis=1)
    columns = np.searchsorted(field.x, np.asarray(arrows.X, float) - 1e-9)
    rows = np.searchsorted(field.y, np.asarray(arrows.Y, float) - 1e-9)
    force = field.force[rows, columns]
    size = np.linalg.norm(force, axis=1)
    acting = size > 0
    assert acting.sum() > 100
    np.testing.assert_allclose(
        directions[acting] / lengths[acting, None], force[acting] / size[acting, None], atol=1e-9
    )
    assert (np.diff(lengths[np.argsort(size)]) > -1e-9).all()


def test_the_picture_shows_the_class_in_another_colour() -> None:
    field = plane_field(loss_in(2), embeddings_in(2), LABELS, 1)
    (axes,) = field_map({"": field}).axes
    counts = {
        str(dots.get_label()): len(np.asarray(dots.get_offsets())) for dots in axes.collections[-4:]
    }
    assert counts == {
        "embedding of the class": 2,
        "embedding of another class": 3,
        "proxy of the class": 1,
        "proxy of another class": 1,
    }
    colours = [tuple(np.asarray(dots.get_facecolor())[0][:3]) for dots in axes.collections[-4:]]
    assert colours[0] == colours[2] != colours[1] == colours[3]


def test_a_field_that_is_the_same_everywhere_is_drawn_without_a_warning() -> None:
    loss = PotentialFieldLoss(num_classes=1, embedding_size=2, proxies_per_class=0, delta=2.0)
    field = plane_field(loss, torch.zeros(1, 2), torch.tensor([0]), 0, extent=(0, 1, 0, 1))
    assert np.ptp(field.potential) == 0
    field_map({"flat": field}).canvas.draw()


def test_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="fields are empty"):
        field_map({})


@pytest.mark.parametrize(
    ("width", "through", "arguments", "message"),
    [
        (2, (0, 1, 2), {}, r"through is \(0, 1, 2\); 2-D embeddings fill a plane"),
        (3, None, {}, r"through is None; .* three indices in 0 .. 4"),
        (3, (0, 1), {}, r"through is \(0, 1\)"),
        (3, (0, 1, 5), {}, r"through is \(0, 1, 5\)"),
        (3, (0, 0, 1), {}, "the three points lie on a line"),
        (2, None, {"label": 2}, "label is 2; the largest class is 1"),
        (2, None, {"resolution": 1}, "resolution is 1; it must be at least 2"),
        (2, None, {"extent": (1, 0, 0, 1)}, r"extent is \(1, 0, 0, 1\); it must be"),
    ],
)
def test_bad_input_is_refused(
    width: int, through: Sequence[int] | None, arguments: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plane_field(
            loss_in(width), embeddings_in(width), LABELS, **{"label": 0, "through": through} | arguments
        )

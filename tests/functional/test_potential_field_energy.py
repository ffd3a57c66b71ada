from typing import Any

import pytest
import torch

from pml_potential.functional import potential_field_energy
from tests.losses.loss_cases import batch, each_precision
from tests.losses.oracles import field_energies, power_law

PROXIES = torch.tensor([[1.0, 0.2, 0.0], [0.0, -3.0, 0.1], [0.3, 0.0, 0.5]])


@each_precision
@pytest.mark.parametrize("settings", [{}, {"alpha": 0.0, "delta": 0.7}, {"alpha": 3, "delta_rep": 1.0}])
def test_energies_are_those_of_the_formula(
    settings: dict[str, Any], dtype: torch.dtype, tolerance: float
) -> None:
    embeddings, labels = batch(dtype)
    proxy_labels = torch.tensor([3, 0, 7])
    found = potential_field_energy(embeddings, labels, PROXIES.to(dtype), proxy_labels, **settings)
    numbers: dict[str, float] = {"alpha": 4.0, "delta": 0.2} | settings
    delta_rep = numbers.setdefault("delta_rep", numbers["delta"])
    laws = power_law(numbers["alpha"], numbers["delta"], delta_rep, delta_rep / 2)
    points = [*embeddings.tolist(), *PROXIES.to(dtype).tolist()]
    all_labels = [*labels.tolist(), *proxy_labels.tolist()]
    expected = field_energies(points, all_labels, laws, len(points))
    assert found.tolist() == pytest.approx(expected, rel=tolerance)


def test_proxies_may_have_any_order() -> None:
    embeddings, labels = batch(torch.float64)
    proxies, proxy_labels = PROXIES.double(), torch.tensor([1, 0, 1])
    straight = potential_field_energy(embeddings, labels, proxies, proxy_labels)
    turned = potential_field_energy(embeddings, labels, proxies.flip(0), proxy_labels.flip(0))
    torch.testing.assert_close(turned[12:], straight[12:].flip(0))
    torch.testing.assert_close(turned[:12], straight[:12])


def test_a_core_larger_than_the_radius_is_refused() -> None:
    with pytest.raises(ValueError, match=r"core_radius is 0\.5; it must be at most delta_rep, 0\.2"):
        potential_field_energy(*batch(), core_radius=0.5)

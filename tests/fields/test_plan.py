import pytest
import torch

from pml_potential.fields.plan import Plan


@pytest.mark.parametrize(("count", "expected"), [(1, 128), (3200, 228), (10**6, 512)])
def test_samples_grow_with_the_points_up_to_a_limit(count: int, expected: int) -> None:
    assert Plan.of(torch.zeros(count, 1)).sampled_points == expected


@pytest.mark.parametrize("supported", [True, False])
def test_the_search_is_in_bfloat16_where_the_cpu_multiplies_tiles_of_it(
    monkeypatch: pytest.MonkeyPatch, supported: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: supported)
    assert Plan.of(torch.zeros(2, 3)).searches_in_bfloat16 == supported


def test_other_devices_get_larger_tiles() -> None:
    on_cpu, elsewhere = Plan.of(torch.zeros(2, 3)), Plan.of(torch.zeros(2, 3, device="meta"))
    assert elsewhere.tile_side > on_cpu.tile_side
    assert elsewhere.numbers_per_chunk > on_cpu.numbers_per_chunk
    assert not elsewhere.searches_in_bfloat16

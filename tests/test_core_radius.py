"""What the experiment on the core relies on: the fast network, and which runs must be the same."""

from typing import Any

import pytest
import torch

from benchmarks.core_radius.activations import FROZEN_BLOCKS, load_network
from benchmarks.core_radius.last_blocks import LastBlocks
from benchmarks.core_radius.settings import Run, planned, same_run


def test_matrix_products_are_the_last_blocks_of_the_network() -> None:
    network = load_network()
    activations = torch.rand(3, 112, 8, 8, generator=torch.Generator().manual_seed(0))
    maps = activations
    for block in network._blocks[FROZEN_BLOCKS:]:
        maps = block(maps)
    expected = network._swish(network._bn1(network._conv_head(maps))).mean(dim=(2, 3))
    found = LastBlocks(network, FROZEN_BLOCKS, side=8)(activations)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("core_radius", "is_known"), [(0.01, True), (0.05, True), (0.1, True), (0.13, False), (0.2, False)]
)
def test_cores_below_the_nearest_pair_give_the_same_run(core_radius: float, is_known: bool) -> None:
    entries: list[dict[str, Any]] = [{"run": vars(Run("B", 0.05)), "closest_points": 0.12}]
    assert (same_run(Run("B", core_radius), entries) is not None) == is_known
    assert same_run(Run("B", core_radius, seed=1), entries) is None


def test_no_run_is_planned_twice() -> None:
    runs = planned()
    assert len(set(runs)) == len(runs)

"""What the experiment on the core relies on: which runs must be the same."""

from typing import Any

import pytest

from benchmarks.core_radius.settings import Run, planned, same_run


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

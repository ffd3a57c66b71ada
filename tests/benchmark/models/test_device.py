"""Processes share the GPUs that their parent may use, and no others."""

import pytest

from pml_potential.benchmark.models.device import devices_in_turn


@pytest.mark.parametrize(
    ("processes", "gpus", "visible", "expected"),
    [
        (2, 2, "2,3", ["2", "3"]),
        (3, 2, "2, 3", ["2", "3", "2"]),
        (1, 1, "5", ["5"]),
        (2, 1, "GPU-8f3a", ["GPU-8f3a"] * 2),
        (2, 3, None, ["0", "1"]),
        # CUDA stops reading at the first number that it does not know.
        (2, 1, "4,-1,5", ["4", "4"]),
        (2, 0, None, [None, None]),
        (2, 0, "", [None, None]),
    ],
)
def test_each_process_gets_the_next_of_the_parents_gpus(
    processes: int, gpus: int, visible: str | None, expected: list[str | None]
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert devices_in_turn(processes, gpus, environment) == expected

"""The device that networks are trained on, and how several processes share the GPUs."""

import os
from collections.abc import Mapping

import torch


def training_device() -> torch.device:
    """The first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def devices_in_turn(
    processes: int, gpus: int, environment: Mapping[str, str] = os.environ
) -> list[str | None]:
    """``CUDA_VISIBLE_DEVICES`` for each of several processes: one of this process's GPUs each.

    Args:
        processes: how many there are; if there are more than GPUs, some share one.
        gpus: how many this process sees.
        environment: of this process; its ``CUDA_VISIBLE_DEVICES``, if set, names its GPUs.

    Returns:
        A number or identifier of a GPU for each process; None if there are no GPUs.

    Examples:
        >>> devices_in_turn(3, gpus=2, environment={"CUDA_VISIBLE_DEVICES": "2,3"})
        ['2', '3', '2']
        >>> devices_in_turn(2, gpus=0)
        [None, None]
    """
    if gpus == 0:
        return [None] * processes
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = [str(gpu) for gpu in range(gpus)] if visible is None else visible.split(",")
    return [names[process % gpus].strip() for process in range(processes)]

"""All parts, the most valuable first."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.loss_step_case import Case, measure_memory, measure_time
from benchmarks.on_gpu.fine_tuning import FineTuning
from benchmarks.on_gpu.kernels import LOSSES as FIELD_LOSSES
from benchmarks.on_gpu.kernels import check_loss
from benchmarks.on_gpu.parts import Part
from benchmarks.on_gpu.settings import LOSSES, Scale, settings_of, training_config

KERNELS, LOSS_STEP, FINE_TUNING = "kernels", "loss_step", "fine_tuning"
"""Groups of parts, each with a file of its own."""

_SECONDS = {KERNELS: 40.0, LOSS_STEP: 40.0, FINE_TUNING: 100.0}
"""A guess for the first part of each kind; later ones are estimated from measured times."""


def kernels(scale: Scale, device: torch.device) -> Iterator[Part]:
    """Values and gradients against the formula."""
    shapes = [asdict(shape) for shape in scale.shapes]
    for loss in FIELD_LOSSES:
        measure = partial(check_loss, loss, scale.shapes, device)
        yield Part(KERNELS, loss, KERNELS, _SECONDS[KERNELS], {"shapes": shapes}, measure)


def loss_steps(scale: Scale, device: torch.device) -> Iterator[Part]:
    """The cost of a step of each situation."""
    for name, cases in scale.situations.items():
        asked = {"cases": [asdict(case) for case in cases]}
        measure = partial(_cost, cases, device)
        yield Part(LOSS_STEP, name, LOSS_STEP, _SECONDS[LOSS_STEP], asked, measure)


def trainings(
    scale: Scale, root: Path, work: Path, weights: Mapping[str, Path], device: torch.device
) -> Iterator[Part]:
    """The comparison of the losses, finished for each seed before the next begins."""
    first = training_config(scale, scale.networks[0], LOSSES[0], "download", 0.0, str(root))
    laboratory = FineTuning(first, work, device)
    for network in scale.networks:
        path = weights.get(network)
        named = "download" if path is None else str(path)
        known = named if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
        for seed in scale.seeds:
            for share in scale.wrong_labels:
                for preset in LOSSES:
                    config = training_config(scale, network, preset, named, share, str(root))
                    asked: dict[str, Any] = {
                        "network": network,
                        "weights": known,
                        "preset": preset,
                        "wrong_labels": share,
                        "seed": seed,
                        "settings": dict(settings_of(preset)),
                        "changes": dict(scale.changes),
                        "images": laboratory.data["sha256"],
                    }
                    yield Part(
                        FINE_TUNING,
                        f"{network} {preset} {share:g} {seed}",
                        network,
                        _SECONDS[FINE_TUNING],
                        asked,
                        partial(laboratory.train, config, seed),
                    )


def _cost(cases: tuple[Case, ...], device: torch.device) -> dict[str, Any]:
    times = measure_time(list(cases), device)
    return {
        "costs": [
            {
                **asdict(case),
                "points": case.points,
                "all_seconds": seconds,
                "peak_mib": measure_memory(case, device),
            }
            for case, seconds in zip(cases, times, strict=True)
        ]
    }

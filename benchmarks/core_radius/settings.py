"""The runs: the two settings of the loss, the cores, the three kinds of data, and their order."""

from dataclasses import dataclass, replace
from typing import Any

REGIME: dict[str, Any] = {
    "network": "EfficientNet-Lite0, ImageNet weights, 128 px squashed to a square, blocks 11 to 15, the "
    "last convolution and a linear head trained, the statistics of BatchNorm frozen",
    "embedding_size": 128,
    "proxies_per_class": 5,
    "classes": 25,
    "images_of_a_class": 4,
    "steps_of_an_epoch": 30,
    "epochs": 8,
    "epochs_between_validations": 2,
    "trunk_lr": 1e-4,
    "head_lr": 1e-3,
    "proxies_lr": 1e-2,
    "clip_value": 10.0,
    "weight_decay": 1e-4,
    "wrong_labels": 0.2,
    "share_of_copies": 0.03,
}

TRAIN_CLASSES = 74
VALIDATION_CLASSES = 24


@dataclass(frozen=True)
class Setting:
    """Exponent and radius of the loss."""

    alpha: float
    delta: float


SETTINGS = {"A": Setting(alpha=3.0, delta=0.5), "B": Setting(alpha=4.0, delta=0.2)}
SMALLEST_CORE = 0.01
NEAR = 0.004
"""Distance of the pair that disturbs Adam."""
SHARES = (0.25, 0.5, 1.0)
DATA = ("clean", "wrong labels", "copies")
REPLICATES: dict[str, dict[str, Any]] = {
    "seed 0": {},
    "seed 0, other proxies": {"other_proxies": True},
    "seed 1": {"seed": 1},
}
"""What distinguishes runs of the same kind, as arguments of ``Run``."""


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        setting: A or B.
        core_radius: of the loss.
        data: a member of ``DATA``.
        seed: of batches, views and proxies; wrong labels and copies are the same for all.
        plain_sum: whether the loss is U instead of U / n.
        clip: whether gradients are clipped, each number at ``REGIME["clip_value"]``.
        weight_decay: whether Adam has weight decay, added to the gradient.
        other_proxies: whether the proxies start elsewhere, by other random numbers for k-means, with
            the same batches.
    """

    setting: str
    core_radius: float
    data: str = "clean"
    seed: int = 0
    plain_sum: bool = False
    clip: bool = False
    weight_decay: bool = False
    other_proxies: bool = False


def cores(setting: str) -> tuple[float, ...]:
    """The smallest core, and shares of delta."""
    return (SMALLEST_CORE, *(share * SETTINGS[setting].delta for share in SHARES))


def same_run(run: Run, entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The result of a run, if there is one: its own, or that of one which is the same to the last bit.

    A core acts only between points of different classes that are nearer than it. All cores up to the
    smallest distance of such points therefore give the same training.
    """
    for entry in entries:
        # The first three runs did not record how near points came.
        other = Run(**entry["run"])
        if replace(other, core_radius=run.core_radius) == run and (
            max(other.core_radius, run.core_radius) <= entry.get("closest_points", 0)
            or other.core_radius == run.core_radius
        ):
            return entry
    return None


def planned() -> list[Run]:
    """All runs, the most important first."""
    plain = Run("B", SMALLEST_CORE)
    summed = replace(plain, plain_sum=True)
    clipped = replace(summed, clip=True)
    elsewhere = [
        *(Run("B", core) for core in (0.1, 0.2)),
        *(Run("B", core, "wrong labels") for core in (0.01, 0.2)),
        Run("B", SMALLEST_CORE, "copies"),
        Run("A", SMALLEST_CORE),
        *(Run("A", core, "copies") for core in (0.01, 0.25)),
        summed,
    ]
    return [
        *(replace(run, other_proxies=True) for run in elsewhere),
        *(Run("B", core) for core in (0.01, 0.05)),
        *(Run("B", core, "copies") for core in (0.05, 0.1, 0.2)),
        clipped,
        replace(clipped, data="copies"),
        *(Run("B", core, data, seed=1) for data in ("copies", "clean") for core in (0.1, 0.2)),
        *(Run("A", core, data) for data in ("copies", "clean") for core in (0.5, 0.25)),
        Run("B", SMALLEST_CORE, "copies"),
        replace(plain, weight_decay=True),
        replace(summed, weight_decay=True),
        *(Run("A", core, "wrong labels") for core in (0.25, 0.5)),
        replace(clipped, weight_decay=True),
        Run("A", SMALLEST_CORE, "copies"),
        *(Run("A", core, data, seed=1) for data in ("copies", "clean") for core in (0.25, 0.5)),
    ]

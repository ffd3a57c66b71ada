"""The measurements: in full on a GPU, in miniature without one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.loss_step import (
    CUB,
    DENSE,
    FORMULA,
    HUGE,
    MEAN_FIELDS,
    PROXY_ANCHOR,
    SOFT_TRIPLE,
    SOP,
    STATES,
)
from benchmarks.loss_step_case import Case
from benchmarks.on_gpu.kernels import SHAPES, Shape
from benchmarks.photographs.plan import best_trials
from benchmarks.photographs.settings import CARS, SEEDS, base_config, trial
from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.schema import Config

LOSSES = (
    "potential_field",
    "proxy_anchor",
    "multi_similarity",
    "normalized_softmax",
    "mean_field_class_wise_multi_similarity",
)
"""Presets of the losses that train a network."""

_BEHIND_PCA = 1
"""Number of the study's trial with the published settings of each loss and a PCA head."""


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        shapes: of the points for which the losses are compared with the formula.
        situations: of the cost of a step, each with the cases that are measured side by side.
        networks: that are fine-tuned.
        wrong_labels: shares of the training images.
        seeds: of the trainings.
        changes: to the configuration of the study on photographs, by dotted path.
    """

    shapes: tuple[Shape, ...]
    situations: Mapping[str, tuple[Case, ...]]
    networks: tuple[str, ...]
    wrong_labels: tuple[float, ...]
    seeds: tuple[int, ...]
    changes: Mapping[str, Any]


def _situations() -> dict[str, tuple[Case, ...]]:
    """Situations of ``benchmarks.loss_step``, including those that only one loss can take."""
    found: dict[str, tuple[Case, ...]] = {}
    for state in STATES:
        cub, sop = replace(CUB, state=state), replace(SOP, state=state)
        rivals = [replace(cub, method=method) for method in (DENSE, FORMULA, PROXY_ANCHOR, SOFT_TRIPLE)]
        found[f"CUB-like, {state}"] = (*rivals, *(replace(cub, delta=delta) for delta in (0.2, 0.5)))
        rivals = [replace(sop, method=method) for method in (DENSE, PROXY_ANCHOR, SOFT_TRIPLE)]
        found[f"SOP-like, {state}"] = (*rivals, *(replace(sop, delta=delta) for delta in (0.2, 0.5)))
        training = replace(sop, state=state, training=True)
        found[f"SOP-like, {state}, training"] = (replace(training, method=PROXY_ANCHOR), training)
    return found | {"100,000 classes": (HUGE,), "100,000 mean fields": (MEAN_FIELDS,)}


ON_GPU = Scale(
    shapes=SHAPES,
    situations=_situations(),
    networks=("efficientnet_lite0", "efficientnet_lite2"),
    wrong_labels=(0.0, 0.2),
    seeds=SEEDS,
    changes={
        "protocol.crop.resize": 256,
        "protocol.crop.size": 224,
        "model.freeze_until": None,
        "model.amp": "bfloat16",
    },
)

_SMALL = replace(CUB, classes=20, proxies_per_class=2, width=16)

MINIATURE = Scale(
    shapes=tuple(shape for shape in SHAPES if shape.points < 300),
    situations={"small": (replace(_SMALL, method=FORMULA), _SMALL)},
    networks=ON_GPU.networks[:1],
    wrong_labels=ON_GPU.wrong_labels[-1:],
    seeds=SEEDS[:1],
    changes={
        "protocol.crop.resize": 40,
        "protocol.crop.size": 32,
        "protocol.batch_size": 8,
        "protocol.iterations_per_epoch": 1,
        "protocol.max_epochs": 2,
        "model.embedding_size": 16,
        "model.freeze_until": None,
    },
)


def settings_of(preset: str) -> Mapping[str, Any]:
    """Settings of a loss: the best ones of the study on photographs, or published ones before."""
    return best_trials().get(preset) or trial(preset, _BEHIND_PCA)


def training_config(
    scale: Scale, network: str, preset: str, weights: str, wrong_labels: float, root: str
) -> Config:
    """The configuration of a training: that of the study on photographs, at another scale."""
    changes = {
        **settings_of(preset),
        **scale.changes,
        "model.trunk": network,
        "model.weights": weights,
        "dataset.label_noise": wrong_labels,
    }
    return with_values(base_config(preset, CARS, root), changes)

"""Settings of the study: losses, network, protocol, and the values of the ablations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pml_potential.benchmark.config.composing import compose, with_values
from pml_potential.benchmark.config.schema import Config

RUNS = Path("runs") / "glyphs_study"

LOSSES = (
    "potential_field",
    "potential_field_pretrained",  # the same loss, with data-initialised proxies
    "cpml",
    "mean_field_contrastive",
    "mean_field_class_wise_multi_similarity",
    "class_wise_multi_similarity",
    "contrastive",
    "multi_similarity",
    "soft_triple",
    "proxy_anchor",
    "normalized_softmax",
)

PRETRAINED = "efficientnet_lite0"
FROM_SCRATCH = "small_cnn"

SEARCHED = (
    "protocol.crop.resize=96",
    "protocol.crop.size=96",
    "protocol.study={trials: 20, startup_trials: 8}",
    "protocol.reproductions=5",
)

CONVERGENCE: Mapping[str, Any] = {
    # A fifth more iterations than in the search, with a validation after every twenty.
    "protocol.iterations_per_epoch": 20,
    "protocol.max_epochs": 15,
    "protocol.patience": 15,
    "protocol.reproductions": 3,
}

GRIDS: Mapping[str, tuple[float, ...]] = {
    "loss.params.alpha": (0.0, 1.0, 2.0, 4.0, 6.0),
    "loss.params.delta": (0.1, 0.2, 0.35, 0.65, 1.0),
    "loss.params.proxies_per_class": (1, 5, 15),
}

STARTS: Mapping[str, Mapping[str, Any]] = {
    "random": {"loss.optimizer.lr": 1e-2},
    "in the data": {"loss.optimizer.lr": 1e-2, "loss.initialize_proxies_after_epoch": 0},
}
"""Where proxies start; the search's own learning rate would hardly move them (see the page)."""

DELTAS_FROM_SCRATCH = (0.05, 0.2, 0.65)


def searched_config(loss: str) -> Config:
    """The configuration of every loss: a head on frozen features, twenty trials, five reproductions."""
    return compose(_presets(PRETRAINED, loss), SEARCHED)


def from_scratch_config() -> Config:
    """A small network and the shipped preset of the potential field, three reproductions."""
    return with_values(compose(_presets(FROM_SCRATCH, "potential_field")), {"protocol.reproductions": 3})


def _presets(model: str, loss: str) -> dict[str, str]:
    return {"protocol": "quick", "dataset": "glyphs", "model": model, "loss": loss}

"""Values of hyperparameters and shares of wrong labels that the papers try."""

from collections.abc import Mapping

GRIDS: Mapping[str, tuple[float, ...]] = {
    "loss.params.proxies_per_class": (0, 1, 2, 5, 10, 15, 20, 30),
    "loss.params.delta": (0.10, 0.15, 0.20, 0.25, 0.30, 0.35),
    "loss.params.alpha": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
    "loss.params.regularization_weight": (0.0, 0.01, 0.1, 1.0, 10.0, 100.0),
}
"""By dotted path: PFML Section 4.5, and the mean-field paper for its lambda_MF."""

NOISE_LEVELS = (0.0, 0.1, 0.2, 0.4)
"""Shares of wrong training labels."""

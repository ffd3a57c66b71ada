"""Potential-field and mean-field losses for pytorch-metric-learning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pml_potential.gradient_cache import GradientCache
    from pml_potential.losses import (
        ClassWiseMultiSimilarityLoss,
        CPMLLoss,
        CrossBatchMemory,
        DistributedLossWrapper,
        MeanFieldClassWiseMultiSimilarityLoss,
        MeanFieldContrastiveLoss,
        PotentialFieldLoss,
        initialize_head,
    )

__version__ = "0.2.0"

__all__ = [
    "CPMLLoss",
    "ClassWiseMultiSimilarityLoss",
    "CrossBatchMemory",
    "DistributedLossWrapper",
    "GradientCache",
    "MeanFieldClassWiseMultiSimilarityLoss",
    "MeanFieldContrastiveLoss",
    "PotentialFieldLoss",
    "__version__",
    "initialize_head",
]

_ROOMS = {"fields", "functional", "gradient_cache", "losses"}
"""Submodules that ``import pml_potential`` makes reachable, as it did before imports became lazy."""


def __getattr__(name: str) -> Any:
    # ``pml_potential.functional`` needs only torch: modules that need more are imported on first use.
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name in __all__:
        room = "gradient_cache" if name == "GradientCache" else "losses"
        return getattr(import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})

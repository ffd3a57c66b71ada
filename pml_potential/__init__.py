"""Potential-field and mean-field losses for pytorch-metric-learning."""

from pml_potential.losses import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    MeanFieldClassWiseMultiSimilarityLoss,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)

__version__ = "0.1.0"

__all__ = [
    "CPMLLoss",
    "ClassWiseMultiSimilarityLoss",
    "MeanFieldClassWiseMultiSimilarityLoss",
    "MeanFieldContrastiveLoss",
    "PotentialFieldLoss",
    "__version__",
]

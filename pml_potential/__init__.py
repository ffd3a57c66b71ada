"""Potential-field and mean-field losses for pytorch-metric-learning."""

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

__version__ = "0.1.0"

__all__ = [
    "CPMLLoss",
    "ClassWiseMultiSimilarityLoss",
    "CrossBatchMemory",
    "DistributedLossWrapper",
    "MeanFieldClassWiseMultiSimilarityLoss",
    "MeanFieldContrastiveLoss",
    "PotentialFieldLoss",
    "__version__",
    "initialize_head",
]

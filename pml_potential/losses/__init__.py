"""Losses for pytorch-metric-learning, one in each file, named after its class."""

from pml_potential.functional.validation import NonFiniteError
from pml_potential.losses.class_wise_multi_similarity_loss import ClassWiseMultiSimilarityLoss
from pml_potential.losses.cpml_loss import CPMLLoss
from pml_potential.losses.cross_batch_memory import CrossBatchMemory
from pml_potential.losses.distributed_loss_wrapper import DistributedLossWrapper
from pml_potential.losses.head_start import initialize_head
from pml_potential.losses.mean_field_class_wise_multi_similarity_loss import (
    MeanFieldClassWiseMultiSimilarityLoss,
)
from pml_potential.losses.mean_field_contrastive_loss import MeanFieldContrastiveLoss
from pml_potential.losses.potential_field_loss import PotentialFieldLoss

__all__ = [
    "CPMLLoss",
    "ClassWiseMultiSimilarityLoss",
    "CrossBatchMemory",
    "DistributedLossWrapper",
    "MeanFieldClassWiseMultiSimilarityLoss",
    "MeanFieldContrastiveLoss",
    "NonFiniteError",
    "PotentialFieldLoss",
    "initialize_head",
]

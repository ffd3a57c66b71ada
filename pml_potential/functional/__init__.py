"""The losses as plain functions of tensors, which need torch and nothing else."""

from pml_potential.functional.class_wise_multi_similarity_loss import class_wise_multi_similarity_loss
from pml_potential.functional.contrastive_potential_energy import contrastive_potential_energy
from pml_potential.functional.mean_field_class_wise_multi_similarity_loss import (
    mean_field_class_wise_multi_similarity_loss,
)
from pml_potential.functional.mean_field_contrastive_loss import mean_field_contrastive_loss
from pml_potential.functional.potential_field_energy import potential_field_energy
from pml_potential.functional.validation import NonFiniteError

__all__ = [
    "NonFiniteError",
    "class_wise_multi_similarity_loss",
    "contrastive_potential_energy",
    "mean_field_class_wise_multi_similarity_loss",
    "mean_field_contrastive_loss",
    "potential_field_energy",
]

"""A variant of PFML that other people's code has, for the study's questions."""

from typing import Any

import pml_potential
from pml_potential.losses.potential_field_loss import PotentialFieldLoss


class EmbeddingEnergyLoss(PotentialFieldLoss):
    """The energy of the embeddings alone: proxies are sources of the field, and have no energy."""

    def compute_loss(self, *args: Any, **kwargs: Any) -> dict[str, dict[str, Any]]:
        """The parts of the loss but for the energy of the proxies."""
        parts = super().compute_loss(*args, **kwargs)
        del parts["proxy_energy"]
        return parts

    def _sub_loss_names(self) -> list[str]:
        return ["embedding_energy"]


def register() -> None:
    """Let configurations name the variant."""
    pml_potential.EmbeddingEnergyLoss = EmbeddingEnergyLoss

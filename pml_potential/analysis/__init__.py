"""What a researcher measures around a loss, on plain arrays and tensors."""

from pml_potential.analysis.convergence import Convergence, convergence, epochs_to_reach
from pml_potential.analysis.embedding_health import EmbeddingHealth, embedding_health
from pml_potential.analysis.label_noise import corrupt_labels
from pml_potential.analysis.proxies_of_loss import proxies_of
from pml_potential.analysis.proxy_alignment import (
    ProxyAlignment,
    ProxyAlignmentTracker,
    proxy_alignment,
)

__all__ = [
    "Convergence",
    "EmbeddingHealth",
    "ProxyAlignment",
    "ProxyAlignmentTracker",
    "convergence",
    "corrupt_labels",
    "embedding_health",
    "epochs_to_reach",
    "proxies_of",
    "proxy_alignment",
]

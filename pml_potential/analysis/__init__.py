"""Measurements around a loss, on plain arrays and tensors."""

from pml_potential.analysis.class_field import class_field
from pml_potential.analysis.convergence import Convergence, convergence, epochs_to_reach
from pml_potential.analysis.embedding_health import EmbeddingHealth, embedding_health
from pml_potential.analysis.field_map import PlaneField, draw_field, field_map, plane_field
from pml_potential.analysis.label_noise import corrupt_labels
from pml_potential.analysis.proxies_of_loss import proxies_of
from pml_potential.analysis.proxy_alignment import (
    ProxyAlignment,
    ProxyAlignmentTracker,
    proxy_alignment,
)
from pml_potential.analysis.retrieval_sheet import retrieval_sheet

__all__ = [
    "Convergence",
    "EmbeddingHealth",
    "PlaneField",
    "ProxyAlignment",
    "ProxyAlignmentTracker",
    "class_field",
    "convergence",
    "corrupt_labels",
    "draw_field",
    "embedding_health",
    "epochs_to_reach",
    "field_map",
    "plane_field",
    "proxies_of",
    "proxy_alignment",
    "retrieval_sheet",
]

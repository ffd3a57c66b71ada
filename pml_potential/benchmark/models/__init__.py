"""Networks by name, from several libraries, with their weights, pooling and device."""

from pml_potential.benchmark.models.building import build_models
from pml_potential.benchmark.models.trunks import build_trunk, check_image_size, check_trunk_name

__all__ = ["build_models", "build_trunk", "check_image_size", "check_trunk_name"]

"""The benchmark of "A Metric Learning Reality Check", on Optuna and PML's trainers and testers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pml_potential.benchmark.training.exported_model import load_model

__all__ = ["load_model"]


def __getattr__(name: str) -> Any:
    """Import ``load_model`` on first use, as that takes seconds."""
    if name in __all__:
        from pml_potential.benchmark.training import exported_model

        return getattr(exported_model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What a researcher measures around a loss, on plain arrays and tensors."""

from pml_potential.analysis.convergence import Convergence, convergence, epochs_to_reach
from pml_potential.analysis.label_noise import corrupt_labels

__all__ = ["Convergence", "convergence", "corrupt_labels", "epochs_to_reach"]

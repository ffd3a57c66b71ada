"""From the pixels of a picture to the input of a network."""

import torch
from torch import Tensor

from pml_potential.benchmark.config.schema import Input


class Normalisation:
    """Scales pixels as a network takes them.

    Pixels are scaled to 0 to ``white``, then channels are put in order; only then is ``mean`` subtracted
    and the result divided by ``std``, which are given in the order of ``model_input.channels``.

    Args:
        model_input: what the network takes; None for whole images with pixels in [-1, 1].

    Examples:
        >>> Normalisation(None)(torch.tensor([[[0, 255]]], dtype=torch.uint8))
        tensor([[[-1.,  1.]]])
    """

    def __init__(self, model_input: Input | None) -> None:
        self._input = model_input
        if model_input is not None:
            self._mean = torch.tensor(model_input.mean).view(3, 1, 1)
            self._std = torch.tensor(model_input.std).view(3, 1, 1)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Scale pixels (..., channels, height, width) of 0 to 255, grey or red, green and blue."""
        if self._input is None:
            return pixels.float() / 127.5 - 1
        if self._input.channels == "BGR":
            pixels = pixels.flip(-3)
        return (pixels.float() * self._input.white / 255 - self._mean) / self._std

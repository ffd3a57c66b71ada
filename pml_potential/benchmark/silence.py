"""Keeping PML's own progress bars, and a warning that they cause, off the terminal."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import tqdm


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Draw no tqdm bar inside: PML's trainers and testers have no argument that turns theirs off."""
    original = tqdm.tqdm
    vars(tqdm)["tqdm"] = partial(original, disable=True)
    try:
        with warnings.catch_warnings():
            # PML formats the loss, a tensor that requires grad, for its bar.
            warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
            yield
    finally:
        vars(tqdm)["tqdm"] = original

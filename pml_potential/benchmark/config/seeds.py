"""One seed for each piece of work, so a piece gives the same result whenever it is done."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

Stage = Literal["search", "sampler", "reproduction", "epoch", "label_noise", "view"]
_STAGES: tuple[Stage, ...] = ("search", "sampler", "reproduction", "epoch", "label_noise", "view")


def derive_seed(seed: int, stage: Stage, *numbers: int) -> int:
    """Seed of a piece of work, a hash of the run's seed and the place of the piece in the run.

    Examples:
        >>> derive_seed(0, "search", 3, 1) == derive_seed(0, "search", 3, 1)
        True
        >>> derive_seed(0, "search", 3, 1) == derive_seed(0, "search", 1, 3)
        False
    """
    sequence = np.random.SeedSequence([seed, _STAGES.index(stage), *numbers])
    return int(sequence.generate_state(1)[0])


def seed_everything(seed: int) -> None:
    """Seed the global generators of python, numpy (PML's samplers use it) and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def use_deterministic_algorithms() -> None:
    """Make torch use only deterministic algorithms, from now on in this process.

    Call it before the first operation on a GPU: cuBLAS chooses its workspace once.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator inside, and restore it afterwards."""
    state = torch.get_rng_state()
    # Not torch.manual_seed, which would also seed the generators of GPUs.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)

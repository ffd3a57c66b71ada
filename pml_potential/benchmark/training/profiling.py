"""Where the time of training goes: loading, network, loss, evaluation."""

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.profiler import ProfilerActivity, profile

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.folds import load_fold_data
from pml_potential.benchmark.training.batches import check_batches
from pml_potential.benchmark.training.fold import train_fold

STAGES = {
    "loading": "waiting for images",
    "network": "trunk and embedder, forward",
    "loss": "miner and loss, forward",
    "backward": "gradients of network and loss",
    "optimizers": "optimizer steps",
    "evaluation": "embedding and scoring the validation set",
}
"""The stages of training, with what they are."""


@dataclass(frozen=True)
class Profile:
    """How long the stages of some training steps took.

    Attributes:
        seconds: of each of ``STAGES``.
        images: number of images trained on.
    """

    seconds: dict[str, float]
    images: int

    @property
    def images_per_second(self) -> float:
        """Training speed, without evaluation."""
        return self.images / (sum(self.seconds.values()) - self.seconds["evaluation"])

    @property
    def limit(self) -> str:
        """The stage that takes longest."""
        return max(self.seconds, key=lambda stage: self.seconds[stage])


def profile_training(config: Config, cache: Path) -> Profile:
    """Train the first fold for one epoch and validate once, under torch's profiler.

    Args:
        config: what to train, and how.
        cache: folder for the output of frozen layers, which is computed before the clock starts.
    """
    protocol = config.protocol.model_copy(update={"max_epochs": 1, "validation_interval": 1})
    config = config.model_copy(update={"protocol": protocol})
    data = load_fold_data(config, cache)
    check_batches(config, data)
    data.prepare(config)
    # Otherwise the profiler prints its own lines, and warns of a missing GPU.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with TemporaryDirectory() as folder, profile(activities=activities) as profiler:
        train_fold(
            config,
            *data.fold(config, 0),
            Path(folder) / "fold",
            config.seed,
            lambda _epoch, _score: None,
            queries=data.splits.folds[0].queries,
        )
    total = dict.fromkeys(STAGES, 0.0)
    for event in profiler.key_averages():
        if event.key in total:
            total[event.key] += event.cpu_time_total / 1e6
    return Profile(total, protocol.iterations_per_epoch * protocol.batch_size)

"""A profile tells the stages of training apart, and what is limited by which."""

from pathlib import Path

import pytest

from pml_potential.benchmark.training.profiling import STAGES, Profile, profile_training
from tests.benchmark.tiny import tiny_config

SECONDS = {
    "loading": 1.0,
    "network": 2.0,
    "loss": 0.5,
    "backward": 3.0,
    "optimizers": 1.5,
    "evaluation": 10.0,
}


def test_speed_is_that_of_training_without_evaluation() -> None:
    assert Profile(SECONDS, images=40).images_per_second == pytest.approx(40 / 8)


@pytest.mark.parametrize("stage", STAGES)
def test_the_limit_is_the_stage_that_takes_longest(stage: str) -> None:
    assert Profile(SECONDS | {stage: 11.0}, images=40).limit == stage


def test_every_stage_of_a_training_takes_time_and_all_steps_are_counted(tmp_path: Path) -> None:
    config = tiny_config(
        "protocol.max_epochs=4", "protocol.validation_interval=4", loss="multi_similarity_miner"
    )
    found = profile_training(config, tmp_path)
    assert found.seconds.keys() == STAGES.keys()
    assert all(seconds > 0 for seconds in found.seconds.values())
    # One epoch of two batches of eight images, whatever the protocol asks for.
    assert found.images == 16

"""What rank 0 announces, a follower can read: numbers and text, from which it builds the same fold."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.training import following
from pml_potential.benchmark.training.following import announce_fold, follow
from tests.benchmark.tiny import tiny_config


@pytest.fixture
def message(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The announcement of a fold."""
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(following, "tell_followers", sent.append)
    announce_fold(tiny_config("seed=11", "model.amp=float16"), Path("run") / "features", 1, 42)
    (told,) = sent
    return told


def test_an_announcement_survives_a_transfer_in_which_no_code_can_be(message: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(message, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == message


def test_an_announcement_says_all_that_decides_how_a_fold_goes(message: dict[str, Any]) -> None:
    assert Config.model_validate_json(message["config"]) == tiny_config("seed=11", "model.amp=float16")
    assert (message["fold"], message["seed"]) == (1, 42)
    assert Path(message["cache"]) == Path("run") / "features"


def test_a_follower_ends_when_the_leader_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # A state of a fold that nobody announced is passed over.
    messages: list[Any] = [{"epoch": 3}, None, {"epoch": 4}]
    monkeypatch.setattr(following, "told_by_leader", lambda: messages.pop(0))
    follow()
    assert messages == [{"epoch": 4}]

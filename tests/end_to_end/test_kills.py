"""A run that is killed three times, at any moment, ends as one that was left alone."""

import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.files import read_json
from tests.end_to_end.command import Ended, Reference, start_tiny
from tests.end_to_end.watch import Watch

KILLS = 3
FOLDS = 8


@dataclass
class Killed:
    """What became of a run that was killed again and again."""

    folder: Path
    results: Any
    watch: Watch
    codes: list[int]
    last: Ended


def seconds_of_a_fold(folder: Path, watch: Watch) -> float:
    """About the time that this machine takes for a fold, as busy as it is."""
    seconds = [read_json(folder / name)["seconds"] for name in list(watch.written)]
    return max(seconds, default=1.0)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed") / "run"
    watch = Watch(folder)
    moments = random.Random(1)
    codes = []
    # Early enough that the run cannot end before the last of them.
    for number in sorted(moments.sample(range(FOLDS - 2), KILLS)):
        started = start_tiny(folder)
        started.wait_until(watch.has_seen(number))
        time.sleep(moments.random() * seconds_of_a_fold(folder, watch))
        codes.append(started.send(signal.SIGKILL).code)
    last = start_tiny(folder).end()
    watch.end()
    return Killed(folder, read_json(folder / "report" / "results.json"), watch, codes, last)


def without_times(folds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in fold.items() if key != "seconds"} for fold in folds]


def test_the_last_of_the_processes_ends_well(killed: Killed) -> None:
    assert killed.codes == [-signal.SIGKILL] * KILLS
    assert killed.last.code == 0, killed.last
    assert (killed.folder / "report" / "index.html").is_file()


def test_every_trial_equals_that_of_a_run_that_was_left_alone(
    killed: Killed, reference: Reference
) -> None:
    for found, expected in zip(killed.results["trials"], reference.results["trials"], strict=True):
        for key in ("number", "params", "validation_map_at_r", "failure"):
            assert found[key] == expected[key]
        assert without_times(found["folds"]) == without_times(expected["folds"])
    assert killed.results["best"] == reference.results["best"]


def test_every_test_score_equals_that_of_a_run_that_was_left_alone(
    killed: Killed, reference: Reference
) -> None:
    assert killed.results["test"] == reference.results["test"]
    pieces = zip(killed.results["reproductions"], reference.results["reproductions"], strict=True)
    for found, expected in pieces:
        assert without_times(found["folds"]) == without_times(expected["folds"])


def test_no_fold_is_lost_or_trained_twice(killed: Killed) -> None:
    assert len(killed.watch.written) == FOLDS
    assert killed.watch.written_again == []


def test_nothing_is_left_of_the_kills(killed: Killed) -> None:
    names = [path.name for path in killed.folder.rglob("*")]
    assert not [name for name in names if "damaged" in name or name.endswith(".pt")]

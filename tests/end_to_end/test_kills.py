"""A run that is killed twenty times, at any moment, ends as one that was left alone."""

import io
import multiprocessing
import os
import random
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.files import read_json
from tests.end_to_end.watch import Watch

KILLS = 20
TRIALS, REPRODUCTIONS, FOLDS = 4, 2, 2


def config() -> Config:
    presets = {"protocol": "quick", "dataset": "glyphs", "model": "small_cnn", "loss": "potential_field"}
    settings = (
        f"protocol.folds={FOLDS}",
        "protocol.batch_size=8",
        "protocol.iterations_per_epoch=2",
        "protocol.max_epochs=3",
        "protocol.patience=9",
        f"protocol.study={{trials: {TRIALS}, startup_trials: 2}}",
        f"protocol.reproductions={REPRODUCTIONS}",
    )
    return compose(presets, settings)


def run(folder: Path, output: Path) -> None:
    # Of the server that forks this process, not of a terminal.
    os.setpgrp()
    with output.open("w") as file:
        run_experiment(config(), folder, Console(file=file, width=200))


@dataclass
class Killed:
    """What became of a run that was killed again and again."""

    results: Any
    expected: Any
    watch: Watch
    kills: int
    last_code: int | None
    output: str
    folder: Path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed") / "run"
    context = multiprocessing.get_context("forkserver")
    # A process of its own each time, forked from one that has done the imports.
    context.set_forkserver_preload(["pml_potential.benchmark.experiments.experiment", "torch", __name__])
    output = folder.parent / "output"
    watch = Watch(folder)
    moments = random.Random(1)
    kills = 0
    while kills < KILLS:
        process = context.Process(target=run, args=(folder, output))
        process.start()
        process.join(moments.uniform(0.1, 2.5))
        assert process.pid is not None
        assert process.exitcode is None, f"it ended after {kills} kills: {output.read_text()}"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
    process = context.Process(target=run, args=(folder, output))
    process.start()
    process.join(300)
    watch.end()
    whole = tmp_path_factory.mktemp("whole") / "run"
    run_experiment(config(), whole, Console(file=io.StringIO()))
    results, expected = (read_json(each / "report" / "results.json") for each in (folder, whole))
    return Killed(results, expected, watch, kills, process.exitcode, output.read_text(), folder)


def without_times(folds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in fold.items() if key != "seconds"} for fold in folds]


def test_the_last_of_the_processes_ends_well(killed: Killed) -> None:
    assert killed.kills == KILLS
    assert killed.last_code == 0
    assert (killed.folder / "report" / "index.html").is_file()


def test_every_trial_equals_that_of_a_run_that_was_left_alone(killed: Killed) -> None:
    for found, expected in zip(killed.results["trials"], killed.expected["trials"], strict=True):
        for key in ("number", "params", "validation_map_at_r", "failure"):
            assert found[key] == expected[key]
        assert without_times(found["folds"]) == without_times(expected["folds"])
    assert killed.results["best"] == killed.expected["best"]


def test_every_test_score_equals_that_of_a_run_that_was_left_alone(killed: Killed) -> None:
    assert killed.results["test"] == killed.expected["test"]
    pieces = zip(killed.results["reproductions"], killed.expected["reproductions"], strict=True)
    for found, expected in pieces:
        assert without_times(found["folds"]) == without_times(expected["folds"])


def test_no_fold_is_lost_or_trained_twice(killed: Killed) -> None:
    assert len(killed.watch.written) == (TRIALS + REPRODUCTIONS) * FOLDS
    assert killed.watch.written_again == []


def test_nothing_is_left_of_the_kills(killed: Killed) -> None:
    names = [path.name for path in killed.folder.rglob("*")]
    assert not [name for name in names if "damaged" in name or name.endswith(".pt")]

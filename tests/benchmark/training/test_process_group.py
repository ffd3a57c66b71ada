"""Two processes of torchrun train as one does, and end together."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.files import read_json, read_state
from pml_potential.benchmark.training.fold import FoldResult, finished_fold
from tests.benchmark.tiny import PRESETS, TINY, tiny_config
from tests.benchmark.training.shared_folds import CASES, Folds

SCRIPT = Path(__file__).with_name("shared_folds.py")
ROOT = Path(__file__).parents[3]
# Scores are means over so many validation images, 32 of each class. Where two neighbours of an image are
# equally far but for rounding, they may change places, and the image's own score jumps.
QUERIES = 25 * 32
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def torchrun(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*TORCHRUN, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(command: "subprocess.Popen[str]") -> str:
    """Wait for the end of a command, and return what it said."""
    try:
        output, _ = command.communicate(timeout=600)
    finally:
        # If it hangs, so that it ends its processes.
        command.terminate()
    return output


def kill(rank: int, epoch: int, folder: Path) -> None:
    """Kill one of the processes that train a fold, after an epoch; the whole command ends."""
    command = torchrun(str(SCRIPT), "killed", str(folder))
    checkpoint = folder / "killed" / "fold_0" / "checkpoints" / f"{epoch:04d}.pt"
    deadline = time.monotonic() + 600
    while command.poll() is None and not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(read_json(folder / f"process_{rank}.json"), signal.SIGKILL)
    output = output_of(command)
    assert command.returncode != 0
    # Which would be the end of a trial.
    assert "PieceFailedError" not in output


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of all cases: trained together, the first killed twice, and in this process."""
    together, alone = (tmp_path_factory.mktemp(name) for name in ("together", "alone"))
    kill(1, 1, together)
    kill(0, 2, together)
    command = torchrun(str(SCRIPT), "everything", str(together))
    # In the meantime, for a start takes long.
    folds = Folds(alone)
    for name in CASES:
        folds.train(name)
    output = output_of(command)
    assert command.returncode == 0, output
    return together, alone


@pytest.fixture(scope="module")
def together(trained: tuple[Path, Path]) -> Path:
    return trained[0]


@pytest.fixture(scope="module")
def alone(trained: tuple[Path, Path]) -> Path:
    return trained[1]


def result_of(folder: Path, name: str) -> FoldResult:
    result = finished_fold(folder / name / "fold_0")
    assert result is not None
    return result


def weights_of(folder: Path, name: str) -> torch.Tensor:
    paths = sorted((folder / name / "fold_0" / "models").glob("*.pth"))
    states = [read_state(path) for path in paths]
    return torch.cat([value.flatten() for state in states for value in state.values()])


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_as_one_does(name: str, together: Path, alone: Path) -> None:
    tolerance = 0.1 if name == "float16" else 1e-4
    found, expected = result_of(together, name), result_of(alone, name)
    assert [entry["epoch"] for entry in found.history] == [entry["epoch"] for entry in expected.history]
    for entry, wanted in zip(found.history, expected.history, strict=True):
        assert entry == pytest.approx(wanted, rel=tolerance, abs=max(tolerance / 10, 2 / QUERIES))
    weights = weights_of(alone, name)
    assert (weights_of(together, name) - weights).norm() < tolerance * weights.norm()


def test_a_fold_ends_in_all_processes_when_one_has_bad_embeddings(together: Path) -> None:
    said = [read_json(together / f"poisoned_{rank}.json") for rank in (0, 1)]
    assert "holds NaN or infinity" in said[0]
    assert said[0] == said[1]


def test_what_another_process_sends_runs_no_code(together: Path) -> None:
    assert read_json(together / "code_1.json") == "refused: True"
    assert not (together / "ran").exists()


def test_after_a_fold_that_diverged_the_processes_train_on(together: Path) -> None:
    assert "fold 1: the loss's proxies hold NaN" in read_json(together / "found.json")["diverging"]


def test_what_cannot_be_shared_is_refused(together: Path) -> None:
    batch, batchnorm, chunks, folds = read_json(together / "found.json")["refusals"]
    assert "protocol.batch_size is 9 and torchrun started 2 processes" in batch
    assert "model.freeze_batchnorm is false and small_cnn has BatchNorm" in batchnorm
    assert "--fold-processes is 2 and torchrun started 2 processes" in folds
    assert "model.chunk_size is 2 and torchrun started 2" in chunks


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux names the threads of a process")
@pytest.mark.parametrize("rank", [0, 1])
def test_no_thread_of_a_group_outlives_it(rank: int, together: Path) -> None:
    within, after = (read_json(together / f"threads_{when}_{rank}.json") for when in ("within", "after"))
    assert any("gloo" in name for name in within)
    assert not any("gloo" in name for name in after)


def test_a_run_of_two_processes_gives_the_report_of_one(tmp_path: Path) -> None:
    settings = ("model.freeze_trunk=true", "protocol.study={trials: 1, startup_trials: 1}")
    words = [f"--{kind}={name}" for kind, name in PRESETS.items()]
    words += [word for setting in (*TINY, *settings) for word in ("--set", setting)]
    folder = tmp_path / "together" / "run"
    command = torchrun("-m", "pml_potential", "run", *words, f"--folder={folder}")
    quiet = Console(file=io.StringIO())
    expected = run_experiment(tiny_config(*settings), tmp_path / "alone" / "run", quiet)
    output = output_of(command)
    assert command.returncode == 0, output
    assert output.count("trial 1/1: 0.") == 1
    assert output.count("Report: ") == 1
    found = read_json(folder / "report" / "results.json")
    assert found["best"]["params"] == expected["best"]["params"]
    assert scores(found) == pytest.approx(scores(expected), rel=1e-3)


def scores(results: dict[str, Any]) -> list[float]:
    return [
        reproduction[state][kind][PRIMARY_METRIC]
        for reproduction in results["reproductions"]
        for state in ("trained", "untrained")
        for kind in ("separated", "concatenated")
    ]

"""Folds in processes: what ends one of them is the reason why a trial fails, and no process is left."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from pml_potential.benchmark.data import folds
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import FoldData
from pml_potential.benchmark.data.labelled_tensors import ArrayTensors, LabelledTensors
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.experiments.fold_processes import FoldRunner
from pml_potential.benchmark.experiments.progress import RunProgress
from pml_potential.benchmark.experiments.sharing import Sharing
from pml_potential.benchmark.experiments.work_queue import PieceFailedError
from pml_potential.benchmark.training.fold import finished_fold, train_fold
from tests.benchmark.tiny import tiny_config


class DyingImages(ArrayTensors):
    """Images whose loading process is killed, as by a system that is short of memory."""

    workers = 1

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class HugeImages(ArrayTensors):
    """Images for which no machine has the memory."""

    def __getitem__(self, _index: int) -> tuple[Tensor, int]:
        return torch.empty(2**60), 0


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (DyingImages, r"fold 1: DataLoader worker \(pid.* exited unexpectedly|is killed by signal"),
        (HugeImages, r"fold 1: .*(allocate memory|not enough memory|overflow)"),
    ],
)
def test_what_no_training_survives_is_the_reason_why_the_trial_fails(
    images: Any, reason: str, fold_data: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    glyphs = load_glyphs()

    def dying(indices: NDArray[np.int64]) -> LabelledTensors:
        dataset: LabelledTensors = images(glyphs, indices)
        return dataset

    monkeypatch.setattr(folds, "ArrayTensors", lambda _images, indices: dying(indices))
    data = FoldData(glyphs, fold_data.splits, tmp_path)
    with (
        RunProgress(console(), 2) as progress,
        FoldRunner(data, tmp_path, progress, 1) as runner,
        pytest.raises(PieceFailedError, match=reason),
    ):
        list(runner.train(tiny_config(), "trial 1/1", tmp_path / "trial", [1, 2]))


def children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields["PPid"]) == pid and "Z" not in fields["State"].split()[0]:
            found.append(int(fields["Pid"]))
    return found


def wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


LONG = ("protocol.max_epochs=500", "protocol.patience=500")


def run_long(folder: Path) -> None:
    run_experiment(tiny_config(*LONG), folder, console(), Sharing(fold_processes=2))


def checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob("trials/0000/fold_*/checkpoints/*.pt"))


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="looks at Linux's /proc")
def test_the_processes_of_a_killed_worker_end_with_it(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=run_long, args=(tmp_path / "run",))
    worker.start()
    assert worker.pid is not None
    wait_for(lambda: len({path.parent for path in checkpoints(tmp_path / "run")}) == 2, "no fold began")
    own = children(worker.pid)
    assert len(own) >= 2
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    wait_for(lambda: not any(Path(f"/proc/{pid}").is_dir() for pid in own), "a process is left")


def devices_of_both(folder: Path) -> list[str]:
    """In a process: the GPU that it sees, and that of the other one, as soon as that is there."""
    (folder / os.environ["CUDA_VISIBLE_DEVICES"]).touch()
    wait_for(lambda: len(list(folder.iterdir())) == 2, "one process did both")
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="looks at Linux's /proc")
def test_a_trial_that_is_given_up_or_whose_process_is_killed_does_not_stop_the_next(
    fold_data: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those that are started anew get the GPUs of their parent in turn, as the first did."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = tiny_config(*LONG)
    with (
        RunProgress(console(), 2) as progress,
        FoldRunner(fold_data, tmp_path, progress, 2) as runner,
    ):
        before = set(children(os.getpid()))
        place, short = tmp_path / "trials" / "given up", tiny_config()
        # So that the result of its first fold comes at once, and decides.
        train_fold(short, *fold_data.fold(short, 0), place / "fold_0", 1, lambda *_: None)
        next(runner.train(config, "trial 1/3", place, [1, 2]))
        wait_for(lambda: list(place.glob("fold_1/checkpoints/*.pt")), "no fold began")
        runner.abandon()
        assert [path.name for path in place.glob("fold_*")] == ["fold_0"]
        results = runner.train(config, "trial 2/3", tmp_path / "trials" / "0000", [1, 2])
        pool = multiprocessing.pool.ThreadPool(1)
        first = pool.apply_async(lambda: list(results))
        wait_for(lambda: checkpoints(tmp_path), "no fold began")
        wait_for(lambda: progress._epochs_done, "no epoch of another process is told")
        started = [pid for pid in set(children(os.getpid())) - before if is_python(pid)]
        assert len(started) == 2
        # The last, whose end Python's pool of processes misses when nothing is submitted after it.
        os.kill(max(started), signal.SIGKILL)
        with pytest.raises(PieceFailedError, match="fold 1: a process that trains folds was killed"):
            first.get(600)
        again = list(runner.train(short, "trial 3/3", tmp_path / "trials" / "0001", [1, 2]))
        assert runner._pool is not None
        (tmp_path / "devices").mkdir()
        told = [runner._pool.submit(devices_of_both, tmp_path / "devices") for _ in range(2)]
        assert [future.result(600) for future in told] == [["2", "3"]] * 2
    assert [result.history[-1]["epoch"] for result in again] == [1, 1]
    assert finished_fold(tmp_path / "trials" / "0000" / "fold_0") is None


def is_python(pid: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


def without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_time(each) for key, each in value.items() if key != "seconds"}
    return [without_time(each) for each in value] if isinstance(value, (list, tuple)) else value


def test_a_run_with_folds_side_by_side_gives_the_same_numbers_and_folders(tmp_path: Path) -> None:
    """With a pruner that ends all trials but the best so far after their first fold."""
    pruner = "pruner: {name: PercentilePruner, params: {percentile: 0.0, n_startup_trials: 1}}"
    config = tiny_config(f"protocol.study={{trials: 3, startup_trials: 3, {pruner}}}", "seed=5")
    found, folds = [], []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        results = run_experiment(config, folder, console(), Sharing(fold_processes=processes))
        found.append({key: without_time(results[key]) for key in ("trials", "best", "test", "cost")})
        folds.append(sorted(str(path.relative_to(folder)) for path in folder.rglob("fold_[0-9]")))
    assert found[0] == found[1]
    assert folds[0] == folds[1]
    pruned = [trial for trial in found[0]["trials"] if trial["failure"]]
    assert pruned
    assert {(trial["failure"], len(trial["folds"])) for trial in pruned} == {("fold 1: pruned", 1)}
    assert f"trials/{pruned[0]['number']:04d}/fold_1" not in folds[0]


WITHOUT_GUARD = """
import io, sys
from pathlib import Path
from rich.console import Console
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.experiments.sharing import Sharing
from tests.benchmark.tiny import tiny_config

processes = int(sys.argv[2])
folder = Path(sys.argv[1])
run_experiment(tiny_config(), folder, Console(file=io.StringIO()), Sharing(fold_processes=processes))
print("ended")
"""


def test_a_script_without_a_main_guard_is_told_so_and_its_run_goes_on(tmp_path: Path) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "run"
    script.write_text(WITHOUT_GUARD)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def run(processes: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, script, folder, str(processes)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=600,
        )

    refused = run(2)
    assert refused.returncode == 1
    assert "ConfigError: the processes that train folds ended before they began" in refused.stderr
    assert refused.stderr.count("Traceback (most recent call last):\n  File") == 2, refused.stderr
    assert not any("failure" in path.read_text() for path in folder.rglob("trial.json"))
    assert run(1).stdout == "ended\n"

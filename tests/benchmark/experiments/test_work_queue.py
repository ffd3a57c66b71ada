"""The queue: each piece is done once, and what a dead worker has left is requeued when it should be."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from filelock import FileLock
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.experiments.trial_storage import TrialStorage, open_storage
from pml_potential.benchmark.experiments.work_queue import (
    FAILURE,
    NUMBER,
    WORKER,
    PieceFailedError,
    Work,
    _requeue_the_lost,
    ended_pieces,
    number_of,
    release,
    requeue,
    work_off,
)
from pml_potential.benchmark.files import NamedLock, set_aside

ME = f"{socket.gethostname()}:1"
ELSEWHERE = "another-machine:1"
Do = Callable[[optuna.Trial, int], float]


def score(trial: optuna.Trial, number: int) -> float:
    return float(number + trial.params["x"])


def storage_in(folder: Path, address: str | None = None, heartbeat: int = 1) -> TrialStorage:
    return open_storage(RunFolder(folder), address, heartbeat, requeue)


class Pieces(Work):
    """Pieces of work that draw one number each."""

    def __init__(
        self, folder: Path, pieces: int, do: Do, storage: TrialStorage, waiting: Callable[[int], None]
    ) -> None:
        super().__init__(storage.open("search"), pieces, storage.patience)
        self._folder = folder
        self._do = do
        self._waiting = waiting

    def folder(self, number: int) -> Path:
        return self._folder / str(number)

    def sampler(self, number: int) -> BaseSampler:
        return RandomSampler(seed=number)

    def draw(self, trial: optuna.Trial) -> None:
        trial.suggest_float("x", 0, 1)

    def do(self, trial: optuna.Trial, number: int) -> float:
        return self._do(trial, number)

    def recall(self, _number: int) -> FrozenTrial | None:
        return None

    def check(self, ended: list[FrozenTrial]) -> None:
        pass

    def wait_for(self, running: int) -> None:
        self._waiting(running)


def queue_of(
    folder: Path,
    pieces: int,
    do: Do = score,
    storage: TrialStorage | None = None,
    waiting: Callable[[int], None] = lambda _count: None,
) -> Pieces:
    return Pieces(folder, pieces, do, storage or storage_in(folder), waiting)


def work_all(queue: Pieces, folder: Path) -> None:
    work_off(queue, NamedLock(folder / ".claim"))


def begun(queue: Pieces, number: int, worker: str | None) -> optuna.Trial:
    """A piece that somebody has begun."""
    queue.study.enqueue_trial({}, user_attrs={NUMBER: number})
    queue.study.sampler = RandomSampler(seed=99)
    trial = queue.study.ask()
    if worker is not None:
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr(WORKER, worker)
    return trial


def complete(study: optuna.Study) -> list[int]:
    return [number_of(trial) for trial in study.trials if trial.state is TrialState.COMPLETE]


def test_every_piece_is_done_once_and_in_order(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, 4)
    for _ in range(2):
        work_all(queue, tmp_path)
    assert complete(queue.study) == [0, 1, 2, 3]
    assert len(queue.study.trials) == 4


def test_a_piece_that_fails_keeps_its_reason_and_is_not_tried_again(tmp_path: Path) -> None:
    def work(trial: optuna.Trial, number: int) -> float:
        if number == 1:
            raise PieceFailedError("the loss is nan")
        return score(trial, number)

    queue = queue_of(tmp_path, 3, work)
    work_all(queue, tmp_path)
    assert [trial.user_attrs.get(FAILURE) for trial in ended_pieces(queue.study)] == [
        None,
        "the loss is nan",
        None,
    ]
    assert len(queue.study.trials) == 3


@pytest.mark.parametrize("stored", [False, True])
def test_ctrl_c_while_a_score_is_stored_is_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    queue = queue_of(tmp_path, 3, score)
    storage = queue.study._storage
    store = storage.set_trial_state_values

    def interrupted(trial_id: int, state: TrialState, values: list[float] | None = None) -> bool:
        if state is not TrialState.COMPLETE:
            return store(trial_id, state, values)
        if stored:
            store(trial_id, state, values)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(storage, "set_trial_state_values", interrupted)
        with pytest.raises(KeyboardInterrupt):
            work_all(queue, tmp_path)
    work_all(queue, tmp_path)
    assert [trial.value is not None for trial in ended_pieces(queue.study)] == [True] * 3


def test_ctrl_c_is_ctrl_c_when_the_trial_cannot_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_trial: optuna.Trial, _number: int) -> float:
        raise KeyboardInterrupt

    queue = queue_of(tmp_path, 1, interrupted)
    storage = queue.study._storage
    store = storage.set_trial_state_values

    def refuse(trial_id: int, state: TrialState, values: list[float] | None = None) -> bool:
        if state is TrialState.FAIL:
            raise ValueError("the trial has ended")
        return store(trial_id, state, values)

    monkeypatch.setattr(storage, "set_trial_state_values", refuse)
    with pytest.raises(KeyboardInterrupt):
        work_all(queue, tmp_path)


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_a_piece_that_was_interrupted_goes_on_with_its_hyperparameters(
    tmp_path: Path, error: BaseException
) -> None:
    errors = [error]

    def work(trial: optuna.Trial, number: int) -> float:
        if number == 1 and errors:
            raise errors.pop()
        return score(trial, number)

    queue = queue_of(tmp_path, 3, work)
    with pytest.raises(type(error)):
        work_all(queue, tmp_path)
    work_all(queue, tmp_path)
    assert complete(queue.study) == [0, 1, 2]
    interrupted, retried = [t for t in queue.study.trials if number_of(t) == 1]
    assert interrupted.state is TrialState.FAIL
    assert retried.params == interrupted.params


def test_a_dead_worker_of_this_machine_is_noticed_at_once(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, 2, storage=storage_in(tmp_path, heartbeat=1000))
    lost = begun(queue, 0, ME)
    work_all(queue, tmp_path)
    assert complete(queue.study) == [0, 1]
    assert ended_pieces(queue.study)[0].params == lost.params


def test_a_living_worker_of_this_machine_is_waited_for(tmp_path: Path) -> None:
    told = []

    def finish(count: int) -> None:
        told.append(count)
        queue.study.tell(others.number, 0.5)

    queue = queue_of(tmp_path, 2, waiting=finish)
    others = begun(queue, 0, ME)
    with FileLock(tmp_path / ".0.lock"):
        work_all(queue, tmp_path)
    assert told == [1]
    assert complete(queue.study) == [0, 1]
    assert len(queue.study.trials) == 2


def test_a_worker_that_sets_its_folder_aside_is_still_alive(tmp_path: Path) -> None:
    def work(trial: optuna.Trial, number: int) -> float:
        (tmp_path / str(number)).mkdir()
        set_aside(tmp_path / str(number))
        (tmp_path / str(number)).mkdir()
        _requeue_the_lost(queue_of(tmp_path, 2))
        return score(trial, number)

    queue = queue_of(tmp_path, 2, work)
    work_all(queue, tmp_path)
    assert [trial.state for trial in queue.study.trials] == [TrialState.COMPLETE] * 2


def test_a_worker_elsewhere_is_dead_when_its_heartbeat_stops(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'shared.db'}"
    storage = storage_in(tmp_path, address, heartbeat=1)
    queue = queue_of(tmp_path, 1, storage=storage)
    lost = begun(queue, 0, ELSEWHERE)
    assert isinstance(storage.storage, optuna.storages.RDBStorage)
    storage.storage.record_heartbeat(lost._trial_id)
    start = time.monotonic()
    work_all(queue, tmp_path)
    assert time.monotonic() - start > 2
    assert complete(queue.study) == [0]
    assert ended_pieces(queue.study)[0].params == lost.params


def test_a_journal_file_has_no_heartbeats_and_a_stale_piece_is_released_by_hand(tmp_path: Path) -> None:
    told = []

    def release_it(count: int) -> None:
        told.append(count)
        assert release(queue.study, 0)
        assert not release(queue.study, 0)

    storage = storage_in(tmp_path, str(tmp_path / "journal"))
    queue = queue_of(tmp_path, 2, storage=storage, waiting=release_it)
    lost = begun(queue, 0, ELSEWHERE)
    work_all(queue, tmp_path)
    assert told == [1]
    assert sorted(complete(queue.study)) == [0, 1]
    assert ended_pieces(queue.study)[0].params == lost.params


def test_a_trial_that_is_no_piece_changes_nothing(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, 2)
    queue.study.enqueue_trial({})
    work_all(queue, tmp_path)
    assert [number_of(trial) for trial in ended_pieces(queue.study)] == [0, 1]


def test_a_piece_that_two_have_put_into_the_queue_is_done_once(tmp_path: Path) -> None:
    done = []

    def work(trial: optuna.Trial, number: int) -> float:
        done.append(number)
        return score(trial, number)

    queue = queue_of(tmp_path, 2, work)
    for _ in range(3):
        queue.study.enqueue_trial({}, user_attrs={NUMBER: 0})
    work_all(queue, tmp_path)
    assert done == [0, 1]


def test_a_piece_that_was_handed_on_while_its_worker_slept_is_counted_once(tmp_path: Path) -> None:
    def work(trial: optuna.Trial, number: int) -> float:
        if number == 0 and len(queue.study.trials) == 1:
            # As the heartbeat of another worker does after a long sleep of this one.
            assert release(queue.study, 0)
        return score(trial, number)

    queue = queue_of(tmp_path, 2, work)
    work_all(queue, tmp_path)
    assert sorted(complete(queue.study)) == [0, 1]


def work_slowly(folder: Path, log: Path) -> None:
    def work(trial: optuna.Trial, number: int) -> float:
        with log.open("a") as file:
            file.write(f"begin {number}\n")
        time.sleep(0.05)
        with log.open("a") as file:
            file.write(f"end {number} {os.getpid()}\n")
        return score(trial, number)

    work_all(queue_of(folder, 12, work), folder)


def test_processes_share_the_pieces_of_a_file_and_the_dead_lose_none(tmp_path: Path) -> None:
    storage_in(tmp_path).open("search")
    context = multiprocessing.get_context("forkserver")
    log = tmp_path / "log"
    workers = [context.Process(target=work_slowly, args=(tmp_path, log)) for _ in range(3)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 600
    while not log.exists() or log.read_text().count("end") < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert workers[0].pid is not None
    os.kill(workers[0].pid, signal.SIGKILL)
    for worker in workers[1:]:
        worker.join(600)
        assert worker.exitcode == 0
    study = storage_in(tmp_path).open("search")
    assert sorted(complete(study)) == list(range(12))
    ends = [line.split()[1:] for line in log.read_text().splitlines() if line.startswith("end")]
    # The dead may have done a piece of which the study was never told.
    by_the_living = [number for number, worker in ends if worker != str(workers[0].pid)]
    by_the_dead = [number for number, worker in ends if worker == str(workers[0].pid)]
    assert len(by_the_living) == len({*by_the_living})
    assert len({*by_the_dead} & {*by_the_living}) <= 1

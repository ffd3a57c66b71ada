"""Many workers on one run: each piece is done once, whoever is killed."""

import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from pml_potential.benchmark.files import read_json
from tests.end_to_end.command import TINY, Ended, Started, call
from tests.end_to_end.postgres import postgres
from tests.end_to_end.watch import Watch

TRIALS, FOLDS, REPRODUCTIONS = 5, 2, 2
SETTINGS = [
    word
    for assignment in (
        f"protocol.folds={FOLDS}",
        "protocol.batch_size=16",
        "protocol.iterations_per_epoch=25",
        "protocol.max_epochs=2",
        f"protocol.study={{trials: {TRIALS}, startup_trials: 3}}",
        f"protocol.reproductions={REPRODUCTIONS}",
    )
    for word in ("--set", assignment)
]


def trains(pid: int, storage: RDBStorage) -> bool:
    for name in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage)
        running = study.get_trials(states=(TrialState.RUNNING,))
        if any(trial.user_attrs.get("worker", "").endswith(f":{pid}") for trial in running):
            return True
    return False


def kill_in_a_trial(victim: Started, storage: RDBStorage) -> int:
    victim.wait_until(lambda: trains(victim.pid, storage))
    time.sleep(0.3)
    return victim.send(signal.SIGKILL).code


@dataclass(frozen=True)
class Shared:
    """A run of four workers, two of which were killed, and a fifth."""

    folder: Path
    watch: Watch
    trials: dict[str, list[optuna.trial.FrozenTrial]]
    killed: list[int]
    ended: list[Ended]

    @property
    def results(self) -> Any:
        return read_json(self.folder / "report" / "results.json")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Address of a database on a server of one's own."""
    with postgres() as address:
        yield address


@pytest.fixture(scope="module")
def shared(database: str, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    folder = tmp_path_factory.mktemp("shared") / "run"

    def start(*arguments: str) -> Started:
        # A worker whose signs of life are three late counts as dead; a loaded machine may delay two.
        return Started(folder.parent / "said", *arguments, "--heartbeat", "4")

    watch = Watch(folder)
    first = start("run", "quick", *SETTINGS, "--folder", str(folder), "--storage", database)
    first.wait_until((folder / "storage.json").is_file)
    workers = [start("worker", str(folder)) for _ in range(3)]
    # One storage for all looks: each keeps connections open, and the server has a hundred.
    storage = RDBStorage(database)
    killed = [kill_in_a_trial(first, storage)]
    # While the others still begin: after the second kill there may be nothing left to do.
    workers.append(start("worker", str(folder)))
    killed.append(kill_in_a_trial(workers.pop(1), storage))
    ended = [worker.end() for worker in workers]
    watch.end()
    trials = {
        name.split("/")[1]: optuna.load_study(study_name=name, storage=storage).trials
        for name in optuna.get_all_study_names(storage)
    }
    return Shared(folder, watch, trials, killed, ended)


def test_the_workers_that_were_left_alone_end_well(shared: Shared) -> None:
    assert shared.killed == [-signal.SIGKILL] * 2
    assert [worker.code for worker in shared.ended] == [0, 0, 0], shared.ended
    assert all("Traceback" not in worker.errors for worker in shared.ended)


def test_every_trial_and_reproduction_is_finished_once(shared: Shared) -> None:
    for study, pieces in (("search", TRIALS), ("reproductions", REPRODUCTIONS)):
        complete = [t for t in shared.trials[study] if t.state is TrialState.COMPLETE]
        assert sorted(trial.user_attrs["order"] for trial in complete) == list(range(pieces))
        others = {trial.state for trial in shared.trials[study]} - {TrialState.COMPLETE}
        assert others <= {TrialState.FAIL}


def test_what_the_killed_had_begun_was_handed_on_with_its_hyperparameters(shared: Shared) -> None:
    everything = [trial for trials in shared.trials.values() for trial in trials]
    lost = [trial for trial in everything if trial.state is TrialState.FAIL]
    assert len(lost) == 2
    for trial in lost:
        study = next(trials for trials in shared.trials.values() if trial in trials)
        (retry,) = [
            other
            for other in study
            if other.state is TrialState.COMPLETE
            and other.user_attrs["order"] == trial.user_attrs["order"]
        ]
        assert retry.params == trial.params


def test_no_fold_is_lost_or_trained_twice(shared: Shared) -> None:
    assert len(shared.watch.written) == (TRIALS + REPRODUCTIONS) * FOLDS
    assert shared.watch.written_again == []


def test_the_work_was_shared(shared: Shared) -> None:
    trained = [
        set(re.findall(r"^(?:trial|reproduction) \d+/\d+(?=:)", worker.output, re.MULTILINE))
        for worker in shared.ended
    ]
    assert all(trained)
    assert sum(map(len, trained)) == len(set.union(*trained))


def test_all_workers_see_the_same_result(shared: Shared) -> None:
    assert len(shared.results["trials"]) == TRIALS
    assert len(shared.results["reproductions"]) == REPRODUCTIONS
    tables = {worker.output[worker.output.index("PotentialFieldLoss on") :] for worker in shared.ended}
    assert len({re.sub(r".* in this session", "", table) for table in tables}) == 1


def test_no_password_is_written_down(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE DATABASE of_one_run")
    address = database.replace("/postgres", "/of_one_run")
    secret = address.replace("tester@", "tester:hush@")
    smaller = [
        "--set",
        "protocol.study={trials: 1, startup_trials: 1}",
        "--set",
        "protocol.max_epochs=1",
    ]
    folder = ["--folder", str(tmp_path / "run")]
    ended = call("run", "quick", *TINY, *smaller, *folder, "--storage", secret)
    assert ended.code == 0, ended.errors
    assert read_json(tmp_path / "run" / "storage.json")["address"] == address
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or b"hush" not in path.read_bytes(), path

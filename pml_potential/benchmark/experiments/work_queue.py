"""A work queue: an Optuna study distributes pieces of work over any number of processes and machines.

Each piece, a trial of the search or a reproduction, is a trial of an Optuna study. A worker asks the
study for one, and Optuna gives it to no other worker. A piece whose worker died is requeued: after
missed heartbeats, or at once if a lock file on the same machine shows it. All workers use the same
folder for a piece, so finished folds are never trained again.

Pieces are numbered from 0. Optuna's own trial numbers differ: a requeued piece has several trials.
"""

import os
import socket
import time
import warnings
from abc import ABC, abstractmethod
from datetime import datetime
from pathlib import Path

import optuna
from filelock import Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from pml_potential.benchmark.files import NamedLock

NUMBER, WORKER, FAILURE = "order", "worker", "failure"
"""A trial's attributes: the number of its piece, the worker that began it, and why it failed."""

_SECONDS_BETWEEN_LOOKS = 2.0
_LIVE = (TrialState.WAITING, TrialState.RUNNING)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ExperimentalWarning)
    _RETRY = RetryHeartbeatStaleTrialCallback()


class PieceFailedError(RuntimeError):
    """A piece of work that has no result; the message is the reason."""


class Work(ABC):
    """Pieces of work, and how each is done.

    Args:
        study: the Optuna study in which the pieces are trials.
        pieces: how many there are.
        patience: seconds after which a trial that no worker has begun counts as lost; None: no other
            machine could be about to begin it.
    """

    def __init__(self, study: optuna.Study, pieces: int, patience: float | None) -> None:
        self.study = study
        self.pieces = pieces
        self.patience = patience

    @abstractmethod
    def folder(self, number: int) -> Path:
        """Folder of a piece."""

    @abstractmethod
    def sampler(self, number: int) -> BaseSampler:
        """The sampler that proposes the hyperparameters of a piece."""

    @abstractmethod
    def draw(self, trial: optuna.Trial) -> None:
        """Draw the hyperparameters of a piece."""

    @abstractmethod
    def do(self, trial: optuna.Trial, number: int) -> float:
        """Do a piece.

        Returns:
            Its score.

        Raises:
            PieceFailedError: It has none.
        """

    @abstractmethod
    def recall(self, number: int) -> FrozenTrial | None:
        """A finished piece that the study has lost, from its files; None if it is not finished."""

    @abstractmethod
    def check(self, ended: list[FrozenTrial]) -> None:
        """Raise if the finished pieces show that it makes no sense to continue."""

    @abstractmethod
    def wait_for(self, running: int) -> None:
        """Called once when all remaining pieces are with other workers."""


def work_off(work: Work, claim: NamedLock) -> None:
    """Work on pieces until all are finished, here or elsewhere.

    Args:
        work: the pieces.
        claim: lock that a worker holds from asking for a piece until it has begun it.
    """
    has_told = False
    while True:
        with claim:
            _requeue_the_lost(work)
            missing = _restore(work)
            live = _live(work)
            work.check(ended_pieces(work.study))
            if not missing and not live:
                return
            if missing and not any(trial.state is TrialState.WAITING for trial in live):
                work.study.enqueue_trial({}, user_attrs={NUMBER: missing[0]})
                live = _live(work)
            ready = [number_of(trial) for trial in live if trial.state is TrialState.WAITING]
            if ready:
                work.study.sampler = work.sampler(ready[0])
                _work_on_one(work, claim)
        if not ready:
            if not has_told:
                work.wait_for(len(live))
                has_told = True
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def ended_pieces(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have a score, or a reason why they have none, in the order of their pieces."""
    ended: dict[int, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        if _has_ended(trial):
            ended.setdefault(number_of(trial), trial)
    return [ended[number] for number in sorted(ended)]


def number_of(trial: FrozenTrial) -> int:
    """Number of a trial's piece, from 0."""
    number: int = trial.user_attrs[NUMBER]
    return number


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Requeue a piece whose worker is dead, with its hyperparameters."""
    if NUMBER not in trial.user_attrs or FAILURE in trial.user_attrs:
        return
    if WORKER in trial.user_attrs:
        _RETRY(study, trial)
    else:
        # Perhaps not all of its hyperparameters had been drawn.
        study.enqueue_trial({}, user_attrs={NUMBER: number_of(trial)})


def release(study: optuna.Study, number: int) -> bool:
    """Requeue a piece whose worker is known to be dead.

    Returns:
        Whether there was such a piece.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.user_attrs.get(NUMBER) == number:
            return _give_up(study, trial)
    return False


def _requeue_the_lost(work: Work) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(work.study)
    for trial in work.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if NUMBER in trial.user_attrs and _is_lost(work, trial):
            _give_up(work.study, trial)


def _give_up(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Requeue a piece, unless its worker has just finished it."""
    ended = study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    if ended.state is not TrialState.FAIL:
        return False
    requeue(study, ended)
    return True


def _restore(work: Work) -> list[int]:
    """Restore what the study has lost; return the pieces that no worker has begun."""
    study = work.study
    known = {number_of(trial) for trial in (*_live(work), *ended_pieces(study))}
    left_behind = {
        number_of(trial): trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        if NUMBER in trial.user_attrs
    }
    missing = []
    for number in range(work.pieces):
        if number in known:
            continue
        if (recalled := work.recall(number)) is not None:
            study.add_trial(recalled)
        elif number in left_behind:
            requeue(study, left_behind[number])
        else:
            missing.append(number)
    return missing


def _live(work: Work) -> list[FrozenTrial]:
    """Trials that are waiting or running, of pieces that have not ended."""
    ended = {number_of(trial) for trial in ended_pieces(work.study)}
    return [
        trial
        for trial in work.study.get_trials(deepcopy=False, states=_LIVE)
        if NUMBER in trial.user_attrs and number_of(trial) not in ended
    ]


def _is_lost(work: Work, trial: FrozenTrial) -> bool:
    """Whether a trial's worker is known to be dead; called by the holder of the claim."""
    worker = trial.user_attrs.get(WORKER)
    if worker is None:
        # On this machine no other worker can be about to begin it while the claim is held.
        started = trial.datetime_start or datetime.now()
        age = (datetime.now() - started).total_seconds()
        return work.patience is None or age > work.patience
    if not worker.startswith(f"{socket.gethostname()}:"):
        return False
    lock = _lock(work, number_of(trial))
    try:
        with lock.acquire(timeout=0):
            return True
    except Timeout:
        return False


def _work_on_one(work: Work, claim: NamedLock) -> None:
    locks: list[NamedLock] = []
    did: list[int] = []
    stopped: list[int] = []

    def begin(trial: optuna.Trial) -> int:
        number = trial.user_attrs.get(NUMBER)
        others = work.study.get_trials(deepcopy=False)
        if number is None or any(
            (other.state in _LIVE or _has_ended(other))
            and other.number < trial.number
            and other.user_attrs.get(NUMBER) == number
            for other in others
        ):
            # Two workers asked for the last piece at once, on machines that do not share locks.
            raise PieceFailedError("it is not a piece of the work")
        work.draw(trial)
        lock = _lock(work, number)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            # The worker was taken for dead but is alive: wait, and use its finished folds.
            trial.set_user_attr(WORKER, _me())
            claim.release(force=True)
            lock.acquire()
        locks.append(lock)
        trial.set_user_attr(WORKER, _me())
        return int(number)

    def objective(trial: optuna.Trial) -> float:
        try:
            number = begin(trial)
        finally:
            claim.release(force=True)
        try:
            score = work.do(trial, number)
        except PieceFailedError as error:
            did.append(trial.number)
            trial.set_user_attr(FAILURE, str(error))
            raise
        except KeyboardInterrupt:
            stopped.append(trial.number)
            raise
        did.append(trial.number)
        return score

    try:
        work.study.optimize(objective, n_trials=1, catch=(PieceFailedError,))
    except (AssertionError, KeyboardInterrupt, NameError, ValueError) as error:
        # Ctrl-C while Optuna stores the end of a trial surfaces as an error of Optuna's.
        if stopped or _came_from_ctrl_c(error):
            with claim:
                _restore(work)
            raise KeyboardInterrupt from None
        # Optuna raises when it is told of a trial that has ended: this process slept for so long that
        # its piece was requeued, and the next worker finds its finished folds.
        trials = work.study.get_trials(deepcopy=False)
        if not did or not trials[did[0]].state.is_finished():
            raise
    finally:
        for lock in locks:
            lock.release()


def _came_from_ctrl_c(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _has_ended(trial: FrozenTrial) -> bool:
    if NUMBER not in trial.user_attrs:
        return False
    scored = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return scored or (trial.state is TrialState.FAIL and FAILURE in trial.user_attrs)


def _lock(work: Work, number: int) -> NamedLock:
    # Beside the folder, which may be set aside while its piece is worked on.
    folder = work.folder(number)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return NamedLock(folder.with_name(f".{folder.name}.lock"))


def _me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"

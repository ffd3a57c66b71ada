"""Sharing out pieces of work: an Optuna study as the queue of any number of processes and machines.

Each piece, a trial of the search or a reproduction, is a trial of a study. A worker asks the study for
one, which Optuna gives to nobody else. A piece whose worker died is put there again: by the heartbeat,
and at once where the worker ran on the same machine, which its lock file tells. The folder of a piece is
the same for all who work on it, so that finished folds are never trained again.
"""

import os
import socket
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

ORDER, WORKER, FAILURE = "order", "worker", "failure"
"""What a trial says of itself: which piece it is, who began it, and why it failed."""

_SECONDS_BETWEEN_LOOKS = 2.0
_LIVE = (TrialState.WAITING, TrialState.RUNNING)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ExperimentalWarning)
    _RETRY = RetryHeartbeatStaleTrialCallback()


class PieceFailedError(RuntimeError):
    """A piece of work that cannot come to a result; the message is the reason."""


@dataclass(frozen=True)
class Queue:
    """Pieces of work, and what is to be done with each.

    Attributes:
        study: in which the pieces are trials.
        pieces: how many there are.
        folder: where a piece keeps its files, by its number.
        draw: draws the hyperparameters of a trial.
        sampler: proposes them, by the number of the piece.
        work: does a piece and returns its score; raises ``PieceFailedError`` with a reason.
        recall: what the files of a piece say that has ended, if the study has lost it.
        check: raises if it makes no sense to go on after the pieces that have ended.
        waiting: told, once, that the rest is with other workers.
        patience: seconds after which a trial that nobody has begun is lost; None: no other machine
            could be about to begin it.
    """

    study: optuna.Study
    pieces: int
    folder: Callable[[int], Path]
    draw: Callable[[optuna.Trial], None]
    sampler: Callable[[int], BaseSampler]
    work: Callable[[optuna.Trial, int], float]
    recall: Callable[[int], FrozenTrial | None]
    check: Callable[[list[FrozenTrial]], None]
    waiting: Callable[[int], None]
    patience: float | None


def work_off(queue: Queue, claim: FileLock) -> None:
    """Work on pieces until all have ended, here or elsewhere.

    Args:
        queue: the pieces.
        claim: held by whoever asks for a piece, until it is clear whose it is.
    """
    has_told = False
    while True:
        with claim:
            _hand_on_the_lost(queue)
            missing = _restore(queue)
            live = _live(queue)
            queue.check(ended_pieces(queue.study))
            if not missing and not live:
                return
            if missing and not any(trial.state is TrialState.WAITING for trial in live):
                queue.study.enqueue_trial({}, user_attrs={ORDER: missing[0]})
                live = _live(queue)
            ready = [order_of(trial) for trial in live if trial.state is TrialState.WAITING]
            if ready:
                queue.study.sampler = queue.sampler(ready[0])
                _work_on_one(queue, claim)
        if not ready:
            if not has_told:
                queue.waiting(len(live))
                has_told = True
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def ended_pieces(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have a score, or a reason why they have none, in the order of their pieces."""
    ended: dict[int, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False):
        if _has_ended(trial):
            ended.setdefault(order_of(trial), trial)
    return [ended[order] for order in sorted(ended)]


def order_of(trial: FrozenTrial) -> int:
    """Number of the piece that a trial is."""
    order: int = trial.user_attrs[ORDER]
    return order


def hand_on(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put a piece whose worker is gone back into the queue, with its hyperparameters."""
    if ORDER not in trial.user_attrs or FAILURE in trial.user_attrs:
        return
    if WORKER in trial.user_attrs:
        _RETRY(study, trial)
    else:
        # Nobody knows whether all of its hyperparameters had been drawn.
        study.enqueue_trial({}, user_attrs={ORDER: order_of(trial)})


def release(study: optuna.Study, order: int) -> bool:
    """Hand on a piece on the word of somebody who knows that its worker is gone.

    Returns:
        Whether there was such a piece.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial.user_attrs.get(ORDER) == order:
            return _give_up(study, trial)
    return False


def _hand_on_the_lost(queue: Queue) -> None:
    study = queue.study
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if ORDER in trial.user_attrs and _is_lost(queue, trial):
            _give_up(study, trial)


def _give_up(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Hand a piece on, unless its worker has ended it in this very moment."""
    ended = study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    if ended.state is not TrialState.FAIL:
        return False
    hand_on(study, ended)
    return True


def _restore(queue: Queue) -> list[int]:
    """Put back what the study has lost; return the pieces that nobody has begun."""
    study = queue.study
    known = {order_of(trial) for trial in (*_live(queue), *ended_pieces(study))}
    left_behind = {
        order_of(trial): trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        if ORDER in trial.user_attrs
    }
    missing = []
    for order in range(queue.pieces):
        if order in known:
            continue
        if (recalled := queue.recall(order)) is not None:
            study.add_trial(recalled)
        elif order in left_behind:
            hand_on(study, left_behind[order])
        else:
            missing.append(order)
    return missing


def _live(queue: Queue) -> list[FrozenTrial]:
    """Trials that are waiting or running, of pieces that have not ended."""
    ended = {order_of(trial) for trial in ended_pieces(queue.study)}
    return [
        trial
        for trial in queue.study.get_trials(deepcopy=False, states=_LIVE)
        if ORDER in trial.user_attrs and order_of(trial) not in ended
    ]


def _is_lost(queue: Queue, trial: FrozenTrial) -> bool:
    """Whether a trial's worker is known to be gone; called by the holder of the claim."""
    worker = trial.user_attrs.get(WORKER)
    if worker is None:
        # On this machine nobody else can be about to begin it while the claim is held.
        started = trial.datetime_start or datetime.now()
        age = (datetime.now() - started).total_seconds()
        return queue.patience is None or age > queue.patience
    if not worker.startswith(f"{socket.gethostname()}:"):
        return False
    lock = _lock(queue, order_of(trial))
    try:
        with lock.acquire(timeout=0):
            return True
    except Timeout:
        return False


def _work_on_one(queue: Queue, claim: FileLock) -> None:
    locks: list[FileLock] = []
    did: list[int] = []

    def begin(trial: optuna.Trial) -> int:
        order = trial.user_attrs.get(ORDER)
        others = queue.study.get_trials(deepcopy=False)
        if order is None or any(
            (other.state in _LIVE or _has_ended(other))
            and other.number < trial.number
            and other.user_attrs.get(ORDER) == order
            for other in others
        ):
            # Two workers asked for the last piece at once, on machines that do not share locks.
            raise PieceFailedError("it is no piece of the work")
        queue.draw(trial)
        lock = _lock(queue, order)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            # Somebody was thought to be gone, and is not: wait, and use what they finish.
            trial.set_user_attr(WORKER, _me())
            claim.release(force=True)
            lock.acquire()
        locks.append(lock)
        trial.set_user_attr(WORKER, _me())
        return int(order)

    def objective(trial: optuna.Trial) -> float:
        try:
            order = begin(trial)
        finally:
            claim.release(force=True)
        try:
            score = queue.work(trial, order)
        except PieceFailedError as error:
            did.append(trial.number)
            trial.set_user_attr(FAILURE, str(error))
            raise
        did.append(trial.number)
        return score

    try:
        queue.study.optimize(objective, n_trials=1, catch=(PieceFailedError,))
    except (AssertionError, ValueError):
        # What Optuna raises when it is told of a trial that has ended: this process slept for so long
        # that its piece was handed on, and whoever has it finds its folds done.
        trials = queue.study.get_trials(deepcopy=False)
        if not did or not trials[did[0]].state.is_finished():
            raise
    except KeyboardInterrupt:
        with claim:
            _restore(queue)
        raise
    finally:
        for lock in locks:
            lock.release()


def _has_ended(trial: FrozenTrial) -> bool:
    if ORDER not in trial.user_attrs:
        return False
    scored = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return scored or (trial.state is TrialState.FAIL and FAILURE in trial.user_attrs)


def _lock(queue: Queue, order: int) -> FileLock:
    # Beside the folder, which may be set aside while its piece is worked on.
    folder = queue.folder(order)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.with_name(f".{folder.name}.lock"))


def _me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"

"""How the work of a run is distributed over processes and machines."""

from dataclasses import dataclass

HEARTBEAT = 60
"""Seconds between the heartbeats of a worker."""


@dataclass(frozen=True)
class Sharing:
    """How the work of a run is distributed.

    Attributes:
        storage: address of the database, or path of the journal file, in which Optuna keeps the studies;
            None: what the run has used before, or a file in its folder.
        fold_processes: folds that this worker trains at once.
        heartbeat: seconds between its heartbeats.
    """

    storage: str | None = None
    fold_processes: int = 1
    heartbeat: int = HEARTBEAT

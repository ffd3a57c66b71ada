"""Running the command as a process of its own."""

import functools
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pml_potential.benchmark.files import read_json

COMMAND = [sys.executable, "-m", "pml_potential"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "160"}
TINY = [
    argument
    for assignment in (
        "protocol.folds=2",
        "protocol.batch_size=8",
        "protocol.iterations_per_epoch=2",
        "protocol.max_epochs=1",
        "protocol.study={trials: 2, startup_trials: 1}",
        "protocol.reproductions=2",
    )
    for argument in ("--set", assignment)
]


@dataclass(frozen=True)
class Ended:
    """A command that ended by itself."""

    code: int
    output: str
    errors: str


def call(*arguments: str, environment: dict[str, str] | None = None) -> Ended:
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | (environment or {}),
        timeout=300,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run_tiny(folder: Path, *arguments: str) -> Ended:
    return call("run", "quick", *TINY, "--folder", str(folder), *arguments)


def start_tiny(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "run", "quick", *TINY, "--folder", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        # A shell that runs the tests in the background lets its children ignore Ctrl-C.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


@dataclass(frozen=True)
class Reference:
    """A tiny run that nobody interrupted."""

    folder: Path
    ended: Ended
    results: dict[str, Any]
    # Removes the folder when the reference goes.
    kept: "tempfile.TemporaryDirectory[str]"


@functools.cache
def reference_run() -> Reference:
    kept = tempfile.TemporaryDirectory()
    folder = Path(kept.name) / "run"
    ended = run_tiny(folder)
    return Reference(folder, ended, read_json(folder / "report" / "results.json"), kept)

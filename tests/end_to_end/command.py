"""The command: in a process of its own, or, where that makes no difference, in that of the test."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.files import read_json

COLUMNS = {"COLUMNS": "160"}
TINY = [
    argument
    for assignment in (
        "protocol.folds=2",
        "protocol.batch_size=8",
        "protocol.iterations_per_epoch=2",
        # A fold that is stopped after the first goes on from there.
        "protocol.max_epochs=2",
        "protocol.study={trials: 2, startup_trials: 1}",
        "protocol.reproductions=2",
        # What is trained matters little here, and features are quick. Trunks go on in tests of training.
        "model.freeze_trunk=true",
    )
    for argument in ("--set", assignment)
]
PATIENCE = 600
"""Seconds to wait for what takes a few: a loaded machine is slow, and only what hangs should fail."""

_CONTEXT = multiprocessing.get_context("forkserver")
# Processes are forked from one that has done the imports, which take each of them seconds.
_CONTEXT.set_forkserver_preload([__name__, "faiss", "torch._dynamo", "pytest"])


@dataclass(frozen=True)
class Ended:
    """A command that ended by itself."""

    code: int
    output: str
    errors: str


def call(*arguments: str) -> Ended:
    """Run a command in this process; an exception that it lets through fails the test."""
    done = CliRunner().invoke(app, arguments, env=COLUMNS, catch_exceptions=False)
    return Ended(done.exit_code, done.stdout, done.stderr)


def call_from_a_shell(*arguments: str) -> Ended:
    """Run a command as a person does."""
    done = subprocess.run(
        [sys.executable, "-m", "pml_potential", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | COLUMNS,
        timeout=PATIENCE,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Started:
    """A command that runs in a process of its own.

    Args:
        folder: for the files with its output; made if it is not there.
        *arguments: of the command.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.iterdir()))
        self._files = [folder / f"{number}.{name}" for name in ("output", "errors")]
        for file in self._files:
            file.touch()
        self._process = _CONTEXT.Process(target=_run, args=(arguments, *self._files))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def wait_until(self, comes: Callable[[], bool]) -> None:
        """Wait for something that the command brings about."""
        deadline = time.monotonic() + PATIENCE
        while not comes():
            assert self._process.exitcode is None, f"it ended too early: {self.end()}"
            assert time.monotonic() < deadline, self.read()
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> Ended:
        """Send a signal, and wait for the end."""
        assert self._process.exitcode is None, f"it ended too early: {self.end()}"
        os.kill(self.pid, number)
        return self.end()

    def end(self) -> Ended:
        """Wait for the end."""
        self._process.join(PATIENCE)
        assert self._process.exitcode is not None, self.read()
        return Ended(self._process.exitcode, *self.read())

    def read(self) -> list[str]:
        """Output and errors so far."""
        return [file.read_text() for file in self._files]


def _run(arguments: tuple[str, ...], *files: Path) -> None:
    # Of the server that forks this process, not of a terminal.
    os.setpgrp()
    # A shell that runs the tests in the background lets its children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for file, stream in zip(files, (sys.stdout, sys.stderr), strict=True):
        with file.open("w") as opened:
            os.dup2(opened.fileno(), stream.fileno())
    os.environ |= COLUMNS
    app(arguments)


def run_tiny(folder: Path, *arguments: str) -> Ended:
    return call("run", "quick", *TINY, "--folder", str(folder), *arguments)


def start_tiny(folder: Path, *arguments: str) -> Started:
    beside = folder.with_name(f"{folder.name}-said")
    return Started(beside, "run", "quick", *TINY, "--folder", str(folder), *arguments)


@dataclass(frozen=True)
class Reference:
    """A tiny run from a shell that nobody interrupted."""

    folder: Path
    ended: Ended

    @property
    def results(self) -> Any:
        return read_json(self.folder / "report" / "results.json")

"""What goes wrong is said in a line, and what nobody foresaw keeps its traceback."""

import io
import sqlite3
import warnings
from pathlib import Path

import pytest
import typer
from optuna.exceptions import StorageInternalError
from rich.console import Console

from pml_potential.benchmark.commands.errors import errors_in_words, fail, notes_as_lines, stoppable
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.experiments.search import SearchFailedError
from pml_potential.benchmark.files import DamagedFileError
from pml_potential.benchmark.training.fold_trainer import DivergedError


def test_a_failure_is_a_line_on_stderr_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        fail("the folder is full")
    assert ended.value.exit_code == 2
    assert capsys.readouterr() == ("", "error: the folder is full\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigError("seed: it must be a number"), "seed: it must be a number"),
        (DamagedFileError("state.pth is damaged"), "state.pth is damaged"),
        (DivergedError("the loss is nan"), "the loss is nan"),
        (SearchFailedError("all failed"), "all failed"),
        (FileNotFoundError(2, "No such file", "gone.png"), "[Errno 2] No such file: 'gone.png'"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_a_person_can_mend_is_said_in_words(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, errors_in_words():
        raise error
    assert ended.value.exit_code == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")


@pytest.mark.parametrize("cause", [None, sqlite3.OperationalError("database is locked\nand more")])
def test_a_failed_database_is_said_with_the_first_line_of_its_reason(
    cause: Exception | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, errors_in_words():
        raise StorageInternalError("an exception is raised\nduring the commit") from cause
    assert ended.value.exit_code == 2
    reason = "an exception is raised" if cause is None else "database is locked"
    assert capsys.readouterr().err == (
        f"error: the studies' database failed, and what has ended is kept: {reason}\n"
    )


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("a bug"), KeyError("a bug")])
def test_what_nobody_foresaw_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, errors_in_words():
        raise error
    assert raised.value is error


def test_warnings_are_lines_without_their_place() -> None:
    output = io.StringIO()
    with notes_as_lines(Console(file=output, width=20)):
        warnings.warn("a file is [damaged]; set aside, and made anew", stacklevel=1)
    assert output.getvalue() == "note: a file is [damaged]; set aside, and made anew\n"
    with pytest.warns(UserWarning, match="as always"):
        warnings.warn("as always", stacklevel=1)


def test_an_interruption_says_how_to_go_on() -> None:
    output = io.StringIO()
    with pytest.raises(typer.Exit) as ended, stoppable(Console(file=output, width=80), Path("mine")):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert output.getvalue() == "\nStopped. The same command goes on with mine.\n"


def test_work_that_can_be_stopped_says_errors_and_warnings_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = io.StringIO()

    def work() -> None:
        warnings.warn("careful", stacklevel=1)
        raise ConfigError("no such preset")

    with pytest.raises(typer.Exit) as ended, stoppable(Console(file=output), Path("mine")):
        work()
    assert ended.value.exit_code == 2
    assert output.getvalue() == "note: careful\n"
    assert capsys.readouterr().err == "error: no such preset\n"

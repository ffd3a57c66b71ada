"""What goes wrong is said in a line, and what nobody foresaw leaves its traceback in a file."""

import errno
import io
import re
import sqlite3
import warnings
from pathlib import Path

import pytest
import torch
import typer
from optuna.exceptions import StorageInternalError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from pml_potential.benchmark.commands.errors import errors_in_words, fail, notes_as_lines, stoppable
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.image_reading import UnreadableImageError
from pml_potential.benchmark.experiments.search import SearchFailedError
from pml_potential.benchmark.files import DamagedFileError, NotFiniteError
from pml_potential.benchmark.training.fold_trainer import DivergedError


def test_a_failure_is_a_line_on_stderr_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        fail("the folder is full")
    assert ended.value.exit_code == 2
    assert capsys.readouterr() == ("", "error: the folder is full\n")


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (ConfigError("seed: it must be a number"), "seed: it must be a number", 2),
        (DamagedFileError("state.pth is damaged"), "state.pth is damaged", 2),
        (UnreadableImageError("cannot read the image a.png"), "cannot read the image a.png", 2),
        (FileNotFoundError(2, "No such file", "gone.png"), "gone.png: No such file", 2),
        (PermissionError(13, "Permission denied", "mine"), "mine: Permission denied", 2),
        (DivergedError("the loss is nan"), "the loss is nan", 1),
        (SearchFailedError("all failed"), "all failed", 1),
        (NotFiniteError("result.json is not written"), "result.json is not written", 1),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.pt"),
            "a.pt: No space left on device; free some space and give the same command again",
            1,
        ),
        (
            OSError(errno.ENOLCK, "No locks available", "run/.claim"),
            "run/.claim: No locks available; this file system has no file locks; choose a folder on "
            "another one, or mount it with locks",
            2,
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "aaa"),
            "aaa: File name too long; choose a shorter name",
            2,
        ),
        (
            torch.cuda.OutOfMemoryError("CUDA out of memory."),
            "memory ran out; lower protocol.batch_size, or use a smaller model: CUDA out of memory.",
            1,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_a_person_can_mend_is_said_in_words(
    error: Exception, line: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, errors_in_words():
        raise error
    assert ended.value.exit_code == code
    assert capsys.readouterr() == ("", f"error: {line}\n")


@pytest.mark.parametrize("cause", [None, sqlite3.OperationalError("database is locked\nand more")])
def test_a_failed_database_is_said_with_the_first_line_of_its_reason(
    cause: Exception | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, errors_in_words():
        raise StorageInternalError("an exception is raised\nduring the commit") from cause
    assert ended.value.exit_code == 1
    reason = "an exception is raised" if cause is None else "database is locked"
    assert capsys.readouterr().err == (
        f"error: the database of the studies failed; finished work is kept: {reason}\n"
    )


@pytest.mark.parametrize(
    "error",
    [sqlite3.OperationalError("database is locked"), SQLAlchemyError("database is locked")],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_sqlite_and_sqlalchemy_are_those_of_the_database(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, errors_in_words():
        raise error
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == (
        "error: the database of the studies failed; finished work is kept: database is locked\n"
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("a bug\nwith details"), "RuntimeError: a bug"),
        (KeyError("score"), "KeyError: 'score'"),
        (AssertionError(), "AssertionError"),
        (UnicodeEncodeError("utf-8", "\udce9", 0, 1, "no text"), "UnicodeEncodeError: 'utf-8' codec"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_nobody_foresaw_leaves_its_traceback_in_a_file(
    error: Exception, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, errors_in_words():
        raise error
    assert ended.value.exit_code == 1
    said = capsys.readouterr().err
    found = re.fullmatch(r"error: unexpected (.*); please report it, with the traceback in (.*)\n", said)
    assert found is not None, said
    assert found[1].startswith(words)
    kept = Path(found[2])
    assert "Traceback (most recent call last)" in kept.read_text()
    assert type(error).__name__ in kept.read_text()
    kept.unlink()


@pytest.mark.parametrize(
    "error", [typer.Exit(3), typer.Abort(), typer.BadParameter("no"), BrokenPipeError(32, "Broken pipe")]
)
def test_what_typer_answers_itself_is_left_to_it(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, errors_in_words():
        raise error
    assert raised.value is error


def test_warnings_are_lines_without_their_place() -> None:
    output = io.StringIO()
    with notes_as_lines(Console(file=output, width=20, markup=False)):
        warnings.warn("a file is [damaged]; set aside, and rebuilt", stacklevel=1)
    assert output.getvalue() == "note: a file is [damaged]; set aside, and rebuilt\n"
    with pytest.warns(UserWarning, match="as always"):
        warnings.warn("as always", stacklevel=1)


def test_an_interruption_says_how_to_go_on() -> None:
    output = io.StringIO()
    console = Console(file=output, width=80, markup=False)
    with pytest.raises(typer.Exit) as ended, stoppable(console, Path("m[in]e")):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert output.getvalue() == "\nStopped. The same command resumes m[in]e.\n"


def test_work_that_can_be_stopped_says_warnings_too() -> None:
    output = io.StringIO()
    with stoppable(Console(file=output), Path("mine")):
        warnings.warn("careful", stacklevel=1)
    assert output.getvalue() == "note: careful\n"

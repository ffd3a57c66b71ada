"""Each test of a feature proves one cell of the matrix in docs/compatibility.md."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.compatibility import matrix

_OUTCOME = pytest.StashKey[str]()
_MATRIX = pytest.StashKey[matrix.Matrix]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to write the matrix."""
    parser.addoption("--write-matrix", action="store_true", help="write docs/compatibility.md anew")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the matrix, if that is asked for and every test has passed."""
    if _is_writing(session.config) and exitstatus == pytest.ExitCode.OK:
        session.config.stash[_MATRIX].write()


@pytest.fixture
def refuses(request: pytest.FixtureRequest) -> matrix.Refuses:
    """Expect an error, and make the cell say why."""

    @contextmanager
    def expect(why: str, message: str) -> Iterator[None]:
        request.node.stash[_OUTCOME] = f"refused: {why}"
        with pytest.raises(Exception, match=message):
            yield

    return expect


@pytest.fixture
def deviates(request: pytest.FixtureRequest) -> matrix.Deviates:
    """Make the cell say in what the object does something else than its name promises.

    The test must pin what it does instead.
    """

    def say(why: str) -> None:
        request.node.stash[_OUTCOME] = f"deviates: {why}"

    return say


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Enter a passed test's cell into the matrix, or compare it with the committed one."""
    yield
    cell = matrix.cell_of(item)
    if cell is None:
        return
    group, name, note, loss = cell
    proved = item.stash.get(_OUTCOME, matrix.WORKS)
    if _is_writing(item.config):
        item.config.stash.setdefault(_MATRIX, matrix.Matrix()).enter(group, name, note, loss, proved)
        return
    rows = {(row["group"], row["name"]): row for row in matrix.committed_rows()}
    row = rows.get((group, name), {"note": None, "cells": {}})
    said = row["note"], row["cells"].get(loss)
    assert said == (note, proved), (
        f"{matrix.RESULTS.name} says {said} where this test proves {(note, proved)}; if that is right, "
        "run `pytest tests/compatibility --write-matrix`"
    )


def _is_writing(config: pytest.Config) -> bool:
    # Where pytest meets this file only as it collects, the option does not exist.
    return bool(config.getoption("--write-matrix", False))

"""How far the records of a fold reach, so that they can be cut back to an epoch."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pml_potential.benchmark.files import DamagedFileError

RecordPosition = dict[str, dict[str, int]]
"""``tables``: the last row of each of SQLite's; ``files``: bytes of each CSV and each event file."""


def save_records(keeper: Any, folder: Path) -> RecordPosition:
    """Write out what a record-keeper and its TensorBoard writer hold in memory.

    Args:
        keeper: a ``RecordKeeper`` of the folder.
        folder: of the fold.

    Returns:
        Where the records end.
    """
    keeper.save_records()
    keeper.tensorboard_writer.flush()
    with closing(sqlite3.connect(_database(folder))) as connection:
        tables = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    return {
        "tables": tables,
        "files": {str(path.relative_to(folder)): _synced(path) for path in _files(folder)},
    }


def cut_back(folder: Path, position: RecordPosition) -> None:
    """Remove the records that a fold wrote after a position, since it will write them again.

    Raises:
        DamagedFileError: Records before the position are missing.
        OSError: SQLite cannot write, as on a full disk.
    """
    files = {str(path.relative_to(folder)): path for path in _files(folder)}
    for name, kept in position["files"].items():
        if name not in files or files[name].stat().st_size < kept:
            raise DamagedFileError(f"{folder / name} is shorter than it was")
    for name, path in files.items():
        if name not in position["files"]:
            path.unlink()
        elif position["files"][name] < path.stat().st_size:
            os.truncate(path, position["files"][name])
    database = _database(folder)
    if not database.is_file() or database.stat().st_size == 0:
        raise DamagedFileError(f"{database} is missing")
    try:
        with closing(sqlite3.connect(database)) as connection, connection:
            _cut_tables_back(connection, position["tables"])
    except sqlite3.OperationalError as error:
        raise OSError(f"{database}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise DamagedFileError(f"{database}: {error}") from error


def _cut_tables_back(connection: sqlite3.Connection, position: dict[str, int]) -> None:
    ends = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    for table, kept in position.items():
        if ends.get(table, 0) < kept:
            raise sqlite3.DatabaseError(f"table {table} is shorter than it was")
    for table in ends:
        kept = position.get(table, 0)
        connection.execute(f'DELETE FROM "{table}" WHERE id > ?', (kept,))
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (kept, table))


def _database(folder: Path) -> Path:
    return folder / "logs" / "logs.db"


def _files(folder: Path) -> Iterator[Path]:
    yield from (folder / "logs").glob("*.csv")
    yield from (folder / "tensorboard").glob("events.*")


def _synced(path: Path) -> int:
    """Flush a file to disk, so no checkpoint outlives the records before it; return its length."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size

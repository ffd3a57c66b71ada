"""Records are cut back to where they were, and refused when part of what was before is gone."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pml_potential.benchmark.files import DamagedFileError
from pml_potential.benchmark.training.record_keeper import record_keeper
from pml_potential.benchmark.training.record_position import RecordPosition, cut_back, save_records


def log(keeper: Any, iterations: range, group: str = "losses") -> None:
    for iteration in iterations:
        keeper.update_records({"loss": iteration / 8}, iteration, parent_name=group)


@contextmanager
def recorded(folder: Path, iterations: range) -> Iterator[tuple[Any, RecordPosition]]:
    with record_keeper(folder) as keeper:
        log(keeper, iterations)
        yield keeper, save_records(keeper, folder)


def rows(folder: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(folder / "logs" / "logs.db")) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}


def scalars(folder: Path) -> list[tuple[str, int]]:
    events = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0})
    events.Reload()
    return [(tag, e.step) for tag in events.Tags()["scalars"] for e in events.Scalars(tag)]


def lines(folder: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text().splitlines() for path in (folder / "logs").glob("*.csv")}


def test_what_was_written_after_a_position_is_taken_away(tmp_path: Path) -> None:
    with recorded(tmp_path, range(3)) as (keeper, position):
        before = rows(tmp_path)["losses"], lines(tmp_path), scalars(tmp_path)
        log(keeper, range(3, 5))
        log(keeper, range(3, 5), "later")
        save_records(keeper, tmp_path)
    assert len(rows(tmp_path)["losses"]) == 5
    assert {"losses.csv", "later.csv"} <= lines(tmp_path).keys()
    cut_back(tmp_path, position)
    assert (rows(tmp_path)["losses"], lines(tmp_path), scalars(tmp_path)) == before
    assert rows(tmp_path)["later"] == []
    assert [step for _, step in before[2]] == [0, 1, 2]


def test_records_that_go_on_after_a_cut_are_as_if_nothing_had_happened(tmp_path: Path) -> None:
    with recorded(tmp_path / "straight", range(5)):
        pass
    with recorded(tmp_path / "cut", range(3)) as (keeper, position):
        log(keeper, range(3, 4))
        save_records(keeper, tmp_path / "cut")
    cut_back(tmp_path / "cut", position)
    with recorded(tmp_path / "cut", range(3, 5)):
        pass
    for found in (rows, lines, scalars):
        assert found(tmp_path / "cut") == found(tmp_path / "straight"), found


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    path.write_bytes(b"this is no database" * 2000)


def delete_rows(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM losses WHERE id > 1")
        connection.execute("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'losses'")


@pytest.mark.parametrize(
    ("pattern", "damage", "message"),
    [
        ("logs/logs.db", Path.unlink, "logs.db is missing"),
        ("logs/logs.db", empty, "logs.db is missing"),
        ("logs/logs.db", shorten, "logs.db: "),
        ("logs/logs.db", scramble, "logs.db: file is not a database"),
        ("logs/logs.db", delete_rows, "logs.db: table losses is shorter than it was"),
        ("logs/losses.csv", Path.unlink, "losses.csv is shorter than it was"),
        ("logs/losses.csv", shorten, "losses.csv is shorter than it was"),
        ("tensorboard/events.*", Path.unlink, "events.* is shorter than it was"),
        ("tensorboard/events.*", shorten, "events.* is shorter than it was"),
    ],
)
def test_records_of_which_a_part_is_gone_are_refused(
    pattern: str, damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    with recorded(tmp_path, range(200)) as (_, position):
        pass
    (path,) = tmp_path.glob(pattern)
    damage(path)
    with pytest.raises(DamagedFileError, match=message):
        cut_back(tmp_path, position)


def test_a_database_that_cannot_be_written_is_not_called_damaged(tmp_path: Path) -> None:
    with recorded(tmp_path, range(3)) as (_, position):
        pass
    database = tmp_path / "logs" / "logs.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ALTER TABLE losses RENAME COLUMN id TO number")
        connection.commit()
    with pytest.raises(OSError, match=r"logs\.db: no such column: id"):
        cut_back(tmp_path, position)

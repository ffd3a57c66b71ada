"""Where studies live: what is remembered, what is refused, and what is never written down."""

import os
import sqlite3
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage

from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.experiments.trial_storage import TrialStorage, open_storage
from pml_potential.benchmark.experiments.work_queue import requeue


def storage_of(folder: Path, address: str | None = None) -> TrialStorage:
    return open_storage(RunFolder(folder), address, 60, requeue)


def test_without_an_address_it_is_a_file_in_the_folder(tmp_path: Path) -> None:
    storage = storage_of(tmp_path)
    storage.open("search")
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    assert storage.is_own_file
    assert storage.patience is None


def test_a_path_is_a_journal_file(tmp_path: Path) -> None:
    storage = storage_of(tmp_path / "run", str(tmp_path / "journal"))
    storage.open("search")
    assert isinstance(storage.storage, JournalStorage)
    assert (tmp_path / "journal").is_file()


def test_an_address_is_remembered(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'all.db'}"
    first = storage_of(tmp_path / "run", address).open("search")
    first.set_user_attr("said", "before")
    again = storage_of(tmp_path / "run").open("search")
    assert again.user_attrs == {"said": "before"}
    assert isinstance(storage_of(tmp_path / "run").storage, RDBStorage)


@pytest.mark.parametrize("address", ["sqlite:///relative.db", "relative.journal"])
def test_a_relative_address_is_remembered_whole(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    storage_of(tmp_path / "run", address).open("search").set_user_attr("said", "here")
    assert storage_of(tmp_path / "run", address).open("search").user_attrs == {"said": "here"}
    monkeypatch.chdir(tmp_path / "there")
    assert storage_of(tmp_path / "run").open("search").user_attrs == {"said": "here"}
    with pytest.raises(ConfigError, match="the studies of"):
        storage_of(tmp_path / "run", address)
    assert list((tmp_path / "there").iterdir()) == []


def test_two_runs_share_a_database_without_sharing_studies(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'all.db'}"
    for place in ("a", "b"):
        storage_of(tmp_path / place / "run", address).open("search").set_user_attr("of", place)
    assert len(optuna.get_all_study_names(address)) == 2
    assert storage_of(tmp_path / "a" / "run").open("search").user_attrs == {"of": "a"}


def test_another_address_than_the_one_of_the_run_is_refused(tmp_path: Path) -> None:
    storage_of(tmp_path / "run", f"sqlite:///{tmp_path / 'one.db'}")
    with pytest.raises(ConfigError, match=r"two.db: the studies of .* are in sqlite:.*one.db; leave"):
        storage_of(tmp_path / "run", f"sqlite:///{tmp_path / 'two.db'}")


def test_a_run_with_a_file_of_its_own_keeps_to_it(tmp_path: Path) -> None:
    storage_of(tmp_path).open("search")
    with pytest.raises(ConfigError, match=r"--storage .*journal: the studies of .* are in .*study.db"):
        storage_of(tmp_path, str(tmp_path / "journal"))


def test_an_address_that_does_not_answer_is_not_remembered_and_its_password_not_shown(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match="connection") as caught:
        storage_of(tmp_path, "postgresql+psycopg://somebody:hush@127.0.0.1:1/nothing")
    assert "hush" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgres//x", "is the path|Not a directory|No such file"),
        ("nonsense://x/y", "nonsense"),
        ("mysql+nodriver://x/y", "nodriver"),
        ("mysql+pymysql://somebody@127.0.0.1:1/x", "install the database's driver"),
    ],
)
def test_an_address_that_cannot_be_used_is_an_error_that_shows_it(
    address: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises((ConfigError, OSError), match=message):
        storage_of(tmp_path, address).open("search")


@pytest.mark.parametrize(
    "name",
    [
        "with space", "50%", "a#b", "ünï", "a&b=c", "My%20Project", "what?", "a?mode=memory", ";&'",
        "{a}",         "{SCHEMA_VERSION}", "%(here)s", "a:b@c", "file:x", '"', "\\", "line\nbreak",
        os.fsdecode(b"caf\xe9"),
    ],
)  # fmt: skip
def test_the_study_is_in_its_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    storage_of(tmp_path / name).open("search")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in (tmp_path / name).iterdir()] == ["study.db"]


def test_a_folder_is_not_mistaken_for_one_whose_address_reads_alike(tmp_path: Path) -> None:
    for name in ("My Project", "My%20Project"):
        storage_of(tmp_path / name).open("search").set_user_attr("of", name)
    for name in ("My Project", "My%20Project"):
        assert storage_of(tmp_path / name).open("search").user_attrs == {"of": name}


def test_braces_of_an_address_are_part_of_it(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / '{all}.db'}"
    storage_of(tmp_path / "run", address).open("search")
    assert (tmp_path / "{all}.db").is_file()


@pytest.mark.parametrize("address", ["postgresql://host:port/x", "sqlite://a/b/c", "://", "mysql://[/x"])
def test_an_address_that_is_none_is_said_in_words(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--storage"):
        storage_of(tmp_path, address)


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "study.db").mkdir()
    with pytest.raises(ConfigError, match=r"study\.db cannot be used: unable to open"):
        storage_of(tmp_path)


def test_a_database_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    storage_of(tmp_path).open("search")
    other = sqlite3.connect(tmp_path / "study.db", check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    # Longer than the five seconds that SQLite waits by itself.
    end = threading.Timer(6, other.rollback)
    end.start()
    began = time.monotonic()
    storage_of(tmp_path).open("search")
    assert time.monotonic() - began > 5
    end.join()
    other.close()


@pytest.mark.parametrize("text", ['{"address": 5, "prefix": "a"}', '{"address": "x"}', "[]", "NaN", "x"])
def test_an_edited_note_of_the_storage_is_said_in_words(text: str, tmp_path: Path) -> None:
    RunFolder(tmp_path).storage.write_text(text)
    with pytest.raises(ConfigError, match=r"storage\.json is damaged \(.+\); it held the address"):
        storage_of(tmp_path)


def test_a_file_of_another_program_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"this is no database" * 100)
    with pytest.warns(UserWarning, match=r"study.db is damaged; set aside as study.db.damaged_1"):
        storage_of(tmp_path).open("search")
    assert (tmp_path / "study.db.damaged_1").read_bytes().startswith(b"this is no")

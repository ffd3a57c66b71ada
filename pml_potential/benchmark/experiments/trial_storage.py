"""Where Optuna keeps the trials of a run: a file in its folder, a database server, or a journal file."""

import secrets
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from pydantic import TypeAdapter
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.files import read_json, set_aside, write_json

_MISSED_HEARTBEATS = 3
"""A trial whose worker has missed so many is requeued."""

_PATIENCE_WITH_A_BUSY_FILE = 120
"""Seconds to wait while other processes write to the same SQLite file."""

OnStaleTrial = Callable[[optuna.Study, FrozenTrial], None]


@dataclass(frozen=True)
class TrialStorage:
    """The storage of a run.

    Attributes:
        storage: of Optuna.
        prefix: of the names of the run's studies, which may share a storage with those of other runs.
        is_own_file: whether it is the file in the run's folder, which one machine uses.
        heartbeat: seconds between a worker's heartbeats.
    """

    storage: BaseStorage
    prefix: str
    is_own_file: bool
    heartbeat: int

    @property
    def patience(self) -> float | None:
        """Seconds after which a trial that no worker has begun counts as lost; None: at once."""
        return None if self.is_own_file else _MISSED_HEARTBEATS * self.heartbeat

    def open(self, name: str) -> optuna.Study:
        """Open or create one of the studies."""
        return optuna.create_study(
            storage=self.storage,
            study_name=f"{self.prefix}{name}",
            direction="maximize",
            load_if_exists=True,
        )


def open_storage(
    run: RunFolder, address: str | None, heartbeat: int, on_stale_trial: OnStaleTrial
) -> TrialStorage:
    """Open or choose the storage of a run.

    Without an address it is ``study.db`` in the run's folder, a SQLite file, which is set aside if
    damaged. An address is remembered in ``storage.json``, without a password.

    Args:
        run: folder of the run.
        address: a database's address as SQLAlchemy takes it, or the path of a journal file; None: what
            the run has used before.
        heartbeat: seconds between a worker's heartbeats.
        on_stale_trial: called for a trial whose worker has missed too many heartbeats.

    Raises:
        ConfigError: The address cannot be used, or the run has used another one.
    """
    folder = run.path
    remembered = _Remembered.read(run.storage)
    own = run.database.resolve()
    if address is None and remembered is None:
        return TrialStorage(_own_database(own, heartbeat, on_stale_trial), "", True, heartbeat)
    if remembered is None:
        elsewhere = str(own) if own.exists() else None
        remembered = _Remembered(
            _without_password(str(address)), f"{_as_text(folder.resolve().name)}-{secrets.token_hex(4)}/"
        )
    else:
        elsewhere = _without_password(remembered.address)
    if address is not None and elsewhere not in (None, _without_password(address)):
        raise ConfigError(
            f"--storage {_without_password(address)}: the studies of {folder} are in {elsewhere}; leave "
            "--storage out, or choose another folder"
        )
    opened = _opened(address or remembered.address, heartbeat, on_stale_trial)
    # Only now that it could be opened.
    write_json(run.storage, asdict(remembered))
    return TrialStorage(opened, remembered.prefix, False, heartbeat)


@dataclass(frozen=True)
class _Remembered:
    """Address of a run's studies, and the prefix of their names."""

    address: str
    prefix: str

    @classmethod
    def read(cls, path: Path) -> "_Remembered | None":
        try:
            return TypeAdapter(cls).validate_python(read_json(path))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ConfigError(
                f"{path} is damaged ({reason_of(error)}); it held the address of the studies and the "
                "prefix of their names, which Optuna lists"
            ) from error


def _as_text(name: str) -> str:
    """A name with escapes for bytes that are not UTF-8, which no database takes."""
    return name.encode(errors="backslashreplace").decode()


def _own_database(path: Path, heartbeat: int, on_stale_trial: OnStaleTrial) -> BaseStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not _is_sound(path):
        aside = set_aside(path, "damaged")
        set_aside(path.with_name(f"{path.name}-journal"), "damaged")
        warnings.warn(
            f"{path} is damaged; set aside as {aside.name}, and rebuilt from the trials' folders",
            stacklevel=2,
        )
    # Not by an address, in which "%20", "?" and braces of a folder's name have other meanings.
    engine = {"creator": lambda: _connect(path), "poolclass": QueuePool}
    return _rdb_storage("sqlite://", engine, heartbeat, on_stale_trial)


def _opened(address: str, heartbeat: int, on_stale_trial: OnStaleTrial) -> BaseStorage:
    if "://" in address:
        return _database(address, heartbeat, on_stale_trial)
    return JournalStorage(JournalFileBackend(str(Path(address).resolve())))


def _database(address: str, heartbeat: int, on_stale_trial: OnStaleTrial) -> RDBStorage:
    engine: dict[str, Any] = {"pool_pre_ping": True}
    if address.startswith("sqlite"):
        engine = {"connect_args": {"timeout": _PATIENCE_WITH_A_BUSY_FILE}}
    try:
        # Optuna formats the address with its version, and a password may contain braces.
        escaped = address.replace("{", "{{").replace("}", "}}")
        return _rdb_storage(escaped, engine, heartbeat, on_stale_trial)
    except (ImportError, SQLAlchemyError, ValueError) as error:
        reason = reason_of(error)
        if isinstance(error, ImportError):
            reason += "; install the database's driver, for PostgreSQL: pip install 'psycopg[binary]'"
        raise ConfigError(f"--storage {_without_password(address)}: {reason}") from error


def _rdb_storage(
    address: str, engine: dict[str, Any], heartbeat: int, on_stale_trial: OnStaleTrial
) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            address,
            engine_kwargs=engine,
            heartbeat_interval=heartbeat,
            grace_period=_MISSED_HEARTBEATS * heartbeat,
            heartbeat_stale_trial_callback=on_stale_trial,
        )


def _connect(path: Path) -> sqlite3.Connection:
    # SQLAlchemy hands a connection to one thread at a time, though not always to the same.
    return sqlite3.connect(path, timeout=_PATIENCE_WITH_A_BUSY_FILE, check_same_thread=False)


def _without_password(address: str) -> str:
    """The address without its password, to store and show."""
    if "://" not in address:
        return str(Path(address).resolve())
    try:
        url = make_url(address)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise ConfigError(
            "--storage: give a URL such as postgresql+psycopg://user@host/database, or the path of a "
            "journal file"
        ) from error
    database = url.database
    if (
        url.get_backend_name() == "sqlite"
        and database
        and not database.startswith((":memory:", "file:"))
    ):
        # Otherwise a worker in another working folder would create another file.
        database = str(Path(database).absolute())
    without = URL.create(url.drivername, url.username, None, url.host, url.port, database, url.query)
    return without.render_as_string()


def _is_sound(path: Path) -> bool:
    try:
        with closing(_connect(path)) as connection:
            found: tuple[str] = connection.execute("PRAGMA quick_check").fetchone()
            return found == ("ok",)
    except sqlite3.OperationalError as error:
        # Locked or not accessible: setting it aside would not help.
        raise ConfigError(
            f"{path} cannot be used: {error}; check its permissions, and that no other program is "
            f"using it"
        ) from error
    except sqlite3.DatabaseError:
        return False

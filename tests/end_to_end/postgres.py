"""A PostgreSQL server of one's own, on loopback, for as long as a test needs it."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _program(name: str) -> str:
    """Path of one of PostgreSQL's programs, which Debian keeps off the path."""
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    if found is None:
        pytest.skip(f"{name} is not installed; Debian's package is postgresql")
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def postgres() -> Iterator[str]:
    """Start a server with its files in a temporary folder, and yield the address of its database."""
    # PostgreSQL refuses to be run by root.
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        shutil.chown(folder, user)
        port, files = _free_port(), folder / "files"

        def call(*command: str) -> None:
            done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, (command, done.stdout, done.stderr)

        call(_program("initdb"), "--auth=trust", "--no-sync", "--username=tester", f"--pgdata={files}")
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        control = (_program("pg_ctl"), f"--pgdata={files}", "--wait")
        call(*control, "start", f"--options={settings}", f"--log={folder / 'log'}")
        try:
            yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        finally:
            call(*control, "stop", "--mode=immediate")

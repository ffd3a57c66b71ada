"""A tiny run that nobody interrupted."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.end_to_end.command import TINY, Ended, Reference, call_from_a_shell


@pytest.fixture(scope="session")
def reference(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Reference:
    def run(folder: Path) -> None:
        ended = call_from_a_shell("run", "quick", *TINY, "--folder", str(folder / "run"))
        (folder / "ended.json").write_text(json.dumps(asdict(ended)))

    folder = made_once("reference", run)
    return Reference(folder / "run", Ended(**json.loads((folder / "ended.json").read_text())))

"""Optuna Dashboard opens the study of a run."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.end_to_end.command import PATIENCE, Reference

COMMAND = str(Path(sys.executable).with_name("optuna-dashboard"))


def answer(url: str) -> Any:
    with urlopen(url, timeout=PATIENCE) as response:
        return json.load(response)


@pytest.fixture(scope="module")
def address(reference: Reference) -> Iterator[str]:
    """Address of a dashboard that shows a tiny run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    storage = f"sqlite:///{reference.folder / 'study.db'}"
    process = subprocess.Popen(
        [COMMAND, storage, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            assert process.poll() is None, "the dashboard ended"
            assert time.monotonic() < deadline, "the dashboard does not answer"
            try:
                answer(f"{url}/api/studies")
                break
            except URLError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_the_dashboard_finds_the_study_with_its_trials(address: str, reference: Reference) -> None:
    listed = {each["study_name"]: each for each in answer(f"{address}/api/studies")["study_summaries"]}
    assert listed.keys() == {"search", "reproductions"}
    study = listed["search"]
    assert study["directions"] == ["maximize"]
    found = answer(f"{address}/api/studies/{study['study_id']}")
    expected = reference.results["trials"]
    assert [trial["values"] for trial in found["trials"]] == [
        [trial["validation_map_at_r"]] for trial in expected
    ]
    shown = [
        {each["name"]: each["param_internal_value"] for each in t["params"]} for t in found["trials"]
    ]
    assert shown == [trial["params"] for trial in expected]

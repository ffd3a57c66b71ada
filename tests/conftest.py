"""The order of the test files, and folders that all processes of a test session share."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

# The files that take longest, longest first: handed out last, one of them would keep one core busy while
# the others have nothing to do.
LONGEST = (
    "tests/benchmark/experiments/test_fold_processes.py",
    "tests/site/test_every_page.py",
    "tests/benchmark/training/test_process_group.py",
    "tests/end_to_end/test_tutorials.py",
    "tests/end_to_end/test_interruption.py",
    "tests/benchmark/experiments/studies/test_label_noise.py",
    "tests/end_to_end/test_workers.py",
    "tests/compatibility/test_compiled.py",
    "tests/benchmark/commands/test_reading.py",
    "tests/benchmark/commands/test_studies.py",
    "tests/benchmark/commands/test_running.py",
    "tests/benchmark/data/datasets/test_miniature_runs.py",
    "tests/benchmark/report/test_run_analysis.py",
    "tests/end_to_end/test_browser.py",
    "tests/end_to_end/test_kills.py",
    "tests/benchmark/experiments/test_damaged_runs.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    places = {config.rootpath / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """No processes for a single test or file, which would be handed to one of them whole."""
    is_one_file = len(config.args) == 1 and Path(config.args[0].partition("::")[0]).is_file()
    return 0 if is_one_file else None


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """A function that names a folder: the first process to ask for it fills it, and others wait.

    It takes the name and what fills the folder, and returns the folder.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def made(name: str, fill: Callable[[Path], None]) -> Path:
        folder, is_filled = shared / name, shared / f"{name}.is_filled"
        with FileLock(shared / f"{name}.lock"):
            if not is_filled.exists():
                # What a process that failed has left.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                is_filled.touch()
        return folder

    return made

"""What a result says of the machine and of the source that it was made with."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import pml_potential
from pml_potential.benchmark.report.environment import commit_of_checkout, describe_environment


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def checkout(folder: Path, package: str) -> Path:
    """A repository with a package in it, committed."""
    place = folder / package
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return place


def test_a_checkout_has_a_commit_and_says_if_it_was_changed(tmp_path: Path) -> None:
    package = checkout(tmp_path, "package")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert commit_of_checkout(package) == commit
    (package / "__init__.py").write_text("# changed")
    assert commit_of_checkout(package) == f"{commit}-dirty"


@pytest.mark.parametrize("ignored", [True, False])
def test_a_package_installed_inside_a_repository_has_none(tmp_path: Path, ignored: bool) -> None:
    checkout(tmp_path, "somebodys_code")
    installed = tmp_path / "venv" / "lib" / "site-packages" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    if ignored:
        (tmp_path / ".gitignore").write_text("venv\n")
    else:
        git(tmp_path, "add", "-f", ".")
        git(tmp_path, "commit", "-q", "-m", "with its environment")
    assert commit_of_checkout(installed) is None


def test_an_untracked_package_beside_a_repositorys_code_has_none(tmp_path: Path) -> None:
    checkout(tmp_path, "somebodys_code")
    copied = tmp_path / "package"
    copied.mkdir()
    (copied / "__init__.py").write_text("")
    assert commit_of_checkout(copied) is None


def test_outside_of_any_repository_there_is_none(tmp_path: Path) -> None:
    package = checkout(tmp_path, "package")
    shutil.rmtree(tmp_path / ".git")
    assert commit_of_checkout(package) is None


def test_the_environment_has_the_commit_of_this_package() -> None:
    package = Path(pml_potential.__file__).parent
    assert describe_environment()["commit"] == commit_of_checkout(package)


def test_processes_that_train_side_by_side_share_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    assert [describe_environment(processes)["threads"] for processes in (1, 2, 8)] == [5, 2, 1]

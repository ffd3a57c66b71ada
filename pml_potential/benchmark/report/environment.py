"""The machine, the versions and the source that a result was made with."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import pml_potential

_PACKAGES = (
    "pml-potential",
    "pytorch-metric-learning",
    "torch",
    "optuna",
    "faiss-cpu",
    "numpy",
    "record-keeper",
)


def describe_environment(processes: int = 1) -> dict[str, Any]:
    """Versions, machine and state of the source, as far as they can influence a result.

    Args:
        processes: how many train at once, and share the threads. Default 1.
    """
    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": max(1, torch.get_num_threads() // processes),
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "packages": packages,
        "commit": commit_of_checkout(Path(pml_potential.__file__).parent),
    }


def check_environment(found: Any) -> dict[str, Any]:
    """Check and return a saved result of ``describe_environment``, of this version or an earlier one.

    Raises:
        ValueError: It is something else.
    """
    kinds = {"python": str, "platform": str, "packages": dict, "commit": str | None}
    for key, kind in kinds.items():
        if not isinstance(found, dict) or not isinstance(found.get(key, 0), kind):
            raise ValueError(f"{key} is missing or of another kind")
    return dict(found)


def commit_of_checkout(package: Path) -> str | None:
    """Commit of the checkout that a package runs from, with ``-dirty`` if it was changed.

    Args:
        package: folder of the package.

    Returns:
        None unless the package is a tracked folder at the top of a git repository. A package installed
        into an environment inside another repository is not, and that repository's commit says nothing
        about it.
    """
    root = _git(package, "rev-parse", "--show-toplevel")
    if root is None or Path(root).resolve() != package.resolve().parent:
        return None
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    """Answer of git about a folder; None if it refuses or is not installed."""
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _processor() -> str:
    """Name of the processor if the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

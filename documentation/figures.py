"""Draws figures of the site, and records their sources: ``python -m documentation.figures NAME``.

``docs/images/figures.json`` has an entry for each figure in ``docs/images``: the command that draws it,
and the files that decide how it looks. Drawing records the hashes of these files and of the figure; a
test compares them. Without a name, all figures whose files have changed since are drawn.
"""

import hashlib
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from pml_potential.benchmark.files import read_json, write_json

ROOT = Path(__file__).parents[1]
IMAGES = Path("docs") / "images"
SUFFIXES = {".gif", ".jpg", ".png", ".svg", ".webp"}


def recorded(root: Path) -> dict[str, dict[str, Any]]:
    """The entries of all figures."""
    entries: dict[str, dict[str, Any]] = read_json(root / IMAGES / "figures.json")
    return entries


def unrecorded(root: Path) -> list[str]:
    """Figures without an entry."""
    drawn = [path for path in sorted((root / IMAGES).iterdir()) if path.suffix in SUFFIXES]
    return [path.name for path in drawn if path.name not in recorded(root)]


def outdated(root: Path) -> dict[str, list[str]]:
    """Figures that are not as recorded, each with the files that have changed since it was drawn."""
    changes = {
        name: [path for path, found in _files(name, entry).items() if found != _hash(root / path)]
        for name, entry in recorded(root).items()
    }
    return {name: paths for name, paths in changes.items() if paths}


def draw(root: Path, names: list[str]) -> None:
    """Draw figures by their commands, each command once, and record the hashes of their sources."""
    entries = recorded(root)
    for command in dict.fromkeys(entries[name]["command"] for name in names):
        subprocess.run([sys.executable, *shlex.split(command)[1:]], cwd=root, check=True)
    for name in names:
        entries[name]["figure"] = _hash(root / IMAGES / name)
        entries[name]["sources"] = {path: _hash(root / path) for path in entries[name]["sources"]}
    write_json(root / IMAGES / "figures.json", entries)


def _files(name: str, entry: dict[str, Any]) -> dict[str, str]:
    return {str(IMAGES / name): entry["figure"], **entry["sources"]}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


if __name__ == "__main__":
    draw(ROOT, sys.argv[1:] or list(outdated(ROOT)))

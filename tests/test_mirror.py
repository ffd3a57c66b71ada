"""Tests mirror the package file for file."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(ROOT / "pml_potential")
    for path in (ROOT / "pml_potential").rglob("*.py")
    if not path.name.startswith("__")
)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_its_test_file(module: Path) -> None:
    assert (ROOT / "tests" / module.parent / f"test_{module.name}").is_file()


def test_there_are_modules_to_look_at() -> None:
    assert len(MODULES) > 100

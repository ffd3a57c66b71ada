import json
import sys
from pathlib import Path

import pytest

from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.schema import ConfigError


def test_a_library_that_is_there_is_imported() -> None:
    assert import_library("json", "json", "a test") is json


def test_a_submodule_is_imported_itself() -> None:
    assert import_library("json.decoder", "json", "a test").JSONDecoder is json.JSONDecoder


def test_a_library_that_is_missing_is_named_with_the_pip_line() -> None:
    expected = r"^model\.trunk: 'x' needs 'no_such_module', .* not installed: pip install its-package$"
    with pytest.raises(ConfigError, match=expected):
        import_library("no_such_module.part", "its-package", "model.trunk: 'x'")


def test_what_a_library_itself_misses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "library_without_six.py").write_text("import no_such_six")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="a test needs 'no_such_six', which is not installed"):
        import_library("library_without_six", "library six", "a test")


def test_a_library_that_fails_in_another_way_shows_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_library.py").write_text("raise RuntimeError('too old')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="too old"):
        import_library("broken_library", "broken-library", "a test")
    assert "broken_library" not in sys.modules

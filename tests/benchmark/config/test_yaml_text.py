"""Text that is no YAML is an error in a line, whatever PyYAML makes of it."""

from pathlib import Path

import pytest

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.config.yaml_text import read_yaml, read_yaml_file


def test_yaml_is_read_from_text_and_from_bytes() -> None:
    assert read_yaml("[1, é]", "it") == read_yaml("[1, é]".encode(), "it") == [1, "é"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{a: 1", "while parsing a flow mapping, expected"),
        ("a: b: c", "mapping values are not allowed here, in line 1, column 5"),
        ("2024-13-45", "month must be in 1..12"),
        ("!!bool maybe", "KeyError: 'maybe'"),
        ("!!int ''", "string index out of range"),
        ("!!timestamp soon", "'NoneType' object has no attribute 'groupdict'"),
        ("!!python/name:os.system", "could not determine a constructor for the tag"),
        ("[" * 5000, "maximum recursion depth exceeded"),
        ("? [1]\n: 2", "while constructing a mapping, found unhashable key"),
        ("a\0b", "unacceptable character #x0000: special characters are not allowed"),
        (b"\xff\xfe\xff", "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_whatever_is_no_yaml_is_said_in_a_line(text: str | bytes, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_yaml(text, "mine.yaml")
    assert str(refused.value).startswith(f"mine.yaml is no YAML: {reason}")
    assert "\n" not in str(refused.value)


def test_a_file_holds_keys_and_values(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("a: {b: é}", encoding="utf-8")
    assert read_yaml_file(file) == {"a": {"b": "é"}}
    file.write_text("[1]", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        read_yaml_file(file)
    assert str(refused.value) == f"{file} holds list; it must hold keys and values"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone.yaml cannot be read: No such file or directory"):
        read_yaml_file(tmp_path / "gone.yaml")

"""Text that is no YAML is an error in a line, whatever PyYAML makes of it."""

import pytest

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.config.yaml_text import read_yaml


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

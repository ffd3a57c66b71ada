"""Read YAML, and say in a line what is wrong with it."""

from pathlib import Path
from typing import Any

import yaml

from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import ConfigError


def read_yaml(text: str | bytes, what: str) -> Any:
    """Read a value of YAML's simple types.

    Args:
        text: in YAML; bytes are in UTF-8.
        what: name of the text, for the error.

    Raises:
        ConfigError: It is not YAML.

    Examples:
        >>> read_yaml("{low: 0.1, high: 1}", "--set")
        {'low': 0.1, 'high': 1}
        >>> read_yaml("2024-13-01", "--set seed=2024-13-01: the value")
        Traceback (most recent call last):
        ...
        pml_potential.benchmark.config.schema.ConfigError: --set seed=2024-13-01: the value is no YAML:
        month must be in 1..12
    """
    try:
        return yaml.safe_load(text.decode() if isinstance(text, bytes) else text)
    # PyYAML raises arbitrary exceptions for tags and dates that their text does not fit.
    except Exception as error:
        raise ConfigError(f"{what} is no YAML: {reason_of(error)}") from error


def read_yaml_file(path: Path) -> dict[str, Any]:
    """Read the keys and values of a file.

    Raises:
        ConfigError: It cannot be read, is not YAML, or holds something else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    values = read_yaml(content, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}; it must hold keys and values")
    return values

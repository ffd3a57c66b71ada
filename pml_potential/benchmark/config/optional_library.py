"""Libraries that only some networks need."""

import importlib
from typing import Any

from pml_potential.benchmark.config.schema import ConfigError


def import_library(module: str, package: str, needed_by: str) -> Any:
    """Import a module that may not be installed.

    Args:
        module: its dotted name.
        package: what pip installs to bring it.
        needed_by: what needs it, for the error.

    Raises:
        ConfigError: It is not installed; the message has the pip line.

    Examples:
        >>> import_library("json", "json", "this example").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{needed_by} needs {error.name!r}, which is not installed: pip install {package}"
        ) from error

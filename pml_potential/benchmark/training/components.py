"""Find, check and build the classes that a configuration names, with their arguments."""

import inspect
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.schema import Component, ConfigError, Loss
from pml_potential.losses.arguments import accepted_arguments


def find_class(
    name: str, modules: Sequence[ModuleType], base: type, keys: tuple[str, ...], where: str = ""
) -> Any:
    """Find a class by its name.

    Args:
        name: of the class.
        modules: where to look, in order.
        base: what it must be a subclass of.
        keys: path of the section of the configuration that names it.
        where: the modules, for the error. Default: the name of the only one, and "has no".

    Raises:
        ConfigError: There is no such class; the message suggests the nearest name.
    """
    known: list[str] = []
    for module in modules:
        found = getattr(module, name, None)
        if inspect.isclass(found) and issubclass(found, base):
            return found
        # Not vars(), which lacks what a module imports lazily.
        known += [each for each in dir(module) if _is_choice(getattr(module, each), base)]
    where = where or f"{modules[0].__name__} has no"
    raise ConfigError(
        f"{'.'.join(keys)}.name: {where} {name!r}{did_you_mean(name, known)}", (*keys, "name")
    )


def build_component(
    component_class: Any, given: Component | Loss, sizes: dict[str, int] | None = None, **further: Any
) -> Any:
    """Call a class with its configured arguments and with those of the sizes that it takes."""
    accepted = accepted_arguments(component_class)
    filled = {name: value for name, value in (sizes or {}).items() if name in accepted}
    return component_class(**(filled | given.params | further))


def check_arguments(given: Iterable[str], accepted: Sequence[str], keys: tuple[str, ...]) -> None:
    """Raise unless all arguments are among those that a class accepts.

    Raises:
        ConfigError: One is not; the message suggests the nearest.
    """
    for argument in given:
        if argument not in accepted:
            raise ConfigError(
                f"unknown key {'.'.join((*keys, argument))!r}{did_you_mean(argument, accepted)}; "
                f"allowed here: {', '.join(accepted)}",
                (*keys, argument),
            )


def _is_choice(value: Any, base: type) -> bool:
    return inspect.isclass(value) and issubclass(value, base) and value is not base

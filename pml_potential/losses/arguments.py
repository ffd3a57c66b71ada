"""The arguments that a loss accepts, including those of its base classes."""

import inspect
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches

from torch import nn

_SET_BY_SUBCLASSES = {"potential", "name", "vectors_per_class"}
"""Arguments of this package's base classes that subclasses set, not users."""

_SHORTEST_COMMON_PART = 4


def accepted_arguments(module_class: type) -> list[str]:
    """Names of all keyword arguments that a module and its base classes accept."""
    names: dict[str, None] = {}
    for ancestor in inspect.getmro(module_class):
        if not issubclass(ancestor, nn.Module) and not ancestor.__name__.endswith("Mixin"):
            continue
        if ancestor is nn.Module or "__init__" not in vars(ancestor):
            continue
        for name, parameter in inspect.signature(vars(ancestor)["__init__"]).parameters.items():
            if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                names[name] = None
    return [name for name in names if name not in _SET_BY_SUBCLASSES]


def check_arguments(loss_class: type, given: Iterable[str], accepted: Sequence[str]) -> None:
    """Raise unless a loss accepts all given arguments.

    Raises:
        TypeError: An argument is unknown; the message names the loss and the nearest argument.

    Examples:
        >>> from pml_potential import PotentialFieldLoss
        >>> PotentialFieldLoss(10, 64, num_proxies=15)
        Traceback (most recent call last):
        ...
        TypeError: PotentialFieldLoss has no argument 'num_proxies', did you mean 'proxies_per_class'?
        It takes num_classes, embedding_size, proxies_per_class, alpha, ...
    """
    for name in given:
        if name not in accepted:
            nearest = _nearest(name, accepted)
            meant = f", did you mean {nearest!r}?" if nearest else "."
            raise TypeError(
                f"{loss_class.__name__} has no argument {name!r}{meant} It takes {', '.join(accepted)}"
            )


def _nearest(name: str, accepted: Sequence[str]) -> str | None:
    """The argument with the most similar spelling, else the one with the longest part in common."""
    if alike := get_close_matches(name, accepted, n=1):
        return alike[0]

    def common(other: str) -> int:
        return SequenceMatcher(None, name, other).find_longest_match().size

    nearest = max(accepted, key=common)
    return nearest if common(nearest) >= _SHORTEST_COMMON_PART else None

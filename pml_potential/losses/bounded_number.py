"""Numbers of a loss that may be assigned at any time and are checked at each assignment."""

from collections.abc import Callable
from typing import Any, cast, overload

from torch import nn

from pml_potential.functional.validation import check_number


class BoundedNumber:
    """An attribute that accepts only numbers within bounds; a new one counts from the next call.

    Args:
        low: smallest allowed number.
        high: largest allowed number; infinity for no bound. Infinity itself is never allowed.
        low_is_allowed: whether ``low`` itself is allowed. Default: yes.
        if_none: computes from the instance what None stands for. Default: None is refused.

    Raises:
        ValueError: A number outside the bounds is assigned; the old one stays.
        TypeError: The assigned value is not a number; the old one stays.

    Examples:
        >>> class Spring(ModuleWithNumbers):
        ...     stiffness = BoundedNumber(0, 10, low_is_allowed=False)
        >>> spring = Spring()
        >>> spring.stiffness = 2
        >>> spring.stiffness
        2.0
        >>> spring.stiffness = 0
        Traceback (most recent call last):
        ValueError: stiffness is 0; it must lie in (0, 10]
    """

    def __init__(
        self,
        low: float,
        high: float,
        low_is_allowed: bool = True,
        if_none: Callable[[Any], float] | None = None,
    ) -> None:
        self._bounds = (low, high, low_is_allowed)
        self._if_none = if_none

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type, /) -> "BoundedNumber": ...

    @overload
    def __get__(self, instance: object, owner: type, /) -> float: ...

    def __get__(self, instance: object | None, _: type, /) -> "BoundedNumber | float":
        if instance is None:
            return self
        try:
            number: float | None = vars(instance)[self._name]
        except KeyError:
            raise AttributeError(self._name) from None
        if number is None and self._if_none is not None:
            return self._if_none(instance)
        return cast(float, number)

    def __set__(self, instance: object, value: float | None, /) -> None:
        if value is not None or self._if_none is None:
            value = check_number(self._name, value, *self._bounds)
        vars(instance)[self._name] = value
        # Built from the numbers, and cached by functools.cached_property.
        vars(instance).pop("potential", None)


class ModuleWithNumbers(nn.Module):
    """A module whose ``BoundedNumber`` attributes accept only numbers.

    torch would register an assigned parameter or submodule under the number's name, without the check.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), BoundedNumber):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

"""Numbers of a loss that determine the shape of its parameters."""


class FixedNumber:
    """An attribute that is assigned once, in the constructor.

    There is no ``__get__``: Python reads the value from the instance, where it is stored.

    Args:
        advice: what to do instead of assigning another number.

    Raises:
        AttributeError: Another number is assigned.

    Examples:
        >>> class Grid:
        ...     rows = FixedNumber("build another grid")
        ...     def __init__(self) -> None:
        ...         self.rows = 3
        >>> Grid().rows
        3
        >>> Grid().rows = 4
        Traceback (most recent call last):
        AttributeError: rows is 3 and cannot be set to 4: build another grid
    """

    def __init__(self, advice: str) -> None:
        self._advice = advice

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, instance: object, value: int) -> None:
        if self._name in vars(instance):
            raise AttributeError(
                f"{self._name} is {vars(instance)[self._name]} and cannot be set to {value!r}: "
                f"{self._advice}"
            )
        vars(instance)[self._name] = value

    @staticmethod
    def change(instance: object, name: str, value: int) -> None:
        """Set the number anyway: for a method that rebuilds all that depends on it."""
        vars(instance)[name] = value

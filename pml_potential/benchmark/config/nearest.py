"""The nearest name, for errors about a name that does not exist."""

import difflib
from collections.abc import Sequence


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Ask whether the nearest of the names was meant; nothing if none is near.

    Examples:
        >>> did_you_mean("alhpa", ["alpha", "beta"])
        ", did you mean 'alpha'?"
        >>> did_you_mean("gamma", ["alpha", "beta"])
        ''
    """
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""

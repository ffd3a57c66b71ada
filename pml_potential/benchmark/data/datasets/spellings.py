"""Classes that are spelled in several ways."""

import re
import unicodedata
from collections.abc import Sequence

_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s_\-]+(?=\d)")
_SEPARATORS = re.compile(r"(?!^-\d)[\s_\-]+")
_NO_WIDTH = {"Cf", "Cc"}


def spelled_in_several_ways(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Find names that differ only in case, spaces, underscores, hyphens and forms of Unicode.

    Single characters that differ in case stay distinct, as classes of letters do; and so do numbers that
    differ in their sign, or in where separators stand between their digits.

    Args:
        names: of the classes.

    Returns:
        The names of each such class, in their order.

    Examples:
        >>> spelled_in_several_ways(["Great Dane", "A", "great_dane", "a", "1-2", "12"])
        [('Great Dane', 'great_dane')]
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_key(name), []).append(name)
    return [tuple(group) for group in found.values() if len(group) > 1]


def _key(name: str) -> str:
    if len(unicodedata.normalize("NFC", name)) == 1:
        return name
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = "".join(
        each for each in plain if unicodedata.category(each) not in _NO_WIDTH or each.isspace()
    )
    hyphens = "".join("-" if unicodedata.category(each) == "Pd" else each for each in visible).strip()
    return _SEPARATORS.sub("", _BETWEEN_DIGITS.sub("\0", hyphens))

"""What an exception says, in a line: the one place that edits the messages of other libraries."""

import errno
import re

import yaml
from pydantic import ValidationError

_ADVICE = {
    errno.ENOLCK: "this file system has no file locks; choose a folder on another one, or mount it "
    "with locks",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "free some space and give the same command again",
    errno.EDQUOT: "free some space and give the same command again",
}
"""What to do, where the system's message does not say it."""

_FROM_A_WORKER = re.compile(
    r"^Caught (\w+) in .+\nOriginal Traceback \(most recent call last\):\n", re.M
)


def reason_of(error: BaseException) -> str:
    """Say in a line why something failed, with the file that it is about.

    The traceback that torch puts into the message of an error from a process that loads images is left
    out, and so is all but the first line of another library's message.

    Args:
        error: any exception; messages of this package's exceptions are kept whole.

    Examples:
        >>> reason_of(FileNotFoundError(2, "No such file or directory", "cat.png"))
        'cat.png: No such file or directory'
        >>> reason_of(KeyError("score")), reason_of(AssertionError())
        ("KeyError: 'score'", 'AssertionError')
    """
    if isinstance(error, yaml.MarkedYAMLError):
        return _place_in_yaml(error)
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        place = ".".join(str(key) for key in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    if isinstance(error, OSError) and error.errno is not None:
        words = ": ".join(str(part) for part in (error.filename, error.strerror) if part is not None)
        return "; ".join(filter(None, (words, _ADVICE.get(error.errno))))
    text = str(error)
    if found := _FROM_A_WORKER.search(text):
        # The traceback ends with the error itself, after the name of its class.
        text = re.split(rf"^(?:[\w.]+\.)?{found[1]}(?:: |$)", text, flags=re.M)[-1]
    elif isinstance(error, KeyError):
        return f"KeyError: {text}"
    if not type(error).__module__.startswith("pml_potential"):
        text = next(iter(text.strip().splitlines()), "")
    return text.strip() or type(error).__name__


def _place_in_yaml(error: yaml.MarkedYAMLError) -> str:
    words = ", ".join(filter(None, (error.context, error.problem))) or type(error).__name__
    mark = error.problem_mark
    return words if mark is None else f"{words}, in line {mark.line + 1}, column {mark.column + 1}"

"""Terminal output: text as it is, on any terminal."""

import codecs
import io
import os
import sys

from rich.console import Console

_ENCODING_ERRORS = "pml_potential.readable"
_IN_ASCII = {"±": "+/-", "−": "-", "–": "-", "·": "|", "×": "x", "≤": "<=", "≥": ">=", "…": "..."}


def new_console() -> Console:
    """A console that prints text as it is: no markup, no emoji codes, no colours for numbers.

    Text is often a user's path or name, whose brackets and colons must stay.
    """
    return Console(markup=False, emoji=False, highlight=False)


def say_that_it_starts(console: Console) -> None:
    """Say that libraries are being loaded, which takes seconds; under torchrun only rank 0 says so."""
    if "torch" not in sys.modules and os.environ.get("RANK", "0") == "0":
        console.print("Loading PyTorch and other libraries")


def print_whatever_comes() -> None:
    """Keep output from failing on a character that its encoding lacks, such as "±" in ASCII.

    Characters without a spelling in ASCII, and bytes of a file name that are not text, become escapes.
    """
    codecs.register_error(_ENCODING_ERRORS, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ENCODING_ERRORS)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_one, error.object[error.start : error.end])), error.end


def _one(character: str) -> str:
    # Python decodes a byte of a file name that is not UTF-8 as one of these.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return _IN_ASCII.get(character) or character.encode("ascii", "backslashreplace").decode()

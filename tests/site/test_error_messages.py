"""The page on error messages has an entry for every message of the code, and for no other."""

from pathlib import Path

import pytest

from tests.site.error_messages import entries_of, messages_below, messages_in

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"


def test_every_message_has_an_entry() -> None:
    entries = entries_of(PAGE.read_text())
    lacking = {
        f"{module.relative_to(ROOT)}: {message}"
        for message, module in messages_below(ROOT / "pml_potential").items()
        if message not in entries
    }
    assert lacking == set(), f"give each an entry in {PAGE.relative_to(ROOT)}, <...> for what differs"


def test_every_entry_is_a_message_of_the_code() -> None:
    stale = set(entries_of(PAGE.read_text())) - set(messages_below(ROOT / "pml_potential"))
    assert stale == set()


def test_entries_say_more_than_the_message() -> None:
    for message, text in entries_of(PAGE.read_text()).items():
        assert set(text.lower().split()) - set(message.lower().split()), message
        assert text.endswith((".", "`")), message


@pytest.mark.parametrize(
    ("source", "messages"),
    [
        ('raise ValueError(f"{name} is {value!r}; " "choose another")', {"<> is <>; choose another"}),
        ('raise ConfigError("one\\n  two", ("key",))', {"one two"}),
        ('warnings.warn(f"{path} is damaged", stacklevel=2)', {"<> is damaged"}),
        ('_fail("stopped early", 130)', {"stopped early"}),
        ('raise row.error("path", "is empty; fill it")', {"is empty; fill it"}),
        ('reason = "no file" if found else f"{path} is damaged"', {"no file", "<> is damaged"}),
        ('def _reason(path):\n    return "the file is empty"', {"the file is empty"}),
        ('raise ValueError(f"{path}: {error}")', set()),
        ('raise Exit(2)\nprint("no error at all")', set()),
    ],
)
def test_messages_are_found_in_source(source: str, messages: set[str]) -> None:
    assert messages_in(source) == messages


def test_entries_are_read_from_a_page() -> None:
    page = "## Topic\n\n`<name> is <value>`\n:   Cause,\n    remedy.\n\n``see `list` ``\n:   Remedy.\n"
    assert entries_of(page) == {"<> is <>": "Cause,\n    remedy.", "see `list`": "Remedy."}

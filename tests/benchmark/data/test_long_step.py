"""Long steps show how far they are, on a terminal and on a pipe; short ones say nothing."""

import io
import time

import pytest
from rich.console import Console

from pml_potential.benchmark.data import long_step as steps
from pml_potential.benchmark.data.long_step import long_step, steps_shown_on


def pipe() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=200), text


def wait_for(text: io.StringIO, words: str) -> None:
    give_up = time.monotonic() + 20
    while words not in text.getvalue():
        assert time.monotonic() < give_up, text.getvalue()
        time.sleep(0.005)


def test_a_short_step_says_nothing_on_a_pipe() -> None:
    console, text = pipe()
    with steps_shown_on(console), long_step("hashing", 3, "files") as advance:
        advance(3)
    assert text.getvalue() == ""


def test_a_long_step_tells_how_far_it_is_and_that_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_SECONDS_UNTIL_TOLD", 0.01)
    console, text = pipe()
    with steps_shown_on(console), long_step("hashing [all]", 4000, "files") as advance:
        advance(1000)
        wait_for(text, "hashing [all]: 1,000 of 4,000 files, about 0 s left")
    assert text.getvalue().splitlines()[-1] == "hashing [all]: done in 0 s"


def test_a_step_that_cannot_be_divided_tells_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_SECONDS_UNTIL_TOLD", 0.01)
    console, text = pipe()
    with steps_shown_on(console), long_step("loading weights"):
        wait_for(text, "loading weights: 0 s so far")


def test_a_step_that_fails_does_not_say_that_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_SECONDS_UNTIL_TOLD", 0.01)
    console, text = pipe()

    def fail() -> None:
        with steps_shown_on(console), long_step("hashing"):
            wait_for(text, "so far")
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        fail()
    assert "done" not in text.getvalue()


def test_a_terminal_has_a_bar_unless_something_else_is_drawn_there() -> None:
    for bars, shown in ((True, True), (False, False)):
        text = io.StringIO()
        console = Console(file=text, force_terminal=True, width=100)
        with steps_shown_on(console, bars), long_step("hashing", 2, "files") as advance:
            advance(1)
        assert ("hashing" in text.getvalue()) is shown


def test_a_terminal_keeps_a_line_of_a_long_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_SECONDS_UNTIL_TOLD", 0.0)
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, color_system=None, width=100)
    with steps_shown_on(console), long_step("hashing", 2, "files") as advance:
        advance(2)
    assert text.getvalue().endswith("hashing: done in 0 s\n")


def test_steps_below_a_bar_are_told_later() -> None:
    assert steps._SECONDS_UNTIL_TOLD_BELOW_A_BAR > steps._SECONDS_UNTIL_TOLD


def test_nothing_is_shown_where_nobody_asked() -> None:
    with long_step("hashing", 2, "files") as advance:
        advance(2)

"""Long steps show how far they are: by a bar on a terminal, by a line now and then elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console
from rich.progress import Progress

_SECONDS_UNTIL_TOLD = 10.0
_LONGEST_SILENCE = 60.0


@dataclass(frozen=True)
class _Place:
    """Where steps are shown, and whether a bar may be drawn there."""

    console: Console
    draws_bars: bool


_place: ContextVar[_Place | None] = ContextVar("place", default=None)


@contextmanager
def steps_shown_on(console: Console, bars: bool = True) -> Iterator[None]:
    """Show the long steps inside.

    Args:
        console: where; outside of every ``steps_shown_on`` nothing is shown.
        bars: whether a terminal gets bars; False where something else is drawn on it.
    """
    before = _place.set(_Place(console, bars and console.is_terminal))
    try:
        yield
    finally:
        _place.reset(before)


@contextmanager
def long_step(title: str, total: int = 1, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Show how far a step is, if it takes longer than 10 seconds.

    Args:
        title: what is done.
        total: how many of the unit there are to do. Default: one step that cannot be divided.
        unit: what is counted, in the plural.

    Yields:
        Called with how many more are done.

    Examples:
        >>> with long_step("hashing", 2, "files") as advance:
        ...     advance(2)
    """
    place = _place.get()
    if place is None:
        yield lambda _count: None
    elif place.draws_bars:
        with Progress(console=place.console, transient=True) as progress:
            bar = progress.add_task(title, total=total if unit else None)
            yield lambda count: progress.advance(bar, count)
    else:
        lines = _Lines(place.console, title, total, unit)
        with lines:
            yield lines.advance


class _Lines:
    """Tells a step in lines, from a thread of its own: the step may be busy for a long time."""

    def __init__(self, console: Console, title: str, total: int, unit: str) -> None:
        self._console = console
        self._title = title
        self._total = total
        self._unit = unit
        self._done = 0
        self._start = time.monotonic()
        self._ends = threading.Event()
        self._has_told = False
        self._thread = threading.Thread(target=self._tell_now_and_then, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        if self._has_told and kind is None:
            self._say(f"done in {self._clock(self._seconds)}")

    def advance(self, count: int) -> None:
        self._done += count

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._start

    def _tell_now_and_then(self) -> None:
        silence = _SECONDS_UNTIL_TOLD
        while not self._ends.wait(silence):
            self._has_told = True
            self._say(self._state())
            silence = min(2 * silence, _LONGEST_SILENCE)

    def _state(self) -> str:
        if not self._unit:
            return f"under way for {self._clock(self._seconds)}"
        told = f"{self._done:,} of {self._total:,} {self._unit}"
        if self._done:
            left = self._seconds / self._done * (self._total - self._done)
            told += f", left about {self._clock(left)}"
        return told

    def _say(self, text: str) -> None:
        self._console.print(f"{self._title}: {text}", highlight=False, markup=False, soft_wrap=True)

    @staticmethod
    def _clock(seconds: float) -> str:
        return str(timedelta(seconds=round(seconds)))

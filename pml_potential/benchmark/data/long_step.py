"""Progress of long steps: a bar on a terminal, a line now and then elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress

from pml_potential.benchmark.data.duration import duration

_SECONDS_UNTIL_TOLD = 1.0
_SECONDS_UNTIL_TOLD_BELOW_A_BAR = 10.0
"""Steps of folds recur; lines about short ones would hide the scores."""

_SHORTEST_SILENCE, _LONGEST_SILENCE = 10.0, 60.0


@dataclass(frozen=True)
class _Place:
    """Where steps are shown, whether as a bar, and from which length on."""

    console: Console
    draws_bars: bool
    seconds_until_told: float


_place: ContextVar[_Place | None] = ContextVar("place", default=None)


@contextmanager
def steps_shown_on(console: Console, bars: bool = True) -> Iterator[None]:
    """Show the long steps inside.

    Args:
        console: where; outside every ``steps_shown_on`` nothing is shown.
        bars: whether a terminal gets bars. False if a bar is already drawn: then only steps longer than
            10 seconds are shown, as lines.
    """
    until_told = _SECONDS_UNTIL_TOLD if bars else _SECONDS_UNTIL_TOLD_BELOW_A_BAR
    before = _place.set(_Place(console, bars and console.is_terminal, until_told))
    try:
        yield
    finally:
        _place.reset(before)


@contextmanager
def long_step(title: str, total: int = 1, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Show the progress of a step that takes longer than a second; a terminal shows a bar at once.

    Args:
        title: of the step.
        total: number of units. Default: one step that cannot be divided.
        unit: what is counted, in the plural.

    Yields:
        A function to call with the number of further units done.

    Examples:
        >>> with long_step("hashing", 2, "files") as advance:
        ...     advance(2)
    """
    place = _place.get()
    if place is None:
        yield lambda _count: None
        return
    step = _Step(place.console, title, total, unit)
    if place.draws_bars:
        with Progress(console=place.console, transient=True) as progress:
            bar = progress.add_task(title, total=total if unit else None)
            yield lambda count: progress.advance(bar, count)
        if step.seconds > place.seconds_until_told:
            step.say_that_it_is_done()
    else:
        with step.told_now_and_then(place.seconds_until_told):
            yield step.advance


class _Step:
    """Prints lines about a step, from its own thread, as the step may be busy for long."""

    def __init__(self, console: Console, title: str, total: int, unit: str) -> None:
        self._console = console
        self._title = title
        self._total = total
        self._unit = unit
        self._done = 0
        self._start = time.monotonic()
        self._ends = threading.Event()
        self._has_told = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    @contextmanager
    def told_now_and_then(self, silence: float) -> Iterator[None]:
        thread = threading.Thread(target=self._tell_now_and_then, args=(silence,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            thread.join()
        if self._has_told:
            self.say_that_it_is_done()

    def advance(self, count: int) -> None:
        self._done += count

    def say_that_it_is_done(self) -> None:
        self._say(f"done in {duration(self.seconds)}")

    def _tell_now_and_then(self, silence: float) -> None:
        while not self._ends.wait(silence):
            self._has_told = True
            self._say(self._state())
            silence = min(max(2 * silence, _SHORTEST_SILENCE), _LONGEST_SILENCE)

    def _state(self) -> str:
        if not self._unit:
            return f"{duration(self.seconds)} so far"
        told = f"{self._done:,} of {self._total:,} {self._unit}"
        if self._done:
            left = self.seconds / self._done * (self._total - self._done)
            told += f", about {duration(left)} left"
        return told

    def _say(self, text: str) -> None:
        self._console.print(f"{self._title}: {text}", highlight=False, markup=False, soft_wrap=True)

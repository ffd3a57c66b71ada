"""Seeing every fold of a run end, from outside."""

import threading
from collections.abc import Callable
from pathlib import Path


class Watch:
    """Sees when the result of a fold is written, and whether it is ever written again."""

    def __init__(self, folder: Path) -> None:
        self.written: dict[str, int] = {}
        self.written_again: list[str] = []
        self._folder = folder
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ends.wait(0.05):
            for path in self._folder.glob("*/*/fold_*/result.json"):
                name, when = str(path.relative_to(self._folder)), path.stat().st_mtime_ns
                if self.written.setdefault(name, when) != when:
                    self.written_again.append(name)

    def has_seen(self, number: int) -> Callable[[], bool]:
        """A function that tells whether so many folds have ended."""
        return lambda: len(self.written) >= number

    def end(self) -> None:
        self._ends.set()
        self._thread.join()

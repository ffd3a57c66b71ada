"""Telling a person how far the views of a frozen network are."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from pml_potential.benchmark.report.formatting import clock

_LINES = 5
"""In a file or a pipe, between the first and the last image."""


class ViewProgress:
    r"""Says what is computed before the work starts, and then how far it is; it is a ``Watch``.

    Args:
        console: where to write; on a terminal one line is kept up to date, elsewhere there are a few.

    Examples:
        >>> import io
        >>> console = Console(file=io.StringIO())
        >>> with ViewProgress(console) as watch:
        ...     watch("6 views of 100 images, 0.01 GB", 0, 600)
        ...     watch("6 views of 100 images, 0.01 GB", 10, 600)
        >>> console.file.getvalue()
        'computing 6 views of 100 images, 0.01 GB\n'
    """

    def __init__(self, console: Console) -> None:
        self._start = 0.0
        self._told = 0
        self._live = Progress(
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._live.add_task("", total=1, left="", visible=False)

    def __enter__(self) -> "ViewProgress":
        """Start to draw."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell that so many of all are done; none yet: that the work starts."""
        if done == 0:
            self._start = time.perf_counter()
            self._told = 0
            self._say(f"computing {what}")
            return
        speed = done / max(time.perf_counter() - self._start, 1e-9)
        left = f"{speed:.0f} images per second, left about {clock((total - done) / speed)}"
        self._live.update(self._task, completed=done, total=total, left=left, visible=True)
        if self._live.disable and done * (_LINES + 1) // total > self._told:
            self._told = done * (_LINES + 1) // total
            self._say(f"{done / total:.0%}: {left}")

    def _say(self, text: str) -> None:
        self._live.console.print(text, highlight=False, markup=False, soft_wrap=True)

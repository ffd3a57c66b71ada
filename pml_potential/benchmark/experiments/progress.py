"""Progress of a run: a line for each finished trial and reproduction, and a live bar on a terminal."""

import time
from contextlib import ExitStack
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pml_potential.benchmark.data.duration import duration
from pml_potential.benchmark.data.long_step import steps_shown_on

_LONGEST_SILENCE = 60.0
"""Seconds after which a pipe gets a line with the text of a terminal's bar."""


class RunProgress:
    r"""Prints every line about a run, and estimates the time left.

    Args:
        console: where to write. Both a terminal and a pipe get a line for each trial and reproduction.
            A terminal also has a live bar; a pipe gets its text after a minute of silence.
        total_folds: folds of all trials and reproductions.
        side_by_side: how many of them are trained at a time. Default 1.

    Examples:
        >>> import io
        >>> console = Console(file=io.StringIO())
        >>> with RunProgress(console, total_folds=1) as progress:
        ...     progress.start_piece("trial 1/1")
        ...     progress.start_fold(0, folds=1, epochs=5)
        ...     progress.finish_fold(seconds=10.0)
        ...     progress.finish_trial(1, score=0.5)
        >>> console.file.getvalue()
        'trial 1/1: 0.500 validation MAP@R, the best so far, 0 s\n'
    """

    def __init__(self, console: Console, total_folds: int, side_by_side: int = 1) -> None:
        self._total = total_folds
        self._side_by_side = side_by_side
        self._ended = 0
        self._measured: list[float] = []
        self._best: tuple[float, int] | None = None
        self._begun: set[str] = set()
        self._piece = ""
        self._piece_start = time.monotonic()
        self._fold, self._folds, self._epochs = 0, 1, 1
        self._fold_start = time.monotonic()
        self._epochs_done: dict[int, int] = {}
        self._epochs_before: dict[int, int] = {}
        self._last_line = time.monotonic()
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._steps = ExitStack()
        self._task = self._live.add_task("starting", total=total_folds, left="")

    def __enter__(self) -> "RunProgress":
        """Start drawing; long steps inside are reported in lines above the bar."""
        self._steps.enter_context(steps_shown_on(self._live.console, bars=False))
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
        self._steps.close()

    def see_ended(self, kind: str, ended: int, pieces: int, folds: int) -> None:
        """Record how many trials or reproductions have finished, here, elsewhere and earlier.

        Args:
            kind: ``trials`` or ``reproductions``.
            ended: how many have finished.
            pieces: how many there are.
            folds: folds of all finished trials and reproductions.
        """
        self._ended = folds
        if kind not in self._begun and ended:
            best = self._best_so_far(None) if kind == "trials" else ""
            self._say(f"{ended} of {pieces} {kind} already done{best}")
        self._begun.add(kind)

    def see_best(self, score: float, number: int) -> None:
        """Record the best score of a trial so far, and the number of that trial, from 1."""
        self._best = score, number

    def start_piece(self, piece: str) -> None:
        """Begin a trial or reproduction, with a name such as ``trial 3/8``."""
        self._piece = piece
        self._piece_start = time.monotonic()
        self._epochs_done, self._epochs_before = {}, {}

    def start_fold(self, fold: int, folds: int, epochs: int) -> None:
        """Begin a fold, counted from 0, of so many epochs at most."""
        self._fold, self._folds, self._epochs = fold, folds, epochs
        self._fold_start = self._piece_start if self._side_by_side > 1 else time.monotonic()
        self._draw()

    def finish_epoch(self, fold: int, epoch: int) -> None:
        """Record the epoch, counted from 1, of a fold of this trial or reproduction."""
        self._epochs_before.setdefault(fold, epoch - 1)
        self._epochs_done[fold] = epoch
        self._draw()

    def finish_fold(self, seconds: float) -> None:
        """Count the fold, whose training took so many seconds, here or in an earlier session."""
        self._ended += 1
        self._measured.append(seconds)
        self._epochs_done.pop(self._fold, None)
        self._draw()

    def start_test(self) -> None:
        """Begin scoring the models of this reproduction on the test classes."""
        self._show(f"{self._piece}, testing")

    def finish_trial(self, number: int, score: float) -> None:
        """Print the score of this trial, counted from 1."""
        is_best = self._best is None or score > self._best[0]
        if is_best:
            self._best = score, number
        best = self._best_so_far(number)
        self._say(f"{self._piece}: {score:.3f} validation MAP@R{best}, {self._piece_took()}")

    def prune_trial(self, folds: int) -> None:
        """Say that this trial is pruned after so many folds."""
        best = self._best_so_far(None)
        self._say(f"{self._piece}: pruned after fold {folds}/{self._folds}{best}, {self._piece_took()}")

    def finish_reproduction(self, score: float, untrained: float) -> None:
        """Print the test scores of this reproduction, after and before training."""
        scores = f"{score:.3f} test MAP@R, {untrained:.3f} before training"
        self._say(f"{self._piece}: {scores}, {self._piece_took()}")

    def fail(self, reason: str) -> None:
        """Say that this trial or reproduction failed; the reason begins with the fold."""
        self._say(f"{self._piece}: failed in {reason}")

    def mend(self, piece: str) -> None:
        """Say that folds of a finished trial are trained again."""
        self._say(f"{piece}: training folds again, as their results are damaged or missing")

    def wait_for(self, running: int, kind: str) -> None:
        """Say that all remaining work is with other workers."""
        self._say(f"waiting for {running} {kind} of other workers")

    def _best_so_far(self, number: int | None) -> str:
        if self._best is None:
            return ""
        score, best = self._best
        return ", the best so far" if best == number else f", best {score:.3f} in trial {best}"

    def _piece_took(self) -> str:
        return duration(time.monotonic() - self._piece_start)

    def _say(self, text: str) -> None:
        self._live.console.print(text, highlight=False, markup=False, soft_wrap=True)
        self._last_line = time.monotonic()

    def _draw(self) -> None:
        epoch = min(self._epochs_done.get(self._fold, 0) + 1, self._epochs)
        self._show(f"{self._piece}, fold {self._fold + 1}/{self._folds}, epoch {epoch}/{self._epochs}")

    def _show(self, doing: str) -> None:
        left = self._left()
        self._live.update(self._task, description=doing, completed=self._folds_done(), left=left)
        if self._live.disable and time.monotonic() - self._last_line > _LONGEST_SILENCE:
            self._say(": ".join(filter(None, (doing, left))))

    def _folds_done(self) -> float:
        """Finished folds, and the finished fractions of those in training."""
        return self._ended + sum(done / self._epochs for done in self._epochs_done.values())

    def _left(self) -> str:
        if self._measured:
            about, of_a_fold = "about", sum(self._measured) / len(self._measured)
        elif trained := self._epochs_done.get(self._fold, 0) - self._epochs_before.get(self._fold, 0):
            # A fold may end before its last epoch.
            about = "at most"
            of_a_fold = (time.monotonic() - self._fold_start) / trained * self._epochs
        else:
            return ""
        folds_left = self._total - self._folds_done()
        # What comes after the last fold is not estimated.
        if folds_left <= 0:
            return ""
        return f"{about} {duration(of_a_fold * folds_left / self._side_by_side)} left"

"""Telling a person how far a run is: a live line on a terminal, plain lines elsewhere."""

from contextlib import ExitStack
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pml_potential.benchmark.data.long_step import steps_shown_on
from pml_potential.benchmark.report.formatting import clock


class RunProgress:
    r"""Counts the folds of a run and estimates the time that is left.

    Args:
        console: where to write; on a terminal one line is kept up to date, elsewhere each fold gets a
            line of its own.
        total_folds: folds of all trials and reproductions.
        side_by_side: how many of them are trained at a time. Default 1.

    Examples:
        >>> import io
        >>> console = Console(file=io.StringIO())
        >>> with RunProgress(console, total_folds=2) as progress:
        ...     progress.start_fold("trial 1/1", fold=0, folds=2)
        ...     progress.finish_fold(score=0.5, best_epoch=3, seconds=10.0, was_done=False)
        >>> console.file.getvalue()
        'trial 1/1, fold 1/2: MAP@R 0.5000 in epoch 3 (10.0 s); left about 0:10\n'
    """

    def __init__(self, console: Console, total_folds: int, side_by_side: int = 1) -> None:
        self._total = total_folds
        self._side_by_side = side_by_side
        self._finished = 0
        self._measured: list[float] = []
        self._label = ""
        self._best: float | None = None
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("folds"),
            TextColumn("{task.fields[detail]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._steps = ExitStack()
        self._task = self._live.add_task("starting", total=total_folds, detail="")

    def __enter__(self) -> "RunProgress":
        """Start to draw; long steps inside are told in lines, which the live line leaves room for."""
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

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._live.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def start_fold(self, work: str, fold: int, folds: int) -> None:
        """Tell which fold of which trial or reproduction is next."""
        self._label = f"{work}, fold {fold + 1}/{folds}"
        self._draw("")

    def finish_epoch(self, epoch: int, score: float | None) -> None:
        """Tell the validation score of an epoch, if it has one."""
        if score is not None:
            self._draw(f"epoch {epoch}: {score:.4f}")

    def finish_fold(self, score: float, best_epoch: int, seconds: float, was_done: bool) -> None:
        """Count a fold; ``was_done`` says that an earlier session had trained it."""
        self._finished += 1
        self._measured.append(seconds)
        if not self._live.disable:
            self._draw("")
            return
        when = "earlier" if was_done else f"{seconds:.1f} s"
        self.say(f"{self._label}: MAP@R {score:.4f} in epoch {best_epoch} ({when}); {self._summary()}")

    def fail(self, reason: str) -> None:
        """Tell that the rest of a trial or reproduction is left out, and why."""
        self.say(f"{self._label}: failed: {reason}")

    def set_ended(self, folds: int) -> None:
        """Set the count to the folds of what has ended, here, elsewhere and earlier."""
        self._finished = folds

    def set_best(self, score: float) -> None:
        """Set the best score of a trial so far."""
        self._best = score

    def _draw(self, detail: str) -> None:
        self._live.update(
            self._task,
            description=self._label,
            completed=self._finished,
            detail=" · ".join(filter(None, (detail, self._summary()))),
        )

    def _summary(self) -> str:
        told = [] if self._best is None else [f"best {self._best:.4f}"]
        if self._measured:
            mean = sum(self._measured) / len(self._measured)
            left = mean * (self._total - self._finished) / self._side_by_side
            told.append(f"left about {clock(left)}")
        return ", ".join(told)

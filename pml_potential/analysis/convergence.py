"""How many epochs a training takes to come near its best score."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import mean, median, stdev

from scipy.stats import t as student_t

from pml_potential.functional.validation import check_number

History = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Convergence:
    """Epochs that several runs took to reach a score.

    Attributes:
        epochs: of each run; None for one that never reached it.
        mean: of all runs. None if any of them never reached it: a mean of the others would be too good.
        half_width: half the width of the mean's 95% confidence interval (Student t). None where there is
            no mean, and for a single run.
        median: of all runs; one that never reached the score counts as later than all that did. None if
            the median itself never reached it.
    """

    epochs: tuple[int | None, ...]
    mean: float | None
    half_width: float | None
    median: float | None

    @property
    def reached(self) -> int:
        """Number of runs that reached the score."""
        return sum(epoch is not None for epoch in self.epochs)


def epochs_to_reach(history: History, share: float = 0.95, best: float | None = None) -> int | None:
    """First epoch whose score is at least a share of the best score.

        min { epoch : score(epoch) >= share * best }

    No value is interpolated: with a validation every second epoch the answer is even.

    Args:
        history: (epoch, score) of each validation, epochs ascending; a higher score is better.
        share: in (0, 1]. Default 0.95.
        best: score that counts as best, above 0. Default: the highest of this history, which measures
            how soon a run converges, however bad its score. To compare losses, give one number for all
            runs.

    Returns:
        The epoch; None if the history never reaches it.

    Raises:
        ValueError: ``share`` or ``best`` is out of range, the history is empty, its epochs do not
            ascend, or its scores are not finite.

    Examples:
        >>> history = [(2, 0.30), (4, 0.48), (6, 0.50), (8, 0.49)]
        >>> epochs_to_reach(history), epochs_to_reach(history, share=1.0)
        (4, 6)
        >>> epochs_to_reach(history, best=0.6) is None
        True
    """
    share = check_number("share", share, 0, 1, low_is_allowed=False)
    if not history:
        raise ValueError("history is empty; it must hold at least one (epoch, score)")
    epochs = [epoch for epoch, _ in history]
    if any(second <= first for first, second in pairwise(epochs)):
        raise ValueError(f"history has the epochs {epochs}; they must ascend")
    scores = [check_number(f"score of epoch {epoch}", score, -inf, inf) for epoch, score in history]
    reference = check_number("best", max(scores) if best is None else best, 0, inf, low_is_allowed=False)
    return next(
        (epoch for epoch, score in zip(epochs, scores, strict=True) if score >= share * reference), None
    )


def convergence(
    histories: Sequence[History], share: float = 0.95, best: float | None = None
) -> Convergence:
    """Epochs to reach a share of the best score, over several runs.

    Args:
        histories: one for each run: (epoch, score) of each validation, epochs ascending.
        share: in (0, 1]. Default 0.95.
        best: score that counts as best, above 0. Default: the best score of each run.

    Returns:
        The epochs of each run, and their mean with its 95% confidence interval.

    Raises:
        ValueError: There is no run, or ``epochs_to_reach`` refuses an argument.

    Examples:
        >>> runs = [[(1, 0.2), (2, 0.5)], [(1, 0.5), (2, 0.5)], [(1, 0.1), (2, 0.3)]]
        >>> found = convergence(runs)
        >>> found.epochs, round(found.mean, 2), round(found.half_width, 2)
        ((2, 1, 2), 1.67, 1.43)
        >>> convergence(runs, best=0.5)
        Convergence(epochs=(2, 1, None), mean=None, half_width=None, median=2)
    """
    if not histories:
        raise ValueError("histories are empty; give at least one run")
    epochs = tuple(epochs_to_reach(history, share, best) for history in histories)
    middle = median(inf if epoch is None else epoch for epoch in epochs)
    arrived = [epoch for epoch in epochs if epoch is not None]
    if len(arrived) < len(epochs):
        return Convergence(epochs, None, None, None if middle == inf else middle)
    half_width = None
    if len(arrived) > 1:
        half_width = float(student_t.ppf(0.975, len(arrived) - 1)) * stdev(arrived) / len(arrived) ** 0.5
    return Convergence(epochs, float(mean(arrived)), half_width, middle)

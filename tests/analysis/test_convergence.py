from typing import Any

import pytest

from pml_potential.analysis import convergence, epochs_to_reach

RISING = [(1, 0.10), (2, 0.40), (3, 0.38), (4, 0.50), (5, 0.45)]


@pytest.mark.parametrize(
    ("share", "best", "epoch"),
    [
        (1.0, None, 4),
        (0.8, None, 2),
        (0.81, None, 4),
        (0.1, None, 1),
        (1.0, 0.4, 2),
        (1.0, 0.51, None),
        (0.5, 1.0, 4),
    ],
)
def test_the_first_epoch_at_the_share_counts(
    share: float, best: float | None, epoch: int | None
) -> None:
    assert epochs_to_reach(RISING, share, best) == epoch


def test_mean_and_interval_by_hand() -> None:
    """Epochs 4, 6, 8: deviation 2, and Student's t of two degrees of freedom is 4.3027."""
    runs = [[(2, 0.1), (epoch, 0.6)] for epoch in (4, 6, 8)]
    found = convergence(runs)
    assert found.epochs == (4, 6, 8)
    assert found.mean == 6
    assert found.half_width == pytest.approx(4.3027 * 2 / 3**0.5, rel=1e-4)
    assert (found.median, found.reached) == (6, 3)


def test_a_run_that_never_arrives_is_in_no_mean_but_in_the_median() -> None:
    found = convergence([[(1, 0.6)], [(1, 0.2), (9, 0.6)], [(1, 0.3), (30, 0.4)]], best=0.6)
    assert found.epochs == (1, 9, None)
    assert (found.mean, found.half_width, found.median, found.reached) == (None, None, 9, 2)


def test_the_median_is_missing_where_half_of_the_runs_never_arrive() -> None:
    assert convergence([[(1, 0.6)], [(1, 0.2)]], best=0.6).median is None


def test_a_single_run_has_no_interval() -> None:
    found = convergence([RISING])
    assert (found.mean, found.half_width) == (4, None)


@pytest.mark.parametrize(
    ("history", "share", "best", "message"),
    [
        (RISING, 0, None, r"share is 0; it must lie in \(0, 1\]"),
        (RISING, 1.1, None, "share is 1.1"),
        (RISING, 0.9, -1.0, "best is -1.0"),
        ([(1, 0.0), (2, 0.0)], 0.9, None, "best is 0.0"),
        ([], 0.9, None, "history is empty"),
        ([(2, 0.1), (1, 0.2)], 0.9, None, r"the epochs \[2, 1\]; they must ascend"),
        ([(1, 0.1), (2, float("nan"))], 0.9, None, "score of epoch 2 is nan"),
    ],
)
def test_bad_input_is_refused(history: Any, share: float, best: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        epochs_to_reach(history, share, best)


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="histories are empty"):
        convergence([])

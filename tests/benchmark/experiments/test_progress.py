"""What a person is told while a run goes on."""

import io
import re
import time

import pytest
from rich.console import Console

from pml_potential.benchmark.data import long_step
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.experiments import progress as words
from pml_potential.benchmark.experiments.progress import RunProgress
from tests.benchmark.conftest import Experiment


class Clock:
    """Time that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(words, "time", clock)
    return clock


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def lines() -> Console:
    return Console(file=io.StringIO(), width=60)


def terminal(width: int = 160) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def last_drawn(console: Console) -> str:
    """The live bar as it was drawn last, in words."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written(console))
    *_, last = [line for line in plain.splitlines() if line.strip()]
    return " ".join(
        last.replace("\r", " ").replace("━", " ").replace("╸", " ").replace("╺", " ").split()
    )


def test_each_trial_and_reproduction_has_a_line(experiment: Experiment) -> None:
    told = [line for line in experiment.output.splitlines() if re.match("trial|reproduction", line)]
    assert len(told) == 6
    trial = r"trial \d/4: 0\.\d{3} validation MAP@R, (the best so far|best 0\.\d{3} in trial \d), \d+ s"
    assert all(re.fullmatch(trial, line) for line in told[:4])
    reproduction = r"reproduction \d/2: 0\.\d{3} test MAP@R, 0\.\d{3} before training, \d+ s"
    assert all(re.fullmatch(reproduction, line) for line in told[4:])
    assert "\x1b" not in experiment.output


def test_lines_carry_the_scores(experiment: Experiment) -> None:
    results = experiment.results
    scores = [trial["validation_map_at_r"] for trial in results["trials"]]
    for reproduction in results["reproductions"]:
        scores.append(reproduction["trained"]["separated"][PRIMARY_METRIC])
    found = re.findall(r"\d: (\d\.\d+) (?:validation|test) MAP@R", experiment.output)
    assert found == [f"{score:.3f}" for score in scores]


def test_the_best_trial_is_named_from_the_moment_it_ends(lines: Console) -> None:
    with RunProgress(lines, total_folds=3) as progress:
        for number, score in enumerate((0.4, 0.459, 0.412), start=1):
            progress.start_piece(f"trial {number}/3")
            progress.finish_trial(number, score)
    assert written(lines).splitlines() == [
        "trial 1/3: 0.400 validation MAP@R, the best so far, 0 s",
        "trial 2/3: 0.459 validation MAP@R, the best so far, 0 s",
        "trial 3/3: 0.412 validation MAP@R, best 0.459 in trial 2, 0 s",
    ]


def test_a_tie_leaves_the_first_of_them_the_best(lines: Console) -> None:
    with RunProgress(lines, total_folds=2) as progress:
        progress.see_best(0.5, 1)
        progress.start_piece("trial 2/2")
        progress.finish_trial(2, 0.5)
    assert ", best 0.500 in trial 1," in written(lines)


def test_a_trial_took_from_its_start_to_its_end(lines: Console, clock: Clock) -> None:
    with RunProgress(lines, total_folds=1) as progress:
        clock.now += 100
        progress.start_piece("trial 1/1")
        clock.now += 4810
        progress.finish_trial(1, 0.5)
    assert written(lines).endswith("the best so far, 1 h 20 min\n")


def test_what_has_ended_before_is_told_once(lines: Console) -> None:
    with RunProgress(lines, total_folds=10) as progress:
        progress.see_best(0.459, 2)
        progress.see_ended("trials", 5, pieces=8, folds=5)
        progress.see_ended("trials", 6, pieces=8, folds=6)
        progress.see_ended("reproductions", 0, pieces=2, folds=8)
        progress.see_ended("reproductions", 1, pieces=2, folds=9)
    assert written(lines) == "5 of 8 trials already done, best 0.459 in trial 2\n"


def test_what_ends_without_a_score_is_told_with_its_reason(lines: Console) -> None:
    with RunProgress(lines, total_folds=8) as progress:
        progress.start_piece("trial 1/2")
        progress.fail("fold 2: the loss is nan [bold]")
        progress.see_best(0.6, 7)
        progress.start_piece("trial 2/2")
        progress.start_fold(0, folds=4, epochs=5)
        progress.prune_trial(1)
        progress.mend("trial 1/2")
        progress.wait_for(2, "trials")
    assert written(lines).splitlines() == [
        "trial 1/2: failed in fold 2: the loss is nan [bold]",
        "trial 2/2: pruned after fold 1/4, best 0.600 in trial 7, 0 s",
        "trial 1/2: training folds again, as their results are damaged or missing",
        "waiting for 2 trials of other workers",
    ]


def test_a_terminal_has_a_bar_below_the_same_lines(clock: Clock) -> None:
    console = terminal()
    with RunProgress(console, total_folds=8) as progress:
        progress.start_piece("trial 1/2")
        progress.start_fold(0, folds=4, epochs=5)
        assert progress._left() == ""
        clock.now += 6
        progress.finish_epoch(0, 1)
        progress._live.refresh()
        # 5 epochs of 6 s in each of 8 folds, without the one that has ended.
        assert last_drawn(console) == "trial 1/2, fold 1/4, epoch 2/5 at most 3 min 54 s left"
        progress.finish_trial(1, 0.5)
    assert "trial 1/2: 0.500 validation MAP@R, the best so far, 6 s" in written(console)


def test_the_bar_fits_80_columns(clock: Clock) -> None:
    console = terminal(80)
    with RunProgress(console, total_folds=1000) as progress:
        progress.start_piece("reproduction 10/10")
        progress.start_fold(3, folds=4, epochs=1000)
        clock.now += 1000
        progress.finish_epoch(3, 999)
        progress.finish_fold(3000.0)
        progress._live.refresh()
        assert last_drawn(console).endswith(" min left")
        assert "…" not in written(console)


@pytest.mark.usefixtures("clock")
def test_the_time_left_is_the_mean_of_a_fold_times_those_left() -> None:
    with RunProgress(terminal(), total_folds=5) as progress:
        progress.start_piece("trial 1/1")
        for fold, seconds in enumerate((10.0, 30.0)):
            progress.start_fold(fold, folds=5, epochs=2)
            progress.finish_fold(seconds)
        assert progress._left() == "about 1 min left"
        progress.start_fold(2, folds=5, epochs=2)
        progress.finish_epoch(2, 1)
        assert progress._left() == "about 50 s left"
        # As of folds of earlier sessions, and of other workers.
        progress.see_ended("trials", 1, pieces=1, folds=4)
        assert progress._left() == "about 10 s left"
        progress.finish_fold(seconds=10.0)
        assert progress._left() == ""


def test_folds_side_by_side_share_the_time_left(clock: Clock) -> None:
    with RunProgress(terminal(), total_folds=8, side_by_side=4) as progress:
        progress.start_piece("trial 1/2")
        progress.start_fold(0, folds=4, epochs=4)
        clock.now += 8
        for fold in range(4):
            progress.finish_epoch(fold, 1)
            progress.finish_epoch(fold, 2)
        # 4 epochs take 16 s, and each process has half of a fold and a whole one to train.
        assert progress._left() == "at most 24 s left"
        progress.finish_fold(10.0)
        assert progress._left() == "about 14 s left"


def test_epochs_of_an_earlier_session_took_no_time_here(clock: Clock) -> None:
    with RunProgress(terminal(), total_folds=1) as progress:
        progress.start_piece("reproduction 1/1")
        progress.start_fold(0, folds=1, epochs=10)
        clock.now += 3
        progress.finish_epoch(0, 8)
        assert progress._left() == "at most 6 s left"


def test_a_pipe_is_told_how_far_a_run_is_after_a_minute_of_silence(lines: Console, clock: Clock) -> None:
    with RunProgress(lines, total_folds=2) as progress:
        progress.start_piece("trial 1/2")
        progress.start_fold(0, folds=1, epochs=3)
        clock.now += 59
        progress.finish_epoch(0, 1)
        assert written(lines) == ""
        clock.now += 59
        progress.finish_epoch(0, 2)
        assert written(lines) == "trial 1/2, fold 1/1, epoch 3/3: at most 3 min 56 s left\n"
        progress.start_test()
        assert written(lines).count("\n") == 1


def test_tests_are_shown_on_the_bar() -> None:
    console = terminal()
    with RunProgress(console, total_folds=1) as progress:
        progress.start_piece("reproduction 1/1")
        progress.start_test()
        progress._live.refresh()
        assert last_drawn(console).startswith("reproduction 1/1, testing")


def test_the_bar_goes_when_a_run_is_interrupted() -> None:
    console = terminal()
    with pytest.raises(KeyboardInterrupt), RunProgress(console, total_folds=1):
        raise KeyboardInterrupt
    assert "\x1b[?25h" in written(console)
    assert written(console).endswith("\x1b[2K")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_long_step_inside_a_run_is_told_in_lines(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr(long_step, "_SECONDS_UNTIL_TOLD_BELOW_A_BAR", 0.001)
    console = Console(file=io.StringIO(), width=80, force_terminal=is_terminal)
    with RunProgress(console, 2) as progress:
        progress.start_piece("trial 1/1")
        progress.start_fold(0, folds=2, epochs=1)
        with long_step.long_step("starting the proxies"):
            give_up = time.monotonic() + 20
            while "starting the proxies: 0 s so far" not in written(console):
                assert time.monotonic() < give_up
                time.sleep(0.005)

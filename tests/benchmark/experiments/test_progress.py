"""What a person is told while a run goes on."""

import io
import re
import time

import pytest
from rich.console import Console

from pml_potential.benchmark.data import long_step
from pml_potential.benchmark.experiments.progress import RunProgress
from tests.benchmark.conftest import Experiment


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def lines() -> Console:
    return Console(file=io.StringIO(), width=60)


def test_each_fold_has_a_plain_line(experiment: Experiment) -> None:
    pattern = r"(trial \d/4|reproduction \d/2), fold \d/2: MAP@R 0\.\d{4} in epoch 1 \(\d+\.\d s\); .*"
    told = experiment.output.splitlines()
    assert len(told) == 12
    assert [line for line in told if not re.fullmatch(pattern, line)] == []
    assert "\x1b" not in experiment.output


def test_lines_carry_the_scores_of_the_folds(experiment: Experiment) -> None:
    pieces = [*experiment.results["trials"], *experiment.results["reproductions"]]
    scores = [f"{fold['score']:.4f}" for piece in pieces for fold in piece["folds"]]
    assert re.findall(r"MAP@R (\d\.\d+)", experiment.output) == scores


def test_the_best_so_far_is_that_of_the_ended_trials(experiment: Experiment) -> None:
    best = max(trial["validation_map_at_r"] for trial in experiment.results["trials"])
    told = experiment.output.splitlines()
    assert "best" not in told[0]
    assert f"best {experiment.results['trials'][0]['validation_map_at_r']:.4f}" in told[2]
    assert f"best {best:.4f}, left about 0:00" in told[-1]


def test_the_time_left_is_the_mean_of_a_fold_times_those_left(lines: Console) -> None:
    with RunProgress(lines, total_folds=5) as progress:
        for seconds in (10.0, 30.0):
            progress.start_fold("trial 1/1", 0, 5)
            progress.finish_fold(0.5, 1, seconds, was_done=False)
    assert re.findall(r"left about (\S+)", written(lines)) == ["0:40", "1:00"]


def test_the_time_left_is_shared_by_folds_that_are_trained_side_by_side(lines: Console) -> None:
    with RunProgress(lines, total_folds=8, side_by_side=4) as progress:
        progress.start_fold("trial 1/2", 0, 4)
        progress.finish_fold(0.5, 1, 20.0, was_done=False)
    assert re.findall(r"left about (\S+)", written(lines)) == ["0:35"]


def test_folds_of_earlier_sessions_and_of_others_are_counted(lines: Console) -> None:
    with RunProgress(lines, total_folds=4) as progress:
        progress.set_ended(2)
        progress.start_fold("trial 2/2", 0, 2)
        progress.finish_fold(0.5, 1, 10.0, was_done=True)
    assert written(lines) == (
        "trial 2/2, fold 1/2: MAP@R 0.5000 in epoch 1 (earlier); left about 0:10\n"
    )


def test_a_failure_is_told_with_its_reason(lines: Console) -> None:
    with RunProgress(lines, total_folds=8) as progress:
        progress.start_fold("trial 1/2", 1, 4)
        progress.fail("the loss is nan [bold]")
        progress.set_ended(4)
        progress.start_fold("trial 2/2", 0, 4)
        progress.finish_fold(0.5, 1, 10.0, was_done=False)
    first, second = written(lines).splitlines()
    assert first == "trial 1/2, fold 2/4: failed: the loss is nan [bold]"
    assert second.endswith("left about 0:30")


def test_a_terminal_has_one_live_line_that_tells_all() -> None:
    console = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    with RunProgress(console, total_folds=8) as progress:
        progress.set_best(0.6)
        progress.start_fold("trial 2/2", 2, 4)
        progress.finish_epoch(3, 0.4321)
        time.sleep(0.2)
        progress.finish_fold(0.5, 3, 10.0, was_done=False)
    text = written(console)
    assert "trial 2/2, fold 3/4" in text
    assert "epoch 3: 0.4321 · best 0.6000" in text
    assert "1/8 folds best 0.6000, left about 1:10" in re.sub(r"\s+", " ", text)
    assert "MAP@R" not in text


def test_the_live_line_goes_when_a_run_is_interrupted() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None)
    with pytest.raises(KeyboardInterrupt), RunProgress(console, total_folds=1):
        raise KeyboardInterrupt
    assert written(console).endswith("\x1b[?25h")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_long_step_inside_a_run_is_told_in_lines(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr(long_step, "_SECONDS_UNTIL_TOLD", 0.001)
    console = Console(file=io.StringIO(), width=80, force_terminal=is_terminal)
    with RunProgress(console, 2) as progress:
        progress.start_fold("trial 1/1", 0, 2)
        with long_step.long_step("starting the proxies"):
            give_up = time.monotonic() + 20
            while "starting the proxies: under way for 0:00:00" not in written(console):
                assert time.monotonic() < give_up
                time.sleep(0.005)

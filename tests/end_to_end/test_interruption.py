"""A run that was stopped, and then killed, ends as one that was left alone."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.files import read_json
from tests.end_to_end.command import Ended, Reference, run_tiny, start_tiny
from tests.end_to_end.watch import Watch


@dataclass(frozen=True)
class Interrupted:
    """A run that got Ctrl-C in its search and SIGKILL in its first reproduction, and then ended."""

    folder: Path
    stopped: Ended
    killed_code: int
    resumed: Ended
    finished_before: dict[str, int]

    @property
    def results(self) -> Any:
        return read_json(self.folder / "report" / "results.json")


def fold_results(folder: Path) -> dict[str, int]:
    """Finished folds, with the time at which each was finished."""
    paths = [path for path in folder.rglob("fold_*/result.json") if ".interrupted_" not in str(path)]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}


def signal_after(folder: Path, finished_fold: str, number: signal.Signals) -> Ended:
    """Start the run, and send a signal as soon as a fold is finished."""
    started = start_tiny(folder)
    started.wait_until((folder / finished_fold / "result.json").is_file)
    return started.send(number)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    folder = tmp_path_factory.mktemp("interrupted") / "run"
    stopped = signal_after(folder, "trials/0000/fold_0", signal.SIGINT)
    killed = signal_after(folder, "reproductions/0000/fold_0", signal.SIGKILL)
    finished_before = fold_results(folder)
    return Interrupted(folder, stopped, killed.code, run_tiny(folder), finished_before)


def test_ctrl_c_ends_the_command_with_code_130_and_says_how_to_go_on(interrupted: Interrupted) -> None:
    assert interrupted.stopped.code == 130
    assert f"Stopped. The same command resumes {interrupted.folder}." in (
        interrupted.stopped.output.replace("\n", " ")
    )
    assert "Traceback" not in interrupted.stopped.output + interrupted.stopped.errors


def test_the_interrupted_run_ends_well(interrupted: Interrupted) -> None:
    assert interrupted.killed_code == -signal.SIGKILL
    assert interrupted.resumed.code == 0, interrupted.resumed.errors
    assert (interrupted.folder / "report" / "index.html").is_file()


def test_interruptions_do_not_change_the_search(interrupted: Interrupted, reference: Reference) -> None:
    expected = reference.results
    for key in ("number", "params", "validation_map_at_r", "failure"):
        assert [trial[key] for trial in interrupted.results["trials"]] == [
            trial[key] for trial in expected["trials"]
        ]
    assert interrupted.results["best"] == expected["best"]


def test_interruptions_do_not_change_the_test_scores(
    interrupted: Interrupted, reference: Reference
) -> None:
    assert interrupted.results["test"] == reference.results["test"]


def test_interruptions_do_not_change_any_fold(interrupted: Interrupted, reference: Reference) -> None:
    def histories(results: Any) -> list[Any]:
        pieces = [*results["trials"], *results["reproductions"]]
        return [fold["history"] for piece in pieces for fold in piece["folds"]]

    assert histories(interrupted.results) == histories(reference.results)
    assert len(histories(interrupted.results)) == 8


def test_no_finished_fold_is_trained_again(interrupted: Interrupted) -> None:
    after = fold_results(interrupted.folder)
    assert len(interrupted.finished_before) >= 5
    assert {path: after[path] for path in interrupted.finished_before} == interrupted.finished_before


def test_folds_stopped_in_their_first_epoch_are_set_aside_and_nothing_else(
    interrupted: Interrupted,
) -> None:
    aside = list(interrupted.folder.rglob("*.interrupted_*"))
    assert len(aside) <= 2
    assert not [
        path
        for folder in aside
        for path in (folder / "result.json", folder / "checkpoints")
        if path.exists()
    ]
    assert len(fold_results(interrupted.folder)) == 8


def test_the_resumed_command_tells_of_new_trials_and_counts_the_old(interrupted: Interrupted) -> None:
    output = interrupted.resumed.output
    told = re.findall(r"^(?:trial|reproduction) \d/2: 0\.\d{3} ", output, re.M)
    counted = re.findall(r"^(\d) of 2 \w+ already done", output, re.M)
    assert len(told) + sum(map(int, counted)) == 4


def test_a_run_of_another_seed_in_the_same_folder_is_refused(reference: Reference) -> None:
    folder = reference.folder
    before = fold_results(folder)
    ended = run_tiny(folder, "--set", "seed=1")
    assert ended.code == 2
    assert ended.errors.startswith("error: ")
    assert "seed: 0 and 1" in ended.errors
    assert "Traceback" not in ended.errors
    assert fold_results(folder) == before


def test_two_runs_started_at_once_on_one_folder_share_the_work(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    watch = Watch(folder)
    started = [start_tiny(folder) for _ in range(2)]
    ended = [each.end() for each in started]
    watch.end()
    assert [each.code for each in ended] == [0, 0], ended
    results = read_json(folder / "report" / "results.json")
    assert [trial["number"] for trial in results["trials"]] == [0, 1]
    assert len(watch.written) == 8
    assert watch.written_again == []
    trained = re.findall(
        r"^(?:trial|reproduction) \d/2(?=:)", "".join(each.output for each in ended), re.MULTILINE
    )
    assert sorted(trained) == ["reproduction 1/2", "reproduction 2/2", "trial 1/2", "trial 2/2"]

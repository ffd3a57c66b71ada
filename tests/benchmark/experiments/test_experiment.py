"""A run has a folder to itself: the same command goes on with it, another configuration is refused."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.experiments.experiment import (
    join_experiment,
    release_pieces,
    run_experiment,
)
from pml_potential.benchmark.experiments.sharing import Sharing
from tests.benchmark.conftest import TRIALS, Experiment
from tests.benchmark.tiny import ALREADY_DONE, tiny_config


def quiet() -> Console:
    return Console(file=io.StringIO())


def modification_times(folder: Path) -> dict[str, int]:
    """When files were written; 0 for empty ones, which some versions of filelock touch."""
    return {
        str(path): path.stat().st_mtime_ns if path.stat().st_size else 0
        for path in folder.rglob("*")
        if path.is_file() and "report" not in path.parts
    }


def test_the_same_command_again_trains_nothing_and_gives_the_same(experiment: Experiment) -> None:
    before = modification_times(experiment.folder)
    page = (experiment.folder / "report" / "index.html").read_text()
    output = io.StringIO()
    again = run_experiment(experiment.config, experiment.folder, Console(file=output))
    after = modification_times(experiment.folder)
    assert again == experiment.results
    assert re.fullmatch(ALREADY_DONE, output.getvalue())
    assert after.keys() == before.keys()
    assert [path for path in after if after[path] != before[path]] == []
    assert len(page) > 1_000_000


def test_who_joins_a_run_that_has_ended_is_given_its_results(experiment: Experiment) -> None:
    assert join_experiment(experiment.folder, quiet(), Sharing()) == experiment.results


@pytest.mark.parametrize(
    ("assignment", "difference"),
    [
        ("seed=6", "seed: 5 and 6"),
        ("protocol.max_epochs=2", "protocol.max_epochs: 1 and 2"),
        ("search.loss.params.alpha=null", "search.loss.params.alpha.low: "),
    ],
)
def test_another_configuration_in_the_same_folder_is_refused(
    experiment: Experiment, assignment: str, difference: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        run_experiment(tiny_config(TRIALS, "seed=5", assignment), experiment.folder, quiet())
    assert difference in str(caught.value)
    assert str(experiment.folder) in str(caught.value)


def test_what_cannot_be_run_leaves_no_folder_behind(tmp_path: Path) -> None:
    pruner = "pruner: {name: MedianPruned}"
    config = tiny_config(f"protocol.study={{trials: 2, startup_trials: 1, {pruner}}}")
    with pytest.raises(ConfigError, match="did you mean 'MedianPruner'"):
        run_experiment(config, tmp_path / "run", quiet())
    assert not (tmp_path / "run").exists()


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match=r"run is a file; choose a folder with --folder"):
        run_experiment(tiny_config(), tmp_path / "run", quiet())


def test_a_folder_without_a_run_can_neither_be_joined_nor_released(tmp_path: Path) -> None:
    for ask in (
        lambda: join_experiment(tmp_path, quiet(), Sharing()),
        lambda: release_pieces(tmp_path, None, [0], "search"),
    ):
        with pytest.raises(ConfigError, match=r"config.yaml does not exist; pml-potential run starts"):
            ask()
    assert list(tmp_path.iterdir()) == []


def test_a_piece_that_nobody_works_on_is_not_released(experiment: Experiment) -> None:
    with pytest.raises(ConfigError, match=r"number 2 of the search of .* is not being worked on"):
        release_pieces(experiment.folder, None, [1], "search")

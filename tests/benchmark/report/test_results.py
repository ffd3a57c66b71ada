"""Results that are damaged, or of another version, are refused in words by all who read them."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.files import read_json, write_json
from pml_potential.benchmark.report.results import best_config, embedding_kinds, read_results, run_config
from tests.benchmark.conftest import Experiment


def without(*keys: str) -> Callable[[dict[str, Any]], Any]:
    def damage(results: dict[str, Any]) -> Any:
        section: Any = results
        for key in keys[:-1]:
            section = section[int(key) if isinstance(section, list) else key]
        del section[keys[-1]]
        return results

    return damage


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "empty": (lambda _results: "", "cannot be read"),
    "cut": (lambda results: json.dumps(results)[:-100], "cannot be read"),
    "a list": (lambda _results: [], "has layout None"),
    "the first layout": (lambda results: results | {"format": 1}, "has layout 1, and this version"),
    "a later layout": (lambda results: results | {"format": 3}, "a later version wrote it"),
    "no test": (without("test"), "is damaged: test: Field required"),
    "no best": (without("best", "config"), "is damaged: best.config: Field required"),
    "a fold without a score": (
        without("reproductions", "0", "folds", "0", "score"),
        "is damaged: reproductions.0.folds.0.score: Field required",
    ),
    "text for a number": (
        lambda results: results | {"data": results["data"] | {"images": "many"}},
        "is damaged: data.images: Input should be a valid integer",
    ),
    "no configuration": (
        lambda results: results | {"config": {}},
        "is damaged: config.protocol: Field required",
    ),
    "no precision": (
        without("test", "trained", "separated", "precision_at_1"),
        "is damaged: test.trained.separated has no precision_at_1",
    ),
}


@pytest.fixture
def damaged(request: pytest.FixtureRequest, experiment: Experiment, tmp_path: Path) -> tuple[Path, str]:
    """A run whose results are damaged, and what is said of it."""
    damage, message = DAMAGES[request.param]
    found = damage(deepcopy(read_json(RunFolder(experiment.folder).results)))
    path = RunFolder(tmp_path / "damaged").results
    path.parent.mkdir(parents=True)
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    return tmp_path / "damaged", message


@pytest.mark.parametrize("damaged", DAMAGES, indirect=True)
@pytest.mark.parametrize("command", ["report", "export", "analyze", "compare"])
def test_every_command_says_what_is_wrong_in_words(
    damaged: tuple[Path, str], command: str, experiment: Experiment, tmp_path: Path
) -> None:
    run, message = damaged
    further = {"export": [tmp_path / "model"], "compare": [experiment.folder]}.get(command, [])
    ended = CliRunner().invoke(app, [command, str(run), *map(str, further)])
    assert ended.exit_code == 2, ended.output
    assert ended.exception is None or isinstance(ended.exception, SystemExit)
    assert ended.stderr.startswith(f"error: {RunFolder(run).results} ")
    assert message in ended.stderr
    assert not (tmp_path / "model").exists()


def test_a_run_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; a run writes it at its end"):
        read_results(tmp_path)


def test_results_are_read_as_they_were_written(experiment: Experiment) -> None:
    assert read_results(experiment.folder) == json.loads(json.dumps(experiment.results))


def test_the_configurations_of_a_run_are_read(experiment: Experiment) -> None:
    results = read_results(experiment.folder)
    assert run_config(experiment.folder, results) == experiment.config
    best = best_config(experiment.folder, results)
    assert best.loss.params["alpha"] == results["best"]["params"]["loss.params.alpha"]
    assert best != experiment.config


@pytest.mark.parametrize(("folds", "kinds"), [(1, ("separated",)), (4, ("separated", "concatenated"))])
def test_one_model_is_its_own_concatenation(folds: int, kinds: tuple[str, ...]) -> None:
    assert embedding_kinds({"config": {"protocol": {"folds": folds}}}) == kinds


@pytest.mark.parametrize("command", ["export", "analyze", "compare"])
def test_a_best_configuration_of_another_version_is_named(
    command: str, experiment: Experiment, tmp_path: Path
) -> None:
    results = deepcopy(read_json(RunFolder(experiment.folder).results))
    results["best"]["config"]["model"]["colour"] = "red"
    write_json(RunFolder(tmp_path / "run").results, results)
    further = {"export": [tmp_path / "model"], "compare": [experiment.folder]}.get(command, [])
    ended = CliRunner().invoke(app, [command, str(tmp_path / "run"), *map(str, further)])
    assert ended.exit_code == 2
    assert "holds no configuration of this version of pml-potential: model.colour" in ended.stderr


def test_results_of_the_committed_runs_are_read(tmp_path: Path) -> None:
    committed = Path(__file__).parents[3] / "docs" / "results" / "quick-contrastive.json"
    path = RunFolder(tmp_path).results
    path.parent.mkdir()
    path.write_bytes(committed.read_bytes())
    assert read_results(tmp_path)["config"]["loss"]["name"] == "ContrastiveLoss"

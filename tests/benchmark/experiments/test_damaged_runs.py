"""A run goes on, and ends as it would have, when one of its files is damaged or gone."""

import io
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.files import read_json
from tests.benchmark.conftest import Experiment
from tests.benchmark.tiny import ALREADY_DONE


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 7):
        content[place] ^= 0xFF
    path.write_bytes(bytes(content))


def remove(path: Path) -> None:
    path.unlink()


def numbers(results: Any) -> Any:
    """All that must not depend on how often a run was interrupted."""

    def of(piece: Any) -> Any:
        folds = [[fold["score"], fold["best_epoch"], fold["history"]] for fold in piece["folds"]]
        return {key: value for key, value in piece.items() if key != "folds"} | {"folds": folds}

    return {
        "trials": [of(trial) for trial in results["trials"]],
        "reproductions": [of(repetition) for repetition in results["reproductions"]],
        "test": results["test"],
    }


@pytest.fixture
def copy(experiment: Experiment, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(experiment.folder, folder)
    return folder


ANY_DAMAGE = (cut, empty, scramble, remove)
FILES = (
    "environment.json",
    "trials/0002/trial.json",
    "trials/0003/fold_1/result.json",
    "reproductions/0001/result.json",
    "reproductions/0000/fold_0/result.json",
    "report/results.json",
)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(("study.db", damage) for damage in ANY_DAMAGE),
        *((name, damage) for name in FILES for damage in (cut, remove)),
    ],
)
def test_a_damaged_file_changes_no_number(
    experiment: Experiment, copy: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(copy / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        run_experiment(experiment.config, copy, Console(file=io.StringIO()))
    results = read_json(copy / "report" / "results.json")
    assert numbers(results) == numbers(read_json(experiment.folder / "report" / "results.json"))


EDITS = (
    ("trials/0003/trial.json", "[]"),
    ("trials/0003/trial.json", '{"score": 0.5}'),
    ("trials/0003/trial.json", '{"params": {"seed": 1}, "score": 0.5}'),
    ("trials/0003/trial.json", '{"params": {}, "score": "high"}'),
    ("trials/0003/trial.json", '{"params": {}, "score": NaN}'),
    ("trials/0003/trial.json", '{"params": {}, "failure": 5}'),
    ("trials/0003/fold_1/result.json", '{"score": "a", "best_epoch": 1, "history": "a", "seconds": []}'),
    ("reproductions/0001/result.json", "[5]"),
    ("reproductions/0001/result.json", '{"trained": {"separated": {}}}'),
    ("reproductions/0001/result.json", '{"failure": null}'),
    ("environment.json", "[]"),
    ("environment.json", '{"python": 3}'),
)


@pytest.mark.parametrize(("name", "text"), EDITS)
def test_an_edited_file_changes_no_number(
    experiment: Experiment, copy: Path, name: str, text: str
) -> None:
    # Without the database the trials are read from their files; the last one is proposed as it was.
    (copy / "study.db").unlink()
    (copy / name).write_text(text)
    with pytest.warns(UserWarning, match=f"{name} is damaged"):
        run_experiment(experiment.config, copy, Console(file=io.StringIO()))
    results = read_json(copy / "report" / "results.json")
    assert numbers(results) == numbers(read_json(experiment.folder / "report" / "results.json"))
    (aside,) = copy.rglob("*.damaged_1")
    assert aside.read_text() == text


@pytest.mark.parametrize("damage", [cut, scramble])
def test_a_damaged_database_is_set_aside_with_a_word(
    experiment: Experiment, copy: Path, damage: Callable[[Path], None]
) -> None:
    damage(copy / "study.db")
    with pytest.warns(UserWarning, match=r"study.db is damaged; set aside as study.db.damaged_1"):
        run_experiment(experiment.config, copy, Console(file=io.StringIO()))


def test_a_lost_database_is_filled_from_the_folders_and_no_fold_is_trained_again(
    experiment: Experiment, copy: Path
) -> None:
    (copy / "study.db").unlink()
    before = {path: path.stat().st_mtime_ns for path in copy.glob("*/*/fold_*/result.json")}
    console = Console(file=io.StringIO(), width=200)
    run_experiment(experiment.config, copy, console)
    assert isinstance(console.file, io.StringIO)
    assert re.fullmatch(ALREADY_DONE, console.file.getvalue())
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(before) == 12


@pytest.mark.parametrize("damage", [scramble, remove])
def test_a_fold_whose_models_are_damaged_is_trained_again_where_they_are_needed(
    experiment: Experiment, copy: Path, damage: Callable[[Path], None]
) -> None:
    damage(copy / "reproductions" / "0000" / "fold_0" / "models" / "embedder_best.pth")
    (copy / "reproductions" / "0000" / "result.json").unlink()
    with pytest.warns(UserWarning, match=r"fold_0 is set aside as fold_0.damaged_1"):
        run_experiment(experiment.config, copy, Console(file=io.StringIO()))
    results = read_json(copy / "report" / "results.json")
    assert numbers(results) == numbers(read_json(experiment.folder / "report" / "results.json"))


def test_a_damaged_configuration_is_a_clear_error(experiment: Experiment, copy: Path) -> None:
    scramble(copy / "config.yaml")
    with pytest.raises(ConfigError, match=r"config.yaml is no YAML"):
        run_experiment(experiment.config, copy, Console(file=io.StringIO()))

"""Studies of runs that are as small as can be: what is varied, what is not, and what is run once."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pml_potential.benchmark.config.composing import read_saved
from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.experiments.experiment import saved_config
from pml_potential.benchmark.experiments.studies import GRIDS, Study, run_ablation, run_label_noise
from pml_potential.benchmark.report.results import read_results
from tests.benchmark.tiny import tiny_config


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def values(config: Config) -> dict[str, Any]:
    """As results.json has them, with lists for tuples."""
    found: dict[str, Any] = config.model_dump(mode="json")
    return found


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path, list[int]]:
    folder = tmp_path_factory.mktemp("noise")
    configs = {name: tiny_config(loss=name) for name in ("potential_field", "contrastive")}
    told: list[int] = []

    def after_each(study: Study) -> None:
        told.append(sum(len(points) for points in study.series.values()))

    study = run_label_noise(configs, folder, console(), [0.5], after_each=after_each)
    return study, folder, told


def test_every_loss_is_run_clean_and_at_every_level(noise: tuple[Study, Path, list[int]]) -> None:
    study, folder, told = noise
    assert {name: [point.value for point in points] for name, points in study.series.items()} == {
        "potential_field": [0, 0.5],
        "contrastive": [0, 0.5],
    }
    assert told == [1, 2, 3, 4]
    for name, points in study.series.items():
        for point in points:
            results = read_results(folder / f"{name}-{point.value:g}")
            test = results["test"]["trained"]["separated"]["mean_average_precision_at_r"]
            assert point.test == test
    assert study.series["potential_field"][0] != study.series["potential_field"][1]


def test_noise_is_met_with_the_best_hyperparameters_of_the_clean_search(
    noise: tuple[Study, Path, list[int]],
) -> None:
    _, folder, _ = noise
    best = read_results(folder / "potential_field-0")["best"]["config"]
    noisy = values(saved_config(RunFolder(folder / "potential_field-0.5")))
    assert noisy["loss"] == best["loss"]
    assert noisy["dataset"] == best["dataset"] | {"label_noise": 0.5}
    assert noisy["protocol"] == best["protocol"] | {"study": None}
    assert noisy["seed"] == best["seed"]


def test_what_has_ended_is_not_run_again(noise: tuple[Study, Path, list[int]]) -> None:
    study, folder, _ = noise
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("fold_*/result.json")}
    configs = {"potential_field": tiny_config()}
    again = run_label_noise(configs, folder, console(), [0.5])
    assert again.series["potential_field"] == study.series["potential_field"]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("fold_*/result.json")} == before


def test_noise_that_is_there_already_is_refused(tmp_path: Path) -> None:
    configs = {"potential_field": tiny_config("dataset.label_noise=0.3")}
    with pytest.raises(ConfigError, match=r"label_noise is 0\.3 for potential_field"):
        run_label_noise(configs, tmp_path, console())


def test_a_study_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one loss"):
        run_label_noise({}, tmp_path, console())


def test_an_ablation_varies_one_value_and_searches_nothing(tmp_path: Path) -> None:
    path = "loss.params.proxies_per_class"
    study = run_ablation(tiny_config(), path, [0, 2], tmp_path, console(), series="random")
    assert list(study.series) == ["random"]
    first, second = (read_saved(tmp_path / f"{path}={name}" / "config.yaml") for name in "02")
    assert first.protocol.study is None
    assert (first.loss.optimizer, first.loss.params["proxies_per_class"]) == (None, 0)
    assert second.loss.optimizer == tiny_config().loss.optimizer
    assert values(second)["model"] == values(tiny_config())["model"]
    for point, name in zip(study.series["random"], ("0", "2"), strict=True):
        assert (
            point.test
            == (
                read_results(tmp_path / f"{path}={name}")["test"]["trained"]["separated"][
                    "mean_average_precision_at_r"
                ]
            )
        )


@pytest.mark.parametrize(
    ("path", "chosen", "message"),
    [
        ("loss.params.alpha", [], "the values of loss.params.alpha are none"),
        ("loss.params.alpha", [1, 1], "are 1, 1; give each of them once"),
        ("lose.params.alpha", [1], "there is no section 'lose.params'"),
        ("model.pooling", ["avg", "most"], "model.pooling: Input should be"),
    ],
)
def test_values_are_refused_before_anything_is_trained(
    path: str, chosen: list[object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_ablation(tiny_config(), path, chosen, tmp_path, console())
    assert not list(tmp_path.iterdir())


def test_the_published_grids_can_be_run() -> None:
    for path in ("loss.params.proxies_per_class", "loss.params.delta", "loss.params.alpha"):
        assert path.rpartition(".")[2] in tiny_config(f"{path}={GRIDS[path][0]}").loss.params

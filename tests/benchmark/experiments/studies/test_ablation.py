"""An ablation: one value is varied, all others stay, and nothing is searched."""

from pathlib import Path

import pytest

from pml_potential.benchmark.config.composing import read_saved
from pml_potential.benchmark.config.published_grids import GRIDS
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.experiments.studies import run_ablation
from pml_potential.benchmark.report.results import read_results
from tests.benchmark.experiments.studies.study_runs import (
    config_of,
    quiet,
    score_of,
    values,
    write_images,
)
from tests.benchmark.tiny import tiny_config

PROXIES = "loss.params.proxies_per_class"


def test_an_ablation_varies_one_value_and_searches_nothing(tmp_path: Path) -> None:
    write_images(tmp_path / "few")
    config, runs, told = config_of(tmp_path / "few"), tmp_path / "runs", []
    study = run_ablation(
        config, PROXIES, [0, 2], runs, quiet(), series="random", after_each=lambda s: told.append(s)
    )
    assert list(study.series) == ["random"]
    assert [[point.value for point in each.series["random"]] for each in told] == [[0], [0, 2]]
    first, second = (read_saved(runs / f"{PROXIES}={name}" / "config.yaml") for name in "02")
    assert (first.loss.optimizer, first.loss.params["proxies_per_class"]) == (None, 0)
    changed = values(config)
    changed["loss"]["params"]["proxies_per_class"] = 2
    changed["protocol"]["study"], changed["search"] = None, {}
    assert values(second) == changed
    for point, name in zip(study.series["random"], ("0", "2"), strict=True):
        assert point.test == score_of(read_results(runs / f"{PROXIES}={name}"))


@pytest.mark.parametrize(
    ("path", "chosen", "message"),
    [
        ("loss.params.alpha", [], "the values of loss.params.alpha are none"),
        ("loss.params.alpha", [1, 1], "are 1, 1; give each of them once"),
        ("lose.params.alpha", [1], "there is no section 'lose.params'"),
        ("model.pooling", ["avg", "most"], "model.pooling: Input should be"),
        ("loss.params.alpha", [1, -1], "PotentialFieldLoss: alpha"),
    ],
)
def test_values_are_refused_before_anything_is_trained(
    path: str, chosen: list[object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_ablation(tiny_config(), path, chosen, tmp_path, quiet())
    assert not list(tmp_path.iterdir())


def test_the_published_grids_can_be_run() -> None:
    for path in (PROXIES, "loss.params.delta", "loss.params.alpha"):
        assert path.rpartition(".")[2] in tiny_config(f"{path}={GRIDS[path][0]}").loss.params

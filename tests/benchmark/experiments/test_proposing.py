"""Samplers propose by their seed, and pruners are those of Optuna, found by name."""

from typing import Any

import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.pruners import NopPruner, ThresholdPruner
from optuna.samplers import GPSampler

from pml_potential.benchmark.config.schema import Component, ConfigError, SearchSettings
from pml_potential.benchmark.experiments.proposing import build_pruner, build_sampler

SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}


def proposed(settings: SearchSettings, seed: int) -> list[dict[str, Any]]:
    study = optuna.create_study(direction="maximize")
    for _ in range(4):
        study.sampler = build_sampler(settings, seed)
        trial = study.ask(SPACE)
        study.tell(trial, trial.params["x"])
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize(
    ("name", "sampler"), [("gp", "GPSampler"), ("tpe", "TPESampler"), ("random", "RandomSampler")]
)
def test_every_sampler_proposes_by_its_seed(name: str, sampler: str) -> None:
    settings = SearchSettings.model_validate({"trials": 9, "startup_trials": 2, "sampler": name})
    assert sampler in [parent.__name__ for parent in type(build_sampler(settings, 0)).__mro__]
    drawn = [proposed(settings, seed) for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_gaussian_process_has_one_thread_and_gives_the_others_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = []
    sample = GPSampler.sample_relative

    def observed(*arguments: Any) -> Any:
        threads.append(torch.get_num_threads())
        return sample(*arguments)

    monkeypatch.setattr(GPSampler, "sample_relative", observed)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        proposed(SearchSettings(trials=9, startup_trials=2, sampler="gp"), 0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(threads) == {1}


def test_a_pruner_is_found_by_name_and_has_its_arguments() -> None:
    pruner = build_pruner(Component(name="ThresholdPruner", params={"lower": 0.5}))
    assert isinstance(pruner, ThresholdPruner)
    study = optuna.create_study(pruner=pruner)
    pruned = []
    for score in (0.4, 0.6):
        trial = study.ask()
        trial.report(score, step=1)
        pruned.append(trial.should_prune())
    assert pruned == [True, False]


def test_without_a_pruner_nothing_is_pruned() -> None:
    assert isinstance(build_pruner(None), NopPruner)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("MedianPruned", {}, "protocol.study.pruner.name: .* did you mean 'MedianPruner'"),
        ("BasePruner", {}, "protocol.study.pruner: BasePruner: "),
        ("MedianPruner", {"n_startup_trials": -1}, "protocol.study.pruner: MedianPruner: "),
        ("MedianPruner", {"startup": 1}, "protocol.study.pruner: MedianPruner: .*'startup'"),
    ],
)
def test_a_pruner_that_cannot_be_built_is_refused(
    name: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_pruner(Component(name=name, params=params))

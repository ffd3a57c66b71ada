"""Proposing hyperparameters: Optuna's samplers and pruners, seeded trial by trial."""

import inspect
from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from pml_potential.benchmark.nearest import did_you_mean
from pml_potential.benchmark.schema import ConfigError, Part, Study


class SingleThreadedGPSampler(GPSampler):
    """``GPSampler`` on one thread: its matrices are tiny, and more threads only wait for each other."""

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose values of all hyperparameters together."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            proposed: dict[str, Any] = super().sample_relative(study, trial, search_space)
        finally:
            torch.set_num_threads(threads)
        return proposed


def build_sampler(study: Study, seed: int) -> BaseSampler:
    """Build the sampler of a search; all of them know of the trials that other workers run.

    Args:
        study: names the sampler: gp, tpe or random.
        seed: of this proposal.
    """
    if study.sampler == "random":
        return RandomSampler(seed=seed)
    if study.sampler == "tpe":
        return TPESampler(
            seed=seed, n_startup_trials=study.startup_trials, multivariate=True, constant_liar=True
        )
    return SingleThreadedGPSampler(seed=seed, n_startup_trials=study.startup_trials)


def build_pruner(pruner: Part | None) -> BasePruner:
    """Build a pruner of ``optuna.pruners`` by its name; None never prunes.

    Raises:
        ConfigError: There is no such pruner, or it does not take an argument or its value.
    """
    if pruner is None:
        return NopPruner()
    candidate: Any = getattr(optuna.pruners, pruner.name, None)
    if not (inspect.isclass(candidate) and issubclass(candidate, BasePruner)):
        names = [name for name in optuna.pruners.__all__ if name.endswith("Pruner")]
        raise ConfigError(
            f"protocol.study.pruner.name: optuna.pruners has no {pruner.name!r}"
            f"{did_you_mean(pruner.name, names)}"
        )
    try:
        built: BasePruner = candidate(**pruner.params)
        return built
    except (TypeError, ValueError) as error:
        raise ConfigError(f"protocol.study.pruner: {pruner.name}: {error}") from error

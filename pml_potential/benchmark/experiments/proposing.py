"""Proposing hyperparameters: Optuna's samplers and pruners, seeded trial by trial."""

from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import Component, ConfigError, SearchSettings
from pml_potential.benchmark.training.components import find_class


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


def build_sampler(settings: SearchSettings, seed: int) -> BaseSampler:
    """Build the sampler of a search; gp and tpe take the running trials of other workers into account.

    Args:
        settings: names the sampler: gp, tpe or random.
        seed: of this proposal.
    """
    if settings.sampler == "random":
        return RandomSampler(seed=seed)
    if settings.sampler == "tpe":
        return TPESampler(
            seed=seed, n_startup_trials=settings.startup_trials, multivariate=True, constant_liar=True
        )
    return SingleThreadedGPSampler(seed=seed, n_startup_trials=settings.startup_trials)


def build_pruner(pruner: Component | None) -> BasePruner:
    """Build a pruner of ``optuna.pruners`` by its name; None never prunes.

    Raises:
        ConfigError: There is no such pruner, or it refuses an argument.
    """
    if pruner is None:
        return NopPruner()
    keys = ("protocol", "study", "pruner")
    named = find_class(pruner.name, (optuna.pruners,), BasePruner, keys)
    try:
        built: BasePruner = named(**pruner.params)
        return built
    except (TypeError, ValueError) as error:
        raise ConfigError(f"protocol.study.pruner: {pruner.name}: {reason_of(error)}") from error

"""How scores fall when a share of the training labels is wrong."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.published_grids import NOISE_LEVELS
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.experiments.sharing import Sharing
from pml_potential.benchmark.experiments.studies.study import Point, Study

PATH = "dataset.label_noise"


def run_label_noise(
    configs: Mapping[str, Config],
    folder: Path,
    console: Console,
    levels: Sequence[float] = NOISE_LEVELS,
    sharing: Sharing | None = None,
    after_each: Callable[[Study], None] = lambda _study: None,
) -> Study:
    """Train losses with wrong labels, with the hyperparameters that are best on clean ones.

    Each loss is run on clean labels first, with the search that its configuration asks for. With the
    best hyperparameters of that search it is then trained at every other level, without a search; the
    seeds are the same at all levels. Validation and test labels stay clean. Finished runs are not
    repeated.

    Args:
        configs: configuration of each loss, by the name of its folders and its line.
        folder: of the runs, ``NAME-LEVEL`` each.
        console: shows the progress.
        levels: shares of wrong training labels, each in [0, 1]; the clean run is made in any case.
        sharing: how the work of each run is distributed.
        after_each: called with the study so far after every run.

    Returns:
        The study: separated MAP@R by level, for each loss.

    Raises:
        ConfigError: No loss is given, a configuration cannot be run or has noise already, or a folder
            holds another run.
        SearchFailedError: All of the first trials of a search failed.
    """
    if not configs:
        raise ConfigError("a study of label noise needs at least one loss")
    for level in levels:
        if not isinstance(level, int | float):
            raise ConfigError(f"levels must be numbers, got {level!r}")
    all_levels = [0.0, *sorted({float(level) for level in levels} - {0.0})]
    for name, config in configs.items():
        if config.dataset.label_noise:
            raise ConfigError(
                f"{PATH} is {config.dataset.label_noise} for {name}; the study sets it, leave it at 0"
            )
        # Check all of them before the first is trained.
        for level in all_levels:
            with_values(config, {PATH: level})
    series: dict[str, list[Point]] = {name: [] for name in configs}
    for name, config in configs.items():
        best = config
        for level in all_levels:
            console.rule(f"{name}, {level:.0%} wrong labels", align="left")
            run = folder / f"{name}-{level:g}"
            results = run_experiment(with_values(best, {PATH: level}), run, console, sharing)
            if level == 0:
                found = Config.model_validate(results["best"]["config"])
                best = with_values(found, {"protocol.study": None, "search": {}})
            series[name].append(Point.of_run(level, results))
            after_each(Study(PATH, {key: points for key, points in series.items() if points}))
    return Study(PATH, series)

"""Vary one value of a configuration, with all others fixed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.experiments.runnable import check_runnable
from pml_potential.benchmark.experiments.sharing import Sharing
from pml_potential.benchmark.experiments.studies.study import Point, Study
from pml_potential.benchmark.report.formatting import number


def run_ablation(
    config: Config,
    path: str,
    values: Sequence[Any],
    folder: Path,
    console: Console,
    sharing: Sharing | None = None,
    series: str | None = None,
    after_each: Callable[[Study], None] = lambda _study: None,
) -> Study:
    """Train a configuration with each of several values in one place, without a search.

    The reproductions of the protocol give the error bars: each value is trained with the same seeds.
    Choose by the validation classes; the test classes show whether the choice holds. Finished runs are
    not repeated.

    Args:
        config: all other values.
        path: dotted path of the value.
        values: the values to try, each once. With 0 proxies per class the loss has no parameters, so its
            optimizer is left out.
        folder: of the runs, ``PATH=VALUE`` each.
        console: shows the progress.
        sharing: how the work of each run is distributed.
        series: name of the line. Default: name of the loss.
        after_each: called with the study so far after every run.

    Returns:
        The study: MAP@R by value, on validation and test classes.

    Raises:
        ConfigError: There is no such path, a value is not allowed there, is given twice or cannot be
            run, or a folder holds another run.
    """
    names = [number(value) for value in values]
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            f"the values of {path} are {', '.join(names) or 'none'}; give each of them once"
        )
    fixed = with_values(config, {"protocol.study": None, "search": {}})
    # Check all of them before the first is trained.
    configs = [_with_value(fixed, path, value) for value in values]
    for each in configs:
        check_runnable(each)
    points: list[Point] = []
    for name, value, each in zip(names, values, configs, strict=True):
        console.rule(f"{path} = {name}", align="left")
        results = run_experiment(each, folder / f"{path}={name}", console, sharing)
        points.append(Point.of_run(value, results))
        after_each(Study(path, {series or config.loss.name: list(points)}))
    return Study(path, {series or config.loss.name: points})


def _with_value(config: Config, path: str, value: Any) -> Config:
    changes: dict[str, Any] = {path: value}
    if path == "loss.params.proxies_per_class" and value == 0:
        changes["loss.optimizer"] = None
    return with_values(config, changes)

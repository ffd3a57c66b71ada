"""Runs side by side: which can be compared, how they rank, which differences are more than chance."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any

from pml_potential.benchmark.config.composing import differences
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.locations import without_locations
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.formatting import listed
from pml_potential.benchmark.report.pairwise_tests import Difference, pairwise_differences
from pml_potential.benchmark.report.power import Detectable, detectable
from pml_potential.benchmark.report.results import best_config, read_results, run_config
from pml_potential.benchmark.report.score_rows import reproduction_numbers

_MAY_DIFFER = ("loss.", "sampler.", "search.", "search:", "seed:")
"""What compared runs may differ in."""

_HOW_IT_IS_TRAINED = (
    "model.trunk_optimizer.",
    "model.embedder_optimizer.",
    "model.warm_up_epochs:",
    "model.head.",
)
"""What each run's search may choose differently, with a caution: the network itself stays the same."""


@dataclass(frozen=True)
class ComparedRun:
    """A run with the name that it has in a comparison.

    Attributes:
        name: of its loss; with the folder, if another run has the same loss.
        folder: of the run.
        results: content of its ``results.json``.
    """

    name: str
    folder: Path
    results: dict[str, Any]

    @property
    def reproductions(self) -> int:
        """How many reproductions succeeded."""
        return len(self.scores)

    @property
    def failures(self) -> list[str]:
        """Why the others failed."""
        return [each["failure"] for each in self.results["reproductions"] if "failure" in each]

    @property
    def score_by_reproduction(self) -> dict[int, float]:
        """Separated test MAP@R of each reproduction that succeeded, by its number from 1."""
        return dict(zip(reproduction_numbers(self.results), self.scores, strict=True))

    @property
    def scores(self) -> list[float]:
        """Separated test MAP@R of each reproduction."""
        values: list[float] = self.results["test"]["trained"]["separated"][PRIMARY_METRIC]["values"]
        return values


@dataclass(frozen=True)
class Comparison:
    """Runs that differ in their loss.

    Attributes:
        runs: two at least, the one with the highest separated test MAP@R first.
        differences: of that score, for every pair.
    """

    runs: list[ComparedRun]
    differences: list[Difference]

    @property
    def leaders(self) -> list[str]:
        """Name of the first run, and of those that the test does not tell apart from it."""
        first = self.runs[0].name
        return [
            first,
            *(d.second for d in self.differences if d.first == first and not d.is_significant),
        ]

    @property
    def told_apart(self) -> list[str]:
        """Names of the runs that the corrected test tells apart from the first."""
        first = self.runs[0].name
        return [d.second for d in self.differences if d.first == first and d.is_significant]

    @property
    def cautions(self) -> list[str]:
        """Other differences between the runs, which do not rule out the comparison."""
        found = []
        environments = [run.results["environment"] for run in self.runs]
        for what, values in (
            ("have different seeds", [run.results["seed"] for run in self.runs]),
            ("were made at different commits", [each["commit"] for each in environments]),
            ("used different versions of packages", [each["packages"] for each in environments]),
            ("used different processors, threads or GPUs", list(map(_machine, environments))),
        ):
            if any(value != values[0] for value in values):
                found.append(f"The runs {what}.")
        chosen = {path: None for run in self.runs[1:] for path in _chosen_apart(self.runs[0], run)}
        if chosen:
            found.append(f"The searches chose different values of {listed(list(chosen))}.")
        return found

    @cached_property
    def detectable(self) -> list[Detectable | None]:
        """What the test of each of ``differences`` can detect with these reproductions."""
        scores = {run.name: run.scores for run in self.runs}
        return [detectable(scores[each.first], scores[each.second]) for each in self.differences]

    @property
    def reach(self) -> str | None:
        """Which difference between the first two the test can detect; None if neither varies."""
        difference = self.differences[0]
        if (found := self.detectable[0]) is None:
            return None
        return (
            f"With these reproductions the test finds a difference of {found.difference:.4f} between "
            f"{difference.first} and {difference.second} in 80% of cases; half of that takes "
            f"{found.needed} reproductions of each."
        )

    @property
    def verdict(self) -> str:
        """The conclusion about the first place."""
        first, *level = self.leaders
        if level:
            return (
                f"{first} has the highest mean, but the test does not tell it apart from "
                f"{listed(level)}: no winner."
            )
        return f"{first} is ahead of every other run by more than chance."


def _chosen_apart(first: ComparedRun, second: ComparedRun) -> list[str]:
    """Paths of the values in which the best configurations of two comparable runs differ."""
    one, other = (without_locations(best_config(run.folder, run.results)) for run in (first, second))
    apart = [line for line in differences(one, other) if not line.startswith(_MAY_DIFFER)]
    return [line.partition(": ")[0] for line in apart]


def _machine(environment: dict[str, Any]) -> list[Any]:
    """What influences rounding; results of older versions lack some of it."""
    return [environment.get(key) for key in ("processor", "threads", "gpus")]


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Compare runs on one data set, by one protocol, with one model.

    Args:
        folders: of finished runs, at least two.

    Returns:
        The comparison.

    Raises:
        ConfigError: A run has no report, too few of its reproductions succeeded, or the runs differ in
            more than loss, sampler, search and seed.
    """
    distinct = {folder.resolve() for folder in folders}
    if len(distinct) < len(folders):
        raise ConfigError("a run is given twice; compare different ones")
    if len(folders) < 2:
        raise ConfigError("a comparison takes two runs or more; for one, see its report")
    read = [read_results(folder) for folder in folders]
    for folder, results in zip(folders, read, strict=True):
        _check_reproductions(folder, results)
        _check_comparable(folders[0], read[0], folder, results)
    labels = [_loss_name(results) for results in read]
    counts = Counter(labels)
    runs = [
        ComparedRun(label if counts[label] == 1 else f"{label} ({folder})", folder, results)
        for label, folder, results in zip(labels, folders, read, strict=True)
    ]
    runs.sort(key=lambda run: -mean(run.scores))
    return Comparison(runs, pairwise_differences({run.name: run.scores for run in runs}))


def _check_reproductions(folder: Path, results: dict[str, Any]) -> None:
    failures = [each["failure"] for each in results["reproductions"] if "failure" in each]
    succeeded = len(results["reproductions"]) - len(failures)
    if succeeded < 2:
        reason = f"; the first failure: {failures[0]}" if failures else ""
        raise ConfigError(
            f"{folder}: {succeeded} of {len(results['reproductions'])} reproductions succeeded, and "
            f"a comparison takes two{reason}"
        )


def _check_comparable(
    first: Path, results: dict[str, Any], second: Path, others: dict[str, Any]
) -> None:
    # The location of their files does not matter, their hashes do.
    given = differences(
        without_locations(run_config(first, results)), without_locations(run_config(second, others))
    )
    found = [line for line in given if not line.startswith(_MAY_DIFFER)]
    chosen = differences(
        without_locations(best_config(first, results)), without_locations(best_config(second, others))
    )
    found += [
        f"{line}, as a search chose"
        for line in chosen
        if line not in given and not line.startswith((*_MAY_DIFFER, *_HOW_IT_IS_TRAINED))
    ]
    for key, left, right in (
        ("data.sha256", results["data"]["sha256"], others["data"]["sha256"]),
        ("weights_sha256", results["weights_sha256"], others["weights_sha256"]),
    ):
        if left != right:
            found.append(f"{key}: {left} and {right}")
    if found:
        raise ConfigError(
            f"{first} and {second} cannot be compared; besides loss, sampler, search and seed they "
            "differ in\n  " + "\n  ".join(found)
        )


def _loss_name(results: dict[str, Any]) -> str:
    loss = results["config"]["loss"]
    name: str = loss["name"]
    return f"{name}+{loss['miner']['name']}" if loss.get("miner") else name

"""Results of a study: scores along one value, as data, as a table and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from pml_potential.analysis.figure import new_figure, plain
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.files import write_json, write_text
from pml_potential.benchmark.report.environment import describe_environment
from pml_potential.benchmark.report.formatting import interval, number
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.text_table import TextTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = 1
"""Number of the layout of ``study.json``."""

JUDGED_ON = {"validation": "validation classes", "test": "test classes"}

# Okabe and Ito's colours without their yellow, which is hard to see on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = "osD^vPX*<>"
_LINES = ("-", "--", ":")


@dataclass(frozen=True)
class Point:
    """Result of one run of a study.

    Attributes:
        value: the varied value in this run.
        validation: MAP@R on the validation classes, the mean over the folds: mean and 95% interval over
            the reproductions, as ``confidence_interval`` has them. None where all failed.
        test: the same of the separated MAP@R on the test classes.
        failures: why reproductions failed.
    """

    value: Any
    validation: dict[str, Any] | None
    test: dict[str, Any] | None
    failures: list[str]

    @classmethod
    def of_run(cls, value: Any, results: dict[str, Any]) -> Point:
        """The point of a run by its results."""
        succeeded = [each for each in results["reproductions"] if "failure" not in each]
        failures = [each["failure"] for each in results["reproductions"] if "failure" in each]
        if not succeeded:
            return cls(value, None, None, failures)
        validation = [mean(fold["score"] for fold in each["folds"]) for each in succeeded]
        test = results["test"]["trained"]["separated"][PRIMARY_METRIC]
        return cls(value, confidence_interval(validation), test, failures)


@dataclass(frozen=True)
class Study:
    """Runs that differ in one value, and perhaps in their loss.

    Attributes:
        path: dotted path of the value.
        series: for each line of the figure its points.
        environment: versions, machine and commit when the study was written.
    """

    path: str
    series: dict[str, list[Point]]
    environment: dict[str, Any] = field(default_factory=describe_environment)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Study:
        """A study that ``to_json`` wrote."""
        series = {
            name: [Point(**point) for point in points] for name, points in content["series"].items()
        }
        return cls(content["path"], series, content["environment"])

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-serialisable."""
        return {"format": FORMAT, **asdict(self)}

    def table(self, judged_on: str) -> TextTable:
        """A row for each series and a column for each value, of one of ``JUDGED_ON``."""
        values = _values(self.series)
        rows = []
        for name, points in self.series.items():
            cells = {number(point.value): _cell(point, judged_on) for point in points}
            rows.append([name, *(cells.get(value, "–") for value in values)])
        return TextTable([self.path, *values], rows, text_columns=1)

    def figure(self, width: float = 9.0) -> Figure:
        """Validation and test side by side, a line for each series, with 95% intervals."""
        drawn = new_figure(width, 4.2)
        panels = drawn.subplots(1, len(JUDGED_ON), sharex=True, sharey=True)
        places = _places([point.value for points in self.series.values() for point in points])
        for axes, (judged_on, title) in zip(panels, JUDGED_ON.items(), strict=True):
            for index, (name, points) in enumerate(self.series.items()):
                found = [
                    (places[number(point.value)], score)
                    for point in points
                    if (score := getattr(point, judged_on))
                ]
                axes.errorbar(
                    [x for x, _ in found],
                    [score["mean"] for _, score in found],
                    [score["half_width"] or 0.0 for _, score in found],
                    label=plain(name),
                    color=_COLOURS[index % len(_COLOURS)],
                    linestyle=_LINES[index // len(_COLOURS) % len(_LINES)],
                    marker=_MARKERS[index % len(_MARKERS)],
                    markersize=5,
                    capsize=2,
                    linewidth=1.2,
                )
            axes.set(title=title, xlabel=self.path)
            axes.grid(alpha=0.3)
            if not all(_is_number(value) for value in _raw_values(self.series)):
                axes.set_xticks(list(places.values()), [plain(place) for place in places])
        panels[0].set_ylabel("MAP@R, mean and 95% interval")
        if len(self.series) > 1:
            drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
        return drawn


def write_study(study: Study, folder: Path) -> None:
    """Write ``study.json``, ``study.md`` and ``study.png`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "study.json", study.to_json())
    tables = (
        f"MAP@R, {title}\n\n{study.table(judged_on).to_markdown()}\n"
        for judged_on, title in JUDGED_ON.items()
    )
    write_text(folder / "study.md", "\n".join(tables))
    study.figure().savefig(folder / "study.png", dpi=150)


def _cell(point: Point, judged_on: str) -> str:
    score = getattr(point, judged_on)
    return "failed" if score is None else interval(score)


def _raw_values(series: dict[str, list[Point]]) -> list[Any]:
    return [point.value for points in series.values() for point in points]


def _values(series: dict[str, list[Point]]) -> list[str]:
    return list(dict.fromkeys(number(value) for value in _raw_values(series)))


def _places(values: Sequence[Any]) -> dict[str, float]:
    """Position of each value on the horizontal axis: a number at itself, others in order."""
    if all(_is_number(value) for value in values):
        return {number(value): float(value) for value in values}
    return {name: float(place) for place, name in enumerate(dict.fromkeys(map(number, values)))}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

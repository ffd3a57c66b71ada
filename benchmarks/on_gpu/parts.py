"""Parts of the work: one after the other while time is left, each with its result on the disk."""

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.machine import Machine
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.files import read_json, write_json

_LAST = 3
"""Number of last parts of a kind from which the time of the next is estimated."""


@dataclass(frozen=True)
class Part:
    """Something that is measured in one go.

    Attributes:
        group: a group's results are in one file.
        name: unique in the group.
        kind: parts of one kind take about the same time.
        guess: estimated seconds, for the first part of its kind.
        asked: all that its result depends on; a stored result with other values is not reused.
        measure: measures it.
    """

    group: str
    name: str
    kind: str
    guess: float
    asked: Mapping[str, Any]
    measure: Callable[[], dict[str, Any]]


class Results:
    """Files of results, one for each group of parts on a machine.

    Args:
        folder: of the files.
        machine: where the parts are measured.
    """

    def __init__(self, folder: Path, machine: Machine) -> None:
        self._folder = folder
        self._machine = machine

    def rows(self, group: str) -> dict[str, Any]:
        """Rows of a group, by the names of their parts."""
        path = self._path(group)
        found: dict[str, Any] = read_json(path) if path.exists() else {}
        return found

    def has(self, part: Part) -> bool:
        """Whether a part has been measured."""
        row = self.rows(part.group).get(part.name)
        return row is not None and row["asked"] == dict(part.asked)

    def keep(self, part: Part, found: Mapping[str, Any], seconds: float) -> None:
        """Add a row to the file of its group."""
        row = {
            "asked": dict(part.asked),
            **found,
            "kind": part.kind,
            "part_seconds": round(seconds, 1),
            "origin": self._machine.origin,
        }
        write_json(self._path(part.group), self.rows(part.group) | {part.name: row})

    def likely_seconds(self, part: Part) -> float:
        """The estimated time of a part: the longest of the last few of its kind, or its guess.

        Only the last few count: the first one decodes all pictures, or compiles kernels for all.
        """
        rows = self.rows(part.group).values()
        of_kind = [float(row["part_seconds"]) for row in rows if row["kind"] == part.kind]
        return max(of_kind[-_LAST:], default=part.guess)

    def write_summary(self, summary: "Summary", minutes: float) -> None:
        """Write the outcome of each part."""
        found = {"minutes": minutes, "origin": self._machine.origin} | vars(summary)
        write_json(self._path("summary"), found)

    def _path(self, group: str) -> Path:
        return self._folder / f"{self._machine.file_name}-{group}.json"


@dataclass
class Summary:
    """The outcome of each part, by its name.

    Attributes:
        measured: in this run.
        kept: from an earlier one.
        left_out: for lack of time.
        missing: for lack of a file or a library, with the reason.
        failed: with the error.
    """

    measured: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def measure_in_time(
    parts: Iterable[Part],
    results: Results,
    seconds: float,
    say: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Measure one part after the other, and skip those for which too little time is left.

    A failed part does not stop the others.

    Args:
        parts: the most valuable first.
        results: the stored results; what they have is not measured again.
        seconds: time limit for all parts.
        say: prints the progress.
        clock: returns seconds, from any start.
    """
    summary = Summary()
    end = clock() + seconds
    for part in parts:
        title = f"{part.group}: {part.name}"
        if results.has(part):
            summary.kept.append(title)
            continue
        if results.likely_seconds(part) > end - clock():
            summary.left_out.append(title)
            continue
        start = clock()
        try:
            found = part.measure()
            results.keep(part, found, clock() - start)
        except ConfigError as error:
            # Most often a file or a library that many parts need.
            if str(error) not in summary.missing.values():
                say(f"{title}: cannot be measured: {error}")
            summary.missing[title] = str(error)
            continue
        # Whatever it is: one failed part must not waste the minutes that are left on a GPU.
        except Exception as error:
            traceback.print_exc()
            summary.failed[title] = f"{type(error).__name__}: {error}"
            say(f"{title}: failed")
            continue
        summary.measured.append(title)
        say(f"{title}: {clock() - start:.1f} s, {max(0.0, end - clock()):.0f} s left")
    return summary

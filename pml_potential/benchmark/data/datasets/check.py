"""Check a data set before days of training depend on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from pml_potential.benchmark.config.schema import Dataset
from pml_potential.benchmark.data.datasets.catalogue import entry_of, load_images
from pml_potential.benchmark.data.datasets.entry import root_of
from pml_potential.benchmark.data.datasets.layout import LayoutError
from pml_potential.benchmark.data.datasets.possible_runs import (
    PossibleRuns,
    describe_classes,
    describe_duplicates,
    describe_sizes,
    possible_runs,
)
from pml_potential.benchmark.data.datasets.published import (
    count_division,
    counted,
    wrong_counts,
    wrong_sizes,
)
from pml_potential.benchmark.data.feature_rows import FeatureRows
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.image_reading import (
    FEW_LEVELS,
    UnreadableImageError,
    is_image_name,
)
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.long_step import long_step, steps_shown_on
from pml_potential.benchmark.data.matrix_file import MatrixError

SHOWN = 20
"""How many files of a kind a report names in its text."""


@dataclass(frozen=True)
class Report:
    """The results of a check.

    Attributes:
        name: Of the data set.
        images: How many images it has.
        classes: How many classes.
        division: For each of train, test, query and gallery, how many images and classes.
        sha256: The hash of the data set, if no file is missing.
        layout: What is wrong with its lists or folders, if it cannot be loaded at all.
        counts: Each difference from the published counts and sizes, in words.
        missing: Files that are listed but not there.
        unreadable: Files that are damaged or not images, each with the reason, in words.
        changed: For each change that reading made to images, as `read_image` words it, their files.
        strangers: Files that do not belong to the data set. They do no harm, since nothing reads them.
        runs: Which protocols can be run on it, if it could be loaded.
        facts: Other facts that decide which runs are possible, in words.
    """

    name: str
    images: int = 0
    classes: int = 0
    division: dict[str, tuple[int, int]] = field(default_factory=dict)
    sha256: str | None = None
    layout: str | None = None
    counts: tuple[str, ...] = ()
    missing: tuple[Path, ...] = ()
    unreadable: tuple[str, ...] = ()
    changed: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    strangers: tuple[Path, ...] = ()
    runs: PossibleRuns | None = None
    facts: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing is wrong, and some run is possible."""
        return self.layout is None and not (self._has_faults or (self.runs and not self.runs.any))

    @property
    def _has_faults(self) -> bool:
        return bool(self.counts or self.missing or self.unreadable or FEW_LEVELS in self.changed)

    def lines(self) -> list[str]:
        """Puts the findings into words.

        Returns:
            Lines of text: what there is, what is wrong, what to do, and which runs are possible.

        Examples:
            >>> Report("digits", images=1797, classes=10).lines()
            ['digits: 1797 images of 10 classes', 'Nothing is wrong.']
        """
        if self.layout is not None:
            return [f"{self.name} cannot be loaded: {self.layout}"]
        lines = [f"{self.name}: {counted(self.images, self.classes)}"]
        lines += [f"  {split}: {counted(*counts)}" for split, counts in self.division.items()]
        if self.sha256 is not None:
            lines.append(f"  sha256: {self.sha256}")
        lines += self.counts
        lines += _listing("missing", [str(path) for path in self.missing])
        lines += _listing("unreadable", self.unreadable)
        for change, paths in self.changed.items():
            if change == FEW_LEVELS:
                lines += _listing(change, [str(path) for path in paths])
            else:
                lines.append(f"{len(paths)} {change}, such as {paths[0]}")
        lines += _listing("not part of the data set, so never read", [str(x) for x in self.strangers])
        lines.append(self._advice())
        if self.runs is not None:
            lines += ["What a run could do with these images:", *self.facts, *self.runs.lines()]
        return lines

    def _advice(self) -> str:
        if self.good:
            return "Nothing is wrong."
        if not self._has_faults:
            return "The files are fine, but no run on them could be evaluated."
        if entry_of(self.name).source == "your own":
            return "Restore or repair the files, or remove them from the folder or table."
        return (
            "Scores on these files cannot be compared with published ones. Get the data set again: move "
            "this folder away, and download or request it again."
        )


def check(dataset: Dataset, console: Console | None = None) -> Report:
    """Counts the images of a data set, and opens and decodes every one.

    Args:
        dataset: Which one and where, as in a configuration.
        console: Where progress is shown; None shows nothing.

    Returns:
        The results.

    Raises:
        ConfigError: If a key does not fit the data set. A folder that is missing or of another layout
            is a result, not an error.

    Examples:
        >>> check(Dataset(name="digits")).good
        True
    """
    if console is None:
        return _check(dataset)
    with steps_shown_on(console):
        return _check(dataset)


def _check(dataset: Dataset) -> Report:
    try:
        images = load_images(dataset)
        digest = _hash(images)
    except (LayoutError, MatrixError) as error:
        return Report(dataset.name, layout=str(error))
    entry = entry_of(dataset.name)
    differences = list(wrong_counts(images, entry))
    facts = describe_classes(images.labels, images.division)
    files = _Files()
    strangers: tuple[Path, ...] = ()
    if isinstance(images, ImageFiles):
        files = _read_all(images)
        if "root" in entry.takes:
            strangers = tuple(_strangers(images, root_of(dataset), anything=dataset.name == "folder"))
        if not files.missing and not files.unreadable:
            names = [images.relative_path(place) for place in range(len(images.paths))]
            differences += wrong_sizes(images, entry)
            facts += [describe_duplicates(names, images.file_hashes), describe_sizes(images.sizes)]
    if isinstance(images, FeatureRows):
        names = [images.called(place) for place in range(len(images.labels))]
        facts.append(describe_duplicates(names, images.row_hashes(), "row"))
        facts.append(f"  vectors: {images.channels} numbers each")
    return Report(
        name=dataset.name,
        images=len(images.labels),
        classes=len(images.class_names),
        division=count_division(images),
        sha256=digest,
        counts=tuple(differences),
        missing=tuple(files.missing),
        unreadable=tuple(files.unreadable),
        changed={change: tuple(paths) for change, paths in files.changed.items()},
        strangers=strangers,
        runs=possible_runs(images, entry.mlrc_halves),
        facts=tuple(facts),
    )


def _hash(images: Images) -> str | None:
    try:
        return images.sha256
    except UnreadableImageError:
        return None


@dataclass
class _Files:
    """The results of reading every file."""

    missing: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    changed: dict[str, list[Path]] = field(default_factory=dict)


def _read_all(images: ImageFiles) -> _Files:
    files = _Files()

    def read(index: int) -> tuple[str, ...] | UnreadableImageError:
        try:
            return images.read(index).changes
        except UnreadableImageError as error:
            return error

    # Pillow decodes without the interpreter's lock, so threads do use all processors.
    with (
        long_step("opening every image", len(images.paths), "images") as advance,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        found = pool.map(read, range(len(images.paths)))
        try:
            for path, changes in zip(images.paths, found, strict=True):
                advance(1)
                if not isinstance(changes, UnreadableImageError):
                    for change in changes:
                        files.changed.setdefault(change, []).append(path)
                elif isinstance(changes.__cause__, FileNotFoundError):
                    files.missing.append(path)
                else:
                    files.unreadable.append(str(changes))
        except KeyboardInterrupt:
            # Otherwise the pool would first read all remaining files.
            pool.shutdown(cancel_futures=True)
            raise
    return files


def _strangers(images: ImageFiles, root: Path, anything: bool) -> Iterator[Path]:
    """Finds files below the root that the data set does not list.

    Published data sets contain many text files, so only images count, unless `anything` is true.
    """
    listed = {os.path.abspath(path) for path in images.paths}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            wanted = anything or is_image_name(path)
            if wanted and not name.startswith(".") and os.path.abspath(path) not in listed:
                yield path


def _listing(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    lines = [f"{len(items)} {title}:", *(f"  {item}" for item in items[:SHOWN])]
    if len(items) > SHOWN:
        lines.append(f"  and {len(items) - SHOWN} more")
    return lines

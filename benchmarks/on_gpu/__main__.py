"""Measure on a GPU within a time limit, the most valuable parts first.

``python -m benchmarks.on_gpu --data DIR --minutes 25``. The result of each part is written as soon as
it finishes, and the same command resumes. Without a GPU the same is measured in miniature:
``--minutes 2``.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from benchmarks.on_gpu import plan
from benchmarks.on_gpu.machine import Machine, this_machine
from benchmarks.on_gpu.page import RESULTS, write_page
from benchmarks.on_gpu.parts import Part, Results, Summary, measure_in_time
from benchmarks.on_gpu.pictures import few_pictures, folder_of
from benchmarks.on_gpu.settings import MINIATURE, ON_GPU
from pml_potential.benchmark.config.schema import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and report skipped parts; 1 if a part failed, 2 if the arguments are invalid."""
    start = time.monotonic()
    given = _arguments(arguments)
    machine = this_machine(given.commit)
    folder = given.results or (RESULTS if machine.has_gpu else given.work / "results")
    results = Results(folder, machine)
    try:
        parts = [*_parts(given, machine)]
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    left = 60 * given.minutes - (time.monotonic() - start)
    summary = measure_in_time(parts, results, left)
    if machine.has_gpu and not given.data:
        summary.missing["fine_tuning"] = "--data was not given"
    results.write_summary(summary, given.minutes)
    _say(summary, folder)
    if folder == RESULTS:
        write_page()
    return 1 if summary.failed else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_gpu", description=__doc__)
    parser.add_argument(
        "--data", type=Path, help="folder with a folder of images for each class, or a tar file of it"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=25.0,
        help="a part starts only if it is likely to finish in time",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help=f"weights of {' and '.join(ON_GPU.networks)}, in this order; default: from their packages",
    )
    parser.add_argument(
        "--results", type=Path, help="default: docs/results/on_gpu, without a GPU WORK/results"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/on_gpu"), help="folder for caches")
    parser.add_argument("--commit", help="of the source, if git cannot tell it")
    given = parser.parse_args(arguments)
    if not given.minutes > 0:
        parser.error(f"--minutes is {given.minutes:g}; it must be above 0")
    if len(given.weights) > len(ON_GPU.networks):
        parser.error(f"--weights has {len(given.weights)} files; give at most one for each network")
    for path in given.weights:
        if not path.is_file():
            parser.error(f"--weights: there is no file {path}")
    return given


def _parts(given: argparse.Namespace, machine: Machine) -> Iterator[Part]:
    scale = ON_GPU if machine.has_gpu else MINIATURE
    yield from chain(plan.kernels(scale, machine.device), plan.loss_steps(scale, machine.device))
    root = None if given.data is None else folder_of(given.data, given.work)
    if not machine.has_gpu:
        root = few_pictures(root, given.work / "few")
    if root is not None:
        weights = dict(zip(ON_GPU.networks, given.weights, strict=False))
        yield from plan.trainings(scale, root, given.work, weights, machine.device)


def _say(summary: Summary, folder: Path) -> None:
    print(f"measured {len(summary.measured)} parts, {len(summary.kept)} were there before; {folder}")
    for title in summary.left_out:
        print(f"left out for lack of time: {title}")
    for reason, count in Counter(summary.missing.values()).items():
        print(f"not measured, {count} parts: {reason}")
    for title, reason in summary.failed.items():
        print(f"failed: {title}: {reason}")


if __name__ == "__main__":
    sys.exit(main())

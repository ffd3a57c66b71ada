"""Memory and time of a step with and without ``GradientCache``: ``python -m benchmarks.gradient_cache``.

Each case is some steps in a process of its own. Prints a table; writes
``docs/results/gradient_cache.json`` and ``docs/guides/large_batches.md``. With arguments, it is one of
those processes: ``python -m benchmarks.gradient_cache plain 512``.
"""

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jinja2 import StrictUndefined, Template
from torch import nn

from pml_potential import GradientCache, MeanFieldContrastiveLoss
from pml_potential.benchmark.files import read_json, write_json, write_text
from pml_potential.benchmark.report.environment import describe_environment

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "gradient_cache.json"
PAGE = DOCS / "guides" / "large_batches.md"
TEMPLATE = Path(__file__).with_suffix(".md.j2")

CHUNK_SIZE = 32
STEPS = 3
BATCH_SIZES = (32, 128, 512, 2048)
WAYS = ("plain", "cached")
IMAGE_SIDE, CLASSES, EMBEDDING_SIZE = 64, 100, 64


def network() -> nn.Module:
    """A small convolutional network without batch normalisation."""
    widths = [3, 16, 32, 64]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], EMBEDDING_SIZE)]
    return nn.Sequential(*layers)


def measure(way: str, batch_size: int) -> dict[str, Any]:
    """MiB that the steps need above the memory used before, and seconds of the fastest step."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # A loss that keeps little, so the network dominates.
    model, loss = network(), MeanFieldContrastiveLoss(CLASSES, EMBEDDING_SIZE)
    loss_of = GradientCache(model, loss, CHUNK_SIZE)
    images = torch.randn(batch_size, 3, IMAGE_SIDE, IMAGE_SIDE)
    labels = torch.arange(batch_size) % CLASSES
    # Memory that torch allocates once, whatever the batch.
    loss(model(images[:1]), labels[:1]).backward()
    before, seconds = _peak(), []
    for _ in range(STEPS):
        start = time.perf_counter()
        value = loss_of(images, labels) if way == "cached" else loss(model(images), labels)
        value.backward()
        seconds.append(time.perf_counter() - start)
    return {"way": way, "batch_size": batch_size, "mib": _peak() - before, "seconds": min(seconds)}


def _peak() -> float:
    """The most memory that this process has held, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) / 1024


def page(results: dict[str, Any]) -> str:
    """The page on large batches, with the measurements."""
    found = {(row["way"], row["batch_size"]): row for row in results["rows"]}
    rows = []
    for size in BATCH_SIZES:
        plain, cached = (found[way, size] for way in WAYS)
        ratio = cached["seconds"] / plain["seconds"]
        rows.append(f"| {size:,} | {plain['mib']:.0f} MiB | {cached['mib']:.0f} MiB | {ratio:.1f} |")
    template = Template(
        TEMPLATE.read_text(), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    rendered: str = template.render(
        rows="\n".join(rows),
        chunk_size=CHUNK_SIZE,
        side=IMAGE_SIDE,
        steps=STEPS,
        largest=f"{BATCH_SIZES[-1]:,}",
        growth=f"{found['plain', BATCH_SIZES[-1]]['mib'] / found['cached', BATCH_SIZES[-1]]['mib']:.0f}",
        environment=results["environment"],
    )
    return rendered


def main() -> None:
    """Measure all cases, each in a process of its own, and write the page."""
    rows = []
    for size in BATCH_SIZES:
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.gradient_cache", way, str(size)]
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            rows.append(json.loads(done.stdout))
            print(rows[-1])
    write_json(RESULTS, {"environment": describe_environment(), "rows": rows})
    write_text(PAGE, page(read_json(RESULTS)))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()

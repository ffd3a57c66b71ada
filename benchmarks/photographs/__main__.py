"""Train the remaining cells of the study, the most valuable first, and write its page.

``python -m benchmarks.photographs DATA`` takes a folder with ``cars196``, ``emoji`` and
``tiny_imagenet``, each with a folder for each class. Ctrl-C stops it, and the same command resumes.
Several processes may run at a time, also on several machines with a shared file system.
"""

import argparse
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.photographs import plan
from benchmarks.photographs.cells import Laboratory, read_part
from benchmarks.photographs.page import write_page
from pml_potential.benchmark.data.long_step import steps_shown_on


def main() -> None:
    """Train the cells one after the other."""
    parser = argparse.ArgumentParser(description="The study on photographs.")
    parser.add_argument("data", help="folder of the sets of images")
    parser.add_argument("--work", default="runs/photographs", help="folder for caches")
    parser.add_argument("--threads", type=int, default=1, help="of this process")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    console = Console()
    laboratory = Laboratory(Path(given.data), Path(given.work))
    with steps_shown_on(console):
        for cell in plan.untrained():
            laboratory.measure_untrained(cell)
        for cell in plan.in_order():
            if cell.name not in read_part(cell.part):
                laboratory.train(cell)
                row = read_part(cell.part).get(cell.name, {})
                console.print(cell.part, cell.name, row.get("validation"), row.get("seconds"))
    write_page()


main()

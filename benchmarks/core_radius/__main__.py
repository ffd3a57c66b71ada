"""Run the experiment, or its remaining runs: ``python -m benchmarks.core_radius FOLDER --cache DIR``.

FOLDER holds a folder of images for each class of Cars-196, in the official order. The activations, 350
megabytes, go to DIR. Results go to ``docs/results/core_radius.json`` after each
run, and the page ``docs/core_radius.md`` is written from them at the end.
"""

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.core_radius.adam_steps import recoveries
from benchmarks.core_radius.before_training import before_training
from benchmarks.core_radius.data import load_cars
from benchmarks.core_radius.page import RESULTS, write_page
from benchmarks.core_radius.settings import REGIME, SETTINGS, planned, same_run
from benchmarks.core_radius.training import train
from pml_potential.benchmark.data.datasets.folder import load_folder
from pml_potential.benchmark.files import read_json_or_set_aside, write_json
from pml_potential.benchmark.report.environment import describe_environment


def main(folder: Path, cache: Path) -> None:
    """Run all that the results lack."""
    environment = describe_environment()
    images = load_folder(folder)
    cars = load_cars(images, cache)
    results = read_json_or_set_aside(RESULTS) or {
        "data_sha256": images.sha256,
        "regime": REGIME,
        "settings": {name: asdict(setting) for name, setting in SETTINGS.items()},
        "environment": environment,
        "runs": [],
    }
    for found, now in ((results["data_sha256"], images.sha256), (results["regime"], REGIME)):
        if found != now:
            raise ValueError(f"{RESULTS} was made with {found}, not {now}; move it away to start anew")
    for part, measure in (("adam", recoveries), ("before_training", before_training)):
        if part not in results:
            results[part] = measure(cars)
            write_json(RESULTS, results)
    for run in planned():
        if same_run(run, results["runs"]) is None:
            entry = {"run": asdict(run), "commit": environment["commit"], **train(run, cars)}
            print(run, entry["test"], f"{entry['seconds']} s", flush=True)
            results["runs"].append(entry)
            write_json(RESULTS, results)
    write_page()


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Cars-196, a folder of images for each class")
    parser.add_argument("--cache", type=Path, required=True, help="where activations are kept")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    main(arguments.folder, arguments.cache)

"""What an audit finds in real images, and how well it ranks labels that are wrong for certain.

``python -m benchmarks.data_audit DATA`` takes a folder with ``cars196`` and ``emoji``, each with a
folder for each class. The first part takes a minute. The second gives 20% of the photographs of cars
another label, trains one reproduction on them, and takes a quarter of an hour on two cores; the same
line goes on after a stop.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.metrics import roc_auc_score

from pml_potential.analysis import corrupt_labels
from pml_potential.analysis.label_agreement import label_agreement
from pml_potential.analysis.nearest_neighbors import nearest_neighbors
from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.run_folder import RunFolder, feature_cache, picture_hash_cache
from pml_potential.benchmark.config.schema import Config, Dataset
from pml_potential.benchmark.data.datasets.audit import audit, counts_of
from pml_potential.benchmark.data.datasets.catalogue import entry_of
from pml_potential.benchmark.data.folds import load_fold_data, remembered_images
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.evaluation import embed
from pml_potential.benchmark.experiments.experiment import run_experiment
from pml_potential.benchmark.experiments.sharing import Sharing
from pml_potential.benchmark.files import read_json, write_json
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.report.audit_report import called
from pml_potential.benchmark.report.label_ranking import NEIGHBORS, rank_labels
from pml_potential.benchmark.training.fold_models import untrained_models

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "data_audit.json"

WRONG = 0.2
"""Share of labels that are changed."""


def counts(dataset: Dataset, work: Path) -> dict[str, Any]:
    """Groups of equal and of near pictures, and the seconds that finding them took."""
    images = remembered_images(dataset, feature_cache(work))
    start = time.perf_counter()
    found = audit(images, entry_of(dataset.name), None, picture_hash_cache(feature_cache(work)))
    return {
        "images": len(images.labels),
        "equal": counts_of(found.equal),
        "near": counts_of(found.near),
        "near_count": found.near_count,
        "seconds": round(time.perf_counter() - start, 1),
    }


def write_wrong_labels(cars: Path, folder: Path, work: Path) -> NDArray[np.bool_]:
    """Link the images into a folder for each class, a share of them into that of another class.

    Returns:
        Whether the label of an image is wrong, in the order of the new data set.
    """
    images = _images(cars, work)
    labels = np.asarray(corrupt_labels(images.labels.tolist(), WRONG, seed=0))
    is_wrong = {}
    for place, label in enumerate(labels):
        source = cars / called(images, place)
        link = folder / images.class_names[label] / f"{place:05d}{source.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(source.resolve())
        is_wrong[str(link.relative_to(folder))] = bool(label != images.labels[place])
    linked = _images(folder, work)
    return np.array([is_wrong[called(linked, place)] for place in range(len(linked.labels))])


def _images(root: Path, work: Path) -> Images:
    return remembered_images(Dataset(name="folder", root=str(root)), feature_cache(work))


def how_well_labels_are_ranked(cars: Path, work: Path, console: Console) -> dict[str, Any]:
    """AUC of the ranking of labels, by held-out models and by the pretrained features."""
    folder = work / "wrong_labels"
    is_wrong = write_wrong_labels(cars, folder, work)
    presets = {"protocol": "quick", "dataset": "folder", "model": "efficientnet_lite0_partial"}
    values = ["protocol.study=null", "protocol.reproductions=1", f"dataset.root={folder}"]
    config = compose(presets | {"loss": "potential_field"}, values)
    run = RunFolder(work / "run")
    run_experiment(config, run.path, console, Sharing(fold_processes=2))
    order = rank_labels(run.path).agreement.order
    return {
        "share": WRONG,
        "images": len(is_wrong),
        "neighbors": NEIGHBORS,
        "auc": {
            "held-out models": _auc(order, is_wrong),
            "pretrained features": _auc(_order_by_features(config, feature_cache(work)), is_wrong),
        },
    }


def _order_by_features(config: Config, cache: Path) -> NDArray[np.int64]:
    data = load_fold_data(config, cache)
    data.prepare(config)
    everything = np.arange(len(data.images.labels))
    train, _validation = data.fold(config, 0)
    models = untrained_models(config, train, seed=0)
    embeddings = embed(models, data.for_evaluation(config, everything), training_device())
    neighbors = nearest_neighbors(embeddings, NEIGHBORS)
    labels = data.images.labels
    return label_agreement(labels, labels[neighbors]).order


def _auc(order: NDArray[np.int64], is_wrong: NDArray[np.bool_]) -> float:
    suspicion = np.empty(len(order))
    suspicion[order] = -np.arange(len(order))
    return round(float(roc_auc_score(is_wrong, suspicion)), 4)


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description="What an audit finds.")
    parser.add_argument("data", type=Path, help="folder with cars196 and emoji")
    parser.add_argument("--work", type=Path, default=Path("runs/data_audit"), help="folder for caches")
    given = parser.parse_args()
    found = read_json(RESULTS) if RESULTS.exists() else {"counts": {}}
    datasets = {
        name: Dataset(name="folder", root=str(given.data / name)) for name in ("cars196", "emoji")
    }
    for name, dataset in (datasets | {"glyphs": Dataset(name="glyphs")}).items():
        if name not in found["counts"]:
            found["counts"][name] = counts(dataset, given.work)
            write_json(RESULTS, found)
    if "labels" not in found:
        labels = how_well_labels_are_ranked(given.data / "cars196", given.work, Console())
        write_json(RESULTS, found | {"labels": labels})


if __name__ == "__main__":
    main()

"""Audit the data set of a configuration, and write the sheet."""

from pathlib import Path

from pml_potential.benchmark.config.run_folder import (
    RunFolder,
    audit_folder,
    feature_cache,
    picture_hash_cache,
)
from pml_potential.benchmark.config.schema import Dataset
from pml_potential.benchmark.data.datasets.audit import Audit, audit
from pml_potential.benchmark.data.datasets.catalogue import entry_of
from pml_potential.benchmark.data.folds import remembered_images
from pml_potential.benchmark.report.audit_report import write_audit
from pml_potential.benchmark.report.label_ranking import LabelRanking, rank_labels, write_ranking
from pml_potential.benchmark.report.results import read_results, run_config


def audit_dataset(dataset: Dataset, runs: Path, folds: int | None = None) -> tuple[Audit, Path]:
    """Audit a data set, and write the result where the reports of runs look for it.

    Args:
        dataset: which one and where, as in a configuration.
        runs: folder of the runs, which holds caches and ``audits``.
        folds: of the protocol, which decide the border of training and test, as in ``audit``.

    Returns:
        The audit, and the path of its sheet.

    Raises:
        ConfigError: The data set is not there, or a key does not fit it.
        UnreadableImageError: A picture cannot be read.
    """
    cache = feature_cache(runs)
    images = remembered_images(dataset, cache)
    found = audit(images, entry_of(dataset.name), folds, picture_hash_cache(cache))
    return found, write_audit(found, audit_folder(runs, images.name, images.sha256))


def audit_run(folder: Path) -> tuple[Audit, Path, LabelRanking, Path]:
    """Audit the data set of a run, and rank its labels by the run's models.

    Args:
        folder: of a finished run.

    Returns:
        The audit and the path of its sheet, as ``audit_dataset``; the ranking and the path of its sheet.

    Raises:
        ConfigError: As ``rank_labels``.
    """
    run = RunFolder(folder)
    config = run_config(folder, read_results(folder))
    found, sheet = audit_dataset(config.dataset, folder.parent, config.protocol.folds)
    ranking = rank_labels(folder)
    return found, sheet, ranking, write_ranking(ranking, run.audit)

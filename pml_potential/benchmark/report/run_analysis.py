"""Apply the measures of ``pml_potential.analysis`` to the models of a run."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pml_potential.analysis import (
    embedding_health,
    epochs_to_reach,
    field_map,
    plane_field,
    proxies_of,
    proxy_alignment,
    retrieval_sheet,
)
from pml_potential.benchmark.config.run_folder import fold_folder
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.folds import FoldData
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.evaluation import PRIMARY_METRIC, embed
from pml_potential.benchmark.files import write_json
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.report.ended_run import EndedRun, open_ended_run
from pml_potential.benchmark.report.environment import describe_environment
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.sampled_images import one_of_each_class, sampled_images
from pml_potential.benchmark.training.fold_models import best_loss_state, best_models
from pml_potential.benchmark.training.losses import build_loss
from pml_potential.losses.field_loss import FieldLoss

MEASURES = {
    "proxy_alignment": "proxies to training data, W2",
    "epochs_to_95_percent": "epochs to 95% of the best",
    "intra": "distance within classes",
    "inter": "distance between class means",
    "ratio": "within / between",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "effective_rank": "effective rank",
    "spectral_decay": "spectral decay",
    "hubness": "hubness",
}
"""The measures with their printed names. All but the first two are of the test embeddings."""

_QUERIES = 6


@dataclass(frozen=True)
class _TrainedFold:
    """One model of a reproduction, with its loss, training images and history."""

    reproduction: int
    models: dict[str, nn.Module]
    loss: nn.Module
    train: LabelledTensors
    history: list[dict[str, float]]


def analyze_run(folder: Path) -> dict[str, Any]:
    """Measure every model of a run's reproductions, and draw the first.

    Writes ``analysis/analysis.json``, ``retrieval_sheet.png`` and, for ``PotentialFieldLoss`` and
    ``CPMLLoss``, ``field.png`` into the folder of the run.

    Args:
        folder: of a finished run, with its models.

    Returns:
        ``loss``, its name; ``measures``, for each of ``MEASURES`` the mean over the folds with its 95%
        interval over the reproductions, None where a loss has no proxies or the value is not finite;
        ``environment``.

    Raises:
        ConfigError: The run has not finished, no reproduction succeeded, or the images or weights are
            not those of the run.
        DamagedFileError: A model is damaged.
    """
    ended = open_ended_run(folder)
    run, config, data = ended.folder, ended.config, ended.data
    measured: dict[int, list[dict[str, float]]] = {}
    for fold in _trained_folds(ended):
        if not measured:
            _draw(run.analysis, config, fold, data)
        measured.setdefault(fold.reproduction, []).append(_measure(config, fold, data))
    found = {
        "loss": config.loss.name,
        "measures": {name: _interval(name, list(measured.values())) for name in MEASURES},
        "environment": describe_environment(),
    }
    write_json(run.analysis / "analysis.json", found)
    return found


def _trained_folds(ended: EndedRun) -> Iterator[_TrainedFold]:
    config, data = ended.config, ended.data
    for number, reproduction in enumerate(ended.results["reproductions"]):
        if "failure" in reproduction:
            continue
        for fold, result in enumerate(reproduction["folds"]):
            train, _ = data.fold(config, fold)
            place = fold_folder(ended.folder.reproduction(number), fold)
            loss = build_loss(config.loss, train.num_classes, config.model.embedding_size)
            loss.load_state_dict(best_loss_state(place))
            models = best_models(config, data.images.channels, place)
            yield _TrainedFold(number, models, loss, train, result["history"])


def _measure(config: Config, fold: _TrainedFold, data: FoldData) -> dict[str, float]:
    history = [(int(entry["epoch"]), entry[PRIMARY_METRIC]) for entry in fold.history]
    epochs = epochs_to_reach(history) if max(score for _, score in history) > 0 else None
    found = {} if epochs is None else {"epochs_to_95_percent": float(epochs)}
    if has_proxies(fold.loss):
        embeddings = embed(fold.models, fold.train, training_device())
        labels = torch.from_numpy(fold.train.labels)
        found["proxy_alignment"] = proxy_alignment(*proxies_of(fold.loss), embeddings, labels).mean
    chosen = sampled_images(data.test(config).labels)
    test = data.for_evaluation(config, data.splits.test[chosen])
    embeddings = embed(fold.models, test, training_device())
    return found | vars(embedding_health(embeddings, torch.from_numpy(test.labels)))


def has_proxies(loss: nn.Module) -> bool:
    """Whether ``proxies_of`` finds proxies in a loss."""
    try:
        proxies_of(loss)
    except (TypeError, ValueError):
        return False
    return True


def _interval(name: str, measured: list[list[dict[str, float]]]) -> dict[str, Any] | None:
    values = [
        mean(fold[name] for fold in folds) for folds in measured if all(name in fold for fold in folds)
    ]
    if not values or not all(isfinite(value) for value in values):
        return None
    return confidence_interval(values)


def _draw(folder: Path, config: Config, fold: _TrainedFold, data: FoldData) -> None:
    device = training_device()
    places = data.splits.test
    test = data.test(config)
    embeddings = embed(fold.models, test, device).cpu()
    labels = torch.from_numpy(test.labels)
    queries = one_of_each_class(test.labels)[:_QUERIES].tolist()
    names = [data.images.class_names[label] for label in np.unique(data.images.labels[places])]
    sheet = retrieval_sheet(
        embeddings, labels, lambda index: data.images.image(int(places[index])), queries, names=names
    )
    _save(sheet, folder / "retrieval_sheet.png")
    if isinstance(fold.loss, FieldLoss):
        embeddings = embed(fold.models, fold.train, device).cpu()
        labels = torch.from_numpy(fold.train.labels)
        through = _telling_three(embeddings, labels)
        field = plane_field(fold.loss.cpu(), embeddings, labels, int(labels[through[0]]), through)
        _save(
            field_map({f"{type(fold.loss).__name__}, class {int(labels[through[0]])}": field}),
            folder / "field.png",
        )


def _telling_three(embeddings: Tensor, labels: Tensor) -> tuple[int, int, int]:
    """The two members of class 0 that are farthest apart, and the nearest non-member of the first."""
    members, strangers = (torch.nonzero(labels == 0)[:, 0], torch.nonzero(labels != 0)[:, 0])
    apart = torch.cdist(embeddings[members], embeddings[members])
    first, second = divmod(int(apart.argmax()), len(members))
    nearest = torch.cdist(embeddings[members[first]][None], embeddings[strangers])[0].argmin()
    return int(members[first]), int(members[second]), int(strangers[nearest])


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)

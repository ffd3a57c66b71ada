"""Retrieval by a trained model among the test images: neighbours, scores of classes, a map."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pml_potential.analysis.embedding_map import FEWEST, embedding_map
from pml_potential.benchmark.config.run_folder import RunFolder, fold_folder
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.feature_rows import FeatureRows
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.evaluation import embed
from pml_potential.benchmark.files import read_json_or_set_aside, write_json
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.report.audit_report import called
from pml_potential.benchmark.report.class_scores import ClassScore, class_scores
from pml_potential.benchmark.report.ended_run import EndedRun, open_ended_run
from pml_potential.benchmark.report.sampled_images import one_of_each_class, sampled_images
from pml_potential.benchmark.report.thumbnails import thumbnail
from pml_potential.benchmark.training.fold_models import best_models

FORMAT = 1
"""Number of the layout of ``retrieval.json``."""

MOST_ON_MAP = 1_000
"""Embeddings on the map."""

_QUERIES = 5
"""Rows of the sheet for each kind of query."""

_NEIGHBORS = 6

_PIXELS = 96


def retrieval_of_run(
    run: RunFolder, results: dict[str, Any], ended: EndedRun | None = None
) -> dict[str, Any]:
    """Read a run's saved retrieval, or compute it with its first model and save it.

    Once saved, in ``report/retrieval.json``, neither the images nor the models are needed again.

    Args:
        run: its folder.
        results: content of its ``results.json``.
        ended: the run, if it is open already. Default: it is opened if nothing was saved.

    Returns:
        Content of ``retrieval.json``; or ``missing``, why there is none.
    """
    tried = enumerate(results["reproductions"])
    first = next((number for number, each in tried if "failure" not in each and each["folds"]), None)
    if first is None:
        return {"missing": "no reproduction succeeded"}
    judged = results["reproductions"][first]["folds"][0]
    model = {
        "data": results["data"]["sha256"],
        "reproduction": first + 1,
        "best_epoch": judged["best_epoch"],
        "score": judged["score"],
    }
    path = run.retrieval
    kept: dict[str, Any] | None = read_json_or_set_aside(path, _understood)
    if kept is not None and kept["model"] == model:
        return kept
    try:
        with long_step("embedding the test images for the report"):
            found = _retrieval(ended or open_ended_run(run.path), first)
    except FileNotFoundError as error:
        return {"missing": f"{error.filename} does not exist"}
    except (ConfigError, ImportError, OSError, RuntimeError) as error:
        # A run keeps its report, even without its images, its models or the network's library.
        return {"missing": " ".join(str(error).split())}
    found = {"format": FORMAT, "model": model, **found}
    write_json(path, found)
    return found


def _understood(content: Any) -> dict[str, Any] | None:
    try:
        is_ours = content["format"] == FORMAT
        for key in ("model", "images", "test_images", "classes", "rows", "map"):
            content[key]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return content if is_ours else None


def _retrieval(ended: EndedRun, reproduction: int) -> dict[str, Any]:
    data, config = ended.data, ended.config
    splits, images = data.splits, data.images
    chosen = sampled_images(images.labels[splits.test])
    places = splits.test[chosen]
    queries = None if splits.queries is None else int((chosen < splits.queries).sum())
    kept = fold_folder(ended.folder.reproduction(reproduction), 0)
    models = best_models(config, images.channels, kept)
    embeddings = embed(models, data.for_evaluation(config, places), training_device()).cpu()
    labels = images.labels[places]
    scores = class_scores(embeddings, torch.from_numpy(labels), queries)
    hardest = [each.label for each in scores]
    asking = one_of_each_class(labels[:queries])
    by_class = dict(zip(labels[asking].tolist(), asking.tolist(), strict=True))
    first, others = hardest[:_QUERIES], sorted(hardest[_QUERIES:])
    evenly = [others[place * len(others) // _QUERIES] for place in range(_QUERIES)] if others else []
    groups = {
        "hardest": [by_class[label] for label in first],
        "others": [by_class[label] for label in dict.fromkeys(evenly)],
    }
    return {
        "images": len(places),
        "test_images": len(splits.test),
        "has_pictures": not isinstance(images, FeatureRows),
        "classes": [_named(each, images.class_names) for each in scores],
        "rows": {
            name: [_row(ended, places, embeddings, query, queries) for query in members]
            for name, members in groups.items()
        },
        "map": _map(embeddings, labels, images.class_names),
    }


def _named(score: ClassScore, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "class": names[score.label],
        "queries": score.queries,
        "precision_at_1": score.precision_at_1,
        "mean_average_precision_at_r": score.map_at_r,
    }


def _row(
    ended: EndedRun, places: NDArray[np.int64], embeddings: Tensor, query: int, queries: int | None
) -> dict[str, Any]:
    """A query with its nearest neighbours; if there is a gallery, they are from the gallery."""
    images = ended.data.images
    likeness = embeddings @ embeddings[query]
    likeness[query] = -torch.inf
    likeness[: queries or 0] = -torch.inf
    count = min(_NEIGHBORS, len(places) - max(queries or 0, 1))
    found = likeness.topk(count).indices.tolist()

    def shown(index: int) -> dict[str, Any]:
        place = int(places[index])
        label = images.labels[place]
        picture = None
        if not isinstance(images, FeatureRows):
            picture = str(thumbnail(images.image(place), _PIXELS))
        return {
            "name": called(images, place),
            "class": images.class_names[label],
            "hit": bool(label == images.labels[places[query]]),
            "picture": picture,
        }

    return {"query": shown(query), "neighbors": [shown(index) for index in found]}


def _map(embeddings: Tensor, labels: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, Any] | None:
    """Positions of evenly sampled embeddings in the plane, with their class names."""
    count = min(len(embeddings), MOST_ON_MAP)
    if count < FEWEST:
        return None
    chosen = [place * len(embeddings) // count for place in range(count)]
    placed = embedding_map(embeddings[chosen])
    return {
        "x": [round(float(value), 2) for value in placed[:, 0]],
        "y": [round(float(value), 2) for value in placed[:, 1]],
        "class": [names[label] for label in labels[chosen]],
    }

"""Which labels of a run's images look wrong: few of their nearest neighbours share them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pml_potential.analysis.label_agreement import LabelAgreement, label_agreement
from pml_potential.analysis.nearest_neighbors import nearest_neighbors
from pml_potential.benchmark.config.run_folder import fold_folder
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.long_step import long_step
from pml_potential.benchmark.evaluation import embed
from pml_potential.benchmark.files import write_text
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.report.audit_report import called
from pml_potential.benchmark.report.csv_text import in_csv
from pml_potential.benchmark.report.ended_run import EndedRun, open_ended_run
from pml_potential.benchmark.report.page import render_page
from pml_potential.benchmark.report.thumbnails import thumbnail
from pml_potential.benchmark.training.fold_models import best_models

NEIGHBORS = 10
"""Neighbours that count in each embedding; for a smaller class, as many as it has other images."""

MOST_SHOWN = 60
"""Images on the sheet."""

_SHOWN_NEIGHBORS = 4


@dataclass(frozen=True)
class LabelRanking:
    """The images of a run, by how much their neighbours disagree with their label.

    Attributes:
        images: the data set.
        agreement: of each image with its neighbours, in all embeddings that judge it.
        held_out: whether these embeddings were trained without the image's class, (n,).
        nearest: the nearest neighbours of each image in the first of these embeddings, (n, k).
    """

    images: Images
    agreement: LabelAgreement
    held_out: NDArray[np.bool_]
    nearest: NDArray[np.int64]

    @property
    def doubted(self) -> int:
        """How many images have a suggested class with more neighbours than their own."""
        own = self.agreement.suggestion == self.images.labels
        return int((~own & (self.agreement.support > np.nan_to_num(self.agreement.share, nan=2))).sum())


def rank_labels(folder: Path) -> LabelRanking:
    """Rank the images of a run by how few of their nearest neighbours share their label.

    An image of a validation class is judged by its fold's model of each reproduction, one of a test
    class by all models: none of them was trained on its class. With one fold, the training images are
    judged by models that were trained on them. The neighbours are found among all images.

    Args:
        folder: of a finished run, with its models.

    Raises:
        ConfigError: The run has not finished, no reproduction succeeded, or the images or weights are
            not those of the run.
        DamagedFileError: A model is damaged.
    """
    ended = open_ended_run(folder)
    data = ended.data
    labels = data.images.labels
    count = min(NEIGHBORS, len(labels) - 1)
    models = sum("failure" not in each for each in ended.results["reproductions"]) * len(
        data.splits.folds
    )
    # Each image has room for the neighbours in all models; those that do not judge it stay at -1.
    found = np.full((len(labels), models, count), -1, dtype=np.int64)
    nearest = np.full((len(labels), count), -1, dtype=np.int64)
    with long_step("embedding all images with each model", models, "models") as advance:
        for number, (judged, neighbors) in enumerate(_neighbors(ended, count)):
            found[judged, number] = np.where(_countable(labels, judged, count), labels[neighbors], -1)
            unseen = nearest[judged, 0] < 0
            nearest[judged[unseen]] = neighbors[unseen]
            advance(1)
    held_out = np.ones(len(labels), dtype=bool)
    if len(data.splits.folds) == 1:
        held_out[data.splits.folds[0].train] = False
    return LabelRanking(
        data.images, label_agreement(labels, found.reshape(len(labels), -1)), held_out, nearest
    )


def write_ranking(ranking: LabelRanking, folder: Path) -> Path:
    """Write ``labels.csv``, with a row for each image, and ``labels.html``, a sheet of the first.

    Returns:
        Path of the sheet.
    """
    rows = list(_rows(ranking))
    write_text(folder / "labels.csv", in_csv(rows))
    images = ranking.images
    shown = [
        row
        | {
            "picture": thumbnail(images.image(place)),
            "neighbors": [
                {
                    "picture": thumbnail(images.image(other)),
                    "class": images.class_names[images.labels[other]],
                    "name": called(images, other),
                }
                for other in ranking.nearest[place, :_SHOWN_NEIGHBORS].tolist()
                if other >= 0
            ],
        }
        for row, place in zip(rows, ranking.agreement.order[:MOST_SHOWN].tolist(), strict=False)
    ]
    page = folder / "labels.html"
    values = {"name": images.name, "count": len(rows), "doubted": ranking.doubted}
    write_text(page, render_page("labels.html.j2", shown=shown, neighbors=NEIGHBORS, **values))
    return page


def _neighbors(ended: EndedRun, count: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each model, the images that it judges and the places of their neighbours."""
    config, data = ended.config, ended.data
    everything = data.for_evaluation(config, np.arange(len(data.images.labels)))
    alone = len(data.splits.folds) == 1
    for number, reproduction in enumerate(ended.results["reproductions"]):
        if "failure" in reproduction:
            continue
        for place, fold in enumerate(data.splits.folds):
            kept = fold_folder(ended.folder.reproduction(number), place)
            models = best_models(config, data.images.channels, kept)
            embeddings = embed(models, everything, training_device())
            judged = np.concatenate([fold.train if alone else fold.validation, data.splits.test])
            yield judged, nearest_neighbors(embeddings, count, judged.tolist())


def _countable(labels: NDArray[np.int64], judged: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Which of the neighbours count: a class of m images has m - 1 others to be found."""
    others = np.bincount(labels)[labels[judged]] - 1
    return np.asarray(np.arange(count) < others[:, None])


def _rows(ranking: LabelRanking) -> Iterator[dict[str, Any]]:
    images, agreement = ranking.images, ranking.agreement
    for rank, place in enumerate(agreement.order.tolist(), start=1):
        judged = not np.isnan(agreement.share[place])
        yield {
            "rank": rank,
            "image": called(images, place),
            "class": images.class_names[images.labels[place]],
            "suggested": images.class_names[agreement.suggestion[place]],
            "share": f"{agreement.share[place]:.4f}" if judged else "",
            "support": f"{agreement.support[place]:.4f}" if judged else "",
            "held_out": "yes" if ranking.held_out[place] else "no",
        }

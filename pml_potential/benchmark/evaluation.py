"""Judging embeddings: MAP@R, R-precision, precision@1 and Recall@K, by PML's tester and calculator."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import mean
from typing import Any

import torch
import tqdm
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.testers import GlobalEmbeddingSpaceTester
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN, FaissKNN
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import Subset

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.losses.validation import check_embeddings, check_form_of_labels, check_integer


@dataclass(frozen=True)
class Metric:
    """A metric of every validation and test.

    Attributes:
        title: its name in print.
        calculate: computes it, called as PML's calculator calls its own methods; None: PML has it.
    """

    title: str
    calculate: Callable[..., float] | None = None


PRIMARY_METRIC = "mean_average_precision_at_r"
"""What searches maximise."""

METRICS: Mapping[str, Metric] = {
    PRIMARY_METRIC: Metric("MAP@R"),
    "r_precision": Metric("R-precision"),
    "precision_at_1": Metric("P@1"),
}
"""The metrics by their names in PML and in results, in the order of every table."""

TestScores = dict[str, dict[str, float]]
"""``separated`` and ``concatenated``, each with every metric."""

_EVALUATION_BATCH = 256

_QUERIES_AT_A_TIME = 4096
"""Rows of the neighbour table, and of PML's tables made from it, that are in memory at a time."""


def metrics_of(config: Config) -> tuple[str, ...]:
    """All metrics of a test: ``METRICS``, and the Recall@K of the protocol."""
    return (*METRICS, *(f"recall_at_{k}" for k in config.protocol.recall_at))


class RetrievalCalculator(AccuracyCalculator):
    """PML's calculator of ``METRICS``, with Recall@K, in bounded memory.

    Neighbours come from faiss where it is installed, and from PML's search by torch elsewhere; the
    numbers are the same. Queries are worked on in parts, so that n queries with k neighbours each never
    need n * k numbers at once. A query whose class has no other member among the references does not
    count.

    Args:
        device: where to search.
        recall_at: K of each Recall@K, the share of queries with a member of their class among their K
            nearest neighbours.
    """

    def __init__(self, device: torch.device, recall_at: Sequence[int] = ()) -> None:
        self._recall_at = tuple(recall_at)
        added = {name: metric.calculate for name, metric in METRICS.items() if metric.calculate}
        added |= {f"recall_at_{k}": partial(_recall, k) for k in recall_at}
        for name, calculate in added.items():
            setattr(self, f"calculate_{name}", calculate)
        self._added = tuple(added)
        knn = FaissKNN() if find_spec("faiss") else CustomKNN(LpDistance(), batch_size=_EVALUATION_BATCH)
        super().__init__(
            include=tuple(dict.fromkeys((*METRICS, *self._added))),
            k="max_bin_count",
            device=device,
            knn_func=knn,
            # Clusters are for metrics that nobody asks for here.
            kmeans_func=len,
        )

    def requires_knn(self) -> list[str]:
        """Metrics that look at neighbours."""
        return [*super().requires_knn(), *self._added]

    def determine_k(self, bin_counts: Tensor, num_references: int, ref_includes_query: bool) -> int:
        """Neighbours to look for: as many as the largest class has, or the largest K."""
        most: int = super().determine_k(bin_counts, num_references, ref_includes_query)
        return min(max((most, *self._recall_at)), num_references - int(ref_includes_query))

    def get_accuracy(
        self,
        query: Tensor,
        query_labels: Tensor,
        reference: Tensor | None = None,
        reference_labels: Tensor | None = None,
        ref_includes_query: bool = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> dict[str, float]:
        """Compute the metrics of queries among references, or among themselves.

        Raises:
            ValueError: No query has another of its class among the references.
        """
        if reference is None or reference_labels is None:
            reference, reference_labels, ref_includes_query = query, query_labels, True
        query_labels, reference_labels = _numbered(query_labels, reference_labels)
        # faiss takes no views.
        query, reference = query.contiguous(), reference.contiguous()
        others = reference_labels.bincount(minlength=int(query_labels.max()) + 1)[query_labels]
        others = others - int(ref_includes_query)
        if not bool((others > 0).any()):
            raise ValueError(
                f"none of the {len(query)} queries has another of its class to find; no metric is "
                "defined"
            )
        total: dict[str, float] = {}
        for start in range(0, len(query), _QUERIES_AT_A_TIME):
            part = slice(start, start + _QUERIES_AT_A_TIME)
            if ref_includes_query:
                # PML wants the queries to be the first of the references.
                ends = [(end[start:], end[:start]) for end in (reference, reference_labels)]
                references = [torch.cat(end) for end in ends]
            else:
                references = [reference, reference_labels]
            counted = int((others[part] > 0).sum())
            if counted == 0:
                continue
            found = super().get_accuracy(
                query[part],
                query_labels[part],
                references[0],
                references[1],
                ref_includes_query,
                include,
                exclude,
            )
            for metric, value in found.items():
                total[metric] = total.get(metric, 0.0) + counted * float(value)
        counted = int((others > 0).sum())
        return {metric: value / counted for metric, value in total.items()}


def _numbered(labels: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """The same classes, numbered from 0: PML compares labels as float32, which ends at 2^24."""
    both = torch.cat([labels.flatten(), others.flatten().to(labels.device)])
    numbers = torch.unique(both, return_inverse=True)[1]
    return numbers[: len(labels)], numbers[len(labels) :]


def _recall(
    k: int, knn_labels: Tensor, query_labels: Tensor, not_lone_query_mask: Tensor, **_: Any
) -> float:
    found = (knn_labels[:, :k] == query_labels[:, None]).any(dim=1)[not_lone_query_mask]
    return found.double().mean().item()


def build_tester(device: torch.device, end_of_testing_hook: Any = None) -> GlobalEmbeddingSpaceTester:
    """PML's tester of normalised embeddings, every image against all others of its set."""
    return GlobalEmbeddingSpaceTester(
        normalize_embeddings=True,
        batch_size=_EVALUATION_BATCH,
        dataloader_num_workers=0,
        data_device=device,
        accuracy_calculator=RetrievalCalculator(device),
        end_of_testing_hook=end_of_testing_hook,
    )


def embed(models: dict[str, nn.Module], dataset: LabelledTensors, device: torch.device) -> Tensor:
    """Embed a data set.

    Returns:
        (len(dataset), embedding_size), l2-normalised, in the order of the data set.
    """
    return normalize(_output(models["trunk"], models["embedder"], dataset, device))


def trunk_output(
    trunk: nn.Module, dataset: LabelledTensors, device: torch.device, most: int | None = None
) -> Tensor:
    """What an embedder is given for a data set, (len(dataset), features), in its order.

    Args:
        trunk: the network before the embedder.
        dataset: the data set.
        device: where to compute.
        most: of a larger data set, so many items at even distances are taken; None: all.
    """
    count = len(dataset)
    if most is None or count <= most:
        return _output(trunk, nn.Identity(), dataset, device)
    return _output(
        trunk, nn.Identity(), dataset, device, [place * count // most for place in range(most)]
    )


def _output(
    trunk: nn.Module,
    embedder: nn.Module,
    dataset: LabelledTensors,
    device: torch.device,
    places: Sequence[int] | None = None,
) -> Tensor:
    read: Any = dataset if places is None else Subset(dataset, places)
    with without_progress_bars():
        tester = build_tester(device)
        tester.normalize_embeddings = False
        tester.dataloader_num_workers = dataset.workers
        output, _ = tester.get_all_embeddings(read, trunk, embedder)
    result: Tensor = output
    return result


def judge(
    embeddings: Tensor,
    labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    recall_at: Sequence[int] = (),
) -> dict[str, float]:
    """Compute ``METRICS``, and Recall@K, of images that look for their class.

    Args:
        embeddings: (n, d), of any floating type; they are compared in float32.
        labels: (n,), any integers.
        gallery: (m, d), where they look; default: among each other.
        gallery_labels: (m,).
        recall_at: K of each Recall@K.

    Returns:
        Each metric, in [0, 1]; images without another one of their class to find do not count.

    Raises:
        TypeError: Embeddings are no floating tensors, labels no integer tensors, or a K is no integer.
        ValueError: A shape does not fit, there is NaN or infinity, one of gallery and gallery_labels is
            missing, or no image has another one of its class to find.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> judge(points, torch.tensor([0, 0, 1, 1]), recall_at=[1])["recall_at_1"]
        1.0
    """
    for name, given in (("gallery", gallery), ("gallery_labels", gallery_labels)):
        if given is None and (gallery is not None or gallery_labels is not None):
            raise ValueError(f"{name} is None; gallery and gallery_labels go together")
    check_embeddings("embeddings", embeddings, None)
    labels = check_form_of_labels("labels", labels, len(embeddings)).to(embeddings.device).long()
    if gallery is not None:
        check_embeddings("gallery", gallery, embeddings.shape[1])
        gallery = gallery.detach().to(embeddings.device)
        gallery_labels = check_form_of_labels("gallery_labels", gallery_labels, len(gallery))
        gallery_labels = gallery_labels.to(embeddings.device).long()
    calculator = RetrievalCalculator(
        embeddings.device, [check_integer("recall_at", k, smallest=1) for k in recall_at]
    )
    return calculator.get_accuracy(embeddings.detach(), labels, gallery, gallery_labels)


def score_on_test_classes(
    embeddings: list[Tensor],
    labels: Tensor,
    queries: int | None = None,
    recall_at: Sequence[int] = (),
) -> TestScores:
    """Judge the models of a cross-validation together on the test set.

    Args:
        embeddings: for each model, (n, d), l2-normalised.
        labels: (n,).
        queries: so many of the first are queries, which look among the others; None: all among all.
        recall_at: K of each Recall@K.

    Returns:
        ``separated``: the mean over the models of each metric; ``concatenated``: each metric of the
        embeddings of all models side by side.

    Examples:
        >>> model = torch.eye(4).repeat_interleave(2, 0)
        >>> scores = score_on_test_classes([model, model], torch.arange(4).repeat_interleave(2))
        >>> scores["concatenated"]["precision_at_1"]
        1.0
    """

    def judged(points: Tensor) -> dict[str, float]:
        if queries is None:
            return judge(points, labels, recall_at=recall_at)
        ends = (points[:queries], labels[:queries], points[queries:], labels[queries:])
        return judge(*ends, recall_at=recall_at)

    each = [judged(points) for points in embeddings]
    separated = {metric: mean(scores[metric] for scores in each) for metric in each[0]}
    # One model is its own concatenation; a large test set takes minutes to judge.
    together = each[0] if len(embeddings) == 1 else judged(torch.cat(embeddings, dim=1))
    return {"separated": separated, "concatenated": together}


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Draw no tqdm bar inside: PML's trainers and testers have no argument that turns theirs off."""
    original = tqdm.tqdm
    vars(tqdm)["tqdm"] = partial(original, disable=True)
    try:
        with warnings.catch_warnings():
            # PML formats the loss, a tensor that requires grad, for its bar.
            warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
            yield
    finally:
        vars(tqdm)["tqdm"] = original

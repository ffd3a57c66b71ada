"""Evaluate embeddings: MAP@R, R-precision, P@1, Recall@K and more, with PML's tester and calculator."""

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
from pytorch_metric_learning.utils.inference import CustomKNN, FaissKMeans, FaissKNN
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import Subset

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.functional.validation import check_embeddings, check_form_of_labels, check_integer


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        title: its printed name.
        calculate: computes it, called like the methods of PML's calculator; None: PML has it.
        ranks_all: whether it needs the rank of every reference. Others see as many neighbours as the
            largest class has members, or the largest K of a Recall@K.
    """

    title: str
    calculate: Callable[..., float] | None = None
    ranks_all: bool = False


PRIMARY_METRIC = "mean_average_precision_at_r"
"""The metric that searches maximise."""

METRICS: Mapping[str, Metric] = {
    PRIMARY_METRIC: Metric("MAP@R"),
    "r_precision": Metric("R-precision"),
    "precision_at_1": Metric("P@1"),
}
"""Metrics of every validation and test, by their names in PML and results, in table order."""


def _ndcg(knn_labels: Tensor, query_labels: Tensor, not_lone_query_mask: Tensor, **_: Any) -> float:
    hits = (knn_labels == query_labels[:, None])[not_lone_query_mask].double()
    gains = 1 / torch.arange(2, hits.shape[1] + 2, device=hits.device).double().log2()
    ideal = gains.cumsum(0)[hits.sum(dim=1).long() - 1]
    return ((hits @ gains) / ideal).mean().item()


FURTHER_METRICS: dict[str, Metric] = {
    "mean_average_precision": Metric("MAP", ranks_all=True),
    "mean_reciprocal_rank": Metric("MRR", ranks_all=True),
    "ndcg": Metric("nDCG", _ndcg, ranks_all=True),
    "NMI": Metric("NMI"),
    "AMI": Metric("AMI"),
}
"""Optional metrics of a test, by their names in ``protocol.metrics``; a script may add its own.

MAP, the reciprocal rank of the first hit (MRR) and nDCG (a hit at rank i gains 1 / log2(i + 1)) use the
ranking of all references. NMI and AMI compare the queries' classes with as many k-means clusters; AMI,
adjusted for chance, may be below 0.
"""

TestScores = dict[str, dict[str, float]]
"""``separated`` and ``concatenated``, each with every metric."""

_EVALUATION_BATCH = 256

_OF_CLUSTERS = ("NMI", "AMI")

_RANKS_AT_A_TIME = 2**23
"""Entries of the neighbour table where all references are ranked; PML makes several tables from it."""

_QUERIES_AT_A_TIME = 4096
"""Rows of the neighbour table, and of PML's tables made from it, that are in memory at a time."""


def metrics_of(config: Config) -> tuple[str, ...]:
    """All metrics of a test: ``METRICS``, and those that the protocol asks for."""
    return all_metrics(config.protocol.metrics, config.protocol.recall_at)


def all_metrics(metrics: Sequence[str], recall_at: Sequence[int]) -> tuple[str, ...]:
    """``METRICS``, the further ones, and each Recall@K, by their names in results."""
    return (*METRICS, *metrics, *(f"recall_at_{k}" for k in recall_at))


def check_metrics(metrics: Sequence[str]) -> None:
    """Raise unless the names are in ``FURTHER_METRICS``, each once.

    Raises:
        ConfigError: A name is unknown or repeated, or the library that it needs is not installed.
    """
    for place, name in enumerate(metrics):
        if name in METRICS or name in metrics[:place]:
            raise ConfigError(
                f"protocol.metrics: {name!r} is already reported; list only further metrics, each once",
                ("protocol", "metrics"),
            )
        if name not in FURTHER_METRICS:
            near = did_you_mean(name, list(FURTHER_METRICS))
            raise ConfigError(
                f"protocol.metrics: there is no {name!r}{near or '.'} There are "
                f"{', '.join(FURTHER_METRICS)}",
                ("protocol", "metrics"),
            )
    if clusters := [name for name in metrics if name in _OF_CLUSTERS]:
        import_library("faiss", "faiss-cpu", f"protocol.metrics: {clusters[0]!r}")


class RetrievalCalculator(AccuracyCalculator):
    """PML's calculator of ``METRICS``, with Recall@K, in bounded memory.

    Neighbours come from faiss if it is installed, otherwise from PML's search in torch; the numbers are
    the same. Queries are processed in parts, so n queries with k neighbours each never need n * k
    numbers at once. A query whose class has no other member among the references does not count, except
    in NMI and AMI, which cluster all queries.

    Args:
        device: where to search.
        recall_at: K of each Recall@K, the share of queries with a member of their class among their K
            nearest neighbours.
        metrics: of ``FURTHER_METRICS``.
    """

    def __init__(
        self, device: torch.device, recall_at: Sequence[int] = (), metrics: Sequence[str] = ()
    ) -> None:
        self._recall_at = tuple(recall_at)
        wanted = {**METRICS, **{name: FURTHER_METRICS[name] for name in metrics}}
        self._ranks_all = any(metric.ranks_all for metric in wanted.values())
        added = {name: metric.calculate for name, metric in wanted.items() if metric.calculate}
        added |= {f"recall_at_{k}": partial(_recall, k) for k in recall_at}
        for name, calculate in added.items():
            setattr(self, f"calculate_{name}", calculate)
        self._added = tuple(added)
        super().__init__(
            include=tuple(dict.fromkeys((*wanted, *self._added))),
            k="max_bin_count",
            device=device,
            knn_func=neighbor_search(),
            kmeans_func=_cluster,
        )

    def requires_knn(self) -> list[str]:
        """Metrics that look at neighbours."""
        # PML's list lacks the reciprocal rank.
        return [*super().requires_knn(), "mean_reciprocal_rank", *self._added]

    def determine_k(self, bin_counts: Tensor, num_references: int, ref_includes_query: bool) -> int:
        """Number of neighbours to find: the size of the largest class, the largest K, or all."""
        most: int = super().determine_k(bin_counts, num_references, ref_includes_query)
        all_others = num_references - int(ref_includes_query)
        return all_others if self._ranks_all else min(max((most, *self._recall_at)), all_others)

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
        # faiss needs contiguous tensors.
        query, reference = query.contiguous(), reference.contiguous()
        others = reference_labels.bincount(minlength=int(query_labels.max()) + 1)[query_labels]
        others = others - int(ref_includes_query)
        if not bool((others > 0).any()):
            raise ValueError(f"none of the {len(query)} queries has a match; no metric is defined")
        total: dict[str, float] = {}
        size = _QUERIES_AT_A_TIME
        if self._ranks_all:
            size = max(1, min(size, _RANKS_AT_A_TIME // len(reference)))
        for start in range(0, len(query), size):
            part = slice(start, start + size)
            if ref_includes_query:
                # PML expects the queries first among the references.
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
                (*exclude, *_OF_CLUSTERS),
            )
            for metric, value in found.items():
                total[metric] = total.get(metric, 0.0) + counted * float(value)
        counted = int((others > 0).sum())
        scores = {metric: value / counted for metric, value in total.items()}
        of_clusters = [name for name in self.get_function_dict(include, exclude) if name in _OF_CLUSTERS]
        if of_clusters:
            found = super().get_accuracy(query, query_labels, include=of_clusters)
            scores |= {metric: float(value) for metric, value in found.items()}
        return scores


def neighbor_search() -> Any:
    """The neighbour search of PML's calculators: faiss if it is installed, else PML's in torch."""
    # faiss does not normalise points, so the other must not either.
    plain = LpDistance(normalize_embeddings=False)
    return FaissKNN() if find_spec("faiss") else CustomKNN(plain, batch_size=_EVALUATION_BATCH)


def _numbered(labels: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Renumber the classes from 0: PML compares labels as float32, which is exact only up to 2^24."""
    both = torch.cat([labels.flatten(), others.flatten().to(labels.device)])
    numbers = torch.unique(both, return_inverse=True)[1]
    return numbers[: len(labels)], numbers[len(labels) :]


def _cluster(points: Tensor, clusters: int) -> Tensor:
    """Clusters by PML's k-means, with a fixed seed and on the CPU, so the same everywhere."""
    # faiss would warn of fewer than 39 points in a cluster.
    labels: Tensor = FaissKMeans(niter=20, min_points_per_centroid=1)(points, clusters)
    return labels


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
    """The trunk's features of a data set, (len(dataset), features), in its order.

    Args:
        trunk: the network before the embedder.
        dataset: the data set.
        device: where to compute.
        most: number of evenly spaced items to use of a larger data set; None: all.
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
    metrics: Sequence[str] = (),
) -> dict[str, float]:
    """Compute ``METRICS``, Recall@K and further metrics of retrieving images by class.

    Args:
        embeddings: (n, d), of any floating type; they are compared in float32.
        labels: (n,), any integers.
        gallery: (m, d), the references; default: the other embeddings.
        gallery_labels: (m,).
        recall_at: K of each Recall@K.
        metrics: names of ``FURTHER_METRICS``.

    Returns:
        Each metric, in [0, 1] except AMI. Queries without a match do not count, except in NMI and AMI.

    Raises:
        TypeError: Embeddings are not floating tensors, labels not integer tensors, or K not an integer.
        ValueError: A shape does not fit, there is NaN or infinity, one of gallery and gallery_labels is
            missing, a metric is unknown, or no query has a match.

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
    check_metrics(metrics)
    calculator = RetrievalCalculator(
        embeddings.device, [check_integer("recall_at", k, smallest=1) for k in recall_at], metrics
    )
    return calculator.get_accuracy(embeddings.detach(), labels, gallery, gallery_labels)


def score_on_test_classes(
    embeddings: list[Tensor],
    labels: Tensor,
    queries: int | None = None,
    recall_at: Sequence[int] = (),
    metrics: Sequence[str] = (),
) -> TestScores:
    """Score the models of a cross-validation on the test set.

    Args:
        embeddings: for each model, (n, d), l2-normalised.
        labels: (n,).
        queries: number of rows, from the first, that are queries; the others are the gallery. None: each
            row is a query among all others.
        recall_at: K of each Recall@K.
        metrics: names of ``FURTHER_METRICS``.

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
            return judge(points, labels, recall_at=recall_at, metrics=metrics)
        ends = (points[:queries], labels[:queries], points[queries:], labels[queries:])
        return judge(*ends, recall_at=recall_at, metrics=metrics)

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

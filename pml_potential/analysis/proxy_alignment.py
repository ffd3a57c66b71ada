"""How well the proxies of a loss represent the data: the W2 distance between the two."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from pml_potential.analysis.proxies_of_loss import proxies_of
from pml_potential.functional.validation import check_embeddings, check_labels


@dataclass(frozen=True)
class ProxyAlignment:
    """Distance of proxies from the data that they stand for.

    Attributes:
        by_class: W2 distance of each class, in [0, 2].
    """

    by_class: dict[int, float]

    @property
    def mean(self) -> float:
        """Mean over the classes."""
        return mean(self.by_class.values())


def proxy_alignment(
    proxies: Tensor, proxy_labels: Tensor, embeddings: Tensor, labels: Tensor
) -> ProxyAlignment:
    """W2 distance between the proxies of each class and the embeddings of the class nearest to them.

    With p_1 .. p_M the proxies of a class and z_i its embeddings, all l2-normalised:

        W2 = min_s sqrt( 1/M Σ_k ||p_k - z_{s(k)}||^2 ),  s(1) .. s(M) all different

    Both sides are uniform discrete distributions, and the best subset of M embeddings and the best
    transport between the two are found at once, as an assignment. For one proxy it is the distance to
    the nearest embedding. A class with fewer embeddings than proxies, n < M, lets each embedding serve
    up to ceil(M / n) proxies.

    Args:
        proxies: (m, d); ``proxies_of`` takes them out of a loss.
        proxy_labels: class of each proxy, (m,), integers from 0.
        embeddings: z, (n, d), of the whole training set or a sample with all of its classes.
        labels: class of each embedding, (n,).

    Returns:
        The distance of each class.

    Raises:
        ValueError: A tensor is empty or not finite, shapes do not fit, or a class has proxies and no
            embedding, or the reverse.
        TypeError: A tensor has the wrong dtype.

    Source:
        Bhatnagar & Ahuja, CVPR 2025, arXiv 2405.18560, Section 4.4 and Table 3.

    Examples:
        >>> proxies = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> embeddings = torch.tensor([[0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
        >>> one_class = torch.zeros(5, dtype=torch.long)
        >>> found = proxy_alignment(proxies, one_class[:2], embeddings, one_class[:3])
        >>> round(found.mean, 4)
        0.6325
    """
    check_embeddings("proxies", proxies, None)
    check_embeddings("embeddings", embeddings, proxies.shape[1])
    of_proxies = check_labels("proxy_labels", proxy_labels, len(proxies), None).cpu()
    of_embeddings = check_labels("labels", labels, len(embeddings), None).cpu()
    classes = set(of_proxies.tolist())
    unmatched = sorted(classes ^ set(of_embeddings.tolist()))
    if unmatched:
        has, lacks = ("a proxy", "embedding") if unmatched[0] in classes else ("an embedding", "proxy")
        raise ValueError(f"class {unmatched[0]} has {has} and no {lacks}; every class needs both")
    unit_proxies, unit_embeddings = (
        nn.functional.normalize(vectors.detach().cpu().double()) for vectors in (proxies, embeddings)
    )
    return ProxyAlignment(
        {
            label: _w2(unit_proxies[of_proxies == label], unit_embeddings[of_embeddings == label])
            for label in sorted(classes)
        }
    )


def _w2(proxies: Tensor, members: Tensor) -> float:
    uses = math.ceil(len(proxies) / len(members))
    apart = torch.cdist(proxies, members, compute_mode="donot_use_mm_for_euclid_dist")
    costs = apart.square().repeat(1, uses).numpy()
    rows, columns = linear_sum_assignment(costs)
    return float(costs[rows, columns].mean() ** 0.5)


class ProxyAlignmentTracker:
    """Records the W2 distance of a loss's proxies after each epoch, as a hook of PML's trainers.

    Args:
        loss: the loss in training, any that ``proxies_of`` supports.
        embed: computes the embeddings of the training set and their labels, (n, d) and (n,) or (n, 1),
            with the classes numbered as in the loss. With a PML tester:
            ``lambda: tester.get_all_embeddings(train_set, trunk, embedder)``.

    Attributes:
        history: (epoch, alignment) of each epoch so far.

    Examples:
        >>> from pml_potential import PotentialFieldLoss
        >>> loss = PotentialFieldLoss(num_classes=2, embedding_size=8, proxies_per_class=3)
        >>> train_set = torch.randn(20, 8), torch.arange(20) % 2
        >>> tracker = ProxyAlignmentTracker(loss, embed=lambda: train_set)
        >>> tracker.record(epoch=1)
        >>> [(epoch, sorted(alignment.by_class)) for epoch, alignment in tracker.history]
        [(1, [0, 1])]
    """

    def __init__(self, loss: nn.Module, embed: Callable[[], tuple[Tensor, Tensor]]) -> None:
        self.history: list[tuple[int, ProxyAlignment]] = []
        self._loss = loss
        self._embed = embed

    def record(self, epoch: int) -> None:
        """Measure the alignment, and store it under this epoch."""
        with torch.no_grad():
            embeddings, labels = self._embed()
        proxies, proxy_labels = proxies_of(self._loss)
        # PML's testers return one column of labels for each level of a hierarchy of classes.
        found = proxy_alignment(proxies, proxy_labels, embeddings, labels.reshape(len(embeddings)))
        self.history.append((epoch, found))

    def __call__(self, trainer: Any) -> None:
        """The ``end_of_epoch_hook`` of a PML trainer; training continues, since this returns None."""
        self.record(trainer.epoch)

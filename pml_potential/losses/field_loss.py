"""The base of the losses in which embeddings and proxies are charges in each other's fields."""

from typing import Any

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses.mixins import WeightRegularizerMixin
from pytorch_metric_learning.reducers import DivisorReducer
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_weights
from torch import Tensor

from pml_potential.fields.energy import point_energies
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.potentials import Potential
from pml_potential.fields.sphere import unit_points
from pml_potential.losses.checked_metric_loss import CheckedMetricLoss
from pml_potential.losses.proxy_start import class_centres
from pml_potential.losses.validation import (
    check_device,
    check_distance,
    check_embeddings,
    check_integer,
    check_labels,
)

_SMALLEST_DISTANCE = 1e-12
"""Keeps gradients of logits finite where an embedding coincides with a proxy."""


class FieldLoss(WeightRegularizerMixin, CheckedMetricLoss):
    """Energy of embeddings and learnable proxies in the field that they make together.

    The loss hands its reducer two element-wise sub-losses, ``embedding_energy`` (batch_size) and
    ``proxy_energy`` (num_classes * proxies_per_class), both with the number of points as divisor. The
    default ``DivisorReducer`` gives U divided by the number of points, ``SumReducer`` gives U.

    Args:
        potential: what two points do to each other.
        num_classes: N, at least 1.
        embedding_size: d, at least 1.
        proxies_per_class: M, at least 0; 0 means no proxies.
        **kwargs: what PML's losses take (``distance``, ``reducer``, ``embedding_regularizer``,
            ``weight_regularizer``, ``weight_reg_weight``, ``weight_init_func``, ``collect_stats``).
    """

    proxies: torch.nn.Parameter
    proxy_labels: Tensor

    def __init__(
        self,
        potential: Potential,
        num_classes: int,
        embedding_size: int,
        proxies_per_class: int,
        **kwargs: Any,
    ) -> None:
        num_classes = check_integer("num_classes", num_classes, 1)
        embedding_size = check_integer("embedding_size", embedding_size, 1)
        # PML's base class asks for the names of the sub-losses while it is being built.
        self.proxies_per_class = check_integer("proxies_per_class", proxies_per_class, 0)
        super().__init__(**kwargs)
        check_distance(type(self).__name__, self.distance, LpDistance)
        if proxies_per_class == 0 and self.weight_regularizer is not None:
            raise ValueError(
                "proxies_per_class is 0, so that weight_regularizer has nothing to act on; leave one "
                "of the two out"
            )
        self.num_classes = num_classes
        self.embedding_size = embedding_size
        self.potential = potential
        self.proxies = torch.nn.Parameter(torch.empty(num_classes * proxies_per_class, embedding_size))
        if proxies_per_class > 0:
            self.weight_init_func(self.proxies)
        proxy_labels = torch.arange(num_classes).repeat_interleave(proxies_per_class)
        self.register_buffer("proxy_labels", proxy_labels, persistent=False)
        # Only makes the search faster: what the loss returns does not depend on it.
        self._neighbor_list = NeighborList(len(self.proxies))
        self.add_to_recordable_attributes(
            list_of_names=["num_classes", "proxies_per_class"], is_stat=False
        )

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple[Tensor, ...] | None,
        ref_emb: Tensor,
        ref_labels: Tensor,
    ) -> dict[str, dict[str, Any]]:
        """Compute the energy of each embedding and of each proxy, as PML's reducers take them."""
        points, point_labels = [self.proxies, embeddings], [self.proxy_labels, labels.long()]
        count = len(self.proxies) + len(embeddings)
        has_references = ref_emb is not embeddings
        if has_references:
            points.append(ref_emb)
            point_labels.append(ref_labels.long())
        energies = point_energies(
            unit_points(points, embeddings.dtype),
            torch.cat(point_labels),
            self.potential,
            targets=count,
            neighbor_list=self._neighbor_list,
        )
        proxy_energy, embedding_energy = energies.split([len(self.proxies), len(embeddings)])
        weights = convert_to_weights(indices_tuple, labels, energies.dtype, has_references)
        loss_dict = {"embedding_energy": self._element_losses(embedding_energy * weights, count)}
        if self.proxies_per_class > 0:
            loss_dict["proxy_energy"] = self._element_losses(proxy_energy, count)
            self.add_weight_regularization_to_loss_dict(loss_dict, self.proxies.to(embeddings.dtype))
        return loss_dict

    @staticmethod
    def _element_losses(energies: Tensor, divisor: int) -> dict[str, Any]:
        indices = torch.arange(len(energies), device=energies.device)
        return {
            "losses": energies,
            "indices": indices,
            "reduction_type": "element",
            "divisor": divisor,
        }

    def get_logits(self, embeddings: Tensor) -> Tensor:
        """Score every class for every embedding: minus the class potential of the proxies.

            logit_j = Σ_{k in class j} [psi_rep(r_k) - psi_att(r_k)], r_k = ||z - p_k||

        This is -Psi_j(z) of the proxies plus a number that all classes share, the potential that z
        would have if every proxy repelled it. argmax and softmax do not see that number, but in
        float32 it would drown what tells the classes apart.

        Args:
            embeddings: (batch_size, embedding_size).

        Returns:
            (batch_size, num_classes), float32 (float64 for float64 embeddings).

        Raises:
            ValueError: The loss has no proxies, or the embeddings do not fit it.
        """
        if self.proxies_per_class == 0:
            raise ValueError("proxies_per_class is 0; without proxies a class has no potential")
        check_embeddings("embeddings", embeddings, self.embedding_size)
        check_device("proxies", self.proxies, embeddings)
        dtype = torch.promote_types(embeddings.dtype, torch.float32)
        normalize = self.distance.maybe_normalize
        with torch.autocast(embeddings.device.type, enabled=False):
            # The distances come from differences: products lose all digits where proxies are near.
            distances = torch.cdist(
                normalize(embeddings.to(dtype)),
                normalize(self.proxies.to(dtype)),
                compute_mode="donot_use_mm_for_euclid_dist",
            ).clamp_min(_SMALLEST_DISTANCE)
            repulsion, _ = self.potential.repulsion(distances.square())
            attraction, _ = self.potential.attraction(distances.square())
            by_class = (repulsion - attraction).unflatten(1, (-1, self.proxies_per_class))
            logits: Tensor = by_class.sum(dim=2)
            return logits

    @torch.no_grad()
    def initialize_proxies(self, embeddings: Tensor, labels: Tensor) -> None:
        """Start the proxies in the data: the k-means centres of each class's embeddings.

        Decay starves a proxy that is far from its class, since nothing pulls it there. Call this on
        the embeddings of the training set before the first step where the network is pretrained, and
        after some epochs of warm-up where it is not. A class with no more than M distinct embeddings
        gives all of them, and random ones of them for the rest. Proxies keep their norms (a zero
        becomes 1), so that a learning rate means what it meant; classes without an embedding keep their
        proxies. An optimizer that has already stepped holds moments of the old proxies: delete its
        state for ``loss.proxies``.

        Args:
            embeddings: (n, embedding_size), of the training set or a sample of it.
            labels: (n,), their classes.

        Raises:
            ValueError: The loss has no proxies, or the input does not fit it.
        """
        if self.proxies_per_class == 0:
            raise ValueError("proxies_per_class is 0; there is no proxy to initialize")
        check_embeddings("embeddings", embeddings, self.embedding_size)
        check_labels("labels", labels, len(embeddings), self.num_classes)
        normalize = self.distance.maybe_normalize
        dtype = torch.promote_types(embeddings.dtype, torch.float32)
        embeddings = normalize(embeddings.to(self.proxies.device, dtype))
        labels = labels.to(self.proxies.device)
        for label in labels.unique().tolist():
            own = slice(label * self.proxies_per_class, (label + 1) * self.proxies_per_class)
            centres = class_centres(embeddings[labels == label], self.proxies_per_class)
            norms = self.proxies[own].norm(dim=1, keepdim=True)
            norms = torch.where(norms > 0, norms, 1)
            self.proxies[own] = (normalize(centres) * norms).to(self.proxies.dtype)

    def get_default_reducer(self) -> DivisorReducer:
        """Divide the energy by the number of points."""
        return DivisorReducer()

    def get_default_distance(self) -> LpDistance:
        """Euclidean distance of normalised embeddings."""
        return LpDistance(normalize_embeddings=True, p=2, power=1)

    def _sub_loss_names(self) -> list[str]:
        return ["embedding_energy", "proxy_energy"][: 2 if self.proxies_per_class > 0 else 1]

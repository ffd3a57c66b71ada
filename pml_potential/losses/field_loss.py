"""The base of the losses in which embeddings and proxies are charges in each other's fields."""

import math
from abc import abstractmethod
from typing import Any

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_weights
from torch import Tensor

from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.potentials import Potential
from pml_potential.fields.statistics import FieldStatistics
from pml_potential.functional.field_energies import field_energies
from pml_potential.functional.validation import (
    check_device,
    check_embeddings,
    check_integer,
    check_labels,
)
from pml_potential.losses.class_vectors_loss import ClassVectorsLoss
from pml_potential.losses.divisor_reducer import DivisorReducer
from pml_potential.losses.fixed_number import FixedNumber
from pml_potential.losses.proxy_start import class_centres
from pml_potential.losses.required_distance import check_distance

_SMALLEST_DISTANCE = 1e-12
"""Keeps gradients of logits finite where an embedding coincides with a proxy."""


class FieldLoss(ClassVectorsLoss):
    """Energy of embeddings and learnable proxies in their common field.

    The loss hands its reducer two element-wise sub-losses, ``embedding_energy`` (batch_size) and
    ``proxy_energy`` (num_classes * proxies_per_class), both with the number of points as divisor. The
    default ``DivisorReducer`` gives U divided by the number of points, ``SumReducer`` gives U. Reducers
    that look at labels, such as ``ClassWeightedReducer``, find those of the proxies after the batch's.

    With ``collect_stats=True`` each call stores statistics without the constant that dominates the
    value, for example for PML's record-keeper. The n points x are the embeddings and proxies, whatever
    a miner chose:

    - ``attraction_energy``: Σ psi_att / n over the pairs of a class, without those of a point with
      itself. For a decaying potential it is close to 0 while the class is scattered and falls as it
      gathers.
    - ``repulsion_energy``: Σ [psi_rep(r) - psi_rep(delta_rep)] / n over the pairs of different classes;
      at least 0, and 0 where all are farther apart than delta_rep.
    - ``share_of_acting_pairs``: share of the pairs that act, in [0, 1].
    - ``mean_proxy_distance``: mean distance of an embedding from a proxy of its class, in [0, 2].

    Args:
        num_classes: N, at least 1.
        embedding_size: d, at least 1.
        proxies_per_class: M, at least 0; 0 means no proxies.
        **kwargs: arguments of PML's losses (``distance``, ``reducer``, ``embedding_regularizer``,
            ``weight_regularizer``, ``weight_reg_weight``, ``weight_init_func``, ``collect_stats``).
    """

    proxies_per_class: int = FixedNumber("build another loss")  # type: ignore[assignment]
    _proxy_labels: Tensor

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        proxies_per_class: int,
        **kwargs: Any,
    ) -> None:
        # PML's constructor asks for the names of the sub-losses.
        self.proxies_per_class = check_integer("proxies_per_class", proxies_per_class, 0)
        super().__init__(num_classes, embedding_size, proxies_per_class, **kwargs)
        self.proxies = self._vectors_of_all_classes()
        self._fit_to_classes()
        check_distance(type(self).__name__, self.distance, LpDistance)
        if proxies_per_class == 0 and self.weight_regularizer is not None:
            raise ValueError(
                "proxies_per_class is 0, so weight_regularizer has nothing to act on; leave one of "
                "the two out"
            )
        # Incompatible numbers are refused here, not in the first step.
        _ = self.potential
        self.add_to_recordable_attributes(name="proxies_per_class", is_stat=False)
        self.add_to_recordable_attributes(list_of_names=self._names_of_statistics(), is_stat=True)

    @property
    @abstractmethod
    def potential(self) -> Potential:
        """How two points act on each other."""

    @property
    def class_vectors(self) -> torch.nn.Parameter:
        """The proxies."""
        return self.proxies

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple[Tensor, ...] | None,
        ref_emb: Tensor | None,
        ref_labels: Tensor | None,
    ) -> dict[str, dict[str, Any]]:
        """Compute the energy of each embedding and of each proxy, as PML's reducers take them."""
        statistics = FieldStatistics() if self.collect_stats else None
        has_proxies = self.proxies_per_class > 0
        energies, points, point_labels = field_energies(
            embeddings,
            labels,
            self.potential,
            self.proxies if has_proxies else None,
            self.proxy_labels if has_proxies else None,
            ref_emb,
            ref_labels,
            self._neighbor_list,
            statistics,
        )
        count = len(energies)
        if statistics is not None:
            self._record(statistics, points.detach(), point_labels, count)
        embedding_energy, proxy_energy = energies.split([len(embeddings), count - len(embeddings)])
        weights = convert_to_weights(indices_tuple, labels, energies.dtype, ref_emb is not None)
        elements = torch.arange(count, device=energies.device)
        loss_dict = {
            "embedding_energy": {
                "losses": embedding_energy * weights,
                "indices": elements[: len(embeddings)],
                "reduction_type": "element",
                "divisor": count,
            }
        }
        if has_proxies:
            loss_dict["proxy_energy"] = {
                "losses": proxy_energy,
                "indices": elements[len(embeddings) :],
                "reduction_type": "element",
                "divisor": count,
            }
            self.add_weight_regularization_to_loss_dict(loss_dict, self.proxies.to(embeddings.dtype))
        return loss_dict

    def labels_of_elements(self, labels: Tensor) -> Tensor:
        """Labels of the batch, then those of the proxies."""
        if self.proxies_per_class == 0:
            return labels
        return torch.cat([labels.long(), self.proxy_labels])

    def _record(self, statistics: FieldStatistics, points: Tensor, labels: Tensor, count: int) -> None:
        """Keep the statistics of a call; the first ``count`` points are embeddings and proxies."""
        partners = int((labels.bincount()[labels[:count]] - 1).sum())
        at_rest = (partners - statistics.attracting) * self.potential.attraction_plateau
        self.attraction_energy = (statistics.attraction + at_rest) / count
        self.repulsion_energy = statistics.repulsion / count
        pairs = math.comb(len(points), 2) - math.comb(len(points) - count, 2)
        self.share_of_acting_pairs = statistics.acting_pairs / max(pairs, 1)
        if self.proxies_per_class > 0:
            batch = count - len(self.proxies)
            proxies = points[batch:count].unflatten(0, (-1, self.proxies_per_class))
            apart = proxies[labels[:batch]] - points[:batch, None]
            self.mean_proxy_distance = apart.norm(dim=2).mean().item()

    def _names_of_statistics(self) -> list[str]:
        names = ["attraction_energy", "repulsion_energy", "share_of_acting_pairs"]
        return names + ["mean_proxy_distance"] * (self.proxies_per_class > 0)

    @property
    def proxy_labels(self) -> Tensor:
        """Class of each proxy, (num_classes * proxies_per_class,)."""
        if self._proxy_labels.device != self.proxies.device:
            self._proxy_labels = self._proxy_labels.to(self.proxies.device)
        return self._proxy_labels

    def _fit_to_classes(self) -> None:
        # Not a buffer: averages of weights and casts of modules would change the labels, too.
        self._proxy_labels = torch.arange(self.num_classes).repeat_interleave(self.proxies_per_class)
        # Only makes the search faster: the loss does not depend on it.
        self._neighbor_list = NeighborList()

    def get_extra_state(self) -> Tensor:
        """Both sizes, for the checkpoint: rows of proxies do not tell how many belong to a class."""
        return torch.tensor([self.num_classes, self.proxies_per_class])

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing to do: a checkpoint in which this differs is not loaded."""

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        saved, own = state_dict.get(f"{prefix}_extra_state"), self.get_extra_state()
        if saved is not None and saved.tolist() != own.tolist():
            names = ("num_classes", "proxies_per_class")
            there, here = (
                ", ".join(f"{name}={size}" for name, size in zip(names, sizes.tolist(), strict=True))
                for sizes in (saved, own)
            )
            error_msgs.append(
                f"the checkpoint is of a loss with {there}, but this loss has {here}; build the loss "
                "with the checkpoint's sizes, and add further classes with add_classes after loading"
            )
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def get_logits(self, embeddings: Tensor) -> Tensor:
        """Score every class for every embedding: minus the class potential of the proxies.

            logit_j = Σ_{k in class j} [psi_rep(r_k) - psi_att(r_k)], r_k = ||z - p_k||

        This is -Psi_j(z) of the proxies plus a number shared by all classes: the potential of z if
        every proxy repelled it. The added number changes neither argmax nor softmax; without it,
        float32 would lose the differences between the classes.

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
        """Initialise the proxies from the data, with the k-means centres of each class's embeddings.

        A proxy that is far from its class hardly moves, since the force decays. Call this on the
        embeddings of the training set: before the first step if the network is pretrained, otherwise
        after some epochs of warm-up. A class with at most M distinct embeddings uses all of them, and
        repeats random ones for the rest. Proxies keep their norms (a zero becomes 1), so learning rates
        keep their meaning; classes without an embedding keep their proxies. An optimizer that has
        already stepped holds moments of the old proxies: delete its state for ``loss.proxies``.

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
        classes, centres = class_centres(embeddings, labels, self.proxies_per_class)
        proxies = self.proxies.unflatten(0, (-1, self.proxies_per_class))
        norms = proxies[classes].norm(dim=2, keepdim=True)
        norms = torch.where(norms > 0, norms, 1)
        proxies[classes] = (normalize(centres, dim=2) * norms).to(proxies.dtype)

    def get_default_reducer(self) -> DivisorReducer:
        """Divide the energy by the number of points."""
        return DivisorReducer()

    def get_default_distance(self) -> LpDistance:
        """Euclidean distance of normalised embeddings."""
        return LpDistance(normalize_embeddings=True, p=2, power=1)

    def _sub_loss_names(self) -> list[str]:
        return ["embedding_energy", "proxy_energy"][: 2 if self.proxies_per_class > 0 else 1]

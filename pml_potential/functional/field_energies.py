"""The energy of embeddings and proxies in their common field."""

from typing import NamedTuple

import torch
from torch import Tensor

from pml_potential.fields.energy import point_energies
from pml_potential.fields.neighbor_list import NeighborList
from pml_potential.fields.potentials import Potential
from pml_potential.fields.sphere import unit_points
from pml_potential.fields.statistics import FieldStatistics
from pml_potential.functional.validation import (
    check_device,
    check_flag,
    check_form_of_embeddings,
    check_form_of_labels,
    check_no_transform,
    check_values,
    dtype_to_compute_in,
)


class FieldEnergies(NamedTuple):
    """The points of a field and their energies.

    Attributes:
        energies: of each embedding, then of each proxy, (n,).
        points: embeddings, proxies and further sources, all of norm 1.
        labels: class of each point.
    """

    energies: Tensor
    points: Tensor
    labels: Tensor


def field_energies(
    embeddings: Tensor,
    labels: Tensor,
    potential: Potential,
    proxies: Tensor | None = None,
    proxy_labels: Tensor | None = None,
    sources: Tensor | None = None,
    source_labels: Tensor | None = None,
    neighbor_list: NeighborList | None = None,
    statistics: FieldStatistics | None = None,
) -> FieldEnergies:
    """Normalise all vectors and compute their energies; the input is checked already.

    Args:
        embeddings: z, (batch_size, d), of the dtype to compute in.
        labels: (batch_size,).
        potential: psi.
        proxies: p, (k, d).
        proxy_labels: (k,).
        sources: further points of the field, with no energy of their own, (m, d).
        source_labels: (m,).
        neighbor_list: remembers near proxies from call to call.
        statistics: the sums over acting pairs are added to it.
    """
    points, point_labels = [embeddings], [labels.long()]
    if proxies is not None and proxy_labels is not None:
        points.append(proxies)
        point_labels.append(proxy_labels.long())
    count = sum(map(len, points))
    if sources is not None and source_labels is not None:
        points.append(sources)
        point_labels.append(source_labels.long())
    unit, unit_labels = unit_points(points, embeddings.dtype), torch.cat(point_labels)
    energies = point_energies(
        unit,
        unit_labels,
        potential,
        targets=count,
        known=count - len(embeddings),
        neighbor_list=neighbor_list,
        statistics=statistics,
    )
    return FieldEnergies(energies, unit, unit_labels)


def checked_field_energies(
    embeddings: Tensor,
    labels: Tensor,
    proxies: Tensor | None,
    proxy_labels: Tensor | None,
    potential: Potential,
    check_finite: bool,
) -> Tensor:
    """Check a user's input, and compute its energies in full precision, (n,)."""
    check_flag("check_finite", check_finite)
    if proxies is not None:
        check_form_of_embeddings("proxies", proxies, None, "number of proxies")
    width = None if proxies is None else proxies.shape[1]
    check_form_of_embeddings("embeddings", embeddings, width)
    labels = check_form_of_labels("labels", labels, len(embeddings))
    all_labels, parameters = {"labels": labels}, {}
    if proxies is not None and proxy_labels is not None:
        proxy_labels = check_form_of_labels("proxy_labels", proxy_labels, len(proxies))
        check_device("proxies", proxies, embeddings)
        all_labels["proxy_labels"], parameters["proxies"] = proxy_labels, proxies
        proxy_labels = proxy_labels.to(embeddings.device)
    elif proxies is not None or proxy_labels is not None:
        missing = "proxy_labels" if proxy_labels is None else "proxies"
        raise ValueError(f"{missing} is None; proxies and proxy_labels go together")
    check_no_transform(embeddings, *parameters.values())
    if check_finite:
        check_values({"embeddings": embeddings}, all_labels, parameters, None)
    dtype = dtype_to_compute_in(embeddings, *parameters.values())
    with torch.autocast(embeddings.device.type, enabled=False):
        embeddings, labels = embeddings.to(dtype), labels.to(embeddings.device)
        return field_energies(embeddings, labels, potential, proxies, proxy_labels).energies

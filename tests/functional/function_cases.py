"""The functions beside the classes that are made of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import pml_potential
from pml_potential import functional
from tests.losses.loss_cases import NUM_CLASSES, PROXIES_PER_CLASS

PROXY_LABELS = torch.arange(NUM_CLASSES).repeat_interleave(PROXIES_PER_CLASS)


@dataclass(frozen=True)
class Function:
    """One of the functions.

    Args:
        name: its name.
        loss_class: the class that it is the formula of.
        vectors: name of the argument for the class vectors; None if there is none.
        settings: arguments that differ from the defaults.
    """

    name: str
    loss_class: Any
    vectors: str | None
    settings: dict[str, Any]

    def __call__(self, *arguments: Any, **settings: Any) -> Tensor:
        """Call it; ``value`` makes a scalar of what it returns."""
        result: Tensor = getattr(functional, self.name)(*arguments, **settings)
        return result

    def value(
        self, embeddings: Any, labels: Any, vectors: Tensor | None = None, **settings: Any
    ) -> Tensor:
        """The loss, with class vectors as the class has them."""
        arguments = [embeddings, labels]
        if self.vectors is not None:
            arguments.append(vectors)
        if self.vectors == "proxies":
            arguments.append(PROXY_LABELS)
        return self(*arguments, **settings).mean()


FUNCTIONS = [
    Function(
        "potential_field_energy",
        pml_potential.PotentialFieldLoss,
        "proxies",
        {"alpha": 2.0, "delta": 0.5, "delta_rep": 0.9, "core_radius": 0.1},
    ),
    Function("contrastive_potential_energy", pml_potential.CPMLLoss, "proxies", {"delta": 1.1}),
    Function(
        "mean_field_contrastive_loss",
        pml_potential.MeanFieldContrastiveLoss,
        "mean_fields",
        {"pos_margin": 0.1, "neg_margin": 1.4, "regularization_weight": 2.0},
    ),
    Function(
        "class_wise_multi_similarity_loss",
        pml_potential.ClassWiseMultiSimilarityLoss,
        None,
        {"alpha": 2.0, "beta": 40.0, "base": 0.5},
    ),
    Function(
        "mean_field_class_wise_multi_similarity_loss",
        pml_potential.MeanFieldClassWiseMultiSimilarityLoss,
        "mean_fields",
        {"alpha": 2.0, "beta": 10.0, "base": 0.1, "regularization_weight": 0.3},
    ),
]


def _each(functions: list[Function]) -> Callable[..., Any]:
    return pytest.mark.parametrize("function", functions, ids=[each.name for each in functions])


each_function = _each(FUNCTIONS)
each_with_vectors = _each([each for each in FUNCTIONS if each.vectors is not None])
each_energy = _each([each for each in FUNCTIONS if each.vectors == "proxies"])
each_with_mean_fields = _each([each for each in FUNCTIONS if each.vectors == "mean_fields"])

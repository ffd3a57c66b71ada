"""The terms of classes as PML's reducers take them."""

from typing import Any

from pml_potential.functional.class_wise_multi_similarity_loss import ClassTerms


def elements_of_classes(terms: ClassTerms) -> dict[str, Any]:
    """One element for each class of the batch, with the index of its first member.

    Examples:
        >>> import torch
        >>> terms = ClassTerms(torch.tensor([1.0]), torch.tensor([0.5]), torch.tensor([0]))
        >>> elements_of_classes(terms)["losses"]
        tensor([1.5000])
    """
    return {
        "losses": terms.attraction + terms.repulsion,
        "indices": terms.first,
        "reduction_type": "element",
        "divisor": len(terms.first),
    }

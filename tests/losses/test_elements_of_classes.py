import torch

from pml_potential.functional.class_wise_multi_similarity_loss import ClassTerms
from pml_potential.losses.divisor_reducer import DivisorReducer
from pml_potential.losses.elements_of_classes import elements_of_classes


def test_a_reducer_takes_an_element_for_each_class() -> None:
    terms = ClassTerms(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.0]), torch.tensor([0, 3]))
    elements = elements_of_classes(terms)
    assert elements["indices"].tolist() == [0, 3]
    assert DivisorReducer()({"loss": elements}, torch.ones(5, 2), torch.zeros(5)) == 1.75

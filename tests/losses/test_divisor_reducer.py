import pytest
import torch
from pytorch_metric_learning import reducers

from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.losses.divisor_reducer import DivisorReducer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_divides_as_the_one_of_pml(dtype: torch.dtype) -> None:
    losses = torch.linspace(-1, 3, 7, dtype=dtype)
    part = {"losses": losses, "indices": torch.arange(7), "reduction_type": "element", "divisor": 9}
    own, of_pml = (
        reducer({"energy": part}, losses[:, None], torch.arange(7))
        for reducer in (DivisorReducer(), reducers.DivisorReducer())
    )
    assert own.equal(of_pml)
    assert own.item() == pytest.approx(7 / 9)


@pytest.mark.parametrize("loss_class", [PotentialFieldLoss, CPMLLoss])
def test_fields_have_it_by_default(loss_class: type[PotentialFieldLoss | CPMLLoss]) -> None:
    assert isinstance(loss_class(2, 3).get_default_reducer(), DivisorReducer)

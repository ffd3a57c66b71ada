"""A loss that is given an argument it does not take names itself and the argument that was meant."""

import copy
import pickle
from typing import Any

import pytest
from torch import nn

import pml_potential
from pml_potential import (
    CPMLLoss,
    CrossBatchMemory,
    DistributedLossWrapper,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)
from pml_potential.losses.arguments import accepted_arguments
from tests.losses.loss_cases import LOSSES, build, each_loss


class Base(nn.Module):
    def __init__(self, width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.width, self.scale = width, scale


class Further(Base):
    def __init__(self, depth: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.depth = depth


def test_arguments_are_those_of_a_class_and_of_its_ancestors() -> None:
    assert accepted_arguments(Further) == ["depth", "width", "scale"]
    accepted = accepted_arguments(PotentialFieldLoss)
    assert {"num_classes", "embedding_size", "proxies_per_class", "alpha", "delta", "reducer"} <= {
        *accepted
    }
    # Arguments of base classes that PotentialFieldLoss fills itself.
    assert not {"self", "kwargs", "potential", "name", "vectors_per_class"} & {*accepted}


@pytest.mark.parametrize(
    ("loss_class", "given", "meant"),
    [
        (PotentialFieldLoss, "num_proxies", "proxies_per_class"),
        (PotentialFieldLoss, "alhpa", "alpha"),
        (PotentialFieldLoss, "n_classes", "num_classes"),
        (CPMLLoss, "delta_att", "delta"),
        (MeanFieldContrastiveLoss, "margin", "pos_margin"),
        (MeanFieldContrastiveLoss, "embedding_regulariser", "embedding_regularizer"),
    ],
)
def test_the_nearest_argument_is_named(loss_class: Any, given: str, meant: str) -> None:
    message = (
        rf"^{loss_class.__name__} has no argument '{given}', did you mean '{meant}'\? It takes num_"
    )
    with pytest.raises(TypeError, match=message):
        loss_class(10, 64, **{given: 2})


def test_the_list_covers_all_public_losses() -> None:
    wrappers = {CrossBatchMemory, DistributedLossWrapper}
    public = {getattr(pml_potential, name) for name in pml_potential.__all__}
    losses = {each for each in public if isinstance(each, type) and issubclass(each, nn.Module)}
    assert losses == {*LOSSES, *wrappers}


@each_loss
def test_every_loss_names_itself_and_all_that_it_takes(loss_class: Any) -> None:
    with pytest.raises(TypeError) as refused:
        build(loss_class, zzzz=1)
    accepted = ", ".join(accepted_arguments(loss_class))
    assert str(refused.value) == f"{loss_class.__name__} has no argument 'zzzz'. It takes {accepted}"


def test_wrappers_name_themselves_too() -> None:
    loss = PotentialFieldLoss(2, 3)
    with pytest.raises(
        TypeError, match=r"^CrossBatchMemory has no argument 'memory', did you mean 'mem"
    ):
        CrossBatchMemory(loss, 3, memory=5)
    with pytest.raises(TypeError, match=r"^DistributedLossWrapper has no argument 'efficient'\."):
        DistributedLossWrapper(loss, efficient=True)
    assert CrossBatchMemory(loss, 3, collect_stats=True).collect_stats is True


class Own(PotentialFieldLoss):
    """A loss of somebody else, with an argument of its own."""

    def __init__(self, num_classes: int, embedding_size: int, *, heat: float, **kwargs: Any) -> None:
        super().__init__(num_classes, embedding_size, **kwargs)
        self.heat = heat


def test_a_subclass_has_its_own_arguments_and_name() -> None:
    assert Own(2, 3, heat=0.5).heat == 0.5
    with pytest.raises(TypeError, match=r"^Own has no argument 'heta', did you mean 'heat'\?"):
        Own(2, 3, heat=0.5, heta=1)


@each_loss
def test_copies_need_no_arguments(loss_class: Any) -> None:
    loss = build(loss_class)
    for copied in (copy.copy(loss), copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert type(copied) is loss_class

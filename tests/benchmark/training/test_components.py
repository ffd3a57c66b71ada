"""Classes are found by name, and take the arguments of the classes that they pass them on to."""

import types
from typing import Any

import pytest
import torch
from pytorch_metric_learning import losses, miners
from pytorch_metric_learning.losses import BaseMetricLossFunction
from torch import nn

import pml_potential
from pml_potential.benchmark.config.schema import Component, ConfigError
from pml_potential.benchmark.training.components import (
    build_component,
    check_arguments,
    find_class,
)

KEYS = ("loss", "miner")


class Base(nn.Module):
    def __init__(self, width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.width, self.scale = width, scale


class Further(Base):
    def __init__(self, depth: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.depth = depth


def test_a_class_is_found_in_the_first_module_that_has_it() -> None:
    other = types.ModuleType("other")
    vars(other)["ContrastiveLoss"] = Further
    vars(other)["CircleLoss"] = "no class"
    found = find_class("ContrastiveLoss", (other, losses), nn.Module, KEYS)
    assert found is Further
    # What is no class, or of another kind, is passed over.
    assert find_class("CircleLoss", (other, losses), nn.Module, KEYS) is losses.CircleLoss
    both = (other, losses)
    assert find_class("ContrastiveLoss", both, BaseMetricLossFunction, KEYS) is losses.ContrastiveLoss


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("MultiSimilarityMine", "MultiSimilarityMiner"), ("TripletMarginMinr", "TripletMarginMiner")],
)
def test_an_unknown_class_is_an_error_with_the_nearest_name(name: str, nearest: str) -> None:
    message = (
        rf"^loss\.miner\.name: pytorch_metric_learning\.miners has no '{name}', did you mean '{nearest}'"
    )
    with pytest.raises(ConfigError, match=message) as caught:
        find_class(name, (miners,), nn.Module, KEYS)
    assert caught.value.keys == (*KEYS, "name")


def test_a_name_that_is_near_to_none_has_no_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"neither here nor there 'zzzzzz'$"):
        find_class("zzzzzz", (pml_potential, losses), nn.Module, KEYS, "neither here nor there")


@pytest.mark.parametrize("named", ["PotentialFieldLoss", "CPMLLoss", "MeanFieldContrastiveLoss"])
def test_the_accepted_sizes_are_filled_in(named: str) -> None:
    given = Component(name=named, params={})
    sizes = {"num_classes": 3, "embedding_size": 4, "height": 5}
    loss = build_component(getattr(pml_potential, named), given, sizes)
    assert loss(torch.randn(6, 4), torch.arange(6) % 3).isfinite()


def test_given_arguments_come_before_sizes_and_further_ones_before_given_ones() -> None:
    given = Component(name="Further", params={"width": 7, "scale": 2.0})
    built = build_component(Further, given, {"width": 3, "height": 5}, scale=0.5)
    assert (built.width, built.scale, built.depth) == (7, 0.5, 1)


def test_an_argument_that_nobody_accepts_is_refused_with_the_nearest() -> None:
    check_arguments(["alpha"], ["alpha", "delta"], ("loss", "params"))
    message = "'loss.params.dleta', did you mean 'delta'.*; allowed here: alpha, delta$"
    with pytest.raises(ConfigError, match=message) as caught:
        check_arguments(["alpha", "dleta"], ["alpha", "delta"], ("loss", "params"))
    assert caught.value.keys == ("loss", "params", "dleta")

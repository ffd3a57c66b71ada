"""Values, point energies and gradients of the reference cases, all in float64."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_metric_learning.reducers import DoNothingReducer, SumReducer
from torch import Tensor

import pml_potential

GOLDEN = Path(__file__).parents[1] / "data" / "losses.json"
CASES = json.loads(GOLDEN.read_text())["cases"]
IDS = [f"{number}-{case['loss']}" for number, case in enumerate(CASES)]


def tensor(case: dict[str, Any], key: str) -> Tensor:
    return torch.tensor(case[key], dtype=torch.float64)


def build(case: dict[str, Any], reducer: Any) -> Any:
    arguments = {key: value for key, value in case["arguments"].items() if key != "total"}
    if case["loss"] == "PotentialFieldLoss":
        # The cases are of the paper's form.
        arguments["core_radius"] = 0.01
    if "total" not in case["arguments"]:
        reducer = None
    loss = getattr(pml_potential, case["loss"])(**arguments, reducer=reducer).double()
    for parameter in loss.parameters():
        parameter.data = tensor(case, "weight").reshape(parameter.shape)
    return loss


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_value_and_gradients(case: dict[str, Any]) -> None:
    loss = build(case, SumReducer())
    embeddings = tensor(case, "embeddings").requires_grad_()
    value = loss(embeddings, torch.tensor(case["labels"]))
    value.backward()
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(case["value"], rel=1e-9)
    assert_close(embeddings.grad, tensor(case, "grad_embeddings"))
    for parameter in loss.parameters():
        assert_close(parameter.grad, tensor(case, "grad_weight").reshape(parameter.shape))


def assert_close(actual: Tensor | None, expected: Tensor) -> None:
    """Central differences are true to 1e-5 of the largest component."""
    assert actual is not None
    scale = max(1e-6, expected.abs().max().item()) if expected.numel() else 1.0
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "point_energies" in case],
    ids=[name for name, case in zip(IDS, CASES, strict=True) if "point_energies" in case],
)
def test_point_energies(case: dict[str, Any]) -> None:
    loss = build(case, DoNothingReducer())
    parts = loss(tensor(case, "embeddings"), torch.tensor(case["labels"]))
    energies = torch.cat([part["losses"] for part in parts.values()])
    torch.testing.assert_close(energies, tensor(case, "point_energies"), rtol=1e-9, atol=1e-9)

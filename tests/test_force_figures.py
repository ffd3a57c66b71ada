"""The figures of forces show the formulas of the pages on the losses."""

import inspect
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

import pml_potential
from benchmarks.force_figures import IMAGES, figures, force

PAGES = Path(__file__).parents[1] / "docs" / "losses"
DISTANCES = torch.tensor([0.1, 0.15, 0.3, 0.7, 1.1, 1.9], dtype=torch.float64)


def strength(page: str, label: str, same: bool) -> Tensor:
    return force(figures()[page].pairs[label], DISTANCES, same)


@pytest.mark.parametrize("alpha", [1, 4])
def test_force_of_a_potential_field_decays(alpha: int) -> None:
    law = alpha * DISTANCES ** -(alpha + 1.0)
    acts_near = DISTANCES < 0.2
    pull = strength("potential_field_loss", f"alpha = {alpha}", same=True)
    push = strength("potential_field_loss", f"alpha = {alpha}", same=False)
    torch.testing.assert_close(pull, law * ~acts_near)
    torch.testing.assert_close(push, -law * acts_near)


def test_alpha_zero_is_the_logarithm() -> None:
    pull = strength("potential_field_loss", "alpha = 0", same=True)
    torch.testing.assert_close(pull, (1 / DISTANCES) * (DISTANCES > 0.2))


def test_pull_of_the_contrastive_field_grows() -> None:
    pull = strength("cpml_loss", "delta = 0.5", same=True)
    push = strength("cpml_loss", "delta = 0.5", same=False)
    torch.testing.assert_close(pull, 2 * DISTANCES * (DISTANCES > 0.5))
    torch.testing.assert_close(push, -2 * (0.5 - DISTANCES).clamp_min(0))


def test_a_mean_field_acts_between_its_margins() -> None:
    cosine_distance = DISTANCES.square() / 2
    label = "m_P = 0.02, m_N = 0.3"
    pull = strength("mean_field_contrastive_loss", label, same=True)
    push = strength("mean_field_contrastive_loss", label, same=False)
    torch.testing.assert_close(pull, DISTANCES * (cosine_distance > 0.02))
    torch.testing.assert_close(push, -DISTANCES * (cosine_distance < 0.3))


def test_other_classes_push_class_wise_within_the_base_similarity() -> None:
    cosine = 1 - DISTANCES.square() / 2
    for page in ("class_wise_multi_similarity_loss", "mean_field_class_wise_multi_similarity_loss"):
        push = strength(page, "alpha = 0.01, beta = 80", same=False)
        torch.testing.assert_close(push, -DISTANCES * torch.sigmoid(80 * (cosine - 0.8)))


@pytest.mark.parametrize("page", figures())
def test_page_shows_its_figure(page: str) -> None:
    assert (IMAGES / f"force_{page}.png").is_file()
    assert re.search(rf"!\[.+\]\(\.\./images/force_{page}\.png\)", (PAGES / f"{page}.md").read_text())


@pytest.mark.parametrize("page", figures())
def test_page_lists_the_arguments_with_their_defaults(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text()
    loss = getattr(pml_potential, re.findall(r"^# (\w+)", text, re.MULTILINE)[0])
    arguments = inspect.signature(loss).parameters.values()
    taken = {
        argument.name: "required" if argument.default is argument.empty else f"{argument.default}"
        for argument in arguments
        if argument.kind is not argument.VAR_KEYWORD
    }
    rows = re.findall(r"^ *\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE)
    assert {name: default.replace("`", "") for name, default in rows} == taken

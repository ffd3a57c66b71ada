import pytest
import torch

from pml_potential.benchmark.config.schema import Input
from pml_potential.benchmark.data.normalisation import Normalisation

BLUE_FIRST = Input(mean=(104.0, 117.0, 128.0), std=(1.0, 2.0, 4.0), channels="BGR", white=255.0)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_channels_are_turned_round_before_mean_and_deviation_apply(batch: tuple[int, ...]) -> None:
    pixel = torch.tensor([10, 110, 210], dtype=torch.uint8).view(3, 1, 1).expand(*batch, 3, 1, 1)
    found = Normalisation(BLUE_FIRST)(pixel)
    expected = torch.tensor([210 - 104, (110 - 117) / 2, (10 - 128) / 4])
    assert found.equal(expected.view(3, 1, 1).expand(*batch, 3, 1, 1))


def test_white_is_scaled_to_its_number() -> None:
    thirds = Input(mean=(0.2, 0.2, 0.2), std=(0.5, 0.5, 0.5))
    white = torch.full((3, 1, 1), 255, dtype=torch.uint8)
    assert Normalisation(thirds)(white).flatten().tolist() == pytest.approx([1.6] * 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_whole_images_go_from_minus_one_to_one(channels: int) -> None:
    pixels = torch.tensor([[0, 255]] * channels, dtype=torch.uint8).view(channels, 1, 2)
    assert Normalisation(None)(pixels).tolist() == [[[-1, 1]]] * channels

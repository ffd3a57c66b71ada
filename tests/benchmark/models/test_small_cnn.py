import pytest
import torch

from pml_potential.benchmark.config.schema import ConfigError, Input
from pml_potential.benchmark.models import build_trunk
from tests.benchmark.models.networks import IMAGENET, assert_pools_both_ways, features_of, model_of


@pytest.mark.parametrize(
    ("channels", "model_input", "seen"), [(1, None, 1), (3, None, 3), (1, IMAGENET, 3)]
)
def test_it_takes_the_channels_that_reach_it(
    channels: int, model_input: Input | None, seen: int
) -> None:
    trunk, features = build_trunk(model_of("small_cnn", input=model_input), channels)
    assert features_of(trunk, torch.rand(2, seen, 32, 32)).shape == (2, features) == (2, 96)


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (33, 47)])
def test_it_takes_images_of_any_size(size: tuple[int, int]) -> None:
    trunk, _ = build_trunk(model_of("small_cnn"), channels=3)
    assert features_of(trunk, torch.rand(2, 3, *size)).shape == (2, 96)


def test_pooling_both_ways_is_the_sum_of_mean_and_maximum() -> None:
    assert_pools_both_ways("small_cnn")


def test_a_maximum_does_not_mind_where_a_shape_lies() -> None:
    trunk, _ = build_trunk(model_of("small_cnn", pooling="max"), channels=3)
    image = torch.zeros(1, 3, 64, 64)
    image[..., 20:28, 20:28] = torch.rand(8, 8)
    # The strides add up to 4 pixels.
    moved = image.roll((16, 8), dims=(2, 3))
    torch.testing.assert_close(features_of(trunk, moved), features_of(trunk, image))


def test_it_has_nothing_to_download() -> None:
    with pytest.raises(ConfigError, match="nothing to download for 'small_cnn'") as raised:
        build_trunk(model_of("small_cnn", weights="download"), channels=3)
    assert raised.value.keys == ("model", "weights")

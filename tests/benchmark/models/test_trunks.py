import pytest
import torch

from pml_potential.benchmark.config.schema import ConfigError, Crop
from pml_potential.benchmark.models import build_trunk, check_image_size, check_trunk_name
from pml_potential.benchmark.models.trunks import OWN_TRUNKS, takes_any_channels
from pml_potential.benchmark.models.weights import weights_hash
from tests.benchmark.models.networks import model_of


def test_crops_do_not_matter_where_whole_images_are_seen() -> None:
    model = model_of("small_cnn", input=None)
    check_image_size(build_trunk(model, channels=1)[0], model, Crop(size=1))


@pytest.mark.parametrize(
    "name", ["small_cnn", "efficientnet_lite0", "efficientnet_lite2", "timm/test_resnet"]
)
def test_a_new_trunk_is_untouched_and_follows_from_the_seed(name: str) -> None:
    hashes = []
    for _ in range(2):
        torch.manual_seed(3)
        trunk, _ = build_trunk(model_of(name), channels=3)
        hashes.append(weights_hash(trunk))
        assert all(module.training for module in trunk.modules())
        counters = [value for key, value in trunk.state_dict().items() if "num_batches" in key]
        assert counters
        assert not any(counters)
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("small-cnn", "there is no 'small-cnn', did you mean 'small_cnn'"),
        ("resnet", "there is no 'resnet'. There are 'small_cnn', 'bn_inception'"),
        ("tim/resnet50", "did you mean 'timm/resnet50'"),
    ],
)
def test_an_unknown_trunk_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_trunk_name(name)
    assert message in str(raised.value)
    assert raised.value.keys == ("model", "trunk")


@pytest.mark.parametrize("name", [*OWN_TRUNKS, "timm/test_resnet", "torchvision/resnet18"])
def test_a_network_that_exists_is_accepted_and_few_take_any_channels(name: str) -> None:
    check_trunk_name(name)
    assert takes_any_channels(name) == (name in {"small_cnn", "identity"})

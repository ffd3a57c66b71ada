import sys
from importlib import import_module
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.models import build_trunk
from tests.benchmark.models.networks import assert_pools_both_ways, features_of, model_of


def test_it_turns_crops_of_227_pixels_into_1024_features() -> None:
    trunk, features = build_trunk(model_of("bn_inception"), channels=1)
    assert features == 1024
    assert features_of(trunk, torch.rand(2, 3, 227, 227)).shape == (2, 1024)


def test_pooling_both_ways_is_the_sum_of_mean_and_maximum() -> None:
    assert_pools_both_ways("bn_inception")


def test_grey_images_as_they_are_do_not_go_into_it() -> None:
    with pytest.raises(ConfigError, match=r"model\.input is null.*'bn_inception' takes 3"):
        build_trunk(model_of("bn_inception", input=None), channels=1)


def test_its_missing_library_is_named_with_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pretrainedmodels", None)
    expected = "'bn_inception'.* needs 'pretrainedmodels'.*: pip install pretrainedmodels six$"
    with pytest.raises(ConfigError, match=expected):
        build_trunk(model_of("bn_inception"), channels=3)


def test_a_failed_download_is_an_error_that_asks_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_network(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", without_network)
    with pytest.raises(ConfigError, match=r"'bn_inception' could not be downloaded.*no network.*file"):
        build_trunk(model_of("bn_inception", weights="download"), channels=3)


def test_downloaded_weights_are_read_without_running_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = import_module("pretrainedmodels").bninception(pretrained=None).state_dict()
    # The published file is from before torch 0.4.1, which began to count batches.
    published = {key: value for key, value in published.items() if "num_batches" not in key}

    def download(address: str, **arguments: Any) -> dict[str, Tensor]:
        assert address.endswith(".pth")
        assert arguments == {"map_location": "cpu", "weights_only": True}
        return published

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    trunk, _ = build_trunk(model_of("bn_inception", weights="download"), channels=3)
    state = trunk.state_dict()
    assert all(
        torch.equal(state[f"backbone.{key}"], value)
        for key, value in published.items()
        if not key.startswith("last_linear")
    )

import pytest
import torch

from pml_potential.benchmark.models.building import build_models
from pml_potential.benchmark.models.weights import WeightsError, weights_hash
from tests.benchmark.models.networks import model_of


@pytest.mark.parametrize(
    ("name", "side", "features"), [("timm/test_vit", 160, 64), ("small_cnn", 32, 96)]
)
def test_an_embedder_goes_with_the_trunk(name: str, side: int, features: int) -> None:
    models = build_models(model_of(name, embedding_size=5), channels=3)
    assert models.keys() == {"trunk", "embedder"}
    assert models["embedder"].weight.shape == (5, features)
    assert models["embedder"](models["trunk"](torch.rand(2, 3, side, side))).shape == (2, 5)


def test_weights_are_not_loaded_for_callers_that_have_their_own() -> None:
    model = model_of("small_cnn", weights="nowhere.pth")
    assert build_models(model, channels=3, pretrained=False)["trunk"].training
    with pytest.raises(WeightsError, match=r"there is no weights file 'nowhere\.pth'"):
        build_models(model, channels=3)


def test_models_follow_from_the_seed() -> None:
    hashes = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        models = build_models(model_of("small_cnn"), channels=3)
        hashes.append([weights_hash(models[part]) for part in ("trunk", "embedder")])
    assert hashes[0] == hashes[1]
    assert not set(hashes[0]) & set(hashes[2])

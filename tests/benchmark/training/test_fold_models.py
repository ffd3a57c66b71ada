"""The networks of a fold: before their first step, and at their best epoch."""

from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.config.seeds import seed_everything
from pml_potential.benchmark.data.folds import frozen_trunk
from pml_potential.benchmark.evaluation import PRIMARY_METRIC, embed, judge
from pml_potential.benchmark.files import DamagedFileError
from pml_potential.benchmark.models.cut_trunk import CutTrunk
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.training.fold_models import (
    LOSS,
    best_loss_state,
    best_models,
    fold_models,
    save_best,
    untrained_models,
)
from pml_potential.losses import initialize_head
from tests.benchmark.tiny import tiny_config
from tests.benchmark.training.few_glyphs import FewFolds

RISE_AND_FALL = (
    "protocol.iterations_per_epoch=1",
    "protocol.max_epochs=6",
    "model.trunk_optimizer.lr=3.0e-2",
)


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> FewFolds:
    return FewFolds(tmp_path_factory.mktemp("features"))


def weights(models: dict[str, nn.Module]) -> Tensor:
    both = [
        value.flatten().float() for model in models.values() for value in model.state_dict().values()
    ]
    return torch.cat(both).cpu()


def score(models: dict[str, nn.Module], folds: FewFolds, config: Config) -> float:
    validation = folds.data.fold(config, 0)[1]
    embeddings = embed(models, validation, training_device())
    return judge(embeddings, torch.from_numpy(validation.labels))[PRIMARY_METRIC]


def test_best_models_are_those_of_the_best_epoch(folds: FewFolds, tmp_path: Path) -> None:
    config = tiny_config(*RISE_AND_FALL)
    result = folds.train(config, tmp_path / "fold", seed=4)
    assert result.best_epoch < result.history[-1]["epoch"]
    assert len({entry[PRIMARY_METRIC] for entry in result.history}) > 1
    best = best_models(config, 1, tmp_path / "fold")
    assert score(best, folds, config) == pytest.approx(result.score, abs=1e-6)
    assert not any(model.training for model in best.values())


def test_untrained_models_depend_on_the_seed_alone(folds: FewFolds) -> None:
    config = tiny_config()
    train = folds.data.fold(config, 0)[0]
    made: list[Tensor] = []
    for seed in (3, 3, 4):
        # Whatever was drawn before.
        torch.rand(len(made) + 1)
        made.append(weights(untrained_models(config, train, seed)))
    assert made[0].equal(made[1])
    assert not made[0].equal(made[2])


PCA = "model.head.start=pca"
PICTURES = (
    "model.input={mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}",
    "protocol.crop={resize: 20, size: 16}",
)


@pytest.mark.parametrize(
    "assignments", [(), ("model.freeze_trunk=true",), PICTURES], ids=["images", "features", "crops"]
)
@pytest.mark.parametrize("loss", ["potential_field", "contrastive"])
def test_a_head_that_starts_in_the_data_is_that_of_the_training_images_as_they_are_judged(
    folds: FewFolds, assignments: tuple[str, ...], loss: str
) -> None:
    config = tiny_config(PCA, *assignments, loss=loss)
    train = folds.data.fold(config, 0)[0]
    judged = folds.data.for_evaluation(config, folds.data.splits.folds[0].train)
    found = untrained_models(config, train, seed=3)
    expected = untrained_models(tiny_config(*assignments, loss=loss), train, seed=3)
    torch.testing.assert_close(found["trunk"].state_dict(), expected["trunk"].state_dict())
    trunk = expected["trunk"].cpu().eval()
    with torch.no_grad():
        features = trunk(torch.stack([judged[index][0] for index in range(len(judged))]))
    initialize_head(cast("nn.Linear", expected["embedder"].cpu()), features)
    torch.testing.assert_close(
        weights({"": found["embedder"]}), weights({"": expected["embedder"]}), rtol=1e-3, atol=1e-4
    )


def test_what_is_random_besides_is_the_same_behind_any_head(folds: FewFolds) -> None:
    states = []
    for assignments in ((), (PCA,)):
        config = tiny_config(*PICTURES, *assignments)
        untrained_models(config, folds.data.fold(config, 0)[0], seed=3)
        states.append(torch.get_rng_state())
    assert states[0].equal(states[1])


def test_a_head_that_starts_in_the_data_leaves_nothing_to_chance(folds: FewFolds) -> None:
    config = tiny_config(PCA, *PICTURES)
    made: list[Tensor] = []
    for _ in range(2):
        torch.rand(len(made) + 1)
        made.append(weights(untrained_models(config, folds.data.fold(config, 0)[0], seed=3)))
    assert made[0].equal(made[1])


def test_an_untrained_network_retrieves_better_behind_a_head_that_starts_in_the_data(
    folds: FewFolds,
) -> None:
    random, started = (tiny_config(*assignments) for assignments in ((), (PCA,)))
    scores = [
        score(untrained_models(config, folds.data.fold(config, 0)[0], seed), folds, config)
        for config in (random, started)
        for seed in range(3)
    ]
    assert max(scores[:3]) < min(scores[3:])


def test_what_is_saved_is_read_again(folds: FewFolds, tmp_path: Path) -> None:
    config = tiny_config()
    models = untrained_models(config, folds.data.fold(config, 0)[0], seed=3)
    loss = nn.Linear(2, 3)
    save_best(models | {LOSS: loss}, tmp_path)
    assert weights(best_models(config, 1, tmp_path)).equal(weights(models))
    state = best_loss_state(tmp_path)
    assert state.keys() == {"weight", "bias"}
    assert state["weight"].equal(loss.weight)


def test_on_features_there_is_an_embedder_alone(tmp_path: Path) -> None:
    config = tiny_config("model.freeze_trunk=true")
    seed_everything(0)
    models = fold_models(config, 1, width=7)
    assert isinstance(models["trunk"], nn.Identity)
    points = torch.randn(3, 7)
    assert models["embedder"](points).shape == (3, config.model.embedding_size)
    save_best(models | {LOSS: nn.Identity()}, tmp_path)
    # The width is that of the saved weights.
    again = best_models(config, 1, tmp_path)
    assert isinstance(again["trunk"], nn.Identity)
    assert again["embedder"].cpu()(points).equal(models["embedder"](points))


def test_a_damaged_file_of_the_best_models_is_an_error(tmp_path: Path) -> None:
    config = tiny_config()
    save_best(fold_models(config, 1, None) | {LOSS: nn.Linear(2, 3)}, tmp_path)
    for name in ("embedder", LOSS):
        path = tmp_path / "models" / f"{name}_best.pth"
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DamagedFileError, match=r"embedder_best\.pth"):
        best_models(config, 1, tmp_path)
    with pytest.raises(DamagedFileError, match=r"metric_loss_best\.pth"):
        best_loss_state(tmp_path)
    (tmp_path / "models" / "trunk_best.pth").unlink()
    with pytest.raises(FileNotFoundError, match=r"trunk_best\.pth"):
        best_models(config, 1, tmp_path)


def whole(cut: nn.Module) -> nn.Module:
    assert isinstance(cut, CutTrunk)
    return cut.network


def test_behind_a_block_the_untrained_network_is_the_whole_one(folds: FewFolds) -> None:
    """Scores of what the block takes are those of the images."""
    config = tiny_config("model.freeze_until='3'", "seed=5")
    train = folds.data.fold(config, 0)[0]
    models = untrained_models(config, train, seed=4)
    # Of the run's seed, as are the layers that computed what the block takes.
    expected = frozen_trunk(config, folds.data.images)
    assert weights({"trunk": whole(models["trunk"])}).equal(weights({"trunk": expected}))
    other = untrained_models(config, train, seed=6)
    embedders = [weights({"embedder": each["embedder"]}) for each in (models, other)]
    assert not embedders[0].equal(embedders[1])
    from_images = models | {"trunk": whole(models["trunk"])}
    assert score(from_images, folds, tiny_config()) == pytest.approx(
        score(models, folds, config), abs=2e-3
    )


def test_training_behind_a_block_moves_nothing_before_it(folds: FewFolds, tmp_path: Path) -> None:
    config = tiny_config("model.freeze_until='3'", *RISE_AND_FALL)
    result = folds.train(config, tmp_path / "fold", seed=4)
    best = best_models(config, 1, tmp_path / "fold")
    assert score(best, folds, config) == pytest.approx(result.score, abs=1e-6)
    before = frozen_trunk(config, folds.data.images).state_dict()
    after = whole(best["trunk"]).state_dict()
    moved = {name.split(".")[0] for name in before if not before[name].equal(after[name].cpu())}
    assert moved == {"3", "4", "6", "7"}
    # The whole network, on the images themselves.
    from_images = best | {"trunk": whole(best["trunk"])}
    assert score(from_images, folds, tiny_config()) == pytest.approx(result.score, abs=2e-3)

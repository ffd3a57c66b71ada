"""A trainer's state is all that its next epochs depend on, and each of its options does what it says."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.config.seeds import seed_everything
from pml_potential.benchmark.data.folds import divide
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.evaluation import without_progress_bars
from pml_potential.benchmark.files import read_state, write_state
from pml_potential.benchmark.training.fold_models import untrained_models
from pml_potential.benchmark.training.fold_trainer import FoldTrainer
from pml_potential.benchmark.training.record_keeper import record_keeper
from tests.benchmark.tiny import tiny_config
from tests.benchmark.training.few_glyphs import few_glyphs

SEED = 3
EPOCHS = ("protocol.max_epochs=5", "protocol.patience=9", "protocol.iterations_per_epoch=3")
STARTING_AFTER_2 = "loss.initialize_proxies_after_epoch=2"

CASES: dict[str, tuple[str, ...]] = {
    "proxies": (),
    "momentum": ("loss.optimizer={name: SGD, lr: 0.1, momentum: 0.9}",),
    "Adam, a schedule and a warm-up": (
        "model.warm_up_epochs=3",
        "model.trunk_optimizer={name: Adam, lr: 1.0e-3}",
        "loss.optimizer={name: Adam, lr: 1.0e-2}",
        "training.schedule={name: StepLR, params: {step_size: 1, gamma: 0.5}}",
    ),
    "clipping": ("training.clip_norm=0.01", "training.clip_value=0.001"),
    "clipping of the network": ("training.clip_value=0.001", "training.clipped=network"),
    "random batches": ("sampler.m=null",),
    "a sum": ("loss.reducer={name: SumReducer}",),
    # Without the trunk, whose convolutions a processor computes slowly in float16.
    "float16": ("model.amp=float16", "model.freeze_trunk=true"),
    "bfloat16": ("model.amp=bfloat16",),
    "every second epoch": ("protocol.validation_interval=2",),
    "proxies that start before the first step": ("loss.initialize_proxies_after_epoch=0",),
    "proxies that start after the stop": (STARTING_AFTER_2,),
    "proxies that are followed": ("protocol.proxy_alignment=true",),
    "a head and proxies that start in the data": (
        "model.head.start=pca",
        "model.embedding_size=16",
        "loss.initialize_proxies_after_epoch=0",
    ),
    "features of a frozen trunk": ("model.freeze_trunk=true",),
    "a trunk that learns behind a block": ("model.freeze_until='3'", "model.warm_up_epochs=2"),
    "a frozen BatchNorm": ("model.freeze_batchnorm=true",),
    "wrong labels": ("dataset.label_noise=0.2",),
    "chunks of a batch": ("model.chunk_size=3",),
}
LOSSES = ("contrastive", "proxy_anchor", "mean_field_contrastive", "multi_similarity_miner")


@pytest.fixture(scope="module")
def few() -> ImageArrays:
    return few_glyphs(images=4)


@contextmanager
def trainer(
    config: Config, images: ImageArrays, folder: Path, seed: int = SEED
) -> Iterator[FoldTrainer]:
    """A trainer of the first fold, whose models start from a seed; batches have the fold's."""
    train, validation = divide(config, images, folder / "features").fold(config, 0)
    models = untrained_models(config, train, seed)
    with record_keeper(folder) as keeper, without_progress_bars():
        yield FoldTrainer(config, models, train, validation, SEED, keeper, None)


def train(made: FoldTrainer, epochs: int) -> None:
    for _ in range(epochs):
        made.train_epoch()


def plain(value: Any) -> Any:
    """A state as numbers that compare by their bits."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.tolist()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def assert_goes_on_bit_for_bit(config: Config, images: ImageArrays, folder: Path) -> None:
    with trainer(config, images, folder / "straight") as straight:
        train(straight, 5)
        expected = plain(straight.state())
    with trainer(config, images, folder / "first") as first:
        train(first, 2)
        write_state(folder / "state.pt", first.state())
    seed_everything(99)
    with trainer(config, images, folder / "second", seed=99) as second:
        second.load_state(read_state(folder / "state.pt"))
        train(second, 3)
        assert plain(second.state()) == expected
        assert second.is_done
    assert len(expected["history"]) == 5 // config.protocol.validation_interval


@pytest.mark.parametrize("name", CASES)
def test_what_takes_over_a_state_goes_on_bit_for_bit(
    name: str, few: ImageArrays, tmp_path: Path
) -> None:
    assert_goes_on_bit_for_bit(tiny_config(*EPOCHS, *CASES[name]), few, tmp_path)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_takes_over_the_state_of_another_loss_goes_on_bit_for_bit(
    loss: str, few: ImageArrays, tmp_path: Path
) -> None:
    assert_goes_on_bit_for_bit(tiny_config(*EPOCHS, loss=loss), few, tmp_path)


@pytest.mark.parametrize("optimizer", ["{name: Adam, lr: 0.01}", "{name: RMSprop, lr: 0.01}"])
def test_proxies_that_start_anew_have_no_moments_of_their_past(
    optimizer: str, few: ImageArrays, tmp_path: Path
) -> None:
    config = tiny_config(*EPOCHS, STARTING_AFTER_2, f"loss.optimizer={optimizer}")
    with trainer(config, few, tmp_path) as made:
        train(made, 1)
        moments = made.state()["optimizers"]["metric_loss_optimizer"]["state"]
        assert moments, "the test needs an optimizer that keeps moments"
        train(made, 1)
        assert made.state()["optimizers"]["metric_loss_optimizer"]["state"] == {}
        assert made.state()["optimizers"]["embedder_optimizer"]["state"] != {}


def trained(images: ImageArrays, folder: Path, *assignments: str) -> tuple[Any, dict[str, Any]]:
    """A trainer after its epochs, and its models."""
    config = tiny_config("protocol.max_epochs=3", "protocol.patience=9", *assignments)
    with trainer(config, images, folder) as made:
        while not made.is_done:
            made.train_epoch()
    models = {name: module for name, module in made.modules.items() if name != "metric_loss"}
    return made, models


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().cpu() for parameter in module.parameters()])


@pytest.mark.parametrize(("epochs", "moved"), [(0, True), (2, True), (3, False)])
def test_in_warm_up_the_trunk_stays(few: ImageArrays, tmp_path: Path, epochs: int, moved: bool) -> None:
    _, models = trained(few, tmp_path, f"model.warm_up_epochs={epochs}")
    start = untrained_models(
        tiny_config(), divide(tiny_config(), few, tmp_path).test(tiny_config()), seed=3
    )
    assert weights(models["trunk"]).equal(weights(start["trunk"])) is not moved
    assert not weights(models["embedder"]).equal(weights(start["embedder"]))


def test_a_schedule_steps_every_optimizer_after_each_epoch(few: ImageArrays, tmp_path: Path) -> None:
    schedule = "training.schedule={name: StepLR, params: {step_size: 1, gamma: 0.5}}"
    made, _ = trained(few, tmp_path, schedule)
    settings = made._config
    starts = {
        "trunk_optimizer": settings.model.trunk_optimizer.lr,
        "embedder_optimizer": settings.model.embedder_optimizer.lr,
        "metric_loss_optimizer": settings.loss.optimizer.lr,
    }
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in made._optimizers.items()}
    assert rates == {name: pytest.approx(rate / 8) for name, rate in starts.items()}


def test_a_schedule_goes_on_without_a_warning_while_the_trunk_stays(
    few: ImageArrays, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    schedule = "training.schedule={name: StepLR, params: {step_size: 1, gamma: 0.5}}"
    made, _ = trained(few, tmp_path, schedule, "model.warm_up_epochs=2")
    start = made._config.model.trunk_optimizer.lr
    assert made._optimizers["trunk_optimizer"].param_groups[0]["lr"] == pytest.approx(start / 8)
    assert [str(each.message) for each in recwarn if "lr_scheduler" in str(each.message)] == []


def gradients(made: Any, *optimizers: str) -> torch.Tensor:
    chosen = [made._optimizers[name] for name in optimizers or made._optimizers]
    groups = [group for each in chosen for group in each.param_groups]
    found = [parameter.grad for group in groups for parameter in group["params"]]
    return torch.cat([gradient.flatten() for gradient in found])


def test_gradients_are_clipped_by_value(few: ImageArrays, tmp_path: Path) -> None:
    made, _ = trained(few, tmp_path, "training.clip_value=1.0e-3")
    assert gradients(made).abs().max().item() == pytest.approx(1e-3)


def test_gradients_are_clipped_by_norm(few: ImageArrays, tmp_path: Path) -> None:
    made, _ = trained(few, tmp_path, "training.clip_norm=1.0e-2")
    assert gradients(made).norm().item() == pytest.approx(1e-2, rel=1e-3)


@pytest.mark.parametrize("clip", ["clip_value", "clip_norm"])
def test_gradients_of_the_network_alone_are_clipped(few: ImageArrays, tmp_path: Path, clip: str) -> None:
    clipping = (f"training.{clip}=1.0e-5", "training.clipped=network")
    made, _ = trained(few, tmp_path, *clipping)
    network = gradients(made, "trunk_optimizer", "embedder_optimizer")
    largest = network.abs().max() if clip == "clip_value" else network.norm()
    assert largest.item() == pytest.approx(1e-5, rel=1e-3)
    assert gradients(made, "metric_loss_optimizer").abs().max() > 1e-4


@pytest.mark.parametrize("setting", ["amp=bfloat16", "amp=float16", "channels_last=true"])
def test_other_arithmetic_trains_much_alike(few: ImageArrays, tmp_path: Path, setting: str) -> None:
    _, full = trained(few, tmp_path / "plain", "loss.params.alpha=1.0")
    _, other = trained(few, tmp_path / "other", "loss.params.alpha=1.0", f"model.{setting}")
    difference = (weights(other["embedder"]) - weights(full["embedder"])).norm()
    assert math.isfinite(difference)
    assert difference < 0.1 * weights(full["embedder"]).norm()
    assert all(p.dtype == torch.float32 for model in other.values() for p in model.parameters())

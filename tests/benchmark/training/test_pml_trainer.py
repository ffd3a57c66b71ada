"""PML's trainer with a network in half precision, a loader for each epoch, and steps that overflow."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import ProxyAnchorLoss
from torch import Tensor, nn

from pml_potential import PotentialFieldLoss
from pml_potential.benchmark.config.seeds import seed_everything
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.evaluation import without_progress_bars
from pml_potential.benchmark.training.batches import BatchDraws, DrawnImages
from pml_potential.benchmark.training.pml_trainer import PMLTrainer

CPU = torch.device("cpu")
LABELS = np.repeat(np.arange(4), 4)
Half = Literal["float16", "bfloat16"]


class Points(LabelledTensors):
    """A vector of chance for each item."""

    points = torch.randn(len(LABELS), 4, generator=torch.Generator().manual_seed(0))

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.points[index], int(self.labels[index])


class Recorded(nn.Module):
    """A linear layer that keeps what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6)
        self.given: list[Tensor] = []

    def forward(self, points: Tensor) -> Tensor:
        found: Tensor = self.linear(points)
        self.given.append(found)
        return found


def trainer_of(
    dtype: Half | None, freeze: tuple[str, ...] = (), clip: Any = None, chunk_size: int | None = None
) -> Any:
    seed_everything(0)
    models = {"trunk": Recorded(), "embedder": nn.Linear(6, 8)}
    return PMLTrainer(
        dtype,
        chunk_size,
        models=models,
        optimizers={
            f"{name}_optimizer": torch.optim.SGD(model.parameters(), lr=0.1)
            for name, model in models.items()
        },
        batch_size=8,
        loss_funcs={"metric_loss": PotentialFieldLoss(4, 8, proxies_per_class=0, alpha=1.0)},
        dataset=DrawnImages(Points(LABELS, 1)),
        sampler=BatchDraws(LABELS, 2, 8, 3),
        iterations_per_epoch=3,
        gradient_clippers={} if clip is None else {"trunk_grad_clipper": clip},
        freeze_these=freeze,
        data_device=CPU,
        dataloader_num_workers=0,
    )


def train(trainer: Any, *epochs: int) -> None:
    with without_progress_bars():
        for epoch in epochs:
            seed_everything(epoch)
            trainer.train_epoch(epoch)


def scaler(dtype: Half | None) -> torch.amp.GradScaler:
    """As the trainer's, with a scale at which no gradient of these tests overflows."""
    return torch.amp.GradScaler("cpu", init_scale=2.0**8, enabled=dtype == "float16")


def weights(trainer: Any, name: str) -> Tensor:
    parameters = trainer.models[name].parameters()
    return torch.cat([parameter.detach().clone().flatten() for parameter in parameters])


@pytest.mark.parametrize(
    ("dtype", "given"),
    [(None, torch.float32), ("float16", torch.float16), ("bfloat16", torch.bfloat16)],
)
def test_the_network_alone_computes_in_half_precision(dtype: Half | None, given: torch.dtype) -> None:
    trainer = trainer_of(dtype)
    seen: list[torch.dtype] = []
    loss = trainer.loss_funcs["metric_loss"]
    loss.register_forward_pre_hook(lambda _loss, given: seen.append(given[0].dtype))
    train(trainer, 1)
    assert seen == [torch.float32] * 3
    assert {each.dtype for each in trainer.models["trunk"].given} == {given}
    assert {parameter.dtype for parameter in trainer.models["trunk"].parameters()} == {torch.float32}
    assert trainer.scaler.is_enabled() is (dtype == "float16")


@pytest.mark.parametrize(("dtype", "tolerance"), [(None, 1e-5), ("bfloat16", 0.05)])
def test_a_batch_in_chunks_takes_the_same_steps(dtype: Half | None, tolerance: float) -> None:
    start, whole, parts = trainer_of(None), trainer_of(dtype), trainer_of(dtype, chunk_size=3)
    train(whole, 1)
    train(parts, 1)
    assert {len(given) for given in whole.models["trunk"].given} == {8}
    assert {len(given) for given in parts.models["trunk"].given} == {3, 2}
    for name in ("trunk", "embedder"):
        moved = (weights(whole, name) - weights(start, name)).norm()
        assert moved > 0
        assert (weights(parts, name) - weights(whole, name)).norm() < tolerance * moved


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_parameters_of_pml_losses_stay_in_full_precision(dtype: Half) -> None:
    """PML's losses change the type of their own parameters to that of the embeddings."""
    trainer = trainer_of(dtype)
    trainer.loss_funcs["metric_loss"] = ProxyAnchorLoss(4, 8)
    train(trainer, 1)
    assert trainer.loss_funcs["metric_loss"].proxies.dtype == torch.float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_step_in_half_precision_is_the_one_in_full_precision(dtype: Half) -> None:
    start, full, half = trainer_of(None), trainer_of(None), trainer_of(dtype)
    half.scaler = scaler(dtype)
    train(full, 1)
    train(half, 1)
    for name in ("trunk", "embedder"):
        moved = (weights(full, name) - weights(start, name)).norm()
        assert moved > 0
        assert (weights(half, name) - weights(full, name)).norm() < 0.05 * moved


def test_a_step_whose_gradients_overflow_in_float16_is_skipped() -> None:
    trainer = trainer_of("float16")
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=10**6)
    before = weights(trainer, "trunk"), weights(trainer, "embedder")
    train(trainer, 1)
    assert weights(trainer, "trunk").equal(before[0])
    assert weights(trainer, "embedder").equal(before[1])
    assert trainer.scaler.get_scale() == 2.0**123


def clipped_norms(dtype: Half | None) -> Tensor:
    """Norms of a gradient when it would be clipped."""
    norms: list[Tensor] = []
    made: list[Any] = []
    made.append(
        trainer_of(dtype, clip=lambda: norms.append(made[0].models["embedder"].weight.grad.norm()))
    )
    made[0].scaler = scaler(dtype)
    train(made[0], 1)
    return torch.stack(norms)


def test_gradients_are_clipped_after_their_scale_is_taken_out() -> None:
    full = clipped_norms(None)
    assert len(full) == 3
    torch.testing.assert_close(clipped_norms("float16"), full, rtol=0.05, atol=0)


def test_a_frozen_model_takes_no_step() -> None:
    trainer = trainer_of(None, freeze=("trunk",))
    before = weights(trainer, "trunk"), weights(trainer, "embedder")
    train(trainer, 1)
    assert weights(trainer, "trunk").equal(before[0])
    assert not weights(trainer, "embedder").equal(before[1])


def test_an_epoch_does_not_see_what_was_loaded_ahead_in_the_one_before() -> None:
    """The second epoch alone has the images of the second epoch after the first."""
    after, alone = trainer_of(None), trainer_of(None)
    train(after, 1)
    assert after.dataloader_iter is None
    images = []
    for trainer in (after, alone):
        seen: list[Tensor] = []
        trainer.models["trunk"].register_forward_pre_hook(
            lambda _m, given, seen=seen: seen.append(given[0])
        )
        train(trainer, 2)
        images.append(torch.cat(seen))
    assert images[0].equal(images[1])
    assert len(images[0]) == 24
